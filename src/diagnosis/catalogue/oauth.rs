//! What identity platforms say: Entra's numbers first, then the words of RFC 6749 §5.2, of the device flow and of
//! OpenID Connect Core 1.0 §3.1.2.6.

use super::{
    Entry, Row, entra_application::APPLICATION, entra_person::PERSON, entra_platform::PLATFORM,
    entra_policy::POLICY, entry,
};
use crate::model::Action::{Administrator, HoldUntil, Retry, SignInAgain};

/// How a refusal of an identity platform is recognised.
pub(super) enum Mark {
    /// By one of these numbers (AADSTS…).
    Numbers(&'static [u32]),
    /// By the `error` word and words of the description, in lower case.
    Says(&'static str, &'static str),
    /// By the finer word.
    Fine(&'static str),
    /// By the `error` word.
    Word(&'static str),
}

/// A refusal as it was said.
#[derive(Clone, Copy, Debug)]
pub(in crate::diagnosis) struct Spoken<'a> {
    /// The `error` word; empty where only numbers are known.
    pub(in crate::diagnosis) error: &'a str,
    /// The description.
    pub(in crate::diagnosis) description: &'a str,
    /// AADSTS numbers.
    pub(in crate::diagnosis) numbers: &'a [u32],
    /// The finer word.
    pub(in crate::diagnosis) fine: Option<&'a str>,
}

/// The first entry that fits: the first number that is known decides, as it does in
/// [`crate::oauth::entra::verdict`]; then the finer word, then the word.
pub(in crate::diagnosis) fn oauth(spoken: Spoken<'_>) -> Option<&'static Entry> {
    let tables = [APPLICATION, PERSON, POLICY, PLATFORM];
    let by_number = |number: u32| {
        let mut rows = tables.iter().copied().flatten();
        rows.find(|(mark, _)| matches!(mark, Mark::Numbers(known) if known.contains(&number)))
    };
    let by = |fits: &dyn Fn(&Mark) -> bool| WORDS.iter().find(|(mark, _)| fits(mark));
    let description = spoken.description.to_ascii_lowercase();
    let found = spoken
        .numbers
        .iter()
        .find_map(|&number| by_number(number))
        .or_else(|| {
            by(&|mark| matches!(mark, Mark::Fine(fine) if spoken.fine == Some(fine)))
        })
        .or_else(|| {
            by(&|mark| matches!(mark, Mark::Says(error, words) if spoken.error == *error && description.contains(words)))
        })
        .or_else(|| by(&|mark| matches!(mark, Mark::Word(error) if spoken.error == *error)));
    found.map(|(_, entry)| entry)
}

/// All rows with their numbers, for the tests.
#[cfg(test)]
pub(super) fn numbered() -> Vec<(u32, &'static Entry)> {
    let mut all = Vec::new();
    for (mark, entry) in [APPLICATION, PERSON, POLICY, PLATFORM]
        .into_iter()
        .flatten()
    {
        if let Mark::Numbers(numbers) = mark {
            all.extend(numbers.iter().map(|number| (*number, entry)));
        }
    }
    all
}

const WORDS: &[Row<Mark>] = &[
    (
        Mark::Says("invalid_grant", "expired or revoked"),
        entry(
            "sign_in_revoked",
            SignInAgain,
            "The sign-in of {provider} was revoked or has expired.",
            "At Google: the person took the permission back or changed the password, it was not used for six months, or the \
             project is in state Testing, where sign-ins last seven days.",
            "{sign_in} At Google, publish the app of the project (OAuth consent screen) if it happens every seven days.",
        ),
    ),
    (
        Mark::Fine("user_password_expired"),
        entry(
            "sign_in_password_expired",
            SignInAgain,
            "The password of the person who signed in has expired.",
            "",
            "They set a new password (https://aka.ms/sspr). {sign_in}",
        ),
    ),
    (
        Mark::Fine("consent_required"),
        entry(
            "sign_in_consent",
            SignInAgain,
            "A permission that mail needs has not been granted.",
            "",
            "{sign_in} Accept the permissions; if only an administrator may, they grant them in the Entra portal, Enterprise applications, Permissions.",
        ),
    ),
    (
        Mark::Fine("protection_policy_required"),
        entry(
            "entra_app_protection_required",
            Administrator,
            "A policy of the tenant demands an app with Intune protection, which a server cannot be.",
            "",
            "An administrator excludes this app registration from that Conditional Access policy. {log} {kept}",
        ),
    ),
    (
        Mark::Fine("device_authentication_failed"),
        entry(
            "entra_device_required",
            Administrator,
            "A policy of the tenant demands a registered device, which a server is not.",
            "",
            "An administrator excludes this app registration, or the account that signs in, from that Conditional Access policy. {log} {kept}",
        ),
    ),
    (
        Mark::Fine("client_mismatch"),
        entry(
            "oauth_application_wrong",
            Administrator,
            "The sign-in of {provider} belongs to another application.",
            "The application id was changed after the sign-in.",
            "Put the application id of the sign-in back, or sign in again with the new one.",
        ),
    ),
    (
        Mark::Word("invalid_client"),
        entry(
            "oauth_client_secret_refused",
            Administrator,
            "The identity platform does not accept the client secret or certificate of {provider}.",
            "",
            "Enter the secret's Value (not its Secret ID) with Update Client Secret of the cloud provider; where it has a certificate, \
             upload this very one to the app registration. Nobody has to sign in again.",
        ),
    ),
    (
        Mark::Word("interaction_required"),
        entry(
            "sign_in_interaction",
            SignInAgain,
            "The identity platform wants to see the person who signed in.",
            "",
            "{sign_in}",
        ),
    ),
    (
        Mark::Word("login_required"),
        entry(
            "sign_in_interaction",
            SignInAgain,
            "The identity platform wants to see the person who signed in.",
            "",
            "{sign_in}",
        ),
    ),
    (
        Mark::Word("consent_required"),
        entry(
            "sign_in_consent",
            SignInAgain,
            "A permission that mail needs has not been granted.",
            "",
            "{sign_in} Accept the permissions; if only an administrator may, they grant them in the Entra portal, Enterprise applications, Permissions.",
        ),
    ),
    (
        Mark::Word("access_denied"),
        entry(
            "sign_in_declined",
            SignInAgain,
            "The sign-in was declined.",
            "The person said no, or went back from a page that asks for an administrator's approval, or is not assigned to the application.",
            "Sign in again and accept. If the page asks for an administrator's approval, one grants it in the Entra portal, Enterprise \
             applications, Permissions, or approves the request.",
        ),
    ),
    (
        Mark::Word("unauthorized_client"),
        entry(
            "oauth_application_refused",
            Administrator,
            "The identity platform does not let this application do that.",
            "The application is unknown, disabled, or of another account type.",
            "Check application id, tenant id and account types of the app registration. {kept}",
        ),
    ),
    (
        Mark::Word("invalid_scope"),
        entry(
            "oauth_scope_wrong",
            Administrator,
            "The identity platform does not know a permission that was asked for.",
            "",
            "Check the scope host of the cloud provider, and the API permissions of the app registration. {kept}",
        ),
    ),
    (
        Mark::Word("invalid_resource"),
        entry(
            "oauth_resource_missing",
            Administrator,
            "The identity platform does not know the mail service that was asked for.",
            "",
            "Check the scope host and the cloud of the cloud provider, and that the tenant has Exchange Online. {kept}",
        ),
    ),
    (
        Mark::Word("invalid_request"),
        entry(
            "oauth_request_malformed",
            Administrator,
            "The identity platform does not understand the request.",
            "A proxy changed it, or this program made a mistake.",
            "Check XC_EMAIL_HTTPS_PROXY and the authority of the cloud provider. {report}",
        ),
    ),
    (
        Mark::Word("unsupported_grant_type"),
        entry(
            "oauth_request_malformed",
            Administrator,
            "The identity platform does not understand the request.",
            "A proxy changed it, or this program made a mistake.",
            "Check XC_EMAIL_HTTPS_PROXY and the authority of the cloud provider. {report}",
        ),
    ),
    (
        Mark::Word("unsupported_response_type"),
        entry(
            "oauth_request_malformed",
            Administrator,
            "The identity platform does not understand the request.",
            "The app registration does not allow it, or this program made a mistake.",
            "Check that the redirect URI of the app registration is of platform Web. {report}",
        ),
    ),
    (
        Mark::Word("temporarily_unavailable"),
        entry(
            "oauth_unavailable",
            Retry,
            "The identity platform is not well.",
            "",
            "{itself} Mail goes on while the present access token lives.",
        ),
    ),
    (
        Mark::Word("server_error"),
        entry(
            "oauth_unavailable",
            Retry,
            "The identity platform is not well.",
            "",
            "{itself} Mail goes on while the present access token lives.",
        ),
    ),
    (
        Mark::Word("authorization_pending"),
        entry(
            "sign_in_pending",
            Retry,
            "The person has not finished the sign-in yet.",
            "",
            "They enter the code on the page that was named; it is asked for again by itself.",
        ),
    ),
    (
        Mark::Word("slow_down"),
        entry(
            "oauth_slow_down",
            HoldUntil,
            "The identity platform asks to be asked less often.",
            "",
            "{itself}",
        ),
    ),
    (
        Mark::Word("expired_token"),
        entry(
            "sign_in_code_expired",
            SignInAgain,
            "The code was not entered in time.",
            "",
            "Begin the sign-in again and enter the new code within the time that is shown.",
        ),
    ),
    (
        Mark::Word("authorization_declined"),
        entry(
            "sign_in_declined",
            SignInAgain,
            "The sign-in was declined.",
            "The person said no on the page where the code is entered.",
            "Sign in again and accept. If only an administrator may accept, one grants it in the Entra portal, Enterprise \
             applications, Permissions.",
        ),
    ),
    (
        Mark::Word("bad_verification_code"),
        entry(
            "sign_in_code_wrong",
            SignInAgain,
            "The identity platform does not know the code of this sign-in.",
            "",
            "Begin the sign-in again.",
        ),
    ),
];
