//! The memory that all accounts of the process may use at once.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bounds of what is in memory at once, shared by all accounts of the process.
#[derive(Clone, Debug)]
pub struct Budget {
    /// In KiB.
    fetching: Arc<Semaphore>,
    kib: u32,
    parsing: Arc<Semaphore>,
}

impl Budget {
    /// Mail being fetched may take `octets` of memory in all; `parsers` mails are parsed at once.
    pub fn new(octets: u64, parsers: usize) -> Self {
        let kib = u32::try_from(octets / 1024).unwrap_or(u32::MAX).max(1);
        Self {
            fetching: Arc::new(Semaphore::new(usize::try_from(kib).unwrap_or(usize::MAX))),
            kib,
            parsing: Arc::new(Semaphore::new(parsers.max(1))),
        }
    }

    /// Waits for room for this many octets; a mail larger than all of it takes all of it.
    pub(super) async fn room(&self, octets: u64) -> Option<OwnedSemaphorePermit> {
        let kib = u32::try_from(octets / 1024 + 1)
            .unwrap_or(u32::MAX)
            .min(self.kib);
        self.fetching.clone().acquire_many_owned(kib).await.ok()
    }

    /// The same at once, or not at all; nothing for a mail larger than half of it.
    pub(super) fn spare_room(&self, octets: u64) -> Option<OwnedSemaphorePermit> {
        let kib = u32::try_from(octets / 1024 + 1).ok()?;
        if kib > self.kib / 2 {
            return None;
        }
        self.fetching.clone().try_acquire_many_owned(kib).ok()
    }

    pub(super) fn parsing(&self) -> Arc<Semaphore> {
        self.parsing.clone()
    }
}

impl Default for Budget {
    /// 256 MiB, and as many parsers as there are processors.
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self::new(256 * 1024 * 1024, processors)
    }
}
