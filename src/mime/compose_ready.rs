//! MIME that a caller made: checked and tidied as little as possible.

use bytes::Bytes;
use mailparse::{MailAddr, MailHeaderMap};

use super::{
    Frozen,
    compose_check::{self as check, ComposeError, MOST_OCTETS},
};
use crate::model::{EmailAddress, Timestamp};

/// Left out wherever they come from: they are the envelope's or a server's, or ours.
const DROPPED: [&str; 4] = ["bcc", "resent-bcc", "return-path", "received"];
/// At most one of each (RFC 5322 §3.6), or receivers disagree on which one counts.
const ONCE: [&str; 10] = [
    "from",
    "sender",
    "date",
    "message-id",
    "subject",
    "to",
    "cc",
    "reply-to",
    "in-reply-to",
    "references",
];
/// Octets of the header block.
const MOST_HEADER_OCTETS: usize = 256 * 1024;

/// Takes a whole message as its caller made it: line ends become CRLF, Bcc and the headers that only
/// servers write go, a missing Message-ID or Date is added. All else stays as it is.
///
/// `message_id` is without angle brackets and used only where there is none.
///
/// # Errors
/// The header that is missing, doubled or not usable, by name; NUL; a line above 998 octets; too large.
pub fn check_ready_made(
    raw: &[u8],
    message_id: &str,
    date: Timestamp,
) -> Result<Frozen, ComposeError> {
    if raw.len() > MOST_OCTETS {
        return Err(ComposeError::TooLarge);
    }
    if raw.contains(&0) {
        return Err(ComposeError::field("raw", "holds a NUL"));
    }
    let clean = crlf(raw);
    let (block, body) = split(&clean);
    if block.len() > MOST_HEADER_OCTETS {
        return Err(ComposeError::field("raw", "has too many headers"));
    }
    let mut kept: Vec<u8> = Vec::with_capacity(clean.len() + 200);
    let mut seen: Vec<String> = Vec::new();
    for (name, field) in fields(block)? {
        let dropped = DROPPED.contains(&name.as_str()) || name.starts_with("x-me-");
        if dropped {
            continue;
        }
        if ONCE.contains(&name.as_str()) && seen.contains(&name) {
            return Err(ComposeError::field(name, "is there more than once"));
        }
        seen.push(name);
        kept.extend_from_slice(field);
    }
    if !seen.iter().any(|name| name == "message-id") {
        kept.extend_from_slice(format!("Message-ID: <{message_id}>\r\n").as_bytes());
    }
    if !seen.iter().any(|name| name == "date") {
        let date = chrono::DateTime::from_timestamp_millis(date.millis()).unwrap_or_default();
        kept.extend_from_slice(format!("Date: {}\r\n", date.to_rfc2822()).as_bytes());
    }
    let read = facts(&kept)?;
    kept.extend_from_slice(b"\r\n");
    kept.extend_from_slice(body);
    check::lines(&kept)?;
    Ok(Frozen {
        raw: kept.into(),
        ..read
    })
}

/// Lone CR and lone LF become CRLF; the last line is ended.
fn crlf(raw: &[u8]) -> Vec<u8> {
    let mut clean = Vec::with_capacity(raw.len() + raw.len() / 32 + 2);
    let mut bytes = raw.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\r' => {
                bytes.next_if_eq(&b'\n');
                clean.extend_from_slice(b"\r\n");
            }
            b'\n' => clean.extend_from_slice(b"\r\n"),
            other => clean.push(other),
        }
    }
    if !clean.is_empty() && !clean.ends_with(b"\n") {
        clean.extend_from_slice(b"\r\n");
    }
    clean
}

/// The header block with its last CRLF, and the body behind the empty line.
fn split(clean: &[u8]) -> (&[u8], &[u8]) {
    if let Some(body) = clean.strip_prefix(b"\r\n") {
        return (&[], body);
    }
    let empty_line = clean.windows(4).position(|window| window == b"\r\n\r\n");
    match empty_line.and_then(|at| clean.split_at_checked(at + 2)) {
        Some((block, rest)) => (block, rest.get(2..).unwrap_or_default()),
        None => (clean, &[]),
    }
}

/// Each header with its lower-case name and all its lines.
fn fields(block: &[u8]) -> Result<Vec<(String, &[u8])>, ComposeError> {
    let mut found: Vec<(String, &[u8])> = Vec::new();
    let mut rest = block;
    while !rest.is_empty() {
        let mut end = 0;
        loop {
            let line = rest.get(end..).unwrap_or_default();
            end += line
                .windows(2)
                .position(|window| window == b"\r\n")
                .map_or(line.len(), |at| at + 2);
            if !matches!(rest.get(end), Some(b' ' | b'\t')) {
                break;
            }
        }
        let (field, behind) = rest.split_at_checked(end).unwrap_or((rest, &[]));
        let name = field.split(|&b| b == b':').next().unwrap_or_default();
        let is_name = !name.is_empty() && name.len() < field.len();
        if !is_name || !name.iter().all(u8::is_ascii_graphic) {
            return Err(ComposeError::field(
                "raw",
                "has a line among its headers that is no header",
            ));
        }
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        found.push((name, field));
        rest = behind;
    }
    Ok(found)
}

