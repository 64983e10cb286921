//! Servers whose TLS is at fault in other ways (fault 45). An end without a close notify reads like
//! any other end here: that what was cut is not taken for complete is the protocols' matter, and tested there.

use std::{
    io::{BufRead, Read, Write},
    process::{Command, Stdio},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinSet,
    time::timeout,
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

/// Lines of a child's output.
fn output(of: impl Read + Send + 'static) -> tokio::sync::mpsc::UnboundedReceiver<String> {
    let (heard, lines) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::BufReader::new(of).lines().map_while(Result::ok) {
            if heard.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// Fault 45: a server that renegotiates in the middle of a session. What is read stays whole, or the line ends.
#[tokio::test]
async fn a_renegotiation_in_mid_session_neither_hangs_nor_mixes_what_is_read() {
    let home = tempfile::tempdir().unwrap();
    let own = testing::Authority::new("Test CA").issue("mail.test", 30);
    let (certificate, key) = (home.path().join("c.pem"), home.path().join("k.pem"));
    std::fs::write(&certificate, &own.pem).unwrap();
    std::fs::write(&key, &own.key_pem).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    // It sends what is typed; a line `r` makes it renegotiate, which only TLS 1.2 knows.
    let mut server = Command::new("openssl")
        .args([
            "s_server",
            "-tls1_2",
            "-accept",
            &format!("127.0.0.1:{port}"),
        ])
        .arg("-cert")
        .arg(&certificate)
        .arg("-key")
        .arg(&key)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut typed = server.stdin.take().unwrap();
    let mut lines = output(server.stdout.take().unwrap());
    let limit = std::time::Duration::from_secs(20);
    let mut until = async |word: &str| {
        let found = async { while lines.recv().await.is_some_and(|line| !line.contains(word)) {} };
        timeout(limit, found).await.expect(word);
    };
    until("ACCEPT").await;
    let net = testing::net(&["127.0.0.1"]);
    let tcp = net.dial("127.0.0.1", port).await.unwrap();
    let mut tls = net
        .tls("mail.test", &TlsVerify::AcceptAny, tcp)
        .await
        .unwrap();
    tls.write_all(b"one\n").await.unwrap();
    tls.flush().await.unwrap();
    until("one").await;
    typed.write_all(b"alpha\n").unwrap();
    let mut read = vec![0; 6];
    timeout(limit, tls.read_exact(&mut read))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(read, b"alpha\n");
    typed.write_all(b"r\n").unwrap();
    typed.write_all(b"beta\n").unwrap();
    let mut read = vec![0; 5];
    match timeout(limit, tls.read_exact(&mut read)).await.unwrap() {
        Ok(_) => assert_eq!(read, b"beta\n"),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    server.kill().unwrap();
    server.wait().unwrap();
}

#[tokio::test]
async fn a_certificate_that_vouches_for_itself_is_refused() {
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
