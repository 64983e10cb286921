//! The one subscriber, its guard and its control.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tracing::Dispatch;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::fmt::writer::MakeWriterExt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::Registry;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt};

use super::daily::{Daily, Plan, Shared};
use super::facts::SpanFields;
use super::line::{Line, Zone};
use super::{CHANNEL_LINES, COMBINED, ERROR, Level, Settings};
use crate::model::{Clock, FailureClass, SystemClock};

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The directory is absent and cannot be made.
    #[error("the log directory {} cannot be made", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Today's file cannot be opened for writing.
    #[error("the log file {} cannot be opened for writing", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// This process has a log already.
    #[error("this process has a log already")]
    Second,
}

impl LogError {
    /// A person has to change the directory or its rights.
    pub fn class(&self) -> FailureClass {
        FailureClass::OperatorMustAct
    }

    /// The system's reason in words; empty where there is none.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Directory { source, .. } | Self::File { source, .. } => source.to_string(),
            Self::Second => String::new(),
        }
    }
}

/// A log that is not installed yet.
pub struct Logs {
    /// What `tracing::dispatcher::set_default` and `with_default` take.
    pub dispatch: Dispatch,
    /// Hold it, or lines are lost.
    pub guard: LogGuard,
    /// Changes it while it runs.
    pub control: LogControl,
}

/// Writes what is waiting when dropped (for at most about a second each file). Belongs in `main`, dropped last.
pub struct LogGuard {
    _workers: [WorkerGuard; 2],
}

/// Changes a running log. Clones change the same one.
#[derive(Clone)]
pub struct LogControl {
    inner: Arc<Control>,
}

struct Control {
    level: AtomicU8,
    filter: reload::Handle<EnvFilter, Registry>,
    files: [(NonBlocking, Arc<Shared>, ErrorCounter); 2],
}

/// Lines that are in no file, since the start; a line that both files miss counts twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// The disk did not take them.
    pub swallowed: u64,
    /// They came faster than the disk took them, and the channel was full.
    pub dropped: u64,
}

impl LogControl {
    /// The level in force.
    pub fn level(&self) -> Level {
        Level::from_index(self.inner.level.load(Ordering::Relaxed))
    }

    /// Changes the level for every event from now on, in all tasks.
    pub fn set_level(&self, level: Level) {
        // Fails only once the subscriber is gone; then there is nothing to change.
        if self.inner.filter.reload(level.filter()).is_ok() {
            self.inner.level.store(level.index(), Ordering::Relaxed);
        }
    }

    /// Opens the files anew, for the moment after they were moved. Returns at once; the files' threads do it
    /// before they write another line.
    pub fn reopen(&self) {
        for (channel, shared, _) in &self.inner.files {
            shared.reopen.fetch_add(1, Ordering::AcqRel);
            // An empty line writes nothing and wakes the thread.
            let _ = channel.clone().write(&[]);
        }
    }

    /// What is in no file.
    pub fn lost(&self) -> Lost {
        self.inner
            .files
            .iter()
            .fold(Lost::default(), |lost, (_, shared, dropped)| Lost {
                swallowed: lost.swallowed + shared.swallowed.load(Ordering::Relaxed),
                dropped: lost.dropped + dropped.dropped_lines() as u64,
            })
    }
}

/// Starts the process's log: [`build`] with the machine's clock, installed for all threads. Once per process.
pub fn init(settings: &Settings) -> Result<(LogGuard, LogControl), LogError> {
    let logs = build(settings, Arc::new(SystemClock))?;
    logs.dispatch.try_init().map_err(|_| LogError::Second)?;
    Ok((logs.guard, logs.control))
}

/// Opens the files and makes the subscriber without installing it.
pub fn build(settings: &Settings, clock: Arc<dyn Clock>) -> Result<Logs, LogError> {
    assemble(settings, clock, Zone::Local, true)
}

pub(super) fn assemble(
    settings: &Settings,
    clock: Arc<dyn Clock>,
    zone: Zone,
    echo: bool,
) -> Result<Logs, LogError> {
    let line = Line {
        format: settings.format,
        clock,
        zone,
    };
    let (combined, combined_file, combined_guard) = file(settings, COMBINED, &line, echo)?;
    let (error, error_file, error_guard) = file(settings, ERROR, &line, echo)?;
    let (filter, handle) = reload::Layer::new(settings.level.filter());
    // One formatting layer with a teed writer: two layers with filters of their own lose spans after `log_enabled!`,
    // which sqlx asks after every query.
    let errors = error.and(move || Journal(echo));
    let layer = fmt::layer()
        .fmt_fields(SpanFields)
        .event_format(line)
        .with_ansi(false)
        .log_internal_errors(false)
        .with_writer(combined.and(errors.with_max_level(tracing::Level::ERROR)));
    Ok(Logs {
        dispatch: Dispatch::new(tracing_subscriber::registry().with(filter).with(layer)),
        guard: LogGuard {
            _workers: [combined_guard, error_guard],
        },
        control: LogControl {
            inner: Arc::new(Control {
                level: AtomicU8::new(settings.level.index()),
                filter: handle,
                files: [combined_file, error_file],
            }),
        },
    })
}

type Channel = (NonBlocking, Arc<Shared>, ErrorCounter);

fn file(
    settings: &Settings,
    kind: &'static str,
    line: &Line,
    echo: bool,
) -> Result<(NonBlocking, Channel, WorkerGuard), LogError> {
    let shared = Arc::new(Shared::default());
    let daily = Daily::open(Plan {
        dir: settings.dir.clone(),
        kind,
        keep_days: settings.keep_days,
        line: line.clone(),
        shared: shared.clone(),
        echo,
    })?;
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(CHANNEL_LINES)
        .lossy(true)
        .thread_name(kind)
        .finish(daily);
    let dropped = writer.error_counter();
    Ok((writer.clone(), (writer, shared, dropped), guard))
}

/// Standard error, which systemd takes into the journal; a closed one is no reason to fail.
struct Journal(bool);

impl Write for Journal {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.0 {
            let _ = io::stderr().write_all(line);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
