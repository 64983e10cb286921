//! What a refusal means: whose trouble it is, and who acts next. Pure.
//!
//! The codes and words are those of Exchange Online, Gmail and Postfix; a reply that is not known gets
//! its class from its first digit.

use std::time::Duration;

use super::{Reply, error::Verb};
use crate::model::FailureClass;

/// Whose trouble it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concern {
    /// One recipient's; the others are not affected.
    Recipient,
    /// This message's, for all its recipients.
    Message,
    /// The account's: every message would meet it. It never counts against a message (I7).
    Account,
    /// Only this connection's.
    Line,
}

const MINUTE: Duration = Duration::from_secs(60);
/// A daily limit counts over a sliding day: room comes back all the time, so ask again each hour.
const DAILY_LIMIT: Duration = Duration::from_secs(60 * 60);

/// Trouble without a reply, by step.
pub(super) fn of_step(during: Verb) -> Concern {
    match during {
        Verb::Greeting | Verb::Ehlo | Verb::StartTls | Verb::Auth => Concern::Account,
        Verb::Mail | Verb::Rcpt | Verb::Data | Verb::Body | Verb::Dot | Verb::Rset | Verb::Quit => {
            Concern::Line
        }
    }
}

/// A 5yz reply to the login.
pub(super) fn login(reply: &Reply) -> FailureClass {
    // Exchange Online asked another company's sign-in service, which was not there.
    if says(reply, "sts service was unreachable") {
        FailureClass::RetryLater
    } else {
        account_limit(reply).unwrap_or(FailureClass::OperatorMustAct)
    }
}

/// A 4yz or 5yz reply.
pub(super) fn refusal(during: Verb, reply: &Reply) -> (Concern, FailureClass) {
    let by_digit = if reply.is_permanent() {
        FailureClass::GiveUp
    } else {
        FailureClass::RetryLater
    };
    match during {
        // Nothing of a message was said yet.
        Verb::Greeting | Verb::Ehlo | Verb::StartTls | Verb::Auth => {
            let class = match account_limit(reply) {
                Some(class) => class,
                None if reply.is_permanent() || is_old_tls(reply) => FailureClass::OperatorMustAct,
                None => FailureClass::RetryLater,
            };
            (Concern::Account, class)
        }
        Verb::Rset | Verb::Quit => (Concern::Line, FailureClass::RetryLater),
        Verb::Mail | Verb::Rcpt | Verb::Data | Verb::Body | Verb::Dot => {
            if is_recipients_limit(reply) {
                return (Concern::Recipient, FailureClass::HoldFor(DAILY_LIMIT));
            }
            if let Some(class) = account_limit(reply) {
                return (Concern::Account, class);
            }
            if is_our_fault(during, reply) || is_old_tls(reply) {
                return (Concern::Account, FailureClass::OperatorMustAct);
            }
            // The rest goes in another transaction, whatever the digit says.
            if reply.is_too_many_recipients() {
                return (Concern::Recipient, FailureClass::RetryLater);
            }
            // RFC 5321 §3.8: the server closes the connection; it means no message in particular.
            if reply.code == 421 {
                return (Concern::Line, FailureClass::RetryLater);
            }
            let concern = if during == Verb::Rcpt {
                Concern::Recipient
            } else {
                Concern::Message
            };
            (concern, by_digit)
        }
    }
}

impl Reply {
    /// The server takes no more recipients in this transaction; in another one it will.
    pub fn is_too_many_recipients(&self) -> bool {
        matches!(status(self), Some((5, 3)))
    }

    /// Subject and detail of the enhanced code, whatever its class: `5.7.60` gives (7, 60).
    pub fn status(&self) -> Option<(u16, u16)> {
        let mut numbers = self.enhanced.as_deref()?.split('.').skip(1);
        let subject = numbers.next()?.parse().ok()?;
        let detail = numbers.next()?.parse().ok()?;
        Some((subject, detail))
    }

    /// `5.5.0` says "permanent, no idea why"; some servers mean "try later" by it.
    pub fn is_odd(&self) -> bool {
        self.is_permanent() && matches!(status(self), Some((5, 0)))
    }
}

