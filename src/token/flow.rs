//! A person signs a cloud provider in: sent to the platform, and back with a code.

use std::time::Duration;

use secrecy::ExposeSecret;
use tokio::{
    sync::oneshot,
    time::{Instant, sleep},
};
use tracing::{info, warn};
use url::Url;

use super::{
    CallbackQuery, SignInError, Token, TokenError, TokenKeeper, keeper::Inner, life::Life,
};
use crate::{
    model::{CloudProvider, CloudProviderId, CloudService, Grant, NewTokens, Timestamp},
    oauth::{Credential, SignInSecrets, authorize_url, issuer_matches, missing_scopes},
    store::{NewOauthState, OauthState, StoreError, TakenState},
};

/// A sign-in is offered to the database for so long; a person waits for the answer.
const ADOPT_FOR: Duration = Duration::from_secs(20);

/// A sign-in that was begun.
#[derive(Clone, Debug)]
pub struct SignIn {
    /// Where the person's browser goes. Holds the state: show it only to who asked.
    pub authorize_url: Url,
    /// Until when they have to be back.
    pub expires_at: Timestamp,
}

/// A sign-in that succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedIn {
    /// Which provider has a grant now.
    pub provider: CloudProviderId,
    /// Who gave it (user name), where the platform says.
    pub signed_in_as: Option<String>,
}

impl TokenKeeper {
    /// Begins a sign-in: stores a fresh state with its PKCE verifier, and says where the person goes.
    ///
    /// `caller` names who asks; `login_hint` pre-fills the user name on the platform's page.
    ///
    /// # Errors
    /// The provider does not exist or cannot be used as entered, or the database did not answer.
    /// If dropped, a state may be left that nobody uses.
    pub async fn begin_sign_in(
        &self,
        provider: CloudProviderId,
        caller: &str,
        login_hint: Option<&str>,
    ) -> Result<SignIn, TokenError> {
        let inner = &self.inner;
        let row = inner.store.provider_get(provider).await?;
        let entered = row.ok_or(TokenError::ProviderMissing)?.entered;
        let secrets = SignInSecrets::random();
        let authorize_url =
            authorize_url(&entered, &secrets, login_hint).map_err(TokenError::Oauth)?;
        let now = inner.clock.now();
        let expires_at = now.plus(SignInError::LIFETIME);
        let state = NewOauthState {
            state: secrets.state,
            provider,
            verifier: secrets.verifier,
            redirect_uri: entered.redirect_uri,
            caller: caller.to_owned(),
            expires_at,
        };
        inner.store.oauth_state_add(&state, now).await?;
        info!(%provider, caller, "sign-in begun");
        Ok(SignIn {
            authorize_url,
            expires_at,
        })
    }

    /// Finishes a sign-in with what the person's browser brought to the callback of `service`.
    ///
    /// The state is used up whatever comes out. Verifier and redirect URI are the stored ones. Dropping the
    /// future does not stop the exchange: its outcome is recorded all the same.
    ///
    /// # Errors
    /// See [`SignInError`]; the old grant, if there is one, stays as it was.
    pub async fn finish_sign_in(
        &self,
        service: CloudService,
        query: CallbackQuery,
    ) -> Result<SignedIn, SignInError> {
        let (state, row) = self.take_state(service, &query).await?;
        let provider = state.provider;
        let (answer, answered) = oneshot::channel();
        let inner = self.inner.clone();
        self.inner
            .spawn(async move {
                let outcome = exchange(&inner, &row, state, &query).await;
                match answer.send(outcome) {
                    Ok(()) => {}
                    // The browser is gone; otherwise who asked tells.
                    Err(Ok(_)) => info!(%provider, "cloud provider signed in"),
                    Err(Err(error)) => {
                        warn!(%provider, code = error.code(), %error, "sign-in failed");
                    }
                }
            })
            .map_err(|_| SignInError::Interrupted)?;
        answered.await.unwrap_or(Err(SignInError::Interrupted))
    }

