//! Mail that is held: shown with its reason, and released by a person.

use serde_json::json;

use super::{
    Store, StoreError,
    text::{Columns, cut},
    tx::{Step, Tx},
};
use crate::model::{AccountId, EventKind, MessageId, NewEvent, Timestamp};

struct Release {
    message: MessageId,
    now: Timestamp,
}
impl Step for Release {
    type Answer = bool;
    const DOING: &'static str = "releasing a message";

    async fn apply(&self, tx: &mut Tx) -> Result<bool, StoreError> {
        let released = tx
            .run(
                sqlx::query(
                    "UPDATE mail_meanings SET waiting = 0, released_at = ? WHERE message_id = ? AND waiting = 1",
                )
                .bind(self.now.millis())
                .bind(self.message.get()),
            )
            .await?;
        if released == 0 {
            return Ok(false);
        }
        let row = tx
            .first(
                sqlx::query(
                    "SELECT m.account_id, m.interaction_id, m.contact_id, m.from_address, m.subject, n.kind FROM mail_messages m JOIN mail_meanings n ON n.message_id = m.id WHERE m.id = ?",
                )
                .bind(self.message.get()),
            )
            .await?
            .ok_or(StoreError::Missing { what: "message" })?;
        let event = NewEvent {
            kind: EventKind::MessageReceived,
            account: Some(AccountId::new(row.col("account_id")?)),
            provider: None,
            once: format!("message.received/{}", self.message),
            payload: json!({
                "messageId": self.message,
                "interactionId": row.col::<i64>("interaction_id")?,
                "contactId": row.col::<Option<i64>>("contact_id")?,
                "from": row.col::<String>("from_address")?,
                "subject": cut(&row.col::<String>("subject")?, 200),
                "kind": row.col::<String>("kind")?,
                "released": true,
            }),
        };
        tx.event(&event, self.now).await?;
        Ok(true)
    }
}

impl Store {
    /// Unfenced; tells the readers of events of a message that was held (once, however often it is called).
    /// False: it is not held.
    pub async fn message_release(
        &self,
        message: MessageId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.write(Release { message, now }).await
    }

    /// How many messages of an account are held.
    pub async fn held_count(&self, account: AccountId) -> Result<i64, StoreError> {
        let mut reader = self.read("counting held mail").await?;
        let query = sqlx::query(
            "SELECT COUNT(*) AS n FROM mail_meanings WHERE account_id = ? AND waiting = 1",
        );
        reader.count(query.bind(account.get())).await
    }
}
