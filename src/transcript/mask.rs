//! Finding what must not be kept: a connection's own secrets in every form, and whatever looks like a
//! token. Pure.

use std::{fmt, ops::Range, sync::Arc};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::form_urlencoded;

/// Stands for what was masked.
const MASK: &str = "***";
/// Secrets up to here are looked for whole; of longer ones (tokens) the beginning, and what follows is
/// masked to the end of the text.
const WHOLE: usize = 256;
/// How much of the beginning.
const BEGINNING: usize = 48;
/// Shorter secrets are only masked as words of their own, else they would mask half of every text.
const SHORT: usize = 4;
/// Shorter pieces of base64 say nothing.
const SHORT_BASE64: usize = 5;
/// No form of a secret is longer.
pub(super) const LONGEST_FORM: usize = 1024;
/// A run of token characters that is longer than this is taken for a token.
const LONG_RUN: usize = 40;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// As it stands.
    Plain,
    /// As it stands and only as a word.
    Word,
    /// The beginning of a long one.
    Beginning,
    /// Inside base64: the whole run goes.
    Base64,
}

struct Form {
    text: SecretString,
    shape: Shape,
}

/// Secrets to mask in a server's words, in every form they may come back in. Clones share them; each costs
/// about a kilobyte, however long it is.
#[derive(Clone, Default)]
pub struct Secrets(Option<Arc<[Arc<Form>]>>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").finish_non_exhaustive()
    }
}

impl Secrets {
    /// These and one more; an empty one is none.
    #[must_use]
    pub fn with(&self, secret: &SecretString) -> Self {
        let mut forms: Vec<Arc<Form>> = self.forms().to_vec();
        let mut add = |text: String, shape: Shape| {
            let known = forms
                .iter()
                .any(|form| form.text.expose_secret() == text && form.shape == shape);
            let text = SecretString::from(text);
            if !known && !text.expose_secret().is_empty() {
                forms.push(Arc::new(Form { text, shape }));
            }
        };
        let whole = secret.expose_secret();
        let (part, shape) = if whole.len() > WHOLE {
            (beginning(whole), Shape::Beginning)
        } else if whole.len() < SHORT {
            (whole, Shape::Word)
        } else {
            (whole, Shape::Plain)
        };
        add(part.to_owned(), shape);
        let json = Value::from(part).to_string();
        add(json.trim_matches('"').to_owned(), shape);
        let encoded: String = form_urlencoded::byte_serialize(part.as_bytes()).collect();
        add(encoded.replace('+', "%20"), shape);
        add(encoded, shape);
        for text in in_base64(part.as_bytes()) {
            add(text, Shape::Base64);
        }
        Self(Some(forms.into()))
    }

    /// `text` without them: each stands as three asterisks.
    pub fn masked(&self, text: &str) -> String {
        masked(text, self, false, false)
    }

    /// JSON with all its texts masked, names of fields included; `None` where it is none.
    pub fn masked_json(&self, json: &[u8]) -> Option<Vec<u8>> {
        let value = serde_json::from_slice(json).ok()?;
        serde_json::to_vec(&self.masked_value(value)).ok()
    }

    /// As deep as the parser goes, which is 128 levels.
    fn masked_value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.masked(&text)),
            Value::Array(items) => items
                .into_iter()
                .map(|item| self.masked_value(item))
                .collect(),
            Value::Object(fields) => fields
                .into_iter()
                .map(|(name, value)| (self.masked(&name), self.masked_value(value)))
                .collect(),
            other => other,
        }
    }

    fn forms(&self) -> &[Arc<Form>] {
        self.0.as_deref().unwrap_or_default()
    }

    /// Where the secrets stand in `text`.
    fn find(&self, text: &str, found: &mut Vec<Range<usize>>) {
        for form in self.forms() {
            let wanted = form.text.expose_secret();
            for (at, _) in text.match_indices(wanted) {
                let end = at + wanted.len();
                match form.shape {
                    Shape::Plain => found.push(at..end),
                    Shape::Beginning => found.push(at..text.len()),
                    Shape::Base64 => found.push(run_around(text, at, end)),
                    Shape::Word => {
                        let before = text.get(..at).and_then(|t| t.chars().next_back());
                        let after = text.get(end..).and_then(|t| t.chars().next());
                        let part_of_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
                        if !part_of_word(before) && !part_of_word(after) {
                            found.push(at..end);
                        }
                    }
                }
            }
        }
    }
}

