//! The supervisor's loop: wait, look, change.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::watch,
    task::{Id as TaskId, JoinError, JoinSet},
    time::{Instant, sleep_until, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::{
    handle::{Handle, Shown},
    plan::{Change, Fingerprint, Slot, plan},
    verdict::{Ended, Panics, Verdict, verdict},
};
use crate::{
    account::{AccountStatus, Ends},
    diagnosis::{Context, Failure, LaneExit, LaneState, LaneStatus, explain},
    lease::Held,
    model::{Account, AccountId, Clock, Lease, fail_point},
    store::Store,
};

/// Looks this often even when nobody hinted.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// At most a fifth of the time goes into looks.
const LOOK_SHARE: u32 = 4;
/// The loop comes round this often, which the watchdog takes as a proof of life.
const TICK_EVERY: Duration = Duration::from_secs(5);
/// While draining, stragglers are named this often.
const NAME_EVERY: Duration = Duration::from_secs(5);

/// What a task is made for.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The account as stored.
    pub account: Arc<Account>,
    /// The right to work for it.
    pub lease: Lease,
}

/// A task ready to run, and its ends.
pub struct Made<Fut> {
    /// For status and hints.
    pub ends: Ends,
    /// The task.
    pub task: Fut,
}

/// The supervisor's own settings.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How long tasks may take to stop before they are aborted.
    pub drain: Duration,
}

/// Owns every account's task. `F` makes one.
pub struct Supervisor<F> {
    store: Store,
    make: F,
    held: watch::Receiver<Held>,
    handle: Handle,
    clock: Arc<dyn Clock>,
    settings: Settings,
    tasks: JoinSet<LaneExit>,
    who: BTreeMap<TaskId, (AccountId, Fingerprint)>,
    stops: BTreeMap<AccountId, CancellationToken>,
    slots: BTreeMap<AccountId, Slot>,
    panics: BTreeMap<AccountId, (Panics, u32)>,
    damaged: BTreeSet<AccountId>,
    /// Leases that a task found gone, by epoch: not worked under again before the keeper shows another.
    lost: BTreeMap<AccountId, i64>,
}

enum Wake {
    Stop,
    Tick,
    Look,
    Held,
    Ended(Result<(TaskId, LaneExit), JoinError>),
}

