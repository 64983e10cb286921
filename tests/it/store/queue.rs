//! The outgoing queue: states, claims, doubt.

use std::time::Duration;

use motion_email::{
    model::{LaneName, OutboxId, RecipientId, RecipientState, Timestamp},
    store::{Claimed, Enqueued, Outcome, Settled, StoreError},
};

use super::bench::{ALL, Bench, at, outgoing};

fn settled(recipient: RecipientId, outcome: Outcome, code: u16) -> Settled {
    Settled {
        recipient,
        outcome,
        reply_code: Some(code),
        reply_text: format!("{code} says the server"),
    }
}

fn put_off(next_at: Timestamp, seconds: u64) -> Outcome {
    Outcome::Deferred {
        next_at,
        refused_for: Some(Duration::from_secs(seconds)),
    }
}

fn ids(claimed: &Claimed) -> Vec<RecipientId> {
    claimed.recipients.iter().map(|copy| copy.id).collect()
}

async fn queued(
    bench: &Bench,
    account: &motion_email::model::Account,
    recipients: usize,
) -> OutboxId {
    let new = outgoing(account, None, recipients);
    match bench.store.outbox_enqueue(&new, at(1)).await.unwrap() {
        Enqueued::New(id) => id,
        other => panic!("{other:?}"),
    }
}

async fn states(bench: &Bench, id: OutboxId) -> Vec<RecipientState> {
    let (row, _) = bench.store.outbox_get(id).await.unwrap().unwrap();
    row.recipients.iter().map(|copy| copy.state).collect()
}

pub async fn a_message_goes_from_queue_to_sent_in_recorded_steps(bench: &mut Bench) {
    let (account, lease) = bench.account("AAA").await;
    let store = &bench.store;
    let mut written = store.outbox_written();
    written.mark_unchanged();
    let mut later = outgoing(&account, None, 1);
    later.send_at = Some(at(500));
    store.outbox_enqueue(&later, at(1)).await.unwrap();
    let id = queued(bench, &account, 2).await;
    assert!(written.has_changed().unwrap(), "lanes are woken");
    assert_eq!(
        store.outbox_next_due(account.id).await.unwrap(),
        Some(at(1))
    );
    assert!(
        store
            .outbox_claim(&lease, "early", at(0))
            .await
            .unwrap()
            .is_none()
    );

    let claimed = store
        .outbox_claim(&lease, "t1", at(2))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(claimed.outbox, id);
    assert_eq!(
        claimed
            .recipients
            .iter()
            .map(|copy| copy.attempts)
            .collect::<Vec<_>>(),
        [1, 1]
    );
    assert_eq!(claimed.lifetime, Duration::from_secs(3600));
    assert_eq!(states(bench, id).await, [RecipientState::Claimed; 2]);
    assert!(
        store
            .outbox_claim(&lease, "t2", at(2))
            .await
            .unwrap()
            .is_none()
    );

    let all = ids(&claimed);
    assert!(
        !store
            .outbox_dot(&lease, "other", &all, at(3))
            .await
            .unwrap()
    );
    assert!(!store.outbox_dot(&lease, "t1", &[], at(3)).await.unwrap());
    let beyond = [all[0], RecipientId::new(999_999)];
    assert!(
        !store
            .outbox_dot(&lease, "t1", &beyond, at(3))
            .await
            .unwrap()
    );
    assert_eq!(
        states(bench, id).await,
        [RecipientState::Claimed; 2],
        "all or none"
    );
    assert!(store.outbox_dot(&lease, "t1", &all, at(3)).await.unwrap());
    assert!(
        !store.outbox_dot(&lease, "t1", &all, at(3)).await.unwrap(),
        "announced once"
    );
    assert_eq!(states(bench, id).await, [RecipientState::DotPending; 2]);

    let outcome: Vec<_> = all
        .iter()
        .map(|id| settled(*id, Outcome::Sent, 250))
        .collect();
    for _ in 0..2 {
        store
            .outbox_settle(&lease, "t1", &outcome, at(4))
            .await
            .unwrap();
    }
    let (row, attempts) = store.outbox_get(id).await.unwrap().unwrap();
    assert!(
        row.recipients
            .iter()
            .all(|copy| copy.state == RecipientState::Sent && copy.reply_code == Some(250))
    );
    assert_eq!(
        (attempts[0].dot_at, attempts[0].ended_at),
        (Some(at(3)), Some(at(4)))
    );
    assert_eq!(attempts[0].outcome.as_deref(), Some("sent"));
    assert_eq!(bench.event_kinds().await, ["message.sent"; 2]);
    assert_eq!(
        store.outbox_next_due(account.id).await.unwrap(),
        Some(at(500))
    );
    assert_eq!(
        store.outbox_counts(account.id).await.unwrap(),
        [(RecipientState::Queued, 1), (RecipientState::Sent, 2)]
    );
    let sent = store
        .outbox_list(Some(account.id), Some(RecipientState::Sent), ALL)
        .await
        .unwrap();
    assert_eq!((sent.count, sent.rows[0].id), (1, id));
    assert_eq!(store.outbox_raw(id).await.unwrap(), Some(claimed.raw));
}