    /// Takes the state, once, and checks that it was made for this callback.
    async fn take_state(
        &self,
        service: CloudService,
        query: &CallbackQuery,
    ) -> Result<(OauthState, CloudProvider), SignInError> {
        let store = &self.inner.store;
        let now = self.inner.clock.now();
        let state = match store.oauth_state_take(&query.state, now).await? {
            TakenState::Good(state) => state,
            TakenState::Unknown => return Err(SignInError::StateUnknown),
            TakenState::Used => return Err(SignInError::StateUsed),
            TakenState::Expired => return Err(SignInError::StateExpired),
        };
        let row = store.provider_get(state.provider).await?;
        let row = row.ok_or(SignInError::ProviderMissing)?;
        // One redirect URI per service: a mix-up shows here (RFC 9700 §4.4.2).
        if row.entered.service != service {
            return Err(SignInError::OtherService);
        }
        let caller = query.caller.as_deref();
        if caller.is_some_and(|caller| caller != state.caller) {
            return Err(SignInError::OtherCaller);
        }
        let issuer = query.issuer.as_deref();
        if issuer.is_some_and(|issuer| !issuer_matches(&row.entered, issuer)) {
            return Err(SignInError::OtherIssuer);
        }
        Ok((state, row))
    }
}

/// Redeems the code, checks that what came is enough for mail, and stores it (I3).
async fn exchange(
    keeper: &Inner,
    row: &CloudProvider,
    state: OauthState,
    query: &CallbackQuery,
) -> Result<SignedIn, SignInError> {
    let code = query
        .answer
        .as_ref()
        .map_err(|refused| SignInError::Refused {
            error: refused.error.clone(),
            description: refused.description.clone(),
        })?;
    let answer = keeper
        .oauth
        .exchange_code(
            &row.entered,
            Credential::first(&row.entered),
            code,
            &state.verifier,
            &state.redirect_uri,
        )
        .await
        .map_err(SignInError::Exchange)?;
    let life = Life::given(keeper.clock.now(), answer.expires_in, rand::random());
    let refreshes = answer
        .refresh_token
        .as_ref()
        .is_some_and(|token| !token.expose_secret().is_empty());
    if !refreshes {
        return Err(SignInError::NoRefreshToken);
    }
    let missing = missing_scopes(&row.entered, answer.scopes.as_deref());
    let missing = missing.map_err(SignInError::Exchange)?;
    if !missing.is_empty() {
        let scope = missing.join(" ");
        return Err(SignInError::ScopeMissing { scope });
    }
    // Whether this person may be a delegate of the accounts that use the provider is judged by who
    // knows the accounts; who they are is stored.
    let (tenant_id, object_id) = answer.identity.as_ref().map_or((None, None), |identity| {
        (identity.tenant_id.clone(), identity.object_id.clone())
    });
    let signed_in_as = answer.identity.map(|identity| identity.user_name);
    let tokens = NewTokens {
        access_token: answer.access_token,
        access_expires_at: life.expires,
        refresh_token: answer.refresh_token,
        scopes: answer.scopes,
        signed_in_as: signed_in_as.clone(),
        tenant_id,
        object_id,
    };
    let provider = state.provider;
    let now = keeper.clock.now();
    let grant = adopt(keeper, provider, &tokens, now).await?;
    let slot = keeper.slot(provider);
    slot.learn(&grant, rand::random());
    slot.publish(
        Token {
            secret: tokens.access_token,
            expires_at: life.expires,
            version: grant.version,
        },
        life,
    );
    keeper.tell();
    Ok(SignedIn {
        provider,
        signed_in_as,
    })
}

/// Stores what the person gave. The code is used up, so tokens that are thrown away cost them the whole
/// sign-in: a database that is away for a moment is waited for. Storing the same tokens twice is harmless.
async fn adopt(
    keeper: &Inner,
    provider: CloudProviderId,
    tokens: &NewTokens,
    now: Timestamp,
) -> Result<Grant, StoreError> {
    let begun = Instant::now();
    let mut tries = 0_u32;
    loop {
        match keeper.store.grant_adopt(provider, tokens, now).await {
            Err(error @ (StoreError::Unavailable { .. } | StoreError::OutcomeUnknown { .. }))
                if begun.elapsed() < ADOPT_FOR =>
            {
                tries = tries.saturating_add(1);
                warn!(%provider, %error, tries, "a sign-in is not stored yet, trying again");
                sleep(keeper.settings.store_retry.delay(tries, rand::random())).await;
            }
            settled => return settled,
        }
    }
}
