//! Signals as one stream of wishes.

use std::{
    io,
    sync::{Arc, atomic::AtomicBool},
};

use futures_util::StreamExt as _;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook_tokio::{Signals, SignalsInfo};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// SIGTERM, SIGINT: drain and end.
    Stop,
    /// SIGHUP: read the settings again.
    Reload,
    /// SIGUSR1: reopen the logs.
    ReopenLogs,
}

/// The stream. A second SIGTERM or SIGINT ends the process at once, without it.
pub(super) struct Wishes(SignalsInfo);

/// Exit code of the second SIGTERM or SIGINT.
const ENDED_AT_ONCE: i32 = 75;

impl Wishes {
    /// Must be called inside the runtime.
    ///
    /// # Errors
    /// The handlers could not be set.
    pub(super) fn listen() -> io::Result<Self> {
        let asked_once = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            // Order matters: the exit is conditional on the flag that the same signal sets after it.
            signal_hook::flag::register_conditional_shutdown(
                signal,
                ENDED_AT_ONCE,
                Arc::clone(&asked_once),
            )?;
            signal_hook::flag::register(signal, Arc::clone(&asked_once))?;
        }
        Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1]).map(Self)
    }

    /// The next wish. Floods of one signal are merged. Cancel-safe.
    pub(super) async fn next(&mut self) -> Wish {
        loop {
            match self.0.next().await {
                Some(SIGHUP) => return Wish::Reload,
                Some(SIGUSR1) => return Wish::ReopenLogs,
                Some(SIGTERM | SIGINT) | None => return Wish::Stop,
                Some(_) => {}
            }
        }
    }
}
