//! Signing in and refreshing against the lab's certified OpenID provider, over TLS, through its login pages.

use std::{path::PathBuf, process::Command, sync::Arc, time::Duration};

use motion_email::{
    model::{Clock, Timestamp},
    model::{CloudProviderId, CloudService, GrantState, NewCloudProvider, NodeId, SystemClock},
    net::{self, Net},
    oauth::{self, OauthClient, OauthError},
    store::{self, CloudProviderChange, Store},
    token::{self, CallbackQuery, SignInError, SignedIn, TokenError, TokenKeeper},
};
use secrecy::{ExposeSecret, SecretString};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::support::{Lab, eventually};

const MICROSOFT: CloudService = CloudService::MicrosoftAzure;
const LIMIT: Duration = Duration::from_secs(30);

/// A provider of the test's own at the lab, in a store of its own, with a keeper.
struct Bench {
    lab: Lab,
    store: Store,
    keeper: TokenKeeper,
    provider: CloudProviderId,
    client: String,
    _dir: TempDir,
    _writer: JoinSet<()>,
}

fn now() -> Timestamp {
    SystemClock.now()
}

impl Bench {
    async fn new(token_seconds: u32) -> Self {
        let lab = Lab::load();
        let dir = tempfile::tempdir().expect("a folder");
        let (store, writer) = Store::open(&store::Settings {
            url: format!("sqlite://{}/motion.db", dir.path().display()).into(),
            key_file: dir.path().join("key"),
            ca_file: lab.get("CA_FILE").into(),
            read_connections: 2,
            patience: Duration::from_secs(5),
        })
        .await
        .expect("a store");
        let mut tasks = JoinSet::new();
        tasks.spawn(writer.run(CancellationToken::new()));
        let (client, secret) = lab.client(token_seconds).await;
        let entered = NewCloudProvider {
            tenant_id: lab.get("TENANT").into(),
            client_secret: secret.into(),
            redirect_uri: format!("http://127.0.0.1:9380{}", lab.get("CALLBACK_PATH")),
            authority: Some(lab.get("AUTHORITY").into()),
            ..NewCloudProvider::new(&format!("Lab {client}"), MICROSOFT, &client)
        };
        let provider = store
            .provider_add(&entered, now())
            .await
            .expect("stored")
            .id;
        let net = Net::new(&net::Settings {
            ca_file: lab.get("CA_FILE").into(),
            ..net::Settings::default()
        })
        .expect("the lab's authority");
        let keeper = TokenKeeper::new(
            store.clone(),
            OauthClient::new(net.roots(), &oauth::Settings::default()).expect("a client"),
            NodeId::random(),
            Arc::new(SystemClock),
            token::Settings {
                poll: Duration::from_millis(200),
                ..token::Settings::default()
            },
        );
        Self {
            lab,
            store,
            keeper,
            provider,
            client,
            _dir: dir,
            _writer: tasks,
        }
    }

