//! One account's folders on their lanes.

use std::sync::Arc;

use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{Parts, board::Place, lane::Lane};
use crate::{
    diagnosis::{LaneExit, LaneStatus},
    model::{Account, FolderChoice, Lease},
};

/// Reads the folders of an account until it is told to stop or the lease is gone: the first and some more
/// on connections of their own, the rest in turn on one. A stop cuts talk with the server short; what has
/// been given to the store is awaited. `wake` is changed by whoever wants the mailbox looked at now.
///
/// A panic in one lane goes on in the caller (I6: it ends this account's task and nothing else).
pub async fn run(
    account: Arc<Account>,
    lease: Lease,
    parts: Parts,
    status: watch::Sender<LaneStatus>,
    wake: watch::Receiver<u64>,
    stop: CancellationToken,
) -> LaneExit {
    let folders = account.entered.folders.all();
    let split = split(folders, parts.settings.watched_folders);
    let places = Place::several(&status, split.len(), parts.clock.now());
    if let ([_], [_]) = (split.as_slice(), places.as_slice())
        && let (Some(folders), Some(place)) = (split.first(), places.first())
    {
        // The most usual case needs no task of its own.
        // Boxed as soon as it is made, so that it takes its room once.
        let lane = {
            let (folders, place) = (folders.clone(), place.clone());
            Box::pin(Lane::new(account, lease, parts, folders, place, wake).run(stop))
        };
        return lane.await;
    }
    // The end of one is the end of all.
    let stop = stop.child_token();
    let mut lanes = JoinSet::new();
    for (folders, place) in split.into_iter().zip(places) {
        let (account, lease, parts) = (account.clone(), lease.clone(), parts.clone());
        let lane = Lane::new(account, lease, parts, folders, place, wake.clone());
        lanes.spawn(lane.run(stop.clone()));
    }
    let mut exit = LaneExit::Stopped;
    while let Some(ended) = lanes.join_next().await {
        stop.cancel();
        match ended {
            Ok(LaneExit::Stopped) => {}
            Ok(LaneExit::LeaseLost) => exit = LaneExit::LeaseLost,
            Err(error) => {
                if let Ok(panic) = error.try_into_panic() {
                    std::panic::resume_unwind(panic);
                }
            }
        }
    }
    exit
}

/// The first folder by itself, `watched` more by themselves, the rest together.
fn split(folders: &[FolderChoice], watched: usize) -> Vec<Vec<FolderChoice>> {
    let (alone, rest) = folders.split_at(folders.len().min(watched.saturating_add(1)));
    let mut lanes: Vec<Vec<FolderChoice>> = alone.iter().map(|one| vec![one.clone()]).collect();
    match rest {
        [] => {}
        rest => lanes.push(rest.to_vec()),
    }
    lanes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Folders;

    #[test]
    fn the_first_folders_are_watched_and_the_rest_visited_in_turn() {
        let folders = Folders::parse(["INBOX", "a", "b", "c", "d"]).unwrap();
        let sizes = |watched| -> Vec<usize> {
            split(folders.all(), watched).iter().map(Vec::len).collect()
        };
        assert_eq!(sizes(0), [1, 4]);
        assert_eq!(sizes(2), [1, 1, 1, 2]);
        assert_eq!(sizes(4), [1, 1, 1, 1, 1]);
        assert_eq!(sizes(9), [1, 1, 1, 1, 1]);
        assert_eq!(split(Folders::default().all(), 2).len(), 1);
    }
}