/// Author, id and subject, read as a receiver reads them.
fn facts(block: &[u8]) -> Result<Frozen, ComposeError> {
    let unreadable = |field: &str| ComposeError::field(field, "is missing or not readable");
    let (headers, _) = mailparse::parse_headers(block).map_err(|_| unreadable("raw"))?;
    let from = headers
        .get_first_header("From")
        .and_then(|header| mailparse::addrparse_header(header).ok())
        .ok_or_else(|| unreadable("from"))?;
    // Several authors need a Sender, and hide who is really writing.
    let [MailAddr::Single(author)] = from.as_slice() else {
        return Err(ComposeError::field("from", "is not exactly one address"));
    };
    let author = EmailAddress::parse(&author.addr).map_err(|_| unreadable("from"))?;
    let id = headers.get_first_value("Message-ID").unwrap_or_default();
    let id = id
        .trim()
        .strip_prefix('<')
        .and_then(|id| id.strip_suffix('>'))
        .filter(|id| super::compose::is_id(id))
        .ok_or_else(|| ComposeError::field("message-id", "is not a message id"))?;
    let subject = headers.get_first_value("Subject").unwrap_or_default();
    let subject = subject
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c });
    Ok(Frozen {
        message_id: id.to_owned(),
        from: author,
        subject: subject.take(998).collect(),
        raw: Bytes::new(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ready(raw: &str) -> Result<Frozen, ComposeError> {
        check_ready_made(raw.as_bytes(), "new@x.test", Timestamp::from_millis(0))
    }

    #[test]
    fn what_is_fine_stays_as_it_is() {
        let raw = "From: A <a@x.test>\r\nMessage-ID: <1@x.test>\r\nDate: Thu, 1 Jan 1970 00:00:00 +0000\r\nSubject: =?utf-8?q?=C3=A4?=\r\n\tx\r\n\r\n.\r\nbody\r\n";
        let frozen = ready(raw).unwrap();
        assert_eq!(&frozen.raw[..], raw.as_bytes());
        assert_eq!(frozen.message_id, "1@x.test");
        assert_eq!(frozen.from.as_str(), "a@x.test");
        assert_eq!(frozen.subject, "\u{e4} x");
    }

    #[test]
    fn lone_line_ends_are_made_whole_and_missing_headers_are_added() {
        let frozen = ready(
            "From: a@x.test\nBcc: secret@x.test,\n more@x.test\rX-ME-Attempt: 1\n\n.\nb\r.\r\r",
        )
        .unwrap();
        assert_eq!(
            String::from_utf8(frozen.raw.to_vec()).unwrap(),
            "From: a@x.test\r\nMessage-ID: <new@x.test>\r\nDate: Thu, 1 Jan 1970 00:00:00 +0000\r\n\r\n.\r\nb\r\n.\r\n\r\n"
        );
    }

    #[test]
    fn row_47_and_50_what_hides_the_author_or_the_recipients_is_refused_or_dropped() {
        for (raw, field) in [
            ("Subject: x\n\nb", "from"),
            ("From: a@x.test, b@x.test\n\nb", "from"),
            ("From: g: a@x.test;\n\nb", "from"),
            ("From: a@x.test\nFROM: b@x.test\n\nb", "from"),
            ("From : a@x.test\n\nb", "raw"),
            ("From: a@x.test\nno header\n\nb", "raw"),
            (" x\nFrom: a@x.test\n\nb", "raw"),
            ("From: a@x.test\nMessage-ID: <a@b> <c@d>\n\nb", "message-id"),
            ("From: a@x.test\nMessage-ID: 1\n\nb", "message-id"),
            ("From: a@x.test\n\nb\0", "raw"),
            ("", "from"),
        ] {
            match ready(raw) {
                Err(ComposeError::Field { field: named, .. }) => {
                    assert_eq!(named, field, "{raw:?}")
                }
                other => panic!("{raw:?} gave {other:?}"),
            }
        }
        let long = format!("From: a@x.test\n\n{}", "x".repeat(999));
        assert!(matches!(ready(&long), Err(ComposeError::Unsafe { .. })));
        let large = "x".repeat(MOST_OCTETS + 1);
        assert_eq!(ready(&large), Err(ComposeError::TooLarge));
    }

    proptest! {
        #[test]
        fn whatever_passes_has_clean_lines_one_author_and_no_bcc(parts in prop::collection::vec(
            prop::sample::select(vec!["From: a@x.test", "Bcc: s@x.test", "bcc:s@x.test", "\r", "\n", "\r\n", " ", "\t", "X: y", ":", ".", "Message-ID: <i@x>", "\u{e4}"]),
            0..14,
        )) {
            if let Ok(frozen) = ready(&parts.concat()) {
                prop_assert!(check::lines(&frozen.raw).is_ok());
                let (headers, _) = mailparse::parse_headers(&frozen.raw).unwrap();
                let named = |name: &str| headers.iter().filter(|h| h.get_key().eq_ignore_ascii_case(name)).count();
                prop_assert_eq!(named("From"), 1);
                prop_assert_eq!(named("Bcc"), 0);
                prop_assert_eq!(named("Message-ID"), 1);
                prop_assert_eq!(named("Date"), 1);
            }
        }
    }
}
