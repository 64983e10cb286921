//! Why there is no access token, and why a sign-in did not succeed.

use std::{sync::Arc, time::Duration};

use crate::{diagnosis::Failure, model::FailureClass, oauth::OauthError, store::StoreError};

/// Why there is no access token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Nobody has signed in yet.
    #[error("nobody has signed in to the cloud provider yet")]
    NotSignedIn,
    /// The platform refuses the grant; only a person who signs in again can help.
    #[error("the cloud provider has to be signed in again")]
    NeedsSignIn {
        /// The platform's own words, bounded and escaped.
        reason: String,
    },
    /// The provider does not exist (any more).
    #[error("the cloud provider does not exist")]
    ProviderMissing,
    /// The platform gave none. The same error is given to everybody until the next try.
    #[error("no access token from the identity platform")]
    Oauth(#[source] OauthError),
    /// The database did not answer; nothing was asked of the platform.
    #[error("the grant cannot be read or written")]
    Store(#[source] StoreError),
    /// A refresh is under way and takes long; typically its answer waits for the database (I3), or what an
    /// earlier run left for the token journal's disk.
    #[error("a refresh is still under way")]
    Pending,
    /// Another node refreshes this grant.
    #[error("another node refreshes this grant")]
    Elsewhere,
    /// The refresh ended without a result (a bug), or its answer could not be recorded.
    #[error("a refresh ended without a result")]
    RefreshLost,
    /// The process is stopping.
    #[error("the process is stopping")]
    Stopping,
}

impl TokenError {
    /// Who acts next.
    pub fn class(&self) -> FailureClass {
        match self {
            Self::NotSignedIn | Self::NeedsSignIn { .. } | Self::ProviderMissing => {
                FailureClass::OperatorMustAct
            }
            Self::Oauth(error) => error.class(),
            Self::Store(error) => error.class(),
            Self::Pending | Self::Elsewhere | Self::RefreshLost | Self::Stopping => {
                FailureClass::RetryLater
            }
        }
    }
}

impl From<StoreError> for TokenError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<TokenError> for Failure {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::NotSignedIn => Self::NotSignedIn,
            TokenError::NeedsSignIn { reason } => Self::SignInNeeded(reason),
            TokenError::ProviderMissing => Self::ProviderMissing,
            TokenError::Oauth(error) => Self::Oauth(error),
            TokenError::Store(error) => Self::Store(error),
            waits @ (TokenError::Pending
            | TokenError::Elsewhere
            | TokenError::RefreshLost
            | TokenError::Stopping) => Self::TokenWaits(waits.to_string()),
        }
    }
}

