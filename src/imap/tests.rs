//! Conversations with scripted servers, the hostile ones included.

use secrecy::SecretString;

use super::testing::{greeted, pipe, session};
use super::*;
use crate::{
    model::{FailureClass, Uid},
    net::guard::GuardError,
};

fn uid(value: u32) -> Uid {
    Uid::new(value).unwrap()
}

fn listed(value: u32) -> Listed {
    Listed {
        uid: uid(value),
        size: 100,
        internal_date: None,
    }
}

fn login<'a>(user: &'a str, token: &'a SecretString) -> Login<'a> {
    Login {
        user,
        secret: Secret::AccessToken(token),
    }
}

#[tokio::test]
async fn a_mailbox_is_opened_listed_and_fetched() {
    let (mut session, peer) = session(
        r#"
        C: M4 SELECT "INBOX"
        S: * FLAGS (\Answered \Seen)
        S: * 3 EXISTS
        S: * OK [UIDVALIDITY 77] ok
        S: * OK [UIDNEXT 10] next
        S: M4 OK [READ-ONLY] opened
        C: M5 UID FETCH 4:9 (UID RFC822.SIZE INTERNALDATE)
        S: * 3 FETCH (UID 9 RFC822.SIZE 30 INTERNALDATE "17-Jul-1996 02:44:25 -0700")
        S: * 2 FETCH (RFC822.SIZE 20 INTERNALDATE "17-Jul-1996 02:44:25 -0700" UID 5)
        S: * 1 FETCH (UID 2 RFC822.SIZE 10 INTERNALDATE "17-Jul-1996 02:44:25 -0700")
        S: * 3 FETCH (UID 9 RFC822.SIZE 31 INTERNALDATE NIL)
        S: * 4 EXISTS
        S: M5 OK done
        C: M6 UID FETCH 5,9 (UID BODY.PEEK[])
        R: * 3 FETCH (UID 9 BODY[] {5}\r\nhello)\r\n
        S: * 2 FETCH (BODY[] "hi" UID 5)
        S: M6 OK done
        C: M7 UID FETCH 9 (UID BODY.PEEK[]<2.2>)
        S: * 3 FETCH (UID 9 BODY[]<2> "ll")
        S: M7 OK done
    "#,
    )
    .await;
    assert!(session.can("UIDPLUS"));
    let selected = session.select("INBOX").await.unwrap();
    assert_eq!(
        (selected.exists, selected.uid_next, selected.read_only),
        (3, Some(10), true)
    );
    assert_eq!(selected.uid_validity.unwrap().get(), 77);
    let found = session.list(uid(4), Some(uid(9))).await.unwrap();
    let shown: Vec<_> = found
        .iter()
        .map(|l| (l.uid.get(), l.size, l.internal_date.map(|d| d.millis())))
        .collect();
    assert_eq!(
        shown,
        [
            (5, 20, Some(837_596_665_000)),
            (9, 30, Some(837_596_665_000))
        ]
    );
    assert_eq!(
        session.counters(),
        Counters {
            unasked: 1,
            repeated: 1
        }
    );
    let bodies = session.fetch(&found).await.unwrap();
    let shown: Vec<_> = bodies
        .iter()
        .map(|f| (f.uid.get(), f.body.clone().unwrap()))
        .collect();
    assert_eq!(shown, [(5, "hi".into()), (9, "hello".into())]);
    assert_eq!(
        session.fetch_slice(uid(9), 2, 2).await.unwrap().unwrap(),
        "ll"
    );
    drop(session);
    peer.finish().await;
}

