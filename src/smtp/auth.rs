//! Logging in (RFC 4954), always in two steps: Microsoft's tokens are longer than a command line may be.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use secrecy::{ExposeSecret, SecretString};

use super::{
    Line, Reply,
    error::{SmtpError, Verb},
    reply::clean,
};
use crate::transcript::Secrets;

/// What proves who we are.
#[derive(Clone, Copy, Debug)]
pub enum Secret<'a> {
    /// By PLAIN, or LOGIN where there is no PLAIN.
    Password(&'a SecretString),
    /// By XOAUTH2.
    AccessToken(&'a SecretString),
}

/// Who logs in. For a shared mailbox the user is the delegate.
#[derive(Clone, Copy, Debug)]
pub struct Login<'a> {
    /// The SMTP user.
    pub user: &'a str,
    /// Password or token.
    pub secret: Secret<'a>,
}

/// A mechanism with all that it will say, in order; not base64 yet. Not printable.
struct Script {
    mechanism: &'static str,
    says: Vec<SecretString>,
}

impl Login<'_> {
    /// Pure: which mechanism, and what it says.
    fn script(
        &self,
        offers: impl Fn(&str) -> bool,
        offered: &[String],
    ) -> Result<Script, SmtpError> {
        let not_offered = |wanted| SmtpError::AuthenticationNotOffered {
            wanted,
            offered: offered.join(" "),
        };
        let user = fit("user name", self.user)?;
        match self.secret {
            Secret::AccessToken(token) => {
                let token = fit("access token", token.expose_secret())?;
                if !offers("XOAUTH2") {
                    return Err(not_offered("XOAUTH2"));
                }
                Ok(Script {
                    mechanism: "XOAUTH2",
                    says: vec![format!("user={user}\u{1}auth=Bearer {token}\u{1}\u{1}").into()],
                })
            }
            Secret::Password(password) => {
                let password = fit("password", password.expose_secret())?;
                if offers("PLAIN") {
                    Ok(Script {
                        mechanism: "PLAIN",
                        says: vec![format!("\0{user}\0{password}").into()],
                    })
                } else if offers("LOGIN") {
                    Ok(Script {
                        mechanism: "LOGIN",
                        says: vec![user.into(), password.into()],
                    })
                } else {
                    Err(not_offered("PLAIN or LOGIN"))
                }
            }
        }
    }
}

/// Control characters would end a field of the mechanism early.
fn fit<'a>(what: &'static str, text: &'a str) -> Result<&'a str, SmtpError> {
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(SmtpError::UnusableCredential(what));
    }
    Ok(text)
}

/// What an XOAUTH2 challenge says, for people.
fn challenge_text(reply: &Reply) -> Option<String> {
    let decoded = BASE64.decode(reply.text.trim()).ok()?;
    (!decoded.is_empty()).then(|| clean(&decoded, 3072))
}

impl Line {
    /// Logs in. A refusal leaves the line open but of no use. Not cancel-safe: the line is then dead.
    ///
    /// # Errors
    /// [`SmtpError::AuthenticationRefused`] (5yz), [`SmtpError::Refused`] (4yz: not now),
    /// [`SmtpError::AuthenticationNotOffered`], [`SmtpError::UnusableCredential`], or a broken line.
    pub async fn login(&mut self, login: &Login<'_>) -> Result<(), SmtpError> {
        // A server may echo what it did not understand.
        let (Secret::Password(secret) | Secret::AccessToken(secret)) = login.secret;
        let secrets = Secrets::default().with(secret);
        let done = self.authenticate(login).await;
        done.map_err(|error| without(&secrets, error))
    }

    async fn authenticate(&mut self, login: &Login<'_>) -> Result<(), SmtpError> {
        let keywords = self.keywords();
        let script = login.script(|name| keywords.offers(name), &keywords.auth)?;
        let mut reply = self
            .command(Verb::Auth, &format!("AUTH {}\r\n", script.mechanism))
            .await?;
        for answer in &script.says {
            if reply.code != 334 {
                break;
            }
            let encoded = BASE64.encode(answer.expose_secret());
            reply = self.command(Verb::Auth, &format!("{encoded}\r\n")).await?;
        }
        let mut challenge_json = None;
        if reply.code == 334 && script.mechanism == "XOAUTH2" {
            // The server says why as a challenge; the answer is an empty line, then comes the refusal.
            challenge_json = challenge_text(&reply);
            reply = self.command(Verb::Auth, "\r\n").await?;
        }
        match reply.code {
            235 => Ok(()),
            400..=499 => Err(SmtpError::Refused {
                during: Verb::Auth,
                reply,
            }),
            500.. => Err(SmtpError::AuthenticationRefused {
                reply,
                challenge_json,
            }),
            _ => Err(self.nonsense(Verb::Auth, &reply)),
        }
    }
}

/// The same failure, its words masked.
fn without(secrets: &Secrets, error: SmtpError) -> SmtpError {
    match error {
        SmtpError::Refused { during, reply } => SmtpError::Refused {
            during,
            reply: reply.masked(secrets),
        },
        SmtpError::AuthenticationRefused {
            reply,
            challenge_json,
        } => SmtpError::AuthenticationRefused {
            reply: reply.masked(secrets),
            challenge_json: challenge_json.map(|json| secrets.masked(&json)),
        },
        SmtpError::Nonsense { during, line } => SmtpError::Nonsense {
            during,
            line: secrets.masked(&line),
        },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mechanism(secret: Secret<'_>, user: &str, offered: &[&str]) -> Result<&'static str, String> {
        let offered: Vec<String> = offered.iter().map(|&o| o.to_owned()).collect();
        Login { user, secret }
            .script(|name| offered.iter().any(|o| o == name), &offered)
            .map(|script| script.mechanism)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn row_42_and_64_the_mechanism_fits_the_secret_and_what_is_offered() {
        let secret = SecretString::from("hunter2");
        let password = Secret::Password(&secret);
        let token = Secret::AccessToken(&secret);
        assert_eq!(mechanism(password, "u", &["LOGIN", "PLAIN"]), Ok("PLAIN"));
        assert_eq!(mechanism(password, "u", &["LOGIN", "XOAUTH2"]), Ok("LOGIN"));
        assert_eq!(mechanism(token, "u", &["LOGIN", "XOAUTH2"]), Ok("XOAUTH2"));
        // A token is never sent as if it were a password, and the reverse.
        for (secret, offered) in [(token, "PLAIN"), (password, "XOAUTH2"), (token, "")] {
            let error = mechanism(secret, "u", &[offered]).unwrap_err();
            assert!(error.contains("does not offer"), "{error}");
        }
    }

    #[test]
    fn credentials_that_could_end_a_field_early_are_refused_and_never_printed() {
        for bad in ["", "a\0b", "a\u{1}auth=Bearer x", "a\r\nMAIL FROM:<x>"] {
            let secret = SecretString::from(bad);
            for secret in [Secret::Password(&secret), Secret::AccessToken(&secret)] {
                let error = mechanism(secret, "u", &["PLAIN", "XOAUTH2"]).unwrap_err();
                assert!(error.contains("control characters"), "{error}");
                assert!(!error.contains("MAIL"), "{error}");
            }
            assert!(mechanism(Secret::Password(&"p".into()), bad, &["PLAIN"]).is_err());
        }
    }
}
