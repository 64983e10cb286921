//! Proxies: which of the two, the proxy or the server behind it, is to be looked at.

use super::words::{Words, chain, quote};
use crate::net::{DialError, ProxyRefusal};

/// Where the proxy is set, for next steps.
const WHERE: &str = "the account's proxy or XC_EMAIL_MAIL_PROXY";

pub(super) fn not_reached(proxy: &str, source: &DialError) -> Words {
    let next = match source {
        DialError::Forbidden { .. } => format!(
            "An account may not name a proxy on this machine or its link, unless its host is in XC_EMAIL_ALLOW_HOSTS. \
             Use XC_EMAIL_MAIL_PROXY for such a proxy, or correct {WHERE}."
        ),
        DialError::Resolve { .. } => format!(
            "Check the spelling of the host in {WHERE}, and that this machine resolves names."
        ),
        _ => format!(
            "Check that the proxy runs, host and port in {WHERE}, and that a firewall lets this machine out to it."
        ),
    };
    Words::new(
        "proxy_not_reached",
        format!("The proxy {proxy} was not reached."),
        quote(&chain(source)),
        next,
    )
}

pub(super) fn silent(proxy: &str) -> Words {
    Words::new(
        "proxy_silent",
        format!("The proxy {proxy} took the connection and gave no answer in time."),
        "It waits for a server that does not answer it, or the port speaks another protocol.",
        format!(
            "Check on the proxy whether it reaches the mail server, and that {WHERE} names the right port and kind (http or socks5)."
        ),
    )
}

pub(super) fn nonsense(proxy: &str, what: &str) -> Words {
    Words::new(
        "proxy_no_proxy",
        format!("{proxy} does not answer as a proxy."),
        format!("It sent {what}."),
        format!(
            "Check that {WHERE} names the right port and kind: http:// for CONNECT, socks5:// for SOCKS 5."
        ),
    )
}

pub(super) fn broken(proxy: &str, error: &DialError) -> Words {
    Words::new(
        "proxy_hung_up",
        format!("The proxy {proxy} hung up without an answer."),
        quote(&chain(error)),
        format!(
            "Look into the proxy's log; check that {WHERE} names the right kind (http or socks5)."
        ),
    )
}

/// A stable code and next step for each way of saying no.
pub(super) fn refused(proxy: &str, target: &str, refusal: &ProxyRefusal) -> Words {
    let what = format!("The proxy {proxy} opens no connection to {target}.");
    let why = quote(&refusal.to_string());
    let (code, next) = match refusal {
        _ if refusal.wants_login() => (
            "proxy_login_refused",
            format!(
                "Enter the right user name and password in {WHERE} (http://user:password@host:port); @ in a password is written as %40."
            ),
        ),
        ProxyRefusal::Http { status: 403, .. } | ProxyRefusal::Socks(2) => (
            "proxy_forbids",
            format!(
                "The proxy's administrator has to allow CONNECT to {target}: many proxies allow port 443 only."
            ),
        ),
        ProxyRefusal::Http {
            status: 400 | 405 | 501,
            ..
        }
        | ProxyRefusal::Socks(7) => (
            "proxy_cannot",
            format!("This proxy opens no connections for others: name another one in {WHERE}."),
        ),
        ProxyRefusal::Socks(8) => (
            "proxy_cannot",
            "The proxy does not take this kind of address: enter the server's name in the account instead of an address."
                .to_owned(),
        ),
        ProxyRefusal::Socks(3 | 6) => (
            "proxy_no_way",
            format!("The proxy has no network that leads to {target}: check its own connection, its routes and IPv6."),
        ),
        ProxyRefusal::Socks(4) => (
            "proxy_host_not_found",
            "Check the spelling of the host in the account, and that the proxy resolves and reaches it.".to_owned(),
        ),
        ProxyRefusal::Socks(5) => (
            "proxy_host_refused",
            "Check host and port in the account: the server did not take the proxy's connection.".to_owned(),
        ),
        ProxyRefusal::Http {
            status: 502..=504, ..
        } => (
            "proxy_no_way",
            format!(
                "The proxy did not reach {target}: check host and port in the account, and that the proxy resolves and reaches it."
            ),
        ),
        ProxyRefusal::Http { .. }
        | ProxyRefusal::Socks(_)
        | ProxyRefusal::SocksLogin
        | ProxyRefusal::SocksMethods => (
            "proxy_refused",
            format!("Look into the proxy's log for the reason; check {WHERE}."),
        ),
    };
    Words::new(code, what, why, next)
}
