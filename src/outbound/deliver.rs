//! One delivery: claim, transfer, announce the dot, send it, record the answer.

use std::time::Duration;

use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use uuid::Uuid;

use super::{
    SendError,
    open::{Open, words},
    record::{Recorder, Unrecorded},
    settle::{self, Attempt, Schedule},
    transfer::{Target, Transferred, transfer},
};
use crate::{
    model::{FailureClass, RecipientId, Timestamp, fail_point},
    smtp::{self, Concern, Reply, SmtpError, Verb},
    store::{Claimed, Outcome, Settled, StoreError},
};

/// RSET is waited for so long.
const RESET: Duration = Duration::from_secs(5);

/// How one delivery ended.
#[derive(Debug)]
pub(super) enum Step {
    /// Nothing is due.
    Nothing,
    /// A message has its outcome; the line may be dead.
    Delivered,
    /// The line had been closed while it was idle; the message is as it was.
    LineGone,
    /// The lane cannot send; the message is as it was, or waits for its next try.
    Failed(SendError),
    /// Told to stop before the dot; the message is as it was.
    Stopped,
}

/// One bounded unit of work on an open line. A stop is honoured until the dot is announced; from then
/// on only dropping the future ends it early, and leaves the message in doubt for the next claim.
///
/// # Errors
/// Nothing more can be recorded here.
pub(super) async fn deliver_next(
    open: &mut Open,
    recorder: &Recorder,
    stop: &CancellationToken,
) -> Result<Step, Unrecorded> {
    let attempt = Uuid::new_v4().simple().to_string();
    let parts = &recorder.parts;
    let claim = parts
        .store
        .outbox_claim(&recorder.lease, &attempt, parts.clock.now());
    let claimed = match claim.await {
        Ok(Some(claimed)) => claimed,
        Ok(None) => return Ok(Step::Nothing),
        Err(StoreError::LeaseLost { .. }) => return Err(Unrecorded::LeaseLost),
        Err(error) => {
            if matches!(error, StoreError::OutcomeUnknown { .. }) {
                recorder.give_back(&attempt).await?;
            }
            return Ok(Step::Failed(error.into()));
        }
    };
    fail_point("outbound.after_claim");
    Delivery {
        recorder,
        claimed: &claimed,
        attempt: &attempt,
    }
    .run(open, stop)
    .await
}

/// A claimed message on its way. Every way out of here settles it or gives it back.
struct Delivery<'a> {
    recorder: &'a Recorder,
    claimed: &'a Claimed,
    attempt: &'a str,
}

