//! The only SQL in the program: accounts, mail, queue, grants and events, in SQLite or MariaDB.
//!
//! # Promises
//! - An answer to a write means that it is committed and durable (SQLite `synchronous=FULL`; MariaDB
//!   with `innodb_flush_log_at_trx_commit=1`, which is checked at open).
//! - A message, its event and the cursor that passes it are one commit (I1); so is every change of an
//!   outgoing copy and its event (I2).
//! - Every step of an account's task writes its lease row, and a step whose lease is gone writes
//!   nothing (I11), while its neighbours in a shared commit go through (I6).
//! - State changes are compare-and-set; doing the same step again is harmless.
//! - Secrets are sealed before they reach a statement (I8).
//! - Every wait is bounded by `Settings::patience`, also on a server that has vanished (I10).
//! - A caller that is dropped disturbs nobody; its write may still happen.
//!
//! # When things fail
//! - No answer, full, locked: [`StoreError::Unavailable`], nothing was written.
//! - COMMIT's answer lost: [`StoreError::OutcomeUnknown`]; look before redoing.
//! - A row that makes no sense: [`StoreError::Damaged`], for its owner only.
//! - Deadlock or certification failure: the transaction is done again, at most 8 times.
//! - One step of a shared commit fails: the others are committed without it.
//!
//! # Does not know
//! - IMAP, SMTP, OAuth, HTTP; when to try again; what an operator should be told.
//!
//! # Standards
//! RFC 9051 §2.3.1.1 (UIDs), RFC 5322 §3.6.4 (threading by Message-ID), RFC 2104 (HMAC).

mod about;
mod account;
mod account_row;
mod announce;
mod audit;
mod audit_held;
mod audit_read;
mod check;
mod contact;
mod dialect;
mod error;
mod event;
mod folder;
mod freshness;
mod grant;
mod held;
mod ingest;
mod ingest_batch;
mod ingest_judge;
mod ingest_known;
mod ingest_people;
mod ingest_ready;
mod ingest_set;
mod ingest_threads;
mod lane;
mod lease;
mod many;
mod message;
mod migrate;
mod node;
mod oauth_state;
mod outbox;
mod pool;
mod provider;
mod reports;
mod seal;
mod sealed;
mod sign_in;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod text;
mod thread_token;
mod tx;
mod writer;

pub use about::RefusalRow;
pub use announce::{Announcement, Silence};
pub use audit::AuditBatch;
pub use audit_read::KnownRow;
pub use contact::{ContactRow, ListRow};
pub use error::{OpenError, StoreError};
pub use folder::FolderRow;
pub use freshness::{Contacts, FreshnessRow};
pub use ingest_batch::{Aside, AsideReason, IngestBatch, IngestItem, Ingested, NewMessage};
pub use lane::LaneRow;
pub use lease::LeaseRow;
pub use message::{InteractionRow, MeaningRow, MessageRow, ProblemRow};
pub use node::NodeRow;
pub use oauth_state::{NewOauthState, OauthState, TakenState};
pub use outbox::{
    AttemptRow, Claimed, ClaimedCopy, Enqueued, NewOutgoing, OutboxRow, Outcome, RecipientRow,
    ReportRow, Settled,
};
pub use provider::CloudProviderChange;
pub use sign_in::{ConfirmedSignIn, SettledSignIn};
pub use text::key_of;
pub use writer::Writer;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use secrecy::SecretString;
use sqlx::any::AnyRow;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch},
    time::{Instant, timeout},
};

use crate::model::{MeaningRules, Timestamp};
use pool::{Connector, Reader, Reads, Statement};
use text::Columns;
use tx::{Step, Tx};
use writer::{Job, Pending, QUEUE};

/// Which engine holds the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// A file beside the daemon.
    Sqlite,
    /// MariaDB 10.6.18, 10.11.8 or later.
    MariaDb,
}

/// How to reach the database.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `sqlite:///path/file.db` or `mysql://user:password@host:port/db` (holds a password: secret).
    pub url: SecretString,
    /// 32-byte key file for secrets at rest, made 0600 at first open.
    pub key_file: PathBuf,
    /// PEM bundle trusted for a remote MariaDB.
    pub ca_file: PathBuf,
    /// Connections for reading, 1..=64.
    pub read_connections: u32,
    /// Bound of one transaction or query, and of waiting for a connection.
    pub patience: Duration,
}

/// Memory that ingest batches may hold while they wait, in KiB.
const BUDGET_KIB: usize = 64 << 10;

/// Handle to the database: cheap to clone. Reads run on connections of their own; every write is a
/// job for the one [`Writer`], which merges waiting jobs into one transaction and answers each after
/// COMMIT.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    patience: Duration,
    keys: seal::Keys,
    reads: Reads,
    jobs: mpsc::Sender<Box<dyn Job>>,
    first: mpsc::Sender<Box<dyn Job>>,
    budget: Arc<Semaphore>,
    events: watch::Sender<u64>,
    outbox: watch::Sender<u64>,
    /// When mail is held, and how conversations are found.
    rules: Mutex<MeaningRules>,
    /// Why the last commit was not taken.
    trouble: Mutex<Option<StoreError>>,
}

/// Part of a list.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// At most so many rows; negative counts as 0.
    pub limit: i64,
    /// Leaving out so many; negative counts as 0.
    pub offset: i64,
}

impl Page {
    fn limit(self) -> i64 {
        self.limit.max(0)
    }

    fn offset(self) -> i64 {
        self.offset.max(0)
    }
}

/// A part of a list, and how long the whole is.
#[derive(Clone, Debug)]
pub struct Rows<T> {
    /// Rows in the whole list.
    pub count: i64,
    /// Those of the page.
    pub rows: Vec<T>,
}

