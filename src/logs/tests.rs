//! The log as a whole: what is in which file, and what never is.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, FixedOffset};
use tracing::{debug, error, info, info_span, trace, warn};

use super::daily::{Daily, Plan, Shared};
use super::line::{Line, Zone};
use super::setup::assemble;
use super::{COMBINED, ERROR, Format, Level, LogError, Logs, MAX_LINE, Settings};
use crate::model::{Clock, Timestamp};

struct TestClock(AtomicI64);

impl TestClock {
    fn at(rfc3339: &str) -> Arc<Self> {
        let clock = Arc::new(Self(AtomicI64::new(0)));
        clock.set(rfc3339);
        clock
    }

    fn set(&self, rfc3339: &str) {
        let time = DateTime::parse_from_rfc3339(rfc3339).unwrap();
        self.0.store(time.timestamp_millis(), Ordering::Relaxed);
    }

    fn pass(&self, time: Duration) {
        self.0.fetch_add(time.as_millis() as i64, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed))
    }
}

fn east() -> Zone {
    Zone::Fixed(FixedOffset::east_opt(3600).unwrap())
}

fn settings(dir: &Path) -> Settings {
    Settings {
        dir: dir.to_owned(),
        level: Level::Info,
        format: Format::Text,
        keep_days: 7,
    }
}

fn start(settings: &Settings) -> Logs {
    let clock = TestClock::at("2026-11-23T13:41:01+01:00");
    assemble(settings, clock, east(), false).unwrap()
}

/// What the combined and the error file hold after `events`.
fn logged(settings: &Settings, events: impl FnOnce(&Logs)) -> (String, String) {
    let logs = start(settings);
    let dispatch = logs.dispatch.clone();
    tracing::dispatcher::with_default(&dispatch, || events(&logs));
    // Dropping the guard writes what is waiting.
    drop(logs);
    let read = |kind: &str| {
        fs::read_to_string(settings.dir.join(format!("{kind}.2026-11-23.log"))).unwrap()
    };
    (read(COMBINED), read(ERROR))
}

#[test]
fn a_line_has_exactly_the_documented_form_and_errors_are_in_both_files() {
    let dir = tempfile::tempdir().unwrap();
    let (combined, errors) = logged(&settings(dir.path()), |_| {
        info!(account = "SUPP1", new = 3, "mailbox synced");
        warn!(host = %"imap.example.com", why = "timed out", empty = "", "line lost");
        error!(ok = false, ratio = 0.5, "login refused");
        debug!("not at this level");
    });
    assert_eq!(
        combined,
        "[2026-11-23 13:41:01] [INFO] email - mailbox synced account=SUPP1 new=3\n\
         [2026-11-23 13:41:01] [WARN] email - line lost host=imap.example.com why=\"timed out\" empty=\"\"\n\
         [2026-11-23 13:41:01] [ERROR] email - login refused ok=false ratio=0.5\n"
    );
    assert_eq!(
        errors,
        "[2026-11-23 13:41:01] [ERROR] email - login refused ok=false ratio=0.5\n"
    );
    for kind in [COMBINED, ERROR] {
        let file = dir.path().join(format!("{kind}.2026-11-23.log"));
        let mode = fs::metadata(file).unwrap().permissions().mode();
        assert_eq!(mode & 0o137, 0, "{kind} has mode {mode:o}");
    }
}

#[test]
fn fields_of_spans_are_on_the_line_and_the_nearest_wins() {
    let dir = tempfile::tempdir().unwrap();
    let (combined, _) = logged(&settings(dir.path()), |_| {
        let account = info_span!(
            "account",
            account = "SUPP1",
            lane = "outer",
            later = tracing::field::Empty
        );
        let _account = account.enter();
        let _lane = info_span!("lane", lane = "inbound").entered();
        account.record("later", "a b");
        info!(new = 3, "mailbox synced");
        info!(account = "OTHER", "handed over");
    });
    assert_eq!(
        combined,
        "[2026-11-23 13:41:01] [INFO] email - mailbox synced account=SUPP1 later=\"a b\" lane=inbound new=3\n\
         [2026-11-23 13:41:01] [INFO] email - handed over later=\"a b\" lane=inbound account=OTHER\n"
    );
}

