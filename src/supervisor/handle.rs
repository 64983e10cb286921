//! How others talk to the supervisor: hints in, status out.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::watch;

use crate::{account::AccountStatus, diagnosis::LaneStatus, model::AccountId};

/// The ends of one running account that others may hold.
#[derive(Clone)]
pub(crate) struct Running {
    pub(crate) inbound: watch::Receiver<LaneStatus>,
    pub(crate) outbound: watch::Receiver<LaneStatus>,
    pub(crate) sync_now: Arc<watch::Sender<u64>>,
    pub(crate) restarts: u32,
}

/// A cheap clone for the API: tells the supervisor to look again, and reads what lanes publish.
/// Carries no data about what changed: the supervisor reads the store (level-triggered).
#[derive(Clone, Default)]
pub struct Handle {
    pub(crate) running: Arc<Mutex<BTreeMap<AccountId, Running>>>,
    pub(crate) look: Arc<tokio::sync::Notify>,
}

impl Handle {
    /// What one account's task shows; `None` when none runs (paused, removed, leased elsewhere).
    pub fn status(&self, account: AccountId) -> Option<AccountStatus> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.get(&account).map(|task| status_of(account, task))
    }

    /// What all running tasks show, by account id.
    pub fn statuses(&self) -> Vec<AccountStatus> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running
            .iter()
            .map(|(id, task)| status_of(*id, task))
            .collect()
    }

    /// Accounts, providers or leases may have changed: look at the store again.
    pub fn look(&self) {
        self.look.notify_one();
    }

    /// Asks both lanes of an account to try at once; false when its task does not run.
    pub fn sync_now(&self, account: AccountId) -> bool {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running
            .get(&account)
            .map(|task| task.sync_now.send_modify(|n| *n += 1))
            .is_some()
    }
}

fn status_of(account: AccountId, task: &Running) -> AccountStatus {
    AccountStatus {
        account,
        inbound: task.inbound.borrow().clone(),
        outbound: task.outbound.borrow().clone(),
        restarts: task.restarts,
    }
}
