//! Accounts: the routes below `/api/mail/accounts`.

mod entered;
mod folders;
mod identity;
mod server;
mod shown;
mod transcript;

use axum::{Json, extract::State, http::StatusCode, response::Response};
use serde_json::{Value, json};

use crate::{
    account::AccountStatus,
    diagnosis::{Context, Diagnosis, Failure, explain},
    model::{Account, AccountId, AccountKey, Authentication, FailureClass, GrantState, LaneName},
    store::{Page, Rows},
    transcript::Subject,
};

pub(super) use folders::{folders, reingest, release};
pub(super) use server::proxy;
pub(super) use shown::ShownAccount;
pub(super) use transcript::transcript;

use entered::{AccountBody, Entered};

use super::{
    Desk, answer,
    calendar::{self, Warned},
    input::{Body, Problems},
    problem::ApiError,
    query::{Query, RowId, Word, number},
};

const MISSING: ApiError = ApiError::NotFound { what: "account" };

async fn stored(desk: &Desk, id: AccountId) -> Result<Account, ApiError> {
    desk.store.account_get(id).await?.ok_or(MISSING)
}

/// By id, and where there is none, by key. Keys may be digits only, so an id wins.
pub(super) async fn by_id_or_key(desk: &Desk, text: &str) -> Result<Account, ApiError> {
    if let Some(id) = number(text)
        && let Some(account) = desk.store.account_get(AccountId::new(id)).await?
    {
        return Ok(account);
    }
    match AccountKey::parse(text) {
        Some(key) => desk.store.account_by_key(&key).await?.ok_or(MISSING),
        None => Err(MISSING),
    }
}

async fn shown(desk: &Desk, account: &Account) -> Result<Warned<ShownAccount>, ApiError> {
    let status = desk.supervisor.status(account.id);
    warned(desk, std::slice::from_ref(account), status.as_slice())
        .await?
        .pop()
        .ok_or(MISSING)
}

/// These accounts with their lanes, queues and warnings.
async fn warned(
    desk: &Desk,
    accounts: &[Account],
    statuses: &[AccountStatus],
) -> Result<Vec<Warned<ShownAccount>>, ApiError> {
    let mut rows = Vec::with_capacity(accounts.len());
    let fresh = calendar::of_accounts(desk, accounts).await?;
    for (account, fresh) in accounts.iter().zip(fresh) {
        let status = statuses.iter().find(|status| status.account == account.id);
        let counts = desk.store.outbox_counts(account.id).await?;
        let row = ShownAccount::new(account, status, &counts);
        let mut row = row.with_last_contact(fresh.inbound, fresh.outbound);
        let lanes = status.map(shown::in_session).unwrap_or_default();
        if !lanes.is_empty()
            && let Some(token) = no_next_token(desk, account).await
        {
            row = row.ending(&lanes, &token);
        }
        rows.push(fresh.of(row));
    }
    Ok(rows)
}

/// Why an account whose sessions are good gets no access token for the next ones; `None` where it does, as far as is
/// known. A grant that cannot be read is told with its provider. Trouble that passes is told from when the last token is
/// over: until then it costs nothing.
pub(super) async fn no_next_token(desk: &Desk, account: &Account) -> Option<Diagnosis> {
    let provider = account.provider()?;
    let application = desk.keeper.is_application(provider);
    let grant = desk.store.grant_get(provider).await.ok().flatten();
    let now = desk.clock.now();
    let over = grant.as_ref().and_then(|grant| grant.access_expires_at);
    let over = over.is_none_or(|expires_at| expires_at <= now);
    let refused = grant.filter(|grant| grant.state == GrantState::NeedsSignIn && !application);
    let failure = match refused {
        Some(grant) => Failure::SignInNeeded(grant.reason.unwrap_or_default()),
        None => Failure::Oauth(
            desk.keeper
                .trouble(provider)
                .filter(|error| over || error.class() == FailureClass::OperatorMustAct)?,
        ),
    };
    let context = Context {
        application,
        ..Context::of(account, LaneName::Inbound)
    };
    Some(explain(&failure, &context))
}

/// A page of accounts with their lanes and queues.
pub(super) async fn some(desk: &Desk, page: Page) -> Result<Rows<Warned<ShownAccount>>, ApiError> {
    let accounts = desk.store.account_list(page).await?;
    let rows = warned(desk, &accounts.rows, &desk.supervisor.statuses()).await?;
    Ok(Rows {
        count: accounts.count,
        rows,
    })
}

