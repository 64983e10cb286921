//! Through a proxy to a target: what the two protocols have in common.

use std::{fmt, io};

use tokio::{
    net::TcpStream,
    time::{Duration, timeout},
};

use super::{DialError, DialStep, http_connect, socks};
use crate::model::{Proxy, ProxyScheme};

/// How a proxy says that it does not open the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProxyRefusal {
    /// An HTTP status other than 2xx, with the words of the status line: at most 200 characters,
    /// none of them a control character.
    Http {
        /// The status, 300..=599.
        status: u16,
        /// The proxy's words; may be empty.
        words: String,
    },
    /// A SOCKS 5 reply other than 0 (RFC 1928 §6).
    Socks(u8),
    /// SOCKS 5: the user name or password is wrong (RFC 1929 §2).
    SocksLogin,
    /// SOCKS 5: no way of logging in that we offered suits it: usually it wants a password.
    SocksMethods,
}

impl ProxyRefusal {
    /// True where another user name or password is needed.
    pub fn wants_login(&self) -> bool {
        matches!(
            self,
            Self::Http { status: 407, .. } | Self::SocksLogin | Self::SocksMethods
        )
    }

    /// True where only somebody who changes settings can help: the proxy's rules, a wrong login, a
    /// proxy that opens no connections at all. Otherwise the target or the proxy may come back by itself.
    pub fn is_lasting(&self) -> bool {
        match self {
            // 408 and 429 are about time.
            Self::Http { status, .. } => {
                (400..500).contains(status) && !matches!(status, 408 | 429)
                    || matches!(status, 300..400 | 501 | 505)
            }
            Self::Socks(reply) => matches!(reply, 2 | 7 | 8),
            Self::SocksLogin | Self::SocksMethods => true,
        }
    }
}

/// The words of RFC 1928 §6.
fn socks_words(reply: u8) -> &'static str {
    match reply {
        1 => "general failure of the proxy",
        2 => "not allowed by the proxy's rules",
        3 => "network unreachable",
        4 => "host unreachable",
        5 => "connection refused",
        6 => "time to live expired",
        7 => "command not supported",
        8 => "address type not supported",
        _ => "unknown",
    }
}

impl fmt::Display for ProxyRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http { status, words } => f.write_str(format!("{status} {words}").trim_end()),
            Self::Socks(reply) => write!(f, "socks reply {reply}, {}", socks_words(*reply)),
            Self::SocksLogin => f.write_str("the user name or password is wrong"),
            Self::SocksMethods => f.write_str("none of the ways of logging in suits it"),
        }
    }
}

/// What went wrong in the talk with a proxy.
#[derive(Debug)]
pub(super) enum Fault {
    Refused(ProxyRefusal),
    Nonsense(&'static str),
    Broken(io::Error),
}

impl Fault {
    pub(super) fn nonsense(what: &'static str) -> Self {
        Self::Nonsense(what)
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

/// Has `proxy`, at the other end of `stream`, open a connection to `host` and `port`. The whole talk has
/// to be over within `bound`. The host must be a plain name or address: nothing in it is escaped.
pub(super) async fn open(
    proxy: &Proxy,
    stream: &mut TcpStream,
    host: &str,
    port: u16,
    bound: Duration,
) -> Result<(), DialError> {
    let target = match host.parse::<std::net::Ipv6Addr>() {
        Ok(ip) => format!("[{ip}]:{port}"),
        Err(_) => format!("{host}:{port}"),
    };
    let login = proxy.login();
    let talk = async {
        match proxy.scheme() {
            ProxyScheme::Http => http_connect::connect(stream, &target, login.as_ref()).await,
            ProxyScheme::Socks5 => socks::connect(stream, host, port, login.as_ref()).await,
        }
    };
    let fault = match timeout(bound, talk).await {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(fault)) => fault,
        Err(_elapsed) => {
            return Err(DialError::TimedOut {
                host: proxy.host().to_owned(),
                port: proxy.port(),
                during: DialStep::Proxy,
            });
        }
    };
    let proxy = proxy.place();
    Err(match fault {
        Fault::Refused(refusal) => DialError::ProxyRefused {
            proxy,
            target,
            refusal,
        },
        Fault::Nonsense(what) => DialError::ProxyNonsense { proxy, what },
        Fault::Broken(source) => DialError::ProxyBroken { proxy, source },
    })
}

#[cfg(test)]
#[path = "proxy_tests.rs"]
mod tests;
