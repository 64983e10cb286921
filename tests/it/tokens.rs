//! Access tokens that die: mail keeps flowing, and nobody notices.
//!
//! `MOTION_TOKEN_SECONDS` (default 8) and `MOTION_TOKEN_RUN` (default 40 seconds) make it the long form:
//! 60 and 300.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{CuttingProxy, Daemon, Engine, IdentityPlatform, eventually, mail};

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

/// Fault 47 with the certified provider, which takes no refresh token twice: killed anywhere around a refresh
/// the grant goes on, but between the platform's answer and the journal, where the new refresh token is lost:
/// a person is then asked to sign in, with that reason, and nothing else is lost.
#[tokio::test(flavor = "multi_thread")]
async fn killed_around_a_refresh_the_grant_goes_on_or_asks_for_one_sign_in() {
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
    for (round, point) in TOKEN_POINTS.into_iter().enumerate() {
        daemon.wait_lane(account, "inbound", "ready").await;
        kill_at(&mut daemon, point).await;
        daemon.launch().await;
        if LOSES.contains(&point) {
            sign_in_is_asked_for(&daemon, provider).await;
            // A session that is open stays open as long as the server lets it, so either lane may be the
            // one that shows it first.
            eventually(
                "the account asks for a sign-in",
                Duration::from_secs(20),
                || async {
                    let asks = ("parked".to_owned(), Some("sign_in_needed".to_owned()));
                    let seen = [
                        daemon.lane(account, "inbound").await,
                        daemon.lane(account, "outbound").await,
                    ];
                    if seen.contains(&asks) {
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
        daemon.wait_lane(account, "outbound", "ready").await;
        let mut lmtp = mail::Lmtp::open(&daemon.lab).await;
        let id = format!("after-{round}@x.example");
        let text = mail::plain_mail("c@customer.example", &user, &id, "Q", "x");
        lmtp.deliver("c@customer.example", &user, &text).await;
        eventually("mail flows", Duration::from_secs(10), || async {
            let rows = daemon
                .api
                .rows(&format!("/api/mail/messages?AccountId={account}"))
                .await;
            if rows.len() == round + 1 {
                Ok(())
            } else {
                Err(format!("{point}: {}", rows.len()))
            }
        })
        .await;
    }
}

/// The steps of a refresh, in order.
const TOKEN_POINTS: [&str; 7] = [
    "token.before_begin",
    "token.before_request",
    "token.after_answer",
    "token.in_journal",
    "token.after_journal",
    "token.after_commit",
    "token.after_drop",
];

/// The only ones at which a platform that takes no token twice has given something away that nobody has: between
/// the answer and its last octet in the journal.
const LOSES: [&str; 2] = ["token.after_answer", "token.in_journal"];

/// Starts the daemon anew so that its next refresh kills it there.
async fn kill_at(daemon: &mut Daemon, point: &str) {
    // In order: a kill could meet a refresh at any point, and this one is about one of them.
    if !daemon.has_ended() {
        daemon.stop().await;
    }
    daemon.environment = vec![(
        "MOTION_EMAIL_FAIL_POINT".to_owned(),
        format!("{point}=kill@1"),
    )];
    daemon.spawn();
    let status = daemon.wait_end(Duration::from_secs(20)).await;
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&status),
        Some(9),
        "{point}"
    );
    daemon.environment.clear();
}

/// Within ten seconds the grant says that a person has to sign in, and why.
async fn sign_in_is_asked_for(daemon: &Daemon, provider: i64) {
    let path = format!("/api/cloudProviders/{provider}");
    eventually(
        "the grant asks for a sign-in and says why",
        Duration::from_secs(10),
        || async {
            let grant = daemon.api.get(&path).await["grant"].clone();
            let reason = grant["reason"].as_str().unwrap_or_default();
            let says = reason.contains("the answer to an earlier refresh was lost")
                && reason.contains("invalid_grant");
            if grant["state"] == "needs_sign_in" && says {
                Ok(())
            } else {
                Err(grant.to_string())
            }
        },
    )
    .await;
}

/// A provider at the test's own platform, signed in.
pub async fn add_scripted(daemon: &Daemon, platform: &IdentityPlatform) -> i64 {
    let provider = daemon
        .api
        .post(
            "/api/cloudProviders",
            &json!({
                "name": "Scripted", "service": "microsoft", "applicationId": "app", "tenantId": "tenant",
                "clientSecret": "s", "authority": platform.authority,
                "redirectUri": format!("{}{}", daemon.url(), daemon.lab.get("CALLBACK_PATH")),
            }),
        )
        .await["id"]
        .as_i64()
        .expect("id");
    sign_in_scripted(daemon, provider).await;
    provider
}

/// A person signs in at the test's own platform, which has no pages.
async fn sign_in_scripted(daemon: &Daemon, provider: i64) {
    let path = format!("/api/cloudProviders/{provider}/authenticate");
    let begun = daemon.api.post(&path, &json!({})).await;
    let url = reqwest::Url::parse(begun["authorizeUrl"].as_str().expect("authorizeUrl"));
    let url = url.expect("a URL");
    let (_, state) = url
        .query_pairs()
        .find(|(name, _)| name == "state")
        .expect("a state");
    let callback = format!(
        "{}{}?code=c&state={state}",
        daemon.url(),
        daemon.lab.get("CALLBACK_PATH")
    );
    let answer = reqwest::get(callback).await.expect("answers");
    assert!(answer.status().is_success(), "{}", answer.status());
}

/// The grant's state and newest token's expiry.
async fn grant_of(daemon: &Daemon, provider: i64) -> (String, String) {
    let path = format!("/api/cloudProviders/{provider}");
    let grant = daemon.api.get(&path).await["grant"].clone();
    let word = |name: &str| grant[name].as_str().unwrap_or_default().to_owned();
    (word("state"), word("accessExpiresAt"))
}

/// Kills at each step of a refresh, one after the other. With a grace nothing is ever lost; without, only
/// between the answer and the journal. The platform sees a replaced token again only there.
async fn killed_at_each_step_of_a_refresh(engine: Engine, grace: Duration) {
    let platform = IdentityPlatform::start(Duration::from_secs(2), grace).await;
    let mut daemon = Daemon::start(engine, &[]).await;
    let provider = add_scripted(&daemon, &platform).await;
    for point in TOKEN_POINTS {
        for attempt in 1.. {
            let reused = platform.reuses();
            kill_at(&mut daemon, point).await;
            let killed = Instant::now();
            daemon.launch().await;
            let lost = LOSES.contains(&point) && (grace.is_zero() || platform.revoked());
            if lost {
                sign_in_is_asked_for(&daemon, provider).await;
                assert_eq!(platform.reuses(), reused + 1, "one try, never more");
                sign_in_scripted(&daemon, provider).await;
            }
            let refreshes = platform.refreshes();
            eventually(
                "the grant is well and refreshed further",
                Duration::from_secs(20),
                || async {
                    let seen = grant_of(&daemon, provider).await;
                    if seen.0 == "ok" && platform.refreshes() >= refreshes + 2 {
                        Ok(())
                    } else {
                        Err(format!("{point}: {seen:?}"))
                    }
                },
            )
            .await;
            if lost && !grace.is_zero() {
                // The machine was too busy to be back within the grace: that proves nothing.
                assert!(
                    killed.elapsed() > grace,
                    "{point}: lost although it was in time"
                );
                assert!(attempt < 5, "never back within the grace");
                continue;
            }
            let expected = usize::from(LOSES.contains(&point));
            assert_eq!(platform.reuses(), reused + expected, "{point}");
            break;
        }
    }
    // It is refreshed all the time: at a look it may just be under way.
    eventually("the grant is well", Duration::from_secs(20), || async {
        let seen = grant_of(&daemon, provider).await;
        if seen.0 == "ok" {
            Ok(())
        } else {
            Err(format!("{seen:?}"))
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_each_step_of_a_refresh_only_the_unwritten_answer_is_lost_on_sqlite() {
    // Fault 47, no grace.
    killed_at_each_step_of_a_refresh(Engine::Sqlite, Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_each_step_of_a_refresh_only_the_unwritten_answer_is_lost_on_mariadb() {
    // Fault 47, no grace.
    killed_at_each_step_of_a_refresh(Engine::MariaDb, Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_each_step_of_a_refresh_nothing_is_lost_where_the_platform_gives_five_seconds() {
    // Fault 47, grace of five seconds.
    let grace = Duration::from_secs(5);
    killed_at_each_step_of_a_refresh(Engine::Sqlite, grace).await;
    killed_at_each_step_of_a_refresh(Engine::MariaDb, grace).await;
}

/// A full disk under the journal, with the database elsewhere: the answer is committed without it, loudly; and is
/// journalled again when there is room.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_under_the_token_journal_costs_no_grant() {
    // The real thing: a file system of the daemon's own, filled to the last block.
    let platform = IdentityPlatform::start(Duration::from_secs(2), Duration::ZERO).await;
    let mut daemon = Daemon::start(Engine::MariaDb, &[]).await;
    let provider = add_scripted(&daemon, &platform).await;
    let journal = daemon.path("data").join("token-journal");
    let file = journal.join(provider.to_string());
    eventually("the journal is used", Duration::from_secs(20), || async {
        if file.exists() {
            Ok(())
        } else {
            Err("not yet".to_owned())
        }
    })
    .await;
    // In order: a kill could meet a refresh whose answer nobody has yet.
    daemon.stop().await;
    let journal = journal.display();
    daemon.in_namespace(
        "--mount",
        &format!(
            "mount -t tmpfs -o size=8k,mode=700 none {journal} && : > {journal}/{provider} \
             && ! head -c 64k /dev/zero 2>/dev/null > {journal}/filler"
        ),
    );
    daemon.launch().await;
    let refreshes = platform.refreshes();
    eventually(
        "the grant is refreshed further",
        Duration::from_secs(20),
        || async {
            let seen = grant_of(&daemon, provider).await;
            if seen.0 == "ok" && platform.refreshes() >= refreshes + 3 {
                Ok(())
            } else {
                Err(format!("{seen:?}"))
            }
        },
    )
    .await;
    let errors = daemon.error_log();
    let said = "the answer to a refresh is not in the token journal";
    assert!(
        errors.contains(said) && errors.contains("No space left on device"),
        "{errors}"
    );
    let inside = format!("/proc/{}/root{journal}", daemon.pid());
    std::fs::remove_file(format!("{inside}/filler")).expect("room is made");
    let lines = || daemon.error_log().matches(said).count();
    let refreshes = platform.refreshes();
    eventually(
        "it is refreshed with room",
        Duration::from_secs(20),
        || async {
            let now = platform.refreshes();
            if now >= refreshes + 2 {
                Ok(())
            } else {
                Err(now.to_string())
            }
        },
    )
    .await;
    // At most the one that was under way when room was made.
    let (before, refreshes) = (lines(), platform.refreshes());
    eventually("and refreshed further", Duration::from_secs(20), || async {
        let now = platform.refreshes();
        if now >= refreshes + 2 {
            Ok(())
        } else {
            Err(now.to_string())
        }
    })
    .await;
    assert_eq!(lines(), before, "the journal is written again");
    assert_eq!(grant_of(&daemon, provider).await.0, "ok");
    assert_eq!(platform.reuses(), 0);
}

/// One provider serves fifty accounts: when its token has ended, all of them together cause one request.
#[tokio::test(flavor = "multi_thread")]
async fn fifty_accounts_on_one_grant_are_served_by_one_refresh() {
    const ACCOUNTS: usize = 50;
    // All of them read one mailbox, which has so many connections for this once.
    let connections = [
        ("XC_EMAIL_IMAP_CONNECTIONS", "60"),
        ("XC_EMAIL_SMTP_CONNECTIONS", "60"),
    ];
    let mut daemon = Daemon::start(Engine::Sqlite, &connections).await;
    let user = daemon.lab.fresh_mailbox("fifty");
    let list = daemon.add_list().await;
    // The first token is short, so that it has ended soon.
    let (client, secret) = daemon.lab.client(5).await;
    let provider = daemon
        .api
        .post("/api/cloudProviders", &json!({
            "name": "Fifty", "service": "microsoft", "applicationId": client, "clientSecret": secret,
            "tenantId": daemon.lab.get("TENANT"), "authority": daemon.lab.get("AUTHORITY"),
            "redirectUri": format!("{}{}", daemon.url(), daemon.lab.get("CALLBACK_PATH")),
        }))
        .await["id"]
        .as_i64()
        .expect("id");
    let mut accounts = Vec::new();
    for number in 0..ACCOUNTS {
        let modern =
            json!({"authentication": "modern", "CloudProviderId": provider, "username": user});
        let body = daemon.account_body(list, &format!("N{number}"), &user, modern);
        let added = daemon.api.post("/api/mail/accounts", &body).await;
        accounts.push(added["id"].as_i64().expect("id"));
    }
    daemon.sign_in(provider, &user).await;
    let (_, expires) = grant_of(&daemon, provider).await;
    daemon.stop().await;
    daemon
        .lab
        .control(&format!("client?client={client}&secret={secret}&ttl=300"))
        .await;
    let counters = daemon.lab.counters().await;
    let before = counters["refreshesByClient"][&client].as_u64().unwrap_or(0);
    eventually("the token has ended", Duration::from_secs(20), || async {
        let now = motion_email::model::Clock::now(&motion_email::model::SystemClock).rfc3339();
        if now > expires { Ok(()) } else { Err(now) }
    })
    .await;
    daemon.launch().await;
    for account in &accounts {
        daemon.wait_lane(*account, "inbound", "ready").await;
        daemon.wait_lane(*account, "outbound", "ready").await;
    }
    let counters = daemon.lab.counters().await;
    let after = counters["refreshesByClient"][&client].as_u64();
    assert_eq!(after, Some(before + 1), "{ACCOUNTS} accounts, one refresh");
    assert_eq!(grant_of(&daemon, provider).await.0, "ok");
}
