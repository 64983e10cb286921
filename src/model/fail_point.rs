//! Named moments at which a test may end or stop the process. Empty in release builds.
//!
//! `MOTION_EMAIL_FAIL_POINT=outbound.after_dot=kill@2` kills the process when it reaches that point for
//! the second time. Actions: `kill` (SIGKILL), `panic`, `block` (the thread never goes on).

/// All names, so that a test can walk them.
pub const FAIL_POINTS: [&str; 16] = [
    "store.before_commit",
    "store.after_commit",
    "inbound.after_fetch",
    "inbound.parse",
    "outbound.after_claim",
    "outbound.before_dot_commit",
    "outbound.before_dot",
    "outbound.after_dot",
    "token.before_begin",
    "token.before_request",
    "token.after_answer",
    "token.in_journal",
    "token.after_journal",
    "token.after_commit",
    "token.after_drop",
    "supervisor.tick",
];

/// Passing here is nothing, unless a test asked otherwise through the environment.
#[cfg(debug_assertions)]
pub fn fail_point(name: &str) {
    armed::reach(name);
}

/// Passing here is nothing.
#[cfg(not(debug_assertions))]
#[inline]
pub fn fail_point(_name: &str) {}

#[cfg(debug_assertions)]
mod armed {
    use std::sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    };

    struct Armed {
        name: String,
        action: String,
        nth: u32,
        reached: AtomicU32,
    }

    /// The one static of the program: fail points are in debug builds only, and read the environment once.
    static ARMED: OnceLock<Option<Armed>> = OnceLock::new();

    pub(super) fn reach(name: &str) {
        let armed = ARMED.get_or_init(|| {
            let text = std::env::var("MOTION_EMAIL_FAIL_POINT").ok()?;
            let (name, rest) = text.split_once('=')?;
            let (action, nth) = rest.split_once('@').unwrap_or((rest, "1"));
            Some(Armed {
                name: name.to_owned(),
                action: action.to_owned(),
                nth: nth.parse().ok()?,
                reached: AtomicU32::new(0),
            })
        });
        let Some(armed) = armed.as_ref().filter(|armed| armed.name == name) else {
            return;
        };
        if armed.reached.fetch_add(1, Ordering::SeqCst) + 1 != armed.nth {
            return;
        }
        match armed.action.as_str() {
            "kill" => {
                let _ = signal_hook::low_level::raise(signal_hook::consts::SIGKILL);
            }
            "block" => loop {
                std::thread::park();
            },
            _ => panic!("fail point {name}"),
        }
    }
}
