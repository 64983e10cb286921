//! What a token endpoint gave, checked before it leaves this module.

use std::time::Duration;

use oauth2::{RefreshToken, TokenResponse};
use secrecy::{ExposeSecret, SecretString};

use crate::model::NewCloudProvider;

use super::{
    OauthError,
    error::{clean, nonsense},
    identity::Identity,
    wire::TokenAnswer,
};

/// Longest access or refresh token that is taken: it has to fit a SASL line and a column.
const TOKEN_LIMIT: usize = 32 * 1024;

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

/// The answer with who signed in, who must be known: for the end of a sign-in.
pub(super) fn signed_in(
    found: &TokenAnswer,
    provider: &NewCloudProvider,
    status: u16,
) -> Result<Answer, OauthError> {
    let identity = found
        .id_token()
        .map(|token| Identity::read(token.expose_secret(), provider))
        .transpose()
        .map_err(|what| nonsense(status, what))?;
    answer(found, identity, status)
}

/// Checks the secrets of an answer and takes them out.
pub(super) fn answer(
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
