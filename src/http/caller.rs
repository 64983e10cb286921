//! Who is at the other end of a connection: a sign-in is finished only by who began it.

use std::convert::Infallible;

use axum::{extract::FromRequestParts, http::request::Parts};
use tokio::net::{TcpStream, UnixStream};

/// A connection that may know its peer.
pub trait Peer {
    /// Who called, in a word that stays the same for the same caller; `None` where nobody knows.
    fn peer(&self) -> Option<String>;
}

impl Peer for UnixStream {
    /// The user of the calling process, from the kernel (SO_PEERCRED, unix(7)).
    fn peer(&self) -> Option<String> {
        let credentials = self.peer_cred().ok()?;
        Some(format!("uid {}", credentials.uid()))
    }
}

impl Peer for TcpStream {
    /// An address proves nothing.
    fn peer(&self) -> Option<String> {
        None
    }
}

#[cfg(test)]
impl Peer for tokio::io::DuplexStream {
    fn peer(&self) -> Option<String> {
        None
    }
}

/// Who a request comes from.
#[derive(Clone, Debug)]
pub(super) struct Caller(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let known = parts.extensions.get::<Self>().cloned();
        Ok(known.unwrap_or_else(|| Self("socket".to_owned())))
    }
}
