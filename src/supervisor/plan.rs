//! Pure: wanted accounts against what is there → changes.

use std::collections::BTreeMap;

use tokio::time::Instant;

use crate::model::AccountId;

/// What makes a running task the right one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint {
    /// Version of the account row.
    pub(super) version: i64,
    /// Epoch of the lease.
    pub(super) epoch: i64,
}

/// Where the supervisor stands with one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    /// Its task runs.
    Running(Fingerprint),
    /// Its task was told to stop and has not ended yet.
    Stopping,
    /// Its task panicked; the next start is due then.
    Resting { until: Instant },
    /// Its task panicked too often: not started again before the row changes.
    Parked { version: i64 },
}

/// One thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Start a task for this account.
    Start(AccountId),
    /// Tell its task to stop; a start follows by the next look, once it has ended.
    Stop(AccountId),
    /// Nothing runs and nothing is wanted: forget the account.
    Forget(AccountId),
}

/// Compares. Idempotent: applied, it returns nothing.
pub(super) fn plan(
    wanted: &BTreeMap<AccountId, Fingerprint>,
    slots: &BTreeMap<AccountId, Slot>,
    now: Instant,
) -> Vec<Change> {
    let mut changes = Vec::new();
    for (&account, slot) in slots {
        match (slot, wanted.get(&account)) {
            (Slot::Running(running), Some(want)) if running == want => {}
            (Slot::Running(_), Some(_) | None) => changes.push(Change::Stop(account)),
            (Slot::Stopping, Some(_) | None) => {}
            (Slot::Resting { until }, Some(_)) if *until > now => {}
            (Slot::Parked { version }, Some(want)) if *version == want.version => {}
            (Slot::Resting { .. } | Slot::Parked { .. }, Some(_)) => {
                changes.push(Change::Start(account))
            }
            (Slot::Resting { .. } | Slot::Parked { .. }, None) => {
                changes.push(Change::Forget(account))
            }
        }
    }
    let fresh = wanted.keys().filter(|account| !slots.contains_key(account));
    changes.extend(fresh.map(|account| Change::Start(*account)));
    changes
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const V1: Fingerprint = Fingerprint {
        version: 1,
        epoch: 1,
    };
    const V2: Fingerprint = Fingerprint {
        version: 2,
        epoch: 1,
    };
    const E2: Fingerprint = Fingerprint {
        version: 1,
        epoch: 2,
    };

    #[test]
    fn each_slot_meets_each_wish() {
        let now = Instant::now();
        let past = now;
        let future = now + Duration::from_secs(1);
        let id = AccountId::new(1);
        let table: [(Option<Slot>, Option<Fingerprint>, &[Change]); 15] = [
            (None, None, &[]),
            (None, Some(V1), &[Change::Start(id)]),
            (Some(Slot::Running(V1)), Some(V1), &[]),
            (Some(Slot::Running(V1)), Some(V2), &[Change::Stop(id)]),
            (Some(Slot::Running(V1)), Some(E2), &[Change::Stop(id)]),
            (Some(Slot::Running(V1)), None, &[Change::Stop(id)]),
            (Some(Slot::Stopping), Some(V2), &[]),
            (Some(Slot::Stopping), None, &[]),
            (
                Some(Slot::Resting { until: past }),
                Some(V1),
                &[Change::Start(id)],
            ),
            (Some(Slot::Resting { until: future }), Some(V1), &[]),
            (
                Some(Slot::Resting { until: future }),
                None,
                &[Change::Forget(id)],
            ),
            (Some(Slot::Parked { version: 1 }), Some(V1), &[]),
            (Some(Slot::Parked { version: 1 }), Some(E2), &[]),
            (
                Some(Slot::Parked { version: 1 }),
                Some(V2),
                &[Change::Start(id)],
            ),
            (
                Some(Slot::Parked { version: 1 }),
                None,
                &[Change::Forget(id)],
            ),
        ];
        for (slot, wish, expected) in table {
            let slots = slot.map(|slot| (id, slot)).into_iter().collect();
            let wanted = wish.map(|wish| (id, wish)).into_iter().collect();
            assert_eq!(plan(&wanted, &slots, now), expected, "{slot:?} {wish:?}");
        }
    }
}
