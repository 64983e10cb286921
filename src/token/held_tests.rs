//! Who signed in against who is expected, with a scripted platform and a real store.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use base64::prelude::*;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::{
    ConfirmError, SignInError, SignedIn, TokenKeeper,
    bench::{Bench, secret},
    sign_in_tests::{MICROSOFT, begin, query, tokens, with_code},
};
use crate::{
    model::{
        Account, AccountKey, Authentication, Backfill, Clock, EmailAddress, GrantState, NewAccount,
        ProxyChoice, Server, Service, TlsMode,
    },
    oauth::scripted::{Platform, Reply},
    store::CloudProviderChange,
};

const TENANT: &str = "11111111-2222-3333-4444-555555555555";

/// An answer for this person: name, object id. The tokens carry the name.
fn person(name: &str, object: &str) -> Reply {
    let claims = json!({"aud": "app-1", "preferred_username": name, "tid": TENANT, "oid": object});
    let id_token = format!(
        "e30.{}.c2ln",
        BASE64_URL_SAFE_NO_PAD.encode(claims.to_string())
    );
    tokens(|answer| {
        answer["id_token"] = json!(id_token);
        answer["access_token"] = json!(format!("at-{object}"));
        answer["refresh_token"] = json!(format!("rt-{object}"));
    })
}

/// A platform where these people sign in, one after the other; the last one again and again.
async fn platform(people: &'static [(&'static str, &'static str)]) -> Platform {
    let next = Arc::new(AtomicUsize::new(0));
    Platform::start(move |_, _| {
        let turn = next.fetch_add(1, Ordering::Relaxed).min(people.len() - 1);
        let (name, object) = people[turn];
        person(name, object)
    })
    .await
}

impl Bench {
    /// An account that expects this name to have signed in.
    async fn expects(&self, key: &str, delegate: &str) -> Account {
        let now = self.clock.now();
        let list = self.store.list_add(&format!("L{key}"), now).await.unwrap();
        let server = Server::new("mail.example", 993, TlsMode::Tls);
        let new = NewAccount {
            name: format!("Account {key}"),
            key: AccountKey::parse(key).unwrap(),
            address: EmailAddress::parse("info@contoso.example").unwrap(),
            list: list.id,
            service: Service::Outlook365,
            authentication: Authentication::Modern {
                provider: self.provider,
                user: "info@contoso.example".into(),
                delegate: Some(delegate.into()),
            },
            imap: server.clone(),
            smtp: server,
            backfill: Backfill::None,
            folders: crate::model::Folders::default(),
            proxy: ProxyChoice::default(),
        };
        self.store.account_add(&new, now).await.unwrap()
    }

    async fn sign_in(&self, keeper: &TokenKeeper) -> Result<SignedIn, SignInError> {
        let sent = begin(keeper, self).await;
        keeper.finish_sign_in(MICROSOFT, with_code(&sent)).await
    }

    async fn sign_in_anew(&self, keeper: &TokenKeeper) -> Result<SignedIn, SignInError> {
        let begun = keeper
            .begin_sign_in(self.provider, "root", None, true)
            .await
            .unwrap();
        let state = begun
            .authorize_url
            .query_pairs()
            .find(|(k, _)| k == "state");
        let state = state.unwrap().1.into_owned();
        let back = query(&format!("code=c-1&state={state}"));
        keeper.finish_sign_in(MICROSOFT, back).await
    }

    async fn held(&self) -> usize {
        let held = self.store.held_sign_in_list(self.clock.now()).await;
        held.unwrap().len()
    }

    async fn access(&self, keeper: &TokenKeeper) -> String {
        let token = keeper.access_token(self.provider).await.unwrap();
        token.secret.expose_secret().to_owned()
    }
}

#[tokio::test]
async fn who_is_expected_is_adopted_and_pinned_at_once() {
    let bench = Bench::new(platform(&[("Anna@Contoso.example", "o-1")]).await).await;
    bench.expects("A", "anna@contoso.example").await;
    let keeper = bench.keeper();
    let signed_in = bench.sign_in(&keeper).await.unwrap();
    assert_eq!(signed_in.held, None);
    let grant = bench.grant().await;
    assert_eq!(grant.tenant_id.as_deref(), Some(TENANT));
    assert_eq!(grant.object_id.as_deref(), Some("o-1"));
    assert_eq!(grant.signed_in_as.as_deref(), Some("Anna@Contoso.example"));
}

