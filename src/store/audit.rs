//! Comparing a folder's UIDs with the store: what is known, what an audit under way has come to, and
//! the events that it holds back (I1, I4).

use serde_json::json;

use super::{
    FolderRow, Store, StoreError,
    folder::{BY_ID, folder},
    text::{Columns, signed},
    tx::{Step, Tx},
};
use crate::model::{
    AccountId, Audit, AuditKind, Cursor, EventKind, FolderId, Lease, MessageId, NewEvent,
    Timestamp, Uid, is_suspicious,
};

/// Rows that one statement looks up or changes.
const MANY: usize = 500;

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

/// What a batch of an audit carries beside its items.
#[derive(Clone, Debug, Default)]
pub struct AuditBatch {
    /// The UIDs were voided: whatever has the same bytes as a message that has no UID in the folder now is
    /// that message, and what is new is not announced before the audit has ended.
    pub renumbered: bool,
    /// No audit is under way: the newest messages were compared on a new connection. What is found counts
    /// as repaired at once.
    pub recent: bool,
    /// UIDs that are known to be these messages.
    pub paired: Vec<(Uid, MessageId)>,
}

/// What a batch adds to an audit's counts.
#[derive(Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) found: u64,
    pub(super) paired: u64,
    pub(super) repaired: u64,
}

/// Adds to an audit's counts; the folder must stand at `expect`.
pub(super) async fn count(
    tx: &mut Tx,
    lease: &Lease,
    folder: FolderId,
    expect: Cursor,
    counts: Counts,
) -> Result<(), StoreError> {
    let matched = tx
        .run(
            sqlx::query(
                "UPDATE mail_folders SET audit_found = audit_found + ?, audit_paired = audit_paired + ?, repaired = repaired + ? WHERE id = ? AND account_id = ? AND uidvalidity = ? AND generation = ? AND next_uid = ?",
            )
            .bind(signed(counts.found))
            .bind(signed(counts.paired))
            .bind(signed(counts.repaired))
            .bind(folder.get())
            .bind(lease.account.get())
            .bind(i64::from(expect.validity.get()))
            .bind(expect.generation.0)
            .bind(signed(expect.next)),
        )
        .await?;
    if matched == 1 {
        Ok(())
    } else {
        Err(StoreError::Conflict(
            "the folder was started anew meanwhile".to_owned(),
        ))
    }
}

/// The newest event there is; what is written after it in this transaction has a higher id.
pub(super) async fn newest_event(tx: &mut Tx) -> Result<i64, StoreError> {
    let row = tx
        .first(sqlx::query("SELECT MAX(id) AS id FROM events"))
        .await?;
    let id: Option<i64> = row.map(|row| row.col("id")).transpose()?.flatten();
    Ok(id.unwrap_or(0))
}

/// Holds back the events about mail of this account that were written after `after`.
pub(super) async fn hold(
    tx: &mut Tx,
    account: AccountId,
    folder: FolderId,
    after: i64,
) -> Result<(), StoreError> {
    tx.run(
        sqlx::query(
            "UPDATE events SET held_for = ? WHERE id > ? AND account_id = ? AND number IS NULL AND kind LIKE 'message.%'",
        )
        .bind(folder.get())
        .bind(after)
        .bind(account.get()),
    )
    .await?;
    Ok(())
}

/// Lets go of at most [`MANY`] held events of a folder; true where there are more.
async fn let_go(tx: &mut Tx, folder: i64, announce: bool) -> Result<bool, StoreError> {
    let rows = tx
        .all(
            sqlx::query("SELECT id FROM events WHERE held_for = ? ORDER BY id LIMIT ?")
                .bind(folder)
                .bind(i64::try_from(MANY).unwrap_or(i64::MAX)),
        )
        .await?;
    let Some(last) = rows.last() else {
        return Ok(false);
    };
    let last: i64 = last.col("id")?;
    let statement = match announce {
        true => "UPDATE events SET held_for = 0 WHERE held_for = ? AND id <= ?",
        false => "DELETE FROM events WHERE held_for = ? AND id <= ?",
    };
    tx.run(sqlx::query(statement).bind(folder).bind(last))
        .await?;
    tx.events |= announce;
    Ok(rows.len() >= MANY)
}

struct Renumber {
    lease: Lease,
    folder: FolderId,
    cursor: Cursor,
    now: Timestamp,
}
impl Step for Renumber {
    type Answer = FolderRow;
    const DOING: &'static str = "starting a folder anew";

