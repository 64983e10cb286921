//! The ways to a mail server: proxies, and each way of judging its certificate.

use std::{path::Path, time::Duration};

use openssl::{hash::MessageDigest, x509::X509};
use serde_json::{Value, json};

use crate::support::{
    Daemon, Engine, Lab, eventually, mail,
    proxy::{PASSWORD, Proxy},
};

/// An account on servers that only the proxy can name.
fn through(daemon: &Daemon, list: i64, key: &str, mailbox: &str, more: Value) -> Value {
    let mut body = daemon.account_body(
        list,
        key,
        mailbox,
        json!({
            "authentication": "password", "username": mailbox, "password": daemon.lab.get("LAB_PASSWORD"),
            "imap": {"host": "imap.lab.test", "port": daemon.lab.port("IMAPS_PORT"), "tls": "tls"},
            "smtp": {"host": "smtp.lab.test", "port": daemon.lab.port("SUBMISSION_PORT"), "tls": "starttls"},
        }),
    );
    let fields = body.as_object_mut().expect("object");
    fields.extend(more.as_object().expect("object").clone());
    body
}

async fn add(daemon: &Daemon, body: &Value) -> i64 {
    daemon.api.post("/api/mail/accounts", body).await["id"]
        .as_i64()
        .expect("id")
}

async fn put(daemon: &Daemon, path: &str, change: &Value) {
    let answer = daemon
        .api
        .call(reqwest::Method::PUT, path, Some(change))
        .await;
    let (status, body) = answer.expect("an answer");
    assert!(status.is_success(), "{status} {body}");
}

