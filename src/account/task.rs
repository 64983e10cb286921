//! Runs the two lanes of an account as one.

use std::future::Future;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::diagnosis::{LaneExit, LaneStatus};

/// The ends of a running account that others hold.
#[derive(Debug)]
pub struct Ends {
    /// What the inbound lane publishes.
    pub inbound: watch::Receiver<LaneStatus>,
    /// What the outbound lane publishes.
    pub outbound: watch::Receiver<LaneStatus>,
    /// Changing it makes both lanes try at once.
    pub sync_now: watch::Sender<u64>,
}

/// Runs both lanes until both have ended. `stop` is the token both were given: whichever ends first
/// cancels it for the other. Must not be dropped half-way by a caller that wants an orderly stop:
/// cancel `stop` and await instead.
pub async fn side_by_side(
    inbound: impl Future<Output = LaneExit>,
    outbound: impl Future<Output = LaneExit>,
    stop: CancellationToken,
) -> LaneExit {
    let until_end = |lane_stop: CancellationToken| lane_stop.drop_guard();
    let (first, second) = (until_end(stop.clone()), until_end(stop));
    let inbound = async move {
        let _stops_the_other = first;
        inbound.await
    };
    let outbound = async move {
        let _stops_the_other = second;
        outbound.await
    };
    match tokio::join!(inbound, outbound) {
        (LaneExit::Stopped, LaneExit::Stopped) => LaneExit::Stopped,
        (LaneExit::LeaseLost, _) | (_, LaneExit::LeaseLost) => LaneExit::LeaseLost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_of_one_lane_stops_the_other_and_a_lost_lease_is_reported() {
        let stop = CancellationToken::new();
        let waits = {
            let stop = stop.clone();
            async move {
                stop.cancelled().await;
                LaneExit::Stopped
            }
        };
        assert_eq!(
            side_by_side(async { LaneExit::LeaseLost }, waits, stop).await,
            LaneExit::LeaseLost
        );
    }
}
