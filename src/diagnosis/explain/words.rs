//! The parts of a diagnosis, and how a peer's words get into it.

use std::error::Error;

use crate::diagnosis::Context;

/// A peer's words are cut here.
const LONGEST_QUOTE: usize = 400;

/// A diagnosis without its class.
pub(super) struct Words {
    pub(super) code: &'static str,
    pub(super) what: String,
    pub(super) why: String,
    pub(super) next: String,
}

impl Words {
    pub(super) fn new(
        code: &'static str,
        what: impl Into<String>,
        why: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self {
            code,
            what: what.into(),
            why: why.into(),
            next: next.into(),
        }
    }
}

/// A peer's own words: control characters replaced, shortened, in single quotes (log lines put double ones around a field).
pub(super) fn quote(text: &str) -> String {
    let clean: String = text
        .trim()
        .chars()
        .map(|c| if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}') { ' ' } else { c })
        .take(LONGEST_QUOTE)
        .collect();
    if clean.is_empty() {
        "No reason was given.".to_owned()
    } else {
        format!("'{clean}'")
    }
}

/// An error and its sources, joined by colons.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

impl Context {
    /// "Account SUPP1", or "The account".
    pub(super) fn account(&self) -> String {
        self.account
            .as_ref()
            .map_or_else(|| "The account".to_owned(), |key| format!("Account {key}"))
    }

    /// The server as host and port, or "the server".
    pub(super) fn server(&self) -> &str {
        self.server.as_deref().unwrap_or("the server")
    }

    /// The login name, or "this user".
    pub(super) fn user(&self) -> &str {
        self.user.as_deref().unwrap_or("this user")
    }

    /// The mailbox address, or "the mailbox".
    pub(super) fn mailbox(&self) -> &str {
        self.mailbox.as_deref().unwrap_or("the mailbox")
    }
}
