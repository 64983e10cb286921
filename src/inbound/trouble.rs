//! Why reading failed, and what that asks of the lane. Pure.

use super::machine::Trouble;
use crate::{
    blob::BlobError,
    diagnosis::Failure,
    governor::Held,
    imap::{ImapError, quirks},
    model::FailureClass,
    store::StoreError,
    token::TokenError,
};

/// A host that is never found is an operator's matter from this failure on.
const HOST_MISSES: u32 = 3;
/// A mailbox that does not open is one from this failure on: on the usual schedule after two and a half
/// minutes, in which a mailbox has moved.
const MAILBOX_MOVES: u32 = 6;

/// Reading a mailbox failed.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The conversation with the server.
    #[error("cannot read the mailbox")]
    Imap(#[from] ImapError),
    /// The database.
    #[error("cannot store mail")]
    Store(#[from] StoreError),
    /// The raw mail could not be kept.
    #[error("cannot keep raw mail")]
    Blob(#[from] BlobError),
    /// No access token.
    #[error("no access token")]
    Token(#[from] TokenError),
    /// The connection has to wait for what others have met.
    #[error("the connection has to wait")]
    Held(Held),
    /// The server says no UIDVALIDITY, so that nothing can be remembered.
    #[error("the server gives the mailbox no uidvalidity")]
    NoValidity,
    /// Reading without a folder row: a bug.
    #[error("the folder was not opened")]
    NoFolder,
    /// The lane was told to stop; not a failure.
    #[error("stopping")]
    Stopping,
}

impl From<Held> for SyncError {
    fn from(held: Held) -> Self {
        Self::Held(held)
    }
}

/// What the lane does about a failure.
pub(super) fn trouble(error: &SyncError) -> Trouble {
    let by_class = |class| match class {
        FailureClass::OperatorMustAct => Trouble::Operator,
        FailureClass::HoldFor(time) => Trouble::Hold(time),
        FailureClass::RetryLater | FailureClass::GiveUp => Trouble::Later,
    };
    match error {
        SyncError::Held(held) => Trouble::Told(held.left()),
        SyncError::Imap(error) if error.is_goodbye() => Trouble::Goodbye,
        // Exchange Online says so for a while after a mailbox has moved.
        SyncError::Imap(ImapError::Refused { text, .. }) if quirks::is_not_connected(text) => {
            Trouble::Perhaps(MAILBOX_MOVES)
        }
        // The identity platform named the time, not the mail server: a token that is there sooner ends it.
        SyncError::Token(error) => match error.class() {
            FailureClass::HoldFor(time) => Trouble::Wait(time),
            class => by_class(class),
        },
        SyncError::Imap(ImapError::Dial(error))
            if error.is_network() && error.class() == FailureClass::RetryLater =>
        {
            Trouble::Perhaps(HOST_MISSES)
        }
        _ => by_class(error_class(error)),
    }
}

fn error_class(error: &SyncError) -> FailureClass {
    match error {
        SyncError::Imap(error) => error.class(),
        SyncError::Store(error) => error.class(),
        SyncError::Blob(error) => error.class(),
        SyncError::Token(error) => error.class(),
        SyncError::NoValidity => FailureClass::OperatorMustAct,
        SyncError::Held(_) | SyncError::NoFolder | SyncError::Stopping => FailureClass::RetryLater,
    }
}

/// The failure as it is explained to people.
pub(super) fn failure(error: SyncError) -> Failure {
    match error {
        SyncError::Imap(error) => Failure::Imap(error),
        SyncError::Store(error) => Failure::Store(error),
        SyncError::Blob(error) => Failure::Storage(error.to_string()),
        SyncError::Token(error) => Failure::from(error),
        SyncError::Held(held) => Failure::Held {
            left: held.left(),
            kind: held.kind,
            whose: held.whose,
            said: held.said,
        },
        SyncError::NoValidity | SyncError::NoFolder | SyncError::Stopping => {
            Failure::Bug(error.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_is_on_its_way_is_no_bug() {
        for error in [
            TokenError::Pending,
            TokenError::Elsewhere,
            TokenError::Stopping,
        ] {
            let explained = failure(SyncError::Token(error));
            assert!(!matches!(explained, Failure::Bug(_)), "{explained:?}");
        }
    }
    #[test]
    fn a_name_that_does_not_resolve_is_tried_again_and_told_when_it_stays() {
        // Fault 44.
        use crate::net::DialStep;
        let dial = |error| trouble(&SyncError::Imap(ImapError::Dial(error)));
        for words in [
            "Name or service not known",
            "Temporary failure in name resolution",
        ] {
            let error = crate::net::DialError::Resolve {
                host: "mail.example".into(),
                source: std::io::Error::other(words),
            };
            assert_eq!(dial(error), Trouble::Perhaps(HOST_MISSES), "{words}");
        }
        let slow = crate::net::DialError::TimedOut {
            host: "mail.example".into(),
            port: 993,
            during: DialStep::Resolve,
        };
        assert!(matches!(dial(slow), Trouble::Later | Trouble::Perhaps(_)));
    }
}
