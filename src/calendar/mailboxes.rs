//! The freshness of an account's mailbox. Pure.

use std::time::Duration;

use super::{Entry, Kind, Settings, Severity, Subject, Warning};
use crate::{
    diagnosis::{Named, Occasion, remark},
    model::Timestamp,
    store::FreshnessRow,
};

/// A time further ahead than this was noted under a wrong clock.
const CLOCK_SLACK: Duration = Duration::from_secs(60);

/// From when a mailbox's silence counts: its last contact, or the last change of the account where that is
/// later (one that was just resumed is not silent yet).
pub(super) fn silent_since(row: &FreshnessRow, now: Timestamp) -> Timestamp {
    known(row.contacts.inbound, now)
        .map_or(row.changed_at, |last| last.max(row.changed_at))
        .min(now)
}

fn known(at: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
    at.filter(|at| *at <= now.plus(CLOCK_SLACK))
}

/// The account's two lines.
pub(super) fn entries(row: &FreshnessRow, settings: &Settings, now: Timestamp) -> [Entry; 2] {
    let line = |kind, last| Entry {
        kind,
        subject: Subject::Account(row.contacts.account),
        name: row.key.clone(),
        since: None,
        last,
        due: None,
        days_left: None,
        warning: None,
    };
    [
        Entry {
            warning: silence(row, settings, now),
            ..line(Kind::Inbound, row.contacts.inbound)
        },
        line(Kind::Outbound, row.contacts.outbound),
    ]
}

fn silence(row: &FreshnessRow, settings: &Settings, now: Timestamp) -> Option<Warning> {
    if row.paused {
        return None;
    }
    let since = silent_since(row, now);
    let age = now.since(since);
    let severity = if age >= settings.warn_after {
        Severity::Warning
    } else if age >= settings.notice_after {
        Severity::Notice
    } else {
        return None;
    };
    Some(Warning {
        severity,
        remark: remark(&Occasion::MailboxSilent {
            account: Named {
                id: row.contacts.account.get(),
                name: &row.key,
            },
            last: known(row.contacts.inbound, now),
            since,
        }),
        once: Some(format!(
            "calendar/mailbox/{}/{}/{}",
            row.contacts.account,
            since.millis(),
            severity.as_str()
        )),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::AccountId, store::Contacts};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + seconds * 1000)
    }

    fn row(inbound: Option<i64>, changed: i64, paused: bool) -> FreshnessRow {
        FreshnessRow {
            contacts: Contacts {
                account: AccountId::new(3),
                inbound: inbound.map(at),
                outbound: None,
            },
            key: "SUPP1".into(),
            paused,
            changed_at: at(changed),
            stale_since: None,
        }
    }

    #[test]
    fn a_mailbox_is_noticed_after_a_quarter_of_an_hour_and_warned_about_after_one() {
        use Severity::{Notice, Warning};
        let table = [
            // (last contact, changed, paused, age of now, expected)
            (Some(0), -9_000, false, 899, None),
            (Some(0), -9_000, false, 900, Some(Notice)),
            (Some(0), -9_000, false, 3_599, Some(Notice)),
            (Some(0), -9_000, false, 3_600, Some(Warning)),
            (Some(0), -9_000, false, 9_999_999, Some(Warning)),
            // Paused: whatever.
            (Some(0), -9_000, true, 9_999_999, None),
            (None, 0, true, 9_999_999, None),
            // Never since it was added.
            (None, 0, false, 899, None),
            (None, 0, false, 900, Some(Notice)),
            // Resumed (or edited) long after the last contact.
            (Some(-100_000), 0, false, 899, None),
            (Some(-100_000), 0, false, 900, Some(Notice)),
            // A contact from the future counts as none; a minute of it is slack.
            (Some(99_999), 0, false, 900, Some(Notice)),
            (Some(930), 0, false, 900, None),
            // All of it from the future: a clock that was set back.
            (Some(99_999), 99_999, false, 900, None),
        ];
        for (inbound, changed, paused, now, expected) in table {
            let row = row(inbound, changed, paused);
            let found = silence(&row, &Settings::default(), at(now));
            let severity = found.as_ref().map(|warning| warning.severity);
            assert_eq!(severity, expected, "{inbound:?} {changed} {paused} {now}");
        }
    }

    #[test]
    fn one_silence_has_one_key_for_each_of_its_stages() {
        let once = |inbound, now| {
            let warning = silence(&row(inbound, 0, false), &Settings::default(), at(now));
            warning.and_then(|warning| warning.once).unwrap()
        };
        assert_eq!(once(Some(5), 1_000), once(Some(5), 2_000));
        assert_ne!(once(Some(5), 1_000), once(Some(5), 4_000));
        assert_ne!(once(Some(5), 1_000), once(Some(6), 1_000));
    }

    #[test]
    fn the_outgoing_side_is_shown_and_never_warned_about() {
        let [inbound, outbound] = entries(&row(None, 0, false), &Settings::default(), at(999_999));
        assert!(inbound.warning.is_some() && outbound.warning.is_none());
    }
}
