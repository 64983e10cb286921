//! Servers that break the promise of their UIDs, and what audits make good.

use std::collections::BTreeMap;

use tokio::time::Duration;

use super::testing::{With, World};
use crate::{
    diagnosis::LaneState,
    model::{Backfill, Clock, SystemClock, Timestamp},
    store::FolderRow,
};

fn days_ago(days: u64) -> Timestamp {
    SystemClock
        .now()
        .minus(Duration::from_secs(days * 24 * 3_600))
}

async fn whole() -> World {
    World::with(With::Password, Backfill::All, |_| {}).await
}

async fn folder(world: &World) -> FolderRow {
    let store = &world.store;
    let row = store.folder_get(world.account.id, "INBOX").await.unwrap();
    row.unwrap()
}

/// Connects, waits until everything is read and compared, and takes leave.
async fn once(world: &mut World) {
    world.start();
    world.until(LaneState::Ready).await;
    world.stop().await;
}

/// Gives every mail another number, beginning with `first`.
fn renumber(world: &World, validity: u32, first: u32) {
    let mut state = world.server.state();
    state.validity = validity;
    let mails = std::mem::take(&mut state.mails);
    state.mails = mails
        .into_values()
        .zip(first..)
        .map(|(mail, uid)| (uid, mail))
        .collect();
    state.next = first + u32::try_from(state.mails.len()).unwrap();
}

async fn in_step(world: &World, expected: usize) {
    let row = folder(world).await;
    let known = world
        .store
        .folder_uids(row.id, row.cursor, 1, 1 << 32)
        .await
        .unwrap();
    let there: Vec<u32> = world.server.state().mails.keys().copied().collect();
    assert_eq!(known, there, "the store has what the server has");
    assert_eq!(world.messages().await.len(), expected);
    assert_eq!(world.received().await, expected, "one event each");
}

/// Fault 36: once, three times, at every SELECT.
#[tokio::test]
async fn renumbered_mail_is_known_again_without_being_fetched_again() {
    let mut world = whole().await;
    for place in 0..30 {
        world.server.deliver(&format!("{place}"));
    }
    once(&mut world).await;
    in_step(&world, 30).await;
    let fetched = world.server.state().bodies;
    assert_eq!(fetched, 30);
    for (validity, first) in [(78, 500), (79, 1), (u32::MAX, 7), (77, 1), (78, 500)] {
        renumber(&world, validity, first);
        once(&mut world).await;
        in_step(&world, 30).await;
    }
    assert_eq!(
        world.server.state().bodies,
        fetched,
        "no body was fetched again"
    );
    let row = folder(&world).await;
    assert_eq!((row.renumbered, row.audit, row.held), (5, None, false));
    assert_eq!(row.cursor.generation.0, 5);
}

/// Fault 36: mail that came between the last look and the change is neither lost nor lost sight of.
#[tokio::test]
async fn mail_that_came_unseen_before_the_numbers_changed_is_brought_in() {
    let mut world = whole().await;
    for place in 0..10 {
        world.server.deliver(&format!("{place}"));
    }
    once(&mut world).await;
    world.server.deliver("unseen");
    renumber(&world, 78, 100);
    world.server.deliver("afterwards");
    once(&mut world).await;
    in_step(&world, 12).await;
}

/// Fault 36: new dates as well, as after moving a mailbox to another server; mail without Message-ID.
#[tokio::test]
async fn a_mailbox_that_was_copied_to_another_server_is_known_by_its_bytes() {
    let mut world = whole().await;
    for place in 0..10 {
        world.server.deliver(&format!("{place}"));
    }
    let nameless = b"From: a@b.test\r\nSubject: nameless\r\n\r\nx\r\n".to_vec();
    {
        let mut state = world.server.state();
        let uid = state.next;
        state.next += 1;
        state.mails.insert(uid, (nameless, days_ago(2)));
    }
    once(&mut world).await;
    renumber(&world, 78, 1);
    for (place, (_, (_, received))) in (1..).zip(world.server.state().mails.iter_mut()) {
        *received = days_ago(place);
    }
    once(&mut world).await;
    in_step(&world, 11).await;
}

