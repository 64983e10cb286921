//! Last contacts, and announcements that are made once.

use std::time::Duration;

use motion_email::{
    model::{AccountId, EventKind, LaneName, NewEvent, Timestamp},
    store::{Announcement, Contacts, Silence},
};
use serde_json::json;

use super::bench::{Bench, at};

fn contacts(account: AccountId, inbound: Option<i64>, outbound: Option<i64>) -> Contacts {
    Contacts {
        account,
        inbound: inbound.map(at),
        outbound: outbound.map(at),
    }
}

fn announcement(once: &str, silence: Option<Silence>) -> Announcement {
    Announcement {
        event: NewEvent {
            kind: EventKind::MailboxStale,
            account: None,
            provider: None,
            once: once.to_owned(),
            payload: json!({"a": 1}),
        },
        silence,
    }
}

pub async fn last_contacts_only_grow_and_survive_a_crash(bench: &mut Bench) {
    let (a, _) = bench.account("AAA").await;
    let (b, _) = bench.account("BBB").await;
    let known = async |bench: &Bench| {
        let rows = bench.store.freshness(None).await.unwrap();
        let rows = rows
            .iter()
            .map(|row| (row.contacts.inbound, row.contacts.outbound));
        rows.collect::<Vec<_>>()
    };
    let write = async |bench: &Bench, inbound, outbound, now| {
        let some = [contacts(a.id, inbound, outbound)];
        bench.store.contacts_record(&some, at(now)).await.unwrap();
    };
    assert_eq!(known(bench).await, [(None, None), (None, None)]);
    // Each half on its own, and an earlier time changes nothing.
    write(bench, Some(100), None, 100).await;
    write(bench, None, Some(90), 100).await;
    write(bench, Some(99), Some(91), 100).await;
    assert_eq!(
        known(bench).await,
        [(Some(at(100)), Some(at(91))), (None, None)]
    );
    // A time that lies ahead by more than minutes was written under a wrong clock.
    write(bench, Some(5_000), None, 100).await;
    write(bench, Some(4_900), None, 4_800).await;
    assert_eq!(
        known(bench).await[0].0,
        Some(at(5_000)),
        "four minutes ahead stay"
    );
    write(bench, Some(110), None, 110).await;
    assert_eq!(known(bench).await[0], (Some(at(110)), Some(at(91))));

    bench.crash().await;
    assert_eq!(known(bench).await[0].0, Some(at(110)));
    let one = bench.store.freshness(Some(b.id)).await.unwrap();
    assert_eq!(
        (one.len(), one[0].key.as_str(), one[0].paused),
        (1, "BBB", false)
    );
    assert_eq!(one[0].changed_at, at(0));
    bench.store.account_pause(b.id, true, at(7)).await.unwrap();
    let one = bench.store.freshness(Some(b.id)).await.unwrap();
    assert_eq!((one[0].paused, one[0].changed_at), (true, at(7)));
    bench
        .store
        .account_remove(b.id, false, at(8))
        .await
        .unwrap();
    assert_eq!(bench.store.freshness(None).await.unwrap().len(), 1);
}

pub async fn the_contacts_of_ten_thousand_accounts_are_recorded_at_once(bench: &mut Bench) {
    let some: Vec<_> = (1..=10_000)
        .map(|n| contacts(AccountId::new(n), Some(n), None))
        .collect();
    bench.store.contacts_record(&some, at(0)).await.unwrap();
    bench.store.contacts_record(&some, at(0)).await.unwrap();
    let sum = "SELECT CAST(SUM(account_id) AS SIGNED) FROM lane_contacts";
    let sum = match bench.kind {
        super::Kind::Sqlite => sum.replace("SIGNED", "INTEGER"),
        super::Kind::MariaDb => sum.to_owned(),
    };
    assert_eq!(bench.number(&sum).await, 50_005_000);
    // The clock was set back by weeks: all of them give way at once.
    let back: Vec<_> = (1..=10_000)
        .map(|n| contacts(AccountId::new(n), Some(n - 2_000_000), None))
        .collect();
    let now = at(-1_990_000);
    bench.store.contacts_record(&back, now).await.unwrap();
    let bound = now.millis();
    let old = format!("SELECT COUNT(*) FROM lane_contacts WHERE inbound_at <= {bound}");
    assert_eq!(bench.number(&old).await, 10_000);
}

