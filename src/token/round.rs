//! The task that refreshes ahead of expiry.

use std::{
    collections::HashMap,
    ops::ControlFlow,
    sync::{Arc, PoisonError},
};

use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use super::{
    TokenKeeper,
    issuer::{Closed, Pass},
    refresh, replay,
    slot::Slot,
};
use crate::{model::CloudProviderId, store::Page};

/// Refreshes ahead of expiry under way at the same time, and tasks that wait for a platform's turn. More are
/// begun as these end.
const TASKS: usize = 64;

impl TokenKeeper {
    /// Keeps the token of every signed-in grant fresh until `stop`; then waits, at most
    /// [`Settings::drain`](super::Settings::drain), until the answers to requests in flight are recorded.
    /// After that [`TokenKeeper::access_token`] gives [`TokenError::Stopping`](super::TokenError::Stopping)
    /// where a refresh would be needed.
    pub async fn run(&self, stop: CancellationToken) {
        self.look_through_journal();
        let mut next_poll = Instant::now();
        loop {
            if self.inner.take_poll_now() || Instant::now() >= next_poll {
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

    /// Starts looking at what earlier runs left in the journal: one task, each grant's file under its flight.
    fn look_through_journal(&self) {
        let Some(journal) = self.inner.journal.clone() else {
            return;
        };
        let keeper = Arc::clone(&self.inner);
        let started = self.inner.spawn(async move {
            for provider in journal.grants().await {
                if keeper.stopping.is_cancelled() {
                    break;
                }
                let slot = keeper.slot(provider);
                let flight = slot.flight.clone().lock_owned().await;
                replay::look_through(&keeper, &journal, &slot).await;
                drop(flight);
                keeper.look.notify_one();
            }
        });
        if let Err(error) = started {
            debug!(%error, "the token journal is not looked through");
        }
    }

    /// Looks at the store for grants that are new, changed or gone.
    async fn poll(&self) {
        let everything = Page {
            limit: i64::MAX,
            offset: 0,
        };
        let (providers, grants) = match (
            self.inner.store.provider_list(everything).await,
            self.inner.store.grant_list().await,
        ) {
            (Ok(providers), Ok(grants)) => (providers.rows, grants),
            (Err(error), _) | (_, Err(error)) => {
                warn!(%error, "grants could not be looked at");
                return;
            }
        };
        let entered: HashMap<CloudProviderId, _> = providers
            .into_iter()
            .map(|provider| (provider.id, provider.entered))
            .collect();
        for grant in &grants {
            let slot = self.inner.slot(grant.provider);
            if let Some(entered) = entered.get(&grant.provider) {
                slot.set_provider(entered.access, self.inner.issuer(entered));
            }
            if slot.learn(grant, rand::random()) {
                self.inner.tell();
            }
        }
        self.inner
            .slots()
            .retain(|id, _| grants.iter().any(|grant| grant.provider == *id));
        self.inner.forget_issuers();
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
        let mut later = |due: Instant| next = Some(next.map_or(due, |next| next.min(due)));
        for slot in slots {
            // In flight already; its end is notified.
            let Ok(flight) = slot.flight.clone().try_lock_owned() else {
                continue;
            };
            let Some(due) = slot.next(now, at, &self.inner.settings) else {
                continue;
            };
            if due > at {
                later(due);
                continue;
            }
            if self.inner.under_way() >= TASKS {
                break;
            }
            let pass = match self.early_pass(&slot) {
                Ok(pass) => pass,
                Err(again) => {
                    later(again);
                    continue;
                }
            };
            let keeper = Arc::clone(&self.inner);
            let started = self.inner.spawn(async move {
                if let Err(error) = refresh::refresh(&keeper, &slot, pass).await {
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

    /// A request for a grant that can wait, if its platform lets it go now; otherwise when to ask again. A
    /// grant without a good token waits for its turn in its own task.
    fn early_pass(&self, slot: &Slot) -> Result<Option<Pass>, Instant> {
        let settings = &self.inner.settings;
        let now = self.inner.clock.now();
        let (Some(_), Some(issuer)) = (slot.usable(now, settings), slot.issuer()) else {
            return Ok(None);
        };
        match issuer.try_pass(slot.provider) {
            Ok(pass) => Ok(Some(pass)),
            Err(Closed::Later(again) | Closed::Broken(_, again)) => {
                Err(again.min(Instant::now() + slot.good_for(now, settings)))
            }
            Err(Closed::Stopping) => Ok(None),
        }
    }

    async fn drain(&self) {
        // Who still waits for a turn has asked nothing of the platform.
        self.inner.stopping.cancel();
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
