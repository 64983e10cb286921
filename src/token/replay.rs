//! Answers that an earlier run wrote to the journal and could not commit.
//!
//! There is no recovery pass that others wait for (I9): whoever finds a grant `refreshing` looks here first,
//! with the grant's flight held. At the start of [`TokenKeeper::run`](super::TokenKeeper::run) the files of the
//! other grants are looked through as well, so that nothing stays behind.

use std::sync::Arc;

use tracing::{error, info, warn};

use super::{
    TokenError,
    commit::{Fact, record},
    journal::{Journal, Noted},
    keeper::Inner,
    record::Fault,
    slot::Slot,
};
use crate::model::{Grant, GrantState};

/// What a journalled answer is to a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Worth {
    /// The answer to the refresh that the row says is under way.
    Missing,
    /// Of an older state of the row: it was committed, or something newer was.
    Spent,
    /// Of this state of the row or of one yet to come, and of no refresh that the row knows.
    Unknown,
}

fn worth(noted: &Noted, grant: &Grant) -> Worth {
    let under_way =
        grant.state == GrantState::Refreshing && grant.attempt.as_deref() == Some(&noted.attempt);
    match noted.version.cmp(&grant.version) {
        std::cmp::Ordering::Less => Worth::Spent,
        std::cmp::Ordering::Equal if under_way => Worth::Missing,
        std::cmp::Ordering::Equal | std::cmp::Ordering::Greater => Worth::Unknown,
    }
}

/// Commits the answer that the journal holds for this grant's refresh, if it does; tidies the file up. The
/// caller holds the flight. Whether the row has changed by it.
///
/// # Errors
/// The row or the store is gone; [`TokenError::Pending`] where the journal's disk does not answer: asking the
/// platform now could end a grant whose next refresh token lies there.
pub(super) async fn replay(keeper: &Inner, grant: &Grant) -> Result<bool, TokenError> {
    let Some(journal) = &keeper.journal else {
        return Ok(false);
    };
    let provider = grant.provider;
    let contents = match journal.read(provider).await {
        Ok(contents) => contents,
        Err(error) => {
            error!(%provider, %error, "whether an earlier run left an answer is not known: the grant waits for that");
            return Err(TokenError::Pending);
        }
    };
    if contents.is_empty() {
        return Ok(false);
    }
    let mut fault = contents.fault;
    let mut committed = false;
    for noted in &contents.noted {
        match worth(noted, grant) {
            Worth::Missing => {
                let fact = Fact::Refreshed(&noted.tokens);
                committed = record(keeper, grant, &noted.attempt, fact).await?;
                if committed {
                    info!(%provider, version = grant.version + 1, "an answer that an earlier run had received was recorded");
                }
                break;
            }
            Worth::Spent => {}
            Worth::Unknown => {
                fault = fault.or(Some(Fault::UnknownAttempt));
                break;
            }
        }
    }
    match fault {
        Some(fault) => journal.set_aside(provider, fault).await,
        None => journal.drop_records(provider).await,
    }
    Ok(committed)
}

/// Looks through one grant's file at the start. The caller holds the flight.
pub(super) async fn look_through(keeper: &Arc<Inner>, journal: &Journal, slot: &Slot) {
    let provider = slot.provider;
    match keeper.store.grant_get(provider).await {
        Ok(Some(grant)) => match replay(keeper, &grant).await {
            Ok(true) => keeper.tell(),
            Ok(false) => {}
            Err(error) => warn!(%provider, %error, "a journalled answer was not recorded"),
        },
        // Tokens of a provider that was removed are worth nothing, and not kept.
        Ok(None) => journal.drop_records(provider).await,
        Err(error) => warn!(%provider, %error, "a journalled answer is looked at later"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CloudProviderId, NewTokens, Timestamp};

    fn grant(state: GrantState, version: i64, attempt: Option<&str>) -> Grant {
        Grant {
            provider: CloudProviderId::new(1),
            state,
            version,
            access_token: None,
            access_expires_at: None,
            refresh_token: None,
            attempt: attempt.map(Into::into),
            attempt_started_at: None,
            signed_in_as: None,
            tenant_id: None,
            object_id: None,
            confirmed_for: Vec::new(),
            signed_in_at: None,
            refreshed_at: None,
            scopes: None,
            reason: None,
            updated_at: Timestamp::from_millis(0),
        }
    }

    #[test]
    fn an_answer_counts_only_for_the_refresh_that_the_row_says_is_under_way() {
        use GrantState::{Missing, NeedsSignIn, Ok, Refreshing};
        let noted = Noted {
            version: 5,
            attempt: "a".into(),
            tokens: NewTokens {
                access_token: String::from("at").into(),
                access_expires_at: Timestamp::from_millis(0),
                refresh_token: None,
                scopes: None,
                signed_in_as: None,
                tenant_id: None,
                object_id: None,
            },
        };
        for (state, version, attempt, expected) in [
            (Refreshing, 5, Some("a"), Worth::Missing),
            (Refreshing, 5, Some("b"), Worth::Unknown),
            (Refreshing, 5, None, Worth::Unknown),
            (Ok, 5, None, Worth::Unknown),
            (Ok, 5, Some("a"), Worth::Unknown),
            (NeedsSignIn, 5, None, Worth::Unknown),
            (Ok, 6, None, Worth::Spent),
            (Refreshing, 6, Some("a"), Worth::Spent),
            (Ok, 4, None, Worth::Unknown),
            (Missing, 0, None, Worth::Unknown),
        ] {
            let row = grant(state, version, attempt);
            assert_eq!(worth(&noted, &row), expected, "{row:?}");
        }
    }
}
