//! Why a server was not reached.

use std::{io, net::IpAddr, path::PathBuf};

use super::{Handshake, ProxyRefusal};
use crate::model::{FailureClass, Fingerprint};

/// The network part cannot start.
#[derive(Debug, thiserror::Error)]
pub enum NetSetupError {
    /// A file or directory could not be read or made.
    #[error("cannot use {path}")]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The bundle holds no certificate, or something that is none.
    #[error("{path} is no bundle of certificates in PEM form: {detail}")]
    Bundle {
        /// The bundle.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
}

/// What was being done when the time was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DialStep {
    /// Asking the resolver for addresses.
    Resolve,
    /// Opening the TCP connection.
    Connect,
    /// Waiting for a proxy's answer.
    Proxy,
    /// Shaking hands.
    Tls,
}

impl DialStep {
    /// For log lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resolve => "resolving the name",
            Self::Connect => "connecting",
            Self::Proxy => "the talk with the proxy",
            Self::Tls => "the tls handshake",
        }
    }
}

impl std::fmt::Display for DialStep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is wrong with a TLS handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsKind {
    /// The certificate is for another name.
    WrongName,
    /// The certificate's issuer is not trusted here (or it signed itself).
    Untrusted,
    /// The certificate's time is over or has not come.
    Expired,
    /// Anything else: no TLS at that port, only old versions, the peer hung up.
    Other,
}

/// Why no usable connection to a server came about.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The name has no address.
    #[error("cannot resolve {host}")]
    Resolve {
        /// The name.
        host: String,
        /// The resolver's words.
        #[source]
        source: io::Error,
    },
    /// The name leads to this machine or its link and the operator did not allow that.
    #[error("{host} leads to {address}, an address that is not allowed")]
    Forbidden {
        /// The name.
        host: String,
        /// Where it leads.
        address: IpAddr,
    },
    /// No address took the connection; the last one's reason.
    #[error("cannot connect to {host}:{port}")]
    Connect {
        /// The name.
        host: String,
        /// The port.
        port: u16,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The time was over.
    #[error("{host}:{port} gave no answer in time during {during}")]
    TimedOut {
        /// The name.
        host: String,
        /// The port; 0 where it was not known.
        port: u16,
        /// What was being done.
        during: DialStep,
    },
    /// The handshake failed.
    #[error("no safe connection to {host}: {detail}")]
    Tls {
        /// The name that was asked for.
        host: String,
        /// What is wrong.
        kind: TlsKind,
        /// The library's words, at most 200 characters, and the fingerprint of a refused certificate
        /// where it could be had.
        detail: String,
        /// What the server showed, where a refused certificate could be had.
        shown: Option<Box<Handshake>>,
    },
    /// The certificate is none of the account's pinned ones.
    #[error("the certificate of {host} is not a pinned one: its sha-256 fingerprint is {seen}")]
    Pin {
        /// The name that was asked for.
        host: String,
        /// The fingerprint of what the server showed.
        seen: Fingerprint,
        /// The rest of what it showed.
        shown: Box<Handshake>,
    },
    /// The account's own authorities cannot be read as certificates.
    #[error("the authorities entered for {host} are no certificates: {detail}")]
    Authorities {
        /// The server.
        host: String,
        /// What is wrong with them.
        detail: String,
    },
    /// The proxy was not reached.
    #[error("cannot reach the proxy {proxy}")]
    ProxyDial {
        /// The proxy's host and port.
        proxy: String,
        /// What happened.
        #[source]
        source: Box<DialError>,
    },
    /// The proxy answered, and opens no connection to the target.
    #[error("the proxy {proxy} opens no connection to {target}: {refusal}")]
    ProxyRefused {
        /// The proxy's host and port.
        proxy: String,
        /// The target's host and port.
        target: String,
        /// Its words.
        refusal: ProxyRefusal,
    },
    /// What answered speaks another protocol than the proxy should.
    #[error("{proxy} does not answer as a proxy: it sent {what}")]
    ProxyNonsense {
        /// The proxy's host and port.
        proxy: String,
        /// What came.
        what: &'static str,
    },
    /// The line to the proxy broke before it had answered.
    #[error("the proxy {proxy} hung up without an answer")]
    ProxyBroken {
        /// The proxy's host and port.
        proxy: String,
        /// How.
        #[source]
        source: io::Error,
    },
}

impl DialError {
    /// Who acts next.
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Forbidden { .. } | Self::Pin { .. } | Self::Authorities { .. } => {
                FailureClass::OperatorMustAct
            }
            Self::ProxyDial { source, .. } => source.class(),
            Self::ProxyRefused { refusal, .. } if refusal.is_lasting() => {
                FailureClass::OperatorMustAct
            }
            Self::Tls { kind, .. } => match kind {
                TlsKind::WrongName | TlsKind::Untrusted | TlsKind::Expired => {
                    FailureClass::OperatorMustAct
                }
                TlsKind::Other => FailureClass::RetryLater,
            },
            // A name that does not resolve may be a resolver that is down: the lane tells the
            // operator, and goes on trying.
            Self::Resolve { .. }
            | Self::Connect { .. }
            | Self::TimedOut { .. }
            | Self::ProxyRefused { .. }
            | Self::ProxyNonsense { .. }
            | Self::ProxyBroken { .. } => FailureClass::RetryLater,
        }
    }

    /// True where the server's certificate was refused: whoever is to mend that has to know what it showed.
    pub fn is_about_certificate(&self) -> bool {
        match self {
            Self::Tls { kind, .. } => *kind != TlsKind::Other,
            _ => false,
        }
    }

    /// The handshake of a server whose certificate was refused, where it could be had.
    pub fn shown(&self) -> Option<&Handshake> {
        match self {
            Self::Tls { shown, .. } => shown.as_deref(),
            Self::Pin { shown, .. } => Some(shown),
            _ => None,
        }
    }

    /// A refused certificate's error with its fingerprint and what else it showed, as `look` has found it: a
    /// handshake with no pin at all, which ends in [`DialError::Pin`].
    #[must_use]
    pub fn with_look(self, look: Option<Self>) -> Self {
        match (self, look) {
            (
                Self::Tls {
                    host, kind, detail, ..
                },
                Some(Self::Pin { seen, shown, .. }),
            ) => Self::Tls {
                host,
                kind,
                detail: format!("{detail}; its sha-256 fingerprint is {seen}"),
                shown: Some(shown),
            },
            (error, _) => error,
        }
    }

    /// True where the network between here and the server (its name, the proxy) did not work, and
    /// the server itself may be well.
    pub fn is_network(&self) -> bool {
        matches!(
            self,
            Self::Resolve { .. }
                | Self::Connect { .. }
                | Self::ProxyDial { .. }
                | Self::ProxyBroken { .. }
        )
    }
}
