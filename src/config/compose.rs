//! The modules' own settings, from the one config.

use std::{net::SocketAddr, time::Duration};

use super::Config;
use crate::{
    blob, calendar, doctor, governor, http, imap, inbound, logs,
    model::{Backoff, Timestamp},
    net, oauth, outbound, smtp, store, token,
};

/// Connections that only read the database.
const READ_CONNECTIONS: u32 = 4;
/// One transaction, query, or wait for a connection.
const DATABASE_PATIENCE: Duration = Duration::from_secs(10);
/// One API request, the arrival of its body included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// One answer of a server in an examination.
const EXAMINED_ANSWER: Duration = Duration::from_secs(20);
/// One check of an examination, which may take several answers and a connection.
const EXAMINED_CHECK: Duration = Duration::from_secs(50);
/// Between failures of a lane's line, at first; the cap is that of parked lanes.
const LINE_RETRY_FIRST: Duration = Duration::from_secs(5);

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
            mail_proxy: self.mail_proxy.clone(),
            no_proxy: self.no_proxy.clone(),
            ..net::Settings::default()
        }
    }

    /// How the database is reached.
    pub fn store(&self) -> store::Settings {
        store::Settings {
            url: self.database_url.clone(),
            key_file: self.key_file.clone(),
            ca_file: self.ca_file.clone(),
            read_connections: READ_CONNECTIONS,
            patience: DATABASE_PATIENCE,
        }
    }

    /// Where large raw mail is kept.
    pub fn blob(&self) -> blob::Settings {
        blob::Settings {
            url: self.blob_url.to_string(),
        }
    }

    /// How identity platforms are reached.
    pub fn oauth(&self) -> oauth::Settings {
        oauth::Settings {
            proxy: self
                .https_proxy
                .as_ref()
                .map(|proxy| proxy.url_for_clients()),
            no_proxy: self.no_proxy.clone(),
            ..oauth::Settings::default()
        }
    }

    /// How tokens are kept fresh.
    pub fn token(&self) -> token::Settings {
        token::Settings {
            drain: self.drain_work(),
            journal: Some(self.data_dir.join("token-journal")),
            ..token::Settings::default()
        }
    }

    /// How many connections are made.
    pub fn governor(&self) -> governor::Settings {
        let defaults = governor::Settings::default();
        governor::Settings {
            imap_connections: self.imap_connections as usize,
            smtp_connections: self.smtp_connections as usize,
            host_most: self.host_openings as usize,
            ..defaults
        }
    }

    /// How inbound lanes work.
    pub fn inbound(&self) -> inbound::Settings {
        inbound::Settings {
            imap: imap::Settings::default(),
            reissue_idle: self.idle_reissue,
            poll: self.poll_interval,
            audit: self.audit_interval,
            watched_folders: usize::try_from(self.watched_folders).unwrap_or(0),
            backoff: self.line_backoff(),
            parked_retry: self.parked_retry,
            body_limit: self.max_message_size,
            ..inbound::Settings::default()
        }
    }

    /// How outbound lanes work.
    pub fn outbound(&self) -> outbound::Settings {
        outbound::Settings {
            smtp: smtp::Settings {
                ehlo_name: self.ehlo_name(),
                ..smtp::Settings::default()
            },
            retry: Backoff {
                first: self.retry_first,
                cap: self.retry_cap,
            },
            backoff: self.line_backoff(),
            parked_retry: self.parked_retry,
            proof: self.smtp_proof_interval,
            ..outbound::Settings::default()
        }
    }

    /// How examinations are made: a person waits, so each answer gets less time than a lane gives it.
    pub fn doctor(&self) -> doctor::Settings {
        doctor::Settings {
            imap: imap::Settings {
                greeting_timeout: EXAMINED_ANSWER,
                command_timeout: EXAMINED_ANSWER,
                ..imap::Settings::default()
            },
            smtp: smtp::Settings {
                ehlo_name: self.ehlo_name(),
                greeting: EXAMINED_ANSWER,
                command: EXAMINED_ANSWER,
                ..smtp::Settings::default()
            },
            check: EXAMINED_CHECK,
            public_url: self
                .public_url
                .as_ref()
                .map(|url| url.as_str().trim_end_matches('/').to_owned()),
            directories: vec![
                ("XC_EMAIL_DATA_DIR", self.data_dir.clone()),
                ("XC_EMAIL_LOG_DIR", self.log_dir.clone()),
            ],
        }
    }

    /// What the API is told of this process. `listen` is the address that was really bound.
    pub fn http(&self, listen: SocketAddr, started_at: Timestamp) -> http::Settings {
        http::Settings {
            public_url: self
                .public_url
                .as_ref()
                .map(|url| url.as_str().trim_end_matches('/').to_owned()),
            base_path: self.base_path.clone(),
            listen,
            node_name: self.node_name.clone(),
            started_at,
            expire_after: self.expire_after,
            calendar: self.calendar(),
            request_timeout: REQUEST_TIMEOUT,
        }
    }

    /// When a mailbox counts as silent: never before it could have been looked at twice, and noticed at the
    /// latest when it is warned about.
    pub fn calendar(&self) -> calendar::Settings {
        let looks = self.idle_reissue.max(self.poll_interval) * 2;
        calendar::Settings {
            notice_after: self
                .contact_notice_after
                .min(self.contact_warn_after)
                .max(looks),
            warn_after: self.contact_warn_after.max(looks),
            proof: self.smtp_proof_interval,
        }
    }

    /// The part of the drain time for what is under way: sends past their dot, refreshes that were sent. The
    /// last fifth is for answering callers, giving leases back and the database's last commits.
    pub fn drain_work(&self) -> Duration {
        self.drain.mul_f64(0.8)
    }

    /// A line that fails is tried again soon, then ever more slowly, but never more slowly than a parked one.
    fn line_backoff(&self) -> Backoff {
        Backoff {
            first: LINE_RETRY_FIRST.min(self.parked_retry),
            cap: self.parked_retry,
        }
    }

    /// RFC 5321 §4.1.1.1: our name as a domain, or an address literal where the node's name is none.
    fn ehlo_name(&self) -> String {
        let name = &self.node_name;
        let is_domain = name.contains('.') && !name.contains('_') && !name.starts_with(['.', '-']);
        if is_domain {
            name.clone()
        } else {
            "[127.0.0.1]".to_owned()
        }
    }
}
