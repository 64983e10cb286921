//! What is known in memory of one grant.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Freshness, Settings, Token,
    issuer::Issuer,
    life::Life,
    trouble::Trouble,
    waits::{Forced, Waits},
};
use crate::model::{Access, CloudProviderId, CredentialKind, Grant, GrantState, Timestamp};

/// The clocks of two nodes differ by less than this; platforms refuse signatures by clocks that are further off.
const CLOCKS: Duration = Duration::from_secs(300);

/// One grant. `flight` is held for the whole of a refresh, by the refreshing task itself: the one
/// legitimate use of an async mutex, single flight.
pub(super) struct Slot {
    pub(super) provider: CloudProviderId,
    pub(super) flight: Arc<tokio::sync::Mutex<()>>,
    known: Mutex<Known>,
}

#[derive(Default)]
pub(super) struct Known {
    /// As of the row's `version`.
    pub(super) state: Option<GrantState>,
    pub(super) version: Option<i64>,
    pub(super) held: Option<Held>,
    pub(super) trouble: Option<Trouble>,
    pub(super) forced: Forced,
    /// No refresh ahead of expiry before this: the last one did not get as far as the platform.
    pub(super) rest_until: Option<Instant>,
    pub(super) access: Option<Access>,
    pub(super) issuer: Option<Arc<Issuer>>,
    /// The credential that the platform took last, where it had refused the one that comes first.
    pub(super) credential: Option<CredentialKind>,
    /// The version whose refresh token the platform refused in words that leave doubt.
    pub(super) doubted: Option<i64>,
    /// Another node's refresh that may still be under way, and how long it is left alone.
    pub(super) settling: Option<(String, Instant)>,
}

pub(super) struct Held {
    token: Token,
    life: Life,
    /// A server refused it, and a refresh was allowed for that.
    refused: bool,
}

impl Slot {
    pub(super) fn new(provider: CloudProviderId) -> Self {
        Self {
            provider,
            flight: Arc::default(),
            known: Mutex::default(),
        }
    }

    /// Nothing that holds this lock can panic half-way through a change.
    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The token, if it is good for one more use and no server has refused it.
    pub(super) fn usable(&self, now: Timestamp, settings: &Settings) -> Option<Token> {
        let known = self.known();
        let held = known.held.as_ref()?;
        let good = held.life.freshness(now, settings.leeway) != Freshness::Stale;
        (good && !held.refused).then(|| held.token.clone())
    }

    /// The token while it is valid by the clock, although a server refused it: for when there is no other.
    /// One mailbox may refuse what others accept (I6).
    pub(super) fn fallback(&self, now: Timestamp, settings: &Settings) -> Option<Token> {
        let known = self.known();
        let held = known.held.as_ref()?;
        let good = held.life.freshness(now, settings.leeway) != Freshness::Stale;
        good.then(|| held.token.clone())
    }

    /// Whether the next token should be fetched now, going by what is in memory.
    pub(super) fn wanted(&self, now: Timestamp, settings: &Settings) -> bool {
        self.known().held.as_ref().is_none_or(|held| {
            held.refused || held.life.freshness(now, settings.leeway) != Freshness::Fresh
        })
    }

    /// When the next refresh ahead of expiry may begin: by the token's life, or by the wait after a
    /// failure. `None`: never by itself, a person has to sign in (an application needs nobody).
    pub(super) fn next(&self, now: Timestamp, at: Instant, settings: &Settings) -> Option<Instant> {
        let known = self.known();
        let due = match (known.state?, &known.held) {
            (GrantState::Missing | GrantState::NeedsSignIn, _)
                if known.access != Some(Access::Application) =>
            {
                return None;
            }
            (GrantState::Ok | GrantState::Missing | GrantState::NeedsSignIn, Some(held))
                if !held.refused
                    && held.life.freshness(now, settings.leeway) == Freshness::Fresh =>
            {
                at + held.life.due_at().since(now)
            }
            // Due, stale, refused, unknown; or an interrupted refresh.
            _ => at,
        };
        let allowed = known.trouble.as_ref().map(|trouble| trouble.retry_at);
        [Some(due), allowed, known.rest_until]
            .into_iter()
            .flatten()
            .max()
    }

