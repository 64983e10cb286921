//! What becomes of an account whose server's name is in trouble, with a real resolver and a name server of the
//! test's own.

use std::{net::Ipv4Addr, time::Duration};

use serde_json::json;

use crate::support::{
    daemon::{Daemon, Engine},
    dns::{
        Answer::{Address, NxDomain, ServFail},
        NameServer,
    },
    wait::eventually,
};

const NAME: &str = "mail.fault44.test";
const AT_ONCE: Duration = Duration::ZERO;

async fn wait_code(daemon: &Daemon, account: i64, codes: &[&str]) {
    eventually(
        &format!("the inbound lane says one of {codes:?}"),
        Duration::from_secs(60),
        || async {
            match daemon.lane(account, "inbound").await.1 {
                Some(code) if codes.contains(&&*code) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        },
    )
    .await;
}

/// Fault 44: NXDOMAIN, SERVFAIL, an answer after 10 s, an address that changes.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_in_trouble_is_asked_for_again_with_growing_waits_and_its_account_comes_back_by_itself()
 {
    // Its own for each run: all of them want port 53.
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let address = Ipv4Addr::new(127, 44, high, low.max(1));
    let names = NameServer::start(address, NxDomain).await;
    let mut daemon = Daemon::prepare(Engine::Sqlite, &[]).await;
    let allowed = format!("{},{NAME}", daemon.setting("XC_EMAIL_ALLOW_HOSTS"));
    daemon.change_setting("XC_EMAIL_ALLOW_HOSTS", &allowed);
    let resolver = daemon.path("resolv.conf");
    // One question, and patience for a slow answer.
    let text = format!("nameserver {address}\noptions timeout:25 attempts:1\n");
    std::fs::write(&resolver, text).expect("a file");
    daemon.in_namespace(
        "--mount",
        &format!("mount --bind {} /etc/resolv.conf", resolver.display()),
    );
    daemon.launch().await;
    let list = daemon.add_list().await;
    let other = daemon.lab.fresh_mailbox("nodns");
    let other = daemon.add_password_account(list, "OTHER", &other).await;
    let mailbox = daemon.lab.fresh_mailbox("dns");
    let port = daemon.lab.port("IMAPS_PORT");
    let named = daemon.account_body(
        list,
        "NAMED",
        &mailbox,
        json!({
            "authentication": "password", "username": mailbox, "password": daemon.lab.get("LAB_PASSWORD"),
            "imap": {"host": NAME, "port": port, "tls": "tls", "verify": "accept_any"},
        }),
    );
    let named = daemon.api.post("/api/mail/accounts", &named).await["id"]
        .as_i64()
        .expect("id");
    let good = daemon
        .lab
        .get("LAB_HOST")
        .parse()
        .unwrap_or(Ipv4Addr::LOCALHOST);

    // No such name, then there is: nobody does anything here.
    wait_code(&daemon, named, &["host_not_found"]).await;
    names.says(Address(good, AT_ONCE));
    daemon.wait_lane(named, "inbound", "ready").await;

    // Again from the beginning: a resolver that fails, then an address at which nobody listens, then the right one,
    // slowly.
    let path = format!("/api/mail/accounts/{named}");
    names.says(ServFail);
    daemon.api.post(&format!("{path}/pause"), &json!({})).await;
    daemon.wait_lane(named, "inbound", "stopped").await;
    let before = names.questions();
    daemon.api.post(&format!("{path}/resume"), &json!({})).await;
    wait_code(&daemon, named, &["host_not_found", "host_lookup_silent"]).await;
    let seen = daemon.lane(named, "inbound").await;
    assert_eq!(seen.0, "waiting", "{seen:?}");
    names.says(Address(Ipv4Addr::new(127, 45, 0, 99), AT_ONCE));
    wait_code(&daemon, named, &["host_refused"]).await;
    names.says(Address(good, Duration::from_secs(10)));
    eventually(
        "the account is read again",
        Duration::from_secs(60),
        || async {
            match daemon.lane(named, "inbound").await {
                (state, None) if state == "ready" => Ok(()),
                other => Err(format!("{other:?}")),
            }
        },
    )
    .await;
    let asked = names.questions() - before;
    assert!(asked <= 16, "{asked} questions: that is no back-off");
    // Nobody else noticed, and mail comes.
    let (state, code) = daemon.lane(other, "inbound").await;
    assert_eq!((state.as_str(), code), ("ready", None));
    assert!(daemon.stop().await.success());
}
