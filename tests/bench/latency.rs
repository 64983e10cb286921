//! From LMTP's answer to the committed row, beside a bare IDLE client that only waits for the server's
//! word about the same mail. Run by `tests/bench/latency`, which starts a lab with and one without
//! hibernation.
//!
//! `MOTION_LAB` names the lab; `MOTION_MAILS` (default 100) says how many mails.
#![allow(
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    unreachable_pub,
    missing_docs,
    reason = "a test may panic, print and read the clock"
)]

#[path = "../it/support/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "the shared support has more than this benchmark needs"
)]
mod support;

use std::time::Duration;

use rand::Rng as _;
use sqlx::{ConnectOptions as _, sqlite::SqliteConnectOptions};
use support::{Daemon, Engine, Lab, mail};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    sync::mpsc,
    task::JoinSet,
    time::Instant,
};

/// Re-issue of IDLE, for mail that the server never announces.
const REISSUE: &str = "2s";

fn main() {
    tokio::runtime::Runtime::new()
        .expect("runtime")
        .block_on(measure());
}

async fn measure() {
    let mails: usize = std::env::var("MOTION_MAILS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(100);
    let daemon = Daemon::start(
        Engine::Sqlite,
        &[
            ("XC_EMAIL_IDLE_REISSUE", REISSUE),
            ("XC_DEBUG_LEVEL", "INFO"),
        ],
    )
    .await;
    let mailbox = daemon.lab.fresh_mailbox("latency");
    let list = daemon.add_list().await;
    let account = daemon.add_password_account(list, "BENCH", &mailbox).await;
    daemon.wait_lane(account, "inbound", "ready").await;

    let (announced, mut announcements) = mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    tasks.spawn(bare_idle_client(Lab::load(), mailbox.clone(), announced));
    announcements.recv().await.expect("the bare client idles");

    let mut database = SqliteConnectOptions::new()
        .filename(daemon.path("motion-email.db"))
        .read_only(true)
        .connect()
        .await
        .expect("the daemon's database");
    let mut lmtp = mail::Lmtp::open(&daemon.lab).await;
    let (mut rows, mut words) = (Vec::new(), Vec::new());
    let mut unannounced = 0;
    for n in 0..mails {
        let pause = Duration::from_millis(rand::rng().random_range(50..1600));
        tokio::time::sleep(pause).await;
        while announcements.try_recv().is_ok() {}
        let text = mail::plain_mail(
            "c@customer.example",
            &mailbox,
            &format!("l{n}@x.example"),
            "Q",
            "x",
        );
        lmtp.deliver("c@customer.example", &mailbox, &text).await;
        let taken = Instant::now();
        let wanted = i64::try_from(n + 1).expect("count");
        let row = async {
            loop {
                let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM mail_messages")
                    .fetch_one(&mut database)
                    .await
                    .expect("count");
                if count >= wanted {
                    return taken.elapsed();
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let word = async {
            let heard = tokio::time::timeout(Duration::from_secs(4), announcements.recv()).await;
            heard
                .ok()
                .flatten()
                .map(|at: Instant| at.saturating_duration_since(taken))
        };
        let (row, word) = tokio::join!(tokio::time::timeout(Duration::from_secs(60), row), word);
        rows.push(row.expect("the mail is committed within a minute"));
        match word {
            Some(word) => words.push(word),
            None => unannounced += 1,
        }
    }
    println!(
        "hibernation {}, {mails} mails, re-issue of IDLE after {REISSUE}:",
        daemon.lab.get("HIBERNATE")
    );
    show("committed row", &mut rows);
    show("bare client's EXISTS", &mut words);
    println!("  never announced to the bare client within 4 s: {unannounced}");
}

fn show(what: &str, times: &mut [Duration]) {
    times.sort();
    let at = |part: f64| {
        let index = ((times.len() as f64 * part).ceil() as usize).clamp(1, times.len()) - 1;
        times[index].as_secs_f64() * 1000.0
    };
    println!(
        "  {what:>22}: median {:7.1} ms, 99th percentile {:7.1} ms, n {}",
        at(0.5),
        at(0.99),
        times.len()
    );
}

/// Logs in, idles, and reports the moment of each EXISTS; once at first, when it idles. It does what the
/// daemon does as to re-issue, so that hibernation meets it at the same moments.
async fn bare_idle_client(lab: Lab, mailbox: String, announced: mpsc::UnboundedSender<Instant>) {
    let stream = TcpStream::connect((lab.get("LAB_HOST"), lab.port("IMAP_PORT")))
        .await
        .expect("IMAP");
    let mut line = BufReader::new(stream);
    let mut text = String::new();
    let login = format!("a LOGIN {mailbox} {}\r\n", lab.get("LAB_PASSWORD"));
    let commands = ["", login.as_str(), "b SELECT INBOX\r\n"];
    for (command, end) in commands.iter().zip(["* OK", "a OK", "b OK"]) {
        line.get_mut()
            .write_all(command.as_bytes())
            .await
            .expect("write");
        while !text.starts_with(end) {
            text.clear();
            line.read_line(&mut text).await.expect("read");
        }
    }
    line.get_mut()
        .write_all(b"c IDLE\r\n")
        .await
        .expect("write");
    loop {
        text.clear();
        if line.read_line(&mut text).await.expect("read") == 0 {
            return;
        }
        if (text.starts_with('+') || text.contains("EXISTS"))
            && announced.send(Instant::now()).is_err()
        {
            return;
        }
    }
}
