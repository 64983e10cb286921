//! Facts that readers of the event feed are told.

use serde_json::Value;

use super::{AccountId, CloudProviderId, Timestamp};

/// What happened. The words are part of the API and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// A new message is in the store.
    MessageReceived,
    /// A mail could not be read and was set aside with its reason.
    MessagePutAside,
    /// The server took responsibility for a recipient's copy.
    MessageSent,
    /// A recipient's copy waits for its next try.
    MessageDeferred,
    /// A recipient's copy was refused for good.
    MessageFailed,
    /// A recipient's copy was still refused when its time was over.
    MessageExpired,
    /// Nobody knows whether the server took the copy; evidence or a person decides.
    MessageInDoubt,
    /// A lane of an account changed its state.
    AccountState,
    /// Somebody signed a cloud provider in.
    GrantSignedIn,
    /// The platform refuses a grant: a person has to sign in again.
    GrantNeedsSignIn,
    /// A client secret or certificate comes near its end, or has ended.
    SecretExpires,
    /// A sign-in that nothing renews comes near the platform's idle limit.
    SignInIdle,
    /// A mailbox has not been in contact with its incoming server for too long.
    MailboxStale,
    /// It is in contact again.
    MailboxRecovered,
    /// An account's outgoing server has not taken a login for too long.
    SendingStale,
    /// It takes logins again.
    SendingRecovered,
    /// Somebody signed in who was not expected: an administrator has to confirm or discard it.
    GrantHeld,
    /// An audit found mail that was missing, and brought it in.
    FolderRepaired,
    /// A folder's message numbers were voided; what was found is held until an administrator agrees.
    FolderHeld,
}

impl EventKind {
    const ALL: [Self; 19] = [
        Self::MessageReceived,
        Self::MessagePutAside,
        Self::MessageSent,
        Self::MessageDeferred,
        Self::MessageFailed,
        Self::MessageExpired,
        Self::MessageInDoubt,
        Self::AccountState,
        Self::GrantSignedIn,
        Self::GrantNeedsSignIn,
        Self::SecretExpires,
        Self::SignInIdle,
        Self::MailboxStale,
        Self::MailboxRecovered,
        Self::SendingStale,
        Self::SendingRecovered,
        Self::GrantHeld,
        Self::FolderRepaired,
        Self::FolderHeld,
    ];

    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MessageReceived => "message.received",
            Self::MessagePutAside => "message.putAside",
            Self::MessageSent => "message.sent",
            Self::MessageDeferred => "message.deferred",
            Self::MessageFailed => "message.failed",
            Self::MessageExpired => "message.expired",
            Self::MessageInDoubt => "message.inDoubt",
            Self::AccountState => "account.state",
            Self::GrantSignedIn => "grant.signedIn",
            Self::GrantNeedsSignIn => "grant.needsSignIn",
            Self::SecretExpires => "provider.secretExpires",
            Self::SignInIdle => "grant.idle",
            Self::MailboxStale => "mailbox.stale",
            Self::MailboxRecovered => "mailbox.recovered",
            Self::SendingStale => "sending.stale",
            Self::SendingRecovered => "sending.recovered",
            Self::GrantHeld => "grant.held",
            Self::FolderRepaired => "folder.repaired",
            Self::FolderHeld => "folder.held",
        }
    }

    /// From the stored word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// An event on its way into the store, written in the commit of its fact.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// What happened.
    pub kind: EventKind,
    /// To which account, if to one.
    pub account: Option<AccountId>,
    /// To which provider, if to one.
    pub provider: Option<CloudProviderId>,
    /// At most one event ever has this key: what makes an event impossible to announce twice.
    pub once: String,
    /// Facts for readers; no secrets, no bodies.
    pub payload: Value,
}

/// A numbered event, as the feed shows it.
#[derive(Clone, Debug)]
pub struct RecordedEvent {
    /// Its number: only grows, without gaps that could be filled later.
    pub number: i64,
    /// What happened.
    pub kind: EventKind,
    /// To which account, if to one.
    pub account: Option<AccountId>,
    /// To which provider, if to one.
    pub provider: Option<CloudProviderId>,
    /// Facts for readers.
    pub payload: Value,
    /// When the fact was committed.
    pub created_at: Timestamp,
}
