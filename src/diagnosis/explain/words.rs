//! The parts of a diagnosis, and how a peer's words get into it.

use std::error::Error;

use crate::{
    diagnosis::{
        Context,
        catalogue::{Entry, fill, own_access, shared_access},
    },
    model::Action,
};

/// A peer's words are cut here.
const LONGEST_QUOTE: usize = 400;

/// Why a server that was reached may say nothing.
pub(super) const UNGREETED: &str = "A port that speaks TLS at once waits for the other side and never greets; an overloaded \
                                    server, or a firewall between, does the same.";

/// A diagnosis without its class.
pub(super) struct Words {
    pub(super) code: &'static str,
    pub(super) what: String,
    pub(super) why: String,
    pub(super) next: String,
    /// Who acts, where it is said more finely than by the class.
    pub(super) action: Option<Action>,
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
            action: None,
        }
    }

    /// A row of the catalogue for this context, with the peer's own words behind its reason.
    pub(super) fn known(entry: &Entry, context: &Context, quoted: &str) -> Self {
        let own = if context.application {
            own_access(entry)
        } else {
            shared_access(entry, context)
        };
        let entry = own.unwrap_or(entry);
        let why = match entry.why {
            "" => quoted.to_owned(),
            why => format!("{} Its words: {quoted}", fill(why, context)),
        };
        Self {
            code: entry.code,
            what: fill(entry.what, context),
            why,
            next: fill(entry.next, context),
            action: Some(entry.action),
        }
    }

    pub(super) fn by(self, action: Action) -> Self {
        Self {
            action: Some(action),
            ..self
        }
    }
}

/// A peer's own words: control characters replaced, shortened, in single quotes (log lines put double ones around a field).
pub(in crate::diagnosis) fn quote(text: &str) -> String {
    let clean: String = text
        .trim()
        .chars()
        .map(|c| if is_disturbing(c) { ' ' } else { c })
        .take(LONGEST_QUOTE)
        .collect();
    if clean.is_empty() {
        "No reason was given.".to_owned()
    } else {
        format!("'{clean}'")
    }
}

/// A character that could draw on the reader's screen.
pub(in crate::diagnosis) fn is_disturbing(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
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

/// What Microsoft's support asks for, from where it stands in a text (`Trace ID: … Correlation ID: …`).
pub(super) fn ids_in(text: &str) -> (Option<String>, Option<String>) {
    let id = |name: &str| {
        let (_, rest) = text.split_once(name)?;
        let id: String = rest
            .trim_start()
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '-')
            .take(64)
            .collect();
        (!id.is_empty()).then_some(id)
    };
    (id("Trace ID:"), id("Correlation ID:"))
}

/// The ids as they stand behind a quotation; nothing where there are none.
pub(super) fn ids(trace: Option<&str>, correlation: Option<&str>) -> String {
    let named = [("trace", trace), ("correlation", correlation)];
    let shown: Vec<String> = named
        .iter()
        .filter_map(|(name, id)| {
            let id: String = id
                .as_ref()?
                .chars()
                .filter(|c| !c.is_control())
                .take(64)
                .collect();
            Some(format!("{name} {id}"))
        })
        .collect();
    if shown.is_empty() {
        String::new()
    } else {
        format!(" ({})", shown.join(", "))
    }
}

impl Context {
    /// "Account SUPP1", or "The account".
    pub(in crate::diagnosis) fn account(&self) -> String {
        self.account
            .as_ref()
            .map_or_else(|| "The account".to_owned(), |key| format!("Account {key}"))
    }

    /// The server as host and port, or "the server".
    pub(in crate::diagnosis) fn server(&self) -> &str {
        self.server.as_deref().unwrap_or("the server")
    }

    /// The login name, or "this user".
    pub(in crate::diagnosis) fn user(&self) -> &str {
        self.user.as_deref().unwrap_or("this user")
    }

    /// The mailbox address, or "the mailbox".
    pub(in crate::diagnosis) fn mailbox(&self) -> &str {
        self.mailbox.as_deref().unwrap_or("the mailbox")
    }
}
