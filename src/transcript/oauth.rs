//! What may be kept of a request to a token endpoint and of its answer. Pure.

use secrecy::SecretString;
use serde_json::{Map, Value};
use url::{Url, form_urlencoded};

use super::{
    mask::{Secrets, masked},
    text::{KEPT, count, finished},
};

/// Fields of a request whose values are no secret.
const OPEN_FIELDS: [&str; 7] = [
    "grant_type",
    "scope",
    "client_id",
    "redirect_uri",
    "response_type",
    "client_assertion_type",
    "code_challenge_method",
];
/// Kinds of grants that we ask for (RFC 6749 and the device grant).
const GRANT_TYPES: [&str; 4] = [
    "authorization_code",
    "refresh_token",
    "client_credentials",
    "urn:ietf:params:oauth:grant-type:device_code",
];
/// Fields of an answer that are shown, in this order.
const SHOWN: [&str; 9] = [
    "error",
    "error_codes",
    "suberror",
    "trace_id",
    "correlation_id",
    "timestamp",
    "expires_in",
    "scope",
    "error_description",
];
/// Field names of a request or answer that are shown.
const NAMES: usize = 30;
/// Secrets looked for in an answer.
const SECRETS: usize = 16;

/// Method, host, path, the grant type and the names of the fields.
pub(super) fn request(method: &str, url: &str, form: &[u8]) -> String {
    let place = Url::parse(url).map_or_else(
        |_| "(no address)".to_owned(),
        |url| {
            let host = url.host_str().unwrap_or_default();
            let port = url.port().map(|port| format!(":{port}"));
            format!("{host}{}{}", port.unwrap_or_default(), url.path())
        },
    );
    let mut names = Vec::new();
    let mut grant_type = None;
    for (name, value) in form_urlencoded::parse(form) {
        if name == "grant_type" {
            grant_type = GRANT_TYPES.into_iter().find(|known| *known == value);
        } else {
            names.push(name.into_owned());
        }
    }
    let grant_type = grant_type.map_or_else(String::new, |one| format!(" grant_type={one}"));
    // Host and path are entered by an administrator and hold no secret; field names are ours.
    let text = format!(
        "{method} {place}{grant_type}, fields: {}",
        listed(names.iter().map(String::as_str))
    );
    finished(&text, None, &Secrets::default(), false)
}

impl Secrets {
    /// The values of a request to a token endpoint that must not come back in its answer: of a form's first
    /// sixteen fields that may be secret.
    pub fn of_form(form: &[u8]) -> Self {
        secret_values(form).fold(Self::default(), |all, secret| all.with(&secret))
    }
}

fn secret_values(form: &[u8]) -> impl Iterator<Item = SecretString> {
    form_urlencoded::parse(form)
        .filter(|(name, value)| !OPEN_FIELDS.contains(&name.as_ref()) && !value.is_empty())
        .take(SECRETS)
        .map(|(_, value)| SecretString::from(value.into_owned()))
}

/// Status, what went wrong, ids for the platform's support, scope, lifetime, and the names of the rest.
pub(super) fn answer(status: u16, body: &[u8], hidden: &Secrets) -> String {
    let Ok(fields) = serde_json::from_slice::<Map<String, Value>>(body) else {
        return format!(
            "{status} ({} that are no JSON object)",
            count(body.len() as u64)
        );
    };
    // A secret of this very answer may stand in another field of it too.
    let mut hidden = hidden.clone();
    for value in fields
        .iter()
        .filter(|(name, _)| !SHOWN.contains(&name.as_str()) && !is_open(name))
        .filter_map(|(_, value)| value.as_str())
        .filter(|text| text.len() >= 8)
        .take(SECRETS)
    {
        hidden = hidden.with(&SecretString::from(value.to_owned()));
    }
    let mut text = status.to_string();
    for name in SHOWN {
        let shown = match fields.get(name) {
            // Masked before it is cut: half a secret is found by nobody.
            Some(Value::String(value)) => {
                let most = if name == "error_description" {
                    KEPT
                } else {
                    200
                };
                let value = masked(value, &hidden, true, false);
                value.chars().take(most).collect()
            }
            Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
            Some(Value::Array(values)) => {
                let values = values.iter().filter(|v| v.is_number() || v.is_string());
                let values: Vec<String> = values
                    .take(10)
                    .map(|value| masked(&value.to_string(), &hidden, true, false))
                    .collect();
                values.join(" ").chars().take(200).collect()
            }
            Some(Value::Null | Value::Object(_)) | None => continue,
        };
        text.push_str(&format!(" {name}={shown}"));
    }
    let others = fields
        .keys()
        .map(String::as_str)
        .filter(|name| !SHOWN.contains(name));
    let others = listed(others);
    if !others.is_empty() {
        text.push_str(&format!(", other fields: {others}"));
    }
    finished(&text, None, &hidden, true)
}

/// Values of an answer that are no secret, though they are not shown either.
fn is_open(name: &str) -> bool {
    matches!(
        name,
        "token_type" | "error_uri" | "ext_expires_in" | "verification_uri" | "message"
    )
}

/// Names joined by spaces; what is no name of a field is only counted.
fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut shown = Vec::new();
    let mut more = 0;
    for name in names {
        let fits = (1..=40).contains(&name.len())
            && name
                .bytes()
                .all(|o| o.is_ascii_alphanumeric() || matches!(o, b'_' | b'-' | b'.'));
        if fits && shown.len() < NAMES {
            shown.push(name);
        } else {
            more += 1;
        }
    }
    let mut text = shown.join(" ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}
