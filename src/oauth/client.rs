//! Codes and refresh tokens into access tokens: one request, one answer.

use std::{
    borrow::Cow,
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

use futures_util::future::BoxFuture;
use oauth2::{
    AsyncHttpClient, AuthType, AuthorizationCode, Client, ClientId, ClientSecret, EndpointNotSet,
    EndpointSet, HttpRequest, HttpResponse, PkceCodeVerifier, RedirectUrl, RefreshToken,
    RequestTokenError, StandardRevocableToken, TokenResponse, TokenUrl,
    basic::{BasicRevocationErrorResponse, BasicTokenIntrospectionResponse},
};
use secrecy::{ExposeSecret, SecretString};

use crate::model::NewCloudProvider;

use super::{
    OauthError, Refusal,
    endpoints::{endpoints, unusable},
    error::clean,
    identity::Identity,
    transport,
    wire::{RefusalBody, TokenAnswer},
};

/// Longest access or refresh token that is taken: it has to fit a SASL line and a column.
const TOKEN_LIMIT: usize = 32 * 1024;

/// The `oauth2` crate's client with our own answer and refusal, which keep what its own types refuse or drop.
type Wire = Client<
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
    /// HTTP proxy (`http://user:password@host:port`: a secret), never used for this machine itself.
    /// The environment's own proxy variables are not looked at.
    pub proxy: Option<SecretString>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(30),
            timeout: Duration::from_secs(30),
            proxy: None,
        }
    }
}

/// Why there is no client; nothing of the proxy's address is repeated.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The proxy's address is not one.
    #[error("the proxy address is not of the form http://host:port")]
    Proxy,
    /// The TLS library refused the roots or the client's settings.
    #[error("cannot set up the HTTP client: {0}")]
    Http(String),
}

/// What a token endpoint gave.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Opens mailboxes; visible ASCII, at most 32 KiB.
    pub access_token: SecretString,
    /// How long the platform says it lives, 0..=24 h; an hour where it does not say.
    pub expires_in: Duration,
    /// A first or rotated refresh token. `None`: the old one stays good.
    pub refresh_token: Option<SecretString>,
    /// Scopes as granted, space-separated. `None`: as asked.
    pub scopes: Option<String>,
    /// Who signed in, where the answer says so.
    pub identity: Option<Identity>,
}

/// Talks to token endpoints. Cheap to clone; one for the whole process.
#[derive(Clone, Debug)]
pub struct OauthClient {
    http: reqwest::Client,
}

impl OauthClient {
    /// A client that trusts `roots` only. Blocks for some tens of milliseconds (parsing), so: at start.
    ///
    /// # Errors
    /// The proxy's address is none, or the TLS library refuses the settings.
    pub fn new(roots: &[native_tls::Certificate], settings: &Settings) -> Result<Self, SetupError> {
        let mut tls = native_tls::TlsConnector::builder();
        tls.disable_built_in_roots(true)
            .min_protocol_version(Some(native_tls::Protocol::Tlsv12));
        for root in roots {
            tls.add_root_certificate(root.clone());
        }
        let tls = tls
            .build()
            .map_err(|error| SetupError::Http(error.to_string()))?;
        let mut http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(reqwest::redirect::Policy::none())
            // A refresh may not be sent twice by anybody but us.
            .retry(reqwest::retry::never())
            // An idle connection that died would fail a refresh that a fresh one carries.
            .pool_max_idle_per_host(0)
            .http1_only()
            .referer(false)
            .no_proxy()
            .connect_timeout(settings.connect_timeout)
            .timeout(settings.timeout)
            .user_agent(concat!("motion-email/", env!("CARGO_PKG_VERSION")));
        if let Some(proxy) = &settings.proxy {
            let this_machine = reqwest::NoProxy::from_string("localhost,127.0.0.0/8,::1");
            let proxy = reqwest::Proxy::all(proxy.expose_secret())
                .map_err(|_| SetupError::Proxy)?
                .no_proxy(this_machine);
            http = http.proxy(proxy);
        }
        let http = http
            .build()
            .map_err(|error| SetupError::Http(error.to_string()))?;
        Ok(Self { http })
    }

