//! Ends of a lane: crash, stop, lost lease, a database that records nothing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;

use super::testing::World;
use crate::{
    diagnosis::{LaneExit, LaneState},
    model::{Clock, RawMail, SystemClock, Timestamp, TlsMode},
    smtp::testing::{Act, Server},
};

fn on(prefix: &'static str, act: Act) -> Server {
    Server::new(move |step| step.starts_with(prefix).then(|| act.clone()))
}

#[tokio::test]
async fn a_crash_before_the_dot_sends_once_and_after_it_is_in_doubt() {
    let world = World::new(on("DATA", Act::Nothing)).await;
    let id = world.queue(&["a@y.test"]).await;
    let lane = world.run().await;
    world
        .until_seen(|seen| seen.commands.last().is_some_and(|last| last == "DATA"))
        .await;
    lane.crashed().await;
    world.until(id, &["claimed"]).await;
    world.server.obey(|_| None);
    let lane = world.run().await;
    world.until(id, &["sent"]).await;
    assert_eq!(world.copies(id).await, [("sent", 2)]);
    assert_eq!(world.server.seen().bodies.len(), 1);
    lane.stopped().await;

    for same_lease in [false, true] {
        let world = World::new(on(".", Act::Nothing)).await;
        let id = world.queue(&["a@y.test"]).await;
        let lease = world.lease().await;
        let lane = world.run_under(lease.clone());
        world.until_seen(|seen| seen.bodies.len() == 1).await;
        lane.crashed().await;
        world.until(id, &["dot_pending"]).await;
        world.server.obey(|_| None);
        let lane = if same_lease {
            world.run_under(lease)
        } else {
            world.run().await
        };
        world.until(id, &["in_doubt"]).await;
        let other = world.queue(&["b@y.test"]).await;
        world.until(other, &["sent"]).await;
        assert_eq!(world.copies(id).await, [("in_doubt", 1)]);
        assert_eq!(world.server.seen().bodies.len(), 2);
        lane.stopped().await;
    }
}

#[tokio::test]
async fn a_stop_before_the_dot_gives_the_message_back_at_once() {
    for step in ["EHLO", "MAIL", "RCPT", "DATA"] {
        let world = World::new(on(step, Act::Nothing)).await;
        let id = world.queue(&["a@y.test"]).await;
        let lane = world.run().await;
        world
            .until_seen(|seen| {
                seen.commands
                    .last()
                    .is_some_and(|last| last.starts_with(step))
            })
            .await;
        assert_eq!(lane.stopped().await, LaneExit::Stopped);
        assert_eq!(world.copies(id).await, [("queued", 0)], "{step}");
        assert!(world.server.seen().bodies.is_empty());
    }
}

#[tokio::test]
async fn a_stop_after_the_dot_waits_for_the_answer_and_records_it() {
    let answer = Arc::new(Notify::new());
    let world = World::new(on(
        ".",
        Act::SayWhen(answer.clone(), "250 2.0.0 queued\r\n"),
    ))
    .await;
    let id = world.queue(&["a@y.test"]).await;
    let mut lane = world.run().await;
    world.until_seen(|seen| seen.bodies.len() == 1).await;
    lane.stop.cancel();
    let early = tokio::time::timeout(Duration::from_millis(300), lane.task.join_next()).await;
    assert!(early.is_err(), "the lane did not wait for the answer");
    answer.notify_one();
    assert_eq!(lane.stopped().await, LaneExit::Stopped);
    assert_eq!(world.copies(id).await, [("sent", 1)]);
}

