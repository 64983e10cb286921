//! A small IMAP server over TLS that keeps a mailbox, and can be told to misbehave.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    sync::watch,
};

use super::testing_state::{Idle, State};
use crate::model::{Clock, SystemClock, Timestamp};

#[derive(Clone)]
pub(super) struct Server {
    state: Arc<Mutex<State>>,
    changed: watch::Sender<u64>,
    cut: watch::Sender<&'static str>,
}

impl Server {
    pub(super) fn new() -> Self {
        Self {
            state: Arc::new(Mutex::new(State::new())),
            changed: watch::Sender::new(0),
            cut: watch::Sender::new(""),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Delivers a mail; its UID.
    pub(super) fn deliver(&self, subject: &str) -> u32 {
        self.deliver_at(subject, SystemClock.now())
    }

    pub(super) fn deliver_at(&self, subject: &str, received: Timestamp) -> u32 {
        let mail = format!(
            "From: Casey <casey@customer.test>\r\nTo: desk@lab.test\r\nSubject: {subject}\r\n\
             Message-ID: <{subject}@test>\r\n\r\nHello from {subject}.\r\n"
        );
        let uid = {
            let mut state = self.state();
            let uid = state.next;
            state.next += 1;
            state.mails.insert(uid, (mail.into_bytes(), received));
            uid
        };
        self.changed.send_modify(|count| *count += 1);
        uid
    }

    /// Ends every connection, with these last words or none.
    pub(super) fn cut(&self, words: &'static str) {
        self.cut.send_replace(words);
    }

    pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(self, stream: S) {
        let left;
        {
            let mut state = self.state();
            left = state.cut_after.take();
            state.open += 1;
            state.most_open = state.most_open.max(state.open);
        }
        let mut talk = Talk {
            cut: self.cut.subscribe(),
            changed: self.changed.subscribe(),
            server: self.clone(),
            left,
            line: BufReader::new(stream),
        };
        talk.cut.mark_unchanged();
        let _ = talk.run().await;
        self.state().open -= 1;
    }
}

struct Talk<S> {
    server: Server,
    /// Octets that may still be sent.
    left: Option<usize>,
    line: BufReader<S>,
    cut: watch::Receiver<&'static str>,
    changed: watch::Receiver<u64>,
}

enum Heard {
    Line(String),
    Changed,
    End,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Talk<S> {
    async fn say(&mut self, text: &str) {
        self.say_raw(format!("{text}\r\n").as_bytes()).await;
    }

    async fn say_raw(&mut self, octets: &[u8]) {
        let part = &octets[..self.left.unwrap_or(usize::MAX).min(octets.len())];
        if let Some(left) = &mut self.left {
            *left -= part.len();
        }
        let _ = self.line.write_all(part).await;
        let _ = self.line.flush().await;
    }

    async fn wait(&mut self, idling: bool) -> Heard {
        if self.left == Some(0) {
            self.server.state().cuts += 1;
            return Heard::End;
        }
        let mut said = String::new();
        tokio::select! {
            biased;
            Ok(()) = self.cut.changed() => {
                let words = *self.cut.borrow();
                if !words.is_empty() {
                    self.say(&format!("* BYE {words}")).await;
                }
                Heard::End
            }
            read = self.line.read_line(&mut said) => match read {
                Ok(octets) if octets > 0 => Heard::Line(said.trim_end().to_owned()),
                _ => Heard::End,
            },
            Ok(()) = self.changed.changed(), if idling => Heard::Changed,
        }
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            match self.wait(false).await {
                Heard::Line(line) => return Some(line),
                Heard::Changed => {}
                Heard::End => return None,
            }
        }
    }

    async fn run(&mut self) -> Option<()> {
        self.say("* OK ready").await;
        loop {
            let line = self.line().await?;
            let (tag, command) = line.split_once(' ')?;
            let (verb, rest) = command.split_once(' ').unwrap_or((command, ""));
            match verb {
                "CAPABILITY" => {
                    let idle = if self.server.state().idle == Idle::Absent {
                        ""
                    } else {
                        " IDLE"
                    };
                    self.say(&format!(
                        "* CAPABILITY IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2{idle}"
                    ))
                    .await;
                    self.say(&format!("{tag} OK done")).await;
                }
                "AUTHENTICATE" => self.authenticate(tag).await?,
                "SELECT" => self.select(tag).await,
                "UID" => self.fetch(tag, rest.strip_prefix("FETCH ")?).await?,
                "IDLE" => self.idle(tag).await?,
                "LOGOUT" => {
                    self.say(&format!("* BYE\r\n{tag} OK bye")).await;
                    return None;
                }
                _ => self.say(&format!("{tag} BAD what")).await,
            }
        }
    }

    async fn authenticate(&mut self, tag: &str) -> Option<()> {
        self.say("+ ").await;
        let first = STANDARD.decode(self.line().await?).ok()?;
        let first = String::from_utf8(first).ok()?;
        let secret = match first.split_once("Bearer ") {
            Some((_, rest)) => rest.trim_end_matches('\u{1}').to_owned(),
            None => first.rsplit('\0').next()?.to_owned(),
        };
        let (good, refused, challenge) = {
            let mut state = self.server.state();
            state.logins.push(secret.clone());
            let good = state.secrets.contains(&secret);
            (good, state.refuse_login, state.challenge.clone())
        };
        if let Some(challenge) = challenge {
            self.say(&format!("+ {challenge}")).await;
            let answer = self.line().await?;
            self.server.state().challenge_answers.push(answer);
        }
        let answer = match refused {
            Some(words) => words,
            None if good => "OK done",
            None => "NO [AUTHENTICATIONFAILED] no",
        };
        self.answer(tag, answer).await
    }

    /// Words that begin with a star are a server's last.
    async fn answer(&mut self, tag: &str, words: &str) -> Option<()> {
        if words.starts_with('*') {
            self.say(words).await;
            return None;
        }
        self.say(&format!("{tag} {words}")).await;
        Some(())
    }

    async fn select(&mut self, tag: &str) {
        let answer = {
            let state = self.server.state();
            match state.refuse_select {
                Some(words) => format!("{tag} {words}"),
                None => {
                    let next = if state.without_uidnext {
                        String::new()
                    } else {
                        format!(
                            "* OK [UIDNEXT {}] next\r\n",
                            state.next + state.early_uidnext
                        )
                    };
                    format!(
                        "* {} EXISTS\r\n* OK [UIDVALIDITY {}] ok\r\n{next}{tag} OK done",
                        state.mails.len(),
                        state.validity
                    )
                }
            }
        };
        self.changed.mark_unchanged();
        self.say(&answer).await;
    }

    async fn fetch(&mut self, tag: &str, rest: &str) -> Option<()> {
        let refused = self.server.state().refuse_fetch;
        if let Some(words) = refused {
            return self.answer(tag, words).await;
        }
        let (set, items) = rest.split_once(' ')?;
        let mut out = Vec::new();
        let (mut dead, mut refused, mut cut) = (false, false, false);
        {
            let mut state = self.server.state();
            state.lists += u32::from(set.ends_with(":*"));
            let top = state.mails.keys().next_back().copied().unwrap_or(0);
            let number = |text: &str| {
                if text == "*" {
                    Some(top)
                } else {
                    text.parse().ok()
                }
            };
            let mut wanted = BTreeSet::new();
            for part in set.split(',') {
                let (low, high) = part.split_once(':').unwrap_or((part, part));
                let (low, high) = (number(low)?, number(high)?);
                let range = low.min(high)..=low.max(high);
                let there = state.mails.keys().filter(|uid| !state.late.contains(uid));
                wanted.extend(there.filter(|uid| range.contains(uid)));
            }
            for uid in wanted {
                let (mail, received) = state.mails.get(&uid)?.clone();
                if items == "(UID)" {
                    out.extend_from_slice(format!("* 1 FETCH (UID {uid})\r\n").as_bytes());
                    continue;
                }
                if items.contains("HEADER.FIELDS (MESSAGE-ID)") {
                    let text = String::from_utf8_lossy(&mail).into_owned();
                    let line = text
                        .lines()
                        .take_while(|line| !line.is_empty())
                        .find(|line| line.to_ascii_lowercase().starts_with("message-id:"));
                    let line = line.map_or(String::new(), |line| format!("{line}\r\n"));
                    out.extend_from_slice(
                        format!(
                            "* 1 FETCH (UID {uid} BODY[HEADER.FIELDS (MESSAGE-ID)] {{{}}}\r\n{line}\r\n)\r\n",
                            line.len() + 2
                        )
                        .as_bytes(),
                    );
                    continue;
                }
                if items.contains("SIZE") {
                    let date = chrono::DateTime::from_timestamp_millis(received.millis())?;
                    let date = date.format("%d-%b-%Y %H:%M:%S +0000");
                    let size = match state.understated.contains(&uid) {
                        true => 10,
                        false => mail.len(),
                    };
                    let date = match state.undated {
                        true => String::new(),
                        false => format!(" INTERNALDATE \"{date}\""),
                    };
                    out.extend_from_slice(
                        format!("* 1 FETCH (UID {uid} RFC822.SIZE {size}{date})\r\n").as_bytes(),
                    );
                    if state.vanishing.remove(&uid) {
                        state.mails.remove(&uid);
                    }
                    continue;
                }
                if let Some(left) = state.refusals.get_mut(&uid).filter(|left| **left > 0) {
                    *left -= 1;
                    refused = true;
                    break;
                }
                if state.poison.contains(&uid) {
                    out.extend_from_slice(
                        format!("* 1 FETCH (UID {uid} BODY[] {{900000000}}\r\n").as_bytes(),
                    );
                    dead = true;
                    break;
                }
                if state.no_body.contains(&uid) {
                    out.extend_from_slice(
                        format!("* 1 FETCH (UID {uid} BODY[] NIL)\r\n").as_bytes(),
                    );
                    continue;
                }
                state.bodies += 1;
                let (origin, part) = match items.split_once('<') {
                    Some((_, partial)) => {
                        let (offset, octets) = partial.split_once('>')?.0.split_once('.')?;
                        let offset: usize = offset.parse().ok()?;
                        let octets: usize = octets.parse().ok()?;
                        let rest = &mail[offset.min(mail.len())..];
                        (
                            format!("<{offset}>"),
                            rest[..octets.min(rest.len()).min(state.slices)].to_vec(),
                        )
                    }
                    None => (String::new(), mail),
                };
                let section = if items.contains("HEADER") {
                    "HEADER"
                } else {
                    ""
                };
                out.extend_from_slice(
                    format!(
                        "* 1 FETCH (UID {uid} BODY[{section}]{origin} {{{}}}\r\n",
                        part.len()
                    )
                    .as_bytes(),
                );
                if std::mem::take(&mut state.cut_body) {
                    out.extend_from_slice(&part[..part.len() / 2]);
                    cut = true;
                    break;
                }
                out.extend_from_slice(&part);
                out.extend_from_slice(b")\r\n");
            }
        }
        self.say_raw(&out).await;
        if cut {
            return None;
        }
        if dead {
            self.line().await;
            return None;
        }
        let refusal = self.server.state().refusal;
        let answer = if refused { refusal } else { "OK done" };
        self.answer(tag, answer).await
    }

    async fn idle(&mut self, tag: &str) -> Option<()> {
        let idle = {
            let mut state = self.server.state();
            state.idles += 1;
            state.idle
        };
        match idle {
            Idle::Refused => {
                self.say(&format!("{tag} NO not here")).await;
                return Some(());
            }
            Idle::Ended => {
                self.say(&format!("+ ok\r\n{tag} OK enough")).await;
                return Some(());
            }
            Idle::Announces | Idle::Silent | Idle::Absent => self.say("+ ok").await,
        }
        loop {
            match self.wait(true).await {
                Heard::Line(line) if line == "DONE" => break,
                Heard::Line(_) | Heard::End => return None,
                Heard::Changed if idle == Idle::Announces => {
                    let count = self.server.state().mails.len();
                    self.say(&format!("* {count} EXISTS")).await;
                }
                Heard::Changed => {}
            }
        }
        self.say(&format!("{tag} OK done")).await;
        Some(())
    }
}
