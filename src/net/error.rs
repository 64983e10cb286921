//! Why a server was not reached.

use std::{io, net::IpAddr, path::PathBuf};

use crate::model::FailureClass;

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
    /// Shaking hands.
    Tls,
}

impl DialStep {
    /// For log lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resolve => "resolving the name",
            Self::Connect => "connecting",
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
        /// The library's words, at most 200 characters.
        detail: String,
    },
}

impl DialError {
    /// Who acts next.
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Forbidden { .. } => FailureClass::OperatorMustAct,
            Self::Tls { kind, .. } => match kind {
                TlsKind::WrongName | TlsKind::Untrusted | TlsKind::Expired => {
                    FailureClass::OperatorMustAct
                }
                TlsKind::Other => FailureClass::RetryLater,
            },
            // A name that does not resolve may be a resolver that is down: the lane tells the
            // operator, and goes on trying.
            Self::Resolve { .. } | Self::Connect { .. } | Self::TimedOut { .. } => {
                FailureClass::RetryLater
            }
        }
    }
}
