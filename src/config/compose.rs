//! The modules' own settings, from the one config.

use super::Config;
use crate::{logs, net};

impl Config {
    /// What the log files are to be.
    pub fn logs(&self) -> logs::Settings {
        logs::Settings {
            dir: self.log_dir.clone(),
            level: self.level,
            format: self.log_format,
            keep_days: self.log_keep_days,
        }
    }

    /// How servers are reached.
    pub fn net(&self) -> net::Settings {
        net::Settings {
            ca_file: self.ca_file.clone(),
            allow_hosts: self.allow_hosts.clone(),
            ..net::Settings::default()
        }
    }
}
