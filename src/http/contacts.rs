//! The Contacts Manager's lists and contacts: `/api/cm/lists`, `/api/cm/contacts`.

use axum::{Json, extract::State, response::Response};
use serde::{Deserialize, Serialize};

use crate::{
    model::ListId,
    store::{ContactRow, ListRow},
};

use super::{
    Desk, answer,
    input::{Body, Given, Problems, Unknown},
    messages::convert,
    problem::ApiError,
    query::{Query, RowId},
};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownList {
    id: i64,
    name: String,
    created_at: String,
    updated_at: String,
}

impl From<ListRow> for ShownList {
    fn from(row: ListRow) -> Self {
        Self {
            id: row.id.get(),
            name: row.name,
            created_at: row.created_at.rfc3339(),
            updated_at: row.updated_at.rfc3339(),
        }
    }
}

/// The body of a new list.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ListBody {
    name: Given<String>,
    #[serde(flatten)]
    unknown: Unknown,
}

pub(super) async fn lists(
    State(desk): State<Desk>,
    mut query: Query,
) -> Result<Response, ApiError> {
    let wanted = query.wanted("name");
    query.done()?;
    let rows = desk.store.list_list(wanted.page).await?;
    answer::list(convert::<_, ShownList>(rows), &wanted)
}

pub(super) async fn add_list(
    State(desk): State<Desk>,
    Body(body): Body<ListBody>,
) -> Result<Response, ApiError> {
    let mut problems = Problems::default();
    problems.unknown("", &body.unknown);
    let name = problems.required("name", body.name);
    let name = problems.line("name", name, 100);
    problems.done()?;
    let name = name.unwrap_or_default();
    let row = desk.store.list_add(&name, desk.clock.now()).await?;
    let location = format!("/api/cm/lists/{}", row.id);
    Ok(answer::created(&location, ShownList::from(row)))
}

pub(super) async fn show_list(
    State(desk): State<Desk>,
    RowId(id): RowId<ListId>,
) -> Result<Json<impl Serialize>, ApiError> {
    let row = desk.store.list_get(id).await?;
    row.map(|row| Json(ShownList::from(row)))
        .ok_or(ApiError::NotFound { what: "list" })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownContact {
    id: i64,
    #[serde(rename = "ListId")]
    list: i64,
    name: String,
    email: String,
    created_at: String,
    updated_at: String,
}

impl From<ContactRow> for ShownContact {
    fn from(row: ContactRow) -> Self {
        Self {
            id: row.id.get(),
            list: row.list.get(),
            name: row.name,
            email: row.email,
            created_at: row.created_at.rfc3339(),
            updated_at: row.updated_at.rfc3339(),
        }
    }
}

pub(super) async fn contacts(
    State(desk): State<Desk>,
    mut query: Query,
) -> Result<Response, ApiError> {
    let wanted = query.wanted("-id");
    let list = query.id("ListId");
    query.done()?;
    let rows = desk.store.contact_list(list, wanted.page).await?;
    answer::list(convert::<_, ShownContact>(rows), &wanted)
}
