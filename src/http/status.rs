//! How the daemon is: `/api/status`, `/api/log-level`, `/api/mail/events`, `/health/…`.

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    governor,
    logs::Level,
    model::{RecordedEvent, Timestamp},
    store::{Engine, Page},
};

use super::{
    Desk, accounts,
    calendar::{self, ShownEntry, Warned},
    input::{Body, Given, Problems, Unknown},
    problem::ApiError,
    providers,
    query::{Query, number},
};

/// Accounts and providers that the status shows at most.
const EVERYTHING: Page = Page {
    limit: 1000,
    offset: 0,
};

/// Warnings that it shows at most.
const WARNINGS: usize = 1000;

/// What an operator asks first: which process this is, and how each account and provider is.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
    node: String,
    version: &'static str,
    database: &'static str,
    started_at: String,
    uptime_seconds: u64,
    log: ShownLog,
    accounts: Vec<Warned<accounts::ShownAccount>>,
    cloud_providers: Vec<Warned<providers::ShownProvider>>,
    /// What is to be said about all of them, the most severe first.
    warnings: Vec<ShownEntry>,
    /// What servers bear and have asked for.
    servers: ShownServers,
}

/// The shared budgets: each server, and who rests until when.
#[derive(Serialize)]
struct ShownServers {
    hosts: Vec<ShownHost>,
    rests: Vec<ShownRest>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownHost {
    host: String,
    /// Open or being opened.
    connections: usize,
    opening: usize,
    opening_at_most: usize,
    /// Accounts whose connection waits for its turn.
    waiting: usize,
    /// Gives nobody an answer.
    silent: bool,
    probe_at: Option<String>,
    why: Option<String>,
}

#[derive(Serialize)]
struct ShownRest {
    /// host, tenant, login or mailbox.
    of: &'static str,
    whose: String,
    until: String,
    why: String,
}

impl From<governor::Shown> for ShownServers {
    fn from(shown: governor::Shown) -> Self {
        let host = |host: governor::ShownHost| {
            let (probe_at, why) = host.silent.unzip();
            ShownHost {
                host: host.host,
                connections: host.connections,
                opening: host.opening,
                opening_at_most: host.opening_at_most,
                waiting: host.waiting,
                silent: why.is_some(),
                probe_at: probe_at.map(Timestamp::rfc3339),
                why,
            }
        };
        let rest = |rest: governor::ShownRest| ShownRest {
            of: rest.of.as_str(),
            whose: rest.whose,
            until: rest.until.rfc3339(),
            why: rest.said,
        };
        Self {
            hosts: shown.hosts.into_iter().map(host).collect(),
            rests: shown.rests.into_iter().map(rest).collect(),
        }
    }
}

#[derive(Serialize)]
struct ShownLog {
    level: &'static str,
    /// Lines that the disk did not take.
    swallowed: u64,
    /// Lines that came faster than they could be written.
    dropped: u64,
}

pub(super) async fn show(State(desk): State<Desk>) -> Result<Json<Status>, ApiError> {
    let accounts = accounts::some(&desk, EVERYTHING).await?;
    let providers = providers::some(&desk, EVERYTHING).await?;
    let warnings = calendar::warnings(&desk, WARNINGS).await?;
    let lost = desk.log.lost();
    Ok(Json(Status {
        node: desk.settings.node_name.clone(),
        version: env!("CARGO_PKG_VERSION"),
        database: match desk.store.engine() {
            Engine::Sqlite => "sqlite",
            Engine::MariaDb => "mariadb",
        },
        started_at: desk.settings.started_at.rfc3339(),
        uptime_seconds: desk.clock.now().since(desk.settings.started_at).as_secs(),
        log: ShownLog {
            level: desk.log.level().as_str(),
            swallowed: lost.swallowed,
            dropped: lost.dropped,
        },
        accounts: accounts.rows,
        cloud_providers: providers.rows,
        warnings,
        servers: desk.governor.shown().into(),
    }))
}

pub(super) async fn log_level(State(desk): State<Desk>) -> Json<Value> {
    Json(json!({ "level": desk.log.level().as_str() }))
}

/// The body of a change of the log's level.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct LevelBody {
    level: Given<String>,
    #[serde(flatten)]
    unknown: Unknown,
}

/// Until the next start or the next change of the settings.
pub(super) async fn set_log_level(
    State(desk): State<Desk>,
    Body(body): Body<LevelBody>,
) -> Result<Json<Value>, ApiError> {
    let mut problems = Problems::default();
    problems.unknown("", &body.unknown);
    let word = problems.required("level", body.level);
    let level = word.as_deref().and_then(Level::parse);
    if word.is_some() && level.is_none() {
        problems.add("level", "must be ERROR, WARN, INFO, DEBUG or TRACE");
    }
    problems.done()?;
    if let Some(level) = level {
        desk.log.set_level(level);
    }
    Ok(log_level(State(desk)).await)
}

/// A numbered event.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownEvent {
    number: i64,
    kind: &'static str,
    #[serde(rename = "AccountId")]
    account: Option<i64>,
    #[serde(rename = "CloudProviderId")]
    provider: Option<i64>,
    payload: Value,
    created_at: String,
}

impl From<RecordedEvent> for ShownEvent {
    fn from(event: RecordedEvent) -> Self {
        Self {
            number: event.number,
            kind: event.kind.as_str(),
            account: event.account.map(|id| id.get()),
            provider: event.provider.map(|id| id.get()),
            payload: event.payload,
            created_at: event.created_at.rfc3339(),
        }
    }
}

/// Events with a number above `after`, in order. `next` is what the reader passes as `after` next time.
pub(super) async fn events(
    State(desk): State<Desk>,
    mut query: Query,
) -> Result<Json<Value>, ApiError> {
    let after = query.read("after", "an integer from 0", |text| {
        if text == "0" { Some(0) } else { number(text) }
    });
    let limit = query.read("limit", "an integer from 1 to 1000", |text| {
        number(text).filter(|n| *n <= 1000)
    });
    let account = query.id("AccountId");
    query.done()?;
    let after = after.unwrap_or(0);
    let events = desk
        .store
        .event_list(after, account, limit.unwrap_or(50))
        .await?;
    let next = events.last().map_or(after, |event| event.number);
    let rows: Vec<ShownEvent> = events.into_iter().map(Into::into).collect();
    Ok(Json(
        json!({ "count": rows.len(), "rows": rows, "next": next }),
    ))
}

/// The process answers.
pub(super) async fn live() -> Json<Value> {
    Json(json!({ "status": "live" }))
}

/// The database answers too. Reads only, so that asking often costs nothing.
pub(super) async fn ready(State(desk): State<Desk>) -> (StatusCode, Json<Value>) {
    if desk.store.node_list().await.is_ok() {
        (StatusCode::OK, Json(json!({ "status": "ready" })))
    } else {
        let body = json!({ "status": "not ready", "reason": "the database does not answer" });
        (StatusCode::SERVICE_UNAVAILABLE, Json(body))
    }
}
