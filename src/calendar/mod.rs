//! What comes due: secrets and certificates that expire, sign-ins that nothing renews, servers without contact.
//!
//! A pure core turns what is stored into [`Entry`]s, each with the warning it deserves at this moment; the API
//! and the command line show them as they are. [`Watcher`] looks at them every minute, writes the last contacts
//! down, and announces each threshold that is crossed.
//!
//! # Promises
//! - A threshold (60, 30, 7, 1, 0 days; a silent server's notice and warning) is said once, as one log line and one
//!   event: events are unique by date and threshold, so restarts and other nodes do not repeat it, and a new
//!   date counts anew.
//! - Of several thresholds that are crossed already only the nearest is said.
//! - A secret that another credential outlives disquiets nobody.
//! - Days are spans of 24 hours from now, so no time zone and no daylight saving moves a threshold.
//! - An outgoing server is judged as the incoming one is, only later: its lane proves itself by a login at intervals.
//! - A clock that jumps gives no server up: silence is judged only after the clock has run steadily for as long
//!   as the notice takes. What was announced under a clock that was wrong by more than a day is said again in time.
//! - Last contacts cost at most one commit a minute (by the default settings), for all accounts together, and
//!   survive a restart.
//! - A paused account is not warned about.
//!
//! # When things fail
//! - Database away: nothing is said; the next look finds it all again, since nothing is kept in memory but what
//!   saves a commit.
//! - Killed: a contact of the last minutes is forgotten, which makes a mailbox look older, never fresher.
//!
//! # Does not know
//! - How lanes work, HTTP, the command line, how a certificate is read by a platform.

mod entry;
mod gather;
mod ledger;
mod mailboxes;
mod providers;
mod said;
mod steady;
mod watch;

#[cfg(test)]
mod watch_tests;

use std::time::Duration;

pub use entry::{Entry, Kind, Severity, Subject, Warning};
pub use gather::{account, all, provider};
pub use watch::Watcher;

/// What an operator chose.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// A mailbox without contact for this long deserves a notice. More than the time between two contacts of a
    /// mailbox that is well.
    pub notice_after: Duration,
    /// And after this long a warning; at least `notice_after`.
    pub warn_after: Duration,
    /// Added to both for the outgoing server: a lane that has nothing to send logs in this often.
    pub proof: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            notice_after: Duration::from_secs(15 * 60),
            warn_after: Duration::from_secs(3600),
            proof: Duration::from_secs(3600),
        }
    }
}

impl Settings {
    /// How often the calendar is looked at: every minute, and more often where mailboxes are judged sooner.
    fn look_every(&self) -> Duration {
        (self.notice_after / 3).clamp(Duration::from_secs(1), Duration::from_secs(60))
    }

    /// How far what is written of a contact may lag behind: three minutes, and less where mailboxes are judged
    /// sooner.
    fn write_every(&self) -> Duration {
        (self.notice_after / 5).min(Duration::from_secs(180))
    }
}
