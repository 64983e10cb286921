//! The exact bytes of mails: compressed in a row while small, else as objects named by their content.
//!
//! # Promises
//! - [`Blobs::put`] and [`Blobs::keep`] answer after the object is durable: file and directory entries
//!   are synced, and the file appears under its name whole or not at all.
//! - An object's name is the SHA-256 of its bytes; putting the same bytes again is harmless.
//! - A large mail can be kept in pieces: only one is in memory, and what a run that died left of it is removed
//!   after a day.
//! - What is read back is what was kept, or an error: objects are checked against their name, rows
//!   against the checksum in their frame.
//! - Unpacking never takes more memory than the size stated in the frame, and never more than
//!   [`LARGEST`] (I10).
//!
//! # When things fail
//! - The directory cannot be written or read now (full, read-only): [`BlobError::Unavailable`].
//! - An object is gone or changed: [`BlobError::Missing`], [`BlobError::Damaged`]; an operator restores
//!   it from a backup.
//! - A caller is dropped while it waits: the object may appear all the same; nothing refers to it.
//!
//! # Does not know
//! - What refers to an object, and when one may be removed.
//!
//! # Standards
//! Zstandard frames with content size and checksum.

mod incoming;

pub use incoming::{Arrived, Incoming};

use std::{os::unix::fs::DirBuilderExt, path::PathBuf, sync::Arc};

use bytes::Bytes;
use object_store::{ObjectStoreExt, PutPayload, local::LocalFileSystem, path::Path};
use sha2::{Digest, Sha256};

use crate::model::{FailureClass, RawMail};

/// No mail is larger, unpacked.
pub const LARGEST: usize = 256 << 20;
/// Compressed octets that may stay in a row.
const IN_ROW: usize = 64 << 10;
/// From this size on, hashing and packing leave the async threads.
const LARGE: usize = 256 << 10;
/// zstd's default: fast, and most of the gain.
const LEVEL: i32 = 3;

/// Where objects are kept.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `file:///dir` or a plain path. `s3://` is not supported yet.
    pub url: String,
}

/// Why the objects' place cannot be used; what to do is in the text.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BlobOpenError(String);

impl BlobOpenError {
    /// Who has to act next.
    pub fn class(&self) -> FailureClass {
        FailureClass::OperatorMustAct
    }
}

/// Why bytes were not kept or not read.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// The place does not answer or is full: nothing was kept.
    #[error("the object store is not available while {doing}")]
    Unavailable {
        /// The step, for people.
        doing: &'static str,
        /// What it said.
        #[source]
        source: object_store::Error,
    },
    /// There is no such object.
    #[error("object {key} is missing")]
    Missing {
        /// Its name.
        key: String,
    },
    /// What is there is not what was kept.
    #[error("stored mail is damaged: {detail}")]
    Damaged {
        /// Which, and what is wrong.
        detail: String,
    },
    /// Larger than [`LARGEST`].
    #[error("a mail of {size} octets is too large to keep")]
    TooLarge {
        /// Octets.
        size: usize,
    },
    /// The program is ending.
    #[error("the object store is closed")]
    Closed,
}

impl BlobError {
    /// Who has to act next.
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Unavailable { .. } | Self::Closed => FailureClass::RetryLater,
            Self::Missing { .. } | Self::Damaged { .. } => FailureClass::OperatorMustAct,
            Self::TooLarge { .. } => FailureClass::GiveUp,
        }
    }
}

/// Handle to the objects: cheap to clone.
#[derive(Clone, Debug)]
pub struct Blobs {
    objects: Arc<LocalFileSystem>,
}

