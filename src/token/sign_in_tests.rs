//! Signing in, against a scripted platform and a real store (bad input 61).

use std::collections::HashMap;

use base64::prelude::*;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use super::{
    CallbackQuery, SignInError, TokenError, TokenKeeper,
    bench::{Bench, eventually, wait_until_asked},
};
use crate::{
    model::{CloudService, GrantState},
    oauth::scripted::{Platform, Reply},
};

pub(super) const MICROSOFT: CloudService = CloudService::MicrosoftAzure;
const SCOPES: &str =
    "openid https://outlook.office.com/IMAP.AccessAsUser.All https://outlook.office.com/SMTP.Send";

pub(super) fn tokens(change: impl FnOnce(&mut Value)) -> Reply {
    let claims = json!({"aud": "app-1", "preferred_username": "andrea@contoso.example",
        "tid": "11111111-2222-3333-4444-555555555555"});
    let id_token = format!(
        "e30.{}.c2ln",
        BASE64_URL_SAFE_NO_PAD.encode(claims.to_string())
    );
    let mut answer = json!({"access_token": "at-1", "refresh_token": "rt-1", "expires_in": 3600,
        "scope": SCOPES, "id_token": id_token});
    change(&mut answer);
    Reply::json(200, &answer)
}

/// A sign-in that was begun: the parameters of its address.
pub(super) async fn begin(keeper: &TokenKeeper, bench: &Bench) -> HashMap<String, String> {
    let begun = keeper
        .begin_sign_in(
            bench.provider,
            "root",
            Some("andrea@contoso.example"),
            false,
        )
        .await
        .unwrap();
    assert!(
        begun
            .authorize_url
            .as_str()
            .starts_with(bench.platform.authority())
    );
    begun.authorize_url.query_pairs().into_owned().collect()
}

pub(super) fn query(text: &str) -> CallbackQuery {
    CallbackQuery::parse(text).unwrap()
}

impl CallbackQuery {
    fn by(mut self, caller: &str) -> Self {
        self.caller = Some(caller.to_owned());
        self
    }
}

pub(super) fn with_code(sent: &HashMap<String, String>) -> CallbackQuery {
    query(&format!("code=c-1&state={}", sent["state"]))
}

/// Begins a sign-in, comes back with `suffix`, and expects this code and an untouched grant.
async fn check(reply: Reply, service: CloudService, suffix: &str, code: &str) -> SignInError {
    let bench = Bench::new(Platform::start(move |_, _| reply.clone()).await).await;
    let keeper = bench.keeper();
    let sent = begin(&keeper, &bench).await;
    let back = query(&format!("state={}&{suffix}", sent["state"]));
    let error = keeper
        .finish_sign_in(service, back.clone())
        .await
        .unwrap_err();
    assert_eq!(error.code(), code, "{error:?}");
    let told = keeper.sign_in_failure(bench.provider).unwrap();
    assert_eq!(told.error.code(), code);
    let grant = bench.grant().await;
    assert_eq!(grant.state, GrantState::Missing);
    assert!(grant.refresh_token.is_none() && grant.access_token.is_none());
    // Whatever came out, the state is used up.
    let again = keeper
        .finish_sign_in(service, back.clone())
        .await
        .unwrap_err();
    assert_eq!(again.code(), "sign_in_state_used");
    error
}

#[tokio::test]
async fn a_person_signs_in_and_lanes_get_the_token_at_once() {
    let bench = Bench::new(Platform::start(|_, _| tokens(|_| ())).await).await;
    let keeper = bench.keeper();
    let before = keeper.access_token(bench.provider).await;
    assert!(matches!(before, Err(TokenError::NotSignedIn)), "{before:?}");
    let changes = keeper.changes();
    let sent = begin(&keeper, &bench).await;
    assert_eq!(sent["login_hint"], "andrea@contoso.example");
    let signed_in = keeper
        .finish_sign_in(MICROSOFT, with_code(&sent).by("root"))
        .await
        .unwrap();
    assert_eq!(signed_in.provider, bench.provider);
    assert_eq!(
        signed_in.signed_in_as.as_deref(),
        Some("andrea@contoso.example")
    );
    assert!(changes.has_changed().unwrap());
    let token = keeper.access_token(bench.provider).await.unwrap();
    assert_eq!(token.secret.expose_secret(), "at-1");
    // The code went out with the verifier of the challenge, and the redirect URI of the first leg.
    assert_eq!(bench.platform.posts(), 1);
    let form = &bench.platform.requests()[0].form;
    assert_eq!(form["redirect_uri"], sent["redirect_uri"]);
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(&form["code_verifier"]));
    assert_eq!(sent["code_challenge"], challenge);
    let grant = bench.grant().await;
    assert_eq!(grant.state, GrantState::Ok);
    assert_eq!(grant.version, token.version);
    assert_eq!(
        grant.signed_in_as.as_deref(),
        Some("andrea@contoso.example")
    );
    assert_eq!(grant.scopes.as_deref(), Some(SCOPES));
    assert_eq!(bench.refresh_token().await, "rt-1");
}

