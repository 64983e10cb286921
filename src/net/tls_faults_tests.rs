//! Servers whose TLS is at fault in other ways (fault 45). An end without a close notify reads like
//! any other end here: that what was cut is not taken for complete is the protocols' matter, and tested there.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinSet,
};

use super::super::testing;
use super::*;

/// Fault 45: the server's hello chooses TLS 1.0, which libraries that could still offer it are hard to find for.
#[tokio::test]
async fn a_server_that_chooses_tls_1_0_is_refused_with_an_alert() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut server = JoinSet::new();
    server.spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        let mut hello = [0; 4096];
        assert!(tcp.read(&mut hello).await.unwrap() > 100);
        // Handshake record, server hello: TLS 1.0, random, no session, RSA with AES-128-CBC, no compression.
        let mut chosen = vec![22, 3, 1, 0, 42, 2, 0, 0, 38, 3, 1];
        chosen.extend_from_slice(&[7; 32]);
        chosen.extend_from_slice(&[0, 0, 0x2f, 0]);
        tcp.write_all(&chosen).await.unwrap();
        let mut answer = Vec::new();
        let _ = tcp.read_to_end(&mut answer).await;
        answer
    });
    let net = testing::net(&["127.0.0.1"]);
    let tcp = net.dial("127.0.0.1", port).await.unwrap();
    let refused = net.tls("mail.test", &TlsVerify::AcceptAny, tcp).await;
    let Err(DialError::Tls { kind, detail, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(kind, TlsKind::Other, "{detail}");
    assert!(detail.contains("protocol"), "{detail}");
    // An alert, fatal, protocol_version (RFC 5246 §7.2.2).
    let answer = server.join_next().await.unwrap().unwrap();
    assert!(answer.ends_with(&[2, 70]), "{answer:?}");
}

// Fault 45: a renegotiation in mid-session is tested with OpenSSL's own server, among the integration tests.

#[tokio::test]
async fn a_certificate_that_vouches_for_itself_is_refused() {
    // Fault 45: self-signed.
    let own = testing::Authority::new("localhost");
    let trusted = testing::Authority::new("Test CA");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = own.issue("mail.test", 30).acceptor();
    let mut server = JoinSet::new();
    server.spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        let _ = acceptor.accept(tcp).await;
    });
    let net = testing::net_with(&trusted.pem, &["127.0.0.1"]);
    let tcp = net.dial("127.0.0.1", port).await.unwrap();
    let refused = net.tls("mail.test", &TlsVerify::Full, tcp).await;
    assert!(
        matches!(
            refused,
            Err(DialError::Tls {
                kind: TlsKind::Untrusted,
                ..
            })
        ),
        "{refused:?}"
    );
}
