//! What submission servers say about the account: its login, its sender address, its limits. Exchange Online
//! and Gmail in their own words; what they say about one message stands in a table of its own.

use super::{Entry, Row, entry, smtp_message::MESSAGE};
use crate::{
    model::Action::{Administrator, HoldUntil, Retry, SignInAgain},
    smtp::{Reply, Verb},
};

/// How a reply is recognised: by any of these, where it is said when `when` says.
pub(super) struct Mark {
    /// Words, in lower case.
    pub(super) says: &'static [&'static str],
    /// Subject and detail of the enhanced code, both ends included: `(7, 57, 57)` is 4.7.57 and 5.7.57.
    pub(super) status: &'static [(u16, u16, u16)],
    /// Reply codes.
    pub(super) codes: &'static [u16],
    /// Only then.
    pub(super) when: When,
}

/// When an entry counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    Always,
    /// The reply is 4yz.
    Passing,
    /// The reply is 5yz.
    Final,
    /// A login was refused for good.
    Login,
    /// The same, and it was by access token.
    Token,
    /// The same, and it was by password.
    Password,
}

/// A reply with what it answered.
#[derive(Clone, Copy, Debug)]
pub(in crate::diagnosis) struct Said<'a> {
    /// What it answered.
    pub(in crate::diagnosis) during: Verb,
    /// The reply.
    pub(in crate::diagnosis) reply: &'a Reply,
    /// A login was refused for good, by access token (`true`) or password.
    pub(in crate::diagnosis) login: Option<bool>,
}

pub(super) const fn mark(
    says: &'static [&'static str],
    status: &'static [(u16, u16, u16)],
    when: When,
) -> Mark {
    Mark {
        says,
        status,
        codes: &[],
        when,
    }
}

impl Mark {
    fn fits(&self, said: Said<'_>, text: &str, status: Option<(u16, u16)>) -> bool {
        let here = match self.when {
            When::Always => true,
            When::Passing => said.reply.is_transient(),
            When::Final => said.reply.is_permanent(),
            When::Login => said.login.is_some(),
            When::Token => said.login == Some(true),
            When::Password => said.login == Some(false),
        };
        let by_status = status.is_some_and(|(subject, detail)| {
            let mut known = self.status.iter();
            known.any(|(of, first, last)| *of == subject && (*first..=*last).contains(&detail))
        });
        let said = self.says.iter().any(|words| text.contains(words))
            || self.codes.contains(&said.reply.code)
            || by_status;
        let any = self.says.is_empty() && self.codes.is_empty() && self.status.is_empty();
        here && (said || any)
    }
}

/// The first entry that fits a reply.
pub(in crate::diagnosis) fn smtp(said: Said<'_>) -> Option<&'static Entry> {
    let text = said.reply.text.to_ascii_lowercase();
    let status = said.reply.status();
    let mut rows = LOGIN.iter().chain(ACCOUNT).chain(MESSAGE);
    let found = rows.find(|(mark, _)| mark.fits(said, &text, status));
    found.map(|(_, entry)| entry)
}

/// All entries, for the tests.
#[cfg(test)]
pub(super) fn entries() -> Vec<&'static Entry> {
    let rows = LOGIN.iter().chain(ACCOUNT).chain(MESSAGE);
    rows.map(|(_, entry)| entry).collect()
}

