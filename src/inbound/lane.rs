//! The loop: wait, handle, perform.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    task::{JoinError, JoinSet},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::{
    Parts, SyncError,
    board::Place,
    machine::{self, Effect, Event, Machine, Phase, Times, Trouble},
    open::{self, Opened, Stamp},
    plan,
    report::Report,
    sync::Reader,
    trouble,
    visits::Visit,
};
use crate::{
    diagnosis::{LaneExit, warn_of_server},
    governor::{self, Held, Urgency},
    imap::{Idling, ImapError, Nudge, Session, Step},
    model::{Account, FolderChoice, LaneName, Lease},
    store::StoreError,
};

/// A server that ends IDLE sooner than this would be asked in a busy loop.
const SHORT_IDLE: Duration = Duration::from_secs(5);

/// The reading of some folders of one account: of one that is watched, or of several that are visited in turn.
pub(super) struct Lane {
    pub(super) account: Arc<Account>,
    parts: Parts,
    machine: Machine,
    /// One for each folder.
    pub(super) readers: Vec<Visit>,
    /// The folder that is selected; `None` before the next round of visits.
    pub(super) at: Option<usize>,
    report: Report,
    connection: Connection,
    token: Option<Stamp>,
    /// The successor of the connection, being opened.
    renewal: JoinSet<Result<Option<Opened>, SyncError>>,
    successor: Option<Opened>,
    /// Old sessions taking leave.
    farewells: JoinSet<()>,
    /// Outcomes not yet handled.
    pending: VecDeque<Event>,
    wake: watch::Receiver<u64>,
    tokens: watch::Receiver<u64>,
    /// The server announced IDLE and refuses it.
    idle_refused: bool,
    /// It ended IDLE at once on this connection; the next one gets a new chance.
    idle_ended: bool,
    /// What connections to this mailbox touch.
    touches: governor::Place,
    /// What the lane waits for, where that is somebody else's trouble.
    held: Option<Held>,
    /// Somebody asked to look now.
    urgent: bool,
    /// When the IDLE that runs now, or the last one, began.
    idle_since: Instant,
    lease_lost: bool,
    /// The longest wait for the server's word on this connection.
    usual: Duration,
}

enum Connection {
    None,
    Open(Box<Session>),
    Idle(Box<Idling>),
}

enum Wake {
    Stop,
    Event(Event),
    Successor(Box<Successor>),
    Nothing,
}

/// How opening a successor ended.
type Successor = Result<Result<Option<Opened>, SyncError>, JoinError>;

impl Lane {
    /// A lane that has not begun. `wake` is changed by whoever wants the mailbox looked at now.
    pub(super) fn new(
        account: Arc<Account>,
        lease: Lease,
        parts: Parts,
        folders: Vec<FolderChoice>,
        place: Place,
        wake: watch::Receiver<u64>,
    ) -> Self {
        let settings = parts.settings;
        let touches = governor::Place::imap(&account);
        parts.governor.begins_anew(&touches);
        let times = Times {
            backoff: settings.backoff,
            parked: settings.parked_retry,
            watch: settings.reissue_idle,
        };
        Self {
            machine: Machine::new(times, Instant::now()),
            readers: folders
                .into_iter()
                .map(|folder| Visit {
                    folder,
                    reader: Reader::new(account.clone(), lease.clone(), parts.clone()),
                    name: None,
                    refused: false,
                })
                .collect(),
            at: None,
            report: Report::new(account.clone(), lease, parts.clone(), place),
            connection: Connection::None,
            token: None,
            renewal: JoinSet::new(),
            successor: None,
            farewells: JoinSet::new(),
            pending: VecDeque::new(),
            wake,
            tokens: parts.keeper.changes(),
            idle_refused: false,
            idle_ended: false,
            touches,
            held: None,
            urgent: false,
            idle_since: Instant::now(),
            lease_lost: false,
            usual: settings.reissue_idle,
            account,
            parts,
        }
    }

