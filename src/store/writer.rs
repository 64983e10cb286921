//! The one writer: takes waiting steps, merges them into one transaction, answers each after COMMIT.

use std::{future::Future, panic::AssertUnwindSafe, pin::Pin, time::Duration};

use futures_util::FutureExt;
use rand::Rng;
use sqlx::AnyConnection;
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, oneshot, watch},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    StoreError, dialect,
    error::{Trouble, copy_of},
    lease,
    pool::{Connector, Purpose},
    tx::{Step, Tx},
};
use crate::model::fail_point;

/// Steps that may wait.
pub(super) const QUEUE: usize = 1_000;
/// Steps in one transaction.
const MERGED_STEPS: usize = 64;
/// Octets in one transaction, roughly; a single step may be larger.
const MERGED_OCTETS: usize = 2 << 20;
/// Messages in one transaction; a single step may have more. Each takes some ten statements, so that a
/// database with a round trip of a millisecond is done in about half of the patience.
const MERGED_ROWS: usize = 500;
/// How often a transaction that had to let others pass is done again.
const REDONE: u32 = 8;

/// A step with somebody waiting for its answer.
pub(super) struct Pending<S: Step> {
    pub(super) step: S,
    pub(super) reply: oneshot::Sender<Result<S::Answer, StoreError>>,
    /// What the caller is told once the commit is known.
    pub(super) answer: Option<Result<S::Answer, StoreError>>,
    pub(super) since: Instant,
    /// Part of the memory budget, given back with the answer.
    pub(super) _budget: Option<OwnedSemaphorePermit>,
}

type Applied<'a> = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + 'a>>;

/// [`Pending`] of whatever step.
pub(super) trait Job: Send {
    fn weight(&self) -> usize;
    fn rows(&self) -> usize;
    fn doing(&self) -> &'static str;
    fn since(&self) -> Instant;
    /// Fence and step. The answer is kept until the commit is known; so is a refusal that came before
    /// the step wrote anything, which is no error of the transaction.
    fn apply<'a>(&'a mut self, tx: &'a mut Tx) -> Applied<'a>;
    fn answer(self: Box<Self>, verdict: Result<(), StoreError>);
}

impl<S: Step> Job for Pending<S> {
    fn weight(&self) -> usize {
        self.step.weight()
    }

    fn rows(&self) -> usize {
        self.step.rows()
    }

    fn doing(&self) -> &'static str {
        S::DOING
    }

    fn since(&self) -> Instant {
        self.since
    }

    fn apply<'a>(&'a mut self, tx: &'a mut Tx) -> Applied<'a> {
        Box::pin(async move {
            self.answer = None;
            tx.doing = S::DOING;
            let answer = match self.step.fence() {
                Some(lease) => match lease::fence(tx, lease).await {
                    Ok(()) => unfenced(&self.step, tx).await,
                    Err(error) => Err(error),
                },
                None => unfenced(&self.step, tx).await,
            };
            match answer {
                Err(error) if tx.wrote || !error.is_refusal() => Err(error),
                settled => {
                    self.answer = Some(settled);
                    Ok(())
                }
            }
        })
    }

    fn answer(self: Box<Self>, verdict: Result<(), StoreError>) {
        let answer = match verdict {
            Ok(()) => self.answer.unwrap_or(Err(StoreError::Closed)),
            Err(error) => Err(error),
        };
        // A caller that no longer waits disturbs nobody.
        drop(self.reply.send(answer));
    }
}

/// The step itself; what the fence wrote does not count as the step's.
async fn unfenced<S: Step>(step: &S, tx: &mut Tx) -> Result<S::Answer, StoreError> {
    tx.wrote = false;
    step.apply(tx).await
}

type Jobs = Vec<Box<dyn Job>>;

