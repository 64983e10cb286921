//! Bounds on what an IMAP server may send, kept between TLS and the response parser.
//!
//! The parser behind it buffers up to half a gigabyte, recurses for each opening parenthesis, dies of
//! any line it does not know, and panics on a few. The guard reads the stream by lines and literals
//! and lets through only whole lines of kinds that the parser knows, one at a time.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};

use super::line::{self, Line};

/// What a peer may send until the next [`Guard::allow`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Octets of one line.
    pub line: usize,
    /// Octets of one literal, as announced.
    pub literal: u64,
    /// Opening parentheses of one response: nesting cannot be deeper.
    pub depth: usize,
    /// Octets in all.
    pub bytes: u64,
    /// Lines in all.
    pub lines: u64,
    /// With a window, `bytes` and `lines` are allowed anew each time it has passed.
    pub window: Option<Duration>,
    /// Longest silence while an answer is awaited; `None` where silence is normal.
    pub silence: Option<Duration>,
    /// Longest time in which not one octet of ours is taken.
    pub write: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            line: 64 * 1024,
            literal: 64 * 1024,
            depth: 24,
            bytes: 1024 * 1024,
            lines: 10_000,
            window: None,
            silence: Some(Duration::from_secs(60)),
            write: Duration::from_secs(60),
        }
    }
}

/// Which bound the peer broke, or what it did that no parser should see.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GuardError {
    /// A line without end.
    #[error("a line of more than {0} octets")]
    Line(usize),
    /// A literal announced with more than is allowed.
    #[error("a literal of more than {0} octets")]
    Literal(u64),
    /// A literal announced with something that is no number.
    #[error("a literal without a size: {0}")]
    LiteralSize(String),
    /// The first line is none of IMAP's.
    #[error("no imap: {0}")]
    NotImap(String),
    /// Too many parentheses.
    #[error("more than {0} opening parentheses in one answer")]
    Depth(usize),
    /// Too much in all.
    #[error("more than {0} octets in one answer")]
    Bytes(u64),
    /// Too many lines in all.
    #[error("more than {0} lines in one answer")]
    Lines(u64),
    /// Nothing came for too long.
    #[error("nothing came for {0:?}")]
    Silence(Duration),
    /// Nothing was taken for too long.
    #[error("nothing was taken for {0:?}")]
    Stuck(Duration),
}

impl GuardError {
    /// The guard's own error inside an I/O error that came through the parser.
    pub fn inside(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }

    fn into_io(self) -> io::Error {
        match self {
            Self::Silence(_) | Self::Stuck(_) => io::Error::new(io::ErrorKind::TimedOut, self),
            _ => io::Error::other(self),
        }
    }
}

/// What went through, for health and quotas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Octets from the peer.
    pub received: u64,
    /// Octets to the peer.
    pub sent: u64,
    /// Responses of unknown kinds, kept from the parser.
    pub odd: u64,
}

/// The guard over a stream. Reading is cancel-safe: what was read stays in it.
pub struct Guard<S> {
    inner: S,
    limits: Limits,
    counters: Counters,
    /// Read from the peer, not yet looked at.
    raw: Vec<u8>,
    raw_at: usize,
    /// The line being collected.
    line: Vec<u8>,
    /// One whole line, being handed out.
    out: Vec<u8>,
    out_at: usize,
    /// Octets of a literal still to pass.
    literal_left: u64,
    /// The line follows a literal: it belongs to the same response.
    within: bool,
    /// The response is kept from the parser.
    dropping: bool,
    /// The peer has shown that it speaks IMAP.
    speaks: bool,
    opened: usize,
    bytes_left: u64,
    lines_left: u64,
    window_ends: Option<Instant>,
    read_timer: Option<Pin<Box<Sleep>>>,
    write_timer: Option<Pin<Box<Sleep>>>,
    failed: Option<GuardError>,
}

impl<S> fmt::Debug for Guard<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the stream nor what is buffered: both may hold secrets and mail (I8).
        f.debug_struct("Guard")
            .field("limits", &self.limits)
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

