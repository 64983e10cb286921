//! How long to leave an identity platform alone. Pure.

use std::time::Duration;

use tokio::time::Instant;

use crate::model::{Backoff, FailureClass};

/// The waits of a keeper.
#[derive(Clone, Debug)]
pub struct Waits {
    /// After the first sign of passing trouble: short, since some platforms take a refresh token again for a
    /// few seconds after they replaced it, and the answer may have been lost.
    pub grace: Duration,
    /// After further passing trouble.
    pub retry: Backoff,
    /// Until a refusal that leaves doubt is confirmed (at the latest when the old access token ends).
    pub confirm: Duration,
    /// After the first, second, … failure that an administrator has to cure, and between refreshes that
    /// servers force by refusing a token; the last one is repeated.
    pub steps: [Duration; 4],
}

impl Default for Waits {
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        Self {
            grace: Duration::from_secs(1),
            retry: Backoff {
                first: Duration::from_secs(5),
                cap: minutes(15),
            },
            confirm: minutes(5),
            steps: [minutes(1), minutes(5), minutes(15), minutes(60)],
        }
    }
}

impl Waits {
    /// The wait after failure number `failures` (from 1). `jitter` in 0.0..=1.0 adds up to a fifth.
    pub(super) fn after(&self, class: FailureClass, failures: u32, jitter: f64) -> Duration {
        match class {
            FailureClass::RetryLater | FailureClass::GiveUp if failures <= 1 => {
                later(self.grace, jitter)
            }
            FailureClass::RetryLater | FailureClass::GiveUp => {
                self.retry.delay(failures.saturating_sub(1), jitter)
            }
            FailureClass::OperatorMustAct => self.step(failures),
            FailureClass::HoldFor(time) => later(time, jitter),
        }
    }

    /// The wait before a doubtful refusal is confirmed, where the old access token is `good_for` so long yet.
    /// Nobody is served by waiting longer than that, nor by asking again in the same breath.
    pub(super) fn before_confirming(&self, good_for: Duration) -> Duration {
        let soonest = self.retry.first.min(self.confirm);
        self.confirm.min(good_for).max(soonest)
    }

    fn step(&self, number: u32) -> Duration {
        let index = usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX);
        let [.., last] = self.steps;
        self.steps.get(index).copied().unwrap_or(last)
    }
}

/// Up to a fifth more.
fn later(time: Duration, jitter: f64) -> Duration {
    time.saturating_add(time.mul_f64(jitter.clamp(0.0, 1.0) / 5.0))
}

/// Refreshes that servers forced by refusing a token. One mailbox that its owner may not open refuses
/// every token; the other accounts of the grant must not pay for that (I6).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Forced {
    times: u32,
    until: Option<Instant>,
}

impl Forced {
    /// Whether a server's refusal may force a refresh now; if so, it is counted.
    pub(super) fn allow(&mut self, waits: &Waits, now: Instant) -> bool {
        match self.until {
            Some(until) if now < until => return false,
            // Quiet for as long as the longest step: whatever it was is over.
            Some(until) if now.duration_since(until) > waits.step(u32::MAX) => self.times = 0,
            _ => {}
        }
        self.times = self.times.saturating_add(1);
        self.until = Some(now + waits.step(self.times));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_of_failure_waits_its_own_time() {
        let waits = Waits::default();
        let check = |class, failures, seconds: u64| {
            let wait = waits.after(class, failures, 0.0);
            assert_eq!(wait.as_secs(), seconds, "{class:?} {failures}");
        };
        let hold = FailureClass::HoldFor(Duration::from_secs(17));
        for (failures, seconds) in [
            (0, 1),
            (1, 1),
            (2, 5),
            (3, 10),
            (4, 20),
            (9, 640),
            (10, 900),
            (99, 900),
        ] {
            check(FailureClass::RetryLater, failures, seconds);
            check(hold, failures, 17);
        }
        for (failures, minutes) in [
            (0, 1),
            (1, 1),
            (2, 5),
            (3, 15),
            (4, 60),
            (5, 60),
            (u32::MAX, 60),
        ] {
            check(FailureClass::OperatorMustAct, failures, minutes * 60);
        }
        assert_eq!(waits.after(hold, 1, 1.0), Duration::from_millis(20_400));
    }

    #[test]
    fn a_doubtful_refusal_is_confirmed_later_but_not_later_than_the_old_token_lives() {
        let waits = Waits::default();
        for (good_for, seconds) in [(0, 5), (3, 5), (60, 60), (300, 300), (3600, 300)] {
            let wait = waits.before_confirming(Duration::from_secs(good_for));
            assert_eq!(wait.as_secs(), seconds, "{good_for}");
        }
    }

    #[test]
    fn refusals_force_a_refresh_at_once_then_after_growing_waits_and_at_once_again_after_quiet() {
        let waits = Waits::default();
        let mut forced = Forced::default();
        let start = Instant::now();
        let minutes = |minutes: u64| start + Duration::from_secs(60 * minutes);
        let table = [
            (0, true),
            (0, false),
            (1, true),
            (5, false),
            (6, true),
            (20, false),
            (21, true),
            (80, false),
            (81, true),
            (140, false),
            // The last wait ended at minute 141; more than an hour of quiet after it.
            (202, true),
            (203, true),
        ];
        for (minute, expected) in table {
            assert_eq!(
                forced.allow(&waits, minutes(minute)),
                expected,
                "minute {minute}"
            );
        }
    }
}
