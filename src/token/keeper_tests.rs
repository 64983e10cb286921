//! The keeper against a scripted platform and a real store (reliability matrix rows 46, 48, 49).

use std::{sync::Arc, time::Duration};

use secrecy::ExposeSecret;
use serde_json::json;
use sqlx::Connection;
use tokio::{sync::watch, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{
    Token, TokenError,
    bench::{Bench, eventually, secret, wait_until_asked},
};
use crate::{
    model::{CloudProviderId, GrantState, NewTokens, NodeId},
    oauth::{
        OauthError,
        scripted::{Platform, Reply},
    },
    store::CloudProviderChange,
};

/// Answers `at-N` and `rt-N` to request N, only to who brings the newest refresh token; using an older one
/// again revokes the whole family, as strict platforms do.
fn rotating() -> impl Fn(&crate::oauth::scripted::Request, usize) -> Reply + Send + Sync {
    |request, number| {
        if request.form["refresh_token"] == format!("rt-{}", number - 1) {
            Reply::tokens(&format!("at-{number}"), Some(&format!("rt-{number}")))
        } else {
            Reply::refusal("invalid_grant", &[70000])
        }
    }
}

fn word(token: &Token) -> &str {
    token.secret.expose_secret()
}

/// As [`rotating`], but nothing is answered before the gate is opened.
async fn gated() -> (watch::Sender<bool>, Platform) {
    let (gate, closed) = watch::channel(false);
    let answer = rotating();
    let platform =
        Platform::start(move |request, number| answer(request, number).behind(closed.clone()))
            .await;
    (gate, platform)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_callers_who_need_a_token_cause_one_request() {
    // reliability matrix row 48.
    let (gate, platform) = gated().await;
    let bench = Bench::signed_in(platform, -1).await;
    let keeper = bench.keeper();
    let mut callers = JoinSet::new();
    for _ in 0..200 {
        let (keeper, provider) = (keeper.clone(), bench.provider);
        callers.spawn(async move { keeper.access_token(provider).await.unwrap() });
    }
    bench.platform.reached(1).await;
    gate.send_replace(true);
    while let Some(token) = callers.join_next().await {
        let token = token.unwrap();
        assert_eq!((word(&token), token.version), ("at-1", 2));
    }
    assert_eq!(bench.platform.posts(), 1);
    assert_eq!(bench.refresh_token().await, "rt-1");
    assert_eq!(bench.grant().await.state, GrantState::Ok);
}

#[tokio::test]
async fn a_stored_token_that_is_still_good_is_used_without_a_request() {
    let bench = Bench::signed_in(Platform::start(rotating()).await, 3600).await;
    let token = bench.keeper().access_token(bench.provider).await.unwrap();
    assert_eq!((word(&token), token.version), ("at-0", 1));
    assert_eq!(bench.platform.posts(), 0);
}

#[tokio::test]
async fn a_caller_who_goes_away_does_not_lose_the_rotated_token() {
    let (gate, platform) = gated().await;
    let bench = Bench::signed_in(platform, -1).await;
    let keeper = bench.keeper();
    wait_until_asked(keeper.access_token(bench.provider), &bench.platform, 1).await;
    gate.send_replace(true);
    let token = keeper.access_token(bench.provider).await.unwrap();
    assert_eq!(word(&token), "at-1");
    assert_eq!(bench.platform.posts(), 1);
    assert_eq!(bench.refresh_token().await, "rt-1");
}

#[tokio::test]
async fn a_token_is_not_handed_out_before_the_rotated_one_is_stored() {
    // I3.
    let (gate, platform) = gated().await;
    let mut bench = Bench::signed_in(platform, -1).await;
    bench.settings.patience = Duration::from_millis(700);
    let keeper = bench.keeper();
    let first = {
        let (keeper, provider) = (keeper.clone(), bench.provider);
        let mut task = JoinSet::new();
        task.spawn(async move { keeper.access_token(provider).await });
        task
    };
    bench.platform.reached(1).await;
    let lock = bench.database_refuses().await;
    gate.send_replace(true);
    for outcome in first.join_all().await {
        assert!(matches!(outcome, Err(TokenError::Pending)), "{outcome:?}");
    }
    // Still refused, still not handed out, and not asked for again.
    let again = keeper.access_token(bench.provider).await;
    assert!(matches!(again, Err(TokenError::Pending)), "{again:?}");
    assert_eq!(bench.refresh_token().await, "rt-0");
    lock.close().await.unwrap();
    let slow = async || keeper.access_token(bench.provider).await.ok();
    eventually("the token is recorded and handed out", async || {
        slow().await.is_some()
    })
    .await;
    assert_eq!(word(&slow().await.unwrap()), "at-1");
    assert_eq!(bench.refresh_token().await, "rt-1");
    assert_eq!(bench.platform.posts(), 1);
}

#[tokio::test]
async fn nothing_is_asked_of_the_platform_while_the_database_takes_no_commits() {
    let bench = Bench::signed_in(Platform::start(rotating()).await, -1).await;
    let keeper = bench.keeper();
    let lock = bench.database_refuses().await;
    let refused = keeper.access_token(bench.provider).await;
    assert!(matches!(refused, Err(TokenError::Store(_))), "{refused:?}");
    assert_eq!(bench.platform.posts(), 0);
    lock.close().await.unwrap();
    let token = keeper.access_token(bench.provider).await.unwrap();
    assert_eq!(word(&token), "at-1");
}

#[tokio::test]
async fn two_lanes_refused_with_the_same_token_cause_one_refresh() {
    let bench = Bench::signed_in(Platform::start(rotating()).await, 3600).await;
    let keeper = bench.keeper();
    let provider = bench.provider;
    let old = keeper.access_token(provider).await.unwrap();
    keeper.refused(provider, old.version);
    keeper.refused(provider, old.version);
    let new = keeper.access_token(provider).await.unwrap();
    assert_eq!((word(&new), new.version), ("at-1", 2));
    // The slower lane comes late with the old version.
    keeper.refused(provider, old.version);
    let same = keeper.access_token(provider).await.unwrap();
    assert_eq!(same.version, 2);
    assert_eq!(bench.platform.posts(), 1);
}

#[tokio::test]
async fn a_mailbox_that_refuses_every_token_does_not_cause_a_refresh_each_time() {
    let bench = Bench::signed_in(Platform::start(rotating()).await, 3600).await;
    let keeper = bench.keeper();
    let provider = bench.provider;
    for _ in 0..20 {
        let token = keeper.access_token(provider).await.unwrap();
        keeper.refused(provider, token.version);
    }
    assert_eq!(bench.platform.posts(), 1);
    // The grant's other accounts go on with the newest token (I6).
    assert_eq!(word(&keeper.access_token(provider).await.unwrap()), "at-1");
}

/// A row as a process leaves it that was killed in the middle of a refresh.
async fn interrupted(bench: &Bench) {
    let (store, dead) = (&bench.store, NodeId::random());
    let now = crate::model::Clock::now(&bench.clock);
    let epoch = store
        .grant_hold(bench.provider, &dead)
        .await
        .unwrap()
        .unwrap();
    let begun = store.grant_refresh_begin(bench.provider, &dead, epoch, 1, "attempt-1", now);
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
    assert_eq!(
        word(&keeper.access_token(bench.provider).await.unwrap()),
        "at-1"
    );
    stop.cancel();
    task.join_all().await;
    assert_eq!(bench.platform.posts(), 1);
}

#[tokio::test]
async fn a_rotation_lost_in_a_crash_asks_for_a_new_sign_in_and_says_why() {
    // reliability matrix row 47 with a platform that gives no grace.
    let platform = Platform::start(|_, _| Reply::refusal("invalid_grant", &[])).await;
    let bench = Bench::signed_in(platform, -1).await;
    interrupted(&bench).await;
    let refused = bench.keeper().access_token(bench.provider).await;
    let Err(TokenError::NeedsSignIn { reason }) = refused else {
        panic!("{refused:?}");
    };
    assert!(reason.contains("interrupted"), "{reason}");
    assert!(reason.contains("invalid_grant"), "{reason}");
}

#[tokio::test]
async fn a_dead_grant_is_asked_for_once_and_not_again_before_a_person_signs_in() {
    // reliability matrix row 49.
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
    // reliability matrix row 46, bad input 62.
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
        assert_eq!(bench.grant().await.state, GrantState::Ok);
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
    assert_eq!(
        grant.signed_in_as.as_deref(),
        Some("andrea@contoso.example")
    );
    assert_eq!(grant.scopes.as_deref(), Some("mail"));
}

#[tokio::test]
async fn tokens_of_a_second_are_kept_fresh_ahead_of_expiry_without_a_caller() {
    let platform = Platform::start(|_, number| {
        let (access, refresh) = (format!("at-{number}"), format!("rt-{number}"));
        Reply::json(
            200,
            &json!({"access_token": access, "refresh_token": refresh, "expires_in": 1}),
        )
    })
    .await;
    let bench = Bench::signed_in(platform, 1).await;
    let keeper = bench.keeper();
    let stop = CancellationToken::new();
    let mut task = JoinSet::new();
    let (running, stopping) = (keeper.clone(), stop.clone());
    task.spawn(async move { running.run(stopping).await });
    for posts in 1..=4 {
        bench.platform.reached(posts).await;
        // Ahead of expiry: whoever asks gets a token at once.
        assert!(keeper.access_token(bench.provider).await.is_ok());
    }
    stop.cancel();
    task.join_all().await;
    // One refresh per token, none of them twice.
    let brought: Vec<String> = bench
        .platform
        .requests()
        .into_iter()
        .map(|request| request.form["refresh_token"].clone())
        .collect();
    for (number, token) in brought.iter().enumerate() {
        assert_eq!(*token, format!("rt-{number}"));
    }
}

#[tokio::test]
async fn the_end_waits_for_the_answer_in_flight_and_records_it() {
    let (gate, platform) = gated().await;
    let bench = Bench::signed_in(platform, -1).await;
    let keeper = bench.keeper();
    let stop = CancellationToken::new();
    let mut task = JoinSet::new();
    let (running, stopping) = (keeper.clone(), stop.clone());
    task.spawn(async move { running.run(stopping).await });
    bench.platform.reached(1).await;
    stop.cancel();
    eventually("no new refresh is begun", async || {
        let other = CloudProviderId::new(999);
        matches!(keeper.access_token(other).await, Err(TokenError::Stopping))
    })
    .await;
    assert!(
        task.try_join_next().is_none(),
        "it ended with a refresh in flight"
    );
    gate.send_replace(true);
    task.join_all().await;
    assert_eq!(bench.refresh_token().await, "rt-1");
}

#[tokio::test]
async fn a_clock_set_back_or_forward_costs_one_refresh() {
    // reliability matrix row 50.
    let bench = Bench::signed_in(Platform::start(rotating()).await, 3600).await;
    let keeper = bench.keeper();
    let stop = CancellationToken::new();
    let mut task = JoinSet::new();
    let (running, stopping) = (keeper.clone(), stop.clone());
    task.spawn(async move { running.run(stopping).await });
    let provider = bench.provider;
    assert_eq!(word(&keeper.access_token(provider).await.unwrap()), "at-0");
    for (posts, days) in [(1, 3650), (2, -3651)] {
        bench.clock.advance(days * 86_400);
        bench.platform.reached(posts).await;
        eventually("the new token is published", async || {
            let token = keeper.access_token(provider).await.unwrap();
            word(&token) == format!("at-{posts}")
        })
        .await;
    }
    stop.cancel();
    task.join_all().await;
    assert_eq!(bench.platform.posts(), 2);
}

#[tokio::test]
async fn a_provider_nobody_signed_in_to_or_that_is_gone_is_told_apart() {
    let bench = Bench::new(Platform::start(rotating()).await).await;
    let keeper = bench.keeper();
    let nobody = keeper.access_token(bench.provider).await;
    assert!(matches!(nobody, Err(TokenError::NotSignedIn)), "{nobody:?}");
    let gone = keeper.access_token(CloudProviderId::new(999)).await;
    assert!(matches!(gone, Err(TokenError::ProviderMissing)), "{gone:?}");
    assert_eq!(bench.platform.posts(), 0);
}

#[tokio::test]
async fn a_grant_that_another_living_node_holds_is_left_to_it() {
    let bench = Bench::signed_in(Platform::start(rotating()).await, -1).await;
    let other = crate::store::NodeRow {
        id: NodeId::random(),
        name: "other".into(),
        home: "elsewhere".into(),
        beat: 0,
        started_at: crate::model::Clock::now(&bench.clock),
    };
    bench.store.node_register(&other).await.unwrap();
    bench
        .store
        .grant_hold(bench.provider, &other.id)
        .await
        .unwrap()
        .unwrap();
    let refused = bench.keeper().access_token(bench.provider).await;
    assert!(matches!(refused, Err(TokenError::Elsewhere)), "{refused:?}");
    assert_eq!(bench.platform.posts(), 0);
}
