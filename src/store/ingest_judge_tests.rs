//! Tables of who takes part and of what is held.

use super::*;
use crate::{
    model::{AccountId, Mailbox, Meaning, ParsedMail, RawMail, Uid},
    store::{ingest_batch::NewMessage, seal::Keys},
};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_780_000_000_000 + seconds * 1_000)
}

fn ready(from: &str, subject: &str, seconds: i64, meaning: Option<Meaning>) -> Ready {
    let directory = tempfile::tempdir().unwrap();
    let keys = Keys::make(&directory.path().join("key")).unwrap();
    let message = NewMessage {
        uid: Uid::new(1).unwrap(),
        internal_date: at(seconds),
        size: 1,
        sha256: [0; 32],
        raw: RawMail::Row(Vec::new()),
        parsed: Ok(ParsedMail {
            subject: subject.to_owned(),
            from: mailbox(from),
            meaning: meaning.map(Box::new),
            ..ParsedMail::default()
        }),
    };
    Ready::new(message, &keys, AccountId::new(1))
}

fn mailbox(address: &str) -> Mailbox {
    Mailbox {
        name: String::new(),
        address: address.to_owned(),
    }
}

fn automatic() -> Option<Meaning> {
    Some(Meaning {
        kind: MailKind::AutoReply,
        ..Meaning::default()
    })
}

/// Threat T13: naming a conversation is not taking part in it.
#[test]
fn who_neither_wrote_nor_was_written_to_takes_no_part() {
    let mut talk = Talk::default();
    let mut first = ready("Anna@x.test", "Order", 0, None);
    first.mail.to = vec![mailbox("box@corp.test"), mailbox("alias@corp.test")];
    first.mail.cc = vec![mailbox("boss@x.test")];
    talk.add(&first);
    talk.spoke.insert("bert@x.test".to_owned());
    talk.spoke.insert("box@corp.test".to_owned());
    for (from, reply_to, to, cc, expected) in [
        ("anna@X.test", "", "box@corp.test", "", true),
        // Copied in before, so told of it.
        ("boss@x.test", "", "box@corp.test", "", true),
        // We wrote to him.
        ("bert@x.test", "", "box@corp.test", "", true),
        ("box@corp.test", "", "anna@x.test", "", true),
        ("noreply@x.test", "anna@x.test", "box@corp.test", "", true),
        // A colleague whom Anna's company brings in, in copy to her.
        ("new@x.test", "", "box@corp.test", "anna@x.test", true),
        ("mallory@evil.test", "", "box@corp.test", "", false),
        ("mallory@evil.test", "", "alias@corp.test", "", false),
        (
            "mallory@evil.test",
            "x@evil.test",
            "box@corp.test",
            "boss@x.test",
            false,
        ),
        ("", "", "box@corp.test", "", false),
    ] {
        let mut mail = ready(from, "Re: Order", 1, None);
        let some = |address: &str| {
            if address.is_empty() {
                vec![]
            } else {
                vec![mailbox(address)]
            }
        };
        mail.mail.reply_to = some(reply_to);
        mail.mail.to = some(to);
        mail.mail.cc = some(cc);
        assert_eq!(
            talk.takes_part(&mail, "box@corp.test"),
            expected,
            "{from} {to} {cc}"
        );
    }
}

/// Threat T10.
#[test]
fn mail_of_one_sender_in_one_conversation_is_counted_within_the_window() {
    let rules = MeaningRules {
        loop_automatic: 3,
        loop_repeated: 5,
        ..MeaningRules::default()
    };
    let after = |earlier: &[(&str, &str, bool, i64)], rules: MeaningRules, auto: bool| {
        let mut talk = Talk::default();
        for (from, subject, auto, seconds) in earlier {
            talk.add(&ready(
                from,
                subject,
                *seconds,
                automatic().filter(|_| *auto),
            ));
        }
        let next = ready(
            "bot@x.test",
            "Re: Order",
            1_000,
            automatic().filter(|_| auto),
        );
        talk.held(&next, rules, at(1_001)).is_some()
    };
    let bot = |count: usize, auto: bool, seconds: i64| {
        vec![("bot@x.test", "AW: order", auto, seconds); count]
    };
    assert!(!after(&bot(2, true, 900), rules, true));
    assert!(
        after(&bot(3, true, 900), rules, true),
        "the fourth answer of a program"
    );
    assert!(
        !after(&bot(3, true, 900), rules, false),
        "a person's mail among them is not"
    );
    assert!(!after(&bot(4, false, 900), rules, true));
    assert!(
        after(&bot(5, false, 900), rules, false),
        "unmarked programs repeat their subject"
    );
    assert!(
        !after(&bot(9, false, 1_000 - 3_601), rules, false),
        "before the window"
    );
    assert!(
        !after(
            &vec![("anna@x.test", "Re: Order", true, 900); 9],
            rules,
            true
        ),
        "another's"
    );
    let others = vec![("bot@x.test", "Another", false, 900); 9];
    assert!(!after(&others, rules, false), "other subjects");
    let off = MeaningRules {
        loop_automatic: 0,
        loop_repeated: 0,
        ..rules
    };
    assert!(!after(&bot(99, true, 900), off, true));
}

#[test]
fn mail_of_long_ago_is_never_held() {
    let mut talk = Talk::default();
    for _ in 0..99 {
        talk.add(&ready("bot@x.test", "x", 0, automatic()));
    }
    let next = ready("bot@x.test", "x", 1, automatic());
    assert!(talk.held(&next, MeaningRules::default(), at(2)).is_some());
    assert!(
        talk.held(&next, MeaningRules::default(), at(2 + 86_400))
            .is_none()
    );
    let hops = |hops: u32, passed: &[&str]| {
        let meaning = Meaning {
            hops,
            passed: passed.iter().map(|one| (*one).to_owned()).collect(),
            ..Meaning::default()
        };
        ready("a@x.test", "x", 0, Some(meaning))
    };
    for (mail, held) in [
        (hops(50, &[]), false),
        (hops(51, &[]), true),
        (hops(1, &["a@x", "a@x", "b@x", "b@x"]), false),
        (hops(1, &["a@x", "b@x", "a@x", "a@x"]), true),
    ] {
        assert_eq!(circled(&mail, at(1)).is_some(), held);
        assert_eq!(circled(&mail, at(90_000)), None);
    }
}

#[test]
fn automatic_mail_of_one_sender_is_counted_by_the_minute() {
    let rules = MeaningRules {
        storm_per_minute: 3,
        ..MeaningRules::default()
    };
    let mail = ready("shop@x.test", "x", 100, automatic());
    let times = |seconds: &[i64]| {
        seconds
            .iter()
            .map(|one| at(*one).millis())
            .collect::<Vec<_>>()
    };
    assert!(may_storm(&mail, at(101)) && !may_storm(&mail, at(100 + 86_400)));
    assert!(
        !may_storm(&ready("anna@x.test", "x", 100, None), at(101)),
        "people are not counted"
    );
    assert_eq!(storms(&mail, &times(&[99, 100]), rules), None);
    assert!(storms(&mail, &times(&[40, 99, 100]), rules).is_some());
    assert_eq!(storms(&mail, &times(&[39, 99, 100]), rules), None);
    let off = MeaningRules {
        storm_per_minute: 0,
        ..rules
    };
    assert_eq!(storms(&mail, &times(&[99; 50]), off), None);
}
