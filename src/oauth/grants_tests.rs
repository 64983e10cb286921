//! What requests prove the application with, and access tokens for the application itself.

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::{
    Credential, OauthClient, OauthError, Settings,
    certificate::tests::{example, verified},
    endpoints::example_provider,
    scripted::{Platform, Reply, Request},
};
use crate::model::{
    Access, ClientCertificate, Clock, Cloud, CloudService, CredentialKind, FailureClass,
    NewCloudProvider, Timestamp,
};

const REDIRECT: &str = "https://motion.example/cb";
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

fn client() -> OauthClient {
    OauthClient::new(&[], &Settings::default()).unwrap()
}

fn secret(text: &str) -> SecretString {
    text.to_owned().into()
}

fn application(platform: &Platform) -> NewCloudProvider {
    NewCloudProvider {
        access: Access::Application,
        redirect_uri: String::new(),
        ..platform.provider("p")
    }
}

/// Makes each of the requests there are once, all with this credential.
async fn every_request(provider: &NewCloudProvider, credential: Credential<'_>) {
    let client = client();
    let (code, verifier) = (secret("c-1"), secret("v-1"));
    client
        .refresh(provider, credential, &secret("rt-0"))
        .await
        .unwrap();
    client
        .exchange_code(provider, credential, &code, &verifier, REDIRECT)
        .await
        .unwrap();
    let begun = client.device_begin(provider, credential).await.unwrap();
    client
        .device_poll(provider, credential, &begun)
        .await
        .unwrap();
    let application = NewCloudProvider {
        access: Access::Application,
        ..provider.clone()
    };
    if !credential.is_none() {
        client
            .client_credentials(&application, credential)
            .await
            .unwrap();
    }
}

fn agreeable(request: &Request, _: usize) -> Reply {
    if request.line.contains("devicecode") {
        return Reply::json(
            200,
            &json!({"device_code": "dc-1", "user_code": "FJC-38Z", "expires_in": 900,
                    "verification_uri": "https://login.example/device"}),
        );
    }
    Reply::tokens("at-1", Some("rt-1"))
}

#[tokio::test]
async fn every_request_proves_itself_with_the_secret_it_is_given() {
    let platform = Platform::start(agreeable).await;
    let mut provider = platform.provider("p");
    provider.second_secret = secret("second&secret");
    every_request(
        &provider,
        Credential::of(&provider, CredentialKind::SecondSecret),
    )
    .await;
    let requests = platform.requests();
    assert_eq!(requests.len(), 5);
    for request in requests {
        assert_eq!(
            request.form["client_secret"], "second&secret",
            "{}",
            request.line
        );
        assert_eq!(request.form["client_id"], "app-1");
        assert!(!request.form.contains_key("client_assertion"));
        assert!(!request.head.contains("authorization:"));
    }
}

#[tokio::test]
async fn every_request_proves_itself_with_an_assertion_of_its_own() {
    let platform = Platform::start(agreeable).await;
    let mut provider = platform.provider("p");
    provider.certificate = Some(example());
    let certificate = provider.certificate.as_ref().unwrap();
    // It comes first although there is a secret too.
    every_request(&provider, Credential::first(&provider)).await;
    let requests = platform.requests();
    assert_eq!(requests.len(), 5);
    let mut ids = Vec::new();
    for request in requests {
        let form = &request.form;
        assert_eq!(form["client_assertion_type"], ASSERTION_TYPE);
        assert!(!form.contains_key("client_secret"), "{}", request.line);
        let (_, claims) = verified(&form["client_assertion"], certificate);
        // Also where a device code is asked for: the token endpoint is who we are known to.
        let audience = format!(
            "{}/11111111-2222-3333-4444-555555555555/oauth2/v2.0/token",
            platform.authority()
        );
        assert_eq!(claims["aud"], audience);
        assert_eq!(claims["sub"], "app-1");
        ids.push(claims["jti"].to_string());
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 5, "no assertion is used twice");
}

#[tokio::test]
async fn a_public_client_sends_nothing() {
    let platform = Platform::start(agreeable).await;
    let mut provider = platform.provider("p");
    provider.client_secret = SecretString::default();
    every_request(&provider, Credential::first(&provider)).await;
    every_request(
        &provider,
        Credential::of(&provider, CredentialKind::FirstSecret),
    )
    .await;
    every_request(
        &provider,
        Credential::of(&provider, CredentialKind::Certificate),
    )
    .await;
    let requests = platform.requests();
    assert_eq!(requests.len(), 12);
    for request in requests {
        for field in ["client_secret", "client_assertion", "client_assertion_type"] {
            assert!(!request.form.contains_key(field), "{}", request.line);
        }
    }
}

