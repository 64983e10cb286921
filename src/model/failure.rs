//! Who has to act next. Every error of the program answers this.

use std::time::Duration;

/// What a failure asks of whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureClass {
    /// Passing trouble: try again on the schedule.
    RetryLater,
    /// This one message (or request) will never succeed; others are not affected.
    GiveUp,
    /// A person has to change something; until then mail waits, nothing is lost (I7).
    OperatorMustAct,
    /// The peer named a time: do nothing before it has passed.
    HoldFor(Duration),
}
