//! The lane's lifecycle. Pure: time and chance are arguments.
#![deny(clippy::wildcard_enum_match_arm)]

use std::time::Duration;

use tokio::time::Instant;

use crate::model::Backoff;

/// A connection that lived this long after a completed sync has proven itself: the failures before it
/// are forgotten. Without this a server that takes every login and hangs up would be hammered.
const STEADY: Duration = Duration::from_secs(30);

/// Where the lane stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Until the next try.
    Waiting { until: Instant, failures: u32 },
    /// Dialling, logging in, selecting.
    Connecting { failures: u32 },
    /// Reading what is there.
    Syncing { failures: u32, line: Line },
    /// Waiting for the server's word, and looking again at the latest at `look_at`.
    Watching {
        look_at: Instant,
        failures: u32,
        line: Line,
    },
    /// The server named a time: nothing before it has passed, whoever asks.
    Holding { until: Instant, failures: u32 },
    /// A person has to act; it is tried now and then all the same.
    Parked { until: Instant, failures: u32 },
}

/// An open connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Since when it is open.
    pub(super) since: Instant,
    /// When its successor is to be opened; `None` while that is under way, and without a token.
    pub(super) renew_at: Option<Instant>,
    /// A sync was completed on it.
    pub(super) proven: bool,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The deadline has come.
    Due,
    /// A connection is open and the mailbox selected.
    Connected { renew_at: Option<Instant> },
    /// The successor of the connection is open and the mailbox selected in it.
    Renewed { renew_at: Option<Instant> },
    /// The successor could not be opened; the connection itself is not affected.
    NotRenewed { retry_at: Instant },
    /// One unit of reading is done.
    Synced { more: bool },
    /// The server gave a hint.
    Nudged,
    /// Somebody asked to look now.
    Woken,
    /// The work or the connection failed.
    Failed(Trouble),
}

/// What a failure asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The connection ended as connections do.
    Goodbye,
    /// Try again on the schedule.
    Later,
    /// Try again on the schedule; from this failure on a person has to act.
    Perhaps(u32),
    /// There is nothing to try with before this time, unless somebody says so.
    Wait(Duration),
    /// Others have met it: not before this time, unless somebody says so. It was not tried and counts as nothing.
    Told(Duration),
    /// Not before this time has passed.
    Hold(Duration),
    /// A person has to act.
    Operator,
}

/// What to do, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Open a connection.
    Connect,
    /// Open its successor beside it.
    Renew,
    /// Put the successor in its place and take leave on the old one.
    Adopt,
    /// End the wait for the server's word, if one is on, and read one unit.
    Sync,
    /// Wait for the server's word.
    Watch,
    /// Drop the connection, and a successor that is being opened.
    HangUp,
}

/// The times the machine works with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// Between failures.
    pub(super) backoff: Backoff,
    /// Between tries of a parked lane.
    pub(super) parked: Duration,
    /// Longest wait for the server's word.
    pub(super) watch: Duration,
}

/// The machine.
#[derive(Debug)]
pub(super) struct Machine {
    phase: Phase,
    pub(super) times: Times,
}

