//! Bad inputs 65 and 68: a start that cannot work is refused with one clear line for each mistake, and odd
//! surroundings are either refused so or do no harm.

use std::{
    os::unix::fs::PermissionsExt as _,
    process::{Command, Output, Stdio},
};

use sqlx::{Connection as _, Executor as _};

use crate::support::{Daemon, Engine, daemon::binary, eventually};

/// Runs the daemon, which must end by itself, and gives what it said.
fn refused(daemon: &Daemon, environment: &[(&str, &str)]) -> Output {
    let output = Command::new("timeout")
        .args(["20"])
        .arg(binary())
        .args(["run", "--env-file"])
        .arg(daemon.env_file())
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("runs");
    assert!(!output.status.success(), "it started: {output:?}");
    assert_ne!(output.status.code(), Some(124), "it did not end by itself");
    output
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_65_every_mistake_of_the_settings_is_named_at_once() {
    let daemon = Daemon::prepare(Engine::Sqlite, &[]).await;
    let mistakes = "XC_EMAIL_LISTN=1\nXC_EMAIL_DRAIN=-5s\nXC_EMAIL_IDLE_REISSUE=0\nXC_DEBUG_LEVEL=INFO\n\
                    XC_DEBUG_LEVEL=DEBUG\nXC_EMAIL_DATABASE_URL=postgres://user:hunter2@x/y\n";
    std::fs::write(daemon.env_file(), mistakes).expect("env file");
    let output = refused(&daemon, &[]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(78), "{text}");
    for (line, key) in [
        (1, "XC_EMAIL_LISTN"),
        (2, "XC_EMAIL_DRAIN"),
        (3, "XC_EMAIL_IDLE_REISSUE"),
        (5, "XC_DEBUG_LEVEL"),
        (6, "XC_EMAIL_DATABASE_URL"),
    ] {
        let found = text
            .lines()
            .filter(|said| said.contains(&format!("motion-email.env:{line}: {key}")))
            .count();
        assert_eq!(found, 1, "one line for line {line} ({key}):\n{text}");
    }
    assert!(!text.contains("hunter2"), "no password is shown:\n{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_65_a_key_file_that_others_may_read_is_refused() {
    let mut daemon = Daemon::start(Engine::Sqlite, &[]).await;
    daemon.stop().await;
    let key = std::path::Path::new(daemon.setting("XC_EMAIL_DATA_DIR")).join("key");
    let mode = std::fs::metadata(&key)
        .expect("the key file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600, "made 0600 at first start");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).expect("chmod");
    let text = said(&refused(&daemon, &[]));
    assert!(
        text.contains(key.to_str().expect("path")) && text.contains("chmod"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_65_a_second_daemon_in_the_same_data_directory_is_refused() {
    let mut daemon = Daemon::start(Engine::Sqlite, &[]).await;
    let text = said(&refused(&daemon, &[]));
    assert!(text.contains("another motion-email works in"), "{text}");
    assert!(
        daemon.stop().await.success(),
        "the first one is not disturbed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_with_tables_of_others_is_refused() {
    let daemon = Daemon::prepare(Engine::MariaDb, &[]).await;
    let mut connection = sqlx::MySqlConnection::connect(daemon.setting("XC_EMAIL_DATABASE_URL"))
        .await
        .expect("MariaDB");
    connection
        .execute("CREATE TABLE invoices (id BIGINT PRIMARY KEY)")
        .await
        .expect("table");
    let text = said(&refused(&daemon, &[]));
    assert!(
        text.contains("invoices") && text.contains("of its own"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_68_odd_surroundings_are_refused_clearly_or_do_no_harm() {
    // Clear refusals.
    let mut daemon = Daemon::prepare(
        Engine::Sqlite,
        &[("XC_EMAIL_CA_FILE", "/nonexistent/ca.pem")],
    )
    .await;
    let text = said(&refused(&daemon, &[]));
    assert!(
        text.contains("XC_EMAIL_CA_FILE") && text.contains("/nonexistent/ca.pem"),
        "{text}"
    );
    let empty = daemon.path("empty.pem");
    std::fs::write(&empty, "").expect("file");
    daemon.change_setting("XC_EMAIL_CA_FILE", empty.to_str().expect("path"));
    let text = said(&refused(&daemon, &[]));
    assert!(
        text.contains("XC_EMAIL_CA_FILE") && text.contains("certificate"),
        "{text}"
    );
    daemon.change_setting(
        "XC_EMAIL_CA_FILE",
        daemon.lab.get("CA_FILE").to_owned().as_str(),
    );
    let good_data = daemon.setting("XC_EMAIL_DATA_DIR").to_owned();
    daemon.change_setting("XC_EMAIL_DATA_DIR", "/proc/no-such-place");
    let text = said(&refused(&daemon, &[]));
    assert!(
        text.contains("XC_EMAIL_DATA_DIR") || text.contains("/proc/no-such-place"),
        "{text}"
    );
    daemon.change_setting("XC_EMAIL_DATA_DIR", &good_data);
    // No harm.
    daemon.environment = [
        ("TZ", "Not/AZone"),
        ("LANG", "C"),
        ("LC_ALL", "C"),
        ("HOME", "/nonexistent"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .to_vec();
    daemon.launch().await;
    assert_eq!(daemon.error_log(), "");
    assert!(daemon.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_68_an_odd_host_name_and_a_missing_resolver_do_no_harm_to_others() {
    let mut daemon = Daemon::prepare(Engine::Sqlite, &[]).await;
    daemon.in_namespace(
        "--uts",
        "printf 'a b\\342\\200\\256c' > /proc/sys/kernel/hostname",
    );
    daemon.launch().await;
    let list = daemon.add_list().await;
    let mailbox = daemon.lab.fresh_mailbox("oddhost");
    let works = daemon.add_password_account(list, "WORKS", &mailbox).await;
    daemon.wait_lane(works, "inbound", "ready").await;
    // EHLO carries the name: a server must not be told nonsense.
    daemon.wait_lane(works, "outbound", "ready").await;
    assert_eq!(daemon.error_log(), "");
    assert!(daemon.stop().await.success());

    daemon.in_namespace("--mount", "mount --bind /dev/null /etc/resolv.conf");
    daemon.launch().await;
    daemon.wait_lane(works, "inbound", "ready").await;
    let named = daemon.account_body(
        list,
        "NAMED",
        "named@lab.test",
        serde_json::json!({
            "authentication": "password", "username": "named@lab.test", "password": "x",
            "imap": {"host": "imap.mail.test", "port": 993, "tls": "tls"},
        }),
    );
    let named = daemon.api.post("/api/mail/accounts", &named).await["id"]
        .as_i64()
        .expect("id");
    eventually(
        "the name that nobody resolves is named",
        std::time::Duration::from_secs(40),
        || async {
            match daemon.lane(named, "inbound").await.1.as_deref() {
                Some("host_not_found" | "host_lookup_silent") => Ok(()),
                other => Err(format!("{other:?}")),
            }
        },
    )
    .await;
    daemon.wait_lane(works, "inbound", "ready").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_68_with_a_clock_in_1970_the_daemon_starts_and_points_at_the_clock() {
    let mut daemon = Daemon::prepare(Engine::Sqlite, &[]).await;
    let mailbox = daemon.lab.fresh_mailbox("clock");
    // As a machine starts whose clock has no battery; the monotonic clock goes on as it is. (The command
    // `faketime` itself would stay between us and the daemon.)
    let library = std::fs::read_dir("/usr/lib")
        .expect("libraries")
        .flatten()
        .map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"))
        .find(|path| path.exists())
        .expect("faketime is installed");
    daemon.environment = [
        ("LD_PRELOAD", library.to_str().expect("path")),
        ("FAKETIME", "@1970-01-02 00:00:00"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .to_vec();
    daemon.launch().await;
    let list = daemon.add_list().await;
    let account = daemon.add_password_account(list, "CLOCK", &mailbox).await;
    let next = eventually(
        "the certificate's dates are named",
        std::time::Duration::from_secs(20),
        || async {
            let shown = daemon
                .api
                .get(&format!("/api/mail/accounts/{account}"))
                .await;
            let lane = &shown["status"]["inbound"];
            match lane["code"].as_str() {
                Some("tls_expired") => Ok(lane["next"].to_string()),
                _ => Err(lane.to_string()),
            }
        },
    )
    .await;
    assert!(next.contains("clock"), "{next}");
    assert!(daemon.combined_log().contains("[1970-01-02 "));
    let lines = daemon.error_log();
    assert_eq!(lines.lines().count(), 2, "one line for each lane:\n{lines}");
    assert!(daemon.stop().await.success());
    // The clock is set right: everything goes on from what is stored.
    daemon.environment.clear();
    daemon.launch().await;
    daemon.wait_lane(account, "inbound", "ready").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_65_two_nodes_of_one_name_on_one_database_are_refused() {
    let first = Daemon::start(Engine::MariaDb, &[("XC_EMAIL_NODE_NAME", "twin")]).await;
    let url = first.setting("XC_EMAIL_DATABASE_URL").to_owned();
    let settings = [
        ("XC_EMAIL_NODE_NAME", "twin"),
        ("XC_EMAIL_DATABASE_URL", url.as_str()),
    ];
    let mut second = Daemon::prepare(Engine::Sqlite, &settings).await;
    // The same database needs the same key.
    std::fs::create_dir_all(second.setting("XC_EMAIL_DATA_DIR")).expect("data directory");
    let key =
        |daemon: &Daemon| std::path::Path::new(daemon.setting("XC_EMAIL_DATA_DIR")).join("key");
    std::fs::copy(key(&first), key(&second)).expect("key");
    let text = said(&refused(&second, &[]));
    assert!(
        text.contains("twin") && text.contains("XC_EMAIL_NODE_NAME"),
        "{text}"
    );
    second.change_setting("XC_EMAIL_NODE_NAME", "other");
    second.launch().await;
}
