//! Who signed in, from the id token.
//!
//! The signature is not checked: the token came straight from the token endpoint over TLS, which OpenID
//! Connect Core 1.0 §3.1.3.7 item 6 accepts in its place. What it says is compared all the same.

use base64::prelude::*;
use serde::Deserialize;

use crate::model::{CloudService, NewCloudProvider};

use super::error::clean;

/// The person (or service account) behind a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// User name (UPN) or address, for people and for comparing with an account's delegate.
    pub user_name: String,
    /// The directory's id of the person; does not change when they are renamed.
    pub object_id: Option<String>,
    /// The directory (tenant) they signed in to.
    pub tenant_id: Option<String>,
}

#[derive(Deserialize)]
struct Claims {
    aud: Audience,
    preferred_username: Option<String>,
    upn: Option<String>,
    email: Option<String>,
    sub: Option<String>,
    oid: Option<String>,
    tid: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Identity {
    /// Reads an id token, or says what is wrong with it. It must be meant for this application and, where
    /// the provider names its tenant by id, come from that tenant.
    pub(super) fn read(token: &str, provider: &NewCloudProvider) -> Result<Self, &'static str> {
        let claims = claims(token).ok_or("the id token cannot be read")?;
        let application = provider.application_id.trim();
        let for_us = match &claims.aud {
            Audience::One(audience) => audience == application,
            Audience::Several(audiences) => audiences.iter().any(|one| one == application),
        };
        if !for_us {
            return Err("the id token is meant for another application");
        }
        let tenant = provider.tenant_id.trim();
        if provider.service == CloudService::MicrosoftAzure
            && let (Ok(wanted), Some(found)) = (uuid::Uuid::parse_str(tenant), &claims.tid)
            && uuid::Uuid::parse_str(found) != Ok(wanted)
        {
            return Err("the id token comes from another tenant");
        }
        let user_name = [claims.preferred_username, claims.upn, claims.email]
            .into_iter()
            .flatten()
            .chain(claims.sub)
            .map(|name| clean(&name))
            .find(|name| !name.is_empty())
            .ok_or("the id token names nobody")?;
        Ok(Self {
            user_name,
            object_id: claims.oid.map(|id| clean(&id)),
            tenant_id: claims.tid.map(|id| clean(&id)),
        })
    }
}

/// The middle of the three parts (RFC 7519 §3), which is JSON in base64url.
fn claims(token: &str) -> Option<Claims> {
    let mut parts = token.split('.');
    let (_, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let claims = BASE64_URL_SAFE_NO_PAD
        .decode(claims.trim_end_matches('='))
        .ok()?;
    serde_json::from_slice(&claims).ok()
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::oauth::endpoints::example_provider;

    pub(in crate::oauth) fn id_token(claims: &Value) -> String {
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.c2ln", part(&json!({"alg": "RS256"})), part(claims))
    }

    const TENANT: &str = "11111111-2222-3333-4444-555555555555";

    fn check(claims: &Value, expected: Result<&str, &str>) {
        let mut provider = example_provider(CloudService::MicrosoftAzure);
        provider.tenant_id = TENANT.into();
        let read = Identity::read(&id_token(claims), &provider);
        assert_eq!(
            read.as_ref()
                .map(|identity| identity.user_name.as_str())
                .map_err(|what| *what),
            expected
        );
    }

    #[test]
    fn the_user_name_is_the_first_name_there_is() {
        check(
            &json!({"aud": "app-1", "tid": TENANT, "preferred_username": "a@x", "upn": "b@x", "email": "c@x"}),
            Ok("a@x"),
        );
        check(
            &json!({"aud": ["x", "app-1"], "upn": "b@x", "email": "c@x"}),
            Ok("b@x"),
        );
        check(
            &json!({"aud": "app-1", "preferred_username": "", "email": "c@x"}),
            Ok("c@x"),
        );
        check(
            &json!({"aud": "app-1", "email": "c\r\n@x"}),
            Ok("c\\r\\n@x"),
        );
    }

    #[test]
    fn an_id_token_for_others_is_refused() {
        check(
            &json!({"aud": "other", "email": "c@x"}),
            Err("the id token is meant for another application"),
        );
        check(
            &json!({"aud": "app-1", "tid": "22222222-2222-3333-4444-555555555555", "email": "c@x"}),
            Err("the id token comes from another tenant"),
        );
        check(&json!({"aud": "app-1"}), Err("the id token names nobody"));
        check(&json!({"email": "c@x"}), Err("the id token cannot be read"));
    }

    #[test]
    fn garbage_is_refused() {
        let provider = example_provider(CloudService::Google);
        for garbage in [
            "",
            "a",
            "a.b",
            "a.b.c",
            "a.b.c.d",
            "..",
            "\u{0}.\u{0}.\u{0}",
        ] {
            assert!(Identity::read(garbage, &provider).is_err(), "{garbage:?}");
        }
    }
}
