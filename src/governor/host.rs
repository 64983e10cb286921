//! One host: its line, its logins, and what becomes of who asks. Pure.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use tokio::{
    sync::watch,
    time::{Duration, Instant},
};

use super::{
    Place, Settings, Urgency,
    circuit::{Circuit, Silent},
    pace::Pace,
    place::Talk,
    rest::Rests,
};
use crate::model::HoldKind;

/// A full login is asked again after this by whoever does not wait in line for it.
const FULL_AGAIN: Duration = Duration::from_secs(60);
/// Connections of a login that extra ones leave free: for the successor of one, and for an examination.
const SPARE: usize = 2;

/// Why a connection is not opened now. No failure of the account.
#[derive(Clone, Debug)]
pub struct Held {
    /// What stands in the way.
    pub kind: HoldKind,
    /// Of whom, for people: a host, or a user name at a host.
    pub whose: String,
    /// In the server's or the system's own words; empty for [`HoldKind::Full`].
    pub said: String,
    /// When to ask again.
    pub until: Instant,
    pub(super) lifted: Option<watch::Receiver<()>>,
}

impl Held {
    /// How long that is from now.
    pub fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    /// Waits until what stands in the way is gone before its time; for ever where only time helps. Cancel-safe.
    pub async fn lifted(&mut self) {
        match &mut self.lifted {
            Some(lifted) => while lifted.changed().await.is_ok() {},
            None => std::future::pending().await,
        }
    }
}

/// The right to open a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) begun: Instant,
    pub(super) probe: bool,
}

/// What becomes of who asked.
#[derive(Debug)]
pub(super) enum Answer {
    Go(Turn),
    Held(Held),
}

/// One host.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) pace: Pace,
    pub(super) circuit: Circuit,
    /// In the order of going: urgent, usual, extra.
    pub(super) lines: [VecDeque<Ticket>; 3],
    pub(super) logins: BTreeMap<Arc<str>, Login>,
    pub(super) asked_at: Instant,
}

#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) id: u64,
    pub(super) place: Place,
    pub(super) urgency: Urgency,
}

/// Connections of one login, those that are being opened included.
#[derive(Debug, Default)]
pub(super) struct Login {
    pub(super) open: usize,
    /// The server said that so many are all, until then.
    pub(super) at_most: Option<(usize, Instant)>,
}

impl Host {
    pub(super) fn waiting(&self) -> usize {
        self.lines.iter().map(VecDeque::len).sum()
    }

    /// Connections that are open or being opened.
    pub(super) fn connections(&self) -> usize {
        self.logins.values().map(|login| login.open).sum()
    }

    /// What becomes of a ticket now; `None`: it waits.
    pub(super) fn judge(
        &mut self,
        ticket: &Ticket,
        rests: &Rests,
        limits: &Settings,
        now: Instant,
    ) -> Option<Answer> {
        let (place, urgency) = (&ticket.place, ticket.urgency);
        if let Some(held) = resting(rests, place, now) {
            return Some(Answer::Held(held));
        }
        if !self.has_slot(place, urgency, limits, now) {
            // Others of a silent host are told so, and do not wait for a connection of their login.
            if let Some(silent) = self.circuit.silent(now) {
                return Some(Answer::Held(of_silence(place, silent)));
            }
            return (urgency == Urgency::Renewal).then(|| Answer::Held(full(place, now)));
        }
        let probe = if urgency == Urgency::Examine {
            false
        } else {
            let hurry = urgency == Urgency::Urgent;
            if self.circuit.silent(now).is_none() && !self.pace.has_room() {
                return None;
            }
            match self.circuit.pass(&place.login, hurry, now) {
                Ok(probe) => probe,
                Err(silent) => return Some(Answer::Held(of_silence(place, silent))),
            }
        };
        self.pace.begin();
        self.logins
            .entry(Arc::clone(&place.login))
            .or_default()
            .open += 1;
        Some(Answer::Go(Turn { begun: now, probe }))
    }

    pub(super) fn has_slot(
        &self,
        place: &Place,
        urgency: Urgency,
        limits: &Settings,
        now: Instant,
    ) -> bool {
        let Some(login) = self.logins.get(&place.login) else {
            return true;
        };
        let usual = match place.talk {
            Talk::Imap => limits.imap_connections,
            Talk::Smtp => limits.smtp_connections,
        };
        let told = login
            .at_most
            .and_then(|(most, until)| (until > now).then_some(most));
        let most = told.map_or(usual, |told| told.min(usual)).max(1);
        match urgency {
            Urgency::Extra => login.open + SPARE < most,
            Urgency::Renewal | Urgency::Examine if told.is_none() => login.open < most + 1,
            _ => login.open < most,
        }
    }

    pub(super) fn release(&mut self, login: &Arc<str>) {
        if let Some(entry) = self.logins.get_mut(login) {
            entry.open = entry.open.saturating_sub(1);
            if entry.open == 0 && entry.at_most.is_none() {
                self.logins.remove(login);
            }
        }
    }
}

/// The host of this name, made where there is none.
pub(super) fn host<'a>(
    hosts: &'a mut BTreeMap<Arc<str>, Host>,
    name: &Arc<str>,
    limits: &Settings,
    now: Instant,
) -> &'a mut Host {
    hosts.entry(Arc::clone(name)).or_insert_with(|| Host {
        pace: Pace::new(limits),
        circuit: Circuit::default(),
        lines: Default::default(),
        logins: BTreeMap::new(),
        asked_at: now,
    })
}

pub(super) fn take(line: &mut VecDeque<Ticket>, at: usize) -> Option<Ticket> {
    if at == 0 {
        line.pop_front()
    } else {
        line.remove(at)
    }
}

pub(super) fn put_back(lines: &mut [VecDeque<Ticket>; 3], line: usize, at: usize, ticket: Ticket) {
    if let Some(line) = lines.get_mut(line) {
        line.insert(at.min(line.len()), ticket);
    }
}

pub(super) fn line_of(urgency: Urgency) -> usize {
    match urgency {
        Urgency::Examine | Urgency::Renewal | Urgency::Urgent => 0,
        Urgency::Usual => 1,
        Urgency::Extra => 2,
    }
}

pub(super) fn resting(rests: &Rests, place: &Place, now: Instant) -> Option<Held> {
    rests.of(place, now).map(|(scope, rest)| Held {
        kind: scope.kind,
        whose: scope.words(),
        said: rest.said.clone(),
        until: rest.until,
        lifted: None,
    })
}

pub(super) fn of_silence(place: &Place, silent: Silent) -> Held {
    Held {
        kind: HoldKind::HostSilent,
        whose: place.host.to_string(),
        said: silent.said,
        until: silent.until,
        lifted: Some(silent.lifted),
    }
}

pub(super) fn full(place: &Place, now: Instant) -> Held {
    Held {
        kind: HoldKind::Full,
        whose: format!("{} at {}", place.login, place.host),
        said: String::new(),
        until: now + FULL_AGAIN,
        lifted: None,
    }
}