impl Blobs {
    /// Makes the directory if need be (mode 0700) and proves that it can be written. Short file I/O on
    /// the calling thread.
    pub fn open(settings: &Settings) -> Result<Self, BlobOpenError> {
        let directory = directory(&settings.url)?;
        let refuse = |error: &dyn std::fmt::Display| {
            BlobOpenError(format!(
                "the directory for large mails {} cannot be used: {error}; it must be writable for the service's user",
                directory.display()
            ))
        };
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .map_err(|error| refuse(&error))?;
        let probe = directory.join(".probe");
        std::fs::write(&probe, b"")
            .and_then(|()| std::fs::remove_file(&probe))
            .map_err(|error| refuse(&error))?;
        let objects = LocalFileSystem::new_with_prefix(&directory)
            .map_err(|error| refuse(&error))?
            .with_fsync(true);
        let swept = incoming::sweep(&directory, incoming::STALE);
        if swept > 0 {
            tracing::info!(
                files = swept,
                "half-written mails of runs that died were removed"
            );
        }
        Ok(Self {
            objects: Arc::new(objects),
        })
    }

    /// Keeps bytes as an object; durable before it answers with the name (lower-case hex SHA-256).
    pub async fn put(&self, bytes: Bytes) -> Result<String, BlobError> {
        let (key, bytes) = aside(bytes, name_of).await?;
        self.put_named(&key, bytes).await?;
        Ok(key)
    }

    async fn put_named(&self, key: &str, bytes: Bytes) -> Result<(), BlobError> {
        if bytes.len() > LARGEST {
            return Err(BlobError::TooLarge { size: bytes.len() });
        }
        // Always written, also where the name exists: an earlier writer may have died before its sync.
        let path = path(key)?;
        self.objects
            .put(&path, PutPayload::from_bytes(bytes))
            .await
            .map(|_| ())
            .map_err(|source| BlobError::Unavailable {
                doing: "keeping a mail",
                source,
            })
    }

    /// An object's bytes, checked against its name.
    pub async fn get(&self, key: &str) -> Result<Bytes, BlobError> {
        let unavailable = |source| match source {
            object_store::Error::NotFound { .. } => BlobError::Missing {
                key: key.to_owned(),
            },
            source => BlobError::Unavailable {
                doing: "reading a mail",
                source,
            },
        };
        let found = self.objects.get(&path(key)?).await.map_err(unavailable)?;
        if found.meta.size > LARGEST as u64 {
            return Err(BlobError::Damaged {
                detail: format!("object {key} has {} octets", found.meta.size),
            });
        }
        let bytes = found.bytes().await.map_err(unavailable)?;
        let (name, bytes) = aside(bytes, name_of).await?;
        if name != key {
            return Err(BlobError::Damaged {
                detail: format!("object {key} holds other bytes than its name says"),
            });
        }
        Ok(bytes)
    }

    /// Keeps a mail: packed for its row while that takes at most 64 KiB, else as an object that is
    /// durable before it answers.
    pub async fn keep(&self, raw: Bytes) -> Result<RawMail, BlobError> {
        if raw.len() > LARGEST {
            return Err(BlobError::TooLarge { size: raw.len() });
        }
        let (packed, raw) = aside(raw, pack).await?;
        self.keep_packed(packed, raw).await
    }

    /// [`Self::keep`] of a mail that [`pack`] has seen.
    pub async fn keep_packed(&self, packed: Packed, raw: Bytes) -> Result<RawMail, BlobError> {
        match packed {
            Packed::Small(bytes) => Ok(RawMail::Row(bytes)),
            Packed::Large(key) => {
                self.put_named(&key, raw).await?;
                Ok(RawMail::Object(key))
            }
        }
    }

    /// The exact bytes that were kept.
    pub async fn read(&self, raw: &RawMail) -> Result<Bytes, BlobError> {
        match raw {
            RawMail::Object(key) => self.get(key).await,
            RawMail::Row(packed) => {
                let packed = Bytes::copy_from_slice(packed);
                let stated = stated_size(&packed)?;
                if stated < LARGE {
                    unpack(&packed, stated)
                } else {
                    blocking(move || unpack(&packed, stated)).await?
                }
            }
        }
    }
}

