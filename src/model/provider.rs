//! Cloud providers (app registrations) and the grants that people gave them by signing in.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

use super::{CloudProviderId, Person, ProxyChoice, Timestamp};

/// Whose identity platform it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloudService {
    /// Microsoft Entra ("Microsoft Azure" in the product), type Outlook365.
    MicrosoftAzure,
    /// Google, type Gmail.
    Google,
}

impl CloudService {
    /// The product's name of the service, as the API shows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MicrosoftAzure => "Microsoft Azure",
            Self::Google => "Google",
        }
    }

    /// The product's name of the type.
    pub fn kind(self) -> &'static str {
        match self {
            Self::MicrosoftAzure => "Outlook365",
            Self::Google => "Gmail",
        }
    }

    /// The word in the OAuth callback path.
    pub fn slug(self) -> &'static str {
        match self {
            Self::MicrosoftAzure => "microsoft",
            Self::Google => "google",
        }
    }

    /// Accepts the product's name, the type and the slug, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::MicrosoftAzure, Self::Google]
            .into_iter()
            .find(|service| {
                [service.as_str(), service.kind(), service.slug()]
                    .iter()
                    .any(|name| name.eq_ignore_ascii_case(text.trim()))
            })
    }
}

impl fmt::Display for CloudService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which of Microsoft's clouds the app is registered in; a preset for hosts. Google has one only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cloud {
    /// The public cloud (and GCC): the default.
    #[default]
    Worldwide,
    /// United States government, GCC High (L4).
    GccHigh,
    /// United States Department of Defense (L5).
    Dod,
    /// China, operated by 21Vianet.
    China,
}

impl Cloud {
    const ALL: [Self; 4] = [Self::Worldwide, Self::GccHigh, Self::Dod, Self::China];

    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Worldwide => "worldwide",
            Self::GccHigh => "gcc_high",
            Self::Dod => "dod",
            Self::China => "china",
        }
    }

    /// By word, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|cloud| cloud.as_str().eq_ignore_ascii_case(text.trim()))
    }
}

/// In whose name mailboxes are opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Of the person who signed in: the default.
    #[default]
    Delegated,
    /// Of the application itself (client credentials, RFC 6749 §4.4): nobody signs in, there is no refresh token.
    Application,
}

impl Access {
    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delegated => "delegated",
            Self::Application => "application",
        }
    }

    /// By word, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Delegated, Self::Application]
            .into_iter()
            .find(|access| access.as_str().eq_ignore_ascii_case(text.trim()))
    }
}

/// What an application proves itself with in place of a client secret (RFC 7523).
#[derive(Clone, Debug)]
pub struct ClientCertificate {
    /// The certificate as uploaded to the app registration, PEM.
    pub certificate: String,
    /// Its private key, PEM.
    pub private_key: SecretString,
}

/// What an application can prove itself with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialKind {
    /// Its certificate.
    Certificate,
    /// Its client secret.
    FirstSecret,
    /// The secret that waits beside the first.
    SecondSecret,
}

/// What an administrator enters for a cloud provider.
#[derive(Clone, Debug)]
pub struct NewCloudProvider {
    /// Unique name for people, 1..=100 characters.
    pub name: String,
    /// Microsoft or Google.
    pub service: CloudService,
    /// Which cloud of the service.
    pub cloud: Cloud,
    /// In whose name.
    pub access: Access,
    /// "Application (client) ID".
    pub application_id: String,
    /// Tenant id or verified domain; `common`, `organizations`, `consumers`. Empty for Google.
    pub tenant_id: String,
    /// Client secret, write-only; may be empty where there is a certificate.
    pub client_secret: SecretString,
    /// When the platform will stop taking it, as the administrator read it there.
    pub client_secret_expires_at: Option<Timestamp>,
    /// Used when the first is refused, write-only; empty: none.
    pub second_secret: SecretString,
    /// When the platform will stop taking the second.
    pub second_secret_expires_at: Option<Timestamp>,
    /// Used in place of the secrets.
    pub certificate: Option<ClientCertificate>,
    /// Used for both authorize and token, never taken from a request header.
    pub redirect_uri: String,
    /// Identity platform base URL where it is not the service's own (national clouds, tests).
    pub authority: Option<String>,
    /// Base URL of the mail scopes where it is not the service's own, e.g. `https://outlook.office.com`.
    pub scope_host: Option<String>,
    /// How its identity platform is reached.
    pub proxy: ProxyChoice,
}

impl NewCloudProvider {
    /// Delegated access in the worldwide cloud, and nothing entered yet but these.
    pub fn new(name: &str, service: CloudService, application_id: &str) -> Self {
        Self {
            name: name.to_owned(),
            service,
            cloud: Cloud::default(),
            access: Access::default(),
            application_id: application_id.to_owned(),
            tenant_id: String::new(),
            client_secret: SecretString::default(),
            client_secret_expires_at: None,
            second_secret: SecretString::default(),
            second_secret_expires_at: None,
            certificate: None,
            redirect_uri: String::new(),
            authority: None,
            scope_host: None,
            proxy: ProxyChoice::Process,
        }
    }

    /// Whether what was granted to the one is the other's too.
    pub fn is_same_application(&self, other: &Self) -> bool {
        let of = |entered: &Self| {
            (
                entered.application_id.clone(),
                entered.tenant_id.clone(),
                entered.cloud,
                entered.authority.clone(),
            )
        };
        of(self) == of(other)
    }

    /// What can be proved with, in order of use. Empty: the application is a public client.
    pub fn credentials(&self) -> Vec<CredentialKind> {
        let entered = |secret: &SecretString| !secret.expose_secret().is_empty();
        [
            (CredentialKind::Certificate, self.certificate.is_some()),
            (CredentialKind::FirstSecret, entered(&self.client_secret)),
            (CredentialKind::SecondSecret, entered(&self.second_secret)),
        ]
        .into_iter()
        .filter_map(|(kind, there)| there.then_some(kind))
        .collect()
    }
}

