//! IMAP as we speak it, against real Dovecot.

use std::{process::Command, time::Duration};

use motion_email::{
    imap::{self, Greeted, ImapError, Login, Nudge, Secret, Session, Step},
    model::{FailureClass, Server, TlsMode, Uid},
    net::{self, DialError, Net, TlsKind},
    transcript::Recorder,
};
use secrecy::SecretString;

use crate::support::{
    Lab,
    mail::{Lmtp, plain_mail},
};

fn net(lab: &Lab) -> Net {
    Net::new(&net::Settings {
        ca_file: lab.get("CA_FILE").into(),
        allow_hosts: vec![
            lab.get("LAB_HOST").to_owned(),
            lab.get("WRONG_HOST").to_owned(),
        ],
        ..net::Settings::default()
    })
    .expect("the lab answers")
}

async fn greeted(lab: &Lab, host: &str, port: &str, tls: TlsMode) -> Result<Greeted, ImapError> {
    let server = Server::new(lab.get(host), lab.port(port), tls);
    imap::connect(
        &net(lab),
        &server,
        &imap::Settings::default(),
        &Recorder::off(),
    )
    .await
}

async fn by_password(lab: &Lab, user: &str, tls: TlsMode) -> Session {
    let port = match tls {
        TlsMode::Tls => "IMAPS_PORT",
        TlsMode::StartTls => "IMAP_PORT",
    };
    let password = SecretString::from(lab.get("LAB_PASSWORD"));
    let login = Login {
        user,
        secret: Secret::Password(&password),
    };
    let greeted = greeted(lab, "LAB_HOST", port, tls)
        .await
        .expect("the lab answers");
    greeted.login(&login).await.expect("the lab answers")
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

async fn deliver(lab: &Lab, to: &str, subject: &str, text: &str) {
    let mail = plain_mail(
        "casey@customer.example",
        to,
        &format!("{subject}@test"),
        subject,
        text,
    );
    Lmtp::open(lab)
        .await
        .deliver("casey@customer.example", to, &mail)
        .await;
}

#[tokio::test]
async fn mail_is_listed_fetched_and_announced_over_tls_and_starttls() {
    let lab = Lab::load();
    for tls in [TlsMode::Tls, TlsMode::StartTls] {
        let user = lab.fresh_mailbox("imap");
        deliver(&lab, &user, "one", "first").await;
        deliver(&lab, &user, "two", &"x".repeat(300_000)).await;
        let mut session = by_password(&lab, &user, tls).await;
        assert!(session.can("IDLE"));
        let selected = session.select("INBOX").await.unwrap();
        assert_eq!((selected.exists, selected.uid_next), (2, Some(3)));
        let first = Uid::new(1).unwrap();
        let listed = session.list(first, Uid::new(2)).await.unwrap();
        assert_eq!(listed.len(), 2);
        assert!(
            listed
                .iter()
                .all(|one| one.internal_date.is_some() && one.size > 0)
        );
        assert_eq!(session.newest().await.unwrap().unwrap().uid.get(), 2);

        let bodies = session.fetch(&listed).await.unwrap();
        let body = |place: usize| bodies[place].body.clone().unwrap();
        assert!(String::from_utf8_lossy(&body(0)).contains("Subject: one\r\n"));
        assert_eq!(u64::try_from(body(1).len()).unwrap(), listed[1].size);
        let mut sliced = Vec::new();
        while let Some(slice) = session
            .fetch_slice(listed[1].uid, sliced.len() as u64, 65_536)
            .await
            .unwrap()
        {
            sliced.extend_from_slice(&slice);
            if slice.len() < 65_536 {
                break;
            }
        }
        assert_eq!(sliced, body(1));
        let header = session.fetch_header(first, 4_096).await.unwrap().unwrap();
        assert!(header.ends_with(b"\r\n\r\n") && !header.ends_with(b"first\r\n"));
        assert!(
            session
                .fetch_slice(Uid::new(99).unwrap(), 0, 10)
                .await
                .unwrap()
                .is_none()
        );

        let mut idling = session.idle().await.unwrap();
        deliver(&lab, &user, "three", "third").await;
        let nudge = tokio::time::timeout(Duration::from_secs(10), idling.next()).await;
        assert_eq!(nudge.unwrap().unwrap(), Nudge::Changed);
        let mut session = idling.done().await.unwrap();
        let news = session.list(Uid::new(3).unwrap(), None).await.unwrap();
        assert_eq!(news.len(), 1);
        // A range behind the end answers the last message, which is not in it.
        assert!(
            session
                .list(Uid::new(50).unwrap(), None)
                .await
                .unwrap()
                .is_empty()
        );
        assert_eq!(session.counters().unasked, 1);
        session.logout().await;
    }
}

#[tokio::test]
async fn an_empty_mailbox_is_no_trouble() {
    let lab = Lab::load();
    let mut session = by_password(&lab, &lab.fresh_mailbox("empty"), TlsMode::Tls).await;
    let selected = session.select("INBOX").await.unwrap();
    assert_eq!((selected.exists, selected.uid_next), (0, Some(1)));
    assert_eq!(session.newest().await.unwrap(), None);
    assert!(
        session
            .list(Uid::new(1).unwrap(), None)
            .await
            .unwrap()
            .is_empty()
    );
    let error = session.select("No such folder").await.unwrap_err();
    assert_eq!(error.class(), FailureClass::OperatorMustAct, "{error}");
    session.select("INBOX").await.unwrap();
    session.logout().await;
}

#[tokio::test]
async fn the_delegates_token_opens_the_shared_mailbox_and_no_other() {
    let lab = Lab::load();
    let token = access_token(&lab, lab.get("DELEGATE"));
    let secret = Secret::AccessToken(&token);
    for user in ["DELEGATE", "SHARED", "SHARED2"] {
        let user = lab.get(user);
        let greeted = greeted(&lab, "LAB_HOST", "IMAPS_PORT", TlsMode::Tls)
            .await
            .unwrap();
        let mut session = greeted.login(&Login { user, secret }).await.unwrap();
        assert!(
            session
                .select("INBOX")
                .await
                .unwrap()
                .uid_validity
                .is_some()
        );
        session.logout().await;
    }
    let user = lab.get("UNSHARED");
    let greeted = greeted(&lab, "LAB_HOST", "IMAPS_PORT", TlsMode::Tls)
        .await
        .unwrap();
    let error = greeted
        .login(&Login { user, secret })
        .await
        .map(drop)
        .unwrap_err();
    assert_eq!(error.class(), FailureClass::OperatorMustAct, "{error:?}");
}

#[tokio::test]
async fn refused_passwords_and_tokens_keep_the_servers_words() {
    let lab = Lab::load();
    let user = lab.fresh_mailbox("refused");
    let wrong = SecretString::from("wr0ng-s3cret");
    for (secret, has_json) in [
        (Secret::Password(&wrong), false),
        (Secret::AccessToken(&wrong), true),
    ] {
        let greeted = greeted(&lab, "LAB_HOST", "IMAPS_PORT", TlsMode::Tls)
            .await
            .unwrap();
        let login = Login {
            user: &user,
            secret,
        };
        match greeted.login(&login).await.map(drop).unwrap_err() {
            ImapError::AuthenticationRefused {
                challenge_json,
                code,
                text,
            } => {
                assert_eq!(code.as_deref(), Some("AUTHENTICATIONFAILED"));
                assert_eq!(challenge_json.is_some(), has_json, "{challenge_json:?}");
                assert!(!text.is_empty() && !text.contains("wr0ng"));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_and_a_port_without_imap_are_told() {
    let lab = Lab::load();
    let error = greeted(&lab, "WRONG_HOST", "IMAPS_WRONG_PORT", TlsMode::Tls)
        .await
        .unwrap_err();
    assert!(
        matches!(
            &error,
            ImapError::Dial(DialError::Tls {
                kind: TlsKind::WrongName,
                ..
            })
        ),
        "{error:?}"
    );
    assert_eq!(error.class(), FailureClass::OperatorMustAct);
    let error = greeted(&lab, "LAB_HOST", "IMAP_PORT", TlsMode::Tls)
        .await
        .unwrap_err();
    assert!(
        matches!(
            &error,
            ImapError::Dial(DialError::Tls {
                kind: TlsKind::Other,
                ..
            })
        ),
        "{error:?}"
    );
    let error = greeted(&lab, "LAB_HOST", "LMTP_PORT", TlsMode::StartTls)
        .await
        .unwrap_err();
    assert!(
        matches!(
            &error,
            ImapError::Nonsense {
                during: Step::Greeting,
                ..
            } | ImapError::TimedOut { .. }
                | ImapError::Broken { .. }
        ),
        "{error:?}"
    );
}
