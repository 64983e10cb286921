//! A server's reply, read line by line (RFC 5321 §4.2).

use std::fmt;

use crate::transcript::Secrets;

/// Octets of one reply line, CRLF included. RFC 5321 §4.5.3.1.5 says 512; some servers say more.
pub(super) const LINE_CAP: usize = 4 * 1024;
/// Octets of one reply. A little less than what lettre takes.
pub(super) const REPLY_CAP: usize = 96 * 1024;
/// Lines of one reply.
const LINES_CAP: usize = 500;
/// lettre refuses lines above 1000 octets; what it gets to see of a line is cut here.
const LETTRE_LINE: usize = 900;

/// A complete reply: the code and the server's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// 200..=559.
    pub code: u16,
    /// The enhanced status code (RFC 3463), where the reply begins with one that fits the code.
    pub enhanced: Option<String>,
    /// All lines joined by spaces, without the enhanced code, without control characters.
    pub text: String,
    pub(super) lines: Vec<String>,
}

impl Reply {
    /// Enhanced code and text, without the code.
    pub fn words(&self) -> String {
        match &self.enhanced {
            Some(enhanced) => format!("{enhanced} {}", self.text),
            None => self.text.clone(),
        }
    }

    /// 2yz.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.code)
    }

    /// 4yz: not now.
    pub fn is_transient(&self) -> bool {
        (400..500).contains(&self.code)
    }

    /// 5yz: not at all.
    pub fn is_permanent(&self) -> bool {
        self.code >= 500
    }

    /// A reply to test decisions with, from its text form (`550 5.1.1 no such user`).
    ///
    /// `None` where it is not one line of a well-formed reply.
    pub fn from_line(line: &str) -> Option<Self> {
        let mut parser = Parser::default();
        parser.line(line.as_bytes()).ok().flatten()
    }

    /// The same reply, its words without secrets.
    pub(super) fn masked(&self, secrets: &Secrets) -> Self {
        Self {
            code: self.code,
            enhanced: self.enhanced.clone(),
            text: secrets.masked(&self.text),
            lines: self.lines.iter().map(|line| secrets.masked(line)).collect(),
        }
    }

    /// As lettre may read it: the same lines, well-formed and bounded.
    pub(super) fn for_lettre(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let last = self.lines.len().saturating_sub(1);
        for (n, line) in self.lines.iter().enumerate() {
            let mark = if n == last { ' ' } else { '-' };
            let cut: String = line.chars().take(LETTRE_LINE / 4).collect();
            bytes.extend_from_slice(format!("{}{mark}{cut}\r\n", self.code).as_bytes());
        }
        bytes
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(enhanced) = &self.enhanced {
            write!(f, " {enhanced}")?;
        }
        if !self.text.is_empty() {
            write!(f, " {}", self.text)?;
        }
        Ok(())
    }
}

/// What the bytes of a server are, where they are no reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BadReply {
    /// Not of the form of a reply; the beginning of it, cleaned.
    Nonsense(String),
    /// A bound was passed.
    Limit(&'static str),
}

/// Puts replies together from lines.
#[derive(Debug, Default)]
pub(super) struct Parser {
    code: Option<u16>,
    lines: Vec<String>,
    octets: usize,
}

impl Parser {
    /// Takes one line without its CRLF; gives the reply when it was the last one.
    pub(super) fn line(&mut self, line: &[u8]) -> Result<Option<Reply>, BadReply> {
        self.octets = self.octets.saturating_add(line.len()).saturating_add(2);
        if self.octets > REPLY_CAP {
            return Err(BadReply::Limit("more than 96 KiB in one reply"));
        }
        if self.lines.len() >= LINES_CAP {
            return Err(BadReply::Limit("more than 500 lines in one reply"));
        }
        let nonsense = || BadReply::Nonsense(clean(line, 200));
        let (code, last, text) = split(line).ok_or_else(nonsense)?;
        if self.code.is_some_and(|first| first != code) {
            return Err(nonsense());
        }
        self.code = Some(code);
        self.lines.push(clean(text, usize::MAX));
        if !last {
            return Ok(None);
        }
        let lines = std::mem::take(&mut self.lines);
        *self = Self::default();
        Ok(Some(join(code, lines)))
    }

    /// Some lines of a reply are there, but not its end.
    pub(super) fn is_midway(&self) -> bool {
        self.code.is_some()
    }
}

