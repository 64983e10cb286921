//! The line against a scripted server. Rows are those of the list of bad inputs.

use std::time::Duration;

use secrecy::SecretString;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinSet,
    time::Instant,
};

use super::{
    testing::{Act, Server},
    *,
};
use crate::model::{EmailAddress, FailureClass};

pub(super) fn address(text: &str) -> EmailAddress {
    EmailAddress::parse(text).unwrap()
}

pub(super) fn on(prefix: &'static str, act: Act) -> Server {
    Server::new(move |step| step.starts_with(prefix).then(|| act.clone()))
}

pub(super) const BODY: &[u8] = b"From: a@b.test\r\n\r\n.hello\r\n";

/// A whole transaction to one recipient.
pub(super) async fn send(line: &mut Line, body: &[u8]) -> Result<Reply, SmtpError> {
    line.mail(&address("a@b.test"), &MailOptions::new(body, []))
        .await?;
    line.rcpt(&address("c@d.test")).await?;
    line.data().await?;
    line.body(body).await?;
    line.dot().await
}

pub(super) async fn outcome(server: &Server) -> Result<Reply, SmtpError> {
    let mut tasks = JoinSet::new();
    let mut line = server.line(&mut tasks).await?;
    send(&mut line, BODY).await
}

#[tokio::test(start_paused = true)]
async fn a_message_arrives_byte_for_byte_and_the_line_can_send_another() {
    let server = Server::new(|_| None);
    let mut tasks = JoinSet::new();
    let mut line = server.line(&mut tasks).await.unwrap();
    for _ in 0..2 {
        let reply = send(&mut line, BODY).await.unwrap();
        assert_eq!(reply.to_string(), "250 2.0.0 queued");
    }
    assert!(line.is_usable());
    assert!(line.octets().sent > 100 && line.octets().received > 100);
    line.quit().await;
    assert_eq!(server.delivered(), [BODY, BODY]);
    let seen = server.seen();
    assert_eq!(
        seen.commands[1],
        format!("MAIL FROM:<a@b.test> SIZE={}", BODY.len())
    );
    assert_eq!(seen.commands.last().unwrap(), "QUIT");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_at_each_step_is_kept_with_its_words_and_leaves_the_line_open() {
    for (step, during) in [
        ("MAIL", Verb::Mail),
        ("RCPT", Verb::Rcpt),
        ("DATA", Verb::Data),
        (".", Verb::Dot),
    ] {
        for said in ["451-4.3.0 not\r\n451 4.3.0 now\r\n", "552 5.3.4 never\r\n"] {
            let server = on(step, Act::Say(said));
            let mut tasks = JoinSet::new();
            let mut line = server.line(&mut tasks).await.unwrap();
            let error = send(&mut line, BODY).await.unwrap_err();
            assert!(!error.outcome_is_unknown(), "{error}");
            assert_eq!(error.during(), Some(during));
            let reply = error.reply().unwrap();
            assert!(
                matches!(
                    reply.to_string().as_str(),
                    "451 4.3.0 not now" | "552 5.3.4 never"
                ),
                "{reply}"
            );
            assert!(line.is_usable(), "after {said:?} to {step}");
            assert!(server.delivered().is_empty());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_line_that_breaks_is_unknown_only_after_the_dot() {
    for step in ["(greeting)", "EHLO", "MAIL", "RCPT", "DATA", "."] {
        for act in [
            Act::HangUp,
            Act::SayAndHangUp("25"),
            Act::SayAndHangUp("250-ok\r\n"),
        ] {
            let server = on(step, act.clone());
            let error = outcome(&server).await.unwrap_err();
            assert_eq!(
                error.outcome_is_unknown(),
                step == ".",
                "{act:?} at {step} gave {error}"
            );
            assert!(matches!(error, SmtpError::Broken { .. }), "{error}");
            assert_eq!(error.class(), FailureClass::RetryLater);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_costs_exactly_the_time_of_the_step() {
    for (step, seconds) in [
        ("(greeting)", 300),
        ("EHLO", 300),
        ("MAIL", 300),
        ("RCPT", 300),
        ("DATA", 120),
        (".", 600),
    ] {
        let server = on(step, Act::Nothing);
        let started = Instant::now();
        let error = outcome(&server).await.unwrap_err();
        assert!(matches!(error, SmtpError::TimedOut { .. }), "{error}");
        assert_eq!(started.elapsed().as_secs(), seconds, "at {step}");
        assert_eq!(error.outcome_is_unknown(), step == ".");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_takes_no_bytes_costs_the_time_of_one_piece() {
    let (ours, mut theirs) = tokio::io::duplex(1024);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        for said in [
            "220 x\r\n",
            "250 x\r\n",
            "250 x\r\n",
            "250 x\r\n",
            "354 x\r\n",
        ] {
            theirs.write_all(said.as_bytes()).await.unwrap();
            if !said.starts_with("354") {
                let mut some = [0; 512];
                let _ = theirs.read(&mut some).await.unwrap();
            }
        }
        std::future::pending::<()>().await;
    });
    let mut line = connect::over_tls(ours, &Settings::default()).await.unwrap();
    let body = b"x\r\n".repeat(10_000);
    let started = Instant::now();
    let error = send(&mut line, &body).await.unwrap_err();
    assert!(
        matches!(
            error,
            SmtpError::TimedOut {
                during: Verb::Body,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(started.elapsed().as_secs(), 180);
    assert!(!error.outcome_is_unknown());
}

#[tokio::test(start_paused = true)]
async fn starttls_that_is_not_offered_or_refused_ends_the_connection() {
    let mut server = Server::new(|_| None);
    server.keywords = "250 AUTH PLAIN\r\n";
    let mut tasks = JoinSet::new();
    let error = connect::start_tls(server.pipe(&mut tasks), &Settings::default())
        .await
        .unwrap_err();
    assert!(matches!(error, SmtpError::StartTlsMissing), "{error}");
    assert_eq!(error.class(), FailureClass::OperatorMustAct);
    assert_eq!(server.seen().commands, ["EHLO [127.0.0.1]"]);
    let server = on("STARTTLS", Act::Say("454 4.7.0 not now\r\n"));
    let error = connect::start_tls(server.pipe(&mut tasks), &Settings::default())
        .await
        .unwrap_err();
    assert_eq!(error.class(), FailureClass::RetryLater);
    assert_eq!(error.concern(), Concern::Account);
}

#[tokio::test(start_paused = true)]
async fn row_43_each_recipient_has_its_own_answer() {
    let server = Server::new(|step| {
        if step.starts_with("RCPT TO:<full") {
            Some(Act::Say("452 4.2.2 full\r\n"))
        } else if step.starts_with("RCPT TO:<no") {
            Some(Act::Say("550 5.1.1 nobody\r\n"))
        } else {
            None
        }
    });
    let mut tasks = JoinSet::new();
    let mut line = server.line(&mut tasks).await.unwrap();
    line.mail(&address("a@b.test"), &MailOptions::new(BODY, []))
        .await
        .unwrap();
    let mut codes = Vec::new();
    for to in ["ok1", "full1", "ok2", "no1", "full2", "ok3"] {
        codes.push(match line.rcpt(&address(&format!("{to}@x.test"))).await {
            Ok(reply) => reply.code,
            Err(error) => error.reply().unwrap().code,
        });
    }
    assert_eq!(codes, [250, 452, 250, 550, 452, 250]);
    line.data().await.unwrap();
    line.body(BODY).await.unwrap();
    assert!(line.dot().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn row_44_smuggling_bodies_arrive_as_they_are_or_not_at_all() {
    for body in [
        ".\r\n",
        "..\r\n",
        ".\r\nMAIL FROM:<x@y>\r\n",
        "\r\n\r\n.\r\n",
        "a\r\n.\r\n\r\n",
    ] {
        let server = Server::new(|_| None);
        let mut tasks = JoinSet::new();
        let mut line = server.line(&mut tasks).await.unwrap();
        line.mail(&address("a@b.test"), &MailOptions::default())
            .await
            .unwrap();
        line.rcpt(&address("c@d.test")).await.unwrap();
        line.data().await.unwrap();
        for piece in body.as_bytes().chunks(1) {
            line.body(piece).await.unwrap();
        }
        line.dot().await.unwrap();
        assert_eq!(server.delivered(), [body.as_bytes()]);
    }
    for body in ["\n.\n", "\r.\r", "\n.\r\n", "\r\n.\n", "x", "x\r"] {
        let server = Server::new(|_| None);
        let mut tasks = JoinSet::new();
        let mut line = server.line(&mut tasks).await.unwrap();
        let error = send(&mut line, body.as_bytes()).await.unwrap_err();
        assert!(matches!(error, SmtpError::BadBody(_)), "{error}");
        assert!(!error.outcome_is_unknown() && !line.is_usable());
        drop(line);
        while tasks.join_next().await.is_some() {}
        assert!(server.seen().bodies.is_empty(), "{body:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn row_46_addresses_of_other_scripts_are_encoded_or_refused() {
    let mut server = Server::new(|_| None);
    let mut tasks = JoinSet::new();
    let mut line = server.line(&mut tasks).await.unwrap();
    let from = address("a@b\u{fc}cher.test");
    let to = address("j\u{f6}rg@x.test");
    line.mail(&from, &MailOptions::new(BODY, [&to]))
        .await
        .unwrap();
    line.rcpt(&to).await.unwrap();
    let commands = server.seen().commands;
    assert_eq!(
        commands[1],
        format!(
            "MAIL FROM:<a@xn--bcher-kva.test> SIZE={} SMTPUTF8",
            BODY.len()
        )
    );
    assert_eq!(commands[2], "RCPT TO:<j\u{f6}rg@x.test>");

    server.keywords = "250 SIZE\r\n";
    let mut line = server.line(&mut tasks).await.unwrap();
    // The message goes to the others; this recipient alone is refused, by us.
    line.mail(&from, &MailOptions::new(BODY, [&to]))
        .await
        .unwrap();
    let error = line.rcpt(&to).await.unwrap_err();
    assert_eq!(error.concern(), Concern::Recipient);
    assert_eq!(error.class(), FailureClass::GiveUp);
    assert!(line.rcpt(&address("c@d.test")).await.is_ok());
    let eight = MailOptions::new("S: x\r\n\r\n\u{e4}\r\n".as_bytes(), []);
    line.rset().await.unwrap();
    let error = line.mail(&from, &eight).await.unwrap_err();
    assert!(
        matches!(
            error,
            SmtpError::NotOffered {
                what: "8BITMIME",
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_token_goes_in_the_second_step_and_its_refusal_keeps_code_and_json() {
    let token = SecretString::from("t0k3n");
    let login = Login {
        user: "dele@x.test",
        secret: Secret::AccessToken(&token),
    };
    let server = Server::new(|_| None);
    let mut tasks = JoinSet::new();
    let mut line = server.line(&mut tasks).await.unwrap();
    line.login(&login).await.unwrap();
    assert_eq!(
        server.seen().commands[1..],
        [
            "AUTH XOAUTH2",
            "dXNlcj1kZWxlQHgudGVzdAFhdXRoPUJlYXJlciB0MGszbgEB"
        ]
    );

    let server = Server::new(|step| match step {
        "" => Some(Act::Say("535 5.7.3 Authentication unsuccessful\r\n")),
        step if step.starts_with("dXNl") => Some(Act::Say("334 eyJzdGF0dXMiOiI0MDEifQ==\r\n")),
        _ => None,
    });
    let mut line = server.line(&mut tasks).await.unwrap();
    let error = line.login(&login).await.unwrap_err();
    let SmtpError::AuthenticationRefused {
        reply,
        challenge_json,
    } = &error
    else {
        panic!("{error}")
    };
    assert_eq!(reply.to_string(), "535 5.7.3 Authentication unsuccessful");
    assert_eq!(challenge_json.as_deref(), Some(r#"{"status":"401"}"#));
    assert_eq!(error.class(), FailureClass::OperatorMustAct);
    for shown in [error.to_string(), format!("{error:?}"), format!("{line:?}")] {
        assert!(
            !shown.contains("t0k3n") && !shown.contains("dXNl"),
            "{shown}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_password_goes_by_plain_or_login_and_a_passing_refusal_is_no_refusal_for_good() {
    let password = SecretString::from("hunter2");
    let login = Login {
        user: "u",
        secret: Secret::Password(&password),
    };
    let mut server =
        Server::new(|step| (step == "dQ==").then_some(Act::Say("334 UGFzc3dvcmQ6\r\n")));
    let mut tasks = JoinSet::new();
    let mut line = server.line(&mut tasks).await.unwrap();
    line.login(&login).await.unwrap();
    server.keywords = "250 auth login\r\n";
    let mut line = server.line(&mut tasks).await.unwrap();
    line.login(&login).await.unwrap();
    let commands = server.seen().commands;
    assert_eq!(commands[1..3], ["AUTH PLAIN", "AHUAaHVudGVyMg=="]);
    assert_eq!(commands[4..], ["AUTH LOGIN", "dQ==", "aHVudGVyMg=="]);

    let server = on(
        "AHUA",
        Act::Say("454 4.7.0 Temporary authentication failure\r\n"),
    );
    let mut line = server.line(&mut tasks).await.unwrap();
    let error = line.login(&login).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::RetryLater, "{error}");
    // A server that never stops asking is not answered for ever.
    let server =
        Server::new(|step| (!step.starts_with(['E', '('])).then_some(Act::Say("334 \r\n")));
    let mut line = server.line(&mut tasks).await.unwrap();
    let error = line.login(&login).await.unwrap_err();
    assert!(
        matches!(
            error,
            SmtpError::Nonsense {
                during: Verb::Auth,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(server.seen().commands.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_step_leaves_the_line_dead() {
    let server = on("RCPT", Act::Nothing);
    let mut tasks = JoinSet::new();
    let mut line = server.line(&mut tasks).await.unwrap();
    line.mail(&address("a@b.test"), &MailOptions::default())
        .await
        .unwrap();
    let cut = tokio::time::timeout(Duration::from_secs(1), line.rcpt(&address("c@d.test"))).await;
    assert!(cut.is_err());
    assert!(!line.is_usable());
    let error = line.rcpt(&address("e@f.test")).await.unwrap_err();
    assert!(matches!(error, SmtpError::Broken { .. }), "{error}");
    assert_eq!(server.seen().commands.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_idle_line_that_the_server_has_closed_is_found_before_the_next_message() {
    for act in [
        Act::SayAndHangUp("250 ok\r\n421 idle\r\n"),
        Act::SayAndHangUp("250 ok\r\n"),
    ] {
        let server = on(".", act);
        let mut tasks = JoinSet::new();
        let mut line = server.line(&mut tasks).await.unwrap();
        send(&mut line, BODY).await.unwrap();
        let error = send(&mut line, BODY).await.unwrap_err();
        assert_eq!(error.during(), Some(Verb::Mail), "{error}");
        assert_eq!(error.concern(), Concern::Line);
    }
}

#[tokio::test(start_paused = true)]
async fn the_body_and_the_dot_need_the_servers_go_ahead() {
    let server = Server::new(|_| None);
    let mut tasks = JoinSet::new();
    let mut line = server.line(&mut tasks).await.unwrap();
    assert!(line.dot().await.is_err());
    assert!(!line.is_usable());
    let mut line = server.line(&mut tasks).await.unwrap();
    assert!(line.body(b"x\r\n").await.is_err());
}