impl<F, Fut> Supervisor<F>
where
    F: FnMut(Plan, CancellationToken) -> Made<Fut> + Send,
    Fut: Future<Output = LaneExit> + Send + 'static,
{
    /// Nothing runs before [`Self::run`].
    pub fn new(
        store: Store,
        held: watch::Receiver<Held>,
        handle: Handle,
        clock: Arc<dyn Clock>,
        settings: Settings,
        make: F,
    ) -> Self {
        Self {
            store,
            make,
            held,
            handle,
            clock,
            settings,
            tasks: JoinSet::new(),
            who: BTreeMap::new(),
            stops: BTreeMap::new(),
            slots: BTreeMap::new(),
            panics: BTreeMap::new(),
            damaged: BTreeSet::new(),
            lost: BTreeMap::new(),
        }
    }

    /// Keeps wanted and running equal until `stop`; then stops all tasks, waits for them up to the drain
    /// time, aborts and awaits the rest. Returns how many had to be aborted.
    pub async fn run(mut self, stop: CancellationToken) -> usize {
        let mut look_at = Instant::now();
        // Looks at thousands of accounts take their time: what changes meanwhile is looked at together.
        let mut not_before = look_at;
        loop {
            fail_point("supervisor.tick");
            self.handle.tick();
            let begun = Instant::now();
            if begun >= look_at {
                self.look().await;
                look_at = self.next_look();
                not_before = Instant::now() + begun.elapsed() * LOOK_SHARE;
            }
            match self.wait(&stop, look_at).await {
                Wake::Stop => return self.drain().await,
                Wake::Tick => {}
                // What is not held any more must stop at once (I11).
                Wake::Held => look_at = Instant::now(),
                Wake::Look => look_at = look_at.min(not_before.max(Instant::now())),
                Wake::Ended(ended) => {
                    self.judge(ended);
                    look_at = look_at.min(not_before.max(Instant::now()));
                }
            }
        }
    }

    async fn wait(&mut self, stop: &CancellationToken, look_at: Instant) -> Wake {
        let next = look_at.min(Instant::now() + TICK_EVERY);
        tokio::select! {
            biased;
            () = stop.cancelled() => Wake::Stop,
            Some(ended) = self.tasks.join_next_with_id() => Wake::Ended(ended),
            () = self.handle.asked_to_look() => Wake::Look,
            Ok(()) = self.held.changed() => Wake::Held,
            () = sleep_until(next) => Wake::Tick,
        }
    }

    /// When nobody hints: now and then, and when an account that panicked is due again.
    fn next_look(&self) -> Instant {
        let routine = Instant::now() + LOOK_EVERY;
        let due = self.slots.values().filter_map(|slot| match slot {
            Slot::Resting { until } => Some(*until),
            Slot::Running(_) | Slot::Stopping | Slot::Parked { .. } => None,
        });
        due.fold(routine, Instant::min)
    }

    async fn look(&mut self) {
        let held = self.held.borrow_and_update().clone();
        self.lost
            .retain(|id, epoch| held.get(id).is_some_and(|lease| lease.epoch == *epoch));
        // First, and without the database: what is not held here any more must stop (I11).
        let gone: Vec<AccountId> = self
            .stops
            .keys()
            .filter(|id| !held.contains_key(*id))
            .copied()
            .collect();
        for id in gone {
            self.tell_to_stop(id);
        }
        let rows = match self.store.account_wanted().await {
            Ok(rows) => rows,
            Err(error) => {
                warn!(%error, "accounts could not be read; what runs, runs on");
                return;
            }
        };
        let mut wanted = BTreeMap::new();
        let mut accounts = BTreeMap::new();
        let mut damaged = BTreeSet::new();
        for row in rows {
            match row {
                Ok(account) => {
                    let lease = held.get(&account.id).filter(|lease| {
                        !account.paused && self.lost.get(&account.id) != Some(&lease.epoch)
                    });
                    let Some(lease) = lease else {
                        continue;
                    };
                    wanted.insert(
                        account.id,
                        Fingerprint {
                            version: account.version,
                            epoch: lease.epoch,
                        },
                    );
                    accounts.insert(account.id, (account, lease.clone()));
                }
                Err((id, damage)) => {
                    // Bad input 66: this row's owner is parked, the others run.
                    damaged.insert(id);
                    if !self.damaged.contains(&id) {
                        error!(account = %id, %damage, "account cannot run: its row is damaged");
                        self.show_still(id, Failure::Store(damage), LaneState::Parked, None);
                    }
                }
            }
        }
        for mended in self.damaged.difference(&damaged) {
            self.handle.forget(*mended);
        }
        self.damaged = damaged;
        for change in plan(&wanted, &self.slots, Instant::now()) {
            match change {
                Change::Start(id) => {
                    if let Some((account, lease)) = accounts.remove(&id) {
                        self.start(account, lease);
                    }
                }
                Change::Stop(id) => self.tell_to_stop(id),
                Change::Forget(id) => {
                    self.slots.remove(&id);
                    self.panics.remove(&id);
                    self.handle.forget(id);
                }
            }
        }
    }

    fn tell_to_stop(&mut self, id: AccountId) {
        debug!(account = %id, "account is told to stop");
        if let Some(stop) = self.stops.get(&id) {
            stop.cancel();
            self.slots.insert(id, Slot::Stopping);
        }
    }

    fn start(&mut self, account: Account, lease: Lease) {
        let id = account.id;
        let fingerprint = Fingerprint {
            version: account.version,
            epoch: lease.epoch,
        };
        info!(account = %account.entered.key, "account started");
        let stop = CancellationToken::new();
        let Made { ends, task } = (self.make)(
            Plan {
                account: Arc::new(account),
                lease,
            },
            stop.clone(),
        );
        let restarts = self.panics.get(&id).map_or(0, |(_, restarts)| *restarts);
        self.handle.show(id, Shown::Live { ends, restarts });
        let task_id = self.tasks.spawn(task).id();
        self.who.insert(task_id, (id, fingerprint));
        self.stops.insert(id, stop);
        self.slots.insert(id, Slot::Running(fingerprint));
    }

    fn judge(&mut self, ended: Result<(TaskId, LaneExit), JoinError>) {
        let (task_id, ended, detail) = match ended {
            Ok((task_id, exit)) => (task_id, Ended::Returned(exit), String::new()),
            Err(failed) => (failed.id(), Ended::Panicked, panic_text(failed)),
        };
        let Some((id, fingerprint)) = self.who.remove(&task_id) else {
            return;
        };
        self.stops.remove(&id);
        if ended == Ended::Returned(LaneExit::LeaseLost) {
            self.lost.insert(id, fingerprint.epoch);
            self.handle.look_at_leases();
        }
        let (panics, restarts) = self.panics.entry(id).or_default();
        match verdict(ended, panics, Instant::now(), rand::random()) {
            Verdict::Retire => {
                debug!(account = %id, "account stopped");
                self.slots.remove(&id);
                self.handle.forget(id);
            }
            Verdict::Rest(after) => {
                *restarts += 1;
                error!(account = %id, detail, retry_in_seconds = after.as_secs(), "account's task panicked; it is started again");
                self.slots.insert(
                    id,
                    Slot::Resting {
                        until: Instant::now() + after,
                    },
                );
                self.show_still(id, Failure::Bug(detail), LaneState::Waiting, Some(after));
            }
            Verdict::Park => {
                *restarts += 1;
                error!(account = %id, detail, "account's task panicked too often; it is not started again before the account is edited");
                self.slots.insert(
                    id,
                    Slot::Parked {
                        version: fingerprint.version,
                    },
                );
                self.show_still(id, Failure::Bug(detail), LaneState::Parked, None);
            }
        }
    }

    fn show_still(
        &self,
        id: AccountId,
        failure: Failure,
        state: LaneState,
        retry: Option<Duration>,
    ) {
        let now = self.clock.now();
        let lane = LaneStatus {
            state,
            diagnosis: Some(explain(&failure, &Context::default())),
            since: now,
            retry_at: retry.map(|after| now.plus(after)),
            last_contact: None,
        };
        let restarts = self.panics.get(&id).map_or(0, |(_, restarts)| *restarts);
        let status = AccountStatus {
            account: id,
            inbound: lane.clone(),
            outbound: lane,
            restarts,
        };
        self.handle.show(id, Shown::Still(Box::new(status)));
    }

    async fn drain(mut self) -> usize {
        for stop in self.stops.values() {
            stop.cancel();
        }
        let end = Instant::now() + self.settings.drain;
        while !self.tasks.is_empty() && Instant::now() < end {
            let name_at = (Instant::now() + NAME_EVERY).min(end);
            while let Ok(Some(ended)) = timeout_at(name_at, self.tasks.join_next_with_id()).await {
                self.judge(ended);
            }
            for (id, _) in self.who.values() {
                info!(account = %id, "still stopping");
            }
        }
        let stragglers = self.tasks.len();
        if stragglers > 0 {
            warn!(
                stragglers,
                "accounts did not stop in time and are cut off; what they were doing is recorded"
            );
        }
        // Aborted tasks are awaited, or they would hold the store open.
        self.tasks.shutdown().await;
        stragglers
    }
}

fn panic_text(failed: JoinError) -> String {
    match failed.try_into_panic() {
        Ok(payload) => payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "panic without a text".to_owned()),
        Err(_) => "the task was cut off".to_owned(),
    }
}
