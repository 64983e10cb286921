//! Sources to config, and the mistakes in between.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::ExposeSecret;

use super::built_in::{Place, built_in};
use super::keys::KEYS;
use super::{Config, Flag, Sources, load, paths, reference, reload_diff};
use crate::logs::Level;

/// A file that only its owner may read.
fn file(dir: &Path, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

fn from_files(files: &[PathBuf]) -> Sources {
    Sources {
        env_files: files.to_vec(),
        root: true,
        host_name: "node-1".to_owned(),
        ..Sources::default()
    }
}

fn from_environment(variables: &[(&str, &str)]) -> Sources {
    Sources {
        environment: variables
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
        ..from_files(&[])
    }
}

/// The mistakes of one file, with its path taken off.
fn mistakes(text: impl AsRef<[u8]>) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), "e", text);
    let prefix = format!("{}:", path.display());
    match load(&from_files(&[path])) {
        Ok(_) => Vec::new(),
        Err(mistakes) => mistakes
            .lines()
            .iter()
            .map(|line| line.replace(&prefix, ""))
            .collect(),
    }
}

fn defaults() -> Config {
    let place = Place::system();
    built_in(&place, &place.state, "node-1")
}

#[test]
fn without_any_source_the_defaults_hold() {
    let config = load(&from_files(&[])).unwrap();
    assert_eq!(config.level, Level::Info);
    assert_eq!(config.listen.to_string(), "127.0.0.1:9380");
    assert_eq!(
        config.socket,
        Path::new("/run/motion-email/motion-email.sock")
    );
    assert_eq!(
        config.database_url.expose_secret(),
        "sqlite:///var/lib/motion-email/motion-email.db"
    );
    assert_eq!(config.idle_reissue, Duration::from_secs(300));
    assert_eq!(reload_diff(&defaults(), &config), (vec![], vec![]));
}

#[test]
fn later_files_the_environment_and_flags_win_in_this_order() {
    let dir = tempfile::tempdir().unwrap();
    let one = file(
        dir.path(),
        "one",
        "XC_DEBUG_LEVEL=error\nXC_EMAIL_DRAIN=1s\nXC_EMAIL_POLL_INTERVAL=1s\nXC_EMAIL_RETRY_CAP=2h",
    );
    let two = file(
        dir.path(),
        "two",
        "XC_DEBUG_LEVEL=warn\nXC_EMAIL_DRAIN=2s\nXC_EMAIL_POLL_INTERVAL=2s",
    );
    let sources = Sources {
        environment: vec![
            ("XC_EMAIL_DRAIN".to_owned(), "3s".to_owned()),
            ("XC_DEBUG_LEVEL".to_owned(), "\"debug\"".to_owned()),
            ("XC_DB_HOST".to_owned(), "not ours".to_owned()),
        ],
        flags: vec![Flag {
            name: "--log-level",
            key: "XC_DEBUG_LEVEL",
            value: "trace".to_owned(),
        }],
        ..from_files(&[one, two])
    };
    let config = load(&sources).unwrap();
    assert_eq!(config.level, Level::Trace);
    assert_eq!(config.drain, Duration::from_secs(3));
    assert_eq!(config.poll_interval, Duration::from_secs(2));
    assert_eq!(config.retry_cap, Duration::from_secs(7200));
}

#[test]
fn a_file_is_read_again_at_each_load() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), "e", "XC_DEBUG_LEVEL=INFO\n");
    let sources = from_files(&[path]);
    let old = load(&sources).unwrap();
    file(
        dir.path(),
        "e",
        "XC_DEBUG_LEVEL=DEBUG\nXC_EMAIL_LISTEN=127.0.0.1:1\n",
    );
    let new = load(&sources).unwrap();
    assert_eq!(
        reload_diff(&old, &new),
        (vec!["XC_DEBUG_LEVEL"], vec!["XC_EMAIL_LISTEN"])
    );
}

