//! Each class of what an identity platform says, seen from a lane: the state it ends in, for how long, and that it
//! heals by itself when the cause goes away.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::time::Duration;

use super::testing::{With, World};
use crate::{
    diagnosis::LaneState::{self, Parked, Waiting},
    model::{Action, Backfill},
    oauth::scripted::{Platform, Reply},
    store::CloudProviderChange,
};

/// What the platform says.
type Trouble = fn() -> Reply;

/// A lane whose access token is over, at a platform that answers `trouble` until it is cured.
async fn troubled(trouble: Trouble) -> (World, Platform, Arc<AtomicBool>) {
    let cured = Arc::new(AtomicBool::new(false));
    let is_cured = cured.clone();
    let platform = Platform::start(move |request, _| {
        let new_secret = request
            .form
            .get("client_secret")
            .is_some_and(|secret| secret == "new-secret");
        if new_secret || is_cured.load(Ordering::SeqCst) {
            Reply::tokens("fresh", Some("rt-fresh"))
        } else {
            trouble()
        }
    })
    .await;
    let port = platform.authority().rsplit_once(':').unwrap().1;
    let with = With::Platform(port.parse().unwrap());
    let mut world = World::with(with, Backfill::None, |settings| {
        settings.parked_retry = Duration::from_secs(3600);
    })
    .await;
    world.server.state().secrets.insert("fresh".to_owned());
    world.sign_in("old", Duration::ZERO).await;
    world.start();
    (world, platform, cured)
}

async fn heals(world: &mut World) {
    world.server.deliver("kept waiting");
    assert_eq!(world.until_stored(1).await, ["kept waiting"]);
    assert_eq!(world.until(LaneState::Ready).await.diagnosis, None);
}

#[tokio::test]
async fn an_expired_secret_parks_the_lane_until_it_is_replaced() {
    for (number, code) in [
        (7_000_222, "oauth_client_secret_expired"),
        (7_000_215, "oauth_client_secret_refused"),
    ] {
        let trouble: Trouble = if number == 7_000_222 {
            || Reply::refusal("invalid_client", &[7_000_222])
        } else {
            || Reply::refusal("invalid_client", &[7_000_215])
        };
        let (mut world, _platform, _) = troubled(trouble).await;
        let status = world.until(Parked).await;
        assert_eq!(status.action(), Some(Action::Administrator));
        let diagnosis = status.diagnosis.unwrap();
        assert_eq!(diagnosis.code, code);
        assert!(diagnosis.why.contains("trace t-1"), "{}", diagnosis.why);
        assert!(
            diagnosis.why.contains("correlation c-1"),
            "{}",
            diagnosis.why
        );
        let provider = world.account.provider().unwrap();
        let change = CloudProviderChange {
            client_secret: Some("new-secret".to_owned().into()),
            ..CloudProviderChange::default()
        };
        let now = world.parts.clock.now();
        world
            .store
            .provider_change(provider, &change, now)
            .await
            .unwrap();
        world.parts.keeper.provider_changed(provider);
        heals(&mut world).await;
    }
}

#[tokio::test]
async fn a_grant_that_is_over_parks_the_lane_until_the_person_signs_in_again() {
    let cases: [(Trouble, &str); 3] = [
        (
            || Reply::refusal("invalid_grant", &[70043]),
            "sign_in_frequency",
        ),
        (
            || Reply::refusal("invalid_grant", &[700_082]),
            "sign_in_idle_too_long",
        ),
        (
            || Reply::refusal("interaction_required", &[50076]),
            "sign_in_mfa",
        ),
    ];
    for (trouble, code) in cases {
        let (mut world, _platform, _) = troubled(trouble).await;
        let status = world.until(Parked).await;
        assert_eq!(status.action(), Some(Action::SignInAgain), "{code}");
        assert_eq!(status.diagnosis.unwrap().code, code);
        world
            .sign_in("signed in again", Duration::from_secs(3600))
            .await;
        heals(&mut world).await;
    }
}

#[tokio::test]
async fn a_policy_parks_the_lane_and_the_grant_lives_on_when_it_is_lifted() {
    let (mut world, _platform, cured) =
        troubled(|| Reply::refusal("invalid_grant", &[53003])).await;
    let status = world.until(Parked).await;
    assert_eq!(status.action(), Some(Action::Administrator));
    assert_eq!(status.diagnosis.unwrap().code, "entra_conditional_access");
    cured.store(true, Ordering::SeqCst);
    let provider = world.account.provider().unwrap();
    world.parts.keeper.provider_changed(provider);
    heals(&mut world).await;
}

#[tokio::test]
async fn a_directory_that_is_away_is_waited_for() {
    let (mut world, _platform, cured) =
        troubled(|| Reply::refusal("temporarily_unavailable", &[90033])).await;
    let status = world.until(Waiting).await;
    assert_eq!(status.action(), Some(Action::Retry));
    assert_eq!(status.diagnosis.unwrap().code, "entra_unavailable");
    cured.store(true, Ordering::SeqCst);
    heals(&mut world).await;
}

#[tokio::test]
async fn a_loop_that_the_platform_sees_is_ended_by_quiet_and_a_new_sign_in_ends_the_quiet() {
    let (mut world, platform, _) = troubled(|| Reply::refusal("invalid_grant", &[50196])).await;
    let status = world.until(Waiting).await;
    assert_eq!(status.action(), Some(Action::HoldUntil));
    assert_eq!(status.diagnosis.as_ref().unwrap().code, "entra_client_loop");
    let held = status.retry_at.unwrap().since(status.since).as_secs();
    assert!((590..=730).contains(&held), "{held}");
    for _ in 0..5 {
        world.wake();
        world.until(Waiting).await;
    }
    assert_eq!(platform.posts(), 1, "it is left alone");
    world
        .sign_in("signed in again", Duration::from_secs(3600))
        .await;
    heals(&mut world).await;
    assert_eq!(platform.posts(), 1);
}
