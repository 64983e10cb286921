//! The supervisor and the lease keeper together, on a real store, with tasks that misbehave.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use secrecy::SecretString;
use tempfile::TempDir;
use tokio::{sync::watch, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{Handle, Made, Plan, Settings, Supervisor};
use crate::{
    account::Ends,
    diagnosis::{LaneExit, LaneState, LaneStatus},
    lease,
    model::{
        AccountId, AccountKey, Authentication, Backfill, Clock, EmailAddress, NewAccount, NodeId,
        Server, Service, SystemClock, TlsMode,
    },
    store::{self, NodeRow, Store},
};

/// How a task of an account behaves, by account key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Behaviour {
    /// Runs until it is told to stop.
    Good,
    /// Panics in its first run, is good after that.
    PanicsOnce,
    /// Ignores the stop.
    Deaf,
}

/// How often each account's task was started.
type Starts = Arc<Mutex<BTreeMap<AccountId, usize>>>;

struct Bench {
    store: Store,
    handle: Handle,
    starts: Starts,
    stop: CancellationToken,
    supervised: JoinSet<usize>,
    list: crate::model::ListId,
    _helpers: JoinSet<()>,
    _dir: TempDir,
}

impl Bench {
    async fn new(behave: fn(&str) -> Behaviour, drain: Duration) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (store, writer) = store::testing::open(dir.path()).await;
        let (stop, mut helpers) = (CancellationToken::new(), JoinSet::new());
        helpers.spawn(writer.run(CancellationToken::new()));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let list = store.list_add("Customers", clock.now()).await.unwrap().id;
        let handle = Handle::default();
        let node = NodeRow {
            id: NodeId::random(),
            name: "test".to_owned(),
            home: "home".to_owned(),
            beat: 0,
            started_at: clock.now(),
        };
        let leases = lease::Keeper::register(store.clone(), node, handle.lease_hint())
            .await
            .unwrap();
        let held = leases.held();
        helpers.spawn(leases.run(CancellationToken::new()));
        let starts = Starts::default();
        let counted = Arc::clone(&starts);
        let make = move |plan: Plan, stop: CancellationToken| {
            let id = plan.account.id;
            let run = {
                let mut starts = counted.lock().unwrap();
                let run = starts.entry(id).or_default();
                *run += 1;
                *run
            };
            let behaviour = behave(plan.account.entered.key.as_str());
            let (status, inbound) = watch::channel(LaneStatus::starting(SystemClock.now()));
            let outbound = status.subscribe();
            let task = async move {
                let _status = status;
                match behaviour {
                    Behaviour::PanicsOnce if run == 1 => panic!("a bug in account {id}"),
                    Behaviour::Deaf => std::future::pending().await,
                    Behaviour::Good | Behaviour::PanicsOnce => stop.cancelled().await,
                }
                LaneExit::Stopped
            };
            Made {
                ends: Ends {
                    inbound,
                    outbound,
                    sync_now: watch::Sender::new(0),
                },
                task,
            }
        };
        let supervisor = Supervisor::new(
            store.clone(),
            held,
            handle.clone(),
            clock,
            Settings { drain },
            make,
        );
        let mut supervised = JoinSet::new();
        supervised.spawn(supervisor.run(stop.clone()));
        Self {
            store,
            handle,
            starts,
            stop,
            supervised,
            list,
            _helpers: helpers,
            _dir: dir,
        }
    }

    async fn add(&self, key: &str) -> AccountId {
        let new = NewAccount {
            name: key.to_owned(),
            key: AccountKey::parse(key).unwrap(),
            address: EmailAddress::parse("x@lab.test").unwrap(),
            list: self.list,
            service: Service::Custom,
            authentication: Authentication::Password {
                user: "x".to_owned(),
                password: SecretString::from("x"),
            },
            imap: Server::new("localhost", 1, TlsMode::Tls),
            smtp: Server::new("localhost", 1, TlsMode::Tls),
            proxy: crate::model::ProxyChoice::Process,
            backfill: Backfill::None,
            folders: crate::model::Folders::default(),
        };
        let id = self
            .store
            .account_add(&new, SystemClock.now())
            .await
            .unwrap()
            .id;
        self.handle.look();
        id
    }

    fn starts(&self, account: AccountId) -> usize {
        self.starts
            .lock()
            .unwrap()
            .get(&account)
            .copied()
            .unwrap_or(0)
    }

    async fn until(&self, what: &str, mut seen: impl FnMut(&Self) -> bool) {
        let end = Instant::now() + Duration::from_secs(20);
        while !seen(self) {
            assert!(Instant::now() < end, "not within 20 s: {what}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn stop(mut self) -> usize {
        self.stop.cancel();
        self.supervised.join_next().await.unwrap().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panicking_account_is_restarted_and_its_neighbour_is_untouched() {
    let behave = |key: &str| {
        if key == "BAD" {
            Behaviour::PanicsOnce
        } else {
            Behaviour::Good
        }
    };
    let bench = Bench::new(behave, Duration::from_secs(5)).await;
    let (good, bad) = (bench.add("GOOD").await, bench.add("BAD").await);
    bench
        .until("the panic is shown", |b| {
            b.handle.status(bad).is_some_and(|s| {
                s.inbound.state == LaneState::Waiting
                    && s.inbound.diagnosis.is_some_and(|d| d.code == "bug")
            })
        })
        .await;
    bench
        .until("it runs again", |b| {
            b.starts(bad) == 2 && b.handle.status(bad).is_some_and(|s| s.restarts == 1)
        })
        .await;
    assert_eq!(bench.starts(good), 1);
    assert_eq!(bench.stop().await, 0, "nobody had to be aborted");
}

#[tokio::test(flavor = "multi_thread")]
async fn paused_edited_and_removed_accounts_stop_restart_and_go() {
    let bench = Bench::new(|_| Behaviour::Good, Duration::from_secs(5)).await;
    let account = bench.add("ONE").await;
    bench.until("it runs", |b| b.starts(account) == 1).await;
    bench
        .store
        .account_pause(account, true, SystemClock.now())
        .await
        .unwrap();
    bench.handle.look();
    bench
        .until("it is stopped", |b| b.handle.status(account).is_none())
        .await;
    assert!(
        !bench.handle.sync_now(account),
        "nobody is there to be asked"
    );
    bench
        .store
        .account_pause(account, false, SystemClock.now())
        .await
        .unwrap();
    bench.handle.look();
    bench
        .until("it runs again", |b| b.starts(account) == 2)
        .await;
    assert!(bench.handle.sync_now(account));
    let row = bench.store.account_get(account).await.unwrap().unwrap();
    bench
        .store
        .account_change(account, &row.entered, None, SystemClock.now())
        .await
        .unwrap();
    bench.handle.look();
    bench
        .until("the edited one runs", |b| b.starts(account) == 3)
        .await;
    bench
        .store
        .account_remove(account, false, SystemClock.now())
        .await
        .unwrap();
    bench.handle.look();
    bench
        .until("it is gone", |b| b.handle.statuses().is_empty())
        .await;
    assert_eq!(bench.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_ignores_the_stop_is_cut_off_when_the_drain_time_is_over() {
    let behave = |key: &str| {
        if key == "DEAF" {
            Behaviour::Deaf
        } else {
            Behaviour::Good
        }
    };
    let bench = Bench::new(behave, Duration::from_millis(300)).await;
    let (deaf, good) = (bench.add("DEAF").await, bench.add("GOOD").await);
    bench
        .until("both run", |b| b.starts(deaf) == 1 && b.starts(good) == 1)
        .await;
    assert_eq!(bench.stop().await, 1);
}
