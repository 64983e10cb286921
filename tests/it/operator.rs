//! What an operator does and sees: levels, signals, and one clear line for each thing that is wrong.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Daemon, Engine, eventually, mail};

#[tokio::test(flavor = "multi_thread")]
async fn a_level_edited_in_the_env_file_counts_after_sighup() {
    let mut daemon = Daemon::start(Engine::Sqlite, &[("XC_DEBUG_LEVEL", "'info'")]).await;
    assert_eq!(daemon.api.get("/api/log-level").await["level"], "INFO");
    assert!(
        !daemon.combined_log().contains("[DEBUG]"),
        "{}",
        daemon.combined_log()
    );
    daemon.change_setting("XC_DEBUG_LEVEL", "debug");
    daemon.signal("HUP");
    eventually("the level is DEBUG", Duration::from_secs(5), || async {
        let level = daemon.api.get("/api/log-level").await["level"].clone();
        if level == "DEBUG" {
            Ok(())
        } else {
            Err(level.to_string())
        }
    })
    .await;
    daemon.change_setting("XC_EMAIL_LISTEN", "127.0.0.1:1");
    daemon.signal("HUP");
    eventually(
        "a setting that needs a restart is named",
        Duration::from_secs(5),
        || async {
            let log = daemon.combined_log();
            if log.contains("needs a restart") && log.contains("XC_EMAIL_LISTEN") {
                Ok(())
            } else {
                Err(log)
            }
        },
    )
    .await;
    daemon.change_setting("XC_DEBUG_LEVEL", "LOUD");
    daemon.signal("HUP");
    eventually(
        "a mistake is named with file and line",
        Duration::from_secs(5),
        || async {
            let log = daemon.error_log();
            if log.contains("motion-email.env:") && log.contains("XC_DEBUG_LEVEL") {
                Ok(())
            } else {
                Err(log)
            }
        },
    )
    .await;
    assert_eq!(
        daemon.api.get("/api/log-level").await["level"],
        "DEBUG",
        "a bad file changes nothing"
    );
}

/// Fault 53 and bad input 69: signals in the first milliseconds, floods of them, and two SIGTERMs.
#[tokio::test(flavor = "multi_thread")]
async fn signals_at_any_moment_end_or_reload_and_never_crash() {
    let mut daemon = Daemon::start(Engine::Sqlite, &[]).await;
    for _ in 0..50 {
        for name in ["HUP", "USR1", "PIPE"] {
            daemon.signal(name);
        }
    }
    assert_eq!(
        daemon.api.get("/api/log-level").await["level"],
        "DEBUG",
        "alive after the flood"
    );
    assert!(daemon.stop().await.success(), "an orderly stop exits 0");
    for pause in [0, 1, 3, 6, 10, 30, 80] {
        daemon.spawn();
        tokio::time::sleep(Duration::from_millis(pause)).await;
        daemon.signal("TERM");
        let status = daemon.wait_end(Duration::from_secs(26)).await;
        // Before the handler stands, SIGTERM's own action ends the process; later it is an orderly stop.
        let by_signal = std::os::unix::process::ExitStatusExt::signal(&status);
        assert!(
            status.success() || by_signal == Some(15),
            "after {pause} ms: {status}"
        );
    }
    daemon.launch().await;
    daemon.signal("TERM");
    daemon.signal("TERM");
    daemon.wait_end(Duration::from_secs(5)).await;
    daemon.launch().await;
    assert_eq!(
        daemon.api.get("/api/status").await["accounts"]
            .as_array()
            .map(Vec::len),
        Some(0)
    );
}