#[test]
fn values_stay_the_text_that_was_written() {
    let config = load(&from_environment(&[
        ("XC_EMAIL_NODE_NAME", "0123"),
        ("XC_EMAIL_ALLOW_HOSTS", "true,1.5"),
    ]))
    .unwrap();
    assert_eq!(config.node_name, "0123");
    assert_eq!(config.allow_hosts, ["true", "1.5"]);
}

#[test]
fn what_lies_in_the_data_directory_follows_it() {
    let config = load(&from_environment(&[("XC_EMAIL_DATA_DIR", "/data")])).unwrap();
    assert_eq!(
        config.database_url.expose_secret(),
        "sqlite:///data/motion-email.db"
    );
    assert_eq!(config.key_file, Path::new("/data/key"));
    assert_eq!(config.blob_url.as_str(), "file:///data/blobs");
}

/// Row 65: unknown and duplicate keys, negative numbers, timeouts of 0: one line each, all at once.
#[test]
fn all_mistakes_are_told_at_once_with_their_lines() {
    let text = "XC_DEBUG_LEVEL=loud\n# fine\nXC_EMAIL_LISTN=1\nXC_EMAIL_DRAIN=0\nXC_EMAIL_LOG_KEEP_DAYS=-3\n\
        XC_EMAIL_IDLE_REISSUE=30m\nXC_EMAIL_SOCKET='x\nXC_EMAIL_POLL_INTERVAL=5\nXC_EMAIL_POLL_INTERVAL=6\n\
        XC_EMAIL_FROBNICATE=1\nXC_EMAIL_CA_FILE=\nXC_DB_PASSWORD=-1\n";
    let mut lines = mistakes(text);
    lines.sort();
    let mut expected = [
        "1: XC_DEBUG_LEVEL: \"loud\" is not a level; allowed: ERROR, WARN, INFO, DEBUG or TRACE, in any case",
        "3: XC_EMAIL_LISTN: there is no such key; did you mean XC_EMAIL_LISTEN?",
        "4: XC_EMAIL_DRAIN: \"0\" is less than 1s; allowed: 1s to 10m",
        "5: XC_EMAIL_LOG_KEEP_DAYS: \"-3\" is not a whole number; allowed: 1 to 3650",
        "6: XC_EMAIL_IDLE_REISSUE: \"30m\" is more than 29m; allowed: 1s to 29m (seconds, or with ms, s, m, h, d)",
        "7: XC_EMAIL_SOCKET: has a quote that does not end on its line",
        "9: XC_EMAIL_POLL_INTERVAL: is in this file twice",
        "10: XC_EMAIL_FROBNICATE: there is no such key; `motion-email check --keys` lists all",
        "11: XC_EMAIL_CA_FILE: an empty value is not an absolute path; allowed: an absolute path",
    ];
    expected.sort_unstable();
    assert_eq!(lines, expected);
}

#[test]
fn mistakes_of_the_environment_and_of_flags_name_their_place() {
    let mut sources = from_environment(&[
        ("XC_EMAIL_LISTEN", "x"),
        ("XC_EMAIL_Listen", "y"),
        ("XC_EMAIL_SOCKET", "/a\u{fffd}"),
    ]);
    sources.flags.push(Flag {
        name: "--log-level",
        key: "XC_DEBUG_LEVEL",
        value: "x\u{1b}y".to_owned(),
    });
    let lines = load(&sources).unwrap_err().lines();
    assert_eq!(
        lines,
        [
            "environment: XC_EMAIL_Listen: there is no such key; did you mean XC_EMAIL_LISTEN?",
            "environment: XC_EMAIL_SOCKET: is not UTF-8 text",
            "--log-level: XC_DEBUG_LEVEL: \"x\\u{1b}y\" is not a level; allowed: ERROR, WARN, INFO, DEBUG or TRACE, in any case",
            "environment: XC_EMAIL_LISTEN: \"x\" is not an IP address with a port; allowed: an IP address with a port, \
             like 127.0.0.1:9380 or [::1]:9380",
        ]
    );
}