/// Why a person who came back from the platform is not signed in. Nothing was stored.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SignInError {
    /// The address they came back with is not one that a platform makes.
    #[error("the answer is malformed: {what}")]
    Malformed {
        /// What is wrong with it.
        what: &'static str,
    },
    /// No sign-in with that state was begun here.
    #[error("no sign-in was begun with this state")]
    StateUnknown,
    /// The page was loaded twice, or somebody replays it.
    #[error("this sign-in was already finished")]
    StateUsed,
    /// It took longer than [`SignInError::LIFETIME`].
    #[error("this sign-in took too long")]
    StateExpired,
    /// The state belongs to a provider of another service.
    #[error("this sign-in was begun with another service")]
    OtherService,
    /// The answer names another issuer (RFC 9207): a mix-up.
    #[error("the answer comes from another issuer")]
    OtherIssuer,
    /// Somebody else began it.
    #[error("this sign-in was begun by somebody else")]
    OtherCaller,
    /// The platform said no, in its own words (bounded, escaped).
    #[error("the identity platform refused the sign-in with {error}: {description}")]
    Refused {
        /// Its `error` word, e.g. `access_denied`.
        error: String,
        /// Its description; may be empty.
        description: String,
    },
    /// Nobody typed the code in time.
    #[error("nobody signed in before the code's time was over")]
    DeviceExpired,
    /// Too many sign-ins by code wait for a person.
    #[error("too many sign-ins by code wait for a person")]
    TooMany,
    /// The provider opens mailboxes in the application's own name: nobody signs in.
    #[error("the cloud provider uses the application's own access, so nobody signs in")]
    ApplicationAccess,
    /// What was entered for the provider lets no sign-in begin, or the platform refused to begin one.
    #[error("the sign-in cannot be begun: {0}")]
    NotBegun(#[source] OauthError),
    /// The pasted address is not the one that the platform sends people back to.
    #[error("the pasted address does not begin with {expected}")]
    OtherAddress {
        /// The provider's redirect URI.
        expected: String,
    },
    /// The state belongs to a sign-in of another provider.
    #[error("this sign-in was begun for another cloud provider")]
    OtherProvider,
    /// The code was not redeemed.
    #[error("the identity platform gave no tokens")]
    Exchange(#[source] OauthError),
    /// There is no refresh token, so mail would stop within the hour: `offline_access` was not granted.
    #[error("the identity platform gave no refresh token")]
    NoRefreshToken,
    /// The person (or a policy) did not grant what mail needs.
    #[error("not granted: {}", .scopes.join(", "))]
    ScopeMissing {
        /// Every missing scope.
        scopes: Vec<String>,
    },
    /// The grant is another person's, and nobody said that it should change hands.
    #[error("{signed_in_as} signed in, but the cloud provider belongs to {pinned}")]
    OtherIdentity {
        /// Who signed in just now.
        signed_in_as: String,
        /// Whose grant it is.
        pinned: String,
    },
    /// Somebody is expected, and the platform does not say who signed in.
    #[error("the identity platform does not say who signed in")]
    Nameless,
    /// The provider does not exist any more.
    #[error("the cloud provider does not exist")]
    ProviderMissing,
    /// The provider names another application or another platform than the one that the sign-in was begun with.
    #[error("the cloud provider's application was changed during the sign-in")]
    ProviderChanged,
    /// The database did not answer.
    #[error("the sign-in cannot be recorded")]
    Store(#[source] Arc<StoreError>),
    /// The process is stopping, or the sign-in ended without a result (a bug).
    #[error("the sign-in was interrupted")]
    Interrupted,
}

impl SignInError {
    /// How long a person has for a sign-in (RFC 9700 §4.7.1 asks for short-lived states).
    pub const LIFETIME: Duration = Duration::from_secs(600);

    /// A stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "sign_in_malformed",
            Self::StateUnknown => "sign_in_state_unknown",
            Self::StateUsed => "sign_in_state_used",
            Self::StateExpired => "sign_in_state_expired",
            Self::OtherService => "sign_in_other_service",
            Self::OtherIssuer => "sign_in_other_issuer",
            Self::OtherCaller => "sign_in_other_caller",
            Self::Refused { .. } => "sign_in_refused",
            Self::DeviceExpired => "sign_in_code_expired",
            Self::TooMany => "sign_in_too_many",
            Self::ApplicationAccess => "sign_in_not_needed",
            Self::NotBegun(_) => "sign_in_not_begun",
            Self::OtherAddress { .. } => "sign_in_other_address",
            Self::OtherProvider => "sign_in_other_provider",
            Self::Exchange(_) => "sign_in_exchange_failed",
            Self::OtherIdentity { .. } => "sign_in_other_identity",
            Self::Nameless => "sign_in_nameless",
            Self::NoRefreshToken => "sign_in_no_refresh_token",
            Self::ScopeMissing { .. } => "sign_in_scope_missing",
            Self::ProviderMissing => "provider_missing",
            Self::ProviderChanged => "sign_in_provider_changed",
            Self::Store(error) if error.is_full() => "store_full",
            Self::Store(_) => "store_unavailable",
            Self::Interrupted => "sign_in_interrupted",
        }
    }

    /// Who acts next: mostly the person, who begins again.
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Exchange(error) | Self::NotBegun(error) => error.class(),
            Self::Store(error) => error.class(),
            Self::Interrupted | Self::TooMany => FailureClass::RetryLater,
            Self::Malformed { .. }
            | Self::StateUnknown
            | Self::StateUsed
            | Self::StateExpired
            | Self::OtherService
            | Self::OtherIssuer
            | Self::OtherCaller
            | Self::Refused { .. }
            | Self::NoRefreshToken
            | Self::ScopeMissing { .. }
            | Self::DeviceExpired
            | Self::ApplicationAccess
            | Self::OtherAddress { .. }
            | Self::OtherProvider
            | Self::OtherIdentity { .. }
            | Self::Nameless
            | Self::ProviderMissing
            | Self::ProviderChanged => FailureClass::OperatorMustAct,
        }
    }
}

impl From<StoreError> for SignInError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}
