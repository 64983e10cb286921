//! Servers whose TLS is at fault in other ways. An end without a close notify reads like any other end here: that what
//! was cut is not taken for complete is the protocols' matter, and tested there.

use std::{io::Write, net::TcpStream};

use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode, SslVersion};
use tokio::{net::TcpListener, task::JoinSet};

use super::super::testing;
use super::*;

/// The version that a server which speaks only TLS 1.0 agrees on with each of its guests, or why it does not.
fn serve_old(
    issued: &testing::Issued,
    guests: usize,
) -> (u16, JoinSet<Vec<Result<String, String>>>) {
    let acceptor = issued.old_acceptor();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut server = JoinSet::new();
    server.spawn_blocking(move || {
        let one = |(tcp, _): (TcpStream, _)| match acceptor.accept(tcp) {
            Ok(mut tls) => {
                let _ = tls.write_all(b"hello");
                Ok(tls.ssl().version_str().to_owned())
            }
            Err(error) => Err(error.to_string()),
        };
        (0..guests)
            .map(|_| one(listener.accept().unwrap()))
            .collect()
    });
    (port, server)
}

/// A guest who takes any version.
fn guest_of_old_times(port: u16) {
    let mut builder = SslConnector::builder(SslMethod::tls_client()).unwrap();
    builder.set_verify(SslVerifyMode::NONE);
    builder.set_cipher_list("ALL:@SECLEVEL=0").unwrap();
    builder
        .set_min_proto_version(Some(SslVersion::TLS1))
        .unwrap();
    let tcp = TcpStream::connect(("127.0.0.1", port)).unwrap();
    builder.build().connect("mail.test", tcp).unwrap();
}

#[tokio::test]
async fn a_server_with_only_old_tls_is_refused_whoever_vouches_for_it() {
    // Fault 45: TLS 1.0.
    let authority = testing::Authority::new("Test CA");
    let (port, server) = serve_old(&authority.issue("mail.test", 30), 3);
    tokio::task::spawn_blocking(move || guest_of_old_times(port))
        .await
        .unwrap();
    let net = testing::net_with(&authority.pem, &["127.0.0.1"]);
    for verify in [TlsVerify::Full, TlsVerify::AcceptAny] {
        let tcp = net.dial("127.0.0.1", port).await.unwrap();
        let refused = net.tls("mail.test", &verify, tcp).await;
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
    let seen = server.join_all().await.remove(0);
    assert_eq!(
        seen[0].as_deref(),
        Ok("TLSv1"),
        "the server really speaks it"
    );
    assert!(seen[1].is_err() && seen[2].is_err(), "{seen:?}");
}

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
