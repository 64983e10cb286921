//! The sign-in of a cloud provider: begun, brought back by hand, and a held one confirmed or discarded.

use axum::{Json, extract::State, http::StatusCode};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    model::CloudProviderId,
    token::{ConfirmError, SignedIn},
};

use super::{
    super::{
        Desk,
        calendar::Warned,
        caller::Caller,
        input::{Body, Given, MaybeBody, Problems, Unknown},
        problem::ApiError,
        query::RowId,
        sign_in::{by_code, outcome},
    },
    ShownProvider, WHAT, shown, stored,
};

/// Longest pasted address.
const ADDRESS: usize = 64 * 1024;

/// The body of a sign-in's beginning.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::http) struct AuthenticateBody {
    login_hint: Given<String>,
    new_identity: Given<bool>,
    #[serde(flatten)]
    unknown: Unknown,
}

/// Begins a sign-in: the answer holds the address that a person's browser must open.
pub(in crate::http) async fn authenticate(
    State(desk): State<Desk>,
    Caller(caller): Caller,
    RowId(id): RowId<CloudProviderId>,
    MaybeBody(body): MaybeBody<AuthenticateBody>,
) -> Result<Json<Value>, ApiError> {
    let mut problems = Problems::default();
    problems.unknown("", &body.unknown);
    let hint = problems.optional("loginHint", body.login_hint);
    let hint = problems.line("loginHint", hint, 254);
    let new_identity = problems.optional("newIdentity", body.new_identity);
    problems.done()?;
    let provider = stored(&desk, id).await?;
    let sign_in = desk
        .keeper
        .begin_sign_in(id, &caller, hint.as_deref(), new_identity.unwrap_or(false))
        .await?;
    Ok(Json(json!({
        "authorizeUrl": sign_in.authorize_url.as_str(),
        "expiresAt": sign_in.expires_at.rfc3339(),
        "redirectUri": provider.entered.redirect_uri,
        "loginHint": sign_in.login_hint,
    })))
}

/// The body of an answer that a person brings by hand.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(in crate::http) struct RedirectedBody {
    url: Given<String>,
    #[serde(flatten)]
    unknown: Unknown,
}

/// Finishes a sign-in with the address that the person's browser was sent to and could not open.
pub(in crate::http) async fn redirected(
    State(desk): State<Desk>,
    Caller(caller): Caller,
    RowId(id): RowId<CloudProviderId>,
    Body(body): Body<RedirectedBody>,
) -> Result<Json<Value>, ApiError> {
    stored(&desk, id).await?;
    let mut problems = Problems::default();
    problems.unknown("", &body.unknown);
    let url = problems.required("url", body.url);
    if url.as_ref().is_some_and(|url| url.len() > ADDRESS) {
        problems.add("url", "must have at most 65536 bytes");
    }
    problems.done()?;
    let address: SecretString = url.unwrap_or_default().into();
    let signed_in = desk.keeper.finish_pasted(id, &address, &caller).await?;
    Ok(settled(&desk, &signed_in))
}

fn settled(desk: &Desk, signed_in: &SignedIn) -> Json<Value> {
    desk.supervisor.look();
    Json(outcome(signed_in))
}

/// The body of a sign-in by code.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::http) struct DeviceBody {
    new_identity: Given<bool>,
    #[serde(flatten)]
    unknown: Unknown,
}

/// Begins a sign-in by code: what a person types where. It goes on whoever goes away.
pub(in crate::http) async fn begin_device(
    State(desk): State<Desk>,
    RowId(id): RowId<CloudProviderId>,
    MaybeBody(body): MaybeBody<DeviceBody>,
) -> Result<Json<Value>, ApiError> {
    stored(&desk, id).await?;
    let mut problems = Problems::default();
    problems.unknown("", &body.unknown);
    let new_identity = problems.optional("newIdentity", body.new_identity);
    problems.done()?;
    let new_identity = new_identity.unwrap_or(false);
    let begun = desk.keeper.begin_device_sign_in(id, new_identity).await?;
    Ok(Json(by_code(&begun)))
}

/// Where the sign-in by code stands.
pub(in crate::http) async fn device(
    State(desk): State<Desk>,
    RowId(id): RowId<CloudProviderId>,
) -> Result<Json<Value>, ApiError> {
    stored(&desk, id).await?;
    let device = desk.keeper.device_sign_in(id);
    let device = device.ok_or_else(|| ApiError::Refused {
        status: StatusCode::NOT_FOUND,
        code: "not_found",
        detail: "No sign-in by code was begun since the daemon started; a code of before is of no use any more.".to_owned(),
        next: format!("For a new code: motion-email provider authenticate {id} --device."),
    })?;
    Ok(Json(by_code(&device)))
}

/// The body of an administrator's word for a held sign-in.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::http) struct ConfirmBody {
    signed_in_as: Given<String>,
    #[serde(flatten)]
    unknown: Unknown,
}

/// Makes the held sign-in the provider's grant.
pub(in crate::http) async fn confirm(
    State(desk): State<Desk>,
    RowId(id): RowId<CloudProviderId>,
    Body(body): Body<ConfirmBody>,
) -> Result<Json<Warned<ShownProvider>>, ApiError> {
    let provider = stored(&desk, id).await?;
    let mut problems = Problems::default();
    problems.unknown("", &body.unknown);
    let name = problems.required("signedInAs", body.signed_in_as);
    let name = problems.line("signedInAs", name, 320);
    problems.done()?;
    desk.keeper
        .confirm_sign_in(id, name.as_deref().unwrap_or_default())
        .await
        .map_err(|error| match error {
            ConfirmError::Store(error) => error.into(),
            ConfirmError::Nothing => nothing_held(),
            ConfirmError::OtherName { held } => ApiError::Conflict {
                code: "other_name_held",
                detail: format!("The sign-in that waits is of {held}, not of who was named."),
                next: "Look whether that is right, and repeat exactly that name; or discard the sign-in.",
            },
            ConfirmError::MoreNames { names } => ApiError::Conflict {
                code: "more_names_expected",
                detail: format!(
                    "Accounts that were added or edited since expect {} as well, for whom nobody has been confirmed.",
                    names.join(", ")
                ),
                next: "If who signed in stands for these too, confirm once more; else correct those accounts or discard the sign-in.",
            },
        })?;
    desk.supervisor.look();
    Ok(Json(shown(&desk, &provider).await?))
}

/// Drops the held sign-in; the old grant goes on.
pub(in crate::http) async fn discard(
    State(desk): State<Desk>,
    RowId(id): RowId<CloudProviderId>,
) -> Result<Json<Warned<ShownProvider>>, ApiError> {
    let provider = desk.store.provider_get(id).await?.ok_or(WHAT)?;
    if !desk.keeper.discard_sign_in(id).await? {
        return Err(nothing_held());
    }
    Ok(Json(shown(&desk, &provider).await?))
}

fn nothing_held() -> ApiError {
    ApiError::Conflict {
        code: "nothing_held",
        detail: "No sign-in waits for confirmation.".to_owned(),
        next: "Look at the cloud provider: the sign-in was confirmed, discarded, replaced, or is older than 24 hours. Authenticate again if it is still needed.",
    }
}
