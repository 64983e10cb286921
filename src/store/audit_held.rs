//! Events that an audit holds back: of mail that a renumbered folder brought, until the audit has ended, or an
//! administrator has agreed.

use super::{
    Store, StoreError,
    folder::{BY_ID, folder},
    text::Columns,
    tx::{Step, Tx},
};
use crate::model::{AccountId, AuditKind, FolderId};

/// Events let go of in one step.
const MANY: usize = 500;

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

impl Store {
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
}
