//! Reading JSON bodies so that every wrong field is named at once.

use std::collections::BTreeMap;

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{HeaderMap, StatusCode, header},
    response::IntoResponse,
};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

use super::problem::{ApiError, FieldProblem};

/// Fields that a body's type does not know; each is refused by name.
pub(super) type Unknown = BTreeMap<String, serde::de::IgnoredAny>;

/// A JSON body of a type whose fields are all [`Given`]. The body's media type must be JSON (a browser
/// cannot send that across sites without asking), its length within the route's limit.
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        if !says_json(request.headers()) {
            return Err(ApiError::NotJson);
        }
        let bytes = bytes(request, state).await?;
        parse(&bytes).map(Self)
    }
}

/// A JSON body that may also be left out: then nothing is given.
pub(super) struct MaybeBody<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for MaybeBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let json = says_json(request.headers());
        let bytes = bytes(request, state).await?;
        if bytes.is_empty() {
            Ok(Self(T::default()))
        } else if json {
            parse(&bytes).map(Self)
        } else {
            Err(ApiError::NotJson)
        }
    }
}

async fn bytes<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, ApiError> {
    Bytes::from_request(request, state)
        .await
        .map_err(|rejection| {
            if rejection.into_response().status() == StatusCode::PAYLOAD_TOO_LARGE {
                ApiError::TooLarge
            } else {
                ApiError::Malformed("The body ended early or could not be read.".into())
            }
        })
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| {
        // The position only: the text of the error may repeat a value, which may be a secret (I8).
        ApiError::Malformed(format!(
            "The body is not one JSON object with each field once (line {}, column {}).",
            error.line(),
            error.column()
        ))
    })
}

fn says_json(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// What a body says about one field. Reading one never fails, so that all problems are found.
#[derive(Default)]
pub(super) enum Given<T> {
    /// The field is not there.
    #[default]
    Absent,
    /// It is `null`.
    Null,
    /// It is of another type.
    Wrong,
    /// It has a value.
    Is(T),
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Given<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Strict(value) = Strict::deserialize(deserializer)?;
        Ok(if value.is_null() {
            Self::Null
        } else {
            serde_json::from_value(value).map_or(Self::Wrong, Self::Is)
        })
    }
}

/// Any JSON value in which no object has a key twice: two readers of a body must not see two bodies.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }
    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(Self)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((key, Strict(value))) = entries.next_entry::<String, Strict>()? {
            if object.insert(key, value).is_some() {
                return Err(serde::de::Error::custom("a key is there twice"));
            }
        }
        Ok(Value::Object(object))
    }
}

/// What a field's type is called when another one was sent.
pub(super) trait Kind {
    /// The end of "must be …".
    const WORDS: &'static str;
}
impl Kind for String {
    const WORDS: &'static str = "text";
}
impl Kind for bool {
    const WORDS: &'static str = "true or false";
}
impl Kind for i64 {
    const WORDS: &'static str = "a whole number";
}
impl Kind for Vec<String> {
    const WORDS: &'static str = "a list of texts";
}

/// Collects what is wrong with a request.
#[derive(Debug, Default)]
pub(super) struct Problems(pub(super) Vec<FieldProblem>);

impl Problems {
    /// Notes one.
    pub(super) fn add(&mut self, field: &str, problem: impl Into<String>) {
        self.0.push(FieldProblem {
            field: field.to_owned(),
            problem: problem.into(),
        });
    }

