//! Committing what the platform said, until the database takes it (I3).

use tokio::time::sleep;
use tracing::{error, info};

use super::keeper::Inner;
use crate::{
    model::{Grant, GrantState, NewTokens},
    store::StoreError,
};

/// What the platform said, as far as it cannot be asked for twice.
#[derive(Clone, Copy)]
pub(super) enum Fact<'a> {
    Refreshed(&'a NewTokens),
    Refused(&'a str),
}

impl Fact<'_> {
    fn as_str(self) -> &'static str {
        match self {
            Self::Refreshed(_) => "refreshed tokens",
            Self::Refused(_) => "refused grant",
        }
    }

    async fn commit(
        self,
        keeper: &Inner,
        grant: &Grant,
        attempt: &str,
    ) -> Result<bool, StoreError> {
        let (store, provider, now) = (&keeper.store, grant.provider, keeper.clock.now());
        match self {
            Self::Refreshed(tokens) => {
                store
                    .grant_refresh_finish(provider, attempt, grant.version, tokens, now)
                    .await
            }
            Self::Refused(reason) => {
                store
                    .grant_refresh_failed(provider, attempt, GrantState::NeedsSignIn, reason, now)
                    .await
            }
        }
    }
}

/// Commits, and tries again until the database answers. Ends without success only when the row or the
/// store is gone. Not bounded in time by itself: the process' end is what bounds it, and meanwhile
/// nothing else uses the token. `false`: the row was changed by somebody else.
pub(super) async fn record(
    keeper: &Inner,
    grant: &Grant,
    attempt: &str,
    fact: Fact<'_>,
) -> Result<bool, StoreError> {
    let (provider, what) = (grant.provider, fact.as_str());
    let mut tries = 0_u32;
    loop {
        match fact.commit(keeper, grant, attempt).await {
            Err(error @ (StoreError::Closed | StoreError::Missing { .. })) => {
                error!(%provider, %error, what, "not recorded, and never will be");
                return Err(error);
            }
            Err(error) => {
                tries = tries.saturating_add(1);
                if tries == 1 {
                    error!(%provider, %error, what, "not recorded yet, trying until the database takes it");
                }
                sleep(keeper.settings.store_retry.delay(tries, rand::random())).await;
            }
            Ok(done) => {
                if tries > 0 {
                    info!(%provider, tries, what, "recorded at last");
                }
                return Ok(done);
            }
        }
    }
}
