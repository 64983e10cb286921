//! Mail through the API: what came in, and what is to go out.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::*;
use crate::{
    mime,
    model::{AccountId, Cursor, Generation, Lease, ListId, Uid, UidValidity},
    store::{IngestBatch, IngestItem, LeaseRow, NewMessage, NodeRow},
};

fn mail(account: i64) -> Value {
    json!({
        "AccountId": account, "to": ["Anna <anna@example.test>"], "bcc": ["boss@example.test"],
        "subject": "Your order", "text": "Hello\n.\n..\nBye"
    })
}

fn with(mut body: Value, field: &str, value: Value) -> Value {
    body.as_object_mut()
        .unwrap()
        .insert(field.to_owned(), value);
    body
}

/// The account's lease, as the node of these tests holds it.
pub(super) async fn lease(office: &Office, account: AccountId) -> Lease {
    let store = &office.desk.store;
    let now = office.desk.clock.now();
    let node = NodeRow {
        id: NodeId::random(),
        name: "node-1".to_owned(),
        home: "home".to_owned(),
        beat: 0,
        started_at: now,
    };
    store.node_register(&node).await.unwrap();
    let leases = store.lease_list().await.unwrap();
    let seen: &LeaseRow = leases.iter().find(|row| row.account == account).unwrap();
    store.lease_acquire(seen, &node.id).await.unwrap().unwrap()
}

/// Puts a mail into the store as the inbound lane does; its id.
async fn received(office: &Office, account: i64, raw: &str) -> i64 {
    let store = &office.desk.store;
    let now = office.desk.clock.now();
    let account = AccountId::new(account);
    let lease = lease(office, account).await;
    let cursor = Cursor {
        validity: UidValidity::new(1).unwrap(),
        generation: Generation(0),
        next: 1,
    };
    let folder = store
        .folder_start(&lease, "INBOX", cursor, 1, now)
        .await
        .unwrap();
    let bytes = Bytes::copy_from_slice(raw.as_bytes());
    let message = NewMessage {
        uid: Uid::new(1).unwrap(),
        internal_date: now,
        size: bytes.len() as u64,
        sha256: Sha256::digest(&bytes).into(),
        parsed: Ok(mime::parse(&bytes).unwrap()),
        raw: office.desk.blobs.keep(bytes).await.unwrap(),
    };
    let batch = IngestBatch {
        folder: folder.id,
        expect: cursor,
        next: 2,
        items: vec![IngestItem::Message(Box::new(message))],
        list: ListId::new(1),
        audit: None,
    };
    store.ingest(&lease, batch, now).await.unwrap();
    let list = office.get("/api/mail/messages").await.expect(200);
    list["rows"][0]["id"].as_i64().unwrap()
}

const INCOMING: &str = "Message-ID: <one@customer.test>\r\nReferences: <zero@customer.test>\r\n\
    From: Carl <carl@customer.test>\r\nReply-To: desk@customer.test\r\nTo: support@example.test\r\n\
    Subject: Where is it?\r\nMIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n<b>Hi</b><script>x</script>\r\n";

#[tokio::test]
async fn a_mail_is_frozen_and_queued_before_it_is_answered() {
    let office = office().await;
    let account = office.account().await;
    let answer = office.post("/api/mail/outbox", mail(account)).await;
    let accepted = answer.expect(201);
    assert_eq!(
        accepted["recipients"],
        json!([
            {"address": "anna@example.test", "state": "queued"},
            {"address": "boss@example.test", "state": "queued"}
        ])
    );
    let path = answer.headers[header::LOCATION]
        .to_str()
        .unwrap()
        .to_owned();
    let shown = office.get(&path).await.expect(200);
    assert_eq!(shown["messageId"], accepted["messageId"]);
    assert_eq!(shown["from"], "support@example.test");
    assert_eq!(shown["state"], "queued");
    assert_eq!(shown["attempts"], json!([]));
    let raw = office.get(&format!("{path}/raw")).await;
    assert_eq!(raw.headers[header::CONTENT_TYPE], "message/rfc822");
    let disposition = raw.headers[header::CONTENT_DISPOSITION].to_str().unwrap();
    assert!(disposition.starts_with("attachment;"), "{disposition}");
    let text = raw.text();
    assert!(
        text.contains("<support@example.test>") && text.contains("Subject: Your order"),
        "{text}"
    );
    assert!(!text.contains("boss@example.test"), "{text}");
    let list = office
        .get("/api/mail/outbox?state=queued")
        .await
        .expect(200);
    assert_eq!(list["count"], 1);
    assert_eq!(
        office.get("/api/mail/outbox?state=sent").await.expect(200)["count"],
        0
    );
    let wrong = office.get("/api/mail/outbox?state=gone").await;
    wrong.problem(422, "invalid_fields", &["state"]);
}

