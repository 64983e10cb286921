//! The tables as such: codes, placeholders, and one action to a code.

use std::collections::BTreeMap;

use super::*;
use crate::model::FailureClass;

fn all() -> Vec<&'static Entry> {
    let mut all = imap::entries();
    all.extend(smtp::entries());
    all.extend(graph::entries());
    all.extend(own_access::entries());
    all.extend(shared_access::entries());
    all.extend(oauth::numbered().into_iter().map(|(_, entry)| entry));
    all
}

#[test]
fn codes_are_stable_words_and_each_asks_for_one_thing() {
    let mut seen: BTreeMap<&str, Action> = BTreeMap::new();
    for entry in all() {
        assert!(
            entry
                .code
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b == b'_'),
            "{}",
            entry.code
        );
        let before = seen.insert(entry.code, entry.action);
        assert!(
            before.is_none_or(|before| before == entry.action),
            "{} asks for two things",
            entry.code
        );
    }
    assert!(seen.len() > 90, "{}", seen.len());
}

#[test]
fn every_entry_says_what_happened_and_what_to_do_and_no_placeholder_is_left() {
    let full = Context {
        account: Some("SUPP1".into()),
        server: Some("mail.example:993".into()),
        user: Some("shared@example.test".into()),
        mailbox: Some("shared@example.test".into()),
        provider: Some("3".into()),
        delegate: Some("anna@example.test".into()),
        lane: None,
        application: false,
    };
    for context in [Context::default(), full] {
        for entry in all() {
            for text in [entry.what, entry.why, entry.next] {
                let filled = fill(text, &context);
                assert!(!filled.contains(['{', '}']), "{}: {filled}", entry.code);
                assert!(!filled.contains("  "), "{}: {filled}", entry.code);
            }
            let (what, next) = (fill(entry.what, &context), fill(entry.next, &context));
            assert!(what.ends_with('.') && what.len() > 20, "{}", entry.code);
            assert!(
                next.ends_with('.') && next.len() > 10,
                "{}: {next}",
                entry.code
            );
        }
    }
}

#[test]
fn where_an_application_has_the_access_nobody_is_asked_to_sign_in() {
    let codes: Vec<&str> = all().iter().map(|entry| entry.code).collect();
    for code in own_access::replaced() {
        assert!(codes.contains(&code), "{code} stands nowhere");
    }
    assert!(codes.contains(&shared_access::replaced()));
    for entry in all() {
        let said = own_access(entry).unwrap_or(entry);
        assert_ne!(said.action, Action::SignInAgain, "{}", entry.code);
    }
}

#[test]
fn what_stands_in_a_name_is_not_looked_at_again() {
    let context = Context {
        user: Some("{mailbox}\u{1b}[2J".into()),
        mailbox: Some("m".into()),
        ..Context::default()
    };
    assert_eq!(
        fill("{user} {mailbox} { {x}", &context),
        "{mailbox} [2J m { {x}"
    );
}

#[test]
fn an_action_fits_its_class_only() {
    use Action::*;
    let hold = FailureClass::HoldFor(std::time::Duration::ZERO);
    for (class, fitting) in [
        (FailureClass::RetryLater, vec![Retry]),
        (FailureClass::GiveUp, vec![ThisMessageOnly]),
        (
            FailureClass::OperatorMustAct,
            vec![SignInAgain, Administrator],
        ),
        (hold, vec![HoldUntil]),
    ] {
        for action in [
            Retry,
            SignInAgain,
            Administrator,
            HoldUntil,
            ThisMessageOnly,
        ] {
            assert_eq!(action.fits(class), fitting.contains(&action), "{action:?}");
        }
    }
}
