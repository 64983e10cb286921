//! A logged-in session: open a mailbox, list it, take leave.

use std::fmt;

use async_imap::imap_proto::{AttributeValue, MailboxDatum, Response, ResponseCode};
use tokio::time::{Duration, timeout};

use super::{
    ImapError, Settings, Step,
    connect::Capabilities,
    date,
    fetch::uid_set,
    login,
    wire::{Budget, Wire},
};
use crate::{
    model::{Timestamp, Uid, UidValidity},
    net::guard::{self, Limits},
};

/// A logged-in session. Its commands are not cancel-safe: after a dropped one it refuses to work.
#[derive(Debug)]
pub struct Session {
    pub(super) wire: Wire,
    pub(super) settings: Settings,
    /// Sorted, between spaces: a session lives for long, and a set takes ten times the room.
    capabilities: Box<str>,
    pub(super) counters: Counters,
    /// Lives as long as the connection.
    keepsake: Option<Box<dyn fmt::Debug + Send + Sync>>,
}

/// Oddities of a server, counted and otherwise ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// FETCH data for UIDs that were not asked for, or without a UID.
    pub unasked: u64,
    /// FETCH data for a UID that had been answered already.
    pub repeated: u64,
}

/// What SELECT said of a mailbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Selected {
    /// How many messages there are.
    pub exists: u32,
    /// The validity of its UIDs; `None` where the server said none, or 0.
    pub uid_validity: Option<UidValidity>,
    /// The UID that the next message gets at least; some servers do not say.
    pub uid_next: Option<u32>,
    /// Nothing can be changed in it.
    pub read_only: bool,
}

/// One message of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its UID.
    pub uid: Uid,
    /// Its size as the server says, which may be an estimate; 0 where it said none.
    pub size: u64,
    /// When the server received it; `None` where it says nothing readable.
    pub internal_date: Option<Timestamp>,
}

impl Session {
    pub(super) fn new(wire: Wire, settings: Settings, capabilities: Capabilities) -> Self {
        let mut names: Vec<String> = capabilities.into_iter().collect();
        names.sort_unstable();
        Self {
            wire,
            settings,
            capabilities: names.join(" ").into_boxed_str(),
            counters: Counters::default(),
            keepsake: None,
        }
    }

    /// Something that is to be dropped when the connection is, wherever the session goes till then.
    pub fn keep(&mut self, keepsake: Box<dyn fmt::Debug + Send + Sync>) {
        self.keepsake = Some(keepsake);
    }

    /// True when the server announced this capability behind the login; in upper case.
    pub fn can(&self, capability: &str) -> bool {
        self.capabilities.split(' ').any(|name| name == capability)
    }

    /// Every capability announced behind the login, in upper case, sorted.
    pub fn capabilities(&self) -> Vec<&str> {
        self.capabilities.split_whitespace().collect()
    }

    /// How many messages the selected mailbox has, as the server said last: a hint, also of what it cannot give
    /// yet.
    pub fn exists(&self) -> u32 {
        self.wire.exists()
    }

    /// Oddities so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Octets so far.
    pub fn traffic(&self) -> guard::Counters {
        self.wire.guard().counters()
    }

    /// Opens a mailbox; `name` as the server spells it (modified UTF-7).
    ///
    /// # Errors
    /// `Refused` where it does not exist or may not be opened; `Unsupported` for a name that no
    /// command can carry; else as for every command.
    pub async fn select(&mut self, name: &str) -> Result<Selected, ImapError> {
        self.open("SELECT", name).await
    }

