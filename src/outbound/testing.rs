//! A world for one lane: a real store on SQLite, a scripted server behind real TLS on loopback.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    net::TcpListener,
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{Lane, Parts, Settings};
use crate::{
    blob::{self, Blobs},
    diagnosis::{LaneExit, LaneState, LaneStatus},
    model::{
        Account, AccountKey, Authentication, Backfill, Backoff, CloudProviderId, CloudService,
        EmailAddress, Lease, NewAccount, NewCloudProvider, NewTokens, NodeId, OutboxId, RawMail,
        RecipientKind, Server as Host, Service, SystemClock, Timestamp, TlsMode,
    },
    net::{self, testing::Authority},
    oauth::OauthClient,
    smtp::testing::Server,
    store::{self, AttemptRow, Enqueued, LeaseRow, NewOutgoing, NodeRow, OutboxRow},
    token::{self, TokenKeeper},
    transcript::{Bounds, Transcripts},
};

pub(super) const MESSAGE: &[u8] = b"From: supp@x.test\r\nMessage-ID: <1@x.test>\r\n\r\n.hello\r\n";

/// Everything one lane needs. Dropping it ends all tasks.
pub(super) struct World {
    pub(super) server: Server,
    pub(super) account: Arc<Account>,
    pub(super) parts: Parts,
    pub(super) writer_stop: CancellationToken,
    pub(super) wake: watch::Sender<u64>,
    tasks: JoinSet<()>,
    _folder: tempfile::TempDir,
}

/// A running lane.
pub(super) struct Running {
    pub(super) status: watch::Receiver<LaneStatus>,
    pub(super) stop: CancellationToken,
    pub(super) task: JoinSet<LaneExit>,
}

impl Running {
    /// Stops it in good order.
    pub(super) async fn stopped(mut self) -> LaneExit {
        self.stop.cancel();
        self.task.join_next().await.unwrap().unwrap()
    }

    /// As by a crash: the future is dropped wherever it is.
    pub(super) async fn crashed(mut self) {
        self.task.shutdown().await;
    }

    pub(super) async fn until(&mut self, state: LaneState) -> LaneStatus {
        let reached = self.status.wait_for(|status| status.state == state);
        let reached = tokio::time::timeout(Duration::from_secs(30), reached).await;
        reached
            .unwrap_or_else(|_| panic!("never {state:?}"))
            .unwrap()
            .clone()
    }
}

fn settings() -> Settings {
    let quick = |millis| Backoff {
        first: Duration::from_millis(millis),
        cap: Duration::from_millis(millis * 4),
    };
    Settings {
        retry: quick(100),
        backoff: quick(50),
        parked_retry: Duration::from_secs(3600),
        proof: Duration::from_secs(3600),
        line_idle: Duration::from_millis(200),
        record_retry: quick(20),
        ..Settings::default()
    }
}

impl World {
    pub(super) async fn new(server: Server) -> Self {
        Self::with(server, TlsMode::Tls, |_| ()).await
    }

    pub(super) async fn with(
        server: Server,
        tls: TlsMode,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let password = Authentication::Password {
            user: "supp".into(),
            password: "hunter2".into(),
        };
        Self::logging_in(server, tls, change, Some(password)).await
    }

