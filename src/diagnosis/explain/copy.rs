//! What became of one recipient's copy, from what the queue keeps of it.

use super::{
    smtp,
    words::{Words, quote},
};
use crate::{
    diagnosis::{
        Context, Diagnosis,
        catalogue::{self, Said},
    },
    model::{Action, FailureClass, RecipientState},
    smtp::{Reply, Verb},
};

/// Says why a copy was refused, waits or is in doubt, and what to do; `None` where there is nothing to say. `code` and
/// `text` are the reply that the queue keeps, enhanced code first, or words of our own where there is no code. Pure.
pub fn explain_copy(
    state: RecipientState,
    code: Option<u16>,
    text: &str,
    context: &Context,
) -> Option<Diagnosis> {
    let class = match state {
        RecipientState::Failed | RecipientState::Expired | RecipientState::Bounced => {
            FailureClass::GiveUp
        }
        RecipientState::Deferred => FailureClass::RetryLater,
        RecipientState::InDoubt => FailureClass::OperatorMustAct,
        RecipientState::Queued
        | RecipientState::Claimed
        | RecipientState::DotPending
        | RecipientState::Sent
        | RecipientState::Held
        | RecipientState::Cancelled => return None,
    };
    let reply = code.and_then(|code| Reply::from_line(&format!("{code} {text}")));
    let refusal = reply.filter(|reply| reply.is_transient() || reply.is_permanent());
    let words = match (state, &refusal) {
        (RecipientState::InDoubt, _) => Words::new(
            "copy_in_doubt",
            "Nobody knows whether this copy was sent.",
            "The connection ended between the end of the mail and the server's answer. It is not sent again by itself, so \
             that nobody gets it twice.",
            "Look into the mailbox's folder of sent mail or ask the recipient; if it is not there, send it again.",
        ),
        (RecipientState::Bounced, _) => Words::new(
            "copy_bounced",
            "This copy was sent, and came back.",
            quote(text),
            "Check the recipient's address, and read the report among the incoming mail; nothing is sent again by itself.",
        ),
        (_, Some(reply)) => refused(reply, class, context),
        (RecipientState::Deferred, None) => Words::new(
            "copy_waits",
            "This copy could not be sent yet.",
            quote(text),
            "Nothing: it is tried again by itself.",
        ),
        (_, None) => Words::new(
            "copy_not_sent",
            "This copy was not sent and is not tried again.",
            quote(text),
            "Send it again; the reason says what has to be changed first.",
        ),
    };
    let Words {
        code,
        what,
        why,
        next,
        ..
    } = words;
    let expired = state == RecipientState::Expired;
    Some(Diagnosis {
        code,
        what: match expired {
            true => format!("The time for this copy was over before it could be sent. {what}"),
            false => what,
        },
        why,
        next: match expired {
            true => format!(
                "This copy is not tried again; send the mail again when the cause is gone. {next}"
            ),
            false => next,
        },
        class,
        action: Action::from(class),
    })
}

fn refused(reply: &Reply, class: FailureClass, context: &Context) -> Words {
    let why = quote(&reply.to_string());
    let said = Said {
        during: Verb::Rcpt,
        reply,
        login: None,
    };
    match catalogue::smtp(said) {
        Some(entry) => Words::known(entry, context, &why),
        None => Words::new(
            "smtp_refused",
            format!("{} refused this copy.", context.server()),
            why,
            smtp::next(reply, class),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_copy_that_is_not_sent_says_what_why_and_what_next() {
        use RecipientState::*;
        let context = Context {
            server: Some("smtp.contoso.example:587".to_owned()),
            mailbox: Some("desk@contoso.example".to_owned()),
            ..Context::default()
        };
        for (state, code, text, expected, why, next) in [
            (
                Failed,
                Some(550),
                "5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found",
                "smtp_no_such_recipient",
                "550 5.1.10 RESOLVER",
                "Correct the address",
            ),
            (
                Deferred,
                Some(450),
                "4.2.1 too quickly",
                "smtp_recipient_later",
                "too quickly",
                "this copy",
            ),
            (
                Deferred,
                Some(554),
                "5.2.252 SendAsDenied; a@x not allowed to send as b@y",
                "smtp_send_as_denied",
                "SendAsDenied",
                "Add-RecipientPermission",
            ),
            (
                Expired,
                Some(450),
                "4.9.9 The moon is in the wrong phase",
                "smtp_refused",
                "wrong phase",
                "send the mail again",
            ),
            (
                Failed,
                Some(554),
                "no",
                "smtp_refused",
                "554 no",
                "not tried again",
            ),
            (
                Failed,
                None,
                "the message cannot be sent: a bare line feed",
                "copy_not_sent",
                "bare line feed",
                "Send it again",
            ),
            (
                Deferred,
                None,
                "the connection broke",
                "copy_waits",
                "broke",
                "by itself",
            ),
            (InDoubt, None, "", "copy_in_doubt", "between", "sent mail"),
        ] {
            let said = explain_copy(state, code, text, &context).unwrap();
            assert_eq!(said.code, expected, "{text}");
            assert!(said.why.contains(why), "{text}: {}", said.why);
            assert!(said.next.contains(next), "{text}: {}", said.next);
            assert!(said.action.fits(said.class), "{text}");
        }
        for (state, code, text) in [
            (Sent, Some(250), "2.0.0 OK"),
            (Queued, None, ""),
            (Cancelled, Some(450), "4.2.1 later"),
        ] {
            assert_eq!(explain_copy(state, code, text, &context), None, "{state:?}");
        }
    }
}