#[tokio::test]
async fn names_that_came_after_the_question_are_asked_about_before_anything_is_confirmed() {
    let bench = Bench::new(platform(&[("adm-anna@contoso.example", "o-1")]).await).await;
    bench.expects("A", "anna@contoso.example").await;
    let keeper = bench.keeper();
    let signed_in = bench.sign_in(&keeper).await.unwrap();
    assert_eq!(
        signed_in.held.expect("held").expected,
        ["anna@contoso.example"]
    );
    bench.expects("B", "boss@contoso.example").await;
    bench.expects("C", "adm-anna@contoso.example").await;
    let confirm = async || {
        let name = "adm-anna@contoso.example";
        keeper.confirm_sign_in(bench.provider, name).await
    };
    let asked = confirm().await;
    assert!(
        matches!(&asked, Err(ConfirmError::MoreNames { names }) if *names == ["boss@contoso.example"]),
        "{asked:?}"
    );
    assert_eq!(bench.grant().await.state, GrantState::Missing);
    // Now they were shown.
    let held = bench.store.held_sign_in_list(bench.clock.now()).await;
    let names = ["anna@contoso.example", "boss@contoso.example"];
    assert_eq!(held.unwrap()[0].expected, names);
    confirm().await.unwrap();
    let grant = bench.grant().await;
    assert_eq!(grant.state, GrantState::Ok);
    for name in names {
        assert!(grant.confirmed_for.iter().any(|one| one == name), "{name}");
    }
}

#[tokio::test]
async fn what_is_held_for_an_application_is_dropped_when_another_takes_its_place() {
    let bench = Bench::new(platform(&[("adm-anna@contoso.example", "o-1")]).await).await;
    bench.expects("A", "anna@contoso.example").await;
    let keeper = bench.keeper();
    let change = async |change| {
        let now = bench.clock.now();
        let changed = bench.store.provider_change(bench.provider, &change, now);
        changed.await.unwrap();
        bench.held().await
    };
    bench.sign_in(&keeper).await.unwrap();
    let renamed = CloudProviderChange {
        name: Some("New".to_owned()),
        ..CloudProviderChange::default()
    };
    assert_eq!(change(renamed).await, 1);
    let other = CloudProviderChange {
        application_id: Some("app-2".to_owned()),
        ..CloudProviderChange::default()
    };
    assert_eq!(change(other).await, 0);
}

#[tokio::test]
async fn somebody_else_is_held_until_confirmed_and_then_never_asked_about_again() {
    let bench = Bench::new(platform(&[("adm-anna@contoso.example", "o-1")]).await).await;
    bench.expects("A", "anna@contoso.example").await;
    bench.expects("B", "ANNA@contoso.example").await;
    let keeper = bench.keeper();
    let changes = keeper.changes();
    let signed_in = bench.sign_in(&keeper).await.unwrap();
    let held = signed_in.held.expect("held");
    assert_eq!(
        held.person.user_name.as_deref(),
        Some("adm-anna@contoso.example")
    );
    assert_eq!(held.expected, ["ANNA@contoso.example"]);
    assert_eq!(held.replaces, None);
    // Nothing of it is used.
    assert!(!changes.has_changed().unwrap());
    assert_eq!(bench.grant().await.state, GrantState::Missing);
    assert!(keeper.access_token(bench.provider).await.is_err());
    assert_eq!(bench.held().await, 1);
    // The administrator has to repeat the name that signed in, not the expected one.
    let wrong = keeper
        .confirm_sign_in(bench.provider, "anna@contoso.example")
        .await;
    assert!(
        matches!(&wrong, Err(ConfirmError::OtherName { held }) if held == "adm-anna@contoso.example"),
        "{wrong:?}"
    );
    assert_eq!(bench.grant().await.state, GrantState::Missing);
    let confirmed = keeper
        .confirm_sign_in(bench.provider, " ADM-Anna@contoso.example")
        .await
        .unwrap();
    assert_eq!(confirmed.held, None);
    assert!(changes.has_changed().unwrap());
    assert_eq!(bench.access(&keeper).await, "at-o-1");
    let grant = bench.grant().await;
    assert_eq!(grant.object_id.as_deref(), Some("o-1"));
    assert_eq!(grant.confirmed_for, ["ANNA@contoso.example"]);
    assert_eq!(bench.held().await, 0);
    let nothing = keeper.confirm_sign_in(bench.provider, "adm-anna@contoso.example");
    assert!(matches!(nothing.await, Err(ConfirmError::Nothing)));
    // The same person for the same accounts: no question.
    let again = bench.sign_in(&keeper).await.unwrap();
    assert_eq!(again.held, None);
    assert_eq!(bench.grant().await.version, 2);
    // An account that expects yet another name is a new question.
    bench.expects("C", "bob@contoso.example").await;
    let asked = bench.sign_in(&keeper).await.unwrap().held.expect("held");
    assert_eq!(asked.expected, ["bob@contoso.example"]);
    assert_eq!(bench.grant().await.version, 2);
}

