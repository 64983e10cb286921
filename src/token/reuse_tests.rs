//! A platform that detects the reuse of a refresh token and revokes the whole family.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use super::{
    TokenError,
    bench::{Bench, Running, eventually, secret, word},
};
use crate::{
    model::{Clock, GrantState, NewTokens},
    oauth::scripted::{Platform, Reply, Request},
};

/// The refresh tokens of one sign-in, as the platform remembers them.
#[derive(Default)]
struct Family {
    newest: usize,
    replaced: HashSet<String>,
    reuses: usize,
    revoked: bool,
}

impl Family {
    /// Takes the newest token only. One that was replaced revokes the family (RFC 9700 §4.14.2).
    fn answer(&mut self, request: &Request) -> Reply {
        let token = request.form["refresh_token"].clone();
        if self.replaced.contains(&token) {
            self.reuses += 1;
            self.revoked = true;
        }
        if self.revoked || token != format!("rt-{}", self.newest) {
            return Reply::refusal("invalid_grant", &[54005]);
        }
        self.replaced.insert(token);
        self.newest += 1;
        let newest = self.newest;
        Reply::tokens(&format!("at-{newest}"), Some(&format!("rt-{newest}")))
    }
}

#[tokio::test]
async fn a_reused_refresh_token_revokes_the_family_and_is_not_tried_again() {
    // Fault 49.
    let family = Arc::new(Mutex::new(Family::default()));
    let told = family.clone();
    let platform = Platform::start(move |request, _| told.lock().unwrap().answer(request)).await;
    let bench = Bench::signed_in(platform, -1).await;
    let first = bench.keeper().access_token(bench.provider).await.unwrap();
    assert_eq!(word(&first), "at-1");
    // An old copy of the database: the token that was replaced is the newest that is known here.
    let now = bench.clock.now();
    let restored = NewTokens {
        access_token: secret("at-0"),
        access_expires_at: now,
        refresh_token: Some(secret("rt-0")),
        scopes: None,
        signed_in_as: None,
        tenant_id: None,
        object_id: None,
    };
    let adopted = bench.store.grant_adopt(bench.provider, &restored, now);
    adopted.await.unwrap();
    let running = Running::start(&bench);
    eventually("the reuse is detected", async || {
        let refused = running.keeper.access_token(bench.provider).await;
        matches!(refused, Err(TokenError::NeedsSignIn { .. }))
    })
    .await;
    // Neither lanes, nor servers' refusals, nor the keeper's own timetable, nor a restart try again.
    let version = bench.grant().await.version;
    for _ in 0..50 {
        running.keeper.refused(bench.provider, version);
        running.keeper.provider_changed(bench.provider);
        let refused = running.keeper.access_token(bench.provider).await;
        assert!(
            matches!(&refused, Err(TokenError::NeedsSignIn { reason }) if reason.contains("54005")),
            "{refused:?}"
        );
    }
    bench.clock.advance(86_400);
    running.keeper.provider_changed(bench.provider);
    let restarted = bench.keeper().access_token(bench.provider).await;
    assert!(matches!(restarted, Err(TokenError::NeedsSignIn { .. })));
    running.end().await;
    let grant = bench.grant().await;
    assert_eq!(grant.state, GrantState::NeedsSignIn);
    assert!(grant.reason.unwrap().contains("54005"));
    // One request rotated, one was the reuse; none came after the family was revoked.
    assert_eq!(bench.platform.posts(), 2);
    let family = family.lock().unwrap();
    assert_eq!((family.reuses, family.revoked), (1, true));
}
