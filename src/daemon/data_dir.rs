//! The data directory: one process at a time, and an id that stays with it.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

/// The directory, locked for this process until dropped.
#[derive(Debug)]
pub(super) struct DataDir {
    /// Random, made with the directory: tells earlier runs of this daemon from other nodes.
    pub(super) home: String,
    _lock: File,
}

/// Why the directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another process works in it.
    #[error(
        "another motion-email works in {0}: stop it first, or give this one its own XC_EMAIL_DATA_DIR"
    )]
    Taken(String),
    /// It cannot be made, read or written.
    #[error("the data directory {path} cannot be used: {source}")]
    Io {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
}

impl DataDir {
    /// Makes it if absent (0700), locks it, reads or makes its id.
    pub(super) fn open(path: &Path) -> Result<Self, DataDirError> {
        let failed = |source| DataDirError::Io {
            path: path.display().to_string(),
            source,
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(failed)?;
        let lock = fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path.join("lock"))
            .map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(DataDirError::Taken(path.display().to_string()));
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let home = read_or_make_home(&path.join("node-home")).map_err(failed)?;
        Ok(Self { home, _lock: lock })
    }
}

fn read_or_make_home(path: &Path) -> io::Result<String> {
    match fs::read_to_string(path) {
        Ok(text) if text.trim().len() == 32 => return Ok(text.trim().to_owned()),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let home = uuid::Uuid::new_v4().simple().to_string();
    let fresh = path.with_extension("new");
    fs::write(&fresh, &home)?;
    fs::rename(&fresh, path)?;
    Ok(home)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_at_a_time_works_in_a_data_directory_and_its_id_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/data");
        let first = DataDir::open(&path).unwrap();
        assert!(matches!(DataDir::open(&path), Err(DataDirError::Taken(_))));
        let home = first.home.clone();
        drop(first);
        assert_eq!(DataDir::open(&path).unwrap().home, home);
    }
}
