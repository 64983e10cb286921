//! The lanes of an account's folders, shown as one.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::{
    diagnosis::{LaneState, LaneStatus},
    model::Timestamp,
};

/// Where one lane shows its state.
#[derive(Clone)]
pub(super) struct Place {
    /// Which of the account's lanes; the first is that of the folder the account is known by.
    pub(super) at: usize,
    all: Arc<Mutex<Vec<LaneStatus>>>,
    shown: watch::Sender<LaneStatus>,
}

impl Place {
    /// One for each of `count` lanes.
    pub(super) fn several(
        shown: &watch::Sender<LaneStatus>,
        count: usize,
        now: Timestamp,
    ) -> Vec<Self> {
        let all = Arc::new(Mutex::new(vec![LaneStatus::starting(now); count]));
        (0..count)
            .map(|at| Self {
                at,
                all: all.clone(),
                shown: shown.clone(),
            })
            .collect()
    }

    /// What this lane showed last.
    pub(super) fn own(&self) -> LaneStatus {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(self.at)
            .cloned()
            .unwrap_or_else(|| self.shown.borrow().clone())
    }

    /// Changes what this lane shows.
    pub(super) fn update(&self, change: impl FnOnce(&mut LaneStatus)) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = all.get_mut(self.at) {
            change(own);
        }
        let Some(next) = worst(&all) else { return };
        self.shown.send_if_modified(|shown| {
            let changed = *shown != next;
            *shown = next;
            changed
        });
    }
}

/// The lane that is worst off, with the last contact of the first: other folders do not hide its silence.
fn worst(all: &[LaneStatus]) -> Option<LaneStatus> {
    let rank = |state: LaneState| match state {
        LaneState::Parked => 6,
        LaneState::Waiting => 5,
        LaneState::Starting => 4,
        LaneState::Connecting => 3,
        LaneState::Working => 2,
        LaneState::Ready => 1,
        LaneState::Stopped => 0,
    };
    let first = all.first()?;
    // Of equals the first.
    let worst = all.iter().rev().max_by_key(|lane| rank(lane.state))?;
    Some(LaneStatus {
        last_contact: first.last_contact,
        ..worst.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_shows_its_worst_folder_and_the_contact_of_its_first() {
        use LaneState::*;
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1_000);
        let (sender, shown) = watch::channel(LaneStatus::starting(at(0)));
        let places = Place::several(&sender, 3, at(0));
        let put = |place: usize, state, seconds| {
            places[place].update(|status| {
                status.state = state;
                status.last_contact = Some(at(seconds));
            });
            let shown = shown.borrow().clone();
            (shown.state, shown.last_contact)
        };
        assert_eq!(put(0, Ready, 1), (Starting, Some(at(1))));
        assert_eq!(put(1, Ready, 2), (Starting, Some(at(1))));
        assert_eq!(put(2, Working, 3), (Working, Some(at(1))));
        assert_eq!(put(2, Parked, 4), (Parked, Some(at(1))));
        assert_eq!(put(0, Waiting, 5), (Parked, Some(at(5))));
        assert_eq!(put(2, Ready, 6), (Waiting, Some(at(5))));
        assert_eq!(places[1].own().state, Ready);
    }
}
