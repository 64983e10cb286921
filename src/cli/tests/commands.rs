//! Whole commands: what is asked of the daemon, what is printed, and the exit code.

use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use clap::Parser;
use serde_json::{Value, json};

use super::fake::{Answer, Fake, Ran, cli, json_answer};
use crate::cli::args::Cli;
use crate::cli::run;
use crate::cli::terminal::{Person, Terminal};

#[test]
fn accounts_are_added_with_what_was_named_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let password = dir.path().join("password");
    std::fs::write(&password, "p w\r\n").unwrap();
    let password = password.display().to_string();
    let names = [
        "account",
        "add",
        "--name",
        "N",
        "--key",
        "K",
        "--address",
        "a@b.c",
        "--list",
        "2",
        "--service",
    ];
    for (more, body) in [
        (
            &[
                "outlook365",
                "--provider",
                "1",
                "--user",
                "a@b.c",
                "--delegate",
                "d@b.c",
            ][..],
            json!({"service": "outlook365", "authentication": "modern", "CloudProviderId": 1, "username": "a@b.c",
                "delegate": "d@b.c"}),
        ),
        (
            &[
                "Custom",
                "--user",
                "u",
                "--password-file",
                &password,
                "--imap-host",
                "i",
                "--imap-port",
                "993",
                "--imap-tls",
                "tls",
                "--imap-verify",
                "accept_any",
                "--smtp-host",
                "s",
                "--smtp-port",
                "587",
                "--smtp-tls",
                "starttls",
                "--smtp-verify",
                "full",
                "--backfill",
                "all",
            ],
            json!({"service": "custom", "authentication": "password", "username": "u", "password": "p w",
                "imap": {"host": "i", "port": 993, "tls": "tls", "verify": "accept_any"},
                "smtp": {"host": "s", "port": 587, "tls": "starttls", "verify": "full"}, "backfill": "all"}),
        ),
    ] {
        let fake = Fake::start(vec![json_answer(
            "POST /api/mail/accounts",
            201,
            json!({"id": 3, "key": "K"}),
        )]);
        let args: Vec<_> = names.iter().chain(more).copied().collect();
        let ran = fake.cli(&args);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""));
        assert!(
            ran.out.starts_with("Added account K (id 3);"),
            "{}",
            ran.out
        );
        let mut expected = json!({"name": "N", "key": "K", "address": "a@b.c", "ListId": 2});
        expected
            .as_object_mut()
            .unwrap()
            .extend(body.as_object().unwrap().clone());
        assert_eq!(fake.asked()[0].1, expected);
    }
}

pub(super) fn accounts(request: &'static str) -> Answer {
    json_answer(
        request,
        200,
        json!({"count": 1, "rows": [{"id": 3, "key": "SUPP1"}]}),
    )
}

pub(super) const ACCOUNTS: &str = "GET /api/mail/accounts?limit=500&offset=0";

#[test]
fn an_account_is_named_by_its_key() {
    for (args, request) in [
        (
            &["account", "pause", "supp1"][..],
            "POST /api/mail/accounts/3/pause",
        ),
        (
            &["account", "resume", "SUPP1"],
            "POST /api/mail/accounts/3/resume",
        ),
        (&["account", "sync", "3"], "POST /api/mail/accounts/3/sync"),
        (&["account", "show", "SUPP1"], "GET /api/mail/accounts/3"),
        (
            &["account", "edit", "SUPP1", "--name", "X"],
            "PUT /api/mail/accounts/3",
        ),
        (
            &["account", "remove", "SUPP1"],
            "DELETE /api/mail/accounts/3",
        ),
        (
            &["account", "remove", "SUPP1", "--discard-queue"],
            "DELETE /api/mail/accounts/3?discardQueue=true",
        ),
        (
            &[
                "transcript",
                "3",
                "--protocol",
                "oauth",
                "--limit",
                "5",
                "--json",
            ],
            "GET /api/mail/accounts/3/transcript?limit=5&protocol=oauth",
        ),
        (
            &["message", "list", "--account", "SUPP1"],
            "GET /api/mail/messages?limit=50&offset=0&AccountId=3",
        ),
        (
            &[
                "outbox",
                "list",
                "--account",
                "SUPP1",
                "--state",
                "in_doubt",
            ],
            "GET /api/mail/outbox?limit=50&offset=0&AccountId=3&state=in_doubt",
        ),
    ] {
        let fake = Fake::start(vec![
            accounts(ACCOUNTS),
            json_answer(request, 200, json!({"id": 3})),
        ]);
        let ran = fake.cli(args);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{args:?}");
        assert_eq!(fake.asked()[1].0, request);
    }
    let fake = Fake::start(vec![accounts(ACCOUNTS)]);
    let ran = fake.cli(&["account", "pause", "NONE"]);
    assert_eq!(ran.code, 1);
    assert_eq!(
        ran.err,
        "There is no account NONE; motion-email account list shows all.\n"
    );
}

