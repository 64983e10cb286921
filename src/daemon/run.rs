//! Runs the built parts, and stops them in the order in which nothing is lost.

use std::{sync::Arc, time::Duration};

use sd_notify::NotifyState;
use tokio::{sync::watch, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{
    build::Daemon,
    reload::Reloader,
    signals::Wish,
    watchdog::{self, StorePulse},
};
use crate::{
    account::{Ends, side_by_side},
    diagnosis::LaneStatus,
    events, http, inbound, lease, outbound,
    supervisor::{Made, Plan, Settings, Supervisor},
};

/// The helpers that outlive the accounts get this long at the end.
const LAST_STEPS: Duration = Duration::from_secs(3);

impl Daemon {
    /// Until a stop is wished. Cancelling this future would skip the drain: it must be awaited.
    pub(super) async fn run(mut self) {
        // Two stages: first what begins new work, then what the rest of it needs to finish.
        let (stop, last_stop) = (CancellationToken::new(), CancellationToken::new());
        let mut helpers: JoinSet<&'static str> = JoinSet::new();
        let mut accounts: JoinSet<usize> = JoinSet::new();

        let (writer, writer_stop) = (self.writer, CancellationToken::new());
        let writer_stopped = writer_stop.clone();
        let mut writer_task = JoinSet::new();
        writer_task.spawn(async move { writer.run(writer_stopped).await });

        let hint = self.supervisor.lease_hint();
        let leases = match lease::Keeper::register(self.store.clone(), self.node.clone(), hint)
            .await
        {
            Ok(leases) => leases,
            Err(error) => {
                error!(%error, "this node could not be registered; the service manager starts it again");
                writer_stop.cancel();
                writer_task.join_next().await;
                return;
            }
        };
        let held = leases.held();
        let (inbound_parts, outbound_parts) = (self.inbound, self.outbound);
        let clock = Arc::clone(&self.clock);
        let make = move |plan: Plan, stop: CancellationToken| {
            let now = clock.now();
            let (inbound_status, inbound) = watch::channel(LaneStatus::starting(now));
            let (outbound_status, outbound) = watch::channel(LaneStatus::starting(now));
            let (sync_now, wake) = watch::channel(0);
            let inbound_lane = inbound::Lane::new(
                Arc::clone(&plan.account),
                plan.lease.clone(),
                inbound_parts.clone(),
                inbound_status,
                wake.clone(),
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
                task: side_by_side(
                    inbound_lane.run(stop.clone()),
                    outbound_lane.run(stop.clone()),
                    stop,
                ),
            }
        };
        let supervisor = Supervisor::new(
            self.store.clone(),
            held,
            self.supervisor.clone(),
            Arc::clone(&self.clock),
            Settings {
                drain: self.config.drain,
            },
            make,
        );
        accounts.spawn(supervisor.run(stop.clone()));

        let pulse = StorePulse::new();
        let (public, local) = (
            http::public_router(&self.desk),
            http::local_router(&self.desk),
        );
        let (keeper, sequencer, http_stop) =
            (self.tokens.clone(), self.store.clone(), last_stop.clone());
        let (token_stop, sequencer_stop, lease_stop) =
            (last_stop.clone(), last_stop.clone(), last_stop.clone());
        let (tcp, unix) = (self.tcp, self.unix);
        let public_stop = http_stop.clone();
        helpers.spawn(async move {
            http::serve(tcp, public, public_stop).await;
            "callback and health"
        });
        helpers.spawn(async move {
            http::serve(unix, local, http_stop).await;
            "api"
        });
        helpers.spawn(async move {
            keeper.run(token_stop).await;
            "token keeper"
        });
        helpers.spawn(async move {
            events::sequence(sequencer, sequencer_stop).await;
            "event sequencer"
        });
        helpers.spawn(async move {
            leases.run(lease_stop).await;
            "leases"
        });
        let probe = watchdog::probe_store(
            self.store.clone(),
            self.clock,
            pulse.clone(),
            last_stop.clone(),
        );
        helpers.spawn(async move {
            probe.await;
            "store probe"
        });
        let ping = watchdog::ping(self.supervisor.clone(), pulse, last_stop.clone());
        helpers.spawn(async move {
            ping.await;
            "watchdog"
        });
        drop(self.store);

        watchdog::notify(&[NotifyState::Ready, NotifyState::Status("running")]);
        info!(listen = %self.config.listen, socket = %self.config.socket.display(), node = %self.node.name, "motion-email is ready");
        let mut reloader = Reloader::new(self.sources, self.config, self.logs);
        loop {
            match self.wishes.next().await {
                Wish::Stop => break,
                Wish::Reload => reloader.reload(),
                Wish::ReopenLogs => reloader.reopen_logs(),
            }
        }

        info!("motion-email stops: nothing new is begun, what is under way is finished");
        watchdog::notify(&[NotifyState::Stopping]);
        stop.cancel();
        while let Some(stragglers) = accounts.join_next().await {
            if let Ok(1..) = stragglers {
                warn!(
                    "some accounts were cut off; their state is recorded and goes on at the next start"
                );
            }
        }
        last_stop.cancel();
        let finished = timeout(LAST_STEPS, async {
            while let Some(ended) = helpers.join_next().await {
                if let Err(failed) = ended {
                    error!(error = %failed, "a part of the daemon panicked");
                }
            }
        })
        .await;
        if finished.is_err() {
            warn!(
                parts = helpers.len(),
                "parts of the daemon did not stop in time and are cut off"
            );
            helpers.shutdown().await;
        }
        writer_stop.cancel();
        if timeout(LAST_STEPS, writer_task.join_next()).await.is_err() {
            warn!("the database writer did not stop in time");
        }
    }
}
