//! What may go into a message of ours, and the last look at its bytes.

use crate::model::FailureClass;

/// Most recipients of one message, To, Cc and Bcc together.
pub(super) const MOST_RECIPIENTS: usize = 1_000;
/// Largest message, in octets as sent.
pub(super) const MOST_OCTETS: usize = 35 * 1024 * 1024;
/// Longest line without its CRLF (RFC 5322 §2.1.1).
pub(super) const LONGEST_LINE: usize = 998;

/// A message that cannot be composed or taken; nothing was queued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ComposeError {
    /// A field of the request, or a header of the caller's MIME, is not usable.
    #[error("{field} {problem}")]
    Field {
        /// As in the API: `subject`, `to[3].name`, `attachments[0].fileName`; or a header's name.
        field: String,
        /// What is wrong with it; never the value.
        problem: &'static str,
    },
    /// Nobody to send it to.
    #[error("there is no recipient")]
    NoRecipient,
    /// More than 1,000.
    #[error("{given} recipients are more than {MOST_RECIPIENTS}")]
    TooManyRecipients {
        /// How many there were.
        given: usize,
    },
    /// More than 35 MiB.
    #[error("the message is larger than {MOST_OCTETS} octets")]
    TooLarge,
    /// The message would hold something no server has to take: a bug, caught before it is queued.
    #[error("the message cannot be written safely (octet {at})")]
    Unsafe {
        /// Where, counted from 0.
        at: usize,
    },
}

impl ComposeError {
    /// Always this one message's own trouble.
    pub fn class(&self) -> FailureClass {
        FailureClass::GiveUp
    }

    pub(super) fn field(field: impl Into<String>, problem: &'static str) -> Self {
        Self::Field {
            field: field.into(),
            problem,
        }
    }
}

/// A header value: no control characters (CR, LF, NUL, U+0085 among them), bounded.
pub(super) fn header_text(
    field: impl FnOnce() -> String,
    text: &str,
    most: usize,
) -> Result<(), ComposeError> {
    if text.chars().any(|c| c.is_control() && c != '\t') {
        return Err(ComposeError::field(field(), "holds control characters"));
    }
    if text.chars().count() > most {
        return Err(ComposeError::field(field(), "is too long"));
    }
    Ok(())
}

/// A body text: anything but NUL (RFC 5322 §2.3), with CRLF line ends.
pub(super) fn body_text(field: &str, text: &str) -> Result<String, ComposeError> {
    if text.contains('\0') {
        return Err(ComposeError::field(field, "holds a NUL"));
    }
    if text.len() > MOST_OCTETS {
        return Err(ComposeError::TooLarge);
    }
    Ok(text
        .replace("\r\n", "\n")
        .replace('\r', "\n")
        .replace('\n', "\r\n"))
}

/// The last look: CRLF line ends only, no NUL, no line above 998 octets, the last one ended, not too large.
///
/// # Errors
/// The first octet that breaks a rule.
pub(super) fn lines(raw: &[u8]) -> Result<(), ComposeError> {
    if raw.len() > MOST_OCTETS {
        return Err(ComposeError::TooLarge);
    }
    let mut before = 0u8;
    let mut line_start = 0usize;
    for (at, &byte) in raw.iter().enumerate() {
        let bare = (byte == b'\n') != (before == b'\r') || byte == 0;
        if bare || at - line_start > LONGEST_LINE + 1 {
            return Err(ComposeError::Unsafe { at });
        }
        if byte == b'\n' {
            line_start = at + 1;
        }
        before = byte;
    }
    if line_start == raw.len() {
        Ok(())
    } else {
        Err(ComposeError::Unsafe { at: raw.len() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_crlf_lines_of_998_octets_pass_the_last_look() {
        let line = |n: usize| [vec![b'x'; n], b"\r\n".to_vec()].concat();
        assert_eq!(lines(b""), Ok(()));
        assert_eq!(lines(b"a\r\n\r\n"), Ok(()));
        assert_eq!(lines(&line(998)), Ok(()));
        assert_eq!(lines(&line(999)), Err(ComposeError::Unsafe { at: 1000 }));
        assert_eq!(
            lines(&[line(998), line(999)].concat()),
            Err(ComposeError::Unsafe { at: 2000 })
        );
        for (raw, at) in [
            (&b"a"[..], 1),
            (b"a\r", 2),
            (b"a\n", 1),
            (b"a\rb\r\n", 2),
            (b"a\r\r\n", 2),
            (b"a\0\r\n", 1),
        ] {
            assert_eq!(lines(raw), Err(ComposeError::Unsafe { at }), "{raw:?}");
        }
    }
}
