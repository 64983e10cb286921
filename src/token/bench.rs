//! For tests: a keeper over a real SQLite store and a scripted platform.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use secrecy::{ExposeSecret, SecretString};
use sqlx::{Connection, SqliteConnection};
use tempfile::TempDir;
use tokio::{sync::watch, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{Settings, Token, TokenKeeper, Waits};
use crate::{
    model::{Backoff, Clock, CloudProviderId, Grant, NewTokens, NodeId, SystemClock, Timestamp},
    oauth::{
        OauthClient, Settings as OauthSettings,
        scripted::{Platform, Reply, Request},
    },
    store::{Settings as StoreSettings, Store},
};

/// The machine's clock, moved by the test.
#[derive(Clone, Default)]
pub(super) struct MovedClock(Arc<AtomicI64>);

impl MovedClock {
    pub(super) fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1000, Ordering::Relaxed);
    }
}

impl Clock for MovedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(SystemClock.now().millis() + self.0.load(Ordering::Relaxed))
    }
}

/// The bench's data directory.
pub(super) const HOME: &str = "bench";

pub(super) struct Bench {
    pub(super) store: Store,
    pub(super) platform: Platform,
    pub(super) clock: MovedClock,
    pub(super) provider: CloudProviderId,
    pub(super) settings: Settings,
    pub(super) dir: TempDir,
    _writer: JoinSet<()>,
}

pub(super) fn secret(text: &str) -> SecretString {
    text.to_owned().into()
}

/// Waits that tests can wait for.
fn settings() -> Settings {
    Settings {
        patience: Duration::from_secs(20),
        poll: Duration::from_millis(100),
        waits: Waits {
            grace: Duration::from_millis(200),
            retry: Backoff {
                first: Duration::from_millis(200),
                cap: Duration::from_secs(1),
            },
            confirm: Duration::from_secs(3600),
            steps: [Duration::from_secs(3600); 4],
        },
        store_retry: Backoff {
            first: Duration::from_millis(20),
            cap: Duration::from_millis(100),
        },
        ..Settings::default()
    }
}

impl Bench {
    /// One provider that nobody has signed in to.
    pub(super) async fn new(platform: Platform) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (store, writer) = Store::open(&StoreSettings {
            patience: Duration::from_millis(1500),
            ..crate::store::testing::settings(dir.path())
        })
        .await
        .unwrap();
        let settings = Settings {
            journal: Some(dir.path().join("token-journal")),
            home: HOME.to_owned(),
            ..settings()
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(writer.run(CancellationToken::new()));
        let clock = MovedClock::default();
        let provider = store
            .provider_add(&platform.provider("Contoso"), clock.now())
            .await
            .unwrap();
        Self {
            store,
            platform,
            clock,
            provider: provider.id,
            settings,
            dir,
            _writer: tasks,
        }
    }

    /// One provider with tokens `at-0`, `rt-0` of which the access token lives this long.
    pub(super) async fn signed_in(platform: Platform, seconds: i64) -> Self {
        let bench = Self::new(platform).await;
        let tokens = NewTokens {
            access_token: secret("at-0"),
            access_expires_at: Timestamp::from_millis(bench.clock.now().millis() + seconds * 1000),
            refresh_token: Some(secret("rt-0")),
            scopes: Some("mail".into()),
            signed_in_as: Some("andrea@contoso.example".into()),
            tenant_id: None,
            object_id: None,
        };
        bench
            .store
            .grant_adopt(bench.provider, &tokens, bench.clock.now())
            .await
            .unwrap();
        bench
    }

    /// A keeper as after a start of the process.
    pub(super) fn keeper(&self) -> TokenKeeper {
        TokenKeeper::new(
            self.store.clone(),
            OauthClient::new(&[], &OauthSettings::default()).unwrap(),
            NodeId::random(),
            Arc::new(self.clock.clone()),
            self.settings.clone(),
        )
    }

    pub(super) async fn grant(&self) -> Grant {
        self.store.grant_get(self.provider).await.unwrap().unwrap()
    }

    /// The stored refresh token.
    pub(super) async fn refresh_token(&self) -> String {
        let token = self.grant().await.refresh_token.unwrap();
        token.expose_secret().to_owned()
    }

    /// Takes the database's write lock, so that no commit succeeds until it is given back.
    pub(super) async fn database_refuses(&self) -> SqliteConnection {
        let store = crate::store::testing::settings(self.dir.path());
        let mut other = SqliteConnection::connect(store.url.expose_secret())
            .await
            .unwrap();
        let begin = sqlx::query("BEGIN IMMEDIATE");
        begin.execute(&mut other).await.unwrap();
        other
    }
}

/// Waits for a state of the world, not for a time.
pub(super) async fn eventually(what: &str, mut state: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !state().await {
        assert!(start.elapsed() < Duration::from_secs(20), "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Runs `work` until the platform has seen this many requests, then drops it unfinished.
pub(super) async fn wait_until_asked<T>(
    work: impl Future<Output = T>,
    platform: &Platform,
    posts: usize,
) {
    tokio::select! {
        biased;
        _ = work => panic!("it ended although the platform has not answered"),
        () = platform.reached(posts) => {}
    }
}

/// Answers `at-N` and `rt-N` to request N, only to who brings the newest refresh token; using an older one
/// again revokes the whole family, as strict platforms do.
pub(super) fn rotating() -> impl Fn(&Request, usize) -> Reply + Send + Sync {
    |request, number| {
        if request.form["refresh_token"] == format!("rt-{}", number - 1) {
            Reply::tokens(&format!("at-{number}"), Some(&format!("rt-{number}")))
        } else {
            Reply::refusal("invalid_grant", &[70000])
        }
    }
}

pub(super) fn word(token: &Token) -> &str {
    token.secret.expose_secret()
}

/// As [`rotating`], but nothing is answered before the gate is opened.
pub(super) async fn gated() -> (watch::Sender<bool>, Platform) {
    let (gate, closed) = watch::channel(false);
    let answer = rotating();
    let platform =
        Platform::start(move |request, number| answer(request, number).behind(closed.clone()))
            .await;
    (gate, platform)
}

/// Answers every refresh token with a new one of the same person.
pub(super) fn generous(request: &Request) -> Reply {
    let token = &request.form["refresh_token"];
    Reply::tokens(&format!("at-of-{token}"), Some(&format!("{token}+")))
}

/// A keeper at work; ends when dropped.
pub(super) struct Running {
    pub(super) keeper: TokenKeeper,
    stop: CancellationToken,
    task: JoinSet<()>,
}

impl Running {
    pub(super) fn start(bench: &Bench) -> Self {
        let (keeper, stop) = (bench.keeper(), CancellationToken::new());
        let mut task = JoinSet::new();
        let (running, stopping) = (keeper.clone(), stop.clone());
        task.spawn(async move { running.run(stopping).await });
        Self { keeper, stop, task }
    }

    pub(super) async fn end(self) {
        self.stop.cancel();
        self.task.join_all().await;
    }
}
