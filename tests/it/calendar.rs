//! What comes due: said once in the log and the feed, shown in status, calendar, provider and account.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{Connection, Executor};

use crate::support::{Daemon, Engine, eventually, tcp_gate::TcpGate};

/// Events of one kind.
async fn events(daemon: &Daemon, kind: &str) -> Vec<Value> {
    let feed = daemon.api.get("/api/mail/events?limit=1000").await;
    let rows = feed["rows"].as_array().expect("rows").clone();
    rows.into_iter()
        .filter(|event| event["kind"] == kind)
        .collect()
}

async fn events_are(daemon: &Daemon, kind: &str, wanted: usize) -> Vec<Value> {
    eventually(
        &format!("{wanted} events {kind}"),
        Duration::from_secs(30),
        || async {
            let seen = events(daemon, kind).await;
            if seen.len() == wanted {
                Ok(seen)
            } else {
                Err(format!("{seen:?}"))
            }
        },
    )
    .await
}

fn codes(shown: &Value) -> Vec<&str> {
    let warnings = shown["warnings"].as_array().expect("warnings");
    warnings
        .iter()
        .filter_map(|one| one["code"].as_str())
        .collect()
}

fn warn_lines(daemon: &Daemon, code: &str) -> usize {
    let log = daemon.combined_log();
    log.lines()
        .filter(|line| line.contains("[WARN]") && line.contains(&format!("code={code}")))
        .count()
}

/// Runs SQL in the daemon's SQLite database, as a stand-in for time that passes.
async fn sql(daemon: &Daemon, text: String) {
    let url = daemon.setting("XC_EMAIL_DATABASE_URL");
    let mut connection = sqlx::SqliteConnection::connect(url)
        .await
        .expect("database");
    connection
        .execute(sqlx::raw_sql(sqlx::AssertSqlSafe(text)))
        .await
        .expect("statement");
    connection.close().await.expect("close");
}

