//! All failures that reach people, as one type.

use crate::{
    model::{FailureClass, LaneName},
    store::StoreError,
};

/// What was being done when it failed; fills the placeholders of the words.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// Account key, when an account was worked for.
    pub account: Option<String>,
    /// Host and port talked to.
    pub server: Option<String>,
    /// The user name used to log in.
    pub user: Option<String>,
    /// The mailbox address.
    pub mailbox: Option<String>,
    /// Name of the cloud provider.
    pub provider: Option<String>,
    /// Which lane.
    pub lane: Option<LaneName>,
}

/// A failure of a lower module. Rows above convert their own errors into it.
#[derive(Debug)]
pub enum Failure {
    /// The database.
    Store(StoreError),
    /// The cloud provider has no grant yet: nobody has signed in.
    NotSignedIn,
    /// The platform refuses the grant; its own words.
    SignInNeeded(String),
    /// The account names a cloud provider that does not exist.
    ProviderMissing,
    /// A bug: a panic or an impossible state.
    Bug(String),
}

impl Failure {
    /// Who has to act.
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Store(error) => error.class(),
            Self::NotSignedIn | Self::SignInNeeded(_) | Self::ProviderMissing => {
                FailureClass::OperatorMustAct
            }
            Self::Bug(_) => FailureClass::RetryLater,
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
