//! Reading a mailbox: list, fetch, read, keep, store, in bounded units. One peer, straight lines.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{Parts, SyncError, audit::Auditing, batch::Fetched, plan, suspect::Suspect};
use crate::{
    imap::{Listed, Selected, Session, mailbox_name},
    model::{Account, Lease, Timestamp, Uid},
    store::FolderRow,
};

/// UIDs asked for in one listing, at first.
pub(super) const WINDOW: u32 = 5_000;
/// UIDs asked for in one listing, at most, in mailboxes with many messages.
pub(super) const WIDEST: u32 = 1_000_000;
/// Mailboxes with fewer messages are listed at once, however far their UIDs reach.
const SMALL: u32 = 50_000;

/// Looks for mail that was announced and is not listed, one after the other.
const LOOKS: u32 = 6;

/// How far the folder is read on this connection, and what is known to lie ahead.
pub(super) struct Reader {
    pub(super) account: Arc<Account>,
    pub(super) lease: Lease,
    pub(super) parts: Parts,
    /// The folder's name as the server spells it.
    pub(super) name: String,
    /// The same for people.
    pub(super) shown: String,
    pub(super) folder: Option<FolderRow>,
    pub(super) auditing: Auditing,
    /// The next step is one of comparing.
    pub(super) audit_next: bool,
    /// Somebody may have asked for an audit: the folder's row is read again.
    reread: bool,
    /// What SELECT of this connection said; `None` once the plan for it was made.
    selected: Option<Selected>,
    exists: u32,
    /// The UID behind the last one at SELECT.
    end: Option<u64>,
    /// Listed and wanted, not yet decided.
    pub(super) ahead: VecDeque<Listed>,
    /// The first of them, fetched while others were stored.
    pub(super) fetched: Option<Fetched>,
    /// Everything below is decided once `ahead` is empty; `None` where the listing had no known end.
    pub(super) listed_to: Option<u64>,
    /// Messages that the server had when the last listing was complete.
    counted: u32,
    /// Listings in a row that showed fewer messages than the server says it has.
    short: u32,
    /// How many the last listing showed.
    listed: usize,
    /// The last listing reached the end of the mailbox.
    pub(super) at_end: bool,
    window: u32,
    /// A message that could not be had: it and its neighbours are read one at a time, in slices.
    pub(super) suspect: Option<Suspect>,
}

/// What one unit of reading brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Unit {
    /// There is more to read.
    pub(super) more: bool,
    /// Messages that are new in the store.
    pub(super) new: u32,
    /// Messages put aside.
    pub(super) aside: u32,
    /// The server says that there is more than it lists: how soon to look again.
    pub(super) again: Option<Duration>,
}

impl Reader {
    pub(super) fn new(account: Arc<Account>, lease: Lease, parts: Parts) -> Self {
        Self {
            account,
            lease,
            parts,
            name: String::new(),
            shown: String::new(),
            folder: None,
            auditing: Auditing::new(),
            audit_next: false,
            reread: false,
            selected: None,
            exists: 0,
            end: None,
            ahead: VecDeque::new(),
            fetched: None,
            listed_to: None,
            counted: 0,
            short: 0,
            listed: 0,
            at_end: false,
            window: WINDOW,
            suspect: None,
        }
    }

    /// A new connection has selected the folder: what was listed on the old one is forgotten, the
    /// cursor is read again from the store (I9).
    pub(super) fn selected(&mut self, name: String, selected: Selected) {
        self.shown = mailbox_name::decode(&name);
        self.name = name;
        self.exists = selected.exists;
        // What was there before is compared by its UIDs, not by its number.
        self.counted = selected.exists;
        self.short = 0;
        self.end = selected.uid_next.map(u64::from);
        self.selected = Some(selected);
        self.folder = None;
        self.ahead.clear();
        self.fetched = None;
        self.window = WINDOW;
        self.auditing = Auditing::new();
        self.audit_next = false;
    }

    /// The folder was selected once more on the same connection, after others.
    pub(super) fn revisited(&mut self, selected: Selected) {
        let auditing = std::mem::replace(&mut self.auditing, Auditing::new());
        self.selected(self.name.clone(), selected);
        self.auditing = auditing;
        self.auditing.revisited();
    }

    /// Somebody asked to look now, perhaps for more than what is new.
    pub(super) fn look_again(&mut self) {
        self.reread = true;
    }

    /// Reads the folder's row again; what was listed by the old one is forgotten.
    pub(super) async fn reload(&mut self) -> Result<(), SyncError> {
        if self.folder.is_some() {
            let store = &self.parts.store;
            self.folder = store.folder_get(self.account.id, &self.name).await?;
            self.ahead.clear();
            self.fetched = None;
            self.listed_to = None;
        }
        Ok(())
    }

