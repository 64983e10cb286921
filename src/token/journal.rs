//! The token journal: what the platform answered, on this machine's disk before it is in the database.
//!
//! A rotated refresh token exists once. Between the answer and the commit the database may be away, or the
//! process may die; so the answer is first written here, sealed with the database's key, and synced. One small
//! file per grant, named after its provider: a damaged file costs one grant, no grant waits for another's disk
//! write, and there is nothing to compact, since a grant has one refresh at a time and a record is worthless
//! as soon as a newer refresh was committed as begun.
//!
//! What cannot be read is set aside, a bounded number of files of bounded size. A disk that does not answer
//! holds up neither the commit nor more than a few threads: whatever it is asked is waited for so long only.

use std::{
    collections::HashSet,
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tokio::{sync::Semaphore, time::timeout};
use tracing::{error, warn};

use super::{
    journal_files as files,
    record::{Fault, Record},
};
use crate::{
    model::{CloudProviderId, NewTokens, Timestamp},
    store::Store,
};

/// What the seal is bound to, beside the record's place.
const KIND: &str = "token_journal";
/// Threads that the journal's disk may hold at the same time.
const THREADS: usize = 16;

/// Why an answer is not in the journal (it goes to the database all the same), or the journal did not answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum JournalError {
    #[error("the answer is too long for the token journal")]
    TooLong,
    #[error("the token journal cannot be written: {0}")]
    Io(#[from] io::Error),
    #[error("the token journal's writer ended by a bug")]
    Lost,
    #[error("the token journal's disk has not answered for {} s", .0.as_secs_f32())]
    Slow(Duration),
    #[error("an earlier write of this grant's token journal has not ended")]
    Busy,
}

/// An answer that an earlier run received.
pub(super) struct Noted {
    pub(super) version: i64,
    pub(super) attempt: String,
    pub(super) tokens: NewTokens,
}

/// What a grant's file held.
#[derive(Default)]
pub(super) struct Contents {
    pub(super) noted: Vec<Noted>,
    /// What is wrong behind them.
    pub(super) fault: Option<Fault>,
}

impl Contents {
    pub(super) fn is_empty(&self) -> bool {
        self.noted.is_empty() && self.fault.is_none()
    }
}

/// The journal's directory. All file work is done off the async threads.
#[derive(Clone)]
pub(super) struct Journal {
    dir: PathBuf,
    store: Store,
    /// How long the disk is waited for.
    patience: Duration,
    threads: Arc<Semaphore>,
    /// Grants whose file is being written, perhaps by a write that nobody waits for any more: a second one
    /// beside it could be cut short by the first.
    writing: Arc<Mutex<HashSet<CloudProviderId>>>,
}

/// Takes the grant's mark away when its write has ended, however it did.
struct Writing(Arc<Mutex<HashSet<CloudProviderId>>>, CloudProviderId);

impl Drop for Writing {
    fn drop(&mut self) {
        let mut writing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        writing.remove(&self.1);
    }
}

impl Journal {
    pub(super) fn new(dir: PathBuf, store: Store, patience: Duration) -> Self {
        Self {
            dir,
            store,
            patience,
            threads: Arc::new(Semaphore::new(THREADS)),
            writing: Arc::default(),
        }
    }

    fn file(&self, provider: CloudProviderId) -> PathBuf {
        self.dir.join(provider.to_string())
    }

    /// Writes the answer and syncs it. Whatever the file held before belongs to an older refresh. Gives up
    /// waiting after the journal's patience; the write itself may end later, and then holds a spent record.
    pub(super) async fn write(
        &self,
        provider: CloudProviderId,
        version: i64,
        attempt: &str,
        tokens: &NewTokens,
    ) -> Result<(), JournalError> {
        let place = Record::place(provider, version, attempt);
        let record = Record {
            provider,
            version,
            attempt: attempt.to_owned(),
            sealed: self.store.seal_for(KIND, &place, &to_text(tokens)),
        };
        let bytes = record.encode().ok_or(JournalError::TooLong)?;
        let path = self.file(provider);
        let writing = self.begin_writing(provider).ok_or(JournalError::Busy)?;
        self.off_thread(move || {
            let written = files::write(&path, &bytes);
            drop(writing);
            written
        })
        .await
    }

    fn begin_writing(&self, provider: CloudProviderId) -> Option<Writing> {
        let mut writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        writing
            .insert(provider)
            .then(|| Writing(Arc::clone(&self.writing), provider))
    }

    /// What the grant's file holds. Bounded, whatever lies there. Nothing where it cannot be read.
    ///
    /// # Errors
    /// [`JournalError::Slow`]: what it holds is not known.
    pub(super) async fn read(&self, provider: CloudProviderId) -> Result<Contents, JournalError> {
        let path = self.file(provider);
        let bytes = match self.off_thread(move || files::read(&path)).await {
            Ok(bytes) => bytes,
            Err(JournalError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(slow @ JournalError::Slow(_)) => return Err(slow),
            Err(error) => {
                error!(%provider, %error, "the token journal of a grant cannot be read");
                return Ok(Contents {
                    noted: Vec::new(),
                    fault: Some(Fault::Unreadable),
                });
            }
        };
        let (records, mut fault) = Record::decode_all(&bytes);
        let mut noted = Vec::new();
        for record in records {
            match self.open(provider, record) {
                Ok(answer) => noted.push(answer),
                Err(bad) => {
                    fault = Some(bad);
                    break;
                }
            }
        }
        Ok(Contents { noted, fault })
    }

    fn open(&self, provider: CloudProviderId, record: Record) -> Result<Noted, Fault> {
        if record.provider != provider {
            return Err(Fault::Misplaced);
        }
        let place = Record::place(provider, record.version, &record.attempt);
        let text = self.store.open_sealed(KIND, &place, &record.sealed);
        let text = text.map_err(|_| Fault::Sealed)?;
        let tokens = from_text(&text).ok_or(Fault::Sealed)?;
        Ok(Noted {
            version: record.version,
            attempt: record.attempt,
            tokens,
        })
    }

    /// Drops what the file holds: it is in the database, or worthless. Best effort: a record that stays
    /// behind matches no refresh any more.
    pub(super) async fn drop_records(&self, provider: CloudProviderId) {
        let path = self.file(provider);
        if let Err(error) = self.off_thread(move || files::empty(&path)).await {
            warn!(%provider, %error, "the token journal of a grant was not emptied");
        }
    }

    /// Moves the file out of the way, with an alarm.
    pub(super) async fn set_aside(&self, provider: CloudProviderId, fault: Fault) {
        let (path, dir) = (self.file(provider), self.dir.clone());
        match self.off_thread(move || files::set_aside(&path, &dir)).await {
            Ok(kept) => {
                error!(%provider, %fault, kept = %kept.display(), "a damaged token journal was set aside; the grant goes on with what the database holds");
            }
            Err(error) => {
                error!(%provider, %fault, %error, "a token journal is damaged and cannot be set aside");
            }
        }
    }

    /// The grants that have something in their file.
    pub(super) async fn grants(&self) -> Vec<CloudProviderId> {
        let dir = self.dir.clone();
        match self.off_thread(move || files::grants(&dir)).await {
            Ok(found) => found,
            Err(JournalError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                error!(%error, "the token journal's directory cannot be read");
                Vec::new()
            }
        }
    }

    /// For tests: nothing of the disk is done as long as this is held.
    #[cfg(test)]
    pub(super) async fn all_threads(&self) -> tokio::sync::OwnedSemaphorePermit {
        let all = u32::try_from(THREADS).unwrap();
        let threads = Arc::clone(&self.threads).acquire_many_owned(all);
        threads.await.unwrap()
    }

    /// Does `work` on a thread that may block, and waits for it for the journal's patience. Work that has begun
    /// goes on after that, and keeps its place among the [`THREADS`].
    async fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T, JournalError> {
        let done = timeout(self.patience, async {
            let place = Arc::clone(&self.threads).acquire_owned().await;
            let place = place.map_err(|_| JournalError::Lost)?;
            let done = tokio::task::spawn_blocking(move || {
                let done = work();
                drop(place);
                done
            });
            // A panic is a bug, and logged by itself.
            Ok(done.await.map_err(|_| JournalError::Lost)??)
        });
        done.await.unwrap_or(Err(JournalError::Slow(self.patience)))
    }
}

/// Tokens as text, to be sealed.
#[derive(Serialize, Deserialize)]
struct Kept {
    access_token: String,
    access_expires_at: i64,
    refresh_token: Option<String>,
    scopes: Option<String>,
    signed_in_as: Option<String>,
    tenant_id: Option<String>,
    object_id: Option<String>,
}

fn to_text(tokens: &NewTokens) -> SecretString {
    let kept = Kept {
        access_token: tokens.access_token.expose_secret().to_owned(),
        access_expires_at: tokens.access_expires_at.millis(),
        refresh_token: tokens
            .refresh_token
            .as_ref()
            .map(|token| token.expose_secret().to_owned()),
        scopes: tokens.scopes.clone(),
        signed_in_as: tokens.signed_in_as.clone(),
        tenant_id: tokens.tenant_id.clone(),
        object_id: tokens.object_id.clone(),
    };
    // Texts and numbers always become JSON.
    serde_json::to_string(&kept).unwrap_or_default().into()
}

fn from_text(text: &SecretString) -> Option<NewTokens> {
    let kept: Kept = serde_json::from_str(text.expose_secret()).ok()?;
    Some(NewTokens {
        access_token: kept.access_token.into(),
        access_expires_at: Timestamp::from_millis(kept.access_expires_at),
        refresh_token: kept.refresh_token.map(Into::into),
        scopes: kept.scopes,
        signed_in_as: kept.signed_in_as,
        tenant_id: kept.tenant_id,
        object_id: kept.object_id,
    })
}
