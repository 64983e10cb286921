//! The token journal's files. Blocking: called off the async threads only.

use std::{
    fs, io,
    io::{Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use crate::model::{CloudProviderId, fail_point};

/// More of a file is never read; a record is at most a quarter of it.
const READ_LIMIT: u64 = 1 << 20;
/// Damaged files that are kept, for whoever wants to know what happened.
const ASIDES: usize = 8;
/// What is kept of each.
const ASIDE_BYTES: u64 = 1 << 20;
/// At most so many files are looked at when the process starts.
const FILES: usize = 100_000;

pub(super) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
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
    let (first, rest) = bytes.split_at(bytes.len() / 2);
    file.write_all(first)?;
    fail_point("token.in_journal");
    file.write_all(rest)?;
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

pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
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

pub(super) fn empty(path: &Path) -> io::Result<()> {
    match fs::OpenOptions::new().write(true).open(path) {
        Ok(file) => file.set_len(0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// The first free name, else that of the oldest; gives where it lies now.
pub(super) fn set_aside(path: &Path, dir: &Path) -> io::Result<PathBuf> {
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

pub(super) fn grants(dir: &Path) -> io::Result<Vec<CloudProviderId>> {
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
