//! SMTP as we speak it, against real Postfix.

use std::{process::Command, time::Duration};

use motion_email::{
    mime::{Draft, Person, compose},
    model::{EmailAddress, FailureClass, Server, Timestamp, TlsMode},
    net::{self, DialError, Net, TlsKind},
    smtp::{self, Concern, Line, Login, MailOptions, Reply, Secret, SmtpError, Verb},
    transcript::Recorder,
};
use secrecy::SecretString;

use crate::support::{Lab, eventually, mail::fetch_all};

fn address(text: &str) -> EmailAddress {
    EmailAddress::parse(text).expect("the lab answers")
}

async fn connect(lab: &Lab, host: &str, port: &str, tls: TlsMode) -> Result<Line, SmtpError> {
    let net = Net::new(&net::Settings {
        ca_file: lab.get("CA_FILE").into(),
        allow_hosts: vec![
            lab.get("LAB_HOST").to_owned(),
            lab.get("WRONG_HOST").to_owned(),
        ],
        ..net::Settings::default()
    });
    let server = Server::new(lab.get(host), lab.port(port), tls);
    smtp::connect(
        &net.expect("the lab answers"),
        &server,
        &smtp::Settings::default(),
        &Recorder::off(),
    )
    .await
}

async fn by_password(lab: &Lab, user: &str, tls: TlsMode) -> Line {
    let port = match tls {
        TlsMode::Tls => "SMTPS_PORT",
        TlsMode::StartTls => "SUBMISSION_PORT",
    };
    let mut line = connect(lab, "LAB_HOST", port, tls)
        .await
        .expect("the lab answers");
    let password = SecretString::from(lab.get("LAB_PASSWORD"));
    let secret = Secret::Password(&password);
    line.login(&Login { user, secret })
        .await
        .expect("the lab answers");
    line
}

/// An access token of the lab's provider, fetched as a browser would.
fn access_token(lab: &Lab, user: &str) -> SecretString {
    let code = "import sys, lab; print(lab.tokens(sys.argv[1])['access_token'])";
    let output = Command::new("python3")
        .args(["-c", code, user])
        .env("PYTHONPATH", lab.get("TOOLS"))
        .output()
        .expect("the lab answers");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    SecretString::from(
        String::from_utf8(output.stdout)
            .expect("the lab answers")
            .trim(),
    )
}

async fn send(line: &mut Line, from: &str, to: &[&str], raw: &[u8]) -> Result<Reply, SmtpError> {
    let to: Vec<EmailAddress> = to.iter().map(|to| address(to)).collect();
    line.mail(&address(from), &MailOptions::new(raw, &to))
        .await?;
    for to in &to {
        line.rcpt(to).await?;
    }
    line.data().await?;
    for piece in raw.chunks(7) {
        line.body(piece).await?;
    }
    line.dot().await
}

fn message(from: &str, to: &str, body: &str) -> String {
    let id = uuid::Uuid::new_v4();
    format!(
        "From: {from}\r\nTo: {to}\r\nSubject: test\r\nMessage-ID: <{id}@lab.test>\r\n\
         Date: Mon, 23 Nov 2026 12:00:00 +0000\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{body}"
    )
}

async fn arrived(lab: &Lab, mailbox: &str, count: usize) -> Vec<Vec<u8>> {
    eventually("the mails arrive", Duration::from_secs(30), || async {
        let mails = fetch_all(lab, mailbox, "BODY.PEEK[]").await;
        if mails.len() >= count {
            Ok(mails)
        } else {
            Err(format!("{} of {count}", mails.len()))
        }
    })
    .await
}

#[tokio::test]
async fn mail_is_sent_by_password_over_tls_and_starttls() {
    let lab = Lab::load();
    let to = lab.fresh_mailbox("smtp-to");
    for tls in [TlsMode::Tls, TlsMode::StartTls] {
        let user = lab.fresh_mailbox("smtp");
        let mut line = by_password(&lab, &user, tls).await;
        for _ in 0..2 {
            let raw = message(&user, &to, "hello\r\n");
            let reply = send(&mut line, &user, &[&to], raw.as_bytes()).await;
            assert_eq!(reply.unwrap().code, 250);
        }
        line.quit().await;
    }
    assert_eq!(arrived(&lab, &to, 4).await.len(), 4);
}

