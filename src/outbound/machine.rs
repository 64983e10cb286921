//! The lane's lifecycle. Pure: time and chance are arguments.
#![deny(clippy::wildcard_enum_match_arm)]

use std::time::Duration;

use tokio::time::Instant;

use crate::model::Backoff;

/// Troubles that may pass by themselves are the operator's from this failure on.
const PERHAPS: u32 = 3;

/// The queue said "due" and gave nothing: ask again only after this.
const PAUSE: Duration = Duration::from_secs(1);

/// A resting lane looks again after this: the hint of a queued message goes out at its commit, and can be
/// missed (another node queued it, or its commit's answer was lost).
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Where the lane stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Asking the queue, without a line.
    Looking { failures: u32 },
    /// No line, nothing to do before `until`.
    Resting { until: Instant, failures: u32 },
    /// Dialling and logging in.
    Connecting { failures: u32 },
    /// Sending what is due.
    Sending { failures: u32 },
    /// The line is open and nothing is due before `due`; it is closed at `close_at`.
    Lingering {
        due: Option<Instant>,
        close_at: Instant,
        /// The queue is not asked to deliver before.
        not_before: Instant,
    },
    /// Passing trouble: the next try.
    Waiting { until: Instant, failures: u32 },
    /// A limit: nothing before its time, whoever asks.
    Holding { until: Instant, failures: u32 },
    /// A person has to act; it is tried now and then all the same.
    Parked { until: Instant, failures: u32 },
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The deadline has come.
    Due,
    /// Something was queued, perhaps for another account.
    Queued,
    /// Somebody asked to try now, or a token changed.
    Woken,
    /// The queue's next due time.
    Looked { due: Option<Instant> },
    /// A line is open and logged in.
    Connected,
    /// A message was dealt with; the line is good for another or not.
    Delivered { line: bool },
    /// Nothing was due.
    Nothing { close_at: Instant },
    /// An idle line turned out to be closed; nobody is to blame.
    LineGone,
    /// The work failed.
    Failed(Trouble),
}

/// What a failure asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Try again on the schedule.
    Later,
    /// Try again on the schedule; a person has to act if it stays.
    Perhaps,
    /// There is nothing to try with before this time, unless somebody says so.
    Wait(Duration),
    /// Others have met it: not before this time, unless somebody says so. It was not tried and counts as nothing.
    Told(Duration),
    /// Not before this time has passed.
    Hold(Duration),
    /// A person has to act.
    Operator,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Ask the queue when the next message is due.
    Look,
    /// Open a line.
    Connect,
    /// Deliver one message.
    Deliver,
    /// Close the line in good order.
    Quit,
    /// Drop the line.
    HangUp,
}

/// The times the machine works with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// Between failures.
    pub(super) backoff: Backoff,
    /// Between tries of a parked lane.
    pub(super) parked: Duration,
    /// How long a login counts as proof that the next one works.
    pub(super) proof: Duration,
}

/// The machine.
#[derive(Debug)]
pub(super) struct Machine {
    phase: Phase,
    times: Times,
    /// Until when the last thing known of the line is that a login was taken. At first, after trouble, and when
    /// this time is over, a line is opened even with nothing to send, so that a password that was changed shows
    /// before the first reply waits for it.
    proven: Option<Instant>,
}

impl Machine {
    /// Looks first of all; see [`Machine::begin`].
    pub(super) fn new(times: Times) -> Self {
        Self {
            phase: Phase::Looking { failures: 0 },
            times,
            proven: None,
        }
    }

