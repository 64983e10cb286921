//! The five levels of a Motion log, and what each lets through.

use std::fmt;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// How much is written; each level includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// An operator must act, or data is at risk.
    Error,
    /// Odd, and handled.
    Warn,
    /// What an operator did or would ask about: the default.
    Info,
    /// One line per step of a conversation.
    Debug,
    /// Everything that may be written.
    Trace,
}

impl Level {
    /// All levels, quietest first.
    pub const ALL: [Self; 5] = [
        Self::Error,
        Self::Warn,
        Self::Info,
        Self::Debug,
        Self::Trace,
    ];

    /// The word in settings and lines, in upper case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Warn => "WARN",
            Self::Info => "INFO",
            Self::Debug => "DEBUG",
            Self::Trace => "TRACE",
        }
    }

    /// By word, in any case, with or without quotes around it.
    pub fn parse(text: &str) -> Option<Self> {
        let word = text.trim().trim_matches(['"', '\'']).trim();
        Self::ALL
            .into_iter()
            .find(|level| level.as_str().eq_ignore_ascii_case(word))
    }

    /// The level's place in [`Self::ALL`].
    pub(super) fn index(self) -> u8 {
        self as u8
    }

    /// The reverse of [`Self::index`]; unknown places are [`Level::Info`].
    pub(super) fn from_index(index: u8) -> Self {
        Self::ALL
            .into_iter()
            .find(|level| level.index() == index)
            .unwrap_or(Self::Info)
    }

    /// What passes at this level: this crate up to it, every other crate never beyond INFO. async-imap writes passwords
    /// at TRACE, HTTP crates write headers, sqlx writes statements: no level may switch those on (I8), and a crate that
    /// joins later is held back without anybody remembering to name it.
    pub(super) fn filter(self) -> EnvFilter {
        let others = self.min(Self::Info);
        EnvFilter::default()
            .add_directive(others.as_filter().into())
            .add_directive(own_target(self))
    }

    fn as_filter(self) -> LevelFilter {
        match self {
            Self::Error => LevelFilter::ERROR,
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
            Self::Trace => LevelFilter::TRACE,
        }
    }
}

fn own_target(level: Level) -> tracing_subscriber::filter::Directive {
    format!("motion_email={}", level.as_str())
        .parse()
        .expect("a crate name and a level are a directive")
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<tracing::Level> for Level {
    fn from(level: tracing::Level) -> Self {
        match level {
            tracing::Level::ERROR => Self::Error,
            tracing::Level::WARN => Self::Warn,
            tracing::Level::INFO => Self::Info,
            tracing::Level::DEBUG => Self::Debug,
            tracing::Level::TRACE => Self::Trace,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_in_any_case_and_with_quotes() {
        for (text, level) in [
            ("ERROR", Some(Level::Error)),
            ("warn", Some(Level::Warn)),
            ("\"Info\"", Some(Level::Info)),
            (" 'debug' ", Some(Level::Debug)),
            ("TRACE", Some(Level::Trace)),
            ("verbose", None),
            ("", None),
        ] {
            assert_eq!(Level::parse(text), level, "{text:?}");
        }
    }

    #[test]
    fn other_crates_never_say_more_than_info() {
        for (level, filter) in [
            (Level::Error, ["motion_email=error", "error"]),
            (Level::Info, ["motion_email=info", "info"]),
            (Level::Trace, ["motion_email=trace", "info"]),
        ] {
            assert_eq!(level.filter().to_string(), filter.join(","), "{level}");
        }
    }
}
