//! What is shown of a failure, and of a lane's state.

use crate::model::{Action, FailureClass, Timestamp};

/// A failure in words for people, with a stable code for programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// Stable, lower-case words joined by `_`, e.g. `imap_password_refused`.
    pub code: &'static str,
    /// What happened, one sentence.
    pub what: String,
    /// Why, as far as is known, one or two sentences; holds the peer's own words in quotes.
    pub why: String,
    /// The exact next step, and for whom.
    pub next: String,
    /// By what the program acts.
    pub class: FailureClass,
    /// Who acts; always a word that fits the class.
    pub action: Action,
}

/// Where a lane stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LaneState {
    /// The task has just begun.
    Starting,
    /// Dialling and logging in.
    Connecting,
    /// Inbound: reading new mail. Outbound: sending what is due.
    Working,
    /// Inbound: waiting for the server's word. Outbound: nothing is due.
    Ready,
    /// Passing trouble: the next try is at `retry_at`.
    Waiting,
    /// A person has to act; it is still tried now and then.
    Parked,
    /// Paused by an administrator, or the task has ended.
    Stopped,
}

impl LaneState {
    /// The shown and stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Connecting => "connecting",
            Self::Working => "working",
            Self::Ready => "ready",
            Self::Waiting => "waiting",
            Self::Parked => "parked",
            Self::Stopped => "stopped",
        }
    }
}

/// What a lane publishes about itself; readers see only the latest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneStatus {
    /// Where it stands.
    pub state: LaneState,
    /// Why it is waiting or parked.
    pub diagnosis: Option<Diagnosis>,
    /// Since when it is in this state.
    pub since: Timestamp,
    /// When it next tries by itself.
    pub retry_at: Option<Timestamp>,
    /// When the server last answered something good: inbound a complete listing or an IDLE answer,
    /// outbound an accepted login.
    pub last_contact: Option<Timestamp>,
}

impl LaneStatus {
    /// Who acts now: what may become a person's matter is none while it is still tried on the schedule.
    pub fn action(&self) -> Option<Action> {
        let action = self.diagnosis.as_ref()?.action;
        Some(match (self.state, action) {
            (LaneState::Waiting, Action::Administrator | Action::SignInAgain) => Action::Retry,
            (_, action) => action,
        })
    }

    /// A lane that has just been made.
    pub fn starting(now: Timestamp) -> Self {
        Self {
            state: LaneState::Starting,
            diagnosis: None,
            since: now,
            retry_at: None,
            last_contact: None,
        }
    }
}

/// Why a lane's task returned. Ordinary trouble never ends a lane: it waits or is parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaneExit {
    /// It was told to stop.
    Stopped,
    /// Another node works for the account now (I11): stop, write nothing more.
    LeaseLost,
}