#[tokio::test]
async fn a_state_is_good_once_for_ten_minutes_and_for_who_began() {
    // Bad input 61: wrong state, state of another session, 11 minutes old, used twice.
    let bench = Bench::new(Platform::start(|_, _| tokens(|_| ())).await).await;
    let keeper = bench.keeper();
    let code = async |back: CallbackQuery| {
        let outcome = keeper.finish_sign_in(MICROSOFT, back).await;
        outcome.err().map(|error| error.code())
    };
    let unknown = query("code=c&state=made-up");
    assert_eq!(code(unknown).await, Some("sign_in_state_unknown"));
    assert!(keeper.sign_in_failure(bench.provider).is_none());
    let sent = begin(&keeper, &bench).await;
    assert_eq!(
        code(with_code(&sent).by("somebody-else")).await,
        Some("sign_in_other_caller")
    );
    // Who waits for it is told; a stranger's guess before that told nobody anything.
    let told = keeper.sign_in_failure(bench.provider).unwrap();
    assert_eq!(told.error.code(), "sign_in_other_caller");
    let late = begin(&keeper, &bench).await;
    bench.clock.advance(11 * 60);
    assert_eq!(code(with_code(&late)).await, Some("sign_in_state_expired"));
    assert_eq!(bench.platform.posts(), 0);
    let good = begin(&keeper, &bench).await;
    assert_eq!(code(with_code(&good)).await, None);
    assert_eq!(code(with_code(&good)).await, Some("sign_in_state_used"));
    assert_eq!(bench.platform.posts(), 1);
}

#[tokio::test]
async fn a_person_who_comes_back_while_the_process_stops_loads_the_page_again_at_the_next_one() {
    let bench = Bench::new(Platform::start(|_, _| tokens(|_| ())).await).await;
    let keeper = bench.keeper();
    let back = with_code(&begin(&keeper, &bench).await);
    let stop = tokio_util::sync::CancellationToken::new();
    stop.cancel();
    keeper.run(stop).await;
    let refused = keeper.finish_sign_in(MICROSOFT, back.clone()).await;
    assert_eq!(refused.unwrap_err().code(), "sign_in_interrupted");
    assert_eq!(bench.platform.posts(), 0);
    let next = bench.keeper();
    next.finish_sign_in(MICROSOFT, back).await.unwrap();
    assert_eq!(bench.grant().await.state, GrantState::Ok);
}

#[tokio::test]
async fn nobodys_sign_in_becomes_the_grant_of_an_application_with_access_of_its_own() {
    let bench = Bench::new(Platform::start(|_, _| tokens(|_| ())).await).await;
    let keeper = bench.keeper();
    let back = with_code(&begin(&keeper, &bench).await);
    let change = crate::store::CloudProviderChange {
        access: Some(crate::model::Access::Application),
        ..crate::store::CloudProviderChange::default()
    };
    let now = crate::model::Clock::now(&bench.clock);
    let changed = bench.store.provider_change(bench.provider, &change, now);
    changed.await.unwrap();
    let refused = keeper.finish_sign_in(MICROSOFT, back).await;
    assert_eq!(refused.unwrap_err().code(), "sign_in_not_needed");
    assert_eq!(bench.platform.posts(), 0);
    assert_eq!(bench.grant().await.state, GrantState::Missing);
    // Who waits for it is told.
    let told = keeper.sign_in_failure(bench.provider).unwrap();
    assert_eq!(told.error.code(), "sign_in_not_needed");
}

