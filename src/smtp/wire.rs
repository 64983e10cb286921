//! The stream between us and the server: lets replies through only whole and well-formed, and is
//! shared, so that `lettre` speaks the commands over it and we write the message body.

use std::{
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    Reply,
    error::{SmtpError, Verb},
    reply::{BadReply, LINE_CAP, Parser},
};
use crate::net::Transport;

/// Why no reply came.
#[derive(Debug)]
pub(super) enum Fault {
    Io(io::Error),
    Bad(BadReply),
}

impl Fault {
    pub(super) fn during(self, during: Verb) -> SmtpError {
        match self {
            Self::Io(source) => SmtpError::Broken { during, source },
            Self::Bad(BadReply::Nonsense(line)) => SmtpError::Nonsense { during, line },
            Self::Bad(BadReply::Limit(what)) => SmtpError::Limit { during, what },
        }
    }
}

fn hung_up() -> Fault {
    Fault::Io(io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "the server hung up",
    ))
}

/// What was found when nothing should have been there.
#[derive(Debug)]
pub(super) enum Unasked {
    /// Nothing.
    Quiet,
    /// A whole reply to a question we did not ask.
    Reply(Reply),
    /// Something that is none (or not yet), or the end of the stream.
    Fault(Fault),
}

/// Octets that went over a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Octets {
    /// From the server.
    pub received: u64,
    /// To the server.
    pub sent: u64,
}

/// The stream and what was read from it.
pub(super) struct Wire<S> {
    stream: S,
    /// Read, and not yet taken as a line; at most one read more than a line.
    unread: Vec<u8>,
    parser: Parser,
    octets: Octets,
}

impl<S: Transport> Wire<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            unread: Vec::new(),
            parser: Parser::default(),
            octets: Octets::default(),
        }
    }

    /// The next complete reply. Bytes behind it stay unread. Cancel-safe: a reply that is midway goes
    /// on with the next call.
    pub(super) fn poll_reply(&mut self, cx: &mut Context<'_>) -> Poll<Result<Reply, Fault>> {
        loop {
            if let Some(reply) = self.take_reply()? {
                return Poll::Ready(Ok(reply));
            }
            if ready!(self.poll_fill(cx))? == 0 {
                return Poll::Ready(Err(hung_up()));
            }
        }
    }

    /// Looks, without waiting, whether the server has said something.
    pub(super) fn poll_unasked(&mut self, cx: &mut Context<'_>) -> Unasked {
        if self.unread.is_empty() && !self.parser.is_midway() {
            match self.poll_fill(cx) {
                Poll::Pending => return Unasked::Quiet,
                Poll::Ready(Ok(0)) => return Unasked::Fault(hung_up()),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(fault)) => return Unasked::Fault(fault),
            }
        }
        match self.poll_reply(cx) {
            Poll::Ready(Ok(reply)) => Unasked::Reply(reply),
            Poll::Ready(Err(fault)) => Unasked::Fault(fault),
            Poll::Pending => Unasked::Fault(Fault::Bad(BadReply::Nonsense(super::reply::clean(
                &self.unread,
                200,
            )))),
        }
    }

    pub(super) async fn read_reply(&mut self) -> Result<Reply, Fault> {
        std::future::poll_fn(|cx| self.poll_reply(cx)).await
    }

    /// Writes and flushes all of it. Not cancel-safe: the line is then dead.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let taken = std::future::poll_fn(|cx| self.poll_write(cx, rest)).await?;
            rest = rest.get(taken..).unwrap_or_default();
        }
        std::future::poll_fn(|cx| Pin::new(&mut self.stream).poll_flush(cx)).await
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let taken = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        if taken == 0 && !bytes.is_empty() {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.octets.sent = self.octets.sent.saturating_add(taken as u64);
        Poll::Ready(Ok(taken))
    }

    /// The bare stream; `None` when something was read that nobody took.
    pub(super) fn into_stream(self) -> Option<S> {
        (self.unread.is_empty() && !self.parser.is_midway()).then_some(self.stream)
    }

    pub(super) fn octets(&self) -> Octets {
        self.octets
    }

    fn take_reply(&mut self) -> Result<Option<Reply>, Fault> {
        while let Some(end) = self.unread.iter().position(|&b| b == b'\n') {
            let line: Vec<u8> = self.unread.drain(..=end).collect();
            if line.len() > LINE_CAP {
                return Err(Fault::Bad(BadReply::Limit("a line of more than 4 KiB")));
            }
            // RFC 5321 §2.3.8: a line ends with CRLF and with nothing else.
            let Some(bare) = line.strip_suffix(b"\r\n") else {
                return Err(Fault::Bad(BadReply::Nonsense(super::reply::clean(
                    &line, 200,
                ))));
            };
            if let Some(reply) = self.parser.line(bare).map_err(Fault::Bad)? {
                return Ok(Some(reply));
            }
        }
        if self.unread.len() > LINE_CAP {
            return Err(Fault::Bad(BadReply::Limit("a line of more than 4 KiB")));
        }
        Ok(None)
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Fault>> {
        let mut space = [0u8; LINE_CAP];
        let mut buffer = ReadBuf::new(&mut space);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer)).map_err(Fault::Io)?;
        let read = buffer.filled();
        self.octets.received = self.octets.received.saturating_add(read.len() as u64);
        self.unread.extend_from_slice(read);
        Poll::Ready(Ok(read.len()))
    }
}

