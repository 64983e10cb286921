//! SIGKILL at each durable step of ingestion: the kernel is asked to kill the daemon at its Nth sync of a file, or at
//! its Nth write to a socket, whatever it was about to keep or say.
//!
//! `MOTION_MAILS` (60) mails a run; `MOTION_SWEEP=all` takes every N up to the end of a run,
//! with as many mails in each, and looks at everything after each.

use std::{collections::BTreeSet, os::unix::process::ExitStatusExt, time::Duration};

use serde_json::Value;

use crate::support::{Daemon, Engine, eventually, mail};

/// A system call at which the daemon dies.
#[derive(Clone, Copy)]
struct Step {
    calls: &'static str,
    /// Which of them, in the short form.
    short: &'static [usize],
}

/// Every sync of the database, its log and of objects.
const SYNC: Step = Step {
    calls: "fsync,fdatasync",
    short: &[3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16, 18, 21],
};
/// Every write to a socket: to the database, and to the mail server as well.
const SEND: Step = Step {
    calls: "sendto,sendmsg",
    short: &[
        12, 17, 23, 28, 34, 39, 44, 49, 55, 60, 65, 70, 75, 80, 85, 90,
    ],
};

struct Killed {
    daemon: Daemon,
    account: i64,
    mailbox: String,
    lmtp: mail::Lmtp,
    expected: BTreeSet<String>,
}

impl Killed {
    async fn new(engine: Engine) -> Self {
        let daemon = Daemon::start(engine, &[("XC_EMAIL_IDLE_REISSUE", "1s")]).await;
        let mailbox = daemon.lab.fresh_mailbox("sweep");
        let list = daemon.add_list().await;
        let account = daemon.add_password_account(list, "SWEEP", &mailbox).await;
        daemon.wait_lane(account, "inbound", "ready").await;
        let lmtp = mail::Lmtp::open(&daemon.lab).await;
        Self {
            daemon,
            account,
            mailbox,
            lmtp,
            expected: BTreeSet::new(),
        }
    }

    async fn deliver(&mut self, count: usize) {
        for _ in 0..count {
            let place = self.expected.len();
            let id = format!("{}@sweep.example", uuid::Uuid::new_v4());
            // One of twenty is too large for its row and becomes an object.
            let text = match place % 20 {
                7 => (0..9_000)
                    .map(|_| uuid::Uuid::new_v4().to_string() + "\r\n")
                    .collect(),
                _ => "A question.".to_owned(),
            };
            let text = mail::plain_mail("c@customer.example", &self.mailbox, &id, "Q", &text);
            self.lmtp
                .deliver("c@customer.example", &self.mailbox, &text)
                .await;
            self.expected.insert(id);
        }
    }

