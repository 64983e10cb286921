//! Growing delays between tries.

use std::time::Duration;

/// Doubling delays with a cap and up to a fifth of jitter on top, so that peers are never hammered
/// and never woken by everybody at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The delay after the first failure.
    pub first: Duration,
    /// No delay is longer, before jitter.
    pub cap: Duration,
}

impl Backoff {
    /// The delay after failure number `failures` (from 1), with `jitter` in 0.0..=1.0 chosen by the
    /// caller: 0.0 gives the bare delay, 1.0 a fifth more.
    pub fn delay(&self, failures: u32, jitter: f64) -> Duration {
        let doublings = failures.saturating_sub(1).min(30);
        let bare = self.first.saturating_mul(1 << doublings).min(self.cap);
        bare.saturating_add(bare.mul_f64(jitter.clamp(0.0, 1.0) / 5.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_cap_and_jitter_adds_at_most_a_fifth() {
        let backoff = Backoff {
            first: Duration::from_secs(60),
            cap: Duration::from_secs(3600),
        };
        let minutes: Vec<u64> = (1..=8)
            .map(|n| backoff.delay(n, 0.0).as_secs() / 60)
            .collect();
        assert_eq!(minutes, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(
            backoff.delay(u32::MAX, 1.0),
            Duration::from_secs(3600 + 720)
        );
        assert_eq!(backoff.delay(0, 0.0), Duration::from_secs(60));
    }
}
