//! One batch: fetched, read, kept and stored with the cursor that passes it, while the server sends the next.

use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{
    SyncError,
    body::{self, Kept},
    plan,
    suspect::{ENOUGH, Suspect, blame},
    sync::{Reader, Unit, cut_short, cut_short_quietly},
};
use crate::{
    imap::{Listed, Session},
    model::{Uid, fail_point},
    store::{Aside, FolderRow, IngestBatch, IngestItem, Ingested},
};

/// A batch that was fetched and is not stored yet.
pub(super) struct Fetched {
    last: Uid,
    kept: Vec<Kept>,
    _room: Option<OwnedSemaphorePermit>,
}

impl Reader {
    /// Reads the next messages and stores them with the cursor that passes them (I1).
    pub(super) async fn batch(
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
                let octets = plan::held(&wanted, self.parts.settings.held);
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
        let octets = plan::held(following, self.parts.settings.held);
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
            again: None,
        })
    }
}