    /// Runs the daemon until it dies at the `nth` of these calls in a thread, while mail comes in; false where
    /// all mail was stored before that.
    async fn die(&mut self, step: Step, nth: usize, mails: usize) -> bool {
        self.daemon.wrap(&[
            "strace",
            "-f",
            "--quiet=all",
            "-o",
            "/dev/null",
            "-e",
            &format!("trace={}", step.calls),
            "-e",
            &format!("inject={}:signal=SIGKILL:when={nth}", step.calls),
        ]);
        self.daemon.spawn();
        self.deliver(mails).await;
        let path = format!("/api/mail/messages?AccountId={}&limit=1", self.account);
        let wanted = self.expected.len() as u64;
        let died = loop {
            if self.daemon.has_ended() {
                break true;
            }
            let answer = self
                .daemon
                .api
                .call(reqwest::Method::GET, &path, None)
                .await;
            let count = answer.and_then(|(_, body)| body["count"].as_u64());
            if count >= Some(wanted) {
                break false;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        self.daemon.wrap(&[]);
        if died {
            let status = self.daemon.wait_end(Duration::from_secs(5)).await;
            assert_eq!(status.signal(), Some(9), "it ended by itself: {status}");
        } else {
            self.daemon.stop_wrapped().await;
        }
        died
    }

    /// Everything is there once, and starting again changes nothing.
    async fn check(&mut self, at: &str) {
        let mut pictures = Vec::new();
        for _ in 0..2 {
            self.daemon.launch().await;
            self.daemon
                .wait_lane(self.account, "inbound", "ready")
                .await;
            let wanted = self.expected.len();
            let path = format!("/api/mail/messages?AccountId={}", self.account);
            let rows = eventually("all mail is there", Duration::from_secs(30), || async {
                let rows = self.daemon.api.rows(&path).await;
                match rows.len() >= wanted {
                    true => Ok(rows),
                    false => Err(format!("{} of {wanted}, {at}", rows.len())),
                }
            })
            .await;
            let ids: Vec<String> = rows
                .iter()
                .map(|row| row["messageId"].as_str().expect("id").to_owned())
                .collect();
            assert_eq!(ids.len(), wanted, "none twice, {at}");
            assert!(ids.iter().all(|id| self.expected.contains(id)), "{at}");
            let events = received(&self.daemon, wanted).await;
            assert_eq!(events.len(), wanted, "one event for each, {at}");
            let about: BTreeSet<String> = events
                .iter()
                .map(|event| event["payload"]["messageId"].to_string())
                .collect();
            assert_eq!(about.len(), wanted, "no event twice, {at}");
            let raw = rows.iter().find(|row| row["size"].as_u64() > Some(200_000));
            if let Some(large) = raw {
                let path = format!("/api/mail/messages/{}/raw", large["id"]);
                let (status, _) = self
                    .daemon
                    .api
                    .call(reqwest::Method::GET, &path, None)
                    .await
                    .expect("raw");
                assert!(status.is_success(), "the object is whole, {at}: {status}");
            }
            let mut picture: Vec<String> = rows.iter().map(Value::to_string).collect();
            picture.sort();
            pictures.push(picture);
            self.daemon.kill();
        }
        assert_eq!(pictures[0], pictures[1], "a start changes nothing, {at}");
    }
}

async fn received(daemon: &Daemon, least: usize) -> Vec<Value> {
    eventually(
        "the events are numbered",
        Duration::from_secs(10),
        || async {
            let mut events = Vec::new();
            let mut after = 0;
            loop {
                let page = daemon
                    .api
                    .get(&format!("/api/mail/events?after={after}&limit=500"))
                    .await;
                let rows = page["rows"].as_array().expect("rows").clone();
                let Some(last) = rows.last() else { break };
                after = last["number"].as_i64().expect("number");
                events.extend(
                    rows.into_iter()
                        .filter(|row| row["kind"] == "message.received"),
                );
            }
            match events.len() >= least {
                true => Ok(events),
                false => Err(format!("{} events", events.len())),
            }
        },
    )
    .await
}

async fn sweep(engine: Engine, step: Step) {
    let mails = std::env::var("MOTION_MAILS")
        .ok()
        .and_then(|text| text.parse().ok());
    let mails: usize = mails.unwrap_or(60);
    let all = std::env::var("MOTION_SWEEP").is_ok_and(|word| word == "all");
    let mut killed = Killed::new(engine).await;
    killed.daemon.kill();
    let every: Vec<usize> = match all {
        true => (1..).take(5_000).collect(),
        false => step.short.to_vec(),
    };
    let mut kills = 0;
    for nth in every {
        // Spread over the runs, so that each has mail to store.
        let some = match all {
            true => mails,
            false => mails.div_ceil(step.short.len()),
        };
        let died = killed.die(step, nth, some).await;
        kills += usize::from(died);
        if all {
            killed
                .check(&format!("killed at {} number {nth}", step.calls))
                .await;
            if !died {
                break;
            }
        }
    }
    killed.check(&format!("killed at {}", step.calls)).await;
    println!(
        "{engine:?}: {kills} kills at {}, {} mails",
        step.calls,
        killed.expected.len()
    );
    assert!(kills * 2 > step.short.len(), "only {kills} kills");
}

/// Faults 2 and 3.
#[tokio::test(flavor = "multi_thread")]
async fn killed_at_a_sync_no_mail_is_lost_or_doubled_on_sqlite() {
    sweep(Engine::Sqlite, SYNC).await;
}

/// Faults 2 and 3.
#[tokio::test(flavor = "multi_thread")]
async fn killed_at_a_write_to_the_database_no_mail_is_lost_or_doubled_on_mariadb() {
    sweep(Engine::MariaDb, SEND).await;
}
