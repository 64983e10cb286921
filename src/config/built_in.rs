//! The defaults, which depend on who runs the daemon.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use url::Url;

use super::{Config, Sources};
use crate::logs;

/// The directories that belong to whoever runs the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) state: PathBuf,
    pub(super) run: PathBuf,
    pub(super) logs: PathBuf,
}

impl Place {
    /// The server's: what the unit and root have.
    pub(super) fn system() -> Self {
        Self {
            state: PathBuf::from("/var/lib/motion-email"),
            run: PathBuf::from("/run/motion-email"),
            logs: PathBuf::from("/var/log/xcally"),
        }
    }

    /// The server's for root and under systemd (whose directories win), else those of the user's XDG directories.
    pub(super) fn of(sources: &Sources) -> Self {
        let directory = |name| {
            // systemd joins several with colons.
            let first = sources.variable(name)?.split(':').next()?;
            absolute(first)
        };
        let state = directory("STATE_DIRECTORY");
        let run = directory("RUNTIME_DIRECTORY");
        let system = sources.root || state.is_some() || run.is_some();
        let mut place = if system {
            Self::system()
        } else {
            Self::of_user(sources)
        };
        place.state = state.unwrap_or(place.state);
        place.run = run.unwrap_or(place.run);
        place.logs = directory("LOGS_DIRECTORY").unwrap_or(place.logs);
        place
    }

    fn of_user(sources: &Sources) -> Self {
        let variable = |name| sources.variable(name).and_then(absolute);
        let state = variable("XDG_STATE_HOME")
            .or_else(|| variable("HOME").map(|home| home.join(".local/state")))
            .unwrap_or_else(|| PathBuf::from("/tmp"))
            .join("motion-email");
        Self {
            run: variable("XDG_RUNTIME_DIR")
                .map_or_else(|| state.join("run"), |dir| dir.join("motion-email")),
            logs: state.join("log"),
            state,
        }
    }
}

/// The XDG specification: a relative path is to be ignored.
fn absolute(text: &str) -> Option<PathBuf> {
    let path = Path::new(text);
    path.is_absolute().then(|| path.to_owned())
}

/// A name that a node may have, from whatever the machine is called.
fn node_name(host_name: &str) -> String {
    let name: String = host_name
        .trim()
        .chars()
        .map(|c| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '-' | '_' => c,
            _ => '-',
        })
        .take(64)
        .collect();
    if name.is_empty() {
        "motion-email".to_owned()
    } else {
        name
    }
}

/// Every setting as it is when nobody sets it. What lies in the data directory follows `data_dir`.
pub(super) fn built_in(place: &Place, data_dir: &Path, host_name: &str) -> Config {
    const MINUTE: u64 = 60;
    const DAY: u64 = 86_400;
    let blobs = data_dir.join("blobs");
    Config {
        level: logs::Level::Info,
        log_dir: place.logs.clone(),
        log_keep_days: 30,
        log_format: logs::Format::Text,
        database_url: format!("sqlite://{}/motion-email.db", data_dir.display()).into(),
        database_url_file: None,
        blob_url: Url::from_file_path(&blobs).unwrap_or_else(|()| {
            Url::from_file_path("/var/lib/motion-email/blobs").expect("an absolute path is a URL")
        }),
        key_file: data_dir.join("key"),
        data_dir: data_dir.to_owned(),
        listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9380),
        socket: place.run.join("motion-email.sock"),
        public_url: None,
        base_path: String::new(),
        node_name: node_name(host_name),
        https_proxy: None,
        mail_proxy: None,
        no_proxy: Vec::new(),
        allow_hosts: Vec::new(),
        ca_file: PathBuf::from("/etc/ssl/certs/ca-certificates.crt"),
        audit_interval: Duration::from_secs(24 * 60 * MINUTE),
        watched_folders: 2,
        idle_reissue: Duration::from_secs(5 * MINUTE),
        poll_interval: Duration::from_secs(MINUTE),
        imap_connections: 8,
        smtp_connections: 3,
        host_openings: 128,
        retry_first: Duration::from_secs(MINUTE),
        retry_cap: Duration::from_secs(60 * MINUTE),
        expire_after: Duration::from_secs(5 * DAY),
        parked_retry: Duration::from_secs(5 * MINUTE),
        smtp_proof_interval: Duration::from_secs(60 * MINUTE),
        contact_notice_after: Duration::from_secs(15 * MINUTE),
        contact_warn_after: Duration::from_secs(60 * MINUTE),
        drain: Duration::from_secs(25),
        meaning: crate::model::MeaningRules::default(),
        max_message_size: 200 << 20,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(root: bool, environment: &[(&str, &str)]) -> Sources {
        Sources {
            root,
            environment: environment
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            ..Sources::default()
        }
    }

    #[test]
    fn directories_are_the_systems_or_the_users() {
        for (root, environment, state, run, logs) in [
            (
                true,
                &[("HOME", "/root")][..],
                "/var/lib/motion-email",
                "/run/motion-email",
                "/var/log/xcally",
            ),
            (
                false,
                &[
                    ("STATE_DIRECTORY", "/s/a:/s/b"),
                    ("RUNTIME_DIRECTORY", "/r"),
                ],
                "/s/a",
                "/r",
                "/var/log/xcally",
            ),
            (
                false,
                &[("HOME", "/home/u"), ("XDG_RUNTIME_DIR", "/run/user/7")],
                "/home/u/.local/state/motion-email",
                "/run/user/7/motion-email",
                "/home/u/.local/state/motion-email/log",
            ),
            (
                false,
                &[("XDG_STATE_HOME", "/x"), ("XDG_RUNTIME_DIR", "relative")],
                "/x/motion-email",
                "/x/motion-email/run",
                "/x/motion-email/log",
            ),
        ] {
            let place = Place::of(&sources(root, environment));
            let expected = Place {
                state: state.into(),
                run: run.into(),
                logs: logs.into(),
            };
            assert_eq!(place, expected, "{environment:?}");
        }
    }

    /// Row 68: a host name with spaces works.
    #[test]
    fn any_host_name_makes_a_node_name() {
        for (host, node) in [
            ("mail1.example.com\n", "mail1.example.com"),
            ("my server", "my-server"),
            ("Büro", "B-ro"),
            ("", "motion-email"),
        ] {
            assert_eq!(node_name(host), node);
        }
        assert_eq!(node_name(&"x".repeat(300)).len(), 64);
    }
}
