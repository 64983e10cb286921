//! How fast a full mailbox is read, beside clients that do less: a bare one that fetches and throws away, and
//! mbsync and getmail6, which write a Maildir with fsync. All over TLS from the same Dovecot, in one run, in turn.
//! A mail of motion-email counts when its row, text, contact, conversation and event are committed.
//!
//! Run by `tests/bench/backfill`. `MOTION_MAILS` (20,000) of 4 kB, `MOTION_LARGE` (200) of 5 MB, `MOTION_ROUNDS`
//! (3); getmail6 reads at most 2,000 mails, since it is slow.
#![allow(
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    unreachable_pub,
    missing_docs,
    reason = "a benchmark may panic, print and read the clock"
)]

#[path = "../it/support/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "the shared support has more than this benchmark needs"
)]
mod support;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::json;
use sqlx::{Connection as _, Row as _};
use support::{Daemon, Engine, Lab};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

/// getmail6 reads no more than this.
const GETMAIL: usize = 2_000;

fn setting(name: &str, default: usize) -> usize {
    let value = std::env::var(name).ok();
    value.and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    let rounds = setting("MOTION_ROUNDS", 3);
    runtime.block_on(async {
        for (count, size) in [
            (setting("MOTION_MAILS", 20_000), 4_000),
            (setting("MOTION_LARGE", 200), 5_000_000),
        ] {
            if count > 0 {
                measure(count, size, rounds).await;
            }
        }
    });
}

async fn measure(count: usize, size: usize, rounds: usize) {
    let lab = Lab::load();
    let mailbox = lab.fresh_mailbox("full");
    let few = lab.fresh_mailbox("few");
    fill(&lab, &mailbox, count, size).await;
    fill(&lab, &few, count.min(GETMAIL), size).await;
    // The server's indexes are made before anybody is measured.
    bare(&lab, &mailbox, count).await;
    bare(&lab, &few, count.min(GETMAIL)).await;
    let mut rates: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for round in 1..=rounds {
        for (name, mails) in [
            ("bare client", count),
            ("motion-email, SQLite", count),
            ("motion-email, MariaDB", count),
            ("mbsync, fsync", count),
            ("getmail6", count.min(GETMAIL)),
        ] {
            let took = match name {
                "bare client" => bare(&lab, &mailbox, count).await,
                "motion-email, SQLite" => motion(Engine::Sqlite, &mailbox, count).await,
                "motion-email, MariaDB" => motion(Engine::MariaDb, &mailbox, count).await,
                "mbsync, fsync" => mbsync(&lab, &mailbox, count),
                _ => getmail(&lab, &few, mails),
            };
            let rate = mails as f64 / took.as_secs_f64();
            eprintln!("round {round}: {name}: {rate:.0} mails/s");
            rates.entry(name).or_default().push(rate);
        }
    }
    let median = |name: &str| {
        let mut all = rates[name].clone();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    let (base, mbsync) = (median("bare client"), median("mbsync, fsync"));
    println!("{count} mails of {size} octets, medians of {rounds}:");
    for name in rates.keys() {
        let rate = median(name);
        println!(
            "  {name:>22}: {rate:8.0} mails/s, {:6.1} MB/s, {:5.2} of the bare client, {:6.2} times mbsync",
            rate * size as f64 / 1e6,
            rate / base,
            rate / mbsync
        );
    }
}

/// Mail as customers write it: from some hundred people, some of it in answer to other mail.
fn a_mail(place: usize, size: usize) -> String {
    let mut mail = format!(
        "Return-Path: <p{0}@customer.example>\r\nReceived: from mx.customer.example by mx.lab.test; Mon, 23 Nov 2026 12:00:00 +0000\r\n\
         From: Person {0} <p{0}@customer.example>\r\nTo: Desk <desk@lab.test>\r\nSubject: Question {place}\r\n\
         Message-ID: <m{place}@customer.example>\r\nDate: Mon, 23 Nov 2026 12:00:00 +0000\r\nMIME-Version: 1.0\r\n",
        place % 700
    );
    if place.is_multiple_of(4) && place > 0 {
        let _ = write!(mail, "In-Reply-To: <m{}@customer.example>\r\n", place - 1);
    }
    let line =
        format!("{place} The parcel that was due on Monday has not come, and nobody answers.\r\n");
    if size < 100_000 {
        mail.push_str("Content-Type: text/plain; charset=utf-8\r\n\r\n");
        while mail.len() + line.len() < size {
            mail.push_str(&line);
        }
    } else {
        mail.push_str("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n");
        mail.push_str(&line);
        mail.push_str("--b\r\nContent-Type: application/octet-stream; name=a.bin\r\nContent-Transfer-Encoding: base64\r\n\r\n");
        let mut state = place as u64 + 1;
        let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        while mail.len() + 90 < size {
            for _ in 0..76 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                mail.push(char::from(letters[(state >> 58) as usize]));
            }
            mail.push_str("\r\n");
        }
        mail.push_str("--b--\r\n");
    }
    mail
}