/// How a mail is kept.
#[derive(Debug)]
pub enum Packed {
    /// In its row, as these octets.
    Small(Vec<u8>),
    /// As the object of this name.
    Large(String),
}

/// Packs a mail, which takes time: for threads that may block.
pub fn pack(raw: &[u8]) -> Packed {
    let compress = || -> std::io::Result<Vec<u8>> {
        let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
        compressor.include_checksum(true)?;
        compressor.compress(raw)
    };
    match compress() {
        Ok(packed) if packed.len() <= IN_ROW => Packed::Small(packed),
        // A compressor that fails costs only space.
        Ok(_) | Err(_) => Packed::Large(name_of(raw)),
    }
}

fn stated_size(packed: &[u8]) -> Result<usize, BlobError> {
    let damaged = |detail: &str| BlobError::Damaged {
        detail: format!("a packed mail {detail}"),
    };
    match zstd::zstd_safe::get_frame_content_size(packed) {
        Ok(Some(size)) => usize::try_from(size)
            .ok()
            .filter(|size| *size <= LARGEST)
            .ok_or_else(|| damaged("states an impossible size")),
        Ok(None) => Err(damaged("states no size")),
        Err(_) => Err(damaged("has no frame header")),
    }
}

fn unpack(packed: &[u8], stated: usize) -> Result<Bytes, BlobError> {
    let damaged = |detail: String| BlobError::Damaged { detail };
    let raw = zstd::bulk::decompress(packed, stated)
        .map_err(|error| damaged(format!("a packed mail does not unpack: {error}")))?;
    if raw.len() == stated {
        Ok(raw.into())
    } else {
        Err(damaged(format!(
            "a packed mail states {stated} octets and holds {}",
            raw.len()
        )))
    }
}

fn name_of(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(digest: &[u8]) -> String {
    use std::fmt::Write;
    let mut name = String::with_capacity(64);
    for byte in digest {
        // Writing to a string cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    name
}

/// `ab/cdef…`: a directory never holds more than a 256th of all objects.
fn path(key: &str) -> Result<Path, BlobError> {
    let good = key.len() == 64 && key.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    match key.split_at_checked(2).filter(|_| good) {
        Some((head, tail)) => Ok(Path::from_iter([head, tail])),
        None => Err(BlobError::Damaged {
            detail: format!(
                "{:?} is not an object's name",
                key.chars().take(80).collect::<String>()
            ),
        }),
    }
}

/// Computes over bytes, off the async threads where they are many, and gives them back.
async fn aside<T: Send + 'static>(
    bytes: Bytes,
    compute: impl FnOnce(&[u8]) -> T + Send + 'static,
) -> Result<(T, Bytes), BlobError> {
    if bytes.len() < LARGE {
        return Ok((compute(&bytes), bytes));
    }
    blocking(move || (compute(&bytes), bytes)).await
}

async fn blocking<T: Send + 'static>(
    compute: impl FnOnce() -> T + Send + 'static,
) -> Result<T, BlobError> {
    let done = tokio::task::spawn_blocking(compute).await;
    done.map_err(|_| BlobError::Closed)
}

