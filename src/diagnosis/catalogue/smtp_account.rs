//! What submission servers say about the account: its sender address, its limits, its way to them.

use super::{
    Entry, Row, entry,
    smtp::{Mark, When, mark},
};
use crate::model::Action::{Administrator, HoldUntil};

pub(super) const ACCOUNT: &[Row<Mark>] = &[
    (
        mark(
            &[
                "sendasdenied",
                "permissions to send as",
                "not owned by user",
            ],
            &[(7, 60, 60), (2, 252, 252)],
            When::Final,
        ),
        entry(
            "smtp_send_as_denied",
            Administrator,
            "{user} may not send as {mailbox}.",
            "FullAccess on a mailbox does not include it.",
            "An Exchange administrator runs: Add-RecipientPermission -Identity {mailbox} -Trustee {user} -AccessRights SendAs \
             (also for an alias, which counts as the mailbox it belongs to). It may take an hour to count. {kept}",
        ),
    ),
    (
        mark(&["must issue a starttls command first"], &[], When::Final),
        entry(
            "smtp_tls_required",
            Administrator,
            "{server} takes nothing without TLS.",
            "",
            "Change the account's TLS mode to STARTTLS (port 587) or TLS (port 465). {kept}",
        ),
    ),
    (
        Mark {
            says: &[
                "client not authenticated to send",
                "client was not authenticated to send",
                "authentication required",
            ],
            status: &[(7, 57, 57)],
            codes: &[530],
            when: When::Final,
        },
        entry(
            "smtp_not_authenticated",
            Administrator,
            "{server} does not send without a login.",
            "The login was not taken, or SMTP logins are off for {signer}.",
            "Check the account's authentication, and at Exchange that authenticated SMTP is on: \
             Set-CASMailbox -Identity {signer} -SmtpClientAuthenticationDisabled $false. {kept}",
        ),
    ),
    (
        mark(
            &["submissionquotaexceeded", "submission quota exceeded"],
            &[],
            When::Always,
        ),
        LIMIT,
    ),
    (
        mark(&["quotaexceeded"], &[], When::Final),
        entry(
            "smtp_sender_mailbox_full",
            Administrator,
            "{mailbox} is full, so it cannot send.",
            "The copies in Sent Items count.",
            "Empty its Sent Items and Deleted Items or set a retention policy, or give it a larger quota \
             (Set-Mailbox -Identity {mailbox} -ProhibitSendQuota). {kept}",
        ),
    ),
    (
        mark(&[], &[(7, 232, 233), (4, 5, 5), (1, 90, 90)], When::Final),
        LIMIT,
    ),
    (
        mark(
            &[
                "daily user sending limit",
                "reached your daily limit",
                "daily sending quota",
            ],
            &[],
            When::Final,
        ),
        LIMIT,
    ),
    (
        mark(&["recipient thread limit"], &[(2, 121, 122)], When::Always),
        entry(
            "smtp_recipient_limit",
            HoldUntil,
            "A recipient gets more mail in an hour than the provider allows.",
            "It is the recipient's limit, not that of {mailbox}.",
            "Nothing: this copy is tried again after an hour; other mail goes on.",
        ),
    ),
    (
        Mark {
            says: &["sender thread limit", "concurrent connections limit"],
            status: &[],
            codes: &[432],
            when: When::Passing,
        },
        entry(
            "smtp_concurrency",
            HoldUntil,
            "Too many programs send from {mailbox} at once.",
            "Exchange Online allows three at a time.",
            "Nothing: sending goes on after a minute. If it lasts, other programs send from this mailbox too.",
        ),
    ),
    (
        mark(&["submission rate for this client"], &[], When::Passing),
        entry(
            "smtp_submission_rate",
            HoldUntil,
            "{mailbox} sends more messages a minute than the provider allows.",
            "Exchange Online allows 30 a minute.",
            "Nothing: sending goes on after a minute.",
        ),
    ),
    (
        mark(&[], &[(7, 66, 66)], When::Always),
        entry(
            "smtp_tls_too_old",
            Administrator,
            "{server} wants TLS 1.2 or newer.",
            "Something between offers only old versions; this program does not.",
            "Look for a proxy or firewall that ends TLS on the way to {server} and update it. {kept}",
        ),
    ),
    (
        mark(&[], &[(7, 500, 699), (7, 850, 899)], When::Passing),
        entry(
            "smtp_suspicious_traffic",
            HoldUntil,
            "{server} finds the traffic from this address suspicious and wants a pause.",
            "",
            "Nothing at first: sending goes on after a quarter of an hour. If it lasts for hours, look at the reputation of this \
             server's address and at what is sent.",
        ),
    ),
    (
        mark(&["bad outbound sender"], &[(1, 8, 8)], When::Final),
        entry(
            "smtp_sender_blocked",
            Administrator,
            "The provider has blocked {mailbox} from sending.",
            "It sent what was taken for spam.",
            "An administrator removes it from Restricted entities in the Defender portal (https://security.microsoft.com/restrictedentities), \
             changes its password and looks for who used it. {kept}",
        ),
    ),
    (
        mark(&[], &[(7, 506, 506)], When::Final),
        entry(
            "smtp_helo_refused",
            Administrator,
            "{server} does not take the name this program gives itself.",
            "",
            "Give this machine a full host name with a domain (hostnamectl set-hostname), then restart the service. {kept}",
        ),
    ),
    (
        mark(&[], &[(7, 508, 508)], When::Final),
        entry(
            "smtp_address_range_limit",
            HoldUntil,
            "Too much mail comes from the address range of this server.",
            "",
            "Nothing at first: sending goes on after an hour. If it lasts, send by IPv4, or ask the provider of this server.",
        ),
    ),
    (
        mark(
            &[],
            &[(7, 501, 503), (7, 511, 511), (7, 606, 649)],
            When::Final,
        ),
        entry(
            "smtp_sender_banned",
            Administrator,
            "{server} has banned this sender or this server's address.",
            "It was taken for a source of spam.",
            "Find out who sent spam and stop it; then ask for removal at https://sender.office.com, or forward the refusal to \
             delist@microsoft.com. {kept}",
        ),
    ),
    (
        mark(
            &[],
            &[(7, 705, 705), (7, 708, 708), (7, 750, 750), (7, 800, 800)],
            When::Final,
        ),
        entry(
            "smtp_tenant_blocked",
            Administrator,
            "The provider has blocked the whole tenant of {mailbox} from sending.",
            "Too much suspicious mail, unregistered domains, or a trial tenant.",
            "An administrator of the tenant cleans up (compromised accounts, unregistered domains) and opens a case with Microsoft \
             support. {kept}",
        ),
    ),
    (
        mark(
            &[
                "sender address rejected",
                "client host rejected",
                "helo command rejected",
                "relay access denied",
            ],
            &[],
            When::Final,
        ),
        entry(
            "smtp_sender_refused",
            Administrator,
            "{server} does not send for {user} as {mailbox}.",
            "",
            "Check the account's address, user name and port (587 or 465 are for submission; 25 is not) with the server's \
             administrator. {kept}",
        ),
    ),
];

const LIMIT: Entry = entry(
    "smtp_sending_limit",
    HoldUntil,
    "{mailbox} has reached the provider's sending limit.",
    "Exchange Online allows 10,000 recipients a day and each tenant a number of external ones; Gmail 2,000 messages (500 \
     without Workspace).",
    "Nothing: the queue waits and is tried each hour until the limit is over, at most a day, and then goes on by itself.",
);
