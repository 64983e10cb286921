//! The answers of a token endpoint as they come over the wire, read leniently where platforms differ:
//! a rotated refresh token must not be lost over a field that we can do without.

use std::{fmt, time::Duration};

use oauth2::{AccessToken, ErrorResponse, RefreshToken, Scope, TokenResponse, TokenType};
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned, ser};
use serde_json::Value;

/// Lifetime where the answer names none: what platforms usually give.
const UNSAID_LIFETIME: Duration = Duration::from_secs(3600);
/// No access token is believed to live longer than a day: refreshing early does no harm.
const LONGEST_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// A token answer (RFC 6749 §5.1). `Debug` prints none of its secrets.
#[derive(Deserialize)]
pub(super) struct TokenAnswer {
    access_token: AccessToken,
    // oauth2 itself refuses answers without it.
    #[serde(default)]
    token_type: Kind,
    #[serde(default, deserialize_with = "lifetime")]
    expires_in: Option<Duration>,
    #[serde(default, deserialize_with = "filled")]
    refresh_token: Option<RefreshToken>,
    #[serde(default, deserialize_with = "scopes")]
    scope: Option<Vec<Scope>>,
    #[serde(default, deserialize_with = "filled")]
    id_token: Option<SecretString>,
}

impl TokenAnswer {
    /// Clamped to 0..=24 h; an hour where the answer does not say.
    pub(super) fn lifetime(&self) -> Duration {
        self.expires_in.unwrap_or(UNSAID_LIFETIME)
    }

    pub(super) fn is_bearer(&self) -> bool {
        self.token_type.0.eq_ignore_ascii_case("bearer")
    }

    pub(super) fn id_token(&self) -> Option<&SecretString> {
        self.id_token.as_ref()
    }

    pub(super) fn scope_text(&self) -> Option<String> {
        let scopes: Vec<&str> = self
            .scope
            .as_ref()?
            .iter()
            .map(|one| one.as_str())
            .collect();
        Some(scopes.join(" "))
    }
}

impl fmt::Debug for TokenAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenAnswer").finish_non_exhaustive()
    }
}

impl Serialize for TokenAnswer {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(ser::Error::custom("tokens are not written out (I8)"))
    }
}

impl TokenResponse for TokenAnswer {
    type TokenType = Kind;

    fn access_token(&self) -> &AccessToken {
        &self.access_token
    }
    fn token_type(&self) -> &Kind {
        &self.token_type
    }
    fn expires_in(&self) -> Option<Duration> {
        self.expires_in
    }
    fn refresh_token(&self) -> Option<&RefreshToken> {
        self.refresh_token.as_ref()
    }
    fn scopes(&self) -> Option<&Vec<Scope>> {
        self.scope.as_ref()
    }
}

/// The token type as named by the platform.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(super) struct Kind(String);

impl Default for Kind {
    fn default() -> Self {
        Self("Bearer".to_owned())
    }
}

impl TokenType for Kind {}

/// A refusal (RFC 6749 §5.2, with Microsoft's fields).
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct RefusalBody {
    pub(super) error: String,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) error_description: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) error_codes: Option<Vec<u32>>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) suberror: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) trace_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) correlation_id: Option<String>,
}

impl fmt::Display for RefusalBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.error)
    }
}

impl ErrorResponse for RefusalBody {}

/// Seconds as a number or as a string of digits; below zero is zero; anything else counts as not said.
fn lifetime<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let seconds = match Value::deserialize(deserializer)? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse::<f64>().ok(),
        _ => None,
    };
    Ok(seconds
        .filter(|seconds| seconds.is_finite())
        .map(|seconds| Duration::from_secs_f64(seconds.clamp(0.0, LONGEST_LIFETIME.as_secs_f64()))))
}

/// A string with something in it; an empty one, null or another type count as absent.
fn filled<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromText,
{
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) if !text.is_empty() => Some(T::from_text(text)),
        _ => None,
    })
}

trait FromText {
    fn from_text(text: String) -> Self;
}

impl FromText for RefreshToken {
    fn from_text(text: String) -> Self {
        Self::new(text)
    }
}

impl FromText for SecretString {
    fn from_text(text: String) -> Self {
        text.into()
    }
}

/// Space-separated text, or a list of texts.
fn scopes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Scope>>, D::Error> {
    let split = |text: &str| -> Vec<Scope> {
        text.split_whitespace()
            .map(|one| Scope::new(one.to_owned()))
            .collect()
    };
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => Some(split(&text)),
        Value::Array(list) => Some(
            list.iter()
                .filter_map(Value::as_str)
                .flat_map(split)
                .collect(),
        ),
        _ => None,
    })
}

/// The field if it has the expected type, else as if it were absent.
pub(super) fn lenient<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let value = Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lifetimes_are_read_in_any_shape_and_clamped() {
        // Fault 46 and bad input 62.
        let check = |expires_in: Value, seconds: u64| {
            let answer: TokenAnswer =
                serde_json::from_value(json!({"access_token": "a", "expires_in": expires_in}))
                    .unwrap();
            assert_eq!(answer.lifetime().as_secs(), seconds, "{expires_in}");
        };
        check(json!(3599), 3599);
        check(json!("3600"), 3600);
        check(json!(" 60 "), 60);
        check(json!(12.5), 12);
        check(json!(0), 0);
        check(json!(-1), 0);
        check(json!("-1"), 0);
        check(json!(1e12), 86_400);
        check(json!(1_000_000_000_000_u64), 86_400);
        check(json!(u64::MAX), 86_400);
        check(json!(null), 3600);
        check(json!("soon"), 3600);
        check(json!("NaN"), 3600);
        check(json!([]), 3600);
        let unsaid: TokenAnswer = serde_json::from_value(json!({"access_token": "a"})).unwrap();
        assert_eq!(unsaid.lifetime().as_secs(), 3600);
        assert!(unsaid.is_bearer());
    }

    #[test]
    fn optional_fields_of_the_wrong_type_do_not_lose_the_tokens() {
        let answer: TokenAnswer = serde_json::from_value(json!({
            "access_token": "a", "refresh_token": "r", "scope": ["x", "y z"], "id_token": 7, "extra": {}
        }))
        .unwrap();
        assert_eq!(answer.refresh_token().unwrap().secret(), "r");
        assert_eq!(answer.scope_text().as_deref(), Some("x y z"));
        assert!(answer.id_token().is_none());
        let empty: TokenAnswer =
            serde_json::from_value(json!({"access_token": "a", "refresh_token": ""})).unwrap();
        assert!(empty.refresh_token().is_none());
    }

    #[test]
    fn answers_print_and_serialize_no_secret() {
        let answer: TokenAnswer =
            serde_json::from_value(json!({"access_token": "canary", "id_token": "canary"}))
                .unwrap();
        assert!(!format!("{answer:?}").contains("canary"));
        assert!(serde_json::to_string(&answer).is_err());
    }
}
