//! Servers whose TLS is at fault in other ways (reliability matrix row 45). An end without a close notify reads like
//! any other end here: that what was cut is not taken for complete is the protocols' matter, and tested there.

use tokio::{net::TcpListener, task::JoinSet};

use super::super::testing;
use super::*;

#[tokio::test]
async fn row_45_a_server_with_only_old_tls_is_refused() {
    let authority = testing::Authority::new("Test CA");
    let Some(acceptor) = authority.issue("mail.test", 30).old_acceptor() else {
        // This machine's library cannot even offer it.
        return;
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut server = JoinSet::new();
    server.spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        let _ = acceptor.accept(tcp).await;
    });
    let net = testing::net_with(&authority.pem, &["127.0.0.1"]);
    let tcp = net.dial("127.0.0.1", port).await.unwrap();
    let refused = net.tls("mail.test", &TlsVerify::Full, tcp).await;
    assert!(
        matches!(
            refused,
            Err(DialError::Tls {
                kind: TlsKind::Other,
                ..
            })
        ),
        "{refused:?}"
    );
}

#[tokio::test]
async fn row_45_a_certificate_that_vouches_for_itself_is_refused() {
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
