//! Fault 45: a server that asks for a new handshake in the middle of a session (TLS 1.2, RFC 5246 §7.4.1.1).

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use motion_email::{
    model::TlsVerify,
    net::{self, Net},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt},
    task::JoinSet,
    time::timeout,
};

const LIMIT: Duration = Duration::from_secs(20);

/// OpenSSL's own server; ended when dropped.
struct Server(Child, ChildStdin, mpsc::Receiver<String>);

impl Server {
    fn start(folder: &std::path::Path) -> Self {
        let path = |name: &str| folder.join(name).display().to_string();
        let (key, certificate) = (path("key.pem"), path("ca.pem"));
        let made = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
            ])
            .args([
                "-subj",
                "/CN=mail.test",
                "-addext",
                "subjectAltName=DNS:mail.test",
                "-days",
                "2",
            ])
            .args(["-keyout", &key, "-out", &certificate])
            .stderr(Stdio::null())
            .status();
        assert!(made.expect("openssl runs").success());
        let mut child = Command::new("openssl")
            .args([
                "s_server",
                "-accept",
                "127.0.0.1:0",
                "-tls1_2",
                "-msg",
                "-no_ticket",
                "-no_cache",
            ])
            .args(["-key", &key, "-cert", &certificate])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl runs");
        let (input, output) = (
            child.stdin.take().expect("stdin"),
            child.stdout.take().expect("stdout"),
        );
        let (lines, heard) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if lines.send(line).is_err() {
                    return;
                }
            }
        });
        Self(child, input, heard)
    }

    fn type_in(&mut self, text: &str) {
        self.1.write_all(text.as_bytes()).expect("typed");
        self.1.flush().expect("typed");
    }

    /// The next line of its output that has these words.
    fn hear(&self, words: &str) -> String {
        loop {
            let line = self.2.recv_timeout(LIMIT);
            let line = line.unwrap_or_else(|_| panic!("never said: {words}"));
            if line.contains(words) {
                return line;
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_45_a_handshake_in_the_middle_of_a_session_loses_and_changes_no_octet() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = Server::start(folder.path());
    let accepts = server.hear("ACCEPT");
    let port = accepts
        .rsplit(':')
        .next()
        .and_then(|port| port.trim().parse().ok());
    let net = Net::new(&net::Settings {
        ca_file: folder.path().join("ca.pem"),
        allow_hosts: vec!["127.0.0.1".to_owned()],
        ..net::Settings::default()
    })
    .expect("the authority");
    let tcp = net
        .dial("127.0.0.1", port.expect("a port"))
        .await
        .expect("connects");
    let tls = net
        .tls("mail.test", &TlsVerify::Full, tcp)
        .await
        .expect("TLS");
    let (read, mut write) = tokio::io::split(tls);
    let (lines, mut said) = tokio::sync::mpsc::unbounded_channel();
    let mut reading = JoinSet::new();
    reading.spawn(async move {
        let mut read = tokio::io::BufReader::new(read).lines();
        while let Ok(Some(line)) = read.next_line().await {
            lines.send(line).expect("somebody listens");
        }
    });
    server.hear("Finished");
    for round in 0..3 {
        if round > 0 {
            // The certificate is shown, and judged, anew.
            server.type_in("r\n");
            for step in ["HelloRequest", "ClientHello", " Certificate", "Finished"] {
                server.hear(step);
            }
        }
        server.type_in(&format!("line {round}\n"));
        let line = timeout(LIMIT, said.recv()).await.expect("a line in time");
        assert_eq!(line, Some(format!("line {round}")));
        let ours = format!("answer {round}\n");
        write.write_all(ours.as_bytes()).await.expect("sent");
        write.flush().await.expect("sent");
        server.hear(ours.trim());
    }
}
