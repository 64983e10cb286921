//! The address a person comes back with from the platform. Pure.

use secrecy::SecretString;
use url::form_urlencoded;

use super::SignInError;
use crate::logs::escape_to;

/// Longest code (Microsoft's are one to two kilobytes) and longest of the other fields.
const CODE_LIMIT: usize = 16 * 1024;
const FIELD_LIMIT: usize = 4 * 1024;
/// Bytes kept of the platform's words.
const TEXT_LIMIT: usize = 1024;

/// What the platform told us through the browser (RFC 6749 §4.1.2, RFC 9207 §2).
#[derive(Clone, Debug)]
pub struct CallbackQuery {
    /// Which sign-in this answers.
    pub state: SecretString,
    /// The code, or why there is none.
    pub answer: Result<SecretString, Refused>,
    /// The issuer, where the platform names it.
    pub issuer: Option<String>,
    /// Who the browser proved to be, if it did: it must be who began the sign-in. Never from the query;
    /// set by who knows the browser's session.
    pub caller: Option<String>,
}

/// The platform's words where it gave no code, bounded and escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its `error` word.
    pub error: String,
    /// Its description; may be empty.
    pub description: String,
}

impl CallbackQuery {
    /// Reads the raw query string (without the question mark).
    ///
    /// # Errors
    /// [`SignInError::Malformed`]: a field we use stands twice, is missing, too long, or there are both a
    /// code and an error. Fields that we do not know are ignored (RFC 6749 §4.1.2).
    pub fn parse(query: &str) -> Result<Self, SignInError> {
        let malformed = |what| SignInError::Malformed { what };
        let [mut state, mut code, mut error, mut description, mut issuer] = [const { None }; 5];
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let (field, limit) = match name.as_ref() {
                "state" => (&mut state, FIELD_LIMIT),
                "code" => (&mut code, CODE_LIMIT),
                "error" => (&mut error, FIELD_LIMIT),
                "error_description" => (&mut description, CODE_LIMIT),
                "iss" => (&mut issuer, FIELD_LIMIT),
                _ => continue,
            };
            if value.len() > limit {
                return Err(malformed("a field is too long"));
            }
            // RFC 6749 §3.1: parameters must not be included more than once.
            if field.replace(value.into_owned()).is_some() {
                return Err(malformed("a field stands twice"));
            }
        }
        let state = state.filter(|state| !state.is_empty());
        let answer = match (code, error) {
            (Some(code), None) if !code.is_empty() => Ok(code.into()),
            (None, Some(error)) => Err(Refused {
                error: escape_to(&error, TEXT_LIMIT),
                description: escape_to(&description.unwrap_or_default(), TEXT_LIMIT),
            }),
            (Some(_), Some(_)) => return Err(malformed("there are both a code and an error")),
            _ => return Err(malformed("there is neither a code nor an error")),
        };
        Ok(Self {
            state: state.ok_or(malformed("there is no state"))?.into(),
            answer,
            issuer,
            caller: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_code_and_a_refusal_are_read() {
        let query =
            CallbackQuery::parse("code=c%2B1&state=s&session_state=x&iss=https%3A%2F%2Fi").unwrap();
        assert_eq!(query.answer.unwrap().expose_secret(), "c+1");
        assert_eq!(query.state.expose_secret(), "s");
        assert_eq!(query.issuer.as_deref(), Some("https://i"));
        let query = CallbackQuery::parse(
            "error=access_denied&error_description=AADSTS65004%3A+no%0D%0A%3Cb%3E&state=s&error_uri=x",
        )
        .unwrap();
        let refused = query.answer.unwrap_err();
        assert_eq!(refused.error, "access_denied");
        assert!(refused.description.starts_with("AADSTS65004: no"));
        assert!(!refused.description.contains(['\r', '\n']));
    }

    #[test]
    fn answers_that_no_platform_makes_are_refused() {
        // Bad input 61.
        let check = |query: &str, expected: &str| match CallbackQuery::parse(query) {
            Err(SignInError::Malformed { what }) => assert_eq!(what, expected, "{query}"),
            other => panic!("{query}: {other:?}"),
        };
        check("", "there is neither a code nor an error");
        check("state=s", "there is neither a code nor an error");
        check("code=&state=s", "there is neither a code nor an error");
        check("code=c", "there is no state");
        check("code=c&state=", "there is no state");
        check("code=c&code=d&state=s", "a field stands twice");
        check("code=c&state=s&state=s", "a field stands twice");
        check(
            "code=c&state=s&error=e",
            "there are both a code and an error",
        );
        check(
            &format!("code={}&state=s", "c".repeat(20_000)),
            "a field is too long",
        );
        check(
            &format!("code=c&state={}", "s".repeat(5_000)),
            "a field is too long",
        );
    }
}