#[test]
fn a_mail_is_queued_with_its_text_from_standard_input() {
    let answer = json_answer("POST /api/mail/outbox", 201, json!({"id": 9}));
    let fake = Fake::start(vec![accounts(ACCOUNTS), answer]);
    let ran = fake.cli_with(
        &[
            "send",
            "--account",
            "SUPP1",
            "--to",
            "x@y.z",
            "--to",
            "v@w.x",
            "--cc",
            "c@d.e",
            "--subject",
            "S",
            "--reply-to-message",
            "7",
            "--idempotency-key",
            "I",
        ],
        "two\nlines\n",
        false,
    );
    assert_eq!(
        (ran.code, ran.out.as_str(), ran.err.as_str()),
        (
            0,
            "Queued as 9; motion-email outbox show 9 says what became of it.\n",
            ""
        )
    );
    let body = json!({"AccountId": 3, "to": ["x@y.z", "v@w.x"], "cc": ["c@d.e"], "subject": "S", "text": "two\nlines\n",
        "replyToMessageId": 7, "idempotencyKey": "I"});
    assert_eq!(fake.asked()[1].1, body);
}

#[test]
fn strangers_text_is_escaped_and_raw_mail_is_not_unless_a_person_reads_it() {
    let raw: &[u8] = b"Subject: \x1b[2J\r\n\r\n\xff\r\n";
    let script = || {
        vec![
            json_answer(
                "GET /api/mail/messages/7",
                200,
                json!({"id": 7, "subject": "a\u{1b}b", "html": "<p>", "text": "one\n\u{202e}two"}),
            ),
            ("GET /api/mail/messages/7/raw", 200, raw.to_vec()),
        ]
    };
    let ran = Fake::start(script()).cli(&["message", "show", "7"]);
    assert_eq!(
        ran.out,
        "id       7\nsubject  a\\u{1b}b\n\none\n\\u{202e}two\n"
    );
    let fake = Fake::start(script());
    let ran = fake.cli_with(&["message", "raw", "7"], "", true);
    assert_eq!(ran.out, "Subject: \\u{1b}[2J\n\n\u{fffd}\n");
    let socket = fake.socket();
    drop(fake);
    assert!(!Path::new(&socket).exists());

    let fake = Fake::start(script());
    let words = [
        "motion-email",
        "message",
        "raw",
        "7",
        "--socket",
        &fake.socket(),
    ];
    let mut out = Vec::new();
    let code = run(
        Cli::try_parse_from(words).unwrap(),
        &mut Terminal {
            out: &mut out,
            err: &mut Vec::new(),
            input: &mut &b""[..],
            person: Person::default(),
        },
    );
    assert_eq!((code, out.as_slice()), (0, raw));
}

#[test]
fn refusals_come_with_the_daemons_words_and_their_exit_code() {
    let problem = json!({"title": "Conflict", "status": 409, "detail": "List 1 is in use.", "code": "in_use", "next": "Use another."});
    for (status, code) in [(409, 1), (422, 1), (500, 1), (503, 75)] {
        let answer = || json_answer("POST /api/cm/lists", status, problem.clone());
        let ran = Fake::start(vec![answer()]).cli(&["list", "add", "--name", "X"]);
        let expected = Ran {
            code,
            out: String::new(),
            err: "List 1 is in use. (in_use)\nUse another.\n".to_owned(),
        };
        assert_eq!(ran, expected);
        let ran = Fake::start(vec![answer()]).cli(&["list", "add", "--name", "X", "--json"]);
        assert_eq!(serde_json::from_str::<Value>(&ran.err).unwrap(), problem);
    }
}

