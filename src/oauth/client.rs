//! Codes, refresh tokens and the application's own credential into access tokens: one request, one answer.

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use oauth2::{
    AuthType, AuthorizationCode, Client, ClientId, EndpointNotSet, EndpointSet, PkceCodeVerifier,
    RedirectUrl, RefreshToken, Scope, StandardRevocableToken, TokenUrl,
    basic::{BasicRevocationErrorResponse, BasicTokenIntrospectionResponse},
};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    model::{Access, Clock, CloudProviderId, NewCloudProvider, SystemClock},
    net::Net,
    transcript::{Recorder, Transcripts},
};

use super::{
    Answer, Credential, Endpoints, OauthError,
    answer::{answer, signed_in},
    endpoints::{endpoints, unusable},
    identity::Identity,
    line::Line,
    way::{Way, Ways},
    wire::{RefusalBody, TokenAnswer},
};

/// The `oauth2` crate's client with our own answer and refusal, which keep what its own types refuse or drop.
pub(super) type Wire = Client<
    RefusalBody,
    TokenAnswer,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

/// What requests to token endpoints have to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Bound of resolving, connecting and the TLS handshake.
    pub connect_timeout: Duration,
    /// Bound of a whole request, from resolving to the last byte of the answer.
    pub timeout: Duration,
    /// Proxy (`http://user:password@host:port` or `socks5h://…`: a secret), never used for this machine
    /// itself. The environment's own proxy variables are not looked at.
    pub proxy: Option<SecretString>,
    /// Hosts, domains and addresses that it is not used for either.
    pub no_proxy: Vec<String>,
    /// Whose address guard every platform has to pass. `None`: any address, for tests.
    pub guard: Option<Net>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(30),
            timeout: Duration::from_secs(30),
            proxy: None,
            no_proxy: Vec::new(),
            guard: None,
        }
    }
}

/// Why there is no client; nothing of the proxy's address is repeated.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The proxy's address is not one.
    #[error("the proxy address is not of the form http://host:port or socks5://host:port")]
    Proxy,
    /// The TLS library refused the roots or the client's settings.
    #[error("cannot set up the HTTP client: {0}")]
    Http(String),
}

/// Talks to token endpoints. Cheap to clone; one for the whole process.
#[derive(Clone)]
pub struct OauthClient {
    ways: Ways,
    clock: Arc<dyn Clock>,
    transcripts: Option<Transcripts>,
    recorder: Recorder,
    guard: Option<Net>,
}

impl fmt::Debug for OauthClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OauthClient").finish_non_exhaustive()
    }
}

impl OauthClient {
    /// A client that trusts `roots` only. Blocks for some tens of milliseconds (parsing), so: at start.
    ///
    /// # Errors
    /// The proxy's address is none, or the TLS library refuses the settings.
    pub fn new(roots: &[native_tls::Certificate], settings: &Settings) -> Result<Self, SetupError> {
        Ok(Self {
            ways: Ways::new(roots, settings)?,
            clock: Arc::new(SystemClock),
            transcripts: None,
            recorder: Recorder::off(),
            guard: settings.guard.clone(),
        })
    }

    /// The same client with another clock than the machine's, which dates client assertions.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The same client, its exchanges kept by `transcripts`.
    #[must_use]
    pub fn recorded_by(mut self, transcripts: &Transcripts) -> Self {
        self.transcripts = Some(transcripts.clone());
        self
    }

    /// The same client for one provider's requests, whose exchanges are kept in that provider's transcript.
    #[must_use]
    pub fn of(&self, provider: CloudProviderId) -> Self {
        let mut client = self.clone();
        if let Some(transcripts) = &self.transcripts {
            client.recorder = transcripts.provider(provider);
        }
        client
    }

    /// Redeems the code that a person brought back (RFC 6749 §4.1.3, RFC 7636 §4.5). `verifier` and
    /// `redirect_uri` are the ones of the request that sent the person away.
    ///
    /// # Errors
    /// See [`OauthError`]; also when the id token is not for this application or tenant.
    /// If the future is dropped the code may be spent.
    pub async fn exchange_code(
        &self,
        provider: &NewCloudProvider,
        credential: Credential<'_>,
        code: &SecretString,
        verifier: &SecretString,
        redirect_uri: &str,
    ) -> Result<Answer, OauthError> {
        let redirect = RedirectUrl::new(redirect_uri.trim().to_owned())
            .map_err(|error| unusable("redirect URI", &error.to_string()))?;
        let endpoints = endpoints(provider)?;
        let proof = self.proof(provider, credential, &endpoints)?;
        let (wire, line) = (wire(provider, credential, endpoints), self.line(provider)?);
        let mut request = wire
            .exchange_code(AuthorizationCode::new(code.expose_secret().to_owned()))
            .set_pkce_verifier(PkceCodeVerifier::new(verifier.expose_secret().to_owned()))
            .set_redirect_uri(Cow::Owned(redirect));
        for (name, value) in proof {
            request = request.add_extra_param(name, value);
        }
        let found = request.request_async(&line).await;
        let found = found.map_err(|error| line.plain(error))?;
        signed_in(&found, provider, line.status())
    }

