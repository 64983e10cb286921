//! Who signed in against who is expected, through the API.

use crate::{
    model::{CloudProviderId, NewTokens, Timestamp},
    store::SettledSignIn,
};

use super::*;

/// Tokens that this person gave.
fn given_by(name: &str, object: &str) -> NewTokens {
    NewTokens {
        access_token: String::from("canary-access").into(),
        access_expires_at: Timestamp::from_millis(4_000_000_000_000),
        refresh_token: Some(String::from("canary-refresh").into()),
        scopes: None,
        signed_in_as: Some(name.to_owned()),
        tenant_id: Some("t-1".to_owned()),
        object_id: Some(object.to_owned()),
    }
}

impl Office {
    async fn signs_in(&self, provider: i64, name: &str, object: &str) -> SettledSignIn {
        let id = CloudProviderId::new(provider);
        let now = self.desk.clock.now();
        let tokens = given_by(name, object);
        let settled = self.desk.store.sign_in_settle(id, &tokens, true, now).await;
        settled.unwrap()
    }

    /// The body of an account that expects `delegate`.
    fn shared(provider: i64, list: i64, key: &str, delegate: &str) -> Value {
        json!({
            "name": "Shared", "key": key, "address": "shared@contoso.test", "ListId": list, "service": "Outlook365",
            "authentication": "modern", "CloudProviderId": provider, "username": "shared@contoso.test",
            "delegate": delegate
        })
    }
}

#[tokio::test]
async fn a_held_sign_in_is_shown_with_both_names_and_confirmed_by_repeating_who_signed_in() {
    let office = office().await;
    let (provider, list) = (office.provider().await, office.list().await);
    let path = format!("/api/cloudProviders/{provider}");
    let body = Office::shared(provider, list, "SH", "anna@contoso.test");
    office.post("/api/mail/accounts", body).await.expect(201);
    let word = |name: &str| json!({ "signedInAs": name });
    let nothing = office.post(&format!("{path}/confirm"), word("x")).await;
    nothing.problem(409, "nothing_held", &[]);
    let nothing = office.post(&format!("{path}/discard"), json!({})).await;
    nothing.problem(409, "nothing_held", &[]);
    let settled = office
        .signs_in(provider, "adm-anna@contoso.test", "o-1")
        .await;
    assert!(matches!(settled, SettledSignIn::Held(_)));
    let shown = office.get(&path).await;
    assert!(!shown.text().contains("canary"), "{}", shown.text());
    let shown = shown.expect(200);
    let held = &shown["heldSignIn"];
    assert_eq!(held["signedInAs"], "adm-anna@contoso.test");
    assert_eq!(held["expected"], json!(["anna@contoso.test"]));
    assert!(held["since"].is_string() && held["expiresAt"].is_string());
    assert!(held["next"].as_str().unwrap().contains("provider confirm"));
    assert_eq!(shown["grant"]["state"], "missing");
    let listed = office.get("/api/cloudProviders").await.expect(200);
    assert_eq!(
        listed["rows"][0]["heldSignIn"]["signedInAs"],
        "adm-anna@contoso.test"
    );
    let grant = office.get(&format!("{path}/grant")).await.expect(200);
    assert_eq!(grant["heldSignIn"]["signedInAs"], "adm-anna@contoso.test");

    let bare = office.post(&format!("{path}/confirm"), json!({})).await;
    bare.problem(422, "invalid_fields", &["signedInAs"]);
    let wrong = office
        .post(&format!("{path}/confirm"), word("anna@contoso.test"))
        .await;
    wrong.problem(409, "other_name_held", &[]);
    let confirmed = office
        .post(&format!("{path}/confirm"), word("adm-anna@contoso.test"))
        .await;
    let confirmed = confirmed.expect(200);
    assert_eq!(confirmed["heldSignIn"], Value::Null);
    assert_eq!(confirmed["grant"]["state"], "ok");
    assert_eq!(confirmed["grant"]["signedInAs"], "adm-anna@contoso.test");
    assert_eq!(confirmed["grant"]["objectId"], "o-1");
    assert_eq!(
        confirmed["grant"]["confirmedFor"],
        json!(["anna@contoso.test"])
    );

    office.signs_in(provider, "bob@contoso.test", "o-2").await;
    let dropped = office.post(&format!("{path}/discard"), json!({})).await;
    let dropped = dropped.expect(200);
    assert_eq!(dropped["heldSignIn"], Value::Null);
    assert_eq!(dropped["grant"]["signedInAs"], "adm-anna@contoso.test");
}

