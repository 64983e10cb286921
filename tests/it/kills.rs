//! SIGKILL at random while mail comes in and goes out: nothing is lost, nothing is twice.
//!
//! `MOTION_KILLS` (default 10) and `MOTION_MAILS` make the same tests a long campaign.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use rand::Rng as _;
use serde_json::{Value, json};

use crate::support::{Daemon, Engine, eventually, mail};

fn number(name: &str, default: usize) -> usize {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

/// Lets the daemon run for a random time of up to a second and a half, kills it, starts it again.
async fn kill_at_random(daemon: &mut Daemon) {
    let moment = Duration::from_millis(rand::rng().random_range(20..1500));
    // The random moment is the fault itself, not a wait for a state.
    tokio::time::sleep(moment).await;
    daemon.kill();
    daemon.spawn();
}

/// Faults 1 and 3 of the matrix in first form: killed at random moments while 500 mails arrive.
async fn no_arriving_mail_is_lost_or_doubled(engine: Engine) {
    let (kills, mails) = (number("MOTION_KILLS", 10), number("MOTION_MAILS", 500));
    let mut daemon = Daemon::start(engine, &[("XC_EMAIL_IDLE_REISSUE", "2s")]).await;
    let mailbox = daemon.lab.fresh_mailbox("kills");
    let list = daemon.add_list().await;
    let account = daemon.add_password_account(list, "KILLS", &mailbox).await;
    daemon.wait_lane(account, "inbound", "ready").await;

    let (deliver_to, per_kill) = (mailbox.clone(), mails.div_ceil(kills));
    let mut lmtp = mail::Lmtp::open(&daemon.lab).await;
    let mut expected = BTreeSet::new();
    for round in 0..kills {
        let count = per_kill.min(mails - expected.len());
        let batch: Vec<String> = (0..count)
            .map(|n| format!("m{round}-{n}@customer.example"))
            .collect();
        expected.extend(batch.iter().cloned());
        let deliver = async {
            for id in &batch {
                let text =
                    mail::plain_mail("c@customer.example", &deliver_to, id, "Q", "A question.");
                lmtp.deliver("c@customer.example", &deliver_to, &text).await;
            }
        };
        tokio::join!(deliver, kill_at_random(&mut daemon));
    }
    daemon.wait_ready().await;
    let path = format!("/api/mail/messages?AccountId={account}");
    eventually(
        "all mails are in the store",
        Duration::from_secs(60),
        || async {
            let count = daemon.api.get(&format!("{path}&limit=1")).await["count"].as_u64();
            if count >= Some(mails as u64) {
                Ok(())
            } else {
                Err(format!("{count:?}"))
            }
        },
    )
    .await;
    let rows = daemon.api.rows(&path).await;
    let ids: Vec<String> = rows
        .iter()
        .map(|row| row["messageId"].as_str().expect("id").to_owned())
        .collect();
    assert_eq!(ids.len(), mails, "one row for each mail");
    assert_eq!(
        ids.iter().cloned().collect::<BTreeSet<_>>(),
        expected,
        "each mail is there"
    );
    let events = received_events(&daemon, mails).await;
    assert_eq!(events.len(), mails, "one event for each mail");
    assert_eq!(
        events
            .iter()
            .map(|event| event["payload"]["messageId"].to_string())
            .collect::<BTreeSet<_>>()
            .len(),
        mails,
        "no event twice"
    );
    // Once more: a restart changes nothing.
    daemon.kill();
    daemon.launch().await;
    daemon.wait_lane(account, "inbound", "ready").await;
    assert_eq!(daemon.api.rows(&path).await.len(), mails);
    assert_eq!(received_events(&daemon, mails).await.len(), mails);
}

/// All `message.received` events by number, once the sequencer has numbered at least `least`.
async fn received_events(daemon: &Daemon, least: usize) -> Vec<Value> {
    eventually(
        "the events are numbered",
        Duration::from_secs(10),
        || async {
            let mut events = Vec::new();
            let mut after = 0;
            loop {
                let page = daemon
                    .api
                    .get(&format!("/api/mail/events?after={after}&limit=500"))
                    .await;
                let rows = page["rows"].as_array().expect("rows").clone();
                let Some(last) = rows.last() else { break };
                let next = last["number"].as_i64().expect("number");
                assert!(next > after, "numbers only grow");
                after = next;
                events.extend(
                    rows.into_iter()
                        .filter(|row| row["kind"] == "message.received"),
                );
            }
            if events.len() >= least {
                Ok(events)
            } else {
                Err(format!("{} events", events.len()))
            }
        },
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_ten_times_no_arriving_mail_is_lost_or_doubled_on_sqlite() {
    no_arriving_mail_is_lost_or_doubled(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_ten_times_no_arriving_mail_is_lost_or_doubled_on_mariadb() {
    no_arriving_mail_is_lost_or_doubled(Engine::MariaDb).await;
}

/// Faults 4 and 5 in first form: each recipient has each mail exactly once, or the copy is shown in doubt.
async fn no_leaving_mail_is_lost_or_doubled(engine: Engine) {
    let kills = number("MOTION_KILLS", 10);
    let mails = number("MOTION_MAILS", 200).min(20 * kills);
    let settings = [("XC_EMAIL_RETRY_FIRST", "1s"), ("XC_EMAIL_RETRY_CAP", "5s")];
    let mut daemon = Daemon::start(engine, &settings).await;
    let sender = daemon.lab.fresh_mailbox("sender");
    let recipients: Vec<String> = (0..5)
        .map(|_| daemon.lab.fresh_mailbox("customer"))
        .collect();
    let list = daemon.add_list().await;
    let account = daemon.add_password_account(list, "SENDS", &sender).await;
    daemon.wait_lane(account, "outbound", "ready").await;

    let mut sent: BTreeMap<String, (i64, String)> = BTreeMap::new();
    let per_kill = mails.div_ceil(kills);
    for round in 0..kills {
        daemon.wait_ready().await;
        for n in 0..per_kill {
            let to = &recipients[n % recipients.len()];
            let answer = daemon
                .api
                .post(
                    "/api/mail/outbox",
                    &json!({
                        "AccountId": account, "to": [to], "subject": format!("Reply {round}-{n}"),
                        "text": "An answer.", "idempotencyKey": format!("{round}-{n}"),
                    }),
                )
                .await;
            let id = answer["messageId"].as_str().expect("messageId").to_owned();
            sent.insert(id, (answer["id"].as_i64().expect("id"), to.clone()));
        }
        kill_at_random(&mut daemon).await;
    }
    daemon.wait_ready().await;
    let settled = eventually(
        "every copy is sent or in doubt",
        Duration::from_secs(120),
        || async {
            let rows = daemon
                .api
                .rows(&format!("/api/mail/outbox?AccountId={account}"))
                .await;
            let mut states = BTreeMap::new();
            for row in &rows {
                let id = row["messageId"].as_str().expect("messageId").to_owned();
                states.insert(
                    id,
                    row["recipients"][0]["state"]
                        .as_str()
                        .expect("state")
                        .to_owned(),
                );
            }
            let open = states
                .values()
                .filter(|state| !["sent", "in_doubt"].contains(&state.as_str()))
                .count();
            if open == 0 && states.len() == sent.len() {
                Ok(states)
            } else {
                Err(format!("{open} open of {}", states.len()))
            }
        },
    )
    .await;
    let mut arrived: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    for to in &recipients {
        arrived.insert(
            to.clone(),
            mail::message_ids(&daemon.lab, to)
                .await
                .into_iter()
                .collect(),
        );
    }
    let mut in_doubt = 0;
    for (id, (outbox, to)) in &sent {
        // Postfix takes a mail before Dovecot has it: wait for those that were taken.
        let state = settled[id].as_str();
        let mut count = arrived[to].get(id).copied().unwrap_or(0);
        if state == "sent" && count == 0 {
            count = eventually(
                "a mail that was taken arrives",
                Duration::from_secs(20),
                || async {
                    match mail::message_ids(&daemon.lab, to).await.get(id) {
                        Some(count) => Ok(*count),
                        None => Err("not there".to_owned()),
                    }
                },
            )
            .await;
        }
        assert!(
            count <= 1,
            "mail {outbox} to {to} arrived {count} times (state {state})"
        );
        match state {
            "sent" => assert_eq!(
                count, 1,
                "mail {outbox} to {to} is shown as sent and was lost"
            ),
            "in_doubt" => in_doubt += 1,
            other => panic!("{other}"),
        }
    }
    println!(
        "{engine:?}: {} mails, {kills} kills, {in_doubt} in doubt",
        sent.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_ten_times_no_leaving_mail_is_lost_or_doubled_on_sqlite() {
    no_leaving_mail_is_lost_or_doubled(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_ten_times_no_leaving_mail_is_lost_or_doubled_on_mariadb() {
    no_leaving_mail_is_lost_or_doubled(Engine::MariaDb).await;
}