impl Machine {
    /// Due at once.
    pub(super) fn new(times: Times, now: Instant) -> Self {
        let phase = Phase::Waiting {
            until: now,
            failures: 0,
        };
        Self { phase, times }
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    /// When [`Event::Due`] is to come.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Waiting { until, .. }
            | Phase::Holding { until, .. }
            | Phase::Parked { until, .. } => Some(until),
            Phase::Connecting { .. } => None,
            Phase::Syncing { line, .. } => line.renew_at,
            Phase::Watching { look_at, line, .. } => Some(
                line.renew_at
                    .map_or(look_at, |renew_at| renew_at.min(look_at)),
            ),
        }
    }

    /// Takes an event; `jitter` is chance in 0.0..=1.0.
    pub(super) fn handle(&mut self, event: Event, now: Instant, jitter: f64) -> Vec<Effect> {
        let (phase, effects) = self.step(event, now, jitter);
        self.phase = phase;
        effects
    }

    fn step(&self, event: Event, now: Instant, jitter: f64) -> (Phase, Vec<Effect>) {
        let stay = (self.phase, Vec::new());
        match self.phase {
            Phase::Waiting { failures, .. } | Phase::Parked { failures, .. } => match event {
                Event::Due | Event::Woken => {
                    (Phase::Connecting { failures }, vec![Effect::Connect])
                }
                Event::Connected { .. }
                | Event::Renewed { .. }
                | Event::NotRenewed { .. }
                | Event::Synced { .. }
                | Event::Nudged
                | Event::Failed(_) => stay,
            },
            Phase::Holding { failures, .. } => match event {
                Event::Due => (Phase::Connecting { failures }, vec![Effect::Connect]),
                Event::Woken
                | Event::Connected { .. }
                | Event::Renewed { .. }
                | Event::NotRenewed { .. }
                | Event::Synced { .. }
                | Event::Nudged
                | Event::Failed(_) => stay,
            },
            Phase::Connecting { failures } => match event {
                Event::Connected { renew_at } => {
                    let line = Line {
                        since: now,
                        renew_at,
                        proven: false,
                    };
                    (Phase::Syncing { failures, line }, vec![Effect::Sync])
                }
                Event::Failed(trouble) => self.failed(trouble, failures, now, jitter),
                Event::Due
                | Event::Renewed { .. }
                | Event::NotRenewed { .. }
                | Event::Synced { .. }
                | Event::Nudged
                | Event::Woken => stay,
            },
            Phase::Syncing { failures, line } => match event {
                Event::Synced { more: true } => {
                    let (line, mut effects) = renew(line, now);
                    effects.push(Effect::Sync);
                    (Phase::Syncing { failures, line }, effects)
                }
                Event::Synced { more: false } => {
                    let line = Line {
                        proven: true,
                        ..line
                    };
                    let look_at = now + self.times.watch;
                    let phase = Phase::Watching {
                        look_at,
                        failures,
                        line,
                    };
                    (phase, vec![Effect::Watch])
                }
                Event::Due => {
                    let (line, effects) = renew(line, now);
                    (Phase::Syncing { failures, line }, effects)
                }
                Event::Renewed { renew_at } => renewed(failures, renew_at, now),
                Event::NotRenewed { retry_at } => {
                    let line = Line {
                        renew_at: Some(retry_at),
                        ..line
                    };
                    (Phase::Syncing { failures, line }, Vec::new())
                }
                Event::Failed(trouble) => {
                    self.failed(trouble, forgiven(failures, line, now), now, jitter)
                }
                Event::Connected { .. } | Event::Nudged | Event::Woken => stay,
            },
            Phase::Watching {
                look_at,
                failures,
                line,
            } => match event {
                Event::Due if line.renew_at.is_some_and(|renew_at| renew_at <= now) => {
                    let (line, effects) = renew(line, now);
                    (
                        Phase::Watching {
                            look_at,
                            failures,
                            line,
                        },
                        effects,
                    )
                }
                Event::Due | Event::Nudged | Event::Woken => {
                    let failures = forgiven(failures, line, now);
                    (Phase::Syncing { failures, line }, vec![Effect::Sync])
                }
                Event::Renewed { renew_at } => {
                    renewed(forgiven(failures, line, now), renew_at, now)
                }
                Event::NotRenewed { retry_at } => {
                    let line = Line {
                        renew_at: Some(retry_at),
                        ..line
                    };
                    (
                        Phase::Watching {
                            look_at,
                            failures,
                            line,
                        },
                        Vec::new(),
                    )
                }
                Event::Failed(trouble) => {
                    self.failed(trouble, forgiven(failures, line, now), now, jitter)
                }
                Event::Connected { .. } | Event::Synced { .. } => stay,
            },
        }
    }

    /// Hangs up and decides when to try again.
    fn failed(
        &self,
        trouble: Trouble,
        failures: u32,
        now: Instant,
        jitter: f64,
    ) -> (Phase, Vec<Effect>) {
        let failures_now = failures.saturating_add(1);
        let wait = |delay: Duration| Phase::Waiting {
            until: now + delay,
            failures: failures_now,
        };
        let delay = self.times.backoff.delay(failures_now, jitter);
        let park = || Phase::Parked {
            until: now
                + self
                    .times
                    .parked
                    .mul_f64(0.9 + jitter.clamp(0.0, 1.0) / 5.0),
            failures: failures_now,
        };
        match trouble {
            // Nobody waits after a goodbye, but a server that does nothing else is spared.
            Trouble::Goodbye if failures == 0 => (
                Phase::Connecting {
                    failures: failures_now,
                },
                vec![Effect::HangUp, Effect::Connect],
            ),
            Trouble::Perhaps(tries) if failures_now >= tries => (park(), vec![Effect::HangUp]),
            Trouble::Goodbye | Trouble::Later | Trouble::Perhaps(_) => {
                (wait(delay), vec![Effect::HangUp])
            }
            Trouble::Wait(time) => (wait(time.max(delay)), vec![Effect::HangUp]),
            Trouble::Told(time) => (
                Phase::Waiting {
                    until: now + time,
                    failures: failures.max(1),
                },
                vec![Effect::HangUp],
            ),
            Trouble::Hold(time) => (
                Phase::Holding {
                    until: now + time.max(delay),
                    failures: failures_now,
                },
                vec![Effect::HangUp],
            ),
            Trouble::Operator => (park(), vec![Effect::HangUp]),
        }
    }
}

