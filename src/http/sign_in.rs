//! Sign-ins in words for people and as the API shows them: the same on the browser's page, in problem
//! documents and on the command line.

use std::sync::Arc;

use axum::http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    diagnosis::{Context, Failure, explain},
    model::HeldSignIn,
    oauth::OauthError,
    token::{DeviceSignIn, DeviceState, SignInError, SignInFailure, SignedIn},
};

use super::problem::{ApiError, Logged};

/// A held sign-in without its tokens.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct ShownHeld {
    signed_in_as: Option<String>,
    expected: Vec<String>,
    replaces: Option<String>,
    since: String,
    expires_at: String,
    what: String,
    next: String,
}

impl ShownHeld {
    pub(in crate::http) fn new(held: &HeldSignIn) -> Self {
        Self {
            signed_in_as: held.person.user_name.clone(),
            expected: held.expected.clone(),
            replaces: held.replaces.clone(),
            since: held.held_at.rfc3339(),
            expires_at: held.expires_at.rfc3339(),
            what: held_what(held),
            next: held_next(held),
        }
    }
}

/// The answer to a caller whose sign-in ended.
pub(super) fn outcome(signed_in: &SignedIn) -> Value {
    json!({
        "state": if signed_in.held.is_some() { "held" } else { "signed_in" },
        "signedInAs": signed_in.signed_in_as,
        "heldSignIn": signed_in.held.as_ref().map(ShownHeld::new),
    })
}

/// A sign-in that came to nothing, for who waits for it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct ShownFailure {
    at: String,
    code: &'static str,
    what: String,
    next: String,
}

impl ShownFailure {
    pub(in crate::http) fn new(failure: &SignInFailure) -> Self {
        let (_, what, next) = words(&failure.error);
        Self {
            at: failure.at.rfc3339(),
            code: failure.error.code(),
            what,
            next,
        }
    }
}

/// A sign-in by code, for the person and for who waits for it.
pub(super) fn by_code(device: &DeviceSignIn) -> Value {
    let mut shown = match &device.state {
        DeviceState::Waiting => json!({ "state": "waiting" }),
        DeviceState::Done(signed_in) => outcome(signed_in),
        DeviceState::Failed(error) => {
            let (_, what, next) = words(error);
            json!({ "state": "failed", "code": error.code(), "what": what, "next": next })
        }
    };
    if let Some(fields) = shown.as_object_mut() {
        fields.extend([
            ("userCode".to_owned(), json!(device.user_code)),
            ("verificationUri".to_owned(), json!(device.verification_uri)),
            ("message".to_owned(), json!(device.message)),
            ("expiresAt".to_owned(), json!(device.expires_at.rfc3339())),
        ]);
    }
    shown
}

/// Who signed in and who was expected.
pub(super) fn held_what(held: &HeldSignIn) -> String {
    let name = held.person.user_name.as_deref().unwrap_or("Somebody");
    let mut what = if held.expected.is_empty() {
        format!("{name} signed in.")
    } else {
        format!(
            "{name} signed in, but the accounts that use this cloud provider expect {}.",
            held.expected.join(" and ")
        )
    };
    if let Some(before) = &held.replaces {
        what.push_str(&format!(" The cloud provider belongs to {before} so far."));
    }
    what.push_str(" Nothing of this sign-in is used yet; what worked before goes on.");
    what
}

/// How it goes on.
pub(super) fn held_next(held: &HeldSignIn) -> String {
    let name = held.person.user_name.as_deref().unwrap_or_default();
    let id = held.provider;
    format!(
        "If this is right (a user name often differs from the address), an administrator confirms it within 24 hours: \
         motion-email provider confirm {id} --signed-in-as {name}. If it is not, drop it with motion-email provider discard \
         {id} and sign in again as the right person."
    )
}

