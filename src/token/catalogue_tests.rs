//! Every number of Entra's table, said by a platform to a refresh: the grant ends where its class says, and is well
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
        tests_entra::{Literal, NUMBERS},
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

async fn ends_where_its_class_says((error, text, code, action, _): &'static Literal) {
    let refusing = Arc::new(AtomicBool::new(true));
    let asked = Arc::clone(&refusing);
    let platform = Platform::start(move |request, _| {
        if !asked.load(Ordering::Relaxed) {
            return generous(request);
        }
        let numbers = entra::numbers_in(text);
        Reply::json(
            400,
            &json!({"error": error, "error_description": text, "error_codes": numbers}),
        )
    })
    .await;
    let mut bench = Bench::signed_in(platform, -1).await;
    bench.settings.waits.steps = [Duration::from_millis(300); 4];
    let mut running = Running::start(&bench);
    assert_eq!(told(&running, &bench).await, (*code, *action), "{text}");
    if *action == Action::SignInAgain {
        assert_eq!(bench.grant().await.state, GrantState::NeedsSignIn, "{text}");
        for _ in 0..20 {
            assert_eq!(told(&running, &bench).await, (*code, *action), "{text}");
        }
        // A dead grant is asked for once.
        assert_eq!(bench.platform.posts(), 1, "{text}");
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
        if *action == Action::HoldUntil {
            // Its time is long: it is not asked again before, but by a process that knows nothing of it.
            let posts = bench.platform.posts();
            assert_eq!(told(&running, &bench).await, (*code, *action), "{text}");
            assert_eq!(bench.platform.posts(), posts, "{text}");
            running.end().await;
            running = Running::start(&bench);
        }
    }
    is_well(&running, &bench, text).await;
    running.end().await;
}

#[tokio::test]
async fn every_number_of_entra_leaves_the_grant_where_it_belongs_until_it_is_said_no_more() {
    // Side by side: each waits most of its time.
    stream::iter(NUMBERS)
        .map(ends_where_its_class_says)
        .buffer_unordered(4)
        .collect::<()>()
        .await;
}
