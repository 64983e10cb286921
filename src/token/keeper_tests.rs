//! The keeper against a scripted platform and a real store (faults 48, 50).

use std::time::Duration;

use serde_json::json;
use sqlx::Connection;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{
    TokenError,
    bench::{Bench, Running, eventually, gated, rotating, wait_until_asked, word},
};
use crate::{
    model::{CloudProviderId, GrantState, NodeId},
    oauth::scripted::{Platform, Reply},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_callers_who_need_a_token_cause_one_request() {
    // Fault 48.
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
    let running = Running::start(&bench);
    let keeper = &running.keeper;
    for posts in 1..=4 {
        bench.platform.reached(posts).await;
        // Ahead of expiry: whoever asks gets a token at once.
        assert!(keeper.access_token(bench.provider).await.is_ok());
    }
    running.end().await;
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
    // Fault 50.
    let bench = Bench::signed_in(Platform::start(rotating()).await, 3600).await;
    let running = Running::start(&bench);
    let keeper = &running.keeper;
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
    running.end().await;
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

#[tokio::test]
async fn an_answer_that_does_not_come_holds_the_end_up_no_longer_than_the_drain_time() {
    let (_never, platform) = gated().await;
    let mut bench = Bench::signed_in(platform, -1).await;
    bench.settings.drain = Duration::from_millis(100);
    let running = Running::start(&bench);
    bench.platform.reached(1).await;
    let ended = tokio::time::timeout(Duration::from_secs(10), running.end()).await;
    assert!(ended.is_ok(), "the end waits for the platform");
    // The next start finds it interrupted, and does it again.
    assert_eq!(bench.grant().await.state, GrantState::Refreshing);
}
