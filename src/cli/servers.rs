//! The servers of an account and the way to them, as the API takes them.

use std::path::Path;

use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};

use super::account::object;
use super::args::ServerFlags;
use super::failure::Failure;
use super::terminal::Terminal;
use super::word;

/// Puts what is named into `body`; reads the files that are named.
pub(super) fn put(
    flags: &ServerFlags,
    terminal: &mut Terminal<'_>,
    body: &mut Map<String, Value>,
) -> Result<(), Failure> {
    let imap_ca = authorities(flags.imap_ca_file.as_deref(), flags, terminal)?;
    let smtp_ca = authorities(flags.smtp_ca_file.as_deref(), flags, terminal)?;
    let imap = object([
        ("host", flags.imap_host.as_ref().map(|text| json!(text))),
        ("port", flags.imap_port.map(|port| json!(port))),
        ("tls", flags.imap_tls.map(|tls| json!(word(tls)))),
        (
            "verify",
            flags.imap_verify.map(|verify| json!(word(verify))),
        ),
        ("tlsCa", imap_ca),
        ("tlsPins", pins(&flags.imap_pin)),
    ]);
    let smtp = object([
        ("host", flags.smtp_host.as_ref().map(|text| json!(text))),
        ("port", flags.smtp_port.map(|port| json!(port))),
        ("tls", flags.smtp_tls.map(|tls| json!(word(tls)))),
        (
            "verify",
            flags.smtp_verify.map(|verify| json!(word(verify))),
        ),
        ("tlsCa", smtp_ca),
        ("tlsPins", pins(&flags.smtp_pin)),
    ]);
    for (name, server) in [("imap", imap), ("smtp", smtp)] {
        if !server.is_empty() {
            body.insert(name.to_owned(), Value::Object(server));
        }
    }
    proxy(
        flags.proxy.as_deref(),
        flags.proxy_file.as_deref(),
        terminal,
        body,
    )
}

/// An account's or a cloud provider's proxy, where one is named: `null` for the daemon's own setting.
pub(super) fn proxy(
    text: Option<&str>,
    file: Option<&Path>,
    terminal: &mut Terminal<'_>,
    body: &mut Map<String, Value>,
) -> Result<(), Failure> {
    let proxy = match (text, file) {
        (Some("process"), _) => Value::Null,
        (Some(text), _) => json!(text),
        (None, Some(file)) => {
            let url = terminal.secret(Some(file), "proxy's URL", "--proxy-file")?;
            json!(url.expose_secret().trim())
        }
        (None, None) => return Ok(()),
    };
    body.insert("proxy".to_owned(), proxy);
    Ok(())
}

fn pins(pins: &[String]) -> Option<Value> {
    (!pins.is_empty()).then(|| json!(pins))
}

/// The text of a lane's own file, or of the one for both.
fn authorities(
    own: Option<&Path>,
    flags: &ServerFlags,
    terminal: &mut Terminal<'_>,
) -> Result<Option<Value>, Failure> {
    let file = own.or(flags.ca_file.as_deref());
    file.map(|file| terminal.file(file).map(|pem| json!(pem)))
        .transpose()
}
