//! What a comparison of listings with the store says. Pure.

use std::{collections::HashMap, time::Duration};

use crate::{
    imap::Listed,
    model::{MessageId, Timestamp, Uid},
    store::{FolderRow, KnownRow},
};

/// One known message against its listing: the server gives another date or size for the UID. Perhaps only
/// a server that cannot count: the Message-ID decides.
pub(super) fn differs(known: &KnownRow, listed: &Listed) -> bool {
    let seconds = |time: Timestamp| time.millis().div_euclid(1_000);
    let date = listed
        .internal_date
        .is_some_and(|date| seconds(date) != seconds(known.internal_date));
    date || (listed.size > 0 && listed.size != known.size)
}

/// Which of the listed messages are which of the candidates: by Message-ID, size and date together, and
/// only where that is unique on both sides.
pub(super) fn pairs(
    listed: &[(Listed, Option<String>)],
    candidates: &[KnownRow],
) -> Vec<(Uid, MessageId)> {
    type Mark<'a> = (&'a str, u64, i64);
    let mut known: HashMap<Mark<'_>, Vec<MessageId>> = HashMap::new();
    for row in candidates {
        if let Some(key) = &row.message_key {
            let mark = (key.as_str(), row.size, row.internal_date.millis());
            known.entry(mark).or_default().push(row.message);
        }
    }
    let mut asking: HashMap<Mark<'_>, Vec<Uid>> = HashMap::new();
    for (one, key) in listed {
        if let (Some(key), Some(date)) = (key, one.internal_date) {
            let mark = (key.as_str(), one.size, date.millis());
            asking.entry(mark).or_default().push(one.uid);
        }
    }
    let mut found: Vec<(Uid, MessageId)> = asking
        .iter()
        .filter_map(
            |(mark, uids)| match (uids.as_slice(), known.get(mark)?.as_slice()) {
                ([uid], [message]) => Some((*uid, *message)),
                _ => None,
            },
        )
        .collect();
    found.sort_by_key(|(uid, _)| *uid);
    found
}

/// Whether a routine audit is due. Folders of many accounts that were added at once are spread over an hour.
pub(super) fn is_due(folder: &FolderRow, now: Timestamp, every: Duration) -> bool {
    let spread = folder.id.get().unsigned_abs().wrapping_mul(7_919) % 3_600;
    let spread = every.min(Duration::from_secs(spread));
    let last = folder.audited_at.unwrap_or(Timestamp::from_millis(0));
    last.plus(every).plus(spread) <= now
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AccountId, Cursor, FolderId, Generation, UidValidity};

    fn listed(uid: u32, size: u64, seconds: Option<i64>) -> Listed {
        Listed {
            uid: Uid::new(uid).unwrap(),
            size,
            internal_date: seconds.map(|s| Timestamp::from_millis(s * 1_000)),
        }
    }

    fn known(message: i64, key: &str, size: u64, seconds: i64) -> KnownRow {
        KnownRow {
            message: MessageId::new(message),
            uid: 1,
            internal_date: Timestamp::from_millis(seconds * 1_000),
            size,
            message_key: Some(key.to_owned()).filter(|key| !key.is_empty()),
        }
    }

    #[test]
    fn a_message_that_is_the_same_is_not_doubted() {
        let row = known(1, "a", 10, 5);
        for (one, expected) in [
            (listed(1, 10, Some(5)), false),
            (listed(1, 10, None), false),
            (listed(1, 0, Some(5)), false),
            (listed(1, 11, Some(5)), true),
            (listed(1, 10, Some(6)), true),
        ] {
            assert_eq!(differs(&row, &one), expected, "{one:?}");
        }
    }

    #[test]
    fn messages_are_paired_only_where_nothing_else_could_be_meant() {
        let key = |text: &str| Some(text.to_owned());
        let rows = [
            known(1, "a", 10, 5),
            known(2, "b", 10, 5),
            known(3, "twice", 10, 5),
            known(4, "twice", 10, 5),
            known(5, "once", 10, 5),
            known(6, "", 10, 5),
        ];
        let asked = [
            (listed(10, 10, Some(5)), key("a")),
            (listed(11, 11, Some(5)), key("b")),
            (listed(12, 10, Some(6)), key("b")),
            (listed(13, 10, Some(5)), key("twice")),
            (listed(14, 10, Some(5)), key("once")),
            (listed(15, 10, Some(5)), key("once")),
            (listed(16, 10, Some(5)), None),
            (listed(17, 10, None), key("b")),
        ];
        let found = pairs(&asked, &rows);
        assert_eq!(found, [(Uid::new(10).unwrap(), MessageId::new(1))]);
    }

    #[test]
    fn a_folder_is_audited_once_a_day_and_not_all_folders_at_once() {
        let day = Duration::from_secs(24 * 3_600);
        let folder = |id, at: Option<i64>| FolderRow {
            id: FolderId::new(id),
            account: AccountId::new(1),
            name: "INBOX".to_owned(),
            cursor: Cursor {
                validity: UidValidity::new(1).unwrap(),
                generation: Generation(0),
                next: 1,
            },
            history: 1,
            floor: 1,
            audit: None,
            audited_at: at.map(Timestamp::from_millis),
            repaired: 0,
            renumbered: 0,
            held: false,
        };
        let now = Timestamp::from_millis(10 * 24 * 3_600_000);
        let hours = |hours: u64| Some(now.minus(Duration::from_secs(hours * 3_600)).millis());
        assert!(is_due(&folder(1, None), now, day));
        assert!(is_due(&folder(1, hours(26)), now, day));
        assert!(!is_due(&folder(1, hours(23)), now, day));
        let due = |id| {
            is_due(
                &folder(id, hours(24)),
                now.plus(Duration::from_secs(1_800)),
                day,
            )
        };
        assert!((1..100).any(due) && !(1..100).all(due));
    }
}
