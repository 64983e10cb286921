//! Who may go now. Pure: time is an argument, and answers are returned to be given.

use std::{collections::BTreeMap, sync::Arc};

use tokio::time::{Duration, Instant};

use super::{
    Held, Place, Settings, Urgency,
    circuit::Change,
    host::{Answer, Host, Ticket, Turn, full, host, line_of, of_silence, put_back, resting, take},
    place::Scope,
    rest::Rests,
    sign::{Hint, Sign},
};

/// How long a host that nobody asks for is remembered, with what it bears.
const REMEMBERED: Duration = Duration::from_secs(600);
/// How long a server's "no more connections" is believed.
const CROWDED: Duration = Duration::from_secs(600);
/// Between two sweeps.
const SWEEP: Duration = Duration::from_secs(60);

/// What is worth a line in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// A host gives nobody an answer.
    Silent { host: Arc<str>, said: String },
    /// It answers again.
    Answers { host: Arc<str> },
    /// A rest begins.
    Rests {
        scope: Scope,
        time: Duration,
        said: String,
    },
}

/// Answers to who waited, and news.
#[derive(Debug, Default)]
pub(super) struct Out {
    pub(super) answers: Vec<(u64, Answer)>,
    pub(super) news: Option<News>,
}

/// All hosts.
#[derive(Debug)]
pub(super) struct Book {
    limits: Settings,
    pub(super) hosts: BTreeMap<Arc<str>, Host>,
    pub(super) rests: Rests,
    last_id: u64,
    swept_at: Option<Instant>,
}

impl Book {
    pub(super) fn new(limits: Settings) -> Self {
        Self {
            limits,
            hosts: BTreeMap::new(),
            rests: Rests::default(),
            last_id: 0,
            swept_at: None,
        }
    }

    /// Asks to open a connection: `Err` with a number that an answer will come for.
    pub(super) fn ask(
        &mut self,
        place: &Place,
        urgency: Urgency,
        now: Instant,
    ) -> Result<Answer, u64> {
        self.sweep(now);
        let limits = self.limits;
        self.last_id += 1;
        let ticket = Ticket {
            id: self.last_id,
            place: place.clone(),
            urgency,
        };
        let host = host(&mut self.hosts, &place.host, &limits, now);
        host.asked_at = now;
        // Whoever waits and could go has gone: those in line lack room, as this one does then, or a connection of
        // their login, which they get before this one.
        if let Some(answer) = host.judge(&ticket, &self.rests, &limits, now) {
            return Ok(answer);
        }
        let id = ticket.id;
        if let Some(tickets) = host.lines.get_mut(line_of(urgency)) {
            tickets.push_back(ticket);
        }
        Err(id)
    }

    /// Who waited waits no longer. False where the answer is under way already.
    pub(super) fn withdraw(&mut self, place: &Place, id: u64) -> bool {
        let Some(host) = self.hosts.get_mut(&place.host) else {
            return false;
        };
        let before = host.waiting();
        for line in &mut host.lines {
            line.retain(|ticket| ticket.id != id);
        }
        host.waiting() < before
    }

    /// Takes a ticket whose login has no connection free out of the line.
    pub(super) fn give_up(&mut self, place: &Place, id: u64, now: Instant) -> Option<Held> {
        let limits = self.limits;
        let host = self.hosts.get(&place.host)?;
        let ticket = host.lines.iter().flatten().find(|ticket| ticket.id == id)?;
        if host.has_slot(place, ticket.urgency, &limits, now) {
            return None;
        }
        self.withdraw(place, id).then(|| full(place, now))
    }

    /// An opening has ended. `keeps`: with a connection, which [`Book::released`] ends.
    pub(super) fn ended(
        &mut self,
        place: &Place,
        turn: Turn,
        sign: &Sign,
        keeps: bool,
        now: Instant,
    ) -> Out {
        let limits = self.limits;
        let host = host(&mut self.hosts, &place.host, &limits, now);
        host.pace.end();
        let change = match sign {
            Sign::Well => {
                let pressed = host.waiting() > 0 || !host.pace.has_room();
                host.pace.well(turn.begun, now, pressed, &limits);
                host.circuit.well()
            }
            Sign::Ill(said) => {
                host.pace.ill(turn.begun, now, &limits);
                host.circuit
                    .ill(&place.login, said, turn.probe, &limits, now)
            }
            Sign::Nothing => {
                if turn.probe {
                    host.circuit.given_back();
                }
                Change::None
            }
        };
        if !keeps {
            host.release(&place.login);
        }
        let host_name = || Arc::clone(&place.host);
        let news = match (change, sign) {
            (Change::Opened, Sign::Ill(said)) => Some(News::Silent {
                host: host_name(),
                said: said.clone(),
            }),
            (Change::Closed, _) => {
                host.pace.reset(&limits);
                Some(News::Answers { host: host_name() })
            }
            _ => None,
        };
        Out {
            answers: self.pump(&place.host, now),
            news,
        }
    }

