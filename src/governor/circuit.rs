//! A host that gives nobody an answer gets probes only. Pure.

use std::sync::Arc;

use tokio::{
    sync::watch,
    time::{Duration, Instant},
};

use super::Settings;

/// Fewer logins than this prove nothing about a host.
const LOGINS: usize = 3;
/// How much longer the login that probed last waits than others.
const OTHERS_FIRST: Duration = Duration::from_secs(1);

/// Failures of a host since its last answer.
#[derive(Debug, Default)]
pub(super) struct Circuit {
    failures: u32,
    /// The first few logins that met them.
    seen_by: Vec<Arc<str>>,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    said: String,
    probes: u32,
    probe_at: Instant,
    /// When somebody who is in a hurry may probe.
    hurry_at: Instant,
    probing: bool,
    last: Option<Arc<str>>,
    /// Dropped when it closes, which wakes whoever waits for that.
    lifted: watch::Sender<()>,
}

/// What stands in the way at a silent host.
#[derive(Clone, Debug)]
pub(super) struct Silent {
    pub(super) until: Instant,
    pub(super) said: String,
    pub(super) lifted: watch::Receiver<()>,
}

/// What an opening changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    None,
    Opened,
    Closed,
}

impl Circuit {
    /// Whether this login may go now: `true` as a probe, which is then under way, `false` as everybody.
    pub(super) fn pass(
        &mut self,
        login: &Arc<str>,
        hurry: bool,
        now: Instant,
    ) -> Result<bool, Silent> {
        let would_pass = self.would_pass(login, hurry, now);
        let Some(open) = &mut self.open else {
            return Ok(false);
        };
        if !would_pass {
            return Err(open.silent(now));
        }
        open.probing = true;
        open.last = Some(Arc::clone(login));
        Ok(true)
    }

    /// Whether [`Circuit::pass`] would let this login go.
    pub(super) fn would_pass(&self, login: &Arc<str>, hurry: bool, now: Instant) -> bool {
        self.open.as_ref().is_none_or(|open| {
            let last = open.last.as_ref() == Some(login) && !hurry;
            let others_first = if last { OTHERS_FIRST } else { Duration::ZERO };
            let from = if hurry { open.hurry_at } else { open.probe_at };
            !open.probing && now >= from + others_first
        })
    }

    /// The host answered.
    pub(super) fn well(&mut self) -> Change {
        self.failures = 0;
        self.seen_by.clear();
        match self.open.take() {
            Some(_) => Change::Closed,
            None => Change::None,
        }
    }

    /// It did not.
    pub(super) fn ill(
        &mut self,
        login: &Arc<str>,
        said: &str,
        probe: bool,
        limits: &Settings,
        now: Instant,
    ) -> Change {
        self.failures = self.failures.saturating_add(1);
        if self.seen_by.len() < LOGINS && !self.seen_by.contains(login) {
            self.seen_by.push(Arc::clone(login));
        }
        match &mut self.open {
            // Others that were under way when it opened say nothing new.
            Some(_) if !probe => Change::None,
            Some(open) => {
                open.probing = false;
                open.probes = open.probes.saturating_add(1);
                open.probe_at = now + limits.probe.delay(open.probes, 0.0);
                open.hurry_at = now + limits.probe.first;
                said.clone_into(&mut open.said);
                Change::None
            }
            None if self.failures >= limits.failures && self.seen_by.len() >= LOGINS => {
                self.open = Some(Open {
                    said: said.to_owned(),
                    probes: 1,
                    probe_at: now + limits.probe.delay(1, 0.0),
                    hurry_at: now + limits.probe.first,
                    probing: false,
                    last: None,
                    lifted: watch::Sender::new(()),
                });
                Change::Opened
            }
            None => Change::None,
        }
    }

    /// A probe was not made, or ended without a word about the host.
    pub(super) fn given_back(&mut self) {
        if let Some(open) = &mut self.open {
            open.probing = false;
        }
    }

    pub(super) fn silent(&self, now: Instant) -> Option<Silent> {
        self.open.as_ref().map(|open| open.silent(now))
    }

