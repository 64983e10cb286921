//! The client against a scripted token endpoint.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::{
    Credential, OauthClient, OauthError, Reach, Settings,
    fault_tests::refresh_against,
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
