//! Incoming mail: `/api/mail/messages`, `/api/mail/interactions`, `/api/mail/problems`.

use axum::{Json, extract::State, response::Response};
use serde::Serialize;

use crate::{
    model::{Attachment, Mailbox, MessageId},
    store::{InteractionRow, MessageRow, ProblemRow, Rows},
};

use super::{
    Desk, answer,
    problem::ApiError,
    query::{Query, RowId},
};

const MISSING: ApiError = ApiError::NotFound { what: "message" };

/// A message. Everything a stranger wrote is as it was decoded: `html` is not cleaned, show it only in
/// a sandbox. Lists leave `text` and `html` out.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownMessage {
    id: i64,
    #[serde(rename = "AccountId")]
    account: i64,
    #[serde(rename = "InteractionId")]
    interaction: i64,
    #[serde(rename = "ContactId")]
    contact: Option<i64>,
    message_id: Option<String>,
    in_reply_to: Option<String>,
    references: Vec<String>,
    subject: String,
    from: ShownMailbox,
    reply_to: Vec<ShownMailbox>,
    to: Vec<ShownMailbox>,
    cc: Vec<ShownMailbox>,
    sent_at: Option<String>,
    received_at: String,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    html: Option<String>,
    attachments: Vec<ShownAttachment>,
    truncated: bool,
    parse_error: Option<String>,
    /// Who or what wrote it, and which sign said so.
    kind: &'static str,
    kind_reason: String,
    /// Why no automation was told of it; `released` where a person let it through.
    held: Option<String>,
    released: bool,
    /// The outgoing message that it reports on.
    bounce_of: Option<i64>,
    /// A conversation that it names, though its sender took no part in it.
    related_interaction_id: Option<i64>,
    created_at: String,
    updated_at: String,
}

