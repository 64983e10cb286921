//! One writing transaction, as the steps inside it see it.

use std::future::Future;

use serde_json::Value;
use sqlx::{Any, AnyConnection, Executor, any::AnyRow};

use super::{
    Engine, StoreError, dialect,
    pool::Statement,
    text::{Columns, cut},
};
use crate::model::{Lease, NewEvent, Timestamp};

/// A unit of work that is written whole or not at all. It can be run again from the start at any
/// time (deadlock, a neighbour's failure): it holds its values and changes nothing but the database.
pub(super) trait Step: Send + Sync + 'static {
    /// What the caller gets after the commit.
    type Answer: Send + 'static;
    /// The step, for people: "storing mail".
    const DOING: &'static str;

    /// Goes before all that wait: without it this node loses what the others wait for.
    const FIRST: bool = false;

    /// The lease that has to be ours, written before anything else (I11).
    fn fence(&self) -> Option<&Lease> {
        None
    }

    /// Octets it holds, roughly.
    fn weight(&self) -> usize {
        0
    }

    /// Messages it stores, roughly: what its statements are counted by.
    fn rows(&self) -> usize {
        1
    }

    /// Does the work. A refusal before the first write touches nobody else in the transaction.
    fn apply(&self, tx: &mut Tx) -> impl Future<Output = Result<Self::Answer, StoreError>> + Send;
}

/// The writer's connection inside a transaction.
pub(super) struct Tx {
    pub(super) connection: AnyConnection,
    pub(super) engine: Engine,
    pub(super) doing: &'static str,
    /// The current step has written something.
    pub(super) wrote: bool,
    /// An event was written since the transaction began.
    pub(super) events: bool,
    /// Outgoing mail was written since the transaction began.
    pub(super) outbox: bool,
}

impl Tx {
    fn sql(&self, source: sqlx::Error) -> StoreError {
        StoreError::sql(self.doing, source)
    }

    /// Runs a changing statement; how many rows it matched.
    pub(super) async fn run(&mut self, statement: Statement<'_>) -> Result<u64, StoreError> {
        let answer = (&mut self.connection).execute(statement).await;
        let matched = answer.map_err(|source| self.sql(source))?.rows_affected();
        self.wrote |= matched > 0;
        Ok(matched)
    }

    /// Runs an INSERT; the id it made.
    pub(super) async fn insert(&mut self, statement: Statement<'_>) -> Result<i64, StoreError> {
        let answer = (&mut self.connection).execute(statement).await;
        let answer = answer.map_err(|source| self.sql(source))?;
        self.wrote = true;
        if let Some(id) = answer.last_insert_id() {
            return Ok(id);
        }
        let query = sqlx::query::<Any>(dialect::last_id(self.engine));
        match self.first(query).await? {
            Some(row) => row.col("id"),
            None => Err(self.sql(sqlx::Error::RowNotFound)),
        }
    }

    /// Every row of the answer.
    pub(super) async fn all(
        &mut self,
        statement: Statement<'_>,
    ) -> Result<Vec<AnyRow>, StoreError> {
        let rows = statement.fetch_all(&mut self.connection).await;
        rows.map_err(|source| self.sql(source))
    }

    /// The first row, if there is one.
    pub(super) async fn first(
        &mut self,
        statement: Statement<'_>,
    ) -> Result<Option<AnyRow>, StoreError> {
        let row = statement.fetch_optional(&mut self.connection).await;
        row.map_err(|source| self.sql(source))
    }

    /// Writes an event in the commit of its fact; one whose once-key is there already is not written.
    pub(super) async fn event(
        &mut self,
        event: &NewEvent,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let payload = match &event.payload {
            Value::Null => "{}".to_owned(),
            other => other.to_string(),
        };
        self.run(
            sqlx::query(dialect::event_insert(self.engine))
                .bind(event.kind.as_str())
                .bind(event.account.map(|id| id.get()))
                .bind(event.provider.map(|id| id.get()))
                .bind(cut(&event.once, 200))
                .bind(payload)
                .bind(now.millis()),
        )
        .await?;
        self.events = true;
        Ok(())
    }
}
