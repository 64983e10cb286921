//! The log files: one line per event, teed into a combined and an error file of the local day.
//!
//! # Promises
//! - A line is what DESIGN calls a log line: `[2026-11-23 13:41:01] [INFO] email - mailbox synced account=SUPP1 new=3`,
//!   in the server's local time, at most [`MAX_LINE`] bytes, and never more than one line whatever a server sent:
//!   control characters, line separators and bidirectional controls are escaped.
//! - `email-combined.YYYY-MM-DD.log` has everything at the level, `email-error.YYYY-MM-DD.log` the errors; the date is
//!   the local one. Errors are echoed to standard error too, which is the journal under systemd.
//! - No level prints passwords: only this crate follows the operator's level, other crates never say more than INFO (I8).
//! - Logging never blocks a task: each file has a channel of [`CHANNEL_LINES`] lines and a thread of its own (I10).
//! - Files are made with mode 0640; the directory is made only where it is absent and never re-owned.
//!
//! # When things fail
//! - Disk full, directory gone: lines are counted ([`LogControl::lost`]), the first is told to standard error, and when
//!   writing works again the file says how many are missing. The next file is tried again every few seconds.
//! - Channel full: the line is dropped and counted.
//! - A file moved or deleted by somebody: found within seconds, or at once by [`LogControl::reopen`] (SIGUSR1).
//! - No directory at the start: [`LogError`], the daemon does not start.
//!
//! # Does not know
//! - Signals, settings files, what the events mean.

mod counted;
mod daily;
mod escape;
mod facts;
mod files;
mod level;
mod line;
mod setup;

#[cfg(test)]
mod tests;

pub use escape::{escape, escape_to};
pub use files::{COMBINED, ERROR, date_of, file_name};
pub use level::Level;
pub use setup::{LogControl, LogError, LogGuard, Logs, Lost, build, init};

use std::path::PathBuf;

/// Most bytes of one line, the newline included.
pub const MAX_LINE: usize = 8192;

/// Lines that may wait for each file's thread before lines are dropped (at most 64 MiB by [`MAX_LINE`]).
pub const CHANNEL_LINES: usize = 8192;

/// What the log files are to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where the files are; absolute.
    pub dir: PathBuf,
    /// What is written at the start; changed later by [`LogControl::set_level`].
    pub level: Level,
    /// How a line looks.
    pub format: Format,
    /// A file whose date is more than this many days back is removed; at least 1.
    pub keep_days: u32,
}

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `[time] [LEVEL] email - message key=value`: the default.
    Text,
    /// One JSON object per line: `time` (RFC 3339 with the local offset), `level`, `message`, then the fields.
    Json,
}

impl Format {
    /// The word in settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }

    /// By word, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Text, Self::Json]
            .into_iter()
            .find(|format| format.as_str().eq_ignore_ascii_case(text.trim()))
    }
}
