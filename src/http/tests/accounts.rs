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

/// Bad input 59, at the API: what is no host is refused by its field.
#[tokio::test]
async fn a_host_that_is_none_is_refused_by_name() {
    let office = office().await;
    let id = office.account().await;
    for bad in ["h\r\nX: y", "h:3306", "a b", &"x".repeat(300)] {
        let change = json!({"imap": {"host": bad}, "smtp": {"host": bad}});
        let answer = office
            .send("PUT", &format!("/api/mail/accounts/{id}"), change)
            .await;
        answer.problem(422, "invalid_fields", &["imap.host", "smtp.host"]);
    }
}

#[tokio::test]
async fn a_proxy_is_shown_without_its_password_and_an_unchecked_certificate_is_loud() {
    let office = office().await;
    let id = office.account().await;
    let path = format!("/api/mail/accounts/{id}");
    let shown = office.get(&path).await.expect(200);
    assert_eq!(shown["proxy"], json!(null));
    assert_eq!(shown["status"]["warnings"], json!([]));
    let pin = "AB:".repeat(31) + "AB";
    let change = json!({
        "proxy": "http://user:canary-proxy@proxy.test:3128",
        "imap": {"verify": "accept_any"}, "smtp": {"tlsPins": [pin]},
    });
    let answer = office.send("PUT", &path, change).await;
    let shown = answer.expect(200);
    assert_eq!(shown["proxy"], "http://user@proxy.test:3128");
    assert_eq!(shown["smtp"]["verify"], "pinned");
    assert_eq!(shown["smtp"]["tlsPins"], json!([pin]));
    let warnings = shown["status"]["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0]["code"], "tls_accept_any");
    assert_eq!(warnings[0]["lane"], "inbound");
    assert!(!answer.text().contains("canary"), "{}", answer.text());
    let bad = json!({"proxy": "https://user:canary-proxy@p", "imap": {"tlsCa": "junk"}});
    let answer = office.send("PUT", &path, bad).await;
    answer.problem(422, "invalid_fields", &["imap.tlsCa", "proxy"]);
    assert!(!answer.text().contains("canary"), "{}", answer.text());
    let shown = office.send("PUT", &path, json!({"proxy": "direct"})).await;
    assert_eq!(shown.expect(200)["proxy"], "direct");
}