/// A wrong client secret, a wrong host, a refused password, a certificate of another name: each parks its
/// account with one clear error line and the next step, and the account beside them works.
#[tokio::test(flavor = "multi_thread")]
async fn each_thing_that_is_wrong_gives_one_clear_line_and_the_others_work() {
    let daemon = Daemon::start(Engine::Sqlite, &[("XC_EMAIL_PARKED_RETRY", "1s")]).await;
    let list = daemon.add_list().await;
    let good = daemon.lab.fresh_mailbox("good");
    let good_account = daemon.add_password_account(list, "GOOD", &good).await;

    let password = |word: &str| json!({"authentication": "password", "username": daemon.lab.fresh_mailbox(word), "password": "wrong"});
    let add = |key: &'static str, more: Value, change: fn(&Daemon, &mut Value)| {
        let mut body = daemon.account_body(list, key, &daemon.lab.fresh_mailbox("bad"), more);
        change(&daemon, &mut body);
        let api = daemon.api.clone();
        async move {
            api.post("/api/mail/accounts", &body).await["id"]
                .as_i64()
                .expect("id")
        }
    };
    let good_password = json!({"authentication": "password", "username": daemon.lab.fresh_mailbox("x"), "password": daemon.lab.get("LAB_PASSWORD")});

    let refused = add("PASS", password("pass"), |_, _| {}).await;
    let no_host = add("HOST", good_password.clone(), |_, body| {
        body["imap"]["host"] = json!("no-such-host.invalid");
        body["smtp"]["host"] = json!("no-such-host.invalid");
    })
    .await;
    let wrong_name = add("CERT", good_password, |daemon, body| {
        body["imap"]["host"] = json!(daemon.lab.get("WRONG_HOST"));
        body["imap"]["port"] = json!(daemon.lab.port("IMAPS_WRONG_PORT"));
        body["smtp"] = json!({"host": daemon.lab.get("WRONG_HOST"), "port": daemon.lab.port("SMTPS_WRONG_PORT"), "tls": "tls"});
    })
    .await;
    // The secret goes bad after the sign-in, with tokens of five seconds.
    let user = daemon.lab.fresh_mailbox("secret");
    let (provider, client) = daemon.add_provider(&user, 5).await;
    let modern = json!({"authentication": "modern", "CloudProviderId": provider, "username": user});
    let body = daemon.account_body(list, "SECR", &user, modern);
    let bad_secret = daemon.api.post("/api/mail/accounts", &body).await["id"]
        .as_i64()
        .expect("id");
    daemon.wait_lane(bad_secret, "inbound", "ready").await;
    daemon
        .lab
        .control(&format!("secret?client={client}&secret=another-{client}"))
        .await;

    let cases = [
        (
            refused,
            "PASS",
            "imap_password_refused",
            "smtp_password_refused",
        ),
        (no_host, "HOST", "host_not_found", "host_not_found"),
        (wrong_name, "CERT", "tls_wrong_name", "tls_wrong_name"),
        (
            bad_secret,
            "SECR",
            "oauth_client_secret_refused",
            "oauth_client_secret_refused",
        ),
    ];
    for (account, key, inbound, outbound) in cases {
        for (lane, code) in [("inbound", inbound), ("outbound", outbound)] {
            eventually(
                &format!("{key} {lane} is parked"),
                Duration::from_secs(40),
                || async {
                    if account == bad_secret {
                        // Exchange ends a session with its token, Dovecot does not: ended here, and both lanes asked.
                        daemon.lab.kick(&user);
                        daemon
                            .api
                            .post(&format!("/api/mail/accounts/{account}/sync"), &json!({}))
                            .await;
                    }
                    let seen = daemon.lane(account, lane).await;
                    let parked = seen.0 == "parked" && seen.1.as_deref() == Some(code);
                    if parked {
                        Ok(())
                    } else {
                        Err(format!("{seen:?}"))
                    }
                },
            )
            .await;
        }
        let shown = daemon
            .api
            .get(&format!("/api/mail/accounts/{account}"))
            .await;
        assert!(
            shown["status"]["inbound"]["next"]
                .as_str()
                .is_some_and(|next| next.len() > 20),
            "{key} names the next step: {shown}"
        );
    }
    // Several parked tries later there is still one line for each lane of each account.
    for (_, key, inbound, _) in cases {
        let log = daemon.error_log();
        let lines: Vec<&str> = log
            .lines()
            .filter(|line| {
                line.contains(&format!("account={key} ")) && line.contains("mailbox cannot be read")
            })
            .collect();
        assert_eq!(lines.len(), 1, "one error line for {key}: {lines:#?}");
        assert!(
            lines[0].contains(inbound) && lines[0].contains("next="),
            "{}",
            lines[0]
        );
        assert!(
            !log.contains("wrong\"") && !log.contains("another-"),
            "no secret in the log"
        );
    }
    // The account beside them works.
    let mut lmtp = mail::Lmtp::open(&daemon.lab).await;
    let text = mail::plain_mail("c@customer.example", &good, "good@x.example", "Q", "x");
    lmtp.deliver("c@customer.example", &good, &text).await;
    eventually(
        "the good account's mail",
        Duration::from_secs(10),
        || async {
            let rows = daemon
                .api
                .rows(&format!("/api/mail/messages?AccountId={good_account}"))
                .await;
            if rows.len() == 1 {
                Ok(())
            } else {
                Err(format!("{}", rows.len()))
            }
        },
    )
    .await;
    // Healed by the operator, it runs without a restart.
    let new_secret = json!({"clientSecret": format!("another-{client}")});
    daemon
        .api
        .post(
            &format!("/api/cloudProviders/{provider}/secret"),
            &new_secret,
        )
        .await;
    daemon.wait_lane(bad_secret, "inbound", "ready").await;
    daemon.wait_lane(bad_secret, "outbound", "ready").await;
}
