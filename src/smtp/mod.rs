//! Speak SMTP submission to one server: connect, log in, hand over messages, one step at a time.
//!
//! The conversation is driven by `lettre`'s `AsyncSmtpConnection` over a stream of our own, `Wire`,
//! that lets through only whole, well-formed replies. The message body bypasses `lettre`: it is stuffed
//! and written by us, and the final dot is a step of its own, so that a caller can record the
//! announcement of the dot before it is sent (I2).
//!
//! # Promises
//! - Credentials go only over TLS. STARTTLS that is configured and not offered is an error; clear text
//!   that a server slips in behind its STARTTLS answer ends the connection.
//! - Only a 2yz reply to the final dot means that the server took the message. A server that speaks out
//!   of turn is never believed.
//! - [`SmtpError::outcome_is_unknown`] is true exactly when the dot may have been sent and no
//!   trustworthy answer came.
//! - The server receives the bytes of the body exactly; what cannot be sent so (a bare CR or LF) is
//!   refused before the dot.
//! - Every wait and every buffer has a bound (I10). No credential is in an error or a log line (I8).
//!
//! # When things fail
//! - Everything is a [`SmtpError`] that names the step; its class says who acts next, and
//!   [`SmtpError::concern`] whether the trouble is the recipient's, the message's or the account's.
//! - After anything but a clean reply the line is dead: each later call fails at once.
//! - A cancelled call leaves the line dead too: a half-read reply can never answer a later command.
//!
//! # Does not know
//! - The queue, retries, tokens and how they are renewed, what operators are told.
//!
//! # Standards
//! RFC 5321 (SMTP), RFC 6409 (submission), RFC 8314 (implicit TLS), RFC 3207 (STARTTLS), RFC 4954
//! (AUTH), RFC 4616 (PLAIN), RFC 3463 and RFC 2034 (enhanced status codes), RFC 1870 (SIZE), RFC 6152
//! (8BITMIME), RFC 6531 (SMTPUTF8).

mod auth;
mod classify;
mod connect;
mod error;
mod keywords;
mod line;
mod reply;
mod stuffing;
mod wire;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_hostile;

use std::time::Duration;

pub use auth::{Login, Secret};
pub use classify::Concern;
pub use connect::connect;
pub use error::{SmtpError, Verb};
pub use line::{Line, MailOptions};
pub use reply::Reply;
pub use stuffing::{BareLineEnd, check_line_ends};

/// How long each step may take (RFC 5321 §4.5.3.2), and our name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The name given in EHLO: a domain name, or an address literal in brackets.
    pub ehlo_name: String,
    /// From the connection to the greeting.
    pub greeting: Duration,
    /// EHLO, STARTTLS, each step of AUTH, MAIL, RCPT, RSET.
    pub command: Duration,
    /// DATA to its 354.
    pub data: Duration,
    /// One piece of the body (at most 16 KiB) to be taken by the connection.
    pub chunk: Duration,
    /// The final dot to its reply. Short ones duplicate mail.
    pub dot: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ehlo_name: "[127.0.0.1]".into(),
            greeting: Duration::from_secs(300),
            command: Duration::from_secs(300),
            data: Duration::from_secs(120),
            chunk: Duration::from_secs(180),
            dot: Duration::from_secs(600),
        }
    }
}
