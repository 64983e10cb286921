//! Who may call what, and what every answer has.

use super::*;
use crate::http::routes::{Access, table};

fn concrete(path: &str) -> String {
    path.replace("{id}", "999999")
        .replace("{service}", "microsoft")
}

#[tokio::test]
async fn tcp_answers_nobody_but_health_questions_and_callbacks() {
    let office = office().await;
    for route in table() {
        let request = request(route.method.as_str(), &concrete(route.path))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from("{}"))
            .unwrap();
        let answer = ask(&office.public, request).await;
        match route.access {
            Access::Local => answer.problem(401, "not_authenticated", &[]),
            Access::Open if route.path.starts_with("/health/") => {
                assert_eq!(answer.status, 200, "{}", route.path);
            }
            Access::Open => assert_eq!(answer.status, 400, "{}", route.path),
        }
    }
    let unknown = office.visit("/api/nothing").await;
    unknown.problem(401, "not_authenticated", &[]);
    let unknown = office.visit("/api/mail/..%2f..%2fstatus").await;
    unknown.problem(401, "not_authenticated", &[]);
}

#[tokio::test]
async fn no_route_fails_on_ids_that_name_nothing() {
    // Bad input 53.
    let office = office().await;
    for route in table() {
        for id in [
            "999999",
            "0",
            "-1",
            "9223372036854775808",
            "%00",
            "..%2f1",
            "%ff",
            "a'--",
        ] {
            if !route.path.contains("{id}") {
                continue;
            }
            let request = request(route.method.as_str(), &route.path.replace("{id}", id))
                .header(header::CONTENT_TYPE, "application/json")
                .body(Body::from(if route.path.ends_with("/secret") {
                    r#"{"clientSecret": "x"}"#
                } else {
                    "{}"
                }))
                .unwrap();
            let answer = ask(&office.local, request).await;
            answer.problem(404, "not_found", &[]);
        }
    }
}

