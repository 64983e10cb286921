//! Several folders of one mailbox, on a real server.

use std::time::Duration;

use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use crate::support::{Daemon, Engine, Lab, eventually, mail};

/// Another mail program in the mailbox.
struct Program {
    line: BufReader<TcpStream>,
}

impl Program {
    async fn open(lab: &Lab, mailbox: &str) -> Self {
        let stream = TcpStream::connect((lab.get("LAB_HOST"), lab.port("IMAP_PORT")))
            .await
            .expect("IMAP");
        let mut program = Self {
            line: BufReader::new(stream),
        };
        program.line().await;
        let login = format!("LOGIN {mailbox} {}", lab.get("LAB_PASSWORD"));
        program.say(&login).await;
        program
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        self.line.read_line(&mut line).await.expect("a line");
        line
    }

    async fn say(&mut self, command: &str) {
        self.send(&format!("x {command}\r\n")).await;
        self.answered(command).await;
    }

    async fn send(&mut self, text: &str) {
        self.line
            .get_mut()
            .write_all(text.as_bytes())
            .await
            .expect("sent");
    }

    async fn answered(&mut self, command: &str) {
        loop {
            let line = self.line().await;
            if let Some(answer) = line.strip_prefix("x ") {
                assert!(answer.starts_with("OK"), "{command}: {answer}");
                return;
            }
            assert!(!line.is_empty(), "IMAP closed during {command}");
        }
    }

    async fn append(&mut self, folder: &str, subject: &str) {
        let id = format!("{}@folders.example", uuid::Uuid::new_v4());
        let text = mail::plain_mail("a@customer.example", "b@lab.test", &id, subject, "x");
        let command = format!("APPEND \"{folder}\" {{{}}}", text.len());
        self.send(&format!("x {command}\r\n")).await;
        assert!(self.line().await.starts_with('+'));
        self.send(&format!("{text}\r\n")).await;
        self.answered(&command).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_folders_are_read_and_one_that_is_missing_stops_no_other() {
    let daemon = Daemon::start(
        Engine::Sqlite,
        &[
            ("XC_EMAIL_IDLE_REISSUE", "2s"),
            ("XC_EMAIL_POLL_INTERVAL", "1s"),
            ("XC_EMAIL_WATCHED_FOLDERS", "1"),
        ],
    )
    .await;
    let mailbox = daemon.lab.fresh_mailbox("folders");
    let mut program = Program::open(&daemon.lab, &mailbox).await;
    for folder in ["VIP", "Entw&APw-rfe"] {
        program.say(&format!("CREATE \"{folder}\"")).await;
    }
    let list = daemon.add_list().await;
    let account = daemon.add_password_account(list, "FOLD", &mailbox).await;
    let path = format!("/api/mail/accounts/{account}");
    let folders = json!({"folders": ["INBOX", "VIP", "Entwürfe", "\\Junk", "Later"]});
    let changed = daemon
        .api
        .must(reqwest::Method::PATCH, &path, Some(&folders))
        .await;
    assert_eq!(changed["folders"], folders["folders"]);
    daemon.wait_lane(account, "inbound", "ready").await;
    let messages = format!("/api/mail/messages?AccountId={account}");
    let subjects = |expected: Vec<&'static str>| {
        let (daemon, messages) = (&daemon, messages.clone());
        async move {
            eventually(
                "the mail is in the store",
                Duration::from_secs(20),
                || async {
                    let mut subjects: Vec<String> = daemon
                        .api
                        .rows(&messages)
                        .await
                        .iter()
                        .map(|row| row["subject"].as_str().expect("subject").to_owned())
                        .collect();
                    subjects.sort();
                    if subjects == expected {
                        Ok(())
                    } else {
                        Err(format!("{subjects:?}"))
                    }
                },
            )
            .await;
        }
    };
    for (folder, subject) in [
        ("INBOX", "1 in the inbox"),
        ("VIP", "2 of importance"),
        ("Entw&APw-rfe", "3 drafted"),
        ("Junk", "4 junk"),
    ] {
        program.append(folder, subject).await;
    }
    subjects(vec![
        "1 in the inbox",
        "2 of importance",
        "3 drafted",
        "4 junk",
    ])
    .await;
    eventually(
        "the missing folder is told",
        Duration::from_secs(10),
        || async {
            let log = daemon.combined_log();
            let told = log
                .lines()
                .filter(|line| line.contains("folder cannot be read"));
            match told.filter(|line| line.contains("Later")).count() {
                1 => Ok(()),
                count => Err(format!("{count} times:\n{log}")),
            }
        },
    )
    .await;

    // Moved between folders that are read: it is the same mail. A folder that comes to be is read.
    program.say("SELECT VIP").await;
    program.say("UID MOVE 1 INBOX").await;
    program.say("CREATE Later").await;
    program.append("Later", "5 late").await;
    subjects(vec![
        "1 in the inbox",
        "2 of importance",
        "3 drafted",
        "4 junk",
        "5 late",
    ])
    .await;
    let shown = daemon.api.get(&format!("{path}/folders")).await;
    let mut names: Vec<&str> = shown["rows"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| row["name"].as_str().expect("name"))
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["Entwürfe", "INBOX", "Junk", "Later", "VIP"]);
    let events = daemon.api.get("/api/mail/events?limit=500").await;
    let events = events["rows"].as_array().expect("rows");
    let received = events
        .iter()
        .filter(|event| event["kind"] == "message.received");
    assert_eq!(received.count(), 5, "{events:?}");
    assert_eq!(daemon.error_log(), "");
}
