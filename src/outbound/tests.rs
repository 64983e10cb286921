//! The lane on a real store, against a scripted server behind real TLS.

use std::time::Duration;

use super::testing::{MESSAGE, World};
use crate::{
    diagnosis::{LaneExit, LaneState},
    model::TlsMode,
    smtp::testing::{Act, Server},
};

fn on(prefix: &'static str, act: Act) -> Server {
    Server::new(move |step| step.starts_with(prefix).then(|| act.clone()))
}

fn quiet() -> Server {
    Server::new(|_| None)
}

/// Misbehaves once, then never again.
fn once(prefix: &'static str, act: Act) -> Server {
    let left = std::sync::atomic::AtomicBool::new(true);
    Server::new(move |step| {
        let hit = step.starts_with(prefix) && left.swap(false, std::sync::atomic::Ordering::SeqCst);
        hit.then(|| act.clone())
    })
}

#[tokio::test]
async fn a_burst_goes_over_one_line_that_is_closed_when_nothing_follows() {
    for tls in [TlsMode::Tls, TlsMode::StartTls] {
        let world = World::with(quiet(), tls, |_| ()).await;
        let first = world.queue(&["a@y.test", "b@y.test"]).await;
        let second = world.queue(&["c@y.test"]).await;
        let mut lane = world.run().await;
        world.until(first, &["sent", "sent"]).await;
        world.until(second, &["sent"]).await;
        lane.until(LaneState::Ready).await;
        // Queued while the line lingers: no new line.
        let third = world.queue(&["d@y.test"]).await;
        world.until(third, &["sent"]).await;
        world
            .until_seen(|seen| seen.commands.last().is_some_and(|last| last == "QUIT"))
            .await;
        assert_eq!(world.server.seen().connections, 1);
        assert_eq!(world.server.delivered(), [MESSAGE, MESSAGE, MESSAGE]);
        let (row, attempts) = world.row(first).await;
        assert_eq!(row.recipients[0].reply_code, Some(250));
        assert_eq!(
            row.recipients[0].reply_text.as_deref(),
            Some("2.0.0 queued")
        );
        assert_eq!(attempts.len(), 1);
        assert!(attempts[0].dot_at.is_some() && attempts[0].ended_at.is_some());
        let sent = world.events().await;
        assert_eq!(
            sent.iter().filter(|kind| **kind == "message.sent").count(),
            4
        );
        assert_eq!(lane.stopped().await, LaneExit::Stopped);
        assert_eq!(world.tasks(), 2);
    }
}

#[tokio::test]
async fn a_password_that_is_changed_shows_before_anybody_sends() {
    let world = World::with(quiet(), TlsMode::Tls, |s| {
        s.proof = Duration::from_millis(300);
    })
    .await;
    let mut lane = world.run().await;
    let first = lane.until(LaneState::Ready).await.last_contact;
    let again = lane
        .status
        .wait_for(|status| status.state == LaneState::Ready && status.last_contact > first);
    let again = tokio::time::timeout(Duration::from_secs(30), again);
    assert!(first.is_some() && again.await.is_ok(), "proven again");
    world.server.obey(|step| {
        step.starts_with("AUTH")
            .then_some(Act::Say("535 5.7.8 no\r\n"))
    });
    let parked = lane.until(LaneState::Parked).await;
    assert_eq!(parked.diagnosis.unwrap().code, "smtp_password_refused");
    assert!(world.server.delivered().is_empty());
    lane.stopped().await;
}

#[tokio::test]
async fn a_worn_line_is_replaced() {
    let world = World::with(quiet(), TlsMode::Tls, |s| s.line_messages = 2).await;
    let mut queued = Vec::new();
    for _ in 0..5 {
        queued.push(world.queue(&["a@y.test"]).await);
    }
    let lane = world.run().await;
    for id in queued {
        world.until(id, &["sent"]).await;
    }
    assert_eq!(world.server.seen().connections, 3);
    lane.stopped().await;
}

