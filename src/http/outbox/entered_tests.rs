//! Tables of what may be entered for a mail to be sent.

use serde_json::{Value, json};

use super::*;

fn body(value: Value) -> SendBody {
    serde_json::from_value(value).unwrap()
}

fn good() -> Value {
    json!({"account": "supp1", "to": ["Anna <anna@example.test>"], "subject": "Hi", "text": "Hello"})
}

fn with(field: &str, value: Value) -> Value {
    let mut body = good();
    body.as_object_mut()
        .unwrap()
        .insert(field.to_owned(), value);
    body
}

fn check(value: Value, expected: &[&str]) {
    let shown: String = value.to_string().chars().take(200).collect();
    match entered(body(value), None) {
        Err(ApiError::Invalid(problems)) => {
            let fields: Vec<&str> = problems.iter().map(|one| one.field.as_str()).collect();
            assert_eq!(fields, expected, "{shown}");
        }
        other => panic!("{shown}: {other:?}"),
    }
}

#[test]
fn a_mail_needs_an_account_a_recipient_a_subject_and_something_to_say() {
    let mail = entered(body(good()), None).unwrap();
    assert_eq!(
        mail.sender,
        Sender::Key(AccountKey::parse("SUPP1").unwrap())
    );
    assert_eq!(mail.to[0].name, "Anna");
    assert_eq!(mail.to[0].address.as_str(), "anna@example.test");
    check(json!({}), &["AccountId", "to", "subject", "text"]);
    check(with("AccountId", json!(1)), &["account"]);
    check(with("text", json!(null)), &["text"]);
}

#[test]
fn header_fields_cannot_carry_line_ends() {
    // Bad input 45.
    for bad in ["a\rb", "a\nb", "a\r\nBcc: x@y.test", "a\u{85}b", "a\0b"] {
        check(with("subject", json!(bad)), &["subject"]);
        check(with("to", json!([format!("{bad} <a@b.test>")])), &["to[0]"]);
        let file = json!([{"fileName": bad, "contentBase64": ""}]);
        check(with("attachments", file), &["attachments[0].fileName"]);
        let file = json!([{"fileName": "a", "contentType": bad, "contentBase64": ""}]);
        check(with("attachments", file), &["attachments[0].contentType"]);
    }
    // U+2028 is text in a subject: it leaves encoded.
    assert!(entered(body(with("subject", json!("a\u{2028}b"))), None).is_ok());
}

#[test]
fn addresses_that_could_break_a_command_are_named_with_their_place() {
    // Bad input 46.
    let long = format!("{}@b.test", "a".repeat(300));
    for bad in [
        "a@b>\r\nRCPT TO:<x",
        "<a@b.test",
        "",
        "a",
        "a@b.test, c@d.test",
        "a@b@c",
        long.as_str(),
    ] {
        check(with("cc", json!(["ok@b.test", bad])), &["cc[1]"]);
        check(with("bcc", json!([bad])), &["bcc[0]"]);
    }
}

#[test]
fn callers_cannot_write_headers_of_their_own() {
    // Bad input 47.
    check(with("headers", json!({"Bcc": "x@y.test"})), &["headers"]);
    check(with("messageId", json!("<x@y>")), &["messageId"]);
    let file = json!([{"fileName": "a", "contentBase64": "", "headers": {}}]);
    check(with("attachments", file), &["attachments[0].headers"]);
}

#[test]
fn numbers_of_recipients_and_attachments_are_bounded() {
    // Bad input 48.
    let many = |n: usize| -> Vec<String> { (0..n).map(|i| format!("u{i}@b.test")).collect() };
    assert!(entered(body(with("to", json!(many(1000)))), None).is_ok());
    check(with("to", json!(many(1001))), &["to"]);
    check(with("cc", json!(many(1000))), &["to"]);
    check(with("to", json!([])), &["to"]);
    let file = json!({"fileName": "a", "contentBase64": ""});
    check(
        with("attachments", json!(vec![file; 101])),
        &["attachments"],
    );
    let file = json!([{"fileName": "a", "contentBase64": "not base64"}]);
    check(with("attachments", file), &["attachments[0].contentBase64"]);
}

#[test]
fn an_address_gets_one_copy() {
    let mut value = with("to", json!(["a@b.test", "A@B.test"]));
    value["bcc"] = json!(["a@b.TEST", "c@b.test"]);
    let mail = entered(body(value), None).unwrap();
    let recipients: Vec<(RecipientKind, String)> = mail
        .recipients()
        .into_iter()
        .map(|(kind, address)| (kind, address.to_string()))
        .collect();
    assert_eq!(
        recipients,
        [
            (RecipientKind::To, "a@b.test".to_owned()),
            (RecipientKind::Bcc, "c@b.test".to_owned()),
        ]
    );
}

#[test]
fn a_key_comes_as_header_or_field_and_only_says_one_thing() {
    let key = |value: Value, header: Option<&str>| entered(body(value), header.map(str::to_owned));
    let mail = key(good(), Some("k-1")).unwrap();
    assert_eq!(mail.idempotency_key.as_deref(), Some("k-1"));
    assert!(key(with("idempotencyKey", json!("k-1")), Some("k-1")).is_ok());
    assert!(key(with("idempotencyKey", json!("k-1")), Some("k-2")).is_err());
    for bad in ["", "a b", "ü", &"k".repeat(201)] {
        check(with("idempotencyKey", json!(bad)), &["idempotencyKey"]);
    }
}

#[test]
fn the_fingerprint_sees_every_field_but_the_key() {
    let print = |value: Value| entered(body(value), None).unwrap().fingerprint();
    let plain = print(good());
    assert_eq!(plain, print(with("idempotencyKey", json!("k"))));
    for (field, value) in [
        ("to", json!(["anna@example.test"])),
        ("cc", json!(["c@example.test"])),
        ("bcc", json!(["c@example.test"])),
        ("subject", json!("Ho")),
        ("text", json!("Hello!")),
        ("html", json!("")),
        ("replyToMessageId", json!(1)),
        ("sendAt", json!("2026-01-31T08:00:00Z")),
        (
            "attachments",
            json!([{"fileName": "a", "contentBase64": ""}]),
        ),
    ] {
        assert_ne!(plain, print(with(field, value)), "{field}");
    }
}

#[test]
fn a_reply_needs_neither_recipient_nor_subject() {
    let value = json!({"AccountId": 1, "replyToMessageId": 5, "text": "Yes."});
    let mail = entered(body(value), None).unwrap();
    assert_eq!(mail.reply_to, Some(MessageId::new(5)));
    assert!(mail.to.is_empty() && mail.subject.is_none());
}
