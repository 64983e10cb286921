//! Any failure → what happened, why, what to do next, and who must act.
//!
//! The only place that writes sentences for people about failures: console, API, command line and log
//! show the same stable code and the same words.
//!
//! # Promises
//! - Every [`Failure`] has a [`Diagnosis`] with a stable code and a next step; an unknown one gets its
//!   class from the reply code or HTTP status and keeps the peer's own words.
//! - What peers are known to say stands in a catalogue of tables; a test compares the class of every row with
//!   the class by which the program acts on the same literal text.
//! - Trace and correlation ids that a platform gave are in the diagnosis, however long its words are.
//! - A diagnosis holds no secret (I8) and no control characters of a peer.
//!
//! # When things fail
//! - Nothing here can fail: it is pure.
//!
//! # Does not know
//! - Accounts' tasks, HTTP, the command line, configuration files.
//!
//! # Standards
//! RFC 5530 (IMAP response codes), RFC 3463 (enhanced status codes), RFC 6749 §5.2 (OAuth errors).

mod calendar;
mod catalogue;
mod explain;
mod failure;
mod finding;
mod status;
mod warning;

pub use calendar::{Credential, Named, Occasion, Remark, remark};
pub use catalogue::GraphRefusal;
#[cfg(test)]
pub(crate) use catalogue::{tests_entra, tests_mail};
pub use explain::{explain, explain_copy};
pub use failure::{Context, Failure, LOST_ANSWER};
pub use finding::{Finding, Right};
pub use status::{Diagnosis, LaneExit, LaneState, LaneStatus};
pub use warning::{Warning, account_warnings, ending_session, server_warning, warn_of_server};
