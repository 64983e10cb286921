//! The token journal: what the platform answered, on this machine's disk before it is in the database.
//!
//! A rotated refresh token exists once. Between the answer and the commit the database may be away, or the
//! process may die; so the answer is first written here, sealed with the database's key, and synced. One small
//! file per grant, named after its provider: a damaged file costs one grant, no grant waits for another's disk
//! write, and there is nothing to compact, since a grant has one refresh at a time and a record is worthless
//! as soon as a newer refresh was committed as begun.
//!
//! What cannot be read is set aside, at most [`ASIDES`] files of at most [`ASIDE_BYTES`] each.

use std::{
    fs, io,
    io::{Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tracing::{error, warn};

use super::record::{Fault, Record};
use crate::{
    model::{CloudProviderId, NewTokens, Timestamp},
    store::Store,
};

/// What the seal is bound to, beside the record's place.
const KIND: &str = "token_journal";
/// More of a file is never read; a record is at most a quarter of it.
const READ_LIMIT: u64 = 1 << 20;
/// Damaged files that are kept, for whoever wants to know what happened.
const ASIDES: usize = 8;
/// What is kept of each.
const ASIDE_BYTES: u64 = 1 << 20;
/// At most so many files are looked at when the process starts.
const FILES: usize = 100_000;

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
        off_thread(move || write(&path, &bytes))
            .await
            .ok_or(JournalError::Lost)?
            .map_err(JournalError::Io)
    }

    /// What the grant's file holds. Bounded, whatever lies there.
    pub(super) async fn read(&self, provider: CloudProviderId) -> Contents {
        let path = self.file(provider);
        let read = off_thread(move || read(&path)).await;
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
        if let Some(Err(error)) = off_thread(move || empty(&path)).await {
            warn!(%provider, %error, "the token journal of a grant was not emptied");
        }
    }

    /// Moves the file out of the way, with an alarm.
    pub(super) async fn set_aside(&self, provider: CloudProviderId, fault: Fault) {
        let (path, dir) = (self.file(provider), self.dir.clone());
        match off_thread(move || set_aside(&path, &dir)).await {
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
        match off_thread(move || grants(&dir)).await {
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

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).mode(0o600);
    let (mut file, new) = match options.open(path) {
        Ok(file) => (file, false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_dir(path)?;
            (options.create_new(true).open(path)?, true)
        }
        Err(error) => return Err(error),
    };
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(bytes)?;
    // The length is data that reading needs, so it is synced with it.
    file.sync_data()?;
    if new {
        sync_dir_of(path)?;
    }
    Ok(())
}

fn make_dir(path: &Path) -> io::Result<()> {
    let Some(dir) = path.parent() else {
        return Ok(());
    };
    if dir.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)?;
    sync_dir_of(dir)
}

fn sync_dir_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(dir) => fs::File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    // Opening a pipe would wait for its other end.
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a plain file"));
    }
    let mut bytes = Vec::new();
    fs::File::open(path)?
        .take(READ_LIMIT)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn empty(path: &Path) -> io::Result<()> {
    match fs::OpenOptions::new().write(true).open(path) {
        Ok(file) => file.set_len(0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// The first free name, else that of the oldest; gives where it lies now.
fn set_aside(path: &Path, dir: &Path) -> io::Result<PathBuf> {
    let mut oldest = None;
    let mut free = None;
    for number in 0..ASIDES {
        let name = dir.join(format!("damaged-{number}"));
        match fs::symlink_metadata(&name) {
            Ok(known) => {
                let age = known.modified().ok();
                if oldest.as_ref().is_none_or(|(least, _)| age < *least) {
                    oldest = Some((age, name));
                }
            }
            Err(_) => {
                free = Some(name);
                break;
            }
        }
    }
    let to = free
        .or(oldest.map(|(_, name)| name))
        .ok_or_else(|| io::Error::other("no name is free"))?;
    fs::rename(path, &to)?;
    if fs::symlink_metadata(&to)?.len() > ASIDE_BYTES {
        fs::OpenOptions::new()
            .write(true)
            .open(&to)?
            .set_len(ASIDE_BYTES)?;
    }
    sync_dir_of(&to)?;
    Ok(to)
}

fn grants(dir: &Path) -> io::Result<Vec<CloudProviderId>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)?.take(FILES) {
        let entry = entry?;
        let id = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        if let Some(id) = id
            && entry.metadata()?.len() > 0
        {
            found.push(CloudProviderId::new(id));
        }
    }
    Ok(found)
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
