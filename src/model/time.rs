//! Wall-clock time, and the seam through which it is read. Durations and deadlines use tokio's clock.

use std::time::{Duration, Instant};

/// A point in wall-clock time: Unix milliseconds, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From Unix milliseconds.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Unix milliseconds.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// This much later; saturates at the end of time.
    pub fn plus(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// This much earlier; saturates at the beginning of time.
    pub fn minus(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// How long from `earlier` to `self`; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// RFC 3339 in UTC with milliseconds, as the API shows it; the integer where no calendar date fits.
    pub fn rfc3339(self) -> String {
        chrono::DateTime::from_timestamp_millis(self.0).map_or_else(
            || self.0.to_string(),
            |time| time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        )
    }
}

/// A wall clock that is further than this from where the monotonic one expects it was set.
const STEP: Duration = Duration::from_secs(30);

/// How the wall clock went since the last look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockStep {
    /// As time does.
    None,
    /// It was set forward, by 30 seconds or more.
    Forward,
    /// It was set back, by 30 seconds or more.
    Back,
}

/// Watches the wall clock against the monotonic one.
#[derive(Clone, Copy, Debug)]
pub struct ClockWatch {
    last: (Timestamp, Instant),
}

impl ClockWatch {
    /// Both clocks now.
    pub const fn new(now: Timestamp, at: Instant) -> Self {
        Self { last: (now, at) }
    }

    /// Takes both clocks again; what has drifted since the last call is forgiven.
    pub fn step(&mut self, now: Timestamp, at: Instant) -> ClockStep {
        let (then, since) = self.last;
        self.last = (now, at);
        let expected = then.plus(at.saturating_duration_since(since));
        if now.since(expected) >= STEP {
            ClockStep::Forward
        } else if expected.since(now) >= STEP {
            ClockStep::Back
        } else {
            ClockStep::None
        }
    }
}

/// The seam for wall-clock time: tests put their own here.
pub trait Clock: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the machine's clock"
    )]
    fn now(&self) -> Timestamp {
        let since_epoch = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }
}
