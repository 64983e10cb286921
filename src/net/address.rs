//! Which addresses may be connected to. Pure, but for [`is_own`].

use std::net::IpAddr;

/// True for addresses of this machine or its link, which a host name from a form must not reach
/// (loopback, unspecified, link-local with the cloud metadata services, multicast, broadcast).
/// Private networks are fine: mail servers live there.
pub(super) fn is_local(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            v4.is_loopback()
                || v4.is_link_local()
                || v4.is_multicast()
                || v4.is_broadcast()
                || v4.octets().first() == Some(&0)
        }
        IpAddr::V6(v6) => {
            v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_multicast()
                || v6.is_unicast_link_local()
                // IPv4-compatible (::a.b.c.d) and NAT64 (64:ff9b::a.b.c.d) forms of a local address.
                || embedded_v4(v6).is_some_and(|v4| is_local(IpAddr::V4(v4)))
        }
    }
}

fn embedded_v4(v6: std::net::Ipv6Addr) -> Option<std::net::Ipv4Addr> {
    let [a, b, c, d, e, f, hi, lo] = v6.segments();
    let embeds = matches!(
        [a, b, c, d, e, f],
        [0, 0, 0, 0, 0, 0] | [0x64, 0xff9b, 0, 0, 0, 0]
    );
    let [h1, h2] = hi.to_be_bytes();
    let [l1, l2] = lo.to_be_bytes();
    embeds.then(|| std::net::Ipv4Addr::new(h1, h2, l1, l2))
}

/// The address that a host text is, in whatever form a resolver would take for one: `127.1`,
/// `0x7f.0.0.1`, `2130706433`, an IPv6 address with brackets or without.
pub(super) fn literal(host: &str) -> Option<IpAddr> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(ip) = bare.parse() {
        return Some(ip);
    }
    match url::Host::parse(bare) {
        Ok(url::Host::Ipv4(ip)) => Some(IpAddr::V4(ip)),
        _ => None,
    }
}

/// A name that means this machine to any resolver (RFC 6761 §6.3, and what systems put into their
/// hosts file).
fn is_localhost(host: &str) -> bool {
    const NAMES: [&str; 4] = [
        "localhost",
        "localhost.localdomain",
        "ip6-localhost",
        "ip6-loopback",
    ];
    let host = host.to_ascii_lowercase();
    NAMES.contains(&host.as_str()) || host.ends_with(".localhost")
}

/// This machine itself, by name or by address.
pub(super) fn is_loopback(host: &str) -> bool {
    is_localhost(host) || literal(host).is_some_and(|ip| ip.to_canonical().is_loopback())
}

/// The forbidden address that a host text is or means without asking a resolver, unless the operator
/// allowed it.
pub(super) fn forbidden_literal(allow_hosts: &[String], host: &str) -> Option<IpAddr> {
    let localhost = is_localhost(host).then_some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));
    let address = localhost.or_else(|| literal(host))?;
    let ours = is_local(address) || is_own(address);
    (ours && !is_allowed(allow_hosts, host, address)).then_some(address)
}

/// What a host may be written like: at most 253 octets of letters, digits, hyphens, underscores and
/// dots, labels of at most 63 (RFC 1035 §2.3.4), perhaps with a dot at its end; or an address. Pure.
pub fn is_host(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let letter = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(letter);
    host.trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<IpAddr>()
        .is_ok()
        || host.len() <= 253 && host.split('.').all(label)
}

/// One of this machine's own addresses, of whichever interface: the system would not leave the machine
/// to reach it. Nothing is sent: connecting a datagram socket only asks the routing table.
pub(super) fn is_own(address: IpAddr) -> bool {
    let any: IpAddr = match address {
        IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let source = std::net::UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((address, 9))?;
        socket.local_addr()
    });
    source.is_ok_and(|source| source.ip().to_canonical() == address.to_canonical())
}

