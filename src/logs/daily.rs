//! The file of the local day: swapped at local midnight, on request, and when somebody moved it away.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::NaiveDate;
use tracing_appender::rolling::{RollingFileAppender, Rotation};

use super::counted::Counted;
use super::facts::{Facts, Value};
use super::files::{file_name, prune};
use super::line::Line;
use super::{Level, LogError};
use crate::model::Timestamp;

/// How often a file is looked for at its path, and a file that could not be opened is tried again.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What the control and the file's thread share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Grows with each request to reopen.
    pub(super) reopen: AtomicU64,
    /// Lines that did not reach the disk.
    pub(super) swallowed: Arc<AtomicU64>,
}

/// What a file is to be.
pub(super) struct Plan {
    pub(super) dir: PathBuf,
    pub(super) kind: &'static str,
    pub(super) keep_days: u32,
    /// Its clock and zone also say which day it is.
    pub(super) line: Line,
    pub(super) shared: Arc<Shared>,
    /// Whether trouble is told to standard error.
    pub(super) echo: bool,
}

/// A day's file; runs on the thread that tracing-appender gives it.
pub(super) struct Daily {
    plan: Plan,
    open: Open,
    /// The request to reopen that was last obeyed.
    obeyed: u64,
    look_at: Timestamp,
    /// The last attempt to open a file failed.
    failed: bool,
}

struct Open {
    date: NaiveDate,
    path: PathBuf,
    /// Device and inode of what was opened, to notice when the path names something else.
    identity: Option<(u64, u64)>,
    lines: Counted<RollingFileAppender>,
}

impl Daily {
    /// Opens today's file, making the directory where there is none, and removes files that are too old.
    pub(super) fn open(plan: Plan) -> Result<Self, LogError> {
        let now = plan.line.clock.now();
        let open = open(&plan, plan.line.zone.date(now))?;
        let obeyed = plan.shared.reopen.load(Ordering::Acquire);
        let daily = Self {
            plan,
            open,
            obeyed,
            look_at: now.plus(LOOK_EVERY),
            failed: false,
        };
        daily.prune();
        Ok(daily)
    }

    /// Swaps the file when its day is over, a reopen was asked for, or its path no longer names it. A file that cannot be
    /// opened leaves the old one in use and is tried again after [`LOOK_EVERY`].
    fn turn(&mut self) {
        let now = self.plan.line.clock.now();
        let today = self.plan.line.zone.date(now);
        let asked = self.plan.shared.reopen.load(Ordering::Acquire);
        let new_day = today != self.open.date;
        // The second half: the clock was set back.
        let due = now >= self.look_at || self.look_at.since(now) > LOOK_EVERY;
        if due {
            self.look_at = now.plus(LOOK_EVERY);
        }
        let at_once = asked != self.obeyed || new_day && !self.failed;
        if !(at_once || due && (self.failed || self.open.moved())) {
            return;
        }
        self.obeyed = asked;
        match open(&self.plan, today) {
            Ok(opened) => {
                self.failed = false;
                self.open.succeed(opened);
                self.prune();
            }
            Err(error) => {
                self.failed = true;
                self.tell(&format!("{error}: {}", error.reason()));
            }
        }
    }

    fn prune(&self) {
        let left = prune(
            &self.plan.dir,
            self.plan.kind,
            self.open.date,
            self.plan.keep_days,
        );
        for path in left {
            self.tell(&format!(
                "old log file {} cannot be removed",
                path.display()
            ));
        }
    }

    /// To the journal; nothing else is left when the log itself is in trouble.
    fn tell(&self, what: &str) {
        if self.plan.echo {
            let _ = writeln!(io::stderr(), "motion-email: {what}");
        }
    }

    fn note(line: &Line, missing: u64) -> String {
        line.compose(
            Level::Warn,
            &Facts {
                message: "log lines were lost because the disk did not take them".to_owned(),
                fields: vec![("lost".to_owned(), Value::Plain(missing.to_string()))],
            },
        )
    }
}

impl Write for Daily {
    /// Takes one whole line; a lost one is counted and not an error, because nobody above could do more.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.turn();
        let before = self.open.lines.missing();
        let format = &self.plan.line;
        let result = self
            .open
            .lines
            .line(line, |missing| Self::note(format, missing));
        match result {
            Err(error) if before == 0 => self.tell(&format!(
                "log file {} takes no lines, they are counted: {error}",
                self.open.path.display()
            )),
            Ok(()) if before > 0 => self.tell(&format!(
                "log file {} takes lines again, {before} are missing",
                self.open.path.display()
            )),
            Ok(()) | Err(_) => {}
        }
        Ok(line.len())
    }

    /// Called when the channel is empty: the moment to obey a reopen although nothing is written.
    fn flush(&mut self) -> io::Result<()> {
        self.turn();
        Ok(())
    }
}

impl Open {
    /// Becomes `next`, which has to tell what this one could not.
    fn succeed(&mut self, mut next: Self) {
        let same = next.identity == self.identity;
        next.lines.inherit(&self.lines, same);
        *self = next;
    }

    fn moved(&self) -> bool {
        identity(&self.path) != self.identity
    }
}

fn identity(path: &std::path::Path) -> Option<(u64, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

fn open(plan: &Plan, date: NaiveDate) -> Result<Open, LogError> {
    let path = plan.dir.join(file_name(plan.kind, date));
    let opening = |source: io::Error| LogError::File {
        path: path.clone(),
        source,
    };
    std::fs::DirBuilder::new()
        .recursive(true)
        .create(&plan.dir)
        .map_err(|source| LogError::Directory {
            path: plan.dir.clone(),
            source,
        })?;
    // Made here first because the appender leaves the mode to the umask.
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .open(&path)
        .map_err(opening)?;
    let appender = RollingFileAppender::builder()
        .rotation(Rotation::NEVER)
        .filename_prefix(file_name(plan.kind, date))
        .build(&plan.dir)
        .map_err(|error| opening(io::Error::other(error)))?;
    Ok(Open {
        date,
        identity: identity(&path),
        path,
        lines: Counted::new(appender, plan.shared.swallowed.clone()),
    })
}
