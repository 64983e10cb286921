//! Recording what has happened already: tried until the store has it, while the process lives.

use tokio::time::sleep;
use tracing::{debug, error};

use super::Parts;
use crate::{
    model::{Account, Lease},
    store::{Settled, StoreError},
};

/// Why something stays unrecorded. What was announced is then in doubt for whoever claims next.
#[derive(Debug)]
pub(super) enum Unrecorded {
    /// Another node works for the account (I11).
    LeaseLost,
    /// The process is ending.
    Closed,
}

/// Whose lane records.
#[derive(Clone)]
pub(super) struct Recorder {
    pub(super) account: std::sync::Arc<Account>,
    pub(super) lease: Lease,
    pub(super) parts: Parts,
}

impl Recorder {
    /// Settles recipients in one commit. Never cut short by a stop: only by dropping the lane.
    pub(super) async fn settle(
        &self,
        attempt: &str,
        settled: &[Settled],
    ) -> Result<(), Unrecorded> {
        if settled.is_empty() {
            return Ok(());
        }
        let mut failures = 0;
        loop {
            let now = self.parts.clock.now();
            let recorded = self
                .parts
                .store
                .outbox_settle(&self.lease, attempt, settled, now);
            match recorded.await {
                Ok(()) => return Ok(()),
                Err(error) => self.pause(&mut failures, error).await?,
            }
        }
    }

    /// Gives a claimed message back as it was.
    pub(super) async fn give_back(&self, attempt: &str) -> Result<(), Unrecorded> {
        let mut failures = 0;
        loop {
            let now = self.parts.clock.now();
            let recorded = self.parts.store.outbox_unclaim(&self.lease, attempt, now);
            match recorded.await {
                Ok(()) => return Ok(()),
                Err(error) => self.pause(&mut failures, error).await?,
            }
        }
    }

    /// Settling is idempotent, so a lost answer is no reason to look first.
    async fn pause(&self, failures: &mut u32, error: StoreError) -> Result<(), Unrecorded> {
        match error {
            StoreError::LeaseLost { .. } => return Err(Unrecorded::LeaseLost),
            StoreError::Closed => return Err(Unrecorded::Closed),
            error => {
                *failures = failures.saturating_add(1);
                let account = &self.account.entered.key;
                if *failures == 3 {
                    error!(
                        account = %account, error = %error,
                        "the outcome of a delivery cannot be recorded yet: keep the process running until the database is back"
                    );
                } else {
                    debug!(account = %account, error = %error, "the outcome of a delivery is not recorded yet");
                }
            }
        }
        sleep(self.parts.settings.record_retry.delay(*failures, 0.0)).await;
        Ok(())
    }
}
