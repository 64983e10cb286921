//! The client against hostile platforms (fault 46; bad inputs 62 and 63).

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    sync::watch,
    task::JoinSet,
};

use super::{
    Answer, Credential, DeviceCode, OauthClient, OauthError, Reach, Settings, missing_scopes,
    scripted::{Platform, Reply},
};
use crate::{
    model::{Access, FailureClass, NewCloudProvider},
    net::testing,
};

fn client() -> OauthClient {
    OauthClient::new(&[], &Settings::default()).unwrap()
}

fn hasty() -> OauthClient {
    let settings = Settings {
        timeout: Duration::from_millis(300),
        ..Settings::default()
    };
    OauthClient::new(&[], &settings).unwrap()
}

fn secret(text: &str) -> SecretString {
    text.to_owned().into()
}

pub(super) async fn refresh_against(reply: Reply) -> Result<Answer, OauthError> {
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
async fn throttling_and_ill_servers_are_told_apart_from_refusals() {
    // Fault 46: 500, 429, an HTML page.
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
    // Bad input 62; fault 46: an HTML page, a body of 10 MiB.
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
async fn an_answer_without_a_refresh_token_leaves_the_old_one() {
    // Bad input 62; fault 46: a missing refresh_token.
    for body in [
        json!({"access_token": "at-1"}),
        json!({"access_token": "at-1", "refresh_token": null}),
        json!({"access_token": "at-1", "refresh_token": ""}),
        json!({"access_token": "at-1", "refresh_token": 7}),
    ] {
        let answer = refresh_against(Reply::json(200, &body)).await.unwrap();
        assert_eq!(answer.access_token.expose_secret(), "at-1");
        assert!(answer.refresh_token.is_none(), "{body}");
    }
}

#[tokio::test]
async fn a_lifetime_that_cannot_be_true_is_clamped_and_loses_no_token() {
    // Bad input 62; fault 46: expires_in 0, -1, 10^12.
    let check = async |expires_in: Value, seconds: u64| {
        let body =
            json!({"access_token": "at-1", "refresh_token": "rt-1", "expires_in": expires_in});
        let answer = refresh_against(Reply::json(200, &body)).await.unwrap();
        assert_eq!(answer.expires_in, Duration::from_secs(seconds), "{body}");
        assert_eq!(answer.refresh_token.unwrap().expose_secret(), "rt-1");
    };
    check(json!(0), 0).await;
    check(json!(-1), 0).await;
    check(json!(1_000_000_000_000_u64), 86_400).await;
    check(json!("3600"), 3600).await;
    check(json!(null), 3600).await;
}

#[tokio::test]
async fn an_answer_with_another_scope_says_so() {
    // Bad input 62.
    let body = json!({"access_token": "at-1", "scope": "openid User.Read\r\nX:"});
    let answer = refresh_against(Reply::json(200, &body)).await.unwrap();
    assert_eq!(answer.scopes.as_deref(), Some("openid User.Read X:"));
    let platform = Platform::start(|_, _| Reply::tokens("a", None)).await;
    let missing = missing_scopes(&platform.provider("p"), answer.scopes.as_deref()).unwrap();
    assert_eq!(missing.len(), 2, "{missing:?}");
}

/// The failure of each kind of request there is, against this provider.
async fn every_failure(client: &OauthClient, provider: &NewCloudProvider) -> Vec<OauthError> {
    let credential = Credential::first(provider);
    let application = NewCloudProvider {
        access: Access::Application,
        ..provider.clone()
    };
    let begun = DeviceCode {
        device_code: secret("dc-1"),
        user_code: "FJC38ZDXW".into(),
        verification_uri: "https://microsoft.com/devicelogin".into(),
        expires_in: Duration::from_secs(900),
        interval: Duration::from_secs(5),
        message: String::new(),
    };
    let (rt, code, verifier) = (secret("rt"), secret("c"), secret("v"));
    let redirect = "https://motion.example/cb";
    vec![
        client.refresh(provider, credential, &rt).await.unwrap_err(),
        client
            .exchange_code(provider, credential, &code, &verifier, redirect)
            .await
            .unwrap_err(),
        client
            .client_credentials(&application, credential)
            .await
            .unwrap_err(),
        client.device_begin(provider, credential).await.unwrap_err(),
        client
            .device_poll(provider, credential, &begun)
            .await
            .unwrap_err(),
    ]
}

#[tokio::test]
async fn no_request_of_any_kind_follows_a_redirect() {
    // Bad input 63; fault 46: to another host, in clear text, to a private address.
    let elsewhere = Platform::start(|_, _| Reply::tokens("stolen", None)).await;
    let here = elsewhere.authority();
    let targets = [
        format!("{here}/token"),
        format!("{}/token", here.replace("127.0.0.1", "localhost")),
        format!("{}/token", here.replace("http:", "")),
        "http://10.255.255.1/token".into(),
        "http://169.254.169.254/latest/meta-data".into(),
        "https://login.example/token".into(),
        "/token".into(),
    ];
    for status in [301, 302, 303, 307, 308] {
        for target in &targets {
            let reply = Reply::raw(status, "text/plain", b"canary").header("Location", target);
            let platform = Platform::start(move |_, _| reply.clone()).await;
            for error in every_failure(&client(), &platform.provider("p")).await {
                let OauthError::Nonsense { status: seen, what } = &error else {
                    panic!("{target}: {error:?}");
                };
                assert_eq!(*seen, status);
                assert_eq!(what, "a redirect, which is never followed");
                assert_eq!(error.class(), FailureClass::RetryLater);
            }
            assert_eq!(platform.posts(), 5, "{target}: each is sent once");
        }
    }
    assert_eq!(elsewhere.posts(), 0);
}

/// Reads one request, answers with these bytes and then says nothing more, without hanging up.
async fn answer_and_stall<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, bytes: &[u8]) {
    let mut request = [0; 4096];
    let _ = stream.read(&mut request).await;
    let _ = stream.write_all(bytes).await;
    let _ = stream.flush().await;
    let _ = stream.read_to_end(&mut Vec::new()).await;
}

#[tokio::test]
async fn a_redirect_from_tls_to_clear_text_takes_no_secret_along() {
    // Bad input 63.
    let elsewhere = Platform::start(|_, _| Reply::tokens("stolen", None)).await;
    let authority = testing::Authority::new("ours");
    let root = native_tls::Certificate::from_pem(authority.pem.as_bytes()).unwrap();
    let acceptor = authority.issue("localhost", 1).acceptor();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let reply = format!(
        "HTTP/1.1 307 Elsewhere\r\ncontent-length: 0\r\nlocation: {}/token\r\n\r\n",
        elsewhere.authority()
    );
    let mut server = JoinSet::new();
    server.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let stream = acceptor.accept(stream).await.unwrap();
            answer_and_stall(stream, reply.as_bytes()).await;
        }
    });
    let mut provider = elsewhere.provider("p");
    provider.authority = Some(format!("https://localhost:{port}"));
    let client = OauthClient::new(&[root], &Settings::default()).unwrap();
    for error in every_failure(&client, &provider).await {
        assert!(
            matches!(&error, OauthError::Nonsense { status: 307, .. }),
            "{error:?}"
        );
    }
    assert_eq!(elsewhere.posts(), 0);
}

