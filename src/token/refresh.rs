//! One refresh, from reading the grant to handing the new token out (I3). Runs in a task of its own.
//!
//! The order is the whole point: the attempt is committed, then the request goes out, then the answer is
//! written to the journal and synced, then it is committed, and only then is its access token used and the
//! journal's record dropped.

use tracing::{debug, error, info, warn};
use uuid::Uuid;

use super::{
    Token, TokenError,
    commit::{Fact, record},
    give_up::give_up,
    issuer::{Closed, Pass},
    keeper::Inner,
    life::Life,
    replay::replay,
    request::{self, Asked, Round},
    slot::Slot,
};
use crate::{
    model::{Access, Grant, GrantState, NewCloudProvider, NewTokens, Person, fail_point},
    oauth::{Answer, Identity, OauthError},
};

/// A grant that changes under our hands is read again this often.
const READS: u32 = 3;

/// Refreshes the grant if it needs it, and publishes the token. The caller holds the slot's flight, and may
/// bring a pass of the grant's platform.
pub(super) async fn refresh(
    keeper: &Inner,
    slot: &Slot,
    mut pass: Option<Pass>,
) -> Result<Token, TokenError> {
    for _ in 0..READS {
        let (access, grant) = read(keeper, slot).await?;
        let now = keeper.clock.now();
        // Under the flight, `refreshing` is a refresh whose outcome is not known: interrupted, or unanswered.
        let interrupted = grant.state == GrantState::Refreshing;
        if interrupted && replay(keeper, &grant).await? {
            continue;
        }
        if !interrupted
            && !slot.wanted(now, &keeper.settings)
            && let Some(token) = slot.usable(now, &keeper.settings)
        {
            return Ok(token);
        }
        if interrupted
            && !keeper.is_ours(&grant)
            && let Some(left) = slot.settling(&grant, now, keeper.settings.settle)
        {
            debug!(provider = %slot.provider, ?left, "another node's refresh may still be under way");
            slot.rest(left);
            return Err(TokenError::Elsewhere);
        }
        let turn = match pass.take() {
            Some(pass) => Some(pass),
            None => wait_turn(keeper, slot).await?,
        };
        if let Some(refreshed) = ask(keeper, slot, access, &grant, turn).await {
            return refreshed;
        }
        debug!(provider = %slot.provider, "the grant changed meanwhile, reading it again");
    }
    Err(TokenError::Pending)
}

/// The grant as stored, if it can be refreshed.
async fn read(keeper: &Inner, slot: &Slot) -> Result<(Access, Grant), TokenError> {
    let provider = keeper.store.provider_get(slot.provider).await?;
    let entered = provider.ok_or(TokenError::ProviderMissing)?.entered;
    slot.set_provider(entered.access, keeper.issuer(&entered));
    let grant = keeper.store.grant_get(slot.provider).await?;
    // The row comes and goes with its provider.
    let grant = grant.ok_or(TokenError::ProviderMissing)?;
    slot.learn(&grant, rand::random());
    match (entered.access, grant.state) {
        // It needs nobody who signs in.
        (Access::Application, _) => Ok((entered.access, grant)),
        (Access::Delegated, GrantState::Missing) => Err(TokenError::NotSignedIn),
        (Access::Delegated, GrantState::NeedsSignIn) => Err(TokenError::NeedsSignIn {
            reason: grant.reason.unwrap_or_default(),
        }),
        (Access::Delegated, GrantState::Ok | GrantState::Refreshing) => Ok((entered.access, grant)),
    }
}

/// A request's place in the queue of the grant's platform. `None`: the provider names no platform, which the
/// request itself will say.
async fn wait_turn(keeper: &Inner, slot: &Slot) -> Result<Option<Pass>, TokenError> {
    let Some(issuer) = slot.issuer() else {
        return Ok(None);
    };
    match issuer.wait_pass(slot.provider, &keeper.stopping).await {
        Ok(pass) => Ok(Some(pass)),
        Err(Closed::Stopping) => Err(TokenError::Stopping),
        Err(Closed::Later(_)) => Err(TokenError::Pending),
        Err(Closed::Broken(error, _)) => Err(TokenError::Oauth(error)),
    }
}

/// Announces the refresh to the store, asks the platform, records what it says. `None`: the row was
/// changed by somebody else.
async fn ask(
    keeper: &Inner,
    slot: &Slot,
    access: Access,
    grant: &Grant,
    pass: Option<Pass>,
) -> Option<Result<Token, TokenError>> {
    let attempt = keeper.attempt(&Uuid::new_v4().simple().to_string());
    // Another node counts from when it can see the beginning; this is before that.
    let round = Round::begin(keeper.settings.round);
    let entered = match begin(keeper, access, grant, &attempt).await {
        Ok(Some(entered)) => entered,
        Ok(None) => return None,
        Err(error) => return Some(Err(error)),
    };
    // From here on the platform may have rotated the refresh token: nothing below gives up lightly.
    fail_point("token.before_request");
    let Asked { answer, swap } = request::ask(keeper, slot, &entered, grant, pass, round).await;
    fail_point("token.after_answer");
    match answer {
        Ok(answer) => {
            let kept = keep(keeper, slot, grant, &attempt, answer).await;
            if let Some(refused) = swap {
                swap_secrets(keeper, slot, &entered, &refused).await;
            }
            kept
        }
        Err(error) => Some(Err(
            give_up(keeper, slot, access, grant, &attempt, error).await
        )),
    }
}