impl<S> Guard<S> {
    /// Guards `inner` with the default limits.
    pub fn new(inner: S) -> Self {
        let limits = Limits::default();
        Self {
            inner,
            limits,
            counters: Counters::default(),
            raw: Vec::new(),
            raw_at: 0,
            line: Vec::new(),
            out: Vec::new(),
            out_at: 0,
            literal_left: 0,
            within: false,
            dropping: false,
            speaks: false,
            opened: 0,
            bytes_left: limits.bytes,
            lines_left: limits.lines,
            window_ends: None,
            read_timer: None,
            write_timer: None,
            failed: None,
        }
    }

    /// Sets what may come from now on; counting begins anew.
    pub fn allow(&mut self, limits: Limits) {
        self.limits = limits;
        self.bytes_left = limits.bytes;
        self.lines_left = limits.lines;
        self.window_ends = limits.window.map(|window| Instant::now() + window);
        self.read_timer = None;
    }

    /// What went through so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// True when every octet read from the peer has been handed out: nothing was injected behind the
    /// answer to STARTTLS.
    pub fn is_drained(&self) -> bool {
        self.raw_at == self.raw.len()
            && self.out_at == self.out.len()
            && self.line.is_empty()
            && self.literal_left == 0
    }

    /// The stream, without what is buffered.
    pub fn into_inner(self) -> S {
        self.inner
    }

    fn fail(&mut self, error: GuardError) -> io::Error {
        self.failed = Some(error.clone());
        error.into_io()
    }

    /// Counts what the peer sent.
    fn count(&mut self, octets: usize) -> Result<(), GuardError> {
        let octets = u64::try_from(octets).unwrap_or(u64::MAX);
        self.counters.received = self.counters.received.saturating_add(octets);
        self.renew_window();
        self.bytes_left = self
            .bytes_left
            .checked_sub(octets)
            .ok_or(GuardError::Bytes(self.limits.bytes))?;
        Ok(())
    }

    fn renew_window(&mut self) {
        if let (Some(window), Some(ends)) = (self.limits.window, self.window_ends)
            && ends <= Instant::now()
        {
            self.bytes_left = self.limits.bytes;
            self.lines_left = self.limits.lines;
            self.window_ends = Some(Instant::now() + window);
        }
    }

    /// Moves octets from `raw` into the line until it is whole; true when one is in `out`.
    fn collect(&mut self) -> Result<bool, GuardError> {
        loop {
            let rest = self.raw.get(self.raw_at..).unwrap_or_default();
            if rest.is_empty() || self.literal_left > 0 {
                return Ok(false);
            }
            let (taken, whole) = match rest.iter().position(|octet| *octet == b'\n') {
                Some(end) => (end + 1, true),
                None => (rest.len(), false),
            };
            self.line
                .extend_from_slice(rest.get(..taken).unwrap_or_default());
            self.raw_at += taken;
            if self.line.len() > self.limits.line {
                return Err(GuardError::Line(self.limits.line));
            }
            if whole && self.admit()? {
                return Ok(true);
            }
        }
    }

    /// Looks at a whole line; true when it is to be handed out.
    fn admit(&mut self) -> Result<bool, GuardError> {
        self.lines_left = self
            .lines_left
            .checked_sub(1)
            .ok_or(GuardError::Lines(self.limits.lines))?;
        let mut line = std::mem::take(&mut self.line);
        let kind = if self.within {
            Line::Data
        } else {
            line::kind(&line)
        };
        if !self.within {
            self.opened = 0;
            self.dropping = kind == Line::Odd;
            if self.dropping && !self.speaks {
                let shown = String::from_utf8_lossy(&line);
                let shown = shown.chars().filter(|c| !c.is_control()).take(80);
                return Err(GuardError::NotImap(shown.collect()));
            }
            self.speaks = true;
            if self.dropping {
                self.counters.odd = self.counters.odd.saturating_add(1);
            }
        }
        self.within = false;
        if matches!(kind, Line::Data | Line::Odd) {
            self.opened += line.iter().filter(|octet| **octet == b'(').count();
            if self.opened > self.limits.depth {
                return Err(GuardError::Depth(self.limits.depth));
            }
            if let Some(size) = line::literal(&line).map_err(GuardError::LiteralSize)? {
                if size > self.limits.literal {
                    return Err(GuardError::Literal(self.limits.literal));
                }
                self.literal_left = size;
                self.within = true;
            }
        }
        if self.dropping {
            return Ok(false);
        }
        line::mend(kind, &mut line);
        self.out = line;
        self.out_at = 0;
        Ok(true)
    }
}

