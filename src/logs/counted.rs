//! A writer that takes whole lines and counts those that a full disk swallowed.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Lines into `W`, counted when they do not arrive.
pub(super) struct Counted<W> {
    inner: W,
    /// The last line was cut off in the middle: the next starts on a line of its own.
    torn: bool,
    /// Lines lost since the last one that arrived.
    missing: u64,
    /// All lines lost, for [`super::LogControl::lost`].
    total: Arc<AtomicU64>,
}

impl<W: Write> Counted<W> {
    pub(super) fn new(inner: W, total: Arc<AtomicU64>) -> Self {
        Self {
            inner,
            torn: false,
            missing: 0,
            total,
        }
    }

    /// Lines lost since the last one that arrived.
    pub(super) fn missing(&self) -> u64 {
        self.missing
    }

    /// Takes over what an older writer still has to tell; with `same` file also its torn end.
    pub(super) fn inherit(&mut self, older: &Self, same: bool) {
        self.missing = older.missing;
        self.torn = same && older.torn;
    }

    /// Writes a line. After lost ones, `note` (given their number) is written first. An error means that this line is
    /// lost and counted; whatever of it was written is closed before the next line.
    pub(super) fn line(&mut self, line: &[u8], note: impl FnOnce(u64) -> String) -> io::Result<()> {
        let result = self.attempt(line, note);
        if result.is_err() {
            self.missing = self.missing.saturating_add(1);
            self.total.fetch_add(1, Ordering::Relaxed);
        }
        result
    }

    fn attempt(&mut self, line: &[u8], note: impl FnOnce(u64) -> String) -> io::Result<()> {
        if self.torn {
            self.whole(b"\n")?;
            self.torn = false;
        }
        if self.missing > 0 {
            self.whole(note(self.missing).as_bytes())?;
            self.missing = 0;
        }
        self.whole(line)
    }

    fn whole(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let all = bytes.len();
        while !bytes.is_empty() {
            match self.inner.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.torn |= bytes.len() < all;
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk with room for so many bytes.
    struct Disk {
        written: Vec<u8>,
        room: usize,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let n = bytes.len().min(self.room);
            if n == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room -= n;
            self.written.extend_from_slice(&bytes[..n]);
            Ok(n)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_is_counted_and_told_when_there_is_room_again() {
        let total = Arc::new(AtomicU64::new(0));
        let disk = Disk {
            written: Vec::new(),
            room: 8,
        };
        let mut lines = Counted::new(disk, total.clone());
        let note = |missing: u64| format!("lost {missing}\n");
        assert!(lines.line(b"first\n", note).is_ok());
        assert!(lines.line(b"second\n", note).is_err());
        assert!(lines.line(b"third\n", note).is_err());
        assert_eq!(total.load(Ordering::Relaxed), 2);
        lines.inner.room = 100;
        assert!(lines.line(b"fourth\n", note).is_ok());
        assert!(lines.line(b"fifth\n", note).is_ok());
        let text = String::from_utf8(lines.inner.written).unwrap();
        assert_eq!(text, "first\nse\nlost 2\nfourth\nfifth\n");
        assert_eq!(total.load(Ordering::Relaxed), 2);
    }
}
