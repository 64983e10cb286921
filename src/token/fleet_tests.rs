//! Many grants at one platform, and many who ask (reliability matrix rows 46, 48, 50).

use std::{sync::Arc, time::Duration};

use secrecy::ExposeSecret as _;
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{
    TokenError, TokenKeeper,
    bench::{Bench, eventually, secret, word},
};
use crate::{
    model::{Access, Clock, CloudProviderId, GrantState, NewCloudProvider, NewTokens, Timestamp},
    oauth::{
        OauthError,
        scripted::{Platform, Reply, Request},
    },
};

/// Answers every refresh token with a new one of the same person.
fn generous(request: &Request) -> Reply {
    let token = &request.form["refresh_token"];
    Reply::tokens(&format!("at-of-{token}"), Some(&format!("{token}+")))
}

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

/// A keeper at work; ends when dropped.
struct Running {
    keeper: TokenKeeper,
    stop: CancellationToken,
    task: JoinSet<()>,
}

impl Running {
    fn start(bench: &Bench) -> Self {
        let (keeper, stop) = (bench.keeper(), CancellationToken::new());
        let mut task = JoinSet::new();
        let (running, stopping) = (keeper.clone(), stop.clone());
        task.spawn(async move { running.run(stopping).await });
        Self { keeper, stop, task }
    }

