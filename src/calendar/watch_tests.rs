//! The watcher over a real store and a clock of the test's own.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicI64, Ordering},
};

use secrecy::{ExposeSecret, SecretString};
use sqlx::{Connection, Executor};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Settings, Watcher};
use crate::{
    model::{
        AccountId, AccountKey, Authentication, Backfill, Clock, CloudProviderId, CloudService,
        EmailAddress, NewAccount, NewCloudProvider, RecordedEvent, Server, Service, Timestamp,
        TlsMode,
    },
    store::{self, CloudProviderChange, Contacts, Store},
};

const DAY: i64 = 86_400;

#[derive(Clone)]
struct Hand(Arc<AtomicI64>);

impl Hand {
    fn set(&self, seconds: i64) {
        self.0.store(seconds, Ordering::Relaxed);
    }
}

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        at(self.0.load(Ordering::Relaxed))
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000 + seconds * 1000)
}

struct Bench {
    store: Store,
    clock: Hand,
    lanes: Arc<Mutex<Vec<Contacts>>>,
    writer: JoinSet<()>,
    home: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let (store, writer) = store::testing::open(home.path()).await;
        let mut tasks = JoinSet::new();
        tasks.spawn(writer.run(CancellationToken::new()));
        Self {
            store,
            clock: Hand(Arc::new(AtomicI64::new(0))),
            lanes: Arc::default(),
            writer: tasks,
            home,
        }
    }

    fn watcher(&self) -> Watcher {
        let lanes = Arc::clone(&self.lanes);
        Watcher::new(
            self.store.clone(),
            Arc::new(self.clock.clone()),
            Settings::default(),
            move || lanes.lock().unwrap().clone(),
        )
    }

    async fn provider(&self, expires: i64) -> CloudProviderId {
        let new = NewCloudProvider {
            client_secret: SecretString::from("s"),
            client_secret_expires_at: Some(at(expires)),
            ..NewCloudProvider::new("Tenant", CloudService::MicrosoftAzure, "app")
        };
        self.store.provider_add(&new, at(0)).await.unwrap().id
    }

    async fn account(&self) -> AccountId {
        let list = self.store.list_add("L", at(0)).await.unwrap();
        let new = NewAccount {
            name: "Support".into(),
            key: AccountKey::parse("SUPP1").unwrap(),
            address: EmailAddress::parse("a@b.example").unwrap(),
            list: list.id,
            service: Service::Custom,
            authentication: Authentication::Password {
                user: "a".into(),
                password: SecretString::from("p"),
            },
            imap: Server::new("imap.b.example", 993, TlsMode::Tls),
            smtp: Server::new("smtp.b.example", 587, TlsMode::StartTls),
            backfill: Backfill::None,
            folders: crate::model::Folders::default(),
            proxy: crate::model::ProxyChoice::Process,
        };
        self.store.account_add(&new, at(0)).await.unwrap().id
    }

    /// The incoming server answered then, the outgoing one just now.
    fn contact(&self, account: AccountId, inbound: Option<i64>) {
        let now = self.clock.0.load(Ordering::Relaxed);
        self.contacts(account, inbound, Some(now));
    }

    fn contacts(&self, account: AccountId, inbound: Option<i64>, outbound: Option<i64>) {
        *self.lanes.lock().unwrap() = vec![Contacts {
            account,
            inbound: inbound.map(at),
            outbound: outbound.map(at),
        }];
    }

    async fn events(&self) -> Vec<RecordedEvent> {
        while self.store.events_number(1000).await.unwrap() > 0 {}
        self.store.event_list(0, None, 1000).await.unwrap()
    }

    /// Kind and threshold-telling fact of each event.
    async fn said(&self) -> Vec<(&'static str, String)> {
        let events = self.events().await;
        let said = events.iter().map(|event| {
            let payload = &event.payload;
            let fact = match payload["daysLeft"].as_i64() {
                Some(days) => days.to_string(),
                None => payload["severity"].as_str().unwrap_or("-").to_owned(),
            };
            (event.kind.as_str(), fact)
        });
        said.collect()
    }
}

