//! Pure: how a task ended → what follows.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use crate::{diagnosis::LaneExit, model::Backoff};

/// So many panics within an hour park the account.
pub const PANICS_AN_HOUR: usize = 5;
const HOUR: Duration = Duration::from_secs(3600);
const REST: Backoff = Backoff {
    first: Duration::from_secs(1),
    cap: Duration::from_secs(300),
};

/// The panics of one account within the last hour.
#[derive(Debug, Default)]
pub(super) struct Panics(VecDeque<Instant>);

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// It returned.
    Returned(LaneExit),
    /// It panicked (a bug), or was aborted.
    Panicked,
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing: the next look starts it again if it is wanted.
    Retire,
    /// Start it again after this time.
    Rest(Duration),
    /// Do not start it before its row changes.
    Park,
}

/// Judges, and remembers a panic.
pub(super) fn verdict(ended: Ended, panics: &mut Panics, now: Instant, jitter: f64) -> Verdict {
    match ended {
        Ended::Returned(LaneExit::Stopped | LaneExit::LeaseLost) => Verdict::Retire,
        Ended::Panicked => {
            while panics
                .0
                .front()
                .is_some_and(|first| now.duration_since(*first) >= HOUR)
            {
                panics.0.pop_front();
            }
            panics.0.push_back(now);
            if panics.0.len() >= PANICS_AN_HOUR {
                // A row that changes later starts with a clean slate.
                panics.0.clear();
                return Verdict::Park;
            }
            Verdict::Rest(REST.delay(u32::try_from(panics.0.len()).unwrap_or(u32::MAX), jitter))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fifth_panic_within_an_hour_parks_and_the_delays_before_it_grow() {
        let mut panics = Panics::default();
        let mut now = Instant::now();
        let mut got = Vec::new();
        for _ in 0..5 {
            got.push(verdict(Ended::Panicked, &mut panics, now, 0.0));
            now += Duration::from_secs(60);
        }
        let rest = |seconds| Verdict::Rest(Duration::from_secs(seconds));
        assert_eq!(got, [rest(1), rest(2), rest(4), rest(8), Verdict::Park]);
    }

    #[test]
    fn panics_far_apart_never_park() {
        let mut panics = Panics::default();
        let mut now = Instant::now();
        for _ in 0..20 {
            let got = verdict(Ended::Panicked, &mut panics, now, 0.0);
            assert!(matches!(got, Verdict::Rest(_)), "{got:?}");
            now += Duration::from_secs(1000);
        }
    }

    #[test]
    fn tasks_that_return_are_not_punished() {
        let mut panics = Panics::default();
        for exit in [LaneExit::Stopped, LaneExit::LeaseLost] {
            assert_eq!(
                verdict(Ended::Returned(exit), &mut panics, Instant::now(), 0.0),
                Verdict::Retire
            );
        }
    }
}