#[tokio::test]
async fn a_refused_login_leaves_every_message_untouched_and_a_wake_tries_again() {
    let world = World::new(on("AHN1", Act::Say("535 5.7.8 no\r\n"))).await;
    let ids = [
        world.queue(&["a@y.test"]).await,
        world.queue(&["b@y.test"]).await,
    ];
    let mut lane = world.run().await;
    let status = lane.until(LaneState::Parked).await;
    let diagnosis = status.diagnosis.unwrap();
    assert_eq!(diagnosis.code, "smtp_password_refused");
    assert!(!diagnosis.why.contains("hunter2"), "{}", diagnosis.why);
    assert!(status.retry_at.is_some());
    for id in ids {
        assert_eq!(world.copies(id).await, [("queued", 0)]);
    }
    assert!(world.server.seen().bodies.is_empty());
    // Mail that is queued meanwhile does not hasten it; an operator does.
    world.server.obey(|_| None);
    world.wake.send_modify(|count| *count += 1);
    for id in ids {
        world.until(id, &["sent"]).await;
        assert_eq!(world.copies(id).await, [("sent", 1)]);
    }
    assert!(lane.until(LaneState::Ready).await.diagnosis.is_none());
    lane.stopped().await;
}

#[tokio::test]
async fn a_queue_parked_by_our_own_fault_runs_by_itself_when_the_cause_is_gone() {
    for (step, said, code) in [
        (
            "AHN1",
            "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.\r\n",
            "smtp_auth_disabled",
        ),
        (
            "MAIL",
            "550 5.7.60 SMTP; Client does not have permissions to send as this sender\r\n",
            "smtp_send_as_denied",
        ),
        (
            "RCPT",
            "553 5.7.1 <supp@x.test>: Sender address rejected: not owned by user supp\r\n",
            "smtp_send_as_denied",
        ),
        (
            ".",
            "554 5.2.252 SendAsDenied; a@x not allowed to send as b@y\r\n",
            "smtp_send_as_denied",
        ),
    ] {
        let world = World::with(on(step, Act::Say(said)), TlsMode::Tls, |settings| {
            settings.parked_retry = Duration::from_millis(300);
        })
        .await;
        // Its time is over at once: our own fault must not let it expire.
        let id = world
            .queue_raw(&["a@y.test"], MESSAGE, Duration::from_millis(1))
            .await;
        let mut lane = world.run().await;
        let status = lane.until(LaneState::Parked).await;
        assert_eq!(status.diagnosis.unwrap().code, code, "{said}");
        let (state, _) = world.copies(id).await[0];
        assert!(matches!(state, "queued" | "deferred"), "{said}: {state}");
        assert!(world.server.delivered().is_empty());
        world.server.obey(|_| None);
        world.until(id, &["sent"]).await;
        assert_eq!(world.server.delivered().len(), 1);
        lane.stopped().await;
    }
}

#[tokio::test]
async fn a_limit_holds_the_queue_and_fails_nothing() {
    let server = on(
        "RCPT",
        Act::Say("550 5.4.5 Daily user sending limit exceeded\r\n"),
    );
    let world = World::new(server).await;
    let id = world.queue(&["a@y.test"]).await;
    let mut lane = world.run().await;
    let status = lane.until(LaneState::Waiting).await;
    let held = status.retry_at.unwrap().since(world.now());
    assert!(held > Duration::from_secs(3500), "{held:?}");
    assert_eq!(world.copies(id).await, [("queued", 0)]);
    world.wake.send_modify(|count| *count += 1);
    world.queue(&["b@y.test"]).await;
    assert_eq!(world.server.seen().connections, 1);
    lane.stopped().await;
}

