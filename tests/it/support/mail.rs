//! Small clients that deliver to the lab's mailboxes and look into them from outside.

use std::collections::HashMap;

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use super::Lab;

/// An LMTP line to Dovecot (RFC 2033).
pub struct Lmtp {
    line: BufReader<TcpStream>,
}

impl Lmtp {
    /// Connects and says LHLO.
    pub async fn open(lab: &Lab) -> Self {
        let stream = TcpStream::connect((lab.get("LAB_HOST"), lab.port("LMTP_PORT")))
            .await
            .expect("LMTP");
        let mut lmtp = Self {
            line: BufReader::new(stream),
        };
        lmtp.expect('2').await;
        lmtp.command("LHLO test.lab.test", '2').await;
        lmtp
    }

    /// Delivers one mail; returns after the server took it.
    pub async fn deliver(&mut self, from: &str, to: &str, message: &str) {
        self.command(&format!("MAIL FROM:<{from}>"), '2').await;
        self.command(&format!("RCPT TO:<{to}>"), '2').await;
        self.command("DATA", '3').await;
        let stuffed = message.replace("\r\n.", "\r\n..");
        self.line
            .get_mut()
            .write_all(stuffed.as_bytes())
            .await
            .expect("body");
        self.command("\r\n.", '2').await;
    }

    async fn command(&mut self, text: &str, expected: char) {
        self.line
            .get_mut()
            .write_all(format!("{text}\r\n").as_bytes())
            .await
            .expect("command");
        self.expect(expected).await;
    }

    async fn expect(&mut self, class: char) {
        loop {
            let mut reply = String::new();
            self.line.read_line(&mut reply).await.expect("reply");
            assert!(reply.starts_with(class), "LMTP said {reply:?}");
            if reply.as_bytes().get(3) == Some(&b' ') {
                return;
            }
        }
    }
}

/// A plain text mail with a Message-ID of the test's own.
pub fn plain_mail(from: &str, to: &str, message_id: &str, subject: &str, text: &str) -> String {
    format!(
        "From: Casey Customer <{from}>\r\nTo: <{to}>\r\nSubject: {subject}\r\nMessage-ID: <{message_id}>\r\n\
         Date: Mon, 23 Nov 2026 12:00:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n"
    )
}

/// How often each Message-ID lies in a mailbox's INBOX, as IMAP with a password shows it.
pub async fn message_ids(lab: &Lab, mailbox: &str) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for headers in fetch_all(lab, mailbox, "BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)]").await {
        let text = String::from_utf8_lossy(&headers);
        if let Some((_, rest)) = text.split_once('<') {
            let id = rest.split('>').next().unwrap_or_default().to_owned();
            *counts.entry(id).or_insert(0) += 1;
        }
    }
    counts
}

/// One item of every mail in a mailbox's INBOX, in UID order. `item` must give one literal each.
pub async fn fetch_all(lab: &Lab, mailbox: &str, item: &str) -> Vec<Vec<u8>> {
    let stream = TcpStream::connect((lab.get("LAB_HOST"), lab.port("IMAP_PORT")))
        .await
        .expect("IMAP");
    let mut line = BufReader::new(stream);
    let mut greeting = String::new();
    line.read_line(&mut greeting).await.expect("greeting");
    let login = format!("a LOGIN {mailbox} {}", lab.get("LAB_PASSWORD"));
    let mut literals = Vec::new();
    for command in [
        login,
        "b SELECT INBOX".to_owned(),
        format!("c UID FETCH 1:* ({item})"),
        "d LOGOUT".to_owned(),
    ] {
        let tag = format!("{} ", &command[..1]);
        line.get_mut()
            .write_all(format!("{command}\r\n").as_bytes())
            .await
            .expect("command");
        loop {
            let mut answer = Vec::new();
            line.read_until(b'\n', &mut answer).await.expect("answer");
            let text = String::from_utf8_lossy(&answer);
            if text.starts_with(&tag) {
                // An empty mailbox makes `1:*` a harmless BAD or OK.
                break;
            }
            assert!(!answer.is_empty(), "IMAP closed during {command}");
            if let Some(size) = literal_size(&text) {
                let mut literal = vec![0; size];
                line.read_exact(&mut literal).await.expect("literal");
                literals.push(literal);
            }
        }
    }
    literals
}

fn literal_size(line: &str) -> Option<usize> {
    line.trim_end()
        .strip_suffix('}')?
        .rsplit_once('{')?
        .1
        .parse()
        .ok()
}
