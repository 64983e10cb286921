//! Reading a mailbox: list, fetch, read, keep, store, in bounded units. One peer, straight lines.

use std::{collections::VecDeque, sync::Arc};

use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{
    Parts, SyncError,
    audit::Auditing,
    body::{self, Kept},
    plan,
    suspect::{ENOUGH, Suspect, blame},
};
use crate::{
    imap::{Listed, Selected, Session, mailbox_name},
    model::{Account, Lease, Timestamp, Uid, fail_point},
    store::{Aside, FolderRow, IngestBatch, IngestItem, Ingested},
};

/// UIDs asked for in one listing, at first.
pub(super) const WINDOW: u32 = 5_000;
/// UIDs asked for in one listing, at most, in mailboxes with many messages.
pub(super) const WIDEST: u32 = 1_000_000;
/// Mailboxes with fewer messages are listed at once, however far their UIDs reach.
const SMALL: u32 = 50_000;

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
    ahead: VecDeque<Listed>,
    /// The first of them, fetched while others were stored.
    fetched: Option<Fetched>,
    /// Everything below is decided once `ahead` is empty; `None` where the listing had no known end.
    listed_to: Option<u64>,
    /// The last listing reached the end of the mailbox.
    at_end: bool,
    window: u32,
    /// A message that could not be had: it and its neighbours are read one at a time, in slices.
    suspect: Option<Suspect>,
}

