//! What submission servers say about the login, Exchange Online and Gmail in their own words; what they say about
//! the account and about one message stands in tables of their own.

use super::{Entry, Row, entry, smtp_account::ACCOUNT, smtp_message::MESSAGE};
use crate::{
    model::Action::{Administrator, Retry, SignInAgain},
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
