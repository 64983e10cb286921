//! The modules' own settings, from the one config.

use std::time::Duration;

use super::Config;
use crate::{logs, net, store};

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

    /// The database and the key of its secrets.
    pub fn store(&self) -> store::Settings {
        store::Settings {
            url: self.database_url.clone(),
            key_file: self.key_file.clone(),
            ca_file: self.ca_file.clone(),
            read_connections: READ_CONNECTIONS,
            patience: STORE_PATIENCE,
        }
    }
}

/// Enough for lists and the console beside the lanes, few for a server that others use too.
const READ_CONNECTIONS: u32 = 8;

/// A dead database is noticed within this time.
const STORE_PATIENCE: Duration = Duration::from_secs(10);
