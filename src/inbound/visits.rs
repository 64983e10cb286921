//! The folders of a lane: one that is watched, or several that are visited in turn.

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    SyncError,
    lane::Lane,
    sync::{Reader, Unit},
};
use crate::{
    imap::{ImapError, Session},
    model::FolderChoice,
};

/// One folder of a lane.
pub(super) struct Visit {
    pub(super) folder: FolderChoice,
    pub(super) reader: Reader,
    /// Its name on the server, once it was opened on this connection.
    pub(super) name: Option<String>,
    /// It did not open, and that was told.
    pub(super) refused: bool,
}

impl Lane {
    /// The folder of a lane that has one.
    pub(super) fn only(&self) -> Option<&FolderChoice> {
        match self.readers.as_slice() {
            [one] => Some(&one.folder),
            _ => None,
        }
    }

    /// One unit of reading in the folder that is selected, and the folder's name. A lane of several goes on to
    /// the next folder where there is no more to read, and rests behind the last.
    pub(super) async fn step(
        &mut self,
        session: &mut Session,
        stop: &CancellationToken,
    ) -> Result<(Unit, String), SyncError> {
        let at = match self.at {
            Some(at) => at,
            None => match self.visit(session, 0, stop).await? {
                Some(at) => at,
                None => return Ok((Unit::default(), String::new())),
            },
        };
        self.at = Some(at);
        let visit = self.readers.get_mut(at).ok_or(SyncError::NoFolder)?;
        let mut unit = visit.reader.unit(session, stop).await?;
        let name = visit.reader.shown.clone();
        if !unit.more && self.readers.len() > 1 {
            self.at = self.visit(session, at.saturating_add(1), stop).await?;
            unit.more = self.at.is_some();
        }
        Ok((unit, name))
    }

    /// Selects the next folder from this place on that opens. One that does not stops no other: it is told of
    /// once, and tried again in every round.
    async fn visit(
        &mut self,
        session: &mut Session,
        from: usize,
        stop: &CancellationToken,
    ) -> Result<Option<usize>, SyncError> {
        let key = self.account.entered.key.clone();
        for (at, visit) in self.readers.iter_mut().enumerate().skip(from) {
            let opening = async {
                let name = match &visit.name {
                    Some(name) => name.clone(),
                    None => session.find(&visit.folder).await?,
                };
                let selected = session.select(&name).await?;
                Ok::<_, ImapError>((name, selected))
            };
            let opened = stop.run_until_cancelled(opening).await;
            match opened.ok_or(SyncError::Stopping)? {
                Ok((name, selected)) => {
                    if std::mem::take(&mut visit.refused) {
                        info!(account = %key, folder = %visit.folder, "folder is read again");
                    }
                    if visit.name.is_some() {
                        visit.reader.revisited(selected);
                    } else {
                        visit.name = Some(name.clone());
                        visit.reader.selected(name, selected);
                    }
                    return Ok(Some(at));
                }
                Err(error @ (ImapError::Refused { .. } | ImapError::Unsupported { .. })) => {
                    if !std::mem::replace(&mut visit.refused, true) {
                        warn!(account = %key, folder = %visit.folder, %error, "folder cannot be read");
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }
}