    /// One unit: plan, or list, or one batch. Waiting for the server may be cut short by `stop`; what
    /// has reached the store is whole.
    pub(super) async fn unit(
        &mut self,
        session: &mut Session,
        stop: &CancellationToken,
    ) -> Result<Unit, SyncError> {
        if let Some(selected) = self.selected {
            let more = self.begin(session, &selected, stop).await?;
            self.selected = None;
            return Ok(Unit {
                more,
                ..Unit::default()
            });
        }
        if std::mem::take(&mut self.reread) {
            self.reload().await?;
        }
        if std::mem::take(&mut self.audit_next) {
            let unit = self.audit(session, stop).await?;
            return Ok(Unit { more: true, ..unit });
        }
        let mut unit = self.read_on(session, stop).await?;
        if !unit.more {
            unit.again = self.count(session.exists());
        }
        // New mail first, then one step of comparing, and again.
        self.audit_next = !unit.more && self.wants_audit();
        Ok(Unit {
            more: unit.more || self.audit_next,
            ..unit
        })
    }

    /// Whether all that the server announced was listed. Exchange announces mail that it lists only seconds later
    /// (RFC 9051 §7.4.1 lets a client fetch what EXISTS names at once).
    fn count(&mut self, exists: u32) -> Option<Duration> {
        let grown = exists.saturating_sub(self.counted);
        let listed = u32::try_from(self.listed).unwrap_or(u32::MAX);
        if grown <= listed || self.short >= LOOKS {
            self.counted = exists;
            self.short = 0;
            return None;
        }
        self.short = self.short.saturating_add(1);
        Some(self.parts.settings.recount.delay(self.short, 0.0))
    }

    /// Lists and reads what lies ahead of the cursor.
    async fn read_on(
        &mut self,
        session: &mut Session,
        stop: &CancellationToken,
    ) -> Result<Unit, SyncError> {
        let folder = self.folder.clone().ok_or(SyncError::NoFolder)?;
        if self.ahead.is_empty() {
            self.list(session, &folder, stop).await?;
            if self.ahead.is_empty() {
                if let Some(next) = self.listed_to.filter(|next| *next > folder.cursor.next) {
                    self.advance(folder, next).await?;
                }
                return Ok(Unit {
                    more: !self.at_end,
                    ..Unit::default()
                });
            }
        }
        self.batch(session, folder, stop).await
    }

    pub(super) fn since(&self) -> Option<Timestamp> {
        plan::wanted_since(self.account.entered.backfill, self.account.created_at)
    }

    /// Lists what lies ahead: all of it where that is little, else the next window of UIDs.
    async fn list(
        &mut self,
        session: &mut Session,
        folder: &FolderRow,
        stop: &CancellationToken,
    ) -> Result<(), SyncError> {
        let from = folder.cursor.next;
        (self.at_end, self.listed_to, self.listed) = (true, None, 0);
        let Some(first) = uid(from) else {
            return Ok(());
        };
        let little = self.exists <= SMALL
            || self
                .end
                .is_some_and(|end| end <= from.saturating_add(WINDOW.into()));
        let last = if little {
            None
        } else {
            let newest = cut_short(stop, session.newest()).await?;
            let top = newest.map_or(0, |one| u64::from(one.uid.get()));
            if top < from {
                return Ok(());
            }
            let last = u64::from(self.window).saturating_add(from - 1).min(top);
            self.at_end = last >= top;
            self.listed_to = Some(last + 1);
            uid(last)
        };
        let listed = cut_short(stop, session.list(first, last)).await?;
        if little {
            self.listed_to = listed.last().map(|one| u64::from(one.uid.get()) + 1);
        }
        // Few messages in a wide window: the next may be wider, and narrower after a crowd.
        self.window = match listed.len() {
            0..=2_500 => self.window.saturating_mul(2).min(WIDEST),
            2_501..=20_000 => self.window,
            _ => (self.window / 2).max(WINDOW),
        };
        self.listed = listed.len();
        let since = self.since();
        self.ahead = listed
            .into_iter()
            .filter(|one| plan::is_wanted(one, folder.history, since))
            .collect();
        Ok(())
    }

    /// Moves the cursor over what a complete listing showed to be empty or unwanted.
    async fn advance(&mut self, mut folder: FolderRow, next: u64) -> Result<(), SyncError> {
        self.parts
            .store
            .cursor_advance(&self.lease, folder.id, folder.cursor, next)
            .await?;
        folder.cursor.next = next;
        self.folder = Some(folder);
        Ok(())
    }
}

pub(super) fn uid(value: u64) -> Option<Uid> {
    u32::try_from(value).ok().and_then(Uid::new)
}

/// Talk with the server ends at once when the lane is to stop: nothing was written yet.
pub(super) async fn cut_short<T, E: Into<SyncError>>(
    stop: &CancellationToken,
    talk: impl Future<Output = Result<T, E>>,
) -> Result<T, SyncError> {
    cut_short_quietly(stop, talk).await?.map_err(Into::into)
}

pub(super) async fn cut_short_quietly<T>(
    stop: &CancellationToken,
    work: impl Future<Output = T>,
) -> Result<T, SyncError> {
    stop.run_until_cancelled(work)
        .await
        .ok_or(SyncError::Stopping)
}
