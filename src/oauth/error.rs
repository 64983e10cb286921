//! What can go wrong between us and a token endpoint, and who acts next.

use std::{borrow::Cow, time::Duration};

use crate::{logs::escape_to, model::FailureClass};

use super::entra::{self, Verdict};

/// Longest wait that a platform may ask of us.
const LONGEST_HOLD: Duration = Duration::from_secs(3600);
/// The wait when a platform throttles without saying for how long (what Microsoft's own library does).
const UNSAID_HOLD: Duration = Duration::from_secs(60);
/// Bytes kept of any text that a platform sent.
const TEXT_LIMIT: usize = 1024;

/// The field of a provider's certificate and its key, in an operator's words.
pub(super) const CERTIFICATE: &str = "certificate";

/// The platform's refusal in its own words (RFC 6749 §5.2, with Microsoft's additions).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status of the answer.
    pub status: u16,
    /// The `error` word, e.g. `invalid_grant`.
    pub error: String,
    /// The description, at most 1 KiB, control characters escaped; empty where there was none.
    pub description: String,
    /// Microsoft's numbers (AADSTS…), most specific first; empty elsewhere.
    pub codes: Vec<u32>,
    /// Microsoft's finer word, e.g. `bad_token`.
    pub suberror: Option<String>,
    /// What Microsoft's support asks for.
    pub trace_id: Option<String>,
    /// What Microsoft's support asks for, and by which a tenant's administrator finds the request in the
    /// sign-in log: the platform's own, or where it gave none the id that our request carried.
    pub correlation_id: Option<String>,
}

impl Refusal {
    /// The error code, and in brackets the finer one: a grant's reason is kept as text, and read again from it.
    fn word(&self) -> Cow<'_, str> {
        match self.suberror.as_deref() {
            None | Some("") => Cow::Borrowed(&self.error),
            Some(fine) => Cow::Owned(format!("{} ({fine})", self.error)),
        }
    }
}

/// How far we got towards a platform that gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The name did not resolve.
    Name,
    /// No connection (refused, no route).
    Connect,
    /// The proxy that leads there refused, was not reached, or is none.
    Proxy,
    /// The certificate is not one we trust, or not for this name: often a proxy that inspects TLS.
    Certificate,
    /// No complete answer within the configured time.
    TimedOut,
    /// The line broke before the answer was complete.
    Broken,
}

impl Reach {
    fn as_str(self) -> &'static str {
        match self {
            Self::Name => "its name does not resolve",
            Self::Connect => "no connection",
            Self::Proxy => "the proxy opened no way to it",
            Self::Certificate => "its certificate is not trusted",
            Self::TimedOut => "no answer in time",
            Self::Broken => "the line broke",
        }
    }
}

/// Why there are no tokens. Cloneable, so that everybody who waits for one request learns its outcome.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OauthError {
    /// What an administrator entered cannot be used; no request was made.
    #[error("the cloud provider's {field} cannot be used: {detail}")]
    Configuration {
        /// The field, in an operator's words.
        field: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// The platform understood and refused.
    #[error("the identity platform refused with {}: {}", .0.word(), .0.description)]
    Refused(Box<Refusal>),
    /// The platform asks us to slow down (HTTP 429).
    #[error("the identity platform asks to slow down")]
    Throttled {
        /// For how long, if it said so; at most an hour.
        retry_after: Option<Duration>,
    },
    /// The platform answered that it is not well (HTTP 5xx, 408).
    #[error("the identity platform answered {status}")]
    Unavailable {
        /// HTTP status.
        status: u16,
        /// For how long to stay away, if it said so; at most an hour.
        retry_after: Option<Duration>,
    },
    /// There was no answer.
    #[error("the identity platform cannot be reached: {}: {detail}", .reach.as_str())]
    Unreachable {
        /// How far we got.
        reach: Reach,
        /// The system's words.
        detail: String,
    },
    /// An answer that is no token answer (a proxy's page, a redirect, a token with line ends, too long).
    /// Nothing of its body is kept.
    #[error("the identity platform's answer (status {status}) is unusable: {what}")]
    Nonsense {
        /// HTTP status.
        status: u16,
        /// What is wrong with it.
        what: String,
    },
}

