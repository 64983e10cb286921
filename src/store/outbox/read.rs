//! Looking at the queue.

use sqlx::any::AnyRow;

use super::super::{
    Page, Rows, Store, StoreError,
    pool::Reader,
    text::{Columns, unsigned, word},
};
use crate::model::{
    AccountId, EmailAddress, InteractionId, MessageId, OutboxId, RawMail, RecipientId,
    RecipientKind, RecipientState, Timestamp,
};

/// One recipient's copy.
#[derive(Clone, Debug)]
pub struct RecipientRow {
    /// Row id.
    pub id: RecipientId,
    /// Which header it came from.
    pub kind: RecipientKind,
    /// RCPT TO.
    pub address: EmailAddress,
    /// Where it stands.
    pub state: RecipientState,
    /// Tries begun.
    pub attempts: u32,
    /// Not tried before; set while it waits.
    pub next_at: Option<Timestamp>,
    /// The server's last code.
    pub reply_code: Option<u16>,
    /// The server's last words, or ours.
    pub reply_text: Option<String>,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// What a report said of one recipient.
#[derive(Clone, Debug)]
pub struct ReportRow {
    /// The incoming message that is the report.
    pub message: MessageId,
    /// The copy it speaks of; `None`: it names somebody whom the message was not sent to.
    pub recipient: Option<RecipientId>,
    /// The address it names.
    pub address: String,
    /// Word, see [`crate::model::ReportAction`].
    pub action: String,
    /// Enhanced status; may be empty.
    pub status: String,
    /// The remote server's words.
    pub diagnostic: String,
    /// It changed the copy's state.
    pub applied: bool,
    /// When it was stored.
    pub created_at: Timestamp,
}

/// One try.
#[derive(Clone, Debug)]
pub struct AttemptRow {
    /// Its id.
    pub attempt: String,
    /// Recorded before it began.
    pub started_at: Timestamp,
    /// Recorded before the final dot was sent.
    pub dot_at: Option<Timestamp>,
    /// When its end was recorded.
    pub ended_at: Option<Timestamp>,
    /// How it ended: a recipient state, "mixed", or words.
    pub outcome: Option<String>,
    /// The server's last reply.
    pub reply: Option<String>,
}

/// A message in the queue, with all its copies.
#[derive(Clone, Debug)]
pub struct OutboxRow {
    /// Row id.
    pub id: OutboxId,
    /// Who sends.
    pub account: AccountId,
    /// Message-ID without angle brackets.
    pub message_id: String,
    /// Subject.
    pub subject: String,
    /// MAIL FROM.
    pub envelope_from: EmailAddress,
    /// Octets.
    pub size: u64,
    /// The conversation it answers in.
    pub interaction: Option<InteractionId>,
    /// Copies, in the order given.
    pub recipients: Vec<RecipientRow>,
    /// When it was queued.
    pub created_at: Timestamp,
    /// Not given up before; later where it could not be tried for a while.
    pub expires_at: Timestamp,
}

fn address(what: &'static str, id: i64, text: &str) -> Result<EmailAddress, StoreError> {
    word(what, id, text, |text| EmailAddress::parse(text).ok())
}

fn recipient(row: &AnyRow) -> Result<RecipientRow, StoreError> {
    let what = "recipient";
    let id: i64 = row.col("id")?;
    let reply_code = row.col::<Option<i64>>("reply_code")?;
    Ok(RecipientRow {
        id: RecipientId::new(id),
        kind: word(what, id, &row.col::<String>("kind")?, RecipientKind::parse)?,
        address: address(what, id, &row.col::<String>("address")?)?,
        state: word(
            what,
            id,
            &row.col::<String>("state")?,
            RecipientState::parse,
        )?,
        attempts: u32::try_from(row.col::<i64>("attempts")?).unwrap_or(0),
        next_at: row.time_if("next_at")?,
        reply_code: reply_code.and_then(|code| u16::try_from(code).ok()),
        reply_text: row.col("reply_text")?,
        updated_at: row.time("updated_at")?,
    })
}

fn attempt(row: &AnyRow) -> Result<AttemptRow, StoreError> {
    Ok(AttemptRow {
        attempt: row.col("attempt")?,
        started_at: row.time("started_at")?,
        dot_at: row.time_if("dot_at")?,
        ended_at: row.time_if("ended_at")?,
        outcome: row.col("outcome")?,
        reply: row.col("reply")?,
    })
}

/// A message's row with its copies.
async fn whole(reader: &mut Reader, row: &AnyRow) -> Result<OutboxRow, StoreError> {
    let id: i64 = row.col("id")?;
    let rows = reader
        .all(
            sqlx::query(
                "SELECT id, kind, address, state, attempts, next_at, reply_code, reply_text, updated_at FROM mail_recipients WHERE outbox_id = ? ORDER BY id",
            )
            .bind(id),
        )
        .await?;
    let from: String = row.col("envelope_from")?;
    Ok(OutboxRow {
        id: OutboxId::new(id),
        account: AccountId::new(row.col("account_id")?),
        message_id: row.col("message_id")?,
        subject: row.col("subject")?,
        envelope_from: address("outgoing message", id, &from)?,
        size: unsigned(row.col("size")?),
        interaction: row
            .col::<Option<i64>>("interaction_id")?
            .map(InteractionId::new),
        recipients: rows.iter().map(recipient).collect::<Result<_, _>>()?,
        created_at: row.time("created_at")?,
        expires_at: row.time("expires_at")?,
    })
}

macro_rules! filtered {
    ($columns:literal, $order:literal) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM mail_outbox WHERE (? = 1 OR account_id = ?) AND (? = 1 OR EXISTS (SELECT 1 FROM mail_recipients WHERE mail_recipients.outbox_id = mail_outbox.id AND mail_recipients.state = ?))",
            $order
        )
    };
}
const COUNT: &str = filtered!("COUNT(*) AS n", "");
const LIST: &str = filtered!(
    "id, account_id, message_id, subject, envelope_from, size, interaction_id, created_at, expires_at",
    " ORDER BY id DESC LIMIT ? OFFSET ?"
);

