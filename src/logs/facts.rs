//! What an event and its spans say, collected with bounds.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::FormattedFields;
use tracing_subscriber::fmt::format::Writer;

/// Most bytes kept of one value before it is escaped.
const MAX_RAW: usize = 4096;

/// Between a span field's name, its kind and its text, and after each: these are escaped in no other way, so values are
/// cleaned of them first.
const UNIT: char = '\u{1f}';
const RECORD: char = '\u{1e}';

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// Anything; escaped and quoted as needed.
    Text(String),
    /// A number or a boolean, the same in text and JSON.
    Plain(String),
}

/// The message and the fields in the order they were recorded.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) message: String,
    pub(super) fields: Vec<(String, Value)>,
}

impl Facts {
    /// Puts a span's fields before those that are there; a name that is there already is nearer the event, and wins.
    pub(super) fn inherit(&mut self, formatted: &str) {
        let outer: Vec<_> = formatted
            .split(RECORD)
            .filter_map(parse_span_field)
            .filter(|(name, _)| !self.fields.iter().any(|(inner, _)| inner == name))
            .collect();
        self.fields.splice(0..0, outer);
    }

    fn put(&mut self, field: &Field, value: Value) {
        let name = field.name();
        // The bridge from the `log` crate adds log.target, log.module_path, log.file and log.line.
        if name.starts_with("log.") {
            return;
        }
        match (name, value) {
            ("message", Value::Text(text) | Value::Plain(text)) => self.message = text,
            (_, value) => self
                .fields
                .push((name.trim_start_matches("r#").to_owned(), value)),
        }
    }
}

impl Visit for Facts {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut bounded = Bounded(String::new());
        // An error means that the bound was reached; what fits is kept.
        let _ = write!(bounded, "{value:?}");
        self.put(field, Value::Text(bounded.0));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let mut bounded = Bounded(String::new());
        let _ = bounded.write_str(value);
        self.put(field, Value::Text(bounded.0));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, Value::Plain(value.to_string()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, Value::Plain(value.to_string()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, Value::Plain(value.to_string()));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        let text = value.to_string();
        // JSON has no infinities and no NaN.
        self.put(
            field,
            if value.is_finite() {
                Value::Plain(text)
            } else {
                Value::Text(text)
            },
        );
    }
}

/// Text that stops growing at [`MAX_RAW`], so that the `Debug` of something huge ends there.
struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = MAX_RAW.saturating_sub(self.0.len());
        if text.len() <= room {
            self.0.push_str(text);
            return Ok(());
        }
        let end = text.floor_char_boundary(room);
        self.0.push_str(text.get(..end).unwrap_or_default());
        self.0.push('…');
        Err(fmt::Error)
    }
}

/// Keeps a span's fields in a form that [`Facts::inherit`] reads.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SpanFields;

impl<'writer> FormatFields<'writer> for SpanFields {
    fn format_fields<R: RecordFields>(
        &self,
        mut writer: Writer<'writer>,
        fields: R,
    ) -> fmt::Result {
        let mut facts = Facts::default();
        fields.record(&mut facts);
        for (name, value) in facts.fields {
            let (kind, text) = match value {
                Value::Text(text) => ('t', text.replace([UNIT, RECORD], "\u{fffd}")),
                Value::Plain(text) => ('p', text),
            };
            write!(writer, "{name}{UNIT}{kind}{UNIT}{text}{RECORD}")?;
        }
        Ok(())
    }

    fn add_fields(
        &self,
        current: &'writer mut FormattedFields<Self>,
        fields: &tracing::span::Record<'_>,
    ) -> fmt::Result {
        self.format_fields(current.as_writer(), fields)
    }
}

fn parse_span_field(text: &str) -> Option<(String, Value)> {
    let (name, rest) = text.split_once(UNIT)?;
    let (kind, text) = rest.split_once(UNIT)?;
    let value = match kind {
        "p" => Value::Plain(text.to_owned()),
        _ => Value::Text(text.to_owned()),
    };
    Some((name.to_owned(), value))
}
