//! Many grants at one platform, and many who ask (faults 46, 48, 50).

use std::time::Duration;

use serde_json::json;
use tokio::{task::JoinSet, time::timeout};

use super::{
    TokenError,
    bench::{Bench, Running, eventually, gated, generous, secret, word},
};
use crate::{
    model::{Clock, CloudProviderId, GrantState, NewTokens, Timestamp},
    oauth::scripted::{Platform, Reply},
};

impl Bench {
    /// One more provider at the same platform, signed in with `rt-NAME` and an access token that lives so long.
    async fn another(&self, name: &str, seconds: i64) -> CloudProviderId {
        let provider = self.platform.provider(name);
        let now = self.clock.now();
        let id = self.store.provider_add(&provider, now).await.unwrap().id;
        let tokens = NewTokens {
            access_token: secret("old"),
            access_expires_at: Timestamp::from_millis(now.millis() + seconds * 1000),
            refresh_token: Some(secret(&format!("rt-{name}"))),
            scopes: None,
            signed_in_as: None,
            tenant_id: None,
            object_id: None,
        };
        self.store.grant_adopt(id, &tokens, now).await.unwrap();
        id
    }

    /// How often the platform was asked with this provider's first refresh token.
    fn asked_for(&self, name: &str) -> usize {
        let requests = self.platform.requests();
        let token = format!("rt-{name}");
        requests
            .iter()
            .filter(|request| request.form["refresh_token"] == token)
            .count()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_accounts_on_one_grant_cause_one_refresh_and_all_log_in_with_its_token() {
    let bench = Bench::signed_in(Platform::start(|r, _| generous(r)).await, -1).await;
    let running = Running::start(&bench);
    let mut lanes = JoinSet::new();
    // Two lanes of each account, which come back with the token refused once, as a server does at its expiry.
    for _ in 0..100 {
        let (keeper, provider) = (running.keeper.clone(), bench.provider);
        lanes.spawn(async move {
            let first = keeper.access_token(provider).await.unwrap();
            assert_eq!(first.version, 2);
        });
    }
    lanes.join_all().await;
    assert_eq!(bench.platform.posts(), 1);
    let mut lanes = JoinSet::new();
    for _ in 0..100 {
        let (keeper, provider) = (running.keeper.clone(), bench.provider);
        lanes.spawn(async move {
            keeper.refused(provider, 2);
            let second = keeper.access_token(provider).await.unwrap();
            assert_eq!(second.version, 3);
        });
    }
    lanes.join_all().await;
    assert_eq!(bench.platform.posts(), 2);
    running.end().await;
}

#[tokio::test]
async fn requests_of_many_grants_begin_no_closer_together_than_the_platform_is_promised() {
    let platform = Platform::start(|r, _| generous(r)).await;
    let mut bench = Bench::new(platform).await;
    bench.settings.limits.spacing = Duration::from_millis(20);
    let mut grants = Vec::new();
    for number in 0..30 {
        grants.push(bench.another(&number.to_string(), -1).await);
    }
    let keeper = bench.keeper();
    let begun = std::time::Instant::now();
    let mut asking = JoinSet::new();
    for grant in grants {
        let keeper = keeper.clone();
        asking.spawn(async move { keeper.access_token(grant).await.unwrap() });
    }
    asking.join_all().await;
    // Never faster; a busy machine may take longer.
    assert!(begun.elapsed() >= Duration::from_millis(20 * 29));
    assert_eq!(bench.platform.posts(), 30);
}

#[tokio::test]
async fn one_grants_slow_down_delays_refreshes_that_can_wait_and_no_account_without_a_token() {
    // Fault 46; I6.
    let platform = Platform::start(|request, _| match &*request.form["refresh_token"] {
        "rt-loud" => Reply::json(429, &json!({})).header("Retry-After", "3600"),
        _ => generous(request),
    })
    .await;
    let bench = Bench::new(platform).await;
    let loud = bench.another("loud", -1).await;
    let calm = bench.another("calm", 3600).await;
    let poor = bench.another("poor", 3600).await;
    let running = Running::start(&bench);
    eventually("the platform asks to slow down", async || {
        running.keeper.trouble(loud).is_some()
    })
    .await;
    // Now both are due, and one of them has no token that is good for a use.
    bench.clock.advance(3000);
    let poor_token = running.keeper.access_token(poor).await.unwrap();
    assert_eq!(word(&poor_token), "old");
    running.keeper.refused(poor, poor_token.version);
    let poor_token = running.keeper.access_token(poor).await.unwrap();
    assert_eq!(word(&poor_token), "at-of-rt-poor");
    let calm_token = running.keeper.access_token(calm).await.unwrap();
    assert_eq!(word(&calm_token), "old");
    assert_eq!(bench.asked_for("calm"), 0);
    // At the latest when it has none either, it is asked for, ahead of any lane.
    bench.clock.advance(590);
    running.keeper.provider_changed(calm);
    eventually("the token is replaced", async || {
        bench.asked_for("calm") == 1
    })
    .await;
    running.end().await;
    assert_eq!(bench.asked_for("loud"), 1);
}

#[tokio::test]
async fn a_platform_that_answers_nobody_gets_probes_only_and_everybody_is_well_when_it_is() {
    let (well, ill) = tokio::sync::watch::channel(false);
    let platform = Platform::start(move |request, _| {
        if *ill.borrow() {
            generous(request)
        } else {
            Reply::raw(503, "text/plain", b"")
        }
    })
    .await;
    let mut bench = Bench::new(platform).await;
    // Each grant alone would ask twenty times a second; the platform is probed every half second at most.
    bench.settings.waits.grace = Duration::from_millis(50);
    bench.settings.waits.retry.first = Duration::from_millis(50);
    bench.settings.waits.retry.cap = Duration::from_millis(50);
    bench.settings.limits.spacing = Duration::from_millis(1);
    bench.settings.limits.probe.first = Duration::from_millis(500);
    bench.settings.limits.probe.cap = Duration::from_millis(500);
    let mut grants = Vec::new();
    for number in 0..20 {
        grants.push(bench.another(&number.to_string(), -1).await);
    }
    let running = Running::start(&bench);
    let keeper = &running.keeper;
    let all = async |expected: bool| {
        for grant in &grants {
            let good = keeper.access_token(*grant).await;
            if good.is_ok() != expected {
                return false;
            }
        }
        true
    };
    bench.platform.reached(5).await;
    let begun = std::time::Instant::now();
    for _ in 0..3 {
        assert!(all(false).await);
    }
    // Five failures and those under way then, and after that one each half second at most.
    let probes = usize::try_from(begun.elapsed().as_millis() / 500 + 1).unwrap();
    let posts = bench.platform.posts();
    assert!(posts <= 5 + 16 + probes, "{posts} requests");
    well.send_replace(true);
    eventually("every grant has its token", async || all(true).await).await;
    running.end().await;
}

#[tokio::test]
async fn a_clock_that_jumps_costs_each_grant_one_refresh_and_no_account_its_token() {
    // Fault 50.
    let platform = Platform::start(|r, _| generous(r)).await;
    let mut bench = Bench::new(platform).await;
    bench.settings.limits.spacing = Duration::from_millis(1);
    let mut grants = Vec::new();
    for number in 0..10 {
        grants.push(bench.another(&number.to_string(), 3600).await);
    }
    let running = Running::start(&bench);
    eventually("the grants are known", async || {
        running.keeper.access_token(grants[9]).await.is_ok()
    })
    .await;
    let day = 86_400;
    for (jump, rounds) in [(day, 1), (-day, 2), (3650 * day, 3), (-3651 * day, 4)] {
        bench.clock.advance(jump);
        bench.platform.reached(10 * rounds).await;
        eventually("every grant has a new token", async || {
            let mut new = 0;
            for grant in &grants {
                let token = running.keeper.access_token(*grant).await.unwrap();
                new += usize::from(token.version == i64::try_from(rounds).unwrap() + 1);
            }
            new == 10
        })
        .await;
        assert_eq!(bench.platform.posts(), 10 * rounds, "after {jump} s");
    }
    for grant in &grants {
        let row = bench.store.grant_get(*grant).await.unwrap().unwrap();
        assert_eq!(row.state, GrantState::Ok);
    }
    running.end().await;
    assert_eq!(bench.platform.posts(), 40);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_tasks_on_three_nodes_that_need_one_grants_token_cost_one_request() {
    // Fault 48.
    let (gate, platform) = gated().await;
    let mut bench = Bench::signed_in(platform, -1).await;
    let nodes = ["a", "b", "c"].map(|name| {
        bench.settings.home = name.to_owned();
        bench.settings.journal = Some(bench.dir.path().join(name));
        Running::start(&bench)
    });
    let mut lanes = JoinSet::new();
    for number in 0..200 {
        let (keeper, provider) = (nodes[number % 3].keeper.clone(), bench.provider);
        lanes.spawn(async move {
            let mut changes = keeper.changes();
            let token = loop {
                match keeper.access_token(provider).await {
                    Ok(token) => break token,
                    // The other node's answer is on its way, and its coming is told.
                    Err(TokenError::Elsewhere | TokenError::Pending) => {
                        let told = timeout(Duration::from_secs(1), changes.changed());
                        let _ = told.await;
                    }
                    Err(error) => panic!("{error:?}"),
                }
            };
            (word(&token).to_owned(), token.version)
        });
    }
    bench.platform.reached(1).await;
    gate.send_replace(true);
    for seen in lanes.join_all().await {
        assert_eq!(seen, ("at-1".to_owned(), 2));
    }
    assert_eq!(bench.platform.posts(), 1);
    assert_eq!(bench.refresh_token().await, "rt-1");
    for node in nodes {
        node.end().await;
    }
    assert_eq!(bench.platform.posts(), 1);
}

#[tokio::test]
async fn another_nodes_refresh_is_left_alone_until_it_must_be_over() {
    // Fault 48, two nodes.
    let platform = Platform::start(|r, _| generous(r)).await;
    let mut bench = Bench::signed_in(platform, -1).await;
    bench.settings.settle = Duration::from_millis(1500);
    let (store, dead) = (&bench.store, crate::model::NodeId::random());
    let epoch = store.grant_hold(bench.provider, &dead).await.unwrap();
    let begun = std::time::Instant::now();
    let now = bench.clock.now();
    // Its clock is a day ahead of ours.
    let ahead = now.plus(Duration::from_secs(86_400));
    let noted = store.grant_refresh_begin(
        bench.provider,
        &dead,
        epoch.unwrap(),
        (1, None),
        "elsewhere.1",
        ahead,
    );
    assert!(noted.await.unwrap());
    let keeper = bench.keeper();
    let refused = keeper.access_token(bench.provider).await;
    assert!(matches!(refused, Err(TokenError::Elsewhere)), "{refused:?}");
    assert_eq!(bench.platform.posts(), 0);
    eventually("it is taken over", async || {
        keeper.access_token(bench.provider).await.is_ok()
    })
    .await;
    assert!(begun.elapsed() >= Duration::from_millis(1500));
    assert_eq!(bench.platform.posts(), 1);
}

#[tokio::test]
async fn another_nodes_refresh_that_is_long_over_is_taken_over_at_once() {
    let platform = Platform::start(|r, _| generous(r)).await;
    let bench = Bench::signed_in(platform, -1).await;
    let (store, dead) = (&bench.store, crate::model::NodeId::random());
    let epoch = store.grant_hold(bench.provider, &dead).await.unwrap();
    let then = bench.clock.now().minus(Duration::from_secs(351));
    let noted = store.grant_refresh_begin(
        bench.provider,
        &dead,
        epoch.unwrap(),
        (1, None),
        "elsewhere.1",
        then,
    );
    assert!(noted.await.unwrap());
    bench.keeper().access_token(bench.provider).await.unwrap();
    assert_eq!(bench.platform.posts(), 1);
}

#[tokio::test]
async fn another_nodes_refresh_is_left_alone_by_a_node_whose_clock_is_minutes_ahead() {
    // Fault 48, two nodes.
    let platform = Platform::start(|r, _| generous(r)).await;
    let bench = Bench::signed_in(platform, -1).await;
    let (store, other) = (&bench.store, crate::model::NodeId::random());
    let epoch = store.grant_hold(bench.provider, &other).await.unwrap();
    let noted = store.grant_refresh_begin(
        bench.provider,
        &other,
        epoch.unwrap(),
        (1, None),
        "elsewhere.1",
        bench.clock.now().minus(Duration::from_secs(240)),
    );
    assert!(noted.await.unwrap());
    let refused = bench.keeper().access_token(bench.provider).await;
    assert!(matches!(refused, Err(TokenError::Elsewhere)), "{refused:?}");
    assert_eq!(bench.platform.posts(), 0);
}

#[tokio::test]
async fn a_platform_that_answers_too_late_for_another_node_is_not_waited_for() {
    // Fault 48, two nodes; fault 46, a delay.
    let (gate, closed) = tokio::sync::watch::channel(false);
    let platform = Platform::start(move |r, _| generous(r).behind(closed.clone())).await;
    let mut bench = Bench::signed_in(platform, -1).await;
    bench.settings.round = Duration::from_millis(400);
    let late = bench.keeper().access_token(bench.provider).await;
    let Err(TokenError::Oauth(error)) = late else {
        panic!("{late:?}")
    };
    assert!(error.to_string().contains("one round"), "{error}");
    let grant = bench.store.grant_get(bench.provider).await.unwrap();
    assert_eq!(grant.unwrap().state, GrantState::Refreshing, "not known");
    gate.send_replace(true);
}