    /// Works until it is told to stop or the lease is gone. A stop cuts talk with the server short;
    /// what has been given to the store is awaited.
    pub(super) fn run(self, stop: CancellationToken) -> impl Future<Output = LaneExit> + Send {
        // A future keeps what it was called with beside what it works with: on the heap the lane takes its room once.
        Box::new(self).live(stop)
    }

    async fn live(mut self: Box<Self>, stop: CancellationToken) -> LaneExit {
        if self.report.is_first() {
            warn_of_server(&self.account, LaneName::Inbound);
        }
        loop {
            let event = match self.wait(&stop).await {
                Wake::Stop => return Box::pin((*self).close()).await,
                Wake::Event(event) => event,
                Wake::Successor(opened) => self.successor(*opened),
                Wake::Nothing => continue,
            };
            if event == Event::Woken {
                for visit in &mut self.readers {
                    visit.reader.look_again();
                }
            }
            let effects = self.machine.handle(event, Instant::now(), rand::random());
            if Box::pin(self.report.publish(&self.machine)).await.is_err() {
                self.lease_lost = true;
            }
            for effect in effects {
                if !self.lease_lost {
                    // On the heap and only meanwhile: an account that idles is spared the room for all that work.
                    Box::pin(self.perform(effect, &stop)).await;
                }
            }
            self.urgent = false;
            if self.lease_lost {
                return Box::pin((*self).lost()).await;
            }
        }
    }

