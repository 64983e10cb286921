//! One refresh, from reading the grant to handing the new token out (I3). Runs in a task of its own.

use secrecy::SecretString;
use tokio::time::sleep;
use tracing::{debug, error, info, warn};
use uuid::Uuid;

use super::{Token, TokenError, keeper::Inner, life::Life, slot::Slot};
use crate::{
    model::{FailureClass, Grant, GrantState, NewCloudProvider, NewTokens, fail_point},
    oauth::{Answer, Credential, OauthError},
    store::StoreError,
};

/// A grant that changes under our hands is read again this often.
const READS: u32 = 3;

/// Refreshes the grant if it needs it, and publishes the token. The caller holds the slot's flight.
pub(super) async fn refresh(keeper: &Inner, slot: &Slot) -> Result<Token, TokenError> {
    for _ in 0..READS {
        let grant = read(keeper, slot).await?;
        let now = keeper.clock.now();
        // Under the flight, `refreshing` is never a refresh of ours: it was interrupted.
        let interrupted = grant.state == GrantState::Refreshing;
        if !interrupted
            && !slot.wanted(now, &keeper.settings)
            && let Some(token) = slot.usable(now, &keeper.settings)
        {
            return Ok(token);
        }
        if let Some(refreshed) = ask(keeper, slot, &grant).await {
            return refreshed;
        }
        debug!(provider = %slot.provider, "the grant changed meanwhile, reading it again");
    }
    Err(TokenError::Pending)
}

/// The grant as stored, if it can be refreshed.
async fn read(keeper: &Inner, slot: &Slot) -> Result<Grant, TokenError> {
    let grant = keeper.store.grant_get(slot.provider).await?;
    // The row comes and goes with its provider.
    let grant = grant.ok_or(TokenError::ProviderMissing)?;
    slot.learn(&grant, rand::random());
    match grant.state {
        GrantState::Missing => Err(TokenError::NotSignedIn),
        GrantState::NeedsSignIn => Err(TokenError::NeedsSignIn {
            reason: grant.reason.unwrap_or_default(),
        }),
        GrantState::Ok | GrantState::Refreshing => Ok(grant),
    }
}

/// Announces the refresh to the store, asks the platform, records what it says. `None`: the row was
/// changed by somebody else.
async fn ask(keeper: &Inner, slot: &Slot, grant: &Grant) -> Option<Result<Token, TokenError>> {
    let attempt = Uuid::new_v4().simple().to_string();
    match begin(keeper, grant, &attempt).await {
        Ok(Some((entered, refresh_token))) => {
            // From here on the platform may have rotated the refresh token: nothing below gives up lightly.
            fail_point("token.before_request");
            let credential = Credential::first(&entered);
            let answer = keeper
                .oauth
                .refresh(&entered, credential, &refresh_token)
                .await;
            fail_point("token.after_answer");
            match answer {
                Ok(answer) => keep(keeper, slot, grant, &attempt, answer).await,
                Err(error) => Some(Err(give_up(keeper, slot, grant, &attempt, error).await)),
            }
        }
        Ok(None) => None,
        Err(error) => Some(Err(error)),
    }
}

/// Commits "a refresh is under way" (which also proves that the database takes commits now).
async fn begin(
    keeper: &Inner,
    grant: &Grant,
    attempt: &str,
) -> Result<Option<(NewCloudProvider, SecretString)>, TokenError> {
    let store = &keeper.store;
    let refresh_token = grant.refresh_token.clone();
    let refresh_token = refresh_token.ok_or(TokenError::NotSignedIn)?;
    let provider = store.provider_get(grant.provider).await?;
    let provider = provider.ok_or(TokenError::ProviderMissing)?;
    let epoch = store.grant_hold(grant.provider, &keeper.node).await?;
    let epoch = epoch.ok_or(TokenError::Elsewhere)?;
    let begun = store
        .grant_refresh_begin(
            grant.provider,
            &keeper.node,
            epoch,
            grant.version,
            attempt,
            keeper.clock.now(),
        )
        .await?;
    Ok(begun.then_some((provider.entered, refresh_token)))
}

