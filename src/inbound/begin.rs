//! What a fresh SELECT asks for, carried out: go on, begin, or begin anew.

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    SyncError,
    plan::{self, SyncPlan},
    sync::{Reader, WIDEST, WINDOW, cut_short, uid},
};
use crate::{
    imap::{Selected, Session},
    model::{Cursor, Generation},
};

impl Reader {
    /// Makes the plan for a fresh SELECT and carries it out; true where there is something to read.
    pub(super) async fn begin(
        &mut self,
        session: &mut Session,
        selected: &Selected,
        stop: &CancellationToken,
    ) -> Result<bool, SyncError> {
        let now = self.parts.clock.now();
        let store = &self.parts.store;
        let known = store.folder_get(self.account.id, &self.name).await?;
        let mut plan = plan::plan(known.as_ref().map(|folder| folder.cursor), selected);
        if let (SyncPlan::Nothing | SyncPlan::Continue { .. }, Some(folder)) = (plan, &known) {
            self.settle(folder).await?;
            if self.auditing.is_new() && self.are_reused(session, folder, stop).await? {
                plan = plan::reused(folder.cursor);
            }
        }
        let (key, name, shown) = (&self.account.entered.key, &self.name, &self.shown);
        let folder = match (plan, known) {
            (SyncPlan::Unusable, _) => return Err(SyncError::NoValidity),
            (SyncPlan::Nothing, known) => {
                self.folder = known;
                self.audit_next = self.wants_audit();
                return Ok(self.audit_next);
            }
            (SyncPlan::Continue { .. }, known) => {
                self.folder = known;
                return Ok(true);
            }
            (
                SyncPlan::StartOver {
                    why,
                    validity,
                    generation,
                },
                Some(known),
            ) => {
                warn!(
                    account = %key, folder = %shown, why = why.as_str(),
                    "the server voided its message numbers, looking at everything again"
                );
                let cursor = Cursor {
                    validity,
                    generation,
                    next: end(session, selected, stop).await?,
                };
                let folder = self
                    .parts
                    .store
                    .folder_renumber(&self.lease, known.id, cursor, now)
                    .await?;
                self.tell_unstable(&folder);
                folder
            }
            (SyncPlan::FirstTime { validity } | SyncPlan::StartOver { validity, .. }, _) => {
                let history = end(session, selected, stop).await?;
                let cursor = Cursor {
                    validity,
                    generation: Generation(0),
                    next: self.start(session, history, stop).await?,
                };
                info!(account = %key, folder = %shown, from = cursor.next, "reading begins");
                self.parts
                    .store
                    .folder_start(&self.lease, name, cursor, history, now)
                    .await?
            }
        };
        self.folder = Some(folder);
        Ok(true)
    }

    /// Where a folder that was never seen begins: at its lowest wanted UID, looking from the newest
    /// downwards until a whole window is too old.
    async fn start(
        &self,
        session: &mut Session,
        end: u64,
        stop: &CancellationToken,
    ) -> Result<u64, SyncError> {
        let Some(since) = self.since() else {
            return Ok(1);
        };
        let (mut start, mut high, mut window) = (end, end.saturating_sub(1), u64::from(WINDOW));
        while let Some(last) = uid(high) {
            let low = high.saturating_sub(window - 1).max(1);
            let Some(first) = uid(low) else { break };
            let listed = cut_short(stop, session.list(first, Some(last))).await?;
            let wanted = listed
                .iter()
                .find(|one| plan::is_wanted(one, end, Some(since)));
            match wanted {
                Some(lowest) => start = u64::from(lowest.uid.get()),
                // A whole window that is too old: so is what is below it. A gap says nothing.
                None if !listed.is_empty() => break,
                None => window = window.saturating_mul(2).min(WIDEST.into()),
            }
            high = low - 1;
        }
        Ok(start)
    }
}

/// The UID behind the last one that the mailbox can have now.
async fn end(
    session: &mut Session,
    selected: &Selected,
    stop: &CancellationToken,
) -> Result<u64, SyncError> {
    if let Some(next) = selected.uid_next {
        return Ok(next.into());
    }
    let newest = cut_short(stop, session.newest()).await?;
    Ok(newest.map_or(1, |one| u64::from(one.uid.get()) + 1))
}
