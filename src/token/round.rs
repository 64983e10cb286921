//! The task that refreshes ahead of expiry.

use std::{ops::ControlFlow, sync::PoisonError};

use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use super::{TokenKeeper, refresh};

impl TokenKeeper {
    /// Keeps the token of every signed-in grant fresh until `stop`; then waits, at most
    /// [`Settings::drain`](super::Settings::drain), until the answers to requests in flight are recorded.
    /// After that [`TokenKeeper::access_token`] gives [`TokenError::Stopping`](super::TokenError::Stopping)
    /// where a refresh would be needed.
    pub async fn run(&self, stop: CancellationToken) {
        let mut next_poll = Instant::now();
        loop {
            if Instant::now() >= next_poll {
                self.poll().await;
                next_poll = Instant::now() + self.inner.settings.poll;
            }
            let next_due = self.start_due();
            let next = next_due.map_or(next_poll, |due| due.min(next_poll));
            if self.wait(&stop, next).await.is_break() {
                break;
            }
        }
        self.drain().await;
    }

    async fn wait(&self, stop: &CancellationToken, until: Instant) -> ControlFlow<()> {
        tokio::select! {
            biased;
            () = stop.cancelled() => ControlFlow::Break(()),
            () = self.inner.look.notified() => ControlFlow::Continue(()),
            () = sleep_until(until) => ControlFlow::Continue(()),
        }
    }

    /// Looks at the store for grants that are new, changed or gone.
    async fn poll(&self) {
        match self.inner.store.grant_list().await {
            Ok(grants) => {
                for grant in &grants {
                    let slot = self.inner.slot(grant.provider);
                    if slot.learn(grant, rand::random()) {
                        self.inner.tell();
                    }
                }
                self.inner
                    .slots()
                    .retain(|id, _| grants.iter().any(|grant| grant.provider == *id));
            }
            Err(error) => warn!(%error, "grants could not be looked at"),
        }
        let now = self.inner.clock.now();
        match self.inner.store.held_sign_in_expire(now).await {
            Ok(0) => {}
            Ok(dropped) => warn!(dropped, "dropped sign-ins that nobody confirmed in time"),
            Err(error) => warn!(%error, "held sign-ins could not be looked at"),
        }
    }

    /// Starts the refreshes whose time has come; says when the next one's will.
    fn start_due(&self) -> Option<Instant> {
        let (now, at) = (self.inner.clock.now(), Instant::now());
        let slots: Vec<_> = self.inner.slots().values().cloned().collect();
        let mut next: Option<Instant> = None;
        for slot in slots {
            // In flight already; its end is notified.
            let Ok(flight) = slot.flight.clone().try_lock_owned() else {
                continue;
            };
            let Some(due) = slot.next(now, at, &self.inner.settings) else {
                continue;
            };
            if due > at {
                next = Some(next.map_or(due, |next| next.min(due)));
                continue;
            }
            let keeper = self.inner.clone();
            let started = self.inner.spawn(async move {
                if let Err(error) = refresh::refresh(&keeper, &slot).await {
                    slot.rest(keeper.settings.waits.retry.first);
                    debug!(provider = %slot.provider, %error, "no refresh ahead of expiry");
                }
                drop(flight);
                keeper.look.notify_one();
            });
            if started.is_err() {
                return None;
            }
        }
        next
    }

    async fn drain(&self) {
        let tasks = {
            let mut tasks = self
                .inner
                .tasks
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            tasks.take()
        };
        let Some(mut tasks) = tasks else { return };
        let ended = timeout(self.inner.settings.drain, async {
            while tasks.join_next().await.is_some() {}
        });
        if ended.await.is_err() {
            error!(
                unfinished = tasks.len(),
                "stopping with refreshes whose answer is not recorded"
            );
            tasks.shutdown().await;
        }
    }
}