/// Failures before a connection that proved itself do not count.
fn forgiven(failures: u32, line: Line, now: Instant) -> u32 {
    if line.proven && now.saturating_duration_since(line.since) >= STEADY {
        0
    } else {
        failures
    }
}

fn renew(line: Line, now: Instant) -> (Line, Vec<Effect>) {
    if line.renew_at.is_some_and(|renew_at| renew_at <= now) {
        return (
            Line {
                renew_at: None,
                ..line
            },
            vec![Effect::Renew],
        );
    }
    (line, Vec::new())
}

/// On the new connection everything is looked at again: what came between the last listing and its
/// SELECT is announced to nobody.
fn renewed(failures: u32, renew_at: Option<Instant>, now: Instant) -> (Phase, Vec<Effect>) {
    let line = Line {
        since: now,
        renew_at,
        proven: false,
    };
    (
        Phase::Syncing { failures, line },
        vec![Effect::Adopt, Effect::Sync],
    )
}

/// When the successor of a connection is opened: this long before its token expires, at most a fifth
/// of what is left of it, and never at once again.
pub(super) fn renew_at(now: Instant, left: Duration, lead: Duration) -> Instant {
    let lead = lead.min(left / 5);
    now + left.saturating_sub(lead).max(Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: Times = Times {
        backoff: Backoff {
            first: Duration::from_secs(5),
            cap: Duration::from_secs(300),
        },
        parked: Duration::from_secs(300),
        watch: Duration::from_secs(300),
    };

    fn seconds(value: u64) -> Duration {
        Duration::from_secs(value)
    }

    fn machine(phase: Phase) -> Machine {
        Machine {
            phase,
            times: TIMES,
        }
    }

    #[test]
    fn each_event_leads_where_it_should() {
        use Effect::*;
        let now = Instant::now() + seconds(10_000);
        let fresh = Line {
            since: now,
            renew_at: None,
            proven: false,
        };
        let steady = Line {
            since: now - seconds(60),
            renew_at: Some(now + seconds(9)),
            proven: true,
        };
        let due = Line {
            renew_at: Some(now),
            ..steady
        };
        let watching = |line, failures| Phase::Watching {
            look_at: now,
            failures,
            line,
        };
        let wait = |after, failures| Phase::Waiting {
            until: now + seconds(after),
            failures,
        };
        let hold = |after, failures| Phase::Holding {
            until: now + seconds(after),
            failures,
        };
        let park = |failures| Phase::Parked {
            until: now + seconds(270),
            failures,
        };
        let bye = Event::Failed(Trouble::Goodbye);
        let table = [
            (
                wait(0, 2),
                Event::Due,
                Phase::Connecting { failures: 2 },
                vec![Connect],
            ),
            (
                park(3),
                Event::Woken,
                Phase::Connecting { failures: 3 },
                vec![Connect],
            ),
            (wait(9, 2), Event::Nudged, wait(9, 2), vec![]),
            (
                Phase::Connecting { failures: 2 },
                Event::Connected { renew_at: None },
                Phase::Syncing {
                    failures: 2,
                    line: fresh,
                },
                vec![Sync],
            ),
            (
                Phase::Connecting { failures: 0 },
                Event::Failed(Trouble::Later),
                wait(5, 1),
                vec![HangUp],
            ),
            (
                Phase::Connecting { failures: 3 },
                Event::Failed(Trouble::Later),
                wait(40, 4),
                vec![HangUp],
            ),
            (
                Phase::Connecting { failures: 0 },
                Event::Failed(Trouble::Operator),
                park(1),
                vec![HangUp],
            ),
            (
                Phase::Connecting { failures: 0 },
                Event::Failed(Trouble::Perhaps(3)),
                wait(5, 1),
                vec![HangUp],
            ),
            (
                Phase::Connecting { failures: 2 },
                Event::Failed(Trouble::Perhaps(3)),
                park(3),
                vec![HangUp],
            ),
            (
                Phase::Connecting { failures: 0 },
                Event::Failed(Trouble::Hold(seconds(299))),
                hold(299, 1),
                vec![HangUp],
            ),
            (hold(299, 1), Event::Woken, hold(299, 1), vec![]),
            (
                hold(0, 1),
                Event::Due,
                Phase::Connecting { failures: 1 },
                vec![Connect],
            ),
            (
                Phase::Connecting { failures: 0 },
                Event::Failed(Trouble::Wait(seconds(60))),
                wait(60, 1),
                vec![HangUp],
            ),
            (
                Phase::Syncing {
                    failures: 1,
                    line: fresh,
                },
                Event::Synced { more: true },
                Phase::Syncing {
                    failures: 1,
                    line: fresh,
                },
                vec![Sync],
            ),
            (
                Phase::Syncing {
                    failures: 1,
                    line: due,
                },
                Event::Synced { more: true },
                Phase::Syncing {
                    failures: 1,
                    line: Line {
                        renew_at: None,
                        ..due
                    },
                },
                vec![Renew, Sync],
            ),
            (
                Phase::Syncing {
                    failures: 1,
                    line: fresh,
                },
                Event::Synced { more: false },
                Phase::Watching {
                    look_at: now + seconds(300),
                    failures: 1,
                    line: Line {
                        proven: true,
                        ..fresh
                    },
                },
                vec![Watch],
            ),
            // A server that takes the login and then fails: the failures go on counting.
            (
                Phase::Syncing {
                    failures: 3,
                    line: fresh,
                },
                bye,
                wait(40, 4),
                vec![HangUp],
            ),
            (watching(fresh, 3), bye, wait(40, 4), vec![HangUp]),
            // A connection that was good ends: nobody waits.
            (
                watching(steady, 3),
                bye,
                Phase::Connecting { failures: 1 },
                vec![HangUp, Connect],
            ),
            (
                watching(steady, 3),
                Event::Nudged,
                Phase::Syncing {
                    failures: 0,
                    line: steady,
                },
                vec![Sync],
            ),
            (
                watching(steady, 0),
                Event::Due,
                Phase::Syncing {
                    failures: 0,
                    line: steady,
                },
                vec![Sync],
            ),
            (
                watching(due, 0),
                Event::Due,
                watching(
                    Line {
                        renew_at: None,
                        ..due
                    },
                    0,
                ),
                vec![Renew],
            ),
            (
                watching(steady, 0),
                Event::Renewed { renew_at: None },
                Phase::Syncing {
                    failures: 0,
                    line: fresh,
                },
                vec![Adopt, Sync],
            ),
            (
                watching(steady, 0),
                Event::NotRenewed { retry_at: now },
                watching(due, 0),
                vec![],
            ),
        ];
        for (before, event, after, effects) in table {
            let mut machine = machine(before);
            assert_eq!(
                machine.handle(event, now, 0.0),
                effects,
                "{before:?} {event:?}"
            );
            assert_eq!(machine.phase(), after, "{before:?} {event:?}");
        }
    }

    #[test]
    fn no_order_of_events_connects_twice_without_hanging_up_or_loses_the_next_step() {
        let start = Instant::now();
        let events = [
            Event::Due,
            Event::Connected {
                renew_at: Some(start),
            },
            Event::Renewed {
                renew_at: Some(start),
            },
            Event::NotRenewed { retry_at: start },
            Event::Synced { more: true },
            Event::Synced { more: false },
            Event::Nudged,
            Event::Woken,
            Event::Failed(Trouble::Goodbye),
            Event::Failed(Trouble::Later),
            Event::Failed(Trouble::Operator),
        ];
        let mut orders = 0_u32;
        let depth = 5;
        for mut code in 0..events.len().pow(depth) {
            let mut machine = Machine::new(TIMES, start);
            let (mut open, mut renewing) = (0_i32, 0_i32);
            let mut now = start;
            for _ in 0..depth {
                let event = events[code % events.len()];
                code /= events.len();
                // What the machine did not ask for cannot happen.
                let possible = match event {
                    Event::Renewed { .. } | Event::NotRenewed { .. } => renewing > 0,
                    Event::Connected { .. } => matches!(machine.phase(), Phase::Connecting { .. }),
                    Event::Due
                    | Event::Synced { .. }
                    | Event::Nudged
                    | Event::Woken
                    | Event::Failed(_) => true,
                };
                if !possible {
                    continue;
                }
                if matches!(event, Event::NotRenewed { .. } | Event::Renewed { .. }) {
                    renewing -= 1;
                }
                now += seconds(1);
                for effect in machine.handle(event, now, 0.5) {
                    match effect {
                        Effect::Connect => open += 1,
                        Effect::HangUp => (open, renewing) = (0, 0),
                        Effect::Renew => renewing += 1,
                        Effect::Adopt | Effect::Sync | Effect::Watch => assert_eq!(open, 1),
                    }
                    assert!(open <= 1 && renewing <= 1);
                }
                let busy = matches!(
                    machine.phase(),
                    Phase::Connecting { .. } | Phase::Syncing { .. }
                );
                assert!(
                    busy || machine.deadline().is_some(),
                    "{:?}",
                    machine.phase()
                );
                orders += 1;
            }
        }
        assert!(orders > 100_000);
    }

    #[test]
    fn the_successor_is_opened_before_the_token_expires_and_never_in_a_busy_loop() {
        let now = Instant::now();
        let lead = seconds(300);
        for (left, expected) in [(3600, 3300), (60, 48), (5, 4), (1, 1), (0, 1)] {
            assert_eq!(
                renew_at(now, seconds(left), lead),
                now + seconds(expected),
                "{left}"
            );
        }
    }
}