pub async fn the_same_request_is_queued_once_and_another_one_with_its_key_is_a_clash(
    bench: &mut Bench,
) {
    let (account, _) = bench.account("AAA").await;
    let (other, _) = bench.account("BBB").await;
    let store = &bench.store;
    let new = outgoing(&account, Some("key"), 1);
    let Enqueued::New(id) = store.outbox_enqueue(&new, at(1)).await.unwrap() else {
        panic!("not new");
    };
    let again = store.outbox_enqueue(&new, at(2)).await.unwrap();
    assert!(
        matches!(again, Enqueued::Repeated(same) if same == id),
        "{again:?}"
    );
    let mut different = new.clone();
    different.request_hash = [8; 32];
    let clash = store.outbox_enqueue(&different, at(2)).await.unwrap();
    assert!(
        matches!(clash, Enqueued::KeyClash(same) if same == id),
        "{clash:?}"
    );
    // Keys differ by case and trailing space on both engines, and belong to their account.
    for key in ["KEY", "key "] {
        let near = store
            .outbox_enqueue(&outgoing(&account, Some(key), 1), at(2))
            .await
            .unwrap();
        assert!(matches!(near, Enqueued::New(_)), "{key:?} {near:?}");
    }
    let elsewhere = store
        .outbox_enqueue(&outgoing(&other, Some("key"), 1), at(2))
        .await
        .unwrap();
    assert!(matches!(elsewhere, Enqueued::New(_)), "{elsewhere:?}");
    // Ten callers at once with one key: one message.
    let one = outgoing(&account, Some("race"), 1);
    let calls = (0..10).map(|_| store.outbox_enqueue(&one, at(3)));
    let answers = futures_util::future::join_all(calls).await;
    let new = answers
        .iter()
        .filter(|answer| matches!(answer, Ok(Enqueued::New(_))))
        .count();
    assert_eq!(new, 1, "{answers:?}");
    store.account_remove(other.id, true, at(4)).await.unwrap();
    let gone = store
        .outbox_enqueue(&outgoing(&other, None, 1), at(5))
        .await;
    assert!(matches!(gone, Err(StoreError::Missing { .. })), "{gone:?}");
}

