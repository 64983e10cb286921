//! An identity platform that repeats in its refusals whatever it was sent, and the ways to sign in that lead there: a
//! code on another computer, a pasted address, an application's own secrets and certificate.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use axum::{
    Form, Json, Router,
    extract::State,
    http::StatusCode,
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use motion_email::model::ClientCertificate;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};

use super::{LIMIT, planted::Canaries, until_said};
use crate::{
    application::certificate,
    support::{Daemon, eventually},
};

/// Form fields of a token request that nobody else may know.
const SECRET_FIELDS: [&str; 6] = [
    "client_secret",
    "client_assertion",
    "code",
    "code_verifier",
    "device_code",
    "refresh_token",
];

/// The platform. Ends when dropped.
pub struct Telltale {
    authority: String,
    state: Shared,
    _task: JoinSet<()>,
}

type Shared = Arc<Known>;

struct Known {
    tail: String,
    /// Requests as they came.
    seen: Mutex<Vec<HashMap<String, String>>>,
}

impl Telltale {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let authority = format!("http://{}", listener.local_addr().expect("address"));
        let state = Arc::new(Known {
            tail: uuid::Uuid::new_v4().simple().to_string(),
            seen: Mutex::default(),
        });
        let router = Router::new()
            .route("/{tenant}/oauth2/v2.0/devicecode", post(device_code))
            .route("/{tenant}/oauth2/v2.0/token", post(token))
            .route("/enter", get(async || "nobody enters anything here"))
            .with_state(Arc::clone(&state));
        let mut task = JoinSet::new();
        task.spawn(async move {
            axum::serve(listener, router).await.expect("serves");
        });
        Self {
            authority,
            state,
            _task: task,
        }
    }

    /// Plants whatever it gave and was sent; every one of `fields` was.
    fn plant(&self, canaries: &mut Canaries) {
        let tail = &self.state.tail;
        for given in ["held-at", "held-rt", "app-at", "device-code"] {
            canaries.plant(given, &format!("{given}-{tail}"));
        }
        let seen = self.state.seen.lock().expect("lock");
        for field in SECRET_FIELDS {
            let sent: Vec<&String> = seen.iter().filter_map(|form| form.get(field)).collect();
            assert!(
                !sent.is_empty() || field == "refresh_token",
                "{field} was never sent"
            );
            for secret in sent {
                canaries.plant(field, secret);
            }
        }
    }

    fn asked(&self, field: &str, value: &str) -> usize {
        let seen = self.state.seen.lock().expect("lock");
        let asked = seen
            .iter()
            .filter(|form| form.get(field).is_some_and(|sent| sent == value));
        asked.count()
    }
}

async fn device_code(State(known): State<Shared>) -> Json<Value> {
    Json(json!({
        "device_code": format!("device-code-{}", known.tail), "user_code": "WXYZ-1234",
        "verification_uri": "https://telltale.example/enter", "expires_in": 900, "interval": 1,
        "message": "Type WXYZ-1234 at https://telltale.example/enter.",
    }))
}

async fn token(
    State(known): State<Shared>,
    Form(form): Form<HashMap<String, String>>,
) -> (StatusCode, Json<Value>) {
    let said = form.values().cloned().collect::<Vec<_>>().join(" and ");
    let (kind, client) = (form["grant_type"].clone(), form["client_id"].clone());
    let second = form
        .get("client_secret")
        .is_some_and(|s| s.starts_with("second"));
    let earlier = {
        let mut seen = known.seen.lock().expect("lock");
        let earlier = seen
            .iter()
            .filter(|one| one["grant_type"] == kind && one["client_id"] == client)
            .count();
        seen.push(form);
        earlier
    };
    let refusal = |error: &str, number: u32| {
        let words = format!("AADSTS{number}: you sent {said}.");
        let body = json!({"error": error, "error_description": words, "error_codes": [number]});
        (StatusCode::BAD_REQUEST, Json(body))
    };
    let tail = &known.tail;
    let tokens = |access: &str, more: Value| {
        let mut body = json!({
            "token_type": "Bearer", "expires_in": 3600, "access_token": format!("{access}-{tail}"),
        });
        let fields = body.as_object_mut().expect("object");
        fields.extend(more.as_object().expect("object").clone());
        (StatusCode::OK, Json(body))
    };
    if kind.ends_with("device_code") {
        if earlier == 0 {
            return refusal("authorization_pending", 70016);
        }
        let claims = json!({
            "aud": client, "preferred_username": "somebody.else@telltale.example",
            "tid": "11111111-2222-3333-4444-555555555555", "oid": "66666666-7777-8888-9999-000000000000",
        });
        let claims = URL_SAFE_NO_PAD.encode(claims.to_string());
        return tokens(
            "held-at",
            json!({"refresh_token": format!("held-rt-{tail}"), "id_token": format!("e30.{claims}.x")}),
        );
    }
    match kind.as_str() {
        "authorization_code" => refusal("invalid_grant", 70008),
        "client_credentials" if second => tokens("app-at", json!({})),
        _ => refusal("invalid_client", 7_000_215),
    }
}