    /// The first effect.
    pub(super) fn begin(&self) -> Effect {
        Effect::Look
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    /// When [`Event::Due`] is to come.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Looking { .. } | Phase::Connecting { .. } | Phase::Sending { .. } => None,
            Phase::Lingering {
                due,
                close_at,
                not_before,
            } => Some(due.map_or(close_at, |due| due.max(not_before).min(close_at))),
            Phase::Resting { until, .. }
            | Phase::Waiting { until, .. }
            | Phase::Holding { until, .. }
            | Phase::Parked { until, .. } => Some(until),
        }
    }

    /// Takes an event; `jitter` is chance in 0.0..=1.0.
    pub(super) fn handle(&mut self, event: Event, now: Instant, jitter: f64) -> Vec<Effect> {
        let (phase, effects) = self.step(event, now, jitter);
        self.phase = phase;
        match event {
            // Spread, so that accounts that were added together do not all log in at the same moment.
            Event::Connected | Event::Delivered { line: true } => {
                let spread = 1.0 - jitter.clamp(0.0, 1.0) / 10.0;
                self.proven = Some(now + self.times.proof.mul_f64(spread));
            }
            // Who asks to try now wants to know whether a login works now.
            Event::Failed(_) | Event::Woken => self.proven = None,
            Event::Due
            | Event::Queued
            | Event::Looked { .. }
            | Event::Delivered { line: false }
            | Event::Nothing { .. }
            | Event::LineGone => {}
        }
        effects
    }

    fn step(&self, event: Event, now: Instant, jitter: f64) -> (Phase, Vec<Effect>) {
        let stay = (self.phase, Vec::new());
        match self.phase {
            Phase::Looking { failures } => match event {
                Event::Looked { due }
                    if self.proven.is_none_or(|until| until <= now)
                        || due.is_some_and(|due| due <= now) =>
                {
                    (Phase::Connecting { failures }, vec![Effect::Connect])
                }
                Event::Looked { due } => {
                    let again = now + LOOK_AGAIN;
                    let again = self.proven.map_or(again, |until| until.min(again));
                    let until = due.map_or(again, |due| due.min(again));
                    (Phase::Resting { until, failures }, Vec::new())
                }
                Event::Failed(trouble) => self.failed(trouble, failures, now, jitter),
                Event::Due
                | Event::Queued
                | Event::Woken
                | Event::Connected
                | Event::Delivered { .. }
                | Event::Nothing { .. }
                | Event::LineGone => stay,
            },
            Phase::Resting { failures, .. } => match event {
                Event::Due | Event::Queued | Event::Woken => look(failures),
                Event::Looked { .. }
                | Event::Connected
                | Event::Delivered { .. }
                | Event::Nothing { .. }
                | Event::LineGone
                | Event::Failed(_) => stay,
            },
            Phase::Connecting { failures } => match event {
                Event::Connected => (Phase::Sending { failures }, vec![Effect::Deliver]),
                Event::Failed(trouble) => self.failed(trouble, failures, now, jitter),
                Event::Due
                | Event::Queued
                | Event::Woken
                | Event::Looked { .. }
                | Event::Delivered { .. }
                | Event::Nothing { .. }
                | Event::LineGone => stay,
            },
            Phase::Sending { failures } => match event {
                Event::Delivered { line: true } => {
                    (Phase::Sending { failures: 0 }, vec![Effect::Deliver])
                }
                Event::Delivered { line: false } => (
                    Phase::Looking { failures: 0 },
                    vec![Effect::Quit, Effect::Look],
                ),
                Event::Nothing { close_at } => (
                    Phase::Lingering {
                        due: None,
                        close_at,
                        not_before: now + PAUSE,
                    },
                    vec![Effect::Look],
                ),
                Event::LineGone => (
                    Phase::Connecting { failures },
                    vec![Effect::HangUp, Effect::Connect],
                ),
                Event::Failed(trouble) => self.failed(trouble, failures, now, jitter),
                Event::Due
                | Event::Queued
                | Event::Woken
                | Event::Looked { .. }
                | Event::Connected => stay,
            },
            Phase::Lingering {
                due,
                close_at,
                not_before,
            } => match event {
                Event::Looked { due } => {
                    let phase = Phase::Lingering {
                        due,
                        close_at,
                        not_before,
                    };
                    (phase, Vec::new())
                }
                Event::Due if close_at <= now => (
                    Phase::Looking { failures: 0 },
                    vec![Effect::Quit, Effect::Look],
                ),
                Event::Due if due.is_some_and(|due| due.max(not_before) <= now) => {
                    (Phase::Sending { failures: 0 }, vec![Effect::Deliver])
                }
                // What was queued just now may be claimed just now.
                Event::Queued | Event::Woken => {
                    let phase = Phase::Lingering {
                        due,
                        close_at,
                        not_before: now,
                    };
                    (phase, vec![Effect::Look])
                }
                Event::LineGone => (
                    Phase::Looking { failures: 0 },
                    vec![Effect::HangUp, Effect::Look],
                ),
                Event::Failed(trouble) => self.failed(trouble, 0, now, jitter),
                Event::Due | Event::Connected | Event::Delivered { .. } | Event::Nothing { .. } => {
                    stay
                }
            },
            // A queue that fills does not hasten a lane in trouble.
            Phase::Waiting { failures, .. } | Phase::Parked { failures, .. } => match event {
                Event::Due | Event::Woken => look(failures),
                Event::Queued
                | Event::Looked { .. }
                | Event::Connected
                | Event::Delivered { .. }
                | Event::Nothing { .. }
                | Event::LineGone
                | Event::Failed(_) => stay,
            },
            Phase::Holding { failures, .. } => match event {
                Event::Due => look(failures),
                Event::Queued
                | Event::Woken
                | Event::Looked { .. }
                | Event::Connected
                | Event::Delivered { .. }
                | Event::Nothing { .. }
                | Event::LineGone
                | Event::Failed(_) => stay,
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
        let failures = failures.saturating_add(1);
        let delay = self.times.backoff.delay(failures, jitter);
        let chance = jitter.clamp(0.0, 1.0);
        let parked = Phase::Parked {
            until: now + self.times.parked.mul_f64(0.9 + chance / 5.0),
            failures,
        };
        let phase = match trouble {
            Trouble::Operator => parked,
            Trouble::Perhaps if failures >= PERHAPS => parked,
            Trouble::Later | Trouble::Perhaps => Phase::Waiting {
                until: now + delay,
                failures,
            },
            Trouble::Wait(time) => Phase::Waiting {
                until: now + time.max(delay),
                failures,
            },
            Trouble::Told(time) => Phase::Waiting {
                until: now + time,
                failures: failures.saturating_sub(1).max(1),
            },
            Trouble::Hold(time) => Phase::Holding {
                until: now + time.max(delay),
                failures,
            },
        };
        (phase, vec![Effect::HangUp])
    }
}

fn look(failures: u32) -> (Phase, Vec<Effect>) {
    (Phase::Looking { failures }, vec![Effect::Look])
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
        proof: Duration::from_secs(3600),
    };

    fn machine(phase: Phase) -> Machine {
        Machine {
            phase,
            times: TIMES,
            proven: Some(Instant::now() + TIMES.proof),
        }
    }

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_login_is_proven_at_first_and_after_trouble_even_with_nothing_to_send() {
        let now = Instant::now();
        let mut machine = Machine::new(TIMES);
        assert_eq!(machine.begin(), Effect::Look);
        let nothing = Event::Looked { due: None };
        assert_eq!(machine.handle(nothing, now, 0.0), [Effect::Connect]);
        machine.handle(Event::Failed(Trouble::Operator), now, 0.0);
        assert_eq!(machine.handle(Event::Woken, now, 0.0), [Effect::Look]);
        assert_eq!(machine.handle(nothing, now, 0.0), [Effect::Connect]);
        assert_eq!(
            machine.handle(Event::Connected, now, 0.0),
            [Effect::Deliver]
        );
        machine.handle(Event::Nothing { close_at: now }, now, 0.0);
        assert_eq!(
            machine.handle(Event::Due, now, 0.0),
            [Effect::Quit, Effect::Look]
        );
        assert_eq!(machine.handle(nothing, now, 0.0), []);
        // Who asks gets the proof again.
        assert_eq!(machine.handle(Event::Woken, now, 0.0), [Effect::Look]);
        assert_eq!(machine.handle(nothing, now, 0.0), [Effect::Connect]);
    }

    #[test]
    fn a_lane_with_nothing_to_send_proves_its_login_again_when_the_proof_is_old() {
        let start = Instant::now();
        let nothing = Event::Looked { due: None };
        for (jitter, proof) in [(0.0, 3600), (0.5, 3420), (1.0, 3240)] {
            let mut machine = Machine::new(TIMES);
            machine.handle(nothing, start, jitter);
            machine.handle(Event::Connected, start, jitter);
            // Each answer of the server is a proof of its own.
            let sent = start + seconds(1000);
            machine.handle(Event::Delivered { line: true }, sent, jitter);
            machine.handle(Event::Delivered { line: false }, sent, jitter);
            let old = sent + seconds(proof);
            let before = old - seconds(10);
            assert_eq!(machine.handle(nothing, before, jitter), [], "{jitter}");
            assert_eq!(machine.deadline(), Some(old), "not half a minute later");
            assert_eq!(machine.handle(Event::Due, old, jitter), [Effect::Look]);
            let effects = machine.handle(nothing, old, jitter);
            assert_eq!(effects, [Effect::Connect], "{jitter}");
        }
    }

    #[test]
    fn a_proven_line_is_opened_only_for_something_due_and_before_a_claim() {
        let now = Instant::now();
        let mut machine = machine(Phase::Looking { failures: 0 });
        let later = Some(now + seconds(20));
        assert_eq!(machine.handle(Event::Looked { due: later }, now, 0.0), []);
        assert_eq!(machine.deadline(), later);
        assert_eq!(machine.handle(Event::Queued, now, 0.0), [Effect::Look]);
        assert_eq!(
            machine.handle(Event::Looked { due: Some(now) }, now, 0.0),
            [Effect::Connect]
        );
        assert_eq!(
            machine.handle(Event::Connected, now, 0.0),
            [Effect::Deliver]
        );
    }

    #[test]
    fn a_resting_lane_looks_again_soon_whatever_the_queue_said() {
        let now = Instant::now();
        for (due, looks) in [(None, 30), (Some(3600), 30), (Some(31), 30), (Some(7), 7)] {
            let mut machine = machine(Phase::Looking { failures: 0 });
            let due = due.map(|left| now + seconds(left));
            assert_eq!(machine.handle(Event::Looked { due }, now, 0.0), []);
            let at = now + seconds(looks);
            assert_eq!(machine.deadline(), Some(at), "{due:?}");
            assert_eq!(machine.handle(Event::Due, at, 0.0), [Effect::Look]);
        }
    }

    #[test]
    fn a_line_serves_a_burst_lingers_and_is_closed() {
        let now = Instant::now();
        let mut machine = machine(Phase::Sending { failures: 2 });
        let delivered = Event::Delivered { line: true };
        assert_eq!(machine.handle(delivered, now, 0.0), [Effect::Deliver]);
        let close_at = now + seconds(5);
        assert_eq!(
            machine.handle(Event::Nothing { close_at }, now, 0.0),
            [Effect::Look]
        );
        assert_eq!(machine.handle(Event::Looked { due: None }, now, 0.0), []);
        assert_eq!(machine.deadline(), Some(close_at));
        // Something is queued while it lingers: the same line, at once.
        assert_eq!(machine.handle(Event::Queued, now, 0.0), [Effect::Look]);
        machine.handle(Event::Looked { due: Some(now) }, now, 0.0);
        assert_eq!(machine.deadline(), Some(now));
        assert_eq!(machine.handle(Event::Due, now, 0.0), [Effect::Deliver]);
        machine.handle(Event::Nothing { close_at }, now, 0.0);
        assert_eq!(
            machine.handle(Event::Due, close_at, 0.0),
            [Effect::Quit, Effect::Look]
        );
        // A worn line is closed, and what else is due gets a new one.
        let mut machine = self::machine(Phase::Sending { failures: 0 });
        assert_eq!(
            machine.handle(Event::Delivered { line: false }, now, 0.0),
            [Effect::Quit, Effect::Look]
        );
    }

    #[test]
    fn a_queue_that_says_due_and_gives_nothing_is_not_asked_in_a_circle() {
        let now = Instant::now();
        let mut machine = machine(Phase::Sending { failures: 0 });
        let close_at = now + seconds(5);
        machine.handle(Event::Nothing { close_at }, now, 0.0);
        machine.handle(Event::Looked { due: Some(now) }, now, 0.0);
        assert_eq!(machine.deadline(), Some(now + PAUSE));
        assert_eq!(machine.handle(Event::Due, now, 0.0), []);
        assert_eq!(
            machine.handle(Event::Due, now + PAUSE, 0.0),
            [Effect::Deliver]
        );
    }

    #[test]
    fn failures_wait_longer_and_longer_and_a_delivery_forgives_them() {
        let now = Instant::now();
        let mut machine = machine(Phase::Connecting { failures: 0 });
        for wait in [5, 10, 20, 40, 80, 160, 300, 300] {
            let failed = Event::Failed(Trouble::Later);
            assert_eq!(machine.handle(failed, now, 0.0), [Effect::HangUp]);
            assert_eq!(machine.deadline(), Some(now + seconds(wait)));
            assert_eq!(machine.handle(Event::Queued, now, 0.0), [], "not hastened");
            assert_eq!(machine.handle(Event::Due, now, 0.0), [Effect::Look]);
            machine.handle(Event::Looked { due: Some(now) }, now, 0.0);
        }
        machine.handle(Event::Connected, now, 0.0);
        machine.handle(Event::Delivered { line: true }, now, 0.0);
        machine.handle(Event::Failed(Trouble::Later), now, 0.0);
        assert_eq!(machine.deadline(), Some(now + seconds(5)));
    }

    #[test]
    fn a_parked_lane_is_tried_every_few_minutes_and_at_once_when_woken() {
        let now = Instant::now();
        for jitter in [0.0, 0.5, 1.0] {
            let mut machine = machine(Phase::Connecting { failures: 0 });
            machine.handle(Event::Failed(Trouble::Operator), now, jitter);
            let wait = machine.deadline().unwrap() - now;
            assert!((seconds(270)..=seconds(330)).contains(&wait), "{wait:?}");
            assert_eq!(machine.handle(Event::Queued, now, 0.0), []);
            assert_eq!(machine.handle(Event::Woken, now, 0.0), [Effect::Look]);
        }
        let mut machine = machine(Phase::Connecting { failures: 1 });
        machine.handle(Event::Failed(Trouble::Perhaps), now, 0.0);
        assert!(matches!(machine.phase(), Phase::Waiting { .. }));
        machine.phase = Phase::Connecting { failures: 2 };
        machine.handle(Event::Failed(Trouble::Perhaps), now, 0.0);
        assert!(matches!(machine.phase(), Phase::Parked { .. }));
    }

    #[test]
    fn a_limit_holds_until_its_time_whoever_asks() {
        let now = Instant::now();
        let mut machine = machine(Phase::Sending { failures: 0 });
        let hold = Trouble::Hold(seconds(3600));
        assert_eq!(
            machine.handle(Event::Failed(hold), now, 0.0),
            [Effect::HangUp]
        );
        for event in [Event::Queued, Event::Woken] {
            assert_eq!(machine.handle(event, now, 0.0), []);
        }
        assert_eq!(machine.deadline(), Some(now + seconds(3600)));
        assert_eq!(
            machine.handle(Event::Due, now + seconds(3600), 0.0),
            [Effect::Look]
        );
    }

    /// Whatever happens in whatever order: delivering needs a line, a second line needs the first one
    /// closed, and a lane that rests without a line has none open.
    #[test]
    fn no_order_of_events_delivers_without_a_line_or_opens_two() {
        let now = Instant::now();
        let events = [
            Event::Due,
            Event::Queued,
            Event::Woken,
            Event::Looked { due: Some(now) },
            Event::Looked { due: None },
            Event::Connected,
            Event::Delivered { line: true },
            Event::Delivered { line: false },
            Event::Nothing { close_at: now },
            Event::LineGone,
            Event::Failed(Trouble::Later),
            Event::Failed(Trouble::Operator),
        ];
        fn walk(
            phase: Phase,
            line: bool,
            events: &[Event],
            depth: u32,
            now: Instant,
            seen: &mut u64,
        ) {
            if depth == 0 {
                return;
            }
            for &event in events {
                // Outcomes come only to the effect that asked for them.
                let asked = match event {
                    Event::Connected => matches!(phase, Phase::Connecting { .. }),
                    Event::Delivered { .. } | Event::Nothing { .. } | Event::LineGone => {
                        matches!(phase, Phase::Sending { .. })
                    }
                    Event::Due
                    | Event::Queued
                    | Event::Woken
                    | Event::Looked { .. }
                    | Event::Failed(_) => true,
                };
                if !asked {
                    continue;
                }
                let mut machine = machine(phase);
                let mut line = line || event == Event::Connected;
                for effect in machine.handle(event, now, 0.0) {
                    match effect {
                        Effect::Deliver => assert!(line, "{event:?} in {phase:?}"),
                        Effect::Connect => assert!(!line, "{event:?} in {phase:?}"),
                        Effect::Quit | Effect::HangUp => line = false,
                        Effect::Look => {}
                    }
                }
                let needs_none = !matches!(
                    machine.phase(),
                    Phase::Sending { .. } | Phase::Lingering { .. }
                );
                assert!(!(needs_none && line), "{event:?} in {phase:?} left a line");
                *seen += 1;
                walk(machine.phase(), line, events, depth - 1, now, seen);
            }
        }
        let mut seen = 0;
        let begin = Machine::new(TIMES).phase();
        walk(begin, false, &events, 6, now, &mut seen);
        assert!(seen > 10_000, "{seen}");
    }
}