/// Makes the answer durable, then hands the token out (I3).
///
/// The next step in safety, a local journal of answers that survives this process too, belongs between the
/// answer and the commit.
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
            .map(|identity| identity.user_name)
            .or_else(|| grant.signed_in_as.clone()),
        // A refresh changes nothing of who the grant is pinned to.
        tenant_id: None,
        object_id: None,
    };
    let recorded = record(keeper, grant, attempt, Fact::Refreshed(&tokens)).await;
    match recorded {
        Ok(true) => {
            let token = Token {
                secret: tokens.access_token,
                expires_at: life.expires,
                version: grant.version + 1,
            };
            slot.publish(token.clone(), life);
            keeper.tell();
            info!(%provider, version = token.version, rotated, "access token refreshed");
            Some(Ok(token))
        }
        // Superseded by a new sign-in; or an earlier try was committed and only its answer was lost, which
        // reading the row again shows.
        Ok(false) => None,
        Err(error) => Some(Err(error.into())),
    }
}

/// Records that the platform gave no tokens. The grant stays good unless only a new sign-in can help.
async fn give_up(
    keeper: &Inner,
    slot: &Slot,
    grant: &Grant,
    attempt: &str,
    error: OauthError,
) -> TokenError {
    let provider = slot.provider;
    let (store, clock) = (&keeper.store, &keeper.clock);
    if !error.needs_sign_in() {
        let (wait, failures) = slot.fail(&error, &keeper.settings.waits, rand::random());
        let retry_in = wait.as_secs();
        match error.class() {
            FailureClass::OperatorMustAct => {
                error!(%provider, %error, failures, retry_in, "access token not refreshed, an administrator has to act");
            }
            _ => warn!(%provider, %error, failures, retry_in, "access token not refreshed"),
        }
        let (state, words, now) = (GrantState::Ok, error.to_string(), clock.now());
        let noted = store.grant_refresh_failed(provider, attempt, state, &words, now);
        if let Err(error) = noted.await {
            // The row still says `refreshing`, which the next refresh takes over.
            warn!(%provider, %error, "a failed refresh was not recorded");
        }
        return TokenError::Oauth(error);
    }
    let mut reason = error.to_string();
    if grant.state == GrantState::Refreshing {
        reason =
            format!("an earlier refresh was interrupted before its answer was recorded; {reason}");
    }
    error!(%provider, %error, "the grant is refused, somebody has to sign in again");
    let recorded = record(keeper, grant, attempt, Fact::Refused(&reason)).await;
    match recorded {
        Ok(true) => {
            slot.set_state(GrantState::NeedsSignIn);
            TokenError::NeedsSignIn { reason }
        }
        // Somebody signed in meanwhile.
        Ok(false) => TokenError::Pending,
        Err(error) => error.into(),
    }
}

/// What the platform said, as far as it cannot be asked for twice.
#[derive(Clone, Copy)]
enum Fact<'a> {
    Refreshed(&'a NewTokens),
    Refused(&'a str),
}

impl Fact<'_> {
    fn as_str(self) -> &'static str {
        match self {
            Self::Refreshed(_) => "refreshed tokens",
            Self::Refused(_) => "refused grant",
        }
    }

    async fn commit(
        self,
        keeper: &Inner,
        grant: &Grant,
        attempt: &str,
    ) -> Result<bool, StoreError> {
        let (store, provider, now) = (&keeper.store, grant.provider, keeper.clock.now());
        match self {
            Self::Refreshed(tokens) => {
                store
                    .grant_refresh_finish(provider, attempt, grant.version, tokens, now)
                    .await
            }
            Self::Refused(reason) => {
                store
                    .grant_refresh_failed(provider, attempt, GrantState::NeedsSignIn, reason, now)
                    .await
            }
        }
    }
}

/// Commits, and tries again until the database answers. Ends without success only when the row or the
/// store is gone. Not bounded in time by itself: the process' end is what bounds it, and meanwhile
/// nothing else uses the token. `false`: the row was changed by somebody else.
async fn record(
    keeper: &Inner,
    grant: &Grant,
    attempt: &str,
    fact: Fact<'_>,
) -> Result<bool, StoreError> {
    let (provider, what) = (grant.provider, fact.as_str());
    let mut tries = 0_u32;
    loop {
        match fact.commit(keeper, grant, attempt).await {
            Err(error @ (StoreError::Closed | StoreError::Missing { .. })) => {
                error!(%provider, %error, what, "not recorded, and never will be");
                return Err(error);
            }
            Err(error) => {
                tries = tries.saturating_add(1);
                if tries == 1 {
                    error!(%provider, %error, what, "not recorded yet, trying until the database takes it");
                }
                sleep(keeper.settings.store_retry.delay(tries, rand::random())).await;
            }
            Ok(done) => {
                if tries > 0 {
                    info!(%provider, tries, what, "recorded at last");
                }
                return Ok(done);
            }
        }
    }
}
