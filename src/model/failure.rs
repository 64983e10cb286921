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

/// What a failure asks for, in the words shown to people and programs. Finer than [`FailureClass`], by which
/// the program itself acts: a new sign-in and an administrator's change park a lane alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Nobody acts: it is tried again by itself.
    Retry,
    /// The person who signed in does it again.
    SignInAgain,
    /// An administrator changes something.
    Administrator,
    /// Nobody acts: it waits until a time, then goes on by itself.
    HoldUntil,
    /// The author of this one message; other mail goes on.
    ThisMessageOnly,
}

impl Action {
    /// The shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::SignInAgain => "sign_in_again",
            Self::Administrator => "administrator",
            Self::HoldUntil => "hold_until",
            Self::ThisMessageOnly => "this_message_only",
        }
    }

    /// Whether this is a finer word for that class.
    pub fn fits(self, class: FailureClass) -> bool {
        self == Self::from(class)
            || (self == Self::SignInAgain && class == FailureClass::OperatorMustAct)
    }
}

impl From<FailureClass> for Action {
    fn from(class: FailureClass) -> Self {
        match class {
            FailureClass::RetryLater => Self::Retry,
            FailureClass::GiveUp => Self::ThisMessageOnly,
            FailureClass::OperatorMustAct => Self::Administrator,
            FailureClass::HoldFor(_) => Self::HoldUntil,
        }
    }
}
