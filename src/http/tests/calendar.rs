//! What comes due, as the API shows it.

use serde_json::json;

use super::office;

#[tokio::test]
async fn what_comes_due_is_listed_by_its_end_and_paged() {
    let office = office().await;
    for name in ["One", "Two"] {
        let provider = json!({"name": name, "service": "microsoft", "applicationId": "a", "tenantId": "t",
            "clientSecret": "s3cret"});
        office
            .post("/api/cloudProviders", provider)
            .await
            .expect(201);
    }
    let all = office.get("/api/calendar").await;
    let body = all.expect(200);
    assert_eq!(body["count"], 2, "{body}");
    let row = &body["rows"][0];
    assert_eq!(row["id"], "provider/1/clientSecret");
    assert_eq!(
        (&row["name"], &row["CloudProviderId"]),
        (&json!("One"), &json!(1))
    );
    assert_eq!(
        (&row["severity"], &row["due"]),
        (&json!("notice"), &json!(null))
    );
    assert_eq!(row["code"], "secret_expiry_unknown");
    assert!(!all.text().contains("s3cret"));

    let part = office
        .get("/api/calendar?limit=1&offset=1&sort=due&fields=name")
        .await;
    let body = part.expect(200);
    assert_eq!(
        body["rows"],
        json!([{"id": "provider/2/clientSecret", "name": "Two"}])
    );
    assert_eq!(part.headers["content-range"], "1-2/2");
    let first = office.get("/api/calendar?limit=1").await;
    first.expect(206);
    let wrong = office.get("/api/calendar?sort=name&what=x").await;
    wrong.problem(422, "invalid_fields", &["sort", "what"]);

    let status = office.get("/api/status").await.expect(200);
    assert_eq!(status["warnings"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        status["cloudProviders"][1]["warnings"][0]["CloudProviderId"],
        2
    );
}
