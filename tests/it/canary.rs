//! Nothing secret is anywhere it could be read: planted canaries, searched for in everything that leaves
//! the process or lies on the disk.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use motion_email::{
    model::CloudProviderId,
    store::{self, Store},
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use sqlx::{Row, ValueRef};

use crate::support::{Daemon, Engine, eventually, mail};

const LIMIT: Duration = Duration::from_secs(30);

/// What must not be found, each with every form it may be written in.
#[derive(Default)]
struct Canaries {
    forms: Vec<(String, String)>,
    known: BTreeSet<String>,
}

impl Canaries {
    fn plant(&mut self, name: &str, secret: &str) {
        assert!(secret.len() >= 6, "{name} is too short to be looked for");
        if self.known.insert(secret.to_owned()) {
            for form in forms(secret) {
                self.forms.push((name.to_owned(), form));
            }
        }
    }

    /// Which canaries stand in `text`.
    fn found(&self, text: &str) -> Vec<&str> {
        let mut names: Vec<&str> = self
            .forms
            .iter()
            .filter(|(_, form)| text.contains(form.as_str()))
            .map(|(name, _)| name.as_str())
            .collect();
        names.dedup();
        names
    }

    fn assert_none(&self, place: &str, text: &str) {
        let found = self.found(text);
        assert!(found.is_empty(), "{place} has {found:?}");
    }
}

/// A secret as it is, URL-encoded, escaped in JSON, and what any base64 that holds it must contain (so a
/// SASL answer with any user name too), in both alphabets.
fn forms(secret: &str) -> Vec<String> {
    let encoded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let json = Value::from(secret).to_string();
    let mut forms = vec![
        secret.to_owned(),
        encoded.replace('+', "%20"),
        encoded,
        json.trim_matches('"').to_owned(),
    ];
    for before in 0..3 {
        let mut octets = vec![0; before];
        octets.extend_from_slice(secret.as_bytes());
        let range = (before * 8usize).div_ceil(6)..octets.len() * 8 / 6;
        forms.push(STANDARD_NO_PAD.encode(&octets)[range.clone()].to_owned());
        forms.push(URL_SAFE_NO_PAD.encode(&octets)[range].to_owned());
    }
    forms.sort();
    forms.dedup();
    forms
}

#[test]
fn the_search_finds_a_secret_in_every_form() {
    let mut canaries = Canaries::default();
    canaries.plant("password", "p\"ss wörd/1");
    for text in [
        "x p\"ss wörd/1 y".to_owned(),
        "p%22ss+w%C3%B6rd%2F1".to_owned(),
        json!({"a": "p\"ss wörd/1"}).to_string(),
        base64::engine::general_purpose::STANDARD.encode("\0me\0p\"ss wörd/1"),
        base64::engine::general_purpose::STANDARD
            .encode("user=me\x01auth=Bearer p\"ss wörd/1\x01\x01"),
        URL_SAFE_NO_PAD.encode("p\"ss wörd/1"),
    ] {
        assert_eq!(canaries.found(&text), ["password"], "{text}");
    }
    assert!(canaries.found("p\"ss word/1").is_empty());
}

/// Every GET route of the API, as its table has them.
fn get_routes() -> Vec<String> {
    let table = include_str!("../../src/http/routes.rs");
    let routes: Vec<String> = table
        .lines()
        .filter(|line| {
            line.trim_start().starts_with("Local GET \"")
                || line.trim_start().starts_with("Open GET \"")
        })
        .filter_map(|line| line.split('"').nth(1).map(str::to_owned))
        .collect();
    assert!(routes.len() > 15, "{routes:?}");
    routes
}

/// Answers of all GET routes, with what may stand for an id.
async fn all_answers(daemon: &Daemon) -> Vec<(String, String)> {
    let mut answers = Vec::new();
    for route in get_routes() {
        let places: Vec<String> = if route.contains("{id}") {
            (1..=4)
                .map(|id| route.replace("{id}", &id.to_string()))
                .collect()
        } else {
            vec![route.replace("{service}", "microsoft")]
        };
        for place in places {
            let (_, answer) = daemon
                .api
                .call(reqwest::Method::GET, &place, None)
                .await
                .unwrap_or_else(|| panic!("{place}: nobody answered"));
            answers.push((place, answer.to_string()));
        }
    }
    answers
}

fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        let kind = entry.file_type().expect("a file type");
        if kind.is_dir() {
            files_below(&path, found);
        } else if kind.is_file() {
            found.push(path);
        }
    }
}

