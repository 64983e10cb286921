//! Certificates against every way of judging them.

use super::super::testing::{self, Issued};
use super::*;
use crate::net::Settings;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinSet,
};

/// Serves one TLS connection with `issued` and says what a client that trusts `ca` sees.
async fn shake(
    ca: &str,
    issued: &Issued,
    host: &str,
    verify: TlsVerify,
) -> Result<String, DialError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = issued.acceptor();
    let mut server = JoinSet::new();
    server.spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        if let Ok(mut tls) = acceptor.accept(tcp).await {
            let _ = tls.write_all(b"hello").await;
            let _ = tls.shutdown().await;
        }
    });
    let net = testing::net_with(ca, &["127.0.0.1"]);
    let tcp = net.dial("127.0.0.1", port).await.unwrap();
    let mut tls = net.tls(host, &verify, tcp).await?;
    let mut text = String::new();
    tls.read_to_string(&mut text).await.unwrap();
    Ok(text)
}

#[tokio::test]
async fn version_and_certificate_of_a_connection_are_known_whoever_vouches_for_it() {
    let authority = testing::Authority::new("Test CA");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = authority.issue("mail.test", 30).acceptor();
    let mut server = JoinSet::new();
    server.spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        let _ = acceptor.accept(tcp).await.unwrap().read(&mut [0; 9]).await;
    });
    let net = testing::net(&["127.0.0.1"]);
    let tcp = net.dial("127.0.0.1", port).await.unwrap();
    let before = crate::model::Clock::now(&crate::model::SystemClock);
    let any = TlsVerify::AcceptAny;
    let mut tls = net.tls("other.test", &any, tcp).await.unwrap();
    let seen = crate::net::Handshake::take(&mut tls);
    // What native-tls gives as a server.
    assert_eq!(seen.version, Some("TLS 1.2"));
    let certificate = seen.certificate.unwrap();
    assert_eq!(certificate.subject, "mail.test");
    assert_eq!(certificate.issuer, "Test CA");
    assert_eq!(certificate.names, ["mail.test"]);
    let left = certificate.not_after.since(before).as_secs();
    assert!((29 * 86_400..=30 * 86_400 + 60).contains(&left), "{left}");
    assert!(certificate.not_before < before);
}

#[tokio::test]
async fn a_good_certificate_is_accepted_and_each_bad_one_is_named() {
    // Fault 45: expired, wrong name.
    let authority = testing::Authority::new("Test CA");
    let other = testing::Authority::new("Other CA");
    let good = authority.issue("mail.test", 30);
    assert_eq!(
        shake(&authority.pem, &good, "mail.test", TlsVerify::Full)
            .await
            .unwrap(),
        "hello"
    );
    let cases = [
        (&good, &authority, "other.test", TlsKind::WrongName),
        (&good, &authority, "127.0.0.1", TlsKind::WrongName),
        (&good, &other, "mail.test", TlsKind::Untrusted),
        (
            &authority.issue("mail.test", -1),
            &authority,
            "mail.test",
            TlsKind::Expired,
        ),
    ];
    for (issued, trusted, host, expected) in cases {
        let error = shake(&trusted.pem, issued, host, TlsVerify::Full)
            .await
            .unwrap_err();
        match &error {
            DialError::Tls { kind, .. } => assert_eq!(*kind, expected, "{error:?}"),
            _ => panic!("{error:?}"),
        }
    }
}

#[tokio::test]
async fn any_certificate_is_taken_where_the_account_asks_for_it() {
    let authority = testing::Authority::new("Test CA");
    let other = testing::Authority::new("Other CA");
    let old = authority.issue("mail.test", -1);
    let said = shake(&other.pem, &old, "other.test", TlsVerify::AcceptAny).await;
    assert_eq!(said.unwrap(), "hello");
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_not_a_certificate_fault() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut server = JoinSet::new();
    server.spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        let _ = tcp.write_all(b"* OK hello\r\n").await;
        let _ = tcp.read(&mut [0; 1024]).await;
    });
    let net = testing::net(&["127.0.0.1"]);
    let tcp = net.dial("127.0.0.1", port).await.unwrap();
    let error = net
        .tls("mail.test", &TlsVerify::Full, tcp)
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            DialError::Tls {
                kind: TlsKind::Other,
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn a_bundle_without_certificates_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("empty.pem");
    std::fs::write(&path, "no certificate\n").unwrap();
    let settings = Settings {
        ca_file: path,
        ..Settings::default()
    };
    assert!(matches!(
        Net::new(&settings),
        Err(NetSetupError::Bundle { .. })
    ));
    let settings = Settings {
        ca_file: dir.path().join("missing.pem"),
        ..Settings::default()
    };
    assert!(matches!(
        Net::new(&settings),
        Err(NetSetupError::File { .. })
    ));
}