#[tokio::test]
async fn a_pinned_grant_takes_nobody_else_unless_the_sign_in_was_begun_for_that_and_confirmed() {
    let people = &[
        ("anna@contoso.example", "o-1"),
        ("anna@contoso.example", "o-2"),
        ("bob@contoso.example", "o-3"),
        ("bob@contoso.example", "o-3"),
    ];
    let bench = Bench::new(platform(people).await).await;
    bench.expects("A", "anna@contoso.example").await;
    let keeper = bench.keeper();
    bench.sign_in(&keeper).await.unwrap();
    // The same name, another object id: a mailbox that was deleted and made anew, or a fake.
    for _ in 0..2 {
        let refused = bench.sign_in(&keeper).await.unwrap_err();
        assert_eq!(refused.code(), "sign_in_other_identity");
        assert!(
            refused.to_string().contains("anna@contoso.example"),
            "{refused}"
        );
        assert_eq!(bench.access(&keeper).await, "at-o-1");
        assert_eq!(bench.held().await, 0);
    }
    let held = bench
        .sign_in_anew(&keeper)
        .await
        .unwrap()
        .held
        .expect("held");
    assert_eq!(held.replaces.as_deref(), Some("anna@contoso.example"));
    assert_eq!(held.expected, ["anna@contoso.example"]);
    // The old grant goes on.
    assert_eq!(bench.access(&keeper).await, "at-o-1");
    keeper
        .confirm_sign_in(bench.provider, "bob@contoso.example")
        .await
        .unwrap();
    assert_eq!(bench.access(&keeper).await, "at-o-3");
    assert_eq!(bench.refresh_token().await, "rt-o-3");
    let grant = bench.grant().await;
    assert_eq!(grant.object_id.as_deref(), Some("o-3"));
    assert_eq!(grant.confirmed_for, ["anna@contoso.example"]);
    // Pinned to Bob from now on.
    assert_eq!(bench.sign_in(&keeper).await.unwrap().held, None);
}

#[tokio::test]
async fn a_held_sign_in_is_discarded_replaced_or_over_after_a_day() {
    let people = &[
        ("one@contoso.example", "o-1"),
        ("two@contoso.example", "o-2"),
    ];
    let bench = Bench::new(platform(people).await).await;
    bench.expects("A", "anna@contoso.example").await;
    let keeper = bench.keeper();
    bench.sign_in(&keeper).await.unwrap();
    bench.sign_in(&keeper).await.unwrap();
    assert_eq!(bench.held().await, 1);
    let first = keeper.confirm_sign_in(bench.provider, "one@contoso.example");
    assert!(matches!(first.await, Err(ConfirmError::OtherName { .. })));
    assert!(keeper.discard_sign_in(bench.provider).await.unwrap());
    assert!(!keeper.discard_sign_in(bench.provider).await.unwrap());
    bench.sign_in(&keeper).await.unwrap();
    bench.clock.advance(24 * 3600 + 1);
    assert_eq!(bench.held().await, 0);
    let late = keeper.confirm_sign_in(bench.provider, "two@contoso.example");
    assert!(matches!(late.await, Err(ConfirmError::Nothing)));
    let now = bench.clock.now();
    assert_eq!(bench.store.held_sign_in_expire(now).await.unwrap(), 1);
    assert_eq!(bench.store.held_sign_in_expire(now).await.unwrap(), 0);
}

#[tokio::test]
async fn a_platform_that_names_nobody_gives_no_grant_where_somebody_is_expected() {
    let nobody = tokens(|answer| answer["id_token"] = Value::Null);
    let bench = Bench::new(Platform::start(move |_, _| nobody.clone()).await).await;
    bench.expects("A", "anna@contoso.example").await;
    let keeper = bench.keeper();
    let refused = bench.sign_in(&keeper).await.unwrap_err();
    assert_eq!(refused.code(), "sign_in_nameless");
    assert_eq!(bench.grant().await.state, GrantState::Missing);
    assert_eq!(bench.held().await, 0);
}