    async fn end(self) {
        self.stop.cancel();
        self.task.join_all().await;
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
    // reliability matrix row 46; I6.
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
    // Each grant alone would ask every few milliseconds; the platform is probed every two seconds or later.
    bench.settings.waits.grace = Duration::from_millis(1);
    bench.settings.waits.retry.first = Duration::from_millis(1);
    bench.settings.waits.retry.cap = Duration::from_millis(1);
    bench.settings.limits.spacing = Duration::from_millis(1);
    bench.settings.limits.probe.first = Duration::from_secs(2);
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
    for _ in 0..20 {
        assert!(all(false).await);
    }
    // Five failures and those under way then, and after that one each two seconds at most.
    let probes = usize::try_from(begun.elapsed().as_secs() / 2 + 1).unwrap();
    let posts = bench.platform.posts();
    assert!(posts <= 5 + 16 + probes, "{posts} requests");
    well.send_replace(true);
    eventually("every grant has its token", async || all(true).await).await;
    running.end().await;
}

#[tokio::test]
async fn a_clock_that_jumps_costs_each_grant_one_refresh_and_no_account_its_token() {
    // reliability matrix row 50.
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

#[tokio::test]
async fn another_nodes_refresh_is_left_alone_until_it_must_be_over() {
    // reliability matrix row 48, two nodes.
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
        1,
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
    let then = bench.clock.now().minus(Duration::from_secs(31));
    let noted = store.grant_refresh_begin(
        bench.provider,
        &dead,
        epoch.unwrap(),
        1,
        "elsewhere.1",
        then,
    );
    assert!(noted.await.unwrap());
    bench.keeper().access_token(bench.provider).await.unwrap();
    assert_eq!(bench.platform.posts(), 1);
}

#[tokio::test]
async fn a_second_secret_is_used_when_the_first_is_refused_and_takes_its_place() {
    let platform = Platform::start(|request, _| match &*request.form["client_secret"] {
        "new" => generous(request),
        _ => Reply::refusal("invalid_client", &[7_000_222]),
    })
    .await;
    let bench = Bench::new(platform).await;
    let entered = NewCloudProvider {
        client_secret: secret("old"),
        second_secret: secret("new"),
        ..bench.platform.provider("Two secrets")
    };
    let provider = signed_in_with(&bench, &entered).await;
    let keeper = bench.keeper();
    let token = keeper.access_token(provider).await.unwrap();
    assert_eq!(word(&token), "at-of-rt-x");
    assert_eq!(bench.platform.posts(), 2);
    assert!(keeper.trouble(provider).is_none());
    let stored = bench.store.provider_get(provider).await.unwrap().unwrap();
    assert_eq!(stored.entered.client_secret.expose_secret(), "new");
    assert_eq!(stored.entered.second_secret.expose_secret(), "old");
    // From now on it costs nothing.
    keeper.refused(provider, token.version);
    keeper.access_token(provider).await.unwrap();
    assert_eq!(bench.platform.posts(), 3);
}

#[tokio::test]
async fn two_refused_secrets_cost_two_requests_a_round_and_the_grant_stays() {
    let platform = Platform::start(|_, _| Reply::refusal("invalid_client", &[7_000_215])).await;
    let bench = Bench::new(platform).await;
    let entered = NewCloudProvider {
        client_secret: secret("old"),
        second_secret: secret("older"),
        ..bench.platform.provider("Two secrets")
    };
    let provider = signed_in_with(&bench, &entered).await;
    let keeper = bench.keeper();
    for _ in 0..20 {
        let refused = keeper.access_token(provider).await;
        assert!(
            matches!(refused, Err(TokenError::Oauth(OauthError::Refused(_)))),
            "{refused:?}"
        );
    }
    assert_eq!(bench.platform.posts(), 2);
    let stored = bench.store.provider_get(provider).await.unwrap().unwrap();
    assert_eq!(stored.entered.client_secret.expose_secret(), "old");
    // An administrator who edits it is believed at once.
    keeper.provider_changed(provider);
    let _ = keeper.access_token(provider).await;
    assert_eq!(bench.platform.posts(), 4);
}

/// A provider whose application has the access itself; nobody signs in.
async fn application(bench: &Bench, secrets: [&str; 2]) -> CloudProviderId {
    let entered = NewCloudProvider {
        access: Access::Application,
        client_secret: secret(secrets[0]),
        second_secret: secret(secrets[1]),
        ..bench.platform.provider("Daemon")
    };
    let now = bench.clock.now();
    bench.store.provider_add(&entered, now).await.unwrap().id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_applications_tokens_are_fetched_and_renewed_with_nobody_signing_in() {
    let platform = Platform::start(|request, number| {
        assert_eq!(request.form["grant_type"], "client_credentials");
        Reply::tokens(&format!("at-{number}"), None)
    })
    .await;
    let bench = Bench::new(platform).await;
    let running = Running::start(&bench);
    let provider = application(&bench, ["s", ""]).await;
    running.keeper.provider_changed(provider);
    // By itself, before anybody asks.
    bench.platform.reached(1).await;
    let mut lanes = JoinSet::new();
    for _ in 0..200 {
        let keeper = running.keeper.clone();
        lanes.spawn(async move { keeper.access_token(provider).await.unwrap() });
    }
    while let Some(token) = lanes.join_next().await {
        assert_eq!(word(&token.unwrap()), "at-1");
    }
    assert_eq!(bench.platform.posts(), 1);
    let row = bench.store.grant_get(provider).await.unwrap().unwrap();
    assert_eq!((row.state, row.version), (GrantState::Ok, 1));
    assert!(row.refresh_token.is_none());
    // Ahead of expiry, by itself again.
    bench.clock.advance(2800);
    bench.platform.reached(2).await;
    eventually("the new token is handed out", async || {
        word(&running.keeper.access_token(provider).await.unwrap()) == "at-2"
    })
    .await;
    running.end().await;
    // A start uses what is stored.
    bench.keeper().access_token(provider).await.unwrap();
    assert_eq!(bench.platform.posts(), 2);
}

#[tokio::test]
async fn an_application_that_is_refused_is_an_administrators_matter_and_never_a_sign_in() {
    let platform = Platform::start(|request, _| match &*request.form["client_secret"] {
        "good" => Reply::tokens("at", None),
        "unconsented" => Reply::refusal("invalid_grant", &[65001]),
        _ => Reply::refusal("invalid_client", &[7_000_215]),
    })
    .await;
    let bench = Bench::new(platform).await;
    let provider = application(&bench, ["unconsented", ""]).await;
    let keeper = bench.keeper();
    for (round, refused_with) in [(1, 65001), (2, 7_000_215)] {
        for _ in 0..5 {
            let refused = keeper.access_token(provider).await;
            assert!(
                matches!(&refused, Err(TokenError::Oauth(OauthError::Refused(refusal))) if refusal.codes == [refused_with]),
                "{refused:?}"
            );
        }
        assert_eq!(bench.platform.posts(), round);
        let row = bench.store.grant_get(provider).await.unwrap().unwrap();
        assert_eq!(row.state, GrantState::Missing);
        enter_secret(&bench, provider, ["wrong", "good"][round - 1]).await;
        keeper.provider_changed(provider);
    }
    let token = keeper.access_token(provider).await.unwrap();
    assert_eq!(word(&token), "at");
}

async fn enter_secret(bench: &Bench, provider: CloudProviderId, text: &str) {
    let change = crate::store::CloudProviderChange {
        client_secret: Some(secret(text)),
        ..crate::store::CloudProviderChange::default()
    };
    let now = bench.clock.now();
    let changed = bench.store.provider_change(provider, &change, now).await;
    changed.unwrap();
}

#[tokio::test]
async fn an_applications_second_secret_takes_over_as_well() {
    let platform = Platform::start(|request, _| match &*request.form["client_secret"] {
        "new" => Reply::tokens("at", None),
        _ => Reply::refusal("invalid_client", &[7_000_222]),
    })
    .await;
    let bench = Bench::new(platform).await;
    let provider = application(&bench, ["old", "new"]).await;
    let token = bench.keeper().access_token(provider).await.unwrap();
    assert_eq!(word(&token), "at");
    assert_eq!(bench.platform.posts(), 2);
    let stored = bench.store.provider_get(provider).await.unwrap().unwrap();
    assert_eq!(stored.entered.client_secret.expose_secret(), "new");
}

async fn signed_in_with(bench: &Bench, entered: &NewCloudProvider) -> CloudProviderId {
    assert_eq!(entered.access, Access::Delegated);
    let now = bench.clock.now();
    let id = bench.store.provider_add(entered, now).await.unwrap().id;
    let tokens = NewTokens {
        access_token: secret("at"),
        access_expires_at: now,
        refresh_token: Some(secret("rt-x")),
        scopes: None,
        signed_in_as: None,
        tenant_id: None,
        object_id: None,
    };
    bench.store.grant_adopt(id, &tokens, now).await.unwrap();
    id
}

#[tokio::test]
async fn a_refusal_that_leaves_doubt_is_confirmed_once_and_the_old_token_used_meanwhile() {
    let platform = Platform::start(|_, _| Reply::refusal("invalid_grant", &[])).await;
    let mut bench = Bench::signed_in(platform, 3600).await;
    bench.settings.waits.confirm = Duration::from_millis(1500);
    let running = Running::start(&bench);
    let keeper = &running.keeper;
    let token = keeper.access_token(bench.provider).await.unwrap();
    keeper.refused(bench.provider, token.version);
    bench.platform.reached(1).await;
    let begun = std::time::Instant::now();
    let mut used = 0;
    eventually("it is confirmed", async || {
        match keeper.access_token(bench.provider).await {
            Ok(token) => {
                assert_eq!(word(&token), "at-0");
                used += 1;
                false
            }
            Err(refused) => {
                assert!(
                    matches!(refused, TokenError::NeedsSignIn { .. }),
                    "{refused:?}"
                );
                true
            }
        }
    })
    .await;
    assert!(used > 0);
    assert_eq!(bench.grant().await.state, GrantState::NeedsSignIn);
    assert!(begun.elapsed() >= Duration::from_millis(1000));
    for _ in 0..20 {
        let refused = bench.keeper().access_token(bench.provider).await;
        assert!(matches!(refused, Err(TokenError::NeedsSignIn { .. })));
    }
    running.end().await;
    assert_eq!(bench.platform.posts(), 2);
}

#[tokio::test]
async fn a_platform_that_changes_its_mind_costs_no_sign_in() {
    let platform = Platform::start(|request, number| match number {
        1 => Reply::refusal("invalid_grant", &[]),
        _ => generous(request),
    })
    .await;
    let mut bench = Bench::signed_in(platform, -1).await;
    bench.settings.waits.confirm = Duration::from_millis(300);
    let running = Running::start(&bench);
    eventually("there is a token", async || {
        running.keeper.access_token(bench.provider).await.is_ok()
    })
    .await;
    running.end().await;
    assert_eq!(bench.platform.posts(), 2);
    assert_eq!(bench.grant().await.state, GrantState::Ok);
}

#[tokio::test]
async fn an_answer_lost_on_the_line_is_asked_for_again_within_the_grace_of_the_platform() {
    // reliability matrix row 47 with a platform that takes a replaced token once more.
    let lost = Arc::new("{\"access_token\": \"at-1\", \"refresh_to");
    let platform = Platform::start(move |request, number| {
        assert_eq!(request.form["refresh_token"], "rt-0");
        match number {
            1 => Reply::raw(200, "application/json", lost.as_bytes()),
            _ => Reply::tokens("at-1", Some("rt-1")),
        }
    })
    .await;
    let bench = Bench::signed_in(platform, -1).await;
    let running = Running::start(&bench);
    eventually("the rotated token is stored", async || {
        bench.refresh_token().await == "rt-1"
    })
    .await;
    running.end().await;
    assert_eq!(bench.platform.posts(), 2);
}
