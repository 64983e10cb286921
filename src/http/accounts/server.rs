//! What a caller enters about an account's servers and the way to them, checked. Pure.

use serde::Deserialize;

use crate::{
    model::{Fingerprint, ProxyChoice, Server, TlsMode, TlsVerify},
    net,
};

use super::super::input::{Given, Kind, Problems, Unknown};

/// Where it differs from the service's own server.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ServerBody {
    host: Given<String>,
    port: Given<i64>,
    tls: Given<String>,
    verify: Given<String>,
    #[serde(rename = "tlsCa")]
    tls_ca: Given<String>,
    #[serde(rename = "tlsPins")]
    tls_pins: Given<Vec<String>>,
    #[serde(flatten)]
    unknown: Unknown,
}
impl Kind for ServerBody {
    const WORDS: &'static str = "an object with host, port, tls, verify, tlsCa and tlsPins";
}

/// A server: the body's words over the stored ones (or the preset) over the usual.
pub(super) fn server(
    problems: &mut Problems,
    field: &str,
    given: Given<ServerBody>,
    stored: Option<&Server>,
    preset: Option<Server>,
) -> Option<Server> {
    let base = match &given {
        Given::Null => preset,
        Given::Absent | Given::Wrong | Given::Is(_) => stored.cloned().or(preset),
    };
    let body = match problems.optional(field, given) {
        Some(body) => body,
        None => {
            if base.is_none() && !problems.about(field) {
                problems.add(
                    field,
                    "is required for service Custom: {\"host\", \"port\", \"tls\"}",
                );
            }
            return base;
        }
    };
    problems.unknown(&format!("{field}."), &body.unknown);
    let name = format!("{field}.host");
    let host = problems.optional(&name, body.host);
    let host = problems.line(&name, host, 253).and_then(|host| {
        let problem = wrong_host(&host);
        if let Some(problem) = problem {
            problems.add(&name, problem);
        }
        problem.is_none().then_some(host)
    });
    let host_missing = host.is_none() && base.is_none();
    if host_missing && !problems.about(&name) {
        problems.add(&name, "is required for service Custom");
    }
    let name = format!("{field}.tls");
    let tls = problems.optional(&name, body.tls);
    let tls = problems
        .parsed(
            &name,
            tls,
            "must be \"tls\" or \"starttls\"",
            TlsMode::parse,
        )
        .or(base.as_ref().map(|b| b.tls))
        .unwrap_or(TlsMode::Tls);
    let name = format!("{field}.port");
    let port = problems.optional(&name, body.port);
    let usual = usual_port(field, tls);
    let port = match port {
        None => base.as_ref().map_or(usual, |b| b.port),
        Some(number) => match u16::try_from(number) {
            Ok(port) if port > 0 => port,
            _ => {
                problems.add(&name, "must be 1 to 65535");
                usual
            }
        },
    };
    let trust = TrustBody {
        verify: body.verify,
        ca: body.tls_ca,
        pins: body.tls_pins,
    };
    let stored = base.as_ref().map(|b| &b.verify);
    let verify = verify(problems, field, trust, stored);
    Some(Server {
        host: host.or(base.map(|b| b.host))?,
        port,
        tls,
        verify: verify?,
    })
}

/// RFC 8314 §7: the ports of TLS from the first byte and of STARTTLS.
fn usual_port(field: &str, tls: TlsMode) -> u16 {
    match (field, tls) {
        ("imap", TlsMode::Tls) => 993,
        ("imap", TlsMode::StartTls) => 143,
        (_, TlsMode::Tls) => 465,
        (_, TlsMode::StartTls) => 587,
    }
}

fn wrong_host(host: &str) -> Option<&'static str> {
    if !host.is_ascii() {
        Some("must be written in ASCII (xn--… for other scripts)")
    } else if host.starts_with('[') || !net::is_host(host) {
        Some("must be a host name or an address, nothing else")
    } else {
        None
    }
}

struct TrustBody {
    verify: Given<String>,
    ca: Given<String>,
    pins: Given<Vec<String>>,
}

/// The most fingerprints that a server may have: some for now, some for after a rotation.
const PINS: usize = 10;

