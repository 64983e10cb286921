//! Which addresses may be connected to. Pure.

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
