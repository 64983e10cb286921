//! Comparing the server's UIDs with the store: what is missing is brought in, what was renumbered is
//! known again (I1, I4).
//!
//! On every connection the newest messages are compared; once a day the whole folder; after the server
//! voided its UIDs, and where an administrator asks for mail since a date, the whole folder at once. An
//! audit goes from the newest UID downwards in windows, and new mail is looked for between any two steps.

use std::collections::{HashMap, VecDeque};

use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{
    SyncError,
    body::{self, Kept},
    compare::{differs, is_due, pairs},
    plan,
    suspect::{ENOUGH, Suspect, blame},
    sync::{Reader, Unit, cut_short, cut_short_quietly, uid},
};
use crate::{
    imap::{ImapError, Listed, Session},
    mime,
    model::{Audit, AuditKind, MessageId, Uid},
    store::{
        AsideReason, AuditBatch, FolderRow, IngestBatch, IngestItem, KnownRow, StoreError, key_of,
    },
};

/// UIDs compared at once, at first and at least.
const SPAN: u32 = 5_000;
/// UIDs compared at once, at most, where few of them are used.
const WIDEST: u32 = 200_000;
/// The newest UIDs, compared on every connection.
const RECENT: u64 = 1_000;
/// Messages that are missing and looked at together.
const SOME: usize = 200;
/// The newest known messages, which every connection finds again or else the UIDs are void.
const NEWEST: u32 = 20;
/// From the third time within an hour each, a server is said to have no lasting UIDs.
const UNSTABLE: u64 = 3;

/// Where the comparing stands on this connection.
pub(super) struct Auditing {
    /// The newest UIDs are still to be compared.
    recent: bool,
    span: u32,
    window: Option<Window>,
    suspect: Option<Suspect>,
}

/// A compared range and what the store lacks of it.
struct Window {
    low: u64,
    unknown: VecDeque<Uid>,
    /// Of the newest, not of an audit.
    recent: bool,
}

impl Auditing {
    /// For a new connection.
    pub(super) fn new() -> Self {
        Self {
            recent: true,
            span: SPAN,
            window: None,
            suspect: None,
        }
    }

    /// The newest messages were compared on this connection, or are about to be.
    pub(super) fn revisited(&mut self) {
        self.window = None;
    }

    /// Nothing was compared on this connection yet.
    pub(super) fn is_new(&self) -> bool {
        self.recent
    }
}

impl Reader {
    /// There is something to compare.
    pub(super) fn wants_audit(&self) -> bool {
        let now = self.parts.clock.now();
        self.folder.as_ref().is_some_and(|folder| {
            self.auditing.recent
                || self.auditing.window.is_some()
                || folder.audit.is_some()
                || is_due(folder, now, self.parts.settings.audit)
        })
    }