#[tokio::test]
async fn a_repeated_request_is_answered_again_and_another_one_under_its_key_is_refused() {
    // Bad input 49.
    let office = office().await;
    let account = office.account().await;
    let keyed = with(mail(account), "idempotencyKey", json!("order-5"));
    let first = office
        .post("/api/mail/outbox", keyed.clone())
        .await
        .expect(201);
    let again = office
        .post("/api/mail/outbox", keyed.clone())
        .await
        .expect(200);
    assert_eq!(first, again);
    let clash = office
        .post("/api/mail/outbox", with(keyed, "text", json!("Other")))
        .await;
    clash.problem(422, "invalid_fields", &["idempotencyKey"]);
    assert_eq!(office.get("/api/mail/outbox").await.expect(200)["count"], 1);
}

#[tokio::test]
async fn a_hundred_equal_requests_at_once_make_one_mail() {
    // Bad input 49.
    let office = office().await;
    let account = office.account().await;
    let asked = (0..100).map(|_| {
        let request = request("POST", "/api/mail/outbox")
            .header(header::CONTENT_TYPE, "application/json")
            .header("idempotency-key", "k")
            .body(Body::from(mail(account).to_string()))
            .unwrap();
        ask(&office.local, request)
    });
    let answers = futures_util::future::join_all(asked).await;
    let created = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(created, 1);
    let first = answers[0].json();
    for answer in &answers {
        assert!(answer.status.is_success(), "{}", answer.text());
        assert_eq!(answer.json(), first);
    }
    assert_eq!(office.get("/api/mail/outbox").await.expect(200)["count"], 1);
}

#[tokio::test]
async fn an_account_sends_as_itself_only() {
    // Bad input 50.
    let office = office().await;
    let account = office.account().await;
    let own = with(mail(account), "from", json!("Support@Example.test"));
    office.post("/api/mail/outbox", own).await.expect(201);
    let other = with(mail(account), "from", json!("ceo@example.test"));
    let answer = office.post("/api/mail/outbox", other).await;
    answer.problem(403, "from_not_allowed", &[]);
    let answer = office.post("/api/mail/outbox", mail(77)).await;
    answer.problem(404, "not_found", &[]);
    let mut by_key = mail(account);
    by_key.as_object_mut().unwrap().remove("AccountId");
    let by_key = with(by_key, "account", json!("supp1"));
    office.post("/api/mail/outbox", by_key).await.expect(201);
}

#[tokio::test]
async fn what_cannot_be_sent_safely_is_refused_and_nothing_is_queued() {
    let office = office().await;
    let account = office.account().await;
    let check = async |field: &str, value: Value, named: &str| {
        let answer = office
            .post("/api/mail/outbox", with(mail(account), field, value))
            .await;
        answer.problem(422, "invalid_fields", &[named]);
    };
    // Bad inputs 45 to 48.
    check("subject", json!("a\r\nBcc: x@y.test"), "subject").await;
    check("text", json!("a\0b"), "text").await;
    check("to", json!(["a@b>\r\nRCPT TO:<x"]), "to[0]").await;
    check("headers", json!({"Received": "x"}), "headers").await;
    let many: Vec<String> = (0..1001).map(|i| format!("u{i}@b.test")).collect();
    check("to", json!(many), "to").await;
    check("replyToMessageId", json!(5), "replyToMessageId").await;
    let long = "x".repeat(36 << 20);
    let answer = office
        .post("/api/mail/outbox", with(mail(account), "text", json!(long)))
        .await;
    answer.problem(413, "body_too_large", &[]);
    assert_eq!(office.get("/api/mail/outbox").await.expect(200)["count"], 0);
}

#[tokio::test]
async fn attachments_leave_as_they_came() {
    let office = office().await;
    let account = office.account().await;
    let file = json!([{"fileName": "Rechnung ü.pdf", "contentType": "application/pdf", "contentBase64": "JVBERi0xLjQK"}]);
    let answer = office
        .post("/api/mail/outbox", with(mail(account), "attachments", file))
        .await;
    let id = answer.expect(201)["id"].as_i64().unwrap();
    let raw = office.get(&format!("/api/mail/outbox/{id}/raw")).await;
    let parsed = mime::parse(&raw.bytes).unwrap();
    assert_eq!(parsed.attachments[0].file_name, "Rechnung ü.pdf");
    assert_eq!(parsed.attachments[0].content_type, "application/pdf");
    assert_eq!(parsed.attachments[0].size, 9);
}

