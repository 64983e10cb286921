//! Reading stored mail: messages, conversations, and what was put aside.

use sqlx::any::AnyRow;

use super::{
    Page, Rows, Store, StoreError,
    pool::Reader,
    text::{Columns, json, unsigned, word},
};
use crate::model::{
    AccountId, Attachment, ContactId, FolderId, InteractionId, MailKind, Mailbox, MessageId,
    OutboxId, ParsedMail, RawMail, Timestamp,
};

const WHAT: &str = "message";

/// A stored incoming message.
#[derive(Clone, Debug)]
pub struct MessageRow {
    /// Row id.
    pub id: MessageId,
    /// Whose mail.
    pub account: AccountId,
    /// The conversation it belongs to.
    pub interaction: InteractionId,
    /// Who sent it, where From is an address.
    pub contact: Option<ContactId>,
    /// What was read from it; in lists without bodies.
    pub parsed: ParsedMail,
    /// What it is beside its words.
    pub meaning: MeaningRow,
    /// The server's date of arrival.
    pub internal_date: Timestamp,
    /// Octets of the raw mail.
    pub size: u64,
    /// Why it could not be read, if so; the raw mail is complete.
    pub parse_error: Option<String>,
    /// When it was stored.
    pub created_at: Timestamp,
    /// When the row last changed.
    pub updated_at: Timestamp,
}

/// What a message is beside its words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MeaningRow {
    /// Who or what wrote it.
    pub kind: MailKind,
    /// Which sign said so; empty for a person.
    pub reason: String,
    /// Why nobody was told of it.
    pub held: Option<String>,
    /// It is held still.
    pub waiting: bool,
    /// The outgoing message that it reports on.
    pub bounce_of: Option<OutboxId>,
    /// A conversation that it names without having taken part in it.
    pub related: Option<InteractionId>,
}

fn meaning(row: &AnyRow, id: i64) -> Result<MeaningRow, StoreError> {
    let Some(kind) = row.col::<Option<String>>("kind")? else {
        return Ok(MeaningRow::default());
    };
    Ok(MeaningRow {
        kind: word(WHAT, id, &kind, MailKind::parse)?,
        reason: row.col::<Option<String>>("reason")?.unwrap_or_default(),
        held: row.col("held")?,
        waiting: row.col::<Option<i64>>("waiting")?.unwrap_or(0) != 0,
        bounce_of: row.col::<Option<i64>>("bounce_of")?.map(OutboxId::new),
        related: row
            .col::<Option<i64>>("related_interaction_id")?
            .map(InteractionId::new),
    })
}

/// A UID that was put aside.
#[derive(Clone, Debug)]
pub struct ProblemRow {
    /// Row id.
    pub id: i64,
    /// Whose mail.
    pub account: AccountId,
    /// Where it stands on the server.
    pub folder: FolderId,
    /// Where it stands on the server.
    pub uid: i64,
    /// Word, see [`super::AsideReason::as_str`].
    pub reason: String,
    /// In words.
    pub detail: String,
    /// When it was put aside.
    pub created_at: Timestamp,
}

/// A conversation.
#[derive(Clone, Debug)]
pub struct InteractionRow {
    /// Row id.
    pub id: InteractionId,
    /// Whose mail.
    pub account: AccountId,
    /// Subject of its first message.
    pub subject: String,
    /// When it began here.
    pub created_at: Timestamp,
    /// When its newest message was stored.
    pub updated_at: Timestamp,
}

macro_rules! columns {
    ($bodies:literal, $rest:literal) => {
        concat!(
            "SELECT id, account_id, interaction_id, contact_id, internal_date, size, message_id, in_reply_to, reference_ids, subject, from_name, from_address, reply_to, to_list, cc_list, sent_at, attachments, truncated, parse_error, created_at, updated_at, n.kind, n.reason, n.held, n.waiting, n.bounce_of, n.related_interaction_id",
            $bodies,
            " FROM mail_messages LEFT JOIN (SELECT message_id AS of_message, kind, reason, held, waiting, bounce_of, related_interaction_id FROM mail_meanings) n ON n.of_message = mail_messages.id ",
            $rest
        )
    };
}
const ONE: &str = columns!(", body_text, body_html", "WHERE id = ?");
const PAGE: &str = columns!("", "ORDER BY id DESC LIMIT ? OFFSET ?");
const PAGE_OF_ACCOUNT: &str =
    columns!("", "WHERE account_id = ? ORDER BY id DESC LIMIT ? OFFSET ?");
