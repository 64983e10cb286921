//! What comes due: `/api/calendar`, and the warnings beside providers and accounts.

use std::collections::BTreeMap;

use axum::{extract::State, response::Response};
use serde::Serialize;

use crate::{
    calendar::{self, Entry, Severity, Subject},
    diagnosis::{Context, explain},
    model::{Account, AccountId, CloudProvider, Grant, Timestamp},
    store::{Contacts, FreshnessRow, Rows},
};

use super::{Desk, answer, problem::ApiError, query::Query};

/// A day, for ages.
const DAY_SECONDS: u64 = 86_400;

/// A row with what is to be said about it.
#[derive(Serialize)]
pub(super) struct Warned<T> {
    #[serde(flatten)]
    row: T,
    warnings: Vec<ShownEntry>,
}

/// A line of the calendar.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ShownEntry {
    id: String,
    kind: &'static str,
    name: String,
    #[serde(rename = "CloudProviderId")]
    provider: Option<i64>,
    #[serde(rename = "AccountId")]
    account: Option<i64>,
    since: Option<String>,
    age_days: Option<u64>,
    last: Option<String>,
    due: Option<String>,
    days_left: Option<i64>,
    severity: Option<&'static str>,
    code: Option<&'static str>,
    what: Option<String>,
    why: Option<String>,
    next: Option<String>,
}

impl ShownEntry {
    fn new(entry: &Entry, now: Timestamp) -> Self {
        let warning = entry.warning.as_ref();
        let remark = warning.map(|warning| &warning.remark);
        let (provider, account) = match entry.subject {
            Subject::Provider(id) => (Some(id.get()), None),
            Subject::Account(id) => (None, Some(id.get())),
        };
        Self {
            id: entry.id(),
            kind: entry.kind.as_str(),
            name: entry.name.clone(),
            provider,
            account,
            since: entry.since.map(Timestamp::rfc3339),
            age_days: entry.since.map(|at| now.since(at).as_secs() / DAY_SECONDS),
            last: entry.last.map(Timestamp::rfc3339),
            due: entry.due.map(Timestamp::rfc3339),
            days_left: entry.days_left,
            severity: warning.map(|warning| warning.severity.as_str()),
            code: remark.map(|remark| remark.code),
            what: remark.map(|remark| remark.what.clone()),
            why: remark.map(|remark| remark.why.clone()),
            next: remark.map(|remark| remark.next.clone()),
        }
    }
}

/// Those entries about which something is to be said, the most severe first.
fn shown_warnings(entries: &[Entry], now: Timestamp) -> Vec<ShownEntry> {
    let severity = |entry: &Entry| entry.warning.as_ref().map(|warning| warning.severity);
    let mut warned: Vec<&Entry> = entries
        .iter()
        .filter(|entry| entry.warning.is_some())
        .collect();
    warned.sort_by_key(|entry| std::cmp::Reverse(severity(entry).unwrap_or(Severity::Notice)));
    warned
        .into_iter()
        .map(|entry| ShownEntry::new(entry, now))
        .collect()
}

async fn entries(desk: &Desk, now: Timestamp) -> Result<Vec<Entry>, ApiError> {
    let lanes = desk.supervisor.contacts();
    Ok(calendar::all(&desk.store, &lanes, &desk.settings.calendar, now).await?)
}

/// What is to be said about the database, where it takes no commits: then accounts stand still without a word of
/// their own.
fn of_database(desk: &Desk) -> Option<ShownEntry> {
    let words = explain(&desk.store.trouble()?.into(), &Context::default());
    Some(ShownEntry {
        id: "database".to_owned(),
        kind: "database",
        name: desk.settings.node_name.clone(),
        provider: None,
        account: None,
        since: None,
        age_days: None,
        last: None,
        due: None,
        days_left: None,
        severity: Some(Severity::Urgent.as_str()),
        code: Some(words.code),
        what: Some(words.what),
        why: Some(words.why),
        next: Some(words.next),
    })
}

/// What is to be said about everything, the database first, then the most severe first; `most` at most.
pub(super) async fn warnings(desk: &Desk, most: usize) -> Result<Vec<ShownEntry>, ApiError> {
    let now = desk.clock.now();
    let mut warnings = shown_warnings(&entries(desk, now).await?, now);
    warnings.splice(0..0, of_database(desk));
    warnings.truncate(most);
    Ok(warnings)
}

/// A provider's row with its warnings.
pub(super) fn of_provider<T>(
    desk: &Desk,
    row: T,
    provider: &CloudProvider,
    grant: Option<&Grant>,
) -> Warned<T> {
    let now = desk.clock.now();
    let entries = calendar::provider(provider, grant, now);
    Warned {
        row,
        warnings: shown_warnings(&entries, now),
    }
}

/// When an account's lanes last had contact, and what is to be said about that.
pub(super) struct Freshness {
    pub(super) inbound: Option<Timestamp>,
    pub(super) outbound: Option<Timestamp>,
    warnings: Vec<ShownEntry>,
}

impl Freshness {
    /// The account's row with its warnings.
    pub(super) fn of<T>(self, row: T) -> Warned<T> {
        Warned {
            row,
            warnings: self.warnings,
        }
    }
}

/// The freshness of these accounts, in their order.
pub(super) async fn of_accounts(
    desk: &Desk,
    accounts: &[Account],
) -> Result<Vec<Freshness>, ApiError> {
    let now = desk.clock.now();
    let only = match accounts {
        [account] => Some(account.id),
        _ => None,
    };
    let rows = desk.store.freshness(only).await?.into_iter();
    let rows: BTreeMap<AccountId, FreshnessRow> =
        rows.map(|row| (row.contacts.account, row)).collect();
    let lanes = desk.supervisor.contacts().into_iter();
    let lanes: BTreeMap<AccountId, Contacts> = lanes.map(|live| (live.account, live)).collect();
    let fresh = accounts.iter().map(|account| {
        let (row, live) = (rows.get(&account.id), lanes.get(&account.id));
        let entries = row.map(|row| calendar::account(row, live, &desk.settings.calendar, now));
        let entries: &[Entry] = entries.as_ref().map_or(&[], |entries| entries);
        let mut last = entries.iter().map(|entry| entry.last);
        Freshness {
            inbound: last.next().flatten(),
            outbound: last.next().flatten(),
            warnings: shown_warnings(entries, now),
        }
    });
    Ok(fresh.collect())
}

/// All dates ahead and all contacts, by what ends first.
pub(super) async fn list(State(desk): State<Desk>, mut query: Query) -> Result<Response, ApiError> {
    let wanted = query.wanted("due");
    query.done()?;
    let now = desk.clock.now();
    let entries = entries(&desk, now).await?;
    let at = |number: i64| usize::try_from(number).unwrap_or(usize::MAX);
    let rows = entries
        .iter()
        .skip(at(wanted.page.offset))
        .take(at(wanted.page.limit))
        .map(|entry| ShownEntry::new(entry, now))
        .collect();
    let count = i64::try_from(entries.len()).unwrap_or(i64::MAX);
    answer::list(Rows { count, rows }, &wanted)
}