/// The writer's task: owns the only connection that writes.
pub struct Writer {
    pub(super) connector: Connector,
    pub(super) connection: Option<AnyConnection>,
    pub(super) jobs: mpsc::Receiver<Box<dyn Job>>,
    /// Steps that go before all others.
    pub(super) first: mpsc::Receiver<Box<dyn Job>>,
    pub(super) events: watch::Sender<u64>,
    pub(super) outbox: watch::Sender<u64>,
}

/// How a try to commit several steps together went.
enum Round {
    /// Committed and answered.
    Done,
    /// Nothing was written; the whole list may be done again.
    Redo(sqlx::Error),
    /// Nothing was written because of one step's error, or of all that they are together; each deserves a
    /// try without the others.
    Apart(StoreError),
    /// Nothing was written and nothing will be soon, whatever the steps are.
    Failed(sqlx::Error),
    /// COMMIT was sent and nobody knows.
    Unknown(sqlx::Error),
}

impl Writer {
    /// Serves writes until every [`super::Store`] clone is dropped, or `stop` is cancelled and the
    /// queue is empty; later calls are answered [`StoreError::Closed`]. Survives every failure of the
    /// database: it connects again for the next step. Dropping the future answers the steps in flight
    /// `OutcomeUnknown` at their callers.
    pub async fn run(mut self, stop: CancellationToken) {
        // Taken from the queue, and too large for the transaction it would have been in.
        let mut held = None;
        loop {
            let waited: Option<Box<dyn Job>> = self.first.try_recv().ok().or_else(|| held.take());
            let first = match waited {
                Some(job) => job,
                None => match self.wait(&stop).await {
                    Some(job) => job,
                    None => break,
                },
            };
            let (mut weight, mut rows) = (first.weight(), first.rows());
            let mut jobs = vec![first];
            jobs.extend(held.take());
            while jobs.len() < MERGED_STEPS {
                let Ok(next) = self.jobs.try_recv() else {
                    break;
                };
                weight = weight.saturating_add(next.weight());
                rows = rows.saturating_add(next.rows());
                if weight > MERGED_OCTETS || rows > MERGED_ROWS {
                    held = Some(next);
                    break;
                }
                jobs.push(next);
            }
            self.serve(jobs).await;
        }
        tracing::debug!("the store's writer has ended");
    }