/// Commits "a refresh is under way" (which also proves that the database takes commits now).
async fn begin(
    keeper: &Inner,
    access: Access,
    grant: &Grant,
    attempt: &str,
) -> Result<Option<NewCloudProvider>, TokenError> {
    let store = &keeper.store;
    if access == Access::Delegated && grant.refresh_token.is_none() {
        return Err(TokenError::NotSignedIn);
    }
    // Read anew: the turn may have been long in coming, and the administrator quick.
    let provider = store.provider_get(grant.provider).await?;
    let entered = provider.ok_or(TokenError::ProviderMissing)?.entered;
    if entered.access != access {
        return Ok(None);
    }
    fail_point("token.before_begin");
    let epoch = store.grant_hold(grant.provider, &keeper.node).await?;
    let epoch = epoch.ok_or(TokenError::Elsewhere)?;
    let begun = store
        .grant_refresh_begin(
            grant.provider,
            &keeper.node,
            epoch,
            (grant.version, grant.attempt.as_deref()),
            attempt,
            keeper.clock.now(),
        )
        .await?;
    Ok(begun.then_some(entered))
}

/// Makes the answer durable, twice, then hands the token out (I3).
async fn keep(
    keeper: &Inner,
    slot: &Slot,
    grant: &Grant,
    attempt: &str,
    answer: Answer,
) -> Option<Result<Token, TokenError>> {
    let provider = slot.provider;
    let life = Life::given(keeper.clock.now(), answer.expires_in, rand::random());
    let rotated = answer.refresh_token.is_some();
    let tokens = NewTokens {
        access_token: answer.access_token,
        access_expires_at: life.expires,
        refresh_token: answer.refresh_token,
        scopes: answer.scopes.or_else(|| grant.scopes.clone()),
        signed_in_as: answer
            .identity
            .and_then(|identity| still_theirs(grant, identity))
            .or_else(|| grant.signed_in_as.clone()),
        // A refresh changes nothing of who the grant is pinned to.
        tenant_id: None,
        object_id: None,
    };
    if let Some(journal) = &keeper.journal {
        let noted = journal.write(provider, grant.version, attempt, &tokens);
        if let Err(error) = noted.await {
            error!(%provider, %error, "the answer to a refresh is not in the token journal: only the database holds it, once it does");
        }
    }
    fail_point("token.after_journal");
    let recorded = record(keeper, grant, attempt, Fact::Refreshed(&tokens)).await;
    fail_point("token.after_commit");
    let kept = match recorded {
        Ok(true) => {
            let token = Token {
                secret: tokens.access_token,
                expires_at: life.expires,
                version: grant.version + 1,
                owner: grant.owner().into(),
            };
            slot.publish(token.clone(), life);
            keeper.tell();
            info!(%provider, version = token.version, rotated, "access token refreshed");
            Some(Ok(token))
        }
        // Superseded by a new sign-in; or an earlier try was committed and only its answer was lost, which
        // reading the row again shows.
        Ok(false) => None,
        // The record stays: who starts next looks at it.
        Err(error) => return Some(Err(error.into())),
    };
    if let Some(journal) = &keeper.journal {
        journal.drop_records(provider).await;
    }
    fail_point("token.after_drop");
    kept
}

/// The user name in a refresh's answer, unless it is somebody else's than the grant's. The tokens are kept
/// all the same: the old refresh token is used up, so throwing the new one away would end the grant.
fn still_theirs(grant: &Grant, identity: Identity) -> Option<String> {
    let arriving = Person {
        user_name: Some(identity.user_name),
        tenant_id: identity.tenant_id,
        object_id: identity.object_id,
    };
    if let Some(pinned) = grant.person().filter(|pinned| !pinned.is(&arriving)) {
        let (provider, pinned, arriving) = (grant.provider, pinned.user_name, arriving.user_name);
        warn!(%provider, pinned, arriving, "a refresh was answered for somebody else than who signed in: sign in again");
        return None;
    }
    arriving.user_name
}

/// The second client secret works and the first does not: it becomes the first.
async fn swap_secrets(
    keeper: &Inner,
    slot: &Slot,
    entered: &NewCloudProvider,
    refused: &OauthError,
) {
    let (provider, now) = (slot.provider, keeper.clock.now());
    let expired = entered
        .client_secret_expires_at
        .map_or_else(|| "not known".to_owned(), |at| at.rfc3339());
    let first = &entered.client_secret;
    match keeper
        .store
        .provider_swap_secrets(provider, first, now)
        .await
    {
        Ok(true) => {
            slot.forget_credential();
            warn!(%provider, error = %refused, first_expires = expired, "the identity platform refuses the first client secret: the second has taken its place; enter a new second one");
        }
        Ok(false) => debug!(%provider, "the client secrets were changed meanwhile"),
        Err(error) => {
            warn!(%provider, refused = %refused, %error, "the identity platform refuses the first client secret; the second is used, and not recorded as the first yet");
        }
    }
}