    pub(super) fn http(&self) -> &reqwest::Client {
        &self.http
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
        code: &SecretString,
        verifier: &SecretString,
        redirect_uri: &str,
    ) -> Result<Answer, OauthError> {
        let redirect = RedirectUrl::new(redirect_uri.trim().to_owned())
            .map_err(|error| unusable("redirect URI", &error.to_string()))?;
        let wire = wire(provider)?;
        let line = self.line();
        let found = wire
            .exchange_code(AuthorizationCode::new(code.expose_secret().to_owned()))
            .set_pkce_verifier(PkceCodeVerifier::new(verifier.expose_secret().to_owned()))
            .set_redirect_uri(Cow::Owned(redirect))
            .request_async(&line)
            .await;
        let status = line.status();
        let found = found.map_err(|error| plain(error, status))?;
        let identity = found
            .id_token()
            .map(|token| Identity::read(token.expose_secret(), provider))
            .transpose()
            .map_err(|what| nonsense(status, what))?;
        answer(&found, identity, status)
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
        refresh_token: &SecretString,
    ) -> Result<Answer, OauthError> {
        let wire = wire(provider)?;
        let refresh_token = RefreshToken::new(refresh_token.expose_secret().to_owned());
        let line = self.line();
        let found = wire
            .exchange_refresh_token(&refresh_token)
            .request_async(&line)
            .await;
        let status = line.status();
        let found = found.map_err(|error| plain(error, status))?;
        let identity = found
            .id_token()
            .and_then(|token| Identity::read(token.expose_secret(), provider).ok());
        answer(&found, identity, status)
    }

    fn line(&self) -> Line<'_> {
        Line {
            http: &self.http,
            status: AtomicU16::new(0),
        }
    }
}

/// One request's way out. `oauth2` does not pass the HTTP status on in its errors, so it is noted here.
struct Line<'a> {
    http: &'a reqwest::Client,
    status: AtomicU16,
}

impl Line<'_> {
    fn status(&self) -> u16 {
        self.status.load(Ordering::Relaxed)
    }
}

impl<'c> AsyncHttpClient<'c> for Line<'_> {
    type Error = OauthError;
    type Future = BoxFuture<'c, Result<HttpResponse, OauthError>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move {
            let response = transport::send(self.http, request).await?;
            let status = response.status().as_u16();
            self.status.store(status, Ordering::Relaxed);
            Ok(response)
        })
    }
}

fn wire(provider: &NewCloudProvider) -> Result<Wire, OauthError> {
    let endpoints = endpoints(provider)?;
    let secret = provider.client_secret.expose_secret();
    let mut wire = Client::new(ClientId::new(provider.application_id.trim().to_owned()))
        // Both platforms take the secret in the body; oauth2's default is HTTP Basic.
        .set_auth_type(AuthType::RequestBody)
        .set_token_uri(TokenUrl::from_url(endpoints.token));
    if !secret.is_empty() {
        wire = wire.set_client_secret(ClientSecret::new(secret.to_owned()));
    }
    Ok(wire)
}

/// Checks the secrets of an answer and takes them out.
fn answer(
    found: &TokenAnswer,
    identity: Option<Identity>,
    status: u16,
) -> Result<Answer, OauthError> {
    if !found.is_bearer() {
        return Err(nonsense(status, "the token is not a bearer token"));
    }
    let access_token = found.access_token().secret();
    // RFC 6750 §2.1: a bearer token has no spaces; a control character would end the SASL message early.
    if access_token.is_empty() || !access_token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(nonsense(
            status,
            "the access token has characters that no token may have",
        ));
    }
    let refresh_token = found.refresh_token().map(RefreshToken::secret);
    // RFC 6749 appendix A.17: visible ASCII and space.
    if refresh_token.is_some_and(|token| !token.bytes().all(|b| (0x20..=0x7e).contains(&b))) {
        return Err(nonsense(
            status,
            "the refresh token has characters that no token may have",
        ));
    }
    if access_token.len().max(refresh_token.map_or(0, String::len)) > TOKEN_LIMIT {
        return Err(nonsense(status, "a token is longer than 32 KiB"));
    }
    Ok(Answer {
        access_token: access_token.clone().into(),
        expires_in: found.lifetime(),
        refresh_token: refresh_token.map(|token| token.clone().into()),
        scopes: found.scope_text().map(|scopes| clean(&scopes)),
        identity,
    })
}

fn nonsense(status: u16, what: &str) -> OauthError {
    OauthError::Nonsense {
        status,
        what: what.to_owned(),
    }
}

/// Our error for `oauth2`'s. Its `Parse` carries the raw body, which may hold tokens: only where in the
/// JSON it stumbled is kept (I8).
fn plain(error: RequestTokenError<OauthError, RefusalBody>, status: u16) -> OauthError {
    match error {
        RequestTokenError::Request(error) => error,
        RequestTokenError::ServerResponse(body) => OauthError::Refused(Box::new(Refusal {
            status,
            error: clean(&body.error),
            description: clean(body.error_description.as_deref().unwrap_or_default()),
            codes: body.error_codes.unwrap_or_default(),
            suberror: body.suberror.as_deref().map(clean),
            trace_id: body.trace_id.as_deref().map(clean),
            correlation_id: body.correlation_id.as_deref().map(clean),
        })),
        RequestTokenError::Parse(error, _) => {
            let inner = error.inner();
            let place = (inner.line(), inner.column());
            nonsense(
                status,
                &format!(
                    "not the JSON of a token answer (line {}, column {})",
                    place.0, place.1
                ),
            )
        }
        // Its texts are fixed, but one repeats the content type.
        RequestTokenError::Other(what) => nonsense(status, &clean(&what)),
    }
}
