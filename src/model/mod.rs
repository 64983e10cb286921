//! The words of the domain as types: ids, addresses, accounts, cursors, states, failure classes,
//! time and backoff. Pure: no I/O, no async, no clock of its own.
//!
//! # Promises
//! - What a type holds is valid: it is parsed once, at the edge, and never checked again.
//! - Secrets are [`secrecy`] types: they have no `Display`, and their `Debug` prints no content (I8).

mod account;
mod address;
mod audit;
mod backoff;
mod event;
mod fail_point;
mod failure;
mod folders;
mod hold;
mod id;
mod lease;
mod mail;
mod meaning;
mod outgoing;
mod provider;
mod proxy;
mod sign_in;
mod time;
mod trust;
mod uid;

pub use account::{
    Account, AccountKey, Authentication, Backfill, LaneName, NewAccount, Server, Service, TlsMode,
};
pub use address::{EmailAddress, InvalidAddress};
pub use audit::{Audit, AuditKind, is_suspicious};
pub use backoff::Backoff;
pub use event::{EventKind, NewEvent, RecordedEvent};
pub use fail_point::{FAIL_POINTS, fail_point};
pub use failure::{Action, FailureClass};
pub use folders::{FolderChoice, FolderKind, Folders};
pub use hold::HoldKind;
pub use id::{
    AccountId, CloudProviderId, ContactId, FolderId, Id, InteractionId, ListId, MessageId,
    OutboxId, RecipientId,
};
pub use lease::{Lease, NodeId};
pub use mail::{Attachment, Mailbox, ParsedMail, RawMail};
pub use meaning::{
    MailKind, Meaning, MeaningRules, Report, ReportAction, ReportedRecipient, is_answer_subject,
    plain_subject,
};
pub use outgoing::{RecipientKind, RecipientState};
pub use provider::{
    Access, ClientCertificate, Cloud, CloudProvider, CloudService, CredentialKind, Grant,
    GrantState, NewCloudProvider, NewTokens, TokenOwner,
};
pub use proxy::{InvalidProxy, Proxy, ProxyChoice, ProxyScheme};
pub use sign_in::{
    HELD_FOR, HeldSignIn, Person, SignInVerdict, differing, judge_sign_in, names_not_shown,
    same_name,
};
pub use time::{Clock, ClockStep, ClockWatch, SystemClock, Timestamp};
pub use trust::{Fingerprint, TlsVerify};
pub use uid::{Cursor, Generation, Uid, UidValidity};
