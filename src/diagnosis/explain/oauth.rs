//! What identity platforms say (RFC 6749 §5.2; Entra's AADSTS numbers).

use super::words::{Words, ids, ids_in, quote};
use crate::{
    diagnosis::{
        Context, LOST_ANSWER,
        catalogue::{self, REFUSED, Spoken, fill},
    },
    model::{Action, FailureClass},
    oauth::{OauthError, Reach, Refusal, entra},
};

pub(super) fn words(error: &OauthError, context: &Context) -> Words {
    match error {
        OauthError::Refused(refusal) => refused(refusal, error, context),
        OauthError::Configuration { field, detail } => Words::new(
            "oauth_configuration",
            format!("The cloud provider's {field} cannot be used."),
            quote(detail),
            format!("Open the cloud provider and correct the {field}."),
        ),
        OauthError::Throttled { .. } => Words::new(
            "oauth_throttled",
            "The identity platform asks to slow down.",
            "It answered 429 Too Many Requests.",
            "Nothing: it is asked again when the time it named is over.",
        ),
        OauthError::Unavailable { status, .. } => Words::new(
            "oauth_unavailable",
            "The identity platform is not well.",
            format!("It answered {status}."),
            "Nothing: it is asked again by itself. Mail goes on while the present access token lives.",
        ),
        OauthError::Unreachable {
            reach: Reach::Certificate,
            detail,
        } => Words::new(
            "oauth_certificate",
            "The identity platform's certificate is not trusted.",
            quote(detail),
            "Usually a proxy inspects TLS: install its issuer on this machine or name a bundle in XC_EMAIL_CA_FILE.",
        ),
        OauthError::Unreachable {
            reach: Reach::Proxy,
            detail,
        } => Words::new(
            "oauth_proxy",
            "The proxy opened no way to the identity platform.",
            quote(detail),
            "Check the proxy's address and login (the provider's own: motion-email provider edit; the daemon's: XC_EMAIL_HTTPS_PROXY), that it runs, and that it lets this machine through to the platform's port 443.",
        ),
        OauthError::Unreachable { detail, .. } => Words::new(
            "oauth_unreachable",
            "The identity platform cannot be reached.",
            quote(detail),
            "Check that this machine may connect to it (firewall, XC_EMAIL_HTTPS_PROXY, the provider's own proxy) and resolves its name.",
        ),
        OauthError::Nonsense { what, .. } => Words::new(
            "oauth_nonsense",
            "The identity platform's answer cannot be used.",
            quote(what),
            "Usually a proxy answered in its place: check XC_EMAIL_HTTPS_PROXY, the provider's own proxy and its authority.",
        ),
    }
}

fn refused(refusal: &Refusal, error: &OauthError, context: &Context) -> Words {
    let said = match refusal.description.as_str() {
        "" => &refusal.error,
        description => description,
    };
    let (trace, correlation) = ids_in(&refusal.description);
    let why = quote(said)
        + &ids(
            refusal.trace_id.as_deref().or(trace.as_deref()),
            refusal.correlation_id.as_deref().or(correlation.as_deref()),
        );
    let from_text;
    let numbers = if refusal.codes.is_empty() {
        from_text = entra::numbers_in(&refusal.description);
        &from_text
    } else {
        &refusal.codes
    };
    let spoken = Spoken {
        error: &refusal.error,
        description: &refusal.description,
        numbers,
        fine: refusal.suberror.as_deref(),
    };
    match catalogue::oauth(spoken) {
        Some(entry) => Words::known(entry, context, &why),
        None if error.needs_sign_in() => asks_for_sign_in(why, context),
        None => unknown(error.class(), why, context),
    }
}

/// The grant is refused; of the refusal only the text was kept.
pub(super) fn sign_in_needed(reason: &str, context: &Context) -> Words {
    let (trace, correlation) = ids_in(reason);
    let why = quote(reason) + &ids(trace.as_deref(), correlation.as_deref());
    // What the platform says of the older token is not why there is no newer one.
    if reason.starts_with(LOST_ANSWER) {
        return asks_for_sign_in(why, context);
    }
    let numbers = entra::numbers_in(reason);
    let error = reason
        .split_once("refused with ")
        .and_then(|(_, rest)| rest.split_once(':'))
        .map_or("", |(error, _)| error);
    let (error, fine) = match error
        .strip_suffix(')')
        .and_then(|word| word.split_once(" ("))
    {
        Some((error, fine)) => (error, Some(fine)),
        None => (error, None),
    };
    let spoken = Spoken {
        error,
        description: reason,
        numbers: &numbers,
        fine,
    };
    match catalogue::oauth(spoken) {
        Some(entry) if entry.action == Action::SignInAgain => Words::known(entry, context, &why),
        _ => asks_for_sign_in(why, context),
    }
}

fn asks_for_sign_in(why: String, context: &Context) -> Words {
    if context.application {
        return Words::known(&REFUSED, context, &why);
    }
    Words::new(
        "sign_in_needed",
        fill(
            "The identity platform no longer accepts the sign-in of {provider}.",
            context,
        ),
        why,
        fill("{sign_in}", context),
    )
    .by(Action::SignInAgain)
}

/// A word or number that is not known: what to do follows from the class, which follows from the status.
fn unknown(class: FailureClass, why: String, context: &Context) -> Words {
    let (what, next) = match class {
        FailureClass::RetryLater | FailureClass::HoldFor(_) => (
            "The identity platform gives no token at the moment.",
            "{itself} If it lasts, look its words up at https://login.microsoftonline.com/error. {log}",
        ),
        FailureClass::OperatorMustAct | FailureClass::GiveUp => (
            "The identity platform refuses {provider}.",
            "Check application id, tenant id and permissions of the app registration; look the number up at \
             https://login.microsoftonline.com/error. {log} {kept}",
        ),
    };
    Words::new(
        "oauth_refused",
        fill(what, context),
        why,
        fill(next, context),
    )
}