/// At most [`BEGINNING`] octets.
fn beginning(text: &str) -> &str {
    let end = text.floor_char_boundary(BEGINNING);
    text.get(..end).unwrap_or_default()
}

/// What any base64 that holds `secret` somewhere must contain: by where it falls in the groups of three
/// octets, the characters that depend on nothing else; in both alphabets.
fn in_base64(secret: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for before in 0..3_usize {
        let mut octets = vec![0; before];
        octets.extend_from_slice(secret);
        let first = (before * 8).div_ceil(6);
        let end = octets.len() * 8 / 6;
        for text in [
            STANDARD_NO_PAD.encode(&octets),
            URL_SAFE_NO_PAD.encode(&octets),
        ] {
            let inner = text.get(first..end).unwrap_or_default();
            if inner.len() >= SHORT_BASE64 && !found.iter().any(|known| known == inner) {
                found.push(inner.to_owned());
            }
        }
    }
    found
}

fn is_base64(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'/' | b'-' | b'_' | b'=')
}

/// The run of base64 that a match lies in.
fn run_around(text: &str, at: usize, end: usize) -> Range<usize> {
    let octets = text.as_bytes();
    let before = octets.get(..at).unwrap_or_default();
    let left = before.iter().rev().take_while(|o| is_base64(**o)).count();
    let after = octets.get(end..).unwrap_or_default();
    let right = after.iter().take_while(|o| is_base64(**o)).count();
    at - left..end + right
}

/// Where something stands that looks like a token: what follows `Bearer`, JSON in base64 (`eyJ…`), and
/// long runs of token characters.
fn look_like_tokens(text: &str, found: &mut Vec<Range<usize>>) {
    let mut after_bearer = false;
    let mut at = 0;
    while at < text.len() {
        let rest = text.as_bytes().get(at..).unwrap_or_default();
        // Not `=`: it stands between a name and its value, and at the end of base64 it tells nothing.
        let in_run = |o: &&u8| (is_base64(**o) && **o != b'=') || matches!(**o, b'.' | b'~' | b'%');
        let run = rest.iter().take_while(in_run).count();
        if run == 0 {
            // Octets beyond ASCII are no token's, so stepping by octets stays between characters here.
            after_bearer &= rest
                .first()
                .is_some_and(|o| matches!(o, b' ' | b':' | b'"'));
            at += 1;
            continue;
        }
        let word = text.get(at..at + run).unwrap_or_default();
        let bearer = word.len() >= 6
            && word
                .get(word.len() - 6..)
                .is_some_and(|end| end.eq_ignore_ascii_case("bearer"));
        let long = word.split('.').any(|part| part.len() > LONG_RUN);
        if after_bearer || long || word.contains("eyJ") {
            found.push(at..at + run);
        }
        after_bearer = bearer;
        at += run;
    }
}

/// `text` without the secrets and, where `tokens`, without what looks like one. A `cut` text ends within
/// a line: its last octets may be the beginning of a secret and are left out.
pub(super) fn masked(text: &str, hidden: &Secrets, tokens: bool, cut: bool) -> String {
    let mut found = Vec::new();
    hidden.find(text, &mut found);
    if tokens {
        look_like_tokens(text, &mut found);
    }
    let end = if cut {
        text.floor_char_boundary(text.len().saturating_sub(LONGEST_FORM))
    } else {
        text.len()
    };
    found.sort_unstable_by_key(|range| (range.start, range.end));
    let mut out = String::with_capacity(text.len().min(1024));
    let mut at = 0;
    for range in found {
        if range.start >= end {
            break;
        }
        if range.end <= at {
            continue;
        }
        if range.start >= at {
            out.push_str(text.get(at..range.start).unwrap_or_default());
            out.push_str(MASK);
        }
        at = range.end;
    }
    out.push_str(text.get(at..end).unwrap_or_default());
    out
}
