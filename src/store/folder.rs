//! Folders and their cursors (I1, I4).

use sqlx::any::AnyRow;

use super::{
    Store, StoreError,
    text::{Columns, cut, key_of, signed, unsigned, word},
    tx::{Step, Tx},
};
use crate::model::{
    AccountId, Audit, AuditKind, Cursor, FolderId, Generation, Lease, Timestamp, UidValidity,
};

/// An IMAP mailbox of an account.
#[derive(Clone, Debug)]
pub struct FolderRow {
    /// Row id.
    pub id: FolderId,
    /// Whose folder.
    pub account: AccountId,
    /// Name on the server, at most 1,000 characters of it.
    pub name: String,
    /// How far it has been read. UIDs below the first cursor were there before the account and are
    /// not wanted.
    pub cursor: Cursor,
    /// UIDs below this were there when the folder was started: of them only what the account wants
    /// by its date is taken. At most 2³².
    pub history: u64,
    /// UIDs below this were listed once and are not wanted: a routine audit ends here.
    pub floor: u64,
    /// The audit that is under way.
    pub audit: Option<Audit>,
    /// When the last complete audit ended.
    pub audited_at: Option<Timestamp>,
    /// Messages that audits found missing and brought in, ever.
    pub repaired: u64,
    /// How often the server voided its UIDs, each time within an hour of the time before.
    pub renumbered: u64,
    /// What an audit found waits to be announced until an administrator agrees.
    pub held: bool,
}

pub(super) fn folder(row: &AnyRow) -> Result<FolderRow, StoreError> {
    let id: i64 = row.col("id")?;
    let (validity, next): (i64, i64) = (row.col("uidvalidity")?, row.col("next_uid")?);
    let damaged = |detail: String| StoreError::Damaged {
        what: "folder",
        detail,
    };
    let validity = u32::try_from(validity)
        .ok()
        .and_then(UidValidity::new)
        .ok_or_else(|| {
            damaged(format!(
                "row {id} holds the impossible UIDVALIDITY {validity}"
            ))
        })?;
    let next = u64::try_from(next)
        .ok()
        .filter(|next| (1..=1 << 32).contains(next))
        .ok_or_else(|| damaged(format!("row {id} holds the impossible next UID {next}")))?;
    let history: i64 = row.col("history_uid")?;
    let kind: Option<String> = row.col("audit")?;
    let audit = match kind {
        None => None,
        Some(kind) => Some(Audit {
            kind: word("folder", id, &kind, AuditKind::parse)?,
            next: unsigned(row.col("audit_next")?),
            since: row.time_if("audit_since")?,
            found: unsigned(row.col("audit_found")?),
            paired: unsigned(row.col("audit_paired")?),
        }),
    };
    Ok(FolderRow {
        id: FolderId::new(id),
        account: AccountId::new(row.col("account_id")?),
        name: row.col("name")?,
        cursor: Cursor {
            validity,
            generation: Generation(row.col("generation")?),
            next,
        },
        history: u64::try_from(history).unwrap_or(0),
        floor: unsigned(row.col("floor_uid")?),
        audit,
        audited_at: row.time_if("audited_at")?,
        repaired: unsigned(row.col("repaired")?),
        renumbered: unsigned(row.col("renumbered")?),
        held: row.flag("held")?,
    })
}

macro_rules! columns {
    ($rest:literal) => {
        concat!(
            "SELECT id, account_id, name, uidvalidity, generation, next_uid, history_uid, floor_uid, audit, audit_next, audit_since, audit_found, audit_paired, audited_at, repaired, renumbered, held FROM mail_folders ",
            $rest
        )
    };
}
const BY_NAME: &str = columns!("WHERE account_id = ? AND name_key = ?");
pub(super) const BY_ID: &str = columns!("WHERE id = ?");
const OF_ACCOUNT: &str = columns!("WHERE account_id = ? ORDER BY id");

/// Moves a cursor on if it stands where it was read, at `expect`; `Conflict` otherwise.
pub(super) async fn advance(
    tx: &mut Tx,
    account: AccountId,
    folder: FolderId,
    expect: Cursor,
    next: u64,
) -> Result<(), StoreError> {
    if next < expect.next || next > 1 << 32 {
        return Err(StoreError::Conflict(format!(
            "a cursor cannot go from {} to {next}",
            expect.next
        )));
    }
    let matched = tx
        .run(
            sqlx::query(
                "UPDATE mail_folders SET next_uid = ? WHERE id = ? AND account_id = ? AND uidvalidity = ? AND generation = ? AND next_uid = ?",
            )
            .bind(signed(next))
            .bind(folder.get())
            .bind(account.get())
            .bind(i64::from(expect.validity.get()))
            .bind(expect.generation.0)
            .bind(signed(expect.next)),
        )
        .await?;
    if matched == 1 {
        Ok(())
    } else {
        Err(StoreError::Conflict(
            "the folder's cursor was moved meanwhile".to_owned(),
        ))
    }
}