#[tokio::test]
async fn row_43_each_recipient_of_one_message_has_its_own_outcome() {
    let server = Server::new(|step| {
        if step.starts_with("RCPT TO:<full") {
            Some(Act::Say("452 4.2.2 full\r\n"))
        } else if step.starts_with("RCPT TO:<no") {
            Some(Act::Say("550 5.1.1 nobody\r\n"))
        } else {
            None
        }
    });
    let world = World::with(server, TlsMode::Tls, |settings| {
        settings.retry.first = Duration::from_secs(3600);
        settings.retry.cap = Duration::from_secs(3600);
    })
    .await;
    let to = ["ok1", "full1", "ok2", "no1", "full2", "ok3"].map(|name| format!("{name}@y.test"));
    let id = world.queue(&to.each_ref().map(String::as_str)).await;
    let lane = world.run().await;
    let states = ["sent", "deferred", "sent", "failed", "deferred", "sent"];
    world.until(id, &states).await;
    let (row, _) = world.row(id).await;
    assert_eq!(row.recipients[3].reply_code, Some(550));
    assert_eq!(
        row.recipients[3].reply_text.as_deref(),
        Some("5.1.1 nobody")
    );
    assert_eq!(world.server.delivered().len(), 1);
    lane.stopped().await;
}

#[tokio::test]
async fn too_many_recipients_are_split_and_none_fails() {
    let taken = std::sync::atomic::AtomicU32::new(0);
    let server = Server::new(move |step| {
        if step.starts_with("MAIL") {
            taken.store(0, std::sync::atomic::Ordering::SeqCst);
        }
        let count = |step: &str| {
            step.starts_with("RCPT") && taken.fetch_add(1, std::sync::atomic::Ordering::SeqCst) >= 2
        };
        count(step).then_some(Act::Say("452 4.5.3 Too many recipients\r\n"))
    });
    let world = World::new(server).await;
    let to = ["a@y.test", "b@y.test", "c@y.test", "d@y.test", "e@y.test"];
    let id = world.queue(&to).await;
    let lane = world.run().await;
    world.until(id, &["sent"; 5]).await;
    assert_eq!(world.server.delivered().len(), 3);
    lane.stopped().await;
    // The same by our own bound.
    let world = World::with(quiet(), TlsMode::Tls, |settings| settings.recipients = 2).await;
    let id = world.queue(&to).await;
    let lane = world.run().await;
    world.until(id, &["sent"; 5]).await;
    assert_eq!(world.server.delivered().len(), 3);
    lane.stopped().await;
}

#[tokio::test]
async fn a_passing_refusal_at_each_step_is_tried_again_until_it_is_sent() {
    for step in ["MAIL", "RCPT", "DATA", "."] {
        let world = World::new(once(step, Act::Say("451 4.3.0 later\r\n"))).await;
        let id = world.queue(&["a@y.test"]).await;
        let lane = world.run().await;
        world.until(id, &["sent"]).await;
        assert_eq!(world.copies(id).await, [("sent", 2)], "{step}");
        assert_eq!(world.server.delivered().len(), 1);
        assert_eq!(
            world
                .events()
                .await
                .iter()
                .filter(|k| **k == "message.deferred")
                .count(),
            1
        );
        lane.stopped().await;
    }
}

#[tokio::test]
async fn a_refusal_for_good_at_each_step_fails_that_message_and_no_other() {
    for (step, said) in [
        ("MAIL", "552 5.3.4 too large\r\n"),
        ("RCPT", "550 5.1.1 nobody\r\n"),
        ("DATA", "554 5.7.1 no\r\n"),
        (".", "554 5.7.1 spam\r\n"),
    ] {
        let world = World::new(once(step, Act::Say(said))).await;
        let id = world.queue(&["a@y.test"]).await;
        let other = world.queue(&["b@y.test"]).await;
        let lane = world.run().await;
        world.until(id, &["failed"]).await;
        world.until(other, &["sent"]).await;
        assert_eq!(world.copies(id).await, [("failed", 1)], "{step}");
        assert_eq!(world.server.seen().connections, 1, "{step}");
        lane.stopped().await;
    }
}