/// The wire as both owners hold it: `lettre`'s connection, and the [`Line`](super::Line).
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<Inner>>);

struct Inner {
    wire: Wire<Box<dyn Transport>>,
    /// A vetted reply on its way to lettre.
    for_lettre: Vec<u8>,
    /// The first reply that lettre was given since [`Shared::begin`].
    reply: Option<Reply>,
    /// What went wrong since.
    fault: Option<Fault>,
}

impl Shared {
    /// `for_lettre` is what lettre reads first: it insists on a greeting, which we have read.
    pub(super) fn new(wire: Wire<Box<dyn Transport>>, for_lettre: &[u8]) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            wire,
            for_lettre: for_lettre.to_vec(),
            reply: None,
            fault: None,
        })))
    }

    /// Never held across an await. A panic inside leaves nothing half-done that a dead line would mind.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets the outcome of the step before.
    pub(super) fn begin(&self) {
        let mut inner = self.lock();
        inner.reply = None;
        inner.fault = None;
    }

    /// How the step went that has just been driven by lettre.
    pub(super) fn outcome(&self) -> Result<Option<Reply>, Fault> {
        let mut inner = self.lock();
        match inner.fault.take() {
            Some(fault) => Err(fault),
            None => Ok(inner.reply.take()),
        }
    }

    /// See [`Wire::poll_unasked`].
    pub(super) async fn unasked(&self) -> Unasked {
        std::future::poll_fn(|cx| Poll::Ready(self.lock().wire.poll_unasked(cx))).await
    }

    /// See [`Wire::write`].
    pub(super) async fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let taken = std::future::poll_fn(|cx| self.lock().wire.poll_write(cx, rest)).await?;
            rest = rest.get(taken..).unwrap_or_default();
        }
        std::future::poll_fn(|cx| Pin::new(&mut self.lock().wire.stream).poll_flush(cx)).await
    }

    pub(super) fn octets(&self) -> Octets {
        self.lock().wire.octets()
    }
}

impl AsyncRead for Shared {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut inner = self.lock();
        if inner.for_lettre.is_empty() {
            match ready!(inner.wire.poll_reply(cx)) {
                Ok(reply) => {
                    inner.for_lettre = reply.for_lettre();
                    if inner.reply.is_none() {
                        inner.reply = Some(reply);
                    }
                }
                Err(fault) => {
                    if inner.fault.is_none() {
                        inner.fault = Some(fault);
                    }
                    return Poll::Ready(Err(io::Error::other("see the fault")));
                }
            }
        }
        let part = inner.for_lettre.len().min(buffer.remaining());
        let bytes: Vec<u8> = inner.for_lettre.drain(..part).collect();
        buffer.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Shared {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut inner = self.lock();
        let written = ready!(inner.wire.poll_write(cx, bytes));
        Poll::Ready(inner.keep(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.lock();
        let flushed = ready!(Pin::new(&mut inner.wire.stream).poll_flush(cx));
        Poll::Ready(inner.keep(flushed))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.lock().wire.stream).poll_shutdown(cx)
    }
}

impl Inner {
    /// Keeps the error itself where lettre would hide it.
    fn keep<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|error| {
            let kind = error.kind();
            if self.fault.is_none() {
                self.fault = Some(Fault::Io(error));
            }
            kind.into()
        })
    }
}

impl AsyncTokioStream for Shared {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}
