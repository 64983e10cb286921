//! `doctor`: what the daemon finds when it examines itself and its accounts, one line a check.

use std::{collections::BTreeSet, fmt::Write as _};

use serde_json::{Value, json};

use super::args::{Common, Doctor};
use super::client::Client;
use super::failure::Failure;
use super::show::{escaped, text_at};
use super::terminal::Terminal;
use super::{SYSTEM_SOCKET, bundle, in_runtime, known};
use crate::config;

const ROUTE: &str = "/api/doctor";
/// Columns before the detail.
const SUBJECT: usize = 7;
const TITLE: usize = 20;

/// Examines, prints, bundles.
///
/// # Errors
/// [`Failure::Unwell`] where something was found; else why nothing could be found out.
pub(super) fn run(
    common: &Common,
    wanted: &Doctor,
    terminal: &mut Terminal<'_>,
) -> Result<(), Failure> {
    let sources = common.sources(Vec::new());
    let paths = config::paths(&sources)?;
    let socket = known(paths.socket.clone(), paths.socket_is_set, SYSTEM_SOCKET);
    if let Some(file) = &wanted.bundle {
        bundle::may_write(file, wanted.force)?;
    }
    let client = Client::new(&socket)?;
    let mut report = Value::Null;
    let asked = in_runtime(async {
        report = ask(&client, wanted, common.json, terminal).await?;
        Ok(())
    });
    let away = match asked {
        Ok(()) => None,
        Err(failure) if failure.nobody_answers() => {
            report = without_daemon(&failure, crate::daemon::check(&sources));
            if !common.json {
                for check in checks(&report) {
                    terminal.out.write_all(lines(None, check).as_bytes())?;
                }
            }
            Some(failure)
        }
        Err(failure) => return Err(failure),
    };
    if common.json {
        let text = serde_json::to_string_pretty(&report).unwrap_or_default();
        writeln!(terminal.out, "{text}")?;
    } else {
        terminal.out.write_all(summary(&report).as_bytes())?;
    }
    if let Some(file) = &wanted.bundle {
        let logs = known(paths.log_dir, paths.log_dir_is_set, super::SYSTEM_LOGS);
        let mut parts = bundle::Parts::new(&report, &sources, &logs);
        if away.is_none() {
            in_runtime(async {
                bundle::ask(&client, &mut parts).await;
                Ok(())
            })?;
        }
        bundle::write(file, wanted.force, parts)?;
        writeln!(
            terminal.err,
            "The support bundle is {}; its README says what is in it. Look through it before you give it away.",
            file.display()
        )?;
    }
    match away {
        Some(failure) => Err(failure.told()),
        None => verdict(&report),
    }
}

fn verdict(report: &Value) -> Result<(), Failure> {
    match text_at(report, "/verdict").as_deref() {
        Some("failed") => Err(Failure::Unwell { failed: true }),
        Some("warning") => Err(Failure::Unwell { failed: false }),
        _ => Ok(()),
    }
}

/// Asks the daemon, and prints each check as it ends.
async fn ask(
    client: &Client,
    wanted: &Doctor,
    json: bool,
    terminal: &mut Terminal<'_>,
) -> Result<Value, Failure> {
    let mut body = json!({ "refresh": wanted.refresh });
    if let (Some(account), Some(object)) = (&wanted.account, body.as_object_mut()) {
        object.insert("account".to_owned(), json!(account));
    }
    let mut report = Value::Null;
    let mut order = Order::default();
    client
        .lines(ROUTE, body, |mut line| {
            if let Some(check) = line.get("check").filter(|_| !json) {
                terminal.out.write_all(order.take(check).as_bytes())?;
                terminal.out.flush()?;
            }
            if let Some(whole) = line.get_mut("report") {
                terminal.out.write_all(order.rest().as_bytes())?;
                report = whole.take();
            }
            Ok(())
        })
        .await?;
    if report.is_null() {
        return Err(Failure::Later(
            "The examination ended without a report; the daemon's log says why (motion-email logs --level warn)."
                .to_owned(),
        ));
    }
    Ok(report)
}

/// Several accounts are examined at the same time; the checks of each are shown together, the first one's as they
/// end, the others' when it is their turn.
#[derive(Default)]
struct Order {
    /// Subject and lines, by who came first; the first is being shown.
    subjects: Vec<(String, String)>,
    /// Those whose last check has come.
    ended: BTreeSet<String>,
}

