//! Signing in with a device code, against a scripted platform.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::{
    Credential, DeviceCode, DevicePoll, OauthClient, OauthError, Settings,
    endpoints::example_provider,
    identity::tests::id_token,
    scripted::{Platform, Reply},
};
use crate::model::{Access, CloudService, FailureClass, NewCloudProvider};

fn client() -> OauthClient {
    OauthClient::new(&[], &Settings::default()).unwrap()
}

/// Microsoft's answer, with these fields in place of its own; null takes one away.
fn begun_with(changes: &Value) -> Value {
    let mut body = json!({
        "device_code": "dc-1", "user_code": "FJC38ZDXW", "expires_in": 900, "interval": 5,
        "verification_uri": "https://microsoft.com/devicelogin",
        "message": "To sign in, use a web browser to open the page\r\nand enter the code FJC38ZDXW."
    });
    let fields = body.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(fields.remove(name)),
            value => drop(fields.insert(name.clone(), value.clone())),
        }
    }
    body
}

async fn begin(changes: Value) -> Result<DeviceCode, OauthError> {
    let platform = Platform::start(move |_, _| Reply::json(200, &begun_with(&changes))).await;
    let provider = platform.provider("p");
    let begun = client()
        .device_begin(&provider, Credential::first(&provider))
        .await;
    assert_eq!(platform.posts(), 1, "a request is sent once");
    begun
}

fn example() -> DeviceCode {
    DeviceCode {
        device_code: String::from("dc-1").into(),
        user_code: "FJC38ZDXW".into(),
        verification_uri: "https://microsoft.com/devicelogin".into(),
        expires_in: Duration::from_secs(900),
        interval: Duration::from_secs(5),
        message: String::new(),
    }
}

async fn poll(reply: Reply) -> Result<DevicePoll, OauthError> {
    let platform = Platform::start(move |_, _| reply.clone()).await;
    let provider = platform.provider("p");
    let credential = Credential::first(&provider);
    let polled = client()
        .device_poll(&provider, credential, &example())
        .await;
    assert_eq!(platform.posts(), 1, "one poll is one request");
    polled
}

#[tokio::test]
async fn a_device_code_is_asked_for_with_the_scopes_of_a_sign_in() {
    let platform = Platform::start(|_, _| Reply::json(200, &begun_with(&json!({})))).await;
    // A server that no browser can call back has no redirect URI.
    let provider = NewCloudProvider {
        redirect_uri: String::new(),
        ..platform.provider("p")
    };
    let begun = client()
        .device_begin(&provider, Credential::first(&provider))
        .await
        .unwrap();
    assert_eq!(begun.device_code.expose_secret(), "dc-1");
    assert_eq!(begun.user_code, "FJC38ZDXW");
    assert_eq!(begun.verification_uri, "https://microsoft.com/devicelogin");
    assert_eq!(begun.expires_in, Duration::from_secs(900));
    assert_eq!(begun.interval, Duration::from_secs(5));
    assert_eq!(
        begun.message,
        "To sign in, use a web browser to open the page\\r\\nand enter the code FJC38ZDXW."
    );
    assert!(!format!("{begun:?}").contains("dc-1"));
    let request = &platform.requests()[0];
    assert_eq!(
        request.line,
        "POST /11111111-2222-3333-4444-555555555555/oauth2/v2.0/devicecode HTTP/1.1"
    );
    assert_eq!(request.form["client_id"], "app-1");
    assert_eq!(
        request.form["scope"],
        "openid profile email offline_access https://outlook.office.com/IMAP.AccessAsUser.All \
         https://outlook.office.com/SMTP.Send"
    );
}

