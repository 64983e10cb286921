//! The command layer: one command out, its responses in, up to its own tagged answer.

use std::{fmt, io, panic::AssertUnwindSafe};

use async_imap::{
    Client,
    imap_proto::{MailboxDatum, Response, Status},
};
use futures_util::FutureExt;
use tokio::{
    io::AsyncWriteExt,
    time::{Duration, Instant, timeout_at},
};

use super::{
    ImapError, Step,
    reply::{self, Words},
};
use crate::net::{
    Transport,
    guard::{Guard, GuardError, Limits},
};

/// A client over any stream, its requests numbered.
pub(super) struct Wire {
    client: Client<Guard<Box<dyn Transport>>>,
    tags: u32,
    /// A command was sent and its tagged answer has not come: nothing else may be sent.
    pending: bool,
    /// The last BYE.
    bye: Option<Words>,
    /// The mailbox grew since this was last taken: servers say so once, in any answer.
    news: bool,
    /// How many messages the selected mailbox has, as the server said last.
    exists: u32,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire")
            .field("tags", &self.tags)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for dyn Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Transport")
    }
}

/// What an answer may cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    pub(super) time: Duration,
    pub(super) limits: Limits,
}

impl Budget {
    pub(super) fn new(time: Duration) -> Self {
        Self {
            time,
            limits: Limits::default(),
        }
    }
}

/// A command's tag.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tag(String);

impl Wire {
    pub(super) fn new(stream: Box<dyn Transport>) -> Self {
        Self {
            client: Client::new(Guard::new(stream)),
            tags: 0,
            pending: false,
            bye: None,
            news: false,
            exists: 0,
        }
    }

    pub(super) fn guard(&self) -> &Guard<Box<dyn Transport>> {
        self.client.get_ref()
    }

    pub(super) fn into_guard(self) -> Guard<Box<dyn Transport>> {
        self.client.into_inner()
    }

    pub(super) fn allow(&mut self, limits: Limits) {
        self.client.get_mut().allow(limits);
    }

    /// Sends a command under a fresh tag. Not cancel-safe: a dropped future leaves a wire that
    /// refuses to send.
    pub(super) async fn send(&mut self, during: Step, command: &[u8]) -> Result<Tag, ImapError> {
        if self.pending {
            return Err(ImapError::Broken {
                during,
                source: io::Error::other("an earlier command was cut short"),
            });
        }
        self.pending = true;
        self.tags = self.tags.wrapping_add(1);
        let tag = format!("M{}", self.tags);
        let mut line = Vec::with_capacity(tag.len() + command.len() + 3);
        line.extend_from_slice(tag.as_bytes());
        line.push(b' ');
        line.extend_from_slice(command);
        self.send_line(during, &line).await?;
        Ok(Tag(tag))
    }

    /// Sends one line as it is, with CRLF.
    pub(super) async fn send_line(&mut self, during: Step, line: &[u8]) -> Result<(), ImapError> {
        // Written in one piece, so that a peer never sees half a command for long.
        let mut whole = Vec::with_capacity(line.len() + 2);
        whole.extend_from_slice(line);
        whole.extend_from_slice(b"\r\n");
        let stream = self.client.get_mut();
        let sent = async {
            stream.write_all(&whole).await?;
            stream.flush().await
        };
        sent.await.map_err(|source| broken(during, source))
    }