fn status(reply: &Reply) -> Option<(u16, u16)> {
    reply.status()
}

/// Exchange Online: the *recipient* gets too much per hour.
fn is_recipients_limit(reply: &Reply) -> bool {
    matches!(status(reply), Some((2, 121 | 122)))
        || (reply.code == 432 && says(reply, "recipient thread limit"))
}

/// A limit of the account, and how long to hold its queue for it.
fn account_limit(reply: &Reply) -> Option<FailureClass> {
    let daily = matches!(status(reply), Some((7, 232 | 233) | (4, 5) | (1, 90)))
        && reply.is_permanent()
        || says(reply, "submissionquotaexceeded")
        || says(reply, "submission quota exceeded")
        || (says(reply, "daily") && says(reply, "limit") && reply.is_permanent());
    if daily {
        return Some(FailureClass::HoldFor(DAILY_LIMIT));
    }
    // Exchange Online: three submissions of a mailbox at once, 30 messages a minute.
    if reply.code == 432 || says(reply, "submission rate for this client") {
        return Some(FailureClass::HoldFor(MINUTE));
    }
    // Exchange Online: too much from this range of addresses.
    if reply.is_permanent() && status(reply) == Some((7, 508)) {
        return Some(FailureClass::HoldFor(DAILY_LIMIT));
    }
    // Exchange Online: suspicious traffic, "try again later".
    if reply.is_transient() && matches!(status(reply), Some((7, 500..=699 | 850..=899))) {
        return Some(FailureClass::HoldFor(MINUTE * 15));
    }
    None
}

/// The server refuses the account, its sender address or its login, not the message.
fn is_our_fault(during: Verb, reply: &Reply) -> bool {
    if !reply.is_permanent() {
        return false;
    }
    let by_status = matches!(
        status(reply),
        Some(
            (7, 30 | 57 | 60 | 139 | 501..=503 | 506 | 511 | 606..=649 | 705 | 708 | 750 | 800)
            | (1, 8)
            | (2, 252),
        )
    );
    // RFC 4954 §6: authentication required, too weak, refused, needs encryption.
    let by_code = matches!(reply.code, 530 | 534 | 535 | 538);
    // Exchange Online, newer wording of "no Send As"; its own mailbox being full; Postfix, when the
    // sender address does not belong to the login, or when there was no login (said at RCPT TO).
    let by_words = says(reply, "sendasdenied")
        || (says(reply, "storedrv.submission") && says(reply, "quotaexceeded"))
        || says(reply, "sender address rejected")
        || says(reply, "client host rejected")
        || says(reply, "helo command rejected")
        || says(reply, "relay access denied")
        || says(reply, "permissions to send as");
    by_status || by_code || by_words || (during == Verb::Mail && !is_about_the_message(reply))
}

/// Exchange Online: `421 4.7.66 TLS 1.0 and 1.1 are not supported.`
fn is_old_tls(reply: &Reply) -> bool {
    status(reply) == Some((7, 66))
}

/// MAIL FROM names our own address, the size and the kind of body: what is not said about the last
/// two is about the first.
fn is_about_the_message(reply: &Reply) -> bool {
    matches!(reply.code, 501 | 503 | 504 | 552 | 555)
        || matches!(status(reply), Some((3, 4) | (2, 3) | (5, _) | (6, _)))
}