#[tokio::test]
async fn an_assertion_is_dated_by_the_clock_it_is_given() {
    struct Fixed;
    impl Clock for Fixed {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(1_000_000_000_000)
        }
    }
    let platform = Platform::start(agreeable).await;
    let mut provider = application(&platform);
    provider.certificate = Some(example());
    let client = client().with_clock(Arc::new(Fixed));
    let credential = Credential::first(&provider);
    client
        .client_credentials(&provider, credential)
        .await
        .unwrap();
    let request = &platform.requests()[0];
    let certificate = provider.certificate.as_ref().unwrap();
    let (_, claims) = verified(&request.form["client_assertion"], certificate);
    assert_eq!(claims["iat"], 1_000_000_000);
    assert_eq!(claims["exp"], 1_000_000_300);
}

#[tokio::test]
async fn an_application_gets_an_access_token_for_all_that_was_consented_to_and_no_refresh_token() {
    // Even from a platform that gives one.
    let platform = Platform::start(|_, _| Reply::tokens("at-1", Some("rt-1"))).await;
    let mut provider = application(&platform);
    let ask = async |provider: &NewCloudProvider| {
        let answer = client()
            .client_credentials(provider, Credential::first(provider))
            .await
            .unwrap();
        assert_eq!(answer.access_token.expose_secret(), "at-1");
        assert!(answer.refresh_token.is_none() && answer.identity.is_none());
        platform.requests().pop().unwrap().form
    };
    let form = ask(&provider).await;
    assert_eq!(form["grant_type"], "client_credentials");
    assert_eq!(form["scope"], "https://outlook.office365.com/.default");
    assert_eq!(form["client_secret"], "s3cret&=+%");
    for (cloud, scope) in [
        (Cloud::GccHigh, "https://outlook.office365.us/.default"),
        (Cloud::Dod, "https://outlook.office365.us/.default"),
        (Cloud::China, "https://partner.outlook.cn/.default"),
    ] {
        provider.cloud = cloud;
        assert_eq!(ask(&provider).await["scope"], scope);
    }
    provider.scope_host = Some("https://ps.outlook.com/".into());
    assert_eq!(
        ask(&provider).await["scope"],
        "https://ps.outlook.com/.default"
    );
}

#[tokio::test]
async fn an_application_that_cannot_sign_in_by_itself_is_told_so_before_anything_is_sent() {
    let platform = Platform::start(agreeable).await;
    let certificate = |private_key: &str| ClientCertificate {
        certificate: example().certificate,
        private_key: secret(private_key),
    };
    let check = async |change: &dyn Fn(&mut NewCloudProvider), field: &str, words: &str| {
        let mut provider = application(&platform);
        change(&mut provider);
        let error = client()
            .client_credentials(&provider, Credential::first(&provider))
            .await
            .unwrap_err();
        let OauthError::Configuration {
            field: named,
            detail,
        } = &error
        else {
            panic!("{error:?}");
        };
        assert_eq!(*named, field, "{detail}");
        assert!(detail.contains(words), "{detail}");
        assert!(!error.to_string().contains("canary"));
        assert_eq!(error.class(), FailureClass::OperatorMustAct);
        assert_eq!(error.refuses_client(), field == "certificate");
    };
    check(
        &|p| p.access = Access::Delegated,
        "access",
        "somebody signs in",
    )
    .await;
    check(
        &|p| p.client_secret = secret(""),
        "client secret",
        "certificate",
    )
    .await;
    for tenant in [
        "common",
        "Organizations",
        "consumers",
        super::PERSONAL_TENANT,
    ] {
        check(
            &|p| p.tenant_id = tenant.into(),
            "tenant id",
            "AADSTS9001023",
        )
        .await;
    }
    let google = |p: &mut NewCloudProvider| p.service = CloudService::Google;
    check(&google, "access", "choose delegated access").await;
    let broken = |p: &mut NewCloudProvider| p.certificate = Some(certificate("canary"));
    check(&broken, "certificate", "BEGIN PRIVATE KEY").await;
    assert_eq!(platform.posts(), 0);
}

