//! Mail too large to be held in memory, from a real server.

use std::{fmt::Write as _, time::Duration};

use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use crate::support::{Daemon, Engine, Lab, eventually};

/// Octets of the mail.
const SIZE: usize = 150_000_000;
/// What the daemon may grow by meanwhile, in KiB.
const GROWTH: u64 = 16 * 1024;

/// Puts a large mail into a mailbox; its SHA-256.
async fn append(lab: &Lab, mailbox: &str) -> [u8; 32] {
    let stream = TcpStream::connect((lab.get("LAB_HOST"), lab.port("IMAP_PORT"))).await;
    let mut line = BufReader::new(stream.expect("IMAP"));
    let begin = format!(
        "a LOGIN {mailbox} {}\r\nb APPEND INBOX {{{SIZE}+}}\r\n",
        lab.get("LAB_PASSWORD")
    );
    line.get_mut()
        .write_all(begin.as_bytes())
        .await
        .expect("begun");
    let mut hash = Sha256::new();
    let mut sent = 0;
    let mut piece = "From: Casey <casey@customer.example>\r\nTo: desk@lab.test\r\nSubject: a large one\r\n\
        Message-ID: <large@customer.example>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
        --b\r\nContent-Type: text/plain\r\n\r\nSee the film.\r\n--b\r\nContent-Type: video/mp4; name=film.mp4\r\n\
        Content-Transfer-Encoding: base64\r\n\r\n"
        .to_owned();
    let mut count = 0;
    while sent < SIZE {
        while piece.len() < 1_000_000 {
            count += 1;
            let _ = write!(piece, "{count:076}\r\n");
        }
        piece.truncate(piece.len().min(SIZE - sent));
        hash.update(&piece);
        line.get_mut()
            .write_all(piece.as_bytes())
            .await
            .expect("sent");
        sent += piece.len();
        piece.clear();
    }
    line.get_mut().write_all(b"\r\n").await.expect("sent");
    let mut answer = String::new();
    while !answer.starts_with("b ") {
        answer.clear();
        line.read_line(&mut answer).await.expect("an answer");
    }
    assert!(answer.starts_with("b OK"), "{answer}");
    hash.finalize().into()
}

/// KiB, from the process's own account.
fn memory(pid: u32, what: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("status");
    let line = status
        .lines()
        .find(|line| line.starts_with(what))
        .expect("a line");
    line.split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse().ok())
        .expect("KiB")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_of_150_mb_is_kept_whole_with_less_than_16_mb_of_memory() {
    let daemon = Daemon::start(Engine::Sqlite, &[("XC_EMAIL_IDLE_REISSUE", "2s")]).await;
    let mailbox = daemon.lab.fresh_mailbox("large");
    let list = daemon.add_list().await;
    let account = daemon.add_password_account(list, "LARGE", &mailbox).await;
    daemon.wait_lane(account, "inbound", "ready").await;
    daemon.wait_lane(account, "outbound", "ready").await;
    let pid = daemon.pid();
    // The peak begins anew.
    std::fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("clear_refs");
    let before = memory(pid, "VmHWM");
    let sha256 = append(&daemon.lab, &mailbox).await;
    let path = format!("/api/mail/messages?AccountId={account}");
    let row = eventually(
        "the mail is in the store",
        Duration::from_secs(120),
        || async {
            let rows = daemon.api.rows(&path).await;
            rows.first().cloned().ok_or_else(|| "no row".to_owned())
        },
    )
    .await;
    let grown = memory(pid, "VmHWM").saturating_sub(before);
    assert!(grown < GROWTH, "it grew by {grown} KiB over {before} KiB");
    assert_eq!(row["subject"], "a large one");
    assert_eq!(row["size"], SIZE);
    let shown = daemon
        .api
        .get(&format!("/api/mail/messages/{}", row["id"]))
        .await;
    assert!(
        shown["text"]
            .as_str()
            .is_some_and(|text| text.contains("See the film."))
    );
    assert_eq!(shown["truncated"], true);
    // The exact octets, under the name that they give it.
    let name: String = sha256.iter().map(|octet| format!("{octet:02x}")).collect();
    let object = daemon.path("data/blobs").join(&name[..2]).join(&name[2..]);
    let kept = std::fs::read(&object).expect("the object");
    assert_eq!(<[u8; 32]>::from(Sha256::digest(&kept)), sha256);
    println!("a mail of {SIZE} octets: {grown} KiB over {before} KiB");
}