const PAGE_OF_INTERACTION: &str = columns!(
    "",
    "WHERE interaction_id = ? AND (? = 1 OR account_id = ?) ORDER BY id DESC LIMIT ? OFFSET ?"
);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Bodies {
    Read,
    LeftOut,
}

fn message(row: &AnyRow, bodies: Bodies) -> Result<MessageRow, StoreError> {
    let id: i64 = row.col("id")?;
    let boxes = |column| -> Result<Vec<Mailbox>, StoreError> {
        json(WHAT, id, &row.col::<String>(column)?)
    };
    let body = |column| match bodies {
        Bodies::Read => row.col::<Option<String>>(column),
        Bodies::LeftOut => Ok(None),
    };
    Ok(MessageRow {
        id: MessageId::new(id),
        account: AccountId::new(row.col("account_id")?),
        interaction: InteractionId::new(row.col("interaction_id")?),
        contact: row.col::<Option<i64>>("contact_id")?.map(ContactId::new),
        parsed: ParsedMail {
            message_id: row.col("message_id")?,
            in_reply_to: row.col("in_reply_to")?,
            references: json(WHAT, id, &row.col::<String>("reference_ids")?)?,
            subject: row.col("subject")?,
            from: Mailbox {
                name: row.col("from_name")?,
                address: row.col("from_address")?,
            },
            reply_to: boxes("reply_to")?,
            to: boxes("to_list")?,
            cc: boxes("cc_list")?,
            date: row.time_if("sent_at")?,
            text: body("body_text")?,
            html: body("body_html")?,
            attachments: Vec::new(),
            truncated: row.flag("truncated")?,
            meaning: None,
        },
        meaning: meaning(row, id)?,
        internal_date: row.time("internal_date")?,
        size: unsigned(row.col("size")?),
        parse_error: row.col("parse_error")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}

/// A message's row with its attachments.
async fn whole(
    reader: &mut Reader,
    row: &AnyRow,
    bodies: Bodies,
) -> Result<MessageRow, StoreError> {
    let mut message = message(row, bodies)?;
    if row.col::<i64>("attachments")? > 0 {
        let rows = reader
            .all(
                sqlx::query(
                    "SELECT part, file_name, content_type, content_id, inline_shown, size FROM mail_attachments WHERE message_id = ? ORDER BY part",
                )
                .bind(message.id.get()),
            )
            .await?;
        message.parsed.attachments = rows.iter().map(attachment).collect::<Result<_, _>>()?;
    }
    Ok(message)
}

fn attachment(row: &AnyRow) -> Result<Attachment, StoreError> {
    Ok(Attachment {
        part: u32::try_from(row.col::<i64>("part")?).unwrap_or(u32::MAX),
        file_name: row.col("file_name")?,
        content_type: row.col("content_type")?,
        content_id: row.col("content_id")?,
        inline: row.flag("inline_shown")?,
        size: unsigned(row.col("size")?),
    })
}

fn interaction(row: &AnyRow) -> Result<InteractionRow, StoreError> {
    Ok(InteractionRow {
        id: InteractionId::new(row.col("id")?),
        account: AccountId::new(row.col("account_id")?),
        subject: row.col("subject")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}

fn problem(row: &AnyRow) -> Result<ProblemRow, StoreError> {
    Ok(ProblemRow {
        id: row.col("id")?,
        account: AccountId::new(row.col("account_id")?),
        folder: FolderId::new(row.col("folder_id")?),
        uid: row.col("uid")?,
        reason: row.col("reason")?,
        detail: row.col("detail")?,
        created_at: row.time("created_at")?,
    })
}

impl Store {
    /// Newest first; bodies are left out (text and html `None`).
    pub async fn message_list(
        &self,
        account: Option<AccountId>,
        interaction: Option<InteractionId>,
        page: Page,
    ) -> Result<Rows<MessageRow>, StoreError> {
        let mut reader = self.read("listing messages").await?;
        let any = i64::from(account.is_none());
        let of_account = account.map_or(0, AccountId::get);
        let (count, list) = match (account, interaction) {
            (None, None) => (
                sqlx::query("SELECT COUNT(*) AS n FROM mail_messages"),
                sqlx::query(PAGE),
            ),
            (Some(_), None) => (
                sqlx::query("SELECT COUNT(*) AS n FROM mail_messages WHERE account_id = ?")
                    .bind(of_account),
                sqlx::query(PAGE_OF_ACCOUNT).bind(of_account),
            ),
            (_, Some(interaction)) => (
                sqlx::query(
                    "SELECT COUNT(*) AS n FROM mail_messages WHERE interaction_id = ? AND (? = 1 OR account_id = ?)",
                )
                .bind(interaction.get())
                .bind(any)
                .bind(of_account),
                sqlx::query(PAGE_OF_INTERACTION)
                    .bind(interaction.get())
                    .bind(any)
                    .bind(of_account),
            ),
        };
        let count = reader.count(count).await?;
        let listed = reader
            .all(list.bind(page.limit()).bind(page.offset()))
            .await?;
        let mut rows = Vec::with_capacity(listed.len());
        for row in &listed {
            rows.push(whole(&mut reader, row, Bodies::LeftOut).await?);
        }
        Ok(Rows { count, rows })
    }

    /// One message with its bodies.
    pub async fn message_get(&self, id: MessageId) -> Result<Option<MessageRow>, StoreError> {
        let mut reader = self.read("reading a message").await?;
        match reader.first(sqlx::query(ONE).bind(id.get())).await? {
            None => Ok(None),
            Some(row) => Ok(Some(whole(&mut reader, &row, Bodies::Read).await?)),
        }
    }

    /// Where a message's exact bytes are.
    pub async fn message_raw(&self, id: MessageId) -> Result<Option<RawMail>, StoreError> {
        let mut reader = self.read("reading a message").await?;
        let query = sqlx::query("SELECT raw, raw_object FROM mail_messages WHERE id = ?");
        match reader.first(query.bind(id.get())).await? {
            None => Ok(None),
            Some(row) => row.raw_mail(),
        }
    }

    /// Conversations, that with the newest message first.
    pub async fn interaction_list(
        &self,
        account: Option<AccountId>,
        page: Page,
    ) -> Result<Rows<InteractionRow>, StoreError> {
        let mut reader = self.read("listing interactions").await?;
        let any = i64::from(account.is_none());
        let account = account.map_or(0, AccountId::get);
        let count = reader
            .count(
                sqlx::query(
                    "SELECT COUNT(*) AS n FROM mail_interactions WHERE (? = 1 OR account_id = ?)",
                )
                .bind(any)
                .bind(account),
            )
            .await?;
        let rows = reader
            .all(
                sqlx::query(
                    "SELECT id, account_id, subject, created_at, updated_at FROM mail_interactions WHERE (? = 1 OR account_id = ?) ORDER BY updated_at DESC, id DESC LIMIT ? OFFSET ?",
                )
                .bind(any)
                .bind(account)
                .bind(page.limit())
                .bind(page.offset()),
            )
            .await?;
        Rows::of(count, &rows, interaction)
    }

    /// What was put aside, newest first.
    pub async fn problem_list(
        &self,
        account: Option<AccountId>,
        page: Page,
    ) -> Result<Rows<ProblemRow>, StoreError> {
        let mut reader = self.read("listing problems").await?;
        let any = i64::from(account.is_none());
        let account = account.map_or(0, AccountId::get);
        let count = reader
            .count(
                sqlx::query(
                    "SELECT COUNT(*) AS n FROM mail_problems WHERE (? = 1 OR account_id = ?)",
                )
                .bind(any)
                .bind(account),
            )
            .await?;
        let rows = reader
            .all(
                sqlx::query(
                    "SELECT id, account_id, folder_id, uid, reason, detail, created_at FROM mail_problems WHERE (? = 1 OR account_id = ?) ORDER BY id DESC LIMIT ? OFFSET ?",
                )
                .bind(any)
                .bind(account)
                .bind(page.limit())
                .bind(page.offset()),
            )
            .await?;
        Rows::of(count, &rows, problem)
    }
}
