//! Each literal text of an incoming server: the lane ends in the right state for the right time, and heals by itself
//! when the cause goes away.

use base64::{Engine, engine::general_purpose::STANDARD};
use tokio::time::Duration;

use super::{
    testing::{With, World},
    testing_state::State,
};
use crate::{
    diagnosis::LaneState::{self, Parked, Waiting},
    model::{Action, Backfill},
};

/// Where the server says it.
#[derive(Clone, Copy, Debug)]
enum At {
    Login,
    Select,
    Fetch,
}

fn say(state: &mut State, at: At, words: Option<&'static str>) {
    match at {
        At::Login => state.refuse_login = words,
        At::Select => state.refuse_select = words,
        At::Fetch => state.refuse_fetch = words,
    }
}

async fn world(with: With) -> World {
    let world = World::with(with, Backfill::None, |settings| {
        settings.backoff.first = Duration::from_millis(100);
        settings.parked_retry = Duration::from_millis(400);
    })
    .await;
    if matches!(with, With::Token) {
        world.sign_in("good", Duration::from_secs(3600)).await;
    }
    world
}

#[tokio::test]
async fn what_passes_is_waited_for_and_what_a_person_must_cure_is_parked_until_it_is_cured() {
    let cases: &[(With, At, &'static str, LaneState, &str)] = &[
        (
            With::Token,
            At::Login,
            "NO Server Unavailable. 15",
            Waiting,
            "imap_server_unavailable",
        ),
        (
            With::Token,
            At::Login,
            "NO [UNAVAILABLE] Temporary System Error",
            Waiting,
            "imap_server_unavailable",
        ),
        (
            With::Token,
            At::Select,
            "BAD Server Unavailable. 15",
            Waiting,
            "imap_server_unavailable",
        ),
        (
            With::Password,
            At::Select,
            "NO [INUSE] Mailbox in use",
            Waiting,
            "imap_mailbox_in_use",
        ),
        (
            With::Token,
            At::Fetch,
            "NO [SERVERBUG] Internal server error",
            Waiting,
            "imap_server_bug",
        ),
        (
            With::Token,
            At::Fetch,
            "BAD Command received in Invalid state.",
            Waiting,
            "imap_state_lost",
        ),
        (
            With::Token,
            At::Select,
            "BAD User is authenticated but not connected.",
            Parked,
            "imap_authenticated_not_connected",
        ),
        (
            With::Token,
            At::Fetch,
            "BAD User is authenticated but not connected.",
            Parked,
            "imap_authenticated_not_connected",
        ),
        (
            With::Token,
            At::Login,
            "NO AUTHENTICATE failed.",
            Parked,
            "imap_token_refused",
        ),
        (
            With::Token,
            At::Login,
            "NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)",
            Parked,
            "imap_sign_in_refused",
        ),
        (
            With::Password,
            At::Login,
            "NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)",
            Parked,
            "imap_password_refused",
        ),
        (
            With::Token,
            At::Login,
            "NO [AUTHORIZATIONFAILED] No such authorization-ID",
            Parked,
            "imap_not_allowed",
        ),
        (
            With::Password,
            At::Login,
            "NO [CONTACTADMIN] Account is blocked.",
            Parked,
            "imap_contact_administrator",
        ),
        (
            With::Password,
            At::Login,
            "NO [ALERT] Application-specific password required (Failure)",
            Parked,
            "imap_app_password_required",
        ),
        (
            With::Password,
            At::Login,
            "NO [WEBALERT https://x.example] Web login required.",
            Parked,
            "imap_web_login_required",
        ),
    ];
    for (with, at, words, expected, code) in cases {
        let mut world = world(*with).await;
        say(&mut world.server.state(), *at, Some(words));
        world.server.deliver("kept waiting");
        world.start();
        let status = world.until(*expected).await;
        assert_eq!(status.diagnosis.as_ref().unwrap().code, *code, "{words}");
        assert_eq!(
            status.action() == Some(Action::Retry),
            *expected == Waiting,
            "{words}"
        );
        assert!(status.retry_at.is_some(), "{words}");
        say(&mut world.server.state(), *at, None);
        assert_eq!(world.until_stored(1).await, ["kept waiting"]);
        assert_eq!(
            world.until(LaneState::Ready).await.diagnosis,
            None,
            "{words}"
        );
    }
}

#[tokio::test]
async fn a_mailbox_that_moves_is_nobodys_matter() {
    let mut world = world(With::Token).await;
    world.server.state().refuse_select = Some("BAD User is authenticated but not connected.");
    world.start();
    let status = world.until(Waiting).await;
    assert_eq!(status.action(), Some(Action::Retry));
    world.server.state().refuse_select = None;
    let mut states = world.running().clone();
    loop {
        let state = states.borrow_and_update().state;
        assert_ne!(state, Parked);
        if state == LaneState::Ready {
            break;
        }
        states.changed().await.unwrap();
    }
}

#[tokio::test]
async fn a_time_that_the_server_names_is_held_whoever_asks() {
    let throttled = "NO Request is throttled. Suggested Backoff Time: 299910 milliseconds";
    let cases: &[(At, &'static str, u64, &str)] = &[
        (At::Login, throttled, 299, "imap_throttled"),
        (At::Select, throttled, 299, "imap_throttled"),
        (At::Fetch, throttled, 299, "imap_throttled"),
        (
            At::Select,
            "BAD Request is throttled. Suggested Backoff Time: 3000000 milliseconds",
            3000,
            "imap_throttled",
        ),
        (
            At::Fetch,
            "NO [LIMIT] UID FETCH Rate limit hit.",
            900,
            "imap_limit_reached",
        ),
        (
            At::Login,
            "NO [OVERQUOTA] Account exceeded command or bandwidth limits.",
            3600,
            "imap_bandwidth_limit",
        ),
        (
            At::Fetch,
            "NO [OVERQUOTA] Account exceeded command or bandwidth limits.",
            3600,
            "imap_bandwidth_limit",
        ),
    ];
    for (at, words, seconds, code) in cases {
        let mut world = world(With::Token).await;
        say(&mut world.server.state(), *at, Some(words));
        world.start();
        let status = world.until(Waiting).await;
        assert_eq!(status.diagnosis.as_ref().unwrap().code, *code, "{words}");
        assert_eq!(status.action(), Some(Action::HoldUntil), "{words}");
        let since = status.retry_at.unwrap().since(status.since).as_secs();
        assert!(
            (*seconds - 2..=*seconds + 5).contains(&since),
            "{words}: {since}"
        );
        // Neither a wish nor a new token of anybody hastens it.
        say(&mut world.server.state(), *at, None);
        world.wake();
        world.sign_in("newer", Duration::from_secs(3600)).await;
        let logins = world.server.state().logins.len();
        let mut states = world.running().clone();
        let moved = tokio::time::timeout(Duration::from_millis(300), states.changed()).await;
        assert!(
            moved.is_err() || states.borrow().state == Waiting,
            "{words}"
        );
        assert_eq!(world.server.state().logins.len(), logins, "{words}");
    }
}

#[tokio::test]
async fn when_the_time_that_the_server_named_is_over_it_is_read_again() {
    let mut world = world(With::Token).await;
    let words = "BAD Request is throttled. Suggested Backoff Time: 1500 milliseconds";
    world.server.state().refuse_fetch = Some(words);
    world.start();
    world.until(Waiting).await;
    world.server.state().refuse_fetch = None;
    world.server.deliver("later");
    assert_eq!(world.until_stored(1).await, ["later"]);
    assert_eq!(world.until(LaneState::Ready).await.diagnosis, None);
}

#[tokio::test]
async fn an_expired_token_in_the_answer_to_a_command_is_a_goodbye() {
    let mut world = world(With::Token).await;
    world.start();
    world.until(LaneState::Ready).await;
    let expired = "NO [AUTHENTICATIONFAILED] Session invalidated - AccessTokenExpired";
    world.server.state().refuse_fetch = Some(expired);
    let logins = world.server.state().logins.len();
    let mut states = world.running().clone();
    world.server.deliver("behind it");
    let connecting = states.wait_for(|status| status.state == LaneState::Connecting);
    connecting.await.unwrap();
    world.server.state().refuse_fetch = None;
    assert_eq!(world.until_stored(1).await, ["behind it"]);
    let status = world.until(LaneState::Ready).await;
    assert_eq!(status.diagnosis, None);
    assert!(world.server.state().logins.len() > logins);
}

/// Bad input 64.
#[tokio::test]
async fn a_json_challenge_is_answered_with_an_empty_line_and_classified_by_what_follows() {
    let json = r#"{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}"#;
    for (words, expected, code) in [
        (
            "NO [ALERT] Too many simultaneous connections. (Failure)",
            Waiting,
            "imap_too_many_connections",
        ),
        (
            "NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)",
            Parked,
            "imap_sign_in_refused",
        ),
        ("NO AUTHENTICATE failed.", Parked, "imap_token_refused"),
    ] {
        let mut world = world(With::Token).await;
        {
            let mut state = world.server.state();
            state.challenge = Some(STANDARD.encode(json));
            state.refuse_login = Some(words);
        }
        world.start();
        let status = world.until(expected).await;
        let diagnosis = status.diagnosis.unwrap();
        assert_eq!(diagnosis.code, code, "{words}");
        assert!(
            diagnosis.why.contains("mail.google.com"),
            "{}",
            diagnosis.why
        );
        {
            let mut state = world.server.state();
            assert!(state.challenge_answers.iter().all(String::is_empty));
            assert!(!state.challenge_answers.is_empty());
            (state.challenge, state.refuse_login) = (None, None);
        }
        world.until(LaneState::Ready).await;
    }
}

/// Bad input 64.
#[tokio::test]
async fn a_challenge_of_a_mebibyte_is_bounded_and_passing_trouble() {
    let mut world = world(With::Token).await;
    world.server.state().challenge = Some("QUJD".repeat(256 * 1024));
    world.start();
    let status = world.until(Waiting).await;
    let diagnosis = status.diagnosis.unwrap();
    assert_eq!(diagnosis.action, Action::Retry, "{diagnosis:?}");
    assert!(diagnosis.why.len() < 1000, "{}", diagnosis.why.len());
    world.server.state().challenge = None;
    world.until(LaneState::Ready).await;
}

/// Fault 45: truncated is not complete.
#[tokio::test]
async fn a_body_that_is_cut_without_a_close_notify_is_read_again_and_never_stored_in_half() {
    let mut world = world(With::Token).await;
    world.server.state().cut_body = true;
    world.server.deliver("whole");
    world.start();
    assert_eq!(world.until_stored(1).await, ["whole"]);
    world.until(LaneState::Ready).await;
    assert!(!world.server.state().cut_body);
    assert_eq!(world.server.state().logins.len(), 2);
    assert_eq!(world.received().await, 1);
    assert!(world.problems().await.is_empty());
}
