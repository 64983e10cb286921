//! Fault 50: the wall clock of a running daemon is set, and its local time changes; the monotonic clock goes on.

use std::{path::PathBuf, time::Duration};

use chrono::{DateTime, Datelike, Timelike, Utc};
use serde_json::{Value, json};
use sqlx::{Connection, Row};

use crate::{
    support::{Daemon, Engine, IdentityPlatform, eventually, mail},
    tokens::add_scripted,
};

const LIMIT: Duration = Duration::from_secs(30);
const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

fn library() -> PathBuf {
    std::fs::read_dir("/usr/lib")
        .expect("libraries")
        .flatten()
        .map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"))
        .find(|path| path.exists())
        .expect("faketime is installed")
}

/// A daemon whose wall clock a file sets while it runs.
async fn with_a_clock_to_set(zone: &str) -> Daemon {
    let mut daemon = Daemon::prepare(Engine::MariaDb, &[]).await;
    set(&daemon, 0);
    daemon.environment = [
        ("LD_PRELOAD", library().display().to_string()),
        (
            "FAKETIME_TIMESTAMP_FILE",
            daemon.path("clock").display().to_string(),
        ),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("TZ", zone.to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .to_vec();
    daemon.launch().await;
    daemon
}

/// So many seconds ahead of the machine's clock. Replaced whole, so that nobody reads half of it.
fn set(daemon: &Daemon, seconds: i64) {
    let new = daemon.path("clock.new");
    std::fs::write(&new, format!("{seconds:+}\n")).expect("clock");
    std::fs::rename(&new, daemon.path("clock")).expect("clock");
}

/// Who holds which account, since when.
async fn leases(daemon: &Daemon) -> Vec<(i64, Option<String>, i64)> {
    let url = daemon.setting("XC_EMAIL_DATABASE_URL");
    let mut connection = sqlx::MySqlConnection::connect(url).await.expect("MariaDB");
    let rows = sqlx::query("SELECT account_id, holder, epoch FROM account_leases ORDER BY 1")
        .fetch_all(&mut connection)
        .await
        .expect("leases");
    rows.iter()
        .map(|row| (row.get(0), row.get(1), row.get(2)))
        .collect()
}

/// Queues one mail; gives how far the daemon's clock is ahead of ours by what it says, in seconds.
async fn queue(daemon: &Daemon, account: i64, number: usize) -> i64 {
    let body = json!({"AccountId": account, "to": ["c@customer.example"], "subject": format!("A{number}"), "text": "x"});
    let queued = daemon.api.post("/api/mail/outbox", &body).await;
    let shown = daemon
        .api
        .get(&format!("/api/mail/outbox/{}", queued["id"]))
        .await;
    let at = shown["createdAt"].as_str().expect("createdAt");
    let at = DateTime::parse_from_rfc3339(at).expect("a date");
    (at.with_timezone(&Utc) - Utc::now()).num_seconds()
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_50_a_wall_clock_that_is_set_moves_no_lease_expires_no_mail_and_costs_one_refresh() {
    let platform = IdentityPlatform::start(Duration::from_secs(3600), Duration::ZERO).await;
    let daemon = with_a_clock_to_set("UTC").await;
    let provider = add_scripted(&daemon, &platform).await;
    let list = daemon.add_list().await;
    let mailbox = daemon.lab.fresh_mailbox("clock");
    let works = daemon.add_password_account(list, "WORKS", &mailbox).await;
    // Nobody listens at port 1: its mail waits for us, and is not to blame.
    let login = json!({
        "authentication": "password", "username": mailbox, "password": daemon.lab.get("LAB_PASSWORD"),
        "smtp": {"host": "127.0.0.1", "port": 1, "tls": "tls"},
    });
    let body = daemon.account_body(list, "STUCK", &mailbox, login);
    let stuck = daemon.api.post("/api/mail/accounts", &body).await["id"]
        .as_i64()
        .expect("id");
    daemon.wait_lane(works, "inbound", "ready").await;
    daemon.wait_lane(stuck, "inbound", "ready").await;
    let mut queued = 0;
    for _ in 0..20 {
        assert!(queue(&daemon, stuck, queued).await.abs() < HOUR);
        queued += 1;
    }
    let held = leases(&daemon).await;
    assert_eq!(held.len(), 2);
    assert!(held.iter().all(|(_, holder, _)| holder.is_some()));

    let mut lmtp = mail::Lmtp::open(&daemon.lab).await;
    for (round, ahead) in [DAY, -DAY, 3652 * DAY, 0].into_iter().enumerate() {
        set(&daemon, ahead);
        let seen = queue(&daemon, stuck, queued).await;
        queued += 1;
        assert!((seen - ahead).abs() < HOUR, "the clock is set: {seen}");
        // Whoever waits looks again: lanes at their queue and mailbox, the keeper at its grants.
        let name = json!({"name": format!("Scripted {round}")});
        let path = format!("/api/cloudProviders/{provider}");
        let patch = reqwest::Method::PATCH;
        let changed = daemon.api.call(patch, &path, Some(&name)).await;
        assert!(changed.is_some_and(|(status, _)| status.is_success()));
        for account in [works, stuck] {
            let path = format!("/api/mail/accounts/{account}/sync");
            daemon.api.post(&path, &Value::Null).await;
        }
        eventually("the token is refreshed", LIMIT, || async {
            match platform.refreshes() {
                refreshes if refreshes > round => Ok(()),
                refreshes => Err(refreshes.to_string()),
            }
        })
        .await;
        let id = format!("r{round}@x.example");
        let text = mail::plain_mail("c@customer.example", &mailbox, &id, "Q", "x");
        lmtp.deliver("c@customer.example", &mailbox, &text).await;
        let path = format!("/api/mail/messages?AccountId={works}");
        eventually("mail comes in", LIMIT, || async {
            match daemon.api.rows(&path).await.len() {
                mails if mails > round => Ok(()),
                mails => Err(mails.to_string()),
            }
        })
        .await;
        assert_eq!(platform.refreshes(), round + 1, "one refresh by {ahead} s");
        assert_eq!(leases(&daemon).await, held, "no lease moved by {ahead} s");
        let path = format!("/api/mail/outbox?AccountId={stuck}");
        for row in daemon.api.rows(&path).await {
            let copy = &row["recipients"][0];
            let state = copy["state"].as_str();
            assert!(matches!(state, Some("queued" | "deferred")), "{row}");
        }
    }
    assert_eq!((platform.reuses(), platform.revoked()), (0, false));
    let path = format!("/api/mail/outbox?AccountId={stuck}");
    assert_eq!(daemon.api.rows(&path).await.len(), queued);
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_50_the_change_to_summer_time_moves_nothing_but_the_local_time_of_the_log() {
    let platform = IdentityPlatform::start(Duration::from_secs(3600), Duration::ZERO).await;
    // A zone (POSIX.1-2017 §8.3) whose clocks go forward in a few seconds. They go by thirteen hours, so that its time
    // is nobody else's.
    let change = Utc::now() + Duration::from_secs(8);
    let back = (change.ordinal() + 150) % 365 + 1;
    let zone = format!(
        "STD0SUM-13,J{}/{}:{}:{},J{back}/2",
        change.ordinal(),
        change.hour(),
        change.minute(),
        change.second()
    );
    let daemon = with_a_clock_to_set(&zone).await;
    add_scripted(&daemon, &platform).await;
    let list = daemon.add_list().await;
    let mailbox = daemon.lab.fresh_mailbox("summer");
    let account = daemon.add_password_account(list, "SUMM", &mailbox).await;
    daemon.wait_lane(account, "inbound", "ready").await;
    let held = leases(&daemon).await;
    for number in 0..3 {
        assert!(queue(&daemon, account, number).await.abs() < HOUR);
    }
    eventually("the log is in summer time", LIMIT, || async {
        // An answer is a line of the log.
        daemon.api.get("/api/cm/lists").await;
        let summer = Utc::now() + Duration::from_secs(13 * 3600);
        let (now, earlier) = (summer, summer - Duration::from_secs(60));
        let line = |at: DateTime<Utc>| at.format("[%Y-%m-%d %H:%M").to_string();
        let log = daemon.combined_log();
        if log.contains(&line(now)) || log.contains(&line(earlier)) {
            Ok(())
        } else {
            Err(log.lines().last().unwrap_or_default().to_owned())
        }
    })
    .await;
    for number in 3..6 {
        assert!(queue(&daemon, account, number).await.abs() < HOUR);
    }
    let path = format!("/api/mail/outbox?AccountId={account}");
    eventually("all mail goes out", LIMIT, || async {
        let rows = daemon.api.rows(&path).await;
        let sent = |row: &&Value| row["recipients"][0]["state"] == "sent";
        match rows.iter().filter(sent).count() {
            6 => Ok(()),
            sent => Err(format!("{sent} of 6")),
        }
    })
    .await;
    assert_eq!(platform.refreshes(), 0);
    assert_eq!(leases(&daemon).await, held);
    assert_eq!(daemon.error_log(), "");
}