#[tokio::test]
async fn mixed_up_answers_are_refused_before_the_code_goes_anywhere() {
    // Bad input 61: `iss` of another issuer.
    let error = check(
        tokens(|_| ()),
        CloudService::Google,
        "code=c",
        "sign_in_other_service",
    )
    .await;
    assert!(matches!(error, SignInError::OtherService));
    let elsewhere = "code=c&iss=https%3A%2F%2Fevil.example";
    check(tokens(|_| ()), MICROSOFT, elsewhere, "sign_in_other_issuer").await;
}

#[tokio::test]
async fn the_platforms_refusal_is_kept_in_its_words() {
    let back = "error=access_denied&error_description=AADSTS65004%3A+declined%0D%0A%1b[31m";
    let error = check(tokens(|_| ()), MICROSOFT, back, "sign_in_refused").await;
    let SignInError::Refused { error, description } = error else {
        panic!("{error:?}");
    };
    assert_eq!(error, "access_denied");
    assert!(description.starts_with("AADSTS65004: declined"));
    assert!(!description.contains(|letter: char| letter.is_control()));
}

#[tokio::test]
async fn tokens_that_are_not_enough_for_mail_are_not_stored() {
    let without = tokens(|answer| answer["refresh_token"] = Value::Null);
    check(without, MICROSOFT, "code=c", "sign_in_no_refresh_token").await;
    let narrow = tokens(|answer| {
        answer["scope"] = json!("https://outlook.office.com/IMAP.AccessAsUser.All");
    });
    let error = check(narrow, MICROSOFT, "code=c", "sign_in_scope_missing").await;
    assert!(error.to_string().contains("SMTP.Send"), "{error}");
    let stranger = tokens(|answer| answer["id_token"] = json!("a.b.c"));
    check(stranger, MICROSOFT, "code=c", "sign_in_exchange_failed").await;
    let dead = Reply::refusal("invalid_grant", &[70008]);
    check(dead, MICROSOFT, "code=c", "sign_in_exchange_failed").await;
}

#[tokio::test]
async fn a_browser_that_goes_away_does_not_stop_the_sign_in() {
    let (gate, closed) = watch::channel(false);
    let platform = Platform::start(move |_, _| tokens(|_| ()).behind(closed.clone())).await;
    let bench = Bench::new(platform).await;
    let keeper = bench.keeper();
    let back = with_code(&begin(&keeper, &bench).await);
    let finish = keeper.finish_sign_in(MICROSOFT, back);
    wait_until_asked(finish, &bench.platform, 1).await;
    gate.send_replace(true);
    eventually("the grant is stored", async || {
        bench.grant().await.state == GrantState::Ok
    })
    .await;
    assert_eq!(bench.refresh_token().await, "rt-1");
}

#[tokio::test]
async fn a_sign_in_during_a_refresh_wins() {
    let (gate, closed) = watch::channel(false);
    let platform = Platform::start(move |request, _| {
        if request.form["grant_type"] == "refresh_token" {
            Reply::tokens("at-old", Some("rt-old")).behind(closed.clone())
        } else {
            tokens(|_| ())
        }
    })
    .await;
    let bench = Bench::signed_in(platform, -1).await;
    let keeper = bench.keeper();
    let refresh = {
        let (keeper, provider) = (keeper.clone(), bench.provider);
        let mut task = tokio::task::JoinSet::new();
        task.spawn(async move { keeper.access_token(provider).await.unwrap() });
        task
    };
    bench.platform.reached(1).await;
    let back = with_code(&begin(&keeper, &bench).await);
    keeper.finish_sign_in(MICROSOFT, back).await.unwrap();
    gate.send_replace(true);
    for token in refresh.join_all().await {
        assert_eq!(token.secret.expose_secret(), "at-1");
    }
    assert_eq!(bench.refresh_token().await, "rt-1");
    assert_eq!(bench.platform.posts(), 2);
}

#[tokio::test]
async fn a_provider_that_cannot_be_used_is_refused_before_anybody_is_sent_away() {
    let bench = Bench::new(Platform::start(|_, _| tokens(|_| ())).await).await;
    let change = crate::store::CloudProviderChange {
        tenant_id: Some(String::new()),
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
        .begin_sign_in(bench.provider, "root", None, false)
        .await;
    assert!(
        matches!(&refused, Err(SignInError::NotBegun(error)) if error.to_string().contains("tenant id")),
        "{refused:?}"
    );
}
