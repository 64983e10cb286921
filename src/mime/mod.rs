//! Read mail that strangers wrote, and write mail of our own. Pure.
//!
//! # Promises
//! - Reading never fails on what a mail holds where any of it can be shown, never panics, and is
//!   bounded: parts, depth, header block, addresses, text (I10). What was cut is marked.
//! - What is read is safe to log, to store and to show as text: no control or direction-changing
//!   characters in header values and file names, no paths, no NUL.
//!
//! # When things fail
//! - A mail whose header block is unreadable is a [`ParseError`]; its raw bytes are kept all the same.
//!
//! # Does not know
//! - Where mail comes from and goes to, the store, HTML cleaning.
//!
//! # Standards
//! RFC 5322 (messages), RFC 2045 and RFC 2047 (MIME), RFC 2183 (dispositions), RFC 2919 (List-Id), RFC 3464 and RFC 6533
//! (delivery status), RFC 3834 (automatic answers), RFC 5965 (complaints), RFC 8098 (dispositions of readers).

mod compose;
mod compose_check;
mod compose_ready;
mod headers;
mod meaning;
mod parse;
mod parse_address;
mod parse_part;
mod parse_text;
mod report;
mod report_text;

pub use compose::{Draft, DraftAttachment, Frozen, Person, compose, new_message_id};
pub use compose_check::ComposeError;
pub use compose_ready::check_ready_made;
pub use meaning::{is_nobody, is_server};
pub use parse::{ParseError, parse};