#[tokio::test]
async fn a_line_that_breaks_before_the_dot_is_tried_again_and_after_it_is_in_doubt_for_ever() {
    for step in ["EHLO", "MAIL", "RCPT", "DATA"] {
        let world = World::new(once(step, Act::HangUp)).await;
        let id = world.queue(&["a@y.test"]).await;
        let lane = world.run().await;
        world.until(id, &["sent"]).await;
        assert_eq!(world.server.seen().bodies.len(), 1, "{step}");
        lane.stopped().await;
    }
    // Rows 38 and 40 on the way.
    for act in [Act::HangUp, Act::Say("999 ok\r\n"), Act::Say("250 ok\n")] {
        let world = World::new(once(".", act.clone())).await;
        let id = world.queue(&["a@y.test", "b@y.test"]).await;
        let other = world.queue(&["c@y.test"]).await;
        let lane = world.run().await;
        world.until(id, &["in_doubt", "in_doubt"]).await;
        world.until(other, &["sent"]).await;
        assert_eq!(world.server.seen().bodies.len(), 2, "{act:?}");
        assert_eq!(
            world
                .events()
                .await
                .iter()
                .filter(|k| **k == "message.inDoubt")
                .count(),
            2
        );
        lane.stopped().await;
    }
    let server = once(
        "DATA",
        Act::SayAndHangUp("354 go on\r\n421 4.3.2 closing\r\n"),
    );
    let world = World::new(server).await;
    let id = world.queue(&["a@y.test"]).await;
    let lane = world.run().await;
    world.until(id, &["sent"]).await;
    assert_eq!(world.copies(id).await, [("sent", 2)]);
    lane.stopped().await;
}

#[tokio::test]
async fn rows_39_and_41_a_server_out_of_turn_gets_no_dot() {
    for said in ["354 go on\r\n250 2.0.0 queued\r\n", "250 2.0.0 queued\r\n"] {
        let world = World::new(once("DATA", Act::Say(said))).await;
        let id = world.queue(&["a@y.test"]).await;
        let lane = world.run().await;
        world.until(id, &["sent"]).await;
        assert_eq!(world.copies(id).await, [("sent", 2)], "{said:?}");
        assert_eq!(world.server.seen().bodies.len(), 1, "{said:?}");
        lane.stopped().await;
    }
}

#[tokio::test]
async fn an_idle_line_that_was_closed_costs_the_next_message_no_attempt() {
    let mails = std::sync::atomic::AtomicU32::new(0);
    let server = Server::new(move |step| {
        let second = step.starts_with("MAIL")
            && mails.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 1;
        second.then_some(Act::HangUp)
    });
    let world = World::new(server).await;
    let first = world.queue(&["a@y.test"]).await;
    let second = world.queue(&["b@y.test"]).await;
    let lane = world.run().await;
    world.until(first, &["sent"]).await;
    world.until(second, &["sent"]).await;
    assert_eq!(world.copies(second).await, [("sent", 1)]);
    assert_eq!(world.server.seen().connections, 2);
    lane.stopped().await;
}

#[tokio::test]
async fn row_44_bytes_that_could_be_smuggled_are_never_sent_and_block_nothing() {
    let world = World::new(quiet()).await;
    let bad = world
        .queue_raw(
            &["a@y.test"],
            b"A: b\r\n\r\nx\n.\r\n",
            Duration::from_secs(60),
        )
        .await;
    let good = world.queue(&["b@y.test"]).await;
    let lane = world.run().await;
    world.until(bad, &["failed"]).await;
    world.until(good, &["sent"]).await;
    assert_eq!(world.server.delivered(), [MESSAGE]);
    lane.stopped().await;
}

#[tokio::test]
async fn a_message_expires_when_its_last_try_is_refused() {
    let world = World::new(on("RCPT", Act::Say("450 4.2.1 later\r\n"))).await;
    let id = world
        .queue_raw(&["a@y.test"], MESSAGE, Duration::from_millis(500))
        .await;
    let lane = world.run().await;
    world.until(id, &["expired"]).await;
    let (_, attempts) = world.row(id).await;
    assert!(attempts.len() > 1, "{attempts:?}");
    lane.stopped().await;
}

#[tokio::test]
async fn an_idle_lane_keeps_no_room_for_the_work_it_does_not_do() {
    let octets = World::new(on("NONE", Act::Say("x")))
        .await
        .task_octets()
        .await;
    assert!(octets < 8 * 1024, "{octets}");
}