/// Goes every way that leads to the platform, with an account for each, and plants what was secret in it.
pub async fn signs_in_every_other_way(
    daemon: &Daemon,
    list: i64,
    platform: &Telltale,
    secrets: &mut Canaries,
) -> Vec<i64> {
    let tail = &platform.state.tail;
    let callback = format!("{}{}", daemon.url(), daemon.lab.get("CALLBACK_PATH"));
    let add = async |name: &str, more: Value| {
        let mut body = json!({
            "name": name, "service": "microsoft", "applicationId": format!("app-{name}"),
            "tenantId": "telltale.example", "authority": platform.authority, "redirectUri": callback,
        });
        let fields = body.as_object_mut().expect("object");
        fields.extend(more.as_object().expect("object").clone());
        let added = daemon.api.post("/api/cloudProviders", &body).await;
        let provider = added["id"].as_i64().expect("id");
        let mailbox = daemon.lab.fresh_mailbox("telltale");
        let body = daemon.account_body(
            list,
            name,
            &mailbox,
            json!({"authentication": "modern", "CloudProviderId": provider, "username": mailbox}),
        );
        let added = daemon.api.post("/api/mail/accounts", &body).await;
        (provider, added["id"].as_i64().expect("id"))
    };
    let [first, second, third] =
        ["first", "second", "third"].map(|which| format!("{which}-client-secret-{tail}"));
    for secret in [&first, &second, &third] {
        secrets.plant("a client secret", secret);
    }
    let ClientCertificate {
        certificate,
        private_key,
    } = certificate();
    let key = private_key.expose_secret();
    // Whole lines behind the modulus (about 300 octets, 48 a line), which the certificate has too, and says to all.
    for line in key.lines().skip(8).filter(|line| line.len() == 64) {
        secrets.plant("the certificate's private key", line);
    }

    // An application with two secrets, of which the second is taken, and one with a certificate, which is not.
    let (_, two) = add(
        "two",
        json!({
            "access": "application", "clientSecret": first, "secondSecret": second,
        }),
    )
    .await;
    let (_, certified) = add(
        "cert",
        json!({
            "access": "application", "certificate": certificate, "privateKey": key,
        }),
    )
    .await;
    until_said(daemon, two, "grant_type=client_credentials", 2).await;
    until_said(daemon, certified, "error=invalid_client", 1).await;

    // A code on another computer, with which somebody else than expected signs in: held.
    let (provider, held) = add("held", json!({ "clientSecret": third })).await;
    let path = format!("/api/cloudProviders/{provider}");
    let begun = daemon.api.post(&format!("{path}/device"), &json!({})).await;
    assert_eq!(begun["state"], "waiting", "{begun}");
    eventually("the sign-in is held", 2 * LIMIT, || async {
        let shown = daemon.api.get(&path).await;
        if shown["heldSignIn"].is_null() {
            Err(shown.to_string())
        } else {
            Ok(())
        }
    })
    .await;

    // An address that is pasted.
    let (provider, pasted) = add("paste", json!({ "clientSecret": third })).await;
    let path = format!("/api/cloudProviders/{provider}");
    let begun = daemon
        .api
        .post(&format!("{path}/authenticate"), &json!({}))
        .await;
    let url = url::Url::parse(begun["authorizeUrl"].as_str().expect("a URL")).expect("a URL");
    let (_, state) = url
        .query_pairs()
        .find(|(name, _)| name == "state")
        .expect("a state");
    secrets.plant("a pasted state", &state);
    let code = format!("pasted-code-{tail}");
    let body = json!({"url": format!("{callback}?code={code}&state={state}")});
    let (status, answer) = daemon
        .api
        .call(
            reqwest::Method::POST,
            &format!("{path}/redirected"),
            Some(&body),
        )
        .await
        .expect("an answer");
    assert!(!status.is_success(), "{answer}");
    assert_eq!(platform.asked("code", &code), 1, "{answer}");

    platform.plant(secrets);
    secrets.assert_none("the answer to a pasted address", &answer.to_string());
    vec![two, certified, held, pasted]
}
