//! What an idle account costs, and how long it takes until all are connected. Run by `tests/bench/idle`, which starts
//! a lab.
//!
//! `MOTION_LAB` names the lab; `MOTION_SIZES` how many accounts, one run for each number; `MOTION_WINDOW` how many
//! seconds of idleness are measured; `MOTION_BINARY` another build of the daemon.
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

use std::{sync::Arc, time::Duration};

use async_native_tls::TlsConnector;
use support::{Daemon, Engine, Lab, eventually};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    sync::Semaphore,
    task::JoinSet,
    time::Instant,
};

/// Logins at the same time of the bare client: as many as the daemon opens at most.
const TOGETHER: usize = 128;
const LONG: Duration = Duration::from_secs(1800);

fn main() {
    tokio::runtime::Runtime::new()
        .expect("runtime")
        .block_on(async {
            let sizes = std::env::var("MOTION_SIZES").unwrap_or_else(|_| "100".to_owned());
            for size in sizes.split_whitespace() {
                measure(size.parse().expect("a number of accounts")).await;
            }
        });
}

fn seconds(key: &str, usual: u64) -> Duration {
    let value = std::env::var(key).ok().and_then(|text| text.parse().ok());
    Duration::from_secs(value.unwrap_or(usual))
}

async fn measure(accounts: usize) {
    let mut daemon = Daemon::prepare(Engine::Sqlite, &[("XC_DEBUG_LEVEL", "INFO")]).await;
    if std::env::var_os("MOTION_BINARY").is_some() {
        let script = "shift; exec \"$MOTION_BINARY\" \"$@\"";
        daemon.wrapper = ["sh", "-c", script, "sh"].map(str::to_owned).to_vec();
    }
    let users: Vec<String> = (0..accounts)
        .map(|n| format!("idle{n}@{}", daemon.lab.get("MAIL_DOMAIN")))
        .collect();

    // Mailboxes are made by the first login.
    bare(&daemon.lab, &users).await;
    forgotten(accounts).await;

    daemon.launch().await;
    let list = daemon.add_list().await;
    for (n, user) in users.iter().enumerate() {
        daemon.add_password_account(list, &key(n), user).await;
    }
    wait_for_lines(&daemon, accounts, 0).await;
    daemon.stop().await;
    forgotten(accounts).await;

    // An empty one for comparison.
    let mut empty = Daemon::prepare(Engine::Sqlite, &[("XC_DEBUG_LEVEL", "INFO")]).await;
    empty.wrapper.clone_from(&daemon.wrapper);
    empty.launch().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let base = rss(empty.pid());
    let (base_cpu, _) = idle(&empty, Duration::from_secs(30)).await;
    empty.stop().await;

    let known = lines(&daemon);
    let begun = Instant::now();
    daemon.spawn();
    wait_for_lines(&daemon, accounts, known).await;
    let connected = begun.elapsed();
    daemon.wait_ready().await;
    let at_once = rss(daemon.pid());
    // The outgoing servers have seen a login of each, too, and its line is closed.
    eventually("no connection is opened any more", LONG, || async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let shown = daemon.api.get("/api/status").await;
        let Some(hosts) = shown["servers"]["hosts"].as_array() else {
            return Ok(());
        };
        let busy = hosts.iter().any(|host| {
            let smtp = host["host"].as_str().unwrap_or("").contains("starttls");
            host["opening"] != 0 || host["waiting"] != 0 || (smtp && host["connections"] != 0)
        });
        if busy {
            Err(shown["servers"].to_string())
        } else {
            Ok(())
        }
    })
    .await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    let quiet = rss(daemon.pid());
    let window = seconds("MOTION_WINDOW", 330);
    let (cpu, _) = idle(&daemon, window).await;
    let later = rss(daemon.pid());
    daemon.stop().await;
    forgotten(accounts).await;
    let (alone, _held) = bare(&daemon.lab, &users).await;
    let each = |kib: u64| kib.saturating_sub(base) as f64 / accounts as f64;
    println!("{accounts} accounts over TLS:");
    println!(
        "  all connected after {:.1} s ({:.0}/s); a bare client, {TOGETHER} logins at a time: {:.1} s ({:.0}/s)",
        connected.as_secs_f64(),
        accounts as f64 / connected.as_secs_f64(),
        alone.as_secs_f64(),
        accounts as f64 / alone.as_secs_f64(),
    );
    println!(
        "  memory: {base} KiB without accounts; per account {:.1} KiB just connected, {:.1} KiB when quiet, {:.1} KiB after {} s",
        each(at_once),
        each(quiet),
        each(later),
        window.as_secs()
    );
    println!(
        "  CPU: {:.2} ms per account and minute while idle ({:.0} ms a minute without accounts)",
        (cpu - base_cpu) / accounts as f64,
        base_cpu
    );
}

