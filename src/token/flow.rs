//! A person signs a cloud provider in: sent to the platform, and back with a code.

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::oneshot;
use tracing::{info, warn};
use url::Url;

use super::{CallbackQuery, SignInError, SignedIn, TokenKeeper, adopt::settle, keeper::Inner};
use crate::{
    model::{Access, CloudProvider, CloudProviderId, CloudService, NewCloudProvider, Timestamp},
    oauth::{Answer, Credential, OauthError, SignInSecrets, authorize_url, issuer_matches},
    store::{NewOauthState, OauthState, TakenState},
};

/// Longest address that is read when it is pasted.
const ADDRESS_LIMIT: usize = 64 * 1024;

/// A sign-in that was begun.
#[derive(Clone, Debug)]
pub struct SignIn {
    /// Where the person's browser goes. Holds the state: show it only to who asked.
    pub authorize_url: Url,
    /// Until when they have to be back.
    pub expires_at: Timestamp,
    /// Who the platform's page is pre-filled with, if with anybody.
    pub login_hint: Option<String>,
}

/// How a person's answer came back.
enum Back<'a> {
    /// Their browser called the address of this service.
    Callback(CloudService),
    /// They pasted it for this provider; it was this address without its query.
    Pasted(CloudProviderId, &'a Url),
}

impl TokenKeeper {
    /// Begins a sign-in: stores a fresh state with its PKCE verifier, and says where the person goes.
    ///
    /// `caller` names who asks; who pastes the answer must be the same. `login_hint` pre-fills the user
    /// name on the platform's page; without one it is who has the grant, or who is expected where that is
    /// one name. With `new_identity` the grant may come into other hands, once an administrator confirms.
    ///
    /// # Errors
    /// The provider does not exist, needs no sign-in or cannot be used as entered, or the database did not
    /// answer. If dropped, a state may be left that nobody uses.
    pub async fn begin_sign_in(
        &self,
        provider: CloudProviderId,
        caller: &str,
        login_hint: Option<&str>,
        new_identity: bool,
    ) -> Result<SignIn, SignInError> {
        let inner = &self.inner;
        let entered = inner.for_people(provider).await?;
        let login_hint = match login_hint {
            Some(hint) => Some(hint.to_owned()),
            None => inner.likely_person(provider, new_identity).await?,
        };
        let secrets = SignInSecrets::random();
        let authorize_url = authorize_url(&entered, &secrets, login_hint.as_deref())
            .map_err(SignInError::NotBegun)?;
        let now = inner.clock.now();
        let expires_at = now.plus(SignInError::LIFETIME);
        let state = NewOauthState {
            state: secrets.state,
            provider,
            verifier: secrets.verifier,
            redirect_uri: entered.redirect_uri,
            caller: caller.to_owned(),
            new_identity,
            expires_at,
        };
        inner.store.oauth_state_add(&state, now).await?;
        info!(%provider, caller, new_identity, "sign-in begun");
        Ok(SignIn {
            authorize_url,
            expires_at,
            login_hint,
        })
    }

    /// Finishes a sign-in with what the person's browser brought to the callback of `service`.
    ///
    /// The state is used up whatever comes out, except where the process is stopping: then the page can be loaded
    /// again once it runs. Verifier and redirect URI are the stored ones. Dropping the future does not stop the
    /// exchange: its outcome is recorded all the same.
    ///
    /// # Errors
    /// See [`SignInError`]; the old grant, if there is one, stays as it was.
    pub async fn finish_sign_in(
        &self,
        service: CloudService,
        query: CallbackQuery,
    ) -> Result<SignedIn, SignInError> {
        self.finish(Back::Callback(service), query).await
    }