#[tokio::test]
async fn row_44_smuggling_bodies_arrive_byte_for_byte_as_one_message() {
    let lab = Lab::load();
    let user = lab.fresh_mailbox("bytes");
    let mut line = by_password(&lab, &user, TlsMode::Tls).await;
    let long = format!("{}\r\n", "x".repeat(998));
    let large = ".lines of dots\r\n.\r\n".repeat(20_000);
    for body in [
        ".\r\n",
        "..\r\n",
        ".\r\n.\r\n..\r\n",
        ".\r\nMAIL FROM:<x@y>\r\nRCPT TO:<z@lab.test>\r\nDATA\r\n",
        "\r\n\r\n.\r\n",
        "\r\n\r\n.\r\n\r\n\r\n",
        "",
        "trailing space \r\n\t\r\n",
        "\u{e4}\u{4e2d}\u{1f600}\r\n",
        &long,
        &large,
    ] {
        let to = lab.fresh_mailbox("bytes-to");
        let raw = message(&user, &to, body);
        send(&mut line, &user, &[&to], raw.as_bytes())
            .await
            .unwrap();
        let mails = arrived(&lab, &to, 1).await;
        assert_eq!(mails.len(), 1, "{body:.40?}");
        let stored = String::from_utf8_lossy(&mails[0]);
        assert!(
            mails[0].ends_with(raw.as_bytes()),
            "{body:.40?} arrived as {stored:.2000?}"
        );
    }
    line.quit().await;
}

#[tokio::test]
async fn row_44_bare_line_ends_never_reach_the_server() {
    let lab = Lab::load();
    let user = lab.fresh_mailbox("bare");
    for body in ["\n.\n", "\r.\r", "\n.\r\n", "\r\n.\n", "no end"] {
        let to = lab.fresh_mailbox("bare-to");
        let mut line = by_password(&lab, &user, TlsMode::Tls).await;
        let raw = message(&user, &to, body);
        let error = send(&mut line, &user, &[&to], raw.as_bytes())
            .await
            .unwrap_err();
        assert!(matches!(error, SmtpError::BadBody(_)), "{error}");
        drop(line);
        // The same line of time, proven by a mail behind it.
        let mut line = by_password(&lab, &user, TlsMode::Tls).await;
        let raw = message(&user, &to, "good\r\n");
        send(&mut line, &user, &[&to], raw.as_bytes())
            .await
            .unwrap();
        assert_eq!(arrived(&lab, &to, 1).await.len(), 1, "{body:?}");
    }
}

#[tokio::test]
async fn a_composed_message_with_other_scripts_arrives_as_it_was_frozen() {
    let lab = Lab::load();
    let user = lab.fresh_mailbox("compose");
    let to = lab.fresh_mailbox("compose-to");
    let person = |name: &str, of: &str| Person {
        name: name.into(),
        address: address(of),
    };
    let frozen = compose(&Draft {
        to: vec![person("J\u{f6}rg, \"Q\"", &to)],
        subject: "Gr\u{fc}\u{df}e \u{1f600}".into(),
        text: Some(".\nGr\u{fc}\u{df}e\n.\n".into()),
        html: Some("<p>Gr\u{fc}\u{df}e</p>".into()),
        ..Draft::new(
            format!("{}@lab.test", uuid::Uuid::new_v4()),
            person("\u{4e2d}\u{6587}", &user),
            Timestamp::from_millis(1_795_000_000_000),
        )
    })
    .unwrap();
    let mut line = by_password(&lab, &user, TlsMode::StartTls).await;
    send(&mut line, &user, &[&to], &frozen.raw).await.unwrap();
    let mails = arrived(&lab, &to, 1).await;
    assert!(mails[0].ends_with(&frozen.raw));
}

#[tokio::test]
async fn row_43_refused_recipients_are_told_apart_and_the_others_get_the_mail() {
    let lab = Lab::load();
    let user = lab.fresh_mailbox("refused");
    let ok = lab.fresh_mailbox("refused-to");
    let domain = lab.get("MAIL_DOMAIN");
    let mut line = by_password(&lab, &user, TlsMode::Tls).await;
    let raw = message(&user, &ok, "hello\r\n");
    let options = MailOptions::new(raw.as_bytes(), []);
    line.mail(&address(&user), &options).await.unwrap();
    for (name, code, class) in [
        ("nouser", 550, FailureClass::GiveUp),
        ("tempfail", 451, FailureClass::RetryLater),
        ("full", 452, FailureClass::RetryLater),
    ] {
        let to = address(&format!("{name}@{domain}"));
        let error = line.rcpt(&to).await.unwrap_err();
        assert_eq!(error.reply().unwrap().code, code, "{error}");
        assert_eq!(error.class(), class, "{error}");
        assert_eq!(error.concern(), Concern::Recipient, "{error}");
    }
    line.rcpt(&address(&ok)).await.unwrap();
    line.data().await.unwrap();
    line.body(raw.as_bytes()).await.unwrap();
    line.dot().await.unwrap();
    assert_eq!(arrived(&lab, &ok, 1).await.len(), 1);
}

