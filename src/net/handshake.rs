//! What a TLS handshake showed: the protocol version and the server's certificate.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use openssl::{
    asn1::{Asn1Time, Asn1TimeRef},
    nid::Nid,
    x509::{X509, X509NameRef},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::model::Timestamp;

/// The server's first octets that are looked at: its hello is about a hundred long.
const HEAD: usize = 512;
/// Characters of a name out of a certificate that are kept.
const NAME: usize = 200;

/// What a handshake showed. Facts for people; nothing is decided by them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handshake {
    /// `TLS 1.2` or `TLS 1.3`; `None` where the server's hello was not understood.
    pub version: Option<&'static str>,
    /// The certificate that the server showed; `None` where it cannot be read.
    pub certificate: Option<Certificate>,
}

/// A server's own certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Common name, or the whole subject; at most 200 characters, no control characters.
    pub subject: String,
    /// The issuer's organisation and common name, in the same shape.
    pub issuer: String,
    /// The DNS names that it is for, at most ten.
    pub names: Vec<String>,
    /// Valid from then on.
    pub not_before: Timestamp,
    /// Valid until then.
    pub not_after: Timestamp,
}

impl Handshake {
    /// What the handshake of this stream showed. The version is told once: its octets are forgotten.
    pub fn take<S>(tls: &mut super::TlsStream<S>) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let der = tls
            .peer_certificate()
            .ok()
            .flatten()
            .and_then(|certificate| certificate.to_der().ok());
        Self {
            version: version(&tls.get_mut().take_head()),
            certificate: der.as_deref().and_then(certificate),
        }
    }
}

fn certificate(der: &[u8]) -> Option<Certificate> {
    let x509 = X509::from_der(der).ok()?;
    let names = x509.subject_alt_names();
    Some(Certificate {
        subject: name(x509.subject_name(), &[Nid::COMMONNAME]),
        issuer: name(
            x509.issuer_name(),
            &[Nid::ORGANIZATIONNAME, Nid::COMMONNAME],
        ),
        names: names
            .iter()
            .flatten()
            .filter_map(|one| one.dnsname())
            .map(clean)
            .take(10)
            .collect(),
        not_before: time(x509.not_before())?,
        not_after: time(x509.not_after())?,
    })
}

/// The wanted parts of a name, or all of it where it has none of them.
fn name(name: &X509NameRef, wanted: &[Nid]) -> String {
    let part = |nid: &Nid| {
        let entry = name.entries_by_nid(*nid).next()?;
        entry.data().to_string().ok()
    };
    let mut parts: Vec<String> = wanted.iter().filter_map(part).collect();
    if parts.is_empty() {
        parts = name
            .entries()
            .filter_map(|entry| entry.data().to_string().ok())
            .collect();
    }
    parts.dedup();
    clean(&parts.join(", "))
}

fn clean(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(NAME)
        .collect()
}

fn time(time: &Asn1TimeRef) -> Option<Timestamp> {
    let since = Asn1Time::from_unix(0).ok()?.diff(time).ok()?;
    let seconds = i64::from(since.days) * 86_400 + i64::from(since.secs);
    Some(Timestamp::from_millis(seconds.saturating_mul(1000)))
}

/// A stream whose first received octets are kept, since the TLS library does not tell the version.
#[derive(Debug)]
pub struct Watched<S> {
    stream: S,
    head: Vec<u8>,
    /// How much more is kept.
    room: usize,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            head: Vec::new(),
            room: HEAD,
        }
    }

    /// The first octets; nothing more is kept from here on.
    fn take_head(&mut self) -> Vec<u8> {
        self.room = 0;
        std::mem::take(&mut self.head)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if self.room > 0 {
            let read = buffer.filled().get(before..).unwrap_or_default();
            let kept = read.get(..read.len().min(self.room)).unwrap_or_default();
            self.head.extend_from_slice(kept);
            self.room -= kept.len();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The version that a server's hello chooses: RFC 8446 §4.2.1 puts it into an extension, before that
/// it stood at the front.
fn version(head: &[u8]) -> Option<&'static str> {
    let mut rest = Octets(head);
    // Record: type 22 (handshake), version, length. Handshake: type 2 (server hello), length.
    if rest.number(1)? != 22 {
        return None;
    }
    rest.skip(4)?;
    if rest.number(1)? != 2 {
        return None;
    }
    rest.skip(3)?;
    let legacy = rest.number(2)?;
    rest.skip(32)?;
    let session = rest.number(1)?;
    rest.skip(session)?;
    // Cipher suite and compression.
    rest.skip(3)?;
    let mut left = rest.number(2).unwrap_or(0);
    while left >= 4 {
        let (kind, length) = (rest.number(2)?, rest.number(2)?);
        if kind == 43 {
            return word(rest.number(2)?);
        }
        rest.skip(length)?;
        left = left.saturating_sub(length.saturating_add(4));
    }
    word(legacy)
}

fn word(version: usize) -> Option<&'static str> {
    match version {
        0x0303 => Some("TLS 1.2"),
        0x0304 => Some("TLS 1.3"),
        _ => None,
    }
}

/// Big-endian numbers off the front of some octets.
struct Octets<'a>(&'a [u8]);

impl Octets<'_> {
    fn number(&mut self, octets: usize) -> Option<usize> {
        let (number, rest) = self.0.split_at_checked(octets)?;
        self.0 = rest;
        Some(
            number
                .iter()
                .fold(0, |sum, octet| sum << 8 | usize::from(*octet)),
        )
    }

    fn skip(&mut self, octets: usize) -> Option<()> {
        self.0 = self.0.get(octets..)?;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_a_server_hello_and_from_nothing_else() {
        let hello = |legacy: u8, extensions: &[u8]| {
            let mut octets = vec![22, 3, 3, 0, 0, 2, 0, 0, 0, 3, legacy];
            octets.extend_from_slice(&[7; 32]);
            octets.extend_from_slice(&[2, 1, 1, 0x13, 1, 0]);
            octets.extend_from_slice(&u16::try_from(extensions.len()).unwrap().to_be_bytes());
            octets.extend_from_slice(extensions);
            octets
        };
        let share = [0, 51, 0, 3, 1, 2, 3];
        let chosen = [0, 43, 0, 2, 3, 4];
        for (octets, expected) in [
            (
                hello(3, &[share.as_slice(), &chosen].concat()),
                Some("TLS 1.3"),
            ),
            (hello(3, &chosen), Some("TLS 1.3")),
            (hello(3, &share), Some("TLS 1.2")),
            (hello(3, &[]), Some("TLS 1.2")),
            (hello(1, &[]), None),
            // An alert, plain text, and a hello that was cut short anywhere.
            (vec![21, 3, 3, 0, 2, 2, 40], None),
            (b"* OK ready\r\n".to_vec(), None),
            (Vec::new(), None),
        ] {
            assert_eq!(version(&octets), expected, "{octets:?}");
        }
        let whole = hello(3, &chosen);
        for end in 0..whole.len() - 8 {
            assert_eq!(version(&whole[..end]), None, "{end}");
        }
    }
}