/// The one table of trust: certificate, name, way of judging, outcome.
#[tokio::test]
async fn an_accounts_own_trust_takes_what_it_names_and_nothing_else() {
    let authority = testing::Authority::new("Test CA");
    let other = testing::Authority::new("Other CA");
    let good = authority.issue("mail.test", 30);
    let old = authority.issue("mail.test", -1);
    let ca = |pem: &str| TlsVerify::Ca(pem.to_owned());
    let pinned =
        |issued: &[&Issued]| TlsVerify::Pinned(issued.iter().map(|one| one.fingerprint).collect());
    let both = format!("{}\n{}", other.pem, authority.pem);
    let cases = [
        (
            "own authority",
            &good,
            "mail.test",
            ca(&authority.pem),
            "hello",
        ),
        ("one of two", &good, "mail.test", ca(&both), "hello"),
        (
            "another authority",
            &good,
            "mail.test",
            ca(&other.pem),
            "untrusted",
        ),
        (
            "wrong name",
            &good,
            "other.test",
            ca(&authority.pem),
            "wrong name",
        ),
        ("over", &old, "mail.test", ca(&authority.pem), "expired"),
        (
            "no authority",
            &good,
            "mail.test",
            ca("junk"),
            "authorities",
        ),
        (
            "the leaf is no authority",
            &good,
            "mail.test",
            ca(&good.pem),
            "untrusted",
        ),
        ("pinned", &good, "mail.test", pinned(&[&good]), "hello"),
        (
            "pinned, any name",
            &good,
            "other.test",
            pinned(&[&good]),
            "hello",
        ),
        ("pinned, over", &old, "mail.test", pinned(&[&old]), "hello"),
        (
            "pinned for rotation",
            &good,
            "mail.test",
            pinned(&[&old, &good]),
            "hello",
        ),
        ("wrong pin", &good, "mail.test", pinned(&[&old]), "pin"),
        ("no pin", &good, "mail.test", pinned(&[]), "pin"),
    ];
    for (case, issued, host, verify, expected) in cases {
        // The process trusts the issuer: an account's own trust replaces that, it does not add to it.
        let found = match shake(&authority.pem, issued, host, verify).await {
            Ok(said) => said,
            Err(DialError::Tls { kind, .. }) => match kind {
                TlsKind::Untrusted => "untrusted",
                TlsKind::WrongName => "wrong name",
                TlsKind::Expired => "expired",
                TlsKind::Other => "other",
            }
            .to_owned(),
            Err(DialError::Pin { seen, .. }) => {
                assert_eq!(seen, issued.fingerprint, "{case}");
                "pin".to_owned()
            }
            Err(DialError::Authorities { .. }) => "authorities".to_owned(),
            Err(error) => panic!("{case}: {error:?}"),
        };
        assert_eq!(found, expected, "{case}");
    }
}

#[tokio::test]
async fn nothing_is_sent_to_a_server_whose_certificate_is_not_the_pinned_one() {
    let authority = testing::Authority::new("Test CA");
    let issued = authority.issue("mail.test", 30);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = issued.acceptor();
    let mut server = JoinSet::new();
    server.spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        let mut tls = acceptor.accept(tcp).await.unwrap();
        let mut got = Vec::new();
        let _ = tls.read_to_end(&mut got).await;
        got
    });
    let net = testing::net_with(&authority.pem, &["127.0.0.1"]);
    let tcp = net.dial("127.0.0.1", port).await.unwrap();
    let verify = TlsVerify::Pinned(vec![Fingerprint::new([0; 32])]);
    let error = net.tls("mail.test", &verify, tcp).await.unwrap_err();
    assert!(error.to_string().contains(&issued.fingerprint.to_string()));
    assert_eq!(server.join_next().await.unwrap().unwrap(), Vec::<u8>::new());
}

#[test]
fn authorities_are_certificates_and_nothing_else() {
    let pem = testing::Authority::new("A").pem;
    assert_eq!(check_authorities(&pem), Ok(()));
    assert_eq!(check_authorities(&format!("# comment\n{pem}{pem}")), Ok(()));
    let torn = pem.replace("\nM", "\n!M");
    let key = format!("{pem}-----BEGIN PRIVATE KEY-----\n");
    for (text, what) in [
        ("", "holds no certificate"),
        ("hello", "holds no certificate"),
        (&torn, "holds"),
        (&key, "holds a private key"),
        (&pem.repeat(51), "holds more than"),
        (&"x".repeat(60_001), "has more than"),
    ] {
        let error = check_authorities(text).unwrap_err();
        assert!(error.starts_with(what), "{error}");
    }
}
