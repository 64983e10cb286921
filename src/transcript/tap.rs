//! A connection's place in the transcript: notes, and the stream that is looked on.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    Direction, Protocol, Recorder, Secrets, imap, oauth, smtp,
    text::{count, finished},
};

/// One connection or request. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Tap {
    pub(super) recorder: Recorder,
    pub(super) protocol: Protocol,
    pub(super) connection: u64,
}

impl Tap {
    /// What happened around the conversation, in a few words; masked and bounded like everything.
    pub fn note(&self, text: &str) {
        if self.recorder.is_on() {
            let text = finished(text, None, self.recorder.hidden(), true);
            self.keep(Direction::Note, text);
        }
    }

    /// A request to a token endpoint is about to be sent: `form` is its body. Its values are hidden in
    /// everything that this tap keeps from now on.
    #[must_use]
    pub fn oauth_request(self, method: &str, url: &str, form: &[u8]) -> Self {
        if !self.recorder.is_on() {
            return self;
        }
        self.keep(Direction::Sent, oauth::request(method, url, form));
        let mut recorder = self.recorder.clone();
        recorder.hidden = Secrets::of_form(form);
        Self { recorder, ..self }
    }

    /// A token endpoint has answered.
    pub fn oauth_answer(&self, status: u16, body: &[u8]) {
        if self.recorder.is_on() {
            let text = oauth::answer(status, body, self.recorder.hidden());
            self.keep(Direction::Received, text);
        }
    }

    /// Looks on at what goes through `stream`, which must carry clear text.
    pub fn over<S>(&self, stream: S) -> Tapped<S> {
        let scribe = match self.protocol {
            _ if !self.recorder.is_on() => Scribe::Off,
            Protocol::Imap => Scribe::Imap(Box::default()),
            Protocol::Smtp => Scribe::Smtp(Box::default()),
            Protocol::Oauth => Scribe::Off,
        };
        Tapped {
            stream,
            eye: Eye {
                scribe,
                tap: self.clone(),
                sent: 0,
                received: 0,
            },
        }
    }

    fn keep(&self, direction: Direction, text: String) {
        self.recorder
            .keep(self.protocol, self.connection, direction, text);
    }
}

enum Scribe {
    Off,
    Imap(Box<imap::Scribe>),
    Smtp(Box<smtp::Scribe>),
}

/// What looks on.
struct Eye {
    scribe: Scribe,
    tap: Tap,
    sent: u64,
    received: u64,
}

/// A stream that is looked on. Reads, writes and errors pass unchanged.
pub struct Tapped<S> {
    stream: S,
    eye: Eye,
}

impl<S> fmt::Debug for Tapped<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tapped").finish_non_exhaustive()
    }
}

impl Eye {
    fn sent(&mut self, octets: &[u8]) {
        self.sent = self.sent.saturating_add(octets.len() as u64);
        let tap = &self.tap;
        let keep = &mut |direction, text| tap.keep(direction, text);
        match &mut self.scribe {
            Scribe::Off => {}
            Scribe::Imap(scribe) => scribe.sent(octets, tap.recorder.hidden(), keep),
            Scribe::Smtp(scribe) => scribe.sent(octets, tap.recorder.hidden(), keep),
        }
    }

    fn received(&mut self, octets: &[u8]) {
        self.received = self.received.saturating_add(octets.len() as u64);
        let tap = &self.tap;
        let keep = &mut |direction, text| tap.keep(direction, text);
        match &mut self.scribe {
            Scribe::Off => {}
            Scribe::Imap(scribe) => scribe.received(octets, tap.recorder.hidden(), keep),
            Scribe::Smtp(scribe) => scribe.received(octets, tap.recorder.hidden(), keep),
        }
    }

    /// Says once how the connection ended; a stream that became TLS's has not ended.
    fn end(&mut self, how: &str) {
        let tap = &self.tap;
        let keep = &mut |direction, text| tap.keep(direction, text);
        let followed = match &mut self.scribe {
            Scribe::Off => false,
            Scribe::Imap(scribe) => scribe.end(keep),
            Scribe::Smtp(scribe) => scribe.end(keep),
        };
        if followed {
            let (sent, received) = (count(self.sent), count(self.received));
            tap.note(&format!("{how}; {sent} sent, {received} received"));
        }
        self.scribe = Scribe::Off;
    }
}

impl Drop for Eye {
    fn drop(&mut self) {
        self.end("we closed the connection");
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tapped<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        let room = buf.remaining() > 0;
        match ready!(Pin::new(&mut this.stream).poll_read(cx, buf)) {
            Ok(()) => {
                let octets = buf.filled().get(before..).unwrap_or_default();
                if octets.is_empty() && room {
                    this.eye.end("the server closed the connection");
                } else {
                    this.eye.received(octets);
                }
                Poll::Ready(Ok(()))
            }
            Err(error) => {
                this.eye
                    .end(&format!("the connection broke while reading: {error}"));
                Poll::Ready(Err(error))
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tapped<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        match ready!(Pin::new(&mut this.stream).poll_write(cx, buf)) {
            Ok(taken) => {
                this.eye.sent(buf.get(..taken).unwrap_or_default());
                Poll::Ready(Ok(taken))
            }
            Err(error) => {
                this.eye
                    .end(&format!("the connection broke while writing: {error}"));
                Poll::Ready(Err(error))
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
