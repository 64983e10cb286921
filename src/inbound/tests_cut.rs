//! The line breaks, anywhere.

use std::time::Duration;

use super::testing::{With, World};
use crate::{diagnosis::LaneState, model::Backfill};

/// Rounds in one store, so that looking at all of it stays quick.
const ROUNDS: usize = 100;

/// Fault 39: the connection is cut behind each octet of a session that reads two mails, idles and reads a third.
/// Every 37th octet; all of them with `MOTION_CUT_STEP=1`.
#[tokio::test]
async fn a_connection_cut_behind_any_octet_loses_no_mail_and_brings_none_twice() {
    let step = std::env::var("MOTION_CUT_STEP").ok();
    let step: usize = step.and_then(|step| step.parse().ok()).unwrap_or(37);
    let mut octets = 0;
    let mut cuts = 0;
    'sessions: loop {
        let mut world = World::with(With::Password, Backfill::All, |settings| {
            settings.slice_octets = 150;
            settings.batch_octets = 300;
            settings.backoff.first = Duration::from_millis(1);
            settings.backoff.cap = Duration::from_millis(2);
        })
        .await;
        let mut all = 0;
        for _ in 0..ROUNDS {
            let before = world.server.state().cuts;
            world.server.deliver(&format!("{octets} first"));
            // Large enough to come in slices.
            world
                .server
                .deliver(&format!("{octets} {}", "second ".repeat(20)));
            world.server.state().cut_after = Some(octets);
            world.start();
            world.until_stored(all + 2).await;
            world.until(LaneState::Ready).await;
            world.server.deliver(&format!("{octets} third"));
            world.until_stored(all + 3).await;
            world.until(LaneState::Ready).await;
            world.stop().await;
            all += 3;
            assert_eq!(world.messages().await.len(), all, "cut behind {octets}");
            assert_eq!(world.received().await, all, "cut behind {octets}");
            assert_eq!(world.cursor().await.next, all as u64 + 1);
            assert_eq!(world.problems().await.len(), 0, "cut behind {octets}");
            if world.server.state().cuts == before {
                break 'sessions;
            }
            cuts += 1;
            octets += step;
        }
    }
    assert!(
        cuts * step > 2_000,
        "{cuts} cuts of a session of {octets} octets"
    );
}
