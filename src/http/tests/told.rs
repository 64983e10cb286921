//! What is said of refused copies, and of sign-ins that end with the present session.

use super::{mail::lease, *};
use crate::{
    http::accounts::no_next_token,
    model::{AccountId, CloudProviderId, GrantState, NewTokens},
    store::{Outcome, Settled},
};

#[tokio::test]
async fn a_refused_copy_is_shown_with_what_the_reply_means_and_what_to_do() {
    let office = office().await;
    let account = AccountId::new(office.account().await);
    let mail = json!({"AccountId": account.get(), "to": ["gone@b.test"], "subject": "Hi", "text": "Hello"});
    let accepted = office.post("/api/mail/outbox", mail).await.expect(201);
    let (store, now) = (&office.desk.store, office.desk.clock.now());
    let lease = lease(&office, account).await;
    let claimed = store.outbox_claim(&lease, "attempt-1", now).await;
    let claimed = claimed.unwrap().unwrap();
    let refused = [Settled {
        recipient: claimed.recipients[0].id,
        outcome: Outcome::Failed,
        reply_code: Some(550),
        reply_text: "5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found".to_owned(),
    }];
    let settled = store.outbox_settle(&lease, "attempt-1", &refused, now);
    settled.await.unwrap();
    let path = format!("/api/mail/outbox/{}", accepted["id"]);
    let shown = office.get(&path).await.expect(200);
    let listed = office.get("/api/mail/outbox").await.expect(200);
    for copy in [&shown["recipients"][0], &listed["rows"][0]["recipients"][0]] {
        assert_eq!(copy["state"], "failed", "{copy}");
        let said = &copy["diagnosis"];
        assert_eq!(said["code"], "smtp_no_such_recipient", "{copy}");
        assert_eq!(said["action"], "this_message_only", "{copy}");
        let text = |field: &str| said[field].as_str().unwrap();
        assert!(text("why").contains("RecipientNotFound"), "{copy}");
        assert!(text("next").contains("Correct the address"), "{copy}");
    }
}

#[tokio::test]
async fn a_sign_in_that_is_dead_is_told_while_the_session_still_works() {
    let office = office().await;
    let provider = CloudProviderId::new(office.provider().await);
    let list = office.list().await;
    let account = json!({
        "name": "Shared", "key": "SH", "address": "shared@contoso.test", "ListId": list,
        "service": "Outlook365", "authentication": "modern", "CloudProviderId": provider.get()
    });
    let account = office.post("/api/mail/accounts", account).await.expect(201);
    let account = AccountId::new(account["id"].as_i64().unwrap());
    let (store, now) = (&office.desk.store, office.desk.clock.now());
    let account = store.account_get(account).await.unwrap().unwrap();
    assert_eq!(no_next_token(&office.desk, &account).await, None);
    let tokens = NewTokens {
        access_token: "at".to_owned().into(),
        access_expires_at: now.plus(Duration::from_secs(3600)),
        refresh_token: Some("rt".to_owned().into()),
        scopes: None,
        signed_in_as: None,
        tenant_id: None,
        object_id: None,
    };
    let grant = store.grant_adopt(provider, &tokens, now).await.unwrap();
    assert_eq!(no_next_token(&office.desk, &account).await, None);
    let node = NodeId::random();
    let epoch = store.grant_hold(provider, &node).await.unwrap().unwrap();
    let begun =
        store.grant_refresh_begin(provider, &node, epoch, (grant.version, None), "a.1", now);
    assert!(begun.await.unwrap());
    let reason = "the identity platform refused with invalid_grant: AADSTS70043: sign-in frequency";
    let dead = store.grant_refresh_failed(provider, "a.1", GrantState::NeedsSignIn, reason, now);
    assert!(dead.await.unwrap());
    let said = no_next_token(&office.desk, &account).await.unwrap();
    assert_eq!(said.code, "sign_in_frequency");
    assert!(said.why.contains("AADSTS70043"), "{}", said.why);
}
