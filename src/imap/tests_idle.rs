//! IDLE, silence and commands cut short, with scripted servers.

use tokio::time::Duration;

use super::{
    testing::{greeted, session},
    *,
};
use crate::model::Uid;

fn uid(value: u32) -> Uid {
    Uid::new(value).unwrap()
}

fn listed(value: u32) -> Listed {
    Listed {
        uid: uid(value),
        size: 100,
        internal_date: None,
    }
}

#[tokio::test]
async fn idle_tells_news_survives_cancelled_waits_and_gives_the_session_back() {
    let (session, peer) = session(
        r"
        C: M4 IDLE
        S: * 4 EXISTS
        S: + idling
        S: * OK Still here
        R: * 5 EXI
        C: DONE
        R: STS\r\n
        S: M4 OK done
        C: M5 NOOP
        S: M5 OK done
    ",
    )
    .await;
    let mut idling = session.idle().await.unwrap();
    assert_eq!(
        idling.next().await.unwrap(),
        Nudge::Changed,
        "what came before the + is not lost"
    );
    for _ in 0..3 {
        let waited = tokio::time::timeout(Duration::from_millis(20), idling.next()).await;
        assert!(waited.is_err(), "a keepalive and half a line are no news");
    }
    let mut session = idling.done().await.unwrap();
    session.noop().await.unwrap();
    drop(session);
    peer.finish().await;
}

#[tokio::test]
async fn mail_announced_while_something_else_was_asked_is_told_by_idle() {
    for said in [
        "S: * 5 EXISTS\nS: M5 OK done\nC: M6 IDLE\nS: + ok",
        "S: M5 OK done\nC: M6 IDLE\nS: * 5 EXISTS\nS: + ok",
    ] {
        let (mut one, _peer) = session(&format!(
            "C: M4 UID FETCH 5:* (UID RFC822.SIZE INTERNALDATE)\nS: M4 OK\nC: M5 UID FETCH 7 (UID BODY.PEEK[])\n{said}"
        ))
        .await;
        one.list(uid(5), None).await.unwrap();
        one.fetch(&[listed(7)]).await.unwrap();
        let mut idling = one.idle().await.unwrap();
        assert_eq!(idling.next().await.unwrap(), Nudge::Changed, "{said}");
    }
}

#[tokio::test]
async fn refused_idle_ended_idle_and_a_hang_up_are_told_apart() {
    let (one, _peer) = session("C: M4 IDLE\nS: M4 NO not here").await;
    let error = one.idle().await.map(drop).unwrap_err();
    assert!(
        matches!(
            error,
            ImapError::Refused {
                during: Step::Idle,
                ..
            }
        ),
        "{error:?}"
    );
    let (one, _peer) = session("C: M4 IDLE\nS: M4 BAD").await;
    assert!(matches!(
        one.idle().await.map(drop),
        Err(ImapError::Refused { .. })
    ));

    let (one, peer) = session("C: M4 IDLE\nS: + ok\nS: M4 OK enough\nC: M5 NOOP\nS: M5 OK").await;
    let mut idling = one.idle().await.unwrap();
    assert_eq!(idling.next().await.unwrap(), Nudge::Ended);
    idling.done().await.unwrap().noop().await.unwrap();
    peer.finish().await;

    let (one, _peer) = session("C: M4 IDLE\nS: + ok\nS: * BYE Connection closed. 14\nX").await;
    let mut idling = one.idle().await.unwrap();
    assert!(matches!(idling.next().await, Err(ImapError::Bye { .. })));

    let (one, _peer) = session("C: M4 IDLE\nS: + ok\nX").await;
    let mut idling = one.idle().await.unwrap();
    assert!(matches!(idling.next().await, Err(ImapError::Broken { .. })));
}

#[tokio::test(start_paused = true)]
async fn silence_has_an_end_in_every_step() {
    let (result, _peer) = greeted("C: never").await;
    assert!(matches!(
        result,
        Err(ImapError::TimedOut {
            during: Step::Greeting
        })
    ));
    let (mut one, _peer) = session("C: M4 NOOP\nC: never").await;
    assert!(matches!(
        one.noop().await,
        Err(ImapError::TimedOut { during: Step::Noop })
    ));
    let (one, _peer) = session("C: M4 IDLE\nC: never").await;
    assert!(matches!(
        one.idle().await.map(drop),
        Err(ImapError::TimedOut { .. })
    ));
    let (one, _peer) = session("C: M4 IDLE\nS: + ok\nC: DONE\nC: never").await;
    let error = one
        .idle()
        .await
        .unwrap()
        .done()
        .await
        .map(drop)
        .unwrap_err();
    assert!(matches!(error, ImapError::TimedOut { .. }), "{error:?}");
}

#[tokio::test]
async fn a_command_cut_short_leaves_a_session_that_refuses_to_go_on() {
    let (mut one, _peer) = session("C: M4 NOOP\nC: never").await;
    let cut = tokio::time::timeout(Duration::from_millis(20), one.noop()).await;
    assert!(cut.is_err());
    let error = one.noop().await.unwrap_err();
    assert!(matches!(error, ImapError::Broken { .. }), "{error:?}");
}
