//! From a host name to an open TCP connection.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::{TcpStream, lookup_host},
    time::{Instant, timeout_at},
};

use super::{
    DialError, DialStep, Net, address, proxy,
    route::{self, Way},
};

/// A silent line is probed after a minute and given up within two.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEPALIVE_PROBES: u32 = 4;
/// Bytes sent and not acknowledged for this long mean a dead line.
const UNACKNOWLEDGED: Duration = Duration::from_secs(120);

impl Net {
    /// Connects to `host` (a name or an address), straight or through a proxy as the settings and
    /// [`Net::via`] say, and sets the socket up: no delay, keepalive, a bound on unacknowledged bytes.
    ///
    /// Straight: the name is resolved here and the first of its addresses that answers is taken, all
    /// within the connect timeout. Through a proxy: that for the proxy's own host, then once more the
    /// connect timeout for its answer; it resolves the target's name.
    ///
    /// Dropping the future gives the attempt up and leaves nothing behind.
    ///
    /// # Errors
    /// Any [`DialError`] but those of TLS.
    pub async fn dial(&self, host: &str, port: u16) -> Result<TcpStream, DialError> {
        let settings = &self.inner.settings;
        let host = host.strip_suffix('.').unwrap_or(host);
        if !address::is_host(host) {
            return Err(DialError::Resolve {
                host: host.escape_debug().take(100).collect(),
                source: io::Error::new(io::ErrorKind::InvalidInput, "no name that a host can have"),
            });
        }
        let Way::Through { proxy, guarded } = route::way(&self.proxy, settings, host) else {
            return self.straight(host, port, true).await;
        };
        // The name is the proxy's to resolve; what means our own machine without a resolver, or the
        // proxy's, is refused all the same.
        if let Some(address) = self.forbidden_literal(host) {
            return Err(DialError::Forbidden {
                host: host.to_owned(),
                address,
            });
        }
        let mut tcp = self
            .straight(proxy.host(), proxy.port(), guarded)
            .await
            .map_err(|source| DialError::ProxyDial {
                proxy: proxy.place(),
                source: Box::new(source),
            })?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        proxy::open(proxy, &mut tcp, bare, port, settings.connect_timeout).await?;
        Ok(tcp)
    }

    async fn straight(&self, host: &str, port: u16, guarded: bool) -> Result<TcpStream, DialError> {
        let deadline = Instant::now() + self.inner.settings.connect_timeout;
        let mut addresses = resolve(host, port, deadline).await?;
        if guarded {
            addresses = self.usable(host, addresses)?;
        }
        let tcp = connect_any(host, port, &addresses, deadline).await?;
        set_up(&tcp).map_err(|source| DialError::Connect {
            host: host.to_owned(),
            port,
            source,
        })?;
        Ok(tcp)
    }

    /// The addresses of a host that may be connected to, for clients that connect by themselves. Bounded
    /// by the connect timeout; dropping the future leaves nothing behind.
    ///
    /// # Errors
    /// [`DialError::Resolve`], [`DialError::Forbidden`] or [`DialError::TimedOut`].
    pub async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, DialError> {
        self.usable(host, self.any_addresses(host, port).await?)
    }

    /// The same without the guard: for a host that the operator named in the settings.
    ///
    /// # Errors
    /// [`DialError::Resolve`] or [`DialError::TimedOut`].
    pub async fn any_addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, DialError> {
        let deadline = Instant::now() + self.inner.settings.connect_timeout;
        resolve(host, port, deadline).await
    }

    /// The forbidden address that a host is or means by its text alone; `None` where it is none, or one
    /// that the operator allowed.
    pub fn forbidden_literal(&self, host: &str) -> Option<IpAddr> {
        address::forbidden_literal(&self.inner.settings.allow_hosts, host)
    }

