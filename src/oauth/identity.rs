//! Who signed in, from the id token.
//!
//! The signature is not checked: the token came straight from the token endpoint over TLS, which OpenID
//! Connect Core 1.0 §3.1.3.7 item 6 accepts in its place. What it says is compared all the same.

use base64::prelude::*;
use serde::Deserialize;

use crate::model::{CloudService, NewCloudProvider};

use super::{clouds::is_personal, error::clean};

/// The tenant that all personal Microsoft accounts belong to (learn.microsoft.com, "ID token claims
/// reference").
pub const PERSONAL_TENANT: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

/// The person (or service account) behind a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// User name (UPN) or address, for people and for comparing with an account's delegate.
    pub user_name: String,
    /// The platform's id of the person; does not change when they are renamed. Microsoft's `oid`, Google's
    /// `sub`.
    pub object_id: Option<String>,
    /// The directory (tenant) they signed in to; [`PERSONAL_TENANT`] for personal Microsoft accounts. `None`
    /// for Google, whose `object_id` stands alone.
    pub tenant_id: Option<String>,
}

/// Whether two ids are one: GUIDs in any spelling of theirs, other ids letter by letter.
pub fn same_id(one: &str, other: &str) -> bool {
    let (one, other) = (one.trim(), other.trim());
    match (uuid::Uuid::parse_str(one), uuid::Uuid::parse_str(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
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
    /// Whether this is who a grant was pinned to, by ids and never by name. Where nothing was pinned anybody
    /// is; where something was, an identity that lacks it is not.
    pub fn is(&self, tenant_id: Option<&str>, object_id: Option<&str>) -> bool {
        let fits = |pinned: Option<&str>, found: Option<&str>| match (pinned, found) {
            (None, _) => true,
            (Some(pinned), Some(found)) => same_id(pinned, found),
            (Some(_), None) => false,
        };
        fits(tenant_id, self.tenant_id.as_deref()) && fits(object_id, self.object_id.as_deref())
    }

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
        if provider.service == CloudService::MicrosoftAzure {
            right_tenant(provider.tenant_id.trim(), claims.tid.as_deref())?;
        }
        let object_id = match provider.service {
            CloudService::MicrosoftAzure => claims.oid,
            CloudService::Google => claims.sub.clone(),
        };
        let user_name = [claims.preferred_username, claims.upn, claims.email]
            .into_iter()
            .flatten()
            .chain(claims.sub)
            .map(|name| clean(&name))
            .find(|name| !name.is_empty())
            .ok_or("the id token names nobody")?;
        Ok(Self {
            user_name,
            object_id: object_id.map(|id| clean(&id)).filter(|id| !id.is_empty()),
            tenant_id: claims.tid.map(|id| clean(&id)).filter(|id| !id.is_empty()),
        })
    }
}

/// Whether the tenant that was signed in to fits the one that was entered, as far as its word or id says.
fn right_tenant(entered: &str, found: Option<&str>) -> Result<(), &'static str> {
    let Some(found) = found else {
        return Ok(());
    };
    let personal = same_id(found, PERSONAL_TENANT);
    if is_personal(entered) {
        return if personal {
            Ok(())
        } else {
            Err("the id token is of a work account, and the tenant id asks for a personal one")
        };
    }
    if personal && entered.eq_ignore_ascii_case("organizations") {
        return Err("the id token is of a personal account, and the tenant id asks for a work one");
    }
    if uuid::Uuid::parse_str(entered).is_ok() && !same_id(entered, found) {
        return Err("the id token comes from another tenant");
    }
    Ok(())
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
    fn a_subject_is_shown_only_where_there_is_no_name() {
        check(
            &json!({"aud": "app-1", "sub": "AAAA", "email": "c@x"}),
            Ok("c@x"),
        );
        check(&json!({"aud": "app-1", "sub": "AAAA"}), Ok("AAAA"));
    }

    #[test]
    fn a_person_is_known_by_ids_in_any_spelling_and_not_by_name() {
        let provider = example_provider(CloudService::MicrosoftAzure);
        let object = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee";
        let read = |claims: &Value| Identity::read(&id_token(claims), &provider).unwrap();
        let claims = json!({"aud": "app-1", "upn": "a@x", "sub": "AAAA",
            "tid": TENANT.to_uppercase(), "oid": object.to_uppercase()});
        let found = read(&claims);
        assert!(found.is(Some(TENANT), Some(object)));
        assert!(found.is(None, None) && found.is(Some(TENANT), None));
        assert!(!found.is(Some(TENANT), Some(TENANT)));
        assert!(!found.is(Some(object), Some(object)));
        let nobody = read(&json!({"aud": "app-1", "upn": "a@x", "oid": "", "tid": ""}));
        assert_eq!((&nobody.object_id, &nobody.tenant_id), (&None, &None));
        assert!(!nobody.is(Some(TENANT), Some(object)) && !nobody.is(None, Some(object)));
        // Ids that are no GUIDs are compared letter by letter.
        assert!(same_id("o-1", " o-1 ") && !same_id("o-1", "O-1"));
        assert!(same_id(TENANT, &TENANT.replace('-', "")));
    }

    #[test]
    fn googles_subject_is_the_id_of_the_person() {
        let provider = example_provider(CloudService::Google);
        let claims = json!({"aud": "app-1", "sub": "1089", "email": "a@gmail.example", "oid": "x"});
        let found = Identity::read(&id_token(&claims), &provider).unwrap();
        assert_eq!(found.user_name, "a@gmail.example");
        assert_eq!(found.object_id.as_deref(), Some("1089"));
        assert_eq!(found.tenant_id, None);
    }

    #[test]
    fn personal_and_work_accounts_are_told_apart_by_their_tenant() {
        let read = |entered: &str, tid: &str| {
            let mut provider = example_provider(CloudService::MicrosoftAzure);
            provider.tenant_id = entered.into();
            let claims = json!({"aud": "app-1", "tid": tid, "email": "a@x"});
            Identity::read(&id_token(&claims), &provider).map(|found| found.tenant_id)
        };
        let personal = Ok(Some(PERSONAL_TENANT.to_owned()));
        assert_eq!(read("consumers", PERSONAL_TENANT), personal);
        assert_eq!(read("common", PERSONAL_TENANT), personal);
        assert_eq!(read(PERSONAL_TENANT, PERSONAL_TENANT), personal);
        assert_eq!(read("common", TENANT), Ok(Some(TENANT.to_owned())));
        assert_eq!(read("organizations", TENANT), Ok(Some(TENANT.to_owned())));
        assert_eq!(read("contoso.example", TENANT), Ok(Some(TENANT.to_owned())));
        assert!(
            read("Consumers", TENANT)
                .unwrap_err()
                .contains("work account")
        );
        assert!(
            read("organizations", PERSONAL_TENANT)
                .unwrap_err()
                .contains("personal account")
        );
        assert!(
            read(TENANT, PERSONAL_TENANT)
                .unwrap_err()
                .contains("another tenant")
        );
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
