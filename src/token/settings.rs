//! What keeping tokens fresh has to know.

use std::{path::PathBuf, time::Duration};

use super::{gate::Limits, waits::Waits};
use crate::model::Backoff;

/// What keeping tokens fresh has to know. The defaults are right; tests shorten them.
#[derive(Clone, Debug)]
pub struct Settings {
    /// A token with less left than this is not handed out (a tenth of its lifetime where that is less).
    pub leeway: Duration,
    /// How long a caller waits for a token before it is told [`super::TokenError::Pending`].
    pub patience: Duration,
    /// How often the store is looked at for new and changed grants.
    pub poll: Duration,
    /// How long [`super::TokenKeeper::run`] waits at its end for what is in flight.
    pub drain: Duration,
    /// Waits after failures of the platform.
    pub waits: Waits,
    /// Waits while the database does not take an answer.
    pub store_retry: Backoff,
    /// How fast one identity platform is asked by all grants together.
    pub limits: Limits,
    /// The directory of the token journal, made when first needed. `None`, for tests: an answer is in memory
    /// only until the database has it.
    pub journal: Option<PathBuf>,
    /// How long the token journal's disk is waited for before the answer goes to the database without it.
    pub journal_patience: Duration,
    /// Which data directory this process holds the lock of: tells a refresh of an earlier run of ours, which is
    /// surely over, from another node's.
    pub home: String,
    /// The longest one round of asking takes, from before its beginning is committed to the last of its answers.
    pub round: Duration,
    /// How long a refresh of another node, dead as it may be, is left alone after this node saw it first. Longer than a
    /// round, the journal and a commit take together.
    pub settle: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            leeway: Duration::from_secs(30),
            patience: Duration::from_secs(45),
            poll: Duration::from_secs(30),
            drain: Duration::from_secs(20),
            waits: Waits::default(),
            store_retry: Backoff {
                first: Duration::from_millis(200),
                cap: Duration::from_secs(5),
            },
            limits: Limits::default(),
            journal: None,
            journal_patience: Duration::from_secs(5),
            home: String::new(),
            round: Duration::from_secs(40),
            settle: Duration::from_secs(50),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_of_another_node_is_over_before_it_is_taken_over() {
        let settings = Settings::default();
        let commit = Duration::from_secs(5);
        assert!(settings.settle >= settings.round + settings.journal_patience + commit);
        // The second credential of a round gets its chance after the slowest refusal of the first.
        assert!(settings.round >= crate::oauth::Settings::default().timeout + 2 * commit);
    }
}
