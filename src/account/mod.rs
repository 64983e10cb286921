//! The task of one account: an inbound and an outbound lane that run side by side.
//!
//! # Promises
//! - Both lanes progress at the same time; when one ends, the other is told to stop, so the supervisor
//!   has one thing to judge.
//! - A panic in either lane ends the whole task and nothing else (I6).
//!
//! # When things fail
//! - Ordinary trouble is the lanes' own: they wait or park and say why through their status.
//! - Lease gone (I11): both lanes end; nothing more is written.
//!
//! # Does not know
//! - Other accounts, restarts, the API.

mod status;
mod task;

pub use status::{AccountStatus, Overall};
pub use task::{Ends, side_by_side};
