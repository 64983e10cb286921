//! Failure and context → words. One file for each peer.

mod copy;
mod dial;
mod graph;
mod held;
mod imap;
mod oauth;
mod proxy;
mod smtp;
mod words;

pub use self::copy::explain_copy;
use self::words::Words;
pub(super) use self::words::{is_disturbing, quote};
use super::{Context, Diagnosis, Failure};
use crate::{model::Action, store::StoreError};

/// Says what happened, why, and what to do next. Pure; the same failure always gets the same code.
pub fn explain(failure: &Failure, context: &Context) -> Diagnosis {
    let words = match failure {
        Failure::Imap(error) => imap::words(error, context),
        Failure::Smtp(error) => smtp::words(error, context),
        Failure::Oauth(error) => oauth::words(error, context),
        Failure::Graph(refusal) => graph::words(refusal, context),
        Failure::Store(error) => store(error),
        Failure::NotSignedIn => Words::new(
            "not_signed_in",
            format!(
                "Nobody has signed in to the cloud provider of {}.",
                context.account.as_ref().map_or_else(
                    || "the account".to_owned(),
                    |key| format!("account {key}")
                )
            ),
            "There is no grant yet.",
            format!(
                "Open the cloud provider and use Authenticate (motion-email provider authenticate {}).",
                context.provider.as_deref().unwrap_or("ID")
            ),
        )
        .by(Action::SignInAgain),
        Failure::SignInNeeded(reason) => oauth::sign_in_needed(reason, context),
        Failure::ProviderMissing => Words::new(
            "provider_missing",
            format!(
                "{} names a cloud provider that does not exist.",
                context.account()
            ),
            "It was removed.",
            "Edit the account and choose a cloud provider.",
        ),
        Failure::TokenWaits(detail) => Words::new(
            "token_waits",
            "There is no access token at the moment.",
            words::quote(detail),
            "Nothing, it is tried again by itself. If it lasts: look for earlier log lines about the database and \
             about this cloud provider.",
        ),
        Failure::Storage(detail) => Words::new(
            "raw_mail_storage",
            "Raw mail cannot be kept or read.",
            words::quote(detail),
            "Check that the disk has room and that the directory of XC_EMAIL_BLOB_URL can be written. \
             Work goes on by itself; nothing is lost.",
        ),
        Failure::Held {
            kind, whose, said, ..
        } => held::words(*kind, whose, said),
        Failure::Bug(detail) => Words::new(
            "bug",
            "The program met a state that should be impossible.",
            words::quote(detail),
            "Report this with the log lines around it. The account is started again by itself.",
        ),
    };
    let class = failure.class();
    // The class is what the program acts by; a table's finer word never contradicts it.
    let action = words.action.filter(|action| action.fits(class));
    Diagnosis {
        code: words.code,
        what: words.what,
        why: words.why,
        next: words.next,
        class,
        action: action.unwrap_or(class.into()),
    }
}

/// The database's words. The driver's phrase for an error that several steps share tells people nothing.
fn database_words(error: &StoreError) -> String {
    words::quote(&words::chain(error).replace("encountered unexpected or invalid data: ", ""))
}

fn store(error: &StoreError) -> Words {
    match error {
        StoreError::Damaged { what, detail } => Words::new(
            "store_row_damaged",
            format!("A stored {what} cannot be used."),
            words::quote(detail),
            "If the key file was replaced, put the old one back (XC_EMAIL_KEY_FILE); otherwise enter the account's \
             or provider's secret again, or restore the row from a backup.",
        ),
        full if full.is_full() => Words::new(
            "store_full",
            "The disk of the database is full: nothing is taken in, sent or signed in until it has room.",
            database_words(full),
            "Make room on the disk where the database lies (SQLite: the path in XC_EMAIL_DATABASE_URL, by default in \
             XC_EMAIL_DATA_DIR): df -h; df -i. Work goes on by itself then; mail waits on the server and in the queue.",
        ),
        StoreError::Unavailable { .. }
        | StoreError::OutcomeUnknown { .. }
        | StoreError::Sql { .. }
        | StoreError::Closed => Words::new(
            "store_unavailable",
            "The database did not take or give data.",
            database_words(error),
            "Check that the database runs, has room and lets this user in. Work goes on by itself when it answers.",
        ),
        StoreError::LeaseLost { .. } => Words::new(
            "lease_lost",
            "Another node works for this account now.",
            "The lease moved.",
            "Nothing: this is how several nodes share accounts.",
        ),
        StoreError::Taken { .. }
        | StoreError::Missing { .. }
        | StoreError::InUse { .. }
        | StoreError::Conflict(_) => Words::new(
            "store_conflict",
            "Stored data changed while it was being worked on.",
            words::quote(&error.to_string()),
            "Nothing: it is tried again from what is stored now.",
        ),
    }
}

#[cfg(test)]
mod tests;
