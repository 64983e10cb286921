//! From what was seen to a verdict. Pure.

use std::{net::IpAddr, time::Duration};

use url::Url;

use super::Verdict;
use crate::{
    diagnosis::Finding,
    imap::{self, ImapError},
    model::{Account, Authentication, Service, Timestamp, TlsMode, TlsVerify},
    net::{DialError, DialStep, Handshake, Place},
    oauth::PlatformTime,
    smtp::{SmtpError, Verb},
};

const DAY_MILLIS: i64 = 86_400_000;
/// A certificate with less left is worth a word.
const CERTIFICATE_DAYS: i64 = 14;
/// A clock that differs by less is right.
const SKEW: i64 = 30;
/// Tokens and assertions carry times; platforms allow five minutes.
const SKEW_GRAVE: i64 = 240;
/// A mail that waits longer is worth a word.
const QUEUE_OLD: Duration = Duration::from_secs(3600);
const MIB: u64 = 1 << 20;

/// What an outcome is called: a verdict, what was seen, and what there is to say about it.
pub(super) type Judged = (Verdict, String, Option<Finding>);

/// Where a host is, on one line.
pub(super) fn place(host: &str, found: &Place) -> String {
    // An address needs nobody who resolves it.
    let literal = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    match found {
        Place::Addresses(_) if literal => format!("{host} is an address"),
        Place::BehindProxy(proxy) if literal => {
            format!("{host} is an address, reached through the proxy {proxy}")
        }
        Place::Addresses(addresses) => {
            let shown: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            format!("{host}: {}", shown.join(", "))
        }
        Place::BehindProxy(proxy) => format!("{host} is resolved by the proxy {proxy}"),
    }
}

/// Which check an error belongs to where connecting did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Before TLS, or after it: the server was not reached or did not greet.
    Connect,
    /// The handshake, or the way to it.
    Tls,
}

/// For IMAP.
pub(super) fn imap_stage(error: &ImapError) -> Stage {
    match error {
        ImapError::Dial(dial) => dial_stage(dial),
        other if imap_step(other) == Some(imap::Step::StartTls) => Stage::Tls,
        _ => Stage::Connect,
    }
}

fn imap_step(error: &ImapError) -> Option<imap::Step> {
    match error {
        ImapError::Refused { during, .. }
        | ImapError::Bye { during, .. }
        | ImapError::Broken { during, .. }
        | ImapError::Nonsense { during, .. }
        | ImapError::TimedOut { during }
        | ImapError::Limit { during, .. }
        | ImapError::Unsupported { during, .. } => Some(*during),
        _ => None,
    }
}

/// For SMTP.
pub(super) fn smtp_stage(error: &SmtpError) -> Stage {
    match error {
        SmtpError::Dial(dial) => dial_stage(dial),
        SmtpError::StartTlsMissing | SmtpError::Injected => Stage::Tls,
        other if other.during() == Some(Verb::StartTls) => Stage::Tls,
        _ => Stage::Connect,
    }
}

fn dial_stage(error: &DialError) -> Stage {
    match error {
        DialError::Tls { .. }
        | DialError::Pin { .. }
        | DialError::Authorities { .. }
        | DialError::TimedOut {
            during: DialStep::Tls,
            ..
        } => Stage::Tls,
        _ => Stage::Connect,
    }
}

/// Version and certificate of a connection that stands.
pub(super) fn handshake(seen: &Handshake, verify: &TlsVerify, now: Timestamp) -> Judged {
    let mut detail = vec![seen.version.unwrap_or("TLS").to_owned()];
    let mut finding = None;
    if let Some(certificate) = &seen.certificate {
        let days = days_left(certificate.not_after, now);
        detail.push(format!("certificate of {}", certificate.subject));
        detail.push(format!("issued by {}", certificate.issuer));
        detail.push(match days {
            0.. => format!("{days} days left"),
            _ => format!("ended {} days ago", days.saturating_neg()),
        });
        // With a fingerprint the time does not count.
        if days < CERTIFICATE_DAYS && !matches!(verify, TlsVerify::Pinned(_)) {
            finding = Some(Finding::CertificateEnds { days });
        }
    }
    match verify {
        TlsVerify::Full => {}
        TlsVerify::Ca(_) => detail.push("vouched for by the account's own authority".to_owned()),
        TlsVerify::Pinned(_) => detail.push("known by its fingerprint".to_owned()),
        TlsVerify::AcceptAny => {
            detail.push("not checked".to_owned());
            finding = Some(Finding::CertificateUnchecked);
        }
    }
    let verdict = if finding.is_some() {
        Verdict::Warning
    } else {
        Verdict::Ok
    };
    (verdict, detail.join(", "), finding)
}

