//! What went wrong with one grant last, and how long everybody waits because of it.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{gate::Sign, issuer::Issuer, slot::Slot, waits::Waits};
use crate::{model::FailureClass, oauth::OauthError};

/// The last failure, kept for everybody who asks before the next try.
#[derive(Clone)]
pub(super) struct Trouble {
    pub(super) error: OauthError,
    pub(super) failures: u32,
    pub(super) retry_at: Instant,
}

impl Slot {
    /// The failure whose wait is not over yet.
    pub(super) fn waiting(&self, at: Instant) -> Option<Trouble> {
        self.known()
            .trouble
            .clone()
            .filter(|trouble| at < trouble.retry_at)
    }

    pub(super) fn trouble(&self) -> Option<OauthError> {
        Some(self.known().trouble.as_ref()?.error.clone())
    }

    pub(super) fn doubted(&self, version: i64) -> bool {
        self.known().doubted == Some(version)
    }

    /// The platform refuses this version, and is asked once more after `wait`.
    pub(super) fn doubt(&self, version: i64, error: &OauthError, wait: Duration) {
        let mut known = self.known();
        known.doubted = Some(version);
        known.trouble = Some(Trouble {
            error: error.clone(),
            failures: 1,
            retry_at: Instant::now() + wait,
        });
    }

    /// The platform answers others again: a failure to reach it is no reason to wait any more.
    pub(super) fn issuer_healed(&self, issuer: &Arc<Issuer>) {
        let mut known = self.known();
        let same = known
            .issuer
            .as_ref()
            .is_some_and(|own| Arc::ptr_eq(own, issuer));
        let ill = known
            .trouble
            .as_ref()
            .is_none_or(|trouble| matches!(Sign::of(&trouble.error), Sign::Ill(_)));
        if same && ill {
            known.trouble = None;
            known.rest_until = None;
        }
    }

    /// Notes a failure; says how long it will be until the next try, and the how-manieth it is.
    pub(super) fn fail(&self, error: &OauthError, waits: &Waits, jitter: f64) -> (Duration, u32) {
        let mut known = self.known();
        let failures = known
            .trouble
            .as_ref()
            .filter(|before| same_kind(before.error.class(), error.class()))
            .map_or(0, |before| before.failures)
            .saturating_add(1);
        let wait = waits.after(error.class(), failures, jitter);
        known.trouble = Some(Trouble {
            error: error.clone(),
            failures,
            retry_at: Instant::now() + wait,
        });
        (wait, failures)
    }

    /// The provider was edited: an administrator's failure may be cured. Waits that the platform asked for stay.
    pub(super) fn forgive(&self) {
        let mut known = self.known();
        known.credential = None;
        known.rest_until = None;
        if known
            .trouble
            .as_ref()
            .is_some_and(|trouble| trouble.error.class() == FailureClass::OperatorMustAct)
        {
            known.trouble = None;
        }
    }
}

/// Whether a failure continues a row of failures.
fn same_kind(one: FailureClass, other: FailureClass) -> bool {
    std::mem::discriminant(&one) == std::mem::discriminant(&other)
}