#[tokio::test]
async fn a_poll_is_pending_slowed_down_and_done() {
    let token = id_token(
        &json!({"aud": "app-1", "preferred_username": "andrea@contoso.example",
        "oid": "o-1", "tid": "11111111-2222-3333-4444-555555555555"}),
    );
    let platform = Platform::start(move |_, number| match number {
        // Microsoft sends numbers and words along, RFC 8628 §3.5 neither.
        1 => Reply::refusal("authorization_pending", &[70016]),
        2 => Reply::json(400, &json!({"error": "slow_down"})),
        _ => Reply::json(
            200,
            &json!({"access_token": "at-1", "refresh_token": "rt-1", "token_type": "Bearer",
                    "expires_in": 3599, "scope": "openid x", "id_token": token}),
        ),
    })
    .await;
    let provider = platform.provider("p");
    let credential = Credential::first(&provider);
    let begun = example();
    let poll = async || {
        client()
            .device_poll(&provider, credential, &begun)
            .await
            .unwrap()
    };
    assert!(matches!(poll().await, DevicePoll::Pending));
    assert!(matches!(poll().await, DevicePoll::SlowDown));
    let DevicePoll::Done(answer) = poll().await else {
        panic!("signed in by now");
    };
    assert_eq!(answer.access_token.expose_secret(), "at-1");
    assert_eq!(answer.refresh_token.unwrap().expose_secret(), "rt-1");
    assert_eq!(answer.identity.unwrap().object_id.as_deref(), Some("o-1"));
    for request in platform.requests() {
        assert!(request.line.ends_with("/oauth2/v2.0/token HTTP/1.1"));
        assert!(request.head.contains("client-request-id: "));
        let form = &request.form;
        assert_eq!(
            form["grant_type"],
            "urn:ietf:params:oauth:grant-type:device_code"
        );
        assert_eq!(form["device_code"], "dc-1");
        assert_eq!(form["client_id"], "app-1");
        assert_eq!(form["client_secret"], "s3cret&=+%");
    }
}

#[tokio::test]
async fn a_person_who_says_no_and_a_code_that_is_over_are_refusals_that_a_new_beginning_helps() {
    for word in [
        "authorization_declined",
        "access_denied",
        "expired_token",
        "bad_verification_code",
    ] {
        let error = poll(Reply::refusal(word, &[])).await.unwrap_err();
        assert!(error.needs_sign_in(), "{error:?}");
        assert!(matches!(&error, OauthError::Refused(refusal) if refusal.error == word));
    }
    // A policy against device codes is an administrator's.
    let error = poll(Reply::refusal("access_denied", &[53003]))
        .await
        .unwrap_err();
    assert_eq!(error.class(), FailureClass::OperatorMustAct);
    assert!(!error.needs_sign_in());
    let error = poll(Reply::refusal("invalid_client", &[7_000_218]))
        .await
        .unwrap_err();
    assert!(error.refuses_client());
}

#[tokio::test]
async fn a_poll_that_is_not_answered_leaves_the_code_to_be_polled_again() {
    let ill = poll(Reply::raw(503, "text/html", b"<p>"))
        .await
        .unwrap_err();
    assert_eq!(ill.class(), FailureClass::RetryLater);
    let throttled = poll(Reply::raw(429, "text/html", b"").header("Retry-After", "9")).await;
    assert_eq!(
        throttled.unwrap_err().class(),
        FailureClass::HoldFor(Duration::from_secs(9))
    );
}

