//! What an answer means for one recipient: the whole retry policy in one pure function.

use std::time::Duration;

use crate::{
    model::{Backoff, FailureClass, Timestamp},
    smtp::{Concern, Reply, SmtpError},
    store::{ClaimedCopy, Outcome},
};

/// `5.5.0` is believed from this attempt on.
const ODD_BELIEVED: u32 = 3;

/// Which attempt at which recipient is judged, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    /// This attempt's number, from 1.
    pub(super) number: u32,
    /// Now.
    pub(super) now: Timestamp,
    /// For how long servers had put this recipient off before this attempt, see [`put_off`].
    pub(super) put_off: Duration,
    /// For how long they may.
    pub(super) lifetime: Duration,
    /// Other recipients of the same transaction were accepted.
    pub(super) others_accepted: bool,
}

/// How waits grow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    pub(super) backoff: Backoff,
    /// Chance, in 0.0..=1.0.
    pub(super) jitter: f64,
}

/// The outcome for one recipient.
pub(super) fn settle(
    attempt: Attempt,
    result: Result<&Reply, &SmtpError>,
    schedule: Schedule,
) -> Outcome {
    let error = match result {
        Ok(_) => return Outcome::Sent,
        Err(error) => error,
    };
    if error.outcome_is_unknown() {
        return Outcome::InDoubt;
    }
    // Our own fault, or a limit of the account: as if it had not been tried (I7).
    if error.concern() == Concern::Account {
        return unharmed(attempt.now);
    }
    let bare = schedule.backoff.delay(attempt.number, schedule.jitter);
    match error.class() {
        // The others are sent now, so the rest can follow at once.
        _ if is_split(error) && attempt.others_accepted => unharmed(attempt.now),
        FailureClass::GiveUp if is_odd(error) && attempt.number < ODD_BELIEVED => {
            later(attempt, bare)
        }
        FailureClass::GiveUp if is_split(error) => later(attempt, bare),
        FailureClass::GiveUp => Outcome::Failed,
        FailureClass::HoldFor(time) => later(attempt, time.max(bare)),
        FailureClass::RetryLater | FailureClass::OperatorMustAct => later(attempt, bare),
    }
}

/// Back into the queue, due at once: when it is really tried again is the lane's business.
pub(super) fn unharmed(now: Timestamp) -> Outcome {
    Outcome::Deferred {
        next_at: now,
        refused_for: None,
    }
}

/// A try that is later than planned by more than this was not late by a server's doing: the lane was parked, nothing
/// ran, or the clock was set.
const LATE: Duration = Duration::from_secs(3600);

/// For how long servers have put a copy off when it is tried at `now`. Only waits between a server's "later" and the try
/// planned then count (I7), so that neither a clock set ahead by years (fault 50) nor a week without a login
/// expires a queue.
pub(super) fn put_off(copy: &ClaimedCopy, now: Timestamp) -> Duration {
    let Some(refused_at) = copy.refused_at else {
        return copy.refused_for;
    };
    let planned = copy
        .next_at
        .map_or(Duration::ZERO, |next_at| next_at.since(refused_at));
    let waited = now.since(refused_at).min(planned.saturating_add(LATE));
    copy.refused_for.saturating_add(waited)
}

/// On the schedule; the last try is when the time is over, and the one after it does not happen.
pub(super) fn later(attempt: Attempt, delay: Duration) -> Outcome {
    let left = attempt.lifetime.saturating_sub(attempt.put_off);
    if left.is_zero() {
        return Outcome::Expired;
    }
    Outcome::Deferred {
        next_at: attempt.now.plus(delay.min(left)),
        refused_for: Some(attempt.put_off),
    }
}

fn is_split(error: &SmtpError) -> bool {
    error.reply().is_some_and(Reply::is_too_many_recipients)
}

