//! Where a secret could come to light: answers, shown texts, the support bundle, logs, files, the database, and what
//! the kernel tells of the process.

use std::path::{Path, PathBuf};

use serde_json::json;
use sqlx::{Row, ValueRef};

use super::{planted::Canaries, transcript};
use crate::{
    doctor::opened,
    support::{Daemon, Engine},
};

/// Every GET route of the API, as its table has them.
fn get_routes() -> Vec<String> {
    let table = include_str!("../../../src/http/routes.rs");
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
            (1..=9)
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

/// What a command prints, to both streams.
fn nothing_in(daemon: &Daemon, command: &[&str], secrets: &Canaries, mails: &Canaries) {
    let shown = daemon.cli(command);
    let shown = format!(
        "{}{}",
        String::from_utf8_lossy(&shown.stdout),
        String::from_utf8_lossy(&shown.stderr)
    );
    // A transcript of one protocol may be empty.
    assert!(
        shown.len() > 20 || command.contains(&"oauth"),
        "{command:?}"
    );
    secrets.assert_none(&command.join(" "), &shown);
    mails.assert_none(&command.join(" "), &shown);
}

/// What can be asked while no daemon runs: check, doctor and bundle, which read the settings themselves.
pub fn search_without_daemon(daemon: &Daemon, secrets: &Canaries, mails: &Canaries) {
    let file = daemon.path("without.tar.gz");
    let (name, env_file) = (file.display().to_string(), daemon.env_file());
    let env_file = env_file.display().to_string();
    for command in [
        &["check", "--env-file", &env_file][..],
        &["doctor", "--env-file", &env_file],
        &[
            "doctor",
            "--json",
            "--env-file",
            &env_file,
            "--bundle",
            &name,
        ],
    ] {
        nothing_in(daemon, command, secrets, mails);
    }
    for (name, text) in opened(&file) {
        let place = format!("the bundle's {name}, without a daemon");
        secrets.assert_none(&place, &text);
        mails.assert_none(&place, &text);
    }
}

/// The support bundle, opened: each of its files, and what the command says.
fn bundle(daemon: &Daemon, secrets: &Canaries, mails: &Canaries) {
    let file = daemon.path("support.tar.gz");
    let (name, env_file) = (file.display().to_string(), daemon.env_file());
    let env_file = env_file.display().to_string();
    let said = daemon.cli(&[
        "doctor",
        "--json",
        "--env-file",
        &env_file,
        "--bundle",
        &name,
    ]);
    let said = [said.stdout, said.stderr].concat();
    secrets.assert_none("doctor --bundle", &String::from_utf8_lossy(&said));
    let files = opened(&file);
    for wanted in ["report.json", "settings.txt", "log/combined.log"] {
        assert!(
            files.keys().any(|name| name.ends_with(wanted)),
            "{wanted} in {:?}",
            files.keys()
        );
    }
    assert!(
        files.keys().any(|name| name.contains("transcript")),
        "{:?}",
        files.keys()
    );
    for (name, text) in files {
        let place = format!("the bundle's {name}");
        secrets.assert_none(&place, &text);
        mails.assert_none(&place, &text);
    }
}

/// Everything that leaves the process or lies on the disk is searched.
pub async fn search(
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
        let id = format!("id:{account}");
        for command in [
            &["transcript", &id][..],
            &["transcript", &id, "--protocol", "oauth"],
            &["account", "show", &id],
            &["account", "show", &id, "--json"],
            &["doctor", &id, "--refresh"],
            &["doctor", &id, "--json"],
        ] {
            nothing_in(daemon, command, secrets, mails);
        }
        // The API's own answers, whole and line by line.
        let path = format!("/api/mail/accounts/{account}/doctor");
        let report = daemon.api.post(&path, &json!({})).await;
        assert!(report["checks"].is_array(), "{report}");
        secrets.assert_none(&path, &report.to_string());
        mails.assert_none(&path, &report.to_string());
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
    for command in [
        &["status"][..],
        &["account", "list"],
        &["provider", "list"],
        &["calendar"],
        &["doctor"],
    ] {
        for form in [&[][..], &["--json"]] {
            nothing_in(daemon, &[command, form].concat(), secrets, mails);
        }
    }
    bundle(daemon, secrets, mails);
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
    assert!(
        combined.contains(": you sent "),
        "a refusal that repeats what it was sent is in the log"
    );
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
