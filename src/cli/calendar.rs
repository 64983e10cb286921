//! `calendar`, and the warnings that `status` shows.

use std::io::{self, Write};

use serde_json::Value;

use super::args::PageFlags;
use super::failure::Failure;
use super::perform::Work;
use super::show::{Column, escaped, rows, table, text_at};

const COLUMNS: &[Column] = &[
    ("DUE", &["/due"]),
    ("DAYS", &["/daysLeft"]),
    ("FOR", &["/name"]),
    ("WHAT", &["/kind"]),
    ("SINCE", &["/since"]),
    ("LAST USED", &["/last"]),
    ("SEVERITY", &["/severity"]),
];

pub(super) async fn perform(page: &PageFlags, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    let answer = work.client.get("/api/calendar", &page.query()).await?;
    if work.json {
        return work.raw_json(&answer);
    }
    table(work.terminal.out, &answer, COLUMNS)?;
    Ok(warnings(work.terminal.out, rows(&answer))?)
}

/// What is said about each of these, and what to do.
pub(super) fn warnings(out: &mut dyn Write, entries: &[Value]) -> io::Result<()> {
    for text in entries.iter().filter_map(warning) {
        writeln!(out, "\n{text}")?;
    }
    Ok(())
}

fn warning(entry: &Value) -> Option<String> {
    let words = words(entry)?;
    let severity = text_at(entry, "/severity").unwrap_or_else(|| "warning".to_owned());
    Some(format!("{}: {words}", escaped(&severity)))
}

/// What, why and what next, each on its line.
pub(super) fn words(entry: &Value) -> Option<String> {
    let mut text = escaped(&text_at(entry, "/what")?);
    for path in ["/why", "/next"] {
        if let Some(more) = text_at(entry, path) {
            text.push_str("\n  ");
            text.push_str(&escaped(&more));
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_warning_says_how_severe_it_is_why_and_what_next() {
        let entry = json!({"severity": "urgent", "what": "It ends\u{7}.", "why": "So.", "next": "Do this."});
        assert_eq!(
            warning(&entry).as_deref(),
            Some("urgent: It ends\\u{7}.\n  So.\n  Do this.")
        );
        assert_eq!(warning(&json!({"name": "x", "what": null})), None);
    }
}
