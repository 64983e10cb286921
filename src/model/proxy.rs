//! Proxies: a machine that opens connections for us.

use std::{borrow::Cow, fmt, net::Ipv6Addr};

use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

/// What is spoken with a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyScheme {
    /// HTTP's CONNECT (RFC 9110 §9.3.6), login by Basic.
    Http,
    /// SOCKS 5 (RFC 1928), login by RFC 1929; the proxy resolves the names.
    Socks5,
}

impl ProxyScheme {
    /// As in a URL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Socks5 => "socks5",
        }
    }
}

/// A proxy that is named well. Its password is in neither `Debug` nor `Display` (I8).
#[derive(Clone, Debug)]
pub struct Proxy {
    scheme: ProxyScheme,
    host: String,
    port: u16,
    /// As it stands in the URL; empty where there is no login.
    user: String,
    /// As it stands in the URL.
    password: SecretString,
}

/// Why a text names no proxy, as the end of a sentence about it; never repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidProxy(&'static str);

/// The longest user name and password that SOCKS 5 can carry (RFC 1929 §2), in octets.
const LOGIN: usize = 255;

impl Proxy {
    /// `http://[user:password@]host[:port]` or `socks5://…` (`socks5h://` is the same: names are always
    /// resolved by the proxy). Without a port: 80 for `http`, 1080 for `socks5`. Special characters of
    /// a login are written as in any URL (%40 for @).
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, InvalidProxy> {
        Self::parse_over(text, None)
    }

    /// The same; a URL that names no password gets that of `known`, where both are the same but for
    /// that: what is shown of a proxy can be sent back.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse_over(text: &str, known: Option<&Self>) -> Result<Self, InvalidProxy> {
        let mut proxy = Self::read(text)?;
        if let Some(known) = known
            && proxy.password.expose_secret().is_empty()
            && proxy.to_string() == known.to_string()
        {
            proxy.password = known.password.clone();
        }
        proxy.login_is_usable().map(|()| proxy)
    }

    fn read(text: &str) -> Result<Self, InvalidProxy> {
        let wrong = |what| Err(InvalidProxy(what));
        let text = text.trim();
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return wrong("has a space or a control character in it");
        }
        let Ok(url) = Url::parse(text) else {
            return wrong(
                "is not a URL; special characters of a password are written as %40, %23 …",
            );
        };
        let (scheme, usual) = match url.scheme() {
            "http" => (ProxyScheme::Http, 80),
            "socks5" | "socks5h" => (ProxyScheme::Socks5, 1080),
            _ => return wrong("is neither an http:// nor a socks5:// URL"),
        };
        let host = url.host_str().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let letter = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        let good = host.bytes().all(letter) || host.parse::<Ipv6Addr>().is_ok();
        if host.is_empty() || host.len() > 253 || !good {
            return wrong("names no host that a proxy can have");
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return wrong("has something after host and port");
        }
        let port = url.port().unwrap_or(usual);
        if port == 0 {
            return wrong("has port 0");
        }
        Ok(Self {
            scheme,
            host: host.to_ascii_lowercase(),
            port,
            user: url.username().to_owned(),
            password: url.password().unwrap_or_default().into(),
        })
    }

    fn login_is_usable(&self) -> Result<(), InvalidProxy> {
        let wrong = |what| Err(InvalidProxy(what));
        let Some((user, password)) = self.login() else {
            return match self.password.expose_secret() {
                "" => Ok(()),
                _ => wrong("has a password without a user name"),
            };
        };
        let password = password.expose_secret();
        if user.len() > LOGIN || password.len() > LOGIN {
            return wrong("has a user name or password of more than 255 bytes");
        }
        if user.chars().chain(password.chars()).any(char::is_control) {
            return wrong("has a control character in its user name or password");
        }
        match self.scheme {
            // RFC 7617 §2: the first colon ends the user name.
            ProxyScheme::Http if user.contains(':') => wrong("has a colon in its user name"),
            // RFC 1929 §2: neither may be empty.
            ProxyScheme::Socks5 if password.is_empty() => {
                wrong("has a user name without a password")
            }
            _ => Ok(()),
        }
    }

    /// What is spoken with it.
    pub fn scheme(&self) -> ProxyScheme {
        self.scheme
    }

    /// Its DNS name or address, in lower case, an IPv6 address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// User name and password, decoded, where a login is wanted.
    pub fn login(&self) -> Option<(String, SecretString)> {
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        (!self.user.is_empty()).then(|| {
            let password = decoded(self.password.expose_secret());
            (decoded(&self.user), password.into())
        })
    }

    /// The whole URL, with the password: for keeping it sealed.
    pub fn url(&self) -> SecretString {
        self.url_as(self.scheme.as_str())
    }

    /// The same for HTTP clients, which resolve names themselves unless they read `socks5h`.
    pub fn url_for_clients(&self) -> SecretString {
        self.url_as(match self.scheme {
            ProxyScheme::Http => "http",
            ProxyScheme::Socks5 => "socks5h",
        })
    }

    fn url_as(&self, scheme: &str) -> SecretString {
        let login = match (self.user.as_str(), self.password.expose_secret()) {
            ("", _) => String::new(),
            (user, "") => format!("{user}@"),
            (user, password) => format!("{user}:{password}@"),
        };
        format!("{scheme}://{login}{}", self.place()).into()
    }

    /// `host:port`, for errors.
    pub fn place(&self) -> String {
        place(&self.host, self.port)
    }
}

