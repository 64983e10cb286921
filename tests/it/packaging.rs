//! The unit file and the installer, without systemd as the first process.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

const UNIT: &str = "systemd/motion-email.service";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// The values of a directive, in order.
fn directive(unit: &str, name: &str) -> Vec<String> {
    unit.lines()
        .filter_map(|line| line.split_once('='))
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| value.to_owned())
        .collect()
}

#[test]
fn the_units_exposure_is_at_most_one_and_a_half() {
    let output = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--threshold=15", "--no-pager"])
        .arg(root().join(UNIT))
        .output()
        .expect("systemd-analyze is missing: install Debian's package systemd");
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn the_unit_promises_what_the_daemon_and_the_design_count_on() {
    let unit = fs::read_to_string(root().join(UNIT)).unwrap();
    for (name, value) in [
        ("Type", "notify"),
        ("NotifyAccess", "main"),
        ("WatchdogSec", "30"),
        ("Restart", "always"),
        ("TimeoutStopSec", "30"),
        ("ExecReload", "/bin/kill -HUP $MAINPID"),
        (
            "ExecStart",
            "/usr/bin/motion-email run --env-file /etc/motion-email/motion-email.env",
        ),
        ("StateDirectory", "motion-email"),
        ("RuntimeDirectory", "motion-email"),
        ("UMask", "0027"),
        ("ReadWritePaths", "-/var/log/xcally"),
    ] {
        assert_eq!(directive(&unit, name), [value], "{name}=");
    }
    for name in ["EnvironmentFile", "LogsDirectory"] {
        assert!(
            directive(&unit, name).is_empty(),
            "{name}= must not be there"
        );
    }
}

/// A staged root with a stand-in for the program, which the installer only asks for its version.
struct Stage {
    dir: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        let stage = Self {
            dir: tempfile::tempdir().expect("a folder"),
        };
        stage.program("1");
        stage
    }

    /// Written by a child: a file this process wrote could still be open for writing in another test's
    /// fork when it is executed (ETXTBSY).
    fn program(&self, version: &str) {
        let wrote = Command::new("sh")
            .arg("-c")
            .arg(r#"printf '#!/bin/sh\necho motion-email %s\n' "$1" > "$0" && chmod 755 "$0""#)
            .arg(self.dir.path().join("program"))
            .arg(version)
            .status()
            .expect("sh runs");
        assert!(wrote.success());
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("root").join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("a file of the stage")
    }

    fn install(&self, action: &str) -> Output {
        Command::new(root().join("packaging/install"))
            .arg("--binary")
            .arg(self.dir.path().join("program"))
            .arg("--root")
            .arg(self.dir.path().join("root"))
            .arg(action)
            .output()
            .expect("the installer runs")
    }

    fn installs(&self, action: &str) -> String {
        let output = self.install(action);
        assert!(output.status.success(), "{action}: {}", said(&output));
        said(&output)
    }
}

const PROGRAM: &str = "usr/bin/motion-email";
const ENV: &str = "etc/motion-email/motion-email.env";
const INSTALLED_UNIT: &str = "usr/lib/systemd/system/motion-email.service";

#[test]
fn the_installer_installs_upgrades_removes_and_purges() {
    let stage = Stage::new();
    stage.installs("install");
    for name in [
        PROGRAM,
        ENV,
        INSTALLED_UNIT,
        "var/log/xcally",
        "var/lib/motion-email",
    ] {
        assert!(stage.path(name).exists(), "{name} is missing");
    }
    let mode = |name: &str| fs::metadata(stage.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(ENV), 0o640);
    assert_eq!(mode("var/lib/motion-email"), 0o700);
    let again = stage.install("install");
    assert!(!again.status.success());
    assert!(said(&again).contains("use 'upgrade'"), "{}", said(&again));

    fs::write(stage.path(ENV), "XC_DEBUG_LEVEL=DEBUG\n").unwrap();
    stage.program("2");
    stage.installs("upgrade");
    assert!(stage.text(PROGRAM).contains("motion-email 2"));
    assert_eq!(stage.text(ENV), "XC_DEBUG_LEVEL=DEBUG\n");

    fs::write(stage.path("var/lib/motion-email/data"), "mail").unwrap();
    stage.installs("remove");
    assert!(!stage.path(PROGRAM).exists() && !stage.path(INSTALLED_UNIT).exists());
    assert!(stage.path("var/lib/motion-email/data").exists() && stage.path(ENV).exists());

    stage.installs("install");
    fs::write(
        stage.path("var/log/xcally/email-error.2026-01-01.log"),
        "ours",
    )
    .unwrap();
    fs::write(stage.path("var/log/xcally/other.log"), "theirs").unwrap();
    stage.installs("purge");
    assert!(!stage.path("var/lib/motion-email").exists() && !stage.path(ENV).exists());
    assert!(
        !stage
            .path("var/log/xcally/email-error.2026-01-01.log")
            .exists()
    );
    assert!(stage.path("var/log/xcally/other.log").exists());
}

#[test]
fn a_shared_log_directory_keeps_its_owner_and_mode() {
    let stage = Stage::new();
    let logs = stage.path("var/log/xcally");
    fs::create_dir_all(&logs).unwrap();
    fs::set_permissions(&logs, fs::Permissions::from_mode(0o775)).unwrap();
    stage.installs("install");
    assert_eq!(
        fs::metadata(&logs).unwrap().permissions().mode() & 0o777,
        0o775
    );
}

#[test]
fn the_installer_says_what_to_do_next() {
    let stage = Stage::new();
    for (action, next) in [
        ("upgrade", "use 'install'"),
        ("rmeove", "what is 'rmeove'?"),
    ] {
        let output = stage.install(action);
        assert!(!output.status.success());
        assert!(said(&output).contains(next), "{action}: {}", said(&output));
    }
    fs::remove_file(stage.dir.path().join("program")).unwrap();
    let output = stage.install("install");
    assert!(
        said(&output).contains("cargo build --release"),
        "{}",
        said(&output)
    );
}
