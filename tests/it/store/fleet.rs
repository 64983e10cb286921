//! Three nodes with one database: each with its own connections, its own keeper, the same grant.

use std::{sync::Arc, time::Duration};

use motion_email::{
    model::{
        Clock, CloudService, GrantState, NewCloudProvider, NewTokens, NodeId, SystemClock,
        Timestamp,
    },
    oauth::{self, OauthClient},
    store::Store,
    token::{self, TokenError, TokenKeeper},
};
use secrecy::ExposeSecret;
use tokio::{sync::Barrier, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::bench::Bench;
use crate::support::IdentityPlatform;

const NODES: usize = 3;
const TASKS: usize = 200;

/// Fault 48. The platform gives no grace: a second request would end the grant. No node is registered as living, so that
/// each may take the grant over from the others at any moment, as from one that was declared dead and is not.
pub async fn two_hundred_tasks_of_three_nodes_cause_one_request(bench: &mut Bench) {
    let platform = IdentityPlatform::start(Duration::from_secs(3600), Duration::ZERO).await;
    let now = SystemClock.now();
    let entered = NewCloudProvider {
        authority: Some(platform.authority.clone()),
        tenant_id: "t".into(),
        client_secret: "s".to_owned().into(),
        ..NewCloudProvider::new("Fleet", CloudService::MicrosoftAzure, "app")
    };
    let provider = bench.store.provider_add(&entered, now).await.unwrap().id;
    let tokens = NewTokens {
        access_token: "at-0".to_owned().into(),
        access_expires_at: Timestamp::from_millis(now.millis() - 1000),
        refresh_token: Some("rt-0".to_owned().into()),
        scopes: None,
        signed_in_as: None,
        tenant_id: None,
        object_id: None,
    };
    let adopted = bench.store.grant_adopt(provider, &tokens, now).await;
    adopted.unwrap();

    let stop = CancellationToken::new();
    let (mut nodes, mut at_work) = (Vec::new(), JoinSet::new());
    for node in 0..NODES {
        let (store, writer) = Store::open(&bench.settings).await.unwrap();
        at_work.spawn(writer.run(CancellationToken::new()));
        let keeper = TokenKeeper::new(
            store,
            OauthClient::new(&[], &oauth::Settings::default()).unwrap(),
            NodeId::random(),
            Arc::new(SystemClock),
            token::Settings {
                // Each its own: what its own earlier run had begun, a node does not wait for.
                home: format!("{node}-home"),
                poll: Duration::from_millis(100),
                ..token::Settings::default()
            },
        );
        nodes.push(keeper);
    }
    let all = Arc::new(Barrier::new(TASKS));
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let (keeper, all) = (nodes[task % NODES].clone(), Arc::clone(&all));
        tasks.spawn(async move {
            all.wait().await;
            loop {
                match keeper.access_token(provider).await {
                    Ok(token) => return (token.version, token.secret.expose_secret().to_owned()),
                    // Another node is at it: a lane waits and comes again.
                    Err(TokenError::Elsewhere | TokenError::Pending) => {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                    Err(error) => panic!("{error:?}"),
                }
            }
        });
    }
    // The nodes' own timetables find it due as well.
    for keeper in nodes {
        let stop = stop.clone();
        at_work.spawn(async move { keeper.run(stop).await });
    }
    for seen in tasks.join_all().await {
        assert_eq!(seen, (2, "at-1".to_owned()));
    }
    assert_eq!(platform.refreshes(), 1, "exactly one POST");
    assert_eq!((platform.reuses(), platform.revoked()), (0, false));
    let grant = bench.store.grant_get(provider).await.unwrap().unwrap();
    assert_eq!((grant.state, grant.version), (GrantState::Ok, 2));
    assert_eq!(grant.refresh_token.unwrap().expose_secret(), "rt-1");
    stop.cancel();
    at_work.shutdown().await;
}