/// All columns of all rows of all tables, as text.
async fn dump(daemon: &Daemon, engine: Engine) -> String {
    let url = daemon.setting("XC_EMAIL_DATABASE_URL");
    let mut text = String::new();
    let mut add = |octets: &[u8]| {
        text.push_str(&String::from_utf8_lossy(octets));
        text.push('\n');
    };
    match engine {
        Engine::MariaDb => {
            let pool = sqlx::MySqlPool::connect(url).await.expect("MariaDB");
            let tables = sqlx::query("SHOW TABLES")
                .fetch_all(&pool)
                .await
                .expect("tables");
            for table in tables {
                let name: String = table.get(0);
                let all = sqlx::AssertSqlSafe(format!("SELECT * FROM `{name}`"));
                for row in sqlx::query(all).fetch_all(&pool).await.expect("rows") {
                    for column in 0..row.len() {
                        if let Ok(octets) = row.try_get_unchecked::<Option<Vec<u8>>, _>(column) {
                            add(&octets.unwrap_or_default());
                        }
                    }
                }
            }
        }
        Engine::Sqlite => {
            let pool = sqlx::SqlitePool::connect(url).await.expect("SQLite");
            let tables = sqlx::query("SELECT name FROM sqlite_master WHERE type = 'table'")
                .fetch_all(&pool)
                .await
                .expect("tables");
            for table in tables {
                let name: String = table.get(0);
                let all = sqlx::AssertSqlSafe(format!("SELECT * FROM \"{name}\""));
                for row in sqlx::query(all).fetch_all(&pool).await.expect("rows") {
                    for column in 0..row.len() {
                        let raw = row.try_get_raw(column).expect("a column");
                        if !raw.is_null() {
                            let octets: Vec<u8> = row.get_unchecked(column);
                            add(&octets);
                        }
                    }
                }
            }
        }
    }
    assert!(text.len() > 1000, "the dump is empty");
    text
}

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

/// Sign-in, refreshes, a refused client secret, a refused token, wrong and right passwords, mail in and
/// out; then every place is searched.
async fn nothing_secret_is_anywhere(engine: Engine) {
    let settings = [
        ("XC_DEBUG_LEVEL", "TRACE"),
        ("XC_EMAIL_PARKED_RETRY", "1s"),
        ("XC_EMAIL_IDLE_REISSUE", "2s"),
    ];
    let daemon = Daemon::start(engine, &settings).await;
    let mut secrets = Canaries::default();
    let mut mails = Canaries::default();
    let tail = uuid::Uuid::new_v4().simple().to_string();
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
    assert!(secrets.known.len() >= 9, "too few were planted");

    search(
        &daemon,
        engine,
        &secrets,
        &mails,
        &[good, right, wrong, refused],
    )
    .await;
}

async fn search(
    daemon: &Daemon,
    engine: Engine,
    secrets: &Canaries,
    mails: &Canaries,
    accounts: &[i64],
) {
    // The searched texts are there, and are what they should be.
    let mut all_said = String::new();
    for account in accounts {
        all_said.push_str(&transcript(daemon, *account).await.join("\n"));
        let shown = daemon.cli(&["transcript", &format!("id:{account}"), "--json"]);
        assert!(shown.status.success());
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        secrets.assert_none("transcript --json", &shown);
        mails.assert_none("transcript --json", &shown);
    }
    for expected in [
        "AUTHENTICATE XOAUTH2",
        "(answer, ",
        "AUTH XOAUTH2",
        "BODY[] {",
        "MAIL FROM:<",
        "TLS stands",
        "grant_type=authorization_code, fields: ",
        "other fields: access_token",
    ] {
        assert!(all_said.contains(expected), "{expected} in {all_said}");
    }
    for command in [&["status"][..], &["account", "list"], &["provider", "list"]] {
        let shown = daemon.cli(&[command, &["--json"]].concat());
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        assert!(shown.len() > 20, "{command:?}");
        secrets.assert_none(&command.join(" "), &shown);
        mails.assert_none(&command.join(" "), &shown);
    }
    let mut mail_is_shown = false;
    for (place, answer) in all_answers(daemon).await {
        secrets.assert_none(&place, &answer);
        mail_is_shown |= !mails.found(&answer).is_empty();
        let of_mail = [
            "/messages",
            "/interactions",
            "/outbox",
            "/events",
            "/problems",
        ];
        if !of_mail.iter().any(|part| place.contains(part)) {
            mails.assert_none(&place, &answer);
        }
    }
    assert!(mail_is_shown, "the mail's own routes show it");
    let (combined, errors) = (daemon.combined_log(), daemon.error_log());
    assert!(combined.contains("level=TRACE"), "the log is at TRACE");
    for (place, text) in [("the combined log", &combined), ("the error log", &errors)] {
        secrets.assert_none(place, text);
        mails.assert_none(place, text);
    }
    secrets.assert_none("the database", &dump(daemon, engine).await);
    // Logs, data directory, SQLite's file and its WAL, what was written to stderr; not the settings.
    let mut files = Vec::new();
    files_below(daemon.env_file().parent().expect("a folder"), &mut files);
    assert!(files.len() > 3, "{files:?}");
    for file in files.iter().filter(|file| **file != daemon.env_file()) {
        let octets = std::fs::read(file).expect("a file");
        secrets.assert_none(
            &file.display().to_string(),
            &String::from_utf8_lossy(&octets),
        );
    }
    for name in ["environ", "cmdline"] {
        let octets = std::fs::read(format!("/proc/{}/{name}", daemon.pid())).expect("proc");
        assert!(!octets.is_empty(), "{name}");
        secrets.assert_none(name, &String::from_utf8_lossy(&octets));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_secret_is_in_logs_transcripts_answers_or_on_disk_with_sqlite() {
    nothing_secret_is_anywhere(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_secret_is_in_logs_transcripts_answers_or_on_disk_with_mariadb() {
    nothing_secret_is_anywhere(Engine::MariaDb).await;
}