pub async fn copies_are_settled_one_by_one_and_final_ones_never_change(bench: &mut Bench) {
    let (account, lease) = bench.account("AAA").await;
    let store = &bench.store;
    let id = queued(bench, &account, 4).await;
    let claimed = store
        .outbox_claim(&lease, "t1", at(2))
        .await
        .unwrap()
        .unwrap();
    let all = ids(&claimed);
    assert!(
        store
            .outbox_dot(&lease, "t1", &all[2..], at(3))
            .await
            .unwrap()
    );
    let later = at(100);
    let outcome = [
        settled(all[0], Outcome::Failed, 550),
        settled(all[1], put_off(later, 90), 451),
        settled(all[2], Outcome::Sent, 250),
        settled(all[3], Outcome::InDoubt, 0),
    ];
    store
        .outbox_settle(&lease, "t1", &outcome, at(4))
        .await
        .unwrap();
    let expected = [
        RecipientState::Failed,
        RecipientState::Deferred,
        RecipientState::Sent,
        RecipientState::InDoubt,
    ];
    assert_eq!(states(bench, id).await, expected);
    assert_eq!(
        store.outbox_next_due(account.id).await.unwrap(),
        Some(later)
    );
    // Late and contradicting words change nothing that is final; the server's own late answer ends a doubt.
    let late: Vec<_> = all
        .iter()
        .map(|id| settled(*id, Outcome::Expired, 0))
        .collect();
    store
        .outbox_settle(&lease, "t1", &late, at(5))
        .await
        .unwrap();
    assert_eq!(states(bench, id).await, expected);
    store
        .outbox_settle(&lease, "t1", &[settled(all[3], Outcome::Sent, 250)], at(5))
        .await
        .unwrap();
    assert_eq!(states(bench, id).await[3], RecipientState::Sent);

    assert!(
        store
            .outbox_claim(&lease, "t2", at(99))
            .await
            .unwrap()
            .is_none()
    );
    let claimed = store
        .outbox_claim(&lease, "t2", later)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(claimed.recipients.len(), 1);
    assert_eq!(
        (claimed.recipients[0].id, claimed.recipients[0].attempts),
        (all[1], 2)
    );
    // Words about the earlier try do not touch the new one.
    store
        .outbox_settle(
            &lease,
            "t1",
            &[settled(all[1], Outcome::Failed, 550)],
            at(101),
        )
        .await
        .unwrap();
    assert_eq!(states(bench, id).await[1], RecipientState::Claimed);
    store
        .outbox_settle(
            &lease,
            "t2",
            &[settled(all[1], Outcome::Expired, 451)],
            at(102),
        )
        .await
        .unwrap();
    let kinds = bench.event_kinds().await;
    assert_eq!(
        kinds,
        [
            "message.failed",
            "message.deferred",
            "message.sent",
            "message.inDoubt",
            "message.sent",
            "message.expired"
        ]
    );
    let (_, attempts) = store.outbox_get(id).await.unwrap().unwrap();
    assert_eq!(attempts.len(), 2);
}

