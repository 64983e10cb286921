//! Examinations by API.

use axum::body::Body;
use serde_json::{Value, json};

use super::*;

/// The lines of an examination at `path`.
async fn lines(office: &Office, path: &str) -> Vec<Value> {
    let request = request("POST", path)
        .header(
            header::ACCEPT,
            "application/json;q=0.5, application/x-ndjson",
        )
        .body(Body::empty())
        .unwrap();
    let answer = ask(&office.local, request).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.headers[header::CONTENT_TYPE], "application/x-ndjson");
    let text = answer.text();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn one_account_and_everything_are_examined_and_shown_without_secrets() {
    let office = office().await;
    let id = office.account().await;
    let path = format!("/api/mail/accounts/{id}/doctor");
    let report = office.post(&path, json!({})).await;
    assert!(!report.text().contains("canary"), "{}", report.text());
    let report = report.expect(200);
    assert_eq!(report["AccountId"], id);
    assert_eq!(
        (&report["account"], &report["verdict"]),
        (&json!("SUPP1"), &json!("failed"))
    );
    assert_eq!(report["cause"], "imap_name");
    assert_eq!(report["rights"], Value::Null);
    let first = &report["checks"][0];
    assert_eq!(
        (&first["id"], &first["code"]),
        (&json!("imap_name"), &json!("host_not_found"))
    );
    for field in [
        "title", "verdict", "detail", "what", "why", "next", "action", "class",
    ] {
        assert!(
            first[field].as_str().is_some_and(|text| !text.is_empty()),
            "{first}"
        );
    }
    assert!(first["milliseconds"].is_u64());
    let by_key = office
        .post("/api/mail/accounts/supp1/doctor", json!({}))
        .await
        .expect(200);
    assert_eq!(by_key["AccountId"], id);
    let all = office
        .post("/api/doctor", json!({"refresh": true}))
        .await
        .expect(200);
    assert_eq!(all["accounts"].as_array().map(Vec::len), Some(1));
    assert_eq!(all["service"]["checks"][0]["id"], "database");
    assert_eq!(all["verdict"], "failed");
}

#[tokio::test]
async fn lines_come_check_by_check_and_end_with_the_report() {
    let office = office().await;
    let id = office.account().await;
    for path in [
        format!("/api/mail/accounts/{id}/doctor"),
        "/api/doctor".to_owned(),
    ] {
        let lines = lines(&office, &path).await;
        let (last, checks) = lines.split_last().unwrap();
        let report = &last["report"];
        let whole = path == "/api/doctor";
        let service = if whole {
            &report["service"]
        } else {
            &Value::Null
        };
        let account = if whole {
            &report["accounts"][0]
        } else {
            report
        };
        let count = |report: &Value| report["checks"].as_array().map_or(0, Vec::len);
        assert_eq!(checks.len(), count(service) + count(account), "{path}");
        let told: Vec<&Value> = checks.iter().map(|line| &line["check"]["id"]).collect();
        let of_account = account["checks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|check| &check["id"]);
        assert!(told.ends_with(&of_account.collect::<Vec<_>>()), "{told:?}");
        assert_eq!(checks.last().unwrap()["check"]["account"], "SUPP1");
    }
}

#[tokio::test]
async fn wrong_wishes_and_unknown_accounts_are_refused() {
    let office = office().await;
    let id = office.account().await;
    let path = format!("/api/mail/accounts/{id}/doctor");
    let answer = office
        .post(&path, json!({"refresh": "yes", "account": "SUPP1", "x": 1}))
        .await;
    answer.problem(422, "invalid_fields", &["x", "refresh", "account"]);
    let answer = office.post("/api/doctor", json!({"account": "NONE"})).await;
    answer.problem(404, "not_found", &[]);
    let answer = office.post("/api/mail/accounts/99/doctor", json!({})).await;
    answer.problem(404, "not_found", &[]);
    let public = request("POST", "/api/doctor").body(Body::empty()).unwrap();
    assert_eq!(
        ask(&office.public, public).await.status,
        StatusCode::UNAUTHORIZED
    );
}