#[tokio::test]
async fn an_endpoint_that_hangs_costs_only_the_timeout() {
    // Fault 46: a delay of 60 s is longer than we wait.
    assert!(Settings::default().timeout < Duration::from_secs(60));
    let (_never, gate) = watch::channel(false);
    let platform = Platform::start(move |_, _| Reply::tokens("a", None).behind(gate.clone())).await;
    let error = hasty()
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
async fn an_answer_that_stops_half_way_costs_only_the_timeout() {
    // Fault 46.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut server = JoinSet::new();
    server.spawn(async move {
        let half =
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 90\r\n\r\n\
            {\"access_token\": \"canary\",";
        while let Ok((stream, _)) = listener.accept().await {
            answer_and_stall(stream, half).await;
        }
    });
    let platform = Platform::start(|_, _| Reply::tokens("a", None)).await;
    let mut provider = platform.provider("p");
    provider.authority = Some(format!("http://{address}"));
    for error in every_failure(&hasty(), &provider).await {
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
        assert!(!format!("{error:?}").contains("canary"));
    }
}

#[tokio::test]
async fn an_answer_that_ends_without_a_close_notify_is_not_taken_for_complete() {
    // Fault 45: truncated is not complete.
    let authority = testing::Authority::new("ours");
    let root = native_tls::Certificate::from_pem(authority.pem.as_bytes()).unwrap();
    let acceptor = authority.issue("localhost", 1).acceptor();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let whole = r#"{"access_token": "canary", "refresh_token": "canary"}"#;
    let cut = whole.strip_suffix("ary\"}").unwrap();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    // Cut before the length that was said, before the last chunk, and with nothing said about its length.
    let answers = [
        format!("{head}content-length: 90\r\n\r\n{whole}"),
        format!(
            "{head}transfer-encoding: chunked\r\n\r\n{:x}\r\n{whole}\r\n",
            whole.len()
        ),
        format!("{head}connection: close\r\n\r\n{cut}"),
    ];
    let asked = answers.len();
    let mut server = JoinSet::new();
    server.spawn(async move {
        for answer in answers {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = acceptor.accept(stream).await.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.flush().await.unwrap();
            // Dropped: the socket is closed, and TLS is told nothing.
        }
    });
    let mut provider = Platform::start(|_, _| Reply::tokens("a", None))
        .await
        .provider("p");
    provider.authority = Some(format!("https://localhost:{port}"));
    let client = OauthClient::new(&[root], &Settings::default()).unwrap();
    for _ in 0..asked {
        let refreshed = client
            .refresh(&provider, Credential::None, &secret("rt"))
            .await;
        let error = refreshed.unwrap_err();
        assert_eq!(error.class(), FailureClass::RetryLater, "{error:?}");
        assert!(!error.needs_sign_in());
        assert!(!format!("{error:?}{error}").contains("canary"), "{error:?}");
    }
    server.join_all().await;
}