    /// Nobody has probed for so long that nobody wants this host any more.
    pub(super) fn is_forgotten(&self, now: Instant, after: Duration) -> bool {
        self.open
            .as_ref()
            .is_none_or(|open| !open.probing && open.probe_at + after < now)
    }
}

impl Open {
    fn silent(&self, now: Instant) -> Silent {
        Silent {
            // While one probes, its outcome wakes the others where it is good.
            until: self.probe_at.max(now + OTHERS_FIRST),
            said: self.said.clone(),
            lifted: self.lifted.subscribe(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(number: u64) -> Arc<str> {
        number.to_string().into()
    }

    fn opened(limits: &Settings, now: Instant) -> Circuit {
        let mut circuit = Circuit::default();
        for number in 0..5 {
            assert!(circuit.open.is_none());
            circuit.ill(&login(number % 3), "refused", false, limits, now);
        }
        assert!(circuit.open.is_some());
        circuit
    }

    #[test]
    fn a_silent_host_gets_few_probes_of_different_logins_and_all_go_after_one_answer() {
        let (limits, start) = (Settings::default(), Instant::now());
        let mut circuit = opened(&limits, start);
        let mut probes = Vec::new();
        for second in 0..600 {
            let now = start + Duration::from_secs(second);
            for number in 0..200 {
                if circuit.pass(&login(number), false, now).is_ok() {
                    probes.push((second, number));
                    // While one probes no other does.
                    assert!(circuit.pass(&login(number + 1), true, now).is_err());
                    circuit.ill(&login(number), "refused", true, &limits, now);
                }
            }
        }
        let times: Vec<u64> = probes.iter().map(|(second, _)| *second).collect();
        assert_eq!(
            times,
            [5, 15, 35, 75, 135, 195, 255, 315, 375, 435, 495, 555]
        );
        for pair in probes.windows(2) {
            assert_ne!(pair[0].1, pair[1].1, "the same login probes twice in a row");
        }
        let mut waits = circuit.silent(start).unwrap().lifted;
        assert_eq!(circuit.well(), Change::Closed);
        assert!(waits.has_changed().is_err(), "who waits is woken");
        waits.mark_unchanged();
        assert!(matches!(circuit.pass(&login(7), false, start), Ok(false)));
    }

    #[test]
    fn who_is_in_a_hurry_probes_sooner_but_not_at_once_again() {
        let (limits, start) = (Settings::default(), Instant::now());
        let mut circuit = opened(&limits, start);
        let mut now = start;
        for _ in 0..4 {
            now += Duration::from_secs(60);
            assert!(circuit.pass(&login(1), false, now + OTHERS_FIRST).is_ok());
            circuit.ill(&login(1), "refused", true, &limits, now);
        }
        // The next usual probe is a minute away.
        let soon = now + Duration::from_secs(6);
        assert!(circuit.pass(&login(2), false, soon).is_err());
        assert!(
            circuit
                .pass(&login(2), true, now + Duration::from_secs(4))
                .is_err()
        );
        assert!(circuit.pass(&login(2), true, soon).is_ok());
    }

    #[test]
    fn one_logins_trouble_stops_no_other() {
        // I6.
        let (limits, now) = (Settings::default(), Instant::now());
        let mut circuit = Circuit::default();
        for _ in 0..100 {
            circuit.ill(&login(1), "refused", false, &limits, now);
            circuit.ill(&login(2), "refused", false, &limits, now);
        }
        assert!(circuit.silent(now).is_none());
        // Many of them, but somebody was answered between.
        for number in 0..50 {
            circuit.ill(&login(number), "refused", false, &limits, now);
            circuit.well();
        }
        assert!(circuit.silent(now).is_none());
    }

    #[test]
    fn a_probe_that_was_not_made_is_left_to_the_next() {
        let (limits, start) = (Settings::default(), Instant::now());
        let mut circuit = opened(&limits, start);
        let now = start + Duration::from_secs(5);
        assert!(matches!(circuit.pass(&login(1), false, now), Ok(true)));
        assert!(circuit.pass(&login(2), false, now).is_err());
        circuit.given_back();
        assert!(matches!(circuit.pass(&login(2), false, now), Ok(true)));
    }
}
