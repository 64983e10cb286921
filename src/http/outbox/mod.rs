//! Sending, and the outgoing queue: the routes below `/api/mail/outbox`.

mod entered;
mod send;
mod shown;

use axum::{Json, extract::State, response::Response};
use serde::Serialize;

use crate::model::OutboxId;

use super::{
    Desk, answer,
    messages::convert,
    problem::ApiError,
    query::{Query, RowId},
};

pub(super) use send::send;
use shown::ShownOutgoing;

const MISSING: ApiError = ApiError::NotFound {
    what: "outgoing message",
};

pub(super) async fn list(State(desk): State<Desk>, mut query: Query) -> Result<Response, ApiError> {
    let wanted = query.wanted("-id");
    let account = query.id("AccountId");
    let state = query.read(
        "state",
        "a state like queued, deferred, sent, failed or in_doubt",
        entered::state,
    );
    query.done()?;
    let rows = desk.store.outbox_list(account, state, wanted.page).await?;
    answer::list(convert::<_, ShownOutgoing>(rows), &wanted)
}

pub(super) async fn show(
    State(desk): State<Desk>,
    RowId(id): RowId<OutboxId>,
) -> Result<Json<impl Serialize>, ApiError> {
    let (row, attempts) = desk.store.outbox_get(id).await?.ok_or(MISSING)?;
    Ok(Json(ShownOutgoing::new(row, Some(attempts))))
}

pub(super) async fn raw(
    State(desk): State<Desk>,
    RowId(id): RowId<OutboxId>,
) -> Result<Response, ApiError> {
    let raw = desk.store.outbox_raw(id).await?.ok_or(MISSING)?;
    let bytes = desk.blobs.read(&raw).await?;
    Ok(answer::raw_mail(&format!("outgoing-{id}.eml"), bytes))
}
