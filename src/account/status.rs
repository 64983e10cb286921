//! What is shown of an account's task.

use crate::{
    diagnosis::{LaneState, LaneStatus},
    model::AccountId,
};

/// Both lanes of one account, as they stand now.
#[derive(Clone, Debug)]
pub struct AccountStatus {
    /// Whose.
    pub account: AccountId,
    /// IMAP to store.
    pub inbound: LaneStatus,
    /// Queue to SMTP.
    pub outbound: LaneStatus,
    /// How often the task had to be started again since the daemon started (each one is a bug).
    pub restarts: u32,
}

impl AccountStatus {
    /// Both lanes as one word.
    pub fn overall(&self) -> Overall {
        Overall::of(self.inbound.state, self.outbound.state)
    }
}

/// How an account is as a whole. Each lane counts by itself: the worse one decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overall {
    /// IMAP has opened the mailbox and SMTP has taken the login.
    Connected,
    /// A lane is on its way there.
    Connecting,
    /// A lane waits after passing trouble and tries again by itself.
    Retrying,
    /// A person has to act for a lane.
    NeedsAttention,
    /// A lane does not run.
    Stopped,
}

impl Overall {
    /// The shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Connecting => "connecting",
            Self::Retrying => "retrying",
            Self::NeedsAttention => "needs_attention",
            Self::Stopped => "stopped",
        }
    }

    /// From both lanes. A lane is ready or working only after its server has let it in: the outbound lane
    /// proves its login also when nothing is to be sent.
    pub fn of(inbound: LaneState, outbound: LaneState) -> Self {
        let both = [inbound, outbound];
        let any = |states: &[LaneState]| both.iter().any(|lane| states.contains(lane));
        if any(&[LaneState::Parked]) {
            Self::NeedsAttention
        } else if any(&[LaneState::Stopped]) {
            Self::Stopped
        } else if any(&[LaneState::Waiting]) {
            Self::Retrying
        } else if any(&[LaneState::Starting, LaneState::Connecting]) {
            Self::Connecting
        } else {
            Self::Connected
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_connected_when_both_lanes_are_and_as_bad_as_its_worse_lane_otherwise() {
        use LaneState::{Connecting, Parked, Ready, Starting, Stopped, Waiting, Working};
        for (one, other, expected) in [
            (Ready, Ready, "connected"),
            (Working, Ready, "connected"),
            (Working, Working, "connected"),
            (Ready, Starting, "connecting"),
            (Ready, Connecting, "connecting"),
            (Starting, Starting, "connecting"),
            (Ready, Waiting, "retrying"),
            (Connecting, Waiting, "retrying"),
            (Waiting, Waiting, "retrying"),
            (Ready, Parked, "needs_attention"),
            (Waiting, Parked, "needs_attention"),
            (Stopped, Parked, "needs_attention"),
            (Ready, Stopped, "stopped"),
            (Waiting, Stopped, "stopped"),
            (Stopped, Stopped, "stopped"),
        ] {
            assert_eq!(
                Overall::of(one, other).as_str(),
                expected,
                "{one:?} {other:?}"
            );
            assert_eq!(
                Overall::of(other, one).as_str(),
                expected,
                "{other:?} {one:?}"
            );
        }
    }
}
