//! What submission servers say (RFC 5321, RFC 3463; Exchange Online and Gmail in their own words).

use super::{
    dial,
    words::{Words, chain, quote},
};
use crate::{
    diagnosis::Context,
    smtp::{Reply, SmtpError},
};

pub(super) fn words(error: &SmtpError, context: &Context) -> Words {
    let server = context.server();
    match error {
        SmtpError::Dial(error) => dial::words(error, context),
        SmtpError::AuthenticationRefused {
            reply,
            challenge_json,
        } => {
            let mut why = quote(&reply.to_string());
            if let Some(json) = challenge_json {
                why.push_str(&format!(" (challenge {})", quote(json)));
            }
            login(reply, why, context)
        }
        SmtpError::Refused { reply, during } => refused(reply, context).unwrap_or_else(|| {
            Words::new(
                "smtp_refused",
                format!("{server} refused {during}."),
                quote(&reply.to_string()),
                "If it is not tried again by itself, show the server's words to its administrator.",
            )
        }),
        SmtpError::AuthenticationNotOffered { wanted, offered } => Words::new(
            "smtp_login_not_offered",
            format!("{server} does not offer the login that the account needs ({wanted})."),
            format!(
                "It offers: {}.",
                if offered.is_empty() {
                    "nothing"
                } else {
                    offered
                }
            ),
            "Change the account's authentication, or its port (587 or 465 are for submission; 25 is not).",
        ),
        SmtpError::UnusableCredential(what) => Words::new(
            "smtp_credential_unusable",
            format!("The account's {what} cannot be used to log in."),
            "It is empty or holds control characters.",
            format!("Enter the {what} again."),
        ),
        SmtpError::StartTlsMissing => Words::new(
            "smtp_no_starttls",
            format!("{server} does not offer STARTTLS."),
            "Without it, password and mail would travel in clear text; nothing was sent.",
            "Use port 465 with TLS, or another server. If something between strips STARTTLS, find out what.",
        ),
        SmtpError::Injected => Words::new(
            "smtp_injection",
            format!("Clear text came behind the answer of {server} to STARTTLS."),
            "Something between may be injecting commands; nothing was sent.",
            "Use port 465 with TLS. Tell the server's administrator (CVE-2011-0411 and the like).",
        ),
        SmtpError::NotOffered { what, during } => Words::new(
            "smtp_extension_missing",
            format!("{server} cannot take this message."),
            format!("It does not offer {what}, which {during} needs."),
            "Send without non-ASCII addresses, or through a server that offers it.",
        ),
        SmtpError::BadBody(why) => Words::new(
            "smtp_bad_body",
            "A stored message cannot be sent as it is.",
            quote(&why.to_string()),
            "Report this with the log lines around it; the message is kept.",
        ),
        SmtpError::Broken { .. } => Words::new(
            "smtp_line_broken",
            format!("The connection to {server} broke."),
            quote(&chain(error)),
            "Nothing: it is tried again by itself. If it happens often, look at the network between.",
        ),
        SmtpError::TimedOut { .. } => Words::new(
            "smtp_silent",
            format!("{server} did not answer in time."),
            quote(&error.to_string()),
            "Nothing: it is tried again by itself. If it happens often, look at the network between.",
        ),
        SmtpError::Nonsense { line, .. } => Words::new(
            "smtp_nonsense",
            format!("{server} sent what is not SMTP."),
            quote(line),
            "Check host and port of the account. If they are right, report this with the log lines around it.",
        ),
        SmtpError::Limit { what, .. } => Words::new(
            "smtp_limit",
            format!("{server} sent more than is allowed."),
            quote(what),
            "It is tried again by itself. If it stays, report this with the log lines around it.",
        ),
    }
}

fn login(reply: &Reply, why: String, context: &Context) -> Words {
    let (server, user, mailbox) = (context.server(), context.user(), context.mailbox());
    let text = reply.text.to_ascii_lowercase();
    if text.contains("smtpclientauthentication is disabled") {
        return Words::new(
            "smtp_auth_disabled",
            format!("Sending by SMTP is switched off for {mailbox} (SmtpClientAuthentication)."),
            why,
            format!(
                "An Exchange administrator runs: Set-CASMailbox -Identity {user} -SmtpClientAuthenticationDisabled $false \
                 (the mailbox's setting wins over the tenant's). Mail waits meanwhile; nothing is lost."
            ),
        );
    }
    if text.contains("security defaults") {
        return Words::new(
            "smtp_security_defaults",
            "The tenant's security defaults block sending by SMTP.",
            why,
            "An administrator of the tenant turns security defaults off and uses Conditional Access instead.",
        );
    }
    if text.contains("basic authentication is disabled")
        || text.contains("basic authentication is not supported")
    {
        return Words::new(
            "smtp_basic_disabled",
            format!("{server} takes no passwords any more."),
            why,
            "Change the account to Modern Authentication with a cloud provider.",
        );
    }
    if context.provider.is_some() {
        Words::new(
            "smtp_token_refused",
            format!("{server} does not accept the access token for {user}."),
            why,
            format!(
                "For a shared mailbox the delegate must be the user who signed in; check the spelling of {user}, that the app \
                 registration has SMTP.Send, and that authenticated SMTP is on for {user} \
                 (Set-CASMailbox -Identity {user} -SmtpClientAuthenticationDisabled $false). Then sign in again."
            ),
        )
    } else {
        Words::new(
            "smtp_password_refused",
            format!("{server} does not accept the password of {user}."),
            why,
            "Enter the right user name and password in the account. Gmail and Yahoo want an app password; \
             Exchange Online wants Modern Authentication. Mail waits meanwhile; nothing is lost.",
        )
    }
}

fn refused(reply: &Reply, context: &Context) -> Option<Words> {
    let (mailbox, user) = (context.mailbox(), context.user());
    let text = reply.text.to_ascii_lowercase();
    let why = quote(&reply.to_string());
    let enhanced = reply.enhanced.as_deref().unwrap_or("");
    if enhanced == "5.7.60" || text.contains("sendasdenied") || text.contains("not owned by user") {
        return Some(Words::new(
            "smtp_send_as_denied",
            format!("{user} may not send as {mailbox}."),
            why,
            format!(
                "An Exchange administrator runs: Add-RecipientPermission {mailbox} -Trustee {user} -AccessRights SendAs. \
                 It may take an hour to count. Mail waits meanwhile; nothing is lost."
            ),
        ));
    }
    if text.contains("quotaexceededexception") && !text.contains("submissionquota") {
        return Some(Words::new(
            "smtp_sender_mailbox_full",
            format!("{mailbox} is full, so it cannot send."),
            why,
            "Empty its Sent Items or set a retention policy. Mail waits meanwhile; nothing is lost.",
        ));
    }
    if text.contains("submissionquota")
        || text.contains("daily") && text.contains("limit")
        || enhanced == "5.4.5"
    {
        return Some(Words::new(
            "smtp_sending_limit",
            format!("{mailbox} has reached the provider's sending limit."),
            why,
            "Nothing: the queue waits until the limit is over, at most a day, and then goes on by itself.",
        ));
    }
    if enhanced == "5.1.8" || text.contains("bad outbound sender") {
        return Some(Words::new(
            "smtp_sender_blocked",
            format!("The provider has blocked {mailbox} from sending."),
            why,
            "An administrator removes it from Restricted entities in the Defender portal and changes its password.",
        ));
    }
    None
}
