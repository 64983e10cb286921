//! A refresh that brought no tokens: what is recorded of it, and when the next one may be.

use tracing::{error, warn};

use super::{
    TokenError,
    commit::{Fact, record},
    judge::{Before, Judgement, judge},
    keeper::Inner,
    slot::Slot,
};
use crate::{
    model::{Access, FailureClass, Grant, GrantState},
    oauth::OauthError,
};

/// Records that the platform gave no tokens. The grant stays good unless only a new sign-in can help.
pub(super) async fn give_up(
    keeper: &Inner,
    slot: &Slot,
    access: Access,
    grant: &Grant,
    attempt: &str,
    error: OauthError,
) -> TokenError {
    let provider = slot.provider;
    let before = Before {
        interrupted: grant.state == GrantState::Refreshing,
        doubted: slot.doubted(grant.version),
        application: access == Access::Application,
    };
    let judgement = judge(&error, before);
    match &judgement {
        Judgement::Dead(reason) => {
            error!(%provider, %error, reason, "the grant is refused, somebody has to sign in again");
            return bury(keeper, slot, grant, attempt, reason).await;
        }
        Judgement::Doubtful => {
            let good_for = slot.good_for(keeper.clock.now(), &keeper.settings);
            let wait = keeper.settings.waits.before_confirming(good_for);
            slot.doubt(grant.version, &error, wait);
            warn!(%provider, %error, confirmed_in = wait.as_secs(), "the identity platform refuses the grant; it is asked once more before that is believed");
        }
        Judgement::Refused | Judgement::Unknown => {
            let (wait, failures) = slot.fail(&error, &keeper.settings.waits, rand::random());
            let retry_in = wait.as_secs();
            match error.class() {
                FailureClass::OperatorMustAct => {
                    error!(%provider, %error, failures, retry_in, "access token not refreshed, an administrator has to act");
                }
                _ => warn!(%provider, %error, failures, retry_in, "access token not refreshed"),
            }
        }
    }
    // What is not known stays `refreshing` in the row, which the next refresh takes over, and which tells it
    // (or the next run) that the refresh token may have been replaced.
    if judgement != Judgement::Unknown {
        let state = match (&grant.refresh_token, &grant.access_token) {
            (None, None) => GrantState::Missing,
            _ => GrantState::Ok,
        };
        let (words, now) = (error.to_string(), keeper.clock.now());
        let noted = keeper
            .store
            .grant_refresh_failed(provider, attempt, state, &words, now);
        if let Err(error) = noted.await {
            warn!(%provider, %error, "a failed refresh was not recorded");
        }
    }
    TokenError::Oauth(error)
}

/// Records that a person has to sign in again.
async fn bury(
    keeper: &Inner,
    slot: &Slot,
    grant: &Grant,
    attempt: &str,
    reason: &str,
) -> TokenError {
    match record(keeper, grant, attempt, Fact::Refused(reason)).await {
        Ok(true) => {
            slot.set_state(GrantState::NeedsSignIn);
            TokenError::NeedsSignIn {
                reason: reason.to_owned(),
            }
        }
        // Somebody signed in meanwhile.
        Ok(false) => TokenError::Pending,
        Err(error) => error.into(),
    }
}