    fn fence(&self) -> Option<&Lease> {
        Some(&self.lease)
    }

    async fn apply(&self, tx: &mut Tx) -> Result<FolderRow, StoreError> {
        let (now, next) = (self.now.millis(), signed(self.cursor.next));
        let soon = now.saturating_sub(3_600_000);
        tx.run(
            sqlx::query(
                "UPDATE mail_folders SET uidvalidity = ?, generation = ?, next_uid = ?, history_uid = ?, floor_uid = 1, audit = 'renumbered', audit_next = ?, audit_found = 0, audit_paired = 0, renumbered = CASE WHEN renumbered_at > ? THEN renumbered + 1 ELSE 1 END, renumbered_at = ?, updated_at = ? WHERE id = ? AND account_id = ?",
            )
            .bind(i64::from(self.cursor.validity.get()))
            .bind(self.cursor.generation.0)
            .bind(next)
            .bind(next)
            .bind(next)
            .bind(soon)
            .bind(now)
            .bind(now)
            .bind(self.folder.get())
            .bind(self.lease.account.get()),
        )
        .await?;
        let row = tx.first(sqlx::query(BY_ID).bind(self.folder.get())).await?;
        folder(&row.ok_or(StoreError::Missing { what: "folder" })?)
    }
}

struct Begin {
    lease: Lease,
    folder: FolderId,
    expect: Cursor,
}
impl Step for Begin {
    type Answer = bool;
    const DOING: &'static str = "beginning an audit";

    fn fence(&self) -> Option<&Lease> {
        Some(&self.lease)
    }

    async fn apply(&self, tx: &mut Tx) -> Result<bool, StoreError> {
        let matched = tx
            .run(
                sqlx::query(
                    "UPDATE mail_folders SET audit = 'routine', audit_next = next_uid, audit_since = NULL, audit_found = 0, audit_paired = 0 WHERE id = ? AND account_id = ? AND uidvalidity = ? AND generation = ? AND audit IS NULL",
                )
                .bind(self.folder.get())
                .bind(self.lease.account.get())
                .bind(i64::from(self.expect.validity.get()))
                .bind(self.expect.generation.0),
            )
            .await?;
        Ok(matched == 1)
    }
}

struct Lower {
    lease: Lease,
    folder: FolderId,
    audit: Audit,
    expect: Cursor,
    next: u64,
}
impl Step for Lower {
    type Answer = ();
    const DOING: &'static str = "recording how far an audit came";

    fn fence(&self) -> Option<&Lease> {
        Some(&self.lease)
    }

    async fn apply(&self, tx: &mut Tx) -> Result<(), StoreError> {
        let matched = tx
            .run(
                sqlx::query(
                    "UPDATE mail_folders SET audit_next = ? WHERE id = ? AND account_id = ? AND uidvalidity = ? AND generation = ? AND audit = ? AND audit_next = ?",
                )
                .bind(signed(self.next))
                .bind(self.folder.get())
                .bind(self.lease.account.get())
                .bind(i64::from(self.expect.validity.get()))
                .bind(self.expect.generation.0)
                .bind(self.audit.kind.as_str())
                .bind(signed(self.audit.next)),
            )
            .await?;
        if matched == 1 {
            return Ok(());
        }
        // Somebody asked for more meanwhile.
        Err(StoreError::Conflict("the audit was begun anew".to_owned()))
    }
}

struct End {
    lease: Lease,
    folder: FolderId,
    audit: Audit,
    expect: Cursor,
    now: Timestamp,
}
impl Step for End {
    type Answer = FolderRow;
    const DOING: &'static str = "ending an audit";

    fn fence(&self) -> Option<&Lease> {
        Some(&self.lease)
    }

