//! (being built)
mod data_dir;
mod reexec;
mod signals;
mod watchdog;

use std::process::ExitCode;

use crate::config::{self, Sources};

/// Runs the daemon.
pub fn run(_sources: Sources) -> ExitCode {
    ExitCode::from(75)
}

/// Checks the settings: what was checked, or what is wrong.
pub fn check(sources: Sources) -> Result<Vec<String>, Vec<String>> {
    match config::load(&sources) {
        Ok(_) => Ok(vec!["settings: valid".to_owned()]),
        Err(mistakes) => Err(mistakes.lines()),
    }
}
