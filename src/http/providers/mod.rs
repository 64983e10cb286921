//! Cloud providers: the routes below `/api/cloudProviders`.

mod entered;
mod shown;

use axum::{Json, extract::State, http::StatusCode, response::Response};
use serde_json::{Value, json};

use crate::{
    diagnosis::{Context, Failure, explain},
    model::{CloudProvider, CloudProviderId},
    store::{CloudProviderChange, Page, Rows},
    token::TokenError,
};

pub(super) use shown::{ShownGrant, ShownProvider};

use entered::{AuthenticateBody, ProviderBody, SecretBody};

use super::{
    Desk, answer,
    input::{Body, MaybeBody},
    problem::{ApiError, Logged},
    query::{Query, RowId},
};

/// Who begins sign-ins: all callers of the Unix socket are one.
const CALLER: &str = "socket";

const WHAT: ApiError = ApiError::NotFound {
    what: "cloud provider",
};

async fn stored(desk: &Desk, id: CloudProviderId) -> Result<CloudProvider, ApiError> {
    desk.store.provider_get(id).await?.ok_or(WHAT)
}

async fn shown(desk: &Desk, provider: &CloudProvider) -> Result<ShownProvider, ApiError> {
    let grant = desk.store.grant_get(provider.id).await?;
    Ok(ShownProvider::new(provider, grant.as_ref()))
}

/// A page of providers with their grants.
pub(super) async fn some(desk: &Desk, page: Page) -> Result<Rows<ShownProvider>, ApiError> {
    let providers = desk.store.provider_list(page).await?;
    let grants = desk.store.grant_list().await?;
    let rows = providers
        .rows
        .iter()
        .map(|provider| {
            let grant = grants.iter().find(|grant| grant.provider == provider.id);
            ShownProvider::new(provider, grant)
        })
        .collect();
    Ok(Rows {
        count: providers.count,
        rows,
    })
}

pub(super) async fn list(State(desk): State<Desk>, mut query: Query) -> Result<Response, ApiError> {
    let wanted = query.wanted("id");
    query.done()?;
    answer::list(some(&desk, wanted.page).await?, &wanted)
}

pub(super) async fn add(
    State(desk): State<Desk>,
    Body(body): Body<ProviderBody>,
) -> Result<Response, ApiError> {
    let new = entered::new_provider(body, |service| desk.settings.callback(service))?;
    let provider = desk.store.provider_add(&new, desk.clock.now()).await?;
    desk.keeper.provider_changed(provider.id);
    desk.supervisor.look();
    let location = format!("/api/cloudProviders/{}", provider.id);
    Ok(answer::created(&location, shown(&desk, &provider).await?))
}

pub(super) async fn show(
    State(desk): State<Desk>,
    RowId(id): RowId<CloudProviderId>,
) -> Result<Json<ShownProvider>, ApiError> {
    let provider = stored(&desk, id).await?;
    Ok(Json(shown(&desk, &provider).await?))
}

pub(super) async fn change(
    State(desk): State<Desk>,
    RowId(id): RowId<CloudProviderId>,
    Body(body): Body<ProviderBody>,
) -> Result<Json<ShownProvider>, ApiError> {
    let before = stored(&desk, id).await?;
    let change = entered::changed_provider(body, &before.entered)?;
    store_change(&desk, id, &change).await
}

async fn store_change(
    desk: &Desk,
    id: CloudProviderId,
    change: &CloudProviderChange,
) -> Result<Json<ShownProvider>, ApiError> {
    let now = desk.clock.now();
    let provider = desk.store.provider_change(id, change, now).await?;
    desk.keeper.provider_changed(id);
    desk.supervisor.look();
    Ok(Json(shown(desk, &provider).await?))
}

pub(super) async fn remove(
    State(desk): State<Desk>,
    RowId(id): RowId<CloudProviderId>,
) -> Result<StatusCode, ApiError> {
    desk.store.provider_remove(id).await?;
    desk.supervisor.look();
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn secret(
    State(desk): State<Desk>,
    RowId(id): RowId<CloudProviderId>,
    Body(body): Body<SecretBody>,
) -> Result<Json<ShownProvider>, ApiError> {
    let change = entered::new_secret(body)?;
    store_change(&desk, id, &change).await
}

pub(super) async fn grant(
    State(desk): State<Desk>,
    RowId(id): RowId<CloudProviderId>,
) -> Result<Json<ShownGrant>, ApiError> {
    stored(&desk, id).await?;
    let grant = desk.store.grant_get(id).await?;
    Ok(Json(ShownGrant::new(grant.as_ref())))
}

fn context(provider: &str) -> Context {
    Context {
        provider: Some(provider.to_owned()),
        ..Context::default()
    }
}

/// Begins a sign-in: the answer holds the address that a person's browser must open.
pub(super) async fn authenticate(
    State(desk): State<Desk>,
    RowId(id): RowId<CloudProviderId>,
    MaybeBody(body): MaybeBody<AuthenticateBody>,
) -> Result<Json<Value>, ApiError> {
    let hint = entered::login_hint(body)?;
    let provider = stored(&desk, id).await?;
    let sign_in = desk
        .keeper
        .begin_sign_in(id, CALLER, hint.as_deref())
        .await
        .map_err(|error| match error {
            TokenError::ProviderMissing => WHAT,
            TokenError::Store(error) => error.into(),
            TokenError::Oauth(error) => {
                explain(&Failure::Oauth(error), &context(&provider.entered.name)).into()
            }
            other => ApiError::Internal(Logged::new(&other)),
        })?;
    Ok(Json(json!({
        "authorizeUrl": sign_in.authorize_url.as_str(),
        "expiresAt": sign_in.expires_at.rfc3339(),
        "redirectUri": provider.entered.redirect_uri,
    })))
}
