//! The change feed: events are written unnumbered with their fact and numbered after their commit,
//! so that whoever reads by number misses none.

use sqlx::any::AnyRow;
use tokio::sync::watch;

use super::{
    Store, StoreError,
    text::{Columns, json, word},
    tx::{Step, Tx},
};
use crate::model::{AccountId, CloudProviderId, EventKind, RecordedEvent};

/// How often the sequencer tries again when another one was faster.
const TRIES: u32 = 5;

struct Number(i64);
impl Step for Number {
    type Answer = u32;
    const DOING: &'static str = "numbering events";

    async fn apply(&self, tx: &mut Tx) -> Result<u32, StoreError> {
        let rows = tx
            .all(
                sqlx::query("SELECT id FROM events WHERE held_for = 0 AND number IS NULL ORDER BY id LIMIT ?")
                    .bind(self.0.clamp(0, 10_000)),
            )
            .await?;
        if rows.is_empty() {
            return Ok(0);
        }
        let counter = tx
            .first(sqlx::query("SELECT last FROM event_counter WHERE id = 1"))
            .await?
            .ok_or(StoreError::Missing {
                what: "event counter",
            })?;
        let last: i64 = counter.col("last")?;
        let many = i64::try_from(rows.len()).unwrap_or(i64::MAX);
        // Compare and set first: two sequencers cannot both go on from the same number.
        let won = tx
            .run(
                sqlx::query("UPDATE event_counter SET last = ? WHERE id = 1 AND last = ?")
                    .bind(last.saturating_add(many))
                    .bind(last),
            )
            .await?;
        let lost = || StoreError::Conflict("another sequencer was faster".to_owned());
        if won != 1 {
            return Err(lost());
        }
        let mut number = last;
        for row in &rows {
            number = number.saturating_add(1);
            let numbered = tx
                .run(
                    sqlx::query("UPDATE events SET number = ? WHERE id = ? AND number IS NULL")
                        .bind(number)
                        .bind(row.col::<i64>("id")?),
                )
                .await?;
            if numbered != 1 {
                return Err(lost());
            }
        }
        Ok(u32::try_from(rows.len()).unwrap_or(u32::MAX))
    }
}

fn recorded(row: &AnyRow) -> Result<RecordedEvent, StoreError> {
    let number: i64 = row.col("number")?;
    Ok(RecordedEvent {
        number,
        kind: word(
            "event",
            number,
            &row.col::<String>("kind")?,
            EventKind::parse,
        )?,
        account: row.col::<Option<i64>>("account_id")?.map(AccountId::new),
        provider: row
            .col::<Option<i64>>("provider_id")?
            .map(CloudProviderId::new),
        payload: json("event", number, &row.col::<String>("payload")?)?,
        created_at: row.time("created_at")?,
    })
}

impl Store {
    /// The sequencer's step: numbers at most `limit` (and 10,000) committed events that have none, in
    /// id order; returns how many. Safe to run twice at once: a compare-and-set on the counter row
    /// lets one of two go first.
    pub async fn events_number(&self, limit: i64) -> Result<u32, StoreError> {
        let mut tries = 1_u32;
        loop {
            match self.write(Number(limit)).await {
                Err(StoreError::Conflict(_)) if tries < TRIES => tries = tries.saturating_add(1),
                answer => return answer,
            }
        }
    }

    /// Numbered events with a number above `after`, ascending.
    pub async fn event_list(
        &self,
        after: i64,
        account: Option<AccountId>,
        limit: i64,
    ) -> Result<Vec<RecordedEvent>, StoreError> {
        let mut reader = self.read("listing events").await?;
        let rows = reader
            .all(
                sqlx::query(
                    "SELECT number, kind, account_id, provider_id, payload, created_at FROM events WHERE number > ? AND (? = 1 OR account_id = ?) ORDER BY number LIMIT ?",
                )
                .bind(after)
                .bind(i64::from(account.is_none()))
                .bind(account.map_or(0, AccountId::get))
                .bind(limit.max(0)),
            )
            .await?;
        rows.iter().map(recorded).collect()
    }

    /// Wakes whoever waits for new unnumbered events of this process (a hint; carries no data).
    pub fn events_written(&self) -> watch::Receiver<u64> {
        self.inner.events.subscribe()
    }

    /// Wakes the outbound lanes after outgoing mail was written by this process (a hint).
    pub fn outbox_written(&self) -> watch::Receiver<u64> {
        self.inner.outbox.subscribe()
    }
}
