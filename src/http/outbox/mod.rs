//! Sending, and the outgoing queue: the routes below `/api/mail/outbox`.

mod entered;
mod send;
mod shown;

use std::collections::{BTreeMap, btree_map::Entry};

use axum::{Json, extract::State, response::Response};
use serde::Serialize;

use crate::{
    diagnosis::Context,
    model::{AccountId, LaneName, OutboxId},
    store::Rows,
};

use super::{
    Desk, answer,
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
    let found = desk.store.outbox_list(account, state, wanted.page).await?;
    let mut contexts: BTreeMap<AccountId, Context> = BTreeMap::new();
    let mut rows = Vec::with_capacity(found.rows.len());
    for row in found.rows {
        let context = match contexts.entry(row.account) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(free) => free.insert(context(&desk, row.account).await?),
        };
        rows.push(ShownOutgoing::new(row, None, context));
    }
    let count = found.count;
    answer::list(Rows { count, rows }, &wanted)
}

/// Whose mail it is, for the words about its copies.
async fn context(desk: &Desk, account: AccountId) -> Result<Context, ApiError> {
    let account = desk.store.account_get(account).await?;
    Ok(account.map_or_else(Context::default, |account| {
        let provider = account.provider();
        Context {
            application: provider.is_some_and(|id| desk.keeper.is_application(id)),
            ..Context::of(&account, LaneName::Outbound)
        }
    }))
}

pub(super) async fn show(
    State(desk): State<Desk>,
    RowId(id): RowId<OutboxId>,
) -> Result<Json<impl Serialize>, ApiError> {
    let (row, attempts) = desk.store.outbox_get(id).await?.ok_or(MISSING)?;
    let context = context(&desk, row.account).await?;
    let reports = desk.store.outbox_reports(id).await?;
    let shown = ShownOutgoing::new(row, Some(attempts), &context);
    Ok(Json(shown.with_reports(reports)))
}

pub(super) async fn raw(
    State(desk): State<Desk>,
    RowId(id): RowId<OutboxId>,
) -> Result<Response, ApiError> {
    let raw = desk.store.outbox_raw(id).await?.ok_or(MISSING)?;
    let bytes = desk.blobs.read(&raw).await?;
    Ok(answer::raw_mail(&format!("outgoing-{id}.eml"), bytes))
}
