//! SOCKS 5 as a client: greeting, login, one request (RFC 1928, RFC 1929).
//!
//! Every length that a proxy may send fits one octet, so nothing has to be bounded but the time.

use std::net::IpAddr;

use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::proxy::{Fault, ProxyRefusal};

const VERSION: u8 = 5;
const NO_LOGIN: u8 = 0;
const PASSWORD: u8 = 2;
const NONE_FITS: u8 = 0xff;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// Asks for a connection to `host` (a name, or an address without brackets) and `port`. After `Ok` the
/// next octet read is the target's first. The caller bounds the time; dropping the future is a hang-up
/// in mid-question.
pub(super) async fn connect<S>(
    stream: &mut S,
    host: &str,
    port: u16,
    login: Option<&(String, SecretString)>,
) -> Result<(), Fault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let greeting: &[u8] = match login {
        None => &[VERSION, 1, NO_LOGIN],
        Some(_) => &[VERSION, 2, NO_LOGIN, PASSWORD],
    };
    send(stream, greeting).await?;
    version(stream).await?;
    match (stream.read_u8().await?, login) {
        (NO_LOGIN, _) => {}
        (PASSWORD, Some((user, password))) => {
            log_in(stream, user, password).await?;
        }
        (NONE_FITS, _) => return Err(Fault::Refused(ProxyRefusal::SocksMethods)),
        _ => return Err(Fault::nonsense("a way of logging in that was not offered")),
    }
    send(stream, &request(host, port)?).await?;
    version(stream).await?;
    let reply = stream.read_u8().await?;
    if reply != 0 {
        return Err(Fault::Refused(ProxyRefusal::Socks(reply)));
    }
    let _reserved = stream.read_u8().await?;
    // The address that the proxy bound says nothing to us, but stands before the target's octets.
    let bound = match stream.read_u8().await? {
        IPV4 => 4,
        IPV6 => 16,
        NAME => usize::from(stream.read_u8().await?),
        _ => return Err(Fault::nonsense("an address of an unknown kind")),
    };
    stream.read_exact(&mut vec![0; bound + 2]).await?;
    Ok(())
}

async fn send<S: AsyncWrite + Unpin>(stream: &mut S, octets: &[u8]) -> Result<(), Fault> {
    stream.write_all(octets).await?;
    Ok(stream.flush().await?)
}

async fn version<S: AsyncRead + Unpin>(stream: &mut S) -> Result<(), Fault> {
    match stream.read_u8().await? {
        VERSION => Ok(()),
        _ => Err(Fault::nonsense("something that is no SOCKS 5 answer")),
    }
}

/// One octet for the length of `text`, then the text.
fn with_length(text: &str, into: &mut Vec<u8>) -> Result<(), Fault> {
    let length = u8::try_from(text.len()).map_err(|_| Fault::nonsense("a name without end"))?;
    into.push(length);
    into.extend_from_slice(text.as_bytes());
    Ok(())
}

async fn log_in<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    user: &str,
    password: &SecretString,
) -> Result<(), Fault> {
    let mut octets = vec![1];
    with_length(user, &mut octets)?;
    with_length(password.expose_secret(), &mut octets)?;
    send(stream, &octets).await?;
    // Its version is 1 by the standard and 5 with some proxies; nothing depends on it.
    let _version = stream.read_u8().await?;
    match stream.read_u8().await? {
        0 => Ok(()),
        _ => Err(Fault::Refused(ProxyRefusal::SocksLogin)),
    }
}

fn request(host: &str, port: u16) -> Result<Vec<u8>, Fault> {
    let mut octets = vec![VERSION, CONNECT, 0];
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => {
            octets.push(IPV4);
            octets.extend_from_slice(&ip.octets());
        }
        Ok(IpAddr::V6(ip)) => {
            octets.push(IPV6);
            octets.extend_from_slice(&ip.octets());
        }
        Err(_) => {
            octets.push(NAME);
            with_length(host, &mut octets)?;
        }
    }
    octets.extend_from_slice(&port.to_be_bytes());
    Ok(octets)
}

#[cfg(test)]
#[path = "socks_tests.rs"]
mod tests;