#[tokio::test]
async fn the_delegates_token_sends_as_the_shared_address_and_as_no_other() {
    let lab = Lab::load();
    let (delegate, shared) = (lab.get("DELEGATE"), lab.get("SHARED"));
    let token = access_token(&lab, delegate);
    let secret = Secret::AccessToken(&token);
    let to = lab.fresh_mailbox("shared-to");
    for (port, tls) in [
        ("SMTPS_PORT", TlsMode::Tls),
        ("SUBMISSION_PORT", TlsMode::StartTls),
    ] {
        let mut line = connect(&lab, "LAB_HOST", port, tls).await.unwrap();
        let user = delegate;
        line.login(&Login { user, secret }).await.unwrap();
        let raw = message(shared, &to, "as the shared mailbox\r\n");
        send(&mut line, shared, &[&to], raw.as_bytes())
            .await
            .unwrap();
        let foreign = lab.get("UNSHARED");
        let raw = message(foreign, &to, "as somebody else\r\n");
        let error = send(&mut line, foreign, &[&to], raw.as_bytes())
            .await
            .unwrap_err();
        assert_eq!(error.reply().unwrap().code, 553, "{error}");
        assert_eq!(error.concern(), Concern::Account, "{error}");
        assert_eq!(error.class(), FailureClass::OperatorMustAct, "{error}");
    }
    assert_eq!(arrived(&lab, &to, 2).await.len(), 2);
    // Three identities: the shared address is no SMTP user.
    let mut line = connect(&lab, "LAB_HOST", "SMTPS_PORT", TlsMode::Tls)
        .await
        .unwrap();
    let user = shared;
    let error = line.login(&Login { user, secret }).await.unwrap_err();
    assert_eq!(error.reply().unwrap().code, 535, "{error}");
    assert_eq!(error.class(), FailureClass::OperatorMustAct);
}

#[tokio::test]
async fn refused_passwords_and_tokens_keep_the_servers_words_and_no_secret() {
    let lab = Lab::load();
    let user = lab.fresh_mailbox("refused");
    let wrong = SecretString::from("wr0ng-s3cret");
    for secret in [Secret::Password(&wrong), Secret::AccessToken(&wrong)] {
        let mut line = connect(&lab, "LAB_HOST", "SUBMISSION_PORT", TlsMode::StartTls)
            .await
            .unwrap();
        let user = user.as_str();
        let error = line.login(&Login { user, secret }).await.unwrap_err();
        let SmtpError::AuthenticationRefused {
            reply,
            challenge_json,
        } = &error
        else {
            panic!("{error:?}")
        };
        assert_eq!(reply.code, 535, "{error}");
        assert!(!reply.text.is_empty());
        if let Some(json) = challenge_json {
            assert!(json.contains("status"), "{json}");
        }
        let shown = format!("{error} {error:?}");
        assert!(
            !shown.contains("wr0ng") && !shown.contains("d3IwbmctczNjcmV0"),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn mail_without_a_login_is_refused_as_our_own_fault() {
    let lab = Lab::load();
    let mut line = connect(&lab, "LAB_HOST", "SUBMISSION_PORT", TlsMode::StartTls)
        .await
        .unwrap();
    let from = lab.fresh_mailbox("nobody");
    let raw = message(&from, "x@lab.test", "hello\r\n");
    let error = send(&mut line, &from, &["x@lab.test"], raw.as_bytes())
        .await
        .unwrap_err();
    assert_eq!(error.concern(), Concern::Account, "{error}");
    assert_eq!(error.class(), FailureClass::OperatorMustAct, "{error}");
}

#[tokio::test]
async fn a_certificate_for_another_name_and_a_port_without_tls_are_refused() {
    let lab = Lab::load();
    let error = connect(&lab, "WRONG_HOST", "SMTPS_WRONG_PORT", TlsMode::Tls)
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            SmtpError::Dial(DialError::Tls {
                kind: TlsKind::WrongName,
                ..
            })
        ),
        "{error:?}"
    );
    assert_eq!(error.class(), FailureClass::OperatorMustAct);
    // STARTTLS is configured and the server, on this port, has it not: nothing is sent in clear text.
    let error = connect(&lab, "LAB_HOST", "LMTP_PORT", TlsMode::StartTls)
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            SmtpError::Refused {
                during: Verb::Ehlo,
                ..
            } | SmtpError::StartTlsMissing
        ),
        "{error:?}"
    );
}
