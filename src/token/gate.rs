//! How fast one identity platform is asked, by all grants together.
//!
//! A platform is told apart by the host of its token endpoint. Three rules; all of it is pure:
//!
//! - *Rate*: requests begin at least [`Limits::spacing`] apart, in the order of asking, and at most
//!   [`Limits::at_once`] are under way.
//! - *Hold*: a platform that asks one grant to slow down is believed for its neighbours too, as far as that
//!   costs them nothing: refreshes ahead of expiry wait out the time it named, but at the latest until their
//!   token is no longer good; a grant that has no token to hand out is not held, since the limit may have been
//!   that one grant's own, or its tenant's (I6).
//! - *Circuit*: when request after request of several grants finds the platform unreachable or unwell, with no
//!   answer between, only probes go out, one at a time and further and further apart, never sooner than the
//!   platform asked for, preferring a grant that did not probe last; everybody else is told the last failure at once. Any answer closes it. One grant alone
//!   never opens it: its own waits bound it already, and its trouble may be its own.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    model::{Backoff, CloudProviderId, FailureClass},
    oauth::{OauthError, Reach},
};

/// The bounds of one platform.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From the beginning of one request to that of the next; a tenth of a second by default.
    pub spacing: Duration,
    /// Requests under way at the same time, from 1.
    pub at_once: usize,
    /// So many failures in a row, of at least three grants, stop all but probes.
    pub failures: u32,
    /// From one probe to the next.
    pub probe: Backoff,
}

impl Default for Limits {
    fn default() -> Self {
        USUAL
    }
}

const USUAL: Limits = Limits {
    spacing: Duration::from_millis(100),
    at_once: 16,
    failures: 5,
    probe: Backoff {
        first: Duration::from_secs(5),
        cap: Duration::from_secs(60),
    },
};

/// Fewer grants than this prove nothing about the platform.
const GRANTS: usize = 3;
/// How much longer the grant that probed last waits than the others.
const OTHERS_FIRST: Duration = Duration::from_secs(1);

/// Whether, and when, a request may go out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// At this moment, which is now or soon. It is reserved.
    At(Instant),
    /// Not before this; nothing is reserved.
    Later(Instant),
    /// The platform gives no answers; the next probe is at this time.
    Broken(OauthError, Instant),
}

/// What a request says about the platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// It answers.
    Well,
    /// It answers, and asks for this much rest.
    Slower(Duration),
    /// It gives no answer that anybody could use.
    Ill(OauthError),
}

impl Sign {
    pub(super) fn of(error: &OauthError) -> Self {
        match (error, error.class()) {
            (OauthError::Throttled { .. }, FailureClass::HoldFor(time)) => Self::Slower(time),
            (OauthError::Unavailable { .. }, _) => Self::Ill(error.clone()),
            // A certificate is of the line, not of the grant; a wrong address is of the provider's own row.
            (
                OauthError::Unreachable {
                    reach:
                        Reach::Name
                        | Reach::Connect
                        | Reach::Proxy
                        | Reach::TimedOut
                        | Reach::Broken
                        | Reach::Certificate,
                    ..
                },
                _,
            ) => Self::Ill(error.clone()),
            _ => Self::Well,
        }
    }
}

/// The state of one platform.
#[derive(Debug, Default)]
pub(super) struct Gate {
    /// When the next request may begin.
    next: Option<Instant>,
    /// Until when the platform asked for rest.
    hold: Option<Instant>,
    /// Failures since the last answer, and the first few grants that saw them.
    failures: u32,
    seen_by: Vec<CloudProviderId>,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    error: OauthError,
    probes: u32,
    probe_at: Instant,
    probing: bool,
    last: Option<CloudProviderId>,
}

impl Gate {
    /// Asks for a request. Who is not urgent goes only if it can go now.
    pub(super) fn turn(
        &mut self,
        limits: &Limits,
        grant: CloudProviderId,
        urgent: bool,
        now: Instant,
    ) -> Turn {
        if let Some(open) = &mut self.open {
            let mut from = open.probe_at;
            if open.last == Some(grant) {
                from += OTHERS_FIRST;
            }
            if open.probing || now < from {
                let again = from.max(now + OTHERS_FIRST);
                return Turn::Broken(open.error.clone(), again);
            }
            open.probing = true;
            open.last = Some(grant);
        }
        let free = self.next.filter(|next| *next > now).unwrap_or(now);
        if !urgent {
            let from = self.hold.map_or(free, |hold| hold.max(free));
            if from > now && self.open.is_none() {
                return Turn::Later(from);
            }
        }
        self.next = Some(free + limits.spacing);
        Turn::At(free)
    }