const LOGIN: &[Row<Mark>] = &[
    (
        mark(
            &["smtpclientauthentication is disabled for the tenant"],
            &[],
            When::Always,
        ),
        entry(
            "smtp_auth_disabled",
            Administrator,
            "Sending by SMTP is switched off in the tenant of {mailbox} (SmtpClientAuthentication).",
            "The tenant's setting counts because the mailbox has none of its own.",
            "An Exchange administrator runs: Set-CASMailbox -Identity {signer} -SmtpClientAuthenticationDisabled $false \
             (the mailbox's setting wins over the tenant's; the same switch is Authenticated SMTP in the Microsoft 365 admin \
             centre, Users, {signer}, Mail, Manage email apps). For all mailboxes at once: \
             Set-TransportConfig -SmtpClientAuthenticationDisabled $false. It may take an hour to count. {kept}",
        ),
    ),
    (
        mark(&["smtpclientauthentication is disabled"], &[], When::Always),
        entry(
            "smtp_auth_disabled",
            Administrator,
            "Sending by SMTP is switched off for {signer} (SmtpClientAuthentication).",
            "",
            "An Exchange administrator runs: Set-CASMailbox -Identity {signer} -SmtpClientAuthenticationDisabled $false \
             (the same switch is Authenticated SMTP in the Microsoft 365 admin centre, Users, {signer}, Mail, Manage email \
             apps). It may take an hour to count. {kept}",
        ),
    ),
    (
        mark(&["security defaults"], &[], When::Always),
        entry(
            "smtp_security_defaults",
            Administrator,
            "The tenant's security defaults block sending by SMTP.",
            "",
            "An administrator of the tenant opens the Entra portal, Overview, Properties, Manage security defaults, turns them off \
             and uses Conditional Access instead. {kept}",
        ),
    ),
    (
        mark(
            &["did not meet the criteria to be authenticated"],
            &[],
            When::Always,
        ),
        entry(
            "smtp_conditional_access",
            Administrator,
            "A policy of the tenant blocks the login for sending ({signer}).",
            "Conditional Access or multi-factor authentication.",
            "An administrator excludes {signer} or this app registration from that policy: Entra portal, Protection, Conditional \
             Access; the sign-in logs of {signer} name the policy. {kept}",
        ),
    ),
    (
        mark(
            &[
                "basic authentication is disabled",
                "basic authentication is not supported",
            ],
            &[(7, 30, 30)],
            When::Always,
        ),
        entry(
            "smtp_basic_disabled",
            Administrator,
            "{server} takes no passwords any more.",
            "",
            "Change the account to Modern Authentication with a cloud provider. {kept}",
        ),
    ),
    (
        mark(&["sts service was unreachable"], &[], When::Always),
        entry(
            "smtp_federation_unreachable",
            Retry,
            "The company's own sign-in service (AD FS) did not answer {server}.",
            "",
            "{itself} If it lasts, the administrator of the federated sign-in service looks at it. {kept}",
        ),
    ),
    (
        mark(&["sts url does not support https"], &[], When::Always),
        entry(
            "smtp_federation_insecure",
            Administrator,
            "The company's own sign-in service (AD FS) is entered without HTTPS.",
            "",
            "The administrator of the federated domain corrects its sign-in address, or the account is changed to Modern \
             Authentication. {kept}",
        ),
    ),
    (
        mark(
            &["invalid xoauth2 auth data"],
            &[(5, 124, 124)],
            When::Login,
        ),
        entry(
            "smtp_auth_data_malformed",
            Administrator,
            "{server} does not understand the login.",
            "",
            "Check the user name {user} of the account. {report} {kept}",
        ),
    ),
    (
        mark(&["too many login attempts"], &[], When::Always),
        entry(
            "smtp_too_many_logins",
            Retry,
            "{server} has seen too many logins of {user}.",
            "",
            "{itself} If it lasts, other programs log in to this mailbox too often.",
        ),
    ),
    (
        mark(
            &[
                "temporary authentication failure",
                "cannot authenticate due to temporary system problem",
            ],
            &[],
            When::Passing,
        ),
        entry(
            "smtp_login_unavailable",
            Retry,
            "{server} cannot check logins at the moment.",
            "",
            "{itself}",
        ),
    ),
    (
        mark(
            &["application-specific password required"],
            &[(7, 9, 9)],
            When::Final,
        ),
        entry(
            "smtp_app_password_required",
            Administrator,
            "{server} takes no ordinary password of {user}.",
            "The account has two-step verification.",
            "Change the account to Modern Authentication with a cloud provider, or make an app password \
             (https://myaccount.google.com/apppasswords) and enter it. {kept}",
        ),
    ),
    (
        mark(
            &[
                "log in through your web browser",
                "log in via your web browser",
            ],
            &[(7, 14, 14)],
            When::Final,
        ),
        entry(
            "smtp_web_login_required",
            Administrator,
            "{server} wants {user} to log in with a browser first.",
            "The provider found this login unusual.",
            "Log in to the mailbox with a browser and confirm the notice; better, change the account to Modern Authentication. {kept}",
        ),
    ),
    (
        mark(
            &[
                "user credentials were incorrect",
                "username and password not accepted",
            ],
            &[],
            When::Token,
        ),
        entry(
            "smtp_sign_in_refused",
            SignInAgain,
            "{server} does not accept the sign-in for {user}.",
            "A fresh access token was refused as well.",
            "{sign_in} Choose the account that is entered as the SMTP user ({user}).",
        ),
    ),
    (
        mark(&[], &[], When::Token),
        entry(
            "smtp_token_refused",
            Administrator,
            "{server} does not accept the access token for {user}.",
            "A fresh one was refused as well.",
            "For a shared mailbox the delegate must be the user who signed in (and needs Send As on it); check the spelling of \
             {user}, that the app registration has SMTP.Send (SMTP.SendAsApp for client credentials) with consent, and that \
             authenticated SMTP is on for {user} (Set-CASMailbox -Identity {user} -SmtpClientAuthenticationDisabled $false). \
             Then sign in again. {kept}",
        ),
    ),
    (
        mark(&[], &[], When::Password),
        entry(
            "smtp_password_refused",
            Administrator,
            "{server} does not accept the password of {user}.",
            "",
            "Enter the right user name and password in the account. Gmail and Yahoo want an app password; \
             Exchange Online wants Modern Authentication. {kept}",
        ),
    ),
];

const ACCOUNT: &[Row<Mark>] = &[
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