pub(super) async fn list(State(desk): State<Desk>, mut query: Query) -> Result<Response, ApiError> {
    let wanted = query.wanted("id");
    query.done()?;
    answer::list(some(&desk, wanted.page).await?, &wanted)
}

/// What only the store knows: the list and the provider that the account names must exist.
async fn names_exist(desk: &Desk, entered: &Entered) -> Result<(), ApiError> {
    let mut problems = Problems::default();
    let account = &entered.account;
    if desk.store.list_get(account.list).await?.is_none() {
        problems.add("ListId", "names no list");
    }
    if let Authentication::Modern { provider, .. } = account.authentication
        && desk.store.provider_get(provider).await?.is_none()
    {
        problems.add("CloudProviderId", "names no cloud provider");
    }
    problems.done()
}

pub(super) async fn add(
    State(desk): State<Desk>,
    Body(body): Body<AccountBody>,
) -> Result<Response, ApiError> {
    let entered = entered::entered(body, None)?;
    names_exist(&desk, &entered).await?;
    identity::check(&desk, &entered, None).await?;
    let now = desk.clock.now();
    let account = desk.store.account_add(&entered.account, now).await?;
    desk.supervisor.look();
    let location = format!("/api/mail/accounts/{}", account.id);
    Ok(answer::created(&location, shown(&desk, &account).await?))
}

pub(super) async fn show(
    State(desk): State<Desk>,
    Word(text): Word,
) -> Result<Json<Warned<ShownAccount>>, ApiError> {
    let account = by_id_or_key(&desk, &text).await?;
    Ok(Json(shown(&desk, &account).await?))
}

pub(super) async fn change(
    State(desk): State<Desk>,
    RowId(id): RowId<AccountId>,
    Body(body): Body<AccountBody>,
) -> Result<Json<Warned<ShownAccount>>, ApiError> {
    let before = stored(&desk, id).await?;
    let entered = entered::entered(body, Some(&before))?;
    names_exist(&desk, &entered).await?;
    identity::check(&desk, &entered, Some(&before.entered)).await?;
    // The change was worked out from the row as read: a row changed meanwhile is a conflict.
    let expect = Some(entered.version.unwrap_or(before.version));
    let now = desk.clock.now();
    let account = desk
        .store
        .account_change(id, &entered.account, expect, now)
        .await?;
    desk.supervisor.look();
    Ok(Json(shown(&desk, &account).await?))
}

pub(super) async fn remove(
    State(desk): State<Desk>,
    RowId(id): RowId<AccountId>,
    mut query: Query,
) -> Result<StatusCode, ApiError> {
    let discard = query.read("discardQueue", "true or false", |text| match text {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    });
    query.done()?;
    desk.store
        .account_remove(id, discard.unwrap_or(false), desk.clock.now())
        .await?;
    desk.transcripts.forget(Subject::Account(id));
    desk.supervisor.look();
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn pause(
    State(desk): State<Desk>,
    RowId(id): RowId<AccountId>,
) -> Result<Json<Warned<ShownAccount>>, ApiError> {
    set_paused(&desk, id, true).await
}

pub(super) async fn resume(
    State(desk): State<Desk>,
    RowId(id): RowId<AccountId>,
) -> Result<Json<Warned<ShownAccount>>, ApiError> {
    set_paused(&desk, id, false).await
}

async fn set_paused(
    desk: &Desk,
    id: AccountId,
    paused: bool,
) -> Result<Json<Warned<ShownAccount>>, ApiError> {
    let now = desk.clock.now();
    let account = desk.store.account_pause(id, paused, now).await?;
    desk.supervisor.look();
    Ok(Json(shown(desk, &account).await?))
}

/// Both lanes try at once. 202: the trying goes on after the answer.
pub(super) async fn sync(
    State(desk): State<Desk>,
    RowId(id): RowId<AccountId>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let account = stored(&desk, id).await?;
    if desk.supervisor.sync_now(id) {
        return Ok((StatusCode::ACCEPTED, Json(json!({ "id": id.get() }))));
    }
    Err(ApiError::Conflict {
        code: "account_not_running",
        detail: if account.paused {
            "The account is paused.".into()
        } else {
            "The account's task does not run on this node at the moment.".into()
        },
        next: if account.paused {
            "Resume the account; it then reads its mail by itself."
        } else {
            "Wait a few seconds and try again, or look at the status."
        },
    })
}
