//! Failure and context → words.

use super::{Context, Diagnosis, Failure};

/// Says what happened, why, and what to do next.
pub fn explain(failure: &Failure, context: &Context) -> Diagnosis {
    let class = failure.class();
    let account = context.account.as_deref().unwrap_or("-");
    let (code, what, why, next): (&'static str, String, String, String) = match failure {
        Failure::Store(error) => (
            "store_unavailable",
            "The database did not take or give data.".into(),
            error.to_string(),
            "Check that the database runs and has room; work goes on by itself when it answers again.".into(),
        ),
        Failure::NotSignedIn => (
            "not_signed_in",
            format!("Account {account} has a cloud provider that nobody has signed in to."),
            "There is no grant yet.".into(),
            "Open the cloud provider and use Authenticate (motion-email provider authenticate ID).".into(),
        ),
        Failure::SignInNeeded(reason) => (
            "sign_in_needed",
            "The identity platform no longer accepts the sign-in of this cloud provider.".into(),
            reason.clone(),
            "Sign in again: open the cloud provider and use Authenticate.".into(),
        ),
        Failure::ProviderMissing => (
            "provider_missing",
            format!("Account {account} names a cloud provider that does not exist."),
            "The cloud provider was removed.".into(),
            "Edit the account and choose a cloud provider.".into(),
        ),
        Failure::Bug(detail) => (
            "bug",
            "The program met a state that should be impossible.".into(),
            detail.clone(),
            "Report this with the log lines around it; the account is started again by itself.".into(),
        ),
    };
    Diagnosis {
        code,
        what,
        why,
        next,
        class,
    }
}
