//! The one governor of a process: permits and slots.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    sync::oneshot,
    time::{Instant, timeout},
};
use tracing::{info, warn};

use super::{
    Held, Place, Settings, Shown, Urgency,
    book::{Book, News, Out},
    host::{Answer, Turn},
    shown,
    sign::{self, Hint, Sign},
};
use crate::{imap::ImapError, model::Clock, smtp::SmtpError};

/// Shared budgets of all connections. Cheap to clone; one for the whole process.
#[derive(Clone)]
pub struct Governor {
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<State>,
    settings: Settings,
    clock: Arc<dyn Clock>,
}

struct State {
    book: Book,
    waiting: HashMap<u64, oneshot::Sender<Answer>>,
}

impl Governor {
    /// With these bounds; does nothing by itself, ever.
    pub fn new(settings: Settings, clock: Arc<dyn Clock>) -> Self {
        let state = State {
            book: Book::new(settings),
            waiting: HashMap::new(),
        };
        Self {
            inner: Arc::new(Inner {
                state: Mutex::new(state),
                settings,
                clock,
            }),
        }
    }

    /// Waits for the right to open a connection. Cancel-safe: dropped, it leaves the line and takes nothing.
    ///
    /// # Errors
    /// [`Held`]: nothing is to be opened before a time, or (for a renewal) there is no room now, or (for others)
    /// there was none within [`Settings::patience`].
    pub async fn admit(&self, place: &Place, urgency: Urgency) -> Result<Permit, Held> {
        let (id, answered) = {
            let mut state = self.lock();
            match state.book.ask(place, urgency, Instant::now()) {
                Ok(answer) => return self.permit(place, answer),
                Err(id) => {
                    let (sender, answered) = oneshot::channel();
                    state.waiting.insert(id, sender);
                    (id, answered)
                }
            }
        };
        let mut ticket = Waiting {
            governor: self,
            place,
            id,
            answered: Some(answered),
        };
        loop {
            let Some(answered) = ticket.answered.as_mut() else {
                // Not reached: only the answer takes it.
                std::future::pending::<()>().await;
                continue;
            };
            match timeout(self.inner.settings.patience, answered).await {
                Ok(Ok(answer)) => {
                    ticket.answered = None;
                    return self.permit(place, answer);
                }
                // The sender is kept until it answers.
                Ok(Err(_gone)) => ticket.answered = None,
                Err(_elapsed) => {
                    let mut state = self.lock();
                    if let Some(held) = state.book.give_up(place, id, Instant::now()) {
                        state.waiting.remove(&id);
                        drop(state);
                        ticket.answered = None;
                        return Err(held);
                    }
                }
            }
        }
    }

    /// The rest that a place keeps now, which concerns connections that are open, too.
    pub fn resting(&self, place: &Place) -> Option<Held> {
        self.lock().book.resting(place, Instant::now())
    }

    /// What would be answered now instead of a permit, for who has work to do before it asks for one.
    pub fn would_hold(&self, place: &Place, urgency: Urgency) -> Option<Held> {
        self.lock().book.would_hold(place, urgency, Instant::now())
    }

    /// An account's task begins, as after the account was edited: what was asked of its login and mailbox is tried
    /// again once. What speaks of a host or a tenant stays.
    pub fn begins_anew(&self, place: &Place) {
        self.lock().book.rests.forget(place);
    }

    /// Takes in what an IMAP server said on an open connection.
    pub fn heard_imap(&self, place: &Place, error: &ImapError) {
        self.heard(place, sign::hint_of_imap(error));
    }

    /// Takes in what an SMTP server said on an open connection.
    pub fn heard_smtp(&self, place: &Place, error: &SmtpError) {
        self.heard(place, sign::hint_of_smtp(error));
    }

    /// What is held and how many wait, for status pages.
    pub fn shown(&self) -> Shown {
        let state = self.lock();
        shown::shown(&state.book, Instant::now(), self.inner.clock.now())
    }

    fn heard(&self, place: &Place, hint: Option<Hint>) {
        if let Some(hint) = hint {
            let mut state = self.lock();
            let out = state.book.heard(place, &hint, Instant::now());
            self.give(state, out);
        }
    }

