//! What IMAP servers say: Exchange Online and Gmail in their own words, then the response codes of RFC 5530.

use super::{Entry, Row, entry};
use crate::model::Action::{Administrator, HoldUntil, Retry, SignInAgain, ThisMessageOnly};

/// How a refusal or a BYE is recognised.
pub(super) struct Mark {
    /// Any of these words, in lower case.
    says: &'static [&'static str],
    /// Or any of these response codes.
    codes: &'static [&'static str],
    /// Only where it is about this.
    when: When,
}

/// Where an entry counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Always,
    /// At a login by access token.
    Token,
    /// At a login by password.
    Password,
}

const fn says(says: &'static [&'static str]) -> Mark {
    Mark {
        says,
        codes: &[],
        when: When::Always,
    }
}

const fn either(says: &'static [&'static str], codes: &'static [&'static str]) -> Mark {
    Mark {
        says,
        codes,
        when: When::Always,
    }
}

/// The first entry that fits the response code and words of a server. `login`: it refused a login, by
/// access token (`true`) or password.
pub(in crate::diagnosis) fn imap(
    code: Option<&str>,
    text: &str,
    login: Option<bool>,
) -> Option<&'static Entry> {
    let text = text.to_ascii_lowercase();
    let fits = |mark: &Mark| {
        let here = match mark.when {
            When::Always => true,
            When::Token => login == Some(true),
            When::Password => login == Some(false),
        };
        let said = mark.says.iter().any(|words| text.contains(words))
            || code.is_some_and(|code| mark.codes.contains(&code));
        // A login entry without words fits every login.
        let any = mark.when != When::Always && mark.says.is_empty() && mark.codes.is_empty();
        here && (said || any)
    };
    let mut rows = EXCHANGE.iter().chain(GMAIL).chain(CODES).chain(LOGINS);
    rows.find(|(mark, _)| fits(mark)).map(|(_, entry)| entry)
}

/// All entries, for the tests.
#[cfg(test)]
pub(super) fn entries() -> Vec<&'static Entry> {
    let rows = EXCHANGE.iter().chain(GMAIL).chain(CODES).chain(LOGINS);
    rows.map(|(_, entry)| entry).collect()
}

