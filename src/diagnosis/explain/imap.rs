//! What IMAP servers say (RFC 5530; Exchange Online and Gmail in their own words).

use super::{
    dial,
    words::{UNGREETED, Words, chain, quote},
};
use crate::{
    diagnosis::{Context, catalogue},
    imap::{ImapError, Step},
    model::FailureClass,
};

pub(super) fn words(error: &ImapError, context: &Context) -> Words {
    let server = context.server();
    match error {
        ImapError::Dial(error) => dial::words(error, context),
        ImapError::AuthenticationRefused {
            code,
            text,
            challenge_json,
        } => {
            let mut why = quote(&spoken(code.as_deref(), text));
            if let Some(json) = challenge_json {
                why.push_str(&format!(" (challenge {})", quote(json)));
            }
            let by_token = Some(context.provider.is_some());
            known(code.as_deref(), text, by_token, &why, context)
                .unwrap_or_else(|| refused(error, why, context))
        }
        ImapError::Refused { code, text, .. } | ImapError::Bye { code, text, .. } => {
            let why = quote(&spoken(code.as_deref(), text));
            known(code.as_deref(), text, None, &why, context)
                .unwrap_or_else(|| refused(error, why, context))
        }
        // Exchange Online says so without a star, too.
        ImapError::Nonsense { line, .. } if line.contains("Server Unavailable") => {
            let why = quote(line);
            known(None, line, None, &why, context).unwrap_or_else(|| refused(error, why, context))
        }
        ImapError::Broken { .. } => Words::new(
            "imap_line_broken",
            format!("The connection to {server} broke."),
            quote(&chain(error)),
            "Nothing: it is connected again by itself. If it happens often, look at the network between.",
        ),
        ImapError::TimedOut {
            during: Step::Greeting,
        } => Words::new(
            "imap_silent",
            format!("{server} took the connection and did not greet in time."),
            UNGREETED,
            "It is connected again by itself. If it stays, check port and TLS mode in the account: 993 speaks TLS at once, \
             143 uses STARTTLS.",
        ),
        ImapError::TimedOut { during } => Words::new(
            "imap_silent",
            format!("{server} did not answer in time during {during}."),
            "The server is overloaded, or the network between swallows packets.",
            "Nothing: it is connected again by itself. If it happens often, look at the network between.",
        ),
        ImapError::Nonsense { line, .. } => Words::new(
            "imap_nonsense",
            format!("{server} sent what is not IMAP."),
            quote(line),
            "Check host and port of the account. If they are right, report this with the log lines around it.",
        ),
        ImapError::Limit { what, .. } => Words::new(
            "imap_limit",
            format!("{server} sent more than is allowed."),
            quote(&what.to_string()),
            "It is tried again by itself. If it stays, report this with the log lines around it.",
        ),
        ImapError::Unsupported { what, .. } => Words::new(
            "imap_unsupported",
            format!("{server} cannot do what the account needs."),
            quote(what),
            "Change the account's TLS mode or authentication to what the server offers. Nothing secret was sent.",
        ),
    }
}

/// Response code and text as the server sent them.
fn spoken(code: Option<&str>, text: &str) -> String {
    match code {
        Some(code) => format!("[{code}] {text}"),
        None => text.to_owned(),
    }
}

fn known(
    code: Option<&str>,
    text: &str,
    login: Option<bool>,
    why: &str,
    context: &Context,
) -> Option<Words> {
    let entry = catalogue::imap(code, text, login)?;
    Some(Words::known(entry, context, why))
}

/// Words that are not known: what to do follows from the class.
fn refused(error: &ImapError, why: String, context: &Context) -> Words {
    let (server, user) = (context.server(), context.user());
    match error {
        ImapError::Refused {
            during: Step::Select,
            ..
        } => Words::new(
            "imap_mailbox_refused",
            format!("{server} does not open the folder of {user}."),
            why,
            "Check that the folder exists and that the user who logs in may read it.",
        ),
        ImapError::Bye { .. } => Words::new(
            "imap_bye",
            format!("{server} ended the connection."),
            why,
            "Nothing: it is connected again by itself.",
        ),
        _ => Words::new(
            "imap_refused",
            format!("{server} refused a command."),
            why,
            match error.class() {
                FailureClass::OperatorMustAct | FailureClass::GiveUp => {
                    "Show the server's words to its administrator. It is tried now and then by itself."
                }
                FailureClass::RetryLater | FailureClass::HoldFor(_) => {
                    "It is tried again by itself. If it stays, show the server's words to its administrator."
                }
            },
        ),
    }
}
