//! SIGHUP and SIGUSR1.

use tracing::{error, info, warn};

use crate::{
    config::{self, Config, Sources},
    logs::LogControl,
};

/// Knows where settings come from and what is in force.
pub(super) struct Reloader {
    sources: Sources,
    config: Config,
    logs: LogControl,
}

impl Reloader {
    pub(super) fn new(sources: Sources, config: Config, logs: LogControl) -> Self {
        Self {
            sources,
            config,
            logs,
        }
    }

    /// Reads the settings again. What can change at run time does; the rest is named. A file with mistakes
    /// changes nothing.
    pub(super) fn reload(&mut self) {
        let new = match config::load(&self.sources) {
            Ok(new) => new,
            Err(mistakes) => {
                for mistake in mistakes.lines() {
                    error!(
                        mistake,
                        "the settings hold a mistake; the old ones stay in force"
                    );
                }
                return;
            }
        };
        let (live, restart) = config::reload_diff(&self.config, &new);
        if live.contains(&"XC_DEBUG_LEVEL") {
            self.logs.set_level(new.level);
            self.config.level = new.level;
        }
        for key in &restart {
            warn!(key, "changed setting needs a restart");
        }
        info!(applied = live.len(), need_restart = restart.len(), level = %self.logs.level(), "settings read again");
    }

    /// For log rotation by others: the files are opened anew.
    pub(super) fn reopen_logs(&self) {
        self.logs.reopen();
        info!("logs reopened");
    }
}