impl Delivery<'_> {
    async fn run(&self, open: &mut Open, stop: &CancellationToken) -> Result<Step, Unrecorded> {
        let parts = &self.recorder.parts;
        let raw = match parts.blobs.read(&self.claimed.raw).await {
            Ok(raw) => raw,
            Err(error) => {
                // A fault of our own disk never fails or expires a message (I7).
                match error.class() {
                    FailureClass::RetryLater => self.recorder.give_back(self.attempt).await?,
                    FailureClass::OperatorMustAct
                    | FailureClass::HoldFor(_)
                    | FailureClass::GiveUp => self.unreadable(&words(&error)).await?,
                }
                return Ok(Step::Failed(error.into()));
            }
        };
        if let Err(error) = smtp::check_line_ends(&raw) {
            return self.settle_all(&SmtpError::BadBody(error)).await;
        }
        let first = open.messages == 0;
        open.messages = open.messages.saturating_add(1);
        let transferring = transfer(
            &mut open.line,
            &self.claimed.envelope_from,
            self.targets(),
            &raw,
            parts.settings.recipients,
        );
        let Some(done) = stop.run_until_cancelled(transferring).await else {
            self.recorder.give_back(self.attempt).await?;
            return Ok(Step::Stopped);
        };
        match done {
            Transferred {
                accepted,
                refused,
                untried,
                failed: None,
            } if !accepted.is_empty() => self.finish(open, &accepted, &refused, &untried).await,
            done => self.unsent(open, done, first).await,
        }
    }

    /// No dot: what was refused has its outcome, the rest is as it was or waits.
    async fn unsent(
        &self,
        open: &mut Open,
        done: Transferred,
        first_on_line: bool,
    ) -> Result<Step, Unrecorded> {
        let mut settled = self.refusals(&done.refused, false);
        let Some(error) = done.failed else {
            // Everybody was refused. Those who were not named are due at once.
            settled.extend(self.unharmed(&done.untried, "not tried in this transaction"));
            self.record(&settled).await?;
            self.reset(open).await;
            return Ok(Step::Delivered);
        };
        let concern = error.concern();
        let stale =
            concern == Concern::Line && !first_on_line && error.during() == Some(Verb::Mail);
        if (stale || concern == Concern::Account) && settled.is_empty() {
            self.recorder.give_back(self.attempt).await?;
            return Ok(if stale {
                Step::LineGone
            } else {
                Step::Failed(error.into())
            });
        }
        for target in done.accepted.iter().chain(&done.untried) {
            settled.push(self.judge(target, Err(&error), false));
        }
        self.record(&settled).await?;
        match concern {
            Concern::Account | Concern::Line => Ok(Step::Failed(error.into())),
            Concern::Message | Concern::Recipient => {
                self.reset(open).await;
                Ok(Step::Delivered)
            }
        }
    }

    /// Announces the dot, sends it, records the answer (I2).
    async fn finish(
        &self,
        open: &mut Open,
        accepted: &[Target],
        refused: &[(Target, SmtpError)],
        untried: &[Target],
    ) -> Result<Step, Unrecorded> {
        let parts = &self.recorder.parts;
        let ids: Vec<RecipientId> = accepted.iter().map(|target| target.id).collect();
        let mut settled = self.refusals(refused, true);
        settled.extend(self.unharmed(untried, "not tried in this transaction"));
        fail_point("outbound.before_dot_commit");
        let asked = Instant::now();
        let announced =
            parts
                .store
                .outbox_dot(&self.recorder.lease, self.attempt, &ids, parts.clock.now());
        match announced.await {
            Ok(true) => {}
            Ok(false) => {
                // Somebody called it off meanwhile. The line is in the middle of a body: never again.
                self.recorder.settle(self.attempt, &settled).await?;
                self.recorder.give_back(self.attempt).await?;
                return Ok(Step::LineGone);
            }
            Err(StoreError::LeaseLost { .. }) => return Err(Unrecorded::LeaseLost),
            Err(error) => {
                // It may be recorded or not; it is certain that no dot was sent.
                settled.extend(
                    self.not_sent(accepted, "the announcement of the dot was not recorded"),
                );
                self.record(&settled).await?;
                return Ok(Step::Failed(error.into()));
            }
        }
        fail_point("outbound.before_dot");
        if asked.elapsed() > parts.settings.dot_within {
            warn!(
                account = %self.recorder.account.entered.key, outbox = %self.claimed.outbox,
                "the dot was announced too long ago, the message was not sent"
            );
            settled.extend(self.not_sent(accepted, "the dot was announced too long ago"));
            self.record(&settled).await?;
            return Ok(Step::LineGone);
        }
        let answer = open.line.dot().await;
        fail_point("outbound.after_dot");
        for target in accepted {
            settled.push(self.judge(target, answer.as_ref(), false));
        }
        self.record(&settled).await?;
        match answer {
            Err(error) if matches!(error.concern(), Concern::Account | Concern::Line) => {
                Ok(Step::Failed(error.into()))
            }
            Ok(_) | Err(_) => Ok(Step::Delivered),
        }
    }

    fn targets(&self) -> Vec<Target> {
        let now = self.recorder.parts.clock.now();
        let due = self.claimed.recipients.iter();
        due.map(|copy| Target {
            id: copy.id,
            address: copy.address.clone(),
            number: copy.attempts,
            put_off: settle::put_off(copy, now),
        })
        .collect()
    }

    fn at(&self, target: &Target, others_accepted: bool) -> (Attempt, Schedule) {
        let parts = &self.recorder.parts;
        let attempt = Attempt {
            number: target.number,
            now: parts.clock.now(),
            put_off: target.put_off,
            lifetime: self.claimed.lifetime,
            others_accepted,
        };
        let schedule = Schedule {
            backoff: parts.settings.retry,
            jitter: rand::random(),
        };
        (attempt, schedule)
    }

    fn judge(
        &self,
        target: &Target,
        result: Result<&Reply, &SmtpError>,
        others_accepted: bool,
    ) -> Settled {
        let (attempt, schedule) = self.at(target, others_accepted);
        let reply = match result {
            Ok(reply) => Some(reply),
            Err(error) => error.reply(),
        };
        Settled {
            recipient: target.id,
            outcome: settle::settle(attempt, result, schedule),
            reply_code: reply.map(|reply| reply.code),
            reply_text: match (reply, result) {
                (Some(reply), _) => reply.words().chars().take(1000).collect(),
                (None, Err(error)) => words(error),
                (None, Ok(_)) => String::new(),
            },
        }
    }

    fn refusals(&self, refused: &[(Target, SmtpError)], others_accepted: bool) -> Vec<Settled> {
        refused
            .iter()
            .map(|(target, error)| self.judge(target, Err(error), others_accepted))
            .collect()
    }

    fn unharmed(&self, targets: &[Target], why: &str) -> Vec<Settled> {
        let now = self.recorder.parts.clock.now();
        targets
            .iter()
            .map(|target| local(target, settle::unharmed(now), why))
            .collect()
    }

    /// Trouble of ours between the body and the dot: once more after the first wait of the schedule.
    fn not_sent(&self, targets: &[Target], why: &str) -> Vec<Settled> {
        let now = self.recorder.parts.clock.now();
        let next_at = now.plus(self.recorder.parts.settings.retry.first);
        targets
            .iter()
            .map(|target| local(target, our_fault(next_at), why))
            .collect()
    }

    /// Only this message's bytes are concerned: it waits longer than the lane is parked for, so that the
    /// others are sent before it is tried again, and it waits as long as it takes.
    async fn unreadable(&self, why: &str) -> Result<(), Unrecorded> {
        let parts = &self.recorder.parts;
        let next_at = parts.clock.now().plus(parts.settings.parked_retry * 2);
        let settled: Vec<Settled> = self
            .targets()
            .iter()
            .map(|target| local(target, our_fault(next_at), why))
            .collect();
        self.record(&settled).await
    }

    async fn settle_all(&self, error: &SmtpError) -> Result<Step, Unrecorded> {
        let settled: Vec<Settled> = self
            .targets()
            .iter()
            .map(|target| self.judge(target, Err(error), false))
            .collect();
        self.record(&settled).await?;
        Ok(Step::Delivered)
    }

    async fn record(&self, settled: &[Settled]) -> Result<(), Unrecorded> {
        self.recorder.settle(self.attempt, settled).await?;
        self.tell(settled);
        Ok(())
    }

    /// One line for each kind of outcome.
    fn tell(&self, settled: &[Settled]) {
        let account = &self.recorder.account.entered.key;
        let outbox = self.claimed.outbox;
        let of = |kind: fn(&Outcome) -> bool| -> (usize, String) {
            let same = settled.iter().filter(|one| kind(&one.outcome));
            let reply = same.clone().next().map(|one| match one.reply_code {
                Some(code) => format!("{code} {}", one.reply_text),
                None => one.reply_text.clone(),
            });
            (same.count(), reply.unwrap_or_default())
        };
        let (recipient_count, reply) = of(|o| matches!(o, Outcome::Sent));
        if recipient_count > 0 {
            info!(account = %account, outbox = %outbox, recipient_count, reply, "mail sent");
        }
        let (recipient_count, reply) = of(|o| matches!(o, Outcome::Deferred { .. }));
        if recipient_count > 0 {
            warn!(account = %account, outbox = %outbox, recipient_count, reply, "mail deferred");
        }
        let (recipient_count, reply) = of(|o| matches!(o, Outcome::Failed | Outcome::Expired));
        if recipient_count > 0 {
            warn!(account = %account, outbox = %outbox, recipient_count, reply, "mail refused for good");
        }
        let (recipient_count, reply) = of(|o| matches!(o, Outcome::InDoubt));
        if recipient_count > 0 {
            warn!(account = %account, outbox = %outbox, recipient_count, reply, "mail in doubt: nobody knows whether it was sent");
        }
    }

    /// Clears a transaction that was begun; a line that cannot do that, and soon, is not used again. No
    /// stop is heard meanwhile, and a new line costs less than a long wait.
    async fn reset(&self, open: &mut Open) {
        if open.line.is_usable() {
            // A failure or a dropped command leaves the line dead, which is seen before its next use.
            let _ = timeout(RESET, open.line.rset()).await;
        }
    }
}

/// To be tried again, and no server asked for it (I7).
fn our_fault(next_at: Timestamp) -> Outcome {
    Outcome::Deferred {
        next_at,
        refused_for: None,
    }
}

fn local(target: &Target, outcome: Outcome, why: &str) -> Settled {
    Settled {
        recipient: target.id,
        outcome,
        reply_code: None,
        reply_text: why.to_owned(),
    }
}
