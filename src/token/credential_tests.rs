//! A second secret beside the first, and access of the application itself.

use secrecy::ExposeSecret as _;
use tokio::task::JoinSet;

use super::{
    TokenError,
    bench::{Bench, Running, eventually, generous, secret, word},
};
use crate::{
    model::{Access, Clock, CloudProviderId, GrantState, NewCloudProvider, NewTokens},
    oauth::{
        OauthError,
        scripted::{Platform, Reply},
    },
    store::CloudProviderChange,
};

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
    let change = CloudProviderChange {
        client_secret: Some(secret(text)),
        ..CloudProviderChange::default()
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
