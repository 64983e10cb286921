//! Rows of the fault matrix in first form, each against the shipped binary.

use std::{
    os::unix::net::UnixDatagram,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::support::{Daemon, Engine, Lab, eventually, mail, tcp_gate::TcpGate};

const QUICK: [(&str, &str); 4] = [
    ("XC_EMAIL_IDLE_REISSUE", "1s"),
    ("XC_EMAIL_RETRY_FIRST", "1s"),
    ("XC_EMAIL_RETRY_CAP", "2s"),
    ("XC_EMAIL_PARKED_RETRY", "1s"),
];

/// A daemon with one account, six mails on their way in and three on their way out.
struct Story {
    daemon: Daemon,
    account: i64,
    mailbox: String,
    customer: String,
}

const IN: usize = 6;
const OUT: usize = 3;

impl Story {
    async fn begin(engine: Engine) -> Self {
        let daemon = Daemon::start(engine, &QUICK).await;
        let (mailbox, customer) = (
            daemon.lab.fresh_mailbox("story"),
            daemon.lab.fresh_mailbox("customer"),
        );
        let list = daemon.add_list().await;
        let account = daemon.add_password_account(list, "STORY", &mailbox).await;
        daemon.wait_lane(account, "inbound", "ready").await;
        daemon.wait_lane(account, "outbound", "ready").await;
        Self {
            daemon,
            account,
            mailbox,
            customer,
        }
    }

    /// Puts all mail on its way while the daemon is down.
    async fn deliver(&self, round: usize) {
        let mut lmtp = mail::Lmtp::open(&self.daemon.lab).await;
        for n in 0..IN {
            let text = mail::plain_mail(
                "c@customer.example",
                &self.mailbox,
                &format!("in{round}-{n}@x.example"),
                "Q",
                "x",
            );
            lmtp.deliver("c@customer.example", &self.mailbox, &text)
                .await;
        }
    }

    async fn enqueue(&self, round: usize) {
        for n in 0..OUT {
            let body = json!({"AccountId": self.account, "to": [self.customer], "subject": format!("A {round}-{n}"), "text": "x"});
            self.daemon.api.post("/api/mail/outbox", &body).await;
        }
    }

    /// Everything of `rounds` rounds is there exactly once, or in doubt.
    async fn check(&self, rounds: usize, what: &str) {
        let path = format!("/api/mail/messages?AccountId={}", self.account);
        let rows = eventually(
            &format!("{what}: all mails came in"),
            Duration::from_secs(30),
            || async {
                let rows = self.daemon.api.rows(&path).await;
                if rows.len() >= IN * rounds {
                    Ok(rows)
                } else {
                    Err(format!("{}", rows.len()))
                }
            },
        )
        .await;
        assert_eq!(rows.len(), IN * rounds, "{what}: no mail twice");
        let path = format!("/api/mail/outbox?AccountId={}", self.account);
        let rows = eventually(
            &format!("{what}: all mails went out"),
            Duration::from_secs(30),
            || async {
                let rows = self.daemon.api.rows(&path).await;
                let open = rows
                    .iter()
                    .filter(|row| {
                        !["sent", "in_doubt"]
                            .contains(&row["recipients"][0]["state"].as_str().unwrap_or(""))
                    })
                    .count();
                if open == 0 && rows.len() == OUT * rounds {
                    Ok(rows)
                } else {
                    Err(format!("{rows:?}"))
                }
            },
        )
        .await;
        for row in rows {
            let id = row["messageId"].as_str().expect("id").to_owned();
            let sent = row["recipients"][0]["state"] == "sent";
            let count = eventually(
                &format!("{what}: what is shown as sent arrives"),
                Duration::from_secs(20),
                || async {
                    let count = mail::message_ids(&self.daemon.lab, &self.customer)
                        .await
                        .get(&id)
                        .copied()
                        .unwrap_or(0);
                    if sent && count == 0 {
                        Err("not there".to_owned())
                    } else {
                        Ok(count)
                    }
                },
            )
            .await;
            assert!(count <= 1, "{what}: {id} arrived {count} times");
        }
    }
}

/// Faults 3, 4 and 5: killed at each named fail point, started again, nothing is lost or twice.
async fn killed_at_each_fail_point(engine: Engine) {
    let mut story = Story::begin(engine).await;
    let mut rounds = 0;
    let points = motion_email::model::FAIL_POINTS
        .iter()
        .filter(|name| !name.starts_with("token.") && **name != "supervisor.tick");
    for point in points {
        for nth in [1, 3] {
            story.daemon.kill();
            story.deliver(rounds).await;
            story.daemon.environment = vec![(
                "MOTION_EMAIL_FAIL_POINT".to_owned(),
                format!("{point}=kill@{nth}"),
            )];
            story.daemon.spawn();
            // A point of the outbound lane needs mail to send; the daemon may be gone before it answers.
            let enqueue = async {
                for n in 0..OUT {
                    let body = json!({
                        "AccountId": story.account, "to": [story.customer], "subject": "A", "text": "x",
                        "idempotencyKey": format!("{rounds}-{n}"),
                    });
                    eventually(
                        "the mail is queued or the daemon is gone",
                        Duration::from_secs(10),
                        || async {
                            match story
                                .daemon
                                .api
                                .call(reqwest::Method::POST, "/api/mail/outbox", Some(&body))
                                .await
                            {
                                Some((status, _)) if status.is_success() => Ok(()),
                                seen => Err(format!("{seen:?}")),
                            }
                        },
                    )
                    .await;
                }
            };
            // Enqueue until the process is gone or all is queued.
            let died = tokio::time::timeout(Duration::from_secs(3), enqueue)
                .await
                .is_err();
            story.daemon.environment.clear();
            let _ = died;
            eventually_gone_or_quiet(&mut story.daemon).await;
            story.daemon.kill();
            story.daemon.launch().await;
            for n in 0..OUT {
                let body = json!({
                    "AccountId": story.account, "to": [story.customer], "subject": "A", "text": "x",
                    "idempotencyKey": format!("{rounds}-{n}"),
                });
                story.daemon.api.post("/api/mail/outbox", &body).await;
            }
            rounds += 1;
            story.check(rounds, &format!("{point}@{nth}")).await;
        }
    }
}

/// Waits until the process has ended by its fail point, or for two seconds in which it did not.
async fn eventually_gone_or_quiet(daemon: &mut Daemon) {
    let end = Instant::now() + Duration::from_secs(2);
    while Instant::now() < end && !daemon.has_ended() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_3_killed_at_each_fail_point_on_sqlite_nothing_is_lost_or_twice() {
    killed_at_each_fail_point(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_3_killed_at_each_fail_point_on_mariadb_nothing_is_lost_or_twice() {
    killed_at_each_fail_point(Engine::MariaDb).await;
}

/// Fault 2: killed as the N-th fdatasync of the process begins, for a sweep of N.
#[tokio::test(flavor = "multi_thread")]
async fn fault_2_killed_at_durable_system_calls_nothing_is_lost_or_twice() {
    let mut story = Story::begin(Engine::Sqlite).await;
    for (round, nth) in [1, 2, 3, 4, 5, 7, 9, 12].into_iter().enumerate() {
        story.enqueue(round).await;
        story.daemon.kill();
        story.deliver(round).await;
        story.daemon.wrapper = [
            "strace",
            "-D",
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            "trace=fdatasync",
            "-e",
        ]
        .map(str::to_owned)
        .to_vec();
        story
            .daemon
            .wrapper
            .push(format!("inject=fdatasync:signal=SIGKILL:when={nth}"));
        story.daemon.spawn();
        eventually_gone_or_quiet(&mut story.daemon).await;
        story.daemon.kill();
        story.daemon.wrapper.clear();
        story.daemon.launch().await;
        story.check(round + 1, &format!("fdatasync {nth}")).await;
    }
}

/// A datagram socket in the place of systemd's.
struct Manager(UnixDatagram, PathBuf);

impl Manager {
    fn listen(daemon: &mut Daemon) -> Self {
        let path = daemon.path("notify");
        let socket = UnixDatagram::bind(&path).expect("notify socket");
        socket
            .set_read_timeout(Some(Duration::from_millis(200)))
            .expect("timeout");
        daemon.environment = vec![
            ("NOTIFY_SOCKET".to_owned(), path.display().to_string()),
            ("WATCHDOG_USEC".to_owned(), "3000000".to_owned()),
        ];
        Self(socket, path)
    }

    /// What arrives within this time.
    fn heard(&self, time: Duration) -> Vec<String> {
        let end = Instant::now() + time;
        let mut heard = Vec::new();
        let mut buffer = [0; 4096];
        while Instant::now() < end {
            if let Ok(n) = self.0.recv(&mut buffer) {
                heard.push(String::from_utf8_lossy(&buffer[..n]).into_owned());
            }
        }
        heard
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.1);
    }
}

/// Fault 54: a loop that hangs is no proof of life, so the service manager stops hearing pings.
#[tokio::test(flavor = "multi_thread")]
async fn fault_54_a_hanging_loop_silences_the_watchdog() {
    let mut daemon = Daemon::prepare(Engine::Sqlite, &QUICK).await;
    let manager = Manager::listen(&mut daemon);
    daemon.environment.push((
        "MOTION_EMAIL_FAIL_POINT".to_owned(),
        "supervisor.tick=block@3".to_owned(),
    ));
    daemon.launch().await;
    let (first, manager) =
        tokio::task::spawn_blocking(move || (manager.heard(Duration::from_secs(4)), manager))
            .await
            .expect("thread");
    assert!(
        first.iter().any(|text| text.contains("READY=1")),
        "{first:?}"
    );
    assert!(
        first.iter().any(|text| text.contains("WATCHDOG=1")),
        "{first:?}"
    );
    // The loop blocks at its third round; 20 seconds later its silence counts, and pings end.
    let manager = tokio::task::spawn_blocking(move || {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            if manager.heard(Duration::from_secs(3)).is_empty() {
                return manager;
            }
            assert!(
                Instant::now() < end,
                "still pinged a minute after the loop hung"
            );
        }
    })
    .await
    .expect("thread");
    drop(manager);
}

/// Fault 55: the database is away for a while; the watchdog is still pinged, and all goes on by itself.
#[tokio::test(flavor = "multi_thread")]
async fn fault_55_a_database_that_is_away_is_waited_for_and_nothing_is_lost() {
    let lab = Lab::load();
    let gate = TcpGate::open("127.0.0.1", lab.port("MARIADB_PORT")).await;
    let mut daemon = Daemon::prepare(Engine::MariaDb, &QUICK).await;
    let url = daemon.setting("XC_EMAIL_DATABASE_URL").to_owned();
    daemon.change_setting(
        "XC_EMAIL_DATABASE_URL",
        &url.replace(
            &format!(":{}/", lab.port("MARIADB_PORT")),
            &format!(":{}/", gate.port),
        ),
    );
    let manager = Manager::listen(&mut daemon);
    daemon.launch().await;
    let mailbox = daemon.lab.fresh_mailbox("away");
    let list = daemon.add_list().await;
    let account = daemon.add_password_account(list, "AWAY", &mailbox).await;
    daemon.wait_lane(account, "inbound", "ready").await;
    gate.shut();
    let mut lmtp = mail::Lmtp::open(&daemon.lab).await;
    for n in 0..3 {
        let text = mail::plain_mail(
            "c@customer.example",
            &mailbox,
            &format!("a{n}@x.example"),
            "Q",
            "x",
        );
        lmtp.deliver("c@customer.example", &mailbox, &text).await;
    }
    let (heard, _manager) = tokio::task::spawn_blocking(move || {
        manager.heard(Duration::from_secs(1));
        (manager.heard(Duration::from_secs(25)), manager)
    })
    .await
    .expect("thread");
    let pings = heard
        .iter()
        .filter(|text| text.contains("WATCHDOG=1"))
        .count();
    assert!(
        pings >= 15,
        "pinged all the time while the database was away: {pings}"
    );
    gate.reopen();
    eventually("the mails are in", Duration::from_secs(60), || async {
        let path = format!("/api/mail/messages?AccountId={account}");
        match daemon.api.call(reqwest::Method::GET, &path, None).await {
            Some((_, answer)) if answer["count"] == 3 => Ok(()),
            seen => Err(format!("{seen:?}")),
        }
    })
    .await;
}

/// Fault 56: no file descriptors left: no busy loop, and all goes on when there are some again.
#[tokio::test(flavor = "multi_thread")]
async fn fault_56_without_file_descriptors_it_waits_quietly_and_recovers() {
    let daemon = Daemon::start(Engine::Sqlite, &QUICK).await;
    let list = daemon.add_list().await;
    let descriptors = || {
        std::fs::read_dir(format!("/proc/{}/fd", daemon.pid()))
            .expect("fds")
            .count()
    };
    let limit = |number: usize| {
        let pid = daemon.pid().to_string();
        let done = Command::new("prlimit")
            .args(["--pid", &pid, &format!("--nofile={number}:4096")])
            .status();
        assert!(done.expect("prlimit runs").success());
    };
    // Room for a call of the API, none for accounts' connections.
    limit(descriptors() + 2);
    let mut accounts = Vec::new();
    for n in 0..6 {
        let mailbox = daemon.lab.fresh_mailbox("fd");
        let body = daemon.account_body(list, &format!("FD{n}"), &mailbox, json!({
            "authentication": "password", "username": mailbox, "password": daemon.lab.get("LAB_PASSWORD"),
        }));
        let path = format!("/api/mail/accounts/FD{n}");
        let id = eventually("the account is added", Duration::from_secs(30), || async {
            match daemon
                .api
                .call(reqwest::Method::POST, "/api/mail/accounts", Some(&body))
                .await
            {
                Some((status, answer)) if status.is_success() => {
                    Ok(answer["id"].as_i64().expect("id"))
                }
                // An answer may be lost for want of a descriptor; the account is there then.
                Some((status, _)) if status == reqwest::StatusCode::CONFLICT => {
                    match daemon.api.call(reqwest::Method::GET, &path, None).await {
                        Some((_, shown)) => shown["id"].as_i64().ok_or_else(|| shown.to_string()),
                        None => Err("no answer".to_owned()),
                    }
                }
                seen => Err(format!("{seen:?}")),
            }
        })
        .await;
        accounts.push(id);
    }
    let used = |pid: u32| -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("stat");
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .expect("fields")
            .split_whitespace()
            .collect();
        fields[11].parse::<u64>().expect("utime") + fields[12].parse::<u64>().expect("stime")
    };
    let before = used(daemon.pid());
    // Five seconds of trouble are the fault, not a wait for a state.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let ticks = used(daemon.pid()) - before;
    assert!(ticks < 150, "{ticks} of 500 clock ticks used: a busy loop");
    limit(4096);
    for account in accounts {
        daemon.wait_lane(account, "inbound", "ready").await;
    }
}

/// Fault 58: a panic in the parser: the mail is kept as unreadable, with its bytes; the process lives.
#[tokio::test(flavor = "multi_thread")]
async fn fault_58_a_panic_in_the_parser_sets_the_mail_aside_and_nothing_else() {
    let mut daemon = Daemon::prepare(Engine::Sqlite, &QUICK).await;
    daemon.environment = vec![(
        "MOTION_EMAIL_FAIL_POINT".to_owned(),
        "inbound.parse=panic@1".to_owned(),
    )];
    daemon.launch().await;
    let mailbox = daemon.lab.fresh_mailbox("panic");
    let list = daemon.add_list().await;
    let account = daemon.add_password_account(list, "PANIC", &mailbox).await;
    daemon.wait_lane(account, "inbound", "ready").await;
    let mut lmtp = mail::Lmtp::open(&daemon.lab).await;
    for n in 0..2 {
        let text = mail::plain_mail(
            "c@customer.example",
            &mailbox,
            &format!("p{n}@x.example"),
            "Q",
            "x",
        );
        lmtp.deliver("c@customer.example", &mailbox, &text).await;
    }
    let rows = eventually("both mails are kept", Duration::from_secs(20), || async {
        let rows = daemon
            .api
            .rows(&format!("/api/mail/messages?AccountId={account}"))
            .await;
        if rows.len() == 2 {
            Ok(rows)
        } else {
            Err(format!("{}", rows.len()))
        }
    })
    .await;
    let unreadable: Vec<_> = rows
        .iter()
        .filter(|row| !row["parseError"].is_null())
        .collect();
    assert_eq!(unreadable.len(), 1, "{rows:?}");
    let raw = daemon
        .api
        .get(&format!("/api/mail/messages/{}/raw", unreadable[0]["id"]))
        .await;
    assert!(
        raw.as_str()
            .is_some_and(|raw| raw.contains("Message-ID: <p0@x.example>")),
        "{raw}"
    );
}