/// Fault 35: restored from a backup, and since then as much has arrived as was lost.
#[tokio::test]
async fn uids_that_were_used_again_behind_our_back_are_noticed() {
    let mut world = whole().await;
    for place in 0..8 {
        world.server.deliver(&format!("{place}"));
    }
    once(&mut world).await;
    {
        let mut state = world.server.state();
        for uid in [6, 7, 8] {
            state.mails.remove(&uid);
        }
        state.next = 6;
    }
    for place in 0..5 {
        world.server.deliver(&format!("after the restore {place}"));
    }
    assert!(world.server.state().next > 9, "no visible fall");
    once(&mut world).await;
    let subjects = world.subjects().await;
    for place in 0..5 {
        assert!(
            subjects.contains(&format!("after the restore {place}")),
            "{subjects:?}"
        );
    }
    assert_eq!((subjects.len(), world.received().await), (13, 13));
    assert_eq!(folder(&world).await.cursor.generation.0, 1);
}

/// Fault 37: a server that cannot count octets, or is vague about dates, voids nothing.
#[tokio::test]
async fn a_server_that_is_vague_about_sizes_and_dates_is_not_taken_for_a_restored_one() {
    let mut world = whole().await;
    for place in 0..8 {
        world.server.deliver(&format!("{place}"));
    }
    once(&mut world).await;
    for (_, (_, received)) in world.server.state().mails.iter_mut() {
        *received = received.plus(Duration::from_secs(3_600));
    }
    once(&mut world).await;
    world.server.state().undated = true;
    once(&mut world).await;
    let row = folder(&world).await;
    assert_eq!((row.cursor.generation.0, world.received().await), (0, 8));
}

/// Fault 37: a late low UID, which RFC 9051 §2.3.1.1 forbids, and an early UIDNEXT.
#[tokio::test]
async fn a_uid_that_appears_below_the_cursor_is_found_at_the_next_connection() {
    let mut world = whole().await;
    for place in 0..5 {
        world.server.deliver(&format!("{place}"));
    }
    {
        let mut state = world.server.state();
        state.late = [2, 4].into();
        state.early_uidnext = 3;
    }
    once(&mut world).await;
    assert_eq!(world.subjects().await, ["0", "2", "4"]);
    world.server.state().late.clear();
    once(&mut world).await;
    in_step(&world, 5).await;
    assert_eq!(folder(&world).await.repaired, 2);
    // Nothing is found a second time.
    once(&mut world).await;
    assert_eq!(folder(&world).await.repaired, 2);
}

#[tokio::test]
async fn the_daily_audit_finds_what_is_missing_far_below_and_says_so() {
    let mut world = World::with(With::Password, Backfill::All, |settings| {
        settings.audit = Duration::ZERO;
        settings.batch_messages = 7;
    })
    .await;
    let mails: BTreeMap<u32, _> = (1..3_000)
        .step_by(3)
        .map(|uid| {
            (
                uid,
                (format!("Subject: {uid}\r\n\r\n").into_bytes(), days_ago(1)),
            )
        })
        .collect();
    {
        let mut state = world.server.state();
        state.late = mails.keys().copied().filter(|uid| uid % 30 == 1).collect();
        state.mails = mails;
        state.next = 3_000;
    }
    world.start();
    world.until_stored(900).await;
    world.kill();
    world.server.state().late.clear();
    world.start();
    world.until_stored(1_000).await;
    world.kill();
    in_step(&world, 1_000).await;
    assert!(
        folder(&world).await.repaired + folder(&world).await.audit.map_or(0, |a| a.found) >= 66
    );
}

