//! Logging in: XOAUTH2 with an access token, PLAIN or LOGIN with a password.

use async_imap::imap_proto::Response;
use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::timeout;

use super::{
    Greeted, ImapError, Session, Step, connect,
    reply::{self, Words},
    wire::{Budget, Heard, Tagged, Wire},
};
use crate::transcript::Secrets;

/// What proves who we are.
#[derive(Clone, Copy, Debug)]
pub enum Secret<'a> {
    /// A password or app password.
    Password(&'a SecretString),
    /// An OAuth 2 access token.
    AccessToken(&'a SecretString),
}

/// Who logs in.
#[derive(Clone, Copy, Debug)]
pub struct Login<'a> {
    /// The IMAP user: for a shared mailbox the shared address.
    pub user: &'a str,
    /// The proof.
    pub secret: Secret<'a>,
}

impl Greeted {
    /// Logs in and asks for the capabilities again, which differ behind the login.
    ///
    /// Not cancel-safe: a dropped future hangs up.
    ///
    /// # Errors
    /// `AuthenticationRefused` where the server said so; `Unsupported` where it offers no way to log
    /// in with what we have, or user or secret hold characters that no login can carry (nothing was
    /// sent then); else as for every command.
    pub async fn login(mut self, login: &Login<'_>) -> Result<Session, ImapError> {
        let during = Step::Login;
        let budget = Budget::new(self.settings.command_timeout);
        self.wire.allow(budget.limits);
        let way = Way::choose(login, |name| self.capabilities.contains(name))?;
        // A server may echo what it did not understand.
        let (Secret::Password(secret) | Secret::AccessToken(secret)) = login.secret;
        let secrets = Secrets::default().with(secret);
        let said = match timeout(budget.time, way.walk(&mut self.wire, login)).await {
            Ok(said) => said.map_err(|error| without(&secrets, error))?,
            Err(_elapsed) => return Err(ImapError::TimedOut { during }),
        };
        if let (Tagged::Refused(Words { code, text }), challenge_json) = said {
            return Err(ImapError::AuthenticationRefused {
                challenge_json: challenge_json.map(|json| secrets.masked(&json)),
                code,
                text: secrets.masked(&text),
            });
        }
        let capabilities = connect::capabilities(&mut self.wire, &self.settings).await?;
        Ok(Session::new(self.wire, self.settings, capabilities))
    }
}

/// The same failure, its words masked.
fn without(secrets: &Secrets, error: ImapError) -> ImapError {
    match error {
        ImapError::Bye { during, code, text } => ImapError::Bye {
            during,
            code,
            text: secrets.masked(&text),
        },
        ImapError::Nonsense { during, line } => ImapError::Nonsense {
            during,
            line: secrets.masked(&line),
        },
        other => other,
    }
}

/// How to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    XOAuth2,
    Plain,
    Login,
}

impl Way {
    fn choose(login: &Login<'_>, offers: impl Fn(&str) -> bool) -> Result<Self, ImapError> {
        let unsupported = |what| ImapError::Unsupported {
            during: Step::Login,
            what,
        };
        let carries = |text: &str| !text.is_empty() && !text.chars().any(char::is_control);
        if !carries(login.user) {
            return Err(unsupported(
                "the user name is empty or holds control characters",
            ));
        }
        match login.secret {
            Secret::AccessToken(token) if !carries(token.expose_secret()) => Err(unsupported(
                "the access token is empty or holds control characters",
            )),
            Secret::AccessToken(_) if offers("AUTH=XOAUTH2") => Ok(Self::XOAuth2),
            Secret::AccessToken(_) => Err(unsupported(
                "the server does not offer XOAUTH2 (Modern Authentication)",
            )),
            Secret::Password(password) if !carries(password.expose_secret()) => Err(unsupported(
                "the password is empty or holds control characters",
            )),
            Secret::Password(_) if offers("AUTH=PLAIN") => Ok(Self::Plain),
            Secret::Password(_) if offers("LOGINDISABLED") => {
                Err(unsupported("the server takes no passwords (LOGINDISABLED)"))
            }
            Secret::Password(_) => Ok(Self::Login),
        }
    }

