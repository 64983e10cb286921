//! The task that gives committed events their numbers.

use std::{ops::ControlFlow, time::Duration};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::store::Store;

/// Events numbered in one commit at most.
const BATCH: i64 = 500;
/// Looks this often even when nobody hinted: another node may have died before numbering its events.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Numbers events until `stop`. Cancellation by `stop` takes effect between two commits.
pub async fn sequence(store: Store, stop: CancellationToken) {
    let mut written = store.events_written();
    loop {
        // Mark the hint as seen before looking, so that one given during the look is not lost.
        written.mark_unchanged();
        loop {
            match store.events_number(BATCH).await {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => {
                    warn!(%error, "events could not be numbered yet");
                    break;
                }
            }
        }
        if wait(&mut written, &stop).await.is_break() {
            return;
        }
    }
}

async fn wait(written: &mut watch::Receiver<u64>, stop: &CancellationToken) -> ControlFlow<()> {
    tokio::select! {
        biased;
        () = stop.cancelled() => ControlFlow::Break(()),
        changed = written.changed() => match changed {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        },
        () = tokio::time::sleep(LOOK_EVERY) => ControlFlow::Continue(()),
    }
}
