//! Signing in by code, with a scripted platform and a real store.

use serde_json::json;
use tokio::{sync::watch, task::JoinSet};

use super::{
    DeviceState, TokenKeeper,
    bench::{Bench, eventually},
    sign_in_tests::tokens,
};
use crate::{
    model::GrantState,
    oauth::scripted::{Platform, Reply, Request},
};

/// The answer to a beginning: polled every second.
fn code(number: usize) -> Reply {
    Reply::json(
        200,
        &json!({"device_code": format!("dc-{number}"), "user_code": format!("CODE{number}"), "interval": 1,
            "expires_in": 900, "verification_uri": "https://microsoft.com/devicelogin"}),
    )
}

fn begins(request: &Request) -> bool {
    request.line.contains("devicecode")
}

fn polls(bench: &Bench) -> usize {
    let requests = bench.platform.requests();
    requests.iter().filter(|request| !begins(request)).count()
}

async fn ended(bench: &Bench, keeper: &TokenKeeper) -> DeviceState {
    eventually("the sign-in by code ends", async || {
        let device = keeper.device_sign_in(bench.provider);
        !matches!(
            device.map(|device| device.state),
            None | Some(DeviceState::Waiting)
        )
    })
    .await;
    keeper.device_sign_in(bench.provider).unwrap().state
}

#[tokio::test]
async fn a_code_is_polled_until_the_person_is_done_although_nobody_waits_for_it() {
    let platform = Platform::start(|request, number| match number {
        1 => code(1),
        2 => Reply::refusal("authorization_pending", &[70016]),
        // An ill platform in between costs nothing.
        3 => Reply::json(503, &json!({})),
        _ => {
            assert_eq!(request.form["device_code"], "dc-1");
            tokens(|_| ())
        }
    })
    .await;
    let bench = Bench::new(platform).await;
    let keeper = bench.keeper();
    assert!(keeper.device_sign_in(bench.provider).is_none());
    let begun = keeper
        .begin_device_sign_in(bench.provider, false)
        .await
        .unwrap();
    assert_eq!(begun.user_code, "CODE1");
    assert!(matches!(begun.state, DeviceState::Waiting));
    // Asked again while it waits, the same code is given: one task, one code.
    let again = keeper
        .begin_device_sign_in(bench.provider, false)
        .await
        .unwrap();
    assert_eq!(again.user_code, "CODE1");
    assert!(matches!(ended(&bench, &keeper).await, DeviceState::Done(done) if done.held.is_none()));
    assert_eq!(bench.grant().await.state, GrantState::Ok);
    assert_eq!(bench.refresh_token().await, "rt-1");
    assert_eq!(polls(&bench), 3);
}

#[tokio::test]
async fn a_person_who_says_no_and_a_newer_code_end_a_sign_in() {
    let platform = Platform::start(|request, number| {
        if begins(request) {
            code(number)
        } else if request.form["device_code"] == "dc-1" {
            Reply::refusal("authorization_pending", &[70016])
        } else {
            Reply::refusal("authorization_declined", &[])
        }
    })
    .await;
    let bench = Bench::new(platform).await;
    let keeper = bench.keeper();
    keeper
        .begin_device_sign_in(bench.provider, false)
        .await
        .unwrap();
    // Another wish is another sign-in: the first one's code is polled no more.
    let second = keeper
        .begin_device_sign_in(bench.provider, true)
        .await
        .unwrap();
    assert_ne!(second.user_code, "CODE1");
    let DeviceState::Failed(error) = ended(&bench, &keeper).await else {
        panic!("not refused");
    };
    assert_eq!(error.code(), "sign_in_exchange_failed");
    let shown = keeper.device_sign_in(bench.provider).unwrap();
    assert_eq!(shown.user_code, second.user_code);
    assert_eq!(bench.grant().await.state, GrantState::Missing);
}

#[tokio::test]
async fn a_process_that_stops_does_not_wait_for_people() {
    let platform = Platform::start(|request, _| {
        if begins(request) {
            code(1)
        } else {
            Reply::refusal("authorization_pending", &[70016])
        }
    })
    .await;
    let bench = Bench::new(platform).await;
    let keeper = bench.keeper();
    keeper
        .begin_device_sign_in(bench.provider, false)
        .await
        .unwrap();
    let stop = tokio_util::sync::CancellationToken::new();
    stop.cancel();
    // Its drain time is 20 s and the code lives 15 minutes: it returns because the task is told to end.
    keeper.run(stop).await;
    let state = keeper.device_sign_in(bench.provider).unwrap().state;
    assert!(
        matches!(&state, DeviceState::Failed(error) if error.code() == "sign_in_interrupted"),
        "{state:?}"
    );
    let late = keeper.begin_device_sign_in(bench.provider, true).await;
    assert_eq!(late.unwrap_err().code(), "sign_in_interrupted");
}