pub async fn an_announced_dot_of_a_lost_lease_is_in_doubt_and_a_claim_is_claimed_again(
    bench: &mut Bench,
) {
    let (account, old) = bench.account("AAA").await;
    let store = &bench.store;
    let (first, second) = (
        queued(bench, &account, 2).await,
        queued(bench, &account, 1).await,
    );
    let one = store
        .outbox_claim(&old, "t1", at(2))
        .await
        .unwrap()
        .unwrap();
    assert!(
        store
            .outbox_dot(&old, "t1", &ids(&one)[..1], at(3))
            .await
            .unwrap()
    );
    let two = store
        .outbox_claim(&old, "t2", at(3))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(two.outbox, second);

    let node = bench.node("/home/taker").await;
    let new = bench.take(&account, &node).await;
    let mut again = Vec::new();
    for attempt in ["t3", "t4"] {
        again.push(
            store
                .outbox_claim(&new, attempt, at(10))
                .await
                .unwrap()
                .unwrap(),
        );
    }
    assert!(
        store
            .outbox_claim(&new, "t5", at(10))
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(again[0].outbox, first);
    assert_eq!(
        again[0].recipients.len(),
        1,
        "the copy whose dot was announced is not sent again"
    );
    assert_eq!(again[0].recipients[0].attempts, 2, "the lost try counts");
    assert_eq!(again[1].outbox, second);
    assert_eq!(
        states(bench, first).await,
        [RecipientState::InDoubt, RecipientState::Claimed]
    );
    assert_eq!(bench.event_kinds().await, ["message.inDoubt"]);

    // The old holder wakes up: nothing of what it says is written (I11).
    let dot = store.outbox_dot(&old, "t2", &ids(&two), at(11)).await;
    assert!(matches!(dot, Err(StoreError::LeaseLost { .. })), "{dot:?}");
    let late = [settled(ids(&one)[0], Outcome::Sent, 250)];
    let settle = store.outbox_settle(&old, "t1", &late, at(11)).await;
    assert!(
        matches!(settle, Err(StoreError::LeaseLost { .. })),
        "{settle:?}"
    );
    assert_eq!(states(bench, first).await[0], RecipientState::InDoubt);
}

pub async fn a_claim_is_given_back_unharmed(bench: &mut Bench) {
    let (account, lease) = bench.account("AAA").await;
    let store = &bench.store;
    let id = queued(bench, &account, 2).await;
    let claimed = store
        .outbox_claim(&lease, "t1", at(2))
        .await
        .unwrap()
        .unwrap();
    for _ in 0..2 {
        store.outbox_unclaim(&lease, "t1", at(3)).await.unwrap();
    }
    let (row, attempts) = store.outbox_get(id).await.unwrap().unwrap();
    assert!(
        row.recipients
            .iter()
            .all(|copy| copy.state == RecipientState::Queued && copy.attempts == 0)
    );
    assert_eq!(attempts[0].outcome.as_deref(), Some("given back"));
    assert_eq!(
        store.outbox_next_due(account.id).await.unwrap(),
        Some(at(1))
    );
    assert!(
        !store
            .outbox_dot(&lease, "t1", &ids(&claimed), at(3))
            .await
            .unwrap()
    );

    // A deferred one goes back to deferred, and an announced dot cannot be taken back.
    let claimed = store
        .outbox_claim(&lease, "t2", at(4))
        .await
        .unwrap()
        .unwrap();
    let all = ids(&claimed);
    let wait = [settled(all[0], put_off(at(5), 90), 451)];
    store
        .outbox_settle(&lease, "t2", &wait, at(4))
        .await
        .unwrap();
    assert!(
        store
            .outbox_dot(&lease, "t2", &all[1..], at(4))
            .await
            .unwrap()
    );
    store
        .outbox_claim(&lease, "t3", at(6))
        .await
        .unwrap()
        .unwrap();
    store.outbox_unclaim(&lease, "t3", at(7)).await.unwrap();
    store.outbox_unclaim(&lease, "t2", at(7)).await.unwrap();
    assert_eq!(
        states(bench, id).await,
        [RecipientState::Deferred, RecipientState::DotPending]
    );
}

/// A lane that ended by a bug comes back under the same lease.
pub async fn a_lane_that_begins_again_doubts_its_own_dot(bench: &mut Bench) {
    let (account, lease) = bench.account("AAA").await;
    let store = &bench.store;
    let id = queued(bench, &account, 2).await;
    let claimed = store
        .outbox_claim(&lease, "t1", at(2))
        .await
        .unwrap()
        .unwrap();
    assert!(
        store
            .outbox_dot(&lease, "t1", &ids(&claimed)[..1], at(3))
            .await
            .unwrap()
    );
    assert!(
        store
            .outbox_claim(&lease, "t2", at(3))
            .await
            .unwrap()
            .is_none()
    );
    for _ in 0..2 {
        store.outbox_begin(&lease, at(4)).await.unwrap();
    }
    assert_eq!(
        states(bench, id).await,
        [RecipientState::InDoubt, RecipientState::Queued]
    );
    let again = store
        .outbox_claim(&lease, "t3", at(5))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (again.recipients.len(), again.recipients[0].attempts),
        (1, 2)
    );
    assert_eq!(bench.event_kinds().await, ["message.inDoubt"]);
}