struct Start {
    lease: Lease,
    name: String,
    key: String,
    cursor: Cursor,
    history: u64,
    now: i64,
}
impl Step for Start {
    type Answer = FolderRow;
    const DOING: &'static str = "starting a folder";

    fn fence(&self) -> Option<&Lease> {
        Some(&self.lease)
    }

    async fn apply(&self, tx: &mut Tx) -> Result<FolderRow, StoreError> {
        let account = self.lease.account.get();
        let moved = tx
            .run(
                sqlx::query(
                    "UPDATE mail_folders SET uidvalidity = ?, generation = ?, next_uid = ?, history_uid = ?, floor_uid = ?, audit = NULL, updated_at = ? WHERE account_id = ? AND name_key = ?",
                )
                .bind(i64::from(self.cursor.validity.get()))
                .bind(self.cursor.generation.0)
                .bind(signed(self.cursor.next))
                .bind(signed(self.history))
                .bind(signed(self.cursor.next))
                .bind(self.now)
                .bind(account)
                .bind(&self.key),
            )
            .await?;
        if moved == 0 {
            tx.insert(
                sqlx::query(
                    "INSERT INTO mail_folders (account_id, name, name_key, uidvalidity, generation, next_uid, history_uid, floor_uid, audit_next, audit_found, audit_paired, audited_at, repaired, renumbered, held, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, ?, 0, 0, 0, ?, ?)",
                )
                .bind(account)
                .bind(&self.name)
                .bind(&self.key)
                .bind(i64::from(self.cursor.validity.get()))
                .bind(self.cursor.generation.0)
                .bind(signed(self.cursor.next))
                .bind(signed(self.history))
                .bind(signed(self.cursor.next))
                .bind(self.now)
                .bind(self.now)
                .bind(self.now),
            )
            .await?;
        }
        let row = tx
            .first(sqlx::query(BY_NAME).bind(account).bind(&self.key))
            .await?;
        folder(&row.ok_or(StoreError::Missing { what: "folder" })?)
    }
}

struct Advance {
    lease: Lease,
    folder: FolderId,
    expect: Cursor,
    next: u64,
}
impl Step for Advance {
    type Answer = ();
    const DOING: &'static str = "moving a folder's cursor";

    fn fence(&self) -> Option<&Lease> {
        Some(&self.lease)
    }

    async fn apply(&self, tx: &mut Tx) -> Result<(), StoreError> {
        advance(tx, self.lease.account, self.folder, self.expect, self.next).await
    }
}

impl Store {
    /// A folder by its name on the server; `Damaged` where its cursor makes no sense.
    pub async fn folder_get(
        &self,
        account: AccountId,
        name: &str,
    ) -> Result<Option<FolderRow>, StoreError> {
        let mut reader = self.read("reading a folder").await?;
        let query = sqlx::query(BY_NAME).bind(account.get()).bind(key_of(name));
        let row = reader.first(query).await?;
        row.as_ref().map(folder).transpose()
    }

    /// The folders of an account that are read, oldest first.
    pub async fn folder_list(&self, account: AccountId) -> Result<Vec<FolderRow>, StoreError> {
        let mut reader = self.read("listing folders").await?;
        let rows = reader
            .all(sqlx::query(OF_ACCOUNT).bind(account.get()))
            .await?;
        rows.iter().map(folder).collect()
    }

    /// Fenced; makes the row, or moves it to a new validity, generation, cursor and history (I4).
    pub async fn folder_start(
        &self,
        lease: &Lease,
        name: &str,
        cursor: Cursor,
        history: u64,
        now: Timestamp,
    ) -> Result<FolderRow, StoreError> {
        let step = Start {
            lease: lease.clone(),
            name: cut(name, 1_000),
            key: key_of(name),
            cursor,
            history,
            now: now.millis(),
        };
        self.write(step).await
    }

    /// Fenced; moves the cursor where a complete listing showed nothing in between. `Conflict` where
    /// the row does not stand at `expect`.
    pub async fn cursor_advance(
        &self,
        lease: &Lease,
        folder: FolderId,
        expect: Cursor,
        next: u64,
    ) -> Result<(), StoreError> {
        let step = Advance {
            lease: lease.clone(),
            folder,
            expect,
            next,
        };
        self.write(step).await
    }
}