/// A batch that was fetched and is not stored yet.
struct Fetched {
    last: Uid,
    kept: Vec<Kept>,
    _room: Option<OwnedSemaphorePermit>,
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
        let unit = self.read_on(session, stop).await?;
        // New mail first, then one step of comparing, and again.
        self.audit_next = !unit.more && self.wants_audit();
        Ok(Unit {
            more: unit.more || self.audit_next,
            ..unit
        })
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
        (self.at_end, self.listed_to) = (true, None);
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
        let since = self.since();
        self.ahead = listed
            .into_iter()
            .filter(|one| plan::is_wanted(one, folder.history, since))
            .collect();
        Ok(())
    }

    /// Reads the next messages and stores them with the cursor that passes them (I1).
    async fn batch(
        &mut self,
        session: &mut Session,
        folder: FolderRow,
        stop: &CancellationToken,
    ) -> Result<Unit, SyncError> {
        let wanted = self.next_batch(0);
        let Some((first, last)) = wanted.first().copied().zip(wanted.last().copied()) else {
            return Ok(Unit {
                more: !self.at_end,
                ..Unit::default()
            });
        };
        let fetched = match self
            .fetched
            .take()
            .filter(|fetched| fetched.last == last.uid)
        {
            Some(fetched) => fetched,
            None => {
                let octets = wanted.iter().map(|one| one.size).sum();
                let room = cut_short_quietly(stop, self.parts.budget.room(octets)).await?;
                match self.fetch(session, &wanted, stop).await {
                    Ok(kept) => Fetched {
                        last: last.uid,
                        kept,
                        _room: room,
                    },
                    Err(error) => {
                        self.suspect_after(&error, first.uid, last.uid);
                        return Err(error);
                    }
                }
            }
        };
        fail_point("inbound.after_fetch");
        let next = match self.listed_to {
            // The end of a listing is passed with its last message.
            Some(end) if wanted.len() == self.ahead.len() => end,
            _ => u64::from(last.uid.get()) + 1,
        };
        // While these are read and stored, the server sends the next ones.
        let following = match self.suspect {
            None => self.next_batch(wanted.len()),
            Some(_) => Vec::new(),
        };
        let Fetched { kept, _room, .. } = fetched;
        let keeping = self.keeping(&folder, kept, next);
        let fetching = self.fetch_ahead(session, &following, stop);
        let (kept, fetched) = tokio::join!(keeping, fetching);
        drop(_room);
        let unit = self.kept(folder, kept, next).await?;
        self.ahead.drain(..wanted.len().min(self.ahead.len()));
        self.suspect = self
            .suspect
            .take()
            .filter(|suspect| suspect.last > last.uid);
        match fetched {
            Ok(fetched) => self.fetched = fetched,
            Err(error) => {
                if let (Some(first), Some(last)) = (following.first(), following.last()) {
                    self.suspect_after(&error, first.uid, last.uid);
                }
                return Err(error);
            }
        }
        Ok(Unit {
            more: !self.ahead.is_empty() || !self.at_end,
            ..unit
        })
    }

    /// What is fetched together, behind the first `skip` messages that lie ahead.
    fn next_batch(&self, skip: usize) -> Vec<Listed> {
        let settings = self.parts.settings;
        let ahead = || self.ahead.iter().skip(skip);
        let count = match &self.suspect {
            Some(_) => 1,
            None => plan::batch_size(ahead(), settings.batch_messages, settings.batch_octets),
        };
        ahead().take(count).copied().collect()
    }

    /// Fetches what comes next, where there is room for it without waiting: who waited here with a batch in hand
    /// could wait for ever for others that do the same.
    async fn fetch_ahead(
        &self,
        session: &mut Session,
        following: &[Listed],
        stop: &CancellationToken,
    ) -> Result<Option<Fetched>, SyncError> {
        let Some(last) = following.last() else {
            return Ok(None);
        };
        let octets = following.iter().map(|one| one.size).sum();
        let Some(room) = self.parts.budget.spare_room(octets) else {
            return Ok(None);
        };
        match self.fetch(session, following, stop).await {
            Ok(kept) => Ok(Some(Fetched {
                last: last.uid,
                kept,
                _room: Some(room),
            })),
            Err(error) => Err(error),
        }
    }

    async fn fetch(
        &self,
        session: &mut Session,
        wanted: &[Listed],
        stop: &CancellationToken,
    ) -> Result<Vec<Kept>, SyncError> {
        if let ([one], Some(suspect)) = (wanted, &self.suspect)
            && one.uid == suspect.uid
            && suspect.weight >= ENOUGH
        {
            return Ok(vec![Kept::aside(*one, suspect.reason, &suspect.detail)]);
        }
        let careful = self.suspect.is_some();
        cut_short(
            stop,
            body::fetch(session, wanted, careful, &self.parts.settings),
        )
        .await
    }

    /// A message that cannot be had must not stop the reading for ever (I5).
    fn suspect_after(&mut self, error: &SyncError, first: Uid, last: Uid) {
        if let Some(blame) = blame(error) {
            self.suspect = Some(Suspect::after(self.suspect.take(), blame, first, last));
        }
    }

    /// Reads what was fetched and stores it.
    async fn keeping(
        &self,
        folder: &FolderRow,
        kept: Vec<Kept>,
        next: u64,
    ) -> Result<(Ingested, Vec<Aside>), SyncError> {
        let items = body::read(&self.parts, kept).await?;
        let problems: Vec<Aside> = items
            .iter()
            .filter_map(|item| match item {
                IngestItem::Aside(aside) => Some(aside.clone()),
                IngestItem::Message(_) => None,
            })
            .collect();
        let batch = IngestBatch {
            folder: folder.id,
            expect: folder.cursor,
            next,
            items,
            list: self.account.entered.list,
            audit: None,
        };
        let now = self.parts.clock.now();
        let done = self.parts.store.ingest(&self.lease, batch, now).await?;
        Ok((done, problems))
    }

    async fn kept(
        &mut self,
        mut folder: FolderRow,
        kept: Result<(Ingested, Vec<Aside>), SyncError>,
        next: u64,
    ) -> Result<Unit, SyncError> {
        let (done, problems) = match kept {
            Ok(done) => done,
            Err(error) => {
                // Whether the cursor moved is not known, or somebody else moved it: read it again.
                self.reload().await?;
                return Err(error);
            }
        };
        folder.cursor.next = next;
        self.folder = Some(folder);
        for aside in &problems {
            warn!(
                account = %self.account.entered.key, folder = %self.shown, uid = %aside.uid,
                reason = ?aside.reason, detail = %aside.detail, "a mail was put aside"
            );
        }
        Ok(Unit {
            more: true,
            new: done.new_messages,
            aside: done.put_aside,
        })
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
