//! Follows an IMAP conversation from both sides and says what of it may be kept.

use super::{
    Direction,
    lines::{Line, Lines, Literal},
    mask::Secrets,
    text::{answer, challenge, count, finished, lossy, without_quoted},
};

/// Answers kept of one command; the tagged one, BYE and `+` are kept in any case.
const ANSWERS: u64 = 20;

/// Commands whose arguments hold nothing secret.
const SHOWN: [&str; 20] = [
    "CAPABILITY",
    "NOOP",
    "LOGOUT",
    "STARTTLS",
    "SELECT",
    "EXAMINE",
    "LIST",
    "LSUB",
    "STATUS",
    "IDLE",
    "CLOSE",
    "UNSELECT",
    "FETCH",
    "STORE",
    "COPY",
    "MOVE",
    "EXPUNGE",
    "CHECK",
    "ENABLE",
    "NAMESPACE",
];
/// Answers whose data holds nothing secret.
const DATA: [&str; 11] = [
    "CAPABILITY",
    "FLAGS",
    "SEARCH",
    "LIST",
    "LSUB",
    "STATUS",
    "ESEARCH",
    "ENABLED",
    "NAMESPACE",
    "EXISTS",
    "RECENT",
];

/// One side's octets: lines, and literals between them.
#[derive(Default)]
struct Side {
    lines: Lines,
    /// Octets of a literal still to pass.
    literal: u64,
    /// The line goes on behind a literal.
    within: bool,
}

impl Side {
    /// The next line in `octets`, which is moved behind it. Literals pass uncopied.
    fn next(&mut self, octets: &mut &[u8]) -> Option<Line> {
        while !octets.is_empty() {
            if self.literal > 0 {
                let here = u64::try_from(octets.len()).unwrap_or(u64::MAX);
                let passed = self.literal.min(here);
                self.literal -= passed;
                let passed = usize::try_from(passed).unwrap_or(octets.len());
                *octets = octets.get(passed..).unwrap_or_default();
                continue;
            }
            let (taken, line) = self.lines.take(octets);
            *octets = octets.get(taken..).unwrap_or_default();
            if line.is_some() {
                return line;
            }
        }
        None
    }
}

/// The state of one conversation.
#[derive(Default)]
pub(super) struct Scribe {
    sent: Side,
    received: Side,
    /// The server has said a line of IMAP.
    greeted: bool,
    /// The tag of a login that is under way: what we send is an answer to a challenge.
    login: Option<String>,
    /// The tag of STARTTLS.
    start_tls: Option<String>,
    /// Nothing more is followed: TLS begins, or nobody knows where a line begins.
    deaf: bool,
    /// Answers since we last said something.
    answers: u64,
}

fn upper(word: Option<&str>) -> String {
    word.unwrap_or_default().to_ascii_uppercase()
}

fn is_tag(word: &str) -> bool {
    !word.is_empty() && word.len() <= 16 && word.bytes().all(|o| o.is_ascii_alphanumeric())
}

impl Scribe {
    /// Octets that we sent.
    pub(super) fn sent(
        &mut self,
        mut octets: &[u8],
        hidden: &Secrets,
        keep: &mut dyn FnMut(Direction, String),
    ) {
        while !self.deaf
            && let Some(line) = self.sent.next(&mut octets)
        {
            self.flush(keep);
            let text = self.sent_line(&line, hidden);
            keep(Direction::Sent, text);
        }
    }

    /// Octets that the server sent.
    pub(super) fn received(
        &mut self,
        mut octets: &[u8],
        hidden: &Secrets,
        keep: &mut dyn FnMut(Direction, String),
    ) {
        while !self.deaf
            && let Some(line) = self.received.next(&mut octets)
        {
            self.received_line(&line, hidden, keep);
        }
    }

    /// The conversation is over; says whether it was followed to here.
    pub(super) fn end(&mut self, keep: &mut dyn FnMut(Direction, String)) -> bool {
        self.flush(keep);
        let begun = self.received.lines.begun();
        if begun > 0 && !self.deaf {
            keep(
                Direction::Received,
                format!("({} without an end of line)", count(begun)),
            );
        }
        !self.deaf || self.start_tls.is_none()
    }

    fn flush(&mut self, keep: &mut dyn FnMut(Direction, String)) {
        let more = self.answers.saturating_sub(ANSWERS);
        self.answers = 0;
        if more > 0 {
            keep(Direction::Received, format!("({more} more answers)"));
        }
    }

    fn sent_line(&mut self, line: &Line, hidden: &Secrets) -> String {
        if self.login.is_some() && !self.sent.within {
            return answer(line.octets);
        }
        let within = std::mem::take(&mut self.sent.within);
        if let Literal::Octets(octets) = line.literal() {
            self.sent.literal = octets;
            self.sent.within = true;
        }
        if within {
            return format!("(the command goes on, {})", count(line.octets));
        }
        let text = lossy(&line.head);
        if text == "DONE" {
            return text.into_owned();
        }
        let mut words = text.split(' ');
        let tag = words.next().unwrap_or_default();
        let mut verb = upper(words.next());
        let by_uid = verb == "UID";
        if by_uid {
            verb = upper(words.next());
        }
        let known = is_tag(tag) && !verb.is_empty();
        match verb.as_str() {
            "LOGIN" if known && !by_uid => {
                self.login = Some(tag.to_owned());
                format!("{tag} LOGIN (who and what are not kept)")
            }
            "AUTHENTICATE" if known && !by_uid => {
                self.login = Some(tag.to_owned());
                let mechanism = mechanism(words.next());
                let initial = words.next().map_or_else(String::new, |response| {
                    format!(" (initial response, {})", count(response.len() as u64))
                });
                format!("{tag} AUTHENTICATE {mechanism}{initial}")
            }
            "SEARCH" if known => finished(&without_quoted(&text, &[]), line.cut(), hidden, true),
            verb if known && SHOWN.contains(&verb) => {
                if verb == "STARTTLS" {
                    self.start_tls = Some(tag.to_owned());
                }
                finished(&text, line.cut(), hidden, true)
            }
            _ => format!("(a command of {})", count(line.octets)),
        }
    }

