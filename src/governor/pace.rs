//! How many openings of one host at the same time: grows while it answers quickly, is halved when it does not.
//! Pure.

use std::time::Duration;

use tokio::time::Instant;

use super::Settings;

/// Additive increase after a first doubling, multiplicative decrease.
#[derive(Debug)]
pub(super) struct Pace {
    /// Openings that the host bears, as far as is known; its whole part counts.
    bears: f64,
    under_way: usize,
    /// The fastest opening so far.
    best: Option<Duration>,
    /// Nothing has gone wrong yet: each quick opening allows one more, which doubles.
    easy: bool,
    /// What began before this says nothing about the number that is used now.
    halved_at: Option<Instant>,
}

impl Pace {
    pub(super) fn new(limits: &Settings) -> Self {
        Self {
            bears: count(limits.host_first.clamp(1, limits.host_most.max(1))),
            under_way: 0,
            best: None,
            easy: true,
            halved_at: None,
        }
    }

    /// What was learnt is forgotten; what is under way is not.
    pub(super) fn reset(&mut self, limits: &Settings) {
        *self = Self {
            under_way: self.under_way,
            ..Self::new(limits)
        };
    }

    pub(super) fn has_room(&self) -> bool {
        count(self.under_way) + 1.0 <= self.bears
    }

    pub(super) fn under_way(&self) -> usize {
        self.under_way
    }

    /// How many may be under way.
    pub(super) fn bears(&self) -> usize {
        self.bears as usize
    }

    pub(super) fn begin(&mut self) {
        self.under_way += 1;
    }

    /// An opening has ended in whatever way.
    pub(super) fn end(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// The host has answered well. `pressed`: more would have begun if it had been allowed.
    pub(super) fn well(&mut self, begun: Instant, now: Instant, pressed: bool, limits: &Settings) {
        let took = now.saturating_duration_since(begun);
        let best = self.best.map_or(took, |best| best.min(took));
        self.best = Some(best);
        if took > limits.slow.max(best * 4) {
            self.ill(begun, now, limits);
        } else if pressed && took <= limits.quick.max(best * 2) {
            let more = if self.easy { 1.0 } else { 1.0 / self.bears };
            self.bears = (self.bears + more).min(count(limits.host_most.max(1)));
        }
    }

    /// It has refused, gone silent or been slow: half of it, once for all that were under way together.
    pub(super) fn ill(&mut self, begun: Instant, now: Instant, limits: &Settings) {
        if self.halved_at.is_some_and(|at| begun < at) {
            return;
        }
        // A few mailboxes that hang must not keep all others of the host waiting (I6).
        let least = (limits.host_first / 2).clamp(1, limits.host_most.max(1));
        self.bears = (self.bears / 2.0).floor().max(count(least));
        self.easy = false;
        self.halved_at = Some(now);
    }
}

fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::from(u32::MAX), f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Settings {
        Settings {
            host_first: 8,
            host_most: 64,
            ..Settings::default()
        }
    }

    fn millis(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    #[test]
    fn a_host_that_answers_quickly_gets_twice_as_many_at_a_time_up_to_the_bound() {
        let (limits, mut now) = (limits(), Instant::now());
        let mut pace = Pace::new(&limits);
        let mut seen = Vec::new();
        for _round in 0..5 {
            let begun = now;
            while pace.has_room() {
                pace.begin();
            }
            let together = pace.under_way();
            seen.push(together);
            now += millis(20);
            for _ in 0..together {
                pace.end();
                pace.well(begun, now, true, &limits);
            }
        }
        assert_eq!(seen, [8, 16, 32, 64, 64]);
        // Who is not pressed learns nothing.
        let mut pace = Pace::new(&limits);
        for _ in 0..100 {
            pace.well(now, now + millis(5), false, &limits);
        }
        assert_eq!(pace.bears(), 8);
    }

    #[test]
    fn refusals_halve_it_once_for_all_that_were_under_way_and_it_grows_slowly_after() {
        let (limits, start) = (limits(), Instant::now());
        let mut pace = Pace::new(&limits);
        pace.bears = 64.0;
        for _ in 0..64 {
            pace.ill(start, start + millis(100), &limits);
        }
        assert_eq!(pace.bears(), 32);
        pace.ill(start + millis(100), start + millis(200), &limits);
        assert_eq!(pace.bears(), 16);
        let mut now = start + millis(300);
        for _ in 0..16 {
            pace.well(now, now + millis(10), true, &limits);
            now += millis(10);
        }
        assert_eq!(pace.bears(), 16, "less than one more for sixteen");
        pace.well(now, now + millis(10), true, &limits);
        assert_eq!(pace.bears(), 17);
        for _ in 0..10 {
            now += millis(1);
            pace.ill(now, now, &limits);
        }
        assert_eq!(pace.bears(), 4, "never fewer than half of the first");
    }

    #[test]
    fn slow_answers_halve_it_and_a_long_way_does_not() {
        // What the fastest took, what this one took, and what becomes of sixteen.
        for (best, took, expected) in [
            (20, 900, 17),
            (20, 1_500, 16),
            (20, 5_100, 8),
            (2_400, 4_700, 17),
            (2_400, 9_000, 16),
            (2_400, 9_700, 8),
        ] {
            let (limits, now) = (limits(), Instant::now());
            let mut pace = Pace::new(&limits);
            pace.bears = 16.0;
            pace.best = Some(millis(best));
            pace.well(now, now + millis(took), true, &limits);
            assert_eq!(pace.bears(), expected, "{best} {took}");
        }
    }
}