/// A stored cloud provider.
#[derive(Clone, Debug)]
pub struct CloudProvider {
    /// Row id.
    pub id: CloudProviderId,
    /// All that was entered.
    pub entered: NewCloudProvider,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// Where a provider's grant stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantState {
    /// Nobody has signed in yet.
    Missing,
    /// Usable: there is a refresh token.
    Ok,
    /// A refresh was begun (its id is in the row) and its result is not recorded yet.
    Refreshing,
    /// The platform refuses the grant: a person has to sign in again.
    NeedsSignIn,
}

impl GrantState {
    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Ok => "ok",
            Self::Refreshing => "refreshing",
            Self::NeedsSignIn => "needs_sign_in",
        }
    }

    /// From the stored word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Missing, Self::Ok, Self::Refreshing, Self::NeedsSignIn]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// The grant of one cloud provider: refresh token and what came with it.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The provider it belongs to; one grant each.
    pub provider: CloudProviderId,
    /// Where it stands.
    pub state: GrantState,
    /// Grows by one with each stored set of tokens; refreshes compare and set it (I3).
    pub version: i64,
    /// The newest access token, if any.
    pub access_token: Option<SecretString>,
    /// When the access token expires.
    pub access_expires_at: Option<Timestamp>,
    /// The newest refresh token, if any.
    pub refresh_token: Option<SecretString>,
    /// Id of the refresh in flight, when `Refreshing`.
    pub attempt: Option<String>,
    /// When that refresh began.
    pub attempt_started_at: Option<Timestamp>,
    /// User name (UPN) of the person who signed in, from the id token.
    pub signed_in_as: Option<String>,
    /// The directory (tenant) of that person: with the object id, the identity the grant is pinned to.
    pub tenant_id: Option<String>,
    /// The directory's id of that person; stays when they are renamed.
    pub object_id: Option<String>,
    /// Names that accounts expect and for which an administrator confirmed that person.
    pub confirmed_for: Vec<String>,
    /// When that person signed in.
    pub signed_in_at: Option<Timestamp>,
    /// When the platform last gave tokens for it: the idle limit counts from here.
    pub refreshed_at: Option<Timestamp>,
    /// Scopes actually granted, space-separated.
    pub scopes: Option<String>,
    /// Why a person must sign in again: the platform's own words.
    pub reason: Option<String>,
    /// When the row last changed.
    pub updated_at: Timestamp,
}

/// Whose an access token is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenOwner {
    /// By the platform's word (UPN); `None` where it gave none, as for an application's own access.
    pub user_name: Option<String>,
    /// Names that accounts expect and for which an administrator confirmed that person.
    pub confirmed_for: Vec<String>,
}

impl TokenOwner {
    /// The owner's name, where an administrator confirmed them for somebody entered as `expected`.
    pub fn name_confirmed_for(&self, expected: &str) -> Option<&str> {
        let mut confirmed = self.confirmed_for.iter();
        let is_confirmed = confirmed.any(|name| name.eq_ignore_ascii_case(expected));
        self.user_name.as_deref().filter(|_| is_confirmed)
    }
}

impl Grant {
    /// Whose its tokens are.
    pub fn owner(&self) -> TokenOwner {
        TokenOwner {
            user_name: self.signed_in_as.clone(),
            confirmed_for: self.confirmed_for.clone(),
        }
    }

    /// Whose it is; `None` before the first sign-in.
    pub fn person(&self) -> Option<Person> {
        let person = Person {
            user_name: self.signed_in_as.clone(),
            tenant_id: self.tenant_id.clone(),
            object_id: self.object_id.clone(),
        };
        (person != Person::default()).then_some(person)
    }
}

/// Tokens as a token endpoint gave them, ready to be stored.
#[derive(Clone, Debug)]
pub struct NewTokens {
    /// The access token.
    pub access_token: SecretString,
    /// When it expires, by our clock.
    pub access_expires_at: Timestamp,
    /// A rotated (or first) refresh token; `None`: keep the old one.
    pub refresh_token: Option<SecretString>,
    /// Scopes as granted, when the answer named them.
    pub scopes: Option<String>,
    /// User name from the id token, when there was one.
    pub signed_in_as: Option<String>,
    /// Tenant from the id token, when there was one.
    pub tenant_id: Option<String>,
    /// Object id from the id token, when there was one.
    pub object_id: Option<String>,
}

impl NewTokens {
    /// Who gave them, as far as the platform says.
    pub fn person(&self) -> Person {
        Person {
            user_name: self.signed_in_as.clone(),
            tenant_id: self.tenant_id.clone(),
            object_id: self.object_id.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_stands_for_another_name_only_where_that_was_confirmed() {
        for (user_name, confirmed, expected, known_as) in [
            (None, vec![], "lead@x.test", None),
            (None, vec!["lead@x.test"], "lead@x.test", None),
            (Some("l.ead@x.test"), vec![], "lead@x.test", None),
            (
                Some("l.ead@x.test"),
                vec!["other@x.test"],
                "lead@x.test",
                None,
            ),
            (
                Some("l.ead@x.test"),
                vec!["other@x.test", "Lead@x.test"],
                "lead@x.test",
                Some("l.ead@x.test"),
            ),
        ] {
            let owner = TokenOwner {
                user_name: user_name.map(str::to_owned),
                confirmed_for: confirmed.into_iter().map(str::to_owned).collect(),
            };
            assert_eq!(owner.name_confirmed_for(expected), known_as, "{owner:?}");
        }
    }
}