#[test]
fn what_a_server_says_stays_on_one_line() {
    let hostile =
        "bye\r\n[2026-11-23 13:41:01] [INFO] email - forged\u{2028}\u{202e}\u{1b}[2J \"x\"\\";
    let dir = tempfile::tempdir().unwrap();
    let (combined, _) = logged(&settings(dir.path()), |_| {
        info!(text = hostile, debug = ?hostile, "server said {hostile}");
    });
    assert_eq!(combined.lines().count(), 1, "{combined}");
    let shown = "bye\\r\\n[2026-11-23 13:41:01] [INFO] email - forged\\u{2028}\\u{202e}\\u{1b}[2J";
    assert!(combined.contains(&format!("server said {shown} \"x\"\\ text=")));
    assert!(combined.contains(&format!("text=\"{shown} \\\"x\\\"\\\\\"")));

    let dir = tempfile::tempdir().unwrap();
    let json = Settings {
        format: Format::Json,
        ..settings(dir.path())
    };
    let (combined, _) = logged(&json, |_| {
        info!(
            text = hostile,
            new = 3,
            level = "mine",
            "server said {hostile}"
        );
    });
    assert_eq!(combined.lines().count(), 1, "{combined}");
    let object: serde_json::Value = serde_json::from_str(&combined).unwrap();
    let expected = serde_json::json!({
        "time": "2026-11-23T13:41:01.000+01:00", "level": "INFO", "message": format!("server said {hostile}"),
        "text": hostile, "new": 3, "level_": "mine",
    });
    assert_eq!(object, expected);
}

#[test]
fn a_line_is_never_longer_than_the_bound() {
    struct Endless;
    impl std::fmt::Debug for Endless {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            loop {
                f.write_str("endless \u{1b} ")?;
            }
        }
    }
    let long = "\u{202e}".repeat(100_000);
    for format in [Format::Text, Format::Json] {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings {
            format,
            ..settings(dir.path())
        };
        let (combined, _) = logged(&settings, |_| {
            info!(a = long, b = ?Endless, c = long, d = long, "{long}");
            info!("short");
        });
        let lines: Vec<_> = combined.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].len() < MAX_LINE, "{}", lines[0].len());
        assert!(lines[0].contains("cut"));
        if format == Format::Json {
            serde_json::from_str::<serde_json::Value>(lines[0]).unwrap();
        }
    }
}

#[test]
fn the_level_changes_without_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (combined, _) = logged(&settings(dir.path()), |logs| {
        debug!("one");
        logs.control.set_level(Level::Debug);
        assert_eq!(logs.control.level(), Level::Debug);
        debug!("two");
        logs.control.set_level(Level::Error);
        info!("three");
        error!("four");
    });
    let said: Vec<_> = combined
        .lines()
        .map(|line| line.rsplit(' ').next().unwrap())
        .collect();
    assert_eq!(said, ["two", "four"]);
}

#[test]
fn a_password_that_a_protocol_crate_traces_is_in_no_file_at_any_level() {
    const CANARY: &str = "canary-7e1f";
    let dir = tempfile::tempdir().unwrap();
    let (combined, errors) = logged(&settings(dir.path()), |logs| {
        for level in Level::ALL {
            logs.control.set_level(level);
            trace!(target: "async_imap::imap_stream", "C: A1 LOGIN user {CANARY}");
            debug!(target: "async_imap", "{CANARY}");
            trace!(target: "lettre::transport::smtp", "{CANARY}");
            debug!(target: "sqlx::query", statement = CANARY);
            trace!(target: "hyper::proto::h1", "authorization: Bearer {CANARY}");
            debug!(target: "a_crate_that_came_later", "{CANARY}");
            trace!("our own line at {level}");
        }
    });
    assert!(combined.contains("our own line at TRACE"));
    assert!(!combined.contains(CANARY) && !errors.contains(CANARY));
}

