//! Comparing what a server has with what the store has.

use super::Timestamp;

/// Why a folder is compared with the store, the weightiest last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AuditKind {
    /// It is time again.
    Routine,
    /// An administrator asked for what arrived since a date.
    Asked,
    /// The server voided its UIDs: everything is new to us by its number, and paired by what it is (I4).
    Renumbered,
}

impl AuditKind {
    const ALL: [Self; 3] = [Self::Routine, Self::Asked, Self::Renumbered];

    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Routine => "routine",
            Self::Asked => "asked",
            Self::Renumbered => "renumbered",
        }
    }

    /// From the stored word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// An audit of a folder that is under way; it goes from the newest UID downwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Audit {
    /// Why.
    pub kind: AuditKind,
    /// UIDs from here on are compared.
    pub next: u64,
    /// What arrived since is wanted, whatever the account says.
    pub since: Option<Timestamp>,
    /// Messages that were missing in the store so far.
    pub found: u64,
    /// Messages that the store knew under another UID so far.
    pub paired: u64,
}

/// Fewer messages than this are never held: an hour's mail of a busy desk.
const FEW: u64 = 100;

/// Whether what an audit after voided UIDs found is kept from being announced until an administrator
/// agrees: more than a fifth of more than a hundred messages are unknown. A mailbox that was replaced or
/// whose mail was all rewritten would else be announced as new.
pub fn is_suspicious(found: u64, paired: u64) -> bool {
    let all = found.saturating_add(paired);
    all > FEW && found.saturating_mul(5) > all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_strangers_is_suspicious_and_a_handful_of_new_mail_is_not() {
        for (found, paired, expected) in [
            (0, 0, false),
            (100, 0, false),
            (101, 0, true),
            (20, 80, false),
            (21, 79, false),
            (20, 81, false),
            (21, 80, true),
            (2_000, 8_001, false),
            (2_001, 8_000, true),
        ] {
            assert_eq!(is_suspicious(found, paired), expected, "{found} {paired}");
        }
    }

    #[test]
    fn words_of_audits_are_read_back() {
        for kind in AuditKind::ALL {
            assert_eq!(AuditKind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(AuditKind::parse("x"), None);
    }
}