    /// A request has ended. Whether the platform is well again after it was not for everybody.
    pub(super) fn ended(
        &mut self,
        limits: &Limits,
        grant: CloudProviderId,
        sign: Sign,
        now: Instant,
    ) -> bool {
        let Sign::Ill(error) = sign else {
            if let Sign::Slower(time) = sign {
                let until = now + time;
                self.hold = Some(self.hold.map_or(until, |hold| hold.max(until)));
            }
            self.failures = 0;
            self.seen_by.clear();
            return self.open.take().is_some();
        };
        self.failures = self.failures.saturating_add(1);
        if self.seen_by.len() < GRANTS && !self.seen_by.contains(&grant) {
            self.seen_by.push(grant);
        }
        match &mut self.open {
            // Others that were under way when it opened say nothing new.
            Some(open) if !open.probing || open.last != Some(grant) => {}
            Some(open) => {
                open.probing = false;
                open.probes = open.probes.saturating_add(1);
                open.probe_at = now + rest(limits, open.probes, &error);
                open.error = error;
            }
            None if self.failures >= limits.failures && self.seen_by.len() >= GRANTS => {
                self.open = Some(Open {
                    probe_at: now + rest(limits, 1, &error),
                    error,
                    probes: 1,
                    probing: false,
                    last: None,
                });
            }
            None => {}
        }
        false
    }

    /// A request that was reserved was not made.
    pub(super) fn given_back(&mut self, grant: CloudProviderId) {
        if let Some(open) = &mut self.open
            && open.last == Some(grant)
        {
            open.probing = false;
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }
}

/// How long a platform that gives nobody an answer is left alone before probe number `number`: it may have said.
fn rest(limits: &Limits, number: u32, error: &OauthError) -> Duration {
    let asked = match error.class() {
        FailureClass::HoldFor(time) => time,
        _ => Duration::ZERO,
    };
    limits.probe.delay(number, 0.0).max(asked)
}

#[cfg(test)]
mod tests {
    use super::{USUAL as LIMITS, *};

    fn grant(id: i64) -> CloudProviderId {
        CloudProviderId::new(id)
    }

    fn ill() -> Sign {
        Sign::Ill(OauthError::Unavailable {
            status: 503,
            retry_after: None,
        })
    }

    fn millis(from: Instant, millis: u64) -> Instant {
        from + Duration::from_millis(millis)
    }

    #[test]
    fn a_thousand_grants_that_need_a_token_are_served_ten_a_second_in_the_order_of_asking() {
        let (mut gate, start) = (Gate::default(), Instant::now());
        for number in 0..1000 {
            let id = grant(i64::try_from(number).unwrap());
            let turn = gate.turn(&LIMITS, id, true, start);
            assert_eq!(turn, Turn::At(millis(start, number * 100)));
        }
        // Who can wait does not stand in the way.
        assert_eq!(
            gate.turn(&LIMITS, grant(1), false, start),
            Turn::Later(millis(start, 100_000))
        );
        let later = millis(start, 200_000);
        assert_eq!(gate.turn(&LIMITS, grant(1), false, later), Turn::At(later));
    }

    #[test]
    fn one_grants_slow_down_holds_who_can_wait_and_nobody_else() {
        // I6.
        let (mut gate, start) = (Gate::default(), Instant::now());
        gate.ended(
            &LIMITS,
            grant(1),
            Sign::Slower(Duration::from_secs(60)),
            start,
        );
        // A shorter one does not shorten it.
        gate.ended(
            &LIMITS,
            grant(2),
            Sign::Slower(Duration::from_secs(1)),
            start,
        );
        assert_eq!(
            gate.turn(&LIMITS, grant(2), false, start),
            Turn::Later(millis(start, 60_000))
        );
        assert_eq!(gate.turn(&LIMITS, grant(2), true, start), Turn::At(start));
        let over = millis(start, 60_000);
        assert_eq!(gate.turn(&LIMITS, grant(2), false, over), Turn::At(over));
    }

