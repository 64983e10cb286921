//! The client against a scripted token endpoint (reliability matrix row 46; bad inputs 62 and 63).

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use tokio::sync::watch;

use super::{
    Answer, Credential, OauthClient, OauthError, Reach, Settings,
    identity::tests::id_token,
    scripted::{Platform, Reply},
};
use crate::{model::FailureClass, net::testing};

fn client() -> OauthClient {
    OauthClient::new(&[], &Settings::default()).unwrap()
}

fn secret(text: &str) -> SecretString {
    text.to_owned().into()
}

async fn refresh_against(reply: Reply) -> Result<Answer, OauthError> {
    let platform = Platform::start(move |_, _| reply.clone()).await;
    let answer = client()
        .refresh(
            &platform.provider("p"),
            Credential::Secret(&secret("s3cret&=+%")),
            &secret("rt-0"),
        )
        .await;
    assert_eq!(platform.posts(), 1, "a request is sent once");
    answer
}

async fn nonsense(reply: Reply, expected: &str) {
    let error = refresh_against(reply).await.unwrap_err();
    let OauthError::Nonsense { what, .. } = &error else {
        panic!("{error:?}");
    };
    assert!(what.contains(expected), "{what}");
    assert_eq!(error.class(), FailureClass::RetryLater);
    assert!(!format!("{error:?}{error}").contains("canary"), "{error:?}");
}

#[tokio::test]
async fn a_refresh_sends_the_secret_in_the_body_and_keeps_a_rotated_token() {
    let platform = Platform::start(|_, _| Reply::tokens("at-1", Some("rt-1"))).await;
    let answer = client()
        .refresh(
            &platform.provider("p"),
            Credential::Secret(&secret("s3cret&=+%")),
            &secret("rt-0"),
        )
        .await
        .unwrap();
    assert_eq!(answer.access_token.expose_secret(), "at-1");
    assert_eq!(answer.refresh_token.unwrap().expose_secret(), "rt-1");
    assert_eq!(answer.expires_in, Duration::from_secs(3600));
    let request = &platform.requests()[0];
    assert_eq!(
        request.line,
        "POST /11111111-2222-3333-4444-555555555555/oauth2/v2.0/token HTTP/1.1"
    );
    assert!(!request.head.contains("authorization"), "{}", request.head);
    let form = &request.form;
    assert_eq!(form["grant_type"], "refresh_token");
    assert_eq!(form["refresh_token"], "rt-0");
    assert_eq!(form["client_id"], "app-1");
    assert_eq!(form["client_secret"], "s3cret&=+%");
    assert!(!form.contains_key("scope"));
}

#[tokio::test]
async fn a_code_is_redeemed_with_its_verifier_and_redirect_uri_and_says_who_signed_in() {
    let token = id_token(
        &json!({"aud": "app-1", "preferred_username": "andrea@contoso.example",
        "oid": "o-1", "tid": "11111111-2222-3333-4444-555555555555"}),
    );
    let platform = Platform::start(move |_, _| {
        Reply::json(
            200,
            &json!({"access_token": "at-1", "refresh_token": "rt-1", "expires_in": "3599",
                    "scope": "openid x", "id_token": token}),
        )
    })
    .await;
    let redirect = "https://motion.example/cb";
    let answer = client()
        .exchange_code(
            &platform.provider("p"),
            Credential::None,
            &secret("c-1"),
            &secret("v-1"),
            redirect,
        )
        .await
        .unwrap();
    let identity = answer.identity.unwrap();
    assert_eq!(identity.user_name, "andrea@contoso.example");
    assert_eq!(identity.object_id.as_deref(), Some("o-1"));
    assert_eq!(answer.scopes.as_deref(), Some("openid x"));
    let form = &platform.requests()[0].form;
    assert_eq!(form["grant_type"], "authorization_code");
    assert_eq!(form["code"], "c-1");
    assert_eq!(form["code_verifier"], "v-1");
    assert_eq!(form["redirect_uri"], redirect);
}

#[tokio::test]
async fn an_id_token_for_another_application_ends_a_sign_in_but_not_a_refresh() {
    let token = id_token(&json!({"aud": "other", "email": "x@y"}));
    let platform = Platform::start(move |_, _| {
        Reply::json(
            200,
            &json!({"access_token": "at-1", "refresh_token": "rt-1", "id_token": token}),
        )
    })
    .await;
    let provider = platform.provider("p");
    let redirect = "https://motion.example/cb";
    let error = client()
        .exchange_code(
            &provider,
            Credential::None,
            &secret("c"),
            &secret("v"),
            redirect,
        )
        .await
        .unwrap_err();
    assert!(
        matches!(&error, OauthError::Nonsense { what, .. } if what.contains("another application"))
    );
    let answer = client()
        .refresh(&provider, Credential::None, &secret("rt"))
        .await
        .unwrap();
    assert_eq!(answer.identity, None);
    assert_eq!(answer.refresh_token.unwrap().expose_secret(), "rt-1");
}