#[tokio::test]
async fn an_account_whose_provider_somebody_else_signed_in_to_needs_a_word_once() {
    let office = office().await;
    let (provider, list) = (office.provider().await, office.list().await);
    let settled = office
        .signs_in(provider, "adm-anna@contoso.test", "o-1")
        .await;
    assert!(matches!(settled, SettledSignIn::Adopted(_)));
    let accounts = "/api/mail/accounts";
    let equal = Office::shared(provider, list, "A", "ADM-anna@contoso.test");
    office.post(accounts, equal).await.expect(201);
    let mut body = Office::shared(provider, list, "B", "anna@contoso.test");
    let refused = office.post(accounts, body.clone()).await;
    refused.problem(409, "identity_differs", &[]);
    for name in ["adm-anna@contoso.test", "anna@contoso.test"] {
        assert!(refused.text().contains(name), "{}", refused.text());
    }
    // The word has to be for who signed in.
    body["confirmedSignedInAs"] = json!("anna@contoso.test");
    office
        .post(accounts, body.clone())
        .await
        .problem(409, "identity_differs", &[]);
    body["confirmedSignedInAs"] = json!("Adm-Anna@contoso.test");
    let id = office.post(accounts, body).await.expect(201)["id"]
        .as_i64()
        .unwrap();
    // Remembered: for the next account, and for the next sign-in.
    let again = Office::shared(provider, list, "C", "Anna@contoso.test");
    office.post(accounts, again).await.expect(201);
    let settled = office
        .signs_in(provider, "adm-anna@contoso.test", "o-1")
        .await;
    assert!(matches!(settled, SettledSignIn::Adopted(_)));
    // A change that touches neither name nor provider asks nothing; another delegate does.
    let path = format!("{accounts}/{id}");
    office
        .send("PATCH", &path, json!({"name": "New"}))
        .await
        .expect(200);
    let moved = office
        .send("PATCH", &path, json!({"delegate": "bob@contoso.test"}))
        .await;
    moved.problem(409, "identity_differs", &[]);
    let alone = office.send("PATCH", &path, json!({"delegate": null})).await;
    alone.problem(409, "identity_differs", &[]);
    let moved =
        json!({"delegate": "bob@contoso.test", "confirmedSignedInAs": "adm-anna@contoso.test"});
    office.send("PATCH", &path, moved).await.expect(200);
}

