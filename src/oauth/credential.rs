//! What a request proves the application with.

use oauth2::ClientSecret;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::model::{ClientCertificate, CloudService, CredentialKind, NewCloudProvider, Timestamp};

use super::{OauthError, certificate::client_assertion, endpoints::unusable, error::CERTIFICATE};

/// RFC 7523 §2.2.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The credential of one request; `Debug` prints no secret.
#[derive(Clone, Copy, Debug)]
pub enum Credential<'a> {
    /// The client secret.
    Secret(&'a SecretString),
    /// The secret that waits beside the first; sent in the same way.
    SecondSecret(&'a SecretString),
    /// A certificate, with whose key a client assertion is signed (RFC 7523 §2.2). Microsoft only.
    Certificate(&'a ClientCertificate),
    /// None: the application is a public client.
    None,
}

impl<'a> Credential<'a> {
    /// The provider's credential of this kind; `None` where it has none of it.
    pub fn of(provider: &'a NewCloudProvider, kind: CredentialKind) -> Self {
        match kind {
            CredentialKind::Certificate => provider
                .certificate
                .as_ref()
                .map_or(Self::None, Self::Certificate),
            CredentialKind::FirstSecret => Self::Secret(&provider.client_secret),
            CredentialKind::SecondSecret => Self::SecondSecret(&provider.second_secret),
        }
    }

    /// The one that the provider's requests use first.
    pub fn first(provider: &'a NewCloudProvider) -> Self {
        provider
            .credentials()
            .first()
            .map_or(Self::None, |kind| Self::of(provider, *kind))
    }

    /// Whether nothing is proved with it: none, or an empty secret.
    pub fn is_none(&self) -> bool {
        match self {
            Self::Secret(secret) | Self::SecondSecret(secret) => secret.expose_secret().is_empty(),
            Self::Certificate(_) => false,
            Self::None => true,
        }
    }

    /// The form's field for a secret.
    pub(super) fn secret(&self) -> Option<ClientSecret> {
        match self {
            Self::Secret(secret) | Self::SecondSecret(secret) if !self.is_none() => {
                Some(ClientSecret::new(secret.expose_secret().to_owned()))
            }
            _ => None,
        }
    }

    /// The form's fields for a certificate; the assertion is made for this one request.
    pub(super) fn assertion(
        &self,
        provider: &NewCloudProvider,
        audience: &Url,
        now: Timestamp,
    ) -> Result<Vec<(&'static str, String)>, OauthError> {
        let Self::Certificate(certificate) = self else {
            return Ok(Vec::new());
        };
        if provider.service == CloudService::Google {
            return Err(unusable(
                CERTIFICATE,
                "Google takes a client secret in its place",
            ));
        }
        let application = provider.application_id.trim();
        let assertion = client_assertion(certificate, application, audience, now)
            .map_err(|error| unusable(CERTIFICATE, &error.to_string()))?;
        Ok(vec![
            ("client_assertion_type", ASSERTION_TYPE.to_owned()),
            ("client_assertion", assertion.expose_secret().to_owned()),
        ])
    }
}