    fn permit(&self, place: &Place, answer: Answer) -> Result<Permit, Held> {
        match answer {
            Answer::Go(turn) => Ok(Permit {
                governor: self.clone(),
                place: place.clone(),
                turn: Some(turn),
            }),
            Answer::Held(held) => Err(held),
        }
    }

    fn ended(&self, place: &Place, turn: Turn, sign: &Sign, keeps: bool) {
        let mut state = self.lock();
        let out = state.book.ended(place, turn, sign, keeps, Instant::now());
        self.give(state, out);
    }

    /// Answers who waited. An answer to somebody who left takes itself back: see [`Waiting`].
    fn give(&self, mut state: MutexGuard<'_, State>, out: Out) {
        for (id, answer) in out.answers {
            if let Some(sender) = state.waiting.remove(&id) {
                // Its other end is closed only under this lock, after it left the line.
                let _ = sender.send(answer);
            }
        }
        drop(state);
        match out.news {
            None => {}
            Some(News::Silent { host, said }) => {
                warn!(host = %host, said, "server gives nobody an answer; one account at a time tries it until it does");
            }
            Some(News::Answers { host }) => {
                info!(host = %host, "server answers again; its accounts connect");
            }
            Some(News::Rests { scope, time, said }) => {
                let until = self.inner.clock.now().plus(time).rfc3339();
                let of = scope.kind.as_str();
                warn!(of, whose = %scope.words(), until, said, "server asked for a rest, which all keep whom it speaks of");
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        let state = self.inner.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Governor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Governor")
            .field("settings", &self.inner.settings)
            .finish_non_exhaustive()
    }
}

/// A place in a line; leaves it when dropped.
struct Waiting<'a> {
    governor: &'a Governor,
    place: &'a Place,
    id: u64,
    answered: Option<oneshot::Receiver<Answer>>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let Some(mut answered) = self.answered.take() else {
            return;
        };
        let mut state = self.governor.lock();
        state.waiting.remove(&self.id);
        state.book.withdraw(self.place, self.id);
        drop(state);
        // The answer may have come between.
        if let Ok(Answer::Go(turn)) = answered.try_recv() {
            self.governor.ended(self.place, turn, &Sign::Nothing, false);
        }
    }
}

/// The right to open one connection. Dropped without a word it is given back, and says nothing about the host.
#[derive(Debug)]
#[must_use = "a permit that is dropped gives its place to the next"]
pub struct Permit {
    governor: Governor,
    place: Place,
    turn: Option<Turn>,
}

impl Permit {
    /// It is open, and the server let the account in. The slot is kept as long as the connection lives.
    pub fn opened(mut self) -> Slot {
        if let Some(turn) = self.turn.take() {
            self.governor.ended(&self.place, turn, &Sign::Well, true);
        }
        Slot {
            governor: self.governor.clone(),
            place: self.place.clone(),
        }
    }

    /// It could not be opened.
    pub fn failed_imap(self, error: &ImapError) {
        self.failed(&sign::of_imap(error), sign::hint_of_imap(error));
    }

    /// It could not be opened.
    pub fn failed_smtp(self, error: &SmtpError) {
        self.failed(&sign::of_smtp(error), sign::hint_of_smtp(error));
    }

    fn failed(mut self, sign: &Sign, hint: Option<Hint>) {
        // A rest before the next in line is let go; a number of connections without this one.
        let (crowded, rest): (Option<Hint>, Option<Hint>) = match hint {
            Some(Hint::Crowded) => (hint, None),
            other => (None, other),
        };
        self.governor.heard(&self.place, rest);
        if let Some(turn) = self.turn.take() {
            self.governor.ended(&self.place, turn, sign, false);
        }
        self.governor.heard(&self.place, crowded);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(turn) = self.turn.take() {
            self.governor
                .ended(&self.place, turn, &Sign::Nothing, false);
        }
    }
}

/// One connection of a login, until dropped.
#[derive(Debug)]
pub struct Slot {
    governor: Governor,
    place: Place,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.governor.lock();
        let out = state.book.released(&self.place, Instant::now());
        self.governor.give(state, out);
    }
}
