//! Reach one server: resolve its name, connect (straight or through a proxy), wrap the stream in TLS,
//! and bound what the peer may send.
//!
//! # Promises
//! - Every wait has a bound: resolving and connecting together, a proxy's answer, the TLS handshake.
//! - No connection goes to an address of this machine (of any interface) or its link unless the operator allowed that
//!   host: the address that is connected to is checked, not only the name. A proxy resolves the
//!   target's name itself; texts that mean this machine or its link without a resolver are refused
//!   all the same. The proxy of the settings may be anywhere, one that an account names is guarded.
//! - Certificates are checked against one shared set of roots, parsed once, or as the account says:
//!   its own authorities, pinned certificates, none at all. TLS 1.2 is the least.
//! - A peer cannot make us buffer more than [`guard::Limits`] says (I10).
//!
//! # When things fail
//! - Everything is a [`DialError`] that says what was being done to whom; its class says who acts.
//! - A certificate that does not fit is told apart: wrong name, untrusted, expired, not the pinned one.
//! - A proxy that is not reached, refuses, answers nonsense or hangs up is told apart from the target.
//! - A peer that breaks a limit gets its connection closed; see [`guard::GuardError`].
//!
//! # Does not know
//! - What is spoken over the connection (but for IMAP's line and literal shape in [`guard`]), accounts,
//!   retries.
//!
//! # Standards
//! RFC 8314 (TLS for mail access and submission), RFC 6125 (names in certificates), RFC 8446 (which
//! version a handshake chose), RFC 3501 §4.3 and
//! RFC 9051 §4.3 (literals), RFC 9110 §9.3.6 and RFC 7617 (proxies by HTTP), RFC 1928 and RFC 1929
//! (SOCKS 5).

mod address;
mod dial;
mod encrypted;
mod environment;
mod error;
pub mod guard;
mod handshake;
mod http_connect;
mod line;
mod proxy;
mod route;
mod socks;
mod tls;

#[cfg(test)]
pub(crate) mod testing;

use std::{path::PathBuf, sync::Arc, time::Duration};

use crate::model::{Proxy, ProxyChoice};

pub use address::is_host;
pub use encrypted::{Encrypted, Transport};
pub use environment::tls_environment;
pub use error::{DialError, DialStep, NetSetupError, TlsKind};
pub use handshake::{Certificate, Handshake, Watched};
pub use proxy::ProxyRefusal;
pub use tls::{TlsStream, check_authorities};

/// What the network part has to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// PEM bundle of the certificate authorities that are trusted.
    pub ca_file: PathBuf,
    /// Bound of resolving and connecting together, over all addresses of a host; and of a proxy's
    /// answer.
    pub connect_timeout: Duration,
    /// Bound of a TLS handshake.
    pub tls_timeout: Duration,
    /// Host names or addresses that may be on this machine or its link.
    pub allow_hosts: Vec<String>,
    /// The proxy of every account that does not say otherwise; it may be on this machine.
    pub mail_proxy: Option<Proxy>,
    /// Hosts, domains (with all below them), addresses and networks that `mail_proxy` is not used for; this
    /// machine itself never needs to be named.
    pub no_proxy: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ca_file: PathBuf::from("/etc/ssl/certs/ca-certificates.crt"),
            connect_timeout: Duration::from_secs(30),
            tls_timeout: Duration::from_secs(30),
            allow_hosts: Vec::new(),
            mail_proxy: None,
            no_proxy: Vec::new(),
        }
    }
}

/// The way out: cheap to clone, one for the whole process, and one derived from it for each account.
#[derive(Clone)]
pub struct Net {
    inner: Arc<Inner>,
    proxy: ProxyChoice,
}

struct Inner {
    settings: Settings,
    roots: Vec<native_tls::Certificate>,
    connectors: tls::Connectors,
}

/// Where a host is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// At these addresses, at most 16.
    Addresses(Vec<std::net::IpAddr>),
    /// Wherever this proxy (host and port) finds it.
    BehindProxy(String),
}

impl Net {
    /// Reads and parses the bundle of roots, once.
    ///
    /// # Errors
    /// The bundle cannot be read, or holds no certificate.
    pub fn new(settings: &Settings) -> Result<Self, NetSetupError> {
        let roots = tls::read_roots(&settings.ca_file)?;
        let inner = Arc::new(Inner {
            settings: settings.clone(),
            connectors: tls::Connectors::new(&roots),
            roots,
        });
        Ok(Self {
            inner,
            proxy: ProxyChoice::Process,
        })
    }

    /// The same with an account's choice of proxy.
    #[must_use]
    pub fn via(&self, proxy: &ProxyChoice) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            proxy: proxy.clone(),
        }
    }

    /// Where a host is looked for, without connecting: its addresses, whether or not they may be connected
    /// to, or the proxy that resolves its name. Bounded by [`Settings::connect_timeout`]; may be dropped at
    /// any time.
    ///
    /// # Errors
    /// [`DialError::Resolve`] or [`DialError::TimedOut`].
    pub async fn locate(&self, host: &str) -> Result<Place, DialError> {
        let settings = &self.inner.settings;
        let host = host.strip_suffix('.').unwrap_or(host);
        match route::way(&self.proxy, settings, host) {
            route::Way::Through { proxy, .. } => Ok(Place::BehindProxy(proxy.place())),
            route::Way::Direct => dial::addresses(host, settings.connect_timeout)
                .await
                .map(Place::Addresses),
        }
    }

    /// The trusted roots, for whoever brings its own TLS (the HTTP client).
    pub fn roots(&self) -> &[native_tls::Certificate] {
        &self.inner.roots
    }
}

impl std::fmt::Debug for Net {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Net")
            .field("settings", &self.inner.settings)
            .field("proxy", &self.proxy)
            .field("roots", &self.inner.roots.len())
            .finish()
    }
}