#[tokio::test]
async fn a_lost_lease_stops_the_dot_and_the_lane() {
    let go_on = Arc::new(Notify::new());
    let world = World::new(on("DATA", Act::SayWhen(go_on.clone(), "354 go on\r\n"))).await;
    let id = world.queue(&["a@y.test"]).await;
    let mut lane = world.run().await;
    world
        .until_seen(|seen| seen.commands.last().is_some_and(|last| last == "DATA"))
        .await;
    let other = world.lease().await;
    go_on.notify_one();
    let exit = lane.task.join_next().await.unwrap().unwrap();
    assert_eq!(exit, LaneExit::LeaseLost);
    assert!(world.server.seen().bodies.is_empty());
    // The new holder sends it, once.
    world.server.obey(|_| None);
    let lane = world.run_under(other);
    world.until(id, &["sent"]).await;
    assert_eq!(world.server.seen().bodies.len(), 1);
    lane.stopped().await;
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_sent() {
    let go_on = Arc::new(Notify::new());
    let world = World::new(on("DATA", Act::SayWhen(go_on.clone(), "354 go on\r\n"))).await;
    let id = world.queue(&["a@y.test"]).await;
    let mut lane = world.run().await;
    world
        .until_seen(|seen| seen.commands.last().is_some_and(|last| last == "DATA"))
        .await;
    world.writer_stop.cancel();
    while world.parts.store.ping(world.now()).await.is_ok() {}
    go_on.notify_one();
    let exit = lane.task.join_next().await.unwrap().unwrap();
    assert_eq!(exit, LaneExit::Stopped);
    assert!(world.server.seen().bodies.is_empty());
    assert_eq!(world.copies(id).await, [("claimed", 1)]);
}

#[tokio::test]
async fn a_dot_announced_too_long_ago_is_not_sent() {
    let world = World::with(Server::new(|_| None), TlsMode::Tls, |settings| {
        settings.dot_within = Duration::ZERO;
    })
    .await;
    let id = world.queue(&["a@y.test"]).await;
    let lane = world.run().await;
    world.until(id, &["deferred"]).await;
    assert!(world.server.seen().bodies.is_empty());
    assert_eq!(lane.stopped().await, LaneExit::Stopped);
}

#[tokio::test]
async fn a_lost_object_parks_the_lane_and_costs_neither_its_message_nor_the_others() {
    let world = World::with(Server::new(|_| None), TlsMode::Tls, |settings| {
        settings.parked_retry = Duration::from_millis(300);
    })
    .await;
    // Its time is over at once: our own disk must not let it expire.
    let gone = RawMail::Object("00".repeat(32));
    let lost = world
        .queue_kept(&["a@y.test"], gone, 1, Duration::from_millis(1))
        .await;
    let other = world.queue(&["b@y.test"]).await;
    let mut lane = world.run().await;
    let status = lane.until(LaneState::Parked).await;
    assert!(status.diagnosis.is_some());
    world.until(other, &["sent"]).await;
    lane.until(LaneState::Parked).await;
    world.until(lost, &["deferred"]).await;
    assert_eq!(lane.stopped().await, LaneExit::Stopped);
}

#[tokio::test]
async fn a_server_that_never_answers_a_reset_loses_the_line_soon() {
    let server = Server::new(|step| match step {
        step if step.starts_with("RCPT") => Some(Act::Say("550 5.1.1 nobody\r\n")),
        step if step.starts_with("RSET") => Some(Act::Nothing),
        _ => None,
    });
    let world = World::new(server).await;
    let id = world.queue(&["a@y.test"]).await;
    let lane = world.run().await;
    world.until(id, &["failed"]).await;
    let asked = tokio::time::Instant::now();
    assert_eq!(lane.stopped().await, LaneExit::Stopped);
    assert!(asked.elapsed() < Duration::from_secs(15));
}

/// A wall clock that a test sets.
#[derive(Default)]
struct Settable(AtomicI64);

impl Clock for Settable {
    fn now(&self) -> Timestamp {
        let ahead = self.0.load(Ordering::SeqCst);
        Timestamp::from_millis(SystemClock.now().millis() + ahead)
    }
}

/// Fault 50.
#[tokio::test]
async fn a_clock_set_ahead_by_years_expires_nothing_and_set_back_leaves_nothing_waiting() {
    let later = Act::Say("451 4.7.1 later\r\n");
    let mut world = World::new(on("RCPT", later)).await;
    let clock = Arc::new(Settable::default());
    world.parts.clock = clock.clone();
    let days = Duration::from_secs(5 * 86_400);
    let id = world.queue_raw(&["a@y.test"], super::testing::MESSAGE, days);
    let id = id.await;
    let lane = world.run().await;
    world.until(id, &["deferred"]).await;
    let tried = world.copies(id).await[0].1;
    // Ten years ahead, while the copy waits; servers go on putting it off.
    clock.0.store(10 * 31_557_600_000, Ordering::SeqCst);
    world.until_tried(id, tried + 3).await;
    let copy = &world.row(id).await.0.recipients[0];
    assert_eq!(copy.state.as_str(), "deferred");
    assert!(copy.next_at > Some(SystemClock.now().plus(days * 365)));
    // And back.
    clock.0.store(0, Ordering::SeqCst);
    world.server.obey(|_| None);
    world.wake.send_modify(|count| *count += 1);
    world.until(id, &["sent"]).await;
    lane.stopped().await;
}