    /// Whether something was noted about a field or a part of it.
    pub(super) fn about(&self, field: &str) -> bool {
        self.0.iter().any(|one| {
            one.field
                .strip_prefix(field)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    }

    /// Refuses fields that the type does not know; `prefix` is the path in front of them (`imap.`).
    pub(super) fn unknown(&mut self, prefix: &str, fields: &Unknown) {
        for field in fields.keys() {
            let field: String = field
                .chars()
                .filter(|c| !c.is_control())
                .take(100)
                .collect();
            self.add(
                &format!("{prefix}{field}"),
                "is not a field of this resource",
            );
        }
    }

    /// The value if there is one; `null` counts as absent.
    pub(super) fn optional<T: Kind>(&mut self, field: &str, given: Given<T>) -> Option<T> {
        match given {
            Given::Is(value) => Some(value),
            Given::Absent | Given::Null => None,
            Given::Wrong => {
                self.add(field, format!("must be {}", T::WORDS));
                None
            }
        }
    }

    /// The value, which must be there.
    pub(super) fn required<T: Kind>(&mut self, field: &str, given: Given<T>) -> Option<T> {
        if matches!(given, Given::Absent | Given::Null) {
            self.add(field, "is required");
        }
        self.optional(field, given)
    }

    /// The value, which must be there where something new is entered.
    pub(super) fn entered<T: Kind>(
        &mut self,
        field: &str,
        given: Given<T>,
        required: bool,
    ) -> Option<T> {
        if required {
            self.required(field, given)
        } else {
            self.optional(field, given)
        }
    }

    /// A text as what it means; `problem` is noted where it means nothing.
    pub(super) fn parsed<T>(
        &mut self,
        field: &str,
        text: Option<String>,
        problem: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let value = parse(&text?);
        if value.is_none() {
            self.add(field, problem);
        }
        value
    }

    /// Text without control characters and with at most `most` characters; trimmed, and not empty.
    pub(super) fn line(
        &mut self,
        field: &str,
        text: Option<String>,
        most: usize,
    ) -> Option<String> {
        let text = text?;
        let text = text.trim();
        if text.is_empty() {
            self.add(field, "must not be empty");
        } else if text.chars().count() > most {
            self.add(field, format!("must have at most {most} characters"));
        } else if text.chars().any(breaks_a_line) {
            self.add(field, "must be one line without control characters");
        } else {
            return Some(text.to_owned());
        }
        None
    }

    /// A secret: as it is, 1 to `most` bytes, without control characters.
    pub(super) fn secret(
        &mut self,
        field: &str,
        text: Option<String>,
        most: usize,
    ) -> Option<secrecy::SecretString> {
        let text = text?;
        if text.is_empty() || text.len() > most {
            self.add(field, format!("must have 1 to {most} bytes"));
        } else if text.chars().any(breaks_a_line) {
            self.add(field, "must be one line without control characters");
        } else {
            return Some(text.into());
        }
        None
    }

    /// Ends the collection: an error if anything was noted.
    pub(super) fn done(self) -> Result<(), ApiError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(ApiError::Invalid(self.0))
        }
    }
}

/// Control characters, and the line and paragraph separators that some readers take for line ends.
pub(super) fn breaks_a_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Thing {
        name: Given<String>,
        size: Given<i64>,
        #[serde(flatten)]
        unknown: Unknown,
    }

    #[test]
    fn all_wrong_fields_are_found_in_one_reading() {
        let thing: Thing =
            parse(br#"{"name": 5, "role": "admin", "size": null, "is_admin": true}"#).unwrap();
        let mut problems = Problems::default();
        problems.unknown("", &thing.unknown);
        problems.required("name", thing.name);
        problems.required("size", thing.size);
        let found: Vec<String> = problems
            .0
            .iter()
            .map(|one| format!("{} {}", one.field, one.problem))
            .collect();
        assert_eq!(
            found,
            [
                "is_admin is not a field of this resource",
                "role is not a field of this resource",
                "name must be text",
                "size is required",
            ]
        );
    }

    #[test]
    fn json_that_two_readers_could_read_differently_is_malformed() {
        // Bad input 51.
        let deep = format!(
            "{{\"name\": {}1{}}}",
            "[".repeat(10_000),
            "]".repeat(10_000)
        );
        let deep_unknown = format!("{{\"x\": {}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
        for bad in [
            "",
            "{",
            "[]",
            "5",
            "\"text\"",
            "{\"name\": \"a\", \"name\": \"b\"}",
            "{\"name\": {\"a\": 1, \"a\": 2}}",
            "{\"size\": 1e400}",
            "{\"size\": NaN}",
            "{\"name\": \"\\ud800\"}",
            "\u{feff}{}",
            "{} {}",
            deep.as_str(),
            deep_unknown.as_str(),
        ] {
            let read = parse::<Thing>(bad.as_bytes());
            assert!(
                matches!(read, Err(ApiError::Malformed(_))),
                "{}",
                bad.chars().take(60).collect::<String>()
            );
        }
        assert!(parse::<Thing>(b"{\"name\": \"\xff\"}").is_err());
    }

    #[test]
    fn lines_and_secrets_hold_no_line_ends() {
        let check = |text: &str| {
            let mut problems = Problems::default();
            let line = problems.line("name", Some(text.to_owned()), 100);
            let secret = problems.secret("password", Some(text.to_owned()), 100);
            assert!(line.is_none() && secret.is_none(), "{text:?}");
            assert_eq!(problems.0.len(), 2, "{text:?}");
        };
        check("");
        check("a\r\nb");
        check("a\0b");
        check("a\u{85}b");
        check("a\u{2028}b");
        check(&"x".repeat(101));
    }
}
