//! A real server's report on our own mail comes back into the mailbox that sent it.

use std::time::Duration;

use serde_json::json;

use crate::support::{Daemon, Engine, eventually};

/// Postfix takes the mail for two recipients and returns one: exactly that copy is marked.
async fn a_bounce_of_our_own_mail_marks_the_recipient_it_is_about(engine: Engine) {
    let daemon = Daemon::start(engine, &[("XC_EMAIL_IDLE_REISSUE", "2s")]).await;
    let own = daemon.lab.fresh_mailbox("own");
    let customer = daemon.lab.fresh_mailbox("customer");
    let domain = own.split_once('@').expect("an address").1.to_owned();
    let nobody = format!("bounce+{}@{domain}", uuid::Uuid::new_v4().simple());
    let list = daemon.add_list().await;
    let account = daemon.add_password_account(list, "OWN", &own).await;
    daemon.wait_lane(account, "inbound", "ready").await;
    let sent = daemon
        .api
        .post(
            "/api/mail/outbox",
            &json!({"AccountId": account, "to": [customer, nobody], "subject": "Offer", "text": "Hello"}),
        )
        .await;
    let outbox = sent["id"].as_i64().expect("id");
    let path = format!("/api/mail/outbox/{outbox}");
    let shown = eventually("the copy came back", Duration::from_secs(40), || async {
        let shown = daemon.api.get(&path).await;
        if shown["recipients"][1]["state"] == "bounced" {
            Ok(shown)
        } else {
            Err(shown.to_string())
        }
    })
    .await;
    assert_eq!(shown["recipients"][0]["state"], "sent", "{shown}");
    assert_eq!(shown["state"], "bounced", "the worst is shown first");
    assert_eq!(shown["recipients"][1]["diagnosis"]["code"], "copy_bounced");
    let report = &shown["reports"][0];
    assert_eq!(report["address"], json!(nobody));
    assert_eq!(
        (&report["action"], &report["applied"]),
        (&json!("failed"), &json!(true))
    );
    let message = report["MessageId"].as_i64().expect("id");
    let bounce = daemon
        .api
        .get(&format!("/api/mail/messages/{message}"))
        .await;
    assert_eq!(bounce["kind"], "bounce", "{bounce}");
    assert_eq!(bounce["bounceOf"], json!(outbox));
    assert_eq!(bounce["InteractionId"], shown["InteractionId"]);
    assert_eq!(
        bounce["ContactId"],
        json!(null),
        "no contact is made of a mail server"
    );
    let contacts = daemon
        .api
        .rows(&format!("/api/cm/contacts?ListId={list}"))
        .await;
    assert_eq!(contacts.len(), 0, "{contacts:?}");
    let listed = daemon.cli(&["message", "list"]);
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(
        listed.contains("KIND") && listed.contains("bounce"),
        "{listed}"
    );
    assert_eq!(daemon.error_log(), "", "no error line");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bounce_of_our_own_mail_marks_the_recipient_it_is_about_on_sqlite() {
    a_bounce_of_our_own_mail_marks_the_recipient_it_is_about(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bounce_of_our_own_mail_marks_the_recipient_it_is_about_on_mariadb() {
    a_bounce_of_our_own_mail_marks_the_recipient_it_is_about(Engine::MariaDb).await;
}
