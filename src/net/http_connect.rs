//! HTTP's CONNECT as a client: one question, one answer (RFC 9110 §9.3.6).

use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::proxy::{Fault, ProxyRefusal};

/// Octets of all heads of an answer together.
const HEAD: usize = 8 * 1024;
/// Characters of the status line's words that are kept.
const WORDS: usize = 200;

/// Asks for a tunnel to `target` (`host:port`, checked by the caller). After `Ok` the next octet read
/// is the target's first. The caller bounds the time; dropping the future is a hang-up in mid-question.
pub(super) async fn connect<S>(
    stream: &mut S,
    target: &str,
    login: Option<&(String, SecretString)>,
) -> Result<(), Fault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut question = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
    if let Some((user, password)) = login {
        // RFC 7617: octets of user, colon, password in Base64.
        let pair = STANDARD.encode(format!("{user}:{}", password.expose_secret()));
        question.push_str(&format!("Proxy-Authorization: Basic {pair}\r\n"));
    }
    question.push_str("\r\n");
    stream.write_all(question.as_bytes()).await?;
    stream.flush().await?;
    let mut left = HEAD;
    loop {
        let (status, words) = status_line(&head(stream, &mut left).await?)?;
        match status {
            // Interim answers come before the real one (RFC 9110 §15.2).
            100..=199 => {}
            200..=299 => return Ok(()),
            _ => return Err(Fault::Refused(ProxyRefusal::Http { status, words })),
        }
    }
}

/// One head up to its empty line, octet by octet: what follows belongs to the target.
async fn head<S: AsyncRead + Unpin>(stream: &mut S, left: &mut usize) -> Result<Vec<u8>, Fault> {
    const BEGIN: &[u8] = b"HTTP/1.";
    let mut head = Vec::new();
    loop {
        if *left == 0 {
            return Err(Fault::nonsense("an answer of more than 8 KiB"));
        }
        head.push(stream.read_u8().await?);
        *left -= 1;
        // Whatever is no HTTP is known at once, before it has to come to an end.
        if head.iter().zip(BEGIN).any(|(is, should)| is != should) {
            return Err(Fault::nonsense("something that is no HTTP answer"));
        }
        if head.ends_with(b"\n\r\n") || head.ends_with(b"\n\n") {
            return Ok(head);
        }
    }
}

/// Status and words of the first line (RFC 9112 §4).
fn status_line(head: &[u8]) -> Result<(u16, String), Fault> {
    let line = head.split(|octet| *octet == b'\n').next().unwrap_or(head);
    let line = String::from_utf8_lossy(line);
    let mut parts = line.trim_end().splitn(3, ' ');
    let (_version, status) = (parts.next(), parts.next().unwrap_or_default());
    let digits = status.len() == 3 && status.bytes().all(|b| b.is_ascii_digit());
    match status.parse() {
        Ok(status @ 100..=599) if digits => {
            let words = parts.next().unwrap_or_default().chars();
            let words = words.map(|c| if c.is_control() { ' ' } else { c });
            Ok((status, words.take(WORDS).collect()))
        }
        _ => Err(Fault::nonsense("a status line without a status")),
    }
}

#[cfg(test)]
#[path = "http_connect_tests.rs"]
mod tests;