#[test]
fn no_mistake_and_no_debug_text_shows_a_password() {
    for text in [
        "XC_EMAIL_DATABASE_URL=postgres://u:canary@h/d",
        "XC_EMAIL_DATABASE_URL=mysql://u:canary@/d",
        "XC_EMAIL_DATABASE_URL=canary",
        "XC_EMAIL_DATABASE_URL='mysql://u:canary",
        "XC_EMAIL_DATABSE_URL=mysql://u:canary@h/d",
        "XC_EMAIL_HTTPS_PROXY=https://u:canary@h",
    ] {
        let lines = mistakes(text);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(!lines[0].contains("canary"), "{lines:?}");
    }
    let config = load(&from_environment(&[
        ("XC_EMAIL_DATABASE_URL", "mysql://u:canary@h/d"),
        ("XC_EMAIL_HTTPS_PROXY", "http://u:canary@h:1"),
    ]))
    .unwrap();
    assert!(!format!("{config:?}").contains("canary"));
}

/// Row 65: a secret that everybody may read.
#[test]
fn a_password_in_a_file_that_everybody_may_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mode =
        |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let path = file(
        dir.path(),
        "e",
        "XC_EMAIL_DATABASE_URL=mysql://u:canary@h/d\n",
    );
    let sources = from_files(std::slice::from_ref(&path));
    mode(dir.path(), 0o755);
    assert!(load(&sources).is_ok(), "only its owner may read it");
    mode(&path, 0o644);
    let lines = load(&sources).unwrap_err().lines();
    assert_eq!(lines.len(), 1);
    assert!(lines[0].contains("chmod 640") && !lines[0].contains("canary"));
    mode(dir.path(), 0o700);
    assert!(load(&sources).is_ok(), "nobody else gets to it");

    mode(dir.path(), 0o755);
    fs::write(&path, "XC_EMAIL_DATABASE_URL=sqlite:///a/b\n").unwrap();
    assert!(load(&sources).is_ok(), "it holds no password");
}

#[test]
fn the_database_url_may_come_from_a_file_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let url = file(dir.path(), "url", "mysql://u:canary@h/d\n");
    let name = url.display().to_string();
    let both = [
        ("XC_EMAIL_DATABASE_URL_FILE", name.as_str()),
        ("XC_EMAIL_DATABASE_URL", "sqlite:///x"),
    ];
    let config = load(&from_environment(&both[..1])).unwrap();
    assert_eq!(config.database_url.expose_secret(), "mysql://u:canary@h/d");
    let lines = load(&from_environment(&both)).unwrap_err().lines();
    assert_eq!(lines.len(), 1);
    assert!(lines[0].contains("set one of them"));

    file(dir.path(), "url", "nonsense canary");
    let lines = load(&from_environment(&both[..1])).unwrap_err().lines();
    assert_eq!(lines.len(), 1);
    assert!(!lines[0].contains("canary"), "{lines:?}");
}

#[test]
fn files_that_cannot_be_read_are_mistakes() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    let large = file(dir.path(), "large", vec![b'#'; (1 << 20) + 1]);
    let files = [missing, dir.path().to_owned(), large];
    let lines = load(&from_files(&files)).unwrap_err().lines();
    assert_eq!(lines.len(), 3);
    assert!(lines[0].contains("missing: cannot be read"));
    assert!(lines[1].ends_with("is not a regular file"));
    assert!(lines[2].ends_with("is larger than 1 MiB"));
    // The default file may be missing.
    let sources = Sources {
        default_file: Some(files[0].clone()),
        ..from_files(&[])
    };
    assert!(load(&sources).is_ok());
}

