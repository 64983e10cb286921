//! The handle that lanes ask for access tokens.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use secrecy::SecretString;
use tokio::{
    sync::{Notify, oneshot, watch},
    task::JoinSet,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

use super::{
    Settings, SignInError, TokenError, device::Devices, issuer::Issuer, journal::Journal, refresh,
    slot::Slot,
};
use crate::{
    model::{
        Access, Clock, CloudProviderId, Grant, NewCloudProvider, NodeId, Timestamp, TokenOwner,
    },
    oauth::{OauthClient, OauthError, endpoints},
    store::Store,
};

/// Letters of the data directory's random id that stand in a refresh's id.
const HOME_LETTERS: usize = 16;

/// An access token to log in with.
#[derive(Clone, Debug)]
pub struct Token {
    /// The token itself.
    pub secret: SecretString,
    /// When it ends: connect anew before.
    pub expires_at: Timestamp,
    /// Which one it is, for [`TokenKeeper::refused`].
    pub version: i64,
    /// Whose it is.
    pub owner: Arc<TokenOwner>,
}

/// A sign-in that came to nothing, for who waits for it.
#[derive(Clone, Debug)]
pub struct SignInFailure {
    /// When it did.
    pub at: Timestamp,
    /// Why.
    pub error: SignInError,
}

/// Keeps one valid access token per grant. Cheap to clone; one for the whole process.
///
/// The keeper owns the tasks that refresh; [`TokenKeeper::run`] awaits them at its end. Dropping the last
/// clone without that aborts them.
#[derive(Clone)]
pub struct TokenKeeper {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) store: Store,
    pub(super) oauth: OauthClient,
    pub(super) node: NodeId,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) settings: Settings,
    pub(super) journal: Option<Journal>,
    /// Cancelled when no new request may go out.
    pub(super) stopping: CancellationToken,
    /// Sign-ins by code that wait for a person.
    pub(super) devices: Devices,
    /// The last sign-in of each provider, where it failed.
    failed: Mutex<HashMap<CloudProviderId, SignInFailure>>,
    slots: Mutex<HashMap<CloudProviderId, Arc<Slot>>>,
    issuers: Mutex<HashMap<String, Arc<Issuer>>>,
    /// The store is to be looked at now.
    poll_now: AtomicBool,
    /// `None` after the end.
    pub(super) tasks: Mutex<Option<JoinSet<()>>>,
    /// Told when the plan of [`TokenKeeper::run`] may have changed.
    pub(super) look: Notify,
    changes: watch::Sender<u64>,
}

impl TokenKeeper {
    /// A keeper that refreshes grants as `node`. It does nothing by itself before [`TokenKeeper::run`].
    pub fn new(
        store: Store,
        oauth: OauthClient,
        node: NodeId,
        clock: Arc<dyn Clock>,
        settings: Settings,
    ) -> Self {
        let (journal, patience) = (settings.journal.clone(), settings.journal_patience);
        Self {
            inner: Arc::new(Inner {
                journal: journal.map(|dir| Journal::new(dir, store.clone(), patience)),
                stopping: CancellationToken::new(),
                devices: Devices::default(),
                failed: Mutex::default(),
                store,
                oauth,
                node,
                clock,
                settings,
                slots: Mutex::default(),
                issuers: Mutex::default(),
                poll_now: AtomicBool::new(false),
                tasks: Mutex::new(Some(JoinSet::new())),
                look: Notify::new(),
                changes: watch::Sender::new(0),
            }),
        }
    }

    /// A token that is good for at least one more use: the newest known, or a refreshed one.
    ///
    /// Waits at most [`Settings::patience`]. Dropping the future loses nothing: a refresh that was begun
    /// runs to its end, and the next caller gets its token.
    ///
    /// # Errors
    /// See [`TokenError`]; between two tries everybody gets the last failure at once.
    pub async fn access_token(&self, provider: CloudProviderId) -> Result<Token, TokenError> {
        let slot = self.inner.slot(provider);
        timeout(self.inner.settings.patience, self.obtain(&slot))
            .await
            .unwrap_or(Err(TokenError::Pending))
    }

    /// A server refused this version's token. The next [`TokenKeeper::access_token`] refreshes, once:
    /// further refusals are let pass for a growing time, in which the newest token is handed out as it is,
    /// since the fault is then not the token's and other accounts may use it (I6).
    pub fn refused(&self, provider: CloudProviderId, version: i64) {
        let slot = self.inner.slot(provider);
        if slot.refuse(version, &self.inner.settings.waits) {
            debug!(%provider, version, "a server refused the access token, it is refreshed");
            self.inner.look.notify_one();
        }
    }

    /// The provider's row was added or changed: what an administrator had to cure is tried again at once, an
    /// application's first token is fetched, and who waits for [`TokenKeeper::changes`] is told.
    pub fn provider_changed(&self, provider: CloudProviderId) {
        self.inner.slot(provider).forgive();
        self.inner.poll_now.store(true, Ordering::Relaxed);
        self.inner.tell();
    }

