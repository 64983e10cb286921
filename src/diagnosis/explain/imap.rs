//! What IMAP servers say (RFC 5530; Exchange Online and Gmail in their own words).

use super::{
    dial,
    words::{Words, chain, quote},
};
use crate::{
    diagnosis::Context,
    imap::{ImapError, Step},
};

pub(super) fn words(error: &ImapError, context: &Context) -> Words {
    let (server, user) = (context.server(), context.user());
    match error {
        ImapError::Dial(error) => dial::words(error, context),
        ImapError::AuthenticationRefused {
            text,
            challenge_json,
            ..
        } => {
            let why = match challenge_json {
                Some(json) => format!("{} (challenge {})", quote(text), quote(json)),
                None => quote(text),
            };
            login(context, why)
        }
        ImapError::Refused { text, .. } | ImapError::Bye { text, .. }
            if text.contains("authenticated but not connected") =>
        {
            not_connected(context, text)
        }
        ImapError::Refused { text, .. } | ImapError::Bye { text, .. }
            if text.contains("Suggested Backoff Time") =>
        {
            Words::new(
                "imap_throttled",
                format!("{server} asks to leave the mailbox alone for a while."),
                quote(text),
                "Nothing: work on this mailbox goes on when the time the server named is over. If it happens every day, \
             fewer programs should use this mailbox.",
            )
        }
        ImapError::Refused {
            during: Step::Select,
            text,
            ..
        } => Words::new(
            "imap_mailbox_refused",
            format!("{server} does not open the folder of {user}."),
            quote(text),
            "Check that the folder exists and that the user who logs in may read it.",
        ),
        ImapError::Refused { during, text, .. } => Words::new(
            "imap_refused",
            format!("{server} refused {during}."),
            quote(text),
            "It is tried again by itself. If it stays, show the server's words to its administrator.",
        ),
        ImapError::Bye { text, .. } => Words::new(
            "imap_bye",
            format!("{server} ended the connection."),
            quote(text),
            "Nothing: it is connected again by itself.",
        ),
        ImapError::Broken { .. } => Words::new(
            "imap_line_broken",
            format!("The connection to {server} broke."),
            quote(&chain(error)),
            "Nothing: it is connected again by itself. If it happens often, look at the network between.",
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

fn login(context: &Context, why: String) -> Words {
    let (server, user) = (context.server(), context.user());
    if context.provider.is_some() {
        Words::new(
            "imap_token_refused",
            format!("{server} does not accept the access token for {user}."),
            why,
            format!(
                "Check the spelling of the user name {user}; that IMAP is switched on for it \
                 (Set-CASMailbox -Identity {user} -ImapEnabled $true); that the person who signed in has full access to it \
                 (Add-MailboxPermission {user} -User DELEGATE -AccessRights FullAccess); and that the app registration has \
                 IMAP.AccessAsUser.All. Then sign in again."
            ),
        )
    } else {
        Words::new(
            "imap_password_refused",
            format!("{server} does not accept the password of {user}."),
            why,
            "Enter the right user name and password in the account. Gmail and Yahoo want an app password; \
             Exchange Online wants Modern Authentication.",
        )
    }
}

fn not_connected(context: &Context, text: &str) -> Words {
    let (mailbox, user) = (context.mailbox(), context.user());
    Words::new(
        "imap_authenticated_not_connected",
        format!("The sign-in is good, but {mailbox} does not open."),
        quote(text),
        format!(
            "Check, in this order: the spelling of {user}; that it has a licence with Exchange Online; that IMAP is switched on \
             (Set-CASMailbox -Identity {user} -ImapEnabled $true); for a shared mailbox, that the person who signed in has full \
             access (Add-MailboxPermission {user} -User DELEGATE -AccessRights FullAccess); that not too many programs are \
             connected to it. It passes by itself when Exchange moves the mailbox."
        ),
    )
}
