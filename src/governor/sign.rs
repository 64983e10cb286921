//! What the end of an opening, or the words of a server, say about whom. Pure: the words themselves are read
//! where each protocol is spoken.

use std::time::Duration;

use crate::{
    imap::{ImapError, Step, quirks},
    model::{FailureClass, HoldKind},
    net::{DialError, TlsKind},
    smtp::{Concern, Reply, SmtpError, Verb},
};

/// What an opening says about the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// It answers, whatever it answers.
    Well,
    /// It gave no answer that anybody could use; in these words.
    Ill(String),
    /// Nothing: it was not tried.
    Nothing,
}

/// What a server's words ask of others than who heard them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hint {
    /// A rest.
    Rest {
        /// Of whom.
        of: HoldKind,
        /// How long.
        time: Duration,
        /// The server's words.
        said: String,
    },
    /// No more connections of this login than there are.
    Crowded,
}

pub(super) fn of_imap(error: &ImapError) -> Sign {
    match error {
        ImapError::Dial(error) => of_dial(error),
        ImapError::Unsupported { .. } => Sign::Well,
        ImapError::Refused { text, .. } | ImapError::AuthenticationRefused { text, .. } => {
            let well = quirks::is_not_connected(text)
                || quirks::is_crowded(text)
                || quirks::is_token_expired(text)
                || error.class() != FailureClass::RetryLater;
            if well {
                Sign::Well
            } else {
                Sign::Ill(error.to_string())
            }
        }
        // Of one login: it was named before.
        ImapError::Bye { during, text, .. }
            if *during != Step::Greeting
                && (quirks::is_crowded(text) || holds(error).is_some()) =>
        {
            Sign::Well
        }
        ImapError::Bye { .. }
        | ImapError::Broken { .. }
        | ImapError::Nonsense { .. }
        | ImapError::TimedOut { .. }
        | ImapError::Limit { .. } => Sign::Ill(with_cause(error)),
    }
}

pub(super) fn of_smtp(error: &SmtpError) -> Sign {
    match error {
        SmtpError::Dial(error) => of_dial(error),
        SmtpError::Refused { .. } | SmtpError::AuthenticationRefused { .. } => {
            if error.class() == FailureClass::RetryLater {
                Sign::Ill(error.to_string())
            } else {
                Sign::Well
            }
        }
        SmtpError::AuthenticationNotOffered { .. }
        | SmtpError::StartTlsMissing
        | SmtpError::Injected
        | SmtpError::NotOffered { .. } => Sign::Well,
        SmtpError::UnusableCredential(_) | SmtpError::BadBody(_) => Sign::Nothing,
        SmtpError::Broken { .. }
        | SmtpError::TimedOut { .. }
        | SmtpError::Nonsense { .. }
        | SmtpError::Limit { .. } => Sign::Ill(with_cause(error)),
    }
}

fn of_dial(error: &DialError) -> Sign {
    match error {
        DialError::Forbidden { .. } | DialError::Authorities { .. } => Sign::Nothing,
        // It answers, with a certificate that this account does not take.
        DialError::Pin { .. } => Sign::Well,
        DialError::Tls { kind, .. } if *kind != TlsKind::Other => Sign::Well,
        DialError::Tls { .. }
        | DialError::Resolve { .. }
        | DialError::Connect { .. }
        | DialError::TimedOut { .. }
        | DialError::ProxyDial { .. }
        | DialError::ProxyRefused { .. }
        | DialError::ProxyNonsense { .. }
        | DialError::ProxyBroken { .. } => Sign::Ill(with_cause(error)),
    }
}

/// An IMAP server's words.
pub(super) fn hint_of_imap(error: &ImapError) -> Option<Hint> {
    let (ImapError::Refused { during, text, .. } | ImapError::Bye { during, text, .. }) = error
    else {
        return match error {
            ImapError::AuthenticationRefused { text, .. } => spoken(error, text),
            _ => None,
        };
    };
    // Before the login nobody is spoken of but this machine, and the pace and the circuit answer to that.
    (*during != Step::Greeting)
        .then(|| spoken(error, text))
        .flatten()
}

fn spoken(error: &ImapError, text: &str) -> Option<Hint> {
    // Exchange Online says the second to a mailbox with too many clients, too.
    if quirks::is_crowded(text) || quirks::is_not_connected(text) {
        return Some(Hint::Crowded);
    }
    // Exchange Online's budget is one of the user, whatever the protocol; others limit what was being done.
    let of = if quirks::suggested_backoff(text).is_some() {
        HoldKind::Mailbox
    } else {
        HoldKind::Login
    };
    holds(error).map(|time| Hint::Rest {
        of,
        time,
        said: text.to_owned(),
    })
}

fn holds(error: &ImapError) -> Option<Duration> {
    match error.class() {
        FailureClass::HoldFor(time) => Some(time),
        _ => None,
    }
}

/// An SMTP server's words.
pub(super) fn hint_of_smtp(error: &SmtpError) -> Option<Hint> {
    let (reply, FailureClass::HoldFor(time)) = (error.reply()?, error.class()) else {
        return None;
    };
    (error.concern() == Concern::Account).then(|| Hint::Rest {
        of: whom(error.during(), reply),
        time,
        said: reply.to_string(),
    })
}

fn whom(during: Option<Verb>, reply: &Reply) -> HoldKind {
    match reply.status() {
        // Exchange Online: suspicious traffic, or too much, from this machine's address.
        Some((7, 500..=699 | 850..=899)) => HoldKind::Host,
        // Exchange Online: the tenant's daily limits.
        Some((7, 232 | 233)) => HoldKind::Tenant,
        _ if matches!(during, Some(Verb::Greeting)) => HoldKind::Host,
        _ => HoldKind::Login,
    }
}

/// An error with its causes, bounded.
fn with_cause(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text.chars().take(300).collect()
}