    async fn apply(&self, tx: &mut Tx) -> Result<FolderRow, StoreError> {
        let id = self.folder.get();
        let found = |row: Option<sqlx::any::AnyRow>| {
            folder(&row.ok_or(StoreError::Missing { what: "folder" })?)
        };
        let before = found(tx.first(sqlx::query(BY_ID).bind(id)).await?)?;
        let Some(audit) = before.audit.filter(|audit| {
            audit.kind == self.audit.kind
                && audit.next == self.audit.next
                && before.cursor.generation == self.expect.generation
        }) else {
            return Err(StoreError::Conflict("the audit was begun anew".to_owned()));
        };
        let renumbered = audit.kind == AuditKind::Renumbered;
        let held = renumbered && is_suspicious(audit.found, audit.paired);
        // Below the lowest message that is known nothing was wanted, as far down as this one looked.
        let lowest = tx
            .first(
                sqlx::query(
                    "SELECT MIN(uid) AS uid FROM mail_instances WHERE folder_id = ? AND uidvalidity = ? AND generation = ?",
                )
                .bind(id)
                .bind(i64::from(self.expect.validity.get()))
                .bind(self.expect.generation.0),
            )
            .await?;
        let lowest: Option<i64> = lowest.map(|row| row.col("uid")).transpose()?.flatten();
        let lowest = lowest.unwrap_or_else(|| signed(before.cursor.next));
        let routine = audit.kind == AuditKind::Routine;
        let repaired = if routine { audit.found } else { 0 };
        tx.run(
            sqlx::query(
                "UPDATE mail_folders SET audit = NULL, audit_since = NULL, audited_at = ?, repaired = repaired + ?, floor_uid = CASE WHEN floor_uid < ? THEN floor_uid ELSE ? END, held = CASE WHEN held = 1 THEN 1 ELSE ? END, updated_at = ? WHERE id = ?",
            )
            .bind(self.now.millis())
            .bind(signed(repaired))
            .bind(if renumbered { 0 } else { lowest })
            .bind(lowest)
            .bind(i64::from(held))
            .bind(self.now.millis())
            .bind(id),
        )
        .await?;
        let kind = match (held, repaired) {
            (true, _) => Some(EventKind::FolderHeld),
            (false, 1..) => Some(EventKind::FolderRepaired),
            (false, 0) => None,
        };
        if let Some(kind) = kind {
            let event = NewEvent {
                kind,
                account: Some(self.lease.account),
                provider: None,
                once: format!("{}/{id}/{}", kind.as_str(), self.now.millis()),
                payload: json!({
                    "folderId": id,
                    "folder": before.name,
                    "why": audit.kind.as_str(),
                    "found": audit.found,
                    "paired": audit.paired,
                }),
            };
            tx.event(&event, self.now).await?;
        }
        found(tx.first(sqlx::query(BY_ID).bind(id)).await?)
    }
}

struct LetGo {
    folder: FolderId,
    announce: bool,
    /// An administrator said so; else only what no verdict holds is let go.
    said: bool,
}
impl Step for LetGo {
    type Answer = bool;
    const DOING: &'static str = "letting go of held events";

    async fn apply(&self, tx: &mut Tx) -> Result<bool, StoreError> {
        let row = tx.first(sqlx::query(BY_ID).bind(self.folder.get())).await?;
        let row = folder(&row.ok_or(StoreError::Missing { what: "folder" })?)?;
        let renumbering = row
            .audit
            .is_some_and(|audit| audit.kind == AuditKind::Renumbered);
        if renumbering || (row.held && !self.said) {
            return Ok(false);
        }
        let more = let_go(tx, self.folder.get(), self.announce).await?;
        if !more && row.held {
            tx.run(
                sqlx::query("UPDATE mail_folders SET held = 0 WHERE id = ?")
                    .bind(self.folder.get()),
            )
            .await?;
        }
        Ok(more)
    }
}

struct Forget {
    lease: Lease,
    folder: FolderId,
}
impl Step for Forget {
    type Answer = bool;
    const DOING: &'static str = "forgetting void message numbers";

    fn fence(&self) -> Option<&Lease> {
        Some(&self.lease)
    }

    async fn apply(&self, tx: &mut Tx) -> Result<bool, StoreError> {
        let rows = tx
            .all(
                sqlx::query(
                    "SELECT i.uidvalidity AS uidvalidity, i.generation AS generation, i.uid AS uid FROM mail_instances i JOIN mail_folders f ON f.id = i.folder_id WHERE f.id = ? AND i.generation < f.generation ORDER BY i.uidvalidity, i.generation, i.uid LIMIT ?",
                )
                .bind(self.folder.get())
                .bind(i64::try_from(MANY).unwrap_or(i64::MAX)),
            )
            .await?;
        let kind = |row: &sqlx::any::AnyRow| -> Result<(i64, i64, i64), StoreError> {
            Ok((
                row.col("uidvalidity")?,
                row.col("generation")?,
                row.col("uid")?,
            ))
        };
        let Some(first) = rows.first() else {
            return Ok(false);
        };
        let (validity, generation, low) = kind(first)?;
        let mut high = low;
        for row in &rows {
            let (v, g, uid) = kind(row)?;
            if (v, g) == (validity, generation) {
                high = uid;
            }
        }
        tx.run(
            sqlx::query(
                "DELETE FROM mail_instances WHERE folder_id = ? AND uidvalidity = ? AND generation = ? AND uid BETWEEN ? AND ?",
            )
            .bind(self.folder.get())
            .bind(validity)
            .bind(generation)
            .bind(low)
            .bind(high),
        )
        .await?;
        Ok(true)
    }
}

