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

    /// Fenced; removes some appearances under numbers that are void; true where there may be more.
    pub async fn audit_forget(&self, lease: &Lease, folder: FolderId) -> Result<bool, StoreError> {
        let lease = lease.clone();
        self.write(Forget { lease, folder }).await
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
}
