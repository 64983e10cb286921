//! Deliver every queued message of one account, or say why not.
//!
//! A small pure machine decides when to look, connect, send, wait and try again; one delivery is a
//! bounded unit of straight-line work; what an answer means for a recipient is one pure function.
//!
//! # Promises
//! - The line is open and logged in before a message is claimed: dial, TLS and login are recorded on
//!   the lane and cost no message an attempt.
//! - The claim is committed before MAIL FROM, and "about to send the final dot" before the dot; if that
//!   commit fails, or is more than a moment ago, the dot is not sent (I2).
//! - Only a 2yz reply to the dot is *sent*. After the dot began, no answer is *in doubt*, never guessed.
//! - A lane with nothing to send logs in now and then all the same, so that what would keep the next reply from
//!   going is known before somebody writes it.
//! - Our own faults park the lane and leave every message as it was (I7). A refusal counts against the
//!   recipient or message it was about, and against nothing else.
//! - A line is opened when the [`Governor`] says so, and what a server asks of one is kept by all whom it speaks of.
//! - A stop is honoured before the dot, by giving the message back, and never between the dot and the
//!   record of its answer.
//!
//! # When things fail
//! - 4yz, or a line that breaks before the dot: tried again on the schedule, until servers have put it off
//!   for the message's lifetime; all of that is one pure function, `settle`. Time in which it was not tried
//!   by our fault, or that only a clock that was set shows, does not count (I7).
//! - 5yz: that recipient, or that message, has failed; the server's words are kept.
//! - Login, TLS, sender address refused: the lane is parked with a diagnosis, tried again every few
//!   minutes, at once when woken or when a token changed. A limit holds it until the limit's time.
//! - The database is away: before the dot nothing is sent; after it the answer is recorded as soon as
//!   the database is back, while the process lives.
//! - A crash: what was claimed is claimed again; what was about to get its dot is in doubt. There is no
//!   other path for it than the next claim (I9).
//! - The lease is gone: the lane ends and writes nothing more (I11).
//!
//! # Does not know
//! - IMAP, HTTP, configuration files, other accounts.
//!
//! # Standards
//! RFC 5321 §4.5.4.1 (retries), RFC 6409 (submission), RFC 3463 (status codes).

mod deliver;
mod lane;
mod machine;
mod open;
mod record;
mod report;
mod settle;
mod transfer;
mod trouble;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_catalogue;
#[cfg(test)]
mod tests_end;
#[cfg(test)]
mod tests_said;

use std::{sync::Arc, time::Duration};

pub use lane::Lane;
pub use trouble::SendError;

use crate::{
    blob::Blobs,
    governor::Governor,
    model::{Backoff, Clock},
    net::Net,
    smtp,
    store::Store,
    token::TokenKeeper,
    transcript::Transcripts,
};

/// What every outbound lane works with.
#[derive(Clone)]
pub struct Parts {
    /// The queue.
    pub store: Store,
    /// Frozen bytes of large messages.
    pub blobs: Blobs,
    /// The way out.
    pub net: Net,
    /// Access tokens.
    pub keeper: TokenKeeper,
    /// Wall-clock time.
    pub clock: Arc<dyn Clock>,
    /// What was lately said.
    pub transcripts: Transcripts,
    /// Who may connect when.
    pub governor: Governor,
    /// The same for all lanes.
    pub settings: Settings,
}

/// How outbound lanes work. The defaults are right; tests shorten them.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Bounds of one conversation, and our name in it.
    pub smtp: smtp::Settings,
    /// Between tries of a message that was refused for now.
    pub retry: Backoff,
    /// Between failures of the lane itself.
    pub backoff: Backoff,
    /// Between tries of a lane that waits for a person.
    pub parked_retry: Duration,
    /// How long a login counts as proof that the next one works: a lane with nothing to send logs in when this
    /// is over, at most half a minute later.
    pub proof: Duration,
    /// Messages sent over one line before it is closed.
    pub line_messages: u32,
    /// How long a line with nothing to send is kept.
    pub line_idle: Duration,
    /// A line is closed this long before the access token it was opened with expires; at most a fifth
    /// of the time that the token had left.
    pub token_lead: Duration,
    /// Recipients in one transaction; the rest follows in the next.
    pub recipients: usize,
    /// Longest time from asking for the commit of "about to send the dot" to the dot (I2): a process
    /// that was stopped in between may have lost its lease.
    pub dot_within: Duration,
    /// Between tries of recording what has happened already.
    pub record_retry: Backoff,
}

impl Default for Settings {
    fn default() -> Self {
        let minute = Duration::from_secs(60);
        Self {
            smtp: smtp::Settings::default(),
            retry: Backoff {
                first: minute,
                cap: minute * 60,
            },
            backoff: Backoff {
                first: Duration::from_secs(5),
                cap: minute * 5,
            },
            parked_retry: minute * 5,
            proof: minute * 60,
            line_messages: 100,
            line_idle: Duration::from_secs(5),
            token_lead: minute,
            recipients: 100,
            dot_within: Duration::from_secs(5),
            record_retry: Backoff {
                first: Duration::from_millis(200),
                cap: Duration::from_secs(5),
            },
        }
    }
}