fn secrets(days: &[&str]) -> Vec<(&'static str, String)> {
    days.iter()
        .map(|days| ("provider.secretExpires", (*days).to_owned()))
        .collect()
}

#[tokio::test]
async fn each_threshold_is_said_once_by_two_watchers_and_after_restarts() {
    let bench = Bench::new().await;
    let provider = bench.provider(90 * DAY).await;
    let (mut one, mut two) = (bench.watcher(), bench.watcher());
    let mut expected: Vec<&str> = Vec::new();
    for (day, said) in [
        (0, None),
        (29, None),
        (30, Some("60")),
        (45, None),
        (60, Some("30")),
        (84, Some("6")),
        (88, None),
        (89, Some("1")),
        (90, Some("0")),
        (120, None),
    ] {
        bench.clock.set(day * DAY);
        for watcher in [&mut one, &mut two, &mut bench.watcher()] {
            watcher.look(true).await.unwrap();
            watcher.look(true).await.unwrap();
        }
        expected.extend(said);
        assert_eq!(bench.said().await, secrets(&expected), "day {day}");
    }
    // A new secret: its own thresholds count anew.
    let change = CloudProviderChange {
        client_secret: Some(SecretString::from("new")),
        client_secret_expires_at: Some(Some(at(180 * DAY))),
        ..CloudProviderChange::default()
    };
    bench
        .store
        .provider_change(provider, &change, at(0))
        .await
        .unwrap();
    one.look(true).await.unwrap();
    expected.push("60");
    assert_eq!(bench.said().await, secrets(&expected));
}

#[tokio::test]
async fn a_clock_that_jumps_repeats_nothing_and_loses_nothing() {
    let bench = Bench::new().await;
    bench.provider(6 * DAY).await;
    let mut watcher = bench.watcher();
    let mut expected = vec!["6"];
    for (day, said) in [
        (0, None),
        // A hundred days ahead: it seems to be over.
        (100, Some("-94")),
        (0, None),
        (100, None),
        (1, None),
        (5, Some("1")),
        // Now it really is.
        (6, Some("0")),
        (7, None),
    ] {
        bench.clock.set(day * DAY);
        watcher.look(true).await.unwrap();
        bench.watcher().look(true).await.unwrap();
        expected.extend(said);
        assert_eq!(bench.said().await, secrets(&expected), "day {day}");
    }
}

#[tokio::test]
async fn a_silent_mailbox_is_said_in_two_stages_and_its_return_once() {
    let bench = Bench::new().await;
    let account = bench.account().await;
    let mut watcher = bench.watcher();
    let mut expected: Vec<(&str, String)> = Vec::new();
    let stale = |stage: &str| ("mailbox.stale", stage.to_owned());
    let back = || ("mailbox.recovered", "-".to_owned());
    for (now, contact, judged, said) in [
        (100, Some(100), true, None),
        (999, Some(100), true, None),
        // Not judged while the clock is not trusted.
        (1_000, Some(100), false, None),
        (1_000, Some(100), true, Some(stale("notice"))),
        (2_000, Some(100), true, None),
        (3_700, Some(100), true, Some(stale("warning"))),
        (9_000, Some(100), true, None),
        (9_010, Some(9_005), true, Some(back())),
        (9_020, Some(9_005), true, None),
        (9_905, Some(9_005), true, Some(stale("notice"))),
        (9_910, Some(9_909), false, Some(back())),
    ] {
        bench.clock.set(now);
        bench.contact(account, contact);
        watcher.look(judged).await.unwrap();
        // A restart forgets nothing and repeats nothing.
        bench.watcher().look(judged).await.unwrap();
        expected.extend(said);
        assert_eq!(bench.said().await, expected, "at {now}");
    }
    assert!(
        bench
            .events()
            .await
            .iter()
            .all(|event| event.account == Some(account))
    );
}

