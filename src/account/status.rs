//! What is shown of an account's task.

use crate::{diagnosis::LaneStatus, model::AccountId};

/// Both lanes of one account, as they stand now.
#[derive(Clone, Debug)]
pub struct AccountStatus {
    /// Whose.
    pub account: AccountId,
    /// IMAP to store.
    pub inbound: LaneStatus,
    /// Queue to SMTP.
    pub outbound: LaneStatus,
    /// How often the task had to be started again since the daemon started (each one is a bug).
    pub restarts: u32,
}