/// Whole days, towards zero below and above.
fn days_left(end: Timestamp, now: Timestamp) -> i64 {
    (end.millis().saturating_sub(now.millis())) / DAY_MILLIS
}

/// Our clock against a platform's. `before` is when it was asked.
pub(super) fn clock(before: Timestamp, theirs: PlatformTime) -> Judged {
    // The platform read its clock somewhere between question and answer, and left out the fraction.
    let middle = before.plus(theirs.took / 2);
    let truth = theirs.date.plus(Duration::from_millis(500));
    let millis = middle.millis().saturating_sub(truth.millis());
    let unsure = i64::try_from(theirs.took.as_millis() / 2).unwrap_or(i64::MAX);
    let sure = millis.abs().saturating_sub(unsure).max(0) / 1000;
    let seconds = if millis < 0 { -sure } else { sure };
    let grave = sure >= SKEW_GRAVE;
    match sure {
        0..SKEW => (Verdict::Ok, "agrees with the platform's".to_owned(), None),
        _ => {
            let verdict = if grave {
                Verdict::Failed
            } else {
                Verdict::Warning
            };
            (
                verdict,
                String::new(),
                Some(Finding::ClockSkew { seconds, grave }),
            )
        }
    }
}

/// Room of a directory's disk.
pub(super) fn disk(path: &str, free: u64, files: u64) -> Judged {
    // Some file systems do not count files and say 0 of 0: the caller gives the most there can be.
    let grave = free < 100 * MIB || files < 100;
    if grave || free < 1024 * MIB || files < 10_000 {
        let finding = Finding::DiskLow {
            path: path.to_owned(),
            free,
            files,
            grave,
        };
        let verdict = if grave {
            Verdict::Failed
        } else {
            Verdict::Warning
        };
        return (verdict, String::new(), Some(finding));
    }
    let gib = free / (1024 * MIB);
    (Verdict::Ok, format!("{path} has {gib} GiB free"), None)
}

/// Where a provider's sign-ins come back to. `public` is the service as browsers see it.
pub(super) fn redirect(provider: &str, redirect: &str, public: Option<&str>) -> Judged {
    let elsewhere = |wrong| {
        let finding = Finding::RedirectElsewhere {
            provider: provider.to_owned(),
            redirect: redirect.to_owned(),
            wrong,
        };
        (Verdict::Warning, String::new(), Some(finding))
    };
    let Ok(url) = Url::parse(redirect.trim()) else {
        return elsewhere("is no web address");
    };
    let loopback = match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    };
    if !url.path().contains("/api/cloudProviders/oauth2/") {
        return elsewhere("does not end in /api/cloudProviders/oauth2/…/callback");
    }
    if url.scheme() != "https" && !loopback {
        return elsewhere("does not begin with https://, which platforms ask for");
    }
    match public.and_then(|text| Url::parse(text).ok()) {
        Some(public) if public.origin() != url.origin() && !loopback => {
            elsewhere("is on another host than XC_EMAIL_PUBLIC_URL")
        }
        _ => (
            Verdict::Ok,
            format!("cloud provider {provider} comes back to {redirect}"),
            None,
        ),
    }
}

/// Where copies of sent mail are: `found` is the folder with the attribute.
pub(super) fn sent_folder(account: &Account, found: Option<&str>) -> Judged {
    let filed_by = match account.entered.service {
        Service::Outlook365 if is_shared(account) => {
            "; the provider files a copy in the delegate's own mailbox"
        }
        Service::Outlook365 | Service::Hotmail | Service::Gmail => {
            "; the provider files a copy of sent mail by itself"
        }
        Service::Yahoo | Service::Custom => "; the provider is not known to file copies by itself",
    };
    match found {
        Some(name) => (Verdict::Ok, format!("{name}{filed_by}"), None),
        None => (
            Verdict::Warning,
            format!("none is marked{filed_by}"),
            Some(Finding::NoSentFolder),
        ),
    }
}

