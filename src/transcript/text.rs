//! The last step before keeping: mask, take the control characters out, cut. Pure.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

use super::mask::{Secrets, masked};

/// Octets of an entry's text; what is beyond is counted.
pub(super) const KEPT: usize = 512;

/// A line as it may be kept. `beginning_of`: `text` is only the beginning of a line of so many octets.
/// `tokens`: whatever looks like a token is masked too.
pub(super) fn finished(
    text: &str,
    beginning_of: Option<u64>,
    hidden: &Secrets,
    tokens: bool,
) -> String {
    let text = masked(text, hidden, tokens, beginning_of.is_some());
    bounded(&text, beginning_of.unwrap_or(0))
}

/// Without control characters, and not longer than [`KEPT`] but for the count of what is left out.
/// `octets`: how long it was before, where that is more than what `text` shows.
fn bounded(text: &str, octets: u64) -> String {
    let text: String = text
        .chars()
        .map(|c| if c.is_control() { '·' } else { c })
        .collect();
    let end = text.floor_char_boundary(KEPT);
    let more = (octets.max(text.len() as u64)).saturating_sub(end as u64);
    if more == 0 {
        return text;
    }
    let kept = text.get(..end).unwrap_or_default();
    format!("{kept}… ({more} octets more)")
}

/// Octets as text; what is no UTF-8 shows as the replacement character.
pub(super) fn lossy(octets: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(octets)
}

/// `n octets`, in words.
pub(super) fn count(octets: u64) -> String {
    if octets == 1 {
        "1 octet".to_owned()
    } else {
        format!("{octets} octets")
    }
}

/// What we answer to a challenge, without saying it.
pub(super) fn answer(octets: u64) -> String {
    if octets == 0 {
        "(an empty answer)".to_owned()
    } else {
        format!("(answer, {})", count(octets))
    }
}

/// A server's challenge: of XOAUTH2's JSON the three fields that say why, of others the length.
pub(super) fn challenge(payload: &str) -> String {
    let payload = payload.trim();
    if payload.is_empty() {
        return String::new();
    }
    let why = STANDARD
        .decode(payload)
        .ok()
        .and_then(|octets| serde_json::from_slice::<Map<String, Value>>(&octets).ok())
        .map(|fields| {
            let known: Map<String, Value> = fields
                .into_iter()
                .filter(|(name, value)| {
                    matches!(name.as_str(), "status" | "schemes" | "scope")
                        && (value.is_string() || value.is_number())
                })
                .collect();
            Value::Object(known).to_string()
        });
    why.unwrap_or_else(|| format!("(challenge, {})", count(payload.len() as u64)))
}

/// The text with what stands in double quotes left out, but for what follows one of `shown`.
pub(super) fn without_quoted(text: &str, shown: &[&str]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('"') {
        out.push_str(before);
        let end = quote_end(behind);
        let inner = behind.get(..end).unwrap_or(behind);
        if shown.iter().any(|word| ends_with(before, word)) {
            out.push('"');
            out.push_str(inner);
            out.push('"');
        } else {
            out.push_str("\"…\"");
        }
        rest = behind.get(end + 1..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

fn ends_with(text: &str, word: &str) -> bool {
    let text = text.trim_end().as_bytes();
    text.len() >= word.len()
        && text
            .get(text.len() - word.len()..)
            .is_some_and(|end| end.eq_ignore_ascii_case(word.as_bytes()))
}

/// Where a quoted string ends, a backslash keeping the quote behind it inside; the end of the text where
/// it does not.
fn quote_end(text: &str) -> usize {
    let mut escaped = false;
    for (at, octet) in text.bytes().enumerate() {
        match octet {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at,
            _ => {}
        }
    }
    text.len()
}
