//! One mailbox end to end, on real servers, with each database.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Daemon, Engine, eventually, mail};

/// The delegate's token opens the shared mailbox by IMAP, and a reply from the shared address is sent as
/// the delegate; own mailbox and password account beside it.
async fn mail_comes_in_and_replies_go_out(engine: Engine) {
    let daemon = Daemon::start(engine, &[("XC_EMAIL_IDLE_REISSUE", "2s")]).await;
    // A shared mailbox for each engine: the tests run side by side, and a shared mailbox is shared.
    let shared_key = if engine == Engine::Sqlite {
        "SHARED"
    } else {
        "SHARED2"
    };
    let (delegate, shared) = (
        daemon.lab.get("DELEGATE").to_owned(),
        daemon.lab.get(shared_key).to_owned(),
    );
    let own = daemon.lab.fresh_mailbox("own");
    let customer = daemon.lab.fresh_mailbox("customer");
    let list = daemon.add_list().await;
    let (provider, _) = daemon.add_provider(&delegate, 300).await;
    let modern = json!({
        "authentication": "modern", "CloudProviderId": provider, "username": shared, "delegate": delegate,
    });
    let body = daemon.account_body(list, "SHARE", &shared, modern);
    let shared_account = daemon.api.post("/api/mail/accounts", &body).await["id"]
        .as_i64()
        .expect("id");
    let own_account = daemon.add_password_account(list, "OWN", &own).await;
    for account in [shared_account, own_account] {
        daemon.wait_lane(account, "inbound", "ready").await;
    }

    let mut lmtp = mail::Lmtp::open(&daemon.lab).await;
    for (mailbox, account) in [(&shared, shared_account), (&own, own_account)] {
        let id = format!("{}@customer.example", uuid::Uuid::new_v4());
        let question = mail::plain_mail(
            &customer,
            mailbox,
            &id,
            "Where is my order?",
            "It was due on Monday.",
        );
        lmtp.deliver(&customer, mailbox, &question).await;
        let path = format!("/api/mail/messages?AccountId={account}");
        let message = eventually(
            "the mail is in the store",
            Duration::from_secs(10),
            || async {
                let rows = daemon.api.rows(&path).await;
                rows.iter()
                    .find(|row| row["messageId"] == json!(id))
                    .map(|row| row["id"].as_i64().expect("id"))
                    .ok_or_else(|| format!("{} rows", rows.len()))
            },
        )
        .await;
        let shown = daemon
            .api
            .get(&format!("/api/mail/messages/{message}"))
            .await;
        assert_eq!(shown["subject"], "Where is my order?");
        assert_eq!(shown["from"]["address"], json!(customer));
        assert!(
            shown["text"]
                .as_str()
                .is_some_and(|text| text.contains("due on Monday")),
            "{shown}"
        );

        let sent = daemon
            .api
            .post("/api/mail/outbox", &json!({
                "AccountId": account, "to": [customer], "text": "It leaves today.", "replyToMessageId": message,
            }))
            .await;
        let (outbox, reply_id) = (
            sent["id"].as_i64().expect("id"),
            sent["messageId"].as_str().expect("id").to_owned(),
        );
        eventually("the reply was taken", Duration::from_secs(15), || async {
            let shown = daemon.api.get(&format!("/api/mail/outbox/{outbox}")).await;
            let state = shown["recipients"][0]["state"].clone();
            if state == "sent" {
                Ok(())
            } else {
                Err(shown.to_string())
            }
        })
        .await;
        let arrived = eventually("the reply arrived", Duration::from_secs(10), || async {
            let mails = mail::fetch_all(&daemon.lab, &customer, "BODY.PEEK[]").await;
            mails
                .into_iter()
                .map(|raw| String::from_utf8_lossy(&raw).into_owned())
                .find(|raw| raw.contains(&reply_id))
                .ok_or_else(|| "not there".to_owned())
        })
        .await;
        assert!(
            arrived.contains(&format!("In-Reply-To: <{id}>")),
            "{arrived}"
        );
        assert!(
            arrived.contains(mailbox.as_str()),
            "From is the account's address: {arrived}"
        );
        assert!(arrived.contains("Re: Where is my order?"), "{arrived}");
    }
    let contacts = daemon
        .api
        .rows(&format!("/api/cm/contacts?ListId={list}"))
        .await;
    // The shared mailbox is shared: other tests' customers may have written to it meanwhile.
    let saved = contacts
        .iter()
        .filter(|contact| contact["email"] == json!(customer));
    assert_eq!(saved.count(), 1, "one sender, saved once: {contacts:?}");
    // SMTP was done by the delegate: Postfix would have refused user=shared (535), and logs who it was.
    let postfix = std::fs::read_to_string(
        std::path::Path::new(daemon.lab.get("LAB_STATE")).join("log/postfix.log"),
    )
    .expect("Postfix's log");
    assert!(
        postfix.contains(&format!("sasl_username={delegate}")),
        "the reply from the shared address was sent as the delegate"
    );
    assert_eq!(daemon.error_log(), "", "no error line");
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_comes_in_and_replies_go_out_on_sqlite() {
    mail_comes_in_and_replies_go_out(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_comes_in_and_replies_go_out_on_mariadb() {
    mail_comes_in_and_replies_go_out(Engine::MariaDb).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_mail_that_arrives_after_the_account_was_added_is_taken_unless_it_asks_for_more() {
    let daemon = Daemon::start(Engine::Sqlite, &[]).await;
    let mailbox = daemon.lab.fresh_mailbox("past");
    let mut lmtp = mail::Lmtp::open(&daemon.lab).await;
    for n in 0..3 {
        let text = mail::plain_mail(
            "a@customer.example",
            &mailbox,
            &format!("old{n}@x.example"),
            "old",
            "x",
        );
        lmtp.deliver("a@customer.example", &mailbox, &text).await;
    }
    // INTERNALDATE counts in whole seconds, and a mail of the same two seconds is kept: let them pass.
    let delivered = Instant::now();
    eventually(
        "three seconds are over",
        Duration::from_secs(5),
        || async move {
            let gone = delivered.elapsed();
            if gone > Duration::from_millis(3200) {
                Ok(())
            } else {
                Err(format!("{gone:?}"))
            }
        },
    )
    .await;
    let list = daemon.add_list().await;
    let fresh = daemon.add_password_account(list, "FRESH", &mailbox).await;
    daemon.wait_lane(fresh, "inbound", "ready").await;
    let text = mail::plain_mail("a@customer.example", &mailbox, "new@x.example", "new", "x");
    lmtp.deliver("a@customer.example", &mailbox, &text).await;
    eventually("the new mail", Duration::from_secs(10), || async {
        let rows = daemon
            .api
            .rows(&format!("/api/mail/messages?AccountId={fresh}"))
            .await;
        if rows.is_empty() {
            Err("nothing".to_owned())
        } else {
            Ok(())
        }
    })
    .await;
    let rows = daemon
        .api
        .rows(&format!("/api/mail/messages?AccountId={fresh}"))
        .await;
    let subjects: Vec<&str> = rows
        .iter()
        .filter_map(|row| row["subject"].as_str())
        .collect();
    assert_eq!(subjects, ["new"]);

    let more = json!({
        "authentication": "password", "username": mailbox, "password": daemon.lab.get("LAB_PASSWORD"), "backfill": "all",
    });
    let body = daemon.account_body(list, "ALL", &mailbox, more);
    let all = daemon.api.post("/api/mail/accounts", &body).await["id"]
        .as_i64()
        .expect("id");
    eventually("everything", Duration::from_secs(10), || async {
        let rows = daemon
            .api
            .rows(&format!("/api/mail/messages?AccountId={all}"))
            .await;
        if rows.len() == 4 {
            Ok(())
        } else {
            Err(format!("{}", rows.len()))
        }
    })
    .await;
}
