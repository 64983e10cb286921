//! The task that writes last contacts down and announces what comes due.

use std::{collections::BTreeMap, ops::ControlFlow, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{
    Settings,
    gather::Facts,
    ledger::Ledger,
    said::{Saying, sayings},
    steady::Steady,
};
use crate::{
    model::{Clock, EventKind, Timestamp},
    store::{Contacts, Store, StoreError},
};

/// After the start lanes get this long to make contact before their silence is judged, or as long as a notice
/// takes where that is less.
const GRACE: Duration = Duration::from_secs(120);
/// Announcements in one commit.
const AT_ONCE: usize = 100;
/// What is remembered of an announcement saves a commit only; after a jump of the clock it is asked for again.
const REMEMBERED: Duration = Duration::from_secs(86_400);
/// The last contacts are written within this time at a stop, or not at all.
const LAST_WRITE: Duration = Duration::from_secs(2);

/// Looks at the calendar and tells.
pub struct Watcher {
    store: Store,
    clock: Arc<dyn Clock>,
    settings: Settings,
    lanes: Box<dyn Fn() -> Vec<Contacts> + Send + Sync>,
    ledger: Ledger,
    /// When what holds now was announced, as far as this process knows.
    announced: BTreeMap<String, Timestamp>,
}

impl Watcher {
    /// `lanes` gives what the lanes of this process show at the moment; it is called about once a minute.
    pub fn new(
        store: Store,
        clock: Arc<dyn Clock>,
        settings: Settings,
        lanes: impl Fn() -> Vec<Contacts> + Send + Sync + 'static,
    ) -> Self {
        Self {
            store,
            clock,
            settings,
            lanes: Box::new(lanes),
            ledger: Ledger::default(),
            announced: BTreeMap::new(),
        }
    }

    /// Looks at once and then every minute until `stop`, and writes the last contacts down once more. `stop`
    /// should come before the lanes are stopped, which forget theirs. Never fails; when dropped, only the last
    /// minutes' contacts are not written.
    pub async fn run(mut self, stop: CancellationToken) {
        let grace = GRACE.min(self.settings.notice_after);
        let mut steady = Steady::new(self.clock.now(), Instant::now(), grace);
        loop {
            let next = Instant::now() + self.settings.look_every();
            steady.note(self.clock.now(), Instant::now(), self.settings.notice_after);
            self.record(self.settings.write_every()).await;
            if let Err(error) = self.look(steady.is_steady(Instant::now())).await {
                warn!(%error, "what comes due could not be looked at");
            }
            if wait(&stop, next).await.is_break() {
                break;
            }
        }
        if timeout(LAST_WRITE, self.record(Duration::ZERO))
            .await
            .is_err()
        {
            debug!("the last contacts could not be written down in time");
        }
    }

    /// Writes down the contacts that are worth it, all in one commit.
    pub(super) async fn record(&mut self, lag: Duration) {
        let now = self.clock.now();
        let due = self.ledger.due((self.lanes)(), now, lag);
        match self.store.contacts_record(&due, now).await {
            Ok(()) => self.ledger.written(&due),
            Err(error) => {
                self.ledger.not_written(&due);
                debug!(%error, "last contacts were not written down");
            }
        }
    }

    /// Announces what was not announced yet.
    pub(super) async fn look(&mut self, judged: bool) -> Result<(), StoreError> {
        let facts = Facts::read(&self.store, &(self.lanes)()).await?;
        let now = self.clock.now();
        let said = sayings(&facts, &self.settings, now, judged);
        let mut before = std::mem::take(&mut self.announced);
        let mut fresh = Vec::new();
        for saying in said {
            let once = &saying.announcement.event.once;
            match before.remove(once) {
                Some(at) if at <= now.plus(REMEMBERED) => {
                    self.announced.insert(once.clone(), at);
                }
                Some(_) | None => fresh.push(saying),
            }
        }
        let mut left = fresh.as_slice();
        while !left.is_empty() {
            let (some, rest) = left.split_at(left.len().min(AT_ONCE));
            self.announce(some, now).await?;
            left = rest;
        }
        Ok(())
    }

    async fn announce(&mut self, sayings: &[Saying], now: Timestamp) -> Result<(), StoreError> {
        let announcements = sayings.iter().map(|one| one.announcement.clone()).collect();
        let new = self.store.announce(announcements, now).await?;
        for (saying, new) in sayings.iter().zip(new) {
            if new {
                tell(saying);
            }
            let once = saying.announcement.event.once.clone();
            self.announced.insert(once, now);
        }
        Ok(())
    }
}

/// One line.
fn tell(saying: &Saying) {
    let name = &saying.name;
    let event = &saying.announcement.event;
    match (&saying.remark, event.account) {
        (None, _) if event.kind == EventKind::SendingRecovered => {
            info!(account = %name, "outgoing server takes the login again");
        }
        (None, _) => info!(account = %name, "mailbox is in contact again"),
        (Some(remark), Some(_)) if event.kind == EventKind::SendingStale => warn!(
            account = %name, code = remark.code, what = %remark.what, next = %remark.next,
            "outgoing server has taken no login for long"
        ),
        (Some(remark), Some(_)) => warn!(
            account = %name, code = remark.code, what = %remark.what, next = %remark.next,
            "mailbox has had no contact for long"
        ),
        (Some(remark), None) => warn!(
            provider = %name, code = remark.code, what = %remark.what, next = %remark.next,
            "something comes due"
        ),
    }
}

async fn wait(stop: &CancellationToken, until: Instant) -> ControlFlow<()> {
    tokio::select! {
        biased;
        () = stop.cancelled() => ControlFlow::Break(()),
        () = sleep_until(until) => ControlFlow::Continue(()),
    }
}
