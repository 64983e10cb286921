//! One parser per kind of value. An error says what the text is not, without repeating it.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use url::Url;

use crate::model::Proxy;

/// What is wrong with a value, as the end of a sentence about it: `is not a duration`.
pub(super) type Wrong = String;

fn wrong<T>(what: &str) -> Result<T, Wrong> {
    Err(what.to_owned())
}

/// A number from `least` to `most`.
pub(super) fn number(text: &str, least: u32, most: u32) -> Result<u32, Wrong> {
    match digits(text) {
        Some(n) if n < u64::from(least) => Err(format!("is less than {least}")),
        Some(n) if n > u64::from(most) => Err(format!("is more than {most}")),
        Some(n) => u32::try_from(n).map_err(|_| format!("is more than {most}")),
        None => wrong("is not a whole number"),
    }
}

/// Only digits, and not so many that they overflow.
fn digits(text: &str) -> Option<u64> {
    let good = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    good.then(|| text.parse().unwrap_or(u64::MAX))
}

const TIMES: [(&str, u64); 7] = [
    ("ms", 1),
    ("s", 1000),
    ("m", 60_000),
    ("min", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
    ("", 1000),
];

const SIZES: [(&str, u64); 10] = [
    ("", 1),
    ("b", 1),
    ("k", 1 << 10),
    ("kib", 1 << 10),
    ("m", 1 << 20),
    ("mib", 1 << 20),
    ("g", 1 << 30),
    ("gib", 1 << 30),
    ("kb", 1000),
    ("mb", 1_000_000),
];

/// A number and a unit, in the smallest unit.
fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    let number = digits(number)?;
    let unit = unit.trim_start();
    let (_, factor) = units
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    Some(number.saturating_mul(*factor))
}

/// Seconds, or a number with `ms`, `s`, `m`, `h`, `d`.
pub(super) fn duration(text: &str, least: Duration, most: Duration) -> Result<Duration, Wrong> {
    let Some(millis) = scaled(text, &TIMES) else {
        return wrong("is not a duration");
    };
    let duration = Duration::from_millis(millis);
    if duration < least {
        Err(format!("is less than {}", show_duration(least)))
    } else if duration > most {
        Err(format!("is more than {}", show_duration(most)))
    } else {
        Ok(duration)
    }
}

/// As [`duration`] reads it, in the largest unit that is exact.
pub(super) fn show_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let (unit, factor) = [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1000),
    ]
    .into_iter()
    .find(|(_, factor)| millis >= *factor && millis.is_multiple_of(*factor))
    .unwrap_or(("ms", 1));
    format!("{}{unit}", millis / factor)
}

/// Bytes, or a number with `KiB`, `MiB`, `GiB` (`K`, `M`, `G` are the same), `KB`, `MB`.
pub(super) fn size(text: &str, least: u64, most: u64) -> Result<u64, Wrong> {
    match scaled(text, &SIZES) {
        None => wrong("is not a size"),
        Some(bytes) if bytes < least => Err(format!("is less than {}", show_size(least))),
        Some(bytes) if bytes > most => Err(format!("is more than {}", show_size(most))),
        Some(bytes) => Ok(bytes),
    }
}

/// As [`size`] reads it, in the largest unit that is exact.
pub(super) fn show_size(bytes: u64) -> String {
    let (unit, factor) = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)]
        .into_iter()
        .find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor))
        .unwrap_or(("B", 1));
    format!("{}{unit}", bytes / factor)
}

/// An absolute path without control characters.
pub(super) fn path(text: &str) -> Result<PathBuf, Wrong> {
    let path = Path::new(text);
    if !path.is_absolute() {
        return wrong("is not an absolute path");
    }
    if text.chars().any(char::is_control) {
        return wrong("has a control character in it");
    }
    Ok(path.to_owned())
}

/// A path that a Unix socket can have (sockaddr_un holds 108 bytes with the NUL).
pub(super) fn socket(text: &str) -> Result<PathBuf, Wrong> {
    if text.len() > 107 {
        return wrong("is longer than the 107 bytes that a socket's path may have");
    }
    path(text)
}

/// An IP address and a port.
pub(super) fn address(text: &str) -> Result<SocketAddr, Wrong> {
    text.parse()
        .or_else(|_| wrong("is not an IP address with a port"))
}

/// Where the daemon is seen from outside; without a slash at the end.
pub(super) fn public_url(text: &str) -> Result<Option<Url>, Wrong> {
    if text.is_empty() {
        return Ok(None);
    }
    let Ok(url) = Url::parse(text.trim_end_matches('/')) else {
        return wrong("is not a URL");
    };
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return wrong("is not an http:// or https:// URL");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return wrong("has a query or a fragment");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return wrong("has a user name or password in it");
    }
    Ok(Some(url))
}

