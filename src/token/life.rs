//! How long an access token is good, and when to fetch the next one. Pure.

use std::time::Duration;

use crate::model::Timestamp;

/// Where a token stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Good, and not yet time for the next.
    Fresh,
    /// Good, and time to fetch the next.
    Due,
    /// Not good for one more use.
    Stale,
}

/// A grant is renewed at least this often, however long its access tokens live: platforms end what idles.
const AT_LEAST_EVERY: Duration = Duration::from_secs(7 * 86_400);
/// A lifetime too short to be meant (0, −1): the platform's own refusals tell when it is over.
const NOT_MEANT: Duration = Duration::from_secs(1);
/// What is taken in its place.
const INSTEAD: Duration = Duration::from_secs(60);
/// Clocks that differ by less than this are the same.
const CLOCK_SLACK: Duration = Duration::from_secs(60);

/// Judges a token that was given for `lifetime` and ends at `expires`.
///
/// It is due when 75 % of its lifetime has passed, and stale when less than `leeway` is left, or less than
/// a tenth of its lifetime where that is shorter. A token that seems to have more than its whole lifetime
/// left means that the clock was set back: it is due, since nobody knows when it ends.
pub fn freshness(
    expires: Timestamp,
    now: Timestamp,
    lifetime: Duration,
    leeway: Duration,
) -> Freshness {
    let left = expires.since(now);
    if left <= leeway.min(lifetime / 10) {
        Freshness::Stale
    } else if left <= lifetime / 4 || left > lifetime.saturating_add(CLOCK_SLACK) {
        Freshness::Due
    } else {
        Freshness::Fresh
    }
}

/// The life of one token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Life {
    pub(super) expires: Timestamp,
    lifetime: Duration,
    /// 0.0..=1.0, drawn once per token, so that grants do not all refresh at once.
    jitter: f64,
}

impl Life {
    /// A token that came just now.
    pub(super) fn given(now: Timestamp, expires_in: Duration, jitter: f64) -> Self {
        let lifetime = believable(expires_in);
        Self {
            expires: now.plus(lifetime),
            lifetime,
            jitter,
        }
    }

    /// A token found in the store, that came at `came`.
    pub(super) fn stored(expires: Timestamp, came: Timestamp, jitter: f64) -> Self {
        Self {
            expires,
            lifetime: believable(expires.since(came)),
            jitter,
        }
    }

    pub(super) fn freshness(&self, now: Timestamp, leeway: Duration) -> Freshness {
        match freshness(self.expires, now, self.lifetime, leeway) {
            Freshness::Fresh if self.expires.since(now) <= self.early() => Freshness::Due,
            other => other,
        }
    }

    /// How long before it ends the next one is fetched: a quarter of its lifetime, and up to a tenth more; of a
    /// very long life all but the first week.
    fn early(&self) -> Duration {
        self.lifetime
            .mul_f64(0.25 + 0.1 * self.jitter.clamp(0.0, 1.0))
            .max(self.lifetime.saturating_sub(AT_LEAST_EVERY))
    }

    /// How long it will be good for one more use.
    pub(super) fn good_for(&self, now: Timestamp, leeway: Duration) -> Duration {
        let left = self.expires.since(now);
        left.saturating_sub(leeway.min(self.lifetime / 10))
    }

    /// When it will be due.
    pub(super) fn due_at(&self) -> Timestamp {
        self.expires.minus(self.early())
    }
}

/// The lifetime as far as it can be believed.
pub(super) fn believable(lifetime: Duration) -> Duration {
    if lifetime < NOT_MEANT {
        INSTEAD
    } else {
        lifetime
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LEEWAY: Duration = Duration::from_secs(30);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn freshness_follows_the_share_of_the_lifetime_that_is_left() {
        let check = |lifetime: u64, left: i64, expected: Freshness| {
            let judged = freshness(
                at(1_000_000 + left),
                at(1_000_000),
                Duration::from_secs(lifetime),
                LEEWAY,
            );
            assert_eq!(judged, expected, "{left} of {lifetime} s left");
        };
        check(3600, 3600, Freshness::Fresh);
        check(3600, 901, Freshness::Fresh);
        check(3600, 900, Freshness::Due);
        check(3600, 31, Freshness::Due);
        check(3600, 30, Freshness::Stale);
        check(3600, 0, Freshness::Stale);
        check(3600, -5, Freshness::Stale);
        // A minute: the leeway must not eat it up.
        check(60, 60, Freshness::Fresh);
        check(60, 16, Freshness::Fresh);
        check(60, 15, Freshness::Due);
        check(60, 7, Freshness::Due);
        check(60, 6, Freshness::Stale);
        // The clock was set back by an hour, by a day.
        check(3600, 7200, Freshness::Due);
        check(3600, 90_000, Freshness::Due);
        check(3600, 3630, Freshness::Fresh);
    }

    #[test]
    fn a_lifetime_that_cannot_be_meant_becomes_a_minute() {
        // Fault 46: `expires_in` 0 and −1 (clamped to 0 on the wire).
        for nonsense in [Duration::ZERO, Duration::from_millis(999)] {
            let life = Life::given(at(0), nonsense, 0.5);
            assert_eq!(life.expires, at(60));
            assert_eq!(life.freshness(at(0), LEEWAY), Freshness::Fresh);
        }
        assert_eq!(
            Life::given(at(0), Duration::from_secs(5), 0.0).expires,
            at(5)
        );
    }

    #[test]
    fn a_grant_is_renewed_weekly_even_where_its_tokens_live_for_months() {
        const DAY: u64 = 86_400;
        for (days, due) in [(1, 0.75), (9, 6.75), (30, 7.0), (365, 7.0)] {
            let life = Life::given(at(0), Duration::from_secs(days * DAY), 0.0);
            let due = at((due * DAY as f64) as i64);
            assert_eq!(life.due_at(), due, "{days} days");
            assert_eq!(life.freshness(due, LEEWAY), Freshness::Due, "{days} days");
            let before = due.minus(Duration::from_millis(2));
            assert_eq!(
                life.freshness(before, LEEWAY),
                Freshness::Fresh,
                "{days} days"
            );
        }
    }

    proptest! {
        #[test]
        fn a_token_is_due_when_its_due_time_has_come_and_long_before_it_is_stale(
            lifetime in 1_u64..=86_400, jitter in 0.0..=1.0_f64,
        ) {
            let life = Life::given(at(0), Duration::from_secs(lifetime), jitter);
            let due = life.due_at();
            prop_assert_eq!(life.freshness(due, LEEWAY), Freshness::Due);
            prop_assert_eq!(life.freshness(due.minus(Duration::from_millis(2)), LEEWAY), Freshness::Fresh);
            let share = due.millis() as f64 / (lifetime as f64 * 1000.0);
            prop_assert!((0.64..=0.751).contains(&share), "{}", share);
        }
    }
}