impl<S: AsyncRead + Unpin> Guard<S> {
    /// Reads what comes into `buf`, counting it and minding the silence; 0 octets is the end.
    fn fill(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<usize>> {
        let before = buf.filled().len();
        match Pin::new(&mut self.inner).poll_read(cx, buf) {
            Poll::Ready(result) => {
                self.read_timer = None;
                result?;
                let octets = buf.filled().len() - before;
                Poll::Ready(match self.count(octets) {
                    Ok(()) => Ok(octets),
                    Err(error) => Err(self.fail(error)),
                })
            }
            Poll::Pending => {
                let Some(silence) = self.limits.silence else {
                    return Poll::Pending;
                };
                let timer = self
                    .read_timer
                    .get_or_insert_with(|| Box::pin(tokio::time::sleep(silence)));
                ready!(timer.as_mut().poll(cx));
                Poll::Ready(Err(self.fail(GuardError::Silence(silence))))
            }
        }
    }

    fn end(&self) -> io::Result<()> {
        if self.is_drained() && !self.within {
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the server hung up in the middle of an answer",
        ))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Some(error) = &this.failed {
            return Poll::Ready(Err(error.clone().into_io()));
        }
        loop {
            // A whole line, handed out before anything else is looked at.
            if this.out_at < this.out.len() {
                hand_out(&this.out, &mut this.out_at, usize::MAX, buf);
                if this.out_at == this.out.len() {
                    this.out = Vec::new();
                    this.out_at = 0;
                }
                return Poll::Ready(Ok(()));
            }
            // A literal passes by as it comes, from what was read already or straight from the peer.
            if this.literal_left > 0 {
                let most = usize::try_from(this.literal_left).unwrap_or(usize::MAX);
                let waiting = this.raw.len() - this.raw_at;
                let moved = if waiting > 0 && this.dropping {
                    let moved = waiting.min(most);
                    this.raw_at += moved;
                    moved
                } else if waiting > 0 {
                    hand_out(&this.raw, &mut this.raw_at, most, buf)
                } else if this.dropping {
                    let mut scrap = [0_u8; 4096];
                    let mut scrap =
                        ReadBuf::new(scrap.get_mut(..most.min(4096)).unwrap_or_default());
                    match ready!(this.fill(cx, &mut scrap))? {
                        0 => return Poll::Ready(this.end()),
                        octets => octets,
                    }
                } else {
                    let room = most.min(buf.remaining());
                    let mut part = ReadBuf::new(buf.initialize_unfilled_to(room));
                    let octets = ready!(this.fill(cx, &mut part))?;
                    if octets == 0 {
                        return Poll::Ready(this.end());
                    }
                    buf.advance(octets);
                    octets
                };
                this.literal_left -= u64::try_from(moved)
                    .unwrap_or(u64::MAX)
                    .min(this.literal_left);
                if this.dropping {
                    continue;
                }
                return Poll::Ready(Ok(()));
            }
            match this.collect() {
                Ok(true) => continue,
                Ok(false) if this.literal_left > 0 => continue,
                Ok(false) => {}
                Err(error) => return Poll::Ready(Err(this.fail(error))),
            }
            // An idle connection holds no buffer.
            this.raw = Vec::new();
            this.raw_at = 0;
            let mut chunk = [0_u8; 4096];
            let mut chunk = ReadBuf::new(&mut chunk);
            if ready!(this.fill(cx, &mut chunk))? == 0 {
                return Poll::Ready(this.end());
            }
            this.raw.extend_from_slice(chunk.filled());
        }
    }
}

