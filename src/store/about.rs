//! What a doctor asks of the database: its version, and how an account's queue is.

use super::{Engine, Store, StoreError, text::Columns};
use crate::model::{AccountId, Timestamp};

/// What a server last said about one copy that it did not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusalRow {
    /// Its reply code, where it had one.
    pub code: Option<i64>,
    /// Its words, or ours.
    pub text: String,
    /// When.
    pub at: Timestamp,
}

impl Store {
    /// The engine's own version, e.g. `3.51.3` or `11.4.2-MariaDB`.
    pub async fn version(&self) -> Result<String, StoreError> {
        let mut reader = self.read("asking for the version").await?;
        let statement = match self.engine() {
            Engine::Sqlite => "SELECT sqlite_version() AS v",
            Engine::MariaDb => "SELECT CAST(VERSION() AS CHAR) AS v",
        };
        let row = reader.first(sqlx::query(statement)).await?;
        row.map_or(Ok(String::new()), |row| row.col("v"))
    }

    /// Since when the oldest copy of an account waits that is neither settled nor set aside by a person;
    /// `None`: none waits.
    pub async fn outbox_oldest(&self, account: AccountId) -> Result<Option<Timestamp>, StoreError> {
        let mut reader = self.read("looking for the oldest waiting mail").await?;
        let row = reader
            .first(
                sqlx::query(
                    "SELECT MIN(o.created_at) AS oldest FROM mail_recipients r JOIN mail_outbox o ON o.id = r.outbox_id WHERE r.account_id = ? AND r.state IN ('queued', 'claimed', 'dot_pending', 'deferred')",
                )
                .bind(account.get()),
            )
            .await?;
        row.map_or(Ok(None), |row| row.time_if("oldest"))
    }

    /// What servers last said about copies of an account that they have not taken, newest first, at most 20.
    pub async fn outbox_refusals(&self, account: AccountId) -> Result<Vec<RefusalRow>, StoreError> {
        let mut reader = self.read("looking at refused mail").await?;
        let rows = reader
            .all(
                sqlx::query(
                    "SELECT reply_code, reply_text, updated_at FROM mail_recipients WHERE account_id = ? AND reply_text IS NOT NULL AND state IN ('deferred', 'queued', 'failed', 'expired') ORDER BY updated_at DESC, id DESC LIMIT 20",
                )
                .bind(account.get()),
            )
            .await?;
        rows.iter()
            .map(|row| {
                Ok(RefusalRow {
                    code: row.col("reply_code")?,
                    text: row.col("reply_text")?,
                    at: row.time("updated_at")?,
                })
            })
            .collect()
    }
}
