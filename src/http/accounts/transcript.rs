//! What was lately said between us and an account's servers: `/api/mail/accounts/{id}/transcript`.

use axum::{Json, extract::State};
use chrono::DateTime;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    http::{
        Desk,
        problem::ApiError,
        query::{Query, RowId, number},
    },
    model::{AccountId, Authentication, Timestamp},
    transcript::{Entry, Protocol, Subject},
};

/// Entries shown at most.
const MOST: i64 = 1000;

#[derive(Serialize)]
struct ShownEntry {
    at: String,
    number: u64,
    protocol: &'static str,
    connection: u64,
    direction: &'static str,
    text: Box<str>,
}

impl From<Entry> for ShownEntry {
    fn from(entry: Entry) -> Self {
        Self {
            at: entry.at.rfc3339(),
            number: entry.number,
            protocol: entry.protocol.as_str(),
            connection: entry.connection,
            direction: entry.direction.as_str(),
            text: entry.text,
        }
    }
}

/// The account's own entries and those of its provider, in the order in which they were made; `limit` of
/// them, the newest. Of this node and since it started.
pub(in crate::http) async fn transcript(
    State(desk): State<Desk>,
    RowId(id): RowId<AccountId>,
    mut query: Query,
) -> Result<Json<Value>, ApiError> {
    let since = query.read("since", "an RFC 3339 time", |text| {
        let time = DateTime::parse_from_rfc3339(text).ok()?;
        Some(Timestamp::from_millis(time.timestamp_millis()))
    });
    let protocol = query.read("protocol", "imap, smtp or oauth", Protocol::parse);
    let limit = query.read("limit", "an integer from 1 to 1000", |text| {
        number(text).filter(|n| *n <= MOST)
    });
    query.done()?;
    let account = super::stored(&desk, id).await?;
    let mut entries = desk.transcripts.read(Subject::Account(id));
    if let Authentication::Modern { provider, .. } = account.entered.authentication {
        entries.extend(desk.transcripts.read(Subject::Provider(provider)));
    }
    entries.retain(|entry| {
        since.is_none_or(|since| entry.at >= since)
            && protocol.is_none_or(|protocol| entry.protocol == protocol)
    });
    entries.sort_by_key(|entry| entry.number);
    let count = entries.len();
    let limit = usize::try_from(limit.unwrap_or(MOST)).unwrap_or(usize::MAX);
    let rows: Vec<ShownEntry> = entries
        .into_iter()
        .skip(count.saturating_sub(limit))
        .map(Into::into)
        .collect();
    Ok(Json(json!({ "count": count, "rows": rows })))
}