/// Empty, or `/path/of/words`.
pub(super) fn base_path(text: &str) -> Result<String, Wrong> {
    let path = text.trim_end_matches('/');
    let word = |part: &str| {
        let letters = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~');
        !matches!(part, "" | "." | "..") && part.bytes().all(letters)
    };
    match path.strip_prefix('/') {
        None if path.is_empty() => Ok(String::new()),
        Some(parts) if parts.split('/').all(word) => Ok(path.to_owned()),
        _ => wrong("is not a path"),
    }
}

/// 1..=64 letters, digits, `.`, `-`, `_`.
pub(super) fn node_name(text: &str) -> Result<String, Wrong> {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    if (1..=64).contains(&text.len()) && text.bytes().all(good) {
        Ok(text.to_owned())
    } else {
        wrong("is not a node name")
    }
}

/// `sqlite:///path` or `mysql://user:password@host/database`; the store looks closer.
pub(super) fn database_url(text: &str) -> Result<String, Wrong> {
    if let Some(path) = text.strip_prefix("sqlite://") {
        return if path.starts_with('/') && path.len() > 1 {
            Ok(text.to_owned())
        } else {
            wrong("has no absolute path after sqlite://")
        };
    }
    let Ok(url) = Url::parse(text) else {
        return wrong(
            "is not a URL; special characters of a password are written as %40, %23, %2F …",
        );
    };
    if url.scheme() != "mysql" {
        return wrong("is neither a sqlite:// nor a mysql:// URL");
    }
    if url.host_str().is_none_or(str::is_empty) {
        return wrong("names no host");
    }
    if url.path().trim_matches('/').is_empty() {
        return wrong("names no database after the host");
    }
    Ok(text.to_owned())
}

/// Whether a URL has a password in it; text that is no URL might be one that went wrong, and counts.
pub(super) fn holds_password(text: &str) -> bool {
    match Url::parse(text) {
        Ok(url) => url.password().is_some(),
        Err(_) => text.contains('@'),
    }
}

/// A directory, as an absolute path or a `file:///` URL.
pub(super) fn blob_url(text: &str) -> Result<Url, Wrong> {
    if text.starts_with('/') {
        let path = path(text)?;
        return Url::from_file_path(path).or_else(|()| wrong("is not a path"));
    }
    match Url::parse(text) {
        Ok(url) if url.scheme() == "file" && url.to_file_path().is_ok() => Ok(url),
        Ok(url) if url.scheme() == "s3" => {
            wrong("is an object store, which this version does not support")
        }
        _ => wrong("is neither an absolute path nor a file:/// URL"),
    }
}

/// `http://[user:password@]host:port` or `socks5://…`; empty for none.
pub(super) fn proxy(text: &str) -> Result<Option<Proxy>, Wrong> {
    if text.is_empty() {
        return Ok(None);
    }
    Proxy::parse(text)
        .map(Some)
        .map_err(|error| error.to_string())
}

/// Hosts, domains (`example.com`, `.example.com`, `*.example.com`), addresses and networks
/// (`10.0.0.0/8`) between commas or spaces.
pub(super) fn exceptions(text: &str) -> Result<Vec<String>, Wrong> {
    let bare = text
        .split([',', ' ', '\t'])
        .map(|host| host.trim_start_matches("*.").trim_start_matches('.'))
        .filter(|host| !host.is_empty());
    let (networks, bare): (Vec<&str>, Vec<&str>) =
        bare.partition(|host| host.parse::<ipnet::IpNet>().is_ok());
    match hosts(&bare.join(",")) {
        Ok(mut all) => {
            all.extend(networks.into_iter().map(str::to_owned));
            Ok(all)
        }
        Err(_) => wrong(
            "is not a list of hosts, domains, addresses and networks (10.0.0.0/8; no ports, no URLs)",
        ),
    }
}

