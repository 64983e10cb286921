//! Row ids. Integers, as everywhere in Motion, made by the database and never reused.

use std::{cmp, fmt, hash, marker::PhantomData};

/// The integer id of one kind of row; `Of` only tells the compiler which kind.
pub struct Id<Of>(i64, PhantomData<fn() -> Of>);

impl<Of> Id<Of> {
    /// Wraps a value read from the database or from an API path.
    pub const fn new(value: i64) -> Self {
        Self(value, PhantomData)
    }

    /// The bare integer, for SQL and JSON.
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl<Of> Clone for Id<Of> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<Of> Copy for Id<Of> {}
impl<Of> PartialEq for Id<Of> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<Of> Eq for Id<Of> {}
impl<Of> PartialOrd for Id<Of> {
    fn partial_cmp(&self, other: &Self) -> Option<cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<Of> Ord for Id<Of> {
    fn cmp(&self, other: &Self) -> cmp::Ordering {
        self.0.cmp(&other.0)
    }
}
impl<Of> hash::Hash for Id<Of> {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
impl<Of> fmt::Debug for Id<Of> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
impl<Of> fmt::Display for Id<Of> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
impl<Of> serde::Serialize for Id<Of> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(self.0)
    }
}
impl<'de, Of> serde::Deserialize<'de> for Id<Of> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        i64::deserialize(deserializer).map(Self::new)
    }
}

/// Names the rows that ids belong to; never made.
pub(crate) mod row {
    /// A row of `mail_accounts`.
    pub enum Account {}
    /// A row of `cloud_providers`.
    pub enum CloudProvider {}
    /// A row of `cm_lists`.
    pub enum List {}
    /// A row of `cm_contacts`.
    pub enum Contact {}
    /// A row of `mail_folders`.
    pub enum Folder {}
    /// A row of `mail_messages`.
    pub enum Message {}
    /// A row of `mail_interactions`.
    pub enum Interaction {}
    /// A row of `mail_outbox`.
    pub enum Outbox {}
    /// A row of `mail_recipients`.
    pub enum Recipient {}
}

/// One mailbox that Motion works with.
pub type AccountId = Id<row::Account>;
/// One app registration plus its grant.
pub type CloudProviderId = Id<row::CloudProvider>;
/// A Contacts Manager list.
pub type ListId = Id<row::List>;
/// A Contacts Manager contact.
pub type ContactId = Id<row::Contact>;
/// An IMAP mailbox of an account.
pub type FolderId = Id<row::Folder>;
/// A stored incoming message.
pub type MessageId = Id<row::Message>;
/// A conversation (thread).
pub type InteractionId = Id<row::Interaction>;
/// A message in the outgoing queue.
pub type OutboxId = Id<row::Outbox>;
/// One recipient of an outgoing message.
pub type RecipientId = Id<row::Recipient>;
