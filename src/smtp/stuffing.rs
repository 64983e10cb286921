//! Dot-stuffing (RFC 5321 §4.5.2) over a whole body, whatever pieces it comes in.

/// The frozen bytes hold a CR or LF that is not part of a CRLF, or do not end in CRLF. Some servers
/// would take such a line end as one, and text behind it as commands ("SMTP smuggling").
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no clean line end at octet {at}")]
pub struct BareLineEnd {
    /// Counted from 0.
    pub at: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    LineStart,
    MiddleOfLine,
    AfterCr,
}

/// The encoder of one body.
#[derive(Debug, Default)]
pub(super) struct Stuffer {
    state: State,
    at: u64,
}

impl Stuffer {
    /// Appends `piece`, stuffed, to `out`. After an error the body must not be finished.
    pub(super) fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), BareLineEnd> {
        for &byte in piece {
            self.state = match (self.state, byte) {
                (State::AfterCr, b'\n') => State::LineStart,
                (State::AfterCr, _) | (_, b'\n') => return Err(BareLineEnd { at: self.at }),
                (_, b'\r') => State::AfterCr,
                (State::LineStart, b'.') => {
                    out.push(b'.');
                    State::MiddleOfLine
                }
                (State::LineStart | State::MiddleOfLine, _) => State::MiddleOfLine,
            };
            out.push(byte);
            self.at = self.at.saturating_add(1);
        }
        Ok(())
    }

    /// The body may be finished here: it ends with CRLF, or is empty.
    pub(super) fn finish(&self) -> Result<(), BareLineEnd> {
        match self.state {
            State::LineStart => Ok(()),
            State::MiddleOfLine | State::AfterCr => Err(BareLineEnd { at: self.at }),
        }
    }
}

/// Whether a body can be sent exactly as it is: clean CRLF lines, the last one ended.
///
/// # Errors
/// Where the first bad octet is.
pub fn check_line_ends(body: &[u8]) -> Result<(), BareLineEnd> {
    let mut stuffer = Stuffer::default();
    let mut out = Vec::new();
    for piece in body.chunks(16 * 1024) {
        out.clear();
        stuffer.push(piece, &mut out)?;
    }
    stuffer.finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stuff(pieces: &[&[u8]]) -> Result<Vec<u8>, BareLineEnd> {
        let mut stuffer = Stuffer::default();
        let mut out = Vec::new();
        for piece in pieces {
            stuffer.push(piece, &mut out)?;
        }
        stuffer.finish()?;
        Ok(out)
    }

    /// What a receiver makes of it (RFC 5321 §4.5.2), with the terminator appended by the sender.
    fn receive(stuffed: &[u8]) -> Vec<u8> {
        let wire = [stuffed, b".\r\n"].concat();
        let mut body = Vec::new();
        let mut rest = wire.as_slice();
        loop {
            let end = rest.windows(2).position(|w| w == b"\r\n").unwrap() + 2;
            let (line, after) = rest.split_at(end);
            if line == b".\r\n" {
                assert!(after.is_empty(), "the dot came too early");
                return body;
            }
            body.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
            rest = after;
        }
    }

    #[test]
    fn row_44_lines_of_dots_are_stuffed() {
        for (body, stuffed) in [
            ("", ""),
            (".\r\n", "..\r\n"),
            ("..\r\n", "...\r\n"),
            ("a.\r\n.b\r\n", "a.\r\n..b\r\n"),
            (".\r\nMAIL FROM:<x@y>\r\n", "..\r\nMAIL FROM:<x@y>\r\n"),
            ("\r\n\r\n.\r\n", "\r\n\r\n..\r\n"),
        ] {
            assert_eq!(stuff(&[body.as_bytes()]).unwrap(), stuffed.as_bytes());
            assert_eq!(receive(stuffed.as_bytes()), body.as_bytes());
        }
    }

    #[test]
    fn row_44_a_bare_cr_or_lf_is_an_error_at_every_piece_border() {
        for (body, at) in [
            ("\n.\n", 0),
            ("\r.\r", 1),
            ("a\n.\r\n", 1),
            ("a\r\n.\n", 4),
            ("a\r\n.\rb\r\n", 5),
            ("a\r\n.\r\r\n", 5),
            ("a", 1),
            ("a\r", 2),
        ] {
            for border in 0..=body.len() {
                let (left, right) = body.as_bytes().split_at(border);
                assert_eq!(stuff(&[left, right]), Err(BareLineEnd { at }), "{body:?}");
            }
            assert_eq!(check_line_ends(body.as_bytes()), Err(BareLineEnd { at }));
        }
    }

    proptest! {
        #[test]
        fn what_arrives_is_what_was_frozen_wherever_the_pieces_end(
            parts in prop::collection::vec(
                prop::sample::select(vec![".", "..", "\r\n", "\r\n.", "\r\n.\r\n", "x", "MAIL FROM:<a@b>", "\u{e4}"]),
                0..12,
            ),
        ) {
            let body = format!("{}\r\n", parts.concat());
            let whole = stuff(&[body.as_bytes()]).unwrap();
            prop_assert_eq!(receive(&whole), body.as_bytes());
            for border in 0..=body.len() {
                let (left, right) = body.as_bytes().split_at(border);
                prop_assert_eq!(&stuff(&[left, right]).unwrap(), &whole);
            }
            let bytes: Vec<&[u8]> = body.as_bytes().chunks(1).collect();
            prop_assert_eq!(stuff(&bytes).unwrap(), whole);
        }

        #[test]
        fn no_bytes_at_all_can_end_the_body_early(body in prop::collection::vec(
            prop::sample::select(vec![b'.', b'\r', b'\n', b'a', 0u8, 0xffu8]), 0..24)) {
            if let Ok(stuffed) = stuff(&[&body]) {
                prop_assert_eq!(receive(&stuffed), body);
            }
        }
    }
}
