//! From a server's address to an encrypted line, with STARTTLS where that is configured.

use std::future::Future;

use tokio::io::{AsyncRead, AsyncWrite};

use super::{DialError, Handshake, Net, TlsStream};
use crate::model::{Server, TlsMode, TlsVerify};

/// Anything that a mail protocol can be spoken over.
pub trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Transport for S {}

/// A line on which TLS stands.
pub type Encrypted = TlsStream<Box<dyn Transport>>;

/// Why there is none: the server was not reached in safety, or what was said in clear text failed.
enum Missed<E> {
    Dial(DialError),
    InClear(E),
}

impl<E> From<DialError> for Missed<E> {
    fn from(error: DialError) -> Self {
        Self::Dial(error)
    }
}

impl Net {
    /// Dials `server` and makes TLS; where [`TlsMode::StartTls`] is configured `in_clear` speaks up to
    /// the server's go-ahead and gives the bare stream back. `note` hears what happens, for people.
    ///
    /// A refused certificate's error holds its fingerprint, names and dates: who is to mend that has to know them.
    /// The TLS library forgets a certificate that it refuses, so a second connection finds them, after the first is
    /// closed; it ends with its handshake, and nothing secret is said on it. Dropping the future hangs up.
    ///
    /// # Errors
    /// Any [`DialError`], and those of `in_clear`.
    pub async fn encrypted<E, F>(
        &self,
        server: &Server,
        in_clear: impl Fn(Box<dyn Transport>) -> F,
        note: impl Fn(&str),
    ) -> Result<(Encrypted, Handshake), E>
    where
        E: From<DialError>,
        F: Future<Output = Result<Box<dyn Transport>, E>>,
    {
        note(&format!("connecting to {}:{}", server.host, server.port));
        match self.shaken(server, &server.verify, &in_clear).await {
            Ok(mut tls) => {
                note("TLS stands");
                let handshake = Handshake::take(&mut tls);
                Ok((tls, handshake))
            }
            Err(Missed::Dial(error)) if error.is_about_certificate() => {
                let none = TlsVerify::Pinned(Vec::new());
                let look = self.shaken(server, &none, &in_clear).await.err();
                let look = match look {
                    Some(Missed::Dial(look)) => Some(look),
                    _ => None,
                };
                Err(error.with_look(look).into())
            }
            Err(Missed::Dial(error)) => Err(error.into()),
            Err(Missed::InClear(error)) => Err(error),
        }
    }

    async fn shaken<E, F>(
        &self,
        server: &Server,
        verify: &TlsVerify,
        in_clear: impl Fn(Box<dyn Transport>) -> F,
    ) -> Result<Encrypted, Missed<E>>
    where
        F: Future<Output = Result<Box<dyn Transport>, E>>,
    {
        let tcp: Box<dyn Transport> = Box::new(self.dial(&server.host, server.port).await?);
        let stream = match server.tls {
            TlsMode::Tls => tcp,
            TlsMode::StartTls => in_clear(tcp).await.map_err(Missed::InClear)?,
        };
        Ok(self.tls(&server.host, verify, stream).await?)
    }
}
