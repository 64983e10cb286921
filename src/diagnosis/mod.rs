//! Any failure → what happened, why, what to do next, and who must act.
//!
//! The only place that writes sentences for people about failures: console, API, command line and log
//! show the same stable code and the same words.
//!
//! # Promises
//! - Every [`Failure`] has a [`Diagnosis`] with a stable code and a next step; an unknown one gets its
//!   class from the reply code or HTTP status and keeps the peer's own words.
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

mod explain;
mod failure;
mod finding;
mod status;
mod warning;

pub use explain::explain;
pub use failure::{Context, Failure};
pub use finding::{Finding, Right};
pub use status::{Diagnosis, LaneExit, LaneState, LaneStatus};
pub use warning::{Warning, account_warnings, server_warning, warn_of_server};