    /// Changes whenever some grant has become good, has a new token, or may be cured of what troubled it, so
    /// that who waits can look again.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changes.subscribe()
    }

    /// Why the last sign-in through a browser failed, if it did and the process has not been started anew.
    pub fn sign_in_failure(&self, provider: CloudProviderId) -> Option<SignInFailure> {
        let failed = self.inner.failed.lock();
        let failed = failed.unwrap_or_else(PoisonError::into_inner);
        failed.get(&provider).cloned()
    }

    /// Why the last refresh of this grant failed, if it did.
    pub fn trouble(&self, provider: CloudProviderId) -> Option<OauthError> {
        self.inner.slot(provider).trouble()
    }

    /// Whether nobody signs in for this provider, since it has the application's own access; as far as is known, which
    /// it is from the first attempt at a token on.
    pub fn is_application(&self, provider: CloudProviderId) -> bool {
        self.inner.slot(provider).known().access == Some(Access::Application)
    }

    async fn obtain(&self, slot: &Arc<Slot>) -> Result<Token, TokenError> {
        let inner = &self.inner;
        if let Some(token) = slot.usable(inner.clock.now(), &inner.settings) {
            return Ok(token);
        }
        let flight = slot.flight.clone().lock_owned().await;
        if let Some(token) = slot.usable(inner.clock.now(), &inner.settings) {
            return Ok(token);
        }
        let refreshed = match slot.waiting(Instant::now()) {
            Some(trouble) => Err(TokenError::Oauth(trouble.error)),
            None => {
                let (answer, answered) = oneshot::channel();
                let (keeper, slot) = (inner.clone(), slot.clone());
                inner.spawn(async move {
                    let token = refresh::refresh(&keeper, &slot, None).await;
                    // Open the flight before answering, so that who is answered meets no closed one.
                    drop(flight);
                    keeper.look.notify_one();
                    // Nobody listens any more: the token is recorded all the same.
                    let _ = answer.send(token);
                })?;
                answered.await.unwrap_or(Err(TokenError::RefreshLost))
            }
        };
        match refreshed {
            Err(error @ (TokenError::Oauth(_) | TokenError::Elsewhere)) => slot
                .fallback(inner.clock.now(), &inner.settings)
                .ok_or(error),
            other => other,
        }
    }
}

impl Inner {
    pub(super) fn slot(&self, provider: CloudProviderId) -> Arc<Slot> {
        self.slots()
            .entry(provider)
            .or_insert_with(|| Arc::new(Slot::new(provider)))
            .clone()
    }

    pub(super) fn slots(&self) -> MutexGuard<'_, HashMap<CloudProviderId, Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The platform that a provider's token endpoint belongs to; `None` where what was entered names none. One
    /// that is reached another way counts as another: what breaks that way says nothing of the platform, which
    /// also knows its callers by the address they come from.
    pub(super) fn issuer(&self, entered: &NewCloudProvider) -> Option<Arc<Issuer>> {
        let token = endpoints(entered).ok()?.token;
        let port = token.port_or_known_default().unwrap_or_default();
        let mut name = format!("{}:{port}", token.host_str()?);
        if let Some(way) = entered.proxy.shown() {
            name += &format!(" by {way}");
        }
        let mut issuers = self.issuers();
        let issuer = issuers
            .entry(name)
            .or_insert_with_key(|name| Arc::new(Issuer::new(name.clone(), self.settings.limits)));
        Some(Arc::clone(issuer))
    }

    fn issuers(&self) -> MutexGuard<'_, HashMap<String, Arc<Issuer>>> {
        self.issuers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets platforms that no grant lives at any more.
    pub(super) fn forget_issuers(&self) {
        self.issuers()
            .retain(|_, issuer| Arc::strong_count(issuer) > 1);
    }

    /// The id of a refresh: tells whose it is.
    pub(super) fn attempt(&self, random: &str) -> String {
        format!("{}.{random}", self.origin())
    }

    /// Whether the refresh in the row was begun by this process or by one that had this data directory before.
    pub(super) fn is_ours(&self, grant: &Grant) -> bool {
        let attempt = grant.attempt.as_deref();
        let origin = attempt.and_then(|attempt| attempt.split_once('.'));
        origin.is_some_and(|(origin, _)| origin == self.origin())
    }

    fn origin(&self) -> &str {
        let home = &self.settings.home;
        home.get(..HOME_LETTERS).unwrap_or(home)
    }

    pub(super) fn take_poll_now(&self) -> bool {
        self.poll_now.swap(false, Ordering::Relaxed)
    }

    /// Starts a task that nobody but the keeper can cancel. At most one per grant and sign-in.
    pub(super) fn spawn(
        &self,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), TokenError> {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        let tasks = tasks.as_mut().ok_or(TokenError::Stopping)?;
        reap(tasks);
        tasks.spawn(task);
        Ok(())
    }

    /// Refreshes and sign-ins that have not ended.
    pub(super) fn under_way(&self) -> usize {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.as_mut().map_or(0, |tasks| {
            reap(tasks);
            tasks.len()
        })
    }

    /// A sign-in has come to its end; why it failed is kept for who waits for it. Trouble of our own database is
    /// not the sign-in's.
    pub(super) fn sign_in_ended(&self, provider: CloudProviderId, error: Option<&SignInError>) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        match error {
            None | Some(SignInError::Store(_)) => failed.remove(&provider),
            Some(error) => failed.insert(
                provider,
                SignInFailure {
                    at: self.clock.now(),
                    error: error.clone(),
                },
            ),
        };
    }

    /// A grant has become good, or its token is a new one.
    pub(super) fn tell(&self) {
        self.changes
            .send_modify(|count| *count = count.wrapping_add(1));
        self.look.notify_one();
    }
}

/// Takes out the tasks that have ended.
fn reap(tasks: &mut JoinSet<()>) {
    while let Some(ended) = tasks.try_join_next() {
        if let Err(panic) = ended {
            error!(%panic, "a refresh ended by a bug");
        }
    }
}