#[tokio::test]
async fn an_outgoing_server_that_takes_no_login_is_said_in_two_stages_and_its_return_once() {
    let bench = Bench::new().await;
    let account = bench.account().await;
    let mut watcher = bench.watcher();
    let mut expected: Vec<(&str, String)> = Vec::new();
    let stale = |stage: &str| ("sending.stale", stage.to_owned());
    let back = || ("sending.recovered", "-".to_owned());
    for (now, outbound, judged, said) in [
        (100, Some(100), true, None),
        // As long as the lane with nothing to send may wait with its next login.
        (4_599, Some(100), true, None),
        (4_600, Some(100), false, None),
        (4_600, Some(100), true, Some(stale("notice"))),
        (7_300, Some(100), true, Some(stale("warning"))),
        (90_000, Some(100), true, None),
        // The lane runs elsewhere, or not at all: what was written down counts.
        (90_001, None, true, None),
        (90_010, Some(90_005), true, Some(back())),
        (90_020, Some(90_005), true, None),
    ] {
        bench.clock.set(now);
        // The incoming server answers all the time.
        bench.contacts(account, Some(now), outbound);
        watcher.record(std::time::Duration::ZERO).await;
        watcher.look(judged).await.unwrap();
        bench.watcher().look(judged).await.unwrap();
        expected.extend(said);
        assert_eq!(bench.said().await, expected, "at {now}");
    }
    let events = bench.events().await;
    for event in events {
        assert_eq!(event.account, Some(account));
        assert_eq!(event.payload["kind"], "outboundContact");
    }
}

#[tokio::test]
async fn a_paused_account_is_silent_without_a_word() {
    let bench = Bench::new().await;
    let account = bench.account().await;
    bench
        .store
        .account_pause(account, true, at(0))
        .await
        .unwrap();
    bench.clock.set(9 * DAY);
    bench.watcher().look(true).await.unwrap();
    assert_eq!(bench.said().await, []);
    // Just resumed: its silence counts from now.
    bench
        .store
        .account_pause(account, false, at(9 * DAY))
        .await
        .unwrap();
    bench.watcher().look(true).await.unwrap();
    assert_eq!(bench.said().await, []);
    bench.clock.set(9 * DAY + 7_200);
    bench.watcher().look(true).await.unwrap();
    assert_eq!(
        bench.said().await,
        [
            ("mailbox.stale", "warning".to_owned()),
            ("sending.stale", "notice".to_owned())
        ]
    );
}

#[tokio::test]
async fn the_task_writes_contacts_down_at_its_start_and_at_a_stop() {
    let bench = Bench::new().await;
    let account = bench.account().await;
    let written = async || {
        bench.store.freshness(None).await.unwrap()[0]
            .contacts
            .inbound
    };
    bench.contact(account, Some(10));
    bench.clock.set(10);
    let stop = CancellationToken::new();
    let mut task = JoinSet::new();
    task.spawn(bench.watcher().run(stop.clone()));
    while written().await != Some(at(10)) {
        tokio::task::yield_now().await;
    }
    // Seconds later: not worth a commit of its own, but not lost by an orderly stop.
    bench.contact(account, Some(15));
    bench.clock.set(16);
    stop.cancel();
    task.join_next().await.unwrap().unwrap();
    assert_eq!(written().await, Some(at(15)));
}

#[tokio::test]
async fn a_database_that_is_away_ends_nothing_and_what_was_due_is_said_later() {
    let mut bench = Bench::new().await;
    bench.provider(6 * DAY).await;
    bench.writer.shutdown().await;
    let mut watcher = bench.watcher();
    assert!(watcher.look(true).await.is_err());
    assert!(watcher.look(true).await.is_err(), "nothing counts as said");
}

#[tokio::test]
async fn a_grant_that_does_not_decrypt_silences_no_other() {
    let bench = Bench::new().await;
    bench.provider(6 * DAY).await;
    let url = store::testing::settings(bench.home.path()).url;
    let mut connection = sqlx::SqliteConnection::connect(url.expose_secret())
        .await
        .unwrap();
    let damage = "UPDATE grants SET refresh_token = x'00', state = 'ok'";
    connection.execute(sqlx::raw_sql(damage)).await.unwrap();
    assert!(bench.store.grant_list().await.unwrap().is_empty());
    bench.watcher().look(true).await.unwrap();
    assert_eq!(bench.said().await, secrets(&["6"]));
}
