//! The whole story by the shipped command line alone, as an administrator would do it.

use std::time::Duration;

use serde_json::Value;

use crate::support::{Daemon, Engine, eventually, mail};

fn ok(daemon: &Daemon, args: &[&str]) -> String {
    let output = daemon.cli(args);
    assert!(
        output.status.success(),
        "{args:?}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn json(daemon: &Daemon, args: &[&str]) -> Value {
    let text = ok(daemon, &[args, &["--json"]].concat());
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{args:?} --json: {error}: {text}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_connects_a_mailbox_reads_and_answers_by_commands_alone() {
    let daemon = Daemon::start(Engine::Sqlite, &[]).await;
    let lab = &daemon.lab;
    let user = lab.fresh_mailbox("team");
    let customer = lab.fresh_mailbox("customer");
    let (client, secret) = lab.client(300).await;
    let secret_file = daemon.path("secret");
    std::fs::write(&secret_file, format!("{secret}\n")).expect("secret file");
    let redirect = format!("{}{}", daemon.url(), lab.get("CALLBACK_PATH"));
    let provider = json(
        &daemon,
        &[
            "provider",
            "add",
            "--name",
            "Entra",
            "--service",
            "microsoft",
            "--type",
            "Outlook365",
            "--application-id",
            &client,
            "--tenant-id",
            lab.get("TENANT"),
            "--client-secret-file",
            secret_file.to_str().expect("path"),
            "--redirect-uri",
            &redirect,
            "--authority",
            lab.get("AUTHORITY"),
        ],
    );
    let provider_id = provider["id"].to_string();
    let begun = json(
        &daemon,
        &["provider", "authenticate", &provider_id, "--no-wait"],
    );
    lab.sign_in(&user, begun["authorizeUrl"].as_str().expect("authorizeUrl"))
        .await;
    let shown = ok(&daemon, &["provider", "show", &provider_id]);
    assert!(shown.contains(&user) && !shown.contains(&secret), "{shown}");

    let list_id = json(&daemon, &["list", "add", "--name", "Customers"])["id"].to_string();
    let (imap, smtp) = (lab.get("IMAPS_PORT"), lab.get("SUBMISSION_PORT"));
    json(
        &daemon,
        &[
            "account",
            "add",
            "--name",
            "Team",
            "--key",
            "team",
            "--address",
            &user,
            "--list",
            &list_id,
            "--service",
            "custom",
            "--provider",
            &provider_id,
            "--user",
            &user,
            "--imap-host",
            "127.0.0.1",
            "--imap-port",
            imap,
            "--imap-tls",
            "tls",
            "--smtp-host",
            "127.0.0.1",
            "--smtp-port",
            smtp,
            "--smtp-tls",
            "starttls",
        ],
    );
    eventually(
        "status shows both lanes ready",
        Duration::from_secs(20),
        || async {
            let text = ok(&daemon, &["status"]);
            if text.matches("ready").count() >= 2 {
                Ok(())
            } else {
                Err(text)
            }
        },
    )
    .await;

    let mut lmtp = mail::Lmtp::open(lab).await;
    let question = mail::plain_mail(&customer, &user, "q1@x.example", "Opening hours?", "When?");
    lmtp.deliver(&customer, &user, &question).await;
    let message = eventually("the mail is listed", Duration::from_secs(10), || async {
        let rows = json(&daemon, &["message", "list", "--account", "TEAM"]);
        let id = rows["rows"][0]["id"].as_i64();
        id.map(|id| id.to_string()).ok_or_else(|| rows.to_string())
    })
    .await;
    assert!(ok(&daemon, &["message", "show", &message]).contains("Opening hours?"));
    assert!(ok(&daemon, &["message", "raw", &message]).contains("Message-ID: <q1@x.example>"));
    assert!(ok(&daemon, &["contact", "list"]).contains(&customer));

    let sent = json(
        &daemon,
        &[
            "send",
            "--account",
            "TEAM",
            "--to",
            &customer,
            "--subject",
            "Re: Opening hours?",
            "--text",
            "Nine to five.",
            "--reply-to-message",
            &message,
        ],
    );
    let outbox = sent["id"].to_string();
    eventually("the reply is sent", Duration::from_secs(15), || async {
        let text = ok(&daemon, &["outbox", "show", &outbox]);
        if text.contains("sent") {
            Ok(())
        } else {
            Err(text)
        }
    })
    .await;
    assert!(ok(&daemon, &["outbox", "list"]).contains("Re: Opening hours?"));

    ok(&daemon, &["account", "pause", "TEAM"]);
    assert_eq!(json(&daemon, &["account", "show", "TEAM"])["paused"], true);
    ok(&daemon, &["account", "resume", "TEAM"]);
    ok(&daemon, &["account", "edit", "TEAM", "--name", "The Team"]);
    assert_eq!(
        json(&daemon, &["account", "show", "TEAM"])["name"],
        "The Team"
    );
    ok(&daemon, &["log-level", "WARN"]);
    assert_eq!(daemon.api.get("/api/log-level").await["level"], "WARN");
    let env_file = daemon.env_file();
    let log = ok(
        &daemon,
        &[
            "logs",
            "--env-file",
            env_file.to_str().expect("path"),
            "--account",
            "TEAM",
        ],
    );
    assert!(log.contains("account=TEAM"), "{log}");
    ok(&daemon, &["account", "remove", "TEAM"]);
    ok(&daemon, &["provider", "remove", &provider_id]);

    let refused = daemon.cli(&["account", "show", "NONE"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_tells_what_is_good_and_a_missing_daemon_is_named() {
    let daemon = Daemon::prepare(Engine::Sqlite, &[]).await;
    let env_file = daemon.env_file();
    let said = ok(
        &daemon,
        &["check", "--env-file", env_file.to_str().expect("path")],
    );
    assert!(said.contains("database: good"), "{said}");
    let absent = daemon.cli(&["status"]);
    assert_eq!(absent.status.code(), Some(69));
    let text = String::from_utf8_lossy(&absent.stderr).into_owned();
    assert!(text.contains("running"), "{text}");
}
