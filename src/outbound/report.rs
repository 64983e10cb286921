//! What the lane tells: its status, its row in the store, its log lines.

use tokio::{sync::watch, time::Instant};
use tracing::{debug, error, info, warn};

use super::{
    SendError,
    machine::{Machine, Phase},
    record::{Recorder, Unrecorded},
    trouble,
};
use crate::{
    diagnosis::{Context, Diagnosis, LaneState, LaneStatus, explain},
    model::{LaneName, Timestamp},
    store::StoreError,
};

/// Publishes a lane's state.
pub(super) struct Report {
    recorder: Recorder,
    status: watch::Sender<LaneStatus>,
    /// The last failure, until something was delivered or a login succeeded.
    diagnosis: Option<Diagnosis>,
    /// Code of the trouble that was logged and is not over.
    told: Option<&'static str>,
    /// State and code as they stand in the store.
    stored: Option<(LaneState, Option<&'static str>)>,
    last_contact: Option<Timestamp>,
}

/// What a phase is called outside.
fn shown(phase: Phase) -> (LaneState, Option<Instant>) {
    match phase {
        Phase::Looking { failures: 0 } => (LaneState::Starting, None),
        Phase::Looking { .. } | Phase::Connecting { .. } => (LaneState::Connecting, None),
        Phase::Resting { .. } | Phase::Lingering { .. } => (LaneState::Ready, None),
        Phase::Sending { .. } => (LaneState::Working, None),
        Phase::Waiting { until, .. } | Phase::Holding { until, .. } => {
            (LaneState::Waiting, Some(until))
        }
        Phase::Parked { until, .. } => (LaneState::Parked, Some(until)),
    }
}

impl Report {
    pub(super) fn new(recorder: Recorder, status: watch::Sender<LaneStatus>) -> Self {
        Self {
            recorder,
            status,
            diagnosis: None,
            told: None,
            stored: None,
            last_contact: None,
        }
    }

    /// The server accepted a login, or dealt with a message. Whether the trouble is over is seen when something is delivered.
    pub(super) fn contact(&mut self) {
        self.last_contact = Some(self.recorder.parts.clock.now());
    }

    /// A message was dealt with, or nothing was due on a line that is logged in: no trouble is left.
    pub(super) fn well(&mut self) {
        if self.diagnosis.take().is_some() && self.told.take().is_some() {
            info!(account = %self.recorder.account.entered.key, "mail is sent again");
        }
    }

    /// Something failed; it is told with the state it leads to.
    pub(super) fn failed(&mut self, error: SendError) {
        let (account, parts) = (&self.recorder.account, &self.recorder.parts);
        let provider = account.provider();
        let context = Context {
            application: provider.is_some_and(|id| parts.keeper.is_application(id)),
            ..Context::of(account, LaneName::Outbound)
        };
        self.diagnosis = Some(explain(&trouble::failure(error), &context));
    }

    /// Tells the machine's state where it is news.
    ///
    /// # Errors
    /// The lease is gone; other trouble with the store only leaves the row as it was.
    pub(super) async fn publish(&mut self, machine: &Machine) -> Result<(), Unrecorded> {
        let (state, until) = shown(machine.phase());
        let now = self.recorder.parts.clock.now();
        let retry_at = until.map(|until| now.plus(until.saturating_duration_since(Instant::now())));
        self.log(state);
        self.show(state, retry_at, now);
        match state {
            LaneState::Ready | LaneState::Waiting | LaneState::Parked => {
                self.store(state, now).await
            }
            LaneState::Starting
            | LaneState::Connecting
            | LaneState::Working
            | LaneState::Stopped => Ok(()),
        }
    }

    /// The last word of an orderly stop. The store keeps what it had: the next run goes on from there.
    pub(super) fn stopped(&mut self) {
        let now = self.recorder.parts.clock.now();
        self.diagnosis = None;
        self.show(LaneState::Stopped, None, now);
    }

    fn show(&self, state: LaneState, retry_at: Option<Timestamp>, now: Timestamp) {
        self.status.send_if_modified(|status| {
            // A look at the queue between two rests is no state of its own.
            let state = match (state, status.state) {
                (LaneState::Starting, LaneState::Ready) => LaneState::Ready,
                (state, _) => state,
            };
            let next = LaneStatus {
                state,
                diagnosis: self.diagnosis.clone(),
                since: if status.state == state {
                    status.since
                } else {
                    now
                },
                retry_at,
                last_contact: self.last_contact,
            };
            let changed = *status != next;
            *status = next;
            changed
        });
    }

    /// One line for each trouble, however often it is met before it is over.
    fn log(&mut self, state: LaneState) {
        let key = &self.recorder.account.entered.key;
        let Some(trouble) = &self.diagnosis else {
            return;
        };
        let known = self.told == Some(trouble.code);
        match state {
            LaneState::Parked if known => {
                debug!(account = %key, code = trouble.code, "still waits for an operator");
            }
            LaneState::Parked => {
                self.told = Some(trouble.code);
                error!(
                    account = %key, code = trouble.code, what = %trouble.what, why = %trouble.why,
                    next = %trouble.next, "mail cannot be sent until somebody acts"
                );
            }
            // Told once for all by who knows of it.
            LaneState::Waiting if trouble.code.starts_with("held_") => {
                debug!(account = %key, code = trouble.code, why = %trouble.why, "sending waits with others");
            }
            LaneState::Waiting if self.told.is_some() => {
                debug!(account = %key, code = trouble.code, why = %trouble.why, "still cannot send");
            }
            LaneState::Waiting => {
                // Not the code: when it becomes the operator's matter, it is told once more.
                self.told = Some("");
                warn!(
                    account = %key, code = trouble.code, why = %trouble.why,
                    "mail cannot be sent for now, trying again"
                );
            }
            LaneState::Starting
            | LaneState::Connecting
            | LaneState::Working
            | LaneState::Ready
            | LaneState::Stopped => {}
        }
    }

    async fn store(&mut self, state: LaneState, now: Timestamp) -> Result<(), Unrecorded> {
        let code = self.diagnosis.as_ref().map(|trouble| trouble.code);
        if self.stored == Some((state, code)) {
            return Ok(());
        }
        let detail = self.diagnosis.as_ref().map(|trouble| trouble.why.as_str());
        let stored = self.recorder.parts.store.account_state(
            &self.recorder.lease,
            LaneName::Outbound,
            state.as_str(),
            code,
            detail,
            now,
        );
        match stored.await {
            Ok(()) => {
                self.stored = Some((state, code));
                Ok(())
            }
            Err(StoreError::LeaseLost { .. }) => Err(Unrecorded::LeaseLost),
            Err(error) => {
                debug!(account = %self.recorder.account.entered.key, %error, "state was not recorded");
                Ok(())
            }
        }
    }
}
