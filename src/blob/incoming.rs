//! A large mail on its way to being an object, a piece at a time.

use std::time::Duration;

use bytes::Bytes;
use object_store::{MultipartUpload, ObjectStoreExt, PutPayload, path::Path};
use sha2::{Digest, Sha256};

use super::{BlobError, Blobs, LARGEST, hex, path};

/// Where pieces lie before their name is known.
const PLACE: &str = "incoming";
/// What a run that died left there is removed after this long: by then nobody writes it any more.
pub(super) const STALE: Duration = Duration::from_secs(24 * 3_600);

/// A mail that is being written. Dropped half-way it removes its file; a process that is killed leaves it for a day.
pub struct Incoming {
    blobs: Blobs,
    from: Path,
    upload: Box<dyn MultipartUpload>,
    hash: Sha256,
    size: u64,
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Incoming")
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// A mail that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// Its object's name.
    pub key: String,
    /// SHA-256 of its bytes, which the name is made of.
    pub sha256: [u8; 32],
    /// Octets.
    pub size: u64,
}

fn unavailable(source: object_store::Error) -> BlobError {
    BlobError::Unavailable {
        doing: "keeping a large mail",
        source,
    }
}

impl Blobs {
    /// Begins a mail whose bytes come in pieces.
    ///
    /// # Errors
    /// `Unavailable` where nothing can be written.
    pub async fn incoming(&self) -> Result<Incoming, BlobError> {
        let from = Path::from_iter([PLACE, &format!("{:032x}", rand::random::<u128>())]);
        let upload = self.objects.put_multipart(&from).await;
        Ok(Incoming {
            blobs: self.clone(),
            upload: upload.map_err(unavailable)?,
            from,
            hash: Sha256::new(),
            size: 0,
        })
    }
}

/// Removes what runs that died left half-written in an objects' directory more than a day ago; how many. A file
/// that cannot be removed is left: it costs space only.
pub(super) fn sweep(objects: &std::path::Path, stale: Duration) -> usize {
    let Ok(files) = std::fs::read_dir(objects.join(PLACE)) else {
        return 0;
    };
    let is_stale = |file: &std::fs::DirEntry| {
        let changed = file.metadata().and_then(|about| about.modified());
        changed.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > stale))
    };
    files
        .flatten()
        .filter(|file| is_stale(file) && std::fs::remove_file(file.path()).is_ok())
        .count()
}

impl Incoming {
    /// Octets so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a piece.
    ///
    /// # Errors
    /// `TooLarge` beyond [`LARGEST`]; `Unavailable` where it cannot be written.
    pub async fn write(&mut self, piece: Bytes) -> Result<(), BlobError> {
        let octets = u64::try_from(piece.len()).unwrap_or(u64::MAX);
        self.size = self.size.saturating_add(octets);
        if self.size > LARGEST as u64 {
            return Err(BlobError::TooLarge {
                size: usize::try_from(self.size).unwrap_or(usize::MAX),
            });
        }
        self.hash.update(&piece);
        let payload = PutPayload::from_bytes(piece);
        self.upload.put_part(payload).await.map_err(unavailable)
    }

    /// Ends it: durable under its name when this answers.
    ///
    /// # Errors
    /// `Unavailable`: nothing was kept.
    pub async fn finish(mut self) -> Result<Arrived, BlobError> {
        self.upload.complete().await.map_err(unavailable)?;
        let sha256: [u8; 32] = self.hash.finalize().into();
        let key = hex(&sha256);
        let to = path(&key)?;
        let objects = &self.blobs.objects;
        objects.rename(&self.from, &to).await.map_err(unavailable)?;
        Ok(Arrived {
            key,
            sha256,
            size: self.size,
        })
    }

    /// Gives it up; what cannot be removed now is removed a day later.
    pub async fn discard(mut self) {
        if let Err(error) = self.upload.abort().await {
            tracing::debug!(%error, "a mail that was given up stays for a day");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{blob::Settings, model::RawMail};

    #[tokio::test]
    async fn pieces_become_the_object_that_the_whole_would_have_become() {
        let directory = tempfile::tempdir().unwrap();
        let settings = Settings {
            url: directory.path().display().to_string(),
        };
        let blobs = Blobs::open(&settings).unwrap();
        let whole: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
        for size in [1_000_003, 65_536, whole.len()] {
            let mut incoming = blobs.incoming().await.unwrap();
            for piece in whole.chunks(size) {
                incoming.write(Bytes::copy_from_slice(piece)).await.unwrap();
            }
            let arrived = incoming.finish().await.unwrap();
            assert_eq!(arrived.size, whole.len() as u64);
            assert_eq!(arrived.key, super::super::name_of(&whole));
            let back = blobs.read(&RawMail::Object(arrived.key)).await.unwrap();
            assert!(back == whole);
        }
        // One that was given up, and one that nobody ended.
        let mut given_up = blobs.incoming().await.unwrap();
        given_up.write(Bytes::from_static(b"x")).await.unwrap();
        given_up.discard().await;
        // A process that is killed leaves its file.
        std::fs::write(directory.path().join(PLACE).join("left#1"), b"x").unwrap();
        assert_eq!(sweep(directory.path(), STALE), 0, "it may still be written");
        let mut left = 0;
        // Files are dated by a coarser clock.
        while left == 0 {
            left = sweep(directory.path(), Duration::ZERO);
        }
        assert_eq!(left, 1);
        assert_eq!(sweep(directory.path(), Duration::ZERO), 0);
    }
}