#[tokio::test]
async fn a_refusal_keeps_the_platforms_words_and_numbers_escaped_and_bounded() {
    let description = format!(
        "AADSTS70008: expired.\r\nTrace ID: t\r\n{}",
        "x".repeat(5000)
    );
    let error = refresh_against(Reply::json(
        400,
        &json!({"error": "invalid_grant", "error_description": description, "error_codes": [70008],
                "suberror": "bad_token", "trace_id": "t-1", "correlation_id": "c-1", "claims": "{}"}),
    ))
    .await
    .unwrap_err();
    assert_eq!(error.class(), FailureClass::OperatorMustAct);
    assert!(error.needs_sign_in());
    let OauthError::Refused(refusal) = error else {
        panic!("{error:?}");
    };
    assert_eq!(refusal.status, 400);
    assert_eq!(refusal.error, "invalid_grant");
    assert_eq!(refusal.codes, [70008]);
    assert_eq!(refusal.suberror.as_deref(), Some("bad_token"));
    assert_eq!(refusal.trace_id.as_deref(), Some("t-1"));
    assert_eq!(refusal.correlation_id.as_deref(), Some("c-1"));
    assert!(
        refusal
            .description
            .starts_with("AADSTS70008: expired.\\r\\nTrace ID")
    );
    assert!(refusal.description.len() <= 1024);
}

#[tokio::test]
async fn a_wrong_client_secret_is_an_administrators_matter_and_asks_for_no_sign_in() {
    let error = refresh_against(Reply::refusal("invalid_client", &[7_000_222]))
        .await
        .unwrap_err();
    assert_eq!(error.class(), FailureClass::OperatorMustAct);
    assert!(!error.needs_sign_in());
}

#[tokio::test]
async fn throttling_and_ill_servers_are_told_apart_from_refusals() {
    let check = async |reply: Reply, class: FailureClass| {
        let error = refresh_against(reply).await.unwrap_err();
        assert_eq!(error.class(), class, "{error:?}");
        assert!(!error.needs_sign_in());
    };
    let seconds = |seconds| FailureClass::HoldFor(Duration::from_secs(seconds));
    // Even with a body that looks like a dead grant.
    let throttled = Reply::json(429, &json!({"error": "invalid_grant"}));
    check(throttled.clone(), seconds(60)).await;
    check(throttled.header("Retry-After", "17"), seconds(17)).await;
    for status in [408, 500, 502, 503, 504] {
        let ill = Reply::json(status, &json!({"error": "invalid_grant"}));
        check(ill, FailureClass::RetryLater).await;
    }
    check(
        Reply::raw(503, "text/html", b"<h1>no</h1>").header("Retry-After", "5"),
        seconds(5),
    )
    .await;
    check(
        Reply::refusal("temporarily_unavailable", &[]),
        FailureClass::RetryLater,
    )
    .await;
    check(
        Reply::refusal("invalid_grant", &[90033]),
        FailureClass::RetryLater,
    )
    .await;
}

#[tokio::test]
async fn answers_that_are_no_token_answers_are_refused_and_none_of_their_text_is_kept() {
    // Bad input 62.
    let html = b"<html>canary</html>";
    nonsense(Reply::raw(200, "text/html", html), "Content-Type").await;
    nonsense(Reply::raw(200, "application/json", html), "not the JSON").await;
    nonsense(Reply::raw(403, "text/html", html), "not the JSON").await;
    nonsense(Reply::raw(200, "application/json", b""), "empty").await;
    nonsense(Reply::raw(400, "application/json", b""), "empty").await;
    let canary = json!({"access_token": {"canary": "canary"}, "refresh_token": "canary"});
    nonsense(Reply::json(200, &canary), "not the JSON").await;
    let kind = json!({"access_token": "canary", "token_type": "mac"});
    nonsense(Reply::json(200, &kind), "bearer").await;
    for token in [
        "canary\r\nX: y",
        "canary\u{1}auth=",
        "canary x",
        "canaryé",
        "",
    ] {
        let body = json!({"access_token": token});
        nonsense(Reply::json(200, &body), "access token has characters").await;
    }
    let body = json!({"access_token": "a", "refresh_token": "canary\n"});
    nonsense(Reply::json(200, &body), "refresh token has characters").await;
    let long = format!("canary{}", "a".repeat(40_000));
    nonsense(Reply::tokens(&long, None), "32 KiB").await;
    let mebibyte = format!("canary{}", "a".repeat(1 << 20));
    nonsense(Reply::tokens(&mebibyte, None), "262144").await;
    let ten = vec![b' '; 10 << 20];
    nonsense(Reply::raw(200, "application/json", &ten), "262144").await;
    nonsense(Reply::raw(400, "application/json", &ten), "262144").await;
}

