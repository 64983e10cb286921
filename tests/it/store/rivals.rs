//! Several at once: lost leases, two nodes, dropped callers, shared commits, shutdown.

use std::{collections::BTreeSet, time::Duration};

use futures_util::future::join_all;
use motion_email::{
    model::{EventKind, NodeId},
    store::{Enqueued, LeaseRow, StoreError},
};
use tokio::time::timeout;

use super::bench::{ALL, Bench, at, batch, mail, outgoing};

pub async fn an_old_lease_writes_nothing_and_its_neighbours_go_through(bench: &mut Bench) {
    let (account, old, folder) = bench.inbox("AAA").await;
    let (good, good_lease, good_folder) = bench.inbox("BBB").await;
    let node = bench.node("/home/taker").await;
    let new = bench.take(&account, &node).await;
    let mut same_epoch = new.clone();
    same_epoch.holder = NodeId::random();
    let store = &bench.store;
    let stale = || batch(&folder, account.entered.list, 1, vec![mail(1, "stale")]);
    let fresh = batch(&good_folder, good.entered.list, 1, vec![mail(1, "fresh")]);
    // All in one go, so that the writer finds them together.
    let (one, two, three, four) = tokio::join!(
        store.ingest(&old, stale(), at(2)),
        store.ingest(&good_lease, fresh, at(2)),
        store.ingest(&same_epoch, stale(), at(2)),
        store.ingest(&new, stale(), at(2)),
    );
    assert!(
        matches!(one, Err(StoreError::LeaseLost { account: id }) if id == account.id),
        "{one:?}"
    );
    assert_eq!(two.unwrap().new_messages, 1);
    assert!(
        matches!(three, Err(StoreError::LeaseLost { .. })),
        "the holder counts, not only the epoch"
    );
    assert_eq!(four.unwrap().new_messages, 1);
    assert_eq!(bench.number("SELECT COUNT(*) FROM mail_messages").await, 2);
}

pub async fn two_claimers_never_get_the_same_copy(bench: &mut Bench) {
    let (account, lease) = bench.account("AAA").await;
    let (second, mut writer) = bench.second().await;
    for _ in 0..30 {
        let new = outgoing(&account, None, 2);
        bench.store.outbox_enqueue(&new, at(1)).await.unwrap();
    }
    let drain = async |store: &motion_email::store::Store, name: &str| {
        let mut got = Vec::new();
        for n in 0..100 {
            match store
                .outbox_claim(&lease, &format!("{name}{n}"), at(2))
                .await
            {
                Ok(Some(claimed)) => got.extend(claimed.recipients.iter().map(|copy| copy.id)),
                Ok(None) => break,
                // The other one was faster: look again.
                Err(StoreError::Conflict(_)) => {}
                Err(other) => panic!("{other}"),
            }
        }
        got
    };
    let (mut one, two) = tokio::join!(drain(&bench.store, "a"), drain(&second, "b"));
    one.extend(two);
    let different: BTreeSet<_> = one.iter().collect();
    assert_eq!((one.len(), different.len()), (60, 60));
    writer.shutdown().await;
}

pub async fn two_nodes_never_get_the_same_lease(bench: &mut Bench) {
    let mut accounts = Vec::new();
    for n in 0..10 {
        accounts.push(bench.account(&format!("A{n}")).await.0.id);
    }
    let (second, mut writer) = bench.second().await;
    let leases = bench.store.lease_list().await.unwrap();
    let (a, b) = (NodeId::random(), NodeId::random());
    let take = async |store: &motion_email::store::Store, node: &NodeId| {
        let calls = leases
            .iter()
            .map(|seen: &LeaseRow| store.lease_acquire(seen, node));
        join_all(calls).await
    };
    let (one, two) = tokio::join!(take(&bench.store, &a), take(&second, &b));
    for (mine, theirs) in one.into_iter().zip(two) {
        let won = [mine.unwrap(), theirs.unwrap()]
            .into_iter()
            .flatten()
            .count();
        assert_eq!(won, 1);
    }
    writer.shutdown().await;
}

