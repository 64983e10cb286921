//! The shape of one line of an IMAP server. Pure.

/// What a line that begins a response is to the guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// `+ …`, `* OK …`, `A1 NO …`: text to its end, never a literal.
    Status,
    /// `* 12 FETCH (…`, `* LIST …`: structured, may hold literals.
    Data,
    /// A kind that the parser does not know, or no IMAP at all.
    Odd,
}

/// Sorts a line by its first words.
pub(super) fn kind(line: &[u8]) -> Line {
    if line.starts_with(b"+") {
        return Line::Status;
    }
    let mut words = line
        .split(|octet| matches!(octet, b' ' | b'\r' | b'\n'))
        .map(<[u8]>::to_ascii_uppercase);
    let (first, second, third) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let is_number =
        |word: &[u8]| !word.is_empty() && word.len() <= 10 && word.iter().all(u8::is_ascii_digit);
    let status = |word: &[u8]| matches!(word, b"OK" | b"NO" | b"BAD");
    if first == b"*" {
        return match second.as_slice() {
            b"BYE" | b"PREAUTH" => Line::Status,
            word if status(word) => Line::Status,
            b"CAPABILITY" | b"FLAGS" | b"SEARCH" | b"LIST" => Line::Data,
            word if is_number(word) => match third.as_slice() {
                b"EXISTS" | b"RECENT" | b"EXPUNGE" | b"FETCH" => Line::Data,
                _ => Line::Odd,
            },
            _ => Line::Odd,
        };
    }
    let tag = !first.is_empty() && first.len() <= 16 && first.iter().all(u8::is_ascii_alphanumeric);
    if tag && status(&second) {
        Line::Status
    } else {
        Line::Odd
    }
}

/// The size of the literal that a line announces at its end, if it does.
///
/// # Errors
/// The text in braces, shortened, where it is no number.
pub(super) fn literal(line: &[u8]) -> Result<Option<u64>, String> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let Some(inner) = line.strip_suffix(b"}") else {
        return Ok(None);
    };
    let Some(open) = inner.iter().rposition(|octet| *octet == b'{') else {
        return Ok(None);
    };
    let size = inner.get(open + 1..).unwrap_or_default();
    if size.is_empty() || !size.iter().all(u8::is_ascii_digit) {
        let shown: String = String::from_utf8_lossy(size).chars().take(20).collect();
        return Err(format!("{{{shown}}}"));
    }
    // More digits than a number holds are a size beyond every limit.
    let text = std::str::from_utf8(size).unwrap_or_default();
    Ok(Some(text.parse().unwrap_or(u64::MAX)))
}

/// Mends what would make the parser fail or panic, in a line that is handed to it.
pub(super) fn mend(kind: Line, line: &mut Vec<u8>) {
    if line.ends_with(b"\n") && !line.ends_with(b"\r\n") {
        line.pop();
        line.extend_from_slice(b"\r\n");
    }
    match kind {
        // `* OK [ALERT]é`: the parser cuts the first octet of the text behind the code unseen.
        Line::Status => {
            if let Some(code) = code_end(line)
                && !matches!(line.get(code), Some(b' ' | b'\r') | None)
            {
                line.insert(code, b' ');
            }
        }
        // `INTERNALDATE NIL`: the parser unwraps it.
        Line::Data => {
            const NONE: &[u8] = b"INTERNALDATE NIL";
            while let Some(at) = line
                .windows(NONE.len())
                .position(|window| window.eq_ignore_ascii_case(NONE))
            {
                line.splice(at..at + NONE.len(), *b"INTERNALDATE \"\"");
            }
        }
        Line::Odd => {}
    }
}

/// Where the response code of a status line ends: the place behind its `]`.
fn code_end(line: &[u8]) -> Option<usize> {
    let open = line.iter().position(|octet| *octet == b'[')?;
    let before = line.get(..open)?;
    // Only at the beginning of the text: at most two words stand before it.
    if before.iter().filter(|octet| **octet == b' ').count() > 2 || !before.ends_with(b" ") {
        return None;
    }
    let close = line.get(open..)?.iter().position(|octet| *octet == b']')?;
    Some(open + close + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_sorted_by_their_first_words() {
        use Line::{Data, Odd, Status};
        for (line, expected) in [
            ("* OK hi", Status),
            ("* bye", Status),
            ("* PREAUTH x", Status),
            ("+ idling", Status),
            ("+", Status),
            ("A12 NO [X] y", Status),
            ("A1 ok", Status),
            ("* 3 EXISTS", Data),
            ("* 12 FETCH (UID 3)", Data),
            ("* CAPABILITY IMAP4rev1", Data),
            ("* FLAGS ()", Data),
            ("* NAMESPACE NIL NIL NIL", Odd),
            ("* ESEARCH (TAG \"x\")", Odd),
            ("* 3 STORED", Odd),
            ("* 99999999999 EXISTS", Odd),
            ("", Odd),
            ("Server Unavailable. 15", Odd),
            ("HTTP/1.1 400 Bad Request", Odd),
            ("*", Odd),
            ("A1 FETCH", Odd),
        ] {
            assert_eq!(kind(format!("{line}\r\n").as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn lines_that_kill_the_parser_are_mended() {
        let cases = [
            (Line::Status, "* OK [ALERT]é\r\n", "* OK [ALERT] é\r\n"),
            (Line::Status, "* OK [ALERT] e\r\n", "* OK [ALERT] e\r\n"),
            (Line::Status, "A1 OK [X]\r\n", "A1 OK [X]\r\n"),
            (Line::Status, "* OK fine\n", "* OK fine\r\n"),
            (Line::Status, "* OK say [a]b\r\n", "* OK say [a]b\r\n"),
            (
                Line::Data,
                "* 1 FETCH (internaldate nil UID 3)\r\n",
                "* 1 FETCH (INTERNALDATE \"\" UID 3)\r\n",
            ),
        ];
        for (kind, line, expected) in cases {
            let mut mended = line.as_bytes().to_vec();
            mend(kind, &mut mended);
            assert_eq!(String::from_utf8(mended).unwrap(), expected);
        }
    }
}
