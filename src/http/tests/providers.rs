//! Cloud providers and sign-ins through the API.

use super::*;

#[tokio::test]
async fn a_provider_is_added_changed_and_removed_and_its_secret_never_shown() {
    let office = office().await;
    let id = office.provider().await;
    let path = format!("/api/cloudProviders/{id}");
    let shown = office.get(&path).await.expect(200);
    assert_eq!(shown["service"], "Microsoft Azure");
    assert_eq!(shown["type"], "Outlook365");
    assert_eq!(
        shown["redirectUri"],
        "https://motion.test/api/cloudProviders/oauth2/microsoft/callback"
    );
    assert_eq!(shown["grant"]["state"], "missing");
    let changed = office.send("PATCH", &path, json!({"name": "New"})).await;
    assert_eq!(changed.expect(200)["name"], "New");
    let secret = office
        .post(
            &format!("{path}/secret"),
            json!({"clientSecret": "canary-2"}),
        )
        .await;
    secret.expect(200);
    assert_eq!(
        office.get(&format!("{path}/grant")).await.expect(200)["state"],
        "missing"
    );
    let list = office.get("/api/cloudProviders").await;
    assert_eq!(list.expect(200)["count"], 1);
    for answer in [changed, secret, list] {
        assert!(!answer.text().contains("canary"), "{}", answer.text());
    }
    assert_eq!(office.delete(&path).await.status, 204);
    office.get(&path).await.problem(404, "not_found", &[]);
}

#[tokio::test]
async fn a_providers_name_is_unique_and_every_wrong_field_is_named() {
    let office = office().await;
    office.provider().await;
    let answer = office
        .post(
            "/api/cloudProviders",
            json!({"name": "Contoso", "service": "google", "applicationId": "a", "clientSecret": "s"}),
        )
        .await;
    answer.problem(409, "already_taken", &[]);
    let answer = office
        .post(
            "/api/cloudProviders",
            json!({"service": "x", "role": "admin", "redirectUri": "http://evil.test/"}),
        )
        .await;
    answer.problem(
        422,
        "invalid_fields",
        &[
            "role",
            "name",
            "service",
            "applicationId",
            "clientSecret",
            "redirectUri",
        ],
    );
}

#[tokio::test]
async fn a_provider_in_use_is_not_removed() {
    let office = office().await;
    let provider = office.provider().await;
    let list = office.list().await;
    let account = json!({
        "name": "Shared", "key": "SH", "address": "shared@contoso.test", "ListId": list,
        "service": "Outlook365", "authentication": "modern", "CloudProviderId": provider
    });
    office.post("/api/mail/accounts", account).await.expect(201);
    let answer = office
        .delete(&format!("/api/cloudProviders/{provider}"))
        .await;
    answer.problem(409, "in_use", &[]);
}

/// Begins a sign-in; the address a person would open.
async fn begin(office: &Office, provider: i64) -> url::Url {
    let request = request(
        "POST",
        &format!("/api/cloudProviders/{provider}/authenticate"),
    )
    // Bad input 52: headers that name other hosts.
    .header(header::HOST, "evil.test")
    .header("x-forwarded-host", "evil.test")
    .header("forwarded", "host=evil.test")
    .body(Body::empty())
    .unwrap();
    let answer = ask(&office.local, request).await.expect(200);
    answer["authorizeUrl"].as_str().unwrap().parse().unwrap()
}

fn parameter(url: &url::Url, name: &str) -> String {
    let found = url.query_pairs().find(|(key, _)| key == name);
    found.unwrap().1.into_owned()
}

#[tokio::test]
async fn a_sign_in_leads_to_the_stored_redirect_uri_whatever_the_headers_say() {
    let office = office().await;
    let provider = office.provider().await;
    let url = begin(&office, provider).await;
    assert_eq!(
        parameter(&url, "redirect_uri"),
        "https://motion.test/api/cloudProviders/oauth2/microsoft/callback"
    );
    assert_eq!(parameter(&url, "code_challenge_method"), "S256");
    let hint = json!({"loginHint": "anna@contoso.test"});
    let path = format!("/api/cloudProviders/{provider}/authenticate");
    let body = office.post(&path, hint).await.expect(200);
    assert!(
        body["authorizeUrl"]
            .as_str()
            .unwrap()
            .contains("login_hint=")
    );
    let answer = office.post(&path, json!({"loginHint": "a\r\nb"})).await;
    answer.problem(422, "invalid_fields", &["loginHint"]);
}

#[tokio::test]
async fn callbacks_that_nobody_began_or_that_come_again_change_nothing() {
    // Bad input 61: no state, wrong state, used twice, `iss` of another issuer, `error=` with HTML, two `code`
    // parameters. A state of another session and one of eleven minutes ago: `sign_in` here and in `token`.
    let office = office().await;
    let provider = office.provider().await;
    let state = parameter(&begin(&office, provider).await, "state");
    let callback = "/api/cloudProviders/oauth2/microsoft/callback";
    let check = async |query: String, status: u16, code: &str| {
        let answer = office.visit(&format!("{callback}?{query}")).await;
        let page = answer.text();
        assert_eq!(answer.status.as_u16(), status, "{query}: {page}");
        assert!(page.contains(&format!("Code: {code}")), "{query}: {page}");
        assert_eq!(
            answer.headers[header::CONTENT_TYPE],
            "text/html; charset=utf-8"
        );
        assert!(!page.contains("<script"), "{page}");
    };
    check(String::new(), 400, "sign_in_malformed").await;
    check("code=c".to_owned(), 400, "sign_in_malformed").await;
    check("code=c&state=".to_owned(), 400, "sign_in_malformed").await;
    check(
        "code=c&state=wrong".to_owned(),
        400,
        "sign_in_state_unknown",
    )
    .await;
    check(
        format!("code=c&code=d&state={state}"),
        400,
        "sign_in_malformed",
    )
    .await;
    check(
        "error=%3Cscript%3E&state=%3Cscript%3E".to_owned(),
        400,
        "sign_in_state_unknown",
    )
    .await;
    // The platform is a closed port: the code cannot be redeemed, and the state is used up all the same.
    check(
        format!("code=c&state={state}"),
        502,
        "sign_in_exchange_failed",
    )
    .await;
    check(format!("code=c&state={state}"), 400, "sign_in_state_used").await;
    let state = parameter(&begin(&office, provider).await, "state");
    let answer = office
        .visit(&format!(
            "/api/cloudProviders/oauth2/google/callback?code=c&state={state}"
        ))
        .await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    let state = parameter(&begin(&office, provider).await, "state");
    check(
        format!("code=c&state={state}&iss=https%3A%2F%2Fevil.test"),
        400,
        "sign_in_other_issuer",
    )
    .await;
    let state = parameter(&begin(&office, provider).await, "state");
    check(
        format!("error=access_denied&error_description=%3Cscript%3E&state={state}"),
        400,
        "sign_in_refused",
    )
    .await;
    let grant = office
        .get(&format!("/api/cloudProviders/{provider}/grant"))
        .await;
    let grant = grant.expect(200);
    assert_eq!(grant["state"], "missing");
    // Who waits elsewhere for the sign-in learns that it came to nothing, and why.
    assert_eq!(grant["signInFailure"]["code"], "sign_in_refused", "{grant}");
    let unknown = office
        .visit("/api/cloudProviders/oauth2/yahoo/callback?code=c&state=s")
        .await;
    unknown.problem(404, "not_found", &[]);
}
