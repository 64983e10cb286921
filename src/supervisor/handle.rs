//! How others talk to the supervisor: hints in, status out.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use crate::{
    account::{AccountStatus, Ends},
    model::AccountId,
    store::Contacts,
};

/// What is shown of one account.
pub(super) enum Shown {
    /// Its task runs: the latest its lanes published.
    Live { ends: Ends, restarts: u32 },
    /// No task runs, for the reason in the status (it panicked, its row is damaged).
    Still(Box<AccountStatus>),
}

/// A cheap clone for the API: tells the supervisor to look again, and reads what lanes publish.
/// Carries no data about what changed: the supervisor reads the store (level-triggered).
#[derive(Clone, Default)]
pub struct Handle {
    shown: Arc<Mutex<BTreeMap<AccountId, Shown>>>,
    look: Arc<Notify>,
    look_at_leases: Arc<Notify>,
    ticked: Arc<Mutex<Option<Instant>>>,
}

impl Handle {
    /// A new account needs its lease first: this is the lease keeper's hint, given by [`Self::look`] too.
    pub fn lease_hint(&self) -> Arc<Notify> {
        Arc::clone(&self.look_at_leases)
    }

    /// What one account's task shows; `None` when none runs (paused, removed, leased elsewhere).
    pub fn status(&self, account: AccountId) -> Option<AccountStatus> {
        self.lock()
            .get(&account)
            .map(|shown| status_of(account, shown))
    }

    /// What all tasks show, by account id.
    pub fn statuses(&self) -> Vec<AccountStatus> {
        self.lock()
            .iter()
            .map(|(id, shown)| status_of(*id, shown))
            .collect()
    }

    /// The last contacts of all tasks that run, by account id.
    pub fn contacts(&self) -> Vec<Contacts> {
        let shown = self.lock();
        let live = shown.iter().filter_map(|(id, shown)| match shown {
            Shown::Live { ends, .. } => Some(Contacts {
                account: *id,
                inbound: ends.inbound.borrow().last_contact,
                outbound: ends.outbound.borrow().last_contact,
            }),
            Shown::Still(_) => None,
        });
        live.collect()
    }

    /// Accounts or providers may have changed: look at the store again.
    pub fn look(&self) {
        self.look_at_leases.notify_one();
        self.look.notify_one();
    }

    /// Asks both lanes of an account to try at once; false when its task does not run.
    pub fn sync_now(&self, account: AccountId) -> bool {
        match self.lock().get(&account) {
            Some(Shown::Live { ends, .. }) => {
                ends.sync_now.send_modify(|n| *n = n.wrapping_add(1));
                true
            }
            Some(Shown::Still(_)) | None => false,
        }
    }

    pub(super) fn look_at_leases(&self) {
        self.look_at_leases.notify_one();
    }

    /// How long the supervisor's loop has not come round: a proof of life. Zero before it runs.
    pub fn silent(&self) -> Duration {
        let ticked = *self.ticked.lock().unwrap_or_else(PoisonError::into_inner);
        ticked.map_or(Duration::ZERO, |at| at.elapsed())
    }

    pub(super) fn tick(&self) {
        *self.ticked.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    pub(super) async fn asked_to_look(&self) {
        self.look.notified().await;
    }

    pub(super) fn show(&self, account: AccountId, shown: Shown) {
        self.lock().insert(account, shown);
    }

    pub(super) fn forget(&self, account: AccountId) {
        self.lock().remove(&account);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<AccountId, Shown>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn status_of(account: AccountId, shown: &Shown) -> AccountStatus {
    match shown {
        Shown::Live { ends, restarts } => AccountStatus {
            account,
            inbound: ends.inbound.borrow().clone(),
            outbound: ends.outbound.borrow().clone(),
            restarts: *restarts,
        },
        Shown::Still(status) => (**status).clone(),
    }
}