    async fn walk(
        self,
        wire: &mut Wire,
        login: &Login<'_>,
    ) -> Result<(Tagged, Option<String>), ImapError> {
        let user = login.user;
        let (Secret::Password(secret) | Secret::AccessToken(secret)) = login.secret;
        let secret = secret.expose_secret();
        match self {
            Self::XOAuth2 => {
                let first = format!("user={user}\x01auth=Bearer {secret}\x01\x01");
                sasl(wire, "AUTHENTICATE XOAUTH2", &first).await
            }
            Self::Plain => {
                // RFC 4616 §2: no authorization identity, then who and with what.
                let first = format!("\0{user}\0{secret}");
                sasl(wire, "AUTHENTICATE PLAIN", &first).await
            }
            Self::Login => Ok((plain_login(wire, user, secret).await?, None)),
        }
    }
}

/// AUTHENTICATE in two steps: tokens are longer than some servers' command lines, and a secret in a
/// command line is echoed by some. A challenge behind the first is XOAUTH2's way of saying why not;
/// it is answered with an empty line, then the refusal comes.
async fn sasl(
    wire: &mut Wire,
    command: &str,
    first: &str,
) -> Result<(Tagged, Option<String>), ImapError> {
    let during = Step::Login;
    let tag = wire.send(during, command.as_bytes()).await?;
    let mut answer = STANDARD.encode(first);
    let mut challenge = None;
    for _ in 0..20 {
        let ask = |response: &Response<'_>| match response {
            Response::Continue(outcome) => Some(outcome.information.as_deref().and_then(decode)),
            _ => None,
        };
        match wire.hear(during, &tag, ask).await? {
            Heard::Tagged(tagged) => return Ok((tagged, challenge)),
            Heard::Other(None) => {}
            Heard::Other(Some(said)) => {
                // What precedes the first answer is empty, or "go ahead" in some words.
                if answer.is_empty() {
                    challenge = said;
                }
                wire.send_line(during, answer.as_bytes()).await?;
                answer.clear();
            }
        }
    }
    Err(ImapError::Nonsense {
        during,
        line: "challenges without end".to_owned(),
    })
}

fn decode(text: &str) -> Option<String> {
    let octets = STANDARD.decode(text.trim()).ok()?;
    Some(reply::clean(&String::from_utf8_lossy(&octets)))
}

/// LOGIN with quoted strings where they can carry the text, else with literals.
async fn plain_login(wire: &mut Wire, user: &str, password: &str) -> Result<Tagged, ImapError> {
    let during = Step::Login;
    let (user, password) = (quoted(user), quoted(password));
    if let (Some(user), Some(password)) = (&user, &password) {
        let tag = wire
            .send(during, format!("LOGIN {user} {password}").as_bytes())
            .await?;
        return wire.finish(during, &tag, |_| {}).await;
    }
    Err(ImapError::Unsupported {
        during,
        what: "the server offers no way to send a user name or password beyond ASCII",
    })
}

/// A quoted string (RFC 3501 §9), for text without control characters.
pub(super) fn quoted(text: &str) -> Option<String> {
    let fits = text.is_ascii() && !text.chars().any(char::is_control);
    fits.then(|| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_log_in_follows_what_the_server_offers() {
        let good = SecretString::from("s3cret");
        let bad = SecretString::from("a\r\nM2 LOGOUT");
        let choose = |user: &str, secret, offered: &[&str]| {
            Way::choose(&Login { user, secret }, |name| offered.contains(&name)).ok()
        };
        let password = Secret::Password(&good);
        let token = Secret::AccessToken(&good);
        assert_eq!(choose("a", password, &["AUTH=PLAIN"]), Some(Way::Plain));
        assert_eq!(
            choose("a", password, &["AUTH=PLAIN", "LOGINDISABLED"]),
            Some(Way::Plain)
        );
        assert_eq!(choose("a", password, &["LOGINDISABLED"]), None);
        assert_eq!(choose("a", password, &[]), Some(Way::Login));
        assert_eq!(choose("a", token, &["AUTH=XOAUTH2"]), Some(Way::XOAuth2));
        assert_eq!(choose("a", token, &["AUTH=PLAIN"]), None);
        for user in ["", "a\r\nb", "a\0b", "a\x01b"] {
            assert_eq!(choose(user, token, &["AUTH=XOAUTH2"]), None, "{user:?}");
        }
        assert_eq!(
            choose("a", Secret::AccessToken(&bad), &["AUTH=XOAUTH2"]),
            None
        );
        assert_eq!(choose("a", Secret::Password(&bad), &[]), None);
    }

    #[test]
    fn quoted_strings_escape_and_refuse() {
        assert_eq!(quoted(r#"a"b\c"#).unwrap(), r#""a\"b\\c""#);
        assert_eq!(quoted("INBOX").unwrap(), "\"INBOX\"");
        assert_eq!(quoted("a\r\nb"), None);
        assert_eq!(quoted("ä"), None);
    }
}
