//! Which mail may be to blame when fetching fails, and when it is put aside. Pure.

use super::{SyncError, body};
use crate::{
    imap::{ImapError, Step},
    model::Uid,
    store::AsideReason,
};

/// Weight of failures over one message before it is put aside unread: three answers that cannot be
/// read, or six refusals. Each costs the connection, so that with growing delays between them six
/// refusals take minutes: a server that is ill for a moment puts nothing aside.
pub(super) const ENOUGH: u32 = 12;
/// The weight of an answer that cannot be read: nonsense will be nonsense again.
const CERTAIN: u32 = 4;
/// The weight of a refusal: it may be about the mail, or about the server's day.
const REFUSAL: u32 = 2;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Suspect {
    /// The first message of the batch that failed.
    pub(super) uid: Uid,
    /// Its last one: from there on all is trusted again.
    pub(super) last: Uid,
    pub(super) weight: u32,
    /// What the last failure that has weight says of it.
    pub(super) reason: AsideReason,
    pub(super) detail: String,
}

impl Suspect {
    /// What is suspected after one more failure over the batch that begins with `first`. The first
    /// failure of a batch has no weight: it does not say which message is at fault.
    pub(super) fn after(known: Option<Self>, blame: Blame, first: Uid, last: Uid) -> Self {
        let (last, before) = match known {
            Some(known) if known.uid == first => (known.last, Some(known)),
            Some(known) => (known.last.max(last), None),
            None => {
                return Self {
                    uid: first,
                    last,
                    weight: 0,
                    reason: blame.reason,
                    detail: blame.detail,
                };
            }
        };
        let weight = before.as_ref().map_or(0, |before| before.weight);
        let (reason, detail) = match before {
            Some(before) if blame.weight == 0 => (before.reason, before.detail),
            _ => (blame.reason, blame.detail),
        };
        Self {
            uid: first,
            last,
            weight: weight.saturating_add(blame.weight),
            reason,
            detail,
        }
    }
}

/// How much a failure to fetch speaks against the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Blame {
    pub(super) weight: u32,
    pub(super) reason: AsideReason,
    pub(super) detail: String,
}

/// `None` for a failure that has nothing to do with what was fetched.
pub(super) fn blame(error: &SyncError) -> Option<Blame> {
    let SyncError::Imap(error) = error else {
        return None;
    };
    let (weight, reason, detail) = match error {
        ImapError::Nonsense {
            during: Step::Fetch,
            ..
        }
        | ImapError::Limit {
            during: Step::Fetch,
            ..
        } => (
            CERTAIN,
            AsideReason::Unreadable,
            "the server's answer cannot be read".to_owned(),
        ),
        ImapError::Refused {
            during: Step::Fetch,
            ..
        } if body::is_about_the_mail(error) => (REFUSAL, AsideReason::NoBody, error.to_string()),
        // A line breaks for many reasons, our own network first: that never costs a mail, it is only
        // read with more care (I7).
        ImapError::TimedOut {
            during: Step::Fetch,
        }
        | ImapError::Broken {
            during: Step::Fetch,
            ..
        } => (0, AsideReason::Unreadable, error.to_string()),
        _ => return None,
    };
    Some(Blame {
        weight,
        reason,
        detail,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_speaks_against_a_mail_puts_it_aside() {
        let during = Step::Fetch;
        let nonsense = || ImapError::Nonsense {
            during,
            line: String::new(),
        };
        let refused = || ImapError::Refused {
            during,
            code: None,
            text: "Internal error".to_owned(),
        };
        let broken = || ImapError::Broken {
            during,
            source: std::io::ErrorKind::ConnectionReset.into(),
        };
        let late = || ImapError::TimedOut { during };
        let failures = |error: &dyn Fn() -> ImapError| {
            let uid = Uid::new(5).unwrap();
            let mut suspect: Option<Suspect> = None;
            (1..=1_000).find_map(|times| {
                let blame = blame(&error().into()).unwrap();
                let now = Suspect::after(suspect.take(), blame, uid, uid);
                let enough = now.weight >= ENOUGH;
                let reason = now.reason;
                suspect = Some(now);
                enough.then_some((times, reason))
            })
        };
        assert_eq!(failures(&nonsense), Some((4, AsideReason::Unreadable)));
        assert_eq!(failures(&refused), Some((7, AsideReason::NoBody)));
        assert_eq!(failures(&broken), None);
        assert_eq!(failures(&late), None);
    }

    #[test]
    fn a_broken_line_leaves_the_reason_of_the_failures_before_it() {
        let uid = |value| Uid::new(value).unwrap();
        let blamed = |weight, reason| Blame {
            weight,
            reason,
            detail: String::new(),
        };
        let refusal = || blamed(REFUSAL, AsideReason::NoBody);
        let line = || blamed(0, AsideReason::Unreadable);
        let first = Suspect::after(None, refusal(), uid(1), uid(9));
        assert_eq!((first.weight, first.last), (0, uid(9)));
        let other = Suspect::after(Some(first), refusal(), uid(4), uid(4));
        assert_eq!((other.weight, other.last), (REFUSAL, uid(9)));
        let after = Suspect::after(Some(other), line(), uid(4), uid(4));
        assert_eq!((after.weight, after.reason), (REFUSAL, AsideReason::NoBody));
    }
}
