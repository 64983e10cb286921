//! The whole catalogue of incoming servers, said by a server to a lane: it ends in the state that fits who acts,
//! and heals by itself when the server says it no more.

use futures_util::{StreamExt, stream};
use tokio::time::Duration;

use super::{
    testing::{With, World},
    testing_state::State,
};
use crate::{
    diagnosis::{
        Context, Failure,
        LaneState::{Parked, Ready, Waiting},
        explain,
        tests_mail::{By, IMAP},
    },
    imap::{Step, testing::refusal},
    model::{Action, Backfill},
};

/// What the server says where; `None`: its usual answers again.
fn say(state: &mut State, step: Step, words: Option<&'static str>) {
    match step {
        Step::Login => state.refuse_login = words,
        Step::Select => state.refuse_select = words,
        // A lane lists no folders: the next command that it gives hears it.
        _ => state.refuse_fetch = words,
    }
}

async fn world(by: By) -> World {
    let with = match by {
        By::Token => With::Token,
        By::Password => With::Password,
    };
    let world = World::with(with, Backfill::None, |settings| {
        settings.backoff.first = Duration::from_millis(20);
        settings.parked_retry = Duration::from_millis(200);
    })
    .await;
    if by == By::Token {
        world.sign_in("good", Duration::from_secs(3600)).await;
    }
    world
}

/// The words behind the tag; an untagged line as it is.
fn words(line: &'static str) -> &'static str {
    match line.split_once(' ') {
        Some((tag, words)) if tag != "*" => words,
        _ => line,
    }
}

#[tokio::test]
async fn every_text_of_an_incoming_server_leaves_the_lane_where_it_belongs_until_it_is_said_no_more()
 {
    let holds = |row: &&(Step, By, &str, &str, Action, &str)| row.4 == Action::HoldUntil;
    let others = IMAP.iter().filter(|row| !holds(row));
    let all = stream::iter(others).map(|(step, by, line, code, action, _)| {
        leaves_it_where_it_belongs(*step, *by, line, code, *action)
    });
    // Side by side: each waits most of its time.
    all.buffer_unordered(8).collect::<()>().await;
    // One after the other: each moves the clock for all.
    for (step, by, line, code, action, _) in IMAP.iter().filter(holds) {
        leaves_it_where_it_belongs(*step, *by, line, code, *action).await;
    }
}

/// The time is over.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

async fn leaves_it_where_it_belongs(
    step: Step,
    by: By,
    line: &'static str,
    code: &'static str,
    action: Action,
) {
    // What is said to a listing has its own words there; here it meets a fetch.
    let error = refusal(Step::Fetch, line);
    let met = explain(&Failure::Imap(error), &Context::default());
    let (code, action) = match step {
        Step::List => (met.code, met.action),
        _ => (code, action),
    };
    let mut world = world(by).await;
    match (step, action) {
        (Step::Idle, _) => {
            world.start();
            world.until(Ready).await;
            let logins = world.server.state().logins.len();
            world.server.cut(line.strip_prefix("* BYE ").unwrap());
            world.server.deliver("later");
            assert_eq!(world.until_stored(1).await, ["later"], "{line}");
            assert_eq!(world.until(Ready).await.diagnosis, None, "{line}");
            assert!(world.server.state().logins.len() > logins, "{line}");
        }
        (_, Action::ThisMessageOnly) => {
            world.start();
            world.until(Ready).await;
            let refused = world.server.state().next;
            world.server.state().refusal = words(line);
            world.server.state().refusals = [(refused, u32::MAX)].into();
            world.server.deliver("refused");
            world.server.deliver("later");
            assert_eq!(world.until_stored(1).await, ["later"], "{line}");
            assert_eq!(world.until(Ready).await.diagnosis, None, "{line}");
            let problems = world.problems().await;
            let aside: Vec<i64> = problems.iter().map(|problem| problem.uid).collect();
            assert_eq!(aside, [i64::from(refused)], "{line}");
        }
        _ => {
            say(&mut world.server.state(), step, Some(words(line)));
            world.server.deliver("kept waiting");
            world.start();
            let parked = matches!(action, Action::Administrator | Action::SignInAgain);
            let status = world.until(if parked { Parked } else { Waiting }).await;
            let said = status.diagnosis.as_ref().unwrap();
            assert_eq!((said.code, status.action()), (code, Some(action)), "{line}");
            let wait = status.retry_at.unwrap().since(status.since);
            let hold = action == Action::HoldUntil;
            assert_eq!(wait > Duration::from_secs(60), hold, "{line}: {wait:?}");
            say(&mut world.server.state(), step, None);
            if hold {
                pass(wait).await;
            }
            assert_eq!(world.until_stored(1).await, ["kept waiting"], "{line}");
            assert_eq!(world.until(Ready).await.diagnosis, None, "{line}");
        }
    }
}

#[tokio::test]
async fn a_notice_that_exchange_gives_in_the_place_of_a_mail_is_put_aside_with_the_next_step() {
    let mut world = world(By::Token).await;
    let uid = world.server.deliver("replaced");
    let notice = "From: \"Microsoft Exchange Server\" <>\r\n\
        Subject: Retrieval using the IMAP4 protocol failed for the following message: 12\r\n\r\n\
        The server couldn't retrieve the following message:\r\n\r\nSubject: \"Order 7\"\r\n\
        From: \"Casey\"\r\n\r\nThe message hasn't been deleted.\r\n";
    let kept = world.server.state().mails[&uid].1;
    world
        .server
        .state()
        .mails
        .insert(uid, (notice.into(), kept));
    world.server.deliver("later");
    world.start();
    assert_eq!(world.until_stored(1).await, ["later"]);
    assert_eq!(world.until(Ready).await.diagnosis, None);
    let problems = world.problems().await;
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(
        (problems[0].uid, problems[0].reason.as_str()),
        (uid.into(), "unreadable")
    );
    assert!(
        problems[0].detail.contains("Order 7"),
        "{}",
        problems[0].detail
    );
    assert!(
        problems[0].detail.contains("Outlook on the web"),
        "{}",
        problems[0].detail
    );
}
