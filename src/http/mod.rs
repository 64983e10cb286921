//! The HTTP API, the OAuth callback and the health questions: the only axum.
//!
//! Two routers from one route table. [`local_router`] is for the Unix socket, whose file mode decides
//! who may call (root and the service's group). [`public_router`] is for TCP: it answers only what is
//! safe without knowing who calls, and 401 for everything else.
//!
//! Integers for ids, camelCase, lists as `{"count", "rows"}`, errors as problem documents with a
//! stable `code` and the `next` step. The routes are in the file `routes.rs`.
//!
//! # Promises
//! - A change is committed before it is answered; a sent mail with its frozen bytes and recipients.
//! - Secrets go in and never come out; no query string and no body is ever logged (I8).
//! - Every wrong field of a request is named at once; unknown fields and parameters are refused.
//! - The redirect URI is the provider's field; no request header can change it.
//! - Bodies, header blocks, list lengths, connections, request times and the drain have bounds (I10).
//!
//! # When things fail
//! - The database does not answer: 503 with `Retry-After`; nothing was written, or the answer says
//!   that nobody knows.
//! - A bug, a damaged row: 500 with an id; the log has the causes under that id.
//! - A panic in a handler: 500 for that request, nothing else notices (I6).
//!
//! # Does not know
//! - Configuration files, signals, the command line; how lanes work.
//!
//! # Standards
//! RFC 9110 and RFC 9112 (HTTP), RFC 9457 (problem documents), RFC 6749 §4.1.2 and RFC 9207 (the
//! callback).

mod accounts;
mod answer;
mod calendar;
mod callback;
mod caller;
mod contacts;
mod doctor;
mod guard;
mod input;
mod messages;
mod outbox;
mod problem;
mod providers;
mod query;
mod routes;
mod serve;
mod sign_in;
mod status;

#[cfg(test)]
mod tests;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use crate::{
    blob::Blobs,
    doctor::Doctor,
    governor::Governor,
    logs::LogControl,
    model::{Clock, CloudService, Timestamp},
    store::Store,
    supervisor,
    token::TokenKeeper,
    transcript::Transcripts,
};

pub use caller::Peer;
pub use routes::{local_router, public_router};
pub use serve::serve;

/// What handlers work with. Clones share everything.
#[derive(Clone)]
pub struct Desk {
    /// The database.
    pub store: Store,
    /// Raw mail.
    pub blobs: Blobs,
    /// Sign-ins.
    pub keeper: TokenKeeper,
    /// Examinations.
    pub doctor: Doctor,
    /// What accounts' tasks show, and the way to wake them.
    pub supervisor: supervisor::Handle,
    /// What was lately said to servers.
    pub transcripts: Transcripts,
    /// What servers have asked for, and who waits.
    pub governor: Governor,
    /// The log's level and losses.
    pub log: LogControl,
    /// Wall-clock time.
    pub clock: Arc<dyn Clock>,
    /// What does not change while the daemon runs.
    pub settings: Arc<Settings>,
}

/// What an operator chose, and what this process is.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The Motion server as browsers see it, for the redirect URI of new providers; no slash at the end.
    pub public_url: Option<String>,
    /// The path in front of all routes on TCP: empty, or `/path` without a slash at the end. The callback
    /// and the health questions are answered without it too.
    pub base_path: String,
    /// The TCP address in use.
    pub listen: SocketAddr,
    /// The node's name in the status.
    pub node_name: String,
    /// When this process started.
    pub started_at: Timestamp,
    /// How long a mail is tried before it expires.
    pub expire_after: Duration,
    /// From when on a mailbox without contact is warned about.
    pub calendar: crate::calendar::Settings,
    /// How long one request may take, the arrival of its body included.
    pub request_timeout: Duration,
}

impl Settings {
    /// Where the platform sends browsers back to, if the operator does not say otherwise. Without a public
    /// URL only a browser on this machine can come back; platforms take `http://localhost` for that.
    fn callback(&self, service: CloudService) -> Option<String> {
        let ip = self.listen.ip();
        let base = match &self.public_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None if ip.is_loopback() || ip.is_unspecified() => {
                format!("http://localhost:{}", self.listen.port())
            }
            None => return None,
        };
        Some(format!(
            "{base}/api/cloudProviders/oauth2/{}/callback",
            service.slug()
        ))
    }
}