    pub(super) async fn open(&mut self, verb: &str, name: &str) -> Result<Selected, ImapError> {
        let during = Step::Select;
        let name = login::quoted(name).ok_or(ImapError::Unsupported {
            during,
            what: "the mailbox name holds characters that a command cannot carry",
        })?;
        let mut selected = Selected::default();
        let on = |response: &Response<'_>| match response {
            Response::MailboxData(MailboxDatum::Exists(count)) => selected.exists = *count,
            Response::Data { outcome, .. } => match outcome.code {
                Some(ResponseCode::UidValidity(value)) => {
                    selected.uid_validity = UidValidity::new(value);
                }
                Some(ResponseCode::UidNext(value)) => {
                    selected.uid_next = Some(value).filter(|next| *next > 0);
                }
                _ => {}
            },
            _ => {}
        };
        let budget = Budget::new(self.settings.command_timeout);
        let words = self
            .wire
            .exec(during, &format!("{verb} {name}"), budget, on)
            .await?;
        self.wire.take_news();
        selected.read_only = words.code.as_deref() == Some("READ-ONLY");
        Ok(selected)
    }

    /// Lists what is in `from..=to` (`None`: to the end), ascending, each UID once.
    ///
    /// The answer counts only with its tagged OK. UIDs outside the range are dropped: a range is
    /// unordered, so that `500:*` answers the last message even where its UID is 400.
    ///
    /// # Errors
    /// As for every command.
    pub async fn list(&mut self, from: Uid, to: Option<Uid>) -> Result<Vec<Listed>, ImapError> {
        let span = to.map_or(0, |to| {
            u64::from(to.get()).saturating_sub(from.get().into())
        });
        let limits = Limits {
            lines: (span + 1_000).max(100_000),
            bytes: (span + 1_000).max(100_000) * 160,
            ..Limits::default()
        };
        let time = self.settings.command_timeout + Duration::from_millis(span.min(600_000));
        let range = to.map_or_else(|| format!("{from}:*"), |to| format!("{from}:{to}"));
        let command = format!("UID FETCH {range} (UID RFC822.SIZE INTERNALDATE)");
        let inside = |uid: Uid| uid >= from && to.is_none_or(|to| uid <= to);
        self.listing(&command, Budget { time, limits }, inside)
            .await
    }

    /// Lists these messages, given ascending, as [`Self::list`]; what is gone is missing.
    ///
    /// # Errors
    /// As for every command.
    pub async fn list_these(&mut self, wanted: &[Uid]) -> Result<Vec<Listed>, ImapError> {
        let Some(set) = uid_set(wanted.iter().copied()) else {
            return Ok(Vec::new());
        };
        let command = format!("UID FETCH {set} (UID RFC822.SIZE INTERNALDATE)");
        let budget = Budget::new(self.settings.command_timeout);
        let inside = |uid: Uid| wanted.binary_search(&uid).is_ok();
        self.listing(&command, budget, inside).await
    }

    async fn listing(
        &mut self,
        command: &str,
        budget: Budget,
        inside: impl Fn(Uid) -> bool,
    ) -> Result<Vec<Listed>, ImapError> {
        // What comes from here on may be missing in this listing: IDLE begins with telling it.
        self.wire.take_news();
        let mut found = Vec::new();
        let (mut unasked, mut nameless) = (0, false);
        let on = |response: &Response<'_>| {
            if let Response::Fetch(_, attributes) = response {
                match listed(attributes) {
                    Row::Message(one) if inside(one.uid) => found.push(one),
                    Row::Message(_) | Row::News => unasked += 1,
                    Row::Nameless => nameless = true,
                }
            }
        };
        self.wire.exec(Step::List, command, budget, on).await?;
        if nameless {
            // A cursor must not pass what it cannot name (I1).
            return Err(ImapError::Nonsense {
                during: Step::List,
                line: "a listed message without a valid uid".to_owned(),
            });
        }
        found.sort_by_key(|one: &Listed| one.uid);
        let all = found.len();
        found.dedup_by_key(|one| one.uid);
        self.counters.unasked += unasked;
        self.counters.repeated += u64::try_from(all - found.len()).unwrap_or(0);
        Ok(found)
    }

    /// The UIDs in `from..=to`, ascending, each once: a listing that says no more, for comparing.
    ///
    /// # Errors
    /// As for every command.
    pub async fn uids(&mut self, from: Uid, to: Uid) -> Result<Vec<Uid>, ImapError> {
        let span = u64::from(to.get()).saturating_sub(from.get().into());
        let limits = Limits {
            lines: (span + 1_000).max(100_000),
            bytes: (span + 1_000).max(100_000) * 160,
            ..Limits::default()
        };
        let time = self.settings.command_timeout + Duration::from_millis(span.min(600_000));
        let command = format!("UID FETCH {from}:{to} (UID)");
        let mut found = Vec::new();
        let on = |response: &Response<'_>| {
            if let Response::Fetch(_, attributes) = response {
                let uid = attributes.iter().find_map(|attribute| match attribute {
                    AttributeValue::Uid(value) => Uid::new(*value),
                    _ => None,
                });
                // News of a message's flags names it as well: it is there.
                found.extend(uid.filter(|uid| (from..=to).contains(uid)));
            }
        };
        self.wire
            .exec(Step::List, &command, Budget { time, limits }, on)
            .await?;
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// The message with the highest UID; `None` in an empty mailbox.
    ///
    /// # Errors
    /// As for every command.
    pub async fn newest(&mut self) -> Result<Option<Listed>, ImapError> {
        let mut newest: Option<Listed> = None;
        let on = |response: &Response<'_>| {
            if let Response::Fetch(_, attributes) = response
                && let Row::Message(one) = listed(attributes)
                && newest.is_none_or(|known| known.uid < one.uid)
            {
                newest = Some(one);
            }
        };
        let budget = Budget::new(self.settings.command_timeout);
        let command = "UID FETCH * (UID RFC822.SIZE INTERNALDATE)";
        match self.wire.exec(Step::List, command, budget, on).await {
            Ok(_) => Ok(newest),
            // Some servers refuse `*` where there is nothing.
            Err(ImapError::Refused { text, .. })
                if newest.is_none() && !text.contains("navailable") =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Asks for nothing: tells whether the session lives.
    ///
    /// # Errors
    /// As for every command.
    pub async fn noop(&mut self) -> Result<(), ImapError> {
        let budget = Budget::new(self.settings.command_timeout);
        self.wire
            .exec(Step::Noop, "NOOP", budget, |_| {})
            .await
            .map(drop)
    }

    /// Takes leave, for at most two seconds; trouble with it does not matter.
    pub async fn logout(mut self) {
        let patience = Duration::from_secs(2);
        let budget = Budget::new(patience);
        let leave = self.wire.exec(Step::Logout, "LOGOUT", budget, |_| {});
        let _ = timeout(patience, leave).await;
    }
}

/// What one FETCH of a listing is.
enum Row {
    /// A message.
    Message(Listed),
    /// A message whose UID is missing, 0 or no number.
    Nameless,
    /// News of flags, unasked.
    News,
}

fn listed(attributes: &[AttributeValue<'_>]) -> Row {
    let (mut uid, mut size, mut internal_date, mut asked) = (None, 0, None, false);
    for attribute in attributes {
        match attribute {
            AttributeValue::Uid(value) => uid = Uid::new(*value),
            AttributeValue::Rfc822Size(value) => {
                size = u64::from(*value);
                asked = true;
            }
            AttributeValue::InternalDate(text) => {
                internal_date = date::parse(text);
                asked = true;
            }
            _ => {}
        }
    }
    match (asked, uid) {
        (true, Some(uid)) => Row::Message(Listed {
            uid,
            size,
            internal_date,
        }),
        (true, None) => Row::Nameless,
        (false, _) => Row::News,
    }
}
