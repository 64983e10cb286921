//! Accounts through the API.

use super::*;

#[tokio::test]
async fn an_account_is_found_by_id_and_by_key_and_its_password_never_shown() {
    let office = office().await;
    let id = office.account().await;
    let by_id = office.get(&format!("/api/mail/accounts/{id}")).await;
    let by_key = office.get("/api/mail/accounts/supp1").await;
    assert_eq!(by_id.expect(200), by_key.expect(200));
    let shown = by_id.json();
    assert_eq!(shown["key"], "SUPP1");
    assert_eq!(shown["username"], "support@example.test");
    assert_eq!(
        shown["imap"],
        json!({"host": "imap.example.test", "port": 993, "tls": "tls", "verify": "full"})
    );
    assert_eq!(shown["queue"]["queued"], 0);
    assert_eq!(shown["status"]["running"], false);
    let list = office.get("/api/mail/accounts").await;
    assert_eq!(list.expect(200)["count"], 1);
    for answer in [by_id, list] {
        assert!(!answer.text().contains("canary"), "{}", answer.text());
    }
}

#[tokio::test]
async fn what_an_account_names_must_exist_and_its_key_be_free() {
    let office = office().await;
    office.account().await;
    let account = json!({
        "name": "Shared", "key": "SH", "address": "shared@contoso.test", "ListId": 77,
        "service": "Outlook365", "authentication": "modern", "CloudProviderId": 78
    });
    let answer = office.post("/api/mail/accounts", account).await;
    answer.problem(422, "invalid_fields", &["ListId", "CloudProviderId"]);
    let account = json!({
        "name": "Other", "key": "SUPP1", "address": "o@example.test", "ListId": 1,
        "service": "Gmail", "authentication": "password", "password": "p"
    });
    let answer = office.post("/api/mail/accounts", account).await;
    answer.problem(409, "already_taken", &[]);
}

#[tokio::test]
async fn a_change_made_from_an_old_version_is_a_conflict() {
    let office = office().await;
    let id = office.account().await;
    let path = format!("/api/mail/accounts/{id}");
    let version = office.get(&path).await.expect(200)["version"].clone();
    let change = json!({"name": "New", "version": version});
    let changed = office
        .send("PATCH", &path, change.clone())
        .await
        .expect(200);
    assert_eq!(changed["name"], "New");
    assert!(changed["version"].as_i64() > version.as_i64());
    let answer = office.send("PATCH", &path, change).await;
    answer.problem(409, "state_conflict", &[]);
    let changed = office
        .send("PUT", &path, json!({"imap": {"port": 1993}}))
        .await;
    assert_eq!(changed.expect(200)["imap"]["port"], 1993);
    assert!(!changed.text().contains("canary"));
}

#[tokio::test]
async fn an_account_is_paused_resumed_and_asked_to_read_now() {
    let office = office().await;
    let id = office.account().await;
    let verb = async |verb: &str| {
        office
            .post(&format!("/api/mail/accounts/{id}/{verb}"), json!({}))
            .await
    };
    assert_eq!(verb("pause").await.expect(200)["paused"], true);
    verb("sync").await.problem(409, "account_not_running", &[]);
    assert_eq!(verb("resume").await.expect(200)["paused"], false);
}

#[tokio::test]
async fn an_account_with_waiting_mail_is_removed_only_with_its_queue() {
    let office = office().await;
    let id = office.account().await;
    let mail = json!({"AccountId": id, "to": ["a@b.test"], "subject": "Hi", "text": "Hello"});
    office.post("/api/mail/outbox", mail).await.expect(201);
    let path = format!("/api/mail/accounts/{id}");
    assert_eq!(office.get(&path).await.expect(200)["queue"]["queued"], 1);
    office.delete(&path).await.problem(409, "in_use", &[]);
    let answer = office.delete(&format!("{path}?discardQueue=yes")).await;
    answer.problem(422, "invalid_fields", &["discardQueue"]);
    let removed = office.delete(&format!("{path}?discardQueue=true")).await;
    assert_eq!(removed.status, 204);
    office.get(&path).await.problem(404, "not_found", &[]);
}
