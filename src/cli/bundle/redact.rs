//! What may leave the house: texts without secrets, without other people's addresses, without subjects. Pure.

use std::collections::BTreeSet;

use serde_json::Value;

/// A run of letters and digits this long is a token, a key or a digest: nothing that support has to read.
const OPAQUE: usize = 48;
/// Names whose value is a secret wherever they stand.
const SECRET_NAMES: [&str; 11] = [
    "password",
    "passwd",
    "secret",
    "client_secret",
    "clientsecret",
    "token",
    "access_token",
    "refresh_token",
    "id_token",
    "code_verifier",
    "client_assertion",
];
const MASK: &str = "***";

/// Masks texts; knows the accounts' own addresses, which stay.
#[derive(Debug, Default)]
pub(super) struct Redactor {
    own: BTreeSet<String>,
}

impl Redactor {
    /// Keeps every address that an account or a provider's sign-in names, as the status shows them.
    pub(super) fn of_status(status: &Value) -> Self {
        let rows = |name: &str| {
            let rows = status.get(name).map(super::super::show::rows);
            rows.unwrap_or_default().to_vec()
        };
        let mut own = BTreeSet::new();
        for row in rows("accounts") {
            for path in ["/address", "/username", "/delegate"] {
                own.extend(super::super::show::text_at(&row, path));
            }
        }
        for row in rows("cloudProviders") {
            own.extend(super::super::show::text_at(&row, "/grant/signedInAs"));
        }
        Self {
            own: own.iter().map(|address| address.to_lowercase()).collect(),
        }
    }

    /// A value with every text in it masked, and the values of secret names left out.
    pub(super) fn json(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(items) => items.iter().map(|item| self.json(item)).collect(),
            Value::Object(fields) => fields
                .iter()
                .map(|(name, value)| {
                    let secret = is_secret(name) && value.is_string();
                    let value = if secret {
                        Value::from(MASK)
                    } else {
                        self.json(value)
                    };
                    (name.clone(), value)
                })
                .collect(),
            other => other.clone(),
        }
    }

    /// A text of one or more lines.
    pub(super) fn text(&self, text: &str) -> String {
        text.lines()
            .map(|line| self.line(line))
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn line(&self, line: &str) -> String {
        let line = without_subject(line);
        let mut out = String::with_capacity(line.len());
        let mut word = String::new();
        let mut bearer = false;
        for letter in line.chars().chain(['\n']) {
            if is_word(letter) {
                word.push(letter);
                continue;
            }
            if !word.is_empty() {
                out.push_str(&self.word(&word, bearer));
                bearer = word.eq_ignore_ascii_case("bearer") || word.ends_with("=Bearer");
                word.clear();
            }
            out.push(letter);
        }
        out.pop();
        out
    }

    /// A word: letters, digits and what addresses, tokens and `name=value` are made of.
    fn word(&self, word: &str, bearer: bool) -> String {
        if bearer {
            return MASK.to_owned();
        }
        if let Some((name, value)) = word.split_once('=')
            && !value.is_empty()
        {
            let value = if is_secret(name) {
                MASK.to_owned()
            } else {
                self.word(value, false)
            };
            return format!("{name}={value}");
        }
        let opaque = word
            .split(['/', '.', ':', '@', ','])
            .any(|part| part.len() >= OPAQUE || part.starts_with("eyJ") && part.len() > 12);
        if opaque {
            return MASK.to_owned();
        }
        // `user:password@host` of an address with a password in it, and a mailbox.
        match word.rsplit_once('@') {
            Some((local, domain)) if !local.is_empty() && !domain.is_empty() => {
                let bare = word
                    .trim_matches(|c: char| !c.is_alphanumeric())
                    .to_lowercase();
                if self.own.contains(&bare) {
                    word.to_owned()
                } else {
                    let scheme = local.split_once("://").map(|(scheme, _)| scheme);
                    let scheme = scheme.map_or_else(String::new, |scheme| format!("{scheme}://"));
                    format!("{scheme}{MASK}@{domain}")
                }
            }
            _ => word.to_owned(),
        }
    }
}