    /// A new access token for a refresh token (RFC 6749 §6), with the scopes that were granted.
    ///
    /// An id token in the answer is looked at but refuses nothing: the rotated refresh token beside it
    /// must not be lost.
    ///
    /// # Errors
    /// See [`OauthError`]. If the future is dropped the platform may have rotated the refresh token.
    pub async fn refresh(
        &self,
        provider: &NewCloudProvider,
        credential: Credential<'_>,
        refresh_token: &SecretString,
    ) -> Result<Answer, OauthError> {
        let endpoints = endpoints(provider)?;
        let proof = self.proof(provider, credential, &endpoints)?;
        let (wire, line) = (wire(provider, credential, endpoints), self.line(provider)?);
        let refresh_token = RefreshToken::new(refresh_token.expose_secret().to_owned());
        let mut request = wire.exchange_refresh_token(&refresh_token);
        for (name, value) in proof {
            request = request.add_extra_param(name, value);
        }
        let found = request.request_async(&line).await;
        let found = found.map_err(|error| line.plain(error))?;
        let identity = found
            .id_token()
            .and_then(|token| Identity::read(token.expose_secret(), provider).ok());
        answer(&found, identity, line.status())
    }

    /// An access token for the application itself (RFC 6749 §4.4), with all that its tenant's administrator
    /// consented to. There is nobody's identity in the answer and never a refresh token (§4.4.3): the next
    /// access token is asked for in the same way.
    ///
    /// # Errors
    /// See [`OauthError`]; before any request where the provider has delegated access, no tenant of its
    /// own, or no credential, and always for Google. Dropping the future changes nothing.
    pub async fn client_credentials(
        &self,
        provider: &NewCloudProvider,
        credential: Credential<'_>,
    ) -> Result<Answer, OauthError> {
        let endpoints = endpoints(provider)?;
        if provider.access != Access::Application {
            return Err(unusable("access", "it is delegated: somebody signs in"));
        }
        if credential.is_none() {
            return Err(unusable(
                "client secret",
                "an application that signs in by itself needs a client secret or a certificate",
            ));
        }
        let proof = self.proof(provider, credential, &endpoints)?;
        let scopes = endpoints.scopes.clone().into_iter().map(Scope::new);
        let (wire, line) = (wire(provider, credential, endpoints), self.line(provider)?);
        let mut request = wire.exchange_client_credentials().add_scopes(scopes);
        for (name, value) in proof {
            request = request.add_extra_param(name, value);
        }
        let found = request.request_async(&line).await;
        let found = found.map_err(|error| line.plain(error))?;
        Ok(Answer {
            refresh_token: None,
            ..answer(&found, None, line.status())?
        })
    }

    /// The form's fields of a client assertion, where the credential is a certificate.
    pub(super) fn proof(
        &self,
        provider: &NewCloudProvider,
        credential: Credential<'_>,
        endpoints: &Endpoints,
    ) -> Result<Vec<(&'static str, String)>, OauthError> {
        credential.assertion(provider, &endpoints.token, self.clock.now())
    }

    /// The way to the provider's platform.
    pub(super) fn way(&self, provider: &NewCloudProvider) -> Result<Way, OauthError> {
        self.ways.of(provider)
    }

    /// The way out for one request.
    pub(super) fn line(&self, provider: &NewCloudProvider) -> Result<Line<'_>, OauthError> {
        Ok(Line::new(
            self.way(provider)?,
            &self.recorder,
            self.guard.as_ref(),
            provider.service,
        ))
    }
}

/// `oauth2`'s client for one request.
pub(super) fn wire(
    provider: &NewCloudProvider,
    credential: Credential<'_>,
    endpoints: Endpoints,
) -> Wire {
    let wire = Client::new(ClientId::new(provider.application_id.trim().to_owned()))
        // Both platforms take the secret in the body; oauth2's default is HTTP Basic.
        .set_auth_type(AuthType::RequestBody)
        .set_token_uri(TokenUrl::from_url(endpoints.token));
    match credential.secret() {
        Some(secret) => wire.set_client_secret(secret),
        None => wire,
    }
}