    /// Sends `user` through the provider's pages; gives the query of the callback they end at.
    async fn at_the_pages(&self, user: &str, more: &'static [&'static str]) -> String {
        let begun = self
            .keeper
            .begin_sign_in(self.provider, "test", Some(user), false)
            .await;
        let url = begun.expect("begun").authorize_url.to_string();
        let tool = PathBuf::from(self.lab.get("TOOLS")).join("sign-in");
        let user = user.to_owned();
        let output = tokio::task::spawn_blocking(move || {
            Command::new(tool)
                .args(["--user", &user, "--no-callback"])
                .args(more)
                .arg(&url)
                .output()
                .expect("the sign-in tool runs")
        })
        .await
        .expect("the tool's thread");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let url = String::from_utf8(output.stdout).expect("a URL");
        let (_, query) = url.trim().split_once('?').expect("a query");
        query.to_owned()
    }

    async fn finish(&self, query: &str) -> Result<SignedIn, SignInError> {
        let query = CallbackQuery::parse(query)?;
        self.keeper.finish_sign_in(MICROSOFT, query).await
    }

    async fn signed_in(token_seconds: u32) -> Self {
        let bench = Self::new(token_seconds).await;
        let user = bench.lab.fresh_mailbox("oauth");
        let query = bench.at_the_pages(&user, &[]).await;
        let signed_in = bench.finish(&query).await.expect("signed in");
        assert_eq!(signed_in.signed_in_as.as_deref(), Some(user.as_str()));
        bench
    }

    /// Makes the keeper ask the provider: the newest token is said to have been refused by a server.
    async fn refresh(&self) -> Result<token::Token, TokenError> {
        let version = self.grant().await.version;
        self.keeper.refused(self.provider, version);
        self.keeper.access_token(self.provider).await
    }

    async fn grant(&self) -> motion_email::model::Grant {
        let grant = self
            .store
            .grant_get(self.provider)
            .await
            .expect("the store answers");
        grant.expect("a grant")
    }

    async fn refreshes(&self) -> u64 {
        let counters = self.lab.counters().await;
        counters["refreshesByClient"][&self.client]
            .as_u64()
            .unwrap_or(0)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_in_through_the_providers_pages_and_a_second_callback_changes_nothing() {
    let bench = Bench::new(300).await;
    let user = bench.lab.fresh_mailbox("oauth");
    let query = bench.at_the_pages(&user, &[]).await;
    let signed_in = bench.finish(&query).await.expect("signed in");
    assert_eq!(signed_in.signed_in_as.as_deref(), Some(user.as_str()));
    let token = bench
        .keeper
        .access_token(bench.provider)
        .await
        .expect("a token");
    let grant = bench.grant().await;
    assert_eq!(grant.state, GrantState::Ok);
    assert_eq!(grant.signed_in_as.as_deref(), Some(user.as_str()));
    // Reloading the page replays code and state.
    let again = bench.finish(&query).await;
    assert!(matches!(again, Err(SignInError::StateUsed)), "{again:?}");
    let same = bench
        .keeper
        .access_token(bench.provider)
        .await
        .expect("a token");
    assert_eq!(same.secret.expose_secret(), token.secret.expose_secret());
    assert_eq!(bench.grant().await.version, grant.version);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_declines_is_told_so_in_the_providers_words() {
    let bench = Bench::new(300).await;
    let user = bench.lab.fresh_mailbox("oauth");
    let query = bench.at_the_pages(&user, &["--deny"]).await;
    let refused = bench.finish(&query).await;
    assert!(
        matches!(&refused, Err(SignInError::Refused { error, .. }) if error == "access_denied"),
        "{refused:?}"
    );
    assert_eq!(bench.grant().await.state, GrantState::Missing);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_five_seconds_are_refreshed_with_rotation_and_each_once() {
    let bench = Bench::signed_in(5).await;
    let stop = CancellationToken::new();
    let mut task = JoinSet::new();
    let (keeper, stopping) = (bench.keeper.clone(), stop.clone());
    task.spawn(async move { keeper.run(stopping).await });
    let first = bench.grant().await.refresh_token.expect("a refresh token");
    eventually("three refreshes", LIMIT, async || {
        let version = bench.grant().await.version;
        // A lane that asks at any time is answered at once, with a token that has not ended.
        let token = bench.keeper.access_token(bench.provider).await;
        let token = token.map_err(|error| error.to_string())?;
        assert!(token.expires_at > now());
        if version >= 4 {
            Ok(())
        } else {
            Err(format!("version {version}"))
        }
    })
    .await;
    stop.cancel();
    task.join_all().await;
    let grant = bench.grant().await;
    let last = grant.refresh_token.expect("a refresh token");
    assert_ne!(first.expose_secret(), last.expose_secret());
    // The lab's rotation is strict: one request too many would have ended the grant.
    assert_eq!(grant.state, GrantState::Ok);
    assert_eq!(
        bench.refreshes().await,
        u64::try_from(grant.version - 1).expect("positive")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_callers_cost_the_provider_one_refresh() {
    // Fault 48.
    let bench = Bench::signed_in(300).await;
    let (before, version) = (bench.refreshes().await, bench.grant().await.version);
    let mut callers = JoinSet::new();
    for _ in 0..200 {
        let (keeper, provider) = (bench.keeper.clone(), bench.provider);
        callers.spawn(async move {
            keeper.refused(provider, version);
            keeper
                .access_token(provider)
                .await
                .expect("a token")
                .version
        });
    }
    for seen in callers.join_all().await {
        assert_eq!(seen, version + 1);
    }
    assert_eq!(bench.refreshes().await, before + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_secret_that_was_changed_at_the_provider_is_cured_by_entering_the_new_one() {
    let bench = Bench::signed_in(300).await;
    let fresh = "another-secret";
    bench
        .lab
        .control(&format!("secret?client={}&secret={fresh}", bench.client))
        .await;
    // The access token is still valid, so it is handed out, and the reason is kept beside it.
    bench.refresh().await.expect("the old token");
    match bench.keeper.trouble(bench.provider) {
        Some(OauthError::Refused(refusal)) => assert_eq!(refusal.codes, [7_000_215]),
        other => panic!("{other:?}"),
    }
    let before = bench.grant().await;
    assert_eq!((before.state, before.version), (GrantState::Ok, 1));
    let change = CloudProviderChange {
        client_secret: Some(SecretString::from(fresh)),
        ..CloudProviderChange::default()
    };
    let changed = bench
        .store
        .provider_change(bench.provider, &change, now())
        .await;
    changed.expect("changed");
    bench.keeper.provider_changed(bench.provider);
    let token = bench
        .keeper
        .access_token(bench.provider)
        .await
        .expect("a token");
    assert_eq!(token.version, 2);
    assert!(bench.keeper.trouble(bench.provider).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_grant_asks_for_a_new_sign_in_and_gets_it() {
    let bench = Bench::signed_in(300).await;
    let user = bench.grant().await.signed_in_as.expect("a user");
    bench.lab.control(&format!("revoke?user={user}")).await;
    let refused = bench.refresh().await;
    assert!(
        matches!(refused, Err(TokenError::NeedsSignIn { .. })),
        "{refused:?}"
    );
    assert_eq!(bench.grant().await.state, GrantState::NeedsSignIn);
    let query = bench.at_the_pages(&user, &[]).await;
    bench.finish(&query).await.expect("signed in again");
    bench
        .keeper
        .access_token(bench.provider)
        .await
        .expect("a token");
    assert_eq!(bench.grant().await.state, GrantState::Ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ill_provider_costs_no_sign_in() {
    let bench = Bench::signed_in(300).await;
    let fault = format!(
        "fail?status=503&count=1&client={}&retryAfter=1",
        bench.client
    );
    bench.lab.control(&fault).await;
    bench.refresh().await.expect("the old token");
    let trouble = bench.keeper.trouble(bench.provider);
    assert!(
        matches!(
            trouble,
            Some(OauthError::Unavailable {
                status: 503,
                retry_after: Some(_)
            })
        ),
        "{trouble:?}"
    );
    eventually(
        "the platform is asked again and answers",
        LIMIT,
        async || {
            let token = bench.keeper.access_token(bench.provider).await;
            let token = token.map_err(|error| error.to_string())?;
            if token.version == 2 {
                Ok(())
            } else {
                Err("still the old token".to_owned())
            }
        },
    )
    .await;
    assert_eq!(bench.grant().await.state, GrantState::Ok);
}
