//! What Microsoft Graph says when mail is sent through it, judged from the HTTP status and the error code.

use std::time::Duration;

use super::{Entry, entry};
use crate::model::{
    Action::{Administrator, HoldUntil, Retry, SignInAgain, ThisMessageOnly},
    FailureClass,
};

/// The wait where Graph throttles without saying for how long.
const UNSAID_HOLD: Duration = Duration::from_secs(60);
/// Longest wait that Graph may ask of us.
const LONGEST_HOLD: Duration = Duration::from_secs(3600);
/// A sending limit counts over a sliding day: room comes back all the time, so ask again each hour.
const DAILY_LIMIT: Duration = Duration::from_secs(3600);

/// An answer of Microsoft Graph that is no success.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GraphRefusal {
    /// HTTP status.
    pub status: u16,
    /// `error.code` of the body; empty where there was none.
    pub code: String,
    /// `error.message` of the body.
    pub message: String,
    /// `Retry-After`, if there was one.
    pub retry_after: Option<Duration>,
    /// `request-id`, what Microsoft's support asks for.
    pub request_id: Option<String>,
}

impl GraphRefusal {
    /// Who acts next: by the code where it is known, else by the status. A 401 is for the caller to answer
    /// with one fresh token first.
    pub fn class(&self) -> FailureClass {
        let hold =
            |unsaid| FailureClass::HoldFor(self.retry_after.unwrap_or(unsaid).min(LONGEST_HOLD));
        match self.code.as_str() {
            "ErrorMimeContentInvalidBase64String"
            | "ErrorInvalidRecipients"
            | "ErrorMessageSizeExceeded" => FailureClass::GiveUp,
            "InvalidAuthenticationToken"
            | "ErrorSendAsDenied"
            | "ErrorAccessDenied"
            | "MailboxNotEnabledForRESTAPI"
            | "ErrorQuotaExceeded" => FailureClass::OperatorMustAct,
            "ErrorExceededMessageLimit" => hold(DAILY_LIMIT),
            "ApplicationThrottled" | "TooManyRequests" => hold(UNSAID_HOLD),
            _ => match self.status {
                429 => hold(UNSAID_HOLD),
                401 | 403 | 404 => FailureClass::OperatorMustAct,
                408 => FailureClass::RetryLater,
                400..=499 => FailureClass::GiveUp,
                _ if self.retry_after.is_some() => hold(UNSAID_HOLD),
                _ => FailureClass::RetryLater,
            },
        }
    }
}

/// The first entry that fits.
pub(in crate::diagnosis) fn graph(refusal: &GraphRefusal) -> Option<&'static Entry> {
    let by_code = CODES
        .iter()
        .find(|(codes, _)| codes.contains(&refusal.code.as_str()));
    if let Some((_, entry)) = by_code {
        return Some(entry);
    }
    let mut rows = STATUSES.iter();
    let found = rows.find(|(first, last, _)| (*first..=*last).contains(&refusal.status));
    found.map(|(_, _, entry)| entry)
}

/// All entries, for the tests.
#[cfg(test)]
pub(super) fn entries() -> Vec<&'static Entry> {
    let by_code = CODES.iter().map(|(_, entry)| entry);
    by_code
        .chain(STATUSES.iter().map(|(_, _, entry)| entry))
        .collect()
}

const CODES: &[(&[&str], Entry)] = &[
    (
        &["ErrorMimeContentInvalidBase64String"],
        entry(
            "graph_message_malformed",
            ThisMessageOnly,
            "Microsoft Graph cannot read this message.",
            "",
            "{report} The message is kept.",
        ),
    ),
    (
        &["ErrorInvalidRecipients"],
        entry(
            "graph_recipient_invalid",
            ThisMessageOnly,
            "Microsoft Graph does not take a recipient's address.",
            "",
            "Correct the address and send the message again.",
        ),
    ),
    (
        &["InvalidAuthenticationToken"],
        entry(
            "graph_token_refused",
            SignInAgain,
            "Microsoft Graph does not accept the access token of {provider}.",
            "A fresh one was refused as well.",
            "{sign_in}",
        ),
    ),
    (
        &["ErrorSendAsDenied"],
        entry(
            "graph_send_as_denied",
            Administrator,
            "{signer} may not send as {mailbox}.",
            "FullAccess on a mailbox does not include it.",
            "An Exchange administrator runs: Add-RecipientPermission -Identity {mailbox} -Trustee {signer} -AccessRights SendAs. \
             The app registration needs Mail.Send.Shared for a shared mailbox. It may take an hour to count. {kept}",
        ),
    ),
    (
        &["ErrorAccessDenied"],
        entry(
            "graph_access_denied",
            Administrator,
            "The app registration of {provider} may not send for {mailbox} through Microsoft Graph.",
            "",
            "Check that the app registration has Mail.Send (Mail.Send.Shared for a shared mailbox) with consent, and that \
             {signer} has full access: Add-MailboxPermission -Identity {mailbox} -User {delegate} -AccessRights FullAccess. {kept}",
        ),
    ),
    (
        &["MailboxNotEnabledForRESTAPI"],
        entry(
            "graph_mailbox_missing",
            Administrator,
            "{mailbox} cannot be used through Microsoft Graph.",
            "It has no licence with Exchange Online, or lives on premises.",
            "An administrator gives it a licence or moves it to the cloud. {kept}",
        ),
    ),
    (
        &["ErrorMessageSizeExceeded"],
        entry(
            "graph_message_too_large",
            ThisMessageOnly,
            "The message is larger than Microsoft Graph takes.",
            "About 4 MB in one request.",
            "Send it with smaller attachments or a link, or send by SMTP.",
        ),
    ),
    (
        &["ErrorExceededMessageLimit"],
        entry(
            "graph_sending_limit",
            HoldUntil,
            "{mailbox} has reached the provider's sending limit.",
            "",
            "Nothing: the queue waits until the limit is over, at most a day, and then goes on by itself.",
        ),
    ),
    (
        &["ErrorQuotaExceeded"],
        entry(
            "graph_mailbox_full",
            Administrator,
            "{mailbox} is full, so it cannot send.",
            "The copies in Sent Items count.",
            "Empty its Sent Items and Deleted Items or set a retention policy. {kept}",
        ),
    ),
    (&["ApplicationThrottled", "TooManyRequests"], THROTTLED),
];

const STATUSES: &[(u16, u16, Entry)] = &[
    (
        401,
        401,
        entry(
            "graph_token_refused",
            SignInAgain,
            "Microsoft Graph does not accept the access token of {provider}.",
            "A fresh one was refused as well.",
            "{sign_in}",
        ),
    ),
    (
        413,
        413,
        entry(
            "graph_message_too_large",
            ThisMessageOnly,
            "The message is larger than Microsoft Graph takes.",
            "About 4 MB in one request.",
            "Send it with smaller attachments or a link, or send by SMTP.",
        ),
    ),
    (429, 429, THROTTLED),
    (
        500,
        599,
        entry(
            "graph_unavailable",
            Retry,
            "Microsoft Graph is not well.",
            "",
            "{itself} If it lasts for hours, see the provider's service health.",
        ),
    ),
];

const THROTTLED: Entry = entry(
    "graph_throttled",
    HoldUntil,
    "Microsoft Graph asks to slow down.",
    "",
    "Nothing: sending goes on when the time it named is over.",
);
