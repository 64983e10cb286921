//! Which way leads to a host. Pure.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{Settings, address};
use crate::model::{Proxy, ProxyChoice};

/// How a host is reached.
#[derive(Debug)]
pub(super) enum Way<'a> {
    /// Straight from here.
    Direct,
    /// Through a proxy, which resolves the host's name.
    Through {
        proxy: &'a Proxy,
        /// The proxy's own host was named by an account, not by the operator: it is guarded like any.
        guarded: bool,
    },
}

/// The account's own proxy serves every host; the process's none on this machine itself and none that
/// the operator excepted.
pub(super) fn way<'a>(choice: &'a ProxyChoice, settings: &'a Settings, host: &str) -> Way<'a> {
    match (choice, &settings.mail_proxy) {
        (ProxyChoice::Through(proxy), _) => Way::Through {
            proxy,
            guarded: true,
        },
        (ProxyChoice::Process, Some(proxy))
            if !address::is_loopback(host) && !is_excepted(&settings.no_proxy, host) =>
        {
            Way::Through {
                proxy,
                guarded: false,
            }
        }
        (ProxyChoice::Process | ProxyChoice::Direct, _) => Way::Direct,
    }
}

/// A name is excepted by itself and by each domain that it lies in, an address by itself and by each
/// network that it lies in. A name is not resolved to find out.
fn is_excepted(no_proxy: &[String], host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    let address = address::literal(&host);
    no_proxy.iter().any(|excepted| {
        let excepted = excepted.trim().trim_start_matches("*.");
        let excepted = excepted.trim_matches('.').to_ascii_lowercase();
        if let Some(ip) = address {
            let bare = excepted.trim_start_matches('[').trim_end_matches(']');
            if let Ok(network) = bare.parse::<IpNet>() {
                return network.contains(&ip.to_canonical());
            }
            return bare
                .parse::<IpAddr>()
                .is_ok_and(|named| named.to_canonical() == ip.to_canonical());
        }
        match host.strip_suffix(&excepted) {
            Some(before) => !excepted.is_empty() && (before.is_empty() || before.ends_with('.')),
            None => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(way: &Way<'_>) -> String {
        match way {
            Way::Direct => "direct".to_owned(),
            Way::Through { proxy, guarded } => format!("{} {guarded}", proxy.host()),
        }
    }

    #[test]
    fn the_way_is_the_accounts_then_the_processs_then_straight() {
        let proxy = |text| Proxy::parse(text).unwrap();
        let with = Settings {
            mail_proxy: Some(proxy("http://process:1")),
            no_proxy: vec![
                "corp.test".into(),
                "*.lab.test".into(),
                ".x.test".into(),
                "10.0.0.9".into(),
                "192.168.0.0/16".into(),
                "fd00::/8".into(),
            ],
            ..Settings::default()
        };
        let without = Settings::default();
        let own = ProxyChoice::Through(proxy("socks5://own"));
        for (choice, settings, host, expected) in [
            (&ProxyChoice::Process, &without, "mail.test", "direct"),
            (&ProxyChoice::Process, &with, "mail.test", "process false"),
            (&ProxyChoice::Direct, &with, "mail.test", "direct"),
            (&own, &with, "mail.test", "own true"),
            (&own, &without, "mail.test", "own true"),
            // Excepted by the operator.
            (&ProxyChoice::Process, &with, "Corp.Test", "direct"),
            (&ProxyChoice::Process, &with, "mail.corp.test", "direct"),
            (
                &ProxyChoice::Process,
                &with,
                "notcorp.test",
                "process false",
            ),
            (
                &ProxyChoice::Process,
                &with,
                "corp.test.evil",
                "process false",
            ),
            (&ProxyChoice::Process, &with, "a.lab.test", "direct"),
            (&ProxyChoice::Process, &with, "a.x.test", "direct"),
            (&ProxyChoice::Process, &with, "10.0.0.9", "direct"),
            (&ProxyChoice::Process, &with, "10.0.0.8", "process false"),
            (&ProxyChoice::Process, &with, "192.168.7.1", "direct"),
            (&ProxyChoice::Process, &with, "::ffff:192.168.7.1", "direct"),
            (&ProxyChoice::Process, &with, "192.169.0.1", "process false"),
            (&ProxyChoice::Process, &with, "[fd12::1]", "direct"),
            (
                &ProxyChoice::Process,
                &with,
                "[2001:db8::1]",
                "process false",
            ),
            (&own, &with, "mail.corp.test", "own true"),
            // This machine itself.
            (&ProxyChoice::Process, &with, "localhost", "direct"),
            (&ProxyChoice::Process, &with, "127.0.0.1", "direct"),
            (&ProxyChoice::Process, &with, "[::1]", "direct"),
            (&own, &with, "localhost", "own true"),
        ] {
            assert_eq!(shown(&way(choice, settings, host)), expected, "{host}");
        }
    }
}