#[test]
fn a_daemon_that_is_not_there_is_69_and_bad_settings_are_78() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("s");
    let name = socket.display().to_string();
    let ran = cli(&["status", "--socket", &name], "", false);
    assert_eq!(ran.code, 69);
    assert!(
        ran.err.contains("there is no such socket") && ran.err.contains("systemctl status"),
        "{}",
        ran.err
    );
    drop(UnixListener::bind(&socket).unwrap());
    let ran = cli(&["status", "--socket", &name], "", false);
    assert_eq!(ran.code, 69);
    assert!(ran.err.contains("nobody listens there"), "{}", ran.err);
    let ran = cli(&["status", "--env-file", "/nonexistent.env"], "", false);
    assert_eq!(ran.code, 78);
    assert!(
        ran.err.starts_with("/nonexistent.env: cannot be read"),
        "{}",
        ran.err
    );
    assert_eq!(
        cli(&["log-level", "loud", "--socket", &name], "", false).code,
        64
    );
    assert_eq!(cli(&["logs", "--level", "loud"], "", false).code, 64);
}

#[test]
fn the_socket_comes_from_an_env_file() {
    let fake = Fake::start(vec![json_answer(
        "PUT /api/log-level",
        200,
        json!({"level": "DEBUG"}),
    )]);
    let file: PathBuf = fake.dir.path().join("e");
    std::fs::write(&file, format!("XC_EMAIL_SOCKET={}\n", fake.socket())).unwrap();
    let ran = cli(
        &[
            "log-level",
            "debug",
            "--env-file",
            &file.display().to_string(),
        ],
        "",
        false,
    );
    assert_eq!(
        ran.out,
        "The level is DEBUG until the daemon starts again.\n"
    );
    assert_eq!(fake.asked()[0].1, json!({"level": "DEBUG"}));
}

#[test]
fn the_log_is_read_from_its_directory_without_a_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("e");
    std::fs::write(
        &file,
        format!("XC_EMAIL_LOG_DIR={}\n", dir.path().display()),
    )
    .unwrap();
    let lines = "[2026-11-23 13:41:01] [INFO] email - one account=A\n[2026-11-23 13:41:02] [ERROR] email - two account=A\n";
    std::fs::write(dir.path().join("email-combined.2026-11-23.log"), lines).unwrap();
    let file = file.display().to_string();
    let ran = cli(&["logs", "--env-file", &file], "", false);
    assert_eq!((ran.code, ran.out.as_str()), (0, lines));
    let ran = cli(
        &[
            "logs",
            "--env-file",
            &file,
            "--level",
            "warn",
            "--account",
            "a",
        ],
        "",
        false,
    );
    assert_eq!(ran.out.lines().count(), 1);
}

#[test]
fn every_key_is_printed_as_an_env_file() {
    assert_eq!(
        cli(&["check", "--keys"], "", false).out,
        crate::config::reference()
    );
}

#[test]
fn the_status_shows_the_daemon_its_grants_its_accounts_and_what_to_do() {
    let answer = json!({
        "version": "1", "node": "n", "cloudProviders": [{"id": 1, "name": "P", "grant": {"state": "needs_sign_in", "reason": "revoked"}}],
        "accounts": [{"id": 2, "key": "A", "address": "a@b.c", "paused": false, "status": {
            "inbound": {"state": "parked", "what": "Login refused.", "next": "Change it."}, "outbound": {"state": "ready"}}}],
    });
    let ran = Fake::start(vec![json_answer("GET /api/status", 200, answer)]).cli(&["status"]);
    assert_eq!(
        ran.out,
        "version  1\nnode     n\n\n\
         ID  CLOUD PROVIDER  GRANT          SIGNED IN AS  REASON\n\
         1   P               needs_sign_in  -             revoked\n\n\
         ID  KEY  ADDRESS  PAUSED  INBOUND  LAST CONTACT  OUTBOUND  LAST CONTACT\n\
         2   A    a@b.c    false   parked   -             ready     -\n\n\
         A inbound: Login refused.\n  Change it.\n"
    );
}