impl From<SignInError> for ApiError {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::ProviderMissing => Self::NotFound {
                what: "cloud provider",
            },
            SignInError::Store(error) => match Arc::try_unwrap(error) {
                Ok(error) => error.into(),
                Err(shared) => Self::Internal(Logged::new(&*shared)),
            },
            SignInError::NotBegun(error) => {
                explain(&Failure::Oauth(error), &Context::default()).into()
            }
            error => {
                let (status, detail, next) = words(&error);
                Self::Refused {
                    status,
                    code: error.code(),
                    detail,
                    next,
                }
            }
        }
    }
}

const AGAIN: &str = "Close this window, go back to the cloud provider in motion-email and use Authenticate again (motion-email provider authenticate ID).";

/// What a person is told of a sign-in that did not succeed: the status, what happened, the next step.
pub(super) fn words(error: &SignInError) -> (StatusCode, String, String) {
    let (status, what, next) = match error {
        SignInError::Exchange(cause) | SignInError::NotBegun(cause) => {
            let words = explain(&Failure::Oauth(cause.clone()), &Context::default());
            let what = format!("{} {}", words.what, words.why);
            let next = format!("{} Then use Authenticate again.", words.next);
            let status = match error {
                SignInError::NotBegun(OauthError::Configuration { .. }) => StatusCode::CONFLICT,
                _ => StatusCode::BAD_GATEWAY,
            };
            return (status, what, next);
        }
        SignInError::Malformed { what } => (
            StatusCode::BAD_REQUEST,
            format!("This address is not one that a sign-in page sends people to: {what}."),
            AGAIN,
        ),
        SignInError::StateUnknown | SignInError::OtherCaller => (
            StatusCode::BAD_REQUEST,
            "No sign-in that was begun here belongs to this address.".to_owned(),
            AGAIN,
        ),
        SignInError::StateUsed => (
            StatusCode::BAD_REQUEST,
            "This sign-in was finished before; the page was loaded twice.".to_owned(),
            "If the cloud provider shows that it is signed in, all is well: close this window. Otherwise use Authenticate again.",
        ),
        SignInError::StateExpired => (
            StatusCode::BAD_REQUEST,
            "This sign-in took longer than ten minutes.".to_owned(),
            AGAIN,
        ),
        SignInError::OtherService | SignInError::OtherIssuer => (
            StatusCode::BAD_REQUEST,
            "The answer comes from another platform than the one the sign-in was begun with."
                .to_owned(),
            AGAIN,
        ),
        SignInError::Refused { error, description } => (
            StatusCode::BAD_REQUEST,
            format!(
                "The platform refused the sign-in. Its words: \u{201c}{error}\u{201d} {description}"
            ),
            "If the platform asks for an administrator's approval, let an administrator sign in once; otherwise use Authenticate again.",
        ),
        SignInError::NoRefreshToken => (
            StatusCode::BAD_REQUEST,
            "The platform gave no lasting permission (no refresh token).".to_owned(),
            "Grant offline access to the app registration, then use Authenticate again and accept everything it asks for.",
        ),
        SignInError::ScopeMissing { scopes } => (
            StatusCode::BAD_REQUEST,
            format!(
                "Mail needs {} that {} not granted: {}. Nothing was changed.",
                if scopes.len() == 1 { "a permission" } else { "permissions" },
                if scopes.len() == 1 { "was" } else { "were" },
                scopes.join(", ")
            ),
            "Add what is missing to the app registration's delegated permissions (portal: App registrations, API permissions; \
             with Microsoft under Microsoft Graph), give admin consent where the tenant asks for it, then use Authenticate \
             again and leave every box ticked.",
        ),
        SignInError::ApplicationAccess => (
            StatusCode::CONFLICT,
            "This cloud provider opens mailboxes in the application's own name (access: application), so nobody signs in."
                .to_owned(),
            "There is nothing to do here: tokens are fetched with the client secret or certificate. For a person's sign-in set the \
             access to delegated (motion-email provider edit ID --access delegated) and use Authenticate then.",
        ),
        SignInError::OtherAddress { expected } => (
            StatusCode::BAD_REQUEST,
            format!("The pasted address is not the one that the sign-in ends at, which begins with {expected}."),
            "Copy the whole address from the browser's address bar after the sign-in, or use Authenticate again.",
        ),
        SignInError::DeviceExpired => (
            StatusCode::CONFLICT,
            "Nobody typed the code in time.".to_owned(),
            "Use Authenticate again for a new code and sign in before its time is over.",
        ),
        SignInError::TooMany => (
            StatusCode::SERVICE_UNAVAILABLE,
            "Too many sign-ins by code wait for a person already.".to_owned(),
            "Finish one of them, or wait until one is over; then use Authenticate again.",
        ),
        SignInError::OtherProvider => (
            StatusCode::BAD_REQUEST,
            "This sign-in was begun for another cloud provider.".to_owned(),
            AGAIN,
        ),
        SignInError::OtherIdentity { signed_in_as, pinned } => (
            StatusCode::CONFLICT,
            format!("{signed_in_as} signed in, but this cloud provider belongs to {pinned}. Nothing was changed."),
            "Use Authenticate again as the person it belongs to. To give it into other hands begin with newIdentity \
             (motion-email provider authenticate ID --new-identity) and confirm it.",
        ),
        SignInError::Nameless => (
            StatusCode::BAD_REQUEST,
            "The platform does not say who signed in, so it cannot be compared with who is expected.".to_owned(),
            "Grant the permissions openid, profile and email to the app registration, then use Authenticate again.",
        ),
        SignInError::ProviderMissing => (
            StatusCode::BAD_REQUEST,
            "The cloud provider was removed meanwhile.".to_owned(),
            "Add it again and use Authenticate.",
        ),
        SignInError::ProviderChanged => (
            StatusCode::CONFLICT,
            "The cloud provider's application or platform was changed during the sign-in, so nothing of it is used.".to_owned(),
            "Use Authenticate again.",
        ),
        SignInError::Store(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "The sign-in could not be recorded.".to_owned(),
            "Wait a minute and use Authenticate again; the log of motion-email has the cause.",
        ),
        SignInError::Interrupted => (
            StatusCode::SERVICE_UNAVAILABLE,
            "The service was stopped, or is being started anew, before the sign-in was finished.".to_owned(),
            "Wait a minute and load this page again; where that does not help, use Authenticate again.",
        ),
    };
    (status, what, next.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_says_what_to_do_next() {
        let all = [
            SignInError::Malformed { what: "x" },
            SignInError::StateUnknown,
            SignInError::StateUsed,
            SignInError::StateExpired,
            SignInError::OtherService,
            SignInError::OtherIssuer,
            SignInError::OtherCaller,
            SignInError::OtherProvider,
            SignInError::DeviceExpired,
            SignInError::TooMany,
            SignInError::NoRefreshToken,
            SignInError::ApplicationAccess,
            SignInError::Nameless,
            SignInError::OtherAddress {
                expected: "https://x/cb".to_owned(),
            },
            SignInError::OtherIdentity {
                signed_in_as: "bob@x".to_owned(),
                pinned: "anna@x".to_owned(),
            },
            SignInError::ScopeMissing {
                scopes: vec!["IMAP".to_owned(), "SMTP".to_owned()],
            },
            SignInError::ProviderMissing,
            SignInError::ProviderChanged,
            SignInError::Interrupted,
            SignInError::Exchange(OauthError::Throttled { retry_after: None }),
            SignInError::NotBegun(OauthError::Throttled { retry_after: None }),
        ];
        for error in all {
            let (status, what, next) = words(&error);
            assert!(
                status.is_client_error() || status.is_server_error(),
                "{error}"
            );
            assert!(
                what.ends_with('.') && next.contains("Authenticate"),
                "{error}"
            );
        }
    }

    #[test]
    fn every_missing_permission_is_named() {
        let (_, what, _) = words(&SignInError::ScopeMissing {
            scopes: vec![
                "https://o/IMAP.AccessAsUser.All".into(),
                "https://o/SMTP.Send".into(),
            ],
        });
        assert!(
            what.contains("IMAP.AccessAsUser.All, https://o/SMTP.Send"),
            "{what}"
        );
    }
}
