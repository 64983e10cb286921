//! Incoming mail: the exact bytes, and what was read from them.

use super::{Meaning, Timestamp};

/// Where the exact bytes of a mail are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RawMail {
    /// In the row, zstd-compressed (at most 64 KiB compressed).
    Row(Vec<u8>),
    /// In the object store, under this content address (lower-case hex SHA-256 of the bytes).
    Object(String),
}

/// A name and address as a header shows them; either may be empty, neither is trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Mailbox {
    /// Display name, decoded, without control characters.
    pub name: String,
    /// Address as written.
    pub address: String,
}

/// One attachment as listed; its bytes stay in the raw mail.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Attachment {
    /// Place in depth-first order of all parts, from 0: how to find it again in the raw mail.
    pub part: u32,
    /// File name made safe for display, at most 255 bytes.
    pub file_name: String,
    /// Media type, lower case.
    pub content_type: String,
    /// Content-ID without angle brackets.
    pub content_id: Option<String>,
    /// Shown inside the HTML body.
    pub inline: bool,
    /// Decoded size in octets.
    pub size: u64,
}

/// What was read from a mail. Everything in it came from a stranger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParsedMail {
    /// Message-ID without angle brackets, at most 998 octets.
    pub message_id: Option<String>,
    /// First id of In-Reply-To.
    pub in_reply_to: Option<String>,
    /// Ids of References, oldest first, at most 100.
    pub references: Vec<String>,
    /// Decoded subject without control characters.
    pub subject: String,
    /// From, first mailbox.
    pub from: Mailbox,
    /// Reply-To.
    pub reply_to: Vec<Mailbox>,
    /// To.
    pub to: Vec<Mailbox>,
    /// Cc.
    pub cc: Vec<Mailbox>,
    /// Date header, if readable.
    pub date: Option<Timestamp>,
    /// First text body, decoded.
    pub text: Option<String>,
    /// First HTML body, decoded, not cleaned.
    pub html: Option<String>,
    /// Attachments.
    pub attachments: Vec<Attachment>,
    /// Something was cut at a limit; the raw mail is complete.
    pub truncated: bool,
    /// Who or what wrote it, where that was not a person, and what else its headers say of its way; `None`:
    /// nothing. What is read back from the store has none.
    pub meaning: Option<Box<Meaning>>,
}
