//! The token journal: what the platform answered, on this machine's disk before it is in the database.
//!
//! A rotated refresh token exists once. Between the answer and the commit the database may be away, or the
//! process may die; so the answer is first written here, sealed with the database's key, and synced. One small
//! file per grant, named after its provider: a damaged file costs one grant, no grant waits for another's disk
//! write, and there is nothing to compact, since a grant has one refresh at a time and a record is worthless
//! as soon as a newer refresh was committed as begun.
//!
//! What cannot be read is set aside, a bounded number of files of bounded size.

use std::{io, path::PathBuf};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
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
/// Why an answer is not in the journal. It goes to the database all the same.
#[derive(Debug, thiserror::Error)]
pub(super) enum JournalError {
    #[error("the answer is too long for the token journal")]
    TooLong,
    #[error("the token journal cannot be written: {0}")]
    Io(#[from] io::Error),
    #[error("the token journal's writer ended by a bug")]
    Lost,
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
}

impl Journal {
    pub(super) fn new(dir: PathBuf, store: Store) -> Self {
        Self { dir, store }
    }

    fn file(&self, provider: CloudProviderId) -> PathBuf {
        self.dir.join(provider.to_string())
    }

    /// Writes the answer and syncs it. Whatever the file held before belongs to an older refresh.
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
        off_thread(move || files::write(&path, &bytes))
            .await
            .ok_or(JournalError::Lost)?
            .map_err(JournalError::Io)
    }

    /// What the grant's file holds. Bounded, whatever lies there.
    pub(super) async fn read(&self, provider: CloudProviderId) -> Contents {
        let path = self.file(provider);
        let read = off_thread(move || files::read(&path)).await;
        let bytes = match read {
            Some(Ok(bytes)) => bytes,
            Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Some(Err(error)) => {
                error!(%provider, %error, "the token journal of a grant cannot be read");
                return Contents {
                    noted: Vec::new(),
                    fault: Some(Fault::Unreadable),
                };
            }
            None => Vec::new(),
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
        Contents { noted, fault }
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
        if let Some(Err(error)) = off_thread(move || files::empty(&path)).await {
            warn!(%provider, %error, "the token journal of a grant was not emptied");
        }
    }

    /// Moves the file out of the way, with an alarm.
    pub(super) async fn set_aside(&self, provider: CloudProviderId, fault: Fault) {
        let (path, dir) = (self.file(provider), self.dir.clone());
        match off_thread(move || files::set_aside(&path, &dir)).await {
            Some(Ok(kept)) => {
                error!(%provider, %fault, kept = %kept.display(), "a damaged token journal was set aside; the grant goes on with what the database holds");
            }
            Some(Err(error)) => {
                error!(%provider, %fault, %error, "a token journal is damaged and cannot be set aside");
            }
            None => {}
        }
    }

    /// The grants that have something in their file.
    pub(super) async fn grants(&self) -> Vec<CloudProviderId> {
        let dir = self.dir.clone();
        match off_thread(move || files::grants(&dir)).await {
            Some(Ok(found)) => found,
            Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Some(Err(error)) => {
                error!(%error, "the token journal's directory cannot be read");
                Vec::new()
            }
            None => Vec::new(),
        }
    }
}

/// `None`: the work panicked (a bug), which is logged by the panic itself.
async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
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
