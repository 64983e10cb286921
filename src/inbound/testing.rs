//! A lane with a real store that reads the mailbox of a [`Server`].

use std::{sync::Arc, time::Duration};

use secrecy::SecretString;
use tokio::{net::TcpListener, sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{Budget, Parts, Settings, board::Place, lane::Lane, testing_server::Server};
use crate::{
    blob::{self, Blobs},
    diagnosis::{LaneExit, LaneState, LaneStatus},
    governor::{self, Governor},
    model::*,
    net::{Net, testing},
    oauth::{self, OauthClient},
    store::{self, LeaseRow, MessageRow, NodeRow, Page, ProblemRow, Store},
    token::{self, TokenKeeper, Waits},
    transcript::{Bounds, Transcripts},
};

/// How a test's account logs in.
#[derive(Clone, Copy)]
pub(super) enum With {
    Password,
    Token,
    /// By a token of the platform that listens on this port.
    Platform(u16),
}

/// A server, a store and an account; lanes can be run one after the other.
pub(super) struct World {
    pub(super) server: Server,
    pub(super) store: Store,
    pub(super) account: Arc<Account>,
    pub(super) parts: Parts,
    pub(super) node: NodeId,
    lease: Lease,
    running: Option<Running>,
    _tasks: JoinSet<()>,
    _dir: tempfile::TempDir,
}

struct Running {
    lane: JoinSet<LaneExit>,
    stop: CancellationToken,
    status: watch::Receiver<LaneStatus>,
    wake: watch::Sender<u64>,
}

impl World {
    pub(super) async fn new() -> Self {
        Self::with(With::Password, Backfill::None, |_| {}).await
    }

    pub(super) async fn with(
        with: With,
        backfill: Backfill,
        adjust: impl FnOnce(&mut Settings),
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut tasks = JoinSet::new();
        let authority = testing::Authority::new("Test CA");
        let acceptor = authority.issue("localhost", 30).acceptor();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Server::new();
        let accepting = server.clone();
        tasks.spawn(async move {
            let mut talks = JoinSet::new();
            let acceptor = Arc::new(acceptor);
            while let Ok((tcp, _)) = listener.accept().await {
                let _ = tcp.set_nodelay(true);
                let (server, acceptor) = (accepting.clone(), acceptor.clone());
                talks.spawn(async move {
                    if let Ok(tls) = acceptor.accept(tcp).await {
                        server.serve(tls).await;
                    }
                });
            }
        });

        let file = |name: &str| dir.path().join(name);
        let (store, writer) = store::testing::open(dir.path()).await;
        tasks.spawn(writer.run(CancellationToken::new()));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let node = NodeRow {
            id: NodeId::random(),
            name: "test".to_owned(),
            home: file("").display().to_string(),
            beat: 0,
            started_at: clock.now(),
        };
        store.node_register(&node).await.unwrap();
        let list = store.list_add("Contacts", clock.now()).await.unwrap().id;
        let authentication = match with {
            With::Password => Authentication::Password {
                user: "desk".to_owned(),
                password: SecretString::from("secret"),
            },
            With::Token | With::Platform(_) => Authentication::Modern {
                provider: add_provider(&store, &clock, with).await,
                user: "desk@lab.test".to_owned(),
                delegate: None,
            },
        };
        let new = NewAccount {
            name: "Desk".to_owned(),
            key: AccountKey::parse("DESK").unwrap(),
            address: EmailAddress::parse("desk@lab.test").unwrap(),
            list,
            service: Service::Custom,
            authentication,
            imap: crate::model::Server::new("localhost", port, TlsMode::Tls),
            smtp: crate::model::Server::new("localhost", 1, TlsMode::Tls),
            proxy: crate::model::ProxyChoice::Process,
            backfill,
            folders: Folders::default(),
        };
        let account = store.account_add(&new, clock.now()).await.unwrap();
        let seen = LeaseRow {
            account: account.id,
            holder: None,
            epoch: 0,
        };
        let seen = store
            .lease_list()
            .await
            .unwrap()
            .into_iter()
            .next()
            .unwrap_or(seen);
        let lease = store.lease_acquire(&seen, &node.id).await.unwrap().unwrap();
        let net: Net = testing::net_with(&authority.pem, &["localhost"]);
        let oauth = OauthClient::new(net.roots(), &oauth::Settings::default()).unwrap();
        let keeper = TokenKeeper::new(
            store.clone(),
            oauth,
            node.id.clone(),
            clock.clone(),
            token::Settings {
                poll: Duration::from_millis(50),
                waits: Waits {
                    grace: Duration::from_millis(100),
                    retry: Backoff {
                        first: Duration::from_millis(100),
                        cap: Duration::from_millis(400),
                    },
                    confirm: Duration::from_millis(100),
                    ..Waits::default()
                },
                ..token::Settings::default()
            },
        );
        let keeping = keeper.clone();
        tasks.spawn(async move {
            let _ = keeping.run(CancellationToken::new()).await;
        });
        let blobs = Blobs::open(&blob::Settings {
            url: file("blobs").display().to_string(),
        })
        .unwrap();
        let mut settings = Settings {
            reissue_idle: Duration::from_secs(300),
            poll: Duration::from_millis(100),
            recount: Backoff {
                first: Duration::from_millis(10),
                cap: Duration::from_millis(100),
            },
            backoff: Backoff {
                first: Duration::from_millis(50),
                cap: Duration::from_millis(200),
            },
            parked_retry: Duration::from_secs(300),
            ..Settings::default()
        };
        adjust(&mut settings);
        let transcripts = Transcripts::new(clock.clone(), Bounds::default());
        let governor = Governor::new(governor::Settings::default(), clock.clone());
        let parts = Parts {
            store: store.clone(),
            blobs,
            net,
            keeper,
            clock,
            budget: Budget::default(),
            transcripts,
            governor,
            settings,
        };
        Self {
            server,
            store,
            account: Arc::new(account),
            parts,
            node: node.id,
            lease,
            running: None,
            _tasks: tasks,
            _dir: dir,
        }
    }

    /// Octets that the lane of an account with one folder keeps while it idles, beside its connection.
    pub(super) fn task_octets(&self) -> usize {
        let (status, _) = watch::channel(LaneStatus::starting(self.parts.clock.now()));
        let (account, lease, parts) =
            (self.account.clone(), self.lease.clone(), self.parts.clone());
        let place = Place::several(&status, 1, parts.clock.now()).remove(0);
        let folders = account.entered.folders.all().to_vec();
        let wake = watch::channel(0).1;
        let lane = Lane::new(account, lease, parts, folders, place, wake.clone());
        let stop = CancellationToken::new();
        let lane = size_of::<Lane>() + size_of_val(&lane.run(stop.clone()));
        let (account, lease, parts) =
            (self.account.clone(), self.lease.clone(), self.parts.clone());
        lane + size_of_val(&super::run(account, lease, parts, status, wake, stop))
    }

    /// Runs a lane beside the test.
    pub(super) fn start(&mut self) {
        let (sender, status) = watch::channel(LaneStatus::starting(self.parts.clock.now()));
        let (wake, woken) = watch::channel(0);
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(super::run(
            self.account.clone(),
            self.lease.clone(),
            self.parts.clone(),
            sender,
            woken,
            stop.clone(),
        ));
        self.running = Some(Running {
            lane: tasks,
            stop,
            status,
            wake,
        });
    }

    pub(super) fn running(&mut self) -> &mut watch::Receiver<LaneStatus> {
        &mut self.running.as_mut().unwrap().status
    }

    pub(super) fn wake(&mut self) {
        self.running
            .as_ref()
            .unwrap()
            .wake
            .send_modify(|count| *count += 1);
    }

    /// Waits until the lane says so.
    pub(super) async fn until(&mut self, state: LaneState) -> LaneStatus {
        let mut status = self.running().clone();
        let seen = tokio::time::timeout(
            Duration::from_secs(20),
            status.wait_for(|status| status.state == state),
        );
        match seen.await {
            Ok(seen) => seen.unwrap().clone(),
            Err(_) => panic!(
                "not {state:?} but {:?}",
                self.running.as_ref().unwrap().status.borrow().clone()
            ),
        }
    }

    /// Ends the lane in order.
    pub(super) async fn stop(&mut self) -> LaneExit {
        let running = self.running.as_ref().unwrap();
        running.stop.cancel();
        self.ended().await
    }

    /// Waits for the lane's own end.
    pub(super) async fn ended(&mut self) -> LaneExit {
        let mut running = self.running.take().unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(20), running.lane.join_next());
        ended.await.expect("an end").unwrap().unwrap()
    }

    /// Drops the lane where it stands, as a crash would.
    pub(super) fn kill(&mut self) {
        self.running = None;
    }

    pub(super) async fn messages(&self) -> Vec<MessageRow> {
        let page = Page {
            limit: 1_000,
            offset: 0,
        };
        let mut rows = self
            .store
            .message_list(None, None, page)
            .await
            .unwrap()
            .rows;
        rows.reverse();
        rows
    }

    pub(super) async fn subjects(&self) -> Vec<String> {
        self.messages()
            .await
            .into_iter()
            .map(|row| row.parsed.subject)
            .collect()
    }

    pub(super) async fn problems(&self) -> Vec<ProblemRow> {
        let page = Page {
            limit: 1_000,
            offset: 0,
        };
        self.store.problem_list(None, page).await.unwrap().rows
    }

    /// Waits until that many messages are stored.
    pub(super) async fn until_stored(&self, count: usize) -> Vec<String> {
        let end = tokio::time::Instant::now() + Duration::from_secs(20);
        loop {
            let subjects = self.subjects().await;
            if subjects.len() >= count {
                return subjects;
            }
            assert!(tokio::time::Instant::now() < end, "only {subjects:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(super) async fn cursor(&self) -> Cursor {
        let folder = self
            .store
            .folder_get(self.account.id, "INBOX")
            .await
            .unwrap();
        folder.unwrap().cursor
    }

    /// Events about mail received, numbered.
    pub(super) async fn received(&self) -> usize {
        while self.store.events_number(1_000).await.unwrap() > 0 {}
        let events = self.store.event_list(0, None, 10_000).await.unwrap();
        let kind = EventKind::MessageReceived;
        events.iter().filter(|event| event.kind == kind).count()
    }

    /// A person signs in: this access token is good from now on, for so long.
    pub(super) async fn sign_in(&self, token: &str, lives: Duration) {
        self.server.state().secrets.insert(token.to_owned());
        let tokens = NewTokens {
            access_token: SecretString::from(token),
            access_expires_at: self.parts.clock.now().plus(lives),
            refresh_token: Some(SecretString::from("refresh")),
            scopes: None,
            signed_in_as: None,
            tenant_id: None,
            object_id: None,
        };
        let provider = self.account.provider().unwrap();
        self.store
            .grant_adopt(provider, &tokens, self.parts.clock.now())
            .await
            .unwrap();
    }
}

async fn add_provider(store: &Store, clock: &Arc<dyn Clock>, with: With) -> CloudProviderId {
    let authority = match with {
        With::Platform(port) => format!("http://127.0.0.1:{port}"),
        // Nobody listens there: refreshing fails, and nothing leaves the machine.
        With::Password | With::Token => "https://127.0.0.1:1".to_owned(),
    };
    let new = NewCloudProvider {
        tenant_id: "tenant".to_owned(),
        client_secret: SecretString::from("client-secret"),
        redirect_uri: "https://motion.test/callback".to_owned(),
        authority: Some(authority),
        ..NewCloudProvider::new("Cloud", CloudService::MicrosoftAzure, "app")
    };
    store.provider_add(&new, clock.now()).await.unwrap().id
}
