//! Whether the wall clock can be trusted for judging silences. Pure.

use std::time::Duration;

use tokio::time::Instant;

use crate::model::{ClockStep, ClockWatch, Timestamp};

/// Holds judgement back where the wall clock was set.
#[derive(Debug)]
pub(super) struct Steady {
    watch: ClockWatch,
    /// Silences are not judged before.
    hold: Instant,
}

impl Steady {
    /// At the start lanes get `grace` to make contact.
    pub(super) fn new(now: Timestamp, at: Instant, grace: Duration) -> Self {
        Self {
            watch: ClockWatch::new(now, at.into_std()),
            hold: at + grace,
        }
    }

    /// Takes both clocks. After a step, lanes get `hold` to make a contact by the new time.
    pub(super) fn note(&mut self, now: Timestamp, at: Instant, hold: Duration) {
        if self.watch.step(now, at.into_std()) != ClockStep::None {
            self.hold = self.hold.max(at + hold);
        }
    }

    /// Whether silences may be judged.
    pub(super) fn is_steady(&self, at: Instant) -> bool {
        at >= self.hold
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_of_the_clock_holds_judgement_and_slow_drift_does_not() {
        let start = Instant::now();
        let wall = |seconds: i64| Timestamp::from_millis(1_800_000_000_000 + seconds * 1000);
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let hold = Duration::from_secs(900);
        // (wall at 60 s, wall at 120 s, steady at 120 s, steady at 1100 s)
        for (first, second, soon, later) in [
            (60, 120, true, true),
            (65, 130, true, true),
            (60, 149, true, true),
            (60, 150, false, true),
            (60, 7_320, false, true),
            (60, -7_000, false, true),
        ] {
            let mut steady = Steady::new(wall(0), start, Duration::from_secs(30));
            assert!(!steady.is_steady(at(29)));
            steady.note(wall(first), at(60), hold);
            assert!(steady.is_steady(at(60)), "{first}");
            steady.note(wall(second), at(120), hold);
            assert_eq!(steady.is_steady(at(120)), soon, "{second}");
            assert_eq!(steady.is_steady(at(1100)), later, "{second}");
        }
    }
}
