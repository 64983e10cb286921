//! Access tokens that die: mail keeps flowing, and nobody notices.
//!
//! `MOTION_TOKEN_SECONDS` (default 8) and `MOTION_TOKEN_RUN` (default 40 seconds) make it the long form:
//! 60 and 300.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{CuttingProxy, Daemon, Engine, eventually, mail};

fn seconds(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_cut_at_token_expiry_cost_no_error_line_and_no_late_mail() {
    let (life, run) = (
        seconds("MOTION_TOKEN_SECONDS", 8),
        seconds("MOTION_TOKEN_RUN", 40),
    );
    let daemon = Daemon::start(Engine::Sqlite, &[]).await;
    let proxy = CuttingProxy::imap(&daemon.lab).await;
    let user = daemon.lab.fresh_mailbox("hourly");
    let list = daemon.add_list().await;
    let (provider, client) = daemon
        .add_provider(&user, u32::try_from(life).expect("seconds"))
        .await;
    let mut body = daemon.account_body(
        list,
        "TOKEN",
        &user,
        json!({
            "authentication": "modern", "CloudProviderId": provider, "username": user,
        }),
    );
    body["imap"]["port"] = json!(proxy.port);
    let account = daemon.api.post("/api/mail/accounts", &body).await["id"]
        .as_i64()
        .expect("id");
    daemon.wait_lane(account, "inbound", "ready").await;

    let mut lmtp = mail::Lmtp::open(&daemon.lab).await;
    let mut latest = Duration::ZERO;
    let mut delivered = 0u64;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(run) {
        let text = mail::plain_mail(
            "c@customer.example",
            &user,
            &format!("t{delivered}@x.example"),
            "Q",
            "x",
        );
        lmtp.deliver("c@customer.example", &user, &text).await;
        delivered += 1;
        let taken = Instant::now();
        let path = format!("/api/mail/messages?AccountId={account}&limit=1");
        eventually(
            "the mail is in the store",
            Duration::from_secs(10),
            || async {
                let count = daemon.api.get(&path).await["count"].as_u64();
                if count == Some(delivered) {
                    Ok(())
                } else {
                    Err(format!("{count:?} of {delivered}"))
                }
            },
        )
        .await;
        latest = latest.max(taken.elapsed());
    }
    let refreshes = daemon.lab.counters().await["refreshesByClient"][&client]
        .as_u64()
        .unwrap_or(0);
    println!(
        "{delivered} mails in {run} s, tokens of {life} s: {refreshes} refreshes, {} connections cut at expiry, latest arrival {latest:?}",
        proxy.cuts()
    );
    assert!(
        refreshes >= run / life,
        "{refreshes} refreshes in {run} s with tokens of {life} s"
    );
    assert!(
        latest <= Duration::from_secs(2),
        "an arrival took {latest:?}"
    );
    assert_eq!(daemon.error_log(), "", "no error line");
    // Ended sessions are replaced before their token dies, so the proxy has nothing left to cut.
}

/// Fault 47 in first form: killed before the request, the refresh is simply done again; killed between the
/// platform's answer and its commit, with a platform that forgives no second use, a person is asked to sign
/// in again, and nothing else is lost.
#[tokio::test(flavor = "multi_thread")]
async fn killed_around_a_refresh_the_grant_goes_on_or_asks_for_one_sign_in() {
    for (point, survives) in [
        ("token.before_request", true),
        ("token.after_answer", false),
    ] {
        let mut daemon = Daemon::start(Engine::Sqlite, &[("XC_EMAIL_PARKED_RETRY", "1s")]).await;
        let user = daemon.lab.fresh_mailbox("refresh");
        let list = daemon.add_list().await;
        let (provider, _) = daemon.add_provider(&user, 5).await;
        let body = daemon.account_body(
            list,
            "REFR",
            &user,
            json!({
                "authentication": "modern", "CloudProviderId": provider, "username": user,
            }),
        );
        let account = daemon.api.post("/api/mail/accounts", &body).await["id"]
            .as_i64()
            .expect("id");
        daemon.wait_lane(account, "inbound", "ready").await;
        daemon.kill();
        daemon.environment = vec![(
            "MOTION_EMAIL_FAIL_POINT".to_owned(),
            format!("{point}=kill@1"),
        )];
        daemon.spawn();
        // Tokens of five seconds: the next refresh is near, and it kills the process.
        let status = daemon.wait_end(Duration::from_secs(20)).await;
        assert_eq!(
            std::os::unix::process::ExitStatusExt::signal(&status),
            Some(9),
            "{point}"
        );
        daemon.environment.clear();
        daemon.launch().await;
        if !survives {
            eventually(
                "a sign-in is asked for",
                Duration::from_secs(20),
                || async {
                    let seen = daemon.lane(account, "inbound").await;
                    let asked = seen == ("parked".to_owned(), Some("sign_in_needed".to_owned()));
                    if asked {
                        Ok(())
                    } else {
                        Err(format!("{seen:?}"))
                    }
                },
            )
            .await;
            daemon.sign_in(provider, &user).await;
        }
        daemon.wait_lane(account, "inbound", "ready").await;
        let mut lmtp = mail::Lmtp::open(&daemon.lab).await;
        let text = mail::plain_mail("c@customer.example", &user, "after@x.example", "Q", "x");
        lmtp.deliver("c@customer.example", &user, &text).await;
        eventually("mail flows", Duration::from_secs(10), || async {
            let rows = daemon
                .api
                .rows(&format!("/api/mail/messages?AccountId={account}"))
                .await;
            if rows.len() == 1 {
                Ok(())
            } else {
                Err(format!("{}", rows.len()))
            }
        })
        .await;
    }
}
