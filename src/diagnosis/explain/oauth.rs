//! What identity platforms say (RFC 6749 §5.2; Entra's AADSTS numbers).

use super::words::{Words, quote};
use crate::{
    diagnosis::Context,
    oauth::{OauthError, Reach, Refusal},
};

pub(super) fn words(error: &OauthError, _context: &Context) -> Words {
    match error {
        OauthError::Refused(refusal) => refused(refusal, error.needs_sign_in()),
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
        OauthError::Unreachable { detail, .. } => Words::new(
            "oauth_unreachable",
            "The identity platform cannot be reached.",
            quote(detail),
            "Check that this machine may connect to it (firewall, XC_EMAIL_HTTPS_PROXY) and resolves its name.",
        ),
        OauthError::Nonsense { what, .. } => Words::new(
            "oauth_nonsense",
            "The identity platform's answer cannot be used.",
            quote(what),
            "Usually a proxy answered in its place: check XC_EMAIL_HTTPS_PROXY and the provider's authority.",
        ),
    }
}

fn refused(refusal: &Refusal, sign_in: bool) -> Words {
    let mut why = quote(if refusal.description.is_empty() {
        &refusal.error
    } else {
        &refusal.description
    });
    if let Some(trace) = &refusal.trace_id {
        why.push_str(&format!(" (trace {trace})"));
    }
    let has = |code: u32| refusal.codes.contains(&code);
    if has(7_000_222) {
        return Words::new(
            "oauth_client_secret_expired",
            "The client secret of the cloud provider has expired.",
            why,
            "In the Entra portal, App registrations, Certificates & secrets: make a new client secret and copy its Value; \
             then use Update Client Secret of the cloud provider. Nobody has to sign in again.",
        );
    }
    if has(7_000_215) || refusal.error == "invalid_client" {
        return Words::new(
            "oauth_client_secret_refused",
            "The identity platform does not accept the client secret of the cloud provider.",
            why,
            "Enter the secret's Value (not its Secret ID) with Update Client Secret of the cloud provider. \
             Nobody has to sign in again.",
        );
    }
    if sign_in {
        return Words::new(
            "sign_in_needed",
            "The identity platform no longer accepts the sign-in of the cloud provider.",
            why,
            "Sign in again: open the cloud provider and use Authenticate (motion-email provider authenticate ID). \
             Mail waits meanwhile; nothing is lost.",
        );
    }
    Words::new(
        "oauth_refused",
        "The identity platform refuses the cloud provider.",
        why,
        "Check application id, tenant id and permissions of the app registration; an administrator of the tenant can see \
         the reason in the sign-in log under the trace id.",
    )
}