#[tokio::test]
async fn a_refused_select_keeps_the_servers_words_and_the_session() {
    let (mut session, peer) = session(
        r#"
        C: M4 SELECT "Gone"
        S: M4 NO [NONEXISTENT] Mailbox doesn't exist: Gone
        C: M5 SELECT "INBOX"
        S: M5 BAD User is authenticated but not connected.
        C: M6 NOOP
        S: M6 OK still here
    "#,
    )
    .await;
    let error = session.select("Gone").await.unwrap_err();
    assert_eq!(error.class(), FailureClass::OperatorMustAct);
    assert!(
        error.to_string().contains("Mailbox doesn't exist"),
        "{error}"
    );
    let error = session.select("INBOX").await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("authenticated but not connected"),
        "{error}"
    );
    session.noop().await.unwrap();
    assert!(matches!(
        session.select("a\r\nM9 LOGOUT").await,
        Err(ImapError::Unsupported { .. })
    ));
    drop(session);
    peer.finish().await;
}

/// Bad input 1.
#[tokio::test]
async fn an_endless_greeting_is_cut_off() {
    let endless = format!("R: * OK {}", "x".repeat(70_000));
    let (result, _peer) = greeted(&endless).await;
    let error = result.unwrap_err();
    assert!(
        matches!(
            error,
            ImapError::Limit {
                during: Step::Greeting,
                what: GuardError::Line(_)
            }
        ),
        "{error:?}"
    );
}

/// Bad input 2.
#[tokio::test]
async fn preauth_is_refused_before_any_credential_is_sent() {
    for start_tls in [true, false] {
        let (stream, peer) = pipe("S: * PREAUTH welcome back");
        let error = if start_tls {
            connect::start_tls(Box::new(stream), &Settings::default())
                .await
                .map(drop)
                .unwrap_err()
        } else {
            Greeted::over(Box::new(stream), &Settings::default())
                .await
                .map(drop)
                .unwrap_err()
        };
        assert!(
            matches!(
                error,
                ImapError::Unsupported {
                    during: Step::Greeting,
                    ..
                }
            ),
            "{error:?}"
        );
        peer.finish().await;
    }
}

/// Bad input 3, and a server without STARTTLS.
#[tokio::test]
async fn octets_injected_behind_the_answer_to_starttls_end_the_connection() {
    let start = "S: * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi\nC: M1 STARTTLS\n";
    for (said, expected) in [
        (
            r"R: M1 OK go\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\nM2 OK done\r\n",
            "octets behind",
        ),
        (r"R: M1 OK go\r\n*", "octets behind"),
        ("S: M1 BAD unknown command", "does not offer"),
        ("S: M1 NO not now", "does not offer"),
        ("X", "the line broke"),
    ] {
        let (stream, peer) = pipe(&format!("{start}{said}"));
        let error = connect::start_tls(Box::new(stream), &Settings::default())
            .await
            .map(drop)
            .unwrap_err();
        assert!(error.to_string().contains(expected), "{said}: {error}");
        peer.finish().await;
    }
    let (stream, peer) = pipe(&format!("{start}S: M1 OK go"));
    assert!(
        connect::start_tls(Box::new(stream), &Settings::default())
            .await
            .is_ok()
    );
    peer.finish().await;
}

/// Bad input 5.
#[tokio::test]
async fn literal_bombs_end_the_session_before_anything_is_allocated() {
    for size in [
        "536000000",
        "4294967296",
        "-1",
        "99999999999999999999",
        "",
        "10+",
    ] {
        let (mut session, _peer) = session(&format!(
            "C: M4 UID FETCH 7 (UID BODY.PEEK[])\nS: * 1 FETCH (UID 7 BODY[] {{{size}}}\n"
        ))
        .await;
        let error = session.fetch(&[listed(7)]).await.unwrap_err();
        assert!(
            matches!(
                error,
                ImapError::Limit {
                    during: Step::Fetch,
                    ..
                } | ImapError::Nonsense { .. }
            ),
            "{size}: {error:?}"
        );
    }
}

