//! Why a conversation with an IMAP server failed.

use std::{fmt, io};

use super::quirks;
use crate::{
    model::FailureClass,
    net::{DialError, guard::GuardError},
};

/// What was being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Waiting for the greeting.
    Greeting,
    /// Asking for capabilities.
    Capability,
    /// Turning to TLS.
    StartTls,
    /// Logging in.
    Login,
    /// Opening a mailbox.
    Select,
    /// Listing UIDs.
    List,
    /// Fetching bodies.
    Fetch,
    /// Keeping the line alive.
    Noop,
    /// Waiting for the server's word.
    Idle,
    /// Taking leave.
    Logout,
}

impl Step {
    /// The word for log lines and diagnoses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Greeting => "greeting",
            Self::Capability => "capability",
            Self::StartTls => "starttls",
            Self::Login => "login",
            Self::Select => "select",
            Self::List => "list",
            Self::Fetch => "fetch",
            Self::Noop => "noop",
            Self::Idle => "idle",
            Self::Logout => "logout",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A conversation with an IMAP server failed.
#[derive(Debug, thiserror::Error)]
pub enum ImapError {
    /// The server was not reached.
    #[error("cannot reach the imap server")]
    Dial(#[from] DialError),
    /// The server said NO or BAD.
    #[error("the server refused {during}: {text}")]
    Refused {
        /// What was being done.
        during: Step,
        /// Response code without brackets and arguments, in upper case.
        code: Option<String>,
        /// The server's words, at most 500 characters.
        text: String,
    },
    /// The login was refused.
    #[error("the server refused the login: {text}")]
    AuthenticationRefused {
        /// What XOAUTH2 servers send as a challenge before they refuse.
        challenge_json: Option<String>,
        /// Response code, as in `Refused`.
        code: Option<String>,
        /// The server's words.
        text: String,
    },
    /// The server said BYE.
    #[error("the server ended the connection during {during}: {text}")]
    Bye {
        /// What was being done.
        during: Step,
        /// Response code, as in `Refused`.
        code: Option<String>,
        /// The server's words.
        text: String,
    },
    /// The line broke, or the server hung up.
    #[error("the line broke during {during}")]
    Broken {
        /// What was being done.
        during: Step,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The server sent what is no IMAP.
    #[error("the server talked nonsense during {during}: {line}")]
    Nonsense {
        /// What was being done.
        during: Step,
        /// What it sent or what is wrong with it, at most 200 characters.
        line: String,
    },
    /// No answer in time.
    #[error("no answer in time during {during}")]
    TimedOut {
        /// What was being done.
        during: Step,
    },
    /// The server sent more than is allowed.
    #[error("the server sent too much during {during}: {what}")]
    Limit {
        /// What was being done.
        during: Step,
        /// Which bound.
        what: GuardError,
    },
    /// The server cannot do, or the settings cannot express, what is needed; nothing secret was sent.
    #[error("{during} is not possible: {what}")]
    Unsupported {
        /// What was being done.
        during: Step,
        /// What is missing.
        what: &'static str,
    },
}

impl ImapError {
    /// Who acts next.
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Dial(error) => error.class(),
            Self::Refused { code, text, during } => {
                refusal(code.as_deref(), text).unwrap_or(match during {
                    _ if quirks::is_not_connected(text) => FailureClass::OperatorMustAct,
                    Step::Select if is_missing(code.as_deref(), text) => {
                        FailureClass::OperatorMustAct
                    }
                    _ => FailureClass::RetryLater,
                })
            }
            Self::AuthenticationRefused { code, text, .. } => {
                refusal(code.as_deref(), text).unwrap_or(FailureClass::OperatorMustAct)
            }
            Self::Bye { code, text, .. } => match refusal(code.as_deref(), text) {
                Some(hold @ FailureClass::HoldFor(_)) => hold,
                _ => FailureClass::RetryLater,
            },
            Self::Unsupported { .. } => FailureClass::OperatorMustAct,
            Self::Broken { .. }
            | Self::Nonsense { .. }
            | Self::TimedOut { .. }
            | Self::Limit { .. } => FailureClass::RetryLater,
        }
    }