pub async fn two_sequencers_number_every_event_once_and_no_reader_misses_one(bench: &mut Bench) {
    let (account, lease, folder) = bench.inbox("AAA").await;
    let (second, mut writer) = bench.second().await;
    let mut woken = bench.store.events_written();
    woken.mark_unchanged();
    let feed = async {
        for n in 0..40_u32 {
            let mails = vec![
                mail(2 * n + 1, &format!("a{n}")),
                mail(2 * n + 2, &format!("b{n}")),
            ];
            let wanted = batch(&folder, account.entered.list, u64::from(2 * n + 1), mails);
            bench.store.ingest(&lease, wanted, at(2)).await.unwrap();
        }
    };
    let sequence = async |store: &motion_email::store::Store| {
        let mut numbered = 0;
        // A loser of the race may find nothing or lose again; both only try later.
        for _ in 0..2_000 {
            match store.events_number(7).await {
                Ok(n) => numbered += n,
                Err(StoreError::Conflict(_)) => {}
                Err(other) => panic!("{other}"),
            }
            if store.event_list(79, None, 1).await.unwrap().len() == 1 {
                break;
            }
        }
        numbered
    };
    let read = async {
        let (mut seen, mut after) = (Vec::new(), 0);
        while seen.len() < 80 {
            for event in bench.store.event_list(after, None, 5).await.unwrap() {
                assert_eq!(event.kind, EventKind::MessageReceived);
                after = event.number;
                seen.push(event);
            }
        }
        seen
    };
    let all = async { tokio::join!(feed, sequence(&bench.store), sequence(&second), read) };
    let ((), one, two, seen) = timeout(Duration::from_secs(120), all)
        .await
        .expect("it ends");
    assert_eq!(one + two, 80);
    let numbers: Vec<i64> = seen.iter().map(|event| event.number).collect();
    assert_eq!(numbers, (1..=80).collect::<Vec<_>>());
    let messages: BTreeSet<i64> = seen
        .iter()
        .map(|event| event.payload["messageId"].as_i64().unwrap())
        .collect();
    assert_eq!(messages.len(), 80);
    assert!(woken.has_changed().unwrap(), "sequencers are woken");
    writer.shutdown().await;
}

pub async fn callers_that_are_dropped_disturb_nobody(bench: &mut Bench) {
    let (account, _) = bench.account("AAA").await;
    let store = &bench.store;
    for round in 0..20_u64 {
        let new = outgoing(&account, Some(&format!("k{round}")), 1);
        let hasty = store.outbox_enqueue(&new, at(1));
        drop(timeout(Duration::from_micros(round * 100), hasty).await);
        let list = store.list_add(&format!("L{round}"), at(1)).await;
        assert!(list.is_ok(), "{list:?}");
        // What the dropped caller asked for happened or not; asking again settles it.
        match store.outbox_enqueue(&new, at(2)).await.unwrap() {
            Enqueued::New(_) | Enqueued::Repeated(_) => {}
            Enqueued::KeyClash(id) => panic!("clash with {id}"),
        }
        let read = store.outbox_list(Some(account.id), None, ALL);
        drop(timeout(Duration::from_micros(round * 50), read).await);
    }
    assert_eq!(bench.number("SELECT COUNT(*) FROM mail_outbox").await, 20);
    assert_eq!(store.outbox_list(None, None, ALL).await.unwrap().count, 20);
}

/// More than the queue holds, with every tenth refused: each caller gets its own answer.
pub async fn many_writers_at_once_are_all_answered(bench: &mut Bench) {
    let store = &bench.store;
    store.list_add("taken", at(0)).await.unwrap();
    let names: Vec<String> = (0..1_500)
        .map(|n| {
            if n % 10 == 0 {
                "taken".to_owned()
            } else {
                format!("l{n}")
            }
        })
        .collect();
    let answers = join_all(names.iter().map(|name| store.list_add(name, at(1)))).await;
    for (name, answer) in names.iter().zip(answers) {
        match answer {
            Ok(list) => assert_eq!(&list.name, name),
            Err(StoreError::Taken { .. }) => assert_eq!(name, "taken"),
            Err(other) => panic!("{name}: {other}"),
        }
    }
    assert_eq!(
        bench.number("SELECT COUNT(*) FROM cm_lists").await,
        1 + 1_350
    );
}

pub async fn a_stopped_store_finishes_what_waits_and_then_is_closed(bench: &mut Bench) {
    let store = &bench.store;
    let names: Vec<String> = (0..100).map(|n| format!("l{n}")).collect();
    let mut calls = Box::pin(join_all(
        names.iter().map(|name| store.list_add(name, at(1))),
    ));
    // Polled once: all are in the queue.
    assert!(futures_util::poll!(calls.as_mut()).is_pending());
    bench.stop.cancel();
    for answer in calls.await {
        answer.unwrap();
    }
    timeout(Duration::from_secs(20), bench.writer.join_next())
        .await
        .expect("the writer ends")
        .unwrap()
        .unwrap();
    let late = store.list_add("late", at(2)).await;
    assert!(matches!(late, Err(StoreError::Closed)), "{late:?}");
    assert_eq!(
        store.list_list(ALL).await.unwrap().count,
        100,
        "reading goes on"
    );
}