fn is_secret(name: &str) -> bool {
    // Elsewhere a code is a diagnosis's or a server's, which support has to read.
    let parameter = name.rsplit(['&', '?']).next().filter(|last| *last != name);
    if parameter.is_some_and(|name| name == "code" || name == "state") {
        return true;
    }
    let last = name
        .rsplit(['.', '&', '?', '_', '-'])
        .next()
        .unwrap_or(name);
    let whole = parameter.unwrap_or(name);
    SECRET_NAMES
        .iter()
        .any(|secret| last.eq_ignore_ascii_case(secret) || whole.eq_ignore_ascii_case(secret))
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || "@.=+-_~%/:!#$&'*?^`{|}".contains(letter)
}

/// What stands behind `Subject:` is the mail's.
fn without_subject(line: &str) -> String {
    let lower = line.to_ascii_lowercase();
    for mark in ["subject:", "subject=", "\"subject\":"] {
        if let Some(at) = lower.find(mark) {
            let end = at + mark.len();
            return format!("{} {MASK}", line.get(..end).unwrap_or_default());
        }
    }
    line.to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn redactor() -> Redactor {
        Redactor::of_status(&json!({
            "accounts": [{"address": "Desk@lab.test", "username": "desk@lab.test", "delegate": "andrea@lab.test"}],
            "cloudProviders": [{"grant": {"signedInAs": "andrea@lab.test"}}],
        }))
    }

    #[test]
    fn strangers_secrets_and_subjects_are_masked_and_the_rest_stays() {
        let long = "a".repeat(OPAQUE);
        for (text, expected) in [
            ("synced account=SUPP1 new=3", "synced account=SUPP1 new=3"),
            ("as desk@lab.test", "as desk@lab.test"),
            ("user=andrea@lab.test", "user=andrea@lab.test"),
            (
                "RCPT TO:<casey@customer.test>",
                "RCPT TO:<***@customer.test>",
            ),
            ("to=casey@customer.test,", "to=***@customer.test,"),
            ("'casey.o@customer.test'", "***@customer.test'"),
            (
                "mysql://mail:canary@db.test/mail",
                "mysql://***@db.test/mail",
            ),
            ("password=canary x", "password=*** x"),
            ("/callback?code=canary&x=1", "/callback?code=***"),
            ("/callback?x=1&code=canary", "/callback?x=1&code=***"),
            (
                "parked code=imap_password_refused",
                "parked code=imap_password_refused",
            ),
            ("new_client_secret=canary", "new_client_secret=***"),
            (
                "Authorization: Bearer canary end",
                "Authorization: Bearer *** end",
            ),
            ("auth=Bearer canary", "auth=Bearer ***"),
            ("token eyJhbGciOiJub25lIn0.eyJ4IjoxfQ.sig", "token ***"),
            ("Subject: canary words", "Subject: ***"),
            ("x {\"subject\": \"canary\"}", "x {\"subject\": ***"),
            ("imap.lab.test:993 (tls)", "imap.lab.test:993 (tls)"),
            (
                "535 5.7.139 https://aka.ms/smtp_auth_disabled",
                "535 5.7.139 https://aka.ms/smtp_auth_disabled",
            ),
        ] {
            assert_eq!(redactor().text(text), expected);
        }
        assert_eq!(redactor().text(&format!("x {long} y")), "x *** y");
        assert_eq!(redactor().text("one\ntwo"), "one\ntwo");
    }

    #[test]
    fn fields_with_secret_names_are_masked_at_any_depth() {
        let value = json!({"a": [{"clientSecret": "canary", "client_secret": "canary", "state": "ok",
            "clientSecretExpiresAt": "2026-01-01", "code": "disk_low"}], "n": 3});
        let shown = redactor().json(&value);
        assert!(!shown.to_string().contains("canary"), "{shown}");
        assert_eq!(shown["a"][0]["state"], "ok");
        assert_eq!(shown["a"][0]["clientSecretExpiresAt"], "2026-01-01");
        assert_eq!(shown["a"][0]["code"], "disk_low");
        assert_eq!(shown["n"], 3);
    }
}
