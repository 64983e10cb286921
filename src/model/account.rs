//! E-mail accounts: one mailbox each, with its three identities.

use std::fmt;

use secrecy::SecretString;

use super::{
    AccountId, CloudProviderId, EmailAddress, Folders, ListId, ProxyChoice, Timestamp, TlsVerify,
    TokenOwner,
};

/// An account's short key: 1 to 5 letters or digits, kept in upper case, unique.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountKey(String);

impl AccountKey {
    /// `None` unless 1..=5 ASCII letters or digits.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let good = (1..=5).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric());
        good.then(|| Self(text.to_ascii_uppercase()))
    }

    /// The key in upper case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whose servers; a preset for hosts, ports and habits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Exchange Online.
    Outlook365,
    /// Gmail and Google Workspace.
    Gmail,
    /// Yahoo Mail.
    Yahoo,
    /// Outlook.com and Hotmail (personal Microsoft accounts).
    Hotmail,
    /// Any other server.
    Custom,
}

impl Service {
    const ALL: [Self; 5] = [
        Self::Outlook365,
        Self::Gmail,
        Self::Yahoo,
        Self::Hotmail,
        Self::Custom,
    ];

    /// The product's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Outlook365 => "Outlook365",
            Self::Gmail => "Gmail",
            Self::Yahoo => "Yahoo",
            Self::Hotmail => "Hotmail",
            Self::Custom => "Custom",
        }
    }

    /// By name, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|s| s.as_str().eq_ignore_ascii_case(text.trim()))
    }

    /// The service's IMAP server; `None` for [`Service::Custom`].
    pub fn imap(self) -> Option<Server> {
        let host = match self {
            Self::Outlook365 | Self::Hotmail => "outlook.office365.com",
            Self::Gmail => "imap.gmail.com",
            Self::Yahoo => "imap.mail.yahoo.com",
            Self::Custom => return None,
        };
        Some(Server::new(host, 993, TlsMode::Tls))
    }

    /// The service's submission server; `None` for [`Service::Custom`].
    pub fn smtp(self) -> Option<Server> {
        Some(match self {
            Self::Outlook365 => Server::new("smtp.office365.com", 587, TlsMode::StartTls),
            Self::Hotmail => Server::new("smtp-mail.outlook.com", 587, TlsMode::StartTls),
            Self::Gmail => Server::new("smtp.gmail.com", 465, TlsMode::Tls),
            Self::Yahoo => Server::new("smtp.mail.yahoo.com", 465, TlsMode::Tls),
            Self::Custom => return None,
        })
    }
}

/// When TLS begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// From the first byte (RFC 8314): the default.
    Tls,
    /// After STARTTLS, which is then mandatory.
    StartTls,
}

impl TlsMode {
    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::StartTls => "starttls",
        }
    }

    /// By word, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Tls, Self::StartTls]
            .into_iter()
            .find(|m| m.as_str().eq_ignore_ascii_case(text.trim()))
    }
}

/// Where one lane connects to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// DNS name or IP address; no control characters, at most 253 octets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// When TLS begins.
    pub tls: TlsMode,
    /// How its certificate is judged.
    pub verify: TlsVerify,
}

impl Server {
    /// A server whose certificate must be good.
    pub fn new(host: &str, port: u16, tls: TlsMode) -> Self {
        Self {
            host: host.to_owned(),
            port,
            tls,
            verify: TlsVerify::Full,
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} ({})", self.host, self.port, self.tls.as_str())
    }
}

/// How an account logs in.
#[derive(Clone, Debug)]
pub enum Authentication {
    /// Modern Authentication: the provider's access token by XOAUTH2.
    Modern {
        /// Whose token.
        provider: CloudProviderId,
        /// The IMAP user: the mailbox, also where it is shared ("Username").
        user: String,
        /// Who signed in, where that is not the mailbox itself: the SMTP user of a shared mailbox.
        delegate: Option<String>,
    },
    /// User name and password (or app password).
    Password {
        /// The login name of both lanes.
        user: String,
        /// The password.
        password: SecretString,
    },
}

/// Which mail of the past an account wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backfill {
    /// Only what arrives after the account was added: the default.
    None,
    /// What the server received at this time or later.
    Since(Timestamp),
    /// Everything.
    All,
}

/// The two halves of an account's task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LaneName {
    /// IMAP to store.
    Inbound,
    /// Queue to SMTP.
    Outbound,
}

impl LaneName {
    /// The word used in logs and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

/// What an administrator enters for an account.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// Name for people, 1..=100 characters.
    pub name: String,
    /// Short unique key.
    pub key: AccountKey,
    /// The mailbox address: what goes into From.
    pub address: EmailAddress,
    /// Where new senders are saved.
    pub list: ListId,
    /// Preset.
    pub service: Service,
    /// How to log in.
    pub authentication: Authentication,
    /// Incoming server.
    pub imap: Server,
    /// Outgoing server.
    pub smtp: Server,
    /// How both are reached.
    pub proxy: ProxyChoice,
    /// Which past mail is wanted.
    pub backfill: Backfill,
    /// Which folders are read.
    pub folders: Folders,
}

/// A stored account.
#[derive(Clone, Debug)]
pub struct Account {
    /// Row id.
    pub id: AccountId,
    /// All that was entered.
    pub entered: NewAccount,
    /// An administrator has paused it: neither lane runs.
    pub paused: bool,
    /// Grows by one with each change of the row: a running task with an older one is replaced.
    pub version: i64,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl NewAccount {
    /// The provider whose grant it uses and the name that is expected to have given it, with Modern
    /// Authentication: the delegate, or the user name where there is none.
    pub fn expected_sign_in(&self) -> Option<(CloudProviderId, &str)> {
        match &self.authentication {
            Authentication::Modern {
                provider,
                user,
                delegate,
            } => Some((*provider, delegate.as_deref().unwrap_or(user))),
            Authentication::Password { .. } => None,
        }
    }
}

impl Account {
    /// The IMAP identity: for a shared mailbox the shared address.
    pub fn imap_user(&self) -> &str {
        match &self.entered.authentication {
            Authentication::Modern { user, .. } | Authentication::Password { user, .. } => user,
        }
    }

    /// The SMTP identity: for a shared mailbox the delegate, whose token it is.
    pub fn smtp_user(&self) -> &str {
        match &self.entered.authentication {
            Authentication::Modern { user, delegate, .. } => delegate.as_deref().unwrap_or(user),
            Authentication::Password { user, .. } => user,
        }
    }

    /// What SMTP is told with a token of `owner`: the entered name, or the name in the token where an administrator
    /// confirmed that both are one person. A user name often differs from the address, and Exchange refuses a
    /// token with another name than its owner's (`535 5.7.3`).
    pub fn smtp_user_of<'a>(&'a self, owner: &'a TokenOwner) -> &'a str {
        let entered = self.smtp_user();
        owner.name_confirmed_for(entered).unwrap_or(entered)
    }

    /// The provider whose grant it uses, with Modern Authentication.
    pub fn provider(&self) -> Option<CloudProviderId> {
        match self.entered.authentication {
            Authentication::Modern { provider, .. } => Some(provider),
            Authentication::Password { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_one_to_five_letters_or_digits() {
        assert_eq!(AccountKey::parse("supp1").unwrap().as_str(), "SUPP1");
        for bad in ["", "TOOLONG", "a b", "ä", "a-b"] {
            assert!(AccountKey::parse(bad).is_none(), "{bad:?}");
        }
    }
}
