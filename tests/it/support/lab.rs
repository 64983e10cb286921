//! The mail lab that `tests/lab/up` started: real Dovecot, Postfix, OpenID provider, MariaDB.

use std::{collections::HashMap, path::PathBuf, process::Command};

/// The lab's `KEY=VALUE` file.
pub struct Lab {
    values: HashMap<String, String>,
}

impl Lab {
    /// Reads the file that `MOTION_LAB` names.
    ///
    /// # Panics
    /// When the lab is not there: these tests fail without it, they are never skipped.
    pub fn load() -> Self {
        let path = std::env::var("MOTION_LAB")
            .expect("MOTION_LAB names no file: run tests/run, or tests/lab/up and export MOTION_LAB=tests/lab/state/env");
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| {
            panic!("the lab's file {path} cannot be read ({error}): is the lab up?")
        });
        let values = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        Self { values }
    }

    /// One value.
    pub fn get(&self, key: &str) -> &str {
        self.values
            .get(key)
            .unwrap_or_else(|| panic!("the lab's file has no {key}"))
    }

    /// One port.
    pub fn port(&self, key: &str) -> u16 {
        self.get(key).parse().expect("a port")
    }

    /// A lab control call by POST, e.g. `client?client=x&secret=y&ttl=60`.
    pub async fn control(&self, call: &str) -> serde_json::Value {
        let url = format!("{}/{call}", self.get("CONTROL_URL"));
        let answer = reqwest::Client::new()
            .post(&url)
            .send()
            .await
            .expect("the lab's control answers");
        assert!(
            answer.status().is_success(),
            "lab control {call}: {}",
            answer.status()
        );
        answer.json().await.unwrap_or(serde_json::Value::Null)
    }

    /// The provider's counters.
    pub async fn counters(&self) -> serde_json::Value {
        let url = format!("{}/counters", self.get("CONTROL_URL"));
        reqwest::get(&url)
            .await
            .expect("the lab's counters")
            .json()
            .await
            .expect("JSON")
    }

    /// An OAuth client of this test's own: faults and counters then disturb nobody else.
    pub async fn client(&self, ttl_seconds: u32) -> (String, String) {
        let id = uuid::Uuid::new_v4().to_string();
        let secret = format!("secret-{}", uuid::Uuid::new_v4().simple());
        self.control(&format!(
            "client?client={id}&secret={secret}&ttl={ttl_seconds}"
        ))
        .await;
        (id, secret)
    }

    /// As [`Lab::client`], but it proves itself with assertions signed by this certificate's key.
    pub async fn certified_client(&self, certificate: &str, ttl_seconds: u32) -> String {
        let id = uuid::Uuid::new_v4().to_string();
        let url = self.get("CONTROL_URL");
        let answer = reqwest::Client::new()
            .post(format!("{url}/client?client={id}&ttl={ttl_seconds}"))
            .body(certificate.to_owned())
            .send()
            .await
            .expect("the lab's control answers");
        assert!(answer.status().is_success(), "{}", answer.status());
        id
    }

    /// Signs `user` in at the provider as a browser would, starting at our authorize URL.
    pub async fn sign_in(&self, user: &str, authorize_url: &str) {
        let tool = PathBuf::from(self.get("TOOLS")).join("sign-in");
        let (user, url) = (user.to_owned(), authorize_url.to_owned());
        let output = tokio::task::spawn_blocking(move || {
            Command::new(tool)
                .args(["--user", &user, &url])
                .output()
                .expect("the sign-in tool runs")
        })
        .await
        .expect("the tool's thread");
        assert!(
            output.status.success(),
            "sign-in failed: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Ends all IMAP sessions of a user, as Exchange does when a token expires.
    pub fn kick(&self, user: &str) {
        // Exit code 68 is "no such session", which is as good.
        let _ = Command::new("doveadm")
            .args(["-c", self.get("DOVECOT_CONF"), "kick", user])
            .output();
    }

    /// A mailbox name nobody else uses.
    pub fn fresh_mailbox(&self, word: &str) -> String {
        let tail = uuid::Uuid::new_v4().simple().to_string();
        format!("{word}-{}@{}", &tail[..10], self.get("MAIL_DOMAIN"))
    }
}