async fn fill(lab: &Lab, mailbox: &str, count: usize, size: usize) {
    let stream = TcpStream::connect((lab.get("LAB_HOST"), lab.port("IMAP_PORT"))).await;
    let mut line = BufReader::with_capacity(1 << 16, stream.expect("IMAP"));
    let login = format!("a LOGIN {mailbox} {}\r\n", lab.get("LAB_PASSWORD"));
    line.get_mut()
        .write_all(login.as_bytes())
        .await
        .expect("login");
    until(&mut line, "a OK").await;
    let at_once = (4_000_000 / size).clamp(1, 500);
    let mut place = 0;
    while place < count {
        let some = at_once.min(count - place);
        let mut text = String::new();
        for _ in 0..some {
            let mail = a_mail(place, size);
            let _ = write!(text, "b APPEND INBOX {{{}+}}\r\n{mail}\r\n", mail.len());
            place += 1;
        }
        let (mut read, mut write) = tokio::io::split(&mut line);
        let sending = write.write_all(text.as_bytes());
        let answers = async {
            let mut answers = String::new();
            let mut buffer = [0; 4096];
            while answers.matches("b OK").count() < some {
                let octets = read.read(&mut buffer).await.expect("answers");
                assert!(octets > 0, "IMAP closed");
                answers.push_str(&String::from_utf8_lossy(&buffer[..octets]));
            }
        };
        let (sent, ()) = tokio::join!(sending, answers);
        sent.expect("mail");
    }
}

async fn until<R: tokio::io::AsyncBufRead + Unpin>(line: &mut R, start: &str) {
    let mut text = String::new();
    while !text.starts_with(start) {
        text.clear();
        assert!(
            line.read_line(&mut text).await.expect("line") > 0,
            "IMAP closed"
        );
    }
}

/// Logs in, selects, fetches everything in one command and counts octets.
async fn bare(lab: &Lab, mailbox: &str, count: usize) -> Duration {
    let begun = Instant::now();
    let ca = std::fs::read(lab.get("CA_FILE")).expect("CA");
    let ca = async_native_tls::Certificate::from_pem(&ca).expect("CA");
    let connector = async_native_tls::TlsConnector::new().add_root_certificate(ca);
    let stream = TcpStream::connect((lab.get("LAB_HOST"), lab.port("IMAPS_PORT"))).await;
    let stream = connector
        .connect("127.0.0.1", stream.expect("IMAP"))
        .await
        .expect("TLS");
    let mut line = BufReader::with_capacity(1 << 16, stream);
    let login = format!(
        "a LOGIN {mailbox} {}\r\nb SELECT INBOX\r\nc UID FETCH 1:* (UID BODY.PEEK[])\r\n",
        lab.get("LAB_PASSWORD")
    );
    line.get_mut()
        .write_all(login.as_bytes())
        .await
        .expect("login");
    until(&mut line, "b OK").await;
    let mut seen = 0;
    let mut text = String::new();
    let mut body = vec![0; 1 << 16];
    loop {
        text.clear();
        line.read_line(&mut text).await.expect("line");
        if text.starts_with("c ") {
            break;
        }
        if let Some((_, literal)) = text.trim_end().trim_end_matches('}').rsplit_once('{') {
            let mut left: usize = literal.parse().expect("a literal");
            while left > 0 {
                let part = left.min(body.len());
                line.read_exact(&mut body[..part]).await.expect("body");
                left -= part;
            }
            seen += 1;
        }
    }
    assert_eq!(seen, count);
    begun.elapsed()
}