#[tokio::test]
async fn mail_since_a_date_is_brought_in_as_often_as_it_is_asked_for_and_never_twice() {
    let mut world = World::new().await;
    for place in 0..300_u64 {
        world
            .server
            .deliver_at(&format!("{place}"), days_ago(300 - place));
    }
    world.start();
    world.until(LaneState::Ready).await;
    world.server.deliver("new");
    assert_eq!(world.until_stored(1).await, ["new"]);
    let since = days_ago(50).minus(Duration::from_secs(60));
    for _ in 0..3 {
        let asked = world.store.account_reingest(world.account.id, since).await;
        assert_eq!(asked.unwrap(), 1);
        world.wake();
        world.until_stored(51).await;
        while folder(&world).await.audit.is_some() {
            tokio::task::yield_now().await;
        }
        assert_eq!(
            (world.messages().await.len(), world.received().await),
            (51, 51)
        );
    }
    assert_eq!(folder(&world).await.repaired, 0, "it was not missing");
}

/// Fault 36: a folder whose mail is nearly all unknown after a change is kept and not announced.
#[tokio::test]
async fn a_folder_of_strangers_is_held_until_an_administrator_agrees() {
    for announce in [true, false] {
        let mut world = whole().await;
        world.server.deliver("known");
        once(&mut world).await;
        for place in 0..150 {
            world.server.deliver(&format!("{place}"));
        }
        renumber(&world, 78, 1_000);
        world.start();
        world.until(LaneState::Ready).await;
        let row = folder(&world).await;
        assert_eq!((row.held, world.messages().await.len()), (true, 151));
        assert_eq!(world.received().await, 1, "held");
        // What arrives now is announced as ever.
        world.server.deliver("new");
        world.until_stored(152).await;
        assert_eq!(world.received().await, 2);
        world.stop().await;
        once(&mut world).await;
        assert_eq!(world.received().await, 2, "also after a restart");
        world.store.folder_let_go(row.id, announce).await.unwrap();
        let expected = if announce { 152 } else { 2 };
        assert_eq!(world.received().await, expected);
        once(&mut world).await;
        assert_eq!(
            (folder(&world).await.held, world.received().await),
            (false, expected)
        );
    }
}

/// Faults 35 and 36: the lane dies anywhere in the middle.
#[tokio::test]
async fn a_renumbering_that_is_cut_short_again_and_again_still_ends_well() {
    let mut world = World::with(With::Password, Backfill::All, |settings| {
        settings.batch_messages = 2;
    })
    .await;
    for place in 0..40 {
        world.server.deliver(&format!("{place}"));
    }
    once(&mut world).await;
    for place in 0..7 {
        world.server.deliver(&format!("unseen {place}"));
    }
    renumber(&world, 78, 200);
    for pause in 0..30 {
        world.start();
        let mut status = world.running().clone();
        let _ = tokio::time::timeout(
            Duration::from_millis(pause * 3),
            status.wait_for(|status| status.state == LaneState::Ready),
        )
        .await;
        world.kill();
    }
    once(&mut world).await;
    in_step(&world, 47).await;
}

/// Fault 43, and EXISTS before the mail can be listed.
#[tokio::test]
async fn mail_that_is_announced_before_it_can_be_listed_is_looked_for_again() {
    let mut world = whole().await;
    world.server.deliver("there");
    world.start();
    world.until_stored(1).await;
    world.until(LaneState::Ready).await;
    world.server.state().late = [2].into();
    world.server.deliver("late");
    // It becomes visible after the lane has looked for it in vain.
    let looks = world.server.state().lists;
    while world.server.state().lists < looks + 3 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    world.server.state().late.clear();
    assert_eq!(world.until_stored(2).await, ["there", "late"]);
    world.until(LaneState::Ready).await;
    // What never comes is not asked for again and again: the usual wait is five minutes.
    world.server.state().late = [3].into();
    world.server.deliver("never");
    let looks = world.server.state().lists;
    while world.server.state().lists < looks + 7 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    world.until(LaneState::Ready).await;
    let looks = world.server.state().lists;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(world.server.state().lists, looks);
}
