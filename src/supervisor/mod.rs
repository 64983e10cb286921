//! Wanted accounts = running accounts.
//!
//! Level-triggered: start-up, an account added or edited, a lease taken or lost and a sign-in all only
//! ask the supervisor to look at the store again and compare.
//!
//! # Promises
//! - An account runs exactly while it is wanted, not paused, and its lease is held here (I11).
//! - One account's panic disturbs no other (I6); it is started again after a growing delay and parked
//!   after [`PANICS_AN_HOUR`] panics in an hour, until its row changes.
//! - A changed account row replaces its task: the old one ends before the new one begins.
//! - Every task is awaited, also after an abort.
//!
//! # When things fail
//! - Store unreadable: running accounts run on; the look is repeated.
//! - A damaged account row (bad input 66): that account is shown as parked, the others run.
//! - A task that ignores the stop: named in the log every few seconds, aborted when the drain time is over.
//!
//! # Does not know
//! - What a task does, HTTP, configuration files.

mod handle;
mod plan;
mod task;
mod verdict;

#[cfg(test)]
mod tests;

pub use handle::Handle;
pub use task::{Made, Plan, Settings, Supervisor};
pub use verdict::PANICS_AN_HOUR;
