//! Which lanes are warned that their session is the last one.

use super::*;
use crate::{
    diagnosis::{Context, Failure, explain},
    model::AccountId,
};

#[test]
fn only_lanes_in_session_are_warned_of_its_end() {
    let lane = |state| LaneStatus {
        state,
        ..LaneStatus::starting(Timestamp::from_millis(0))
    };
    for (inbound, outbound, expected) in [
        (LaneState::Ready, LaneState::Parked, vec![LaneName::Inbound]),
        (
            LaneState::Waiting,
            LaneState::Working,
            vec![LaneName::Outbound],
        ),
        (LaneState::Connecting, LaneState::Stopped, vec![]),
    ] {
        let status = AccountStatus {
            account: AccountId::new(1),
            inbound: lane(inbound),
            outbound: lane(outbound),
            restarts: 0,
        };
        assert_eq!(in_session(&status), expected);
    }
    let reason = "AADSTS700082: the refresh token has expired due to inactivity";
    let token = explain(&Failure::SignInNeeded(reason.into()), &Context::default());
    let shown = ShownWarning::from(ending_session(LaneName::Inbound, &token));
    assert_eq!(
        (shown.code, shown.lane),
        ("sign_in_idle_too_long", "inbound")
    );
    assert!(shown.what.contains("still works"), "{}", shown.what);
    assert!(shown.why.unwrap().contains("AADSTS700082"));
    assert!(shown.next.contains("Sign in again"), "{}", shown.next);
}
