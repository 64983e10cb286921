//! An account's folders: how far they are read, what audits found, mail of the past.

use axum::{Json, extract::State, http::StatusCode};
use chrono::DateTime;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    http::{
        Desk,
        input::{Body, Given, Problems, Unknown},
        problem::ApiError,
        query::RowId,
    },
    imap::mailbox_name,
    model::{AccountId, Timestamp},
    store::FolderRow,
};

fn shown(row: &FolderRow) -> Value {
    json!({
        "id": row.id,
        "name": mailbox_name::decode(&row.name),
        "uidValidity": row.cursor.validity.get(),
        "generation": row.cursor.generation.0,
        "nextUid": row.cursor.next,
        "audit": row.audit.map(|audit| json!({
            "why": audit.kind.as_str(),
            "next": audit.next,
            "since": audit.since.map(|since| since.rfc3339()),
            "found": audit.found,
            "paired": audit.paired,
        })),
        "auditedAt": row.audited_at.map(|at| at.rfc3339()),
        "repaired": row.repaired,
        "renumbered": row.renumbered,
        "held": row.held,
    })
}

/// The folders that are read, with what the last audit said.
pub(in crate::http) async fn folders(
    State(desk): State<Desk>,
    RowId(id): RowId<AccountId>,
) -> Result<Json<Value>, ApiError> {
    let account = super::stored(&desk, id).await?;
    let rows = desk.store.folder_list(account.id).await?;
    let rows: Vec<Value> = rows.iter().map(shown).collect();
    Ok(Json(json!({ "count": rows.len(), "rows": rows })))
}

/// The body of a wish for mail of the past.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::http) struct Again {
    since: Given<String>,
    #[serde(flatten)]
    unknown: Unknown,
}

/// All mail that arrived since then is brought in, as far as it is not there; asking twice changes nothing.
/// 202: the reading goes on after the answer.
pub(in crate::http) async fn reingest(
    State(desk): State<Desk>,
    RowId(id): RowId<AccountId>,
    Body(body): Body<Again>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let account = super::stored(&desk, id).await?;
    let mut problems = Problems::default();
    problems.unknown("", &body.unknown);
    let since = problems.required("since", body.since);
    let since = problems.parsed(
        "since",
        since,
        "must be a date and time like 2026-01-31T00:00:00Z",
        |text| DateTime::parse_from_rfc3339(text.trim()).ok(),
    );
    problems.done()?;
    let since = since.map_or(0, |time| time.timestamp_millis());
    let since = Timestamp::from_millis(since);
    let folders = desk.store.account_reingest(account.id, since).await?;
    if folders == 0 {
        return Err(ApiError::Conflict {
            code: "account_not_read_yet",
            detail: "No folder of the account has been opened yet.".into(),
            next: "Wait until the account is connected, then ask again; or set its backfill.",
        });
    }
    let running = desk.supervisor.sync_now(id);
    let answer =
        json!({"id": id, "since": since.rfc3339(), "folders": folders, "running": running});
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

/// The body of an administrator's word on held mail.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::http) struct Word {
    announce: Given<bool>,
    #[serde(flatten)]
    unknown: Unknown,
}

/// Mail that was held after a folder was renumbered is announced as received, or only kept.
pub(in crate::http) async fn release(
    State(desk): State<Desk>,
    RowId(id): RowId<AccountId>,
    Body(body): Body<Word>,
) -> Result<Json<Value>, ApiError> {
    let account = super::stored(&desk, id).await?;
    let mut problems = Problems::default();
    problems.unknown("", &body.unknown);
    let announce = problems.required("announce", body.announce);
    problems.done()?;
    for folder in desk.store.folder_list(account.id).await? {
        if folder.held {
            let announce = announce.unwrap_or(true);
            desk.store.folder_let_go(folder.id, announce).await?;
        }
    }
    let rows = desk.store.folder_list(account.id).await?;
    let rows: Vec<Value> = rows.iter().map(shown).collect();
    Ok(Json(json!({ "count": rows.len(), "rows": rows })))
}