#[tokio::test]
async fn a_refresh_answered_for_somebody_else_keeps_the_tokens_and_the_name() {
    let people = &[
        ("anna@contoso.example", "o-1"),
        ("eve@contoso.example", "o-9"),
    ];
    let bench = Bench::new(platform(people).await).await;
    let keeper = bench.keeper();
    bench.sign_in(&keeper).await.unwrap();
    let token = keeper.access_token(bench.provider).await.unwrap();
    keeper.refused(bench.provider, token.version);
    assert_eq!(bench.access(&keeper).await, "at-o-9");
    // The old refresh token is used up: the new one must not be lost.
    assert_eq!(bench.refresh_token().await, "rt-o-9");
    let grant = bench.grant().await;
    assert_eq!(grant.signed_in_as.as_deref(), Some("anna@contoso.example"));
    assert_eq!(grant.object_id.as_deref(), Some("o-1"));
}

#[tokio::test]
async fn the_page_is_filled_in_with_who_is_expected_where_that_is_one_name() {
    let bench = Bench::new(platform(&[("adm@contoso.example", "o-1")]).await).await;
    let keeper = bench.keeper();
    let hint = async |new_identity: bool| {
        let begun = keeper
            .begin_sign_in(bench.provider, "root", None, new_identity)
            .await
            .unwrap();
        let address = begun
            .authorize_url
            .query_pairs()
            .find(|(k, _)| k == "login_hint");
        assert_eq!(address.map(|(_, name)| name.into_owned()), begun.login_hint);
        begun.login_hint
    };
    assert_eq!(hint(false).await, None);
    bench.expects("A", "anna@contoso.example").await;
    bench.expects("B", "Anna@contoso.example").await;
    assert!(
        hint(false)
            .await
            .is_some_and(|name| name.eq_ignore_ascii_case("anna@contoso.example"))
    );
    bench.sign_in(&keeper).await.unwrap();
    keeper
        .confirm_sign_in(bench.provider, "adm@contoso.example")
        .await
        .unwrap();
    assert_eq!(hint(false).await.as_deref(), Some("adm@contoso.example"));
    assert!(
        hint(true)
            .await
            .is_some_and(|name| name.eq_ignore_ascii_case("anna@contoso.example"))
    );
    bench.expects("C", "bob@contoso.example").await;
    assert_eq!(hint(true).await, None);
}

#[tokio::test]
async fn a_pasted_address_counts_for_its_provider_and_its_caller_only() {
    // Bad input 61: state of another session.
    let bench = Bench::new(platform(&[("anna@contoso.example", "o-1")]).await).await;
    let keeper = bench.keeper();
    let mut second = bench.platform.provider("Second");
    second.application_id = "app-1".into();
    let now = bench.clock.now();
    let second = bench.store.provider_add(&second, now).await.unwrap().id;
    let address = |state: &str| -> SecretString {
        let uri = "https://motion.example/api/cloudProviders/oauth2/microsoft/callback";
        secret(&format!("{uri}?code=c-1&state={state}"))
    };
    let code = async |provider, address: SecretString, caller: &str| {
        let finished = keeper.finish_pasted(provider, &address, caller).await;
        finished.err().map(|error| error.code())
    };
    let sent = begin(&keeper, &bench).await;
    let elsewhere = secret(&format!(
        "https://evil.example/?code=c&state={}",
        sent["state"]
    ));
    let refused = code(bench.provider, elsewhere, "root").await;
    assert_eq!(refused, Some("sign_in_other_address"));
    let refused = code(second, address(&sent["state"]), "root").await;
    assert_eq!(refused, Some("sign_in_other_provider"));
    let sent = begin(&keeper, &bench).await;
    let refused = code(bench.provider, address(&sent["state"]), "uid 1000").await;
    assert_eq!(refused, Some("sign_in_other_caller"));
    assert_eq!(bench.platform.posts(), 0);
    assert_eq!(bench.grant().await.state, GrantState::Missing);
    let sent = begin(&keeper, &bench).await;
    assert_eq!(
        code(bench.provider, address(&sent["state"]), "root").await,
        None
    );
    assert_eq!(bench.access(&keeper).await, "at-o-1");
    let again = code(bench.provider, address(&sent["state"]), "root").await;
    assert_eq!(again, Some("sign_in_state_used"));
}

#[tokio::test]
async fn nobody_signs_in_where_the_application_has_its_own_access() {
    let bench = Bench::new(platform(&[("anna@contoso.example", "o-1")]).await).await;
    let change = crate::store::CloudProviderChange {
        access: Some(crate::model::Access::Application),
        ..crate::store::CloudProviderChange::default()
    };
    let now = bench.clock.now();
    bench
        .store
        .provider_change(bench.provider, &change, now)
        .await
        .unwrap();
    let keeper = bench.keeper();
    let refused = keeper
        .begin_sign_in(bench.provider, "root", None, false)
        .await;
    assert_eq!(refused.unwrap_err().code(), "sign_in_not_needed");
}