    /// Finishes a sign-in with the address that a person's browser was sent to and could not open: for
    /// servers that no browser can call. `caller` must be who began it.
    ///
    /// # Errors
    /// As [`TokenKeeper::finish_sign_in`]; an address that does not begin with the provider's redirect URI
    /// uses no state up.
    pub async fn finish_pasted(
        &self,
        provider: CloudProviderId,
        address: &SecretString,
        caller: &str,
    ) -> Result<SignedIn, SignInError> {
        let entered = self.inner.for_people(provider).await?;
        let address = pasted(address.expose_secret())?;
        if !same_place(&address, &entered.redirect_uri) {
            return Err(SignInError::OtherAddress {
                expected: entered.redirect_uri,
            });
        }
        let mut query = CallbackQuery::parse(address.query().unwrap_or_default())?;
        query.caller = Some(caller.to_owned());
        self.finish(Back::Pasted(provider, &address), query).await
    }

    async fn finish(&self, back: Back<'_>, query: CallbackQuery) -> Result<SignedIn, SignInError> {
        if self.inner.stopping.is_cancelled() {
            return Err(SignInError::Interrupted);
        }
        let state = self.take_state(&query).await?;
        let provider = state.provider;
        let row = match self.check(&state, &back, &query).await {
            Ok(row) => row,
            // The state is spent, by somebody who had it: who waits for this sign-in waits in vain.
            Err(error) => {
                warn!(%provider, code = error.code(), %error, "sign-in failed");
                self.inner.sign_in_ended(provider, Some(&error));
                return Err(error);
            }
        };
        let (answer, answered) = oneshot::channel();
        let inner = self.inner.clone();
        self.inner
            .spawn(async move {
                let outcome = exchange(&inner, &row, state, &query).await;
                if let Err(error) = &outcome {
                    warn!(%provider, code = error.code(), %error, "sign-in failed");
                }
                inner.sign_in_ended(provider, outcome.as_ref().err());
                // Where the browser is gone, the log has told.
                let _ = answer.send(outcome);
            })
            .map_err(|_| SignInError::Interrupted)?;
        answered.await.unwrap_or(Err(SignInError::Interrupted))
    }

    /// Takes the state, once. What fails here is told to nobody but who asked: a stranger asks as well as anybody.
    async fn take_state(&self, query: &CallbackQuery) -> Result<OauthState, SignInError> {
        let now = self.inner.clock.now();
        match self.inner.store.oauth_state_take(&query.state, now).await? {
            TakenState::Good(state) => Ok(state),
            TakenState::Unknown => Err(SignInError::StateUnknown),
            TakenState::Used => Err(SignInError::StateUsed),
            TakenState::Expired => Err(SignInError::StateExpired),
        }
    }

    /// Checks that a state was made for this way back; gives its provider.
    async fn check(
        &self,
        state: &OauthState,
        back: &Back<'_>,
        query: &CallbackQuery,
    ) -> Result<CloudProvider, SignInError> {
        match back {
            Back::Pasted(provider, _) if *provider != state.provider => {
                return Err(SignInError::OtherProvider);
            }
            Back::Pasted(_, address) if !same_place(address, &state.redirect_uri) => {
                return Err(SignInError::OtherAddress {
                    expected: state.redirect_uri.clone(),
                });
            }
            Back::Pasted(..) | Back::Callback(_) => {}
        }
        let row = self.inner.store.provider_get(state.provider).await?;
        let row = row.ok_or(SignInError::ProviderMissing)?;
        // It was people's when the sign-in was begun.
        if row.entered.access == Access::Application {
            return Err(SignInError::ApplicationAccess);
        }
        // One redirect URI per service: a mix-up shows here (RFC 9700 §4.4.2).
        if matches!(back, Back::Callback(service) if *service != row.entered.service) {
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
        Ok(row)
    }
}

impl Inner {
    /// A provider that people sign in to.
    pub(super) async fn for_people(
        &self,
        provider: CloudProviderId,
    ) -> Result<NewCloudProvider, SignInError> {
        let row = self.store.provider_get(provider).await?;
        let entered = row.ok_or(SignInError::ProviderMissing)?.entered;
        match entered.access {
            Access::Delegated => Ok(entered),
            Access::Application => Err(SignInError::ApplicationAccess),
        }
    }