    /// A connection has ended.
    pub(super) fn released(&mut self, place: &Place, now: Instant) -> Out {
        if let Some(host) = self.hosts.get_mut(&place.host) {
            host.release(&place.login);
        }
        Out {
            answers: self.pump(&place.host, now),
            news: None,
        }
    }

    /// A server's words. Whoever waits for a connection that they speak of is told.
    pub(super) fn heard(&mut self, place: &Place, hint: &Hint, now: Instant) -> Out {
        match hint {
            Hint::Crowded => {
                let host = self.hosts.get_mut(&place.host);
                let login = host.and_then(|host| host.logins.get_mut(&place.login));
                // With none open here, others use them all: nothing to learn for this machine.
                if let Some(login) = login.filter(|login| login.open > 0) {
                    login.at_most = Some((login.open, now + CROWDED));
                }
                Out::default()
            }
            Hint::Rest { of, time, said } => {
                let Some(scope) = place.scope(*of) else {
                    return Out::default();
                };
                let begins = self.rests.add(&scope, *time, said, now);
                let mut answers = Vec::new();
                for host in self.hosts.values_mut() {
                    for line in &mut host.lines {
                        line.retain(|ticket| {
                            let held = resting(&self.rests, &ticket.place, now);
                            let stays = held.is_none();
                            answers.extend(held.map(|held| (ticket.id, Answer::Held(held))));
                            stays
                        });
                    }
                }
                let news = begins.then(|| News::Rests {
                    scope,
                    time: *time,
                    said: said.clone(),
                });
                Out { answers, news }
            }
        }
    }

    /// The rest that a place keeps.
    pub(super) fn resting(&self, place: &Place, now: Instant) -> Option<Held> {
        resting(&self.rests, place, now)
    }

    /// What would be answered instead of a permit; who would only wait in line is not told.
    pub(super) fn would_hold(&self, place: &Place, urgency: Urgency, now: Instant) -> Option<Held> {
        resting(&self.rests, place, now).or_else(|| {
            let circuit = &self.hosts.get(&place.host)?.circuit;
            let may = urgency == Urgency::Examine
                || circuit.would_pass(&place.login, urgency == Urgency::Urgent, now);
            let silent = circuit.silent(now).filter(|_| !may)?;
            Some(of_silence(place, silent))
        })
    }

    /// Lets go who may.
    fn pump(&mut self, host: &Arc<str>, now: Instant) -> Vec<(u64, Answer)> {
        let limits = self.limits;
        let mut answers = Vec::new();
        let Some(host) = self.hosts.get_mut(host) else {
            return answers;
        };
        for line in 0..host.lines.len() {
            let mut at = 0;
            while let Some(ticket) = host.lines.get_mut(line).and_then(|l| take(l, at)) {
                if !host.pace.has_room() && host.circuit.silent(now).is_none() {
                    put_back(&mut host.lines, line, at, ticket);
                    return answers;
                }
                match host.judge(&ticket, &self.rests, &limits, now) {
                    Some(answer) => answers.push((ticket.id, answer)),
                    // Its login is full: those behind it may go (I6).
                    None => {
                        put_back(&mut host.lines, line, at, ticket);
                        at += 1;
                    }
                }
            }
        }
        answers
    }

    /// Forgets what nobody uses (I10).
    fn sweep(&mut self, now: Instant) {
        if self.swept_at.is_some_and(|at| now < at + SWEEP) {
            return;
        }
        self.swept_at = Some(now);
        self.rests.sweep(now);
        self.hosts.retain(|_, host| {
            host.logins.retain(|_, login| {
                login.open > 0 || login.at_most.is_some_and(|(_, until)| until > now)
            });
            !host.logins.is_empty()
                || host.waiting() > 0
                || host.pace.under_way() > 0
                || !host.circuit.is_forgotten(now, REMEMBERED)
                || host.asked_at + REMEMBERED > now
        });
    }
}
