//! Refusals that leave doubt, and answers that were lost (faults 47, 49).

use std::time::Duration;

use super::{
    TokenError,
    bench::{Bench, Running, eventually, generous, word},
};
use crate::{
    model::GrantState,
    oauth::scripted::{Platform, Reply},
};

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
    // Fault 47 with a platform that takes a replaced token once more.
    let platform = Platform::start(|request, number| {
        assert_eq!(request.form["refresh_token"], "rt-0");
        match number {
            1 => Reply::raw(
                200,
                "application/json",
                b"{\"access_token\": \"at-1\", \"refresh_to",
            ),
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
