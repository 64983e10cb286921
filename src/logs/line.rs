//! One event as one line.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use chrono::{DateTime, FixedOffset, Local, NaiveDate, TimeZone};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use super::escape::{Style, dangerous, escape_as};
use super::facts::{Facts, SpanFields, Value};
use super::{Format, Level, MAX_LINE};
use crate::model::{Clock, Timestamp};

/// Most bytes of the message, and of one value, once escaped.
const MAX_MESSAGE: usize = 4096;
const MAX_VALUE: usize = 2048;
/// Kept free for the mark that something was left out, the closing brace and the newline.
const TAIL: usize = 16;

/// Which offset from UTC a line's time and a file's date have.
#[derive(Clone, Copy, Debug)]
pub(super) enum Zone {
    /// The server's own (`TZ`, `/etc/localtime`); UTC where those make no sense.
    Local,
    /// A given one.
    #[cfg(test)]
    Fixed(FixedOffset),
}

impl Zone {
    fn at(self, time: Timestamp) -> DateTime<FixedOffset> {
        let utc = DateTime::from_timestamp_millis(time.millis()).unwrap_or_default();
        match self {
            Self::Local => Local.from_utc_datetime(&utc.naive_utc()).fixed_offset(),
            #[cfg(test)]
            Self::Fixed(offset) => utc.with_timezone(&offset),
        }
    }

    /// The calendar date there.
    pub(super) fn date(self, time: Timestamp) -> NaiveDate {
        self.at(time).date_naive()
    }
}

/// Writes lines.
#[derive(Clone)]
pub(super) struct Line {
    pub(super) format: Format,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) zone: Zone,
}

impl Line {
    /// A whole line, newline included, of at most [`MAX_LINE`] bytes.
    pub(super) fn compose(&self, level: Level, facts: &Facts) -> String {
        let time = self.zone.at(self.clock.now());
        match self.format {
            Format::Text => text(&time, level, facts),
            Format::Json => json(&time, level, facts),
        }
    }
}

fn text(time: &DateTime<FixedOffset>, level: Level, facts: &Facts) -> String {
    let message = escape_as(Style::Bare, &facts.message, MAX_MESSAGE);
    let mut line = format!(
        "[{}] [{level}] email - {message}",
        time.format("%Y-%m-%d %H:%M:%S")
    );
    for (name, value) in &facts.fields {
        let value = match value {
            Value::Plain(value) => value.clone(),
            Value::Text(value) if is_word(value) && value.len() <= MAX_VALUE => value.clone(),
            Value::Text(value) => format!("\"{}\"", escape_as(Style::Quoted, value, MAX_VALUE)),
        };
        if !push_if_it_fits(&mut line, &format!(" {name}={value}")) {
            line.push_str(" cut=true");
            break;
        }
    }
    line.push('\n');
    line
}

/// Whether a value reads as one word: nothing to escape, nothing that would end or start another field.
fn is_word(value: &str) -> bool {
    !value.is_empty()
        && !value
            .chars()
            .any(|c| c.is_whitespace() || matches!(c, '"' | '\\' | '=') || dangerous(c))
}

fn json(time: &DateTime<FixedOffset>, level: Level, facts: &Facts) -> String {
    let mut line = format!(
        "{{\"time\":\"{}\",\"level\":\"{level}\",\"message\":\"{}\"",
        time.to_rfc3339_opts(chrono::SecondsFormat::Millis, false),
        escape_as(Style::Json, &facts.message, MAX_MESSAGE)
    );
    for (name, value) in &facts.fields {
        let ours = matches!(name.as_str(), "time" | "level" | "message" | "cut");
        let mut piece = format!(",\"{name}{}\":", if ours { "_" } else { "" });
        let _ = match value {
            Value::Plain(value) => write!(piece, "{value}"),
            Value::Text(value) => {
                write!(piece, "\"{}\"", escape_as(Style::Json, value, MAX_VALUE))
            }
        };
        if !push_if_it_fits(&mut line, &piece) {
            line.push_str(",\"cut\":true");
            break;
        }
    }
    line.push_str("}\n");
    line
}

fn push_if_it_fits(line: &mut String, piece: &str) -> bool {
    let fits = line.len() + piece.len() + TAIL <= MAX_LINE;
    if fits {
        line.push_str(piece);
    }
    fits
}

impl<S> FormatEvent<S, SpanFields> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, SpanFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut facts = Facts::default();
        event.record(&mut facts);
        for span in context.event_scope().into_iter().flatten() {
            if let Some(fields) = span.extensions().get::<FormattedFields<SpanFields>>() {
                facts.inherit(&fields.fields);
            }
        }
        writer.write_str(&self.compose((*event.metadata().level()).into(), &facts))
    }
}
