//! One identity platform: requests wait here for their turn, by the rules of [`Gate`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::gate::{Gate, Limits, Sign, Turn};
use crate::{model::CloudProviderId, oauth::OauthError};

/// One identity platform, shared by the grants that live there.
pub(super) struct Issuer {
    pub(super) name: String,
    limits: Limits,
    gate: Mutex<Gate>,
    room: Arc<Semaphore>,
}

/// Why a request may not go out now.
#[derive(Debug)]
pub(super) enum Closed {
    /// Ask again at this time.
    Later(Instant),
    /// The platform gives nobody an answer; ask again at this time.
    Broken(OauthError, Instant),
    /// The process is stopping.
    Stopping,
}

impl Issuer {
    pub(super) fn new(name: String, limits: Limits) -> Self {
        Self {
            name,
            limits,
            gate: Mutex::default(),
            room: Arc::new(Semaphore::new(limits.at_once.max(1))),
        }
    }

    /// Nothing that holds this lock can panic half-way through a change.
    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request that may go now, for a grant that can wait.
    pub(super) fn try_pass(self: &Arc<Self>, grant: CloudProviderId) -> Result<Pass, Closed> {
        let now = Instant::now();
        let Ok(room) = Arc::clone(&self.room).try_acquire_owned() else {
            return Err(Closed::Later(now + self.limits.spacing));
        };
        match self.gate().turn(&self.limits, grant, false, now) {
            Turn::At(_) => Ok(self.pass(grant, room)),
            Turn::Later(at) => Err(Closed::Later(at)),
            Turn::Broken(error, at) => Err(Closed::Broken(error, at)),
        }
    }

    /// Waits for this grant's turn, first come, first served. Dropping the future costs its place only.
    pub(super) async fn wait_pass(
        self: &Arc<Self>,
        grant: CloudProviderId,
        stop: &CancellationToken,
    ) -> Result<Pass, Closed> {
        let room = tokio::select! {
            biased;
            () = stop.cancelled() => return Err(Closed::Stopping),
            room = Arc::clone(&self.room).acquire_owned() => room.map_err(|_| Closed::Stopping)?,
        };
        let turn = self.gate().turn(&self.limits, grant, true, Instant::now());
        match turn {
            Turn::At(at) => {
                let pass = self.pass(grant, room);
                wait_until(at, stop).await?;
                Ok(pass)
            }
            Turn::Later(at) => Err(Closed::Later(at)),
            Turn::Broken(error, at) => Err(Closed::Broken(error, at)),
        }
    }

    fn pass(self: &Arc<Self>, grant: CloudProviderId, room: OwnedSemaphorePermit) -> Pass {
        Pass {
            issuer: Arc::clone(self),
            grant,
            ended: false,
            _room: room,
        }
    }
}

async fn wait_until(at: Instant, stop: &CancellationToken) -> Result<(), Closed> {
    tokio::select! {
        biased;
        () = stop.cancelled() => Err(Closed::Stopping),
        () = sleep_until(at) => Ok(()),
    }
}

/// One request that may go out.
pub(super) struct Pass {
    issuer: Arc<Issuer>,
    grant: CloudProviderId,
    ended: bool,
    _room: OwnedSemaphorePermit,
}

impl Pass {
    /// Waits until one more request may go out in the same round.
    pub(super) async fn again(&self) {
        let issuer = &self.issuer;
        let now = Instant::now();
        let turn = issuer.gate().turn(&issuer.limits, self.grant, true, now);
        if let Turn::At(at) = turn {
            sleep_until(at).await;
        }
    }

    /// The request's end. Gives the platform if it is well again after it was not for everybody.
    pub(super) fn ended(mut self, failed: Option<&OauthError>) -> Option<Arc<Issuer>> {
        self.ended = true;
        let issuer = &self.issuer;
        let sign = failed.map_or(Sign::Well, Sign::of);
        let mut gate = issuer.gate();
        let was_open = gate.is_open();
        let healed = gate.ended(&issuer.limits, self.grant, sign, Instant::now());
        let opened = gate.is_open() && !was_open;
        drop(gate);
        if opened {
            warn!(issuer = %issuer.name, "the identity platform gives no grant an answer: only probes are sent until it does");
        }
        if healed {
            info!(issuer = %issuer.name, "the identity platform answers again");
        }
        healed.then(|| Arc::clone(issuer))
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if !self.ended {
            self.issuer.gate().given_back(self.grant);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(id: i64) -> CloudProviderId {
        CloudProviderId::new(id)
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_requests_than_allowed_are_under_way_and_a_stop_ends_the_queue() {
        let limits = Limits {
            at_once: 2,
            ..Limits::default()
        };
        let issuer = Arc::new(Issuer::new("host".into(), limits));
        let stop = CancellationToken::new();
        let one = issuer.wait_pass(grant(1), &stop).await.unwrap();
        let _two = issuer.wait_pass(grant(2), &stop).await.unwrap();
        assert!(matches!(issuer.try_pass(grant(3)), Err(Closed::Later(_))));
        let mut queue = tokio::task::JoinSet::new();
        let (waiting, stopping) = (issuer.clone(), stop.clone());
        queue.spawn(async move { waiting.wait_pass(grant(3), &stopping).await.is_ok() });
        tokio::task::yield_now().await;
        assert!(queue.try_join_next().is_none());
        one.ended(None);
        assert!(queue.join_next().await.unwrap().unwrap());
        let _three = issuer.wait_pass(grant(4), &stop).await.unwrap();
        let (waiting, stopping) = (issuer.clone(), stop.clone());
        queue.spawn(async move { waiting.wait_pass(grant(5), &stopping).await.is_ok() });
        tokio::task::yield_now().await;
        stop.cancel();
        assert!(!queue.join_next().await.unwrap().unwrap());
    }
}