fn directory(url: &str) -> Result<PathBuf, BlobOpenError> {
    let url = url.trim();
    if url.starts_with("s3://") {
        return Err(BlobOpenError(
            "s3:// is not supported yet: give a directory, file:///var/lib/motion-email/blobs"
                .to_owned(),
        ));
    }
    let refuse = || {
        BlobOpenError(format!(
            "{url:?} is not a place for large mails: write file:///dir or /dir"
        ))
    };
    if url.is_empty() {
        return Err(refuse());
    }
    if !url.contains("://") {
        return Ok(PathBuf::from(url));
    }
    let parsed = url::Url::parse(url).map_err(|_| refuse())?;
    if parsed.scheme() != "file" {
        return Err(refuse());
    }
    parsed.to_file_path().map_err(|()| refuse())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blobs() -> (tempfile::TempDir, Blobs) {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("file://{}/blobs", directory.path().display());
        let blobs = Blobs::open(&Settings { url }).unwrap();
        (directory, blobs)
    }

    fn noise(length: usize) -> Bytes {
        use rand::RngCore;
        let mut bytes = vec![0; length];
        rand::rng().fill_bytes(&mut bytes);
        bytes.into()
    }

    #[tokio::test]
    async fn small_mails_stay_in_the_row_and_large_ones_become_objects_and_both_come_back_exactly()
    {
        let (_directory, blobs) = blobs();
        for (mail, in_row) in [
            (Bytes::new(), true),
            (Bytes::from_static(b"Subject: x\r\n\r\nhi\r\n"), true),
            (Bytes::from(vec![b'a'; 5 << 20]), true),
            (noise(60 << 10), true),
            (noise(70 << 10), false),
            (noise(3 << 20), false),
        ] {
            let kept = blobs.keep(mail.clone()).await.unwrap();
            assert_eq!(matches!(kept, RawMail::Row(_)), in_row, "{}", mail.len());
            assert_eq!(blobs.read(&kept).await.unwrap(), mail);
        }
    }

    #[tokio::test]
    async fn the_same_bytes_are_one_object_under_their_hash() {
        let (directory, blobs) = blobs();
        let bytes = noise(1000);
        let key = blobs.put(bytes.clone()).await.unwrap();
        assert_eq!(key, blobs.put(bytes.clone()).await.unwrap());
        assert_eq!(blobs.get(&key).await.unwrap(), bytes);
        let (head, tail) = key.split_at(2);
        let file = directory.path().join("blobs").join(head).join(tail);
        assert_eq!(std::fs::read(&file).unwrap(), bytes);

        std::fs::write(&file, b"other").unwrap();
        assert!(matches!(
            blobs.get(&key).await,
            Err(BlobError::Damaged { .. })
        ));
        std::fs::remove_file(&file).unwrap();
        assert!(matches!(
            blobs.get(&key).await,
            Err(BlobError::Missing { .. })
        ));
    }

    #[tokio::test]
    async fn a_packed_mail_that_lies_or_is_broken_is_refused_within_bounded_memory() {
        let (_directory, blobs) = blobs();
        let RawMail::Row(good) = blobs.keep(Bytes::from(vec![b'x'; 10_000])).await.unwrap() else {
            panic!("not in the row");
        };
        for end in 0..good.len() {
            let cut = RawMail::Row(good[..end].to_vec());
            assert!(blobs.read(&cut).await.is_err(), "cut to {end}");
        }
        let mut flipped = good.clone();
        *flipped.last_mut().unwrap() ^= 1;
        assert!(blobs.read(&RawMail::Row(flipped)).await.is_err());

        // A frame that unpacks to more than any mail may have.
        let bomb = zstd::bulk::compress(&vec![0; LARGEST + 1], 1).unwrap();
        assert!(bomb.len() < IN_ROW);
        assert!(matches!(
            blobs.read(&RawMail::Row(bomb)).await,
            Err(BlobError::Damaged { .. })
        ));
    }

    #[tokio::test]
    async fn a_name_that_is_no_hash_reaches_no_file() {
        let (_directory, blobs) = blobs();
        for bad in ["", "../../etc/passwd", &"A".repeat(64), &"a".repeat(63)] {
            assert!(matches!(
                blobs.get(bad).await,
                Err(BlobError::Damaged { .. })
            ));
        }
    }

    #[test]
    fn places_are_directories_and_nothing_else_yet() {
        assert_eq!(directory("file:///a%20b").unwrap(), PathBuf::from("/a b"));
        assert_eq!(directory("/a/b").unwrap(), PathBuf::from("/a/b"));
        for bad in ["", "s3://bucket/prefix", "http://x/", "file://host/x"] {
            assert!(directory(bad).is_err(), "{bad:?}");
        }
    }
}