fn is_odd(error: &SmtpError) -> bool {
    error.reply().is_some_and(Reply::is_odd)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::{
        model::{EmailAddress, RecipientId},
        smtp::Verb,
    };

    const NOW: Timestamp = Timestamp::from_millis(1_000_000_000);
    const MINUTE: u64 = 60_000;

    fn settled(error: &SmtpError, number: u32, left: Duration, others_accepted: bool) -> String {
        let attempt = Attempt {
            number,
            now: NOW,
            put_off: DAYS.saturating_sub(left),
            lifetime: DAYS,
            others_accepted,
        };
        let schedule = Schedule {
            backoff: Backoff {
                first: Duration::from_secs(60),
                cap: Duration::from_secs(3600),
            },
            jitter: 0.0,
        };
        match settle(attempt, Err(error), schedule) {
            Outcome::Deferred { next_at, .. } => {
                format!("in {} min", next_at.since(NOW).as_millis() as u64 / MINUTE)
            }
            other => format!("{other:?}"),
        }
    }

    fn refused(during: Verb, line: &str) -> SmtpError {
        SmtpError::Refused {
            during,
            reply: Reply::from_line(line).unwrap(),
        }
    }

    const DAYS: Duration = Duration::from_secs(5 * 24 * 3600);

    #[test]
    fn each_answer_has_one_outcome() {
        use Verb::*;
        for (during, line, number, expected) in [
            (Rcpt, "450 4.2.1 later", 1, "in 1 min"),
            (Rcpt, "450 4.2.1 later", 2, "in 2 min"),
            (Rcpt, "450 4.2.1 later", 7, "in 60 min"),
            (Rcpt, "450 4.2.1 later", 900, "in 60 min"),
            (Rcpt, "452 4.2.2 full", 1, "in 1 min"),
            (Rcpt, "550 5.1.1 nobody", 1, "Failed"),
            (Rcpt, "551 moved", 1, "Failed"),
            (Data, "451 4.3.0 later", 1, "in 1 min"),
            (Data, "554 5.7.1 no", 1, "Failed"),
            (Dot, "451 4.7.1 greylisted", 3, "in 4 min"),
            (Dot, "552 5.3.4 too large", 1, "Failed"),
            (Dot, "554 5.7.1 spam", 1, "Failed"),
            // Row 40.
            (Body, "421 4.3.2 closing", 1, "in 1 min"),
            (Dot, "421 4.3.2 closing", 1, "in 1 min"),
            // "No idea" is taken for "later" twice.
            (Rcpt, "550 5.5.0 odd", 1, "in 1 min"),
            (Rcpt, "550 5.5.0 odd", 2, "in 2 min"),
            (Rcpt, "550 5.5.0 odd", 3, "Failed"),
            // The recipient's own limit.
            (Rcpt, "550 5.2.121 hourly limit", 1, "in 60 min"),
            // Our own faults and limits leave it as it was (I7).
            (Mail, "550 5.7.60 no send as", 9, "in 0 min"),
            (Dot, "554 5.2.252 SendAsDenied", 9, "in 0 min"),
            (Auth, "535 5.7.139 no", 9, "in 0 min"),
            (
                Rcpt,
                "550 5.4.5 Daily user sending limit exceeded",
                9,
                "in 0 min",
            ),
            (Mail, "530 5.7.57 not authenticated", 9, "in 0 min"),
        ] {
            let outcome = settled(&refused(during, line), number, DAYS, false);
            assert_eq!(outcome, expected, "{during}: {line}, attempt {number}");
        }
    }

    #[test]
    fn too_many_recipients_is_a_split_and_no_failure() {
        for line in ["452 4.5.3 too many", "550 5.5.3 too many"] {
            let error = refused(Verb::Rcpt, line);
            assert_eq!(settled(&error, 4, DAYS, true), "in 0 min");
            assert_eq!(settled(&error, 1, DAYS, false), "in 1 min");
        }
    }

    #[test]
    fn a_broken_line_is_in_doubt_only_from_the_dot_on() {
        for (during, expected) in [
            (Verb::Mail, "in 1 min"),
            (Verb::Rcpt, "in 1 min"),
            (Verb::Data, "in 1 min"),
            (Verb::Body, "in 1 min"),
            (Verb::Dot, "InDoubt"),
        ] {
            let broken = |during| SmtpError::Broken {
                during,
                source: io::ErrorKind::BrokenPipe.into(),
            };
            let limit = Duration::from_secs(600);
            let line = String::from("354 what");
            for error in [
                broken(during),
                SmtpError::TimedOut { during, limit },
                SmtpError::Nonsense { during, line },
                SmtpError::Limit { during, what: "x" },
            ] {
                assert_eq!(settled(&error, 1, DAYS, false), expected, "{error}");
            }
        }
    }

    // Fault 50.
    #[test]
    fn only_a_wait_that_a_server_asked_for_counts_against_the_time_of_a_copy() {
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        let at = |hours: i64| Timestamp::from_millis(NOW.millis() + hours * 3_600_000);
        let years = 10 * 8766;
        // (put off before, last put off at, due at, tried at, put off by then)
        for (before, refused, due, tried, expected) in [
            (0, None, 0, 0, 0),
            // Never tried, for our own fault, however long.
            (0, None, 0, 200, 0),
            (5, None, 0, 200, 5),
            // In time, a little late, and after a week in which nobody could log in.
            (0, Some(0), 1, 1, 1),
            (30, Some(0), 1, 2, 32),
            (30, Some(0), 1, 168, 32),
            // A limit that the server named counts whole.
            (30, Some(0), 24, 24, 54),
            // The clock was set ahead by years, or back.
            (30, Some(0), 1, years, 32),
            (30, Some(years), years + 1, 1, 30),
            (30, Some(0), -5, 1, 31),
        ] {
            let copy = ClaimedCopy {
                id: RecipientId::new(1),
                address: EmailAddress::parse("a@customer.example").unwrap(),
                attempts: 3,
                refused_for: hours(before),
                refused_at: refused.map(at),
                next_at: Some(at(due)),
            };
            let counted = put_off(&copy, at(tried));
            let case = (before, refused, due, tried);
            assert_eq!(counted, hours(expected), "{case:?}");
        }
    }

    #[test]
    fn a_message_expires_at_its_last_try_and_never_by_our_own_fault() {
        let later = refused(Verb::Rcpt, "450 4.2.1 later");
        assert_eq!(
            settled(&later, 7, Duration::from_secs(90), false),
            "in 1 min"
        );
        assert_eq!(settled(&later, 7, Duration::ZERO, false), "Expired");
        let nobody = refused(Verb::Rcpt, "550 5.1.1 nobody");
        assert_eq!(settled(&nobody, 7, Duration::ZERO, false), "Failed");
        let ours = refused(Verb::Mail, "550 5.7.60 no send as");
        assert_eq!(settled(&ours, 7, Duration::ZERO, false), "in 0 min");
        let gone = SmtpError::Broken {
            during: Verb::Dot,
            source: io::ErrorKind::BrokenPipe.into(),
        };
        assert_eq!(settled(&gone, 7, Duration::ZERO, false), "InDoubt");
    }
}
