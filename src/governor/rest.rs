//! The rests that servers asked for. Pure.

use std::collections::BTreeMap;

use tokio::time::{Duration, Instant};

use super::place::{Place, Scope};
use crate::model::HoldKind;

/// Rests that are kept at most; the ones that end first go when there are more (I10).
const MOST: usize = 50_000;

/// One rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rest {
    pub(super) until: Instant,
    /// The server's words.
    pub(super) said: String,
}

/// All that run.
#[derive(Debug, Default)]
pub(super) struct Rests {
    running: BTreeMap<Scope, Rest>,
}

impl Rests {
    /// Remembers one; a shorter one shortens nothing. True where none ran for it.
    pub(super) fn add(&mut self, scope: &Scope, time: Duration, said: &str, now: Instant) -> bool {
        let until = now + time;
        if let Some(rest) = self.running.get_mut(scope) {
            let over = rest.until <= now;
            if until > rest.until {
                *rest = Rest {
                    until,
                    said: said.to_owned(),
                };
            }
            return over;
        }
        if self.running.len() >= MOST {
            self.sweep(now);
            let first = self.running.iter().min_by_key(|(_, rest)| rest.until);
            if self.running.len() >= MOST
                && let Some(scope) = first.map(|(scope, _)| scope.clone())
            {
                self.running.remove(&scope);
            }
        }
        let said = said.to_owned();
        self.running.insert(scope.clone(), Rest { until, said });
        true
    }

    /// The one that lasts longest of those that concern a place.
    pub(super) fn of(&self, place: &Place, now: Instant) -> Option<(&Scope, &Rest)> {
        if self.running.is_empty() {
            return None;
        }
        place
            .scopes()
            .iter()
            .filter_map(|scope| self.running.get_key_value(scope))
            .filter(|(_, rest)| rest.until > now)
            .max_by_key(|(_, rest)| rest.until)
    }

    /// Forgets what was asked of this place's login and mailbox alone.
    pub(super) fn forget(&mut self, place: &Place) {
        for scope in &place.scopes() {
            if matches!(scope.kind, HoldKind::Login | HoldKind::Mailbox) {
                self.running.remove(scope);
            }
        }
    }

    /// Forgets what is over.
    pub(super) fn sweep(&mut self, now: Instant) {
        self.running.retain(|_, rest| rest.until > now);
    }

    pub(super) fn running(&self, now: Instant) -> impl Iterator<Item = (&Scope, &Rest)> {
        self.running
            .iter()
            .filter(move |(_, rest)| rest.until > now)
    }
}