/// Copies at most `most` octets of `from[at..]`; returns how many.
fn hand_out(from: &[u8], at: &mut usize, most: usize, buf: &mut ReadBuf<'_>) -> usize {
    let rest = from.get(*at..).unwrap_or_default();
    let octets = rest.len().min(most).min(buf.remaining());
    buf.put_slice(rest.get(..octets).unwrap_or_default());
    *at += octets;
    octets
}

impl<S: AsyncWrite + Unpin> Guard<S> {
    /// Minds how long the peer takes nothing.
    fn paced<T>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.write_timer = None;
            return polled;
        }
        let limit = self.limits.write;
        let timer = self
            .write_timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(self.fail(GuardError::Stuck(limit))))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(cx, buf);
        let octets = ready!(self.paced(cx, polled))?;
        self.counters.sent += u64::try_from(octets).unwrap_or(0);
        Poll::Ready(Ok(octets))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_flush(cx);
        self.paced(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.paced(cx, polled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    fn pair() -> (Guard<DuplexStream>, DuplexStream) {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        (Guard::new(ours), theirs)
    }

    /// What the parser would see of `sent`, and how it ended.
    async fn through(sent: &[u8], limits: Limits) -> (String, Result<(), io::Error>) {
        let (mut guard, mut peer) = pair();
        guard.allow(limits);
        peer.write_all(sent).await.unwrap();
        drop(peer);
        let mut seen = Vec::new();
        let end = guard.read_to_end(&mut seen).await.map(drop);
        (String::from_utf8_lossy(&seen).into_owned(), end)
    }

    #[tokio::test]
    async fn lines_and_literals_pass_unchanged_however_they_are_cut() {
        let said =
            b"* OK hi\r\n* 1 FETCH (UID 7 BODY[] {14}\r\na(((\r\nbc {9}\r\n)\r\nA1 OK done\r\n";
        for cut in 0..said.len() {
            let (mut guard, mut peer) = pair();
            let mut seen = Vec::new();
            let mut buffer = [0; 5];
            for part in [&said[..cut], &said[cut..]] {
                peer.write_all(part).await.unwrap();
                while let Ok(read) =
                    tokio::time::timeout(Duration::ZERO, guard.read(&mut buffer)).await
                {
                    seen.extend_from_slice(&buffer[..read.unwrap()]);
                }
            }
            assert_eq!(
                String::from_utf8_lossy(&seen),
                String::from_utf8_lossy(said),
                "cut at {cut}"
            );
            assert!(guard.is_drained());
        }
    }

    #[tokio::test]
    async fn each_bound_ends_the_stream_with_its_own_error() {
        let limits = Limits {
            bytes: 300_000,
            ..Limits::default()
        };
        let bomb = |text: &str| text.as_bytes().to_vec();
        let cases = [
            // Bad input 1: an endless greeting.
            (vec![b'x'; 70_000], GuardError::Line(65_536)),
            // Bad input 5: literal bombs, and literals without a size.
            (
                bomb("* 1 FETCH (BODY[] {536000000}\r\n"),
                GuardError::Literal(65_536),
            ),
            (
                bomb("* 1 FETCH (BODY[] {4294967296}\r\n"),
                GuardError::Literal(65_536),
            ),
            (
                bomb("* 1 FETCH (BODY[] {99999999999999999999}\r\n"),
                GuardError::Literal(65_536),
            ),
            (
                bomb("* 1 FETCH (BODY[] {-1}\r\n"),
                GuardError::LiteralSize("{-1}".into()),
            ),
            (
                bomb("* 1 FETCH (BODY[] {}\r\n"),
                GuardError::LiteralSize("{}".into()),
            ),
            (
                bomb("* 1 FETCH (BODY[] {10+}\r\n"),
                GuardError::LiteralSize("{10+}".into()),
            ),
            // Bad input 14: parentheses without end.
            (
                format!("* 1 FETCH ({}\r\n", "(".repeat(30)).into_bytes(),
                GuardError::Depth(24),
            ),
            // Bad input 16 and fault 41: lines without end.
            (
                "* LIST () \"/\" a\r\n".repeat(10_001).into_bytes(),
                GuardError::Lines(10_000),
            ),
            (
                format!("* OK {}\r\n", "y".repeat(60_000))
                    .repeat(6)
                    .into_bytes(),
                GuardError::Bytes(300_000),
            ),
        ];
        for (sent, expected) in cases {
            let (_, end) = through(&sent, limits).await;
            assert_eq!(GuardError::inside(&end.unwrap_err()), Some(&expected));
        }
    }

    #[tokio::test]
    async fn an_end_in_the_middle_of_a_line_or_literal_is_no_clean_end() {
        for cut in [
            "* OK hal",
            "* 1 FETCH (BODY[] {10}\r\n12345",
            "* 1 FETCH (BODY[] {2}\r\n12",
            "* 1 FETCH (BODY[] {2}\r\n12)",
        ] {
            let (_, end) = through(cut.as_bytes(), Limits::default()).await;
            assert_eq!(
                end.unwrap_err().kind(),
                io::ErrorKind::UnexpectedEof,
                "{cut}"
            );
        }
        let (seen, end) = through(b"* OK hi\r\n", Limits::default()).await;
        assert!(end.is_ok());
        assert_eq!(seen, "* OK hi\r\n");
    }

    #[tokio::test]
    async fn responses_the_parser_does_not_know_are_kept_from_it_with_their_literals() {
        let said = b"* OK hi\r\n* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n\r\nServer Unavailable. 15\r\n* METADATA x {3}\r\n\xff\r\n)\r\n* 3 EXISTS\r\n";
        let (seen, end) = through(said, Limits::default()).await;
        assert!(end.is_ok());
        assert_eq!(seen, "* OK hi\r\n* 3 EXISTS\r\n");
        let (_, end) = through(b"220 mail.test SMTP\r\n", Limits::default()).await;
        let expected = GuardError::NotImap("220 mail.test SMTP".to_owned());
        assert_eq!(GuardError::inside(&end.unwrap_err()), Some(&expected));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_an_error_where_an_answer_is_awaited_and_none_while_idle() {
        let (mut guard, _peer) = pair();
        let mut buffer = [0; 16];
        let error = guard.read(&mut buffer).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let (mut guard, _peer) = pair();
        guard.allow(Limits {
            silence: None,
            ..Limits::default()
        });
        let idle = tokio::time::timeout(Duration::from_secs(7200), guard.read(&mut buffer)).await;
        assert!(idle.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_window_allows_a_rate_and_refuses_a_flood() {
        let (mut guard, mut peer) = pair();
        guard.allow(Limits {
            lines: 10,
            window: Some(Duration::from_secs(60)),
            silence: None,
            ..Limits::default()
        });
        let mut buffer = [0; 64];
        for _ in 0..50 {
            peer.write_all(b"* OK still here\r\n").await.unwrap();
            assert!(guard.read(&mut buffer).await.unwrap() > 0);
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
        // Bad input 17: an endless chatter.
        let mut end = Ok(1);
        for _ in 0..20 {
            peer.write_all(b"* OK still here\r\n").await.unwrap();
            end = guard.read(&mut buffer).await;
            if end.is_err() {
                break;
            }
        }
        assert_eq!(
            GuardError::inside(&end.unwrap_err()),
            Some(&GuardError::Lines(10))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_is_given_up() {
        let (ours, _peer) = tokio::io::duplex(16);
        let mut guard = Guard::new(ours);
        let error = guard.write_all(&[b'x'; 64]).await.unwrap_err();
        assert!(matches!(
            GuardError::inside(&error),
            Some(GuardError::Stuck(_))
        ));
    }
}