#[tokio::test]
async fn only_so_many_codes_wait_at_once() {
    let platform = Platform::start(|request, number| {
        if begins(request) {
            code(number)
        } else {
            Reply::refusal("authorization_pending", &[70016])
        }
    })
    .await;
    let bench = Bench::new(platform).await;
    let keeper = bench.keeper();
    let now = crate::model::Clock::now(&bench.clock);
    let mut refused = Vec::new();
    for number in 0..10 {
        let new = bench.platform.provider(&format!("P{number}"));
        let provider = bench.store.provider_add(&new, now).await.unwrap().id;
        let begun = keeper.begin_device_sign_in(provider, false).await;
        refused.extend(begun.err().map(|error| error.code()));
    }
    assert_eq!(refused, ["sign_in_too_many", "sign_in_too_many"]);
}

#[tokio::test]
async fn codes_that_are_asked_for_at_the_same_moment_keep_the_bound_and_one_provider_has_one() {
    let (gate, closed) = watch::channel(false);
    let platform = Platform::start(move |request, number| {
        if begins(request) {
            code(number).behind(closed.clone())
        } else {
            Reply::refusal("authorization_pending", &[70016])
        }
    })
    .await;
    let bench = Bench::new(platform).await;
    let keeper = bench.keeper();
    let now = crate::model::Clock::now(&bench.clock);
    // Twice the same wish for one provider, and one each for nine others.
    let mut wanted = vec![bench.provider, bench.provider];
    for number in 0..9 {
        let new = bench.platform.provider(&format!("P{number}"));
        wanted.push(bench.store.provider_add(&new, now).await.unwrap().id);
    }
    let mut asking = JoinSet::new();
    for provider in wanted {
        let keeper = keeper.clone();
        asking.spawn(async move { (provider, keeper.begin_device_sign_in(provider, false).await) });
    }
    bench.platform.reached(11).await;
    gate.send_replace(true);
    let (mut codes, mut refused) = (Vec::new(), 0);
    for (provider, begun) in asking.join_all().await {
        match begun {
            Ok(begun) => {
                let shown = keeper.device_sign_in(provider).unwrap();
                assert_eq!(shown.user_code, begun.user_code, "the code that is polled");
                codes.push(begun.user_code);
            }
            Err(error) => {
                assert_eq!(error.code(), "sign_in_too_many");
                refused += 1;
            }
        }
    }
    codes.sort();
    codes.dedup();
    assert_eq!(codes.len(), 8, "{codes:?} {refused}");
}

#[tokio::test]
async fn what_was_granted_to_an_application_is_not_kept_for_the_one_in_its_place() {
    let (gate, closed) = watch::channel(false);
    let platform = Platform::start(move |request, number| {
        if begins(request) {
            code(number)
        } else {
            tokens(|_| ()).behind(closed.clone())
        }
    })
    .await;
    let bench = Bench::new(platform).await;
    let keeper = bench.keeper();
    let begun = keeper.begin_device_sign_in(bench.provider, false).await;
    begun.unwrap();
    bench.platform.reached(2).await;
    let change = crate::store::CloudProviderChange {
        application_id: Some("app-2".to_owned()),
        ..crate::store::CloudProviderChange::default()
    };
    let now = crate::model::Clock::now(&bench.clock);
    let changed = bench.store.provider_change(bench.provider, &change, now);
    changed.await.unwrap();
    gate.send_replace(true);
    let state = ended(&bench, &keeper).await;
    assert!(
        matches!(&state, DeviceState::Failed(error) if error.code() == "sign_in_provider_changed"),
        "{state:?}"
    );
    assert_eq!(bench.grant().await.state, GrantState::Missing);
}

#[tokio::test]
async fn nobody_gets_a_code_where_the_application_has_its_own_access() {
    let bench = Bench::new(Platform::start(|_, _| code(1)).await).await;
    let change = crate::store::CloudProviderChange {
        access: Some(crate::model::Access::Application),
        ..crate::store::CloudProviderChange::default()
    };
    let now = crate::model::Clock::now(&bench.clock);
    bench
        .store
        .provider_change(bench.provider, &change, now)
        .await
        .unwrap();
    let refused = bench
        .keeper()
        .begin_device_sign_in(bench.provider, false)
        .await;
    assert_eq!(refused.unwrap_err().code(), "sign_in_not_needed");
    assert_eq!(bench.platform.posts(), 0);
}