    /// The next step; `None`: all is done.
    async fn wait(&mut self, stop: &CancellationToken) -> Option<Box<dyn Job>> {
        if !self.jobs.is_closed() {
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                Some(job) = self.first.recv() => return Some(job),
                job = self.jobs.recv() => return job,
            }
            self.jobs.close();
            self.first.close();
        }
        match self.first.recv().await {
            Some(job) => Some(job),
            None => self.jobs.recv().await,
        }
    }

    /// Answers every one of the jobs.
    async fn serve(&mut self, mut jobs: Jobs) {
        let (late, fresh): (Jobs, Jobs) = jobs.drain(..).partition(|job| self.is_late(&**job));
        answer_all(late, too_late);
        let Some((jobs, error)) = self.together(fresh).await else {
            return;
        };
        if jobs.len() == 1 {
            for job in jobs {
                let doing = job.doing();
                job.answer(Err(again(&error, doing)));
            }
            return;
        }
        tracing::debug!(error = %error, steps = jobs.len(), "a shared commit failed, each step is tried alone");
        for job in jobs {
            // The ones before may each have taken the whole patience.
            if self.is_late(&*job) {
                answer_all(vec![job], too_late);
            } else if let Some((alone, error)) = self.together(vec![job]).await {
                answer_all(alone, |doing| again(&error, doing));
            }
        }
    }

    /// It waited longer than its caller's patience: it is told so, lest the queue of a dead database
    /// takes for ever.
    fn is_late(&self, job: &dyn Job) -> bool {
        job.since().elapsed() > self.connector.patience().saturating_mul(2)
    }

    /// Commits the jobs in one transaction, again where the engine asks for it. `None`: all answered.
    /// Else: the jobs that were not, because of this error of one of them.
    async fn together(&mut self, mut jobs: Jobs) -> Option<(Jobs, StoreError)> {
        let patience = self.connector.patience();
        let begun = Instant::now();
        let mut tries = 0_u32;
        while !jobs.is_empty() {
            match self.round(&mut jobs).await {
                Round::Done => break,
                Round::Apart(error) => return Some((jobs, error)),
                Round::Unknown(source) => {
                    tracing::warn!(error = %source, "the answer of a commit was lost");
                    answer_all(jobs, |doing| StoreError::OutcomeUnknown {
                        doing,
                        source: copy_of(&source),
                    });
                    break;
                }
                Round::Redo(source) if tries < REDONE && begun.elapsed() < patience => {
                    tracing::debug!(error = %source, tries, "a transaction is done again");
                    sleep(pause(tries)).await;
                    tries = tries.saturating_add(1);
                }
                // Perhaps it is the size that loses every time.
                Round::Redo(source) => return Some((jobs, unavailable(source))),
                Round::Failed(source) => {
                    answer_all(jobs, |doing| StoreError::Unavailable {
                        doing,
                        source: copy_of(&source),
                    });
                    break;
                }
            }
        }
        None
    }

    /// One try: BEGIN, every step, COMMIT, and the answers.
    async fn round(&mut self, jobs: &mut Jobs) -> Round {
        let patience = self.connector.patience();
        let engine = self.connector.engine();
        let old = self.connection.take();
        let was_open = old.is_some();
        let connection = match old {
            Some(connection) => connection,
            None => match self.connector.connect(Purpose::Write).await {
                Ok(connection) => connection,
                Err(source) => return Round::Failed(source),
            },
        };
        let mut tx = Tx {
            connection,
            engine,
            doing: "beginning a transaction",
            wrote: false,
            events: false,
            outbox: false,
        };
        // On every early return `tx` is dropped, and with it the connection: the engine rolls back.
        let began = timeout(patience, command(&mut tx, dialect::begin(engine))).await;
        match began {
            Err(_) => return Round::Failed(sqlx::Error::PoolTimedOut),
            Ok(Err(source)) if was_open && Trouble::of(&source) == Trouble::Gone => {
                return Round::Redo(source);
            }
            Ok(Err(source)) => return Round::Failed(source),
            Ok(Ok(())) => {}
        }
        let applied = AssertUnwindSafe(apply_all(&mut tx, jobs)).catch_unwind();
        let stopped = match timeout(patience, applied).await {
            Err(_) => return Round::Apart(unavailable(sqlx::Error::PoolTimedOut)),
            Ok(Err(_panic)) => {
                tracing::error!(doing = tx.doing, "a database step panicked: a bug");
                return Round::Apart(StoreError::Sql {
                    doing: tx.doing,
                    source: sqlx::Error::WorkerCrashed,
                });
            }
            Ok(Ok(stopped)) => stopped,
        };
        if let Err(error) = stopped {
            let trouble = error
                .driver()
                .map(|source| (Trouble::of(source), copy_of(source)));
            let gone = matches!(trouble, Some((Trouble::Gone, _)));
            if !gone
                && matches!(
                    timeout(patience, command(&mut tx, "ROLLBACK")).await,
                    Ok(Ok(()))
                )
            {
                self.connection = Some(tx.connection);
            }
            return match trouble {
                Some((Trouble::Redo, source)) => Round::Redo(source),
                Some((Trouble::Gone, source)) if was_open => Round::Redo(source),
                Some((Trouble::Gone | Trouble::Busy, source)) => Round::Apart(unavailable(source)),
                _ => Round::Apart(error),
            };
        }
        fail_point("store.before_commit");
        let committed = timeout(patience, command(&mut tx, "COMMIT")).await;
        let (events, outbox) = (tx.events, tx.outbox);
        let failed = match committed {
            Err(_) => Some(Round::Unknown(sqlx::Error::PoolTimedOut)),
            Ok(Err(source)) => Some(commit_failed(source)),
            Ok(Ok(())) => {
                self.connection = Some(tx.connection);
                fail_point("store.after_commit");
                None
            }
        };
        // A commit that may have happened counts: a hint too many costs a look, one too few leaves work lying.
        if matches!(failed, None | Some(Round::Unknown(_))) {
            self.hint(events, outbox);
        }
        if let Some(failed) = failed {
            return failed;
        }
        for job in jobs.drain(..) {
            job.answer(Ok(()));
        }
        Round::Done
    }

    fn hint(&self, events: bool, outbox: bool) {
        for (written, hint) in [(events, &self.events), (outbox, &self.outbox)] {
            if written {
                hint.send_modify(|seen| *seen = seen.wrapping_add(1));
            }
        }
    }
}