/// Row 68: no directory that can be made is one clear refusal.
#[test]
fn a_directory_that_cannot_be_made_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let result = assemble(
        &settings(&file.join("logs")),
        TestClock::at("2026-11-23T13:41:01+01:00"),
        east(),
        false,
    );
    match result.map(|_| ()) {
        Err(error @ LogError::Directory { .. }) => {
            assert!(error.to_string().contains("file/logs"), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

fn daily(dir: &Path, clock: &Arc<TestClock>) -> (Daily, Arc<Shared>) {
    let shared = Arc::new(Shared::default());
    let daily = Daily::open(Plan {
        dir: dir.to_owned(),
        kind: COMBINED,
        keep_days: 1,
        line: Line {
            format: Format::Text,
            clock: clock.clone(),
            zone: east(),
        },
        shared: shared.clone(),
        echo: false,
    })
    .unwrap();
    (daily, shared)
}

fn path(dir: &Path, day: &str) -> PathBuf {
    dir.join(format!("email-combined.2026-11-{day}.log"))
}

#[test]
fn the_file_changes_at_local_midnight_and_old_ones_go() {
    let dir = tempfile::tempdir().unwrap();
    // Local midnight is an hour before that of UTC, by which tracing-appender would roll.
    let clock = TestClock::at("2026-11-23T23:59:59+01:00");
    let (mut file, _) = daily(dir.path(), &clock);
    file.write_all(b"monday\n").unwrap();
    clock.set("2026-11-24T00:00:00+01:00");
    file.write_all(b"tuesday\n").unwrap();
    assert_eq!(
        fs::read_to_string(path(dir.path(), "23")).unwrap(),
        "monday\n"
    );
    assert_eq!(
        fs::read_to_string(path(dir.path(), "24")).unwrap(),
        "tuesday\n"
    );
    clock.set("2026-11-25T00:00:00+01:00");
    file.write_all(b"wednesday\n").unwrap();
    assert!(!path(dir.path(), "23").exists());
    assert!(path(dir.path(), "24").exists());
}

#[test]
fn a_moved_file_is_left_on_request_at_once_and_by_itself_within_seconds() {
    let dir = tempfile::tempdir().unwrap();
    let clock = TestClock::at("2026-11-23T12:00:00+01:00");
    let (mut file, shared) = daily(dir.path(), &clock);
    let current = path(dir.path(), "23");
    let moved = dir.path().join("moved");

    file.write_all(b"one\n").unwrap();
    fs::rename(&current, &moved).unwrap();
    file.write_all(b"two\n").unwrap();
    assert_eq!(fs::read_to_string(&moved).unwrap(), "one\ntwo\n");
    shared.reopen.fetch_add(1, Ordering::AcqRel);
    file.flush().unwrap();
    assert!(current.exists(), "reopened although nothing was written");
    file.write_all(b"three\n").unwrap();
    assert_eq!(fs::read_to_string(&current).unwrap(), "three\n");

    fs::remove_dir_all(dir.path()).unwrap();
    clock.pass(Duration::from_secs(6));
    file.write_all(b"four\n").unwrap();
    assert_eq!(fs::read_to_string(&current).unwrap(), "four\n");
}

#[test]
fn a_reopen_through_the_control_reaches_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let moved = dir.path().join("moved");
    let current = path(dir.path(), "23");
    logged(&settings(dir.path()), |logs| {
        fs::rename(&current, &moved).unwrap();
        logs.control.reopen();
        info!("after");
    });
    assert_eq!(fs::read_to_string(moved).unwrap(), "");
    assert!(fs::read_to_string(current).unwrap().ends_with("after\n"));
}

/// `/dev/full` answers every write with the error of a full disk.
#[test]
fn lines_that_a_full_disk_swallows_are_counted_and_told_later() {
    let dir = tempfile::tempdir().unwrap();
    let current = path(dir.path(), "23");
    std::os::unix::fs::symlink("/dev/full", &current).unwrap();
    let clock = TestClock::at("2026-11-23T12:00:00+01:00");
    let (mut file, shared) = daily(dir.path(), &clock);
    file.write_all(b"one\n").unwrap();
    file.write_all(b"two\n").unwrap();
    assert_eq!(shared.swallowed.load(Ordering::Relaxed), 2);

    fs::remove_file(&current).unwrap();
    shared.reopen.fetch_add(1, Ordering::AcqRel);
    file.write_all(b"three\n").unwrap();
    assert_eq!(
        fs::read_to_string(&current).unwrap(),
        "[2026-11-23 12:00:00] [WARN] email - log lines were lost because the disk did not take them lost=2\nthree\n"
    );
    assert_eq!(shared.swallowed.load(Ordering::Relaxed), 2);
}

#[test]
fn lost_lines_are_counted_through_the_control() {
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/full", path(dir.path(), "23")).unwrap();
    let logs = start(&settings(dir.path()));
    tracing::dispatcher::with_default(&logs.dispatch, || info!("one"));
    let control = logs.control.clone();
    drop(logs);
    assert_eq!(control.lost().swallowed, 1);
    assert_eq!(control.lost().dropped, 0);
}
