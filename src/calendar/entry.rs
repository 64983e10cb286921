//! One date or contact, and the warning it deserves.

use crate::{
    diagnosis::Remark,
    model::{AccountId, CloudProviderId, CredentialKind, Timestamp},
};

/// A day: a span of 24 hours, so that daylight saving moves nothing.
pub(super) const DAY_MILLIS: i64 = 86_400_000;

/// How much an entry matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know.
    Notice,
    /// Something has to be done in the next weeks; of a mailbox: now.
    Warning,
    /// Something has to be done this week, or is overdue.
    Urgent,
}

impl Severity {
    /// The shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Urgent => "urgent",
        }
    }
}

/// What an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What the application proves itself with.
    Credential(CredentialKind),
    /// A provider's grant.
    SignIn,
    /// The inbound lane of an account.
    Inbound,
    /// The outbound lane, which has contact when there is mail to send, and at intervals.
    Outbound,
}

impl Kind {
    /// The shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Credential(CredentialKind::Certificate) => "certificate",
            Self::Credential(CredentialKind::FirstSecret) => "clientSecret",
            Self::Credential(CredentialKind::SecondSecret) => "secondSecret",
            Self::SignIn => "signIn",
            Self::Inbound => "inboundContact",
            Self::Outbound => "outboundContact",
        }
    }
}

/// Whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A cloud provider.
    Provider(CloudProviderId),
    /// An account.
    Account(AccountId),
}

/// A line of the calendar.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What it is about.
    pub kind: Kind,
    /// Whose it is.
    pub subject: Subject,
    /// The provider's name, the account's key.
    pub name: String,
    /// Since when: a sign-in's day.
    pub since: Option<Timestamp>,
    /// When it was last used: a grant renewed, a server's last good answer.
    pub last: Option<Timestamp>,
    /// When it ends.
    pub due: Option<Timestamp>,
    /// Begun days until then; 0 or less: over.
    pub days_left: Option<i64>,
    /// What is to be said about it now.
    pub warning: Option<Warning>,
}

impl Entry {
    /// What tells it from all others: kind and subject.
    pub fn id(&self) -> String {
        match self.subject {
            Subject::Provider(id) => format!("provider/{id}/{}", self.kind.as_str()),
            Subject::Account(id) => format!("account/{id}/{}", self.kind.as_str()),
        }
    }
}

/// What is to be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// How much it matters.
    pub severity: Severity,
    /// In words.
    pub remark: Remark,
    /// The key under which it is announced, once; `None`: it is only shown.
    pub once: Option<String>,
}

/// The days before an end at which it is said, and how much that matters.
const THRESHOLDS: [(i64, Severity); 5] = [
    (0, Severity::Urgent),
    (1, Severity::Urgent),
    (7, Severity::Urgent),
    (30, Severity::Warning),
    (60, Severity::Notice),
];

/// Begun days from `now` until `due`: 1 in its last 24 hours, 0 or less once it is over.
pub(super) fn days_left(due: Timestamp, now: Timestamp) -> i64 {
    let left = due.millis().saturating_sub(now.millis());
    let whole = left.div_euclid(DAY_MILLIS);
    whole.saturating_add(i64::from(left.rem_euclid(DAY_MILLIS) > 0))
}

/// The nearest threshold that is crossed.
pub(super) fn threshold(due: Timestamp, now: Timestamp) -> Option<(i64, Severity)> {
    if due <= now {
        return Some((0, Severity::Urgent));
    }
    let left = days_left(due, now);
    THRESHOLDS
        .into_iter()
        .find(|(days, _)| *days > 0 && left <= *days)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_crossed_to_the_millisecond_and_days_are_counted_begun() {
        use Severity::{Notice, Urgent, Warning};
        let day = DAY_MILLIS;
        let table = [
            (100 * day, 100, None),
            (60 * day + 1, 61, None),
            (60 * day, 60, Some((60, Notice))),
            (31 * day, 31, Some((60, Notice))),
            (30 * day + 1, 31, Some((60, Notice))),
            (30 * day, 30, Some((30, Warning))),
            (7 * day + 1, 8, Some((30, Warning))),
            (7 * day, 7, Some((7, Urgent))),
            (day + 1, 2, Some((7, Urgent))),
            (day, 1, Some((1, Urgent))),
            (1, 1, Some((1, Urgent))),
            (0, 0, Some((0, Urgent))),
            (-1, 0, Some((0, Urgent))),
            (-day, -1, Some((0, Urgent))),
            (-400 * day, -400, Some((0, Urgent))),
        ];
        let now = Timestamp::from_millis(1_800_000_000_123);
        for (left, days, crossed) in table {
            let due = Timestamp::from_millis(now.millis() + left);
            assert_eq!(days_left(due, now), days, "{left}");
            assert_eq!(threshold(due, now), crossed, "{left}");
        }
        let never = Timestamp::from_millis(i64::MAX);
        assert_eq!(threshold(never, Timestamp::from_millis(i64::MIN)), None);
    }
}
