//! Workarounds for single servers, each with where it was seen. Pure.

use std::time::Duration;

use crate::model::FailureClass;

/// After a limit without a time: what Exchange Online usually names is five minutes, others say nothing.
pub const LIMIT_HOLD: Duration = Duration::from_secs(15 * 60);
/// Gmail suspends for up to a day; room comes back all the time, so ask again each hour.
pub const BANDWIDTH_HOLD: Duration = Duration::from_secs(60 * 60);
const UNSAID_BACKOFF: Duration = Duration::from_secs(300);

/// What a server's words alone say for certain, whatever was being done and whatever code stands before.
pub fn by_words(text: &str) -> Option<FailureClass> {
    if let Some(hold) = suggested_backoff(text) {
        return Some(FailureClass::HoldFor(hold));
    }
    if is_token_expired(text) || is_crowded(text) {
        return Some(FailureClass::RetryLater);
    }
    let text = text.to_ascii_lowercase();
    let says = |any: &[&str]| any.iter().any(|words| text.contains(words));
    Some(if says(&["account exceeded command or bandwidth limits"]) {
        FailureClass::HoldFor(BANDWIDTH_HOLD)
    } else if says(&["rate limit hit"]) {
        FailureClass::HoldFor(LIMIT_HOLD)
    } else if says(&[
        "server unavailable",
        "temporary system error",
        "session expired, please login again",
    ]) {
        FailureClass::RetryLater
    } else if says(&[
        "maximum size of appendable message",
        "retrieval using the imap4 protocol failed",
    ]) {
        FailureClass::GiveUp
    } else if says(&[
        "folder name is reserved",
        "application-specific password required",
        "web login required",
    ]) {
        FailureClass::OperatorMustAct
    } else {
        return None;
    })
}

/// Exchange Online: `NO Request is throttled. Suggested Backoff Time: 299910 milliseconds`. At most an
/// hour is believed; five minutes where it names none.
pub fn suggested_backoff(text: &str) -> Option<Duration> {
    let named = text
        .split_once("Suggested Backoff Time:")
        .and_then(|(_, rest)| {
            let digits: String = rest
                .trim_start()
                .chars()
                .take_while(char::is_ascii_digit)
                .collect();
            let millis: u64 = digits.parse().ok()?;
            Some(Duration::from_millis(millis).min(Duration::from_secs(3600)))
        });
    named.or_else(|| {
        let throttled = text.contains("Request is throttled");
        throttled.then_some(UNSAID_BACKOFF)
    })
}

/// Exchange Online: the login is accepted, then every command answers
/// `BAD User is authenticated but not connected.`: the mailbox cannot be opened with this user's rights.
pub fn is_not_connected(text: &str) -> bool {
    text.contains("authenticated but not connected")
}

/// Exchange Online: `* BYE Session invalidated - AccessTokenExpired` when the token of a session expires.
pub fn is_token_expired(text: &str) -> bool {
    text.contains("AccessTokenExpired")
}

/// The words are about the session or the server, whatever was asked of it: an outage, a token that expired,
/// a login or an open folder that the server has forgotten.
pub fn is_about_the_session(text: &str) -> bool {
    is_token_expired(text)
        || text.contains("Unavailable")
        || text.contains("received in Invalid state")
}

/// Exchange Online: a mail that it cannot convert is given as a notice of its own, `Retrieval using the IMAP4
/// protocol failed for the following message: 12`, from `Microsoft Exchange Server`; its text begins `The server
/// couldn't retrieve the following message` (`could not` in older versions) and names subject and sender. By sender
/// and words, since somebody's mail may quote it; a notice without a readable sender (`<>`) counts. The real mail is
/// still in the mailbox.
pub fn is_substitute(sender: &str, subject: &str, text: &str) -> bool {
    let begins = |text: &str, any: &[&str]| {
        let text = text.trim_start().to_ascii_lowercase();
        any.iter().any(|words| text.starts_with(words))
    };
    let sender = sender.trim().trim_start_matches('"').to_ascii_lowercase();
    (sender.is_empty() || sender.starts_with("microsoft exchange"))
        && (begins(
            subject,
            &["retrieval using the imap4 protocol failed for the following message"],
        ) || begins(
            text,
            &[
                "the server couldn't retrieve the following message",
                "the server couldn\u{2019}t retrieve the following message",
                "the server could not retrieve the following message",
            ],
        ))
}

/// Gmail: `NO [ALERT] Too many simultaneous connections. (Failure)`, which comes where a refused login
/// comes and is none; others say `Too many` in their own ways.
pub fn is_crowded(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    text.contains("too many simultaneous connections")
        || text.contains("maximum number of connections")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_in_the_place_of_a_mail_is_known_by_its_sender_and_its_words() {
        let exchange = "Microsoft Exchange Server";
        let subject = "Retrieval using the IMAP4 protocol failed for the following message: 12";
        for (sender, subject, text, expected) in [
            (exchange, subject, "", true),
            (
                exchange,
                "",
                "The server couldn't retrieve the following message:\n\nSubject: x",
                true,
            ),
            (
                exchange,
                "",
                "\r\nThe server could not retrieve the following message:",
                true,
            ),
            (
                "Casey",
                subject,
                "The server couldn't retrieve the following message:",
                false,
            ),
            ("\"Microsoft Exchange Server\" <>", subject, "", true),
            ("", subject, "", true),
            ("", "RE: hello", "", false),
            (exchange, "RE: hello", "hello", false),
            (
                exchange,
                "",
                "I got: The server couldn't retrieve the following message",
                false,
            ),
        ] {
            assert_eq!(
                is_substitute(sender, subject, text),
                expected,
                "{sender} {subject} {text}"
            );
        }
    }

    #[test]
    fn the_suggested_backoff_is_read_and_bounded() {
        let text = "Request is throttled. Suggested Backoff Time: 299910 milliseconds";
        assert_eq!(
            suggested_backoff(text),
            Some(Duration::from_millis(299_910))
        );
        let text = "Suggested Backoff Time: 99999999999 milliseconds";
        assert_eq!(suggested_backoff(text), Some(Duration::from_secs(3600)));
        assert_eq!(suggested_backoff("Suggested Backoff Time: soon"), None);
        assert_eq!(suggested_backoff("hello"), None);
        let text = "Request is throttled. Suggested Backoff Time: soon";
        assert_eq!(suggested_backoff(text), Some(UNSAID_BACKOFF));
    }
}
