//! The durable queue: frozen messages, each recipient's copy, and the tries.
//!
//! # Promises
//! - A message, its copies and the idempotency key are one commit.
//! - A try is recorded before it begins, the dot before it is sent (I2); final copies never change.
//!
//! # When things fail
//! - A copy whose dot was announced by a process that is gone becomes in doubt, never queued again.
//! - A state word that is not in the closed list is [`super::StoreError::Damaged`].

mod attempt;
mod claim;
mod enqueue;
mod read;
mod settle;

pub use claim::{Claimed, ClaimedCopy};
pub use enqueue::{Enqueued, NewOutgoing};
pub use read::{AttemptRow, OutboxRow, RecipientRow, ReportRow};
pub use settle::{Outcome, Settled};

use serde_json::json;

use super::{StoreError, text::Columns, tx::Tx};
use crate::model::{AccountId, EventKind, Lease, NewEvent, RecipientState, Timestamp};

/// Copies whose dot was announced but whose answer nobody will bring any more: in doubt, with their
/// events. `Some(lease)`: leaves that lease's own alone.
pub(super) async fn doubt(
    tx: &mut Tx,
    account: AccountId,
    except: Option<&Lease>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let rows = tx
        .all(
            sqlx::query(
                "SELECT id, outbox_id, address, attempt FROM mail_recipients WHERE account_id = ? AND state = 'dot_pending' AND NOT (COALESCE(holder, '') = ? AND COALESCE(epoch, -1) = ?)",
            )
            .bind(account.get())
            .bind(except.map_or("", |lease| lease.holder.as_str()))
            .bind(except.map_or(-1, |lease| lease.epoch)),
        )
        .await?;
    for row in rows {
        let id: i64 = row.col("id")?;
        let attempt: Option<String> = row.col("attempt")?;
        let matched = tx
            .run(
                sqlx::query(
                    "UPDATE mail_recipients SET state = 'in_doubt', next_at = NULL, reply_code = NULL, reply_text = NULL, updated_at = ? WHERE id = ? AND state = 'dot_pending' AND COALESCE(attempt, '') = ?",
                )
                .bind(now.millis())
                .bind(id)
                .bind(attempt.clone().unwrap_or_default()),
            )
            .await?;
        if matched != 1 {
            return Err(StoreError::Conflict(
                "a copy was changed meanwhile".to_owned(),
            ));
        }
        let copy = Copy {
            id,
            outbox: row.col("outbox_id")?,
            address: row.col("address")?,
            attempt: attempt.unwrap_or_default(),
        };
        let event = copy.event(account, RecipientState::InDoubt, None, "");
        tx.event(&event, now).await?;
        let close = "UPDATE mail_attempts SET ended_at = ?, outcome = 'in_doubt' WHERE attempt = ? AND ended_at IS NULL";
        tx.run(sqlx::query(close).bind(now.millis()).bind(copy.attempt))
            .await?;
    }
    Ok(())
}

/// A copy, as its events name it.
pub(super) struct Copy {
    pub(super) id: i64,
    pub(super) outbox: i64,
    pub(super) address: String,
    pub(super) attempt: String,
}

impl Copy {
    pub(super) fn event(
        &self,
        account: AccountId,
        state: RecipientState,
        reply_code: Option<u16>,
        reply_text: &str,
    ) -> NewEvent {
        let kind = match state {
            RecipientState::Sent => EventKind::MessageSent,
            RecipientState::Failed => EventKind::MessageFailed,
            RecipientState::Expired => EventKind::MessageExpired,
            RecipientState::InDoubt => EventKind::MessageInDoubt,
            RecipientState::Bounced => EventKind::MessageBounced,
            _ => EventKind::MessageDeferred,
        };
        NewEvent {
            kind,
            account: Some(account),
            provider: None,
            once: format!("recipient/{}/{}/{}", self.id, state.as_str(), self.attempt),
            payload: json!({
                "outboxId": self.outbox,
                "recipientId": self.id,
                "address": self.address,
                "state": state.as_str(),
                "attempt": self.attempt,
                "replyCode": reply_code,
                "replyText": super::text::cut(reply_text, 500),
            }),
        }
    }
}
