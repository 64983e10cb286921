//! Shared budgets: who may connect to a mail server now, and what servers have asked for.
//!
//! Everything that opens a connection for an account (the lanes, further folders, examinations) asks for a
//! [`Permit`] first, tells how the opening went, and keeps a [`Slot`] while the connection lives. What a server
//! says to one of them is kept by all whom it speaks of.
//!
//! # Promises
//! - At most so many connections of a login, and so many openings of a host at the same time; how many, the
//!   host shows by how fast and how well it answers: the number doubles while it answers quickly and without
//!   errors, and is halved when it refuses or is slow. There is no fixed pause.
//! - A host that gives nobody an answer gets probes, one at a time and from one account after the other, until
//!   one succeeds; then all that waited go, paced. No other host is touched (I6).
//! - A rest that a server asks for is kept by the mailbox, login, tenant or host that it speaks of, and by
//!   nobody else (I6).
//! - Urgent openings go first, then usual ones, then extra ones; within a class in the order of asking. A login
//!   whose connections are all in use blocks nobody behind it.
//! - Nothing here wakes by itself: whoever is told to wait knows until when, and whatever ends that sooner wakes it.
//! - Entries live while they are used or say something (I10).
//!
//! # When things fail
//! - [`Held`] says what stands in the way, until when, and in whose words. It is no failure of the account.
//! - A permit or slot that is dropped, in whatever way, gives back what it holds.
//!
//! # Does not know
//! - The store: rests are forgotten by a restart, on purpose. The server repeats itself at the first connection,
//!   which costs one login of each mailbox, while a rest that was stored would outlive its reason.
//! - Identity platforms: they name a rate, and are paced by that in the token keeper; mail servers name none and
//!   show by their answers what they bear. The two share the rules of the circuit and nothing else.
//!
//! # Standards
//! RFC 5530 (response codes of IMAP), RFC 3463 (enhanced status codes of SMTP).

mod book;
mod circuit;
mod host;
mod pace;
mod permit;
mod place;
mod rest;
mod shown;
mod sign;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_sign;

use std::time::Duration;

use crate::model::Backoff;

pub use host::Held;
pub use permit::{Governor, Permit, Slot};
pub use place::Place;
pub use shown::{Shown, ShownHost, ShownRest};

/// Who goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// A person examines an account and wants to know what is true now: goes to a silent host too.
    Examine,
    /// The successor of a connection whose token is about to expire. It has one connection more than others, and
    /// is told at once when there is none, since the old connection works on.
    Renewal,
    /// Somebody asked to look now; may be the probe of a silent host a little sooner.
    Urgent,
    /// A lane.
    Usual,
    /// A further connection to a mailbox, for more of its folders: after all others, and only while there is room
    /// to spare.
    Extra,
}

/// The bounds of all.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// IMAP connections of one login. Gmail allows 15 and counts those of the person's own programs too, Exchange
    /// 16 to 20, Dovecot 10 by default.
    pub imap_connections: usize,
    /// SMTP connections of one login: Exchange Online takes three submissions at once.
    pub smtp_connections: usize,
    /// Openings of one host at the same time, at most; it begins with [`Settings::host_first`].
    pub host_most: usize,
    /// Openings at the same time before the host has shown what it bears, and never fewer than half of it.
    pub host_first: usize,
    /// An opening that took longer than this, and four times the fastest, is a sign of a host that has too much.
    pub slow: Duration,
    /// One that took no longer than this, or than twice the fastest, is a sign of one that bears more.
    pub quick: Duration,
    /// So many failures in a row, of at least three logins, and only probes go.
    pub failures: u32,
    /// From one probe to the next.
    pub probe: Backoff,
    /// How long a connection is waited for where a login has none free.
    pub patience: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            imap_connections: 8,
            smtp_connections: 3,
            host_most: 128,
            host_first: 8,
            slow: seconds(5),
            quick: seconds(1),
            failures: 5,
            probe: Backoff {
                first: seconds(5),
                cap: seconds(60),
            },
            patience: seconds(60),
        }
    }
}