struct Ask {
    account: AccountId,
    since: Timestamp,
}
impl Step for Ask {
    type Answer = u64;
    const DOING: &'static str = "asking for mail since a date";

    async fn apply(&self, tx: &mut Tx) -> Result<u64, StoreError> {
        tx.run(
            sqlx::query(
                "UPDATE mail_folders SET audit_found = CASE WHEN audit = 'renumbered' THEN audit_found ELSE 0 END, audit_paired = CASE WHEN audit = 'renumbered' THEN audit_paired ELSE 0 END, audit_since = CASE WHEN audit_since < ? THEN audit_since ELSE ? END, audit_next = next_uid, audit = CASE WHEN audit = 'renumbered' THEN audit ELSE 'asked' END WHERE account_id = ?",
            )
            .bind(self.since.millis())
            .bind(self.since.millis())
            .bind(self.account.get()),
        )
        .await
    }
}

impl Store {
    /// Fenced; the server voided what we know of a folder's UIDs: a new validity and generation, reading
    /// goes on from `cursor.next`, and an audit of everything below it begins (I4).
    pub async fn folder_renumber(
        &self,
        lease: &Lease,
        folder: FolderId,
        cursor: Cursor,
        now: Timestamp,
    ) -> Result<FolderRow, StoreError> {
        let lease = lease.clone();
        self.write(Renumber {
            lease,
            folder,
            cursor,
            now,
        })
        .await
    }

    /// Fenced; begins a routine audit where none is under way; false where one is.
    pub async fn audit_begin(
        &self,
        lease: &Lease,
        folder: FolderId,
        expect: Cursor,
    ) -> Result<bool, StoreError> {
        let lease = lease.clone();
        self.write(Begin {
            lease,
            folder,
            expect,
        })
        .await
    }

    /// Fenced; the UIDs from `next` on are compared. `Conflict` where the audit is another one by now.
    pub async fn audit_lower(
        &self,
        lease: &Lease,
        folder: FolderId,
        expect: Cursor,
        audit: Audit,
        next: u64,
    ) -> Result<(), StoreError> {
        let lease = lease.clone();
        self.write(Lower {
            lease,
            folder,
            audit,
            expect,
            next,
        })
        .await
    }

    /// Fenced; the audit is complete: its result is recorded, told by an event where something was missing,
    /// and judged by [`is_suspicious`]. `Conflict` where the audit is another one by now.
    pub async fn audit_end(
        &self,
        lease: &Lease,
        folder: FolderId,
        expect: Cursor,
        audit: Audit,
        now: Timestamp,
    ) -> Result<FolderRow, StoreError> {
        let lease = lease.clone();
        self.write(End {
            lease,
            folder,
            audit,
            expect,
            now,
        })
        .await
    }

    /// Announces some of the events that a finished audit held back and that no verdict holds; true where
    /// there are more.
    pub async fn audit_release(&self, folder: FolderId) -> Result<bool, StoreError> {
        let step = LetGo {
            folder,
            announce: true,
            said: false,
        };
        self.write(step).await
    }

    /// Fenced; removes some appearances under numbers that are void; true where there may be more.
    pub async fn audit_forget(&self, lease: &Lease, folder: FolderId) -> Result<bool, StoreError> {
        let lease = lease.clone();
        self.write(Forget { lease, folder }).await
    }

    /// An administrator's word on the mail that an audit held: announced as received, or (`false`) only
    /// kept. Nothing happens while the audit is under way.
    pub async fn folder_let_go(&self, folder: FolderId, announce: bool) -> Result<(), StoreError> {
        while self
            .write(LetGo {
                folder,
                announce,
                said: true,
            })
            .await?
        {}
        Ok(())
    }

    /// Asks for all mail of the account's folders that arrived since then; what is known stays as it is, so
    /// that asking twice is harmless. How many folders there are.
    pub async fn account_reingest(
        &self,
        account: AccountId,
        since: Timestamp,
    ) -> Result<u64, StoreError> {
        self.write(Ask { account, since }).await
    }

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