    #[test]
    fn a_platform_that_answers_nobody_gets_few_probes_until_it_answers() {
        let (mut gate, start) = (Gate::default(), Instant::now());
        for number in 0..5 {
            assert!(!gate.is_open());
            gate.ended(&LIMITS, grant(number % 3), ill(), start);
        }
        assert!(gate.is_open());
        let mut probes = Vec::new();
        for second in 0..600_u64 {
            let now = millis(start, second * 1000);
            // All ask all the time; whoever gets through is answered nothing.
            for number in 0..50 {
                if let Turn::At(_) = gate.turn(&LIMITS, grant(number), number % 2 == 0, now) {
                    probes.push((second, number));
                    // While one probes no other does.
                    assert!(matches!(
                        gate.turn(&LIMITS, grant(number + 1), true, now),
                        Turn::Broken(..)
                    ));
                    gate.ended(&LIMITS, grant(number), ill(), now);
                }
            }
        }
        let times: Vec<u64> = probes.iter().map(|(second, _)| *second).collect();
        assert_eq!(
            times,
            [5, 15, 35, 75, 135, 195, 255, 315, 375, 435, 495, 555]
        );
        for pair in probes.windows(2) {
            assert_ne!(pair[0].1, pair[1].1, "the same grant probes twice in a row");
        }
        // One answer, of whatever kind, and everybody may ask.
        let later = millis(start, 700_000);
        assert_eq!(gate.turn(&LIMITS, grant(9), true, later), Turn::At(later));
        assert!(gate.ended(&LIMITS, grant(9), Sign::Well, later));
        assert_eq!(
            gate.turn(&LIMITS, grant(8), true, later),
            Turn::At(millis(later, 100))
        );
    }

    #[test]
    fn a_platform_that_names_a_time_while_it_answers_nobody_gets_no_probe_before() {
        let (mut gate, start) = (Gate::default(), Instant::now());
        let busy = |seconds| {
            Sign::Ill(OauthError::Unavailable {
                status: 503,
                retry_after: Some(Duration::from_secs(seconds)),
            })
        };
        for number in 0..5 {
            gate.ended(&LIMITS, grant(number), busy(90), start);
        }
        for (second, goes) in [(5, false), (89, false), (90, true)] {
            let turn = gate.turn(&LIMITS, grant(7), true, millis(start, second * 1000));
            assert_eq!(matches!(turn, Turn::At(_)), goes, "{second}: {turn:?}");
        }
        // A shorter time than its own wait shortens nothing.
        let probed = millis(start, 90_000);
        gate.ended(&LIMITS, grant(7), busy(1), probed);
        for (second, goes) in [(9, false), (10, true)] {
            let turn = gate.turn(&LIMITS, grant(8), true, millis(probed, second * 1000));
            assert_eq!(matches!(turn, Turn::At(_)), goes, "{second}: {turn:?}");
        }
    }

    #[test]
    fn one_grants_trouble_stops_no_other() {
        // I6.
        let (mut gate, start) = (Gate::default(), Instant::now());
        for _ in 0..100 {
            gate.ended(&LIMITS, grant(1), ill(), start);
            gate.ended(&LIMITS, grant(2), ill(), start);
        }
        assert!(!gate.is_open());
        // Five of five, but somebody was answered between.
        for number in 0..5 {
            gate.ended(&LIMITS, grant(number), ill(), start);
            gate.ended(&LIMITS, grant(99), Sign::Well, start);
        }
        assert!(!gate.is_open());
    }

    #[test]
    fn a_probe_that_was_not_sent_is_left_to_the_next() {
        let (mut gate, start) = (Gate::default(), Instant::now());
        for number in 0..5 {
            gate.ended(&LIMITS, grant(number), ill(), start);
        }
        let later = millis(start, 10_000);
        assert_eq!(gate.turn(&LIMITS, grant(1), true, later), Turn::At(later));
        gate.given_back(grant(1));
        assert_eq!(
            gate.turn(&LIMITS, grant(2), true, later),
            Turn::At(millis(later, 100))
        );
    }

    #[test]
    fn what_a_failure_says_about_the_platform() {
        let refused = |retry_after| OauthError::Throttled { retry_after };
        let minute = Duration::from_secs(60);
        assert_eq!(Sign::of(&refused(None)), Sign::Slower(minute));
        assert_eq!(
            Sign::of(&refused(Some(minute * 2))),
            Sign::Slower(minute * 2)
        );
        let nonsense = OauthError::Nonsense {
            status: 200,
            what: "a page".into(),
        };
        assert_eq!(Sign::of(&nonsense), Sign::Well);
        let gone = OauthError::Unreachable {
            reach: Reach::Name,
            detail: String::new(),
        };
        assert_eq!(Sign::of(&gone), Sign::Ill(gone.clone()));
    }
}