impl<T> Rows<T> {
    fn of(
        count: i64,
        rows: &[AnyRow],
        read: impl Fn(&AnyRow) -> Result<T, StoreError>,
    ) -> Result<Self, StoreError> {
        let rows = rows.iter().map(read).collect::<Result<_, _>>()?;
        Ok(Self { count, rows })
    }
}

impl Reader {
    /// The number in column `n` of the only row.
    async fn count(&mut self, statement: Statement<'_>) -> Result<i64, StoreError> {
        let row = self.first(statement).await?;
        row.map_or(Ok(0), |row| row.col("n"))
    }
}

struct Ping(Timestamp);
impl Step for Ping {
    type Answer = ();
    const DOING: &'static str = "probing the database";

    async fn apply(&self, tx: &mut Tx) -> Result<(), StoreError> {
        let query = sqlx::query("UPDATE store_facts SET value = ? WHERE name = 'ping'");
        match tx.run(query.bind(self.0.millis().to_string())).await? {
            1 => Ok(()),
            _ => Err(StoreError::Missing { what: "probe row" }),
        }
    }
}

impl Store {
    /// Checks the engine and the key file, makes or updates the tables, and connects. Nothing can be
    /// written before [`Writer::run`] runs. Takes at most a few times the patience.
    pub async fn open(settings: &Settings) -> Result<(Store, Writer), OpenError> {
        let connector = Connector::new(&settings.url, &settings.ca_file, settings.patience)?;
        let (connection, keys) = check::prepare(settings, &connector).await?;
        let (jobs, waiting) = mpsc::channel(QUEUE);
        let (first, waiting_first) = mpsc::channel(QUEUE);
        let (events, _) = watch::channel(0);
        let (outbox, _) = watch::channel(0);
        let writer = Writer {
            connector: connector.clone(),
            connection: Some(connection),
            jobs: waiting,
            first: waiting_first,
            events: events.clone(),
            outbox: outbox.clone(),
        };
        let inner = Inner {
            engine: connector.engine(),
            patience: settings.patience,
            keys,
            reads: Reads::new(connector, settings.read_connections),
            jobs,
            first,
            budget: Arc::new(Semaphore::new(BUDGET_KIB)),
            events,
            outbox,
            rules: Mutex::new(MeaningRules::default()),
            trouble: Mutex::new(None),
        };
        let store = Store {
            inner: Arc::new(inner),
        };
        Ok((store, writer))
    }

    /// From now on mail is held, and conversations are found, by these rules; until then by the default ones.
    pub fn set_meaning_rules(&self, rules: MeaningRules) {
        let held = self.inner.rules.lock();
        *held.unwrap_or_else(PoisonError::into_inner) = rules;
    }

    fn meaning_rules(&self) -> MeaningRules {
        *self
            .inner
            .rules
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Which engine it is.
    pub fn engine(&self) -> Engine {
        self.inner.engine
    }

    /// A cheap write that proves that the database takes commits (watchdog, check).
    pub async fn ping(&self, now: Timestamp) -> Result<(), StoreError> {
        self.write(Ping(now)).await
    }

    /// Why the database did not take the last commit; `None` where it did. The watchdog's probe brings it up to
    /// date every few seconds.
    pub fn trouble(&self) -> Option<StoreError> {
        let trouble = self.inner.trouble.lock();
        let trouble = trouble.unwrap_or_else(PoisonError::into_inner);
        trouble.as_ref().and_then(StoreError::about_database)
    }

    /// Hands a step to the writer and waits for its commit.
    async fn write<S: Step>(&self, step: S) -> Result<S::Answer, StoreError> {
        let written = self.hand_over(step).await;
        let trouble = match &written {
            Ok(_) => Some(None),
            Err(error) => error.about_database().map(Some),
        };
        // What is about one step says nothing of the database.
        if let Some(trouble) = trouble {
            let last = self.inner.trouble.lock();
            *last.unwrap_or_else(PoisonError::into_inner) = trouble;
        }
        written
    }

    async fn hand_over<S: Step>(&self, step: S) -> Result<S::Answer, StoreError> {
        let budget = self.budget(step.weight(), S::DOING).await?;
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Pending {
            step,
            reply,
            answer: None,
            since: Instant::now(),
            _budget: budget,
        });
        let line = if S::FIRST {
            &self.inner.first
        } else {
            &self.inner.jobs
        };
        match timeout(self.inner.patience, line.send(job)).await {
            Err(_) => return Err(unavailable(S::DOING)),
            Ok(Err(_)) => return Err(StoreError::Closed),
            Ok(Ok(())) => {}
        }
        // The writer answers every job it took; if it was dropped with ours, nobody knows.
        answer.await.unwrap_or(Err(StoreError::OutcomeUnknown {
            doing: S::DOING,
            source: sqlx::Error::WorkerCrashed,
        }))
    }

    async fn budget(
        &self,
        octets: usize,
        doing: &'static str,
    ) -> Result<Option<OwnedSemaphorePermit>, StoreError> {
        let kib = u32::try_from((octets >> 10).min(BUDGET_KIB)).unwrap_or(u32::MAX);
        if kib == 0 {
            return Ok(None);
        }
        let budget = Arc::clone(&self.inner.budget).acquire_many_owned(kib);
        match timeout(self.inner.patience, budget).await {
            Err(_) => Err(unavailable(doing)),
            Ok(Err(_)) => Err(StoreError::Closed),
            Ok(Ok(permit)) => Ok(Some(permit)),
        }
    }

    async fn read(&self, doing: &'static str) -> Result<Reader, StoreError> {
        self.inner.reads.get(doing).await
    }
}

fn unavailable(doing: &'static str) -> StoreError {
    StoreError::Unavailable {
        doing,
        source: sqlx::Error::PoolTimedOut,
    }
}
