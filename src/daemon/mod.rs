//! The composition root: configuration → built parts → run → drained.
//!
//! # Promises
//! - Nothing runs before all of it is built: database migrated, key readable, addresses bound. Only then is
//!   the service manager told that the service is ready.
//! - Starting after a crash is the same path as starting (I9).
//! - SIGTERM and SIGINT drain within the drain time; a second one ends the process at once. SIGHUP reads the
//!   settings again; what can change does, the rest is named. SIGUSR1 reopens the logs.
//! - The watchdog is pinged only while the parts that must move do move.
//!
//! # When things fail
//! - Bad settings: every mistake in one go, exit code 78.
//! - Database, directory or address not usable: one line that names it and the next step, exit code 75 (78 where a
//!   person has to change something first), and
//!   the service manager tries again.
//! - A database that goes away later ends nothing: work waits.
//!
//! # Does not know
//! - How any part does its job.

mod build;
mod check;
mod data_dir;
mod listen;
mod reexec;
mod reload;
mod run;
mod signals;
mod start;
mod watchdog;

pub use check::check;
pub use data_dir::DataDirError;
pub use start::{StartError, chain, run};