/// The server takes its time to notice that so many have left, and would be measured with that.
async fn forgotten(accounts: usize) {
    tokio::time::sleep(Duration::from_millis(5000 + 10 * accounts as u64)).await;
}

/// Five letters or digits.
fn key(number: usize) -> String {
    format!("I{number:04}")
}

fn lines(daemon: &Daemon) -> usize {
    daemon.combined_log().matches("mailbox is watched").count()
}

async fn wait_for_lines(daemon: &Daemon, accounts: usize, known: usize) {
    eventually("all mailboxes are watched", LONG, || async {
        match lines(daemon) - known {
            seen if seen >= accounts => Ok(()),
            seen => Err(format!("{seen}")),
        }
    })
    .await;
}

/// KiB of memory in use.
fn rss(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|text| text.parse().ok()).expect("VmRSS")
}

/// Milliseconds of CPU used in a minute.
async fn idle(daemon: &Daemon, window: Duration) -> (f64, Duration) {
    let before = cpu_millis(daemon.pid());
    let begun = Instant::now();
    tokio::time::sleep(window).await;
    let took = begun.elapsed();
    let used = (cpu_millis(daemon.pid()) - before) as f64;
    (used * 60.0 / took.as_secs_f64(), took)
}

fn cpu_millis(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process");
    let (_, fields) = stat.rsplit_once(')').expect("stat");
    let number = |at: usize| -> u64 {
        let field = fields.split_whitespace().nth(at).expect("field");
        field.parse().expect("ticks")
    };
    // Ticks of a hundredth of a second.
    (number(11) + number(12)) * 10
}

type Line = BufReader<async_native_tls::TlsStream<TcpStream>>;

/// Logs in all, selects, idles; how long that took, and the connections.
async fn bare(lab: &Lab, users: &[String]) -> (Duration, Vec<Line>) {
    let authority = std::fs::read(lab.get("CA_FILE")).expect("the lab's CA");
    let authority = native_tls::Certificate::from_pem(&authority).expect("a certificate");
    let connector = Arc::new(TlsConnector::new().add_root_certificate(authority));
    let room = Arc::new(Semaphore::new(TOGETHER));
    let port = lab.port("IMAPS_PORT");
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for user in users {
        let (connector, room, user) = (connector.clone(), room.clone(), user.clone());
        let password = lab.get("LAB_PASSWORD").to_owned();
        tasks.spawn(async move {
            let _place = room.acquire_owned().await.expect("open");
            let tcp = TcpStream::connect(("127.0.0.1", port)).await.expect("IMAP");
            let tls = connector.connect("127.0.0.1", tcp).await.expect("TLS");
            let mut line = BufReader::new(tls);
            let mut text = String::new();
            let login = format!("a LOGIN {user} {password}\r\n");
            let talk = [
                ("", "* OK"),
                (login.as_str(), "a OK"),
                ("b SELECT INBOX\r\n", "b OK"),
                ("c IDLE\r\n", "+"),
            ];
            for (command, end) in talk {
                let stream = line.get_mut();
                stream.write_all(command.as_bytes()).await.expect("write");
                text.clear();
                while !text.starts_with(end) {
                    text.clear();
                    let read = line.read_line(&mut text).await.expect("read");
                    assert!(read > 0, "the server hung up");
                }
            }
            line
        });
    }
    let lines = tasks.join_all().await;
    (begun.elapsed(), lines)
}
