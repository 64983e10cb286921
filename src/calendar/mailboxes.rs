//! The freshness of an account's two servers. Pure.

use std::time::Duration;

use super::{Entry, Kind, Settings, Severity, Subject, Warning};
use crate::{
    diagnosis::{Named, Occasion, remark},
    model::{LaneName, Timestamp},
    store::FreshnessRow,
};

/// A time further ahead than this was noted under a wrong clock.
const CLOCK_SLACK: Duration = Duration::from_secs(60);

/// From when a server's silence counts: its last contact, or the last change of the account where that is
/// later (one that was just resumed is not silent yet).
pub(super) fn silent_since(row: &FreshnessRow, lane: LaneName, now: Timestamp) -> Timestamp {
    known(last(row, lane), now)
        .map_or(row.changed_at, |last| last.max(row.changed_at))
        .min(now)
}

/// The last contact with the lane's server.
pub(super) fn last(row: &FreshnessRow, lane: LaneName) -> Option<Timestamp> {
    match lane {
        LaneName::Inbound => row.contacts.inbound,
        LaneName::Outbound => row.contacts.outbound,
    }
}

/// The last contact before a silence that was announced and is not called off.
pub(super) fn stale_since(row: &FreshnessRow, lane: LaneName) -> Option<Timestamp> {
    match lane {
        LaneName::Inbound => row.stale_since,
        LaneName::Outbound => row.outbound_stale_since,
    }
}

/// The word for a lane's silences in the keys of their announcements.
pub(super) fn word(lane: LaneName) -> &'static str {
    match lane {
        LaneName::Inbound => "mailbox",
        LaneName::Outbound => "sending",
    }
}

fn known(at: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
    at.filter(|at| *at <= now.plus(CLOCK_SLACK))
}

/// The account's two lines: inbound, outbound.
pub(super) fn entries(row: &FreshnessRow, settings: &Settings, now: Timestamp) -> [Entry; 2] {
    let line = |kind, lane| Entry {
        kind,
        subject: Subject::Account(row.contacts.account),
        name: row.key.clone(),
        since: None,
        last: last(row, lane),
        due: None,
        days_left: None,
        warning: silence(row, lane, settings, now),
    };
    [
        line(Kind::Inbound, LaneName::Inbound),
        line(Kind::Outbound, LaneName::Outbound),
    ]
}

fn silence(
    row: &FreshnessRow,
    lane: LaneName,
    settings: &Settings,
    now: Timestamp,
) -> Option<Warning> {
    if row.paused {
        return None;
    }
    let since = silent_since(row, lane, now);
    let age = now.since(since);
    // An inbound lane hears from its server all the time, an outbound one only now and then.
    let proof = match lane {
        LaneName::Inbound => Duration::ZERO,
        LaneName::Outbound => settings.proof,
    };
    let severity = if age >= settings.warn_after + proof {
        Severity::Warning
    } else if age >= settings.notice_after + proof {
        Severity::Notice
    } else {
        return None;
    };
    let account = Named {
        id: row.contacts.account.get(),
        name: &row.key,
    };
    let last = known(last(row, lane), now);
    let occasion = match lane {
        LaneName::Inbound => Occasion::MailboxSilent {
            account,
            last,
            since,
        },
        LaneName::Outbound => Occasion::SendingSilent {
            account,
            last,
            since,
        },
    };
    Some(Warning {
        severity,
        remark: remark(&occasion),
        once: Some(format!(
            "calendar/{}/{}/{}/{}",
            word(lane),
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
            outbound_stale_since: None,
        }
    }

    /// The inbound lane's.
    fn silence(row: &FreshnessRow, settings: &Settings, now: Timestamp) -> Option<Warning> {
        super::silence(row, LaneName::Inbound, settings, now)
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
    fn an_outgoing_server_is_judged_by_its_own_contact_and_the_time_between_two_logins_later() {
        use Severity::{Notice, Warning};
        let found = |outbound: Option<i64>, changed, paused, now| {
            // The incoming server answers all the time, or never: that is another matter.
            let [well, silent] = [Some(now), None].map(|inbound| {
                let mut row = row(inbound, changed, paused);
                row.contacts.outbound = outbound.map(at);
                let [_, outbound] = entries(&row, &Settings::default(), at(now));
                let warning = outbound.warning?;
                assert_eq!(warning.remark.code, "sending_contact_old");
                Some((warning.severity, warning.once?))
            });
            assert_eq!(well, silent);
            well
        };
        for (outbound, changed, paused, now, expected) in [
            (Some(0), -9_000, false, 4_499, None),
            (Some(0), -9_000, false, 4_500, Some(Notice)),
            (Some(0), -9_000, false, 7_199, Some(Notice)),
            (Some(0), -9_000, false, 7_200, Some(Warning)),
            (Some(0), -9_000, true, 9_999_999, None),
            // Never since it was added, and edited long after the last login.
            (None, 0, false, 4_499, None),
            (None, 0, false, 4_500, Some(Notice)),
            (Some(-100_000), 0, false, 4_499, None),
            (Some(-100_000), 0, false, 7_200, Some(Warning)),
        ] {
            let severity = found(outbound, changed, paused, now).map(|found| found.0);
            assert_eq!(severity, expected, "{outbound:?} {changed} {paused} {now}");
        }
        // Both lanes silent since the same moment: each has its own announcement.
        let both = entries(&row(None, 0, false), &Settings::default(), at(9_999));
        let [inbound, outbound] = both.map(|entry| entry.warning.unwrap().once.unwrap());
        assert_ne!(inbound, outbound);
    }
}
