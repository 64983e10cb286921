//! The keeper when the platform, the process or an administrator is in trouble (faults 46, 47, 49),
//! against a scripted platform and a real store.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tokio::{task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{
    TokenError,
    bench::{Bench, eventually, rotating, secret, word},
};
use crate::{
    model::{GrantState, NewTokens, NodeId},
    oauth::{
        OauthError,
        scripted::{Platform, Reply},
    },
    store::CloudProviderChange,
};

/// A row as a process leaves it that was killed in the middle of a refresh.
async fn interrupted(bench: &Bench) {
    let (store, dead) = (&bench.store, NodeId::random());
    let now = crate::model::Clock::now(&bench.clock);
    let epoch = store
        .grant_hold(bench.provider, &dead)
        .await
        .unwrap()
        .unwrap();
    let begun = store.grant_refresh_begin(
        bench.provider,
        &dead,
        epoch,
        (1, None),
        "bench.attempt-1",
        now,
    );
    assert!(begun.await.unwrap());
    assert_eq!(bench.grant().await.state, GrantState::Refreshing);
}

#[tokio::test]
async fn a_refresh_interrupted_by_a_crash_is_done_again_at_once() {
    let bench = Bench::signed_in(Platform::start(rotating()).await, 3600).await;
    interrupted(&bench).await;
    let keeper = bench.keeper();
    let stop = CancellationToken::new();
    let mut task = JoinSet::new();
    let (running, stopping) = (keeper.clone(), stop.clone());
    task.spawn(async move { running.run(stopping).await });
    // Nobody asks, and the stored access token would be good for another hour.
    eventually("the rotated token is stored", async || {
        bench.refresh_token().await == "rt-1"
    })
    .await;
    assert_eq!(bench.grant().await.state, GrantState::Ok);
    eventually("the new token is handed out", async || {
        word(&keeper.access_token(bench.provider).await.unwrap()) == "at-1"
    })
    .await;
    stop.cancel();
    task.join_all().await;
    assert_eq!(bench.platform.posts(), 1);
}

#[tokio::test]
async fn a_rotation_lost_in_a_crash_asks_for_a_new_sign_in_and_says_why() {
    // Fault 47 with a platform that gives no grace.
    let platform = Platform::start(|_, _| Reply::refusal("invalid_grant", &[])).await;
    let bench = Bench::signed_in(platform, -1).await;
    interrupted(&bench).await;
    let refused = bench.keeper().access_token(bench.provider).await;
    let Err(TokenError::NeedsSignIn { reason }) = refused else {
        panic!("{refused:?}");
    };
    assert!(
        reason.contains("the answer to an earlier refresh was lost"),
        "{reason}"
    );
    assert!(reason.contains("invalid_grant"), "{reason}");
}

#[tokio::test]
async fn a_dead_grant_is_asked_for_once_and_not_again_before_a_person_signs_in() {
    // Fault 49.
    let platform = Platform::start(|request, _| {
        if request.form["refresh_token"] == "rt-new" {
            Reply::tokens("at-newer", None)
        } else {
            Reply::refusal("invalid_grant", &[70000])
        }
    })
    .await;
    let bench = Bench::signed_in(platform, -1).await;
    let keeper = bench.keeper();
    let stop = CancellationToken::new();
    let mut task = JoinSet::new();
    let (running, stopping) = (keeper.clone(), stop.clone());
    task.spawn(async move { running.run(stopping).await });
    for _ in 0..50 {
        let refused = keeper.access_token(bench.provider).await;
        assert!(
            matches!(&refused, Err(TokenError::NeedsSignIn { reason }) if reason.contains("invalid_grant")),
            "{refused:?}"
        );
    }
    // Neither does another keeper (a restart).
    let restarted = bench.keeper().access_token(bench.provider).await;
    assert!(matches!(restarted, Err(TokenError::NeedsSignIn { .. })));
    assert_eq!(bench.platform.posts(), 1);
    let grant = bench.grant().await;
    assert_eq!(grant.state, GrantState::NeedsSignIn);
    assert!(grant.reason.unwrap().contains("invalid_grant"));
    // A person signs in, by way of another node: the poll finds it, and who waits is told.
    let now = crate::model::Clock::now(&bench.clock);
    let tokens = NewTokens {
        access_token: secret("at-new"),
        access_expires_at: now,
        refresh_token: Some(secret("rt-new")),
        scopes: None,
        signed_in_as: None,
        tenant_id: None,
        object_id: None,
    };
    let mut changes = keeper.changes();
    changes.mark_unchanged();
    bench
        .store
        .grant_adopt(bench.provider, &tokens, now)
        .await
        .unwrap();
    timeout(Duration::from_secs(20), changes.changed())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        word(&keeper.access_token(bench.provider).await.unwrap()),
        "at-newer"
    );
    stop.cancel();
    task.join_all().await;
}