const EXCHANGE: &[Row<Mark>] = &[
    (
        says(&["suggested backoff time", "request is throttled"]),
        entry(
            "imap_throttled",
            HoldUntil,
            "{server} asks to leave the mailbox {mailbox} alone for a while.",
            "Its user has spent the budget that Exchange Online gives each.",
            "Nothing: work on this mailbox goes on when the time the server named is over. If it happens every day, \
             fewer programs should use this mailbox.",
        ),
    ),
    (
        says(&["authenticated but not connected"]),
        entry(
            "imap_authenticated_not_connected",
            Administrator,
            "The sign-in is good, but {mailbox} does not open.",
            "It passes by itself within minutes when Exchange moves the mailbox; when it stays, somebody has to act.",
            "Check, in this order: \
             1. {signer} and {mailbox} have a licence with Exchange Online (a shared mailbox needs none of its own), and IMAP is \
             on for who signs in: Set-CASMailbox -Identity {signer} -ImapEnabled $true. \
             2. A multi-factor rule has not changed since the sign-in: Entra portal, Monitoring, Sign-in logs of {signer}. \
             3. Not too many programs are connected to the mailbox: close others, wait 15 minutes. \
             4. For a shared mailbox, its address is the user name and the person who signed in has full access: \
             Add-MailboxPermission -Identity {mailbox} -User {delegate} -AccessRights FullAccess (counts after up to an hour); it is \
             in the cloud, not on premises. \
             5. Sign in again once, in a private window; if the error is the same, it is not the sign-in. \
             6. The app registration has the delegated permissions IMAP.AccessAsUser.All and offline_access, with consent; for \
             client credentials IMAP.AccessAsApp and New-ServicePrincipal with the object id of the enterprise application. \
             7. The person who signed in may use the mailbox, and {user} is spelt as in the Exchange admin centre. \
             motion-email doctor {key} answers most of these.",
        ),
    ),
    (
        says(&["accesstokenexpired"]),
        entry(
            "imap_session_token_expired",
            Retry,
            "{server} ended the session because its access token expired.",
            "That is so every hour.",
            "Nothing: it is connected again with a fresh token by itself.",
        ),
    ),
    (
        either(
            &["server unavailable", "temporary system error"],
            &["UNAVAILABLE"],
        ),
        entry(
            "imap_server_unavailable",
            Retry,
            "{server} cannot serve {mailbox} at the moment.",
            "A part of the server is down or moves.",
            "{itself} If it lasts for hours, see the provider's service health.",
        ),
    ),
    (
        says(&["command argument error"]),
        entry(
            "imap_argument_refused",
            Retry,
            "{server} does not understand an argument of a command.",
            "",
            "{itself} {report}",
        ),
    ),
    (
        says(&["command error. 10"]),
        entry(
            "imap_command_too_long",
            Retry,
            "{server} does not understand a command: it is too long or malformed.",
            "",
            "{itself} {report}",
        ),
    ),
    (
        says(&["received in invalid state"]),
        entry(
            "imap_state_lost",
            Retry,
            "{server} has forgotten the login or the open folder.",
            "",
            "Nothing: it is connected again by itself.",
        ),
    ),
    (
        either(&[], &["BADCHARSET"]),
        entry(
            "imap_charset_refused",
            Retry,
            "{server} does not take the character set of a search.",
            "",
            "{itself} {report}",
        ),
    ),
    (
        says(&["maximum size of appendable message"]),
        entry(
            "imap_copy_too_large",
            ThisMessageOnly,
            "{server} does not take the copy of a sent message: it is too large.",
            "",
            "Nothing: the message was sent; only its copy is missing in the folder.",
        ),
    ),
    (
        says(&["folder name is reserved"]),
        entry(
            "imap_folder_reserved",
            Administrator,
            "{server} does not allow this folder name.",
            "It is a name of the server's own.",
            "Choose another folder in the account.",
        ),
    ),
    (
        says(&["requested messages no longer exist"]),
        entry(
            "imap_messages_gone",
            Retry,
            "Messages disappeared from {mailbox} while they were read.",
            "Another program moved or deleted them.",
            "Nothing: the folder is listed again by itself.",
        ),
    ),
    (
        says(&["retrieval using the imap4 protocol failed"]),
        entry(
            "imap_message_unreadable",
            ThisMessageOnly,
            "{server} cannot give one message.",
            "Exchange Online cannot convert it and gives a notice in its place.",
            "Open the message in Outlook on the web and forward it, or move it out of the folder; other mail goes on.",
        ),
    ),
    (
        either(&[], &["SERVERBUG"]),
        entry(
            "imap_server_bug",
            Retry,
            "{server} met a fault of its own.",
            "",
            "{itself} If it lasts for hours, show the server's words to its administrator.",
        ),
    ),
    (
        says(&["connection is closed. 13", "connection closed. 14"]),
        entry(
            "imap_bye",
            Retry,
            "{server} ended the connection.",
            "Its time was over, or the server was restarted.",
            "Nothing: it is connected again by itself.",
        ),
    ),
];

const GMAIL: &[Row<Mark>] = &[
    (
        says(&[
            "too many simultaneous connections",
            "maximum number of connections",
        ]),
        entry(
            "imap_too_many_connections",
            Retry,
            "Too many programs are connected to {mailbox} at once.",
            "Gmail allows 15 connections to a mailbox, all programs together.",
            "{itself} If it lasts, close other programs that read this mailbox.",
        ),
    ),
    (
        either(
            &["account exceeded command or bandwidth limits"],
            &["OVERQUOTA"],
        ),
        entry(
            "imap_bandwidth_limit",
            HoldUntil,
            "{mailbox} has reached the provider's limit of what may be read in a day.",
            "Gmail allows 2,500 MB a day, all programs together.",
            "Nothing: reading waits and goes on by itself, at the latest after a day. If it happens often, fewer programs should \
             read this mailbox.",
        ),
    ),
    (
        says(&["application-specific password required"]),
        entry(
            "imap_app_password_required",
            Administrator,
            "{server} takes no ordinary password of {user}.",
            "The account has two-step verification.",
            "Change the account to Modern Authentication with a cloud provider, or make an app password \
             (https://myaccount.google.com/apppasswords) and enter it.",
        ),
    ),
    (
        either(&["web login required"], &["WEBALERT"]),
        entry(
            "imap_web_login_required",
            Administrator,
            "{server} wants {user} to log in with a browser first.",
            "The provider found this login unusual.",
            "Log in to the mailbox with a browser and confirm the notice, then wake the account; better, change it to Modern \
             Authentication.",
        ),
    ),
    (
        says(&["session expired, please login again"]),
        entry(
            "imap_session_expired",
            Retry,
            "{server} ended the session because its time was over.",
            "",
            "Nothing: it is connected again by itself.",
        ),
    ),
];

