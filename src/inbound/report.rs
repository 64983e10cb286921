//! What the lane tells: its status, its rows in the store, its log lines.

use std::sync::Arc;

use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use super::{
    Parts, SyncError,
    board::Place,
    machine::{Machine, Phase},
    trouble,
};
use crate::{
    diagnosis::{Context, Diagnosis, LaneState, LaneStatus, explain},
    model::{Account, LaneName, Lease, Timestamp},
    store::StoreError,
};

/// Publishes a lane's state.
pub(super) struct Report {
    account: Arc<Account>,
    lease: Lease,
    parts: Parts,
    place: Place,
    /// The last failure.
    diagnosis: Option<Diagnosis>,
    /// Code of the trouble that was logged and is not over.
    told: Option<&'static str>,
    /// State and code as they stand in the store.
    stored: Option<(LaneState, Option<&'static str>)>,
    last_contact: Option<Timestamp>,
    watched: bool,
}

/// The lease is gone.
#[derive(Debug)]
pub(super) struct LeaseLost;

impl Report {
    pub(super) fn new(account: Arc<Account>, lease: Lease, parts: Parts, place: Place) -> Self {
        Self {
            account,
            lease,
            parts,
            place,
            diagnosis: None,
            told: None,
            stored: None,
            last_contact: None,
            watched: false,
        }
    }

    /// The lane of the folder that the account is known by.
    pub(super) fn is_first(&self) -> bool {
        self.place.at == 0
    }

    /// The server answered something good.
    pub(super) fn contact(&mut self) {
        self.last_contact = Some(self.parts.clock.now());
    }

    /// Something failed; it is told with the state it leads to.
    pub(super) fn failed(&mut self, error: SyncError) {
        let provider = self.account.provider();
        let context = Context {
            application: provider.is_some_and(|id| self.parts.keeper.is_application(id)),
            ..Context::of(&self.account, LaneName::Inbound)
        };
        self.diagnosis = Some(explain(&trouble::failure(error), &context));
    }

    /// Tells the machine's state where it is news.
    ///
    /// # Errors
    /// The lease is gone; other trouble with the store only leaves the row as it was.
    pub(super) async fn publish(&mut self, machine: &Machine) -> Result<(), LeaseLost> {
        let (state, until) = match machine.phase() {
            Phase::Waiting { failures: 0, .. } => (LaneState::Starting, None),
            Phase::Waiting { until, .. } | Phase::Holding { until, .. } => {
                (LaneState::Waiting, Some(until))
            }
            Phase::Parked { until, .. } => (LaneState::Parked, Some(until)),
            Phase::Connecting { .. } => (LaneState::Connecting, None),
            Phase::Syncing { .. } => (LaneState::Working, None),
            Phase::Watching { .. } => (LaneState::Ready, None),
        };
        let now = self.parts.clock.now();
        let retry_at = until.map(|until| now.plus(until.saturating_duration_since(Instant::now())));
        self.log(state);
        if state == LaneState::Ready {
            self.diagnosis = None;
        }
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
    pub(super) async fn stopped(&mut self) {
        let now = self.parts.clock.now();
        self.diagnosis = None;
        self.show(LaneState::Stopped, None, now);
    }

    fn show(&self, state: LaneState, retry_at: Option<Timestamp>, now: Timestamp) {
        self.place.update(|status| {
            // Trouble is shown until the mailbox is read again.
            let troubled = matches!(state, LaneState::Waiting | LaneState::Parked)
                || (matches!(state, LaneState::Connecting | LaneState::Working)
                    && status.diagnosis.is_some());
            let next = LaneStatus {
                state,
                diagnosis: self.diagnosis.clone().filter(|_| troubled),
                since: if status.state == state {
                    status.since
                } else {
                    now
                },
                retry_at,
                last_contact: self.last_contact,
            };
            *status = next;
        });
    }

    /// One line for each trouble and one for its end, however often it is met in between.
    fn log(&mut self, state: LaneState) {
        let key = &self.account.entered.key;
        let known = self.told;
        match (state, &self.diagnosis) {
            (LaneState::Parked, Some(trouble)) if self.place.own().state != LaneState::Parked => {
                if known == Some(trouble.code) {
                    debug!(account = %key, code = trouble.code, "still waits for an operator");
                    return;
                }
                self.told = Some(trouble.code);
                error!(
                    account = %key, code = trouble.code, what = %trouble.what, why = %trouble.why,
                    next = %trouble.next, "mailbox cannot be read until somebody acts"
                );
            }
            // Told once for all by who knows of it.
            (LaneState::Waiting, Some(trouble)) if trouble.code.starts_with("held_") => {
                debug!(account = %key, code = trouble.code, why = %trouble.why, "mailbox waits with others");
            }
            (LaneState::Waiting, Some(trouble)) if self.place.own().state != LaneState::Waiting => {
                if known.is_some() {
                    debug!(account = %key, code = trouble.code, why = %trouble.why, "still no mailbox");
                    return;
                }
                self.told = Some("");
                warn!(
                    account = %key, code = trouble.code, why = %trouble.why,
                    "mailbox cannot be read for now, trying again"
                );
            }
            (LaneState::Ready, _) if !self.watched || known.is_some() => {
                let words = if self.watched {
                    "mailbox is read again"
                } else {
                    "mailbox is watched"
                };
                self.watched = true;
                self.told = None;
                info!(account = %key, "{words}");
            }
            _ => {}
        }
    }

    async fn store(&mut self, state: LaneState, now: Timestamp) -> Result<(), LeaseLost> {
        if !self.is_first() {
            return Ok(());
        }
        let code = self.diagnosis.as_ref().map(|trouble| trouble.code);
        if self.stored == Some((state, code)) {
            return Ok(());
        }
        let detail = self.diagnosis.as_ref().map(|trouble| trouble.why.as_str());
        let stored = self.parts.store.account_state(
            &self.lease,
            LaneName::Inbound,
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
            Err(StoreError::LeaseLost { .. }) => Err(LeaseLost),
            Err(error) => {
                debug!(account = %self.account.entered.key, %error, "state was not recorded");
                Ok(())
            }
        }
    }
}
