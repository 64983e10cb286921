//! What is known of a folder's messages, for comparing.

use super::{
    Store, StoreError,
    text::{Columns, signed},
};
use crate::model::{AccountId, Cursor, FolderId, MessageId, Timestamp};

/// A message of a folder as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownRow {
    /// The message.
    pub message: MessageId,
    /// Its UID in the folder; 0 where it was not looked up by one.
    pub uid: u32,
    /// The server's date of arrival.
    pub internal_date: Timestamp,
    /// Octets as counted.
    pub size: u64,
    /// SHA-256 of its Message-ID, lower-case hex.
    pub message_key: Option<String>,
}

fn known(row: &sqlx::any::AnyRow) -> Result<KnownRow, StoreError> {
    Ok(KnownRow {
        message: MessageId::new(row.col("id")?),
        uid: u32::try_from(row.col::<i64>("uid")?).unwrap_or(0),
        internal_date: row.time("internal_date")?,
        size: u64::try_from(row.col::<i64>("size")?).unwrap_or(0),
        message_key: row.col("message_key")?,
    })
}

impl Store {
    /// The UIDs in `low..high` that are stored or put aside, ascending, each once.
    pub async fn folder_uids(
        &self,
        folder: FolderId,
        cursor: Cursor,
        low: u64,
        high: u64,
    ) -> Result<Vec<u32>, StoreError> {
        let mut reader = self.read("listing a folder's messages").await?;
        let mut found = Vec::new();
        for statement in [
            "SELECT uid FROM mail_instances WHERE folder_id = ? AND uidvalidity = ? AND generation = ? AND uid >= ? AND uid < ?",
            "SELECT uid FROM mail_problems WHERE folder_id = ? AND uidvalidity = ? AND generation = ? AND uid >= ? AND uid < ?",
        ] {
            let query = sqlx::query(statement)
                .bind(folder.get())
                .bind(i64::from(cursor.validity.get()))
                .bind(cursor.generation.0)
                .bind(signed(low))
                .bind(signed(high));
            for row in reader.all(query).await? {
                found.extend(u32::try_from(row.col::<i64>("uid")?));
            }
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// The newest messages of a folder, by UID, at most `limit`.
    pub async fn folder_newest(
        &self,
        folder: FolderId,
        cursor: Cursor,
        limit: u32,
    ) -> Result<Vec<KnownRow>, StoreError> {
        let mut reader = self.read("listing a folder's newest messages").await?;
        let query = sqlx::query(
            "SELECT m.id AS id, i.uid AS uid, m.internal_date AS internal_date, m.size AS size, m.message_key AS message_key FROM mail_instances i JOIN mail_messages m ON m.id = i.message_id WHERE i.folder_id = ? AND i.uidvalidity = ? AND i.generation = ? ORDER BY i.uid DESC LIMIT ?",
        );
        let query = query
            .bind(folder.get())
            .bind(i64::from(cursor.validity.get()))
            .bind(cursor.generation.0)
            .bind(i64::from(limit));
        reader.all(query).await?.iter().map(known).collect()
    }

    /// Messages of an account with one of these Message-ID keys that have no UID in the folder as it is
    /// numbered now; at most a few hundred keys.
    pub async fn messages_unplaced(
        &self,
        account: AccountId,
        folder: FolderId,
        cursor: Cursor,
        keys: &[String],
    ) -> Result<Vec<KnownRow>, StoreError> {
        const PLACES: usize = 20;
        let mut reader = self.read("pairing messages").await?;
        let mut found = Vec::new();
        for some in keys.chunks(PLACES) {
            let mut query = sqlx::query(
                "SELECT m.id AS id, 0 AS uid, m.internal_date AS internal_date, m.size AS size, m.message_key AS message_key FROM mail_messages m WHERE m.account_id = ? AND m.message_key IN (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) AND NOT EXISTS (SELECT 1 FROM mail_instances i WHERE i.message_id = m.id AND i.folder_id = ? AND i.uidvalidity = ? AND i.generation = ?) LIMIT 1000",
            )
            .bind(account.get());
            for place in 0..PLACES {
                query = query.bind(some.get(place).map_or("", String::as_str));
            }
            let query = query
                .bind(folder.get())
                .bind(i64::from(cursor.validity.get()))
                .bind(cursor.generation.0);
            for row in &reader.all(query).await? {
                found.push(known(row)?);
            }
        }
        Ok(found)
    }
}