    /// The UIDs of the newest known messages belong to other messages now (fault 35).
    pub(super) async fn are_reused(
        &self,
        session: &mut Session,
        folder: &FolderRow,
        stop: &CancellationToken,
    ) -> Result<bool, SyncError> {
        let store = &self.parts.store;
        let known = store
            .folder_newest(folder.id, folder.cursor, NEWEST)
            .await?;
        let by_uid: HashMap<u32, &KnownRow> = known.iter().map(|row| (row.uid, row)).collect();
        let mut uids: Vec<Uid> = known.iter().filter_map(|row| Uid::new(row.uid)).collect();
        uids.sort_unstable();
        let listed = cut_short(stop, session.list_these(&uids)).await?;
        let doubtful: Vec<Uid> = listed
            .iter()
            .filter(|one| {
                by_uid
                    .get(&one.uid.get())
                    .is_some_and(|known| differs(known, one))
            })
            .map(|one| one.uid)
            .collect();
        if doubtful.is_empty() {
            return Ok(false);
        }
        let keys = match self.keys(session, &doubtful, stop).await {
            Ok(keys) => keys,
            Err(SyncError::Imap(error @ ImapError::Refused { .. })) => {
                debug!(account = %self.account.entered.key, %error, "doubtful messages cannot be looked at");
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        Ok(doubtful.iter().any(|uid| {
            let key = keys.get(uid).cloned().flatten();
            by_uid
                .get(&uid.get())
                .is_some_and(|known| keys.contains_key(uid) && known.message_key != key)
        }))
    }

    /// The Message-ID keys of these messages, given ascending; those that gave no answer are missing.
    async fn keys(
        &self,
        session: &mut Session,
        uids: &[Uid],
        stop: &CancellationToken,
    ) -> Result<HashMap<Uid, Option<String>>, SyncError> {
        let headers = cut_short(stop, session.message_ids(uids)).await?;
        Ok(headers
            .into_iter()
            .filter_map(|one| {
                let mail = mime::parse(&one.body?).ok()?;
                Some((one.uid, mail.message_id.as_deref().map(key_of)))
            })
            .collect())
    }

    /// One step of comparing.
    pub(super) async fn audit(
        &mut self,
        session: &mut Session,
        stop: &CancellationToken,
    ) -> Result<Unit, SyncError> {
        let folder = self.folder.clone().ok_or(SyncError::NoFolder)?;
        let step = match self.auditing.window.take() {
            None => self
                .look(session, folder, stop)
                .await
                .map(|()| Unit::default()),
            Some(window) if window.unknown.is_empty() => {
                self.looked(folder, &window).await.map(|()| Unit::default())
            }
            Some(window) => self.bring(session, folder, window, stop).await,
        };
        match step {
            // Another audit was asked for, or the folder was started anew: begin from what is there now.
            Err(SyncError::Store(StoreError::Conflict(why))) => {
                debug!(account = %self.account.entered.key, why, "the audit is looked up again");
                self.auditing.window = None;
                self.reload().await?;
                Ok(Unit::default())
            }
            other => other,
        }
    }

    /// Compares the next window.
    async fn look(
        &mut self,
        session: &mut Session,
        folder: FolderRow,
        stop: &CancellationToken,
    ) -> Result<(), SyncError> {
        let next = folder.cursor.next;
        let (low, high, recent) = match folder.audit {
            None if self.auditing.recent => {
                let low = next.saturating_sub(RECENT).max(folder.floor).max(1);
                (low, next, true)
            }
            None => {
                let store = &self.parts.store;
                store
                    .audit_begin(&self.lease, folder.id, folder.cursor)
                    .await?;
                self.reload().await?;
                return Ok(());
            }
            Some(audit) => {
                let bottom = match audit.kind {
                    AuditKind::Routine => folder.floor.max(1),
                    AuditKind::Asked | AuditKind::Renumbered => 1,
                };
                if audit.next <= bottom {
                    return self.finish(folder, audit).await;
                }
                let low = audit.next.saturating_sub(self.auditing.span.into());
                (low.max(bottom), audit.next, false)
            }
        };
        let mut unknown = VecDeque::new();
        if let (Some(first), Some(last)) = (uid(low), uid(high.saturating_sub(1)))
            && low < high
        {
            let there = cut_short(stop, session.uids(first, last)).await?;
            let store = &self.parts.store;
            let known = store
                .folder_uids(folder.id, folder.cursor, low, high)
                .await?;
            if !recent {
                let span = self.auditing.span;
                self.auditing.span = match there.len() {
                    0..=1_000 => span.saturating_mul(2).min(WIDEST),
                    1_001..=10_000 => span,
                    _ => (span / 2).max(SPAN),
                };
            }
            unknown.extend(
                there
                    .into_iter()
                    .filter(|uid| known.binary_search(&uid.get()).is_err()),
            );
        }
        self.auditing.window = Some(Window {
            low,
            unknown,
            recent,
        });
        Ok(())
    }

    /// A window is done with.
    async fn looked(&mut self, mut folder: FolderRow, window: &Window) -> Result<(), SyncError> {
        if window.recent {
            self.auditing.recent = false;
            return Ok(());
        }
        let Some(audit) = folder.audit.as_mut() else {
            return Ok(());
        };
        self.parts
            .store
            .audit_lower(&self.lease, folder.id, folder.cursor, *audit, window.low)
            .await?;
        audit.next = window.low;
        self.folder = Some(folder);
        Ok(())
    }

    /// Brings in some of what is missing in a window, or knows it again.
    async fn bring(
        &mut self,
        session: &mut Session,
        folder: FolderRow,
        mut window: Window,
        stop: &CancellationToken,
    ) -> Result<Unit, SyncError> {
        let settings = self.parts.settings;
        let some: Vec<Uid> = window.unknown.iter().take(SOME).copied().collect();
        let since = folder.audit.and_then(|audit| audit.since);
        let since = match (self.since(), since) {
            (Some(own), Some(asked)) => Some(own.min(asked)),
            (own, _) => own,
        };
        let mut wanted = cut_short(stop, session.list_these(&some)).await?;
        wanted.retain(|one| plan::is_wanted(one, folder.history, since));
        let renumbered = folder
            .audit
            .is_some_and(|audit| audit.kind == AuditKind::Renumbered);
        let mut paired = Vec::new();
        if renumbered {
            paired = self.pair(session, &folder, &wanted, stop).await?;
            wanted.retain(|one| {
                paired
                    .binary_search_by_key(&one.uid, |(uid, _)| *uid)
                    .is_err()
            });
        }
        let count = match &self.auditing.suspect {
            Some(_) => 1,
            None => plan::batch_size(
                wanted.iter(),
                settings.batch_messages,
                settings.batch_octets,
            ),
        };
        let all = count >= wanted.len();
        wanted.truncate(count);
        let mut items = Vec::new();
        if let Some((first, last)) = wanted.first().copied().zip(wanted.last().copied()) {
            if !all {
                paired.retain(|(uid, _)| *uid < last.uid);
            }
            let octets = plan::held(&wanted, settings.held);
            let _room = cut_short_quietly(stop, self.parts.budget.room(octets)).await?;
            let kept = match self.fetch_missing(session, &wanted, stop).await {
                Ok(kept) => kept,
                Err(error) => {
                    if let Some(blame) = blame(&error) {
                        let known = self.auditing.suspect.take();
                        self.auditing.suspect =
                            Some(Suspect::after(known, blame, first.uid, last.uid));
                    }
                    return Err(error);
                }
            };
            items = body::read(&self.parts, kept).await?;
            // What is gone by now was never there for us.
            items.retain(|item| {
                !matches!(item, IngestItem::Aside(aside) if aside.reason == AsideReason::Vanished)
            });
            self.auditing.suspect = self
                .auditing
                .suspect
                .take()
                .filter(|suspect| suspect.last > last.uid);
        }
        let upto = match wanted.last() {
            Some(last) if !all => last.uid,
            _ => some.last().copied().unwrap_or(Uid::MIN),
        };
        let unit = self
            .keep(&folder, items, paired, renumbered, window.recent)
            .await?;
        window.unknown.retain(|uid| *uid > upto);
        self.auditing.window = Some(window);
        Ok(unit)
    }

    async fn fetch_missing(
        &self,
        session: &mut Session,
        wanted: &[Listed],
        stop: &CancellationToken,
    ) -> Result<Vec<Kept>, SyncError> {
        if let ([one], Some(suspect)) = (wanted, &self.auditing.suspect)
            && one.uid == suspect.uid
            && suspect.weight >= ENOUGH
        {
            return Ok(vec![Kept::aside(*one, suspect.reason, &suspect.detail)]);
        }
        let careful = self.auditing.suspect.is_some();
        cut_short(
            stop,
            body::fetch(
                session,
                wanted,
                careful,
                &self.parts.blobs,
                &self.parts.settings,
            ),
        )
        .await
    }

    async fn pair(
        &self,
        session: &mut Session,
        folder: &FolderRow,
        wanted: &[Listed],
        stop: &CancellationToken,
    ) -> Result<Vec<(Uid, MessageId)>, SyncError> {
        let uids: Vec<Uid> = wanted.iter().map(|one| one.uid).collect();
        let mut keys = match self.keys(session, &uids, stop).await {
            Ok(keys) => keys,
            // Then by their bytes.
            Err(SyncError::Imap(ImapError::Refused { .. })) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let listed: Vec<(Listed, Option<String>)> = wanted
            .iter()
            .map(|one| (*one, keys.remove(&one.uid).flatten()))
            .collect();
        let named: Vec<String> = listed.iter().filter_map(|(_, key)| key.clone()).collect();
        let store = &self.parts.store;
        let candidates = store
            .messages_unplaced(self.account.id, folder.id, folder.cursor, &named)
            .await?;
        Ok(pairs(&listed, &candidates))
    }

    async fn keep(
        &mut self,
        folder: &FolderRow,
        items: Vec<IngestItem>,
        paired: Vec<(Uid, MessageId)>,
        renumbered: bool,
        recent: bool,
    ) -> Result<Unit, SyncError> {
        if items.is_empty() && paired.is_empty() {
            return Ok(Unit::default());
        }
        let batch = IngestBatch {
            folder: folder.id,
            expect: folder.cursor,
            next: folder.cursor.next,
            items,
            list: self.account.entered.list,
            audit: Some(AuditBatch {
                renumbered,
                recent,
                paired,
            }),
        };
        let now = self.parts.clock.now();
        let done = self.parts.store.ingest(&self.lease, batch, now).await?;
        if done.new_messages > 0 && !renumbered {
            let asked = folder.audit.is_some_and(|a| a.kind == AuditKind::Asked);
            let (key, folder, found) = (&self.account.entered.key, &self.shown, done.new_messages);
            if asked {
                info!(account = %key, folder, found, "mail of the past was brought in");
            } else {
                warn!(account = %key, folder, found, "mail was missing here and has been brought in");
            }
        }
        Ok(Unit {
            more: true,
            new: done.new_messages,
            aside: done.put_aside,
            again: None,
        })
    }

    /// The audit has seen everything.
    async fn finish(&mut self, folder: FolderRow, audit: Audit) -> Result<(), SyncError> {
        let now = self.parts.clock.now();
        let store = &self.parts.store;
        let folder = store
            .audit_end(&self.lease, folder.id, folder.cursor, audit, now)
            .await?;
        let (key, found, paired) = (&self.account.entered.key, audit.found, audit.paired);
        match (audit.kind, folder.held) {
            (AuditKind::Routine, _) => {
                debug!(account = %key, folder = %self.shown, found, "folder and store agree");
            }
            (AuditKind::Asked, _) => {
                info!(account = %key, folder = %self.shown, found, "all mail asked for is here");
            }
            (AuditKind::Renumbered, false) => {
                info!(
                    account = %key, folder = %self.shown, found, known = paired,
                    "every mail has its new number"
                );
            }
            (AuditKind::Renumbered, true) => warn!(
                account = %key, folder = %self.shown, found, known = paired,
                "much of this folder is unknown after it was renumbered: it is kept and not announced until an administrator says so (motion-email account folders)"
            ),
        }
        self.settle(&folder).await?;
        self.folder = Some(folder);
        Ok(())
    }

    /// What an ended audit leaves to do, also one that a crash ended here: announcing what nobody holds, and
    /// forgetting numbers that are void.
    pub(super) async fn settle(&self, folder: &FolderRow) -> Result<(), SyncError> {
        if folder.audit.is_some() {
            return Ok(());
        }
        let store = &self.parts.store;
        while store.audit_release(folder.id).await? {}
        while store.audit_forget(&self.lease, folder.id).await? {}
        Ok(())
    }

    /// A server without lasting UIDs is told about: everything is read and known again each time, which
    /// costs, and mail is not lost.
    pub(super) fn tell_unstable(&self, folder: &FolderRow) {
        if folder.renumbered >= UNSTABLE {
            warn!(
                account = %self.account.entered.key, folder = %self.shown, times = folder.renumbered,
                "the server gives its messages new numbers again and again: they are known by their content"
            );
        }
    }
}
