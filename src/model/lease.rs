//! Which process may act for an account.

use std::fmt;

use super::AccountId;

/// One run of one daemon process: 128 random bits in hex, made at each start, never reused.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NodeId(String);

impl NodeId {
    /// A fresh id for this process.
    pub fn random() -> Self {
        Self(uuid::Uuid::new_v4().simple().to_string())
    }

    /// As read from the database.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// 32 hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The right of one node to work for one account. Every transaction of the account's task writes the
/// lease row where holder and epoch still match, or is refused (I11).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The account worked for.
    pub account: AccountId,
    /// The process that works.
    pub holder: NodeId,
    /// Grows by one with each change of holder.
    pub epoch: i64,
}