/// A mail comes in and one goes out.
async fn mail_passes(daemon: &Daemon, account: i64, mailbox: &str) {
    daemon.wait_lane(account, "inbound", "ready").await;
    let customer = daemon.lab.fresh_mailbox("customer");
    let id = format!("{}@customer.example", uuid::Uuid::new_v4());
    let question = mail::plain_mail(&customer, mailbox, &id, "Question", "Text");
    let mut lmtp = mail::Lmtp::open(&daemon.lab).await;
    lmtp.deliver(&customer, mailbox, &question).await;
    let path = format!("/api/mail/messages?AccountId={account}");
    eventually("the mail is read", Duration::from_secs(20), || async {
        let rows = daemon.api.rows(&path).await;
        let found = rows.iter().any(|row| row["messageId"] == json!(id));
        found.then_some(()).ok_or_else(|| format!("{rows:?}"))
    })
    .await;
    let sent = daemon
        .api
        .post(
            "/api/mail/outbox",
            &json!({"AccountId": account, "to": [customer], "subject": "S", "text": "T"}),
        )
        .await;
    let path = format!("/api/mail/outbox/{}", sent["id"]);
    eventually("the mail is sent", Duration::from_secs(20), || async {
        let shown = daemon.api.get(&path).await;
        let sent = shown["recipients"][0]["state"] == "sent";
        sent.then_some(()).ok_or_else(|| shown.to_string())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_is_read_and_sent_through_the_processs_proxy_and_an_accounts_own() {
    let (ours, own) = (Proxy::start().await, Proxy::start().await);
    let daemon = Daemon::start(
        Engine::Sqlite,
        &[
            ("XC_EMAIL_IDLE_REISSUE", "2s"),
            ("XC_EMAIL_MAIL_PROXY", &ours.url("http")),
            ("XC_EMAIL_HTTPS_PROXY", &own.url("socks5")),
        ],
    )
    .await;
    let list = daemon.add_list().await;
    let box_of = |name: &str| daemon.lab.fresh_mailbox(name);
    let (first, second) = (box_of("proxied"), box_of("proxied"));
    let process = add(&daemon, &through(&daemon, list, "PROC", &first, json!({}))).await;
    let proxied = json!({"proxy": own.url("socks5")});
    let account = add(&daemon, &through(&daemon, list, "OWN", &second, proxied)).await;
    mail_passes(&daemon, process, &first).await;
    mail_passes(&daemon, account, &second).await;
    for (proxy, kind) in [(&ours, "http"), (&own, "socks5")] {
        let asked = proxy.asked();
        for (name, port) in [("imap", "IMAPS_PORT"), ("smtp", "SUBMISSION_PORT")] {
            let target = format!("{kind} {name}.lab.test:{}", daemon.lab.port(port));
            assert!(asked.contains(&target), "{asked:?}");
        }
        assert!(asked.iter().all(|one| one.starts_with(kind)), "{asked:?}");
    }
    // An account on this machine itself and a sign-in there use no proxy.
    let before = ours.asked().len();
    let third = box_of("local");
    let local = daemon.add_password_account(list, "LOCAL", &third).await;
    mail_passes(&daemon, local, &third).await;
    let delegate = daemon.lab.get("DELEGATE").to_owned();
    daemon.add_provider(&delegate, 300).await;
    let more: Vec<String> = ours.asked().split_off(before);
    assert!(
        !more.iter().any(|one| one.contains("127.0.0.1")),
        "{more:?}"
    );

    // Shown without its password, sent back as shown, still working; a wrong login is told.
    let path = format!("/api/mail/accounts/{account}");
    let shown = daemon.api.get(&path).await;
    assert_eq!(
        shown["proxy"],
        json!(format!("socks5://motion@127.0.0.1:{}", own.port))
    );
    let change = json!({"name": "Changed", "proxy": shown["proxy"]});
    let before = own.asked().len();
    put(&daemon, &path, &change).await;
    eventually("the proxy is used anew", Duration::from_secs(20), || {
        let more = own.asked().len();
        async move {
            (more > before)
                .then_some(())
                .ok_or_else(|| more.to_string())
        }
    })
    .await;
    mail_passes(&daemon, account, &second).await;
    let wrong = format!("http://motion:wrong@127.0.0.1:{}", own.port);
    put(&daemon, &path, &json!({"proxy": wrong})).await;
    wait_code(&daemon, account, "proxy_login_refused").await;
    put(&daemon, &path, &json!({"proxy": null})).await;
    mail_passes(&daemon, account, &second).await;

    // The password is nowhere but sealed.
    let mut places = vec![daemon.combined_log(), daemon.error_log()];
    places.push(daemon.api.get("/api/status").await.to_string());
    for file in ["motion-email.db", "motion-email.db-wal"] {
        let database = std::fs::read(daemon.path(file)).expect("the database");
        places.push(String::from_utf8_lossy(&database).into_owned());
    }
    for text in places {
        assert!(!text.contains("proxy-canary"), "the proxy's password");
        assert!(!text.contains(PASSWORD) && !text.contains("motion:wrong"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cloud_provider_is_asked_through_a_proxy_of_its_own_which_can_be_changed_while_mail_flows()
 {
    let own = Proxy::start().await;
    let daemon = Daemon::start(Engine::Sqlite, &[("XC_EMAIL_IDLE_REISSUE", "2s")]).await;
    let user = daemon.lab.fresh_mailbox("proxied");
    // Tokens of five seconds: a refresh comes soon.
    let (provider, _) = daemon.add_provider(&user, 5).await;
    let list = daemon.add_list().await;
    let modern = json!({"authentication": "modern", "CloudProviderId": provider, "username": user});
    let account = add(&daemon, &daemon.account_body(list, "OAUTH", &user, modern)).await;
    daemon.wait_lane(account, "inbound", "ready").await;
    assert!(own.asked().is_empty());

    let path = format!("/api/cloudProviders/{provider}");
    let target = format!("127.0.0.1:{}", daemon.lab.port("OIDC_HTTPS_PORT"));
    for kind in ["http", "socks5"] {
        put(&daemon, &path, &json!({"proxy": own.url(kind)})).await;
        let wanted = format!("{kind} {target}");
        eventually("a refresh goes through it", Duration::from_secs(20), || {
            let asked = own.asked();
            let seen = asked.contains(&wanted);
            async move { seen.then_some(()).ok_or_else(|| format!("{asked:?}")) }
        })
        .await;
        let shown = daemon.api.get(&path).await["proxy"].clone();
        assert_eq!(
            shown,
            json!(format!("{kind}://motion@127.0.0.1:{}", own.port))
        );
    }
    mail_passes(&daemon, account, &user).await;

    // A login that it refuses: told with the proxy's name, and healed by the right one alone.
    let wrong = format!("http://motion:wrong-s3cret@127.0.0.1:{}", own.port);
    put(&daemon, &path, &json!({"proxy": wrong})).await;
    let account_path = format!("/api/mail/accounts/{account}");
    let named = format!("http://motion@127.0.0.1:{}", own.port);
    let told = eventually("it is told", Duration::from_secs(20), || async {
        let shown = daemon.api.get(&account_path).await.to_string();
        let told = shown.contains("oauth_proxy") && shown.contains(&named);
        if told { Ok(shown) } else { Err(shown) }
    })
    .await;
    let before = own.asked().len();
    put(&daemon, &path, &json!({"proxy": own.url("socks5")})).await;
    mail_passes(&daemon, account, &user).await;
    assert!(own.asked().len() > before);

    // And away with it.
    put(&daemon, &path, &json!({"proxy": null})).await;
    assert_eq!(daemon.api.get(&path).await["proxy"], Value::Null);
    mail_passes(&daemon, account, &user).await;
    let mut places = vec![daemon.combined_log(), daemon.error_log(), told];
    places.push(daemon.api.get("/api/status").await.to_string());
    for text in places {
        assert!(!text.contains(PASSWORD) && !text.contains("wrong-s3cret"));
        assert!(!text.contains("proxy-canary"));
    }
}

async fn wait_code(daemon: &Daemon, account: i64, code: &str) -> Value {
    let path = format!("/api/mail/accounts/{account}");
    eventually(code, Duration::from_secs(20), || async {
        let shown = daemon.api.get(&path).await;
        let lane = shown["status"]["inbound"].clone();
        if lane["code"] == code {
            Ok(shown)
        } else {
            Err(lane.to_string())
        }
    })
    .await
}

/// The SHA-256 fingerprint of one of the lab's certificates.
fn fingerprint(lab: &Lab, name: &str) -> String {
    let path = Path::new(lab.get("LAB_STATE")).join("tls").join(name);
    let pem = std::fs::read(path).expect("certificate");
    let certificate = X509::from_pem(&pem).expect("certificate");
    let digest = certificate.digest(MessageDigest::sha256()).expect("digest");
    let pairs: Vec<String> = digest.iter().map(|octet| format!("{octet:02X}")).collect();
    pairs.join(":")
}

/// The process does not trust the lab's authority here: only what an account says itself counts.
#[tokio::test(flavor = "multi_thread")]
async fn each_way_of_judging_a_certificate_takes_what_it_should_and_tells_the_rest() {
    let bundle = "/etc/ssl/certs/ca-certificates.crt";
    let daemon = Daemon::start(
        Engine::Sqlite,
        &[
            ("XC_EMAIL_IDLE_REISSUE", "2s"),
            ("XC_EMAIL_CA_FILE", bundle),
        ],
    )
    .await;
    let list = daemon.add_list().await;
    let ca = std::fs::read_to_string(daemon.lab.get("CA_FILE")).expect("the lab's authority");
    let pin = fingerprint(&daemon.lab, "server.crt");
    let other = fingerprint(&daemon.lab, "wronghost.crt");
    let server = |trust: &Value, port: &str| {
        let mut server = json!({"host": "127.0.0.1", "port": daemon.lab.port(port)});
        if port.contains("WRONG") {
            server["host"] = json!(daemon.lab.get("WRONG_HOST"));
        }
        let fields = server.as_object_mut().expect("object");
        fields.extend(trust.as_object().expect("object").clone());
        server
    };
    let add = async |key: &str, trust: Value, port: &str| {
        let mailbox = daemon.lab.fresh_mailbox("trust");
        let mut smtp = server(&trust, "SUBMISSION_PORT");
        smtp["tls"] = json!("starttls");
        let more = json!({
            "authentication": "password", "username": mailbox, "password": daemon.lab.get("LAB_PASSWORD"),
            "imap": server(&trust, port), "smtp": smtp,
        });
        let body = daemon.account_body(list, key, &mailbox, more);
        (add(&daemon, &body).await, mailbox)
    };
    // Over STARTTLS and TLS from the first byte.
    for (key, trust) in [
        ("CA", json!({"tlsCa": ca})),
        ("PIN", json!({"tlsPins": [other, pin]})),
        ("ANY", json!({"verify": "accept_any"})),
    ] {
        let (account, mailbox) = add(key, trust, "IMAPS_PORT").await;
        mail_passes(&daemon, account, &mailbox).await;
        let shown = daemon
            .api
            .get(&format!("/api/mail/accounts/{account}"))
            .await;
        let warned = shown["status"]["warnings"].as_array().expect("list").len();
        assert_eq!(warned, if key == "ANY" { 2 } else { 0 }, "{shown}");
    }
    let loud = daemon.combined_log();
    let loud = loud.lines().filter(|line| line.contains("[WARN]"));
    let loud: Vec<&str> = loud.filter(|l| l.contains("tls_accept_any")).collect();
    assert!(
        loud.len() >= 2 && loud.iter().all(|line| line.contains("account=ANY")),
        "{loud:?}"
    );
    // A pin needs no name; an authority does.
    let (account, _) = add("NAME", json!({"tlsPins": [other]}), "IMAPS_WRONG_PORT").await;
    daemon.wait_lane(account, "inbound", "ready").await;
    for (key, trust, port, code) in [
        ("FULL", json!({}), "IMAPS_PORT", "tls_untrusted"),
        (
            "BADP",
            json!({"tlsPins": [other]}),
            "IMAPS_PORT",
            "tls_pin_mismatch",
        ),
        (
            "BADN",
            json!({"tlsCa": ca}),
            "IMAPS_WRONG_PORT",
            "tls_wrong_name",
        ),
    ] {
        let (account, _) = add(key, trust, port).await;
        let shown = wait_code(&daemon, account, code).await;
        let lane = &shown["status"]["inbound"];
        assert_eq!(lane["state"], "parked", "{lane}");
        if code != "tls_wrong_name" {
            let why = lane["why"].as_str().expect("text");
            assert!(why.contains(&pin), "the fingerprint that was seen: {why}");
        }
        // The fingerprint from the diagnosis, entered, is all it takes.
        if key == "BADP" {
            let path = format!("/api/mail/accounts/{account}");
            let change = json!({"imap": {"tlsPins": [pin]}});
            put(&daemon, &path, &change).await;
            daemon.wait_lane(account, "inbound", "ready").await;
        }
    }
}