#[tokio::test]
async fn google_takes_no_certificate() {
    let mut provider = example_provider(CloudService::Google);
    let certificate = example();
    let error = client()
        .refresh(
            &provider,
            Credential::Certificate(&certificate),
            &secret("rt"),
        )
        .await
        .unwrap_err();
    assert!(matches!(
        error,
        OauthError::Configuration {
            field: "certificate",
            ..
        }
    ));
    provider.certificate = Some(certificate);
    let error = super::endpoints(&provider).unwrap_err();
    assert!(matches!(
        error,
        OauthError::Configuration {
            field: "certificate",
            ..
        }
    ));
}

#[tokio::test]
async fn a_refused_credential_is_told_from_a_refused_grant() {
    let ask = async |error: &'static str, codes: &'static [u32]| {
        let platform = Platform::start(|_, _| Reply::refusal(error, codes)).await;
        let provider = platform.provider("p");
        let credential = Credential::first(&provider);
        let refused = client().refresh(&provider, credential, &secret("rt")).await;
        refused.unwrap_err()
    };
    for (error, codes) in [
        ("invalid_client", &[7_000_215][..]),
        ("invalid_client", &[7_000_222]),
        ("invalid_client", &[700_027]),
        ("invalid_client", &[]),
    ] {
        let refused = ask(error, codes).await;
        assert!(refused.refuses_client(), "{refused:?}");
        assert!(!refused.needs_sign_in(), "{refused:?}");
    }
    let refused = ask("invalid_grant", &[70008]).await;
    assert!(!refused.refuses_client() && refused.needs_sign_in());
    let other = OauthError::Throttled { retry_after: None };
    assert!(!other.refuses_client());
}

#[tokio::test]
async fn each_request_carries_an_id_by_which_an_administrator_finds_it() {
    let sent = |request: &Request| {
        let lines: Vec<&str> = request
            .head
            .lines()
            .filter_map(|line| line.strip_prefix("client-request-id: "))
            .collect();
        assert_eq!(lines.len(), 1, "{}", request.head);
        uuid::Uuid::parse_str(lines[0]).unwrap().to_string()
    };
    let bare = json!({"error": "invalid_grant", "correlation_id": ""});
    let named = json!({"error": "invalid_grant", "correlation_id": "c-1", "trace_id": "t-1"});
    let platform = Platform::start(move |_, number| {
        Reply::json(400, if number == 1 { &bare } else { &named })
    })
    .await;
    let provider = platform.provider("p");
    let refusal = async || {
        let credential = Credential::first(&provider);
        match client().refresh(&provider, credential, &secret("rt")).await {
            Err(OauthError::Refused(refusal)) => refusal,
            other => panic!("{other:?}"),
        }
    };
    let unnamed = refusal().await;
    let kept = refusal().await;
    let requests = platform.requests();
    assert_eq!(unnamed.correlation_id, Some(sent(&requests[0])));
    assert_eq!(kept.correlation_id.as_deref(), Some("c-1"));
    assert_eq!(kept.trace_id.as_deref(), Some("t-1"));
    assert_ne!(sent(&requests[0]), sent(&requests[1]));
}

#[tokio::test]
async fn google_is_sent_no_id_that_it_does_not_know() {
    let body = json!({"error": "invalid_grant", "error_description": "Token has been expired or revoked."});
    let platform = Platform::start(move |_, _| Reply::json(400, &body)).await;
    let provider = NewCloudProvider {
        service: CloudService::Google,
        ..platform.provider("p")
    };
    let credential = Credential::first(&provider);
    let error = client().refresh(&provider, credential, &secret("rt")).await;
    let Err(OauthError::Refused(refusal)) = error else {
        panic!("{error:?}");
    };
    assert_eq!(refusal.correlation_id, None);
    assert!(!platform.requests()[0].head.contains("client-request-id"));
}

#[test]
fn credentials_print_no_secret() {
    let secret = secret("canary");
    let certificate = ClientCertificate {
        certificate: "public".into(),
        private_key: secret.clone(),
    };
    for credential in [
        Credential::Secret(&secret),
        Credential::SecondSecret(&secret),
        Credential::Certificate(&certificate),
    ] {
        assert!(!format!("{credential:?}").contains("canary"));
        assert!(!credential.is_none());
    }
}
