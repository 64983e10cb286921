//! Why sending failed, and what that asks of the lane. Pure.

use super::machine::Trouble;
use crate::{
    blob::BlobError, diagnosis::Failure, governor::Held, model::FailureClass, smtp::SmtpError,
    store::StoreError, token::TokenError,
};

/// The lane cannot send. What one message met is not here: that is the message's outcome.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The server, or the way to it.
    #[error("cannot send mail")]
    Smtp(#[from] SmtpError),
    /// The database.
    #[error("cannot use the queue")]
    Store(#[from] StoreError),
    /// The frozen bytes of a message.
    #[error("cannot read a queued message")]
    Blob(#[from] BlobError),
    /// No access token.
    #[error("no access token")]
    Token(#[from] TokenError),
    /// The line has to wait for what others have met.
    #[error("the connection has to wait")]
    Held(Held),
}

impl From<Held> for SendError {
    fn from(held: Held) -> Self {
        Self::Held(held)
    }
}

impl SendError {
    /// Who acts next.
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Smtp(error) => error.class(),
            Self::Store(error) => error.class(),
            Self::Blob(error) => error.class(),
            Self::Token(error) => error.class(),
            Self::Held(held) => FailureClass::HoldFor(held.left()),
        }
    }
}

/// What the lane does about it.
pub(super) fn trouble(error: &SendError) -> Trouble {
    match (error, error.class()) {
        (SendError::Held(held), _) => Trouble::Told(held.left()),
        // A host that is never found is no passing trouble, but it begins like one.
        (SendError::Smtp(SmtpError::Dial(error)), FailureClass::RetryLater)
            if error.is_network() =>
        {
            Trouble::Perhaps
        }
        // A disk that cannot be read seldom mends itself, and holds up every message alike.
        (SendError::Blob(BlobError::Unavailable { .. }), _) => Trouble::Operator,
        // The identity platform named the time, not the mail server: a token that is there sooner ends it.
        (SendError::Token(_), FailureClass::HoldFor(time)) => Trouble::Wait(time),
        (_, FailureClass::OperatorMustAct) => Trouble::Operator,
        (_, FailureClass::HoldFor(time)) => Trouble::Hold(time),
        (_, FailureClass::RetryLater | FailureClass::GiveUp) => Trouble::Later,
    }
}

/// The failure as it is explained to people.
pub(super) fn failure(error: SendError) -> Failure {
    match error {
        SendError::Smtp(error) => Failure::Smtp(error),
        SendError::Store(error) => Failure::Store(error),
        SendError::Blob(error) => Failure::Storage(error.to_string()),
        SendError::Token(error) => Failure::from(error),
        SendError::Held(held) => Failure::Held {
            left: held.left(),
            kind: held.kind,
            whose: held.whose,
            said: held.said,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_waits_for_a_token_is_no_bug() {
        for error in [
            TokenError::Pending,
            TokenError::Elsewhere,
            TokenError::RefreshLost,
            TokenError::Stopping,
        ] {
            let explained = failure(SendError::Token(error));
            assert!(matches!(explained, Failure::TokenWaits(_)), "{explained:?}");
        }
    }

    #[test]
    fn a_disk_of_ours_parks_the_lane() {
        let missing = || BlobError::Missing { key: "k".into() };
        let damaged = || BlobError::Damaged { detail: "d".into() };
        let unread = || BlobError::Unavailable {
            doing: "reading",
            source: object_store::Error::Generic {
                store: "local",
                source: "disk".into(),
            },
        };
        let table = [
            (missing(), Trouble::Operator),
            (damaged(), Trouble::Operator),
            (unread(), Trouble::Operator),
            (BlobError::Closed, Trouble::Later),
        ];
        for (error, expected) in table {
            let error = SendError::Blob(error);
            assert_eq!(trouble(&error), expected, "{error:?}");
        }
    }
}
