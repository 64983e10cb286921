//! All failures that reach people, as one type.

use std::time::Duration;

use super::catalogue::GraphRefusal;
use crate::{
    imap::ImapError,
    model::{Account, FailureClass, HoldKind, LaneName},
    oauth::OauthError,
    smtp::SmtpError,
    store::StoreError,
};

/// How the reason of [`Failure::SignInNeeded`] begins where the platform's answer to a refresh was lost and its
/// later refusal only follows from that.
pub const LOST_ANSWER: &str = "the answer to an earlier refresh was lost";

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
    /// The user who signed in for a shared mailbox, where that is another than `user` and `mailbox`.
    pub delegate: Option<String>,
    /// Which lane.
    pub lane: Option<LaneName>,
    /// Mailboxes are opened in the application's own name (client credentials): nobody signs in.
    pub application: bool,
}

impl Context {
    /// What is known of an account's lane without asking anybody.
    pub fn of(account: &Account, lane: LaneName) -> Self {
        let entered = &account.entered;
        let (server, user) = match lane {
            LaneName::Inbound => (&entered.imap, account.imap_user()),
            LaneName::Outbound => (&entered.smtp, account.smtp_user()),
        };
        Self {
            account: Some(entered.key.to_string()),
            server: Some(format!("{}:{}", server.host, server.port)),
            user: Some(user.to_owned()),
            mailbox: Some(entered.address.to_string()),
            provider: account.provider().map(|provider| provider.to_string()),
            delegate: (account.smtp_user() != account.imap_user())
                .then(|| account.smtp_user().to_owned()),
            lane: Some(lane),
            application: false,
        }
    }
}

/// A failure of a lower module. Rows above convert their own errors into it.
#[derive(Debug)]
pub enum Failure {
    /// The incoming server.
    Imap(ImapError),
    /// The outgoing server.
    Smtp(SmtpError),
    /// The identity platform.
    Oauth(OauthError),
    /// Microsoft Graph.
    Graph(GraphRefusal),
    /// The database.
    Store(StoreError),
    /// The cloud provider has no grant yet: nobody has signed in.
    NotSignedIn,
    /// The platform refuses the grant; its own words.
    SignInNeeded(String),
    /// The account names a cloud provider that does not exist.
    ProviderMissing,
    /// There is no access token at the moment for a reason of our own that passes; in its words.
    TokenWaits(String),
    /// Raw mail could not be kept or read: the disk or the object directory; in the system's words.
    Storage(String),
    /// Nothing failed: a connection waits for what others have met.
    Held {
        /// What stands in the way.
        kind: HoldKind,
        /// Of whom: a host, or a user name at a host.
        whose: String,
        /// In the server's or the system's own words; empty where there are none.
        said: String,
        /// For how long yet.
        left: Duration,
    },
    /// A bug: a panic or an impossible state.
    Bug(String),
}

impl Failure {
    /// Who has to act.
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Imap(error) => error.class(),
            Self::Smtp(error) => error.class(),
            Self::Oauth(error) => error.class(),
            Self::Graph(refusal) => refusal.class(),
            Self::Store(error) => error.class(),
            Self::NotSignedIn
            | Self::SignInNeeded(_)
            | Self::ProviderMissing
            | Self::Storage(_) => FailureClass::OperatorMustAct,
            Self::Held {
                kind: HoldKind::HostSilent | HoldKind::Full,
                ..
            }
            | Self::TokenWaits(_)
            | Self::Bug(_) => FailureClass::RetryLater,
            Self::Held { left, .. } => FailureClass::HoldFor(*left),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<ImapError> for Failure {
    fn from(error: ImapError) -> Self {
        Self::Imap(error)
    }
}

impl From<SmtpError> for Failure {
    fn from(error: SmtpError) -> Self {
        Self::Smtp(error)
    }
}

impl From<OauthError> for Failure {
    fn from(error: OauthError) -> Self {
        Self::Oauth(error)
    }
}