impl Order {
    /// Takes a check; gives what can be shown now.
    fn take(&mut self, check: &Value) -> String {
        let subject = text_at(check, "/account").unwrap_or_else(|| "service".to_owned());
        let text = lines(Some(&subject), check);
        match self
            .subjects
            .iter_mut()
            .find(|(known, _)| *known == subject)
        {
            Some((_, held)) => held.push_str(&text),
            None => self.subjects.push((subject.clone(), text)),
        }
        // An account's examination ends with its queue, the service's before any account's begins.
        if text_at(check, "/id").as_deref() == Some("queue") {
            self.ended.insert(subject);
        }
        let mut shown = String::new();
        while let Some((subject, held)) = self.subjects.first_mut() {
            shown.push_str(&std::mem::take(held));
            let over =
                self.ended.contains(subject) || (subject == "service" && self.subjects.len() > 1);
            if !over {
                break;
            }
            self.subjects.remove(0);
        }
        shown
    }

    /// What is still held.
    fn rest(&mut self) -> String {
        let held = std::mem::take(&mut self.subjects);
        held.into_iter().map(|(_, text)| text).collect()
    }
}

/// What can be seen without the daemon, in the shape of its own report.
fn without_daemon(failure: &Failure, checked: Result<Vec<String>, Vec<String>>) -> Value {
    let words = failure.words();
    let mut words = words.iter();
    let what = words.next().cloned().unwrap_or_default();
    let next: Vec<&str> = words.map(String::as_str).collect();
    let mut checks = vec![json!({
        "id": "daemon", "title": "Daemon", "verdict": "failed", "detail": what,
        "code": "daemon_not_reachable", "what": what, "why": null, "next": next.join(" "),
    })];
    let (verdict, found) = match checked {
        Ok(good) => ("ok", good),
        Err(bad) => ("failed", bad),
    };
    for line in found {
        let (title, detail) = line.split_once(": ").unwrap_or(("settings", &line));
        // A mistake in an env file begins with its place.
        let short = title.len() <= TITLE && !title.contains('/');
        let (title, detail) = if short {
            (title, detail)
        } else {
            ("settings", line.as_str())
        };
        let next = (verdict == "failed")
            .then_some("Correct it, then start the service: systemctl start motion-email");
        checks.push(json!({
            "id": "start", "title": capital(title), "verdict": verdict, "detail": detail, "next": next,
        }));
    }
    json!({
        "verdict": "failed", "accounts": [],
        "service": {"account": null, "verdict": "failed", "cause": "daemon", "checks": checks},
    })
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}

/// One check: an aligned line, and below a bad one why and what next.
fn lines(subject: Option<&str>, check: &Value) -> String {
    let text = |path: &str| text_at(check, path).map(|text| escaped(&text));
    let verdict = match text("/verdict").as_deref() {
        Some("ok") => "ok",
        Some("warning") => "warn",
        Some("skipped") => "skip",
        _ => "FAIL",
    };
    let subject = subject.map_or_else(String::new, |subject| {
        format!("{:SUBJECT$}  ", escaped(subject))
    });
    let title = text("/title").unwrap_or_default();
    let detail = text("/detail").unwrap_or_default();
    let mut shown = format!("{verdict:4}  {subject}{title:TITLE$}  {detail}\n");
    if verdict == "FAIL" || verdict == "warn" {
        for (name, path) in [("why", "/why"), ("next", "/next")] {
            if let Some(words) = text(path) {
                // Writing to a String cannot fail.
                let _ = writeln!(shown, "      {name:5} {words}");
            }
        }
    }
    shown
}

/// All checks of a report, the service's first.
fn checks(report: &Value) -> impl Iterator<Item = &Value> {
    let accounts = report.get("accounts").and_then(Value::as_array);
    report
        .get("service")
        .into_iter()
        .chain(accounts.into_iter().flatten())
        .filter_map(|one| one.get("checks")?.as_array())
        .flatten()
}

const RIGHTS: [(&str, &str); 5] = [
    ("consent", "/rights/consent"),
    ("IMAP enabled", "/rights/imapEnabled"),
    ("FullAccess", "/rights/fullAccess"),
    ("SMTP AUTH", "/rights/smtpAuth"),
    ("SendAs", "/rights/sendAs"),
];