impl OauthError {
    /// Who acts next. `OperatorMustAct` covers both a new sign-in and an administrator's change;
    /// [`OauthError::needs_sign_in`] tells them apart.
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Configuration { .. } => FailureClass::OperatorMustAct,
            Self::Refused(refusal) => match entra::verdict(refusal) {
                Verdict::SignIn | Verdict::Administrator => FailureClass::OperatorMustAct,
                Verdict::Retry => FailureClass::RetryLater,
                Verdict::Hold(time) => FailureClass::HoldFor(time),
            },
            Self::Throttled { retry_after } => {
                FailureClass::HoldFor(retry_after.unwrap_or(UNSAID_HOLD).min(LONGEST_HOLD))
            }
            Self::Unavailable { retry_after, .. } => match retry_after {
                Some(time) => FailureClass::HoldFor((*time).min(LONGEST_HOLD)),
                None => FailureClass::RetryLater,
            },
            Self::Unreachable { reach, .. } => match reach {
                Reach::Certificate => FailureClass::OperatorMustAct,
                Reach::Name | Reach::Connect | Reach::Proxy | Reach::TimedOut | Reach::Broken => {
                    FailureClass::RetryLater
                }
            },
            Self::Nonsense { .. } => FailureClass::RetryLater,
        }
    }

    /// Whether what the application proves itself with is at fault, so that another credential (the second
    /// secret, the certificate) may help. The grant itself is not judged by such a refusal.
    ///
    /// By Microsoft's numbers where they are known, else by the word `invalid_client` (RFC 6749 §5.2); also
    /// a certificate that cannot be used at all.
    pub fn refuses_client(&self) -> bool {
        match self {
            Self::Refused(refusal) => entra::refuses_client(refusal),
            Self::Configuration { field, .. } => *field == CERTIFICATE,
            Self::Throttled { .. }
            | Self::Unavailable { .. }
            | Self::Unreachable { .. }
            | Self::Nonsense { .. } => false,
        }
    }

    /// Whether only a person who signs in again can help.
    pub fn needs_sign_in(&self) -> bool {
        matches!(self, Self::Refused(refusal) if entra::verdict(refusal) == Verdict::SignIn)
    }
}

/// An answer that is no token answer.
pub(super) fn nonsense(status: u16, what: &str) -> OauthError {
    OauthError::Nonsense {
        status,
        what: what.to_owned(),
    }
}

/// Text from a peer, made safe to show and at most 1 KiB long.
pub(super) fn clean(text: &str) -> String {
    escape_to(text.trim(), TEXT_LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_failure_says_who_acts_next() {
        let check =
            |error: OauthError, class: FailureClass| assert_eq!(error.class(), class, "{error}");
        let seconds = Duration::from_secs;
        check(
            OauthError::Throttled { retry_after: None },
            FailureClass::HoldFor(seconds(60)),
        );
        check(
            OauthError::Throttled {
                retry_after: Some(seconds(1_000_000)),
            },
            FailureClass::HoldFor(LONGEST_HOLD),
        );
        check(
            OauthError::Unavailable {
                status: 503,
                retry_after: None,
            },
            FailureClass::RetryLater,
        );
        check(
            OauthError::Unavailable {
                status: 503,
                retry_after: Some(seconds(7)),
            },
            FailureClass::HoldFor(seconds(7)),
        );
        for (reach, class) in [
            (Reach::Name, FailureClass::RetryLater),
            (Reach::Connect, FailureClass::RetryLater),
            (Reach::TimedOut, FailureClass::RetryLater),
            (Reach::Broken, FailureClass::RetryLater),
            (Reach::Certificate, FailureClass::OperatorMustAct),
        ] {
            let detail = String::new();
            check(OauthError::Unreachable { reach, detail }, class);
        }
        check(
            OauthError::Nonsense {
                status: 200,
                what: "a page".into(),
            },
            FailureClass::RetryLater,
        );
    }
}
