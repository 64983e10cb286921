//! Tables of what may be entered about servers and proxies.

use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::*;
use crate::net::testing::Authority;

fn read(value: Value, stored: Option<&Server>) -> Result<TlsVerify, Vec<String>> {
    let mut problems = Problems::default();
    let given = serde_json::from_value(value).unwrap();
    let read = server(&mut problems, "imap", given, stored, None);
    let fields: Vec<String> = problems.0.into_iter().map(|one| one.field).collect();
    if fields.is_empty() {
        Ok(read.unwrap().verify)
    } else {
        Err(fields)
    }
}

fn wrong(field: &str) -> Result<TlsVerify, Vec<String>> {
    Err(vec![field.to_owned()])
}

#[test]
fn authorities_and_pins_say_what_they_are_for() {
    let pem = Authority::new("A").pem;
    let pin = "ab".repeat(32);
    let ca = Ok(TlsVerify::Ca(pem.clone()));
    let pinned = Ok(TlsVerify::Pinned(vec![Fingerprint::new([0xab; 32])]));
    for (more, expected) in [
        (json!({}), Ok(TlsVerify::Full)),
        (json!({"verify": "Full"}), Ok(TlsVerify::Full)),
        (json!({"verify": "accept_any"}), Ok(TlsVerify::AcceptAny)),
        (json!({"tlsCa": pem}), ca.clone()),
        (json!({"verify": "ca", "tlsCa": pem}), ca),
        (json!({"tlsPins": [pin]}), pinned.clone()),
        (json!({"verify": "pinned", "tlsPins": [pin]}), pinned),
        (json!({"verify": "ca"}), wrong("imap.tlsCa")),
        (json!({"verify": "pinned"}), wrong("imap.tlsPins")),
        (json!({"verify": "full", "tlsCa": pem}), wrong("imap.tlsCa")),
        (
            json!({"verify": "accept_any", "tlsPins": [pin]}),
            wrong("imap.tlsPins"),
        ),
        (
            json!({"tlsCa": pem, "tlsPins": [pin]}),
            wrong("imap.tlsPins"),
        ),
        (json!({"tlsCa": "no certificate"}), wrong("imap.tlsCa")),
        (json!({"tlsCa": 5}), wrong("imap.tlsCa")),
        (json!({"tlsPins": []}), wrong("imap.tlsPins")),
        (json!({"tlsPins": ["abc"]}), wrong("imap.tlsPins")),
        (json!({"tlsPins": pin}), wrong("imap.tlsPins")),
        (
            json!({"tlsPins": vec![pin.clone(); 11]}),
            wrong("imap.tlsPins"),
        ),
        (
            json!({"verify": "none", "tlsCa": pem}),
            wrong("imap.verify"),
        ),
    ] {
        let mut value = more;
        value["host"] = json!("h");
        assert_eq!(
            read(value.clone(), None).map_err(|mut fields| {
                fields.dedup();
                fields
            }),
            expected,
            "{value}"
        );
    }
}

#[test]
fn stored_trust_stays_until_another_kind_is_chosen() {
    let pem = Authority::new("A").pem;
    let mut stored = Server::new("h", 993, TlsMode::Tls);
    stored.verify = TlsVerify::Ca(pem);
    let keep = Ok(stored.verify.clone());
    assert_eq!(read(json!({"port": 1993}), Some(&stored)), keep);
    assert_eq!(read(json!({"verify": "ca"}), Some(&stored)), keep);
    assert_eq!(
        read(json!({"verify": "full"}), Some(&stored)),
        Ok(TlsVerify::Full)
    );
    assert_eq!(
        read(json!({"verify": "pinned"}), Some(&stored)),
        wrong("imap.tlsPins")
    );
}

/// Bad input 59: what is no host is refused where it is entered; what leads to this machine where it
/// is dialled, because a name may lead elsewhere tomorrow.
#[test]
fn a_host_is_a_name_or_an_address() {
    for bad in [
        "host\r\nRCPT TO:<x>",
        "host\n.x",
        "h:3306",
        "http://h",
        "ä.test",
        &"x".repeat(300),
        &"x".repeat(64),
        &format!("a.{}.test", "x".repeat(64)),
    ] {
        assert_eq!(
            read(json!({"host": bad}), None),
            wrong("imap.host"),
            "{bad:?}"
        );
    }
    // Line ends around a host are a slip of the hand: they are not kept.
    let mut problems = Problems::default();
    let given = serde_json::from_value(json!({"host": "host\r\n"})).unwrap();
    let kept = server(&mut problems, "imap", given, None, None).unwrap();
    assert_eq!(kept.host, "host");
    for good in [
        "10.0.0.1",
        "192.168.0.9",
        "fd00::1",
        "mail_1.test",
        "127.0.0.1",
    ] {
        assert_eq!(
            read(json!({"host": good}), None),
            Ok(TlsVerify::Full),
            "{good}"
        );
    }
}

#[test]
fn a_proxy_is_a_url_or_direct_and_keeps_its_password() {
    let enter = |value: Value, stored: Option<&ProxyChoice>| {
        let mut problems = Problems::default();
        let given = serde_json::from_value(value).unwrap();
        let choice = proxy(&mut problems, given, stored);
        let texts: Vec<String> = problems.0.into_iter().map(|one| one.problem).collect();
        if texts.is_empty() {
            let text = choice.unwrap().secret_text();
            Ok(text.map(|text| text.expose_secret().to_owned()))
        } else {
            Err(texts.join(" "))
        }
    };
    let some = |text: &str| Ok(Some(text.to_owned()));
    let stored = ProxyChoice::parse("socks5://u:secret@p:1").unwrap();
    assert_eq!(enter(json!(null), Some(&stored)), Ok(None));
    assert_eq!(enter(json!("direct"), Some(&stored)), some("direct"));
    assert_eq!(
        enter(json!("socks5://u@p:1"), Some(&stored)),
        some("socks5://u:secret@p:1")
    );
    assert_eq!(
        enter(json!("http://a:b@p:1"), Some(&stored)),
        some("http://a:b@p:1")
    );
    for bad in [
        json!("proxy:3128"),
        json!("https://p:1"),
        json!("socks5://u@p:1"),
        json!(5),
        json!(""),
    ] {
        let problem = enter(bad.clone(), None).unwrap_err();
        assert!(!problem.is_empty(), "{bad}");
    }
    // Nothing given: what was there.
    let mut problems = Problems::default();
    let kept = proxy(&mut problems, Given::Absent, Some(&stored)).unwrap();
    assert_eq!(kept.shown().as_deref(), Some("socks5://u@p:1"));
}
