//! Follows an SMTP conversation from both sides and says what of it may be kept.

use super::{
    Direction,
    imap::mechanism,
    lines::{Line, Lines},
    mask::Secrets,
    text::{answer, challenge, count, finished, lossy},
};

/// Lines kept of one reply.
const REPLY_LINES: u64 = 40;
/// The end of a message (RFC 5321 §4.1.1.4), with the end of its last line.
const END: &[u8] = b"\r\n.\r\n";

/// Where the conversation is.
#[derive(Default)]
enum State {
    #[default]
    Commands,
    /// AUTH is under way: what we send is an answer to a challenge.
    Auth,
    /// STARTTLS was said.
    StartTls,
    /// DATA was said: whatever follows is the message, its octets and its last few.
    Message {
        octets: u64,
        last: Vec<u8>,
        dot: bool,
        go_ahead: bool,
    },
    /// Nothing more is followed: TLS begins, or nobody knows what is message and what command.
    Deaf,
}

/// The state of one conversation.
#[derive(Default)]
pub(super) struct Scribe {
    state: State,
    sent: Lines,
    received: Lines,
    /// Lines of the reply so far.
    reply_lines: u64,
    /// TLS has begun.
    secured: bool,
}

impl Scribe {
    /// Octets that we sent.
    pub(super) fn sent(
        &mut self,
        mut octets: &[u8],
        hidden: &Secrets,
        keep: &mut dyn FnMut(Direction, String),
    ) {
        while !octets.is_empty() {
            match &mut self.state {
                State::Deaf => return,
                State::Message {
                    octets: passed,
                    last,
                    dot,
                    ..
                } => {
                    *passed = passed.saturating_add(octets.len() as u64);
                    remember(last, octets);
                    *dot = last == END;
                    if *dot {
                        let message = passed.saturating_sub(3);
                        keep(Direction::Sent, format!("(message, {})", count(message)));
                        keep(Direction::Sent, ".".to_owned());
                    }
                    return;
                }
                State::Commands | State::Auth | State::StartTls => {
                    let (taken, line) = self.sent.take(octets);
                    octets = octets.get(taken..).unwrap_or_default();
                    if let Some(line) = line {
                        let text = self.sent_line(&line, hidden);
                        keep(Direction::Sent, text);
                    }
                }
            }
        }
    }

    /// Octets that the server sent.
    pub(super) fn received(
        &mut self,
        mut octets: &[u8],
        hidden: &Secrets,
        keep: &mut dyn FnMut(Direction, String),
    ) {
        while !octets.is_empty() && !self.secured {
            let (taken, line) = self.received.take(octets);
            octets = octets.get(taken..).unwrap_or_default();
            if let Some(line) = line {
                self.received_line(&line, hidden, keep);
            }
        }
    }

    /// The conversation is over; says whether it was followed to here.
    pub(super) fn end(&mut self, keep: &mut dyn FnMut(Direction, String)) -> bool {
        if let State::Message { octets, dot, .. } = &self.state
            && !dot
            && *octets > 0
        {
            let text = format!("(message, {}, without its dot)", count(*octets));
            keep(Direction::Sent, text);
        }
        let begun = self.received.begun();
        if begun > 0 && !self.secured {
            keep(
                Direction::Received,
                format!("({} without an end of line)", count(begun)),
            );
        }
        !self.secured
    }

    fn sent_line(&mut self, line: &Line, hidden: &Secrets) -> String {
        if matches!(self.state, State::Auth) {
            return answer(line.octets);
        }
        let text = lossy(&line.head);
        let mut words = text.split(' ');
        let verb = words.next().unwrap_or_default().to_ascii_uppercase();
        match verb.as_str() {
            "AUTH" => {
                self.state = State::Auth;
                let mechanism = mechanism(words.next());
                let initial = words.next().map_or_else(String::new, |response| {
                    format!(" (initial response, {})", count(response.len() as u64))
                });
                return format!("AUTH {mechanism}{initial}");
            }
            "STARTTLS" => self.state = State::StartTls,
            "DATA" => {
                self.state = State::Message {
                    octets: 0,
                    // An empty message begins on a line of its own.
                    last: b"\r\n".to_vec(),
                    dot: false,
                    go_ahead: false,
                };
            }
            "EHLO" | "HELO" | "RSET" | "QUIT" | "NOOP" => {}
            // Addresses are long at times, and what looks like a token in them is none.
            "MAIL" | "RCPT" => return finished(&text, line.cut(), hidden, false),
            _ => return format!("(a command of {})", count(line.octets)),
        }
        finished(&text, line.cut(), hidden, true)
    }

    fn received_line(
        &mut self,
        line: &Line,
        hidden: &Secrets,
        keep: &mut dyn FnMut(Direction, String),
    ) {
        let text = lossy(&line.head);
        let (code, last) = code(&text);
        self.reply_lines += 1;
        let more = self.reply_lines.saturating_sub(REPLY_LINES);
        if last {
            self.reply_lines = 0;
            if more > 1 {
                let left_out = more - 1;
                keep(Direction::Received, format!("({left_out} more lines)"));
            }
        }
        if last || more == 0 {
            let shown = if code == 334 && matches!(self.state, State::Auth) {
                let payload = text.get(3..).unwrap_or_default();
                let payload = payload.trim_start_matches(['-', ' ']);
                let shown = format!("334 {}", challenge(payload));
                finished(shown.trim_end(), None, hidden, true)
            } else {
                finished(&text, line.cut(), hidden, true)
            };
            keep(Direction::Received, shown);
        }
        if last {
            self.answered(code);
        }
    }

    /// A whole reply has come: it may end what is under way.
    fn answered(&mut self, code: u16) {
        match &mut self.state {
            State::Commands | State::Deaf => {}
            State::Auth if code == 334 => {}
            State::Auth => self.state = State::Commands,
            State::StartTls => {
                self.secured = code == 220;
                self.state = if self.secured {
                    State::Deaf
                } else {
                    State::Commands
                };
            }
            State::Message {
                octets,
                dot,
                go_ahead,
                ..
            } => {
                if code == 354 && !*go_ahead {
                    *go_ahead = true;
                } else if *dot || (!*go_ahead && *octets == 0) {
                    self.state = State::Commands;
                } else {
                    // It spoke in the middle of the message: what we send now may be the rest of it.
                    self.state = State::Deaf;
                }
            }
        }
    }
}

/// Code of a reply line, 0 where it has none, and whether it is the reply's last.
fn code(text: &str) -> (u16, bool) {
    let code = text
        .get(..3)
        .filter(|digits| digits.bytes().all(|o| o.is_ascii_digit()))
        .and_then(|digits| digits.parse().ok());
    let goes_on = text.as_bytes().get(3) == Some(&b'-');
    (code.unwrap_or(0), code.is_none() || !goes_on)
}

/// Keeps the last few octets of what has passed.
fn remember(last: &mut Vec<u8>, octets: &[u8]) {
    let from = octets.len().saturating_sub(END.len());
    last.extend_from_slice(octets.get(from..).unwrap_or_default());
    let extra = last.len().saturating_sub(END.len());
    last.drain(..extra);
}
