//! Where to go on reading, decided from what is known and what SELECT said. Pure.

use crate::{
    imap::{Listed, Selected},
    model::{Backfill, Cursor, Generation, Timestamp, Uid, UidValidity},
};
use std::time::Duration;

/// What to do with a mailbox that was just selected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SyncPlan {
    /// Never seen: find out where to begin.
    FirstTime { validity: UidValidity },
    /// Read on from the cursor; up to this UID there may be something (`None`: not known).
    Continue { to: Option<Uid> },
    /// Nothing has arrived since the cursor was set.
    Nothing,
    /// What we know of its UIDs is void: begin anew under this validity and generation (I4).
    StartOver {
        why: Why,
        validity: UidValidity,
        generation: Generation,
    },
    /// Without a UIDVALIDITY no UID can be remembered (RFC 9051 §2.3.1.1): nothing is read.
    Unusable,
}

/// Why a mailbox is read anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The server says that its UIDs are new.
    NewValidity,
    /// The next UID is below one that was given already: the server was restored from a backup.
    UidNextFell,
    /// UIDs that we know belong to other messages now: it was restored, and has gone on since.
    UidsReused,
}

impl Why {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::NewValidity => "uidvalidity changed",
            Self::UidNextFell => "uidnext fell",
            Self::UidsReused => "uids were used again",
        }
    }
}

/// What the SELECT of a connection that is adopted still says. It was selected while another one was
/// reading: the cursor may have passed its UIDNEXT since, and that is no fall. A real fall shows on
/// the next connection that is opened with no other beside it.
pub(super) fn adopted(found: Selected) -> Selected {
    Selected {
        uid_next: None,
        ..found
    }
}

/// The plan where UIDs that are known belong to other messages.
pub(super) fn reused(cursor: Cursor) -> SyncPlan {
    SyncPlan::StartOver {
        why: Why::UidsReused,
        validity: cursor.validity,
        generation: Generation(cursor.generation.0.saturating_add(1)),
    }
}

/// The decision.
pub(super) fn plan(known: Option<Cursor>, found: &Selected) -> SyncPlan {
    let Some(validity) = found.uid_validity else {
        return SyncPlan::Unusable;
    };
    let Some(cursor) = known else {
        return SyncPlan::FirstTime { validity };
    };
    if cursor.validity != validity {
        return SyncPlan::StartOver {
            why: Why::NewValidity,
            validity,
            // Never 0 again: a validity that comes back must not bring back its old numbers.
            generation: Generation(cursor.generation.0.saturating_add(1)),
        };
    }
    match found.uid_next {
        Some(next) if u64::from(next) < cursor.next => SyncPlan::StartOver {
            why: Why::UidNextFell,
            validity,
            generation: Generation(cursor.generation.0.saturating_add(1)),
        },
        Some(next) if u64::from(next) == cursor.next => SyncPlan::Nothing,
        Some(next) => SyncPlan::Continue {
            to: Uid::new(next.saturating_sub(1)),
        },
        // Every UID there can be is decided.
        None if cursor.next > u64::from(u32::MAX) => SyncPlan::Nothing,
        // mail.163.com and others, seen by chatmail: SELECT answers without UIDNEXT.
        None => SyncPlan::Continue { to: None },
    }
}

/// The oldest mail an account wants of what was there before it; `None`: all of it. Mail that came in
/// the two seconds before the account was added belongs to it: clocks differ.
pub(super) fn wanted_since(backfill: Backfill, added: Timestamp) -> Option<Timestamp> {
    match backfill {
        Backfill::None => Some(added.minus(Duration::from_secs(2))),
        Backfill::Since(time) => Some(time),
        Backfill::All => None,
    }
}

/// True for mail that is taken: what came later than the folder was started is, whatever its date (a
/// mail moved in keeps its old one); of what was there before (`uid < history`) what is young enough,
/// or has no date. INTERNALDATE has whole seconds.
pub(super) fn is_wanted(one: &Listed, history: u64, since: Option<Timestamp>) -> bool {
    let Some(since) = since else {
        return true;
    };
    u64::from(one.uid.get()) >= history
        || one
            .internal_date
            .is_none_or(|date| date.millis() / 1000 >= since.millis().div_euclid(1000))
}

/// How many of these to fetch at once: at least one, at most `messages` and about `octets`.
pub(super) fn batch_size<'a>(
    listed: impl Iterator<Item = &'a Listed>,
    messages: usize,
    octets: u64,
) -> usize {
    let mut sum = 0_u64;
    let fits = listed
        .take(messages)
        .take_while(|one| {
            sum = sum.saturating_add(one.size);
            sum <= octets
        })
        .count();
    fits.max(1)
}