/// Host names and addresses between commas or spaces.
pub(super) fn hosts(text: &str) -> Result<Vec<String>, Wrong> {
    let hosts: Vec<_> = text
        .split([',', ' ', '\t'])
        .filter(|host| !host.is_empty())
        .map(str::to_owned)
        .collect();
    let name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    let good = |host: &String| {
        let address = host.trim_start_matches('[').trim_end_matches(']');
        address.parse::<IpAddr>().is_ok() || host.len() <= 253 && host.bytes().all(name)
    };
    if hosts.iter().all(good) {
        Ok(hosts)
    } else {
        wrong("is not a list of host names and addresses (no ports, no URLs)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_seconds_or_have_a_unit() {
        let read = |text| duration(text, Duration::from_secs(1), Duration::from_secs(86_400));
        for (text, seconds) in [
            ("30", 30),
            ("30s", 30),
            ("5m", 300),
            ("5 min", 300),
            ("1H", 3600),
            ("1d", 86_400),
        ] {
            assert_eq!(read(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(read("1500ms"), Ok(Duration::from_millis(1500)));
        for (text, what) in [
            ("0", "is less than 1s"),
            ("999ms", "is less than 1s"),
            ("2d", "is more than 1d"),
            ("99999999999999999999999d", "is more than 1d"),
            ("-5", "is not a duration"),
            ("", "is not a duration"),
            ("s", "is not a duration"),
            ("1.5h", "is not a duration"),
            ("5 weeks", "is not a duration"),
        ] {
            assert_eq!(read(text), Err(what.to_owned()), "{text}");
        }
    }

    #[test]
    fn sizes_have_binary_units() {
        for (text, bytes) in [
            ("1024", 1024),
            ("35MiB", 35 << 20),
            ("35 M", 35 << 20),
            ("2GiB", 2 << 30),
            ("5kb", 5000),
        ] {
            assert_eq!(size(text, 1, 4 << 30), Ok(bytes), "{text}");
        }
        for text in ["-1", "x", "1e6", "", "1TiBB"] {
            assert_eq!(size(text, 1, 10), Err("is not a size".to_owned()), "{text}");
        }
        assert_eq!(size("0", 1, 10), Err("is less than 1B".to_owned()));
        assert_eq!(size("1KiB", 1, 10), Err("is more than 10B".to_owned()));
    }

    #[test]
    fn numbers_have_bounds() {
        assert_eq!(number("30", 1, 40), Ok(30));
        assert_eq!(number("0", 1, 40), Err("is less than 1".to_owned()));
        assert_eq!(number("41", 1, 40), Err("is more than 40".to_owned()));
        for text in ["-1", "+1", "", "3d", "99 "] {
            assert_eq!(
                number(text, 1, 40),
                Err("is not a whole number".to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn urls_and_paths_are_checked_at_the_edge() {
        fn check<T>(read: fn(&str) -> Result<T, Wrong>, good: &[&str], bad: &[&str]) {
            for text in good {
                assert!(read(text).is_ok(), "{text:?}");
            }
            for text in bad {
                assert!(read(text).is_err(), "{text:?}");
            }
        }
        check(path, &["/a", "/a b"], &["", "a", "./a", "~/a", "/a\nb"]);
        check(
            socket,
            &["/run/x.sock"],
            &["x", &format!("/{}", "x".repeat(107))],
        );
        check(
            address,
            &["127.0.0.1:9380", "[::1]:0"],
            &["", "9380", "localhost:1", "1.2.3.4", "1.2.3.4:99999"],
        );
        check(
            public_url,
            &["", "https://m.example.com", "http://h:1/p/"],
            &["x", "ftp://x", "https://", "https://u:p@h", "https://h/?q"],
        );
        check(
            base_path,
            &["", "/", "/email", "/a/b/"],
            &["email", "/a//b", "/../x", "/a b", "/a?b"],
        );
        check(
            node_name,
            &["mail-1", "A.b_c"],
            &["", "a b", "ä", &"x".repeat(65)],
        );
        check(
            database_url,
            &["sqlite:///a/b.db", "mysql://u:p@h/d", "mysql://u@h:3306/d"],
            &[
                "",
                "sqlite://a",
                "sqlite:///",
                "mysql://h",
                "mysql:///d",
                "postgres://h/d",
                "mysql://u:p#w@h/d",
            ],
        );
        check(
            blob_url,
            &["/a", "file:///a"],
            &["", "a", "s3://b/p", "file://host/a"],
        );
        check(
            proxy,
            &[
                "",
                "http://h:3128",
                "http://u:p@h",
                "socks5://h",
                "socks5h://u:p@[::1]:9",
            ],
            &["h:3128", "https://h", "socks4://h", "x", "http://h/x"],
        );
        check(
            exceptions,
            &[
                "",
                "corp.test",
                ".corp.test, *.lab.test",
                "10.0.0.1,[::1]",
                "10.0.0.0/8, fd00::/8,corp.test",
            ],
            &["*", "http://x", "a:1", "10.0.0.0/33", "a/8", "ä"],
        );
        check(
            hosts,
            &["", "localhost", "127.0.0.1, ::1 [::1],a-b.c"],
            &["http://x", "a:1", "a/b", "ä"],
        );
    }
}