/// Bad input 66: a row with an impossible state.
pub async fn a_copy_with_an_unknown_state_stops_only_its_account(bench: &mut Bench) {
    let (account, lease) = bench.account("AAA").await;
    let (other, other_lease) = bench.account("BBB").await;
    let store = &bench.store;
    let id = queued(bench, &account, 1).await;
    queued(bench, &other, 1).await;
    bench
        .sql(&format!(
            "UPDATE mail_recipients SET state = 'flying' WHERE outbox_id = {id}"
        ))
        .await;
    let damaged = store.outbox_begin(&lease, at(2)).await;
    assert!(
        matches!(damaged, Err(StoreError::Damaged { .. })),
        "{damaged:?}"
    );
    let counts = store.outbox_counts(account.id).await;
    assert!(
        matches!(counts, Err(StoreError::Damaged { .. })),
        "{counts:?}"
    );
    let row = store.outbox_get(id).await;
    assert!(matches!(row, Err(StoreError::Damaged { .. })), "{row:?}");
    assert!(
        store
            .outbox_claim(&lease, "t1", at(2))
            .await
            .unwrap()
            .is_none()
    );
    store.outbox_begin(&other_lease, at(2)).await.unwrap();
    assert!(
        store
            .outbox_claim(&other_lease, "t2", at(2))
            .await
            .unwrap()
            .is_some()
    );
}

pub async fn an_account_with_waiting_mail_is_removed_only_with_its_queue(bench: &mut Bench) {
    let (account, lease) = bench.account("AAA").await;
    let store = &bench.store;
    let (first, second) = (
        queued(bench, &account, 2).await,
        queued(bench, &account, 1).await,
    );
    let claimed = store
        .outbox_claim(&lease, "t1", at(2))
        .await
        .unwrap()
        .unwrap();
    assert!(
        store
            .outbox_dot(&lease, "t1", &ids(&claimed)[..1], at(3))
            .await
            .unwrap()
    );
    let refused = store.account_remove(account.id, false, at(4)).await;
    assert!(
        matches!(refused, Err(StoreError::InUse { .. })),
        "{refused:?}"
    );
    store.account_remove(account.id, true, at(4)).await.unwrap();
    assert_eq!(
        states(bench, first).await,
        [RecipientState::InDoubt, RecipientState::Cancelled]
    );
    assert_eq!(states(bench, second).await, [RecipientState::Cancelled]);
    assert_eq!(bench.event_kinds().await, ["message.inDoubt"]);
    let claim = store.outbox_claim(&lease, "t2", at(5)).await;
    assert!(
        matches!(claim, Err(StoreError::LeaseLost { .. })),
        "{claim:?}"
    );
}

pub async fn more_recipients_than_a_server_takes_are_claimed_in_turns(bench: &mut Bench) {
    let (account, lease) = bench.account("AAA").await;
    let id = queued(bench, &account, 250).await;
    let mut sizes = Vec::new();
    for attempt in ["t1", "t2", "t3"] {
        let claimed = bench
            .store
            .outbox_claim(&lease, attempt, at(2))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(claimed.outbox, id);
        sizes.push(claimed.recipients.len());
    }
    assert_eq!(sizes, [100, 100, 50]);
    assert!(
        bench
            .store
            .outbox_claim(&lease, "t4", at(2))
            .await
            .unwrap()
            .is_none()
    );
}

pub async fn tries_of_the_line_cost_no_message_an_attempt(bench: &mut Bench) {
    let (account, lease) = bench.account("AAA").await;
    let store = &bench.store;
    let id = queued(bench, &account, 1).await;
    store
        .line_begin(&lease, LaneName::Outbound, "old", at(0))
        .await
        .unwrap();
    let later = Timestamp::from_millis(at(0).millis() + 8 * 24 * 3_600_000);
    store
        .line_begin(&lease, LaneName::Outbound, "new", later)
        .await
        .unwrap();
    store
        .line_end(&lease, "new", "refused", "535 no", later)
        .await
        .unwrap();
    let kept = bench.texts("SELECT attempt FROM mail_attempts").await;
    assert_eq!(kept, ["new"], "a week of them is kept");
    assert_eq!(
        bench.texts("SELECT outcome FROM mail_attempts").await,
        ["refused"]
    );
    let (row, attempts) = store.outbox_get(id).await.unwrap().unwrap();
    assert_eq!((row.recipients[0].attempts, attempts.len()), (0, 0));
}