fn says(reply: &Reply, words: &str) -> bool {
    reply.text.to_ascii_lowercase().contains(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(during: Verb, line: &str, concern: Concern, class: FailureClass) {
        let reply = Reply::from_line(line).unwrap();
        assert_eq!(
            refusal(during, &reply),
            (concern, class),
            "{during}: {line}"
        );
    }

    #[test]
    fn replies_of_the_big_providers_have_the_class_they_mean() {
        use Concern::*;
        use FailureClass::*;
        use Verb::*;
        let hour = HoldFor(Duration::from_secs(3600));
        let minute = HoldFor(Duration::from_secs(60));
        for (during, line, concern, class) in [
            (
                Auth,
                "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.",
                Account,
                OperatorMustAct,
            ),
            (
                Auth,
                "454 4.7.0 Temporary authentication failure",
                Account,
                RetryLater,
            ),
            (
                Auth,
                "432 4.3.2 Concurrent connections limit exceeded.",
                Account,
                minute,
            ),
            (Greeting, "554 5.7.1 go away", Account, OperatorMustAct),
            (
                Greeting,
                "421 4.3.2 Service not available",
                Account,
                RetryLater,
            ),
            (
                Mail,
                "530 5.7.57 Client not authenticated to send mail",
                Account,
                OperatorMustAct,
            ),
            (
                Mail,
                "550 5.7.60 SMTP; Client does not have permissions to send as this sender",
                Account,
                OperatorMustAct,
            ),
            (
                Dot,
                "554 5.2.252 SendAsDenied; a@x not allowed to send as b@y; STOREDRV.Submission",
                Account,
                OperatorMustAct,
            ),
            (
                Dot,
                "554 5.2.0 STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied; x",
                Account,
                OperatorMustAct,
            ),
            (
                Dot,
                "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; x",
                Account,
                hour,
            ),
            (
                Dot,
                "554 5.2.2 mailbox full; STOREDRV.Submission.Exception:QuotaExceededException.MapiExceptionShutoffQuotaExceeded",
                Account,
                OperatorMustAct,
            ),
            (
                Rcpt,
                "550 5.1.90 Your message can't be sent because you've reached your daily limit for message recipients",
                Account,
                hour,
            ),
            (
                Rcpt,
                "550 5.4.5 Daily user sending limit exceeded",
                Account,
                hour,
            ),
            (
                Rcpt,
                "550 5.2.121 Recipient's per hour message receive limit exceeded",
                Recipient,
                hour,
            ),
            (
                Mail,
                "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded",
                Account,
                minute,
            ),
            (
                Mail,
                "421 4.4.2 Message submission rate for this client has exceeded the configured limit",
                Account,
                minute,
            ),
            (
                Rcpt,
                "451 4.7.500 Server busy. Please try again later from [192.0.2.1]. (S77719)",
                Account,
                HoldFor(Duration::from_secs(900)),
            ),
            (
                Mail,
                "550 5.1.8 Access denied, bad outbound sender",
                Account,
                OperatorMustAct,
            ),
            (
                Rcpt,
                "553 5.7.1 <shared@x>: Sender address rejected: not owned by user sam",
                Account,
                OperatorMustAct,
            ),
            (
                Rcpt,
                "554 5.7.1 <unknown[192.0.2.1]>: Client host rejected: Access denied",
                Account,
                OperatorMustAct,
            ),
            (
                Rcpt,
                "554 5.7.1 <a@y>: Relay access denied",
                Account,
                OperatorMustAct,
            ),
            (Mail, "550 no such sender", Account, OperatorMustAct),
            (
                Mail,
                "552 5.3.4 Message size exceeds fixed maximum message size",
                Message,
                GiveUp,
            ),
            (Mail, "501 5.5.4 bad parameter", Message, GiveUp),
            (
                Mail,
                "451 4.7.0 Temporary server error. Please try again later. PRX2",
                Message,
                RetryLater,
            ),
            (Rcpt, "550 5.1.1 no such user", Recipient, GiveUp),
            (Rcpt, "550 5.7.1 restricted", Recipient, GiveUp),
            (Rcpt, "452 4.2.2 mailbox full", Recipient, RetryLater),
            (Rcpt, "421 4.3.2 closing", Line, RetryLater),
            (Dot, "554 5.7.1 looks like spam", Message, GiveUp),
            (Dot, "451 4.3.0 try again", Message, RetryLater),
            (Data, "554 no valid recipients", Message, GiveUp),
        ] {
            check(during, line, concern, class);
        }
    }

    #[test]
    fn too_many_recipients_is_told_from_other_refusals() {
        for (line, expected) in [
            ("452 4.5.3 Too many recipients", true),
            ("550 5.5.3 too many", true),
            ("452 4.2.2 full", false),
            ("452 too many recipients", false),
        ] {
            assert_eq!(
                Reply::from_line(line).unwrap().is_too_many_recipients(),
                expected,
                "{line}"
            );
        }
    }
}
