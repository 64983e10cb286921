//! IDLE (RFC 2177) on the command layer.

use async_imap::imap_proto::{MailboxDatum, Response};
use tokio::time::{Duration, timeout};

use super::{
    ImapError, Session, Step,
    reply::Words,
    wire::{Budget, Heard, Tag, Tagged},
};
use crate::net::guard::Limits;

/// A session that idles: nothing else can be sent, and the type says so.
#[derive(Debug)]
pub struct Idling {
    session: Session,
    tag: Tag,
    /// The server ended IDLE by itself.
    ended: bool,
    /// News that came before IDLE was accepted.
    early: bool,
}

/// Why to look again. Only a hint: what is there is found by listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nudge {
    /// The mailbox changed in some way.
    Changed,
    /// The server ended IDLE by itself; call [`Idling::done`].
    Ended,
}

impl Session {
    /// Begins to idle, within the command's time.
    ///
    /// # Errors
    /// `Refused` where the server refuses IDLE; else as for every command.
    pub async fn idle(mut self) -> Result<Idling, ImapError> {
        let during = Step::Idle;
        let budget = Budget::new(self.settings.command_timeout);
        self.wire.allow(budget.limits);
        let begin = async {
            let tag = self.wire.send(during, b"IDLE").await?;
            // What was announced in the answer to another command is not announced again.
            let mut early = self.wire.take_news();
            loop {
                let on = |response: &Response<'_>| {
                    (matches!(response, Response::Continue(_)), is_news(response))
                };
                match self.wire.hear(during, &tag, on).await? {
                    Heard::Tagged(Tagged::Refused(Words { code, text })) => {
                        return Err(ImapError::Refused { during, code, text });
                    }
                    Heard::Tagged(Tagged::Ok(_)) => return Ok((tag, early, true)),
                    Heard::Other((true, _)) => return Ok((tag, early, false)),
                    // Exchange Online sends EXISTS before the `+`.
                    Heard::Other((false, news)) => early |= news,
                }
            }
        };
        let (tag, early, ended) = match timeout(budget.time, begin).await {
            Ok(begun) => begun?,
            Err(_elapsed) => return Err(ImapError::TimedOut { during }),
        };
        // Silence is normal now; a flood is not.
        self.wire.allow(Limits {
            bytes: 10 * 1024 * 1024,
            lines: 1_000,
            window: Some(Duration::from_secs(60)),
            silence: None,
            ..Limits::default()
        });
        Ok(Idling {
            session: self,
            tag,
            ended,
            early,
        })
    }
}

impl Idling {
    /// Waits for news, without a bound of its own: the caller re-issues IDLE by its own clock.
    /// Cancel-safe: what came while nobody waited is told by the next call.
    ///
    /// # Errors
    /// `Bye` as soon as the server says so; `Broken` when the line ends.
    pub async fn next(&mut self) -> Result<Nudge, ImapError> {
        let during = Step::Idle;
        if std::mem::take(&mut self.early) {
            return Ok(Nudge::Changed);
        }
        if self.ended {
            return Ok(Nudge::Ended);
        }
        loop {
            let heard = self.session.wire.hear(during, &self.tag, is_news).await?;
            if let Some(Words { code, text }) = self.session.wire.bye().cloned() {
                return Err(ImapError::Bye { during, code, text });
            }
            match heard {
                Heard::Tagged(_) => {
                    self.ended = true;
                    return Ok(Nudge::Ended);
                }
                Heard::Other(true) => return Ok(Nudge::Changed),
                Heard::Other(false) => {}
            }
        }
    }

    /// Ends IDLE, within [`Settings::done_timeout`](super::Settings::done_timeout).
    ///
    /// # Errors
    /// As for every command.
    pub async fn done(mut self) -> Result<Session, ImapError> {
        let during = Step::Idle;
        if self.ended {
            return Ok(self.session);
        }
        self.session.wire.allow(Limits::default());
        let patience = self.session.settings.done_timeout;
        let end = async {
            self.session.wire.send_line(during, b"DONE").await?;
            self.session.wire.finish(during, &self.tag, |_| {}).await
        };
        match timeout(patience, end).await {
            // A refusal of DONE ends IDLE as well.
            Ok(Ok(Tagged::Ok(_) | Tagged::Refused(_))) => Ok(self.session),
            Ok(Err(error)) => Err(error),
            Err(_elapsed) => Err(ImapError::TimedOut { during }),
        }
    }
}

fn is_news(response: &Response<'_>) -> bool {
    matches!(
        response,
        Response::MailboxData(MailboxDatum::Exists(_) | MailboxDatum::Recent(_))
            | Response::Expunge(_)
            | Response::Fetch(..)
    )
}
