//! Answers as tables and records. Everything that strangers wrote (subjects, names, servers' words) is escaped.

use std::io::{self, Write};

use chrono::{DateTime, Local};
use serde_json::Value;

use crate::logs;

/// Most characters of a cell; the record and `--json` show all.
const CELL: usize = 60;

/// Text that a terminal shows and does not obey.
pub(super) fn escaped(text: &str) -> String {
    logs::escape(text)
}

/// A text field by JSON pointer, unless it is absent, empty or not a text.
pub(super) fn text_at(value: &Value, path: &str) -> Option<String> {
    let text = value.pointer(path)?.as_str()?;
    (!text.is_empty()).then(|| text.to_owned())
}

/// A value on one line: times in the server's own zone, mailboxes as `Name <address>`, lists with commas, `-` for nothing.
pub(super) fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) if text.is_empty() => "-".to_owned(),
        Some(Value::String(text)) => local_time(text).unwrap_or_else(|| escaped(text)),
        Some(Value::Array(items)) if items.is_empty() => "-".to_owned(),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| cell(Some(item)))
            .collect::<Vec<_>>()
            .join(", "),
        Some(value @ Value::Object(_)) => {
            match (text_at(value, "/name"), text_at(value, "/address")) {
                (Some(name), Some(address)) => escaped(&format!("{name} <{address}>")),
                (None, Some(address)) => escaped(&address),
                _ => escaped(&value.to_string()),
            }
        }
        Some(other) => other.to_string(),
    }
}

/// `2026-11-23 13:41:01` of an RFC 3339 time.
fn local_time(text: &str) -> Option<String> {
    let time = DateTime::parse_from_rfc3339(text).ok()?;
    Some(
        time.with_timezone(&Local)
            .format("%Y-%m-%d %H:%M:%S")
            .to_string(),
    )
}

/// The first of several fields that is there.
pub(super) fn first(value: &Value, paths: &[&str]) -> String {
    let found = paths.iter().filter_map(|path| value.pointer(path));
    cell(found.into_iter().find(|value| !value.is_null()))
}

/// A column: its heading and the fields that may fill it, the first that is there counts.
pub(super) type Column = (&'static str, &'static [&'static str]);

/// The rows of a list answer as a table, and how many there are beyond them.
pub(super) fn table(out: &mut dyn Write, answer: &Value, columns: &[Column]) -> io::Result<()> {
    let rows = rows(answer);
    let lines: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            columns
                .iter()
                .map(|(_, paths)| shorten(&first(row, paths)))
                .collect()
        })
        .collect();
    grid(out, columns.iter().map(|(heading, _)| *heading), &lines)?;
    let count = answer.get("count").and_then(Value::as_u64).unwrap_or(0);
    if count > rows.len() as u64 {
        writeln!(
            out,
            "{} of {count}; --limit and --offset show others",
            rows.len()
        )?;
    }
    Ok(())
}

/// The rows of a list answer.
pub(super) fn rows(answer: &Value) -> &[Value] {
    let rows = answer.get("rows").unwrap_or(answer);
    rows.as_array().map_or(&[], Vec::as_slice)
}

fn grid<'a>(
    out: &mut dyn Write,
    headings: impl Iterator<Item = &'a str>,
    lines: &[Vec<String>],
) -> io::Result<()> {
    let headings: Vec<String> = headings.map(str::to_owned).collect();
    let width = |column: usize| {
        lines
            .iter()
            .chain([&headings])
            .filter_map(|line| line.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    for line in [&headings].into_iter().chain(lines) {
        let padded: Vec<String> = line
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        writeln!(out, "{}", padded.join("  ").trim_end())?;
    }
    Ok(())
}

fn shorten(text: &str) -> String {
    if text.chars().count() <= CELL {
        return text.to_owned();
    }
    text.chars().take(CELL - 1).chain(['…']).collect()
}

/// Every field of a record on a line of its own, nested ones as `imap.host`; those of `order` first.
pub(super) fn record(out: &mut dyn Write, value: &Value, order: &[&str]) -> io::Result<()> {
    let mut fields = Vec::new();
    flatten("", value, &mut fields);
    let place = |name: &str| {
        let top = name.split('.').next().unwrap_or(name);
        order
            .iter()
            .position(|first| *first == top)
            .unwrap_or(order.len())
    };
    fields.sort_by_key(|(name, _)| place(name));
    let width = fields
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0);
    for (name, text) in fields {
        writeln!(out, "{name:width$}  {text}")?;
    }
    Ok(())
}

fn flatten(name: &str, value: &Value, fields: &mut Vec<(String, String)>) {
    let below = |key: &str| {
        let key = escaped(key);
        if name.is_empty() {
            key
        } else {
            format!("{name}.{key}")
        }
    };
    match value {
        Value::Object(object) if name.is_empty() || !object.is_empty() && is_record(value) => {
            for (key, value) in object {
                flatten(&below(key), value, fields);
            }
        }
        Value::Array(items) if items.iter().any(is_record) => {
            for (index, item) in items.iter().enumerate() {
                flatten(&below(&index.to_string()), item, fields);
            }
        }
        value => fields.push((name.to_owned(), cell(Some(value)))),
    }
}

/// Whether an object has more to show than a mailbox has.
fn is_record(value: &Value) -> bool {
    value
        .as_object()
        .is_some_and(|object| object.keys().any(|key| key != "name" && key != "address"))
}

/// Several lines of a stranger's text, each escaped.
pub(super) fn paragraphs(out: &mut dyn Write, text: &str) -> io::Result<()> {
    for line in text.lines() {
        writeln!(out, "{}", escaped(line))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn printed(print: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        print(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_table_lines_up_and_shows_strangers_text_escaped() {
        let answer = json!({"count": 7, "rows": [
            {"id": 1, "subject": "a\u{1b}[2Jb\r\nc", "from": {"name": "Änne", "address": "a@b.c"}},
            {"id": 20, "subject": null, "from": {"address": "x@y.z"}},
        ]});
        let columns: &[Column] = &[
            ("ID", &["/id"]),
            ("FROM", &["/sender", "/from"]),
            ("SUBJECT", &["/subject"]),
        ];
        assert_eq!(
            printed(|out| table(out, &answer, columns)),
            "ID  FROM          SUBJECT\n\
             1   Änne <a@b.c>  a\\u{1b}[2Jb\\r\\nc\n\
             20  x@y.z         -\n\
             2 of 7; --limit and --offset show others\n"
        );
    }

    #[test]
    fn a_record_shows_nested_fields_in_the_wanted_order() {
        let value = json!({"b": [1, 2], "a": {"x": true, "y": ""}, "id": 3, "from": {"name": "N", "address": "a@b.c"},
            "recipients": [{"address": "a@b.c", "state": "sent"}]});
        assert_eq!(
            printed(|out| record(out, &value, &["id", "from"])),
            "id                    3\n\
             from                  N <a@b.c>\n\
             a.x                   true\n\
             a.y                   -\n\
             b                     1, 2\n\
             recipients.0.address  a@b.c\n\
             recipients.0.state    sent\n"
        );
    }
}