/// Runs the steps in order. `Err`: the transaction has to end without a commit.
async fn apply_all(tx: &mut Tx, jobs: &mut Jobs) -> Result<(), StoreError> {
    for job in jobs {
        tx.wrote = false;
        job.apply(tx).await?;
    }
    Ok(())
}

/// What a refused COMMIT leaves behind.
fn commit_failed(source: sqlx::Error) -> Round {
    match Trouble::of(&source) {
        Trouble::Redo => Round::Redo(source),
        // 1180 (ER_ERROR_DURING_COMMIT) says nothing about whether the other engines kept it.
        Trouble::Busy if !is_1180(&source) => Round::Apart(unavailable(source)),
        Trouble::Busy | Trouble::Gone | Trouble::Unique | Trouble::Other => Round::Unknown(source),
    }
}

fn is_1180(source: &sqlx::Error) -> bool {
    source
        .as_database_error()
        .and_then(|error| error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>())
        .is_some_and(|error| error.number() == 1180)
}

async fn command(tx: &mut Tx, text: &'static str) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(text)
        .execute(&mut tx.connection)
        .await
        .map(|_| ())
}

/// 5 ms doubling, with up to as much again at random.
fn pause(tries: u32) -> Duration {
    let bare = 5_u64 << tries.min(10);
    Duration::from_millis(bare.saturating_add(rand::rng().random_range(0..=bare)))
}

fn answer_all(jobs: Jobs, error: impl Fn(&'static str) -> StoreError) {
    for job in jobs {
        let doing = job.doing();
        job.answer(Err(error(doing)));
    }
}

fn too_late(doing: &'static str) -> StoreError {
    StoreError::Unavailable {
        doing,
        source: sqlx::Error::PoolTimedOut,
    }
}

/// Of several steps; each caller is told its own.
fn unavailable(source: sqlx::Error) -> StoreError {
    StoreError::Unavailable {
        doing: "committing several steps",
        source,
    }
}

/// The same error for one more caller.
fn again(error: &StoreError, doing: &'static str) -> StoreError {
    match error {
        StoreError::Unavailable { source, .. } => StoreError::Unavailable {
            doing,
            source: copy_of(source),
        },
        StoreError::OutcomeUnknown { source, .. } => StoreError::OutcomeUnknown {
            doing,
            source: copy_of(source),
        },
        StoreError::LeaseLost { account } => StoreError::LeaseLost { account: *account },
        StoreError::Taken { what } => StoreError::Taken { what },
        StoreError::Missing { what } => StoreError::Missing { what },
        StoreError::InUse { what, by } => StoreError::InUse {
            what,
            by: by.clone(),
        },
        StoreError::Conflict(text) => StoreError::Conflict(text.clone()),
        StoreError::Damaged { what, detail } => StoreError::Damaged {
            what,
            detail: detail.clone(),
        },
        StoreError::Sql { source, .. } => StoreError::Sql {
            doing,
            source: copy_of(source),
        },
        StoreError::Closed => StoreError::Closed,
    }
}