/// `host:port`, IPv6 addresses in brackets.
fn place(host: &str, port: u16) -> String {
    let host: Cow<'_, str> = match host.parse::<Ipv6Addr>() {
        Ok(ip) => format!("[{ip}]").into(),
        Err(_) => host.into(),
    };
    format!("{host}:{port}")
}

/// The URL without the password.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (user, at) = match self.user.as_str() {
            "" => ("", ""),
            user => (user, "@"),
        };
        write!(f, "{}://{user}{at}{}", self.scheme.as_str(), self.place())
    }
}

/// How an account's servers, or a cloud provider's identity platform, are reached.
#[derive(Clone, Debug, Default)]
pub enum ProxyChoice {
    /// As the process does it: the default.
    #[default]
    Process,
    /// Directly, also where the process has a proxy.
    Direct,
    /// Through its own, for every host.
    Through(Proxy),
}

impl ProxyChoice {
    /// `direct`, or a proxy's URL.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, InvalidProxy> {
        Self::parse_over(text, &Self::Process)
    }

    /// The same; see [`Proxy::parse_over`].
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse_over(text: &str, known: &Self) -> Result<Self, InvalidProxy> {
        if text.trim().eq_ignore_ascii_case("direct") {
            return Ok(Self::Direct);
        }
        let known = match known {
            Self::Through(proxy) => Some(proxy),
            Self::Process | Self::Direct => None,
        };
        Proxy::parse_over(text, known).map(Self::Through)
    }

    /// As [`Self::parse`] reads it, without the password; `None` for the process's.
    pub fn shown(&self) -> Option<String> {
        match self {
            Self::Process => None,
            Self::Direct => Some("direct".to_owned()),
            Self::Through(proxy) => Some(proxy.to_string()),
        }
    }

    /// As [`Self::parse`] reads it, with the password; `None` for the process's.
    pub fn secret_text(&self) -> Option<SecretString> {
        match self {
            Self::Process => None,
            Self::Direct => Some("direct".to_owned().into()),
            Self::Through(proxy) => Some(proxy.url()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_read_from_urls() {
        for (text, shown, host, port, login) in [
            ("http://p:3128", "http://p:3128", "p", 3128, None),
            (
                "http://Proxy.Test",
                "http://proxy.test:80",
                "proxy.test",
                80,
                None,
            ),
            ("http://p:80/", "http://p:80", "p", 80, None),
            ("socks5://p", "socks5://p:1080", "p", 1080, None),
            (
                "socks5h://[2001:db8::1]:9",
                "socks5://[2001:db8::1]:9",
                "2001:db8::1",
                9,
                None,
            ),
            (
                "http://u:p%40ss%25@p:1",
                "http://u@p:1",
                "p",
                1,
                Some(("u", "p@ss%")),
            ),
            ("http://u@p:1", "http://u@p:1", "p", 1, Some(("u", ""))),
            (
                "socks5://a%3Ab:c@10.0.0.1",
                "socks5://a%3Ab@10.0.0.1:1080",
                "10.0.0.1",
                1080,
                Some(("a:b", "c")),
            ),
        ] {
            let proxy = Proxy::parse(text).unwrap();
            assert_eq!(proxy.to_string(), shown);
            assert_eq!((proxy.host(), proxy.port()), (host, port), "{text}");
            let found = proxy.login();
            let found = found
                .as_ref()
                .map(|(user, password)| (user.as_str(), password.expose_secret()));
            assert_eq!(found, login, "{text}");
            let again = Proxy::parse(proxy.url().expose_secret()).unwrap();
            assert_eq!(again.url().expose_secret(), proxy.url().expose_secret());
        }
    }

    #[test]
    fn what_names_no_proxy_is_refused_with_its_reason() {
        let long = "x".repeat(256);
        for (text, reason) in [
            ("", "is not a URL"),
            ("proxy:3128", "is neither"),
            ("10.0.0.1:3128", "is not a URL"),
            ("https://p:1", "is neither"),
            ("socks4://p:1", "is neither"),
            ("http://", "is not a URL"),
            ("socks5://", "names no host"),
            ("socks5://:1080", "is not a URL"),
            ("socks5://a%20b", "names no host"),
            ("socks5://bad!host", "names no host"),
            ("http://p:99999", "is not a URL"),
            ("http://p:0", "has port 0"),
            ("http://p:1/x", "has something after"),
            ("http://p:1?x", "has something after"),
            ("http://p:1\r\nX: y", "has a space or a control"),
            ("http://u:p#w@p:1", "is not a URL"),
            ("http://:secret@p:1", "has a password without"),
            ("http://a%3Ab:c@p", "has a colon"),
            ("http://a:c%0d%0aX@p", "has a control character"),
            ("socks5://u@p", "has a user name without"),
            (
                &format!("socks5://u:{long}@p"),
                "has a user name or password of more",
            ),
        ] {
            let error = Proxy::parse(text).unwrap_err().to_string();
            assert!(error.starts_with(reason), "{text:?}: {error}");
            assert!(!error.contains("secret"));
        }
    }

    #[test]
    fn a_password_is_never_shown_and_what_is_shown_keeps_it() {
        let proxy = Proxy::parse("http://u:canary@p:1").unwrap();
        let choice = ProxyChoice::Through(proxy.clone());
        for text in [
            format!("{proxy} {proxy:?} {choice:?}"),
            choice.shown().unwrap(),
        ] {
            assert!(!text.contains("canary"), "{text}");
        }
        let kept = |text| {
            let kept = Proxy::parse_over(text, Some(&proxy)).unwrap();
            kept.url().expose_secret().to_owned()
        };
        assert_eq!(kept("http://u@p:1"), "http://u:canary@p:1");
        assert_eq!(kept("http://u:new@p:1"), "http://u:new@p:1");
        // Another machine does not get it.
        assert_eq!(kept("http://u@other:1"), "http://u@other:1");
        assert_eq!(kept("http://p:1"), "http://p:1");
    }

    #[test]
    fn direct_is_a_choice_of_its_own() {
        assert!(matches!(
            ProxyChoice::parse(" Direct "),
            Ok(ProxyChoice::Direct)
        ));
        assert!(ProxyChoice::parse("none").is_err());
        assert_eq!(ProxyChoice::Process.shown(), None);
        assert_eq!(ProxyChoice::Direct.shown().as_deref(), Some("direct"));
    }
}