/// Octets of memory that fetching these takes: a mail larger than `most` is not held, but for its beginning and a
/// few slices.
pub(super) fn held(listed: &[Listed], most: u64) -> u64 {
    const PASSING: u64 = 4 << 20;
    let cost = |one: &Listed| if one.size > most { PASSING } else { one.size };
    listed.iter().map(cost).fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(validity: u32, generation: i64, next: u64) -> Option<Cursor> {
        Some(Cursor {
            validity: UidValidity::new(validity).unwrap(),
            generation: Generation(generation),
            next,
        })
    }

    fn found(validity: u32, uid_next: Option<u32>) -> Selected {
        Selected {
            exists: 3,
            uid_validity: UidValidity::new(validity),
            uid_next,
            read_only: false,
        }
    }

    #[test]
    fn the_plan_follows_from_cursor_and_select() {
        let v = |value| UidValidity::new(value).unwrap();
        let go_on = |to| SyncPlan::Continue { to: Uid::new(to) };
        let over = |why, validity, generation| SyncPlan::StartOver {
            why,
            validity: v(validity),
            generation: Generation(generation),
        };
        let cases = [
            (
                None,
                found(7, Some(10)),
                SyncPlan::FirstTime { validity: v(7) },
            ),
            (None, found(7, None), SyncPlan::FirstTime { validity: v(7) }),
            (None, found(0, Some(10)), SyncPlan::Unusable),
            (cursor(7, 0, 10), found(0, Some(12)), SyncPlan::Unusable),
            (cursor(7, 0, 10), found(7, Some(10)), SyncPlan::Nothing),
            (cursor(7, 0, 10), found(7, Some(12)), go_on(11)),
            (
                cursor(7, 0, 10),
                found(7, None),
                SyncPlan::Continue { to: None },
            ),
            // Faults 35 and 36.
            (
                cursor(7, 2, 10),
                found(7, Some(9)),
                over(Why::UidNextFell, 7, 3),
            ),
            (
                cursor(7, 2, 10),
                found(8, Some(99)),
                over(Why::NewValidity, 8, 3),
            ),
            (
                cursor(7, 2, 10),
                found(u32::MAX, Some(1)),
                over(Why::NewValidity, u32::MAX, 3),
            ),
            // Bad input 12: the last UID there is.
            (
                cursor(7, 0, u64::from(u32::MAX)),
                found(7, Some(u32::MAX)),
                SyncPlan::Nothing,
            ),
            (cursor(7, 0, 1 << 32), found(7, None), SyncPlan::Nothing),
        ];
        for (known, found, expected) in cases {
            assert_eq!(plan(known, &found), expected, "{known:?} {found:?}");
        }
    }

    #[test]
    fn an_adopted_connection_never_makes_uidnext_fall() {
        let go_on = SyncPlan::Continue { to: None };
        let over = SyncPlan::StartOver {
            why: Why::NewValidity,
            validity: UidValidity::new(8).unwrap(),
            generation: Generation(3),
        };
        let cases = [
            (found(7, Some(9)), go_on),
            (found(7, Some(10)), go_on),
            (found(7, Some(11)), go_on),
            (found(8, Some(9)), over),
            (found(0, Some(9)), SyncPlan::Unusable),
        ];
        for (found, expected) in cases {
            let found = adopted(found);
            assert_eq!(plan(cursor(7, 2, 10), &found), expected, "{found:?}");
        }
    }

    #[test]
    fn history_is_taken_by_date_and_what_comes_later_by_uid_alone() {
        let added = Timestamp::from_millis(1_000_000_500);
        let since = wanted_since(Backfill::None, added);
        let one = |uid, millis: Option<i64>| Listed {
            uid: Uid::new(uid).unwrap(),
            size: 1,
            internal_date: millis.map(Timestamp::from_millis),
        };
        let cases = [
            (one(5, Some(999_000_000)), false),
            (one(5, Some(999_997_000)), false),
            (one(5, Some(999_998_000)), true),
            (one(5, Some(1_000_001_000)), true),
            (one(5, None), true),
            (one(10, Some(5_000)), true),
        ];
        for (one, expected) in cases {
            assert_eq!(is_wanted(&one, 10, since), expected, "{one:?}");
        }
        assert!(is_wanted(
            &one(1, Some(0)),
            10,
            wanted_since(Backfill::All, added)
        ));
        let late = wanted_since(Backfill::Since(added), Timestamp::from_millis(0));
        assert_eq!(late, Some(added));
    }

    #[test]
    fn batches_are_bounded_by_count_and_octets_and_never_empty() {
        let listed: Vec<Listed> = [10, 20, 30, 400]
            .iter()
            .zip(1..)
            .map(|(size, uid)| Listed {
                uid: Uid::new(uid).unwrap(),
                size: *size,
                internal_date: None,
            })
            .collect();
        assert_eq!(batch_size(listed.iter(), 200, 60), 3);
        assert_eq!(batch_size(listed.iter(), 2, 60), 2);
        assert_eq!(batch_size(listed.iter(), 200, 5), 1);
        assert_eq!(batch_size(listed.iter(), 200, 1_000), 4);
    }
}
