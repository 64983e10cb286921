//! Every row about IMAP, SMTP and Graph with its literal text: code, who acts, next step, and the class by which
//! the program acts on the same text.

use std::{collections::BTreeSet, time::Duration};

use super::*;
use crate::{
    diagnosis::{Diagnosis, Failure, explain},
    imap::{ImapError, Step, testing::refusal},
    model::{
        Action::{Administrator, HoldUntil, Retry, SignInAgain, ThisMessageOnly},
        FailureClass,
    },
    smtp::{Concern, Reply, SmtpError, Verb},
};

type Answer = (
    u16,
    &'static str,
    Option<u64>,
    &'static str,
    Action,
    &'static str,
);

/// How the account logs in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum By {
    Token,
    Password,
}

fn context(by: By) -> Context {
    Context {
        account: Some("SUPP1".into()),
        server: Some("peer.example:993".into()),
        user: Some("shared@contoso.example".into()),
        mailbox: Some("shared@contoso.example".into()),
        provider: (by == By::Token).then(|| "3".into()),
        delegate: (by == By::Token).then(|| "anna@contoso.example".into()),
        lane: None,
        application: false,
    }
}

fn check(failure: Failure, by: By, literal: &str, code: &str, action: Action, next: &str) {
    let class = failure.class();
    let mut context = context(by);
    // Of a shared mailbox something else is said.
    if code == "imap_authentication_failed" {
        context.delegate = None;
    }
    let said: Diagnosis = explain(&failure, &context);
    assert_eq!(
        (said.code, said.action),
        (code, action),
        "{literal}: {}",
        said.what
    );
    assert!(said.next.contains(next), "{literal}: {}", said.next);
    // What the program does about it and what it says are one.
    assert_eq!(said.class, class, "{literal}");
    assert!(action.fits(class), "{literal}: {action:?} {class:?}");
    // The peer's own words.
    let words: String = literal.chars().rev().take(12).collect();
    let words: String = words.chars().rev().collect();
    assert!(said.why.contains(words.trim()), "{literal}: {}", said.why);
}

