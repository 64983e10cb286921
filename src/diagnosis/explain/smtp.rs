//! What submission servers say (RFC 5321, RFC 3463; Exchange Online and Gmail in their own words).

use super::{
    dial,
    words::{UNGREETED, Words, chain, quote},
};
use crate::{
    diagnosis::{
        Context,
        catalogue::{self, Said},
    },
    model::FailureClass,
    smtp::{Reply, SmtpError, Verb},
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
            let said = Said {
                during: Verb::Auth,
                reply,
                login: Some(context.provider.is_some()),
            };
            reply_words(said, error, why, context)
        }
        SmtpError::Refused { reply, during } => {
            let said = Said {
                during: *during,
                reply,
                login: None,
            };
            reply_words(said, error, quote(&reply.to_string()), context)
        }
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
        SmtpError::TimedOut {
            during: Verb::Greeting,
            ..
        } => Words::new(
            "smtp_silent",
            format!("{server} took the connection and did not greet in time."),
            UNGREETED,
            "It is tried again by itself. If it stays, check port and TLS mode in the account: 465 speaks TLS at once, \
             587 uses STARTTLS.",
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

fn reply_words(said: Said<'_>, error: &SmtpError, why: String, context: &Context) -> Words {
    match catalogue::smtp(said) {
        Some(entry) => Words::known(entry, context, &why),
        None => Words::new(
            "smtp_refused",
            format!("{} refused {}.", context.server(), said.during),
            why,
            next(said.reply, error.class()),
        ),
    }
}

/// A reply that is not known: what to do follows from its class and, for people, from the subject of its
/// enhanced code (RFC 3463 §3).
pub(super) fn next(reply: &Reply, class: FailureClass) -> String {
    let about = match reply.status().map(|(subject, _)| subject) {
        Some(1) => "It is about an address: check sender and recipients. ",
        Some(2) => "It is about a mailbox: it may be full, disabled or restricted. ",
        Some(3) => "It is about the server itself, or the size of the message. ",
        Some(4) => "It is about the network or the routing behind the server. ",
        Some(5) => "It is about the protocol: report it if it stays. ",
        Some(6) => "It is about the form of the message. ",
        Some(7) => "It is about permissions or policy. ",
        _ => "",
    };
    let then = match class {
        FailureClass::RetryLater | FailureClass::HoldFor(_) => {
            "It is tried again by itself; if it stays, show the server's words to its administrator."
        }
        FailureClass::GiveUp => {
            "This copy is not tried again, other mail goes on; show the server's words to its administrator."
        }
        FailureClass::OperatorMustAct => {
            "Show the server's words to its administrator. Mail waits meanwhile; nothing is lost."
        }
    };
    format!("{about}{then}")
}