fn in_days(days: i64) -> i64 {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since_epoch.expect("after 1970").as_millis() as i64 + days * 86_400_000
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_expires_in_six_days_is_said_once_everywhere_also_after_restarts() {
    let mut daemon = Daemon::start(Engine::Sqlite, &[]).await;
    let provider = daemon
        .api
        .post("/api/cloudProviders", &json!({
            "name": "Our tenant", "service": "microsoft", "applicationId": "app",
            "tenantId": "tenant", "clientSecret": "canary-secret-1", "redirectUri": "https://m.example/cb",
        }))
        .await["id"]
        .as_i64()
        .expect("id");
    let path = format!("/api/cloudProviders/{provider}");
    // Nobody entered the date: a notice, and no alarm.
    let shown = daemon.api.get(&path).await;
    assert_eq!(codes(&shown), ["secret_expiry_unknown"], "{shown}");
    assert_eq!(events(&daemon, "provider.secretExpires").await.len(), 0);

    daemon.stop().await;
    let due = in_days(6);
    sql(
        &daemon,
        format!("UPDATE cloud_providers SET client_secret_expires_at = {due}"),
    )
    .await;
    for round in 0..3 {
        daemon.launch().await;
        let said = events_are(&daemon, "provider.secretExpires", 1).await;
        assert_eq!(said[0]["CloudProviderId"], provider, "round {round}");
        assert_eq!(said[0]["payload"]["daysLeft"], 6);
        assert_eq!(said[0]["payload"]["severity"], "urgent");
        eventually("one line", Duration::from_secs(10), || async {
            match warn_lines(&daemon, "secret_expires_soon") {
                1 => Ok(()),
                other => Err(format!("{other} lines in round {round}")),
            }
        })
        .await;
        let status = daemon.api.get("/api/status").await;
        assert_eq!(codes(&status), ["secret_expires_soon"]);
        assert_eq!(codes(&status["cloudProviders"][0]), ["secret_expires_soon"]);
        assert_eq!(codes(&daemon.api.get(&path).await), ["secret_expires_soon"]);
        let next = status["warnings"][0]["next"].as_str().expect("next");
        assert!(
            next.contains(&format!("provider update-secret {provider}")),
            "{next}"
        );
        daemon.stop().await;
    }
    daemon.launch().await;

    let calendar = daemon.api.get("/api/calendar?limit=1").await;
    assert_eq!(calendar["rows"][0]["kind"], "clientSecret", "{calendar}");
    assert_eq!(calendar["rows"][0]["daysLeft"], 6);
    for command in ["status", "calendar"] {
        let ran = daemon.cli(&[command]);
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        assert!(
            ran.status.success() && said.contains("urgent: The client secret"),
            "{said}"
        );
        assert!(said.contains("New client secret"), "the next step: {said}");
    }
    let ran = daemon.cli(&["calendar", "--json"]);
    let said: Value = serde_json::from_slice(&ran.stdout).expect("JSON");
    assert_eq!(said["rows"][0]["code"], "secret_expires_soon");

    // A new secret, good for 25 days: its own threshold, once.
    daemon.stop().await;
    let due = in_days(25);
    sql(
        &daemon,
        format!("UPDATE cloud_providers SET client_secret_expires_at = {due}"),
    )
    .await;
    daemon.launch().await;
    let said = events_are(&daemon, "provider.secretExpires", 2).await;
    assert_eq!(said[1]["payload"]["severity"], "warning");
    let log = daemon.combined_log();
    assert!(!log.contains("canary-secret-1"), "no secret in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_whose_server_is_cut_off_is_shown_silent_and_its_return_is_told() {
    let mut daemon = Daemon::start(
        Engine::Sqlite,
        &[
            ("XC_EMAIL_IDLE_REISSUE", "1s"),
            ("XC_EMAIL_POLL_INTERVAL", "1s"),
            ("XC_EMAIL_PARKED_RETRY", "1s"),
            ("XC_EMAIL_CONTACT_NOTICE_AFTER", "4s"),
            ("XC_EMAIL_CONTACT_WARN_AFTER", "8s"),
        ],
    )
    .await;
    let gate = TcpGate::open("127.0.0.1", daemon.lab.port("IMAPS_PORT")).await;
    let list = daemon.add_list().await;
    let cut = daemon.lab.fresh_mailbox("cut");
    let password = json!({"authentication": "password", "username": cut, "password": daemon.lab.get("LAB_PASSWORD")});
    let mut body = daemon.account_body(list, "CUT", &cut, password);
    body["imap"]["port"] = json!(gate.port);
    let account = daemon.api.post("/api/mail/accounts", &body).await["id"]
        .as_i64()
        .expect("id");
    let well = daemon.lab.fresh_mailbox("well");
    let neighbour = daemon.add_password_account(list, "WELL", &well).await;
    for id in [account, neighbour] {
        daemon.wait_lane(id, "inbound", "ready").await;
    }
    let shown =
        async |daemon: &Daemon, id: i64| daemon.api.get(&format!("/api/mail/accounts/{id}")).await;

    gate.shut();
    let said = events_are(&daemon, "mailbox.stale", 2).await;
    let stages: Vec<_> = said
        .iter()
        .map(|event| event["payload"]["severity"].clone())
        .collect();
    assert_eq!(stages, ["notice", "warning"]);
    assert!(
        said.iter().all(|event| event["AccountId"] == account),
        "{said:?}"
    );
    let (silent, fine) = (
        shown(&daemon, account).await,
        shown(&daemon, neighbour).await,
    );
    assert_eq!(codes(&silent), ["mailbox_contact_old"], "{silent}");
    assert_eq!(codes(&fine), [""; 0], "{fine}");
    assert_eq!(
        codes(&daemon.api.get("/api/status").await),
        ["mailbox_contact_old"]
    );
    assert_eq!(warn_lines(&daemon, "mailbox_contact_old"), 2);
    let before = silent["status"]["inbound"]["lastContact"].clone();
    assert!(before.is_string(), "{silent}");

    // Killed and started again while it is cut off: the last contact is remembered, nothing is said again.
    daemon.kill();
    daemon.launch().await;
    assert_eq!(
        shown(&daemon, account).await["status"]["inbound"]["lastContact"],
        before
    );
    daemon.wait_lane(neighbour, "inbound", "ready").await;
    assert_eq!(
        codes(&shown(&daemon, account).await),
        ["mailbox_contact_old"]
    );

    gate.reopen();
    let back = events_are(&daemon, "mailbox.recovered", 1).await;
    assert_eq!(back[0]["AccountId"], account);
    assert_eq!(codes(&shown(&daemon, account).await), [""; 0]);
    assert_eq!(
        events(&daemon, "mailbox.stale").await.len(),
        2,
        "not said again after the restart"
    );
    assert!(
        daemon
            .combined_log()
            .contains("mailbox is in contact again account=CUT")
    );
}

/// The last proven contact of the outgoing side, with nobody sending anything.
#[tokio::test(flavor = "multi_thread")]
async fn an_outgoing_server_that_is_cut_off_is_warned_of_before_anybody_sends_and_its_return_is_told()
 {
    let mut daemon = Daemon::start(
        Engine::Sqlite,
        &[
            ("XC_EMAIL_IDLE_REISSUE", "1s"),
            ("XC_EMAIL_POLL_INTERVAL", "1s"),
            ("XC_EMAIL_PARKED_RETRY", "1s"),
            ("XC_EMAIL_SMTP_PROOF_INTERVAL", "2s"),
            ("XC_EMAIL_CONTACT_NOTICE_AFTER", "10s"),
            ("XC_EMAIL_CONTACT_WARN_AFTER", "14s"),
        ],
    )
    .await;
    let gate = TcpGate::open("127.0.0.1", daemon.lab.port("SUBMISSION_PORT")).await;
    let list = daemon.add_list().await;
    let cut = daemon.lab.fresh_mailbox("cut");
    let password = json!({"authentication": "password", "username": cut, "password": daemon.lab.get("LAB_PASSWORD")});
    let mut body = daemon.account_body(list, "CUT", &cut, password);
    body["smtp"]["port"] = json!(gate.port);
    let account = daemon.api.post("/api/mail/accounts", &body).await["id"]
        .as_i64()
        .expect("id");
    daemon.wait_lane(account, "outbound", "ready").await;
    let path = format!("/api/mail/accounts/{account}");
    let contact = async |daemon: &Daemon| {
        let shown = daemon.api.get(&path).await;
        shown["status"]["outbound"]["lastContact"].clone()
    };
    let first = contact(&daemon).await;
    eventually("a second proof", Duration::from_secs(30), || async {
        let now = contact(&daemon).await;
        if now == first {
            Err(now.to_string())
        } else {
            Ok(())
        }
    })
    .await;

    gate.shut();
    let said = events_are(&daemon, "sending.stale", 2).await;
    let stages: Vec<_> = said
        .iter()
        .map(|event| event["payload"]["severity"].clone())
        .collect();
    assert_eq!(stages, ["notice", "warning"]);
    assert!(said.iter().all(|event| event["AccountId"] == account));
    for path in [path.as_str(), "/api/status"] {
        let shown = daemon.api.get(path).await;
        assert_eq!(codes(&shown), ["sending_contact_old"], "{shown}");
    }
    assert_eq!(warn_lines(&daemon, "sending_contact_old"), 2);
    for command in ["status", "calendar"] {
        let ran = daemon.cli(&[command]);
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        assert!(said.contains("warning: The outgoing server of"), "{said}");
    }
    // Killed and started again meanwhile: the last contact is remembered, nothing is said again.
    let before = contact(&daemon).await;
    daemon.kill();
    daemon.launch().await;
    assert_eq!(contact(&daemon).await, before);

    gate.reopen();
    let back = events_are(&daemon, "sending.recovered", 1).await;
    assert_eq!(back[0]["AccountId"], account);
    assert_eq!(codes(&daemon.api.get(&path).await), [""; 0]);
    assert_eq!(events(&daemon, "sending.stale").await.len(), 2);
    assert_eq!(events(&daemon, "mailbox.stale").await.len(), 0);
    let log = daemon.combined_log();
    assert!(log.contains("outgoing server takes the login again account=CUT"));
}