    fn usable(&self, host: &str, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, DialError> {
        let allow_hosts = &self.inner.settings.allow_hosts;
        let allowed = |at: &&SocketAddr| {
            !(address::is_local(at.ip()) || address::is_own(at.ip()))
                || address::is_allowed(allow_hosts, host, at.ip())
        };
        let usable: Vec<SocketAddr> = found.iter().filter(allowed).copied().collect();
        match found.first() {
            Some(forbidden) if usable.is_empty() => Err(DialError::Forbidden {
                host: host.to_owned(),
                address: forbidden.ip(),
            }),
            _ => Ok(usable),
        }
    }
}

/// The addresses alone.
pub(super) async fn addresses(host: &str, limit: Duration) -> Result<Vec<IpAddr>, DialError> {
    let found = resolve(host, 0, Instant::now() + limit).await?;
    Ok(found.into_iter().map(|at| at.ip()).collect())
}

async fn resolve(host: &str, port: u16, deadline: Instant) -> Result<Vec<SocketAddr>, DialError> {
    // An address needs no resolver; brackets as in URLs are forgiven.
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let failed = |source| DialError::Resolve {
        host: host.to_owned(),
        source,
    };
    match timeout_at(deadline, lookup_host((host, port))).await {
        Err(_elapsed) => Err(DialError::TimedOut {
            host: host.to_owned(),
            port,
            during: DialStep::Resolve,
        }),
        Ok(Err(source)) => Err(failed(source)),
        Ok(Ok(found)) => {
            // More addresses than this is no mail server (I10).
            let found: Vec<SocketAddr> = found.take(16).collect();
            if found.is_empty() {
                return Err(failed(io::Error::other("the name has no address")));
            }
            Ok(found)
        }
    }
}

/// Each address gets an equal share of the time that is left, so that a silent first one cannot eat
/// the time of the others.
async fn connect_any(
    host: &str,
    port: u16,
    addresses: &[SocketAddr],
    deadline: Instant,
) -> Result<TcpStream, DialError> {
    let mut last = None;
    for (tried, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let others = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        match timeout_at(Instant::now() + left / others, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => return Ok(tcp),
            Ok(Err(source)) => last = Some(source),
            Err(_elapsed) => {}
        }
    }
    let host = host.to_owned();
    Err(match last {
        Some(source) => DialError::Connect { host, port, source },
        None => DialError::TimedOut {
            host,
            port,
            during: DialStep::Connect,
        },
    })
}

fn set_up(tcp: &TcpStream) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let socket = SockRef::from(tcp);
    socket.set_tcp_keepalive(
        &TcpKeepalive::new()
            .with_time(KEEPALIVE_IDLE)
            .with_interval(KEEPALIVE_INTERVAL)
            .with_retries(KEEPALIVE_PROBES),
    )?;
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn loopback_is_refused_unless_the_operator_allowed_the_host() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let error = testing::net(&[]).dial("127.0.0.1", port).await.unwrap_err();
        assert!(matches!(error, DialError::Forbidden { .. }), "{error:?}");
        let error = testing::net(&[]).dial("localhost", port).await.unwrap_err();
        assert!(matches!(error, DialError::Forbidden { .. }), "{error:?}");
        for (allow, host) in [
            ("127.0.0.1", "127.0.0.1"),
            ("localhost", "localhost."),
            ("127.0.0.1", "[127.0.0.1]"),
        ] {
            let tcp = testing::net(&[allow]).dial(host, port).await.unwrap();
            assert!(tcp.nodelay().unwrap());
            assert!(SockRef::from(&tcp).keepalive().unwrap());
        }
    }

    #[tokio::test]
    async fn a_closed_port_and_an_unknown_name_are_told_apart() {
        let port = {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            listener.local_addr().unwrap().port()
        };
        let net = testing::net(&["127.0.0.1"]);
        let error = net.dial("127.0.0.1", port).await.unwrap_err();
        assert!(matches!(error, DialError::Connect { .. }), "{error:?}");
        let error = net.dial("no-such-host.invalid", 993).await.unwrap_err();
        assert!(matches!(error, DialError::Resolve { .. }), "{error:?}");
    }

    #[tokio::test]
    async fn the_next_address_is_tried_when_one_refuses() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = listener.local_addr().unwrap();
        let refused = SocketAddr::new("127.0.0.2".parse().unwrap(), good.port());
        let deadline = Instant::now() + Duration::from_secs(10);
        let tcp = connect_any("test", good.port(), &[refused, good], deadline)
            .await
            .unwrap();
        assert_eq!(tcp.peer_addr().unwrap(), good);
    }
}