    /// The account logs in so; without a word by an access token that is good for an hour.
    pub(super) async fn logging_in(
        server: Server,
        tls: TlsMode,
        change: impl FnOnce(&mut Settings),
        authentication: Option<Authentication>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut tasks = JoinSet::new();
        let path = folder.path();
        let (store, writer) = store::testing::open(path).await;
        let writer_stop = CancellationToken::new();
        tasks.spawn(writer.run(writer_stop.clone()));
        let authority = Authority::new("test");
        let net = net::testing::net_with(&authority.pem, &["localhost"]);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let acceptor = Arc::new(authority.issue("localhost", 2).acceptor());
        let serving = server.clone();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (server, acceptor) = (serving.clone(), acceptor.clone());
                connections.spawn(async move {
                    if tls == TlsMode::Tls {
                        if let Ok(stream) = acceptor.accept(stream).await {
                            server.serve(stream).await;
                        }
                    } else if let Some(stream) = server.serve_start_tls(stream).await
                        && let Ok(stream) = acceptor.accept(stream).await
                    {
                        server.serve_in_tls(stream).await;
                    }
                });
            }
        });
        let clock = Arc::new(SystemClock);
        let oauth = OauthClient::new(net.roots(), &crate::oauth::Settings::default()).unwrap();
        let keeper = TokenKeeper::new(
            store.clone(),
            oauth,
            NodeId::random(),
            clock.clone(),
            token::Settings::default(),
        );
        let mut lane_settings = settings();
        change(&mut lane_settings);
        let transcripts = Transcripts::new(clock.clone(), Bounds::default());
        let governor =
            crate::governor::Governor::new(crate::governor::Settings::default(), clock.clone());
        let parts = Parts {
            blobs: Blobs::open(&blob::Settings {
                url: path.join("blobs").display().to_string(),
            })
            .unwrap(),
            store,
            net,
            keeper,
            clock,
            transcripts,
            governor,
            settings: lane_settings,
        };
        let account = Arc::new(add_account(&parts, port, tls, authentication).await);
        Self {
            server,
            account,
            parts,
            writer_stop,
            wake: watch::Sender::new(0),
            tasks,
            _folder: folder,
        }
    }

    /// The lease, taken from whoever has it, by a new process.
    pub(super) async fn lease(&self) -> Lease {
        let store = &self.parts.store;
        let node = NodeRow {
            id: NodeId::random(),
            name: "test".into(),
            home: NodeId::random().as_str().to_owned(),
            beat: 0,
            started_at: self.now(),
        };
        store.node_register(&node).await.unwrap();
        let seen: LeaseRow = store.lease_list().await.unwrap().remove(0);
        let lease = store.lease_acquire(&seen, &node.id).await.unwrap();
        lease.expect("nobody else takes it")
    }

    pub(super) fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    /// A lane under a new lease.
    pub(super) async fn run(&self) -> Running {
        let lease = self.lease().await;
        self.run_under(lease)
    }

    /// Octets that a lane's task keeps while it idles, beside its line.
    pub(super) async fn task_octets(&self) -> usize {
        let (sender, _) = watch::channel(LaneStatus::starting(self.now()));
        let (account, parts) = (self.account.clone(), self.parts.clone());
        let lease = self.lease().await;
        let lane = Lane::new(account, lease, parts, sender, self.wake.subscribe());
        size_of::<Lane>() + size_of_val(&lane.run(CancellationToken::new()))
    }

    pub(super) fn run_under(&self, lease: Lease) -> Running {
        let (sender, status) = watch::channel(LaneStatus::starting(self.now()));
        let (account, parts) = (self.account.clone(), self.parts.clone());
        let lane = Lane::new(account, lease, parts, sender, self.wake.subscribe());
        let stop = CancellationToken::new();
        let mut task = JoinSet::new();
        task.spawn(lane.run(stop.clone()));
        Running { status, stop, task }
    }

    pub(super) async fn queue(&self, to: &[&str]) -> OutboxId {
        self.queue_raw(to, MESSAGE, Duration::from_secs(3600)).await
    }

    pub(super) async fn queue_raw(
        &self,
        to: &[&str],
        raw: &'static [u8],
        expires_after: Duration,
    ) -> OutboxId {
        let kept = self.parts.blobs.keep(Bytes::from_static(raw)).await;
        self.queue_kept(to, kept.unwrap(), raw.len() as u64, expires_after)
            .await
    }

    pub(super) async fn queue_kept(
        &self,
        to: &[&str],
        raw: RawMail,
        size: u64,
        expires_after: Duration,
    ) -> OutboxId {
        let address = |text: &str| EmailAddress::parse(text).unwrap();
        let new = NewOutgoing {
            account: self.account.id,
            idempotency_key: None,
            request_hash: [0; 32],
            message_id: "1@x.test".into(),
            subject: "s".into(),
            envelope_from: address("supp@x.test"),
            recipients: to
                .iter()
                .map(|to| (RecipientKind::To, address(to)))
                .collect(),
            raw,
            size,
            interaction: None,
            send_at: None,
            expires_after,
        };
        match self.parts.store.outbox_enqueue(&new, self.now()).await {
            Ok(Enqueued::New(id)) => id,
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn row(&self, id: OutboxId) -> (OutboxRow, Vec<AttemptRow>) {
        self.parts.store.outbox_get(id).await.unwrap().unwrap()
    }

    /// Each copy's state and tries, in order.
    pub(super) async fn copies(&self, id: OutboxId) -> Vec<(&'static str, u32)> {
        let copies = self.row(id).await.0.recipients;
        copies
            .iter()
            .map(|copy| (copy.state.as_str(), copy.attempts))
            .collect()
    }

    /// Waits until all copies are in these states.
    pub(super) async fn until(&self, id: OutboxId, states: &[&str]) {
        let give_up = Instant::now() + Duration::from_secs(30);
        loop {
            let now: Vec<&str> = self
                .copies(id)
                .await
                .iter()
                .map(|(state, _)| *state)
                .collect();
            if now == states {
                return;
            }
            assert!(Instant::now() < give_up, "still {now:?}, not {states:?}");
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until the first copy has been tried so often.
    pub(super) async fn until_tried(&self, id: OutboxId, tries: u32) {
        let give_up = Instant::now() + Duration::from_secs(30);
        loop {
            match self.copies(id).await.first() {
                Some(("deferred", tried)) if *tried >= tries => return,
                other => assert!(Instant::now() < give_up, "{other:?}"),
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until the server has seen it.
    pub(super) async fn until_seen(&self, what: impl Fn(&crate::smtp::testing::Seen) -> bool) {
        let give_up = Instant::now() + Duration::from_secs(30);
        while !what(&self.server.seen()) {
            assert!(Instant::now() < give_up, "only {:?}", self.server.seen());
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Kinds of all events, numbered first.
    pub(super) async fn events(&self) -> Vec<&'static str> {
        let store = &self.parts.store;
        store.events_number(1000).await.unwrap();
        let events = store.event_list(0, None, 1000).await.unwrap();
        events.iter().map(|event| event.kind.as_str()).collect()
    }

    pub(super) fn tasks(&self) -> usize {
        self.tasks.len()
    }
}

/// A provider with a grant; nobody listens at its platform.
async fn signed_in(parts: &Parts) -> CloudProviderId {
    let now = parts.clock.now();
    let new = NewCloudProvider {
        authority: Some("https://127.0.0.1:1".into()),
        ..NewCloudProvider::new("Cloud", CloudService::MicrosoftAzure, "app")
    };
    let provider = parts.store.provider_add(&new, now).await.unwrap().id;
    let tokens = NewTokens {
        access_token: "good".into(),
        access_expires_at: now.plus(Duration::from_secs(3600)),
        refresh_token: Some("refresh".into()),
        scopes: None,
        signed_in_as: None,
        tenant_id: None,
        object_id: None,
    };
    let adopted = parts.store.grant_adopt(provider, &tokens, now);
    adopted.await.unwrap();
    provider
}

async fn add_account(
    parts: &Parts,
    port: u16,
    tls: TlsMode,
    authentication: Option<Authentication>,
) -> Account {
    let now = parts.clock.now();
    let authentication = match authentication {
        Some(authentication) => authentication,
        None => Authentication::Modern {
            provider: signed_in(parts).await,
            user: "supp@x.test".into(),
            delegate: None,
        },
    };
    let list = parts.store.list_add("Support", now).await.unwrap();
    let new = NewAccount {
        name: "Support".into(),
        key: AccountKey::parse("SUPP").unwrap(),
        address: EmailAddress::parse("supp@x.test").unwrap(),
        list: list.id,
        service: Service::Custom,
        authentication,
        imap: Host::new("localhost", 1, TlsMode::Tls),
        smtp: Host::new("localhost", port, tls),
        proxy: crate::model::ProxyChoice::Process,
        backfill: Backfill::None,
        folders: crate::model::Folders::default(),
    };
    parts.store.account_add(&new, now).await.unwrap()
}
