//! SQLite and the token journal on one disk that is full: what the daemon, the doctor and a start say, and that
//! all of it goes on by itself when there is room.

use std::{process::Command, time::Duration};

use serde_json::{Value, json};

use crate::support::{Daemon, Engine, binary, eventually, mail};

fn text(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The disk of the data directory is a file system of the daemon's own, filled to the last block.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_named_wherever_somebody_looks_and_costs_no_mail_once_there_is_room() {
    let mut daemon = Daemon::prepare(Engine::Sqlite, &[]).await;
    let data = daemon.path("data").display().to_string();
    daemon.change_setting(
        "XC_EMAIL_DATABASE_URL",
        &format!("sqlite://{data}/motion-email.db"),
    );
    daemon.in_namespace(
        "--mount",
        &format!("mkdir -p {data} && mount -t tmpfs -o size=8m,mode=700 none {data}"),
    );
    daemon.launch().await;
    let list = daemon.add_list().await;
    let user = daemon.lab.fresh_mailbox("full");
    let account = daemon.add_password_account(list, "FULL", &user).await;
    let own = daemon.lab.fresh_mailbox("grant");
    let (provider, _) = daemon.add_provider(&own, 60).await;
    let modern =
        json!({"authentication": "modern", "CloudProviderId": provider, "username": own.clone()});
    let body = daemon.account_body(list, "OWN", &own, modern);
    let second = daemon.api.post("/api/mail/accounts", &body).await["id"]
        .as_i64()
        .expect("id");
    for id in [account, second] {
        daemon.wait_lane(id, "inbound", "ready").await;
        daemon.wait_lane(id, "outbound", "ready").await;
    }
    let ballast = format!("/proc/{}/root{data}/ballast", daemon.pid());
    // Again and again: what the daemon gives back in between is taken too.
    let fill = || {
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(&ballast)
            .expect("the ballast");
        while std::io::Write::write(&mut file, &[0; 4096]).is_ok_and(|n| n > 0) {}
    };

    fill();
    let mut lmtp = mail::Lmtp::open(&daemon.lab).await;
    let message = mail::plain_mail("c@customer.example", &user, "full@x.example", "Q", "x");
    lmtp.deliver("c@customer.example", &user, &message).await;
    let told = |status: &Value| {
        let first = status["warnings"][0].clone();
        let full = first["kind"] == "database" && first["code"] == "store_full";
        full.then_some(first)
    };
    // The accounts are let go of: they stand still, and the reason stands beside them.
    eventually("status tells it", Duration::from_secs(60), || async {
        fill();
        let status = daemon.api.get("/api/status").await;
        let stopped = status["accounts"][0]["status"]["inbound"]["state"] == "stopped";
        match told(&status) {
            Some(warning) if stopped => {
                assert_eq!(warning["severity"], "urgent");
                let next = warning["next"].as_str().expect("next");
                assert!(next.contains("df -h"), "{next}");
                let why = warning["why"].as_str().expect("why");
                assert!(why.contains("database or disk is full"), "{why}");
                assert!(!why.contains("unexpected or invalid data"), "{why}");
                Ok(())
            }
            other => Err(format!("{other:?} {status}")),
        }
    })
    .await;
    let status = text(&daemon.cli(&["status"]));
    assert!(
        status.contains("urgent: The disk of the database is full"),
        "{status}"
    );
    let examined = text(&daemon.cli(&["doctor", "--refresh"]));
    for line in [
        "FAIL  service  Database              The disk of the database is full",
        "FAIL  service  Disk ",
        // No request is sent whose answer could not be kept: the sign-in is not at risk.
        "FAIL  OWN      Access token          The disk of the database is full",
        "ok    FULL     IMAP login ",
    ] {
        assert!(examined.contains(line), "{line}: {examined}");
    }
    let sent = daemon.cli(&[
        "send",
        "--account",
        "FULL",
        "--to",
        "c@customer.example",
        "--subject",
        "S",
        "--text",
        "x",
    ]);
    assert_eq!(sent.status.code(), Some(75), "not now");
    let said = String::from_utf8_lossy(&sent.stderr).into_owned();
    assert!(
        said.contains("(store_full)") && said.contains("Make room"),
        "{said}"
    );
    let log = daemon.error_log();
    for line in [
        "the database does not take commits; mail waits until it does code=store_full",
        "letting go of all accounts until the database takes commits code=store_full",
    ] {
        assert!(log.contains(line), "{line}: {log}");
    }

    std::fs::remove_file(&ballast).expect("room is made");
    for id in [account, second] {
        daemon.wait_lane(id, "inbound", "ready").await;
    }
    let path = format!("/api/mail/messages?AccountId={account}");
    eventually("the mail", Duration::from_secs(30), || async {
        match daemon.api.rows(&path).await.len() {
            1 => Ok(()),
            other => Err(other.to_string()),
        }
    })
    .await;
    let status = daemon.api.get("/api/status").await;
    assert_eq!(told(&status), None, "{status}");
    let examined = text(&daemon.cli(&["doctor", "OWN", "--refresh"]));
    assert!(
        examined.contains("ok    OWN      Access token"),
        "{examined}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_and_a_doctor_without_a_daemon_name_a_full_disk() {
    let daemon = Daemon::prepare(Engine::Sqlite, &[]).await;
    let data = daemon.path("data").display().to_string();
    for (command, code) in [("check", 78), ("doctor", 69)] {
        let script = format!(
            "mkdir -p {data} && mount -t tmpfs -o size=256k,mode=700 none {data} && exec \"$@\""
        );
        let ran = Command::new("unshare")
            .args(["--mount", "sh", "-c", &script, "sh"])
            .arg(binary())
            .args([command, "--env-file"])
            .arg(daemon.env_file())
            .output()
            .expect("unshare");
        let said = format!("{}{}", text(&ran), String::from_utf8_lossy(&ran.stderr));
        assert_eq!(ran.status.code(), Some(code), "{said}");
        let named = format!("the disk of {data} is full");
        assert!(
            said.to_lowercase().contains(&named.to_lowercase()),
            "{said}"
        );
        assert!(said.contains("make room"), "{said}");
    }
}
