//! The leg through the browser: the address a person is sent to, and what is checked when they come back. Pure.

use std::borrow::Cow;

use oauth2::{
    AuthUrl, ClientId, CsrfToken, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope,
    basic::BasicClient,
};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::model::{Access, CloudService, NewCloudProvider};

use super::{
    OauthError,
    endpoints::{NOBODY_SIGNS_IN, endpoints, is_loopback, unusable},
};

/// Bytes of randomness in a state: 256 bits, above the 128 that RFC 9700 asks for.
const STATE_BYTES: u32 = 32;

/// The two secrets of one sign-in: the state that comes back through the browser, and the PKCE verifier
/// that never leaves us before the code is redeemed (RFC 7636 §4.1).
#[derive(Clone, Debug)]
pub struct SignInSecrets {
    /// 43 characters, 256 random bits.
    pub state: SecretString,
    /// 43 characters, 256 random bits.
    pub verifier: SecretString,
}

impl SignInSecrets {
    /// Fresh ones from the system's generator.
    pub fn random() -> Self {
        let (_, verifier) = PkceCodeChallenge::new_random_sha256();
        Self {
            state: CsrfToken::new_random_len(STATE_BYTES).into_secret().into(),
            verifier: verifier.into_secret().into(),
        }
    }
}

/// The address of the platform's sign-in page for this provider.
///
/// Microsoft's account picker is always shown, since otherwise the browser's current user is signed in
/// silently; Google is asked for consent each time, since otherwise it gives no refresh token.
///
/// # Errors
/// [`OauthError::Configuration`]: the provider cannot be used as entered, has no redirect URI, or has
/// application access, where nobody signs in.
pub fn authorize_url(
    provider: &NewCloudProvider,
    secrets: &SignInSecrets,
    login_hint: Option<&str>,
) -> Result<Url, OauthError> {
    let endpoints = endpoints(provider)?;
    if provider.access == Access::Application {
        return Err(unusable("access", NOBODY_SIGNS_IN));
    }
    if endpoints.redirect.is_none() {
        return Err(unusable("redirect URI", "it is empty"));
    }
    let verifier = PkceCodeVerifier::new(secrets.verifier.expose_secret().to_owned());
    let state = CsrfToken::new(secrets.state.expose_secret().to_owned());
    // The redirect URI goes out as entered: platforms compare it letter by letter.
    let redirect = RedirectUrl::new(provider.redirect_uri.trim().to_owned())
        .map_err(|error| unusable("redirect URI", &error.to_string()))?;
    let client = BasicClient::new(ClientId::new(provider.application_id.trim().to_owned()))
        .set_auth_uri(AuthUrl::from_url(endpoints.authorize));
    let mut request = client
        .authorize_url(|| state)
        .set_redirect_uri(Cow::Owned(redirect))
        .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
        .add_scopes(endpoints.scopes.into_iter().map(Scope::new));
    request = match provider.service {
        CloudService::MicrosoftAzure => request.add_extra_param("prompt", "select_account"),
        CloudService::Google => request
            .add_extra_param("access_type", "offline")
            .add_extra_param("prompt", "consent"),
    };
    if let Some(hint) = login_hint {
        request = request.add_extra_param("login_hint", hint.to_owned());
    }
    Ok(request.url().0)
}

