//! The tokens of a sign-in become the provider's grant, wait for an administrator's word, or are refused.

use std::time::Duration;

use secrecy::ExposeSecret;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::{SignInError, Token, TokenKeeper, keeper::Inner, life::Life};
use crate::{
    model::{CloudProviderId, Grant, HeldSignIn, NewCloudProvider, NewTokens, Person, Timestamp},
    oauth::{Answer, missing_scopes},
    store::{ConfirmedSignIn, SettledSignIn, StoreError},
};

/// A sign-in is offered to the database for so long; a person waits for the answer.
const ADOPT_FOR: Duration = Duration::from_secs(20);

/// A person signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedIn {
    /// To which provider.
    pub provider: CloudProviderId,
    /// Who they are (user name), where the platform says.
    pub signed_in_as: Option<String>,
    /// They are not who was expected: nothing is used before an administrator confirms it, and the old
    /// grant goes on. `None`: the provider has their grant now.
    pub held: Option<HeldSignIn>,
}

/// Why a held sign-in was not confirmed.
#[derive(Debug, thiserror::Error)]
pub enum ConfirmError {
    /// Nothing is held, or nobody confirmed it in time.
    #[error("no sign-in is held for the cloud provider")]
    Nothing,
    /// The word was for somebody else.
    #[error("{held} signed in, not who was named")]
    OtherName {
        /// Who signed in.
        held: String,
    },
    /// Accounts have come to expect further names since who confirms was told.
    #[error("accounts expect further names now: {}", .names.join(", "))]
    MoreNames {
        /// The further names.
        names: Vec<String>,
    },
    /// The database did not answer.
    #[error("the sign-in cannot be recorded")]
    Store(#[source] StoreError),
}

impl ConfirmError {
    /// Who acts next.
    pub fn class(&self) -> crate::model::FailureClass {
        match self {
            Self::Nothing | Self::OtherName { .. } | Self::MoreNames { .. } => {
                crate::model::FailureClass::OperatorMustAct
            }
            Self::Store(error) => error.class(),
        }
    }
}

impl From<StoreError> for ConfirmError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl TokenKeeper {
    /// An administrator confirms the held sign-in and repeats who it is of: it becomes the grant, pinned to
    /// that person, and lanes that wait are told. If dropped, it may have happened.
    ///
    /// # Errors
    /// See [`ConfirmError`].
    pub async fn confirm_sign_in(
        &self,
        provider: CloudProviderId,
        signed_in_as: &str,
    ) -> Result<SignedIn, ConfirmError> {
        let inner = &self.inner;
        let now = inner.clock.now();
        let confirmed = inner
            .store
            .held_sign_in_confirm(provider, signed_in_as, now)
            .await?;
        match confirmed {
            ConfirmedSignIn::Adopted(grant) => {
                info!(%provider, signed_in_as, "a held sign-in was confirmed");
                inner.slot(provider).learn(&grant, rand::random());
                inner.tell();
                Ok(SignedIn {
                    provider,
                    signed_in_as: grant.signed_in_as.clone(),
                    held: None,
                })
            }
            ConfirmedSignIn::Nothing => Err(ConfirmError::Nothing),
            ConfirmedSignIn::OtherName(held) => Err(ConfirmError::OtherName { held }),
            ConfirmedSignIn::MoreNames(names) => Err(ConfirmError::MoreNames { names }),
        }
    }

    /// Drops the held sign-in; false where there is none.
    ///
    /// # Errors
    /// The database did not answer.
    pub async fn discard_sign_in(&self, provider: CloudProviderId) -> Result<bool, StoreError> {
        let dropped = self.inner.store.held_sign_in_discard(provider).await?;
        if dropped {
            info!(%provider, "a held sign-in was discarded");
        }
        Ok(dropped)
    }
}

/// Checks that what came is enough for mail, and stores it (I3): as the grant where it is of who is
/// expected, else held.
pub(super) async fn settle(
    keeper: &Inner,
    provider: CloudProviderId,
    entered: &NewCloudProvider,
    answer: Answer,
    new_identity: bool,
) -> Result<SignedIn, SignInError> {
    let life = Life::given(keeper.clock.now(), answer.expires_in, rand::random());
    let refreshes = answer
        .refresh_token
        .as_ref()
        .is_some_and(|token| !token.expose_secret().is_empty());
    if !refreshes {
        return Err(SignInError::NoRefreshToken);
    }
    let scopes = missing_scopes(entered, answer.scopes.as_deref());
    let scopes = scopes.map_err(SignInError::Exchange)?;
    if !scopes.is_empty() {
        return Err(SignInError::ScopeMissing { scopes });
    }
    let person = answer.identity.map(|identity| Person {
        user_name: Some(identity.user_name),
        tenant_id: identity.tenant_id,
        object_id: identity.object_id,
    });
    let person = person.unwrap_or_default();
    let tokens = NewTokens {
        access_token: answer.access_token,
        access_expires_at: life.expires,
        refresh_token: answer.refresh_token,
        scopes: answer.scopes,
        signed_in_as: person.user_name.clone(),
        tenant_id: person.tenant_id,
        object_id: person.object_id,
    };
    let settled = store(keeper, provider, &tokens, new_identity, keeper.clock.now()).await?;
    let name = || person.user_name.clone().unwrap_or_default();
    let held = match settled {
        SettledSignIn::Adopted(grant) => {
            info!(%provider, signed_in_as = name(), "cloud provider signed in");
            publish(keeper, &grant, tokens, life);
            None
        }
        SettledSignIn::Held(held) => {
            warn!(
                %provider,
                signed_in_as = name(),
                expected = held.expected.join(" "),
                replaces = held.replaces,
                "somebody else than expected signed in: held until an administrator confirms or discards it"
            );
            Some(held)
        }
        SettledSignIn::OtherPerson(pinned) => {
            return Err(SignInError::OtherIdentity {
                signed_in_as: described(&tokens.person()),
                pinned: described(&pinned),
            });
        }
        SettledSignIn::Nameless => return Err(SignInError::Nameless),
    };
    Ok(SignedIn {
        provider,
        signed_in_as: person.user_name,
        held,
    })
}

/// A person as the platform names them, with their directory: two people may have one name.
fn described(person: &Person) -> String {
    let name = person.user_name.as_deref().unwrap_or("somebody unnamed");
    match &person.tenant_id {
        Some(tenant) => format!("{name} (tenant {tenant})"),
        None => name.to_owned(),
    }
}

/// Hands the new token out.
fn publish(keeper: &Inner, grant: &Grant, tokens: NewTokens, life: Life) {
    let slot = keeper.slot(grant.provider);
    slot.learn(grant, rand::random());
    slot.publish(
        Token {
            secret: tokens.access_token,
            expires_at: life.expires,
            version: grant.version,
            owner: grant.owner().into(),
        },
        life,
    );
    keeper.tell();
}

/// Stores what the person gave. The code is used up, so tokens that are thrown away cost them the whole
/// sign-in: a database that is away for a moment is waited for. Storing the same tokens twice is harmless.
async fn store(
    keeper: &Inner,
    provider: CloudProviderId,
    tokens: &NewTokens,
    new_identity: bool,
    now: Timestamp,
) -> Result<SettledSignIn, StoreError> {
    let begun = Instant::now();
    let mut tries = 0_u32;
    loop {
        let settled = keeper
            .store
            .sign_in_settle(provider, tokens, new_identity, now);
        match settled.await {
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
