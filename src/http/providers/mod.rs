//! Cloud providers: the routes below `/api/cloudProviders`.

mod entered;
mod shown;
mod sign_in;

use axum::{Json, extract::State, http::StatusCode, response::Response};

use crate::{
    model::{CloudProvider, CloudProviderId, Grant, HeldSignIn},
    store::{CloudProviderChange, Page, Rows},
};

pub(super) use shown::{GrantAnswer, ShownProvider};
pub(super) use sign_in::{authenticate, begin_device, confirm, device, discard, redirected};

use entered::{ProviderBody, SecretBody};

use super::{
    Desk, answer,
    calendar::{self, Warned},
    input::Body,
    problem::ApiError,
    query::{Query, RowId},
};

const WHAT: ApiError = ApiError::NotFound {
    what: "cloud provider",
};

async fn stored(desk: &Desk, id: CloudProviderId) -> Result<CloudProvider, ApiError> {
    desk.store.provider_get(id).await?.ok_or(WHAT)
}

async fn shown(desk: &Desk, provider: &CloudProvider) -> Result<Warned<ShownProvider>, ApiError> {
    let grant = desk.store.grant_get(provider.id).await?;
    let held = desk.store.held_sign_in_list(desk.clock.now()).await?;
    Ok(warned(desk, provider, grant.as_ref(), &held))
}

fn warned(
    desk: &Desk,
    provider: &CloudProvider,
    grant: Option<&Grant>,
    held: &[HeldSignIn],
) -> Warned<ShownProvider> {
    let held = held.iter().find(|held| held.provider == provider.id);
    let row = ShownProvider::new(provider, grant, held);
    calendar::of_provider(desk, row, provider, grant)
}

/// A page of providers with their grants.
pub(super) async fn some(desk: &Desk, page: Page) -> Result<Rows<Warned<ShownProvider>>, ApiError> {
    let providers = desk.store.provider_list(page).await?;
    let grants = desk.store.grant_list().await?;
    let held = desk.store.held_sign_in_list(desk.clock.now()).await?;
    let rows = providers
        .rows
        .iter()
        .map(|provider| {
            let grant = grants.iter().find(|grant| grant.provider == provider.id);
            warned(desk, provider, grant, &held)
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
    let now = desk.clock.now();
    let new = entered::new_provider(body, now, |service| desk.settings.callback(service))?;
    let provider = desk.store.provider_add(&new, now).await?;
    desk.keeper.provider_changed(provider.id);
    desk.supervisor.look();
    let location = format!("/api/cloudProviders/{}", provider.id);
    Ok(answer::created(&location, shown(&desk, &provider).await?))
}

pub(super) async fn show(
    State(desk): State<Desk>,
    RowId(id): RowId<CloudProviderId>,
) -> Result<Json<Warned<ShownProvider>>, ApiError> {
    let provider = stored(&desk, id).await?;
    Ok(Json(shown(&desk, &provider).await?))
}

pub(super) async fn change(
    State(desk): State<Desk>,
    RowId(id): RowId<CloudProviderId>,
    Body(body): Body<ProviderBody>,
) -> Result<Json<Warned<ShownProvider>>, ApiError> {
    let before = stored(&desk, id).await?;
    let change = entered::changed_provider(body, &before.entered, desk.clock.now())?;
    store_change(&desk, id, &change).await
}

async fn store_change(
    desk: &Desk,
    id: CloudProviderId,
    change: &CloudProviderChange,
) -> Result<Json<Warned<ShownProvider>>, ApiError> {
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
    desk.transcripts
        .forget(crate::transcript::Subject::Provider(id));
    desk.supervisor.look();
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn secret(
    State(desk): State<Desk>,
    RowId(id): RowId<CloudProviderId>,
    Body(body): Body<SecretBody>,
) -> Result<Json<Warned<ShownProvider>>, ApiError> {
    let change = entered::new_secret(body)?;
    store_change(&desk, id, &change).await
}

pub(super) async fn grant(
    State(desk): State<Desk>,
    RowId(id): RowId<CloudProviderId>,
) -> Result<Json<GrantAnswer>, ApiError> {
    stored(&desk, id).await?;
    let grant = desk.store.grant_get(id).await?;
    let held = desk.store.held_sign_in_list(desk.clock.now()).await?;
    let held = held.iter().find(|held| held.provider == id);
    let failure = desk.keeper.sign_in_failure(id);
    Ok(Json(GrantAnswer::new(
        grant.as_ref(),
        held,
        failure.as_ref(),
    )))
}
