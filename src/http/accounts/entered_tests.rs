//! Tables of what may be entered for an account.

use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::*;
use crate::model::{Server, TlsMode, TlsVerify};

fn body(value: Value) -> AccountBody {
    serde_json::from_value(value).unwrap()
}

fn custom() -> Value {
    json!({
        "name": "Support", "key": "supp1", "address": "support@example.test", "ListId": 1,
        "service": "Custom", "authentication": "password", "password": "pw",
        "imap": {"host": "imap.example.test"},
        "smtp": {"host": "smtp.example.test", "tls": "starttls"}
    })
}

fn outlook() -> Value {
    json!({
        "name": "Shared", "key": "SH", "address": "shared@contoso.test", "ListId": 1,
        "service": "Outlook365", "authentication": "modern", "CloudProviderId": 4,
        "delegate": "anna@contoso.test"
    })
}

fn with(mut body: Value, field: &str, value: Value) -> Value {
    body.as_object_mut()
        .unwrap()
        .insert(field.to_owned(), value);
    body
}

fn new(value: Value) -> NewAccount {
    entered(body(value), None).unwrap().account
}

fn stored(value: Value) -> Account {
    Account {
        id: crate::model::AccountId::new(9),
        entered: new(value),
        paused: false,
        version: 3,
        created_at: Timestamp::from_millis(0),
        updated_at: Timestamp::from_millis(0),
    }
}

fn fields(error: ApiError) -> Vec<String> {
    match error {
        ApiError::Invalid(problems) => problems.into_iter().map(|one| one.field).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_preset_brings_its_servers_and_the_user_is_the_mailbox() {
    let account = new(outlook());
    assert_eq!(account.imap, Service::Outlook365.imap().unwrap());
    assert_eq!(account.smtp, Service::Outlook365.smtp().unwrap());
    let Authentication::Modern {
        provider,
        user,
        delegate,
    } = account.authentication
    else {
        panic!("not modern");
    };
    assert_eq!(provider, CloudProviderId::new(4));
    assert_eq!(user, "shared@contoso.test");
    assert_eq!(delegate.as_deref(), Some("anna@contoso.test"));
    assert_eq!(account.backfill, Backfill::None);
}

#[test]
fn custom_servers_get_the_usual_ports_and_full_verification() {
    let account = new(custom());
    assert_eq!(
        account.imap,
        Server::new("imap.example.test", 993, TlsMode::Tls)
    );
    assert_eq!(
        account.smtp,
        Server::new("smtp.example.test", 587, TlsMode::StartTls)
    );
    let Authentication::Password { user, password } = account.authentication else {
        panic!("not password");
    };
    assert_eq!(
        (user.as_str(), password.expose_secret()),
        ("support@example.test", "pw")
    );
}

#[test]
fn a_preset_server_can_be_overridden_field_by_field() {
    let account = new(with(
        outlook(),
        "imap",
        json!({"port": 1993, "verify": "accept_any"}),
    ));
    assert_eq!(account.imap.host, "outlook.office365.com");
    assert_eq!(account.imap.port, 1993);
    assert_eq!(account.imap.verify, TlsVerify::AcceptAny);
}

#[test]
fn every_wrong_field_of_an_account_is_named() {
    let check = |value: Value, expected: &[&str]| {
        let error = entered(body(value.clone()), None).unwrap_err();
        assert_eq!(fields(error), expected, "{value}");
    };
    check(
        json!({}),
        &[
            "name",
            "key",
            "address",
            "ListId",
            "service",
            "authentication",
            "imap",
            "smtp",
        ],
    );
    check(with(custom(), "key", json!("TOOLONG")), &["key"]);
    check(with(custom(), "name", json!("a\u{2028}b")), &["name"]);
    check(
        with(custom(), "address", json!("a@b>\r\nRCPT TO:<x")),
        &["address"],
    );
    check(with(custom(), "ListId", json!("1")), &["ListId"]);
    check(with(custom(), "password", json!("")), &["password"]);
    check(with(custom(), "password", json!(null)), &["password"]);
    check(
        with(custom(), "CloudProviderId", json!(1)),
        &["CloudProviderId"],
    );
    check(with(custom(), "delegate", json!("x")), &["delegate"]);
    check(with(custom(), "imap", json!(null)), &["imap"]);
    check(with(custom(), "imap", json!({})), &["imap.host"]);
    check(
        with(
            custom(),
            "imap",
            json!({"host": "h", "port": 0, "tls": "ssl", "verify": "no", "x": 1}),
        ),
        &["imap.x", "imap.tls", "imap.port", "imap.verify"],
    );
    check(
        with(outlook(), "CloudProviderId", json!(null)),
        &["CloudProviderId"],
    );
    check(with(outlook(), "password", json!("pw")), &["password"]);
    check(
        with(outlook(), "backfill", json!("yesterday")),
        &["backfill"],
    );
    check(with(outlook(), "role", json!("admin")), &["role"]);
    for bad in [
        "",
        "a b",
        "a/b",
        "a\nb",
        "a\0b",
        "user@host",
        "h:1/x?y",
        "ä.test",
        "[::1]",
    ] {
        check(with(custom(), "imap", json!({"host": bad})), &["imap.host"]);
    }
    check(
        with(custom(), "imap", json!({"host": "h".repeat(254)})),
        &["imap.host"],
    );
}

#[test]
fn a_change_keeps_what_it_does_not_name_the_password_too() {
    let before = stored(custom());
    let after = entered(body(json!({"name": "New", "version": 3})), Some(&before)).unwrap();
    assert_eq!(after.version, Some(3));
    assert_eq!(after.account.name, "New");
    assert_eq!(after.account.imap, before.entered.imap);
    let Authentication::Password { password, .. } = after.account.authentication else {
        panic!("not password");
    };
    assert_eq!(password.expose_secret(), "pw");
}

#[test]
fn another_service_or_login_kind_starts_from_its_own_defaults() {
    let before = stored(custom());
    let after = entered(body(json!({"service": "Gmail"})), Some(&before)).unwrap();
    assert_eq!(after.account.imap, Service::Gmail.imap().unwrap());
    let error = entered(body(json!({"authentication": "modern"})), Some(&before)).unwrap_err();
    assert_eq!(fields(error), ["CloudProviderId"]);
    let before = stored(outlook());
    let error = entered(body(json!({"authentication": "password"})), Some(&before)).unwrap_err();
    assert_eq!(fields(error), ["password"]);
}

#[test]
fn null_takes_back_what_may_be_absent() {
    let mut start = with(outlook(), "imap", json!({"port": 1993}));
    start = with(start, "backfill", json!("2026-01-31T00:00:00Z"));
    let before = stored(start);
    let after = entered(body(json!({"delegate": null, "imap": null})), Some(&before)).unwrap();
    assert_eq!(after.account.imap, Service::Outlook365.imap().unwrap());
    assert!(matches!(
        after.account.authentication,
        Authentication::Modern { delegate: None, .. }
    ));
    assert_eq!(
        after.account.backfill,
        Backfill::Since(Timestamp::from_millis(1_769_817_600_000))
    );
}
