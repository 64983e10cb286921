//! Starts the process over itself once, with the environment that TLS and the allocator need.

use std::{env, ffi::OsString, io, os::unix::process::CommandExt as _, process::Command};

/// Set in the second start, so that there is never a third.
const MARK: &str = "MOTION_EMAIL_STARTED";
/// glibc keeps what it once gave out for large blocks below its growing threshold: after a burst of
/// 35 MB mails 287 MB stay with the process. Pinned, large blocks go back to the system at once.
const MALLOC: [(&str, &str); 2] = [
    ("MALLOC_MMAP_THRESHOLD_", "131072"),
    ("MALLOC_TRIM_THRESHOLD_", "131072"),
];

/// Runs this program again in its place (same process id) with `tls` and the allocator's settings in the
/// environment; returns at once where that has been done. An operator's own values of the allocator's
/// settings stay.
///
/// # Errors
/// The program file could not be started again.
pub(super) fn once(tls: &[(&'static str, OsString)]) -> io::Result<()> {
    if env::var_os(MARK).is_some_and(|pid| pid == OsString::from(std::process::id().to_string())) {
        return Ok(());
    }
    let mut again = Command::new(env::current_exe()?);
    again
        .args(env::args_os().skip(1))
        .env(MARK, std::process::id().to_string());
    for (name, value) in tls {
        again.env(name, value);
    }
    for (name, value) in MALLOC {
        if env::var_os(name).is_none() {
            again.env(name, value);
        }
    }
    Err(again.exec())
}