#[tokio::test]
async fn a_received_message_is_shown_with_its_bodies_and_its_exact_bytes() {
    let office = office().await;
    let account = office.account().await;
    let id = received(&office, account, INCOMING).await;
    let list = office
        .get(&format!("/api/mail/messages?AccountId={account}"))
        .await
        .expect(200);
    assert_eq!(list["count"], 1);
    assert!(list["rows"][0].get("html").is_none(), "{list}");
    let shown = office
        .get(&format!("/api/mail/messages/{id}"))
        .await
        .expect(200);
    assert_eq!(shown["subject"], "Where is it?");
    assert_eq!(shown["from"]["address"], "carl@customer.test");
    assert!(shown["html"].as_str().unwrap().contains("<b>Hi</b>"));
    let raw = office.get(&format!("/api/mail/messages/{id}/raw")).await;
    assert_eq!(raw.status, 200);
    assert_eq!(raw.text(), INCOMING);
    assert_eq!(raw.headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    let interactions = office.get("/api/mail/interactions").await.expect(200);
    assert_eq!(interactions["rows"][0]["id"], shown["InteractionId"]);
    let contacts = office.get("/api/cm/contacts?ListId=1").await.expect(200);
    assert_eq!(contacts["rows"][0]["email"], "carl@customer.test");
    assert_eq!(
        office.get("/api/mail/problems").await.expect(200)["count"],
        0
    );
}

#[tokio::test]
async fn a_reply_goes_to_who_wrote_and_stays_in_the_conversation() {
    let office = office().await;
    let account = office.account().await;
    let message = received(&office, account, INCOMING).await;
    let reply = json!({"AccountId": account, "replyToMessageId": message, "text": "On its way."});
    let accepted = office.post("/api/mail/outbox", reply).await.expect(201);
    assert_eq!(accepted["recipients"][0]["address"], "desk@customer.test");
    let path = format!("/api/mail/outbox/{}", accepted["id"]);
    let shown = office.get(&path).await.expect(200);
    let incoming = office
        .get(&format!("/api/mail/messages/{message}"))
        .await
        .expect(200);
    assert_eq!(shown["InteractionId"], incoming["InteractionId"]);
    let raw = office.get(&format!("{path}/raw")).await;
    let parsed = mime::parse(&raw.bytes).unwrap();
    assert_eq!(parsed.subject, "Re: Where is it?");
    assert_eq!(parsed.in_reply_to.as_deref(), Some("one@customer.test"));
    // Our own sign of the conversation first: answers name it also where a provider replaces our Message-ID.
    let (ours, theirs) = parsed.references.split_first().unwrap();
    assert_eq!(theirs, ["zero@customer.test", "one@customer.test"]);
    assert!(ours.ends_with(".t@example.test"), "{ours}");
}

#[tokio::test]
async fn numbered_events_are_read_in_order_from_any_place() {
    let office = office().await;
    let account = office.account().await;
    received(&office, account, INCOMING).await;
    office.desk.store.events_number(100).await.unwrap();
    let first = office.get("/api/mail/events").await.expect(200);
    let rows = first["rows"].as_array().unwrap();
    assert!(
        rows.iter().any(|event| event["kind"] == "message.received"),
        "{first}"
    );
    let next = first["next"].as_i64().unwrap();
    assert_eq!(next, rows.last().unwrap()["number"].as_i64().unwrap());
    let rest = office
        .get(&format!("/api/mail/events?after={next}"))
        .await
        .expect(200);
    assert_eq!((&rest["count"], &rest["next"]), (&json!(0), &json!(next)));
    let wrong = office.get("/api/mail/events?after=-1&limit=1001").await;
    wrong.problem(422, "invalid_fields", &["after", "limit"]);
}

#[tokio::test]
async fn folders_are_shown_and_mail_of_the_past_is_asked_for_with_a_date() {
    let office = office().await;
    let id = office.account().await;
    let path = format!("/api/mail/accounts/{id}");
    let answer = office
        .post(
            &format!("{path}/reingest"),
            json!({"since": "2026-01-31T00:00:00Z"}),
        )
        .await;
    answer.problem(409, "account_not_read_yet", &[]);
    let answer = office
        .post(&format!("{path}/reingest"), json!({"since": "yesterday"}))
        .await;
    answer.problem(422, "invalid_fields", &["since"]);
    let answer = office.post(&format!("{path}/release"), json!({})).await;
    answer.problem(422, "invalid_fields", &["announce"]);
    let account = AccountId::new(id);
    let lease = lease(&office, account).await;
    let now = office.desk.clock.now();
    let cursor = Cursor {
        validity: UidValidity::new(7).unwrap(),
        generation: Generation(0),
        next: 5,
    };
    let store = &office.desk.store;
    let start = store.folder_start(&lease, "Entw&APw-rfe", cursor, 1, now);
    start.await.unwrap();
    let shown = office.get(&format!("{path}/folders")).await.expect(200);
    assert_eq!(shown["rows"][0]["name"], "Entwürfe");
    assert_eq!(shown["rows"][0]["audit"], Value::Null);
    let asked = json!({"since": "2026-01-31T00:00:00Z"});
    let answer = office.post(&format!("{path}/reingest"), asked).await;
    assert_eq!(answer.expect(202)["folders"], 1);
    let shown = office.get(&format!("{path}/folders")).await.expect(200);
    assert_eq!(
        shown["rows"][0]["audit"],
        json!({"why": "asked", "next": 5, "since": "2026-01-31T00:00:00.000Z", "found": 0, "paired": 0})
    );
    let released = office
        .post(&format!("{path}/release"), json!({"announce": true}))
        .await;
    assert_eq!(released.expect(200)["rows"][0]["held"], false);
}
