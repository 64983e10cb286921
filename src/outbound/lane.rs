//! The loop: wait, handle, perform.

use std::{collections::VecDeque, sync::Arc};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{
    Parts, SendError,
    deliver::{self, Step},
    machine::{Effect, Event, Machine, Phase, Times},
    open::{self, Open},
    record::{Recorder, Unrecorded},
    report::Report,
    trouble,
};
use crate::{
    diagnosis::{LaneExit, LaneStatus, warn_of_server},
    governor::{Held, Place, Urgency},
    model::{Account, ClockStep, ClockWatch, LaneName, Lease, Timestamp},
    store::StoreError,
};

/// The outbound half of one account's task.
pub struct Lane {
    recorder: Recorder,
    machine: Machine,
    report: Report,
    open: Option<Box<Open>>,
    /// What an earlier run left unended is cleared up.
    begun: bool,
    /// Whether the wall clock keeps pace, as seen at each look.
    watch: ClockWatch,
    /// It was set back, and the queue has not been put right yet.
    set_back: bool,
    /// What connections by the entered name touch.
    place: Place,
    /// What the lane waits for, where that is somebody else's trouble.
    held: Option<Held>,
    /// Somebody asked to try now.
    urgent: bool,
    /// Outcomes not yet handled.
    pending: VecDeque<Event>,
    queued: watch::Receiver<u64>,
    wake: watch::Receiver<u64>,
    tokens: watch::Receiver<u64>,
}

enum Wake {
    Stop,
    Event(Event),
    Nothing,
}

impl Lane {
    /// A lane that has not begun. `wake` is changed by whoever wants what waits tried now.
    pub fn new(
        account: Arc<Account>,
        lease: Lease,
        parts: Parts,
        status: watch::Sender<LaneStatus>,
        wake: watch::Receiver<u64>,
    ) -> Self {
        let times = Times {
            backoff: parts.settings.backoff,
            parked: parts.settings.parked_retry,
            proof: parts.settings.proof,
        };
        let watch = ClockWatch::new(parts.clock.now(), Instant::now().into_std());
        let queued = parts.store.outbox_written();
        let tokens = parts.keeper.changes();
        let place = Place::smtp(&account, account.smtp_user());
        parts.governor.begins_anew(&place);
        let recorder = Recorder {
            account,
            lease,
            parts,
        };
        Self {
            machine: Machine::new(times),
            report: Report::new(recorder.clone(), status),
            recorder,
            open: None,
            begun: false,
            watch,
            set_back: false,
            place,
            held: None,
            urgent: false,
            pending: VecDeque::new(),
            queued,
            wake,
            tokens,
        }
    }

    /// Works until it is told to stop or the lease is gone. A stop gives back what has not had its dot
    /// announced, and waits for the answer to what has. Dropping the future after that leaves the
    /// message in doubt, which the next claim finds.
    pub fn run(self, stop: CancellationToken) -> impl Future<Output = LaneExit> + Send {
        // A future keeps what it was called with beside what it works with: on the heap the lane takes its room once.
        Box::new(self).live(stop)
    }

    async fn live(mut self: Box<Self>, stop: CancellationToken) -> LaneExit {
        warn_of_server(&self.recorder.account, LaneName::Outbound);
        let first = self.machine.begin();
        let mut effects = vec![first];
        loop {
            for effect in effects {
                // On the heap and only meanwhile: an account that idles is spared the room for all that work.
                if let Err(unrecorded) = Box::pin(self.perform(effect, &stop)).await {
                    return (*self).lost(&unrecorded);
                }
            }
            let event = loop {
                match self.wait(&stop).await {
                    Wake::Stop => return Box::pin((*self).close()).await,
                    Wake::Event(event) => break event,
                    Wake::Nothing => {}
                }
            };
            effects = self.machine.handle(event, Instant::now(), rand::random());
            if let Err(unrecorded) = Box::pin(self.report.publish(&self.machine)).await {
                return (*self).lost(&unrecorded);
            }
        }
    }