/// The mailbox is not that of the person who signed in.
pub(super) fn is_shared(account: &Account) -> bool {
    match &account.entered.authentication {
        Authentication::Modern { user, delegate, .. } => delegate
            .as_ref()
            .is_some_and(|delegate| !delegate.eq_ignore_ascii_case(user)),
        Authentication::Password { .. } => false,
    }
}

/// What waits in the queue and for how long.
pub(super) fn queue(waiting: i64, in_doubt: i64, oldest: Option<Duration>) -> Judged {
    let detail = match oldest {
        None if waiting == 0 => "empty".to_owned(),
        None => format!("{waiting} waiting"),
        Some(age) => format!("{waiting} waiting, the oldest since {} s", age.as_secs()),
    };
    if in_doubt > 0 {
        let finding = Finding::QueueNeedsPerson { copies: in_doubt };
        return (
            Verdict::Warning,
            format!("{detail}, {in_doubt} in doubt"),
            Some(finding),
        );
    }
    match oldest {
        Some(age) if age >= QUEUE_OLD => {
            let finding = Finding::QueueOld {
                seconds: age.as_secs(),
            };
            (Verdict::Warning, detail, Some(finding))
        }
        _ => (Verdict::Ok, detail, None),
    }
}

/// How a server is reached, for the line of its connection.
pub(super) fn reached(host: &str, port: u16, tls: TlsMode) -> String {
    match tls {
        TlsMode::Tls => format!("{host}:{port} answers"),
        TlsMode::StartTls => format!("{host}:{port} answers, STARTTLS"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Certificate;

    fn seen(days: i64) -> Handshake {
        Handshake {
            version: Some("TLS 1.3"),
            certificate: Some(Certificate {
                subject: "mail.test".to_owned(),
                issuer: "Test CA".to_owned(),
                names: Vec::new(),
                not_before: Timestamp::from_millis(0),
                not_after: Timestamp::from_millis(days * DAY_MILLIS + 1000),
            }),
        }
    }

    #[test]
    fn a_certificate_that_ends_within_two_weeks_is_worth_a_word() {
        let now = Timestamp::from_millis(0);
        for (days, expected, says) in [
            (90, Verdict::Ok, "90 days left"),
            (14, Verdict::Ok, "14 days left"),
            (13, Verdict::Warning, "13 days left"),
            (0, Verdict::Warning, "0 days left"),
            (-5, Verdict::Warning, "ended 4 days ago"),
        ] {
            let (verdict, detail, finding) = handshake(&seen(days), &TlsVerify::Full, now);
            assert_eq!(verdict, expected, "{days}");
            assert!(detail.contains(says), "{detail}");
            assert_eq!(finding.is_some(), expected == Verdict::Warning);
        }
        let (verdict, detail, _) = handshake(&seen(90), &TlsVerify::AcceptAny, now);
        assert_eq!(verdict, Verdict::Warning);
        assert!(detail.ends_with("not checked"), "{detail}");
        let (verdict, detail, _) = handshake(&Handshake::default(), &TlsVerify::Full, now);
        assert_eq!((verdict, detail.as_str()), (Verdict::Ok, "TLS"));
    }

    #[test]
    fn a_clock_is_judged_by_what_is_sure_after_the_time_the_answer_took() {
        let now = Timestamp::from_millis(1_000_000_000);
        for (ahead, took, expected) in [
            (0_i64, 0, Verdict::Ok),
            (29, 0, Verdict::Ok),
            (31, 0, Verdict::Warning),
            (-31, 0, Verdict::Warning),
            (241, 0, Verdict::Failed),
            (-400, 0, Verdict::Failed),
            // Forty seconds for an answer prove nothing about twenty.
            (20, 40, Verdict::Ok),
            (-20, 40, Verdict::Ok),
            (-290, 40, Verdict::Failed),
        ] {
            let theirs = PlatformTime {
                date: Timestamp::from_millis(now.millis() - ahead * 1000 - 500),
                took: Duration::from_secs(took),
            };
            let (verdict, _, finding) = clock(now, theirs);
            assert_eq!(verdict, expected, "{ahead} {took}");
            if let Some(Finding::ClockSkew { seconds, .. }) = finding {
                assert_eq!(seconds.signum(), ahead.signum(), "{ahead}");
            }
        }
    }

    #[test]
    fn a_full_disk_and_one_without_files_left_are_seen() {
        for (free_mib, files, expected) in [
            (5000, 1_000_000, Verdict::Ok),
            (1000, 1_000_000, Verdict::Warning),
            (5000, 5000, Verdict::Warning),
            (50, 1_000_000, Verdict::Failed),
            (5000, 3, Verdict::Failed),
        ] {
            let (verdict, _, finding) = disk("/var/lib/x", free_mib * MIB, files);
            assert_eq!(verdict, expected, "{free_mib} {files}");
            assert_eq!(finding.is_some(), expected != Verdict::Ok);
        }
    }

    #[test]
    fn a_redirect_uri_that_leads_elsewhere_is_seen() {
        let path = "api/cloudProviders/oauth2/microsoft/callback";
        let public = Some("https://motion.test");
        for (uri, public, expected) in [
            (format!("https://motion.test/{path}"), public, Verdict::Ok),
            (format!("https://motion.test/{path}"), None, Verdict::Ok),
            (format!("http://127.0.0.1:9380/{path}"), public, Verdict::Ok),
            (format!("http://localhost:9380/{path}"), None, Verdict::Ok),
            (
                format!("https://other.test/{path}"),
                public,
                Verdict::Warning,
            ),
            (
                format!("http://motion.test/{path}"),
                public,
                Verdict::Warning,
            ),
            (
                "https://motion.test/callback".to_owned(),
                public,
                Verdict::Warning,
            ),
            ("motion.test".to_owned(), None, Verdict::Warning),
        ] {
            assert_eq!(redirect("P", &uri, public).0, expected, "{uri} {public:?}");
        }
    }

    #[test]
    fn a_queue_is_judged_by_age_and_by_what_needs_a_person() {
        let hours = |n: u64| Some(Duration::from_secs(n * 3600));
        for (waiting, in_doubt, oldest, expected) in [
            (0, 0, None, Verdict::Ok),
            (9, 0, Some(Duration::from_secs(30)), Verdict::Ok),
            (1, 0, hours(1), Verdict::Warning),
            (0, 2, None, Verdict::Warning),
        ] {
            assert_eq!(
                queue(waiting, in_doubt, oldest).0,
                expected,
                "{waiting} {oldest:?}"
            );
        }
    }

    #[test]
    fn a_place_is_a_name_with_its_addresses_or_an_address() {
        let addresses = || Place::Addresses(vec!["192.0.2.1".parse().unwrap()]);
        let proxy = || Place::BehindProxy("proxy.test:1080".to_owned());
        for (host, found, expected) in [
            ("imap.test", addresses(), "imap.test: 192.0.2.1"),
            (
                "imap.test",
                proxy(),
                "imap.test is resolved by the proxy proxy.test:1080",
            ),
            ("192.0.2.1", addresses(), "192.0.2.1 is an address"),
            (
                "2001:db8::1",
                proxy(),
                "2001:db8::1 is an address, reached through the proxy proxy.test:1080",
            ),
        ] {
            assert_eq!(place(host, &found), expected);
        }
    }

    #[test]
    fn an_error_of_connecting_belongs_to_the_connection_or_to_the_certificate() {
        let tls = || DialError::Tls {
            host: "h".to_owned(),
            kind: crate::net::TlsKind::Expired,
            detail: String::new(),
            shown: None,
        };
        let silent = |during| DialError::TimedOut {
            host: "h".to_owned(),
            port: 1,
            during,
        };
        assert_eq!(imap_stage(&ImapError::Dial(tls())), Stage::Tls);
        assert_eq!(smtp_stage(&SmtpError::Dial(tls())), Stage::Tls);
        assert_eq!(imap_stage(&silent(DialStep::Tls).into()), Stage::Tls);
        assert_eq!(
            imap_stage(&silent(DialStep::Connect).into()),
            Stage::Connect
        );
        assert_eq!(smtp_stage(&SmtpError::StartTlsMissing), Stage::Tls);
        let step = |during| ImapError::TimedOut { during };
        assert_eq!(imap_stage(&step(imap::Step::StartTls)), Stage::Tls);
        assert_eq!(imap_stage(&step(imap::Step::Greeting)), Stage::Connect);
    }
}
