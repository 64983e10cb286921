//! Speak IMAP to one server: straight-line conversation, no policy.
//!
//! Over `async_imap::Client` as the response parser, with our own thin command layer: its ready-made
//! commands answer "nothing there" to a refusal and to a broken line alike, and write passwords to
//! the trace log. Commands are written by us and answers are taken one response at a time.
//!
//! # Promises
//! - An answer counts only with the tagged OK of its very command; an end before it is an error.
//! - What the server says and did not have to is ignored and counted; nothing it says can be taken
//!   for another message, another UID or another command.
//! - Every wait is bounded, every answer too, by [`Guard`](crate::net::guard::Guard) (I10).
//! - With STARTTLS no credential is sent and nothing is believed before TLS stands.
//! - Passwords and tokens are never formatted, logged or kept (I8).
//!
//! # When things fail
//! - Everything is an [`ImapError`] that says what was being done and keeps the server's own words,
//!   shortened. After any error but `Refused` the session is worthless: drop it.
//! - A parser that panics is a server that talked [`ImapError::Nonsense`].
//! - A future that was dropped half-way leaves a session that refuses further commands.
//!
//! # Does not know
//! - Accounts, cursors, the store, when to try again.
//!
//! # Standards
//! RFC 3501 and RFC 9051 (IMAP), RFC 2177 (IDLE), RFC 4616 (PLAIN), RFC 5530 (response codes),
//! RFC 6154 (special-use folders).

mod connect;
mod date;
mod error;
mod fetch;
mod idle;
mod login;
pub mod mailbox_name;
pub mod quirks;
mod reply;
mod session;
mod survey;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_idle;
mod wire;

use std::time::Duration;

pub use connect::{Greeted, connect};
pub use error::{ImapError, Step};
pub use fetch::Fetched;
pub use idle::{Idling, Nudge};
pub use login::{Login, Secret};
pub use session::{Counters, Listed, Selected, Session};
pub use survey::FolderListed;

/// Bounds of one conversation.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Until the greeting has come.
    pub greeting_timeout: Duration,
    /// Until the answer to a command has come; a fetch gets a second more for each KiB it asks for.
    pub command_timeout: Duration,
    /// Until the server has ended IDLE after DONE.
    pub done_timeout: Duration,
    /// Largest body taken in one piece, in octets; larger ones are fetched in slices.
    pub whole_body: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            greeting_timeout: Duration::from_secs(30),
            command_timeout: Duration::from_secs(60),
            done_timeout: Duration::from_secs(15),
            whole_body: 8 * 1024 * 1024,
        }
    }
}
