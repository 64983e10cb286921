//! `motion-email check`: what a start would find, without starting.

use super::start::{StartError, chain};
use crate::{
    blob::Blobs,
    config::{self, Sources},
    net::Net,
    store::Store,
};

/// Tries settings, certificates, database and directories. Gives a line for each thing that is good.
///
/// # Errors
/// A line for each thing that is not, with what to do.
pub fn check(sources: &Sources) -> Result<Vec<String>, Vec<String>> {
    let config = match config::load(sources) {
        Ok(config) => config,
        Err(mistakes) => return Err(mistakes.lines()),
    };
    let mut good = vec!["settings: no mistakes".to_owned()];
    let mut bad = Vec::new();
    let mut note = |what: &str, outcome: Result<(), String>| match outcome {
        Ok(()) => good.push(format!("{what}: good")),
        Err(why) => bad.push(format!("{what}: {why}")),
    };
    note(
        "trusted certificates",
        Net::new(&config.net())
            .map(drop)
            .map_err(|e| chain(&StartError::from(e))),
    );
    note("log directory", usable(&config.log_dir));
    note("data directory", usable(&config.data_dir));
    note(
        "raw mail",
        Blobs::open(&config.blob())
            .map(drop)
            .map_err(|e| chain(&StartError::from(e))),
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    note(
        "database",
        match runtime {
            Ok(runtime) => runtime.block_on(async {
                Store::open(&config.store())
                    .await
                    .map(drop)
                    .map_err(|e| chain(&StartError::from(e)))
            }),
            Err(error) => Err(error.to_string()),
        },
    );
    if bad.is_empty() { Ok(good) } else { Err(bad) }
}

/// With less room a start fails, or the first mail does.
const LEAST_ROOM: u64 = 1 << 20;

fn usable(directory: &std::path::Path) -> Result<(), String> {
    writable(directory)?;
    // Asking is no reason to fail.
    let Ok(room) = rustix::fs::statvfs(directory) else {
        return Ok(());
    };
    let free = room.f_bavail.saturating_mul(room.f_frsize);
    if free < LEAST_ROOM {
        let shown = directory.display();
        return Err(format!(
            "the disk of {shown} is full ({} KiB are free): make room, or move the directory to a larger disk (df -h {shown})",
            free >> 10
        ));
    }
    Ok(())
}

fn writable(directory: &std::path::Path) -> Result<(), String> {
    let probe = directory.join(format!(".motion-email-check-{}", std::process::id()));
    std::fs::create_dir_all(directory)
        .and_then(|()| std::fs::write(&probe, b""))
        .and_then(|()| std::fs::remove_file(&probe))
        .map_err(|error| format!("{} cannot be written: {error}", directory.display()))
}
