//! What ingestion takes, and what it came to.

use super::audit::AuditBatch;
use crate::model::{Cursor, FolderId, ListId, ParsedMail, RawMail, Timestamp, Uid};

/// A fetched message.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// Where it stands in the folder.
    pub uid: Uid,
    /// The server's date of arrival.
    pub internal_date: Timestamp,
    /// Octets as counted.
    pub size: u64,
    /// Of the exact bytes.
    pub sha256: [u8; 32],
    /// The exact bytes; an object is durable before the batch is handed over.
    pub raw: RawMail,
    /// What was read from it, or why it could not be read (then it is stored all the same, I5).
    pub parsed: Result<ParsedMail, String>,
}

/// Why a UID was put aside instead of stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsideReason {
    /// Listed, then gone.
    Vanished,
    /// The server gives no body.
    NoBody,
    /// Over the size limit.
    Oversize,
    /// Not to be read at all.
    Unreadable,
}

impl AsideReason {
    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Vanished => "vanished",
            Self::NoBody => "no_body",
            Self::Oversize => "oversize",
            Self::Unreadable => "unreadable",
        }
    }
}

/// A UID that is put aside (I5).
#[derive(Clone, Debug)]
pub struct Aside {
    /// Where it stands in the folder.
    pub uid: Uid,
    /// Why.
    pub reason: AsideReason,
    /// Why, in words.
    pub detail: String,
    /// What there is of it.
    pub raw: Option<RawMail>,
}

/// What became of one UID.
#[derive(Clone, Debug)]
pub enum IngestItem {
    /// It is stored.
    Message(Box<NewMessage>),
    /// It is put aside.
    Aside(Aside),
}

/// A run of decided UIDs of one folder.
#[derive(Clone, Debug)]
pub struct IngestBatch {
    /// The folder.
    pub folder: FolderId,
    /// As read; the commit is refused (`Conflict`) if the row moved.
    pub expect: Cursor,
    /// Where the cursor stands after the commit.
    pub next: u64,
    /// Ascending UIDs in `expect.next..next`.
    pub items: Vec<IngestItem>,
    /// Where senders are saved.
    pub list: ListId,
    /// Found by an audit: UIDs below the cursor, which does not move (`next` is `expect.next`).
    pub audit: Option<AuditBatch>,
}

/// What a batch came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ingested {
    /// Messages that were not known.
    pub new_messages: u32,
    /// Messages that were known and appeared again.
    pub known_messages: u32,
    /// UIDs put aside.
    pub put_aside: u32,
}
