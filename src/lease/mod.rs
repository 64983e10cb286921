//! Which node works for which account.
//!
//! Every process start is a *node* with a random id. A node beats its own row; it takes the leases of
//! accounts that nobody holds or whose holder is dead, and publishes what it holds. A single node does
//! exactly the same, it only never meets another.
//!
//! # Promises
//! - A lease is taken by compare-and-set on what was read, never by read-then-write.
//! - Death is judged by the observer's own monotonic clock: the same beat seen for [`DEAD_AFTER`]. No
//!   wall clock takes part, so clocks that differ cannot give one account to two nodes.
//! - A node that could not beat for [`SELF_FENCE_AFTER`] gives up all it holds by itself. That is
//!   courtesy: safety comes from the fence in each transaction (I11).
//! - Earlier runs from the same data directory are known to be dead at once, because this process holds
//!   the directory's lock; a restart waits for nobody.
//!
//! # When things fail
//! - Database away: nothing is taken; after [`SELF_FENCE_AFTER`] what was held is let go, and taken
//!   again when the database answers.
//! - Row of this node gone (another node judged it dead): everything is let go and the node registers anew.
//!
//! # Does not know
//! - What is done with a lease; accounts' settings.

mod keeper;
mod plan;

pub use keeper::{Held, Keeper, RegisterError};
pub use plan::{DEAD_AFTER, SELF_FENCE_AFTER};
