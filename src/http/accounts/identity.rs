//! Whether an account's provider was signed in by who the account expects. A user name (UPN) often differs
//! from the address, so an administrator may say that a difference is right; it is then remembered.

use crate::model::{NewAccount, same_name};

use super::{super::Desk, super::problem::ApiError, Entered};

/// Refuses an account whose provider's grant was given by somebody of another name, unless that was
/// confirmed before or the body confirms it. An account that is changed in other ways is not asked again.
pub(super) async fn check(
    desk: &Desk,
    entered: &Entered,
    before: Option<&NewAccount>,
) -> Result<(), ApiError> {
    let Some((provider, expected)) = entered.account.expected_sign_in() else {
        return Ok(());
    };
    let unchanged = before
        .and_then(NewAccount::expected_sign_in)
        .is_some_and(|(old, name)| old == provider && same_name(name, expected));
    if unchanged {
        return Ok(());
    }
    // A damaged grant is left out of the list: it is cured by signing in, which compares too.
    let grants = desk.store.grant_list().await?;
    let grant = grants.into_iter().find(|grant| grant.provider == provider);
    let Some(grant) = grant else { return Ok(()) };
    let Some(name) = &grant.signed_in_as else {
        return Ok(());
    };
    let known = grant
        .confirmed_for
        .iter()
        .any(|one| same_name(one, expected));
    if known || same_name(name, expected) {
        return Ok(());
    }
    let repeated = entered.confirmed_signed_in_as.as_deref();
    if repeated.is_some_and(|repeated| same_name(repeated, name))
        && desk
            .store
            .grant_confirm_name(provider, name, expected)
            .await?
    {
        tracing::info!(%provider, signed_in_as = name, expected, "confirmed who signed in for an account");
        return Ok(());
    }
    Err(ApiError::Conflict {
        code: "identity_differs",
        detail: format!(
            "{name} signed in to the cloud provider, but this account expects {expected} (its delegate, or its user name where \
             there is none)."
        ),
        next: "If that is the same person or the right delegate, send it again with confirmedSignedInAs and the name of who \
               signed in (--confirm-signed-in-as NAME). Otherwise correct the delegate, or sign in as the right person.",
    })
}