/// Bad inputs 6, 7 and 20.
#[tokio::test]
async fn an_end_or_a_lie_about_a_literal_leaves_nothing_fetched() {
    for said in [
        r"R: * 1 FETCH (UID 7 BODY[] {10}\r\n12345",
        r"R: * 1 FETCH (UID 7 BODY[] {5}\r\n1234567890)\r\n",
        r"R: * 1 FETCH (UID 7 BODY[] {5}\r\n12345)\r\n",
    ] {
        let (mut session, peer) =
            session(&format!("C: M4 UID FETCH 7 (UID BODY.PEEK[])\n{said}\nX")).await;
        let error = session.fetch(&[listed(7)]).await.unwrap_err();
        assert!(
            matches!(error, ImapError::Broken { .. } | ImapError::Nonsense { .. }),
            "{said}: {error:?}"
        );
        assert_eq!(error.class(), FailureClass::RetryLater);
        // The session is worthless now, and says so instead of waiting.
        assert!(session.noop().await.is_err());
        peer.finish().await;
    }
}

/// Bad inputs 8, 9 and 11, and fault 38.
#[tokio::test]
async fn unasked_repeated_and_empty_answers_harm_nothing() {
    let (mut session, peer) = session(
        r#"
        C: M4 UID FETCH 5:7 (UID BODY.PEEK[])
        S: * 9 FETCH (UID 99 BODY[] "not asked for")
        S: * 1 FETCH (UID 5 BODY[] "first")
        S: * 1 FETCH (UID 5 BODY[] "second")
        S: * 2 EXPUNGE
        S: * 3 FETCH (FLAGS (\Seen) UID 6)
        S: * 3 FETCH (BODY[] "no uid")
        S: * 3 FETCH (UID 7 BODY[] NIL)
        S: M4 OK done
    "#,
    )
    .await;
    let found = session
        .fetch(&[listed(5), listed(6), listed(7)])
        .await
        .unwrap();
    assert_eq!(
        found,
        [
            Fetched {
                uid: uid(5),
                body: Some("first".into())
            },
            Fetched {
                uid: uid(7),
                body: None
            },
        ]
    );
    assert_eq!(
        session.counters(),
        Counters {
            unasked: 1,
            repeated: 1
        }
    );
    drop(session);
    peer.finish().await;
}

/// Bad input 10.
#[tokio::test]
async fn a_stale_answer_to_another_command_is_not_taken_for_this_ones() {
    let (mut session, peer) = session(
        r"
        C: M4 NOOP
        S: M3 NO [AUTHENTICATIONFAILED] stale
        S: A1 OK of somebody else
        S: M4 OK done
    ",
    )
    .await;
    session.noop().await.unwrap();
    drop(session);
    peer.finish().await;
}

/// Bad inputs 12 and 14, and the inputs that the parser is known to panic on.
#[tokio::test]
async fn broken_numbers_and_known_panics_end_at_most_this_session() {
    for (said, fatal) in [
        ("* 1 FETCH (UID 0 RFC822.SIZE 1)", true),
        ("* 1 FETCH (UID 4294967296 RFC822.SIZE 1)", true),
        ("* 1 FETCH (UID abc RFC822.SIZE 1)", true),
        ("* 1 FETCH (UID 4294967295 RFC822.SIZE 1)", false),
        ("* 1 FETCH (UID 3 INTERNALDATE NIL)", false),
        ("* OK [ALERT]\u{e9}", false),
        ("* NAMESPACE ((\"\" \"/\")) NIL NIL", false),
        (
            "* 1 FETCH (BODYSTRUCTURE ((((((((((((((((((((((((((((((",
            true,
        ),
    ] {
        let (mut session, _peer) = session(&format!(
            "C: M4 UID FETCH 1:* (UID RFC822.SIZE INTERNALDATE)\nS: {said}\nS: M4 OK done\n"
        ))
        .await;
        let result = session.list(uid(1), None).await;
        assert_eq!(result.is_err(), fatal, "{said}: {result:?}");
    }
}

