//! Servers that say what they must not, and are not believed. Rows are those of the list of bad inputs.

use tokio::{io::AsyncWriteExt, task::JoinSet};

use super::{
    testing::{Act, Server},
    tests::{BODY, on, outcome, send},
    *,
};
use crate::model::FailureClass;

#[tokio::test(start_paused = true)]
async fn row_38_nonsense_is_never_taken_for_sent() {
    for said in [
        "000 ok\r\n",
        "999 ok\r\n",
        "299 ok\r\n250 ok\r\n",
        "250 ok\n",
        "25\r\n",
        "250ok\r\n",
        "HTTP/1.1 200 OK\r\n",
        "354 go on\r\n",
        "250-a\r\n550 b\r\n",
        "\r\n",
    ] {
        for step in ["MAIL", "RCPT", "DATA", "."] {
            let server = on(step, Act::Say(said));
            let mut tasks = JoinSet::new();
            let mut line = server.line(&mut tasks).await.unwrap();
            let result = send(&mut line, BODY).await;
            if step == "DATA" && said == "354 go on\r\n" {
                assert!(result.is_ok());
                continue;
            }
            let error = result.unwrap_err();
            // A reply behind a reply is found at the next step, in its own name.
            assert!(
                matches!(error, SmtpError::Nonsense { .. }),
                "{said:?} at {step} gave {error}"
            );
            assert_eq!(error.outcome_is_unknown(), step == ".");
            assert!(!line.is_usable());
            assert_eq!(error.class(), FailureClass::RetryLater);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn row_38_a_reply_without_end_or_bound_meets_a_limit() {
    for flood in ["220-", "220-x\r\n"] {
        let (ours, mut theirs) = tokio::io::duplex(4096);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { while theirs.write_all(flood.as_bytes()).await.is_ok() {} });
        let error = connect::over_tls(ours, &Settings::default())
            .await
            .unwrap_err();
        assert!(
            matches!(
                error,
                SmtpError::Limit {
                    during: Verb::Greeting,
                    ..
                }
            ),
            "{error}"
        );
    }
    let megabyte: &'static str = Box::leak(format!("250 {}\r\n", "x".repeat(1 << 20)).into());
    let server = on(".", Act::Say(megabyte));
    let error = outcome(&server).await.unwrap_err();
    assert!(matches!(error, SmtpError::Limit { .. }), "{error}");
    assert!(error.outcome_is_unknown());
}

#[tokio::test(start_paused = true)]
async fn row_38_a_reply_before_we_said_anything_ends_the_line() {
    let server = on("(greeting)", Act::Say("220 ready\r\n250 ok\r\n"));
    let mut tasks = JoinSet::new();
    let error = match server.line(&mut tasks).await {
        // The early reply was taken for EHLO's, so EHLO's own comes unasked.
        Ok(mut line) => send(&mut line, BODY).await.unwrap_err(),
        Err(error) => error,
    };
    assert!(matches!(error, SmtpError::Nonsense { .. }), "{error}");
    assert!(server.delivered().is_empty());
}

#[tokio::test(start_paused = true)]
async fn row_39_an_early_reply_stops_the_dot() {
    for early in ["354 go on\r\n250 2.0.0 queued\r\n", "354 go on\r\n25"] {
        let server = on("DATA", Act::Say(early));
        let mut tasks = JoinSet::new();
        let mut line = server.line(&mut tasks).await.unwrap();
        let error = send(&mut line, BODY).await.unwrap_err();
        assert!(
            matches!(
                error,
                SmtpError::Nonsense {
                    during: Verb::Body,
                    ..
                }
            ),
            "{error}"
        );
        assert!(!error.outcome_is_unknown());
        drop(line);
        while tasks.join_next().await.is_some() {}
        assert!(server.seen().bodies.is_empty(), "the dot was sent");
    }
}

#[tokio::test(start_paused = true)]
async fn row_39_two_replies_to_the_dot_are_an_unknown_outcome() {
    let server = on(".", Act::Say("250 ok\r\n554 5.7.1 no\r\n"));
    let error = outcome(&server).await.unwrap_err();
    assert!(error.outcome_is_unknown(), "{error}");
    // A goodbye behind the answer is none: the answer stands.
    let server = on(".", Act::SayAndHangUp("250 ok\r\n421 bye\r\n"));
    assert_eq!(outcome(&server).await.unwrap().code, 250);
}

#[tokio::test(start_paused = true)]
async fn row_40_a_421_before_the_dot_is_a_refusal_and_not_a_doubt() {
    let server = on(
        "DATA",
        Act::SayAndHangUp("354 go on\r\n421 4.3.2 closing\r\n"),
    );
    let error = outcome(&server).await.unwrap_err();
    assert_eq!(error.reply().unwrap().code, 421, "{error}");
    assert!(!error.outcome_is_unknown());
    assert_eq!(error.concern(), Concern::Line);
}

#[tokio::test(start_paused = true)]
async fn row_41_a_250_for_data_is_an_error() {
    let server = on("DATA", Act::Say("250 2.0.0 ok\r\n"));
    let error = outcome(&server).await.unwrap_err();
    assert!(
        matches!(
            error,
            SmtpError::Nonsense {
                during: Verb::Data,
                ..
            }
        ),
        "{error}"
    );
    assert!(server.seen().bodies.is_empty());
}

#[tokio::test(start_paused = true)]
async fn row_42_clear_text_behind_the_answer_to_starttls_is_refused() {
    for said in [
        "220 go on\r\n250 injected\r\n",
        "220 go on\r\n2",
        "220 a\r\n\r\n",
    ] {
        let server = on("STARTTLS", Act::Say(said));
        let mut tasks = JoinSet::new();
        let error = connect::start_tls(server.pipe(&mut tasks), &Settings::default())
            .await
            .unwrap_err();
        assert!(matches!(error, SmtpError::Injected), "{error}");
    }
    let server = Server::new(|_| None);
    let mut tasks = JoinSet::new();
    let clear = connect::start_tls(server.pipe(&mut tasks), &Settings::default())
        .await
        .unwrap();
    assert_eq!(server.seen().commands, ["EHLO [127.0.0.1]", "STARTTLS"]);
    drop(clear);
}
