//! A caller's message into the queue.

use std::time::Duration;

use super::super::{
    Store, StoreError,
    text::{Columns, cut, hex, key_of, raw_columns, signed},
    thread_token::Token,
    tx::{Step, Tx},
};
use crate::model::{
    AccountId, EmailAddress, InteractionId, OutboxId, RawMail, RecipientKind, Timestamp,
    plain_subject,
};

/// A message to be sent, frozen.
#[derive(Clone, Debug)]
pub struct NewOutgoing {
    /// Who sends.
    pub account: AccountId,
    /// The caller's own key: the same one again is the same message.
    pub idempotency_key: Option<String>,
    /// Hash of the caller's request, to tell a repeat from a clash.
    pub request_hash: [u8; 32],
    /// Message-ID without angle brackets.
    pub message_id: String,
    /// For lists.
    pub subject: String,
    /// MAIL FROM.
    pub envelope_from: EmailAddress,
    /// One copy each, in this order.
    pub recipients: Vec<(RecipientKind, EmailAddress)>,
    /// Frozen bytes, CRLF, no Bcc; an object is durable before this is handed over.
    pub raw: RawMail,
    /// Octets of it.
    pub size: u64,
    /// The conversation that it answers in.
    pub interaction: Option<InteractionId>,
    /// Not before.
    pub send_at: Option<Timestamp>,
    /// Given up so long after it was due first.
    pub expires_after: Duration,
}

/// What became of a caller's message.
#[derive(Clone, Debug)]
pub enum Enqueued {
    /// It is in the queue.
    New(OutboxId),
    /// The same request was made before; nothing was added.
    Repeated(OutboxId),
    /// The key was used for another request; nothing was added.
    KeyClash(OutboxId),
}

struct Enqueue {
    new: NewOutgoing,
    key: Option<String>,
    /// The token by which answers find the conversation that it begins.
    opens: Option<String>,
    now: Timestamp,
}
impl Step for Enqueue {
    type Answer = Enqueued;
    const DOING: &'static str = "queueing a message";

    fn weight(&self) -> usize {
        match &self.new.raw {
            RawMail::Row(bytes) => bytes.len(),
            RawMail::Object(_) => 0,
        }
    }

    async fn apply(&self, tx: &mut Tx) -> Result<Enqueued, StoreError> {
        let (new, account) = (&self.new, self.new.account.get());
        let request = hex(&new.request_hash);
        if let Some(key) = &self.key {
            let before = tx
                .first(
                    sqlx::query(
                        "SELECT id, request_hash FROM mail_outbox WHERE account_id = ? AND idempotency_key = ?",
                    )
                    .bind(account)
                    .bind(key),
                )
                .await?;
            if let Some(row) = before {
                let id = OutboxId::new(row.col("id")?);
                let same = row.col::<String>("request_hash")? == request;
                // Who repeats a request may not know its first answer, and neither may the lane.
                tx.outbox |= same;
                return Ok(if same {
                    Enqueued::Repeated(id)
                } else {
                    Enqueued::KeyClash(id)
                });
            }
        }
        let live = sqlx::query("SELECT id FROM mail_accounts WHERE id = ? AND removed_at IS NULL");
        if tx.first(live.bind(account)).await?.is_none() {
            return Err(StoreError::Missing { what: "account" });
        }
        let interaction = match (new.interaction, &self.opens) {
            (None, Some(token)) => Some(self.begin(tx, token).await?),
            (given, _) => given.map(|id| id.get()),
        };
        let due = new.send_at.map_or(self.now, |at| at.max(self.now));
        let (raw, raw_object) = raw_columns(Some(&new.raw));
        let id = tx
            .insert(
                sqlx::query(
                    "INSERT INTO mail_outbox (account_id, idempotency_key, request_hash, message_key, message_id, subject, envelope_from, size, interaction_id, send_at, expires_at, created_at, raw_object, raw) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                )
                .bind(account)
                .bind(self.key.as_deref())
                .bind(request)
                .bind(key_of(&new.message_id))
                .bind(cut(&new.message_id, 1_000))
                .bind(cut(&new.subject, 1_000))
                .bind(new.envelope_from.as_str())
                .bind(signed(new.size))
                .bind(interaction)
                .bind(new.send_at.map(Timestamp::millis))
                .bind(due.plus(new.expires_after).millis())
                .bind(self.now.millis())
                .bind(raw_object)
                .bind(raw),
            )
            .await?;
        for (kind, address) in &new.recipients {
            tx.run(
                sqlx::query(
                    "INSERT INTO mail_recipients (outbox_id, account_id, kind, address, state, attempts, next_at, refused_ms, updated_at) VALUES (?, ?, ?, ?, 'queued', 0, ?, 0, ?)",
                )
                .bind(id)
                .bind(account)
                .bind(kind.as_str())
                .bind(address.as_str())
                .bind(due.millis())
                .bind(self.now.millis()),
            )
            .await?;
        }
        tx.outbox = true;
        Ok(Enqueued::New(OutboxId::new(id)))
    }
}

impl Enqueue {
    /// The conversation that the message begins.
    async fn begin(&self, tx: &mut Tx, token: &str) -> Result<i64, StoreError> {
        let mut subject_key = key_of(&plain_subject(&self.new.subject));
        subject_key.truncate(16);
        tx.insert(
            sqlx::query(
                "INSERT INTO mail_interactions (account_id, subject, subject_key, opened_by, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?)",
            )
            .bind(self.new.account.get())
            .bind(cut(&self.new.subject, 1_000))
            .bind(subject_key)
            .bind(token)
            .bind(self.now.millis())
            .bind(self.now.millis()),
        )
        .await
    }
}

impl Store {
    /// Unfenced; message, copies and key in one commit before it answers. After `OutcomeUnknown` the
    /// same call with the same idempotency key tells. `Missing`: the account is removed.
    pub async fn outbox_enqueue(
        &self,
        new: &NewOutgoing,
        now: Timestamp,
    ) -> Result<Enqueued, StoreError> {
        let key = new.idempotency_key.as_deref().map(key_of);
        let opens = match self.inner.keys.thread_of(new.account, &new.message_id) {
            Some(Token::Opened(unique)) => Some(unique),
            Some(Token::Interaction(_)) | None => None,
        };
        let new = new.clone();
        self.write(Enqueue {
            new,
            key,
            opens,
            now,
        })
        .await
    }
}
