//! Proof of life for the service manager.
//!
//! A bare timer would hide deadlocks, so a ping is sent only while the parts that must move do move:
//! the supervisor's loop has ticked, and the store has answered something. A database that is down is an
//! answer: a restart would not bring it back.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sd_notify::NotifyState;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::{
    diagnosis::{Context, explain},
    model::Clock,
    store::{Store, StoreError},
    supervisor,
};

/// The supervisor ticks every five seconds; so long without one is a deadlock.
const SUPERVISOR_SILENT: Duration = Duration::from_secs(20);
/// The store answers each probe, good or bad, within its own patience; so long without one is a hang.
const STORE_SILENT: Duration = Duration::from_secs(25);
const PROBE_EVERY: Duration = Duration::from_secs(5);

/// When the store last answered a probe.
#[derive(Clone)]
pub(super) struct StorePulse(Arc<Mutex<Instant>>);

impl StorePulse {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    fn silent(&self) -> Duration {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .elapsed()
    }

    fn beat(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

/// Probes the store until `stop`.
pub(super) async fn probe_store(
    store: Store,
    clock: Arc<dyn Clock>,
    pulse: StorePulse,
    stop: CancellationToken,
) {
    let mut down = false;
    while !stop.is_cancelled() {
        match timeout(STORE_SILENT, store.ping(clock.now())).await {
            Ok(Ok(())) => {
                pulse.beat();
                if down {
                    warn!("the database answers again");
                }
                down = false;
            }
            // The writer is gone: no sign of life, whatever else moves.
            Ok(Err(StoreError::Closed)) => error!("the database writer has ended"),
            Ok(Err(error)) => {
                pulse.beat();
                if !down {
                    let words = explain(&error.into(), &Context::default());
                    error!(
                        code = words.code, what = %words.what, why = %words.why, next = %words.next,
                        "the database does not take commits; mail waits until it does"
                    );
                }
                down = true;
            }
            Err(_) => error!("the database writer does not answer at all"),
        }
        if wait(&stop, PROBE_EVERY).await {
            return;
        }
    }
}

/// Pings the service manager, if it asked for that, while everything moves; until `stop`.
pub(super) async fn ping(
    supervisor: supervisor::Handle,
    pulse: StorePulse,
    stop: CancellationToken,
) {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        // Nobody asked: nothing to do but to end with the others.
        stop.cancelled().await;
        return;
    };
    let every = (limit / 3).min(Duration::from_secs(10));
    loop {
        let (supervisor_silent, store_silent) = (supervisor.silent(), pulse.silent());
        if supervisor_silent < SUPERVISOR_SILENT && store_silent < STORE_SILENT {
            notify(&[NotifyState::Watchdog]);
        } else {
            error!(
                supervisor_silent_seconds = supervisor_silent.as_secs(),
                store_silent_seconds = store_silent.as_secs(),
                "no proof of life: the service manager is not pinged and will restart the service"
            );
        }
        if wait(&stop, every).await {
            return;
        }
    }
}

/// Tells the service manager; a manager that does not listen is no trouble of ours.
pub(super) fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!(%error, "the service manager could not be told");
    }
}

/// True when it is time to end.
async fn wait(stop: &CancellationToken, at_most: Duration) -> bool {
    tokio::select! {
        biased;
        () = stop.cancelled() => true,
        () = sleep(at_most) => false,
    }
}