    /// Who will probably sign in.
    async fn likely_person(
        &self,
        provider: CloudProviderId,
        new_identity: bool,
    ) -> Result<Option<String>, SignInError> {
        if !new_identity
            && let Some(grant) = self
                .store
                .grant_list()
                .await?
                .into_iter()
                .find(|grant| grant.provider == provider)
            && let Some(name) = grant.signed_in_as
        {
            return Ok(Some(name));
        }
        let mut expected = self.store.expected_sign_ins(provider).await?.into_iter();
        Ok(expected.next().filter(|_| expected.next().is_none()))
    }
}

/// Redeems the code, and settles whose grant it becomes.
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
    let answer = redeem(keeper, row.id, &row.entered, code, &state).await;
    let answer = answer.map_err(SignInError::Exchange)?;
    settle(keeper, row.id, &row.entered, answer, state.new_identity).await
}

/// Redeems the code with each credential in turn while the platform refuses them: a refused application
/// has not spent the code.
async fn redeem(
    keeper: &Inner,
    provider: CloudProviderId,
    entered: &NewCloudProvider,
    code: &SecretString,
    state: &OauthState,
) -> Result<Answer, OauthError> {
    let oauth = keeper.oauth.of(provider);
    let mut credentials = credentials(entered).into_iter().peekable();
    loop {
        let answer = oauth.exchange_code(
            entered,
            credentials.next().unwrap_or(Credential::None),
            code,
            &state.verifier,
            &state.redirect_uri,
        );
        match answer.await {
            Err(error) if error.refuses_client() && credentials.peek().is_some() => {
                warn!(provider = entered.name, %error, "the identity platform refuses a credential, the next one is tried");
            }
            answered => return answered,
        }
    }
}

/// What the application can prove itself with, in order of use; empty where it has nothing.
pub(super) fn credentials(entered: &NewCloudProvider) -> Vec<Credential<'_>> {
    let kinds = entered.credentials();
    kinds
        .into_iter()
        .map(|kind| Credential::of(entered, kind))
        .collect()
}

/// The address as pasted: what a terminal or a mail put into it is taken out.
fn pasted(text: &str) -> Result<Url, SignInError> {
    let malformed = |what| SignInError::Malformed { what };
    if text.len() > ADDRESS_LIMIT {
        return Err(malformed("it is longer than an address is"));
    }
    let text: String = text
        .chars()
        .filter(|letter| !letter.is_whitespace() && !letter.is_control())
        .collect();
    let text = text.trim_matches(['"', '\'', '<', '>', '`']);
    Url::parse(text).map_err(|_| malformed("it is no web address"))
}

/// Whether an address is `redirect_uri` with a query: same scheme, host, port and path, and nobody's name.
fn same_place(address: &Url, redirect_uri: &str) -> bool {
    Url::parse(redirect_uri.trim()).is_ok_and(|ours| {
        ours.scheme() == address.scheme()
            && ours.host() == address.host()
            && ours.port_or_known_default() == address.port_or_known_default()
            && ours.path() == address.path()
            && address.username().is_empty()
            && address.password().is_none()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pasted_address_must_be_the_redirect_uri() {
        let ours = "http://localhost:9380/api/cloudProviders/oauth2/microsoft/callback";
        let check = |text: &str, good: bool| {
            let same = pasted(text).is_ok_and(|address| same_place(&address, ours));
            assert_eq!(same, good, "{text}");
        };
        check(&format!("{ours}?code=c&state=s"), true);
        check(&format!("  '{ours}?code=c\n  &state=s#'\r\n"), true);
        check(&format!("<{ours}?code=c&state=s>"), true);
        for bad in [
            "",
            "code=c&state=s",
            "https://localhost:9380/api/cloudProviders/oauth2/microsoft/callback?code=c",
            "http://localhost/api/cloudProviders/oauth2/microsoft/callback?code=c",
            "http://localhost:9380/api/cloudProviders/oauth2/google/callback?code=c",
            "http://localhost.evil.test:9380/api/cloudProviders/oauth2/microsoft/callback?code=c",
            "http://me:pw@localhost:9380/api/cloudProviders/oauth2/microsoft/callback?code=c",
            "http://localhost:9380/api/cloudProviders/oauth2/microsoft/callback/../x?code=c",
        ] {
            check(bad, false);
        }
        assert!(pasted(&"x".repeat(ADDRESS_LIMIT + 1)).is_err());
    }
}
