//! Which certificate of a mail server is good.

use std::fmt;

/// How a server's certificate is judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TlsVerify {
    /// Chain, name and time are checked against the process's roots: the default.
    #[default]
    Full,
    /// Any certificate is taken. Loud wherever the account is shown.
    AcceptAny,
    /// Chain, name and time are checked against these authorities only: PEM text of one or more
    /// certificates, at most 60 000 octets.
    Ca(String),
    /// The certificate is one of these, 1..=10: nothing else about it counts, neither chain nor name nor
    /// time.
    Pinned(Vec<Fingerprint>),
}

impl TlsVerify {
    /// The stored and shown word.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::AcceptAny => "accept_any",
            Self::Ca(_) => "ca",
            Self::Pinned(_) => "pinned",
        }
    }

    /// What goes with the word: the authorities, or the fingerprints between spaces.
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::Full | Self::AcceptAny => None,
            Self::Ca(pem) => Some(pem.clone()),
            Self::Pinned(pins) => Some(
                pins.iter()
                    .map(Fingerprint::to_string)
                    .collect::<Vec<_>>()
                    .join(" "),
            ),
        }
    }

    /// From [`Self::as_str`] and [`Self::detail`].
    pub fn parse(word: &str, detail: Option<&str>) -> Option<Self> {
        match (word.trim().to_ascii_lowercase().as_str(), detail) {
            ("full", _) => Some(Self::Full),
            ("accept_any", _) => Some(Self::AcceptAny),
            ("ca", Some(pem)) if !pem.is_empty() => Some(Self::Ca(pem.to_owned())),
            ("pinned", Some(pins)) => {
                let pins: Option<Vec<_>> =
                    pins.split_whitespace().map(Fingerprint::parse).collect();
                pins.filter(|pins| !pins.is_empty()).map(Self::Pinned)
            }
            _ => None,
        }
    }
}

/// The SHA-256 of a certificate's DER form. No secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// From the hash itself.
    pub fn new(hash: [u8; 32]) -> Self {
        Self(hash)
    }

    /// 64 hexadecimal digits in any case, with colons between the octets or without; `None` otherwise.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let digits: String = if text.contains(':') {
            let octets: Vec<&str> = text.split(':').collect();
            if octets.iter().any(|octet| octet.len() != 2) {
                return None;
            }
            octets.concat()
        } else {
            text.to_owned()
        };
        if digits.len() != 64 {
            return None;
        }
        let mut hash = [0; 32];
        for (octet, pair) in hash.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
            let mut value = 0;
            for digit in pair {
                value = value * 16 + char::from(*digit).to_digit(16)?;
            }
            *octet = u8::try_from(value).ok()?;
        }
        Some(Self(hash))
    }
}

/// As `openssl x509 -fingerprint -sha256` prints it: capital digits with colons.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, octet) in self.0.iter().enumerate() {
            let colon = if place == 0 { "" } else { ":" };
            write!(f, "{colon}{octet:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_hex_with_or_without_colons() {
        let shown = ["AB"; 32].join(":");
        for text in [
            &shown,
            &shown.to_lowercase(),
            &"ab".repeat(32),
            &format!(" {shown}\n"),
        ] {
            assert_eq!(Fingerprint::parse(text).unwrap().to_string(), shown);
        }
        for bad in [
            "",
            "AB",
            &"ab".repeat(31),
            &"ab".repeat(33),
            &"ag".repeat(32),
            &"ab:".repeat(32),
            &["A"; 64].join(":"),
            &["ABC", "D"].repeat(16).join(":"),
            &"é".repeat(32),
            &"+a".repeat(32),
        ] {
            assert!(Fingerprint::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn ways_of_judging_are_kept_as_a_word_and_its_detail() {
        let pin = Fingerprint::new([7; 32]);
        for verify in [
            TlsVerify::Full,
            TlsVerify::AcceptAny,
            TlsVerify::Ca("pem\n".to_owned()),
            TlsVerify::Pinned(vec![pin, Fingerprint::new([9; 32])]),
        ] {
            let detail = verify.detail();
            assert_eq!(
                TlsVerify::parse(verify.as_str(), detail.as_deref()),
                Some(verify)
            );
        }
        for (word, detail) in [
            ("ca", None),
            ("ca", Some("")),
            ("pinned", None),
            ("pinned", Some(" ")),
            ("pinned", Some("AB")),
            ("none", None),
        ] {
            assert_eq!(TlsVerify::parse(word, detail), None, "{word} {detail:?}");
        }
    }
}
