//! Bring every mail of one account into the store, exactly once, and keep waiting for more.
//!
//! A small pure machine decides when to connect, read, wait and try again; the conversation with the
//! server is straight-line code in bounded units; one loop waits, handles and performs.
//!
//! # Promises
//! - The cursor passes a UID only in the commit that stores its mail or puts it aside, or after a
//!   complete listing that does not name it (I1). It is read from the store on every connection (I9).
//! - A voided or fallen UID count makes everything be looked at again: mail that is known gets only an
//!   instance, so that nothing is announced twice (I4).
//! - After every hint and every wait the mailbox is listed, whatever the server said.
//! - On every connection the newest UIDs, and once a day all, are compared with the store; what is missing is
//!   brought in. Where much of a renumbered folder is unknown, its mail is kept and not announced.
//! - The first folder of an account is watched; further ones are watched or visited, and one that does not
//!   open stops no other.
//! - The successor of a connection is open before the access token of the old one expires.
//! - A connection is opened when the [`Governor`] says so, and what a server asks of one is kept by all whom it
//!   speaks of.
//! - Memory is bounded by [`Budget`] for all accounts together (I10).
//!
//! # When things fail
//! - A connection that ends as connections do is opened again at once, without a word to an operator.
//! - Passing trouble waits and tries again with growing delays; a time the server names is kept.
//! - What a person must change parks the lane with its diagnosis; it is tried again every few minutes,
//!   at once when woken or when a token changed.
//! - A mail that cannot be read is kept and shown as such; one that cannot be had is put aside with
//!   its reason. Neither blocks what is behind it (I5).
//! - A lost lease ends the lane (I11); a stop ends it between two units.
//!
//! # Does not know
//! - Outgoing mail, other accounts, HTTP.
//!
//! # Standards
//! RFC 9051 §2.3.1.1 (unique identifiers), RFC 2177 (IDLE).

mod audit;
mod batch;
mod begin;
mod board;
mod body;
mod budget;
mod compare;
mod lane;
mod lanes;
mod machine;
mod open;
mod plan;
mod report;
mod suspect;
mod sync;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod testing_server;
#[cfg(test)]
mod testing_state;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_audit;
#[cfg(test)]
mod tests_cut;
#[cfg(test)]
mod tests_catalogue;
#[cfg(test)]
mod tests_platform;
#[cfg(test)]
mod tests_said;
mod trouble;
mod visits;

use std::{sync::Arc, time::Duration};

pub use budget::Budget;
pub use lanes::run;
pub use trouble::SyncError;

use crate::{
    blob::Blobs,
    governor::Governor,
    imap,
    model::{Backoff, Clock},
    net::Net,
    store::Store,
    token::TokenKeeper,
    transcript::Transcripts,
};

/// What every inbound lane works with.
#[derive(Clone)]
pub struct Parts {
    /// Where mail goes.
    pub store: Store,
    /// Where raw mail goes.
    pub blobs: Blobs,
    /// The way out.
    pub net: Net,
    /// Access tokens.
    pub keeper: TokenKeeper,
    /// Wall-clock time.
    pub clock: Arc<dyn Clock>,
    /// Memory, shared by all lanes.
    pub budget: Budget,
    /// What was lately said.
    pub transcripts: Transcripts,
    /// Who may connect when.
    pub governor: Governor,
    /// The same for all lanes.
    pub settings: Settings,
}

/// How inbound lanes work.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Bounds of one conversation.
    pub imap: imap::Settings,
    /// Longest wait in one IDLE; then the mailbox is listed and IDLE begun anew (RFC 2177: at most 29
    /// minutes).
    pub reissue_idle: Duration,
    /// Between two looks where the server has no IDLE.
    pub poll: Duration,
    /// Between looks for mail that the server announced and does not list yet.
    pub recount: Backoff,
    /// Between failures.
    pub backoff: Backoff,
    /// Between tries of a lane that waits for a person.
    pub parked_retry: Duration,
    /// How long before the access token expires the next connection is opened; at most a fifth of the
    /// time that the token has left.
    pub renew_lead: Duration,
    /// Between two complete audits of a folder.
    pub audit: Duration,
    /// Folders of an account, beside the first, that are watched on a connection of their own; further ones are
    /// visited in turn on one more.
    pub watched_folders: usize,
    /// Messages fetched at once.
    pub batch_messages: usize,
    /// Octets fetched at once, by the server's sizes; a larger mail is fetched alone, in slices.
    pub batch_octets: u64,
    /// Octets of a slice.
    pub slice_octets: u32,
    /// Octets of the largest mail that is held in memory and read whole; a larger one goes to the objects as it
    /// comes.
    pub held: u64,
    /// Octets of the largest mail that is fetched; of a larger one the headers are kept.
    pub body_limit: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            imap: imap::Settings::default(),
            reissue_idle: Duration::from_secs(300),
            poll: Duration::from_secs(60),
            recount: Backoff {
                first: Duration::from_secs(1),
                cap: Duration::from_secs(16),
            },
            backoff: Backoff {
                first: Duration::from_secs(5),
                cap: Duration::from_secs(300),
            },
            parked_retry: Duration::from_secs(300),
            renew_lead: Duration::from_secs(300),
            audit: Duration::from_secs(24 * 3_600),
            watched_folders: 2,
            batch_messages: 200,
            batch_octets: 4 * 1024 * 1024,
            slice_octets: 1024 * 1024,
            held: 32 * 1024 * 1024,
            body_limit: 200 * 1024 * 1024,
        }
    }
}
