//! What is shown of the budgets. Pure.

use tokio::time::Instant;

use super::book::Book;
use crate::model::{HoldKind, Timestamp};

/// Entries of each kind that are shown at most.
const MOST: usize = 1000;

/// All that is held, and how many wait.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// By name, at most a thousand.
    pub hosts: Vec<ShownHost>,
    /// The rests that run, at most a thousand.
    pub rests: Vec<ShownRest>,
}

/// One server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownHost {
    /// Host, port and TLS mode.
    pub host: String,
    /// Connections that are open or being opened.
    pub connections: usize,
    /// Those that are being opened.
    pub opening: usize,
    /// How many may be opened at the same time, by what it bore.
    pub opening_at_most: usize,
    /// Openings that wait for that, or for a connection of their login.
    pub waiting: usize,
    /// It gives nobody an answer: when the next probe goes, and the last failure.
    pub silent: Option<(Timestamp, String)>,
}

/// One rest that a server asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownRest {
    /// Of what.
    pub of: HoldKind,
    /// Of whom.
    pub whose: String,
    /// Until when.
    pub until: Timestamp,
    /// The server's words.
    pub said: String,
}

pub(super) fn shown(book: &Book, now: Instant, clock: Timestamp) -> Shown {
    let at = |until: Instant| clock.plus(until.saturating_duration_since(now));
    let hosts = book.hosts.iter().take(MOST).map(|(name, host)| ShownHost {
        host: name.to_string(),
        connections: host.connections(),
        opening: host.pace.under_way(),
        opening_at_most: host.pace.bears(),
        waiting: host.waiting(),
        silent: host
            .circuit
            .silent(now)
            .map(|silent| (at(silent.until), silent.said)),
    });
    let rests = book.rests.running(now).take(MOST);
    let rests = rests.map(|(scope, rest)| ShownRest {
        of: scope.kind,
        whose: scope.words(),
        until: at(rest.until),
        said: rest.said.clone(),
    });
    Shown {
        hosts: hosts.collect(),
        rests: rests.collect(),
    }
}
