//! From nothing to a line that is safe to log in on.

use std::{str::FromStr, time::Duration};

use lettre::transport::smtp::{client::AsyncSmtpConnection, extension::ClientId};
use tokio::time::timeout;

use super::{
    Line, Reply, Settings,
    error::{SmtpError, Verb},
    keywords::Keywords,
    wire::{Shared, Wire},
};
use crate::{
    model::{Server, TlsMode},
    net::{Net, Transport},
    transcript::{Protocol, Recorder, Tap},
};

/// Dials, makes TLS (at once or by STARTTLS), reads the greeting and says EHLO. Every step is bounded.
/// What is said is kept by `recorder`, inside TLS. Cancel-safe: dropping it closes the connection.
///
/// # Errors
/// The server was not reached, its certificate is not good, it refused, or it does not offer STARTTLS
/// where that is configured. Nothing but EHLO and STARTTLS is ever sent in clear text.
pub async fn connect(
    net: &Net,
    server: &Server,
    settings: &Settings,
    recorder: &Recorder,
) -> Result<Line, SmtpError> {
    let tap = recorder.begin(Protocol::Smtp);
    opened(net, server, settings, &tap)
        .await
        .inspect_err(|error| tap.note(&format!("could not connect: {error}")))
}

async fn opened(
    net: &Net,
    server: &Server,
    settings: &Settings,
    tap: &Tap,
) -> Result<Line, SmtpError> {
    let in_clear = |tcp: Box<dyn Transport>| async {
        let clear = start_tls(tap.over(tcp), settings).await?;
        Ok::<Box<dyn Transport>, SmtpError>(Box::new(clear))
    };
    let (tls, handshake) = net
        .encrypted(server, in_clear, |text| tap.note(text))
        .await?;
    let line = match server.tls {
        TlsMode::Tls => over_tls(tap.over(tls), settings).await?,
        TlsMode::StartTls => after_start_tls(tap.over(tls), settings).await?,
    };
    Ok(line.after(handshake))
}

/// Greeting and EHLO inside TLS.
pub(super) async fn over_tls(
    stream: impl Transport + 'static,
    settings: &Settings,
) -> Result<Line, SmtpError> {
    let mut wire = Wire::new(Box::new(stream) as Box<dyn Transport>);
    greeting(&mut wire, settings.greeting).await?;
    ehlo(wire, settings).await
}

/// EHLO again, inside TLS: what the server said before counts for nothing (RFC 3207 §4.2).
pub(super) async fn after_start_tls(
    stream: impl Transport + 'static,
    settings: &Settings,
) -> Result<Line, SmtpError> {
    ehlo(Wire::new(Box::new(stream) as Box<dyn Transport>), settings).await
}

/// Speaks clear text up to the server's go-ahead for TLS. `lettre` never sees this stream: it would
/// carry what it has buffered over into the encrypted part.
pub(super) async fn start_tls<S: Transport>(
    stream: S,
    settings: &Settings,
) -> Result<S, SmtpError> {
    let mut wire = Wire::new(stream);
    greeting(&mut wire, settings.greeting).await?;
    let hello = format!("EHLO {}\r\n", client_id(settings));
    let answer = ask(&mut wire, Verb::Ehlo, &hello, settings.command).await?;
    if !Keywords::read(&answer).start_tls {
        return Err(SmtpError::StartTlsMissing);
    }
    let answer = ask(&mut wire, Verb::StartTls, "STARTTLS\r\n", settings.command).await?;
    if answer.code != 220 {
        return Err(SmtpError::Nonsense {
            during: Verb::StartTls,
            line: answer.to_string(),
        });
    }
    wire.into_stream().ok_or(SmtpError::Injected)
}

async fn greeting<S: Transport>(wire: &mut Wire<S>, limit: Duration) -> Result<(), SmtpError> {
    let during = Verb::Greeting;
    let reply = timeout(limit, wire.read_reply())
        .await
        .map_err(|_| SmtpError::TimedOut { during, limit })?
        .map_err(|fault| fault.during(during))?;
    success(during, reply).map(|_| ())
}

async fn ask<S: Transport>(
    wire: &mut Wire<S>,
    during: Verb,
    command: &str,
    limit: Duration,
) -> Result<Reply, SmtpError> {
    let asked = async {
        wire.write(command.as_bytes())
            .await
            .map_err(|source| SmtpError::Broken { during, source })?;
        wire.read_reply()
            .await
            .map_err(|fault| fault.during(during))
    };
    let reply = timeout(limit, asked)
        .await
        .map_err(|_| SmtpError::TimedOut { during, limit })??;
    success(during, reply)
}

fn success(during: Verb, reply: Reply) -> Result<Reply, SmtpError> {
    if reply.is_success() {
        Ok(reply)
    } else if reply.is_transient() || reply.is_permanent() {
        Err(SmtpError::Refused { during, reply })
    } else {
        Err(SmtpError::Nonsense {
            during,
            line: reply.to_string(),
        })
    }
}

async fn ehlo(wire: Wire<Box<dyn Transport>>, settings: &Settings) -> Result<Line, SmtpError> {
    let during = Verb::Ehlo;
    // lettre wants to read a greeting; ours is read already.
    let shared = Shared::new(wire, b"220 ready\r\n");
    let name = client_id(settings);
    let connecting = AsyncSmtpConnection::connect_with_transport(Box::new(shared.clone()), &name);
    let connected =
        timeout(settings.command, connecting)
            .await
            .map_err(|_| SmtpError::TimedOut {
                during,
                limit: settings.command,
            })?;
    let reply = match shared.outcome() {
        Ok(Some(reply)) => success(during, reply)?,
        Ok(None) => {
            return Err(SmtpError::Nonsense {
                during,
                line: String::new(),
            });
        }
        Err(fault) => return Err(fault.during(during)),
    };
    match connected {
        Ok(connection) => Ok(Line::new(
            connection,
            shared,
            Keywords::read(&reply),
            settings.clone(),
        )),
        Err(_) => Err(SmtpError::Nonsense {
            during,
            line: reply.to_string(),
        }),
    }
}

/// Our name as EHLO has it. What is neither a domain name nor an address becomes a literal that every
/// submission server takes.
fn client_id(settings: &Settings) -> ClientId {
    let name = settings.ehlo_name.trim();
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = std::net::Ipv4Addr::from_str(bare) {
        return ClientId::Ipv4(address);
    }
    if let Ok(address) = std::net::Ipv6Addr::from_str(bare.trim_start_matches("IPv6:")) {
        return ClientId::Ipv6(address);
    }
    let is_domain = !name.is_empty()
        && name.len() <= 253
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'));
    if is_domain {
        ClientId::Domain(name.to_owned())
    } else {
        ClientId::Ipv4(std::net::Ipv4Addr::LOCALHOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_name_can_never_break_the_command() {
        for (name, said) in [
            ("mail.example.test", "mail.example.test"),
            ("192.0.2.1", "[192.0.2.1]"),
            ("[192.0.2.1]", "[192.0.2.1]"),
            ("[IPv6:2001:db8::1]", "[IPv6:2001:db8::1]"),
            ("a host", "[127.0.0.1]"),
            ("x\r\nMAIL FROM:<a@b>", "[127.0.0.1]"),
            ("", "[127.0.0.1]"),
        ] {
            let settings = Settings {
                ehlo_name: name.into(),
                ..Settings::default()
            };
            assert_eq!(client_id(&settings).to_string(), said, "{name:?}");
        }
    }
}
