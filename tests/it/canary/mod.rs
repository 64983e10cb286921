//! Nothing secret is anywhere it could be read: planted canaries, searched for in everything that leaves
//! the process or lies on the disk.

mod planted;
mod search;
mod telltale;

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use motion_email::{
    model::CloudProviderId,
    store::{self, Store},
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use self::{
    planted::Canaries,
    search::{search, search_without_daemon},
    telltale::{Telltale, signs_in_every_other_way},
};
use crate::support::{
    Daemon, Engine, eventually, mail,
    proxy::{Proxy, USER as PROXY_USER},
};

const LIMIT: Duration = Duration::from_secs(30);

/// What the grants hold now, read as the daemon reads them, with its key.
async fn plant_tokens(daemon: &Daemon, providers: &[i64], canaries: &mut Canaries) {
    let (store, _writer) = Store::open(&store::Settings {
        url: daemon.setting("XC_EMAIL_DATABASE_URL").to_owned().into(),
        key_file: Path::new(daemon.setting("XC_EMAIL_DATA_DIR")).join("key"),
        ca_file: daemon.lab.get("CA_FILE").into(),
        read_connections: 1,
        patience: Duration::from_secs(5),
    })
    .await
    .expect("the daemon's store");
    for id in providers {
        let grant = store
            .grant_get(CloudProviderId::new(*id))
            .await
            .expect("read")
            .expect("a grant");
        for (name, token) in [
            ("access token", grant.access_token),
            ("refresh token", grant.refresh_token),
        ] {
            if let Some(token) = token {
                canaries.plant(name, token.expose_secret());
            }
        }
    }
}

/// Signs in as a browser does; what comes back through it is planted.
async fn sign_in(daemon: &Daemon, provider: i64, user: &str, canaries: &mut Canaries) {
    let path = format!("/api/cloudProviders/{provider}/authenticate");
    let begun = daemon.api.post(&path, &json!({})).await;
    let url = begun["authorizeUrl"].as_str().expect("a URL").to_owned();
    let tool = PathBuf::from(daemon.lab.get("TOOLS")).join("sign-in");
    let user = user.to_owned();
    let output = tokio::task::spawn_blocking(move || {
        Command::new(tool)
            .args(["--user", &user, "--no-callback", &url])
            .output()
            .expect("the tool runs")
    })
    .await
    .expect("its thread");
    let back = String::from_utf8(output.stdout).expect("a URL");
    let back = url::Url::parse(back.trim()).expect("the callback's URL");
    for (name, value) in back.query_pairs() {
        if name == "code" || name == "state" {
            canaries.plant(&name, &value);
        }
    }
    assert!(canaries.known.len() > 2, "{back}");
    let answer = reqwest::get(back).await.expect("the callback answers");
    assert!(answer.status().is_success(), "{}", answer.status());
    let page = answer.text().await.expect("a page");
    canaries.assert_none("the page after the sign-in", &page);
}

async fn transcript(daemon: &Daemon, account: i64) -> Vec<String> {
    let path = format!("/api/mail/accounts/{account}/transcript");
    let answer = daemon.api.get(&path).await;
    let rows = answer["rows"].as_array().expect("rows").clone();
    rows.iter()
        .map(|row| row["text"].as_str().expect("text").to_owned())
        .collect()
}

async fn until_said(daemon: &Daemon, account: i64, what: &str, times: usize) {
    eventually(&format!("{what:?} is in the transcript"), LIMIT, || async {
        let said = transcript(daemon, account).await;
        let seen = said.iter().filter(|text| text.contains(what)).count();
        if seen >= times {
            Ok(())
        } else {
            Err(said.join("\n"))
        }
    })
    .await;
}

async fn until_received(daemon: &Daemon, account: i64, wanted: usize) {
    let path = format!("/api/mail/messages?AccountId={account}");
    eventually("the mail is in the store", LIMIT, || async {
        let rows = daemon.api.rows(&path).await.len();
        if rows >= wanted {
            Ok(())
        } else {
            Err(rows.to_string())
        }
    })
    .await;
}

/// Sign-in in every way, refreshes, refused client credentials, a refused token, wrong and right passwords, proxies,
/// mail in and out; then every place is searched.
async fn nothing_secret_is_anywhere(engine: Engine) {
    let tail = uuid::Uuid::new_v4().simple().to_string();
    let mut secrets = Canaries::default();
    let mut mails = Canaries::default();
    let mut proxy = async |of: &str| {
        let password = format!("proxy-{of}-{tail}");
        secrets.plant("a proxy's password", &password);
        let proxy = Proxy::start().await;
        let url = format!("http://{PROXY_USER}:{password}@127.0.0.1:{}", proxy.port);
        (proxy, url)
    };
    // Each refuses its login.
    let (_mail, mail_proxy) = proxy("mail").await;
    let (_https, https_proxy) = proxy("https").await;
    let (_own, own_proxy) = proxy("own").await;
    let (_provider, provider_proxy) = proxy("provider").await;
    let settings = [
        ("XC_DEBUG_LEVEL", "TRACE"),
        ("XC_EMAIL_PARKED_RETRY", "1s"),
        ("XC_EMAIL_IDLE_REISSUE", "2s"),
        ("XC_EMAIL_MAIL_PROXY", &mail_proxy),
        ("XC_EMAIL_HTTPS_PROXY", &https_proxy),
    ];
    let mut daemon = Daemon::start(engine, &settings).await;
    let platform = Telltale::start().await;
    let subject = format!("Subject-canary-{tail}");
    let body = format!("Body-canary-{tail}");
    mails.plant("a mail's subject", &subject);
    mails.plant("a mail's body", &body);
    if engine == Engine::MariaDb {
        secrets.plant(
            "the database's password",
            daemon.lab.get("MARIADB_PASSWORD"),
        );
    }

    // A provider whose client secret we choose, with tokens of five seconds.
    let client = uuid::Uuid::new_v4().to_string();
    let client_secret = format!("cs/{tail}+~");
    secrets.plant("client secret", &client_secret);
    let encoded: String = url::form_urlencoded::byte_serialize(client_secret.as_bytes()).collect();
    daemon
        .lab
        .control(&format!("client?client={client}&secret={encoded}&ttl=5"))
        .await;
    let provider = daemon
        .api
        .post(
            "/api/cloudProviders",
            &json!({
                "name": format!("Lab {client}"), "service": "microsoft", "applicationId": client,
                "tenantId": daemon.lab.get("TENANT"), "clientSecret": client_secret,
                "redirectUri": format!("{}{}", daemon.url(), daemon.lab.get("CALLBACK_PATH")),
                "authority": daemon.lab.get("AUTHORITY"),
            }),
        )
        .await["id"]
        .as_i64()
        .expect("id");
    let user = daemon.lab.fresh_mailbox("canary");
    sign_in(&daemon, provider, &user, &mut secrets).await;
    plant_tokens(&daemon, &[provider], &mut secrets).await;

    // Its own mailbox, one it may not open, and accounts by password, one of them wrong.
    let list = daemon.add_list().await;
    let modern = |username: &str| json!({"authentication": "modern", "CloudProviderId": provider, "username": username});
    let add = async |key: &str, mailbox: &str, more: Value| {
        let body = daemon.account_body(list, key, mailbox, more);
        daemon.api.post("/api/mail/accounts", &body).await["id"]
            .as_i64()
            .expect("id")
    };
    let good = add("GOOD", &user, modern(&user)).await;
    let unshared = daemon.lab.get("UNSHARED").to_owned();
    let mut not_its_own = modern(&unshared);
    not_its_own["confirmedSignedInAs"] = json!(user);
    let refused = add("NOT", &unshared, not_its_own).await;
    let wrong_password = format!("wr0ng \"{tail}\\");
    secrets.plant("a wrong password", &wrong_password);
    let wrong_user = daemon.lab.fresh_mailbox("wrong");
    let by_password =
        json!({"authentication": "password", "username": wrong_user, "password": wrong_password});
    let wrong = add("WRONG", &wrong_user, by_password).await;
    let right_user = daemon.lab.fresh_mailbox("right");
    secrets.plant("the right password", daemon.lab.get("LAB_PASSWORD"));
    let right = daemon
        .add_password_account(list, "RIGHT", &right_user)
        .await;
    for account in [good, right] {
        daemon.wait_lane(account, "inbound", "ready").await;
    }
    // Servers that only a proxy can name, once by the process's proxy and once by the account's own.
    let mut elsewhere = json!({
        "authentication": "password", "username": wrong_user, "password": wrong_password,
        "imap": {"host": "imap.lab.test", "port": 993, "tls": "tls"},
        "smtp": {"host": "smtp.lab.test", "port": 587, "tls": "starttls"},
    });
    let by_process = add("PROC", &wrong_user, elsewhere.clone()).await;
    elsewhere["proxy"] = json!(own_proxy);
    let proxied = add("PROXY", &wrong_user, elsewhere).await;
    for account in [by_process, proxied] {
        eventually("the proxy refuses the login", LIMIT, || async {
            let seen = daemon.lane(account, "inbound").await;
            if seen.1.as_deref() == Some("proxy_login_refused") {
                Ok(())
            } else {
                Err(format!("{seen:?}"))
            }
        })
        .await;
    }
    plant_tokens(&daemon, &[provider], &mut secrets).await;

    // Mail in and out, each way of logging in.
    let mut lmtp = mail::Lmtp::open(&daemon.lab).await;
    for (account, mailbox) in [(good, &user), (right, &right_user)] {
        let id = format!("{}@canary.example", uuid::Uuid::new_v4());
        let text = mail::plain_mail("c@customer.example", mailbox, &id, &subject, &body);
        lmtp.deliver("c@customer.example", mailbox, &text).await;
        until_received(&daemon, account, 1).await;
        daemon
            .api
            .post(
                "/api/mail/outbox",
                &json!({
                    "AccountId": account, "to": [right_user], "subject": subject, "text": body,
                }),
            )
            .await;
        until_said(&daemon, account, "(message, ", 1).await;
        plant_tokens(&daemon, &[provider], &mut secrets).await;
    }
    // A mail that cannot be sent: that login is refused.
    daemon
        .api
        .post(
            "/api/mail/outbox",
            &json!({
                "AccountId": wrong, "to": [right_user], "subject": subject, "text": body,
            }),
        )
        .await;
    until_said(&daemon, wrong, "AUTH PLAIN", 1).await;
    until_said(&daemon, wrong, "535", 1).await;
    until_said(&daemon, wrong, "AUTHENTICATE PLAIN", 1).await;
    until_said(&daemon, refused, "AUTHENTICATE XOAUTH2", 1).await;
    until_said(&daemon, refused, " NO ", 1).await;

    // Refreshes, and one that is refused for its secret, in words that repeat what was sent.
    until_said(&daemon, good, "grant_type=refresh_token", 2).await;
    plant_tokens(&daemon, &[provider], &mut secrets).await;
    let words = json!({
        "error": "invalid_client",
        "error_description": format!("AADSTS7000215: Invalid client secret provided: {client_secret}."),
        "error_codes": [7000215],
    });
    let words: String =
        url::form_urlencoded::byte_serialize(words.to_string().as_bytes()).collect();
    daemon
        .lab
        .control(&format!(
            "fail?client={client}&count=1&status=401&body={words}"
        ))
        .await;
    until_said(&daemon, good, "error=invalid_client", 1).await;
    let new_secret = format!("new-cs-{tail}");
    secrets.plant("the changed client secret", &new_secret);
    let path = format!("/api/cloudProviders/{provider}/secret");
    daemon
        .api
        .post(&path, &json!({"clientSecret": new_secret}))
        .await;
    until_said(&daemon, good, "error=invalid_client", 2).await;
    plant_tokens(&daemon, &[provider], &mut secrets).await;
    // The provider's own proxy refuses its login too.
    let path = format!("/api/cloudProviders/{provider}");
    let change = json!({"proxy": provider_proxy});
    let (status, shown) = daemon
        .api
        .call(reqwest::Method::PUT, &path, Some(&change))
        .await
        .expect("an answer");
    assert!(status.is_success(), "{status} {shown}");
    until_said(&daemon, good, "through the provider's own proxy", 1).await;
    assert!(secrets.known.len() >= 10, "too few were planted");

    let mut accounts = vec![good, right, wrong, refused, by_process, proxied];
    accounts.extend(signs_in_every_other_way(&daemon, list, &platform, &mut secrets).await);
    search(&daemon, engine, &secrets, &mails, &accounts).await;
    daemon.stop().await;
    search_without_daemon(&daemon, &secrets, &mails);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_secret_is_in_logs_transcripts_answers_or_on_disk_with_sqlite() {
    nothing_secret_is_anywhere(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_secret_is_in_logs_transcripts_answers_or_on_disk_with_mariadb() {
    nothing_secret_is_anywhere(Engine::MariaDb).await;
}
