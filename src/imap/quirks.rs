//! Workarounds for single servers, each with where it was seen. Pure.

use std::time::Duration;

/// Exchange Online: `NO Request is throttled. Suggested Backoff Time: 299910 milliseconds`. At most an
/// hour is believed.
pub fn suggested_backoff(text: &str) -> Option<Duration> {
    let (_, rest) = text.split_once("Suggested Backoff Time:")?;
    let digits: String = rest
        .trim_start()
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    let millis: u64 = digits.parse().ok()?;
    Some(Duration::from_millis(millis).min(Duration::from_secs(3600)))
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
    }
}
