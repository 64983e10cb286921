//! E-mail addresses that are safe to put into a protocol command.

use std::{fmt, str::FromStr};

/// An address (`local@domain`, RFC 5321 §4.1.2) without CR, LF, NUL, spaces or angle brackets, at
/// most 254 octets (RFC 5321 §4.5.3.1.3). The spelling given is kept; comparison ignores ASCII case.
#[derive(Clone, Debug)]
pub struct EmailAddress(String);

/// The text is not an address; holds the text, shortened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an e-mail address: {0:?}")]
pub struct InvalidAddress(pub String);

impl EmailAddress {
    /// Checks and wraps.
    pub fn parse(text: &str) -> Result<Self, InvalidAddress> {
        let text = text.trim();
        let refuse = || InvalidAddress(text.chars().take(80).collect());
        let bad_character = |c: char| {
            c.is_control() || c.is_whitespace() || matches!(c, '<' | '>' | '\u{2028}' | '\u{2029}')
        };
        if text.len() > 254 || text.chars().any(bad_character) {
            return Err(refuse());
        }
        lettre::Address::from_str(text).map_err(|_| refuse())?;
        Ok(Self(text.to_owned()))
    }

    /// The address as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part behind the last `@`.
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }

    /// Lower case: the form to look addresses up by.
    pub fn key(&self) -> String {
        self.0.to_lowercase()
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl PartialEq for EmailAddress {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}
impl Eq for EmailAddress {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_could_break_a_command_are_refused() {
        for bad in [
            "",
            "a",
            "@b",
            "a@",
            "a@b>\r\nRCPT TO:<x",
            "a b@c.test",
            "a@b.test\r\n",
            "a\0@b.test",
            "a@b\u{2028}.test",
            "<a@b.test>",
        ] {
            // Leading and trailing white space is forgiven, so a bare trailing CRLF is no attack.
            let parsed = EmailAddress::parse(bad);
            assert!(
                parsed.is_err() || bad.trim() == "a@b.test",
                "{bad:?} gave {parsed:?}"
            );
        }
        assert!(EmailAddress::parse(&format!("{}@b.test", "a".repeat(300))).is_err());
    }

    #[test]
    fn ordinary_addresses_are_kept_as_written_and_compared_without_case() {
        let address = EmailAddress::parse("Anna.Muster@Example.test").unwrap();
        assert_eq!(address.as_str(), "Anna.Muster@Example.test");
        assert_eq!(
            address,
            EmailAddress::parse("anna.muster@example.test").unwrap()
        );
        assert_eq!(address.domain(), "Example.test");
    }
}