/// When, how the account logs in, what the server says; then code, who acts, a part of the next step.
#[rustfmt::skip]
pub(crate) const IMAP: &[(Step, By, &str, &str, Action, &str)] = &[
    // Exchange Online.
    (Step::Login, By::Token, "A01 NO AUTHENTICATE failed.", "imap_token_refused", Administrator, "Set-CASMailbox -Identity anna@contoso.example -ImapEnabled $true"),
    (Step::Login, By::Password, "A01 NO AUTHENTICATE failed.", "imap_password_refused", Administrator, "app password"),
    (Step::Select, By::Token, "A02 BAD User is authenticated but not connected.", "imap_authenticated_not_connected", Administrator, "Add-MailboxPermission -Identity shared@contoso.example -User anna@contoso.example -AccessRights FullAccess"),
    (Step::Fetch, By::Token, "A02 BAD User is authenticated but not connected.", "imap_authenticated_not_connected", Administrator, "motion-email doctor SUPP1"),
    (Step::Select, By::Token, "A02 NO Request is throttled. Suggested Backoff Time: 299910 milliseconds", "imap_throttled", HoldUntil, "the time the server named"),
    (Step::Fetch, By::Token, "A02 BAD Request is throttled. Suggested Backoff Time: 299910 milliseconds", "imap_throttled", HoldUntil, "the time the server named"),
    (Step::Login, By::Token, "A02 NO Request is throttled. Suggested Backoff Time: 299910 milliseconds", "imap_throttled", HoldUntil, "the time the server named"),
    (Step::Idle, By::Token, "* BYE Connection is closed. 13", "imap_bye", Retry, "connected again"),
    (Step::Idle, By::Token, "* BYE Connection closed. 14", "imap_bye", Retry, "connected again"),
    (Step::Idle, By::Token, "* BYE Session invalidated - AccessTokenExpired", "imap_session_token_expired", Retry, "fresh token"),
    (Step::Fetch, By::Token, "A02 NO [AUTHENTICATIONFAILED] Session invalidated - AccessTokenExpired", "imap_session_token_expired", Retry, "fresh token"),
    (Step::Select, By::Token, "A02 NO Server Unavailable. 15", "imap_server_unavailable", Retry, "service health"),
    (Step::Login, By::Token, "A02 BAD Server Unavailable. 15", "imap_server_unavailable", Retry, "service health"),
    (Step::List, By::Token, "A02 BAD Command Argument Error. 11", "imap_argument_refused", Retry, "report it"),
    (Step::List, By::Token, "A02 BAD Command Argument Error. 12", "imap_argument_refused", Retry, "report it"),
    (Step::List, By::Token, "A02 BAD Command Error. 10", "imap_command_too_long", Retry, "report it"),
    (Step::Fetch, By::Token, "A02 BAD Command received in Invalid state.", "imap_state_lost", Retry, "connected again"),
    (Step::List, By::Token, "A02 NO [BADCHARSET (US-ASCII)] The specified charset is not supported.", "imap_charset_refused", Retry, "report it"),
    (Step::Fetch, By::Token, "A02 NO Maximum size of appendable message has been exceeded", "imap_copy_too_large", ThisMessageOnly, "was sent"),
    (Step::Select, By::Token, "A02 NO Folder name is reserved", "imap_folder_reserved", Administrator, "another folder"),
    (Step::Fetch, By::Token, "A02 NO Some of the requested messages no longer exist", "imap_messages_gone", Retry, "listed again"),
    (Step::List, By::Token, "A02 NO [SERVERBUG] Internal server error", "imap_server_bug", Retry, "administrator"),
    (Step::Fetch, By::Token, "A02 NO Retrieval using the IMAP4 protocol failed for the following message: 12", "imap_message_unreadable", ThisMessageOnly, "Outlook on the web"),
    // RFC 5530, as Dovecot, Yahoo and others say it.
    (Step::Select, By::Password, "A02 NO [INUSE] Mailbox in use", "imap_mailbox_in_use", Retry, "by itself"),
    (Step::Fetch, By::Password, "A02 NO [LIMIT] UID FETCH Rate limit hit.", "imap_limit_reached", HoldUntil, "fewer programs"),
    (Step::Fetch, By::Password, "* BYE [LIMIT] UID FETCH Rate limit hit.", "imap_limit_reached", HoldUntil, "fewer programs"),
    (Step::Login, By::Password, "A02 NO [UNAVAILABLE] Temporary authentication failure.", "imap_server_unavailable", Retry, "service health"),
    (Step::Login, By::Password, "A02 NO [CONTACTADMIN] Account is blocked.", "imap_contact_administrator", Administrator, "administrator"),
    (Step::Login, By::Password, "A02 NO [EXPIRED] That password isn't valid anymore.", "imap_password_expired", Administrator, "new password"),
    (Step::Login, By::Token, "A02 NO [EXPIRED] That token isn't valid anymore.", "imap_sign_in_refused", SignInAgain, "provider authenticate 3"),
    (Step::Login, By::Token, "A02 NO [AUTHENTICATIONFAILED] Authentication failed.", "imap_authentication_failed", SignInAgain, "provider authenticate 3"),
    (Step::Login, By::Token, "A02 NO [AUTHORIZATIONFAILED] No such authorization-ID", "imap_not_allowed", Administrator, "FullAccess"),
    (Step::Login, By::Password, "A02 NO [PRIVACYREQUIRED] Plaintext authentication disallowed.", "imap_tls_required", Administrator, "993"),
    (Step::Select, By::Password, "A02 NO [NOPERM] Access denied", "imap_mailbox_refused", Administrator, "may read it"),
    (Step::Login, By::Password, "A02 NO [AUTHENTICATIONFAILED] Authentication failed.", "imap_password_refused", Administrator, "right user name"),
    // Gmail.
    (Step::Login, By::Token, "A02 NO [ALERT] Too many simultaneous connections. (Failure)", "imap_too_many_connections", Retry, "other programs"),
    (Step::Fetch, By::Token, "A02 NO [OVERQUOTA] Account exceeded command or bandwidth limits.", "imap_bandwidth_limit", HoldUntil, "after a day"),
    (Step::Login, By::Token, "A02 NO [OVERQUOTA] Account exceeded command or bandwidth limits.", "imap_bandwidth_limit", HoldUntil, "after a day"),
    (Step::Login, By::Token, "A02 NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)", "imap_sign_in_refused", SignInAgain, "provider authenticate 3"),
    (Step::Login, By::Password, "A02 NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)", "imap_password_refused", Administrator, "app password"),
    (Step::Login, By::Password, "A02 NO [ALERT] Application-specific password required: https://support.google.com/accounts/answer/185833 (Failure)", "imap_app_password_required", Administrator, "apppasswords"),
    (Step::Login, By::Password, "A02 NO [WEBALERT https://accounts.google.com/x] Web login required.", "imap_web_login_required", Administrator, "browser"),
    (Step::Idle, By::Token, "* BYE Session expired, please login again.", "imap_session_expired", Retry, "connected again"),
    (Step::Select, By::Token, "A02 NO [UNAVAILABLE] Temporary System Error", "imap_server_unavailable", Retry, "service health"),
    // Nobody knows these: the class follows from code and step, the words are quoted.
    (Step::Select, By::Token, "A02 NO The moon is in the wrong phase", "imap_mailbox_refused", Retry, "may read it"),
    (Step::List, By::Token, "A02 NO The moon is in the wrong phase", "imap_refused", Retry, "administrator"),
    (Step::Login, By::Token, "A02 NO The moon is in the wrong phase", "imap_token_refused", Administrator, "IMAP.AccessAsUser.All"),
    (Step::Idle, By::Token, "* BYE The moon is in the wrong phase", "imap_bye", Retry, "connected again"),
];