    /// The only place where the lane waits, and where waiting is given up.
    async fn wait(&mut self, stop: &CancellationToken) -> Wake {
        let deadline = self.machine.deadline();
        let parked = matches!(
            self.machine.phase(),
            Phase::Parked { .. } | Phase::Waiting { .. }
        ) && self.account.provider().is_some();
        let idling = match &mut self.connection {
            Connection::Idle(idling) => Some(idling),
            Connection::None | Connection::Open(_) => None,
        };
        let has_idling = idling.is_some();
        tokio::select! {
            biased;
            () = stop.cancelled() => Wake::Stop,
            Some(opened) = self.renewal.join_next(), if !self.renewal.is_empty() => {
                Wake::Successor(Box::new(opened))
            }
            () = std::future::ready(()), if !self.pending.is_empty() => {
                self.pending.pop_front().map_or(Wake::Nothing, Wake::Event)
            }
            Ok(()) = self.wake.changed() => {
                self.urgent = true;
                Wake::Event(Event::Woken)
            }
            () = lifted(&mut self.held), if self.held.is_some() => {
                self.held = None;
                Wake::Event(Event::Woken)
            }
            Ok(()) = self.tokens.changed(), if parked => Wake::Event(Event::Woken),
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                Wake::Event(Event::Due)
            }
            news = next(idling), if has_idling => match news {
                Ok(Nudge::Changed) => Wake::Event(Event::Nudged),
                Ok(Nudge::Ended) => {
                    if self.idle_since.elapsed() < SHORT_IDLE {
                        self.idle_ended();
                    }
                    Wake::Event(Event::Nudged)
                }
                Err(error) => {
                    self.fail(error.into());
                    Wake::Nothing
                }
            },
            Some(_left) = self.farewells.join_next(), if !self.farewells.is_empty() => Wake::Nothing,
        }
    }

    /// One bounded unit of work; its outcome waits in `pending`.
    async fn perform(&mut self, effect: Effect, stop: &CancellationToken) {
        match effect {
            Effect::Connect => {
                self.held = None;
                let urgency = match self.report.is_first() {
                    _ if self.urgent => Urgency::Urgent,
                    true => Urgency::Usual,
                    false => Urgency::Extra,
                };
                let folder = self.only().cloned();
                let opening = open::open(&self.account, &self.parts, folder.as_ref(), urgency);
                match stop.run_until_cancelled(opening).await {
                    Some(Ok(opened)) => {
                        let renew_at = self.install(opened);
                        self.pending.push_back(Event::Connected { renew_at });
                    }
                    Some(Err(error)) => self.fail(error),
                    None => {}
                }
            }
            Effect::Renew => {
                let (account, parts) = (self.account.clone(), self.parts.clone());
                let known = self.token.map_or(0, |token| token.version);
                let folder = self.only().cloned();
                self.renewal.spawn(async move {
                    open::succeed(&account, &parts, folder.as_ref(), known).await
                });
            }
            Effect::Adopt => {
                self.take_leave();
                if let Some(mut opened) = self.successor.take() {
                    opened.selected = opened
                        .selected
                        .map(|(name, selected)| (name, plan::adopted(selected)));
                    // What the old connection had still to tell is void.
                    self.pending.clear();
                    self.install(opened);
                    debug!(account = %self.account.entered.key, "connection replaced before its token expires");
                }
            }
            Effect::Sync => self.sync(stop).await,
            Effect::Watch => self.watch(stop).await,
            Effect::HangUp => {
                self.connection = Connection::None;
                self.successor = None;
                self.pending.clear();
                self.renewal.shutdown().await;
            }
        }
    }

    async fn sync(&mut self, stop: &CancellationToken) {
        // Another connection to this mailbox may have been asked for a rest that is this one's, too.
        if let Some(held) = self.parts.governor.resting(&self.touches) {
            return self.fail(held.into());
        }
        let mut session = match std::mem::replace(&mut self.connection, Connection::None) {
            Connection::Open(session) => session,
            Connection::Idle(idling) => match stop.run_until_cancelled(idling.done()).await {
                Some(Ok(session)) => Box::new(session),
                Some(Err(error)) => return self.fail(error.into()),
                None => return,
            },
            Connection::None => return self.fail(SyncError::NoFolder),
        };
        let unit = self.step(&mut session, stop).await;
        self.connection = Connection::Open(session);
        match unit {
            Ok((unit, folder)) => {
                self.report.contact();
                if unit.new > 0 {
                    info!(
                        account = %self.account.entered.key, folder, new = unit.new,
                        "mailbox synced"
                    );
                }
                let usual = self.usual;
                self.machine.times.watch = unit.again.map_or(usual, |again| again.min(usual));
                self.pending.push_back(Event::Synced { more: unit.more });
            }
            Err(error) => self.fail(error),
        }
    }

    async fn watch(&mut self, stop: &CancellationToken) {
        let session = match std::mem::replace(&mut self.connection, Connection::None) {
            Connection::Open(session) if self.can_idle(&session) => session,
            other => {
                self.connection = other;
                return;
            }
        };
        match stop.run_until_cancelled(session.idle()).await {
            Some(Ok(idling)) => {
                self.idle_since = Instant::now();
                self.connection = Connection::Idle(Box::new(idling));
            }
            Some(Err(error)) => {
                self.idle_refused |= matches!(
                    error,
                    ImapError::Refused {
                        during: Step::Idle,
                        ..
                    }
                );
                self.fail(error.into());
            }
            None => {}
        }
    }

    /// On this connection the mailbox is looked at on a schedule from now on.
    fn idle_ended(&mut self) {
        self.idle_ended = true;
        self.usual = self.parts.settings.poll;
        self.machine.times.watch = self.usual;
    }

    fn can_idle(&self, session: &Session) -> bool {
        self.readers.len() == 1 && session.can("IDLE") && !self.idle_refused && !self.idle_ended
    }

    /// Puts a session to work; says when its successor is to be opened.
    fn install(&mut self, opened: Opened) -> Option<Instant> {
        let settings = self.parts.settings;
        self.idle_ended = false;
        self.usual = if self.can_idle(&opened.session) {
            settings.reissue_idle
        } else {
            settings.poll
        };
        self.machine.times.watch = self.usual;
        self.at = None;
        for visit in &mut self.readers {
            visit.name = None;
        }
        if let (Some((name, selected)), Some(visit)) = (opened.selected, self.readers.first_mut()) {
            visit.name = Some(name.clone());
            visit.reader.selected(name, selected);
            self.at = Some(0);
        }
        self.connection = Connection::Open(Box::new(opened.session));
        self.token = opened.token;
        self.report.contact();
        opened.token.map(|token| self.renew_at(token))
    }

    fn renew_at(&self, token: Stamp) -> Instant {
        let left = token.expires_at.since(self.parts.clock.now());
        machine::renew_at(Instant::now(), left, self.parts.settings.renew_lead)
    }

    /// What became of opening a successor. Trouble with it is no trouble yet: the connection lives.
    fn successor(&mut self, opened: Result<Result<Option<Opened>, SyncError>, JoinError>) -> Event {
        let left = self.token.map_or(Duration::ZERO, |token| {
            token.expires_at.since(self.parts.clock.now())
        });
        match opened {
            Ok(Ok(Some(opened))) => {
                let renew_at = opened.token.map(|token| self.renew_at(token));
                self.successor = Some(opened);
                return Event::Renewed { renew_at };
            }
            Ok(Ok(None)) => {}
            Ok(Err(error)) => {
                debug!(account = %self.account.entered.key, %error, "the next connection could not be opened yet");
            }
            Err(error) => {
                debug!(account = %self.account.entered.key, %error, "opening the next connection ended early");
            }
        }
        let pause = (left / 4).clamp(Duration::from_millis(500), Duration::from_secs(30));
        Event::NotRenewed {
            retry_at: Instant::now() + pause,
        }
    }

    /// The old session says goodbye while the new one works.
    fn take_leave(&mut self) {
        match std::mem::replace(&mut self.connection, Connection::None) {
            Connection::None => {}
            Connection::Open(session) => {
                self.farewells.spawn(session.logout());
            }
            Connection::Idle(idling) => {
                self.farewells.spawn(async move {
                    if let Ok(session) = idling.done().await {
                        session.logout().await;
                    }
                });
            }
        }
    }

    fn fail(&mut self, error: SyncError) {
        match error {
            SyncError::Stopping => {}
            SyncError::Store(StoreError::LeaseLost { .. }) => self.lease_lost = true,
            error => {
                if let SyncError::Imap(error) = &error {
                    self.parts.governor.heard_imap(&self.touches, error);
                }
                let trouble = trouble::trouble(&error);
                if let SyncError::Held(held) = &error {
                    self.held = Some(held.clone());
                }
                if trouble == Trouble::Goodbye {
                    info!(account = %self.account.entered.key, reason = %error, "connection ended, connecting again");
                }
                self.report.failed(error);
                self.pending.push_back(Event::Failed(trouble));
            }
        }
    }

    async fn close(mut self) -> LaneExit {
        self.renewal.shutdown().await;
        self.take_leave();
        // At most two seconds each; a server that says nothing more is left.
        let leave = async { while self.farewells.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(Duration::from_secs(3), leave).await;
        self.farewells.shutdown().await;
        self.report.stopped().await;
        LaneExit::Stopped
    }

    /// Nothing may be written any more (I11).
    async fn lost(mut self) -> LaneExit {
        self.connection = Connection::None;
        self.renewal.shutdown().await;
        self.farewells.shutdown().await;
        LaneExit::LeaseLost
    }
}

/// What was waited for is over before its time; for ever where that cannot be.
async fn lifted(held: &mut Option<Held>) {
    match held {
        Some(held) => held.lifted().await,
        None => std::future::pending().await,
    }
}

/// The server's next hint; for ever without a session that idles.
async fn next(idling: Option<&mut Box<Idling>>) -> Result<Nudge, ImapError> {
    match idling {
        Some(idling) => idling.next().await,
        None => std::future::pending().await,
    }
}
