//! Env files, environment and flags become one valid [`Config`], or all mistakes at once.
//!
//! # Promises
//! - Built-in defaults < env files in their order < the process's environment < command-line flags; [`load`] reads all of
//!   them again each time, so a reload sees a changed file.
//! - Every mistake is found in one go, one line each: `file:line: KEY: what is wrong; what is allowed`.
//! - Values are text until the key's own parser reads them: `0123`, `"x"` and `true` arrive as they were written.
//! - From env files only `XC_DEBUG_LEVEL` and `XC_EMAIL_*` are read: the Motion server's own `.env` may be one of them.
//! - No password is in a mistake, in `Debug` or in a reload's report (I8); one in a file that everybody may read is refused.
//!
//! # When things fail
//! - [`Mistakes`]: the daemon does not start (exit code 78), a reload keeps what is in force. The operator must act.
//!
//! # Does not know
//! - Whether hosts answer, databases open or directories can be written: `daemon::check` tries that.
//!
//! # Standards
//! `KEY=value` files as systemd's `EnvironmentFile=` and dotenv both read them; XDG Base Directory 0.8.

mod built_in;
mod compose;
mod env_file;
mod keys;
mod load;
mod mistakes;
mod parse;
mod reference;
mod reload;
mod shown;
mod sources;

#[cfg(test)]
mod tests;

pub use load::{Paths, load, paths};
pub use mistakes::{Mistake, Mistakes};
pub use reference::reference;
pub use reload::reload_diff;
pub use shown::{ShownSetting, shown};
pub use sources::{DEFAULT_FILE, Flag, Sources};

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use crate::{logs, model::Proxy};

/// Every setting, valid.
#[derive(Clone, Debug)]
pub struct Config {
    /// `XC_DEBUG_LEVEL`.
    pub level: logs::Level,
    /// `XC_EMAIL_LOG_DIR`, absolute.
    pub log_dir: PathBuf,
    /// `XC_EMAIL_LOG_KEEP_DAYS`, 1..=3650.
    pub log_keep_days: u32,
    /// `XC_EMAIL_LOG_FORMAT`.
    pub log_format: logs::Format,
    /// `XC_EMAIL_DATA_DIR`, absolute.
    pub data_dir: PathBuf,
    /// `XC_EMAIL_DATABASE_URL`, or what the file of `XC_EMAIL_DATABASE_URL_FILE` holds; `sqlite://` or `mysql://`.
    pub database_url: SecretString,
    /// `XC_EMAIL_DATABASE_URL_FILE`, absolute.
    pub database_url_file: Option<PathBuf>,
    /// `XC_EMAIL_BLOB_URL`: a `file:///` URL.
    pub blob_url: Url,
    /// `XC_EMAIL_KEY_FILE`, absolute.
    pub key_file: PathBuf,
    /// `XC_EMAIL_LISTEN`; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// `XC_EMAIL_SOCKET`, absolute, at most 107 bytes.
    pub socket: PathBuf,
    /// `XC_EMAIL_PUBLIC_URL`: `http(s)://host[:port][/path]` without a slash at the end, no query.
    pub public_url: Option<Url>,
    /// `XC_EMAIL_BASE_PATH`: empty, or `/path` without a slash at the end.
    pub base_path: String,
    /// `XC_EMAIL_NODE_NAME`: 1..=64 letters, digits, `.`, `-`, `_`.
    pub node_name: String,
    /// `XC_EMAIL_HTTPS_PROXY`.
    pub https_proxy: Option<Proxy>,
    /// `XC_EMAIL_MAIL_PROXY`.
    pub mail_proxy: Option<Proxy>,
    /// `XC_EMAIL_NO_PROXY`: hosts, domains, addresses and networks that neither proxy is used for.
    pub no_proxy: Vec<String>,
    /// `XC_EMAIL_ALLOW_HOSTS`: names and addresses of this machine or its link that accounts may use.
    pub allow_hosts: Vec<String>,
    /// `XC_EMAIL_CA_FILE`, absolute.
    pub ca_file: PathBuf,
    /// `XC_EMAIL_AUDIT_INTERVAL`, 1 min..=30 d.
    pub audit_interval: Duration,
    /// `XC_EMAIL_WATCHED_FOLDERS`, 0..=10.
    pub watched_folders: u32,
    /// `XC_EMAIL_IDLE_REISSUE`, 1 s..=29 min.
    pub idle_reissue: Duration,
    /// `XC_EMAIL_POLL_INTERVAL`, 1 s..=1 h.
    pub poll_interval: Duration,
    /// `XC_EMAIL_IMAP_CONNECTIONS`, 1..=100.
    pub imap_connections: u32,
    /// `XC_EMAIL_SMTP_CONNECTIONS`, 1..=100.
    pub smtp_connections: u32,
    /// `XC_EMAIL_HOST_OPENINGS`, 1..=1000.
    pub host_openings: u32,
    /// `XC_EMAIL_RETRY_FIRST`, 1 s..=1 h, not more than `retry_cap`.
    pub retry_first: Duration,
    /// `XC_EMAIL_RETRY_CAP`, 1 s..=1 day.
    pub retry_cap: Duration,
    /// `XC_EMAIL_EXPIRE_AFTER`, 1 min..=30 days.
    pub expire_after: Duration,
    /// `XC_EMAIL_PARKED_RETRY`, 1 s..=1 day.
    pub parked_retry: Duration,
    /// `XC_EMAIL_SMTP_PROOF_INTERVAL`, 1 s..=7 days.
    pub smtp_proof_interval: Duration,
    /// `XC_EMAIL_CONTACT_NOTICE_AFTER`, 1 s..=7 days; the lesser of both counts.
    pub contact_notice_after: Duration,
    /// `XC_EMAIL_CONTACT_WARN_AFTER`, 1 s..=7 days.
    pub contact_warn_after: Duration,
    /// `XC_EMAIL_DRAIN`, 1 s..=10 min.
    pub drain: Duration,
    /// `XC_EMAIL_MAX_MESSAGE_SIZE` in bytes, 1 MiB..=2 GiB.
    pub max_message_size: u64,
    /// When mail is held, and how conversations are found.
    pub meaning: crate::model::MeaningRules,
}