impl Store {
    /// One message with its copies and tries, oldest try first.
    pub async fn outbox_get(
        &self,
        id: OutboxId,
    ) -> Result<Option<(OutboxRow, Vec<AttemptRow>)>, StoreError> {
        let mut reader = self.read("reading an outgoing message").await?;
        let row = reader
            .first(
                sqlx::query(
                    "SELECT id, account_id, message_id, subject, envelope_from, size, interaction_id, created_at, expires_at FROM mail_outbox WHERE id = ?",
                )
                .bind(id.get()),
            )
            .await?;
        let Some(row) = row else {
            return Ok(None);
        };
        let message = whole(&mut reader, &row).await?;
        let rows = reader
            .all(
                sqlx::query(
                    "SELECT attempt, started_at, dot_at, ended_at, outcome, reply FROM mail_attempts WHERE outbox_id = ? ORDER BY started_at, attempt",
                )
                .bind(id.get()),
            )
            .await?;
        let attempts = rows.iter().map(attempt).collect::<Result<_, _>>()?;
        Ok(Some((message, attempts)))
    }

    /// What reports said of a message's recipients, oldest first, at most 1,000.
    pub async fn outbox_reports(&self, id: OutboxId) -> Result<Vec<ReportRow>, StoreError> {
        let mut reader = self.read("reading reports").await?;
        let rows = reader
            .all(
                sqlx::query(
                    "SELECT message_id, recipient_id, address, action, status, diagnostic, applied, created_at FROM mail_reports WHERE outbox_id = ? ORDER BY message_id, place LIMIT 1000",
                )
                .bind(id.get()),
            )
            .await?;
        rows.iter()
            .map(|row| {
                Ok(ReportRow {
                    message: MessageId::new(row.col("message_id")?),
                    recipient: row
                        .col::<Option<i64>>("recipient_id")?
                        .map(RecipientId::new),
                    address: row.col("address")?,
                    action: row.col("action")?,
                    status: row.col("status")?,
                    diagnostic: row.col("diagnostic")?,
                    applied: row.flag("applied")?,
                    created_at: row.time("created_at")?,
                })
            })
            .collect()
    }

    /// Where a message's frozen bytes are.
    pub async fn outbox_raw(&self, id: OutboxId) -> Result<Option<RawMail>, StoreError> {
        let mut reader = self.read("reading an outgoing message").await?;
        let query = sqlx::query("SELECT raw, raw_object FROM mail_outbox WHERE id = ?");
        match reader.first(query.bind(id.get())).await? {
            None => Ok(None),
            Some(row) => row.raw_mail(),
        }
    }

    /// Newest first. `state`: only messages with a recipient in that state.
    pub async fn outbox_list(
        &self,
        account: Option<AccountId>,
        state: Option<RecipientState>,
        page: Page,
    ) -> Result<Rows<OutboxRow>, StoreError> {
        let mut reader = self.read("listing outgoing mail").await?;
        let bound = |statement: &'static str| {
            sqlx::query(statement)
                .bind(i64::from(account.is_none()))
                .bind(account.map_or(0, AccountId::get))
                .bind(i64::from(state.is_none()))
                .bind(state.map_or("", RecipientState::as_str))
        };
        let count = reader.count(bound(COUNT)).await?;
        let listed = reader
            .all(bound(LIST).bind(page.limit()).bind(page.offset()))
            .await?;
        let mut rows = Vec::with_capacity(listed.len());
        for row in &listed {
            rows.push(whole(&mut reader, row).await?);
        }
        Ok(Rows { count, rows })
    }

    /// When the next copy of an account that waits is due; `None`: none waits.
    pub async fn outbox_next_due(
        &self,
        account: AccountId,
    ) -> Result<Option<Timestamp>, StoreError> {
        let mut reader = self.read("looking for due mail").await?;
        let row = reader
            .first(
                sqlx::query(
                    "SELECT MIN(next_at) AS due FROM mail_recipients WHERE account_id = ? AND state IN ('queued', 'deferred')",
                )
                .bind(account.get()),
            )
            .await?;
        row.map_or(Ok(None), |row| row.time_if("due"))
    }

    /// Copies per state, for status; `Damaged` where a row holds an unknown word.
    pub async fn outbox_counts(
        &self,
        account: AccountId,
    ) -> Result<Vec<(RecipientState, i64)>, StoreError> {
        let mut reader = self.read("counting outgoing mail").await?;
        let rows = reader
            .all(
                sqlx::query(
                    "SELECT state, COUNT(*) AS n FROM mail_recipients WHERE account_id = ? GROUP BY state ORDER BY state",
                )
                .bind(account.get()),
            )
            .await?;
        rows.iter()
            .map(|row| {
                let text: String = row.col("state")?;
                let state = word(
                    "recipient of account",
                    account.get(),
                    &text,
                    RecipientState::parse,
                )?;
                Ok((state, row.col("n")?))
            })
            .collect()
    }
}