async fn motion(engine: Engine, mailbox: &str, count: usize) -> Duration {
    let daemon = Daemon::start(engine, &[("XC_DEBUG_LEVEL", "INFO")]).await;
    let list = daemon.add_list().await;
    let login = json!({
        "authentication": "password", "username": mailbox,
        "password": daemon.lab.get("LAB_PASSWORD"), "backfill": "all",
    });
    let body = daemon.account_body(list, "BENCH", mailbox, login);
    sqlx::any::install_default_drivers();
    let mut database = sqlx::AnyConnection::connect(daemon.setting("XC_EMAIL_DATABASE_URL"))
        .await
        .expect("the daemon's database");
    let begun = Instant::now();
    daemon.api.post("/api/mail/accounts", &body).await;
    let wanted = i64::try_from(count).expect("count");
    let took = loop {
        let row = sqlx::query("SELECT next_uid FROM mail_folders")
            .fetch_optional(&mut database)
            .await
            .expect("the cursor");
        if row.is_some_and(|row| row.get::<i64, _>(0) > wanted) {
            break begun.elapsed();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    for (statement, least) in [
        (
            "SELECT COUNT(*) FROM mail_messages WHERE body_text <> ''",
            wanted,
        ),
        ("SELECT COUNT(*) FROM mail_instances", wanted),
        (
            "SELECT COUNT(*) FROM events WHERE kind = 'message.received'",
            wanted,
        ),
        ("SELECT COUNT(*) FROM cm_contacts", wanted.min(700)),
        ("SELECT COUNT(*) FROM mail_interactions", wanted / 2),
    ] {
        let row = sqlx::query(statement).fetch_one(&mut database).await;
        let found: i64 = row.expect("a count").get(0);
        assert!(found >= least, "{statement}: {found}, not {least}");
    }
    took
}

fn run(command: &mut Command) {
    let done = command.output().expect("it is installed");
    assert!(
        done.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
}

fn files(dir: &Path) -> usize {
    ["new", "cur"]
        .iter()
        .map(|part| std::fs::read_dir(dir.join(part)).map_or(0, Iterator::count))
        .sum()
}

fn mbsync(lab: &Lab, mailbox: &str, count: usize) -> Duration {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().display();
    let config = format!(
        "FSync yes\nIMAPAccount lab\nHost {}\nPort {}\nUser {mailbox}\nPass {}\nSSLType IMAPS\nCertificateFile {}\n\
         AuthMechs LOGIN PLAIN\n\nIMAPStore far\nAccount lab\n\nMaildirStore near\nPath {path}/mail/\nInbox {path}/inbox\n\n\
         Channel all\nFar :far:\nNear :near:\nCreate Near\nSync Pull\nSyncState {path}/state-\n",
        "localhost",
        lab.port("IMAPS_PORT"),
        lab.get("LAB_PASSWORD"),
        lab.get("CA_FILE"),
    );
    let file = dir.path().join("mbsyncrc");
    std::fs::write(&file, config).expect("mbsyncrc");
    std::fs::create_dir(dir.path().join("mail")).expect("mail");
    let begun = Instant::now();
    run(Command::new("mbsync").arg("-c").arg(&file).arg("all"));
    let took = begun.elapsed();
    assert_eq!(files(&dir.path().join("inbox")), count);
    took
}

fn getmail(lab: &Lab, mailbox: &str, count: usize) -> Duration {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().display();
    for part in ["mail/new", "mail/cur", "mail/tmp"] {
        std::fs::create_dir_all(dir.path().join(part)).expect("mail");
    }
    let config = format!(
        "[retriever]\ntype = SimpleIMAPSSLRetriever\nserver = {}\nport = {}\nusername = {mailbox}\npassword = {}\n\
         ca_certs = {}\nmailboxes = (\"INBOX\",)\n[destination]\ntype = Maildir\npath = {path}/mail/\nuser = nobody\n\
         [options]\nread_all = true\nverbose = 0\n",
        lab.get("LAB_HOST"),
        lab.port("IMAPS_PORT"),
        lab.get("LAB_PASSWORD"),
        lab.get("CA_FILE"),
    );
    std::fs::write(dir.path().join("getmailrc"), config).expect("getmailrc");
    // Delivering as root is refused.
    run(Command::new("chown")
        .arg("-R")
        .arg("nobody")
        .arg(dir.path().join("mail")));
    run(Command::new("chmod").arg("755").arg(dir.path()));
    let begun = Instant::now();
    run(Command::new("getmail").arg(format!("--getmaildir={path}")));
    let took = begun.elapsed();
    assert_eq!(files(&dir.path().join("mail")), count);
    took
}