#[tokio::test]
async fn trouble_at_the_platform_waits_and_everybody_learns_it_without_asking() {
    let platform = Platform::start(|_, number| match number {
        1 => Reply::raw(503, "text/html", b"<h1>no</h1>"),
        2 => Reply::json(429, &json!({})).header("Retry-After", "1"),
        _ => Reply::tokens("at-9", Some("rt-9")),
    })
    .await;
    let bench = Bench::signed_in(platform, -1).await;
    let keeper = bench.keeper();
    let provider = bench.provider;
    let refused = async || match keeper.access_token(provider).await {
        Err(TokenError::Oauth(error)) => error,
        other => panic!("{other:?}"),
    };
    for _ in 0..20 {
        assert!(matches!(
            refused().await,
            OauthError::Unavailable { status: 503, .. }
        ));
    }
    assert_eq!(bench.platform.posts(), 1);
    assert_eq!(bench.grant().await.state, GrantState::Ok);
    assert_eq!(bench.refresh_token().await, "rt-0");
    eventually("the next try is throttled", async || {
        matches!(refused().await, OauthError::Throttled { .. })
    })
    .await;
    assert_eq!(bench.platform.posts(), 2);
    assert!(keeper.trouble(provider).is_some());
    eventually("the platform is well again", async || {
        keeper.access_token(provider).await.is_ok()
    })
    .await;
    assert_eq!(bench.platform.posts(), 3);
    assert!(keeper.trouble(provider).is_none());
}

#[tokio::test]
async fn the_old_token_is_handed_out_while_it_is_valid_and_the_platform_is_ill() {
    let platform = Platform::start(|_, _| Reply::raw(500, "text/plain", b"")).await;
    let bench = Bench::signed_in(platform, 3600).await;
    let keeper = bench.keeper();
    let token = keeper.access_token(bench.provider).await.unwrap();
    keeper.refused(bench.provider, token.version);
    for _ in 0..5 {
        let token = keeper.access_token(bench.provider).await.unwrap();
        assert_eq!(word(&token), "at-0");
    }
    assert_eq!(bench.platform.posts(), 1);
    bench.clock.advance(4000);
    assert!(matches!(
        keeper.access_token(bench.provider).await,
        Err(TokenError::Oauth(_))
    ));
}

#[tokio::test]
async fn a_wrong_client_secret_keeps_the_grant_and_is_cured_by_editing_the_provider() {
    let platform = Platform::start(|request, _| {
        if request.form["client_secret"] == "right" {
            Reply::tokens("at-1", Some("rt-1"))
        } else {
            Reply::refusal("invalid_client", &[7_000_215])
        }
    })
    .await;
    let bench = Bench::signed_in(platform, -1).await;
    let keeper = bench.keeper();
    let provider = bench.provider;
    for _ in 0..20 {
        let refused = keeper.access_token(provider).await;
        assert!(
            matches!(&refused, Err(TokenError::Oauth(OauthError::Refused(refusal))) if refusal.codes == [7_000_215]),
            "{refused:?}"
        );
    }
    assert_eq!(bench.platform.posts(), 1);
    assert_eq!(bench.grant().await.state, GrantState::Ok);
    let change = CloudProviderChange {
        client_secret: Some(secret("right")),
        ..CloudProviderChange::default()
    };
    let now = crate::model::Clock::now(&bench.clock);
    bench
        .store
        .provider_change(provider, &change, now)
        .await
        .unwrap();
    keeper.provider_changed(provider);
    assert_eq!(word(&keeper.access_token(provider).await.unwrap()), "at-1");
}

#[tokio::test]
async fn answers_that_are_nonsense_lose_no_refresh_token() {
    // Fault 46, bad input 62.
    let long = "a".repeat(1 << 20);
    let replies = Arc::new([
        Reply::raw(200, "text/html", b"<html>"),
        Reply::raw(200, "application/json", &vec![b' '; 10 << 20]),
        Reply::tokens(&long, Some("rt-bad")),
        Reply::tokens("at\r\nX", Some("rt-bad")),
        Reply::json(
            200,
            &json!({"access_token": "a", "refresh_token": "rt-bad", "token_type": "mac"}),
        ),
        Reply::raw(307, "text/plain", b"").header("Location", "http://169.254.169.254/"),
        Reply::json(200, &json!({"access_token": "at-7", "expires_in": "-1"})),
    ]);
    let script = replies.clone();
    let platform = Platform::start(move |_, number| script[number - 1].clone()).await;
    let bench = Bench::signed_in(platform, -1).await;
    for bad in 1..replies.len() {
        // A new keeper each time, so that no wait stands between.
        let refused = bench.keeper().access_token(bench.provider).await;
        assert!(
            matches!(refused, Err(TokenError::Oauth(OauthError::Nonsense { .. }))),
            "reply {bad}: {refused:?}"
        );
        assert_eq!(bench.refresh_token().await, "rt-0", "reply {bad}");
        // Whether the platform gave a new refresh token away with it, nobody knows.
        assert_eq!(bench.grant().await.state, GrantState::Refreshing);
    }
    // No new refresh token, and a lifetime that cannot be meant: used, and not asked for again at once.
    let keeper = bench.keeper();
    for _ in 0..5 {
        assert_eq!(
            word(&keeper.access_token(bench.provider).await.unwrap()),
            "at-7"
        );
    }
    assert_eq!(bench.refresh_token().await, "rt-0");
    assert_eq!(bench.platform.posts(), replies.len());
    let grant = bench.grant().await;
    assert_eq!(grant.state, GrantState::Ok);
    assert_eq!(
        grant.signed_in_as.as_deref(),
        Some("andrea@contoso.example")
    );
    assert_eq!(grant.scopes.as_deref(), Some("mail"));
}