#[tokio::test]
async fn a_poll_answered_with_anything_else_keeps_nothing_of_it() {
    // Bad input 62.
    let mebibyte = format!("{{\"access_token\": \"canary{}\"}}", "a".repeat(1 << 20));
    for reply in [
        Reply::raw(200, "text/html", b"<html>canary</html>"),
        Reply::raw(400, "text/html", b"<html>canary</html>"),
        Reply::raw(200, "application/json", b""),
        Reply::raw(400, "application/json", b"[]"),
        Reply::json(200, &json!({"error": "canary"})),
        Reply::json(200, &json!({"access_token": "canary\r\nX: y"})),
        Reply::json(200, &json!({"access_token": "canary", "token_type": "mac"})),
        Reply::raw(200, "application/json", mebibyte.as_bytes()),
        Reply::json(
            200,
            &json!({"access_token": "canary", "id_token": id_token(&json!({"aud": "other", "email": "a@b"}))}),
        ),
    ] {
        let error = poll(reply).await.unwrap_err();
        assert!(matches!(error, OauthError::Nonsense { .. }), "{error:?}");
        assert!(
            !format!("{error} {error:?}").contains("canary"),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn lifetimes_and_pauses_of_a_device_code_are_clamped() {
    let check = async |changes: Value, expires_in: u64, interval: u64| {
        let begun = begin(changes).await.unwrap();
        let found = (begun.expires_in.as_secs(), begun.interval.as_secs());
        assert_eq!(found, (expires_in, interval));
    };
    check(json!({"interval": null}), 900, 5).await;
    check(json!({"interval": 0, "expires_in": 0}), 60, 1).await;
    check(
        json!({"interval": 1_000_000_000_000_u64, "expires_in": 1_000_000_000_000_u64}),
        3600,
        60,
    )
    .await;
    check(
        json!({"interval": u64::MAX, "expires_in": u64::MAX}),
        3600,
        60,
    )
    .await;
    let begun = begin(json!({"message": null})).await.unwrap();
    assert_eq!(begun.message, "");
    let begun = begin(json!({"message": ["canary"]})).await.unwrap();
    assert_eq!(begun.message, "");
    let begun = begin(json!({"message": "m".repeat(5000)})).await.unwrap();
    assert!(begun.message.len() <= 1024);
    // This machine itself needs no TLS.
    let home = json!({"verification_uri": "http://127.0.0.1:8080/device"});
    let begun = begin(home).await.unwrap();
    assert_eq!(begun.verification_uri, "http://127.0.0.1:8080/device");
}

#[tokio::test]
async fn a_device_code_out_of_bounds_is_refused_and_not_repeated() {
    for changes in [
        json!({"device_code": ""}),
        json!({"device_code": "canary x"}),
        json!({"device_code": "canary\n"}),
        json!({"device_code": format!("canary{}", "a".repeat(9000))}),
        json!({"device_code": null}),
        json!({"user_code": ""}),
        json!({"user_code": "canary\u{1b}[2J"}),
        json!({"user_code": format!("canary{}", "a".repeat(64))}),
        json!({"user_code": 7}),
        json!({"verification_uri": "http://canary.example/"}),
        json!({"verification_uri": "http://10.0.0.1/canary"}),
        json!({"verification_uri": "javascript:canary()"}),
        json!({"verification_uri": "https://canary@login.example/"}),
        json!({"verification_uri": "canary"}),
        json!({"verification_uri": format!("https://login.example/{}", "canary".repeat(400))}),
        json!({"expires_in": -1}),
        json!({"expires_in": "canary"}),
        json!({"expires_in": null}),
    ] {
        let error = begin(changes.clone()).await.unwrap_err();
        assert!(
            matches!(error, OauthError::Nonsense { .. }),
            "{changes}: {error:?}"
        );
        assert!(
            !format!("{error} {error:?}").contains("canary"),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn where_nobody_can_sign_in_with_a_device_code_that_is_said_before_anything_is_sent() {
    let check = async |provider: &NewCloudProvider, expected: &str, words: &str| {
        let credential = Credential::first(provider);
        let begun = client().device_begin(provider, credential).await;
        let polled = client().device_poll(provider, credential, &example()).await;
        for error in [begun.unwrap_err(), polled.unwrap_err()] {
            let OauthError::Configuration { field, detail } = error else {
                panic!("{error:?}");
            };
            assert_eq!(field, expected);
            assert!(detail.contains(words), "{detail}");
        }
    };
    let google = example_provider(CloudService::Google);
    check(&google, "service", "sign in with Authenticate").await;
    let mut microsoft = example_provider(CloudService::MicrosoftAzure);
    microsoft.access = Access::Application;
    check(&microsoft, "access", "choose delegated access").await;
    microsoft.access = Access::Delegated;
    microsoft.client_secret = SecretString::default();
    microsoft.tenant_id = String::new();
    check(&microsoft, "tenant id", "").await;
}
