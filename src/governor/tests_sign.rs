//! What servers' words and failures say of whom.

use tokio::time::Duration;

use super::sign::{self, Hint, Sign};
use crate::{
    imap::{ImapError, Step},
    model::HoldKind,
    net::{DialError, DialStep},
    smtp::{Reply, SmtpError, Verb},
};

pub(super) fn refused() -> ImapError {
    ImapError::Dial(DialError::Connect {
        host: "a".into(),
        port: 993,
        source: std::io::ErrorKind::ConnectionRefused.into(),
    })
}

fn said(during: Step, code: Option<&str>, text: &str) -> ImapError {
    ImapError::Refused {
        during,
        code: code.map(str::to_owned),
        text: text.to_owned(),
    }
}

fn login_refused(code: Option<&str>, text: &str) -> ImapError {
    ImapError::AuthenticationRefused {
        challenge_json: None,
        code: code.map(str::to_owned),
        text: text.to_owned(),
    }
}

fn bye(during: Step, text: &str) -> ImapError {
    ImapError::Bye {
        during,
        code: None,
        text: text.to_owned(),
    }
}

#[test]
fn each_answer_of_imap_says_something_about_the_host_the_login_or_the_mailbox() {
    // Bad input 18. What an opening ended with, whether the host is ill, who rests for how long.
    let minute = |n: u64| Duration::from_secs(60 * n);
    let backoff = Duration::from_millis(299_961);
    let rest = |of, time| Some((of, time));
    for (error, ill, hint) in [
        (refused(), true, None),
        (
            said(
                Step::Fetch,
                None,
                "Request is throttled. Suggested Backoff Time: 299961 milliseconds",
            ),
            false,
            rest(HoldKind::Mailbox, backoff),
        ),
        (
            login_refused(
                None,
                "Request is throttled. Suggested Backoff Time: 299961 milliseconds",
            ),
            false,
            rest(HoldKind::Mailbox, backoff),
        ),
        (
            bye(
                Step::Idle,
                "Request is throttled. Suggested Backoff Time: 299961 milliseconds",
            ),
            false,
            rest(HoldKind::Mailbox, backoff),
        ),
        (
            said(
                Step::Fetch,
                Some("OVERQUOTA"),
                "Account exceeded command or bandwidth limits.",
            ),
            false,
            rest(HoldKind::Login, minute(60)),
        ),
        (
            said(Step::Fetch, Some("THROTTLED"), "slow down"),
            false,
            rest(HoldKind::Login, minute(15)),
        ),
        (
            login_refused(Some("LIMIT"), "enough"),
            false,
            rest(HoldKind::Login, minute(15)),
        ),
        (said(Step::Select, Some("INUSE"), "locked"), true, None),
        (login_refused(Some("UNAVAILABLE"), "later"), true, None),
        (
            login_refused(Some("AUTHENTICATIONFAILED"), "no"),
            false,
            None,
        ),
        (
            bye(Step::Greeting, "Too many simultaneous connections"),
            true,
            None,
        ),
        (bye(Step::Greeting, "Rate limit hit."), true, None),
        (bye(Step::Login, "Server shutting down."), true, None),
        (
            ImapError::TimedOut {
                during: Step::Login,
            },
            true,
            None,
        ),
    ] {
        let sign = sign::of_imap(&error);
        assert_eq!(matches!(sign, Sign::Ill(_)), ill, "{error:?} {sign:?}");
        let told = sign::hint_of_imap(&error).map(|hint| match hint {
            Hint::Rest { of, time, .. } => (of, time),
            Hint::Crowded => panic!("{error:?}"),
        });
        assert_eq!(told, hint, "{error:?}");
    }
    for error in [
        login_refused(
            Some("ALERT"),
            "Too many simultaneous connections. (Failure)",
        ),
        bye(
            Step::Login,
            "Maximum number of connections from user+IP exceeded",
        ),
        said(
            Step::Select,
            None,
            "User is authenticated but not connected.",
        ),
    ] {
        assert_eq!(sign::hint_of_imap(&error), Some(Hint::Crowded), "{error:?}");
        assert_eq!(sign::of_imap(&error), Sign::Well, "{error:?}");
    }
    // What is refused on this side says nothing about the host.
    let forbidden = DialError::Forbidden {
        host: "a".into(),
        address: [127, 0, 0, 1].into(),
    };
    assert_eq!(sign::of_imap(&forbidden.into()), Sign::Nothing);
    let slow = DialError::TimedOut {
        host: "a".into(),
        port: 993,
        during: DialStep::Connect,
    };
    assert!(matches!(sign::of_imap(&slow.into()), Sign::Ill(_)));
}

#[test]
fn each_answer_of_smtp_says_something_about_the_host_the_tenant_or_the_login() {
    let refused = |during, line: &str| {
        let reply = Reply::from_line(line).unwrap();
        if during == Verb::Auth && reply.is_permanent() {
            SmtpError::AuthenticationRefused {
                reply,
                challenge_json: None,
            }
        } else {
            SmtpError::Refused { during, reply }
        }
    };
    for (during, line, ill, of) in [
        (
            Verb::Greeting,
            "421 4.3.2 Service not available",
            true,
            None,
        ),
        (Verb::Greeting, "421 4.4.2 busy", true, None),
        (
            Verb::Auth,
            "454 4.7.0 Temporary authentication failure",
            true,
            None,
        ),
        (
            Verb::Auth,
            "535 5.7.3 Authentication unsuccessful",
            false,
            None,
        ),
        (
            Verb::Auth,
            "432 4.3.2 Concurrent connections limit exceeded.",
            false,
            Some(HoldKind::Login),
        ),
        (
            Verb::Mail,
            "421 4.4.2 Message submission rate for this client has exceeded the configured limit",
            false,
            Some(HoldKind::Login),
        ),
        (
            Verb::Mail,
            "451 4.7.500 Server busy. Please try again later from [192.0.2.1].",
            false,
            Some(HoldKind::Host),
        ),
        (
            Verb::Dot,
            "550 5.7.233 tenant exceeded its daily limit",
            false,
            Some(HoldKind::Tenant),
        ),
        (
            Verb::Rcpt,
            "450 5.2.121 hourly limit of the recipient",
            false,
            None,
        ),
    ] {
        let error = refused(during, line);
        let ill_here = matches!(sign::of_smtp(&error), Sign::Ill(_));
        if during == Verb::Greeting || during == Verb::Auth {
            assert_eq!(ill_here, ill, "{line}");
        }
        let told = sign::hint_of_smtp(&error).map(|hint| match hint {
            Hint::Rest { of, .. } => of,
            Hint::Crowded => panic!("{line}"),
        });
        assert_eq!(told, of, "{line}");
    }
}
