//! Reading paths and query strings: every parameter is known and there once, or it is named.

use std::convert::Infallible;

use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};

use crate::{model::Id, store::Page};

use super::{input::Problems, problem::ApiError};

/// How many rows a list shows when the caller does not say.
const USUAL: i64 = 50;
/// How many rows a list shows at most.
const MOST: i64 = 1000;

/// An id in a path: a positive integer. Anything else names no row, so it is not found.
pub(super) struct RowId<Number>(pub(super) Number);

impl<S: Send + Sync, Of> FromRequestParts<S> for RowId<Id<Of>> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Ok(Path(text)) = Path::<String>::from_request_parts(parts, state).await else {
            return Err(ApiError::NotFound { what: "row" });
        };
        number(&text)
            .map(|id| Self(Id::new(id)))
            .ok_or(ApiError::NotFound { what: "row" })
    }
}

/// The one variable part of a path, decoded.
pub(super) struct Word(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Word {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        Path::<String>::from_request_parts(parts, state)
            .await
            .map(|Path(text)| Self(text))
            .map_err(|_| ApiError::NotFound { what: "row" })
    }
}

/// A positive integer written with digits only.
pub(super) fn number(text: &str) -> Option<i64> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|id| plain && *id > 0)
}

/// The parameters of a query string, decoded, in order. Take what the route knows, then call
/// [`Query::done`].
pub(super) struct Query {
    pairs: Vec<(String, String)>,
    problems: Problems,
}

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let raw = parts.uri.query().unwrap_or_default();
        let pairs = url::form_urlencoded::parse(raw.as_bytes())
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        Ok(Self {
            pairs,
            problems: Problems::default(),
        })
    }
}

/// Which part of a list is wanted, and which fields of its rows.
pub(super) struct Wanted {
    pub(super) page: Page,
    pub(super) fields: Option<Vec<String>>,
}

impl Query {
    /// One parameter; twice is a problem.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        let place = self.pairs.iter().position(|(key, _)| key == name)?;
        let (_, value) = self.pairs.remove(place);
        if self.pairs.iter().any(|(key, _)| key == name) {
            self.pairs.retain(|(key, _)| key != name);
            self.problems.add(name, "is there more than once");
        }
        Some(value)
    }

    /// A parameter read by `read`; `expected` says what it must be.
    pub(super) fn read<T>(
        &mut self,
        name: &str,
        expected: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.take(name)?;
        let value = read(&text);
        if value.is_none() {
            self.problems.add(name, format!("must be {expected}"));
        }
        value
    }

    /// An id to filter by.
    pub(super) fn id<Of>(&mut self, name: &str) -> Option<Id<Of>> {
        self.read(name, "a positive integer", |text| number(text).map(Id::new))
    }

    /// `limit`, `offset`, `fields` and `sort`. A list has one order, named by `sort` (the caller may
    /// say it, and no other).
    pub(super) fn wanted(&mut self, sort: &str) -> Wanted {
        let limit = self.read("limit", "an integer from 1 to 1000", |text| {
            number(text).filter(|n| *n <= MOST)
        });
        let offset = self.read("offset", "an integer from 0", |text| {
            if text == "0" { Some(0) } else { number(text) }
        });
        let expected = format!("{sort} (this list has no other order)");
        self.read("sort", &expected, |text| (text == sort).then_some(()));
        let fields = self.read("fields", "names joined by commas", |text| {
            let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
            names.iter().all(|name| !name.is_empty()).then_some(names)
        });
        Wanted {
            page: Page {
                limit: limit.unwrap_or(USUAL),
                offset: offset.unwrap_or(0),
            },
            fields,
        }
    }

    /// Ends the reading: what is left is unknown.
    pub(super) fn done(mut self) -> Result<(), ApiError> {
        for (name, _) in &self.pairs {
            let name: String = name.chars().filter(|c| !c.is_control()).take(100).collect();
            self.problems.add(&name, "is not a parameter of this route");
        }
        self.problems.done()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Query {
        Query {
            pairs: url::form_urlencoded::parse(text.as_bytes())
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect(),
            problems: Problems::default(),
        }
    }

    #[test]
    fn lists_have_a_usual_length_and_a_longest_one() {
        let check = |text: &str, limit: i64, offset: i64| {
            let mut query = query(text);
            let wanted = query.wanted("-id");
            query.done().unwrap();
            assert_eq!(
                (wanted.page.limit, wanted.page.offset),
                (limit, offset),
                "{text}"
            );
        };
        check("", 50, 0);
        check("limit=1000&offset=7&sort=-id", 1000, 7);
        check("limit=1&offset=0&fields=id,name", 1, 0);
    }

    #[test]
    fn every_wrong_parameter_is_named_at_once() {
        let check = |text: &str, expected: &[&str]| {
            let mut query = query(text);
            query.wanted("-id");
            query.id::<()>("AccountId");
            let Err(ApiError::Invalid(problems)) = query.done() else {
                panic!("{text} was taken");
            };
            let fields: Vec<&str> = problems.iter().map(|one| one.field.as_str()).collect();
            assert_eq!(fields, expected, "{text}");
        };
        check("limit=0", &["limit"]);
        check(
            "limit=1001&offset=-1&sort=name",
            &["limit", "offset", "sort"],
        );
        check("limit=5&limit=6", &["limit"]);
        check(
            "fields=a,,b&AccountId=x&role=admin",
            &["fields", "AccountId", "role"],
        );
        check("AccountId=9223372036854775808", &["AccountId"]);
        check("AccountId=%00", &["AccountId"]);
    }

    #[test]
    fn only_plain_positive_integers_are_ids() {
        for bad in [
            "",
            "0",
            "-1",
            "+1",
            "1.0",
            "1e3",
            " 1",
            "1 ",
            "0x1",
            "9223372036854775808",
            "\u{661}",
        ] {
            assert_eq!(number(bad), None, "{bad:?}");
        }
        assert_eq!(number("9223372036854775807"), Some(i64::MAX));
    }
}