#[test]
fn every_text_of_an_imap_server_has_its_code_its_class_and_its_next_step() {
    let mut seen = BTreeSet::new();
    for (step, by, line, code, action, next) in IMAP {
        let error = refusal(*step, line);
        check(Failure::Imap(error), *by, line, code, *action, next);
        seen.insert(*code);
    }
    for entry in imap::entries() {
        assert!(seen.contains(entry.code), "{} has no text", entry.code);
    }
    // The same without a star or a tag, which no parser takes.
    let line = "Server Unavailable.";
    let bare = ImapError::Nonsense {
        during: Step::Fetch,
        line: line.into(),
    };
    check(
        Failure::Imap(bare),
        By::Token,
        line,
        "imap_server_unavailable",
        Retry,
        "service health",
    );
}

#[test]
fn the_time_a_server_names_is_the_time_it_is_held_for() {
    let held = |line| refusal(Step::Fetch, line).class();
    let seconds = |seconds| FailureClass::HoldFor(Duration::from_secs(seconds));
    for (line, expected) in [
        (
            "A NO Request is throttled. Suggested Backoff Time: 299000 milliseconds",
            seconds(299),
        ),
        (
            "A BAD Request is throttled. Suggested Backoff Time: 3000000 milliseconds",
            seconds(3000),
        ),
        ("A BAD Request is throttled.", seconds(300)),
        ("A NO [LIMIT] UID FETCH Rate limit hit.", seconds(900)),
        (
            "A NO [OVERQUOTA] Account exceeded command or bandwidth limits.",
            seconds(3600),
        ),
    ] {
        assert_eq!(held(line), expected, "{line}");
    }
}

/// The four cases of the product's page come first and are complete.
#[test]
fn authenticated_but_not_connected_names_all_checks_in_their_order() {
    let error = refusal(
        Step::Select,
        "A BAD User is authenticated but not connected.",
    );
    let said = explain(&Failure::Imap(error), &context(By::Token));
    let mut rest = said.next.as_str();
    for check in [
        "licence",
        "-ImapEnabled $true",
        "multi-factor",
        "Not too many programs",
        "shared mailbox",
        "FullAccess",
        "Sign in again once",
        "IMAP.AccessAsUser.All",
        "spelt",
    ] {
        let Some((_, behind)) = rest.split_once(check) else {
            panic!("{check} is missing or out of order: {}", said.next);
        };
        rest = behind;
    }
}

