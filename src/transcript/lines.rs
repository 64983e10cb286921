//! Octets into lines, of which only the beginning is kept and the end looked at.

/// Octets of a line that are held; only a part of them is ever kept.
const HEAD: usize = 4096;
/// Octets of a line's end that are held, for the size of a literal.
const TAIL: usize = 32;

/// A whole line.
pub(super) struct Line {
    /// Its beginning, without its end of line.
    pub(super) head: Vec<u8>,
    /// Its end, where the beginning is not all of it.
    tail: Vec<u8>,
    /// How long it was, without its end of line.
    pub(super) octets: u64,
}

/// What a line says about a literal behind it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Literal {
    None,
    Octets(u64),
    /// In braces stands no number: nobody knows where the next line begins.
    Unclear,
}

impl Line {
    /// How long the line is where `head` is not all of it.
    pub(super) fn cut(&self) -> Option<u64> {
        (!self.tail.is_empty()).then_some(self.octets)
    }

    /// The literal announced at the end (RFC 3501 §4.3, RFC 9051 §4.3: `{7}`, `{7+}`).
    pub(super) fn literal(&self) -> Literal {
        let end = if self.tail.is_empty() {
            &self.head
        } else {
            &self.tail
        };
        let Some(inner) = end.strip_suffix(b"}") else {
            return Literal::None;
        };
        let Some(open) = inner.iter().rposition(|octet| *octet == b'{') else {
            // A long line's end may begin inside the braces.
            return if self.tail.is_empty() {
                Literal::None
            } else {
                Literal::Unclear
            };
        };
        let size = inner.get(open + 1..).unwrap_or_default();
        let size = size.strip_suffix(b"+").unwrap_or(size);
        if size.is_empty() || !size.iter().all(u8::is_ascii_digit) {
            return Literal::Unclear;
        }
        let text = std::str::from_utf8(size).unwrap_or_default();
        Literal::Octets(text.parse().unwrap_or(u64::MAX))
    }
}

/// Collects one line at a time. Between lines it holds no memory.
#[derive(Default)]
pub(super) struct Lines {
    head: Vec<u8>,
    tail: Vec<u8>,
    octets: u64,
}

impl Lines {
    /// Takes octets up to the end of a line; says how many, and gives the line if it is whole.
    pub(super) fn take(&mut self, octets: &[u8]) -> (usize, Option<Line>) {
        let end = octets.iter().position(|octet| *octet == b'\n');
        let taken = end.map_or(octets.len(), |end| end + 1);
        let part = octets.get(..end.unwrap_or(taken)).unwrap_or_default();
        let room = HEAD.saturating_sub(self.head.len());
        let (kept, over) = part.split_at_checked(room).unwrap_or((part, &[]));
        self.head.extend_from_slice(kept);
        if !over.is_empty() {
            if self.tail.is_empty() {
                let from = self.head.len().saturating_sub(TAIL);
                self.tail
                    .extend_from_slice(self.head.get(from..).unwrap_or_default());
            }
            let from = over.len().saturating_sub(TAIL);
            self.tail
                .extend_from_slice(over.get(from..).unwrap_or_default());
            let extra = self.tail.len().saturating_sub(TAIL);
            self.tail.drain(..extra);
        }
        self.octets = self.octets.saturating_add(part.len() as u64);
        if end.is_none() {
            return (taken, None);
        }
        let mut line = Line {
            head: std::mem::take(&mut self.head),
            tail: std::mem::take(&mut self.tail),
            octets: std::mem::take(&mut self.octets),
        };
        let held = if line.tail.is_empty() {
            &mut line.head
        } else {
            &mut line.tail
        };
        if held.last() == Some(&b'\r') {
            held.pop();
            line.octets -= 1;
            // The carriage return was all that did not fit.
            if line.octets <= line.head.len() as u64 {
                line.tail = Vec::new();
            }
        }
        (taken, Some(line))
    }

    /// Octets of a line that has not ended.
    pub(super) fn begun(&self) -> u64 {
        self.octets
    }
}
