//! Runs the built parts, and stops them in the order in which nothing is lost.

use std::{sync::Arc, time::Duration};

use sd_notify::NotifyState;
use tokio::{
    sync::watch,
    task::{JoinError, JoinSet},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{
    build::Daemon,
    data_dir::DataDir,
    reload::Reloader,
    signals::{Wish, Wishes},
    start::StartError,
    watchdog::{self, StorePulse},
};
use crate::{
    account::{Ends, side_by_side},
    calendar,
    diagnosis::LaneStatus,
    events, http, inbound, lease, outbound,
    supervisor::{Made, Plan, Settings, Supervisor},
};

/// The parts that outlive the accounts, and then the writer, get this long each: the fifth of the drain time
/// that [`crate::config::Config::drain_work`] leaves, by default.
const LAST_STEPS: Duration = Duration::from_millis(2_400);

/// The running parts, in the order in which they are stopped. Each gives its name when it ends.
struct Parts {
    /// Begin new work: the supervisor with all accounts, the token keeper.
    workers: JoinSet<&'static str>,
    /// What workers need to finish.
    helpers: JoinSet<&'static str>,
    /// The database's one writer, last of all.
    writer: JoinSet<&'static str>,
    stop_workers: CancellationToken,
    stop_helpers: CancellationToken,
    stop_writer: CancellationToken,
    /// Locked until everything has ended: no other process may work in it before.
    _data_dir: DataDir,
}

/// Why the main loop goes on or ends.
enum Wake {
    Wish(Wish),
    /// A part ended though nobody stopped it.
    Died(Result<&'static str, JoinError>),
}

impl Parts {
    async fn wait(&mut self, wishes: &mut Wishes) -> Wake {
        tokio::select! {
            biased;
            wish = wishes.next() => Wake::Wish(wish),
            Some(died) = self.workers.join_next() => Wake::Died(died),
            Some(died) = self.helpers.join_next() => Wake::Died(died),
            Some(died) = self.writer.join_next() => Wake::Died(died),
        }
    }

    /// Stops everything. The workers bound themselves by the drain time.
    async fn stop(mut self) {
        self.stop_workers.cancel();
        while let Some(ended) = self.workers.join_next().await {
            if let Err(failed) = ended {
                error!(error = %failed, "a part of the daemon panicked while stopping");
            }
        }
        self.stop_helpers.cancel();
        finish(&mut self.helpers).await;
        self.stop_writer.cancel();
        finish(&mut self.writer).await;
    }
}

async fn finish(parts: &mut JoinSet<&'static str>) {
    let ended = timeout(LAST_STEPS, async {
        while let Some(ended) = parts.join_next().await {
            if let Err(failed) = ended {
                error!(error = %failed, "a part of the daemon panicked while stopping");
            }
        }
    });
    if ended.await.is_err() {
        warn!(
            parts = parts.len(),
            "parts of the daemon did not stop in time and are cut off"
        );
        parts.shutdown().await;
    }
}

impl Daemon {
    /// Until a stop is wished. Cancelling this future would skip the drain: it must be awaited.
    ///
    /// # Errors
    /// The node could not be registered, or a part ended by itself: the service manager starts anew.
    pub(super) async fn run(self) -> Result<(), StartError> {
        let (mut parts, mut wishes, mut reloader) = self.start().await?;
        let died = loop {
            match parts.wait(&mut wishes).await {
                Wake::Wish(Wish::Stop) => break None,
                Wake::Wish(Wish::Reload) => reloader.reload(),
                Wake::Wish(Wish::ReopenLogs) => reloader.reopen_logs(),
                Wake::Died(how) => {
                    let part = how.unwrap_or("a part that panicked");
                    error!(
                        part,
                        "a part of the daemon ended by itself; the daemon stops to be started anew"
                    );
                    break Some(part);
                }
            }
        };
        info!("motion-email stops: nothing new is begun, what is under way is finished");
        watchdog::notify(&[NotifyState::Stopping]);
        parts.stop().await;
        died.map_or(Ok(()), |part| Err(StartError::Died { part }))
    }

    async fn start(self) -> Result<(Parts, Wishes, Reloader), StartError> {
        let mut parts = Parts {
            workers: JoinSet::new(),
            helpers: JoinSet::new(),
            writer: JoinSet::new(),
            stop_workers: CancellationToken::new(),
            stop_helpers: CancellationToken::new(),
            stop_writer: CancellationToken::new(),
            _data_dir: self.data_dir,
        };
        let (writer, stop_writer) = (self.writer, parts.stop_writer.clone());
        parts.writer.spawn(async move {
            writer.run(stop_writer).await;
            "database writer"
        });

        let hint = self.supervisor.lease_hint();
        let leases = lease::Keeper::register(self.store.clone(), self.node.clone(), hint).await?;
        let (inbound_parts, outbound_parts) = (self.inbound, self.outbound);
        let clock = Arc::clone(&self.clock);
        let make = move |plan: Plan, stop: CancellationToken| {
            let now = clock.now();
            let (inbound_status, inbound) = watch::channel(LaneStatus::starting(now));
            let (outbound_status, outbound) = watch::channel(LaneStatus::starting(now));
            let (sync_now, wake) = watch::channel(0);
            let inbound_lane = inbound::run(
                Arc::clone(&plan.account),
                plan.lease.clone(),
                inbound_parts.clone(),
                inbound_status,
                wake.clone(),
                stop.clone(),
            );
            let outbound_lane = outbound::Lane::new(
                plan.account,
                plan.lease,
                outbound_parts.clone(),
                outbound_status,
                wake,
            );
            Made {
                ends: Ends {
                    inbound,
                    outbound,
                    sync_now,
                },
                // Each on the heap once: a future that is handed on by value is kept by each that has it.
                task: side_by_side(
                    Box::pin(inbound_lane),
                    Box::pin(outbound_lane.run(stop.clone())),
                    stop,
                ),
            }
        };
        let supervisor = Supervisor::new(
            self.store.clone(),
            leases.held(),
            self.supervisor.clone(),
            Arc::clone(&self.clock),
            Settings {
                drain: self.config.drain_work(),
            },
            make,
        );
        let stop = parts.stop_workers.clone();
        parts.workers.spawn(async move {
            if supervisor.run(stop).await > 0 {
                warn!("some accounts were cut off; their state is recorded and goes on at the next start");
            }
            "supervisor"
        });
        let (keeper, stop) = (self.tokens, parts.stop_workers.clone());
        // Refreshes that were sent are recorded before it ends; nothing that drains needs a new one.
        parts.workers.spawn(async move {
            keeper.run(stop).await;
            "token keeper"
        });

        let pulse = StorePulse::new();
        let (public, local) = (
            http::public_router(&self.desk),
            http::local_router(&self.desk),
        );
        let (tcp, unix) = (self.tcp, self.unix);
        let stop = parts.stop_helpers.clone();
        parts.helpers.spawn(async move {
            http::serve(tcp, public, stop).await;
            "callback and health"
        });
        let stop = parts.stop_helpers.clone();
        parts.helpers.spawn(async move {
            http::serve(unix, local, stop).await;
            "api"
        });
        let (store, stop) = (self.store.clone(), parts.stop_helpers.clone());
        parts.helpers.spawn(async move {
            events::sequence(store, stop).await;
            "event sequencer"
        });
        let stop = parts.stop_helpers.clone();
        parts.helpers.spawn(async move {
            leases.run(stop).await;
            "leases"
        });
        let lanes = self.supervisor.clone();
        let watcher = calendar::Watcher::new(
            self.store.clone(),
            Arc::clone(&self.clock),
            self.config.calendar(),
            move || lanes.contacts(),
        );
        // Ends with the workers, while the lanes still show their last contacts.
        let stop = parts.stop_workers.clone();
        parts.helpers.spawn(async move {
            watcher.run(stop).await;
            "calendar"
        });
        let (probe, stop) = (pulse.clone(), parts.stop_helpers.clone());
        parts.helpers.spawn(async move {
            watchdog::probe_store(self.store, self.clock, probe, stop).await;
            "store probe"
        });
        // Ends with the workers: a drain is shorter than the watchdog's patience.
        let (supervised, stop) = (self.supervisor, parts.stop_workers.clone());
        parts.helpers.spawn(async move {
            watchdog::ping(supervised, pulse, stop).await;
            "watchdog"
        });

        watchdog::notify(&[NotifyState::Ready, NotifyState::Status("running")]);
        info!(
            listen = %self.config.listen, socket = %self.config.socket.display(),
            node = %self.node.name, "motion-email is ready"
        );
        Ok((
            parts,
            self.wishes,
            Reloader::new(self.sources, self.config, self.logs),
        ))
    }
}