/// The same for a submission server, with what its reply is about before the code.
#[rustfmt::skip]
pub(crate) const SMTP: &[(Verb, By, &str, Concern, &str, Action, &str)] = &[
    // Exchange Online: the login.
    (Verb::Auth, By::Token, "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. Visit https://aka.ms/smtp_auth_disabled for more information.", Concern::Account, "smtp_auth_disabled", Administrator, "Set-TransportConfig -SmtpClientAuthenticationDisabled $false"),
    (Verb::Auth, By::Token, "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox. Visit https://aka.ms/smtp_auth_disabled for more information.", Concern::Account, "smtp_auth_disabled", Administrator, "Set-CASMailbox -Identity anna@contoso.example -SmtpClientAuthenticationDisabled $false"),
    (Verb::Auth, By::Token, "535 5.7.139 Authentication unsuccessful, user is locked by your organization's security defaults policy. Contact your administrator.", Concern::Account, "smtp_security_defaults", Administrator, "Manage security defaults"),
    (Verb::Auth, By::Token, "535 5.7.139 Authentication unsuccessful, the request did not meet the criteria to be authenticated successfully. Contact your administrator.", Concern::Account, "smtp_conditional_access", Administrator, "excludes anna@contoso.example"),
    (Verb::Auth, By::Password, "535 5.7.139 Authentication unsuccessful, basic authentication is disabled.", Concern::Account, "smtp_basic_disabled", Administrator, "Modern Authentication"),
    (Verb::Mail, By::Password, "550 5.7.30 Basic authentication is not supported for Client Submission.", Concern::Account, "smtp_basic_disabled", Administrator, "Modern Authentication"),
    (Verb::Auth, By::Password, "535 5.7.139 Authentication unsuccessful, the user credentials were incorrect.", Concern::Account, "smtp_password_refused", Administrator, "right user name"),
    (Verb::Auth, By::Token, "535 5.7.139 Authentication unsuccessful, the user credentials were incorrect.", Concern::Account, "smtp_sign_in_refused", SignInAgain, "provider authenticate 3"),
    (Verb::Auth, By::Password, "535 5.7.139 Authentication unsuccessful, federated STS service was unreachable.", Concern::Account, "smtp_federation_unreachable", Retry, "federated"),
    (Verb::Auth, By::Password, "535 5.7.139 Authentication unsuccessful, the federated STS URL does not support HTTPS.", Concern::Account, "smtp_federation_insecure", Administrator, "sign-in address"),
    (Verb::Auth, By::Token, "535 5.7.3 Authentication unsuccessful [AM0PR01CA0001.eurprd01.prod.outlook.com]", Concern::Account, "smtp_token_refused", Administrator, "SMTP.Send"),
    (Verb::Auth, By::Token, "501 5.5.124 Invalid XOAUTH2 auth data", Concern::Account, "smtp_auth_data_malformed", Administrator, "report it"),
    (Verb::Auth, By::Token, "454 4.7.0 Temporary authentication failure", Concern::Account, "smtp_login_unavailable", Retry, "by itself"),
    (Verb::Mail, By::Token, "530 5.7.57 SMTP; Client not authenticated to send mail.", Concern::Account, "smtp_not_authenticated", Administrator, "Set-CASMailbox"),
    (Verb::Mail, By::Token, "530 5.7.57 SMTP; Client was not authenticated to send anonymous mail during MAIL FROM", Concern::Account, "smtp_not_authenticated", Administrator, "Set-CASMailbox"),
    // The sender.
    (Verb::Mail, By::Token, "550 5.7.60 SMTP; Client does not have permissions to send as this sender", Concern::Account, "smtp_send_as_denied", Administrator, "Add-RecipientPermission -Identity shared@contoso.example"),
    (Verb::Dot, By::Token, "554 5.7.60 SMTP; Client does not have permissions to send as this sender", Concern::Account, "smtp_send_as_denied", Administrator, "SendAs"),
    (Verb::Dot, By::Token, "554 5.2.0 STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied; Failed to process message", Concern::Account, "smtp_send_as_denied", Administrator, "SendAs"),
    (Verb::Dot, By::Token, "554 5.2.252 SendAsDenied; a@x not allowed to send as b@y; STOREDRV.Submission", Concern::Account, "smtp_send_as_denied", Administrator, "SendAs"),
    (Verb::Mail, By::Token, "550 5.1.8 Access denied, bad outbound sender", Concern::Account, "smtp_sender_blocked", Administrator, "Restricted entities"),
    // Limits.
    (Verb::Mail, By::Token, "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded", Concern::Account, "smtp_concurrency", HoldUntil, "after a minute"),
    (Verb::Dot, By::Token, "432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending for more information.", Concern::Account, "smtp_concurrency", HoldUntil, "after a minute"),
    (Verb::Rcpt, By::Token, "432 4.3.2 STOREDRV.Deliver; recipient thread limit exceeded", Concern::Recipient, "smtp_recipient_limit", HoldUntil, "after an hour"),
    (Verb::Mail, By::Token, "421 4.4.2 Message submission rate for this client has exceeded the configured limit", Concern::Account, "smtp_submission_rate", HoldUntil, "after a minute"),
    (Verb::Dot, By::Token, "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed to process message", Concern::Account, "smtp_sending_limit", HoldUntil, "at most a day"),
    (Verb::Dot, By::Token, "550 5.2.2 Submission quota exceeded", Concern::Account, "smtp_sending_limit", HoldUntil, "at most a day"),
    (Verb::Rcpt, By::Token, "550 5.1.90 Your message can't be sent because you've reached your daily limit for message recipients", Concern::Account, "smtp_sending_limit", HoldUntil, "at most a day"),
    (Verb::Rcpt, By::Token, "550 5.7.232 Your message can't be sent because your trial tenant has exceeded its daily limit for sending email to external recipients", Concern::Account, "smtp_sending_limit", HoldUntil, "at most a day"),
    (Verb::Rcpt, By::Token, "550 5.7.233 Your message can't be sent because your tenant exceeded its daily limit for sending email to external recipients (tenant external recipient rate limit).", Concern::Account, "smtp_sending_limit", HoldUntil, "at most a day"),
    (Verb::Rcpt, By::Token, "550 5.2.121 Recipient's per hour message receive limit from specific sender exceeded", Concern::Recipient, "smtp_recipient_limit", HoldUntil, "other mail goes on"),
    (Verb::Rcpt, By::Token, "550 5.2.122 Recipient's per hour message receive limit exceeded", Concern::Recipient, "smtp_recipient_limit", HoldUntil, "other mail goes on"),
    (Verb::Dot, By::Token, "554 5.2.2 mailbox full; STOREDRV.Submission.Exception:QuotaExceededException.MapiExceptionShutoffQuotaExceeded; x", Concern::Account, "smtp_sender_mailbox_full", Administrator, "Sent Items"),
    (Verb::Dot, By::Token, "554 5.2.0 STOREDRV.Submission.Exception:QuotaExceededException.MapiExceptionQuotaExceeded; x", Concern::Account, "smtp_sender_mailbox_full", Administrator, "Sent Items"),
    // The server.
    (Verb::Dot, By::Token, "451 4.7.0 Temporary server error. Please try again later. PRX2", Concern::Message, "smtp_proxy_trouble", Retry, "by itself"),
    (Verb::Mail, By::Token, "451 4.7.0 Temporary server error. Please try again later. PRX5", Concern::Message, "smtp_proxy_trouble", Retry, "by itself"),
    (Verb::Mail, By::Token, "421 4.3.2 Service not available", Concern::Line, "smtp_server_busy", Retry, "service health"),
    (Verb::Greeting, By::Token, "421 4.3.2 The maximum number of concurrent server connections has exceeded a limit, closing transmission channel", Concern::Account, "smtp_server_busy", Retry, "service health"),
    (Verb::Mail, By::Token, "452 4.3.1 Insufficient system resources", Concern::Message, "smtp_server_busy", Retry, "service health"),
    (Verb::Auth, By::Token, "421 4.7.66 TLS 1.0 and 1.1 are not supported. Please upgrade/update your client to support TLS 1.2. Visit https://aka.ms/smtp_auth_tls.", Concern::Account, "smtp_tls_too_old", Administrator, "update it"),
    (Verb::Rcpt, By::Token, "451 4.7.500 Server busy. Please try again later from [192.0.2.1]. (S77719)", Concern::Account, "smtp_suspicious_traffic", HoldUntil, "quarter of an hour"),
    (Verb::Rcpt, By::Token, "451 4.7.650 The mail server [192.0.2.1] has been temporarily rate limited", Concern::Account, "smtp_suspicious_traffic", HoldUntil, "quarter of an hour"),
    (Verb::Rcpt, By::Token, "451 4.7.850 Access denied, please try again later", Concern::Account, "smtp_suspicious_traffic", HoldUntil, "quarter of an hour"),
    (Verb::Dot, By::Token, "550 5.7.501 Access denied, spam abuse detected", Concern::Account, "smtp_sender_banned", Administrator, "delist@microsoft.com"),
    (Verb::Mail, By::Token, "550 5.7.502 Access denied, banned sender", Concern::Account, "smtp_sender_banned", Administrator, "delist@microsoft.com"),
    (Verb::Mail, By::Token, "550 5.7.503 Access denied, banned sender", Concern::Account, "smtp_sender_banned", Administrator, "delist@microsoft.com"),
    (Verb::Rcpt, By::Token, "550 5.7.504 Recipient address rejected: Access denied", Concern::Recipient, "smtp_recipient_refuses", ThisMessageOnly, "recipient"),
    (Verb::Rcpt, By::Token, "550 5.7.505 Access denied, banned recipient", Concern::Recipient, "smtp_recipient_refuses", ThisMessageOnly, "recipient"),
    (Verb::Mail, By::Token, "550 5.7.506 Access denied, Bad HELO", Concern::Account, "smtp_helo_refused", Administrator, "host name"),
    (Verb::Rcpt, By::Token, "550 5.7.507 Access denied, rejected by recipient", Concern::Recipient, "smtp_recipient_refuses", ThisMessageOnly, "recipient"),
    (Verb::Mail, By::Token, "550 5.7.508 Access denied, [2001:db8::1] has exceeded permitted limits within 2001:db8::/64 range", Concern::Account, "smtp_address_range_limit", HoldUntil, "after an hour"),
    (Verb::Dot, By::Token, "550 5.7.509 Access denied, sending domain contoso.example does not pass DMARC verification", Concern::Message, "smtp_dmarc_refused", ThisMessageOnly, "DKIM"),
    (Verb::Mail, By::Token, "550 5.7.511 Access denied, banned sender[192.0.2.1]. To request removal from this list please forward this message to delist@microsoft.com.", Concern::Account, "smtp_sender_banned", Administrator, "delist@microsoft.com"),
    (Verb::Dot, By::Token, "550 5.7.512 Access denied, message must be RFC 5322 section 3.6.2 compliant", Concern::Message, "smtp_message_malformed", ThisMessageOnly, "From field"),
    (Verb::Rcpt, By::Token, "550 5.7.513 Service unavailable, Client host blocked by recipient using Customer Block list (AS16012607)", Concern::Recipient, "smtp_recipient_refuses", ThisMessageOnly, "recipient"),
    (Verb::Rcpt, By::Token, "550 5.7.606 Access denied, banned sending IP [192.0.2.1]", Concern::Account, "smtp_sender_banned", Administrator, "sender.office.com"),
    (Verb::Rcpt, By::Token, "550 5.7.649 Access denied, banned sending IP [192.0.2.1]", Concern::Account, "smtp_sender_banned", Administrator, "sender.office.com"),
    (Verb::Mail, By::Token, "550 5.7.705 Access denied, tenant has exceeded threshold", Concern::Account, "smtp_tenant_blocked", Administrator, "Microsoft"),
    (Verb::Mail, By::Token, "550 5.7.708 Access denied, traffic not accepted from this IP", Concern::Account, "smtp_tenant_blocked", Administrator, "Microsoft"),
    (Verb::Mail, By::Token, "550 5.7.750 Service unavailable. Client blocked from sending from unregistered domains", Concern::Account, "smtp_tenant_blocked", Administrator, "unregistered domains"),
    (Verb::Mail, By::Token, "550 5.7.800 Access denied", Concern::Account, "smtp_tenant_blocked", Administrator, "Microsoft"),
    // The message.
    (Verb::Dot, By::Token, "550 5.2.3 RESOLVER.RST.SendSizeLimit.Sender; message too large for this sender", Concern::Message, "smtp_message_too_large", ThisMessageOnly, "-MaxSendSize"),
    (Verb::Dot, By::Token, "550 5.2.3 RESOLVER.RST.SendSizeLimit.Org; message too large for this organization", Concern::Message, "smtp_message_too_large", ThisMessageOnly, "-MaxSendSize"),
    (Verb::Dot, By::Token, "550 5.2.3 RESOLVER.RST.RecipSizeLimit; message too large for this recipient", Concern::Message, "smtp_message_too_large", ThisMessageOnly, "-MaxSendSize"),
    (Verb::Dot, By::Token, "550 5.2.11 Message too large", Concern::Message, "smtp_message_too_large", ThisMessageOnly, "-MaxSendSize"),
    (Verb::Mail, By::Token, "552 5.3.4 Message size exceeds fixed maximum message size", Concern::Message, "smtp_message_too_large", ThisMessageOnly, "-MaxSendSize"),
    (Verb::Rcpt, By::Token, "550 5.1.1 User unknown", Concern::Recipient, "smtp_no_such_recipient", ThisMessageOnly, "Correct the address"),
    (Verb::Rcpt, By::Token, "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup", Concern::Recipient, "smtp_no_such_recipient", ThisMessageOnly, "Correct the address"),
    (Verb::Rcpt, By::Token, "550 5.4.1 Recipient address rejected: Access denied.", Concern::Recipient, "smtp_no_such_recipient", ThisMessageOnly, "Correct the address"),
    (Verb::Rcpt, By::Token, "550 5.5.0 Requested action not taken: mailbox unavailable", Concern::Recipient, "smtp_no_such_recipient", ThisMessageOnly, "Correct the address"),
    (Verb::Rcpt, By::Token, "452 4.5.3 Too many recipients", Concern::Recipient, "smtp_too_many_recipients", Retry, "further transactions"),
    (Verb::Rcpt, By::Token, "550 5.5.3 Too many recipients", Concern::Recipient, "smtp_too_many_recipients", Retry, "further transactions"),
    (Verb::Dot, By::Token, "550 5.1.20 Multiple From addresses are not allowed without Sender address", Concern::Message, "smtp_message_malformed", ThisMessageOnly, "From field"),
    (Verb::Dot, By::Token, "550 5.6.11 Invalid characters (bare line feed)", Concern::Message, "smtp_message_malformed", ThisMessageOnly, "report"),
    (Verb::Rcpt, By::Token, "550 5.7.1 RESOLVER.RST.NotAuthorized; not authorized", Concern::Recipient, "smtp_recipient_refuses", ThisMessageOnly, "recipient"),
    (Verb::Rcpt, By::Token, "550 5.7.12 Sender was not authenticated by organization", Concern::Recipient, "smtp_recipient_refuses", ThisMessageOnly, "recipient"),
    (Verb::Rcpt, By::Token, "550 5.7.124 Sender not in allowed-senders list", Concern::Recipient, "smtp_recipient_refuses", ThisMessageOnly, "recipient"),
    (Verb::Rcpt, By::Token, "550 5.7.133 Sender not authenticated for group", Concern::Recipient, "smtp_recipient_refuses", ThisMessageOnly, "recipient"),
    (Verb::Rcpt, By::Token, "550 5.7.136 Sender not authenticated for mail user", Concern::Recipient, "smtp_recipient_refuses", ThisMessageOnly, "recipient"),
    // Gmail.
    (Verb::Mail, By::Token, "421 4.3.0 Temporary System Problem. Try again later.", Concern::Line, "smtp_server_busy", Retry, "by itself"),
    (Verb::Greeting, By::Token, "421 4.4.5 Server busy, try again later.", Concern::Account, "smtp_server_busy", Retry, "by itself"),
    (Verb::Mail, By::Token, "421 4.7.0 Connection expired, try reconnecting.", Concern::Line, "smtp_server_busy", Retry, "by itself"),
    (Verb::Rcpt, By::Token, "450 4.2.1 The user you are trying to contact is receiving mail too quickly.", Concern::Recipient, "smtp_recipient_later", Retry, "this copy"),
    (Verb::Mail, By::Token, "451 4.3.0 Mail server temporarily rejected message.", Concern::Message, "smtp_server_busy", Retry, "by itself"),
    (Verb::Data, By::Token, "451 4.4.2 Timeout - closing connection.", Concern::Message, "smtp_server_busy", Retry, "by itself"),
    (Verb::Mail, By::Token, "451 4.5.0 SMTP protocol violation, no commands allowed to pipeline after STARTTLS", Concern::Message, "smtp_server_busy", Retry, "by itself"),
    (Verb::Rcpt, By::Token, "452 4.2.2 The recipient's inbox is out of storage space.", Concern::Recipient, "smtp_recipient_later", Retry, "this copy"),
    (Verb::Rcpt, By::Token, "452 4.5.3 Your message has too many recipients.", Concern::Recipient, "smtp_too_many_recipients", Retry, "further transactions"),
    (Verb::Auth, By::Token, "454 4.7.0 Cannot authenticate due to temporary system problem. Try again later.", Concern::Account, "smtp_login_unavailable", Retry, "by itself"),
    (Verb::Auth, By::Token, "454 4.7.0 Too many login attempts, please try again later.", Concern::Account, "smtp_too_many_logins", Retry, "too often"),
    (Verb::Dot, By::Token, "552 5.2.3 Your message exceeded Google's message size limits.", Concern::Message, "smtp_message_too_large", ThisMessageOnly, "smaller attachments"),
    (Verb::Rcpt, By::Token, "550 5.4.5 Daily user sending limit exceeded.", Concern::Account, "smtp_sending_limit", HoldUntil, "at most a day"),
    (Verb::Mail, By::Password, "530 5.5.1 Authentication Required.", Concern::Account, "smtp_not_authenticated", Administrator, "authentication"),
    (Verb::Mail, By::Password, "530 5.7.0 Must issue a STARTTLS command first.", Concern::Account, "smtp_tls_required", Administrator, "STARTTLS (port 587)"),
    (Verb::Auth, By::Password, "534 5.7.9 Application-specific password required.", Concern::Account, "smtp_app_password_required", Administrator, "apppasswords"),
    (Verb::Auth, By::Password, "534 5.7.14 Please log in through your web browser and then try again.", Concern::Account, "smtp_web_login_required", Administrator, "browser"),
    (Verb::Auth, By::Password, "535 5.7.8 Username and Password not accepted.", Concern::Account, "smtp_password_refused", Administrator, "app password"),
    (Verb::Auth, By::Token, "535 5.7.8 Username and Password not accepted.", Concern::Account, "smtp_sign_in_refused", SignInAgain, "provider authenticate 3"),
    // Postfix.
    (Verb::Rcpt, By::Password, "553 5.7.1 <shared@x>: Sender address rejected: not owned by user sam", Concern::Account, "smtp_send_as_denied", Administrator, "SendAs"),
    (Verb::Rcpt, By::Password, "554 5.7.1 <a@y>: Relay access denied", Concern::Account, "smtp_sender_refused", Administrator, "587"),
    // Nobody knows these: reply code and enhanced code decide, the words are quoted.
    (Verb::Rcpt, By::Token, "450 4.9.9 The moon is in the wrong phase", Concern::Recipient, "smtp_refused", Retry, "tried again by itself"),
    (Verb::Dot, By::Token, "550 5.6.77 The moon is in the wrong phase", Concern::Message, "smtp_refused", ThisMessageOnly, "form of the message"),
    (Verb::Ehlo, By::Token, "550 5.7.77 The moon is in the wrong phase", Concern::Account, "smtp_refused", Administrator, "permissions or policy"),
    (Verb::Auth, By::Token, "535 5.9.9 The moon is in the wrong phase", Concern::Account, "smtp_token_refused", Administrator, "SMTP.Send"),
];