    /// Takes over what a row of the store says, unless something newer is known. Whether its tokens were new.
    pub(super) fn learn(&self, grant: &Grant, jitter: f64) -> bool {
        let mut known = self.known();
        match known.version {
            Some(version) if grant.version < version => return false,
            Some(version) if grant.version == version => {
                known.state = Some(grant.state);
                // A name is confirmed without new tokens.
                if let Some(held) = &mut known.held {
                    held.token.owner = grant.owner().into();
                }
                return false;
            }
            // Somebody stored newer tokens: whatever troubled us is over.
            Some(_) => known.trouble = None,
            None => {}
        }
        known.state = Some(grant.state);
        known.version = Some(grant.version);
        known.held =
            grant
                .access_token
                .clone()
                .zip(grant.access_expires_at)
                .map(|(secret, expires)| Held {
                    token: Token {
                        secret,
                        expires_at: expires,
                        version: grant.version,
                        owner: grant.owner().into(),
                    },
                    // The row is written for other reasons too, a failed refresh among them.
                    life: Life::stored(
                        expires,
                        grant.refreshed_at.unwrap_or(grant.updated_at),
                        jitter,
                    ),
                    refused: false,
                });
        true
    }

    /// A token that has just been committed.
    pub(super) fn publish(&self, token: Token, life: Life) {
        let mut known = self.known();
        known.state = Some(GrantState::Ok);
        known.version = Some(token.version);
        known.trouble = None;
        known.rest_until = None;
        known.held = Some(Held {
            token,
            life,
            refused: false,
        });
    }

    pub(super) fn set_state(&self, state: GrantState) {
        self.known().state = Some(state);
    }

    /// A refresh ahead of expiry ended before it asked the platform.
    pub(super) fn rest(&self, time: Duration) {
        self.known().rest_until = Some(Instant::now() + time);
    }

    /// What its provider's row says. A token that was given to a person is not the application's, nor the
    /// other way round: it is replaced where that has changed.
    pub(super) fn set_provider(&self, access: Access, issuer: Option<Arc<Issuer>>) {
        let mut known = self.known();
        let before = known.access.replace(access);
        if before.is_some_and(|before| before != access)
            && let Some(held) = &mut known.held
        {
            held.refused = true;
        }
        known.issuer = issuer;
    }

    pub(super) fn issuer(&self) -> Option<Arc<Issuer>> {
        self.known().issuer.clone()
    }

    pub(super) fn credential(&self) -> Option<CredentialKind> {
        self.known().credential
    }

    /// The platform took this one, after it had refused the one before.
    pub(super) fn set_credential(&self, kind: CredentialKind) {
        self.known().credential = Some(kind);
    }

    pub(super) fn forget_credential(&self) {
        self.known().credential = None;
    }

    /// How long the held token is good for one more use.
    pub(super) fn good_for(&self, now: Timestamp, settings: &Settings) -> Duration {
        let known = self.known();
        let held = known.held.as_ref();
        held.map_or(Duration::ZERO, |held| {
            held.life.good_for(now, settings.leeway)
        })
    }

    /// How long another node's refresh, found in the row, is still left alone: until `settle` after it was first seen
    /// here, since the nodes' clocks may differ. One that by these began longer ago than they can differ is over.
    pub(super) fn settling(
        &self,
        grant: &Grant,
        now: Timestamp,
        settle: Duration,
    ) -> Option<Duration> {
        let attempt = grant.attempt.as_deref()?;
        let at = Instant::now();
        let mut known = self.known();
        let until = match &known.settling {
            Some((seen, until)) if seen == attempt => *until,
            _ => {
                let begun = grant.attempt_started_at;
                let age = begun.map_or(Duration::ZERO, |begun| now.since(begun));
                let is_over = age >= settle + CLOCKS;
                let until = if is_over { at } else { at + settle };
                known.settling = Some((attempt.to_owned(), until));
                until
            }
        };
        Some(until.saturating_duration_since(at)).filter(|left| !left.is_zero())
    }

    /// A server refused this version. Whether a refresh was allowed for it.
    pub(super) fn refuse(&self, version: i64, waits: &Waits) -> bool {
        let mut known = self.known();
        let known = &mut *known;
        match &mut known.held {
            Some(held) if held.token.version == version && !held.refused => {
                held.refused = known.forced.allow(waits, Instant::now());
                held.refused
            }
            _ => false,
        }
    }
}