#[tokio::test]
async fn redirects_are_not_followed() {
    // Bad input 63.
    let elsewhere = Platform::start(|_, _| Reply::tokens("stolen", None)).await;
    for status in [301, 302, 303, 307, 308] {
        let target = format!("{}/token", elsewhere.authority());
        nonsense(
            Reply::raw(status, "text/plain", b"").header("Location", &target),
            "redirect",
        )
        .await;
    }
    assert_eq!(elsewhere.posts(), 0);
}

#[tokio::test]
async fn an_endpoint_that_hangs_costs_only_the_timeout() {
    let (_never, gate) = watch::channel(false);
    let platform = Platform::start(move |_, _| Reply::tokens("a", None).behind(gate.clone())).await;
    let settings = Settings {
        timeout: Duration::from_millis(300),
        ..Settings::default()
    };
    let client = OauthClient::new(&[], &settings).unwrap();
    let error = client
        .refresh(&platform.provider("p"), Credential::None, &secret("rt"))
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            OauthError::Unreachable {
                reach: Reach::TimedOut,
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn nobody_listening_and_no_such_name_are_told_apart() {
    let platform = Platform::start(|_, _| Reply::tokens("a", None)).await;
    let mut provider = platform.provider("p");
    drop(platform);
    let reach = async |provider: crate::model::NewCloudProvider| match client()
        .refresh(&provider, Credential::None, &secret("rt"))
        .await
    {
        Err(OauthError::Unreachable { reach, .. }) => reach,
        other => panic!("{other:?}"),
    };
    assert_eq!(reach(provider.clone()).await, Reach::Connect);
    provider.authority = Some("https://login.invalid".into());
    assert_eq!(reach(provider).await, Reach::Name);
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_needs_the_operator() {
    let (ours, theirs) = (
        testing::Authority::new("ours"),
        testing::Authority::new("theirs"),
    );
    let ours = native_tls::Certificate::from_pem(ours.pem.as_bytes()).unwrap();
    let theirs_root = native_tls::Certificate::from_pem(theirs.pem.as_bytes()).unwrap();
    let acceptor = theirs.issue("localhost", 1).acceptor();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut server = tokio::task::JoinSet::new();
    server.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A refused certificate ends the handshake; an accepted one gets no answer.
            let _ = acceptor.accept(stream).await;
        }
    });
    let platform = Platform::start(|_, _| Reply::tokens("a", None)).await;
    let mut provider = platform.provider("p");
    provider.authority = Some(format!("https://localhost:{port}"));
    for (root, expected) in [(ours, Reach::Certificate), (theirs_root, Reach::Broken)] {
        let client = OauthClient::new(&[root], &Settings::default()).unwrap();
        let error = client
            .refresh(&provider, Credential::None, &secret("rt"))
            .await
            .unwrap_err();
        let OauthError::Unreachable { reach, detail } = &error else {
            panic!("{error:?}");
        };
        assert_eq!(*reach, expected, "{detail}");
    }
}

#[tokio::test]
async fn a_proxy_is_used_but_not_for_this_machine() {
    let proxy = Platform::start(|_, _| Reply::raw(407, "text/plain", b"")).await;
    let settings = Settings {
        proxy: Some(secret(proxy.authority())),
        ..Settings::default()
    };
    let client = OauthClient::new(&[], &settings).unwrap();
    let platform = Platform::start(|_, _| Reply::tokens("a", None)).await;
    let mut provider = platform.provider("p");
    client
        .refresh(&provider, Credential::None, &secret("rt"))
        .await
        .unwrap();
    assert_eq!(proxy.posts(), 0);
    provider.authority = Some("https://login.example".into());
    let error = client
        .refresh(&provider, Credential::None, &secret("rt"))
        .await
        .unwrap_err();
    assert!(matches!(error, OauthError::Unreachable { .. }), "{error:?}");
    assert!(
        proxy.requests()[0]
            .line
            .starts_with("CONNECT login.example:443")
    );
    let garbage = Settings {
        proxy: Some(secret("::canary::")),
        ..Settings::default()
    };
    let error = OauthClient::new(&[], &garbage).unwrap_err();
    assert!(!format!("{error:?} {error}").contains("canary"));
}