    fn received_line(
        &mut self,
        line: &Line,
        hidden: &Secrets,
        keep: &mut dyn FnMut(Direction, String),
    ) {
        let within = std::mem::take(&mut self.received.within);
        let text = lossy(&line.head);
        let said = if within { Said::More } else { said(&text) };
        let structured = matches!(said, Said::More | Said::Data | Said::Odd);
        if structured {
            match line.literal() {
                Literal::None => {}
                Literal::Octets(octets) => {
                    self.received.literal = octets;
                    self.received.within = true;
                }
                Literal::Unclear => self.deaf = true,
            }
        }
        let first = !std::mem::replace(&mut self.greeted, true);
        if matches!(said, Said::Tagged | Said::Bye | Said::Continue) {
            self.flush(keep);
        } else {
            self.answers += 1;
            if self.answers > ANSWERS {
                return;
            }
        }
        let kept = match said {
            Said::Continue if self.login.is_some() => {
                let payload = text.strip_prefix('+').unwrap_or_default();
                let shown = format!("+ {}", challenge(payload));
                finished(shown.trim_end(), None, hidden, true)
            }
            Said::Data | Said::More => {
                let shown = without_quoted_data(&text, said);
                finished(&shown, line.cut(), hidden, true)
            }
            Said::Odd if !first => odd(&text, line.octets),
            Said::Tagged | Said::Bye | Said::Status | Said::Continue | Said::Odd => {
                finished(&text, line.cut(), hidden, true)
            }
        };
        keep(Direction::Received, kept);
        if said == Said::Tagged {
            let mut words = text.split(' ');
            let (tag, word) = (words.next(), upper(words.next()));
            if tag == self.login.as_deref() {
                self.login = None;
            }
            if tag == self.start_tls.as_deref() {
                if word == "OK" {
                    self.deaf = true;
                } else {
                    self.start_tls = None;
                }
            }
        }
    }
}

/// What kind of answer a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    /// `A1 OK …`.
    Tagged,
    /// `* BYE …`.
    Bye,
    /// `* OK …`.
    Status,
    /// `+ …`.
    Continue,
    /// `* 3 EXISTS`, `* 3 FETCH (…`, `* LIST …`.
    Data,
    /// What follows a literal.
    More,
    /// Anything else.
    Odd,
}

fn said(text: &str) -> Said {
    if text.starts_with('+') {
        return Said::Continue;
    }
    let mut words = text.split(' ');
    let first = words.next().unwrap_or_default();
    let (second, third) = (upper(words.next()), upper(words.next()));
    let status = |word: &str| matches!(word, "OK" | "NO" | "BAD");
    if first != "*" {
        return if is_tag(first) && status(&second) {
            Said::Tagged
        } else {
            Said::Odd
        };
    }
    let number = !second.is_empty() && second.bytes().all(|o| o.is_ascii_digit());
    match second.as_str() {
        "BYE" => Said::Bye,
        "PREAUTH" => Said::Status,
        word if status(word) => Said::Status,
        word if DATA.contains(&word) => Said::Data,
        _ if number && (DATA.contains(&third.as_str()) || third == "FETCH") => Said::Data,
        _ => Said::Odd,
    }
}

/// Of a FETCH only numbers, flags and dates: a quoted string may be a subject or a whole mail. Folder
/// names in LIST and STATUS stay.
fn without_quoted_data(text: &str, said: Said) -> String {
    let fetch = text
        .split(' ')
        .nth(2)
        .is_some_and(|word| word.eq_ignore_ascii_case("FETCH"));
    if said == Said::More || fetch {
        without_quoted(text, &["INTERNALDATE"])
    } else {
        text.to_owned()
    }
}

/// A line that is no answer we know; it may be anything, even a piece of a mail.
fn odd(text: &str, octets: u64) -> String {
    let word = text
        .strip_prefix("* ")
        .and_then(|rest| rest.split(' ').next())
        .filter(|word| {
            (2..=16).contains(&word.len()) && word.bytes().all(|o| o.is_ascii_alphabetic())
        });
    match word {
        Some(word) => format!("* {} ({})", word.to_ascii_uppercase(), count(octets)),
        None => format!("(a line that is no answer, {})", count(octets)),
    }
}

/// The name of a SASL mechanism (up to 20 of these characters), or that it is none.
pub(super) fn mechanism(word: Option<&str>) -> String {
    let word = upper(word);
    let fits = (1..=20).contains(&word.len())
        && word
            .bytes()
            .all(|o| o.is_ascii_alphanumeric() || matches!(o, b'-' | b'_'));
    if fits {
        word
    } else {
        "(no mechanism)".to_owned()
    }
}
