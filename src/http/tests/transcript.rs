//! The transcript of an account.

use serde_json::{Value, json};

use super::office;
use crate::{
    model::{AccountId, CloudProviderId},
    transcript::Protocol,
};

fn texts(answer: &Value) -> Vec<&str> {
    let rows = answer["rows"].as_array().unwrap();
    rows.iter()
        .map(|row| row["text"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn an_account_shows_its_own_and_its_providers_exchanges_until_it_is_removed() {
    let office = office().await;
    let id = office.account().await;
    let provider = office.provider().await;
    let path = format!("/api/mail/accounts/{id}/transcript");
    let empty = office.get(&path).await.expect(200);
    assert_eq!(empty, json!({"count": 0, "rows": []}));
    let transcripts = &office.desk.transcripts;
    let account = transcripts.account(AccountId::new(id));
    let of_provider = transcripts.provider(CloudProviderId::new(provider));
    account.begin(Protocol::Imap).note("one");
    of_provider.begin(Protocol::Oauth).note("two");
    account.begin(Protocol::Smtp).note("three");
    // By password: no provider is its own.
    let answer = office.get(&path).await.expect(200);
    assert_eq!(texts(&answer), ["one", "three"]);
    let modern = json!({"authentication": "modern", "CloudProviderId": provider, "username": "u@example.test"});
    office
        .send("PUT", &format!("/api/mail/accounts/{id}"), modern)
        .await
        .expect(200);
    let answer = office.get(&path).await.expect(200);
    assert_eq!(texts(&answer), ["one", "two", "three"]);
    assert_eq!(answer["count"], 3);
    assert_eq!(
        (
            &answer["rows"][1]["protocol"],
            &answer["rows"][1]["direction"]
        ),
        (&json!("oauth"), &json!("note"))
    );
    let at = answer["rows"][2]["at"].as_str().unwrap();
    for (query, expected) in [
        ("protocol=smtp", &["three"][..]),
        ("protocol=OAUTH&limit=1", &["two"]),
        ("limit=2", &["two", "three"]),
        ("since=2000-01-01T00:00:00Z", &["one", "two", "three"]),
        ("since=2100-01-01T00:00:00Z", &[]),
    ] {
        let answer = office.get(&format!("{path}?{query}")).await.expect(200);
        assert_eq!(texts(&answer), expected, "{query}");
    }
    let answer = office.get(&format!("{path}?since={at}")).await.expect(200);
    assert!(texts(&answer).contains(&"three"));
    office
        .get(&format!("{path}?protocol=pop3&since=now&limit=0&x=1"))
        .await
        .problem(422, "invalid_fields", &["since", "protocol", "limit", "x"]);
    let removed = office.delete(&format!("/api/mail/accounts/{id}")).await;
    assert_eq!(removed.status, 204);
    office.get(&path).await.problem(404, "not_found", &[]);
    account.begin(Protocol::Smtp).note("late");
    assert!(
        transcripts
            .read(crate::transcript::Subject::Account(AccountId::new(id)))
            .is_empty()
    );
}
