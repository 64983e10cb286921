//! `motion-email doctor` against real servers: the first failed line names the cause, the exit code says how bad
//! it is, and the support bundle holds nothing that must not leave the house.

use std::{
    collections::BTreeMap,
    io::Read as _,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output},
    time::Duration,
};

use serde_json::{Value, json};

use crate::support::{Daemon, Engine, daemon::binary, eventually, mail};

/// The JSON of an examination, and its exit code.
fn examine(daemon: &Daemon, account: &str) -> (Value, i32) {
    let output = daemon.cli(&["doctor", account, "--json"]);
    let report = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", text(&output)));
    (report, output.status.code().expect("a code"))
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// The first failed check of the account, with its code.
#[track_caller]
fn cause(report: &Value, id: &str, code: &str) {
    let account = &report["accounts"][0];
    assert_eq!(account["cause"], id, "{account:#}");
    let check = account["checks"]
        .as_array()
        .expect("checks")
        .iter()
        .find(|check| check["id"] == id)
        .expect("the check");
    assert_eq!(check["code"], code, "{check:#}");
    for words in ["what", "why", "next"] {
        assert!(
            check[words].as_str().is_some_and(|text| !text.is_empty()),
            "{check:#}"
        );
    }
    assert_eq!(report["verdict"], "failed");
}

async fn shared(daemon: &Daemon, list: i64, key: &str, mailbox: &str) -> i64 {
    let delegate = daemon.lab.get("DELEGATE").to_owned();
    let (provider, _) = daemon.add_provider(&delegate, 300).await;
    let more = json!({"authentication": "modern", "CloudProviderId": provider, "username": mailbox, "delegate": delegate});
    let body = daemon.account_body(list, key, mailbox, more);
    daemon.api.post("/api/mail/accounts", &body).await["id"]
        .as_i64()
        .expect("id")
}

#[tokio::test(flavor = "multi_thread")]
async fn healthy_accounts_are_all_ok_and_the_lines_come_aligned() {
    let daemon = Daemon::start(Engine::MariaDb, &[]).await;
    let list = daemon.add_list().await;
    let mailbox = daemon.lab.fresh_mailbox("well");
    let own = daemon.add_password_account(list, "WELL", &mailbox).await;
    let team = daemon.lab.get("SHARED").to_owned();
    let team = shared(&daemon, list, "TEAM", &team).await;
    for account in [own, team] {
        daemon.wait_lane(account, "inbound", "ready").await;
        daemon.wait_lane(account, "outbound", "ready").await;
    }
    let output = daemon.cli(&["doctor"]);
    let shown = text(&output);
    assert_eq!(output.status.code(), Some(0), "{shown}");
    let lines: Vec<&str> = shown
        .lines()
        .filter(|line| line.starts_with("ok    "))
        .collect();
    assert!(lines.len() > 30, "{shown}");
    for bad in ["FAIL", "warn", "skip"] {
        assert!(!shown.lines().any(|line| line.starts_with(bad)), "{shown}");
    }
    assert!(
        shown.contains("ok    service  Database              MariaDB "),
        "{shown}"
    );
    assert!(
        shown.contains("ok    WELL     IMAP login            as "),
        "{shown}"
    );
    assert!(
        shown.contains("ok    TEAM     IMAP certificate      TLS 1.3, certificate of "),
        "{shown}"
    );
    assert!(
        shown.contains(
            "Rights of TEAM: consent proven, IMAP enabled proven, FullAccess proven, SMTP AUTH proven, SendAs not proven"
        ),
        "{shown}"
    );
    assert!(
        shown.contains(" 0 warnings, 0 failed, 0 skipped."),
        "{shown}"
    );
    // By API, one account alone; and nothing was taken, sent or asked of the platform for it.
    let report = daemon
        .api
        .post(&format!("/api/mail/accounts/{team}/doctor"), &json!({}))
        .await;
    assert_eq!(
        (&report["account"], &report["verdict"]),
        (&json!("TEAM"), &json!("ok")),
        "{report:#}"
    );
    assert_eq!(report["cause"], Value::Null);
    assert!(daemon.api.rows("/api/mail/outbox").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_failed_line_names_what_is_wrong() {
    let daemon = Daemon::start(Engine::Sqlite, &[("XC_EMAIL_PARKED_RETRY", "1s")]).await;
    let list = daemon.add_list().await;
    let mailbox = daemon.lab.fresh_mailbox("ill");
    let password = json!({"authentication": "password", "username": mailbox, "password": daemon.lab.get("LAB_PASSWORD")});
    let wrong = json!({"authentication": "password", "username": mailbox, "password": "wrong"});

    let add = async |body: Value| {
        daemon.api.post("/api/mail/accounts", &body).await;
    };
    let mut host = daemon.account_body(list, "HOST", &mailbox, password.clone());
    host["imap"]["host"] = json!("no-such-host.invalid");
    add(host).await;
    add(daemon.account_body(list, "PASS", &mailbox, wrong)).await;
    let mut cert = daemon.account_body(list, "CERT", &mailbox, password.clone());
    cert["imap"]["host"] = json!(daemon.lab.get("WRONG_HOST"));
    cert["imap"]["port"] = json!(daemon.lab.port("IMAPS_WRONG_PORT"));
    add(cert).await;
    let unshared = daemon.lab.get("UNSHARED").to_owned();
    shared(&daemon, list, "SHARE", &unshared).await;

    for (key, id, code) in [
        ("HOST", "imap_name", "host_not_found"),
        ("PASS", "imap_login", "imap_password_refused"),
        ("CERT", "imap_tls", "tls_wrong_name"),
        ("SHARE", "imap_login", "right_missing_full_access"),
    ] {
        let (report, exit) = examine(&daemon, key);
        cause(&report, id, code);
        assert_eq!(exit, 1, "{key}");
        assert_eq!(report["accounts"][0]["account"], key);
    }
    let (report, _) = examine(&daemon, "SHARE");
    let rights = &report["accounts"][0]["rights"];
    assert_eq!(rights["fullAccess"], "suspected", "{rights}");
    assert_eq!(rights["smtpAuth"], "proven", "{rights}");
    let shown = text(&daemon.cli(&["doctor", "SHARE"]));
    assert!(
        shown.contains("First failure of SHARE: IMAP login."),
        "{shown}"
    );
    assert!(
        shown.contains("      next  An Exchange administrator runs: Add-MailboxPermission"),
        "{shown}"
    );
    assert!(
        shown.contains("skip  SHARE    Mailbox               IMAP login failed"),
        "{shown}"
    );

    let nobody = daemon.cli(&["doctor", "NONE"]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(
        text(&nobody).contains("There is no such account. (not_found)"),
        "{}",
        text(&nobody)
    );
}

/// A platform that takes a sign-in back, and one that refuses the person: the first ends the grant, the second
/// may pass.
#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_was_revoked_and_a_person_who_was_disabled_are_the_cause() {
    let daemon = Daemon::start(Engine::Sqlite, &[("XC_EMAIL_PARKED_RETRY", "1s")]).await;
    let list = daemon.add_list().await;
    for (key, action, id) in [("GONE", "revoke", "grant"), ("OFF", "disable", "token")] {
        let user = daemon.lab.fresh_mailbox("gone");
        let (provider, _) = daemon.add_provider(&user, 5).await;
        let more =
            json!({"authentication": "modern", "CloudProviderId": provider, "username": user});
        let body = daemon.account_body(list, key, &user, more);
        daemon.api.post("/api/mail/accounts", &body).await;
        let (report, _) = examine(&daemon, key);
        assert_eq!(report["accounts"][0]["cause"], Value::Null, "{report:#}");
        daemon.lab.control(&format!("{action}?user={user}")).await;
        eventually(
            "the platform's refusal is the cause",
            Duration::from_secs(30),
            || async {
                let (report, exit) = examine(&daemon, key);
                let account = &report["accounts"][0];
                if account["cause"] == id && exit == 1 {
                    Ok(())
                } else {
                    Err(format!("{account:#}"))
                }
            },
        )
        .await;
        let (report, _) = examine(&daemon, key);
        let all = report["accounts"][0]["checks"]
            .as_array()
            .expect("checks")
            .clone();
        let check = |id: &str| all.iter().find(|check| check["id"] == id).expect("check");
        assert!(
            check(id)["next"]
                .as_str()
                .is_some_and(|next| !next.is_empty())
        );
        assert_eq!(
            check("imap_tls")["verdict"],
            "ok",
            "the servers are examined all the same"
        );
        assert_eq!(check("imap_login")["verdict"], "skipped");
    }
}

/// The files of a bundle by name.
pub fn opened(path: &Path) -> BTreeMap<String, String> {
    let file = std::fs::File::open(path).expect("the bundle");
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(file));
    tar.entries()
        .expect("entries")
        .map(|entry| {
            let mut entry = entry.expect("entry");
            let name = entry.path().expect("path").display().to_string();
            let mut text = String::new();
            entry.read_to_string(&mut text).expect("text");
            (name, text)
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_support_bundle_holds_what_helps_and_no_planted_secret() {
    let daemon = Daemon::start(Engine::MariaDb, &[]).await;
    let list = daemon.add_list().await;
    let mailbox = daemon.lab.fresh_mailbox("bundle");
    let account = daemon.add_password_account(list, "BUND", &mailbox).await;
    daemon.wait_lane(account, "inbound", "ready").await;
    // A password that is refused, a client secret that is never used, a mail from and one to strangers.
    let wrong =
        json!({"authentication": "password", "username": mailbox, "password": "canary-password"});
    let body = daemon.account_body(list, "BAD", &mailbox, wrong);
    let bad = daemon.api.post("/api/mail/accounts", &body).await["id"]
        .as_i64()
        .expect("id");
    daemon
        .api
        .post("/api/cloudProviders", &json!({
            "name": "Never", "service": "microsoft", "applicationId": "app", "tenantId": "contoso.test",
            "clientSecret": "canary-client-secret", "redirectUri": "https://motion.test/api/cloudProviders/oauth2/microsoft/callback",
            "authority": daemon.lab.get("AUTHORITY"),
        }))
        .await;
    let raw = mail::plain_mail(
        "canary-stranger@customer.example",
        &mailbox,
        "canary-id@x.example",
        "canary-subject",
        "canary-body",
    );
    let mut lmtp = mail::Lmtp::open(&daemon.lab).await;
    lmtp.deliver("canary-stranger@customer.example", &mailbox, &raw)
        .await;
    daemon
        .api
        .post("/api/mail/outbox", &json!({
            "AccountId": account, "to": ["canary-stranger@elsewhere.example"], "subject": "canary-subject", "text": "canary-body",
        }))
        .await;
    eventually(
        "the mail is in and the other is out",
        Duration::from_secs(20),
        || async {
            let taken = daemon
                .api
                .get(&format!("/api/mail/messages?AccountId={account}"))
                .await["count"]
                .clone();
            let queue = daemon
                .api
                .get(&format!("/api/mail/accounts/{account}"))
                .await["queue"]
                .clone();
            let open =
                queue["queued"].as_i64().unwrap_or(1) + queue["claimed"].as_i64().unwrap_or(1);
            if taken == 1 && open == 0 {
                Ok(())
            } else {
                Err(format!("{taken} {queue}"))
            }
        },
    )
    .await;
    daemon.wait_lane(bad, "inbound", "parked").await;

    let file = daemon.path("support.tar.gz");
    let name = file.display().to_string();
    let env_file = daemon.env_file().display().to_string();
    let arguments = ["doctor", "--env-file", &env_file, "--bundle", &name];
    let output = daemon.cli(&arguments);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let mode = std::fs::metadata(&file)
        .expect("the bundle")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let files = opened(&file);
    let root = "motion-email-support";
    for wanted in [
        "README.txt",
        "report.json",
        "status.json",
        "outbox.json",
        "settings.txt",
        "system.json",
        "log/combined.log",
        "log/error.log",
        "missing.txt",
    ] {
        let text = files.get(&format!("{root}/{wanted}"));
        assert!(
            text.is_some_and(|text| !text.is_empty()),
            "{wanted} in {:?}",
            files.keys()
        );
    }
    let of = |name: &str| files[&format!("{root}/{name}")].as_str();
    assert!(
        of("settings.txt").contains("XC_EMAIL_DATABASE_URL=(set, not shown)  # "),
        "{}",
        of("settings.txt")
    );
    assert!(
        of("settings.txt").contains("XC_DEBUG_LEVEL=DEBUG  # "),
        "{}",
        of("settings.txt")
    );
    assert!(of("report.json").contains("imap_password_refused"));
    assert!(
        of("status.json").contains(&mailbox),
        "an account's own address stays"
    );
    assert!(of("log/combined.log").contains("motion-email is ready"));
    assert!(of("outbox.json").contains("\"BUND\""));
    let mut secrets = vec![
        "canary".to_owned(),
        daemon.lab.get("LAB_PASSWORD").to_owned(),
        daemon.lab.get("MARIADB_PASSWORD").to_owned(),
    ];
    let key = std::fs::read(daemon.path("data").join("key")).unwrap_or_default();
    let key = String::from_utf8_lossy(&key).trim().to_owned();
    if !key.is_empty() {
        secrets.push(key);
    }
    for (name, text) in &files {
        for secret in &secrets {
            let hit = text.lines().find(|line| line.contains(secret.as_str()));
            assert_eq!(hit, None, "{name} holds {secret:?}");
        }
    }
    // The shown report has none of them either.
    assert!(
        !text(&output).contains("canary-password"),
        "{}",
        text(&output)
    );
    let again = daemon.cli(&arguments);
    assert!(text(&again).contains("exists already"), "{}", text(&again));
    let forced = daemon.cli(&[
        "doctor",
        "--env-file",
        &env_file,
        "--bundle",
        &name,
        "--force",
    ]);
    assert_eq!(forced.status.code(), Some(1), "{}", text(&forced));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_daemon_the_rest_is_checked_and_bundled() {
    let mut daemon = Daemon::start(Engine::Sqlite, &[]).await;
    assert!(daemon.stop().await.success());
    let env_file = daemon.env_file().display().to_string();
    let file = daemon.path("b.tar.gz");
    let bundle = file.display().to_string();
    let output = Command::new(binary())
        .args(["doctor", "--env-file", &env_file, "--bundle", &bundle])
        .output()
        .expect("the command line runs");
    let shown = text(&output);
    assert_eq!(output.status.code(), Some(69), "{shown}");
    assert!(
        shown.starts_with("FAIL  Daemon                The daemon does not answer on "),
        "{shown}"
    );
    assert!(
        shown.contains("      next  Is it running? systemctl status motion-email"),
        "{shown}"
    );
    assert!(
        shown.contains("ok    Database              good"),
        "{shown}"
    );
    let files = opened(&file);
    let missing = &files["motion-email-support/missing.txt"];
    assert!(missing.contains("the daemon does not answer"), "{missing}");
    assert!(files["motion-email-support/log/combined.log"].contains("motion-email stops"));
}