#[test]
fn a_command_finds_the_socket_in_spite_of_other_mistakes() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(
        dir.path(),
        "e",
        "XC_EMAIL_DRAIN=0\nXC_EMAIL_SOCKET=/run/x\n",
    );
    let found = paths(&from_files(&[path])).unwrap();
    assert_eq!(found.socket, Path::new("/run/x"));
    assert!(found.socket_is_set && !found.log_dir_is_set);
    assert!(paths(&from_files(&[dir.path().join("missing")])).is_err());
    let path = file(dir.path(), "e", "XC_EMAIL_SOCKET=relative\n");
    assert_eq!(paths(&from_files(&[path])).unwrap_err().lines().len(), 1);
}

#[test]
fn every_key_reads_what_it_writes() {
    let config = defaults();
    for key in KEYS {
        let mut copy = config.clone();
        (key.set)(&mut copy, &(key.text)(&config)).unwrap();
        assert_eq!((key.text)(&copy), (key.text)(&config), "{}", key.name);
        assert_eq!(
            reload_diff(&config, &copy),
            (vec![], vec![]),
            "{}",
            key.name
        );
    }
}

#[test]
fn the_documented_env_file_is_the_one_in_the_repository_and_is_valid() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("etc/motion-email.env");
    let text = fs::read_to_string(path).unwrap();
    assert!(
        text == reference(),
        "etc/motion-email.env differs: `motion-email check --keys > etc/motion-email.env` writes it anew"
    );
    assert_eq!(mistakes(&text), [""; 0]);
    // With the comment signs gone every line is a key with its default; an empty node name is not one.
    let active: String = text
        .lines()
        .filter_map(|line| line.strip_prefix('#'))
        .filter(|line| line.starts_with("XC_") && !line.ends_with("NODE_NAME="))
        .flat_map(|line| [line, "\n"])
        .collect();
    assert_eq!(active.lines().count(), KEYS.len() - 1);
    assert_eq!(mistakes(active), [""; 0]);
}

#[test]
fn a_mailbox_is_never_judged_before_it_could_have_been_looked_at_twice() {
    for (notice, warn, idle, expected) in [
        ("15m", "1h", "5m", (900, 3600)),
        // One setting suffices.
        ("15m", "3s", "1s", (120, 120)),
        ("15m", "10m", "1m", (600, 600)),
        ("15m", "1h", "29m", (3480, 3600)),
        ("1s", "2s", "29m", (3480, 3480)),
    ] {
        let config = load(&from_environment(&[
            ("XC_EMAIL_CONTACT_NOTICE_AFTER", notice),
            ("XC_EMAIL_CONTACT_WARN_AFTER", warn),
            ("XC_EMAIL_IDLE_REISSUE", idle),
            ("XC_EMAIL_SMTP_PROOF_INTERVAL", "2h"),
        ]));
        let config = config.unwrap();
        let settings = config.calendar();
        // The calendar waits as long as the lane does.
        assert_eq!(settings.proof, config.outbound().proof);
        assert_eq!(settings.proof.as_secs(), 7200);
        let seconds = (
            settings.notice_after.as_secs(),
            settings.warn_after.as_secs(),
        );
        // The poll interval is a minute.
        assert_eq!(seconds, expected, "{notice} {warn} {idle}");
    }
}

#[test]
fn a_password_in_an_address_is_shown_by_no_mistake_whatever_key_it_stands_in() {
    let found = mistakes(
        "XC_EMAIL_DATABASE_URL=nosql://me:canary@h/x
XC_EMAIL_MAIL_PROXY=htp://me:canary@h:1
XC_EMAIL_HTTPS_PROXY=http://me:canary@:99999
XC_EMAIL_PUBLIC_URL=https://me:canary@h/
XC_EMAIL_BLOB_URL=s3://key:canary@bucket
XC_EMAIL_NO_PROXY=me:canary@h
XC_EMAIL_LISTEN=me:canary@h:1
XC_EMAIL_PASSWORD=canary
",
    );
    assert_eq!(found.len(), 8, "{found:#?}");
    assert!(!found.join("\n").contains("canary"), "{found:#?}");
}
