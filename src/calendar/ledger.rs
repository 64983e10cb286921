//! Which last contacts have to be written down. Pure.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    model::{AccountId, Timestamp},
    store::Contacts,
};

/// What was seen of lanes, and what of it is in the database. As large as the set of running accounts.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    seen: BTreeMap<AccountId, Contacts>,
    written: BTreeMap<AccountId, Contacts>,
}

impl Ledger {
    /// Takes note of the running lanes, and says which contacts are worth a commit: those that have moved on by
    /// `lag` since they were written, those that have not moved for `lag` (so that the last contact before a
    /// silence is exact), and those of accounts that no longer run here. With `lag` zero: all that is news.
    pub(super) fn due(
        &mut self,
        live: Vec<Contacts>,
        now: Timestamp,
        lag: Duration,
    ) -> Vec<Contacts> {
        let live: BTreeMap<_, _> = live.into_iter().map(|one| (one.account, one)).collect();
        let mut due = Vec::new();
        for (account, seen) in std::mem::take(&mut self.seen) {
            let there = seen.inbound.is_some() || seen.outbound.is_some();
            let news = self.written.get(&account) != Some(&seen);
            if there && news && !live.contains_key(&account) {
                due.push(seen);
            }
        }
        self.written.retain(|account, _| live.contains_key(account));
        for one in live.values() {
            let written = self.written.get(&one.account);
            let news = |now_seen: Option<Timestamp>, before: Option<Timestamp>| match now_seen {
                None => false,
                Some(at) if before == Some(at) => false,
                Some(at) => {
                    before.is_none_or(|before| at.since(before) >= lag || at < before)
                        || now.since(at) >= lag
                }
            };
            if news(one.inbound, written.and_then(|w| w.inbound))
                || news(one.outbound, written.and_then(|w| w.outbound))
            {
                due.push(*one);
            }
        }
        self.seen = live;
        due
    }

    /// These are in the database now.
    pub(super) fn written(&mut self, contacts: &[Contacts]) {
        for one in contacts {
            if self.seen.contains_key(&one.account) {
                self.written.insert(one.account, *one);
            }
        }
    }

    /// These could not be written: what no longer runs is kept for the next try.
    pub(super) fn not_written(&mut self, contacts: &[Contacts]) {
        for one in contacts {
            self.seen.entry(one.account).or_insert(*one);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAG: Duration = Duration::from_secs(180);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn lanes(account: i64, inbound: i64, outbound: Option<i64>) -> Contacts {
        Contacts {
            account: AccountId::new(account),
            inbound: Some(at(inbound)),
            outbound: outbound.map(at),
        }
    }

    #[test]
    fn a_contact_is_written_when_it_moves_on_by_minutes_and_when_it_stops_moving() {
        let mut ledger = Ledger::default();
        // (now, contact, whether it is written)
        let table = [
            (1000, 1000, true),
            (1060, 1060, false),
            (1120, 1120, false),
            (1180, 1180, true),
            (1240, 1200, false),
            // Silent since 1200: written exactly once it is three minutes old, and then no more.
            (1379, 1200, false),
            (1380, 1200, true),
            (5000, 1200, false),
            // The clock was set back.
            (900, 890, true),
        ];
        for (now, contact, written) in table {
            let due = ledger.due(vec![lanes(1, contact, None)], at(now), LAG);
            assert_eq!(!due.is_empty(), written, "at {now}");
            ledger.written(&due);
        }
    }

    #[test]
    fn an_account_that_stops_is_written_once_more_and_forgotten() {
        let mut ledger = Ledger::default();
        let due = ledger.due(vec![lanes(1, 10, None), lanes(2, 10, Some(4))], at(10), LAG);
        assert_eq!(due.len(), 2);
        ledger.written(&due);
        let due = ledger.due(vec![lanes(1, 50, None), lanes(2, 60, Some(4))], at(60), LAG);
        assert_eq!(due, []);
        let due = ledger.due(vec![lanes(1, 70, None)], at(70), LAG);
        assert_eq!(due, [lanes(2, 60, Some(4))]);
        // The database did not take it: it is not forgotten.
        ledger.not_written(&due);
        let due = ledger.due(vec![lanes(1, 71, None)], at(71), LAG);
        assert_eq!(due, [lanes(2, 60, Some(4))]);
        ledger.written(&due);
        assert_eq!(ledger.due(vec![lanes(1, 72, None)], at(72), LAG), []);
        assert_eq!(ledger.seen.len(), 1);
        assert_eq!(ledger.written.len(), 1);
        // The end: all that is news.
        let due = ledger.due(vec![lanes(1, 72, None)], at(73), Duration::ZERO);
        assert_eq!(due, [lanes(1, 72, None)]);
        ledger.written(&due);
        let due = ledger.due(vec![lanes(1, 72, None)], at(73), Duration::ZERO);
        assert_eq!(due, []);
    }

    #[test]
    fn a_lane_without_any_contact_costs_no_commit() {
        let none = Contacts {
            account: AccountId::new(1),
            inbound: None,
            outbound: None,
        };
        let mut ledger = Ledger::default();
        assert_eq!(ledger.due(vec![none], at(10), Duration::ZERO), []);
    }
}