#[derive(Serialize)]
struct ShownMailbox {
    name: String,
    address: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownAttachment {
    part: u32,
    file_name: String,
    content_type: String,
    content_id: Option<String>,
    inline: bool,
    size: u64,
}

impl From<MessageRow> for ShownMessage {
    fn from(row: MessageRow) -> Self {
        let parsed = row.parsed;
        Self {
            id: row.id.get(),
            account: row.account.get(),
            interaction: row.interaction.get(),
            contact: row.contact.map(|id| id.get()),
            message_id: parsed.message_id,
            in_reply_to: parsed.in_reply_to,
            references: parsed.references,
            subject: parsed.subject,
            from: parsed.from.into(),
            reply_to: parsed.reply_to.into_iter().map(Into::into).collect(),
            to: parsed.to.into_iter().map(Into::into).collect(),
            cc: parsed.cc.into_iter().map(Into::into).collect(),
            sent_at: parsed.date.map(|time| time.rfc3339()),
            received_at: row.internal_date.rfc3339(),
            size: row.size,
            text: parsed.text,
            html: parsed.html,
            attachments: parsed.attachments.into_iter().map(Into::into).collect(),
            truncated: parsed.truncated,
            parse_error: row.parse_error,
            kind: row.meaning.kind.as_str(),
            kind_reason: row.meaning.reason,
            released: row.meaning.held.is_some() && !row.meaning.waiting,
            held: row.meaning.held,
            bounce_of: row.meaning.bounce_of.map(|id| id.get()),
            related_interaction_id: row.meaning.related.map(|id| id.get()),
            created_at: row.created_at.rfc3339(),
            updated_at: row.updated_at.rfc3339(),
        }
    }
}

impl From<Mailbox> for ShownMailbox {
    fn from(mailbox: Mailbox) -> Self {
        Self {
            name: mailbox.name,
            address: mailbox.address,
        }
    }
}

impl From<Attachment> for ShownAttachment {
    fn from(attachment: Attachment) -> Self {
        Self {
            part: attachment.part,
            file_name: attachment.file_name,
            content_type: attachment.content_type,
            content_id: attachment.content_id,
            inline: attachment.inline,
            size: attachment.size,
        }
    }
}

/// Row by row into what the API shows.
pub(super) fn convert<From, Into: std::convert::From<From>>(rows: Rows<From>) -> Rows<Into> {
    Rows {
        count: rows.count,
        rows: rows.rows.into_iter().map(Into::from).collect(),
    }
}

pub(super) async fn list(State(desk): State<Desk>, mut query: Query) -> Result<Response, ApiError> {
    let wanted = query.wanted("-id");
    let account = query.id("AccountId");
    let interaction = query.id("InteractionId");
    query.done()?;
    let rows = desk
        .store
        .message_list(account, interaction, wanted.page)
        .await?;
    answer::list(convert::<_, ShownMessage>(rows), &wanted)
}

pub(super) async fn show(
    State(desk): State<Desk>,
    RowId(id): RowId<MessageId>,
) -> Result<Json<impl Serialize>, ApiError> {
    let row = desk.store.message_get(id).await?.ok_or(MISSING)?;
    Ok(Json(ShownMessage::from(row)))
}

/// `POST …/release`: the events of a held message are sent after all. Once; again it changes nothing.
pub(super) async fn release(
    State(desk): State<Desk>,
    RowId(id): RowId<MessageId>,
) -> Result<Json<impl Serialize>, ApiError> {
    let row = desk.store.message_get(id).await?.ok_or(MISSING)?;
    if row.meaning.held.is_none() {
        return Err(ApiError::Conflict {
            code: "not_held",
            detail: "The message is not held.".into(),
            next: "Nothing: its events were sent when it came.",
        });
    }
    desk.store.message_release(id, desk.clock.now()).await?;
    let row = desk.store.message_get(id).await?.ok_or(MISSING)?;
    Ok(Json(ShownMessage::from(row)))
}

pub(super) async fn raw(
    State(desk): State<Desk>,
    RowId(id): RowId<MessageId>,
) -> Result<Response, ApiError> {
    let raw = desk.store.message_raw(id).await?.ok_or(MISSING)?;
    let bytes = desk.blobs.read(&raw).await?;
    Ok(answer::raw_mail(&format!("message-{id}.eml"), bytes))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownInteraction {
    id: i64,
    #[serde(rename = "AccountId")]
    account: i64,
    subject: String,
    created_at: String,
    updated_at: String,
}

impl From<InteractionRow> for ShownInteraction {
    fn from(row: InteractionRow) -> Self {
        Self {
            id: row.id.get(),
            account: row.account.get(),
            subject: row.subject,
            created_at: row.created_at.rfc3339(),
            updated_at: row.updated_at.rfc3339(),
        }
    }
}

pub(super) async fn interactions(
    State(desk): State<Desk>,
    mut query: Query,
) -> Result<Response, ApiError> {
    let wanted = query.wanted("-updatedAt");
    let account = query.id("AccountId");
    query.done()?;
    let rows = desk.store.interaction_list(account, wanted.page).await?;
    answer::list(convert::<_, ShownInteraction>(rows), &wanted)
}

/// A mail that was set aside: what it is, where it lies, and why it is no message (I5).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownProblem {
    id: i64,
    #[serde(rename = "AccountId")]
    account: i64,
    #[serde(rename = "FolderId")]
    folder: i64,
    uid: i64,
    reason: String,
    detail: String,
    created_at: String,
}

impl From<ProblemRow> for ShownProblem {
    fn from(row: ProblemRow) -> Self {
        Self {
            id: row.id,
            account: row.account.get(),
            folder: row.folder.get(),
            uid: row.uid,
            reason: row.reason,
            detail: row.detail,
            created_at: row.created_at.rfc3339(),
        }
    }
}

pub(super) async fn problems(
    State(desk): State<Desk>,
    mut query: Query,
) -> Result<Response, ApiError> {
    let wanted = query.wanted("-id");
    let account = query.id("AccountId");
    query.done()?;
    let rows = desk.store.problem_list(account, wanted.page).await?;
    answer::list(convert::<_, ShownProblem>(rows), &wanted)
}
