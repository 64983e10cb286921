//! Every number and every bare word of Entra's table, said by a platform to a refresh: the grant ends where its class says, and is well
//! again when the platform says it no more, with no restart.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt, stream};
use serde_json::json;

use super::{
    TokenError,
    bench::{Bench, Running, eventually, generous, secret, word},
};
use crate::{
    diagnosis::{
        Context, Failure, explain,
        tests_entra::{NUMBERS, WORDS},
    },
    model::{Action, Clock, GrantState, NewTokens},
    oauth::{
        entra,
        scripted::{Platform, Reply},
    },
};

async fn told(running: &Running, bench: &Bench) -> (&'static str, Action) {
    let mut told = None;
    eventually("the refusal is told", async || {
        match running.keeper.access_token(bench.provider).await {
            Ok(token) => panic!("{}", word(&token)),
            Err(TokenError::Pending | TokenError::Elsewhere) => false,
            Err(error) => {
                let said = explain(&Failure::from(error), &Context::default());
                told = Some((said.code, said.action));
                true
            }
        }
    })
    .await;
    told.unwrap()
}

async fn is_well(running: &Running, bench: &Bench, text: &str) {
    eventually(text, async || {
        running.keeper.access_token(bench.provider).await.is_ok()
    })
    .await;
    assert_eq!(bench.grant().await.state, GrantState::Ok, "{text}");
}

/// What a platform says, and what becomes of it.
#[derive(Clone, Copy)]
struct Said {
    error: &'static str,
    fine: Option<&'static str>,
    text: &'static str,
    code: &'static str,
    action: Action,
}

fn numbers() -> impl Iterator<Item = Said> {
    NUMBERS.iter().map(|&(error, text, code, action, _)| Said {
        error,
        fine: None,
        text,
        code,
        action,
    })
}

fn words() -> impl Iterator<Item = Said> {
    WORDS
        .iter()
        .map(|&(error, fine, text, code, action, _)| Said {
            error,
            fine,
            text,
            code,
            action,
        })
}

/// A keeper whose platform says this until the switch is turned off.
async fn refused_with(said: Said) -> (Bench, Running, Arc<AtomicBool>) {
    let refusing = Arc::new(AtomicBool::new(true));
    let asked = Arc::clone(&refusing);
    let platform = Platform::start(move |request, _| {
        if !asked.load(Ordering::Relaxed) {
            return generous(request);
        }
        let numbers = entra::numbers_in(said.text);
        let mut body = json!({
            "error": said.error, "error_description": said.text, "error_codes": numbers
        });
        if let Some(fine) = said.fine {
            body["suberror"] = json!(fine);
        }
        Reply::json(400, &body)
    })
    .await;
    let mut bench = Bench::signed_in(platform, -1).await;
    bench.settings.waits.steps = [Duration::from_millis(300); 4];
    let running = Running::start(&bench);
    (bench, running, refusing)
}

/// The same keeper from the refusal to its end.
async fn ends_where_its_class_says(said: Said) {
    let Said { code, action, .. } = said;
    let text = format!("{} {:?} {}", said.error, said.fine, said.text);
    let (bench, running, refusing) = refused_with(said).await;
    assert_eq!(told(&running, &bench).await, (code, action), "{text}");
    if action == Action::SignInAgain {
        eventually(&text, async || {
            bench.grant().await.state == GrantState::NeedsSignIn
        })
        .await;
        // A dead grant is asked for once; a bare word is confirmed before it is believed.
        let posts = bench.platform.posts();
        let sure = said.fine.is_some_and(|fine| fine != "bad_token");
        let most = if said.text.contains("AADSTS") || sure {
            1
        } else {
            2
        };
        assert!((1..=most).contains(&posts), "{text}: {posts}");
        for _ in 0..20 {
            assert_eq!(told(&running, &bench).await, (code, action), "{text}");
        }
        assert_eq!(bench.platform.posts(), posts, "{text}");
        let now = bench.clock.now();
        let tokens = NewTokens {
            access_token: secret("at-new"),
            access_expires_at: now.plus(Duration::from_secs(3600)),
            refresh_token: Some(secret("rt-new")),
            scopes: None,
            signed_in_as: None,
            tenant_id: None,
            object_id: None,
        };
        let adopted = bench.store.grant_adopt(bench.provider, &tokens, now);
        adopted.await.unwrap();
    } else {
        let stays = bench.grant().await.state;
        assert!(
            matches!(stays, GrantState::Ok | GrantState::Refreshing),
            "{text}"
        );
        refusing.store(false, Ordering::Relaxed);
        if action == Action::HoldUntil {
            // Its time is long: nobody asks again before it is over.
            let posts = bench.platform.posts();
            for _ in 0..20 {
                assert_eq!(told(&running, &bench).await, (code, action), "{text}");
            }
            assert_eq!(bench.platform.posts(), posts, "{text}");
            // No request is under way now that a leap of the clock could time out.
            tokio::time::pause();
            tokio::time::advance(Duration::from_secs(20 * 60)).await;
            tokio::time::resume();
        }
    }
    is_well(&running, &bench, &text).await;
    running.end().await;
}

async fn all_of(said: impl Iterator<Item = Said>) {
    let all: Vec<Said> = said.collect();
    let (held, others): (Vec<_>, Vec<_>) = all
        .into_iter()
        .partition(|said| said.action == Action::HoldUntil);
    assert!(!held.is_empty() && !others.is_empty());
    // Side by side: each waits most of its time.
    stream::iter(others)
        .map(ends_where_its_class_says)
        .buffer_unordered(4)
        .collect::<()>()
        .await;
    // One by one: they move the clock.
    for said in held {
        ends_where_its_class_says(said).await;
    }
}

#[tokio::test]
async fn every_number_of_entra_leaves_the_grant_where_it_belongs_until_it_is_said_no_more() {
    all_of(numbers()).await;
}

#[tokio::test]
async fn every_bare_word_leaves_the_grant_where_it_belongs_until_it_is_said_no_more() {
    all_of(words()).await;
}