/// RFC 5530.
const CODES: &[Row<Mark>] = &[
    (
        either(&[], &["INUSE"]),
        entry(
            "imap_mailbox_in_use",
            Retry,
            "{mailbox} is locked by another program at the moment.",
            "",
            "{itself}",
        ),
    ),
    (
        either(&["rate limit hit"], &["LIMIT", "THROTTLED"]),
        entry(
            "imap_limit_reached",
            HoldUntil,
            "{mailbox} has reached a limit of {server}.",
            "",
            "Nothing: it is left alone for a while and then goes on by itself. If it happens every day, fewer programs should use \
             this mailbox.",
        ),
    ),
    (
        either(&[], &["CONTACTADMIN"]),
        entry(
            "imap_contact_administrator",
            Administrator,
            "{server} sends {user} to its administrator.",
            "",
            "Show the server's words to its administrator. {kept}",
        ),
    ),
    (
        either(&[], &["AUTHORIZATIONFAILED"]),
        entry(
            "imap_not_allowed",
            Administrator,
            "{signer} may not open {mailbox} at {server}.",
            "The login itself was right.",
            "Give the right to it: at Exchange, Add-MailboxPermission -Identity {mailbox} -User {delegate} -AccessRights FullAccess; \
             elsewhere the server's administrator does.",
        ),
    ),
    (
        either(&[], &["PRIVACYREQUIRED"]),
        entry(
            "imap_tls_required",
            Administrator,
            "{server} takes no login without TLS.",
            "",
            "Change the account's TLS mode to TLS (port 993) or STARTTLS (port 143).",
        ),
    ),
    (
        either(&[], &["NOPERM"]),
        entry(
            "imap_mailbox_refused",
            Administrator,
            "{server} does not open the folder of {user}.",
            "The right to read it is missing.",
            "Check that the folder exists and that the user who logs in may read it.",
        ),
    ),
    (
        Mark {
            says: &[],
            codes: &["EXPIRED"],
            when: When::Password,
        },
        entry(
            "imap_password_expired",
            Administrator,
            "The password of {user} has expired at {server}.",
            "",
            "Set a new password at the provider and enter it in the account.",
        ),
    ),
    (
        Mark {
            says: &["invalid credentials"],
            codes: &["EXPIRED"],
            when: When::Token,
        },
        entry(
            "imap_sign_in_refused",
            SignInAgain,
            "{server} does not accept the sign-in for {user}.",
            "A fresh access token was refused as well: the sign-in is of another person or lacks a permission, or the mailbox does \
             not take it.",
            "{sign_in} Choose the account whose mailbox {user} is. If the error is the same afterwards, check that IMAP is switched on \
             for it.",
        ),
    ),
    (
        Mark {
            says: &[],
            codes: &["AUTHENTICATIONFAILED"],
            when: When::Token,
        },
        entry(
            "imap_authentication_failed",
            SignInAgain,
            "{server} does not accept the sign-in for {user}.",
            "A fresh access token was refused as well: the sign-in is of another person or lacks a permission, or the mailbox does \
             not take it.",
            "{sign_in} Choose the account whose mailbox {user} is. If the error is the same afterwards, check that IMAP is switched on \
             for it.",
        ),
    ),
];

/// Any other refused login.
const LOGINS: &[Row<Mark>] = &[
    (
        Mark {
            says: &[],
            codes: &[],
            when: When::Token,
        },
        entry(
            "imap_token_refused",
            Administrator,
            "{server} does not accept the access token for {user}.",
            "A fresh one was refused as well: IMAP is off, a permission or right is missing, or the user name is wrong.",
            "Check: the spelling of {user}; that IMAP is on for who signs in \
             (Set-CASMailbox -Identity {signer} -ImapEnabled $true); that they have full access to it \
             (Add-MailboxPermission -Identity {mailbox} -User {delegate} -AccessRights FullAccess); that the app registration has \
             IMAP.AccessAsUser.All with consent and the scope host is that of its cloud; for client credentials, that the service \
             principal is registered with the object id of the enterprise application (New-ServicePrincipal). Then sign in again.",
        ),
    ),
    (
        Mark {
            says: &[],
            codes: &[],
            when: When::Password,
        },
        entry(
            "imap_password_refused",
            Administrator,
            "{server} does not accept the password of {user}.",
            "",
            "Enter the right user name and password in the account. Gmail and Yahoo want an app password; \
             Exchange Online wants Modern Authentication.",
        ),
    ),
];