    /// The only place where the lane waits, and where waiting is given up.
    async fn wait(&mut self, stop: &CancellationToken) -> Wake {
        let deadline = self.machine.deadline();
        let in_trouble = matches!(
            self.machine.phase(),
            Phase::Waiting { .. } | Phase::Parked { .. }
        ) && self.recorder.account.provider().is_some();
        tokio::select! {
            biased;
            () = stop.cancelled() => Wake::Stop,
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
            Ok(()) = self.tokens.changed(), if in_trouble => Wake::Event(Event::Woken),
            Ok(()) = self.queued.changed() => Wake::Event(Event::Queued),
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                Wake::Event(Event::Due)
            }
            // The senders of all hints are gone and nothing is timed: only a stop can come.
            else => {
                stop.cancelled().await;
                Wake::Stop
            }
        }
    }

    /// One bounded unit of work; its outcome waits in `pending`.
    async fn perform(
        &mut self,
        effect: Effect,
        stop: &CancellationToken,
    ) -> Result<(), Unrecorded> {
        match effect {
            Effect::Look => match self.look().await {
                Ok(due) => self.pending.push_back(Event::Looked {
                    due: due.map(|at| self.instant(at)),
                }),
                Err(error) => self.fail(error.into())?,
            },
            Effect::Connect => self.connect(stop).await?,
            Effect::Deliver => self.deliver(stop).await?,
            Effect::Quit | Effect::HangUp => self.hang_up().await,
        }
        Ok(())
    }

    /// When the next message is due. The first time, what an earlier run left unended is cleared up; after the wall
    /// clock was set back, what was put off by its old time (fault 50).
    async fn look(&mut self) -> Result<Option<Timestamp>, StoreError> {
        let parts = &self.recorder.parts;
        let now = parts.clock.now();
        if self.watch.step(now, Instant::now().into_std()) == ClockStep::Back {
            self.set_back = true;
        }
        if !self.begun {
            parts.store.outbox_begin(&self.recorder.lease, now).await?;
            self.begun = true;
        } else if self.set_back {
            let lease = &self.recorder.lease;
            parts.store.outbox_set_back(lease, now).await?;
        }
        self.set_back = false;
        parts.store.outbox_next_due(self.recorder.account.id).await
    }

    async fn connect(&mut self, stop: &CancellationToken) -> Result<(), Unrecorded> {
        self.held = None;
        let urgency = if std::mem::take(&mut self.urgent) {
            Urgency::Urgent
        } else {
            Urgency::Usual
        };
        let (parts, lease) = (&self.recorder.parts, &self.recorder.lease);
        // Before the record: what is not tried is no attempt.
        if let Some(held) = parts.governor.would_hold(&self.place, urgency) {
            return self.fail(held.into());
        }
        let attempt = match open::begin(parts, lease).await {
            Ok(attempt) => attempt,
            Err(error) => return self.fail(error.into()),
        };
        let opening = open::open(&self.recorder.account, parts, urgency);
        let opened = stop.run_until_cancelled(opening).await;
        if let Err(error) = open::end(parts, lease, &attempt, opened.as_ref()).await {
            return self.fail(error.into());
        }
        match opened {
            Some(Ok(open)) => {
                self.report.contact();
                self.open = Some(Box::new(open));
                self.pending.push_back(Event::Connected);
                Ok(())
            }
            Some(Err(error)) => self.fail(error),
            None => Ok(()),
        }
    }

    async fn deliver(&mut self, stop: &CancellationToken) -> Result<(), Unrecorded> {
        let settings = &self.recorder.parts.settings;
        let (most, idle) = (settings.line_messages, settings.line_idle);
        let Some(open) = &mut self.open else {
            self.pending.push_back(Event::LineGone);
            return Ok(());
        };
        // Another connection may have been asked for a rest that is this one's, too.
        if let Some(held) = self.recorder.parts.governor.resting(&open.place) {
            return self.fail(held.into());
        }
        if !open.lasts(most) {
            self.pending.push_back(Event::Delivered { line: false });
            return Ok(());
        }
        let event = match deliver::deliver_next(open, &self.recorder, stop).await? {
            Step::Nothing => {
                let idle_until = Instant::now() + idle;
                let close_at = open.close_by.map_or(idle_until, |at| at.min(idle_until));
                self.report.well();
                Event::Nothing { close_at }
            }
            Step::Delivered => {
                let line = open.lasts(most);
                if open.line.is_usable() {
                    self.report.contact();
                }
                self.report.well();
                Event::Delivered { line }
            }
            Step::LineGone => Event::LineGone,
            Step::Stopped => {
                self.open = None;
                return Ok(());
            }
            Step::Failed(error) => return self.fail(error),
        };
        self.pending.push_back(event);
        Ok(())
    }

    /// In good order where that is possible, for at most five seconds.
    async fn hang_up(&mut self) {
        if let Some(open) = self.open.take() {
            debug!(
                account = %self.recorder.account.entered.key, messages = open.messages,
                octets = open.line.octets().sent, "line closed"
            );
            open.line.quit().await;
        }
    }

    fn fail(&mut self, error: SendError) -> Result<(), Unrecorded> {
        if let SendError::Store(StoreError::LeaseLost { .. }) = error {
            return Err(Unrecorded::LeaseLost);
        }
        if let SendError::Smtp(error) = &error {
            let place = self.open.as_ref().map_or(&self.place, |open| &open.place);
            self.recorder.parts.governor.heard_smtp(place, error);
        }
        let trouble = trouble::trouble(&error);
        if let SendError::Held(held) = &error {
            self.held = Some(held.clone());
        }
        self.report.failed(error);
        self.pending.push_back(Event::Failed(trouble));
        Ok(())
    }

    /// A wall-clock time as one to wait for.
    fn instant(&self, at: Timestamp) -> Instant {
        Instant::now() + at.since(self.recorder.parts.clock.now())
    }

    async fn close(mut self) -> LaneExit {
        self.hang_up().await;
        self.report.stopped();
        LaneExit::Stopped
    }

    /// Nothing may be written any more. A line in the middle of a body is closed without a dot.
    fn lost(mut self, unrecorded: &Unrecorded) -> LaneExit {
        self.open = None;
        self.report.stopped();
        match unrecorded {
            Unrecorded::LeaseLost => LaneExit::LeaseLost,
            Unrecorded::Closed => LaneExit::Stopped,
        }
    }
}

/// What was waited for is over before its time; for ever where that cannot be.
async fn lifted(held: &mut Option<Held>) {
    match held {
        Some(held) => held.lifted().await,
        None => std::future::pending().await,
    }
}