/// How the certificate is judged. Authorities and fingerprints say by themselves what they are for, and
/// count only while the kind of judging stays.
fn verify(
    problems: &mut Problems,
    field: &str,
    body: TrustBody,
    stored: Option<&TlsVerify>,
) -> Option<TlsVerify> {
    let (name, ca_name, pins_name) = (
        format!("{field}.verify"),
        format!("{field}.tlsCa"),
        format!("{field}.tlsPins"),
    );
    let word = problems.optional(&name, body.verify);
    let word = problems.parsed(
        &name,
        word,
        "must be \"full\", \"ca\", \"pinned\" or \"accept_any\"",
        |text| {
            let text = text.trim().to_ascii_lowercase();
            ["full", "ca", "pinned", "accept_any"]
                .into_iter()
                .find(|word| *word == text)
        },
    );
    let wrong = problems.about(&name);
    let ca = problems.optional(&ca_name, body.ca);
    let pins = problems.optional(&pins_name, body.pins);
    let word = match (word, &ca, &pins) {
        (Some(word), ..) => word,
        (None, Some(_), _) => "ca",
        (None, None, Some(_)) => "pinned",
        (None, None, None) => stored.map_or("full", TlsVerify::as_str),
    };
    if ca.is_some() && word != "ca" && !wrong {
        problems.add(&ca_name, "is used with verify \"ca\" only");
    }
    if pins.is_some() && word != "pinned" && !wrong {
        problems.add(&pins_name, "is used with verify \"pinned\" only");
    }
    match (word, stored) {
        ("accept_any", _) => Some(TlsVerify::AcceptAny),
        ("ca", Some(stored @ TlsVerify::Ca(_))) if ca.is_none() => Some(stored.clone()),
        ("ca", _) => authorities(problems, &ca_name, ca),
        ("pinned", Some(stored @ TlsVerify::Pinned(_))) if pins.is_none() => Some(stored.clone()),
        ("pinned", _) => pinned(problems, &pins_name, pins),
        _ => Some(TlsVerify::Full),
    }
}

fn authorities(problems: &mut Problems, name: &str, pem: Option<String>) -> Option<TlsVerify> {
    let Some(pem) = pem else {
        if !problems.about(name) {
            problems.add(name, "is required for verify \"ca\"");
        }
        return None;
    };
    match net::check_authorities(&pem) {
        Ok(()) => Some(TlsVerify::Ca(pem)),
        Err(what) => {
            problems.add(name, what);
            None
        }
    }
}

fn pinned(problems: &mut Problems, name: &str, pins: Option<Vec<String>>) -> Option<TlsVerify> {
    let Some(pins) = pins else {
        if !problems.about(name) {
            problems.add(name, "is required for verify \"pinned\"");
        }
        return None;
    };
    if !(1..=PINS).contains(&pins.len()) {
        problems.add(name, format!("must hold 1 to {PINS} fingerprints"));
        return None;
    }
    let read: Option<Vec<_>> = pins.iter().map(|pin| Fingerprint::parse(pin)).collect();
    if read.is_none() {
        problems.add(
            name,
            "must be SHA-256 fingerprints of certificates: 64 hexadecimal digits each, with colons or without",
        );
    }
    read.map(TlsVerify::Pinned)
}

/// The proxy of an account or a cloud provider. One that is sent back as it was shown, without its password, keeps it.
pub(in crate::http) fn proxy(
    problems: &mut Problems,
    given: Given<String>,
    stored: Option<&ProxyChoice>,
) -> Option<ProxyChoice> {
    if matches!(given, Given::Null) {
        return Some(ProxyChoice::Process);
    }
    let Some(text) = problems.optional("proxy", given) else {
        return Some(stored.cloned().unwrap_or_default());
    };
    match ProxyChoice::parse_over(&text, stored.unwrap_or(&ProxyChoice::Process)) {
        Ok(choice) => Some(choice),
        Err(error) => {
            problems.add(
                "proxy",
                format!("{error}; give http://host:port, socks5://host:port or \"direct\""),
            );
            None
        }
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