    /// Hands the next response to `on`. Cancel-safe. The end of the stream is an error.
    pub(super) async fn read<T>(
        &mut self,
        during: Step,
        on: impl FnOnce(&Response<'_>) -> T,
    ) -> Result<T, ImapError> {
        // The parser has known panics and surely unknown ones: they end this session, nothing else.
        let read = AssertUnwindSafe(self.client.read_response())
            .catch_unwind()
            .await;
        let response = match read {
            Ok(Ok(Some(response))) => response,
            Ok(Ok(None)) => {
                return Err(match self.bye.take() {
                    Some(Words { code, text }) => ImapError::Bye { during, code, text },
                    None => broken(during, io::ErrorKind::UnexpectedEof.into()),
                });
            }
            Ok(Err(source)) => {
                return Err(match self.bye.take() {
                    // Many servers hang up without a proper end after their BYE.
                    Some(Words { code, text }) if GuardError::inside(&source).is_none() => {
                        ImapError::Bye { during, code, text }
                    }
                    _ => broken(during, source),
                });
            }
            Err(_panic) => {
                return Err(ImapError::Nonsense {
                    during,
                    line: "the parser gave up".to_owned(),
                });
            }
        };
        match response.parsed() {
            Response::Data {
                status: Status::Bye,
                outcome,
            } => self.bye = Some(reply::words(outcome)),
            Response::MailboxData(MailboxDatum::Exists(count)) => {
                self.news = true;
                self.exists = *count;
            }
            Response::Expunge(_) => self.exists = self.exists.saturating_sub(1),
            _ => {}
        }
        Ok(on(response.parsed()))
    }

    /// How many messages there are, as the server said last.
    pub(super) fn exists(&self) -> u32 {
        self.exists
    }

    /// Whether the mailbox grew since this was last asked.
    pub(super) fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.news)
    }

    /// The BYE that was read last, if any.
    pub(super) fn bye(&self) -> Option<&Words> {
        self.bye.as_ref()
    }

    /// Hands the next response to `on`, or returns it where it is the tagged answer. A stale answer
    /// to another command is none. Cancel-safe.
    pub(super) async fn hear<T>(
        &mut self,
        during: Step,
        tag: &Tag,
        on: impl FnOnce(&Response<'_>) -> T,
    ) -> Result<Heard<T>, ImapError> {
        let heard = self
            .read(during, |response| match response {
                Response::Done {
                    tag: other,
                    status,
                    outcome,
                } if other.0 == tag.0 => {
                    let words = reply::words(outcome);
                    Heard::Tagged(match status {
                        Status::Ok => Tagged::Ok(words),
                        _ => Tagged::Refused(words),
                    })
                }
                other => Heard::Other(on(other)),
            })
            .await?;
        if matches!(heard, Heard::Tagged(_)) {
            self.pending = false;
        }
        Ok(heard)
    }

    /// Reads up to the tagged answer, handing every other response to `on`.
    pub(super) async fn finish(
        &mut self,
        during: Step,
        tag: &Tag,
        mut on: impl FnMut(&Response<'_>),
    ) -> Result<Tagged, ImapError> {
        loop {
            if let Heard::Tagged(tagged) = self.hear(during, tag, &mut on).await? {
                return Ok(tagged);
            }
        }
    }

    /// One whole command: sent, answered with OK, all within `budget`; the words of the OK.
    pub(super) async fn exec(
        &mut self,
        during: Step,
        command: &str,
        budget: Budget,
        on: impl FnMut(&Response<'_>),
    ) -> Result<Words, ImapError> {
        self.allow(budget.limits);
        let deadline = Instant::now() + budget.time;
        let work = async {
            let tag = self.send(during, command.as_bytes()).await?;
            self.finish(during, &tag, on).await
        };
        match timeout_at(deadline, work).await {
            Ok(Ok(Tagged::Ok(words))) => Ok(words),
            Ok(Ok(Tagged::Refused(Words { code, text }))) => {
                Err(ImapError::Refused { during, code, text })
            }
            Ok(Err(error)) => Err(error),
            Err(_elapsed) => Err(ImapError::TimedOut { during }),
        }
    }
}

/// The next response of a command.
pub(super) enum Heard<T> {
    /// Its tagged answer: the command is over.
    Tagged(Tagged),
    /// Any other; what the caller made of it.
    Other(T),
}

/// How a command was answered.
pub(super) enum Tagged {
    /// OK.
    Ok(Words),
    /// NO or BAD.
    Refused(Words),
}

/// Sorts an I/O error: the guard's own, the parser's, or the line's.
pub(super) fn broken(during: Step, source: io::Error) -> ImapError {
    match GuardError::inside(&source) {
        Some(GuardError::Silence(_) | GuardError::Stuck(_)) => ImapError::TimedOut { during },
        Some(GuardError::LiteralSize(shown)) => ImapError::Nonsense {
            during,
            line: format!("a literal of size {shown}"),
        },
        Some(GuardError::NotImap(line)) => ImapError::Nonsense {
            during,
            line: line.clone(),
        },
        Some(what) => ImapError::Limit {
            during,
            what: what.clone(),
        },
        // The parser's errors are of kind Other, as some of the TLS library's are, and carry the whole
        // buffer as their text; mail behind the first line of it is not shown.
        None if source.kind() == io::ErrorKind::Other => {
            match source.to_string().split_once("during parsing of ") {
                Some((_, buffer)) => {
                    let first = buffer.split("\\r\\n").next().unwrap_or_default();
                    let line = reply::clean(first).chars().take(200).collect();
                    ImapError::Nonsense { during, line }
                }
                None => ImapError::Broken { during, source },
            }
        }
        None => ImapError::Broken { during, source },
    }
}
