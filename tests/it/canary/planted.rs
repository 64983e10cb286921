//! Secrets that are planted, and every form in which they could come to light.

use std::collections::BTreeSet;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};

/// What must not be found, each with every form it may be written in.
#[derive(Default)]
pub struct Canaries {
    forms: Vec<(String, String)>,
    pub known: BTreeSet<String>,
}

impl Canaries {
    pub fn plant(&mut self, name: &str, secret: &str) {
        assert!(secret.len() >= 6, "{name} is too short to be looked for");
        if self.known.insert(secret.to_owned()) {
            for form in forms(secret) {
                self.forms.push((name.to_owned(), form));
            }
        }
    }

    /// Which canaries stand in `text`.
    pub fn found(&self, text: &str) -> Vec<&str> {
        let mut names: Vec<&str> = self
            .forms
            .iter()
            .filter(|(_, form)| text.contains(form.as_str()))
            .map(|(name, _)| name.as_str())
            .collect();
        names.dedup();
        names
    }

    pub fn assert_none(&self, place: &str, text: &str) {
        let found = self.found(text);
        assert!(found.is_empty(), "{place} has {found:?}");
    }
}

/// A secret as it is, URL-encoded, escaped in JSON, and what any base64 that holds it must contain (so a
/// SASL answer with any user name too), in both alphabets.
fn forms(secret: &str) -> Vec<String> {
    let encoded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let json = Value::from(secret).to_string();
    let mut forms = vec![
        secret.to_owned(),
        encoded.replace('+', "%20"),
        encoded,
        json.trim_matches('"').to_owned(),
    ];
    for before in 0..3 {
        let mut octets = vec![0; before];
        octets.extend_from_slice(secret.as_bytes());
        let range = (before * 8usize).div_ceil(6)..octets.len() * 8 / 6;
        forms.push(STANDARD_NO_PAD.encode(&octets)[range.clone()].to_owned());
        forms.push(URL_SAFE_NO_PAD.encode(&octets)[range].to_owned());
    }
    forms.sort();
    forms.dedup();
    forms
}

#[test]
fn the_search_finds_a_secret_in_every_form() {
    let mut canaries = Canaries::default();
    canaries.plant("password", "p\"ss wörd/1");
    for text in [
        "x p\"ss wörd/1 y".to_owned(),
        "p%22ss+w%C3%B6rd%2F1".to_owned(),
        json!({"a": "p\"ss wörd/1"}).to_string(),
        base64::engine::general_purpose::STANDARD.encode("\0me\0p\"ss wörd/1"),
        base64::engine::general_purpose::STANDARD
            .encode("user=me\x01auth=Bearer p\"ss wörd/1\x01\x01"),
        URL_SAFE_NO_PAD.encode("p\"ss wörd/1"),
    ] {
        assert_eq!(canaries.found(&text), ["password"], "{text}");
    }
    assert!(canaries.found("p\"ss word/1").is_empty());
}
