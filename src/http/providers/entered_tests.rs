//! Tables of what may be entered for a cloud provider.

use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn body(value: Value) -> ProviderBody {
    serde_json::from_value(value).unwrap()
}

fn good() -> Value {
    json!({
        "name": "Contoso", "service": "Microsoft Azure", "applicationId": "app-1",
        "tenantId": "contoso.test", "clientSecret": "s3cret"
    })
}

fn with(field: &str, value: Value) -> Value {
    let mut body = good();
    body.as_object_mut()
        .unwrap()
        .insert(field.to_owned(), value);
    body
}

fn callback(service: CloudService) -> Option<String> {
    Some(format!("https://motion.test/{}", service.slug()))
}

fn fields(error: ApiError) -> Vec<String> {
    match error {
        ApiError::Invalid(problems) => problems.into_iter().map(|one| one.field).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_provider_needs_five_fields_and_gets_the_callback_of_its_service() {
    let provider = new_provider(body(good()), NOW, callback).unwrap();
    assert_eq!(provider.redirect_uri, "https://motion.test/microsoft");
    assert_eq!(provider.client_secret.expose_secret(), "s3cret");
    let google = json!({
        "name": "G", "service": "google", "type": "Gmail", "applicationId": "a", "clientSecret": "s"
    });
    let provider = new_provider(body(google), NOW, callback).unwrap();
    assert_eq!(provider.redirect_uri, "https://motion.test/google");
    assert_eq!(provider.tenant_id, "");
}

#[test]
fn every_wrong_field_of_a_provider_is_named() {
    let check = |value: Value, expected: &[&str]| {
        let error = new_provider(body(value.clone()), NOW, callback).unwrap_err();
        assert_eq!(fields(error), expected, "{value}");
    };
    check(
        json!({}),
        &["name", "service", "applicationId", "clientSecret"],
    );
    check(with("name", json!("a\nb")), &["name"]);
    check(with("name", json!("x".repeat(101))), &["name"]);
    check(with("service", json!("Yahoo")), &["service"]);
    check(with("type", json!("Gmail")), &["type"]);
    check(with("tenantId", json!("  ")), &["tenantId"]);
    check(with("tenantId", json!("a/../b")), &["tenantId"]);
    check(with("clientSecret", json!("a\r\nb")), &["clientSecret"]);
    check(with("role", json!("admin")), &["role"]);
    for bad in [
        "motion.test/callback",
        "http://motion.test/callback",
        "ftp://motion.test/",
        "https://user:pw@motion.test/",
        "https://motion.test/cb?x=1",
        "https://motion.test/cb#x",
        "http://localhost.evil.test/cb",
        "javascript:alert(1)",
    ] {
        check(with("redirectUri", json!(bad)), &["redirectUri"]);
        check(with("authority", json!(bad)), &["authority"]);
    }
    let error = new_provider(body(good()), NOW, |_| None).unwrap_err();
    assert_eq!(fields(error), ["redirectUri"]);
}

#[test]
fn addresses_of_this_machine_may_be_http() {
    for good in [
        "http://localhost:9380/cb",
        "http://127.0.0.1:1/cb",
        "http://[::1]:1/cb",
    ] {
        let provider = new_provider(body(with("redirectUri", json!(good))), NOW, callback).unwrap();
        assert_eq!(provider.redirect_uri, good);
    }
}

#[test]
fn a_change_touches_only_what_it_names() {
    let stored = new_provider(
        body(with("authority", json!("https://login.test"))),
        NOW,
        callback,
    )
    .unwrap();
    let change = changed_provider(body(json!({"name": "New"})), &stored, NOW).unwrap();
    assert_eq!(change.name.as_deref(), Some("New"));
    assert!(change.authority.is_none() && change.client_secret.is_none());
    let change = changed_provider(body(json!({"authority": null})), &stored, NOW).unwrap();
    assert_eq!(change.authority, Some(None));
    assert!(change.proxy.is_none());
    let error =
        changed_provider(body(json!({"service": "Google", "id": 7})), &stored, NOW).unwrap_err();
    assert_eq!(fields(error), ["id", "service"]);
}

/// Bad input 59.
#[test]
fn a_proxy_is_a_url_or_direct_and_keeps_its_password_when_it_is_sent_back_as_shown() {
    let entered = body(with("proxy", json!("socks5://us:s3cret@p:1")));
    let stored = new_provider(entered, NOW, callback).unwrap();
    let shown = stored.proxy.shown().unwrap();
    assert_eq!(shown, "socks5://us@p:1");
    let after = |value: Value| {
        let change = changed_provider(body(json!({"proxy": value})), &stored, NOW).unwrap();
        let proxy = change.applied_to(stored.clone()).proxy;
        proxy
            .secret_text()
            .map(|url| url.expose_secret().to_owned())
    };
    let same = "socks5://us:s3cret@p:1".to_owned();
    assert_eq!(after(json!(shown)), Some(same));
    assert_eq!(after(json!("direct")).as_deref(), Some("direct"));
    assert_eq!(after(Value::Null), None);
    for bad in [
        "",
        "p:3128",
        "ftp://p",
        "http://a b:1",
        "http://p\r\nX: y:1",
        "http://p:1/x",
    ] {
        let error = new_provider(body(with("proxy", json!(bad))), NOW, callback).unwrap_err();
        assert_eq!(fields(error), ["proxy"], "{bad:?}");
    }
}