/// Code, whether it is the last line, text. The code's grammar is that of RFC 5321 §4.2: `[2-5][0-5][0-9]`.
fn split(line: &[u8]) -> Option<(u16, bool, &[u8])> {
    let (code, rest) = line.split_at_checked(3)?;
    let [a @ b'2'..=b'5', b @ b'0'..=b'5', c @ b'0'..=b'9'] = *code else {
        return None;
    };
    let code = u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0');
    match rest.split_first() {
        // RFC 5321 §4.2: the text, and with it the space, may be missing.
        None => Some((code, true, rest)),
        Some((b' ', text)) => Some((code, true, text)),
        Some((b'-', text)) => Some((code, false, text)),
        Some(_) => None,
    }
}

fn join(code: u16, lines: Vec<String>) -> Reply {
    let enhanced = lines
        .first()
        .and_then(|line| line.split(' ').next())
        .filter(|word| is_enhanced(code, word))
        .map(ToOwned::to_owned);
    let mut text = String::new();
    for line in &lines {
        let bare = match &enhanced {
            Some(enhanced) => line.strip_prefix(enhanced.as_str()).unwrap_or(line),
            None => line,
        };
        let bare = bare.trim();
        if !text.is_empty() && !bare.is_empty() {
            text.push(' ');
        }
        text.push_str(bare);
    }
    Reply {
        code,
        enhanced,
        text,
        lines,
    }
}

/// RFC 2034 §4: class 2, 4 or 5, equal to the code's first digit; subject and detail of 1 to 3 digits.
fn is_enhanced(code: u16, word: &str) -> bool {
    let mut parts = word.split('.');
    let class_fits = parts
        .next()
        .is_some_and(|class| class == (code / 100).to_string() && class != "3");
    let numbers: Vec<&str> = parts.collect();
    class_fits
        && numbers.len() == 2
        && numbers
            .iter()
            .all(|n| (1..=3).contains(&n.len()) && n.bytes().all(|b| b.is_ascii_digit()))
}

/// Text of a stranger, made safe to show: valid UTF-8, no control characters, at most `most` characters.
pub(super) fn clean(bytes: &[u8], most: usize) -> String {
    String::from_utf8_lossy(bytes)
        .chars()
        .take(most)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Result<Option<Reply>, BadReply> {
        let mut parser = Parser::default();
        let mut last = None;
        for line in lines {
            last = parser.line(line.as_bytes())?;
        }
        Ok(last)
    }

    #[test]
    fn a_reply_of_several_lines_is_joined_and_its_enhanced_code_is_said_once() {
        let reply = read(&["550-5.1.1 no such user", "550 5.1.1 at all"])
            .unwrap()
            .unwrap();
        assert_eq!(reply.code, 550);
        assert_eq!(reply.enhanced.as_deref(), Some("5.1.1"));
        assert_eq!(reply.text, "no such user at all");
        assert_eq!(reply.to_string(), "550 5.1.1 no such user at all");
    }

    #[test]
    fn row_38_only_well_formed_codes_are_replies() {
        for good in ["250", "250 ok", "354 ", "220 x\ty", "559 z", "250 \u{fc}"] {
            assert!(read(&[good]).unwrap().is_some(), "{good:?}");
        }
        for bad in [
            "", "2", "25", "000 x", "999 x", "260 x", "150 x", "25x y", "250ok", "2500 x", "250\tx",
        ] {
            assert!(
                matches!(read(&[bad]), Err(BadReply::Nonsense(_))),
                "{bad:?} gave {:?}",
                read(&[bad])
            );
        }
        assert!(matches!(
            read(&["250-a", "251 b"]),
            Err(BadReply::Nonsense(_))
        ));
    }

    #[test]
    fn row_38_a_reply_without_end_meets_a_limit() {
        assert!(matches!(
            read(&["220-"; 1000]),
            Err(BadReply::Limit("more than 500 lines in one reply"))
        ));
        let long = format!("220-{}", "x".repeat(4000));
        assert!(matches!(
            read(&[long.as_str(); 30]),
            Err(BadReply::Limit("more than 96 KiB in one reply"))
        ));
    }

    #[test]
    fn an_enhanced_code_must_fit_the_reply_code() {
        for (line, enhanced) in [
            ("250 2.1.0 ok", Some("2.1.0")),
            ("250 5.1.0 ok", None),
            ("354 3.1.0 ok", None),
            ("550 5.7.139 no", Some("5.7.139")),
            ("550 5.7 no", None),
            ("550 5.7.1234 no", None),
            ("550 5.7.x no", None),
        ] {
            let reply = Reply::from_line(line).unwrap();
            assert_eq!(reply.enhanced.as_deref(), enhanced, "{line}");
        }
    }

    #[test]
    fn text_of_a_stranger_has_no_control_characters() {
        let reply = Reply::from_line("250 a\u{1b}[2Jb\u{7f}").unwrap();
        assert_eq!(reply.text, "a [2Jb");
    }
}
