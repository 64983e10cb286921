//! What goes into a bundle, and where it comes from.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use serde_json::{Value, json};

use super::{Parts, redact::Redactor};
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::show::{rows, text_at};
use crate::model::{Clock as _, SystemClock};
use crate::{config, logs};

/// Lines of each log.
const LINES: usize = 2000;
/// Bytes of each log that are read for them.
const BYTES: u64 = 4 << 20;
/// Accounts whose transcripts are taken.
const TRANSCRIPTS: usize = 200;

/// What only the daemon knows. What it does not answer is named in the bundle.
pub(in crate::cli) async fn ask(client: &Client, parts: &mut Parts) {
    let status = match client.get("/api/status", &[]).await {
        Ok(status) => status,
        Err(failure) => {
            parts.lacks("status.json", &words(&failure));
            return;
        }
    };
    let redactor = Redactor::of_status(&status);
    let accounts = status
        .get("accounts")
        .map(rows)
        .unwrap_or_default()
        .to_vec();
    let queues: serde_json::Map<String, Value> = accounts
        .iter()
        .filter_map(|account| Some((text_at(account, "/key")?, account.get("queue")?.clone())))
        .collect();
    parts.add("outbox.json", pretty(&Value::Object(queues)));
    for account in accounts.iter().take(TRANSCRIPTS) {
        let (Some(id), Some(key)) = (account.get("id"), text_at(account, "/key")) else {
            continue;
        };
        let name = format!("transcript/{key}.json");
        match client
            .get(&format!("/api/mail/accounts/{id}/transcript"), &[])
            .await
        {
            Ok(transcript) => parts.add(&name, pretty(&redactor.json(&transcript))),
            Err(failure) => parts.lacks(&name, &words(&failure)),
        }
    }
    parts.status = status;
}

fn words(failure: &Failure) -> String {
    failure.words().join(" ")
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// What this process can see by itself.
pub(super) fn local(parts: &mut Parts) {
    let redactor = Redactor::of_status(&parts.status);
    if !parts.status.is_null() {
        parts.add("status.json", pretty(&redactor.json(&parts.status)));
    } else if parts.missing.is_empty() {
        parts.lacks(
            "status.json, outbox.json, transcript",
            "the daemon does not answer",
        );
    }
    parts.add("report.json", pretty(&redactor.json(&parts.report)));
    let settings: Vec<String> = config::shown(&parts.sources)
        .into_iter()
        .map(|one| format!("{}={}  # {}", one.key, one.value, one.origin))
        .collect();
    parts.add("settings.txt", redactor.text(&settings.join("\n")));
    parts.add("system.json", pretty(&system(&parts.logs)));
    for (kind, name) in [
        (logs::COMBINED, "log/combined.log"),
        (logs::ERROR, "log/error.log"),
    ] {
        match last_lines(&parts.logs, kind) {
            Ok(text) => parts.add(name, redactor.text(&text)),
            Err(error) => {
                let place = format!("{name} from {}", parts.logs.display());
                parts.lacks(&place, &error.to_string());
            }
        }
    }
}

fn system(logs: &Path) -> Value {
    let machine = rustix::system::uname();
    let text = |value: &std::ffi::CStr| value.to_string_lossy().into_owned();
    let zone = fs::read_link("/etc/localtime").ok();
    let distribution = fs::read_to_string("/etc/os-release").ok();
    let distribution = distribution.as_deref().and_then(|file| {
        let line = file
            .lines()
            .find_map(|line| line.strip_prefix("PRETTY_NAME="));
        line.map(|name| name.trim_matches('"').to_owned())
    });
    let room = rustix::fs::statvfs(logs).ok().map(|room| {
        json!({
            "path": logs.display().to_string(),
            "freeMiB": room.f_bavail.saturating_mul(room.f_frsize) >> 20,
            "freeFiles": room.f_favail,
        })
    });
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "host": text(machine.nodename()),
        "kernel": format!("{} {} {}", text(machine.sysname()), text(machine.release()), text(machine.machine())),
        "distribution": distribution,
        "timeZone": zone.map(|path| path.display().to_string()),
        "time": SystemClock.now().rfc3339(),
        "logDisk": room,
    })
}

/// The last lines of the newest files of a kind, oldest first.
fn last_lines(dir: &Path, kind: &str) -> io::Result<String> {
    let mut found: Vec<_> = fs::read_dir(dir)?
        .flatten()
        .filter_map(|entry| {
            Some((
                logs::date_of(kind, entry.file_name().to_str()?)?,
                entry.path(),
            ))
        })
        .collect();
    found.sort();
    let mut lines: Vec<String> = Vec::new();
    for (_, path) in found.into_iter().rev() {
        let text = tail(&path)?;
        let mut day: Vec<String> = text.lines().map(str::to_owned).collect();
        day.append(&mut lines);
        let surplus = day.len().saturating_sub(LINES);
        day.drain(..surplus);
        lines = day;
        if lines.len() >= LINES {
            break;
        }
    }
    Ok(lines.join("\n"))
}

/// The end of a file; a first line that was cut is left out.
fn tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let from = file.metadata()?.len().saturating_sub(BYTES);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(match text.split_once('\n') {
        Some((_, rest)) if from > 0 => rest.to_owned(),
        _ => text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_of_all_days_are_taken_and_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let day = |date: &str, from: usize, to: usize| {
            let text: String = (from..to).map(|n| format!("line {n}\n")).collect();
            fs::write(dir.path().join(format!("email-combined.{date}.log")), text).unwrap();
        };
        day("2026-11-21", 0, 500);
        day("2026-11-22", 500, 1500);
        day("2026-11-23", 1500, 3000);
        fs::write(dir.path().join("other.log"), "not ours\n").unwrap();
        let text = last_lines(dir.path(), logs::COMBINED).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), LINES);
        assert_eq!((lines[0], lines[LINES - 1]), ("line 1000", "line 2999"));
    }

    #[test]
    fn a_huge_log_is_read_from_its_end_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("email-error.2026-11-23.log");
        let line = "x".repeat(10_000);
        let text: String = (0..600).map(|n| format!("{n} {line}\n")).collect();
        fs::write(&path, text).unwrap();
        let text = last_lines(dir.path(), logs::ERROR).unwrap();
        assert!(text.len() as u64 <= BYTES);
        assert!(
            text.lines()
                .all(|line| line.ends_with('x') && line.len() > 10_000)
        );
        assert!(text.lines().last().unwrap().starts_with("599 "));
    }
}