/// Bad input 18.
#[tokio::test]
async fn a_bye_is_told_from_a_broken_line_wherever_it_comes() {
    let (result, _peer) = greeted("S: * BYE [UNAVAILABLE] too busy\nX").await;
    assert!(matches!(
        result,
        Err(ImapError::Bye {
            during: Step::Greeting,
            ..
        })
    ));
    let (mut one, _peer) =
        session("C: M4 NOOP\nS: * BYE Session invalidated - AccessTokenExpired\nX").await;
    let error = one.noop().await.unwrap_err();
    assert!(
        matches!(&error, ImapError::Bye { text, .. } if quirks::is_token_expired(text)),
        "{error:?}"
    );
    assert!(error.is_goodbye());
    let (mut one, _peer) = session("C: M4 NOOP\nX").await;
    let error = one.noop().await.unwrap_err();
    assert!(matches!(error, ImapError::Broken { .. }), "{error:?}");
}

#[tokio::test]
async fn a_refused_token_gives_the_servers_json_and_words() {
    let token = SecretString::from("t0ken");
    let first = "dXNlcj1zaGFyZWRAZXhhbXBsZS50ZXN0AWF1dGg9QmVhcmVyIHQwa2VuAQE=";
    let start = "
        S: * OK ready
        C: M1 CAPABILITY
        S: * CAPABILITY IMAP4rev1 AUTH=XOAUTH2 SASL-IR LOGINDISABLED
        S: M1 OK done
        C: M2 AUTHENTICATE XOAUTH2
        S: +
    ";
    let (greeted, peer) = greeted(&format!(
        "{start}
        C: {first}
        S: + eyJzdGF0dXMiOiI0MDEiLCJzY2hlbWVzIjoiQmVhcmVyIn0=
        C:
        S: M2 NO [AUTHENTICATIONFAILED] Invalid credentials for t0ken
    "
    ))
    .await;
    let error = greeted
        .unwrap()
        .login(&login("shared@example.test", &token))
        .await
        .map(drop)
        .unwrap_err();
    match error {
        ImapError::AuthenticationRefused {
            challenge_json,
            code,
            text,
        } => {
            assert_eq!(
                challenge_json.unwrap(),
                r#"{"status":"401","schemes":"Bearer"}"#
            );
            assert_eq!(code.unwrap(), "AUTHENTICATIONFAILED");
            assert_eq!(text, "Invalid credentials for ***");
        }
        other => panic!("{other:?}"),
    }
    peer.finish().await;

    // Exchange Online refuses at once, without a challenge.
    let (greeted, peer) = testing::greeted(&format!(
        "{start}
        C: {first}
        S: M2 NO AUTHENTICATE failed.
    "
    ))
    .await;
    let error = greeted
        .unwrap()
        .login(&login("shared@example.test", &token))
        .await
        .map(drop)
        .unwrap_err();
    assert!(matches!(
        error,
        ImapError::AuthenticationRefused {
            challenge_json: None,
            code: None,
            ..
        }
    ));
    peer.finish().await;
}

#[tokio::test]
async fn an_accepted_token_opens_a_session() {
    let token = SecretString::from("t0ken");
    let (greeted, peer) = greeted(
        "
        S: * OK ready
        C: M1 CAPABILITY
        S: * CAPABILITY IMAP4rev1 AUTH=XOAUTH2
        S: M1 OK done
        C: M2 AUTHENTICATE XOAUTH2
        S: + go ahead
        C: dXNlcj1hAWF1dGg9QmVhcmVyIHQwa2VuAQE=
        S: * CAPABILITY IMAP4rev1 IDLE
        S: M2 OK welcome
        C: M3 CAPABILITY
        S: * CAPABILITY IMAP4rev1 IDLE
        S: M3 OK done
        C: M4 LOGOUT
        S: * BYE see you
        S: M4 OK done
    ",
    )
    .await;
    let session = greeted.unwrap().login(&login("a", &token)).await.unwrap();
    assert_eq!(session.capabilities(), ["IDLE", "IMAP4REV1"]);
    session.logout().await;
    peer.finish().await;
}