/// Whether the `iss` of an answer (RFC 9207) can be this provider's platform: the same host, the same
/// scheme and port too unless it is this machine.
pub fn issuer_matches(provider: &NewCloudProvider, issuer: &str) -> bool {
    let (Ok(endpoints), Ok(issuer)) = (endpoints(provider), Url::parse(issuer)) else {
        return false;
    };
    let ours = &endpoints.authorize;
    match (ours.host(), issuer.host()) {
        (Some(host), Some(theirs)) if is_loopback(&host) => host == theirs,
        _ => ours.origin() == issuer.origin(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use base64::prelude::*;
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::oauth::endpoints::example_provider;

    fn query(url: &Url) -> HashMap<String, String> {
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let query: HashMap<String, String> = pairs.iter().cloned().collect();
        assert_eq!(query.len(), pairs.len(), "a parameter is given twice");
        query
    }

    #[test]
    fn the_sign_in_page_is_asked_with_pkce_state_and_the_registered_redirect_uri() {
        let provider = example_provider(CloudService::MicrosoftAzure);
        let secrets = SignInSecrets::random();
        let url = authorize_url(&provider, &secrets, Some("andrea@contoso.example")).unwrap();
        let query = query(&url);
        assert_eq!(query["response_type"], "code");
        assert_eq!(query["client_id"], "app-1");
        assert_eq!(query["redirect_uri"], provider.redirect_uri);
        assert_eq!(query["state"], secrets.state.expose_secret());
        assert_eq!(query["prompt"], "select_account");
        // Left to the platform's default for codes, the query.
        assert!(!query.contains_key("response_mode"));
        assert_eq!(query["login_hint"], "andrea@contoso.example");
        assert_eq!(query["code_challenge_method"], "S256");
        // RFC 7636 §4.2.
        let digest = Sha256::digest(secrets.verifier.expose_secret().as_bytes());
        assert_eq!(
            query["code_challenge"],
            BASE64_URL_SAFE_NO_PAD.encode(digest)
        );
        assert!(!url.as_str().contains(secrets.verifier.expose_secret()));
        assert!(!url.as_str().contains("s3cret"));
    }

    #[test]
    fn google_is_asked_for_a_refresh_token_each_time() {
        let provider = example_provider(CloudService::Google);
        let query = query(&authorize_url(&provider, &SignInSecrets::random(), None).unwrap());
        assert_eq!(query["access_type"], "offline");
        assert_eq!(query["prompt"], "consent");
        assert_eq!(query["code_challenge_method"], "S256");
        assert!(!query.contains_key("login_hint"));
    }

    #[test]
    fn nobody_is_sent_away_without_a_way_back_or_a_part_to_play() {
        let field = |change: fn(&mut NewCloudProvider)| {
            let mut provider = example_provider(CloudService::MicrosoftAzure);
            change(&mut provider);
            match authorize_url(&provider, &SignInSecrets::random(), None) {
                Err(OauthError::Configuration { field, .. }) => field,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(field(|p| p.redirect_uri = " ".into()), "redirect URI");
        assert_eq!(field(|p| p.access = Access::Application), "access");
    }

    #[test]
    fn secrets_have_256_bits_and_differ() {
        let (first, second) = (SignInSecrets::random(), SignInSecrets::random());
        for secret in [&first.state, &first.verifier, &second.state] {
            let bytes = BASE64_URL_SAFE_NO_PAD
                .decode(secret.expose_secret())
                .unwrap();
            assert_eq!(bytes.len(), 32);
        }
        assert_ne!(first.state.expose_secret(), second.state.expose_secret());
        assert_ne!(
            first.verifier.expose_secret(),
            second.verifier.expose_secret()
        );
        assert!(!format!("{first:?}").contains(first.state.expose_secret()));
    }

    #[test]
    fn an_answer_of_another_issuer_is_noticed() {
        let microsoft = example_provider(CloudService::MicrosoftAzure);
        assert!(issuer_matches(
            &microsoft,
            "https://login.microsoftonline.com/1111/v2.0"
        ));
        assert!(!issuer_matches(&microsoft, "https://accounts.google.com"));
        assert!(!issuer_matches(
            &microsoft,
            "https://login.microsoftonline.com.evil.example/1111"
        ));
        assert!(!issuer_matches(
            &microsoft,
            "http://login.microsoftonline.com/1111/v2.0"
        ));
        assert!(!issuer_matches(&microsoft, "garbage"));
        let google = example_provider(CloudService::Google);
        assert!(issuer_matches(&google, "https://accounts.google.com"));
    }
}
