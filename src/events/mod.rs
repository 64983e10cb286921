//! The change feed: numbers for committed events. (Webhooks join here.)
//!
//! An event is written without a number in the commit of its fact. One sequencer numbers what is
//! committed, in row order, so a reader that goes by number can never miss one that commits late.
//!
//! # Promises
//! - Numbers only grow, and a number once visible never gets a lower neighbour.
//! - Two sequencers at once are harmless: the counter row is compared and set.
//!
//! # When things fail
//! - Database away: numbering waits and goes on by itself; facts and their events are safe already.
//!
//! # Does not know
//! - What events mean, and who reads them.

mod sequencer;

pub use sequencer::sequence;