pub async fn an_announcement_is_made_once_by_whomever_and_again_after_a_wrong_clock(
    bench: &mut Bench,
) {
    let (second, mut writer) = bench.second().await;
    let both = || {
        (0..20)
            .map(|n| announcement(&format!("calendar/x/{n}"), None))
            .collect()
    };
    let (one, two) = tokio::join!(
        bench.store.announce(both(), at(0)),
        second.announce(both(), at(0))
    );
    for (mine, theirs) in one.unwrap().into_iter().zip(two.unwrap()) {
        assert!(mine ^ theirs, "exactly one of two nodes is told to speak");
    }
    assert_eq!(bench.events().await.len(), 20);
    bench.crash().await;
    let again = bench.store.announce(both(), at(1)).await.unwrap();
    assert_eq!(again, [false; 20]);

    // Announced under a clock that was a hundred days ahead; the time comes later, once.
    let early = || vec![announcement("calendar/early", None)];
    let day = Duration::from_secs(86_400);
    let say = async |now: Timestamp| bench.store.announce(early(), now).await.unwrap()[0];
    assert!(say(at(0).plus(100 * day)).await);
    assert!(!say(at(0).plus(99 * day)).await, "a day is no jump");
    assert!(say(at(0)).await);
    assert!(!say(at(5)).await);
    assert!(!say(at(0).plus(100 * day)).await);
    assert_eq!(
        bench.events().await.len(),
        22,
        "what was said stays in the history"
    );
    writer.shutdown().await;
}

pub async fn a_silence_is_marked_with_its_announcement_until_it_is_over(bench: &mut Bench) {
    let (account, _) = bench.account("AAA").await;
    let id = account.id;
    let marked = async |bench: &Bench| {
        let row = &bench.store.freshness(Some(id)).await.unwrap()[0];
        (row.stale_since, row.outbound_stale_since)
    };
    let say = async |bench: &Bench, once: &str, silence| {
        let some = vec![announcement(once, Some(silence))];
        bench.store.announce(some, at(9)).await.unwrap();
    };
    use LaneName::{Inbound, Outbound};
    // Also of an account that never had contact.
    say(bench, "stale/1", Silence::Since(id, Inbound, at(1))).await;
    assert_eq!(marked(bench).await, (Some(at(1)), None));
    say(bench, "over/0", Silence::Over(id, Inbound, at(0))).await;
    say(bench, "over/out", Silence::Over(id, Outbound, at(1))).await;
    let still = (Some(at(1)), None);
    assert_eq!(marked(bench).await, still, "another silence's end");
    // The outgoing server's is a silence of its own.
    say(bench, "out/2", Silence::Since(id, Outbound, at(2))).await;
    assert_eq!(marked(bench).await, (Some(at(1)), Some(at(2))));
    say(bench, "over/1", Silence::Over(id, Inbound, at(1))).await;
    assert_eq!(marked(bench).await, (None, Some(at(2))));
    say(bench, "out/over", Silence::Over(id, Outbound, at(2))).await;
    assert_eq!(marked(bench).await, (None, None));
    // The same one again, from a slower node: it is not marked again.
    say(bench, "stale/1", Silence::Since(id, Inbound, at(1))).await;
    assert_eq!(marked(bench).await, (None, None));
    bench
        .store
        .contacts_record(&[contacts(id, Some(5), None)], at(5))
        .await
        .unwrap();
    say(bench, "stale/5", Silence::Since(id, Inbound, at(5))).await;
    let row = &bench.store.freshness(Some(id)).await.unwrap()[0];
    assert_eq!(
        (row.contacts.inbound, row.stale_since),
        (Some(at(5)), Some(at(5)))
    );
}
