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

use super::{DialError, DialStep, Net, address};

/// A silent line is probed after a minute and given up within two.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEPALIVE_PROBES: u32 = 4;
/// Bytes sent and not acknowledged for this long mean a dead line.
const UNACKNOWLEDGED: Duration = Duration::from_secs(120);

impl Net {
    /// Resolves `host` (a name or an address), connects to the first of its addresses that answers,
    /// and sets up the socket: no delay, keepalive, a bound on unacknowledged bytes.
    ///
    /// Dropping the future gives the attempt up and leaves nothing behind.
    ///
    /// # Errors
    /// Any [`DialError`] but `Tls`.
    pub async fn dial(&self, host: &str, port: u16) -> Result<TcpStream, DialError> {
        let settings = &self.0.settings;
        let deadline = Instant::now() + settings.connect_timeout;
        let host = host.strip_suffix('.').unwrap_or(host);
        let addresses = resolve(host, port, deadline).await?;
        let allowed = |at: &&SocketAddr| {
            !address::is_local(at.ip()) || address::is_allowed(&settings.allow_hosts, host, at.ip())
        };
        let usable: Vec<SocketAddr> = addresses.iter().filter(allowed).copied().collect();
        if let (true, Some(forbidden)) = (usable.is_empty(), addresses.first()) {
            return Err(DialError::Forbidden {
                host: host.to_owned(),
                address: forbidden.ip(),
            });
        }
        let tcp = connect_any(host, port, &usable, deadline).await?;
        set_up(&tcp).map_err(|source| DialError::Connect {
            host: host.to_owned(),
            port,
            source,
        })?;
        Ok(tcp)
    }
}

/// The addresses alone.
pub(super) async fn addresses(host: &str, limit: Duration) -> Result<Vec<IpAddr>, DialError> {
    let host = host.strip_suffix('.').unwrap_or(host);
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