/// The operator named this host or this very address.
pub(super) fn is_allowed(allow_hosts: &[String], host: &str, address: IpAddr) -> bool {
    allow_hosts.iter().any(|allowed| {
        let allowed = allowed.trim();
        allowed.eq_ignore_ascii_case(host)
            || allowed
                .parse::<IpAddr>()
                .is_ok_and(|ip| ip.to_canonical() == address.to_canonical())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_this_machine_and_its_link_are_local_and_others_are_not() {
        for local in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::127.0.0.1",
        ] {
            assert!(is_local(local.parse().unwrap()), "{local}");
        }
        for far in [
            "10.0.0.1",
            "192.168.1.1",
            "192.0.2.1",
            "2001:db8::1",
            "fd00::1",
            "40.101.1.1",
        ] {
            assert!(!is_local(far.parse().unwrap()), "{far}");
        }
    }

    /// Bad input 59: what a proxy would resolve to its own machine is refused by its text.
    #[test]
    fn texts_that_mean_this_machine_are_known_without_a_resolver() {
        for text in [
            "localhost",
            "LOCALHOST",
            "a.localhost",
            "localhost.localdomain",
            "ip6-loopback",
            "127.0.0.1",
            "127.1",
            "0x7f.1",
            "2130706433",
            "017700000001",
            "[::1]",
            "::ffff:127.0.0.1",
        ] {
            assert!(is_loopback(text), "{text}");
            assert!(forbidden_literal(&[], text).is_some(), "{text}");
        }
        for text in ["169.254.169.254", "0.0.0.0", "fe80::1", "[::]", "224.0.0.1"] {
            assert!(!is_loopback(text), "{text}");
            assert!(forbidden_literal(&[], text).is_some(), "{text}");
        }
        for text in [
            "10.0.0.1",
            "mail.test",
            "localhost.test",
            "2001:db8::1",
            "1.2.3.4.5",
        ] {
            assert!(!is_loopback(text), "{text}");
            assert!(forbidden_literal(&[], text).is_none(), "{text}");
        }
        let allow = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        assert!(forbidden_literal(&allow, "localhost").is_none());
        assert!(forbidden_literal(&allow, "127.1").is_none());
        assert!(forbidden_literal(&allow, "127.0.0.2").is_some());
    }

    /// Bad input 59.
    #[test]
    fn a_host_is_letters_digits_hyphens_underscores_and_dots() {
        let label = "a".repeat(63);
        let longest = [label.as_str(); 3].join(".");
        for good in [
            "a",
            "a.",
            "mail_1.a-b.test",
            "10.0.0.1",
            "::1",
            "[::1]",
            &longest,
        ] {
            assert!(is_host(good), "{good}");
        }
        for bad in [
            "",
            "a b",
            "host\r\n",
            "host\r\nRCPT TO:<x>",
            "a..b",
            "..",
            "a/b",
            "h:25",
            "ä.test",
            "a\0",
            "fe80::1%eth0",
            &"x".repeat(300),
            &"x".repeat(64),
            &["a"; 128].join("."),
        ] {
            assert!(!is_host(bad), "{bad:?}");
        }
    }

    /// Bad input 59: the own node by its address on the network.
    #[test]
    fn this_machines_own_addresses_are_known_and_no_others() {
        assert!(is_own("127.0.0.1".parse().unwrap()));
        assert!(!is_own("192.0.2.1".parse().unwrap()));
        // Whatever address this machine uses towards others, if it has a network.
        let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
        if socket.connect("192.0.2.1:9").is_ok() {
            assert!(is_own(socket.local_addr().unwrap().ip()));
        }
    }

    #[test]
    fn the_operator_may_allow_a_host_by_name_or_by_address() {
        let allow = ["Mail.Test".to_owned(), "127.0.0.2".to_owned()];
        let ip = |text: &str| text.parse().unwrap();
        assert!(is_allowed(&allow, "mail.test", ip("127.0.0.1")));
        assert!(is_allowed(&allow, "other.test", ip("127.0.0.2")));
        assert!(is_allowed(&allow, "other.test", ip("::ffff:127.0.0.2")));
        assert!(!is_allowed(&allow, "other.test", ip("127.0.0.1")));
        assert!(!is_allowed(&[], "", ip("127.0.0.1")));
    }
}