#[tokio::test]
async fn a_redirected_address_is_taken_from_who_began_and_for_the_stored_redirect_uri_only() {
    // Bad input 61: state of another session; used twice.
    let office = office().await;
    let provider = office.provider().await;
    let path = format!("/api/cloudProviders/{provider}");
    let uri = "https://motion.test/api/cloudProviders/oauth2/microsoft/callback";
    let begin = async || {
        let begun = office
            .post(&format!("{path}/authenticate"), json!({}))
            .await
            .expect(200);
        let url: url::Url = begun["authorizeUrl"].as_str().unwrap().parse().unwrap();
        let state = url.query_pairs().find(|(name, _)| name == "state");
        state.unwrap().1.into_owned()
    };
    let paste = async |caller: Option<&str>, url: String| {
        let mut request = request("POST", &format!("{path}/redirected"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(json!({ "url": url }).to_string()))
            .unwrap();
        if let Some(caller) = caller {
            let caller = crate::http::caller::Caller(caller.to_owned());
            request.extensions_mut().insert(caller);
        }
        ask(&office.local, request).await
    };
    let bare = office.post(&format!("{path}/redirected"), json!({})).await;
    bare.problem(422, "invalid_fields", &["url"]);
    let state = begin().await;
    let evil = paste(
        None,
        format!("https://evil.test/callback?code=c&state={state}"),
    )
    .await;
    evil.problem(400, "sign_in_other_address", &[]);
    paste(None, "no address".to_owned())
        .await
        .problem(400, "sign_in_malformed", &[]);
    paste(None, uri.to_owned())
        .await
        .problem(400, "sign_in_malformed", &[]);
    // None of these has used the state up: the code goes to the platform, which is a closed port here.
    let good = format!("{uri}?code=c&state={state}");
    paste(None, good.clone())
        .await
        .problem(502, "sign_in_exchange_failed", &[]);
    paste(None, good)
        .await
        .problem(400, "sign_in_state_used", &[]);
    let state = begin().await;
    let other = paste(Some("uid 4711"), format!("{uri}?code=c&state={state}")).await;
    other.problem(400, "sign_in_other_caller", &[]);
    let said = paste(
        None,
        format!("{uri}?error=%3Cscript%3E&state={}", begin().await),
    )
    .await;
    said.problem(400, "sign_in_refused", &[]);
}

#[tokio::test]
async fn application_access_says_why_nobody_signs_in() {
    let office = office().await;
    let provider = office.provider().await;
    let path = format!("/api/cloudProviders/{provider}");
    let changed = office
        .send("PATCH", &path, json!({"access": "application"}))
        .await;
    assert_eq!(changed.expect(200)["access"], "application");
    for verb in ["authenticate", "device"] {
        let refused = office.post(&format!("{path}/{verb}"), json!({})).await;
        refused.problem(409, "sign_in_not_needed", &[]);
        assert!(
            refused.text().contains("--access delegated"),
            "{}",
            refused.text()
        );
    }
    let never = office.get(&format!("{path}/device")).await;
    never.problem(404, "not_found", &[]);
}

#[tokio::test]
async fn every_field_of_a_provider_is_entered_changed_and_taken_back_and_no_secret_is_shown() {
    let office = office().await;
    let certificate = crate::oauth::certificate_example();
    use secrecy::ExposeSecret;
    let key = certificate.private_key.expose_secret();
    let body = json!({
        "name": "App", "service": "microsoft", "applicationId": "a", "tenantId": "contoso.test", "cloud": "gcc_high",
        "certificate": certificate.certificate, "privateKey": key,
        "secondSecret": "canary-2", "secondSecretExpiresAt": "2099-01-01"
    });
    let added = office.post("/api/cloudProviders", body).await;
    assert!(
        !added.text().contains("canary") && !added.text().contains("BEGIN"),
        "{}",
        added.text()
    );
    let added = added.expect(201);
    assert_eq!(added["hasClientSecret"], false);
    assert_eq!(added["hasSecondSecret"], true);
    assert_eq!(added["secondSecretExpiresAt"], "2099-01-01T00:00:00.000Z");
    assert_eq!(added["cloud"], "gcc_high");
    assert_eq!(
        added["certificate"]["thumbprint"].as_str().map(str::len),
        Some(40)
    );
    assert!(
        added["certificate"]["subject"]
            .as_str()
            .unwrap()
            .starts_with("CN="),
        "{added}"
    );
    assert!(added["certificate"]["notAfter"].is_string());
    assert_eq!(
        added["warnings"].as_array().map(Vec::len),
        Some(1),
        "{added}"
    );
    let path = format!("/api/cloudProviders/{}", added["id"]);

    let secret = json!({"clientSecret": "canary-3", "expiresAt": "2026-12-24T00:00:00Z"});
    let changed = office
        .post(&format!("{path}/secret"), secret)
        .await
        .expect(200);
    assert_eq!(changed["hasClientSecret"], true);
    assert_eq!(changed["clientSecretExpiresAt"], "2026-12-24T00:00:00.000Z");
    // A new secret does not keep the old one's date.
    let secret = json!({"clientSecret": "canary-4"});
    let changed = office
        .post(&format!("{path}/secret"), secret)
        .await
        .expect(200);
    assert_eq!(changed["clientSecretExpiresAt"], Value::Null);
    let second = json!({"clientSecret": "canary-5", "second": true});
    let changed = office
        .post(&format!("{path}/secret"), second)
        .await
        .expect(200);
    assert_eq!(changed["secondSecretExpiresAt"], Value::Null);
    assert_eq!(changed["warnings"], json!([]));

    let half = office
        .send("PATCH", &path, json!({"privateKey": key}))
        .await;
    half.problem(422, "invalid_fields", &["certificate"]);
    let broken = json!({"certificate": "-----BEGIN CERTIFICATE-----", "privateKey": key});
    let broken = office.send("PATCH", &path, broken).await;
    broken.problem(422, "invalid_fields", &["certificate"]);
    let wrong = json!({"cloud": "moon", "access": "none", "clientSecretExpiresAt": "soon", "secondSecret": "a\nb"});
    let wrong = office.send("PATCH", &path, wrong).await;
    wrong.problem(
        422,
        "invalid_fields",
        &["cloud", "access", "clientSecretExpiresAt", "secondSecret"],
    );
    let taken = json!({"certificate": null, "secondSecret": null, "cloud": "worldwide"});
    let taken = office.send("PATCH", &path, taken).await.expect(200);
    assert_eq!(taken["certificate"], Value::Null);
    assert_eq!(taken["hasSecondSecret"], false);
    let none = office
        .send(
            "PATCH",
            &path,
            json!({"clientSecret": null, "access": "application"}),
        )
        .await;
    none.problem(422, "invalid_fields", &["clientSecret"]);
}