/// Fault 50: how long a copy was put off is kept, and a clock that was ahead leaves nothing waiting for its time.
pub async fn what_a_clock_that_was_ahead_put_off_is_due_again_and_a_callers_date_is_kept(
    bench: &mut Bench,
) {
    let (account, lease) = bench.account("AAA").await;
    let store = &bench.store;
    let years = 300_000_000;
    let deferred = queued(bench, &account, 2).await;
    let claimed = store.outbox_claim(&lease, "t1", at(years)).await;
    let all = ids(&claimed.unwrap().unwrap());
    let outcome = [
        settled(all[0], put_off(at(years + 60), 90), 451),
        settled(
            all[1],
            Outcome::Deferred {
                next_at: at(years + 60),
                refused_for: None,
            },
            451,
        ),
    ];
    store
        .outbox_settle(&lease, "t1", &outcome, at(years))
        .await
        .unwrap();
    // Queued by the same clock, at once and for a date.
    let mut new = outgoing(&account, None, 1);
    let now = store.outbox_enqueue(&new, at(years)).await.unwrap();
    new.send_at = Some(at(years + 500));
    let dated = store.outbox_enqueue(&new, at(years)).await.unwrap();
    let (Enqueued::New(now), Enqueued::New(dated)) = (now, dated) else {
        panic!("both are new")
    };
    // The clock is right again.
    let claim = store.outbox_claim(&lease, "t2", at(10)).await.unwrap();
    assert!(claim.is_none(), "{claim:?}");
    store.outbox_set_back(&lease, at(10)).await.unwrap();
    let mut due = Vec::new();
    for attempt in ["t3", "t4"] {
        let claimed = store.outbox_claim(&lease, attempt, at(10)).await.unwrap();
        due.push(claimed.expect("due"));
    }
    due.sort_by_key(|claimed| claimed.outbox.get());
    assert_eq!((due[0].outbox, due[1].outbox), (deferred, now));
    let kept: Vec<_> = due[0]
        .recipients
        .iter()
        .map(|copy| (copy.refused_for.as_secs(), copy.refused_at))
        .collect();
    assert_eq!(kept, [(90, None), (0, None)]);
    let none = store.outbox_claim(&lease, "t5", at(10)).await.unwrap();
    assert!(none.is_none(), "{none:?}");
    let next = store.outbox_next_due(account.id).await.unwrap();
    assert_eq!(next, Some(at(years + 500)));
    let (row, _) = store
        .outbox_get(dated)
        .await
        .unwrap()
        .expect("the dated one");
    assert_eq!(row.recipients[0].next_at, Some(at(years + 500)));
    // A short lead, as another node's clock may have it, changes nothing; a lane that begins looks by itself.
    let again = [
        settled(all[0], put_off(at(10 + 3600 + 60), 90), 451),
        settled(all[1], put_off(at(years), 0), 451),
    ];
    store
        .outbox_settle(&lease, "t3", &again, at(10 + 3600))
        .await
        .unwrap();
    store.outbox_begin(&lease, at(10)).await.unwrap();
    let none = store.outbox_claim(&lease, "t6", at(10)).await.unwrap();
    assert!(none.is_none_or(|claimed| claimed.outbox != deferred));
    store.outbox_begin(&lease, at(9)).await.unwrap();
    let back = store.outbox_claim(&lease, "t7", at(9)).await.unwrap();
    let back = back.expect("due");
    assert_eq!((back.outbox, back.recipients.len()), (deferred, 2));
}