/// Rights by account, how many checks came out how, and the first failure.
fn summary(report: &Value) -> String {
    let mut shown = String::new();
    let accounts = report.get("accounts").and_then(Value::as_array);
    let accounts = accounts.map_or(&[][..], Vec::as_slice);
    for account in accounts.iter().filter(|one| one["rights"].is_object()) {
        let rights: Vec<String> = RIGHTS
            .iter()
            .filter_map(|(name, path)| {
                let standing = text_at(account, path)?.replace('_', " ");
                Some(format!("{name} {standing}"))
            })
            .collect();
        let key = escaped(&text_at(account, "/account").unwrap_or_default());
        let _ = writeln!(shown, "\nRights of {key}: {}", rights.join(", "));
    }
    let count = |verdict: &str| {
        checks(report)
            .filter(|check| text_at(check, "/verdict").as_deref() == Some(verdict))
            .count()
    };
    let (all, warnings) = (checks(report).count(), count("warning"));
    let _ = write!(
        shown,
        "\n{all} checks: {} ok, {warnings} warning{}, {} failed, {} skipped.",
        count("ok"),
        if warnings == 1 { "" } else { "s" },
        count("failed"),
        count("skipped")
    );
    for one in report.get("service").into_iter().chain(accounts) {
        let Some(cause) = text_at(one, "/cause") else {
            continue;
        };
        let found = one.get("checks").and_then(Value::as_array);
        let title = found
            .into_iter()
            .flatten()
            .find(|check| text_at(check, "/id").as_ref() == Some(&cause))
            .and_then(|check| text_at(check, "/title"));
        let subject = text_at(one, "/account").unwrap_or_else(|| "service".to_owned());
        let _ = write!(
            shown,
            "\nFirst failure of {}: {}.",
            escaped(&subject),
            escaped(&title.unwrap_or(cause))
        );
    }
    if let Some(left @ 1..) = report.get("leftOut").and_then(Value::as_u64) {
        let _ = write!(
            shown,
            "\n{left} accounts were being examined already and are left out."
        );
    }
    shown.push('\n');
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_check_shows_why_and_what_next_and_a_good_one_a_line() {
        let good = json!({"title": "IMAP login", "verdict": "ok", "detail": "as anna", "why": null, "next": "never"});
        assert_eq!(
            lines(Some("SUPP1"), &good),
            "ok    SUPP1    IMAP login            as anna\n"
        );
        let bad = json!({"title": "Mailbox", "verdict": "failed", "detail": "No\u{1b}.", "why": "Said so.", "next": "Do."});
        assert_eq!(
            lines(None, &bad),
            "FAIL  Mailbox               No\\u{1b}.\n      why   Said so.\n      next  Do.\n"
        );
    }

    #[test]
    fn checks_that_come_mixed_are_shown_account_by_account() {
        let check = |account: Option<&str>, id: &str, detail: &str| json!({"account": account, "id": id, "title": "t", "verdict": "ok", "detail": detail});
        let mut order = Order::default();
        let mut shown = Vec::new();
        for (account, id, detail) in [
            (None, "database", "1"),
            (Some("A"), "imap_login", "2"),
            (Some("B"), "imap_login", "6"),
            (Some("A"), "smtp_login", "3"),
            (Some("C"), "imap_login", "9"),
            (Some("B"), "queue", "7"),
            (Some("A"), "queue", "4"),
            (Some("C"), "smtp_login", "8"),
        ] {
            shown.push(order.take(&check(account, id, detail)));
        }
        shown.push(order.rest());
        let details: Vec<String> = shown
            .iter()
            .map(|text| text.chars().filter(char::is_ascii_digit).collect())
            .collect();
        // A's as they end; B's, which is over, and C's so far with A's last.
        assert_eq!(details, ["1", "2", "", "3", "", "", "4679", "8", ""]);
        // An examination that ends early, or an older daemon's, loses no line.
        let mut order = Order::default();
        order.take(&check(Some("A"), "x", "1"));
        order.take(&check(Some("B"), "x", "2"));
        assert!(order.rest().contains("B  "));
    }

    #[test]
    fn without_a_daemon_the_rest_is_checked_and_the_daemon_is_the_cause() {
        let failure = Failure::Nothing("The daemon does not answer.".to_owned());
        let bad = vec![
            "/etc/x.env:3: XC_EMAIL_LISTEN: no address".to_owned(),
            "database: refused".to_owned(),
        ];
        let report = without_daemon(&failure, Err(bad));
        let shown: Vec<String> = checks(&report).map(|check| lines(None, check)).collect();
        assert!(shown[0].starts_with("FAIL  Daemon"), "{shown:?}");
        assert!(shown[1].contains("Settings"), "{shown:?}");
        assert!(
            shown[1].contains("/etc/x.env:3: XC_EMAIL_LISTEN"),
            "{shown:?}"
        );
        assert!(shown[2].starts_with("FAIL  Database"), "{shown:?}");
        assert!(summary(&report).contains("3 checks: 0 ok, 0 warnings, 3 failed"));
        assert!(summary(&report).contains("First failure of service: Daemon."));
    }
}