#[test]
fn every_reply_of_a_submission_server_has_its_code_its_class_and_its_next_step() {
    let mut seen = BTreeSet::new();
    for (during, by, line, concern, code, action, next) in SMTP {
        let reply = Reply::from_line(line).expect(line);
        let error = if *during == Verb::Auth && reply.is_permanent() {
            SmtpError::AuthenticationRefused {
                reply,
                challenge_json: None,
            }
        } else {
            SmtpError::Refused {
                during: *during,
                reply,
            }
        };
        assert_eq!(error.concern(), *concern, "{line}");
        check(Failure::Smtp(error), *by, line, code, *action, next);
        seen.insert(*code);
    }
    for entry in smtp::entries() {
        assert!(seen.contains(entry.code), "{} has no text", entry.code);
    }
}

#[rustfmt::skip]
const GRAPH: &[Answer] = &[
    (400, "ErrorMimeContentInvalidBase64String", None, "graph_message_malformed", ThisMessageOnly, "report it"),
    (400, "ErrorInvalidRecipients", None, "graph_recipient_invalid", ThisMessageOnly, "Correct the address"),
    (401, "InvalidAuthenticationToken", None, "graph_token_refused", SignInAgain, "provider authenticate 3"),
    (401, "", None, "graph_token_refused", SignInAgain, "provider authenticate 3"),
    (403, "ErrorSendAsDenied", None, "graph_send_as_denied", Administrator, "Add-RecipientPermission -Identity shared@contoso.example -Trustee anna@contoso.example"),
    (403, "ErrorAccessDenied", None, "graph_access_denied", Administrator, "Mail.Send.Shared"),
    (404, "MailboxNotEnabledForRESTAPI", None, "graph_mailbox_missing", Administrator, "licence"),
    (403, "MailboxNotEnabledForRESTAPI", None, "graph_mailbox_missing", Administrator, "licence"),
    (413, "ErrorMessageSizeExceeded", None, "graph_message_too_large", ThisMessageOnly, "smaller attachments"),
    (413, "", None, "graph_message_too_large", ThisMessageOnly, "smaller attachments"),
    (429, "ApplicationThrottled", Some(10), "graph_throttled", HoldUntil, "the time it named"),
    (429, "TooManyRequests", None, "graph_throttled", HoldUntil, "the time it named"),
    (429, "", Some(10), "graph_throttled", HoldUntil, "the time it named"),
    (507, "ErrorQuotaExceeded", None, "graph_mailbox_full", Administrator, "Sent Items"),
    (403, "ErrorExceededMessageLimit", None, "graph_sending_limit", HoldUntil, "at most a day"),
    (500, "", None, "graph_unavailable", Retry, "by itself"),
    (502, "", None, "graph_unavailable", Retry, "by itself"),
    (503, "serviceNotAvailable", None, "graph_unavailable", Retry, "by itself"),
    (504, "", None, "graph_unavailable", Retry, "by itself"),
    (503, "", Some(10), "graph_unavailable", HoldUntil, "by itself"),
    (403, "SomethingNew", None, "graph_refused", Administrator, "Microsoft support"),
    (418, "SomethingNew", None, "graph_refused", ThisMessageOnly, "Microsoft support"),
];

#[test]
fn every_answer_of_graph_has_its_code_its_class_and_its_next_step() {
    let mut seen = BTreeSet::new();
    for (status, error, retry_after, code, action, next) in GRAPH {
        let refusal = GraphRefusal {
            status: *status,
            code: (*error).into(),
            message: format!("The answer in words, {status}."),
            retry_after: retry_after.map(Duration::from_secs),
            request_id: Some("rq-1".into()),
        };
        if let (Some(seconds), FailureClass::HoldFor(time)) = (retry_after, refusal.class()) {
            assert_eq!(time, Duration::from_secs(*seconds));
        }
        let words = refusal.message.clone();
        check(
            Failure::Graph(refusal),
            By::Token,
            &words,
            code,
            *action,
            next,
        );
        seen.insert(*code);
    }
    for entry in graph::entries() {
        assert!(seen.contains(entry.code), "{} has no text", entry.code);
    }
}
