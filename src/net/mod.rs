//! Reach one server: resolve its name, connect, wrap the stream in TLS, and bound what the peer may send.
//!
//! # Promises
//! - Every wait has a bound: resolving and connecting together, and the TLS handshake.
//! - No connection goes to an address of this machine or its link unless the operator allowed that
//!   host: the address that is connected to is checked, not only the name.
//! - Certificates are checked against one shared set of roots, parsed once; TLS 1.2 is the least.
//! - A peer cannot make us buffer more than [`guard::Limits`] says (I10).
//!
//! # When things fail
//! - Everything is a [`DialError`] that says what was being done to whom; its class says who acts.
//! - A certificate that does not fit is told apart: wrong name, untrusted, expired.
//! - A peer that breaks a limit gets its connection closed; see [`guard::GuardError`].
//!
//! # Does not know
//! - What is spoken over the connection (but for IMAP's line and literal shape in [`guard`]), accounts,
//!   retries.
//!
//! # Standards
//! RFC 8314 (TLS for mail access and submission), RFC 6125 (names in certificates), RFC 8446
//! (which version a handshake chose), RFC 3501 §4.3 and
//! RFC 9051 §4.3 (literals).

mod address;
mod dial;
mod environment;
mod error;
pub mod guard;
mod handshake;
mod line;
mod tls;

#[cfg(test)]
pub(crate) mod testing;

use std::{path::PathBuf, sync::Arc, time::Duration};

pub use environment::tls_environment;
pub use error::{DialError, DialStep, NetSetupError, TlsKind};
pub use handshake::{Certificate, Handshake, Watched};
pub use tls::TlsStream;

/// What the network part has to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// PEM bundle of the certificate authorities that are trusted.
    pub ca_file: PathBuf,
    /// Bound of resolving and connecting together, over all addresses of a host.
    pub connect_timeout: Duration,
    /// Bound of a TLS handshake.
    pub tls_timeout: Duration,
    /// Host names or addresses that may be on this machine or its link.
    pub allow_hosts: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ca_file: PathBuf::from("/etc/ssl/certs/ca-certificates.crt"),
            connect_timeout: Duration::from_secs(30),
            tls_timeout: Duration::from_secs(30),
            allow_hosts: Vec::new(),
        }
    }
}

/// The way out: cheap to clone, one for the whole process.
#[derive(Clone)]
pub struct Net(Arc<Inner>);

struct Inner {
    settings: Settings,
    roots: Vec<native_tls::Certificate>,
    connectors: tls::Connectors,
}

impl Net {
    /// Reads and parses the bundle of roots, once.
    ///
    /// # Errors
    /// The bundle cannot be read, or holds no certificate.
    pub fn new(settings: &Settings) -> Result<Self, NetSetupError> {
        let roots = tls::read_roots(&settings.ca_file)?;
        Ok(Self(Arc::new(Inner {
            settings: settings.clone(),
            connectors: tls::Connectors::new(&roots),
            roots,
        })))
    }

    /// The addresses of a host, at most 16, whether or not they may be connected to. Bounded by
    /// [`Settings::connect_timeout`]; may be dropped at any time.
    ///
    /// # Errors
    /// [`DialError::Resolve`] or [`DialError::TimedOut`].
    pub async fn resolve(&self, host: &str) -> Result<Vec<std::net::IpAddr>, DialError> {
        dial::addresses(host, self.0.settings.connect_timeout).await
    }

    /// The trusted roots, for whoever brings its own TLS (the HTTP client).
    pub fn roots(&self) -> &[native_tls::Certificate] {
        &self.0.roots
    }
}

impl std::fmt::Debug for Net {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Net")
            .field("settings", &self.0.settings)
            .field("roots", &self.0.roots.len())
            .finish()
    }
}