#[tokio::test]
async fn every_answer_is_private_and_never_guessed_at() {
    let office = office().await;
    let wrong = request("DELETE", "/api/status")
        .body(Body::empty())
        .unwrap();
    for answer in [
        office.get("/api/status").await,
        office.get("/api/nothing").await,
        ask(&office.local, wrong).await,
        office
            .visit("/api/cloudProviders/oauth2/google/callback")
            .await,
        office.visit("/api/status").await,
    ] {
        assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
        assert_eq!(answer.headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(answer.headers[header::REFERRER_POLICY], "no-referrer");
        let policy = answer.headers[header::CONTENT_SECURITY_POLICY]
            .to_str()
            .unwrap();
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
    }
}

#[tokio::test]
async fn unknown_routes_and_methods_are_problems() {
    let office = office().await;
    office
        .get("/api/nothing")
        .await
        .problem(404, "not_found", &[]);
    let answer = office.delete("/api/status").await;
    answer.problem(405, "method_not_allowed", &[]);
    assert!(answer.headers.contains_key(header::ALLOW));
    // Bad input 53: a method override changes nothing.
    let request = request("POST", "/api/status")
        .header("x-http-method-override", "GET")
        .body(Body::empty())
        .unwrap();
    ask(&office.local, request)
        .await
        .problem(405, "method_not_allowed", &[]);
}

#[tokio::test]
async fn bodies_are_json_that_says_so_and_not_too_long() {
    let office = office().await;
    let post = async |kind: Option<&str>, body: Vec<u8>| {
        let mut request = request("POST", "/api/cm/lists");
        if let Some(kind) = kind {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        ask(&office.local, request.body(Body::from(body)).unwrap()).await
    };
    // Bad input 54: what a browser sends across sites without asking.
    let good = br#"{"name": "A"}"#.to_vec();
    for kind in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
    ] {
        post(kind, good.clone()).await.problem(415, "not_json", &[]);
    }
    // Bad input 51.
    let json = Some("application/json; charset=utf-8");
    let twice = br#"{"name": "A", "name": "B"}"#.to_vec();
    post(json, twice)
        .await
        .problem(400, "malformed_request", &[]);
    // Bad input 48.
    let long = format!("{{\"name\": \"{}\"}}", "x".repeat(1 << 20));
    post(json, long.into_bytes())
        .await
        .problem(413, "body_too_large", &[]);
    assert_eq!(office.get("/api/cm/lists").await.expect(200)["count"], 0);
    post(json, good).await.expect(201);
}

#[tokio::test]
async fn the_base_path_leads_to_the_open_routes_too() {
    let office = office_with(|settings| settings.base_path = "/email".to_owned()).await;
    office.visit("/email/health/live").await.expect(200);
    office.visit("/health/ready").await.expect(200);
    let callback = "/api/cloudProviders/oauth2/microsoft/callback";
    assert_eq!(office.visit(callback).await.status, 400);
    assert_eq!(office.visit(&format!("/email{callback}")).await.status, 400);
    let answer = office.visit("/email/api/status").await;
    answer.problem(401, "not_authenticated", &[]);
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_ended() {
    let office = office_with(|settings| settings.request_timeout = Duration::from_millis(50)).await;
    // A body that never ends.
    let body = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
    let request = request("POST", "/api/cm/lists")
        .header(header::CONTENT_TYPE, "application/json")
        .body(body)
        .unwrap();
    let answer = ask(&office.local, request).await;
    answer.problem(503, "request_timed_out", &[]);
}

#[tokio::test]
async fn the_status_shows_the_node_its_accounts_and_its_log() {
    let office = office().await;
    office.account().await;
    office.provider().await;
    let status = office.get("/api/status").await.expect(200);
    assert_eq!(status["node"], "node-1");
    assert_eq!(status["database"], "sqlite");
    assert_eq!(status["accounts"][0]["key"], "SUPP1");
    assert_eq!(
        status["accounts"][0]["status"]["inbound"]["state"],
        "stopped"
    );
    assert_eq!(status["cloudProviders"][0]["grant"]["state"], "missing");
    assert_eq!(status["log"]["level"], "INFO");
    assert!(!status.to_string().contains("canary"), "{status}");
}

#[tokio::test]
async fn the_level_of_the_log_can_be_read_and_changed() {
    let office = office().await;
    let level = |answer: Answer| answer.expect(200)["level"].clone();
    assert_eq!(level(office.get("/api/log-level").await), "INFO");
    let put = office
        .send("PUT", "/api/log-level", json!({"level": "debug"}))
        .await;
    assert_eq!(level(put), "DEBUG");
    assert_eq!(level(office.get("/api/log-level").await), "DEBUG");
    let put = office
        .send("PUT", "/api/log-level", json!({"level": "loud"}))
        .await;
    put.problem(422, "invalid_fields", &["level"]);
}

#[tokio::test]
async fn lists_show_parts_and_say_that_there_is_more() {
    let office = office().await;
    for name in ["A", "B", "C"] {
        office
            .post("/api/cm/lists", json!({"name": name}))
            .await
            .expect(201);
    }
    let part = office.get("/api/cm/lists?limit=2&fields=name").await;
    let body = part.expect(206);
    assert_eq!(part.headers[header::CONTENT_RANGE], "0-2/3");
    assert_eq!(body["count"], 3);
    assert_eq!(
        body["rows"],
        json!([{"id": 1, "name": "A"}, {"id": 2, "name": "B"}])
    );
    let rest = office.get("/api/cm/lists?limit=2&offset=2").await;
    assert_eq!(rest.expect(200)["rows"][0]["name"], "C");
    assert_eq!(rest.headers[header::CONTENT_RANGE], "2-3/3");
    let answer = office.post("/api/cm/lists", json!({"name": "A"})).await;
    answer.problem(409, "already_taken", &[]);
    let answer = office.get("/api/cm/contacts?ListId=1&role=admin").await;
    answer.problem(422, "invalid_fields", &["role"]);
}