    /// The connection ended as connections do: a session's time is over, a token has expired, the
    /// server restarts, a line is cut. Connecting again is the answer, and nobody needs to know.
    pub fn is_goodbye(&self) -> bool {
        match self {
            Self::Bye { .. } | Self::Broken { .. } => self.class() == FailureClass::RetryLater,
            // Exchange Online says it in the answer to a command too.
            Self::Refused { text, .. } => quirks::is_token_expired(text),
            _ => false,
        }
    }

    /// A server refused the access token it was shown, for whatever reason: a fresh one may help.
    pub fn is_token_refused(&self) -> bool {
        match self {
            Self::AuthenticationRefused { text, .. } => {
                self.class() == FailureClass::OperatorMustAct || quirks::is_token_expired(text)
            }
            _ => false,
        }
    }
}

/// What the response code or the words of a refusal say for certain (RFC 5530).
fn refusal(code: Option<&str>, text: &str) -> Option<FailureClass> {
    if let Some(class) = quirks::by_words(text) {
        return Some(class);
    }
    match code {
        Some("UNAVAILABLE" | "INUSE" | "SERVERBUG") => Some(FailureClass::RetryLater),
        Some("LIMIT" | "THROTTLED") => Some(FailureClass::HoldFor(quirks::LIMIT_HOLD)),
        Some("OVERQUOTA") => Some(FailureClass::HoldFor(quirks::BANDWIDTH_HOLD)),
        Some(
            "AUTHENTICATIONFAILED"
            | "AUTHORIZATIONFAILED"
            | "EXPIRED"
            | "PRIVACYREQUIRED"
            | "CONTACTADMIN"
            | "NOPERM"
            | "WEBALERT",
        ) => Some(FailureClass::OperatorMustAct),
        _ => None,
    }
}

fn is_missing(code: Option<&str>, text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    code == Some("NONEXISTENT") || text.contains("doesn't exist") || text.contains("does not exist")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_class_follows_code_words_and_step() {
        let refused = |during, code: Option<&str>, text: &str| {
            ImapError::Refused {
                during,
                code: code.map(str::to_owned),
                text: text.to_owned(),
            }
            .class()
        };
        let login = |code: Option<&str>, text: &str| {
            ImapError::AuthenticationRefused {
                challenge_json: None,
                code: code.map(str::to_owned),
                text: text.to_owned(),
            }
            .class()
        };
        use FailureClass::{HoldFor, OperatorMustAct, RetryLater};
        let hold = HoldFor(Duration::from_millis(299_910));
        let throttled = "Request is throttled. Suggested Backoff Time: 299910 milliseconds";
        assert_eq!(refused(Step::Fetch, None, throttled), hold);
        assert_eq!(
            refused(
                Step::Select,
                None,
                "User is authenticated but not connected."
            ),
            OperatorMustAct
        );
        assert_eq!(
            refused(Step::Select, Some("NONEXISTENT"), "Unknown"),
            OperatorMustAct
        );
        assert_eq!(refused(Step::Select, Some("NOPERM"), "no"), OperatorMustAct);
        assert_eq!(
            refused(Step::Select, None, "Server Unavailable. 15"),
            RetryLater
        );
        assert_eq!(login(None, "AUTHENTICATE failed."), OperatorMustAct);
        assert_eq!(
            login(Some("AUTHENTICATIONFAILED"), "Invalid credentials"),
            OperatorMustAct
        );
        assert_eq!(
            login(Some("UNAVAILABLE"), "Temporary System Error"),
            RetryLater
        );
        assert_eq!(
            login(
                Some("ALERT"),
                "Too many simultaneous connections. (Failure)"
            ),
            RetryLater
        );
        let bye = |text: &str| ImapError::Bye {
            during: Step::Idle,
            code: None,
            text: text.to_owned(),
        };
        assert!(bye("Session invalidated - AccessTokenExpired").is_goodbye());
        assert!(!bye(throttled).is_goodbye());
        let expired = ImapError::Refused {
            during: Step::Fetch,
            code: Some("AUTHENTICATIONFAILED".to_owned()),
            text: "Session invalidated - AccessTokenExpired".to_owned(),
        };
        assert!(expired.is_goodbye() && expired.class() == RetryLater);
        assert_eq!(bye(throttled).class(), hold);
    }
}
