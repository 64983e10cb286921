//! The whole catalogue of submission servers, said by a server to a lane: the lane or the mail ends in the state
//! that fits who acts, and mail flows again by itself when the server says it no more.

use std::time::Duration;

use super::testing::{MESSAGE, World};
use crate::{
    diagnosis::{
        LaneState::{Parked, Ready, Waiting},
        tests_mail::{By, SMTP},
    },
    model::{Action, Authentication, Backoff, TlsMode},
    smtp::{
        Concern, Verb,
        testing::{Act, Server},
    },
};

async fn world(by: By) -> World {
    let password = Authentication::Password {
        user: "supp".into(),
        password: "hunter2".into(),
    };
    let quick = |settings: &mut super::Settings| {
        settings.backoff.first = Duration::from_millis(20);
        settings.parked_retry = Duration::from_millis(100);
        settings.retry = Backoff {
            first: Duration::from_millis(300),
            cap: Duration::from_millis(300),
        };
    };
    let authentication = (by == By::Password).then_some(password);
    World::logging_in(Server::new(|_| None), TlsMode::Tls, quick, authentication).await
}

/// How the step begins at which it is said.
fn step(during: Verb, by: By) -> &'static str {
    match (during, by) {
        (Verb::Greeting, _) => "(greeting)",
        (Verb::Ehlo, _) => "EHLO",
        (Verb::Auth, By::Token) => "AUTH XOAUTH2",
        // The line that carries the password.
        (Verb::Auth, By::Password) => "AHN1",
        (Verb::Mail, _) => "MAIL",
        (Verb::Rcpt, _) => "RCPT",
        (Verb::Data, _) => "DATA",
        (Verb::Dot, _) => ".",
        (other, _) => panic!("nothing is said at {other:?}"),
    }
}

/// As a server says it: with 421 it hangs up.
fn act(line: &str) -> Act {
    let line: &'static str = format!("{line}\r\n").leak();
    if line.starts_with("421") {
        Act::SayAndHangUp(line)
    } else {
        Act::Say(line)
    }
}

async fn every_text(by: By) {
    let world = world(by).await;
    for (during, _, line, concern, code, action, _) in SMTP.iter().filter(|row| row.1 == by) {
        let (at, said) = (step(*during, by), act(line));
        world
            .server
            .obey(move |step| step.starts_with(at).then(|| said.clone()));
        let before = world.server.delivered().len();
        let id = world.queue(&["a@y.test"]).await;
        let mut lane = world.run().await;
        // What is only this mail's stops no other; its own next try may be far away.
        let mut goes_on = true;
        match (concern, action) {
            (Concern::Recipient | Concern::Message, Action::ThisMessageOnly) => {
                world.until(id, &["failed"]).await;
                goes_on = false;
            }
            (Concern::Recipient | Concern::Message, _) => {
                world.until(id, &["deferred"]).await;
                goes_on = *action == Action::Retry;
            }
            (Concern::Account | Concern::Line, _) => {
                let parked = matches!(action, Action::Administrator | Action::SignInAgain);
                let status = lane.until(if parked { Parked } else { Waiting }).await;
                let told = status.diagnosis.as_ref().unwrap();
                assert_eq!(
                    (told.code, status.action()),
                    (*code, Some(*action)),
                    "{line}"
                );
                let wait = status.retry_at.unwrap().since(status.since);
                let hold = *action == Action::HoldUntil;
                assert_eq!(wait > Duration::from_secs(55), hold, "{line}: {wait:?}");
                let (state, _) = world.copies(id).await[0];
                assert!(
                    matches!(state, "queued" | "deferred" | "claimed"),
                    "{line}: {state}"
                );
                if hold {
                    // Its time is over.
                    world.server.obey(|_| None);
                    tokio::time::pause();
                    tokio::time::advance(wait).await;
                    tokio::time::resume();
                }
            }
        }
        world.server.obey(|_| None);
        let next = match goes_on {
            true => id,
            false => world.queue(&["b@y.test"]).await,
        };
        world.until(next, &["sent"]).await;
        assert_eq!(world.server.delivered().len(), before + 1, "{line}");
        assert_eq!(world.server.delivered().last().unwrap(), MESSAGE, "{line}");
        assert_eq!(lane.until(Ready).await.diagnosis, None, "{line}");
        lane.stopped().await;
    }
}

#[tokio::test]
async fn every_reply_to_an_account_by_token_leaves_mail_where_it_belongs_until_it_is_said_no_more()
{
    every_text(By::Token).await;
}

#[tokio::test]
async fn every_reply_to_an_account_by_password_leaves_mail_where_it_belongs_until_it_is_said_no_more()
 {
    every_text(By::Password).await;
}
