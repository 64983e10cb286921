//! Signing in with a code that a person types at the platform's page on any machine (RFC 8628): for servers
//! that no browser can call back. One task of the keeper per sign-in asks the platform until it is done.

use std::{
    collections::HashMap,
    ops::ControlFlow,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{SignInError, SignedIn, TokenKeeper, adopt::settle, flow::credentials, keeper::Inner};
use crate::{
    model::{CloudProviderId, FailureClass, NewCloudProvider, Timestamp},
    oauth::{Answer, Credential, DeviceCode, DevicePoll, OauthError},
};

/// Sign-ins that wait for a person at the same time (I10); one per provider.
const AT_ONCE: usize = 8;
/// Added to the pause when the platform says that we ask too often (RFC 8628 §3.5).
const SLOWER: Duration = Duration::from_secs(5);
/// The longest pause while the platform is not well.
const LONGEST: Duration = Duration::from_secs(60);

/// A sign-in by code, as everybody may look at it.
#[derive(Clone, Debug)]
pub struct DeviceSignIn {
    /// What the person types. For the person only: whoever knows it can offer their own account.
    pub user_code: String,
    /// Where the person types it.
    pub verification_uri: String,
    /// The platform's own words to the person; may be empty.
    pub message: String,
    /// Until when.
    pub expires_at: Timestamp,
    /// Where it stands.
    pub state: DeviceState,
}

/// Where a sign-in by code stands.
#[derive(Clone, Debug)]
pub enum DeviceState {
    /// The person is not done.
    Waiting,
    /// They are; the sign-in may be held.
    Done(SignedIn),
    /// It came to nothing.
    Failed(Arc<SignInError>),
}

/// The sign-ins by code of this process, the last one of each provider.
#[derive(Default)]
pub(super) struct Devices(Mutex<HashMap<CloudProviderId, Device>>);

struct Device {
    shown: watch::Receiver<DeviceSignIn>,
    new_identity: bool,
    stop: CancellationToken,
}

impl Device {
    fn shown(&self) -> DeviceSignIn {
        self.shown.borrow().clone()
    }

    fn waits(&self) -> bool {
        matches!(self.shown.borrow().state, DeviceState::Waiting)
    }

    /// Whether it waits and was begun with this wish.
    fn is(&self, new_identity: bool) -> bool {
        self.waits() && self.new_identity == new_identity
    }
}

impl Devices {
    /// Nothing that holds this lock can panic half-way through a change.
    fn lock(&self) -> MutexGuard<'_, HashMap<CloudProviderId, Device>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one that waits, if it was begun with the same wish.
    fn waiting(&self, provider: CloudProviderId, new_identity: bool) -> Option<DeviceSignIn> {
        let devices = self.lock();
        let device = devices.get(&provider)?;
        device.is(new_identity).then(|| device.shown())
    }

    /// Whether one more may wait for a person.
    fn has_room(&self, provider: CloudProviderId) -> bool {
        room(&self.lock(), provider)
    }

    /// Takes a begun one up, in place of an earlier one of its provider, which ends. Others may have been begun
    /// while the platform was asked.
    fn take_up(
        &self,
        provider: CloudProviderId,
        new_identity: bool,
        shown: DeviceSignIn,
    ) -> TakenUp {
        let mut devices = self.lock();
        if let Some(quicker) = devices.get(&provider).filter(|one| one.is(new_identity)) {
            return TakenUp::Waits(Box::new(quicker.shown()));
        }
        if !room(&devices, provider) {
            return TakenUp::NoRoom;
        }
        let (publish, shown) = watch::channel(shown);
        let stop = CancellationToken::new();
        // What is over is kept for who began it, but not for ever.
        if devices.len() >= 16 * AT_ONCE {
            devices.retain(|_, device| device.waits());
        }
        let device = Device {
            shown,
            new_identity,
            stop: stop.clone(),
        };
        if let Some(before) = devices.insert(provider, device) {
            before.stop.cancel();
        }
        TakenUp::Ours(publish, stop)
    }
}

/// What became of a begun sign-in.
enum TakenUp {
    /// It waits for its person now.
    Ours(watch::Sender<DeviceSignIn>, CancellationToken),
    /// Another one of the same wish was quicker.
    Waits(Box<DeviceSignIn>),
    /// As many wait as may.
    NoRoom,
}

/// Whether one more may wait for a person.
fn room(devices: &HashMap<CloudProviderId, Device>, provider: CloudProviderId) -> bool {
    let others = devices
        .iter()
        .filter(|(id, device)| **id != provider && device.waits());
    others.count() < AT_ONCE
}

impl TokenKeeper {
    /// Begins a sign-in by code: the answer says what the person types where. From then on a task of the
    /// keeper asks the platform until the person is done, refuses, or the code's time is over, whoever goes
    /// away meanwhile; [`TokenKeeper::device_sign_in`] shows it. One that waits already is given again. It
    /// does not outlive the process.
    ///
    /// # Errors
    /// The platform gives no code, too many sign-ins wait, or the provider needs none or is gone. If
    /// dropped, a code may be left that nobody uses.
    pub async fn begin_device_sign_in(
        &self,
        provider: CloudProviderId,
        new_identity: bool,
    ) -> Result<DeviceSignIn, SignInError> {
        let inner = &self.inner;
        let entered = inner.for_people(provider).await?;
        if let Some(waiting) = inner.devices.waiting(provider, new_identity) {
            return Ok(waiting);
        }
        if !inner.devices.has_room(provider) {
            return Err(SignInError::TooMany);
        }
        let begun_at = Instant::now();
        let (code, with) = begin(inner, provider, &entered)
            .await
            .map_err(SignInError::NotBegun)?;
        let shown = DeviceSignIn {
            user_code: code.user_code.clone(),
            verification_uri: code.verification_uri.clone(),
            message: code.message.clone(),
            expires_at: inner.clock.now().plus(code.expires_in),
            state: DeviceState::Waiting,
        };
        let taken = inner.devices.take_up(provider, new_identity, shown.clone());
        let (publish, stop) = match taken {
            TakenUp::Ours(publish, stop) => (publish, stop),
            TakenUp::Waits(quicker) => return Ok(*quicker),
            TakenUp::NoRoom => return Err(SignInError::TooMany),
        };
        info!(%provider, new_identity, "sign-in by code begun");
        let keeper = Arc::clone(inner);
        let end = begun_at + code.expires_in;
        let task = async move {
            let signing_in = SigningIn {
                keeper: &keeper,
                provider,
                entered,
                with,
                code,
                end,
                stop,
            };
            let state = match signing_in.run(new_identity).await {
                Ok(signed_in) => DeviceState::Done(signed_in),
                Err(error) => {
                    warn!(%provider, code = error.code(), %error, "sign-in by code failed");
                    DeviceState::Failed(Arc::new(error))
                }
            };
            publish.send_modify(|shown| shown.state = state);
        };
        inner.spawn(task).map_err(|_| SignInError::Interrupted)?;
        Ok(shown)
    }

    /// The last sign-in by code of this provider in this process; `None` where there was none.
    pub fn device_sign_in(&self, provider: CloudProviderId) -> Option<DeviceSignIn> {
        let devices = self.inner.devices.lock();
        devices.get(&provider).map(Device::shown)
    }
}

/// Asks for a code, with each credential in turn while the platform refuses them; which one it took.
async fn begin(
    keeper: &Inner,
    provider: CloudProviderId,
    entered: &NewCloudProvider,
) -> Result<(DeviceCode, usize), OauthError> {
    let oauth = keeper.oauth.of(provider);
    let credentials = credentials(entered);
    let mut with = 0;
    loop {
        let credential = credentials.get(with).copied().unwrap_or(Credential::None);
        match oauth.device_begin(entered, credential).await {
            Err(error) if error.refuses_client() && with + 1 < credentials.len() => with += 1,
            begun => return begun.map(|code| (code, with)),
        }
    }
}

struct SigningIn<'a> {
    keeper: &'a Inner,
    provider: CloudProviderId,
    entered: NewCloudProvider,
    /// Which of the provider's credentials the platform took.
    with: usize,
    code: DeviceCode,
    end: Instant,
    stop: CancellationToken,
}

impl SigningIn<'_> {
    async fn run(&self, new_identity: bool) -> Result<SignedIn, SignInError> {
        let answer = self.poll().await?;
        // Edited meanwhile: what is needed for mail now counts, and another application could not refresh it.
        let entered = self.keeper.for_people(self.provider).await?;
        if !entered.is_same_application(&self.entered) {
            return Err(SignInError::ProviderChanged);
        }
        settle(self.keeper, self.provider, &entered, answer, new_identity).await
    }

    /// Asks until there are tokens, keeping the platform's pauses.
    async fn poll(&self) -> Result<Answer, SignInError> {
        let oauth = self.keeper.oauth.of(self.provider);
        let credentials = credentials(&self.entered);
        let mut with = self.with;
        let mut pause = self.code.interval;
        let mut rest = pause;
        loop {
            let next = Instant::now() + rest;
            if next >= self.end {
                return Err(SignInError::DeviceExpired);
            }
            if self.wait(next).await.is_break() {
                return Err(SignInError::Interrupted);
            }
            let credential = credentials.get(with).copied().unwrap_or(Credential::None);
            let polled = oauth
                .device_poll(&self.entered, credential, &self.code)
                .await;
            match polled {
                Ok(DevicePoll::Pending) => rest = pause,
                Ok(DevicePoll::SlowDown) => {
                    pause += SLOWER;
                    rest = pause;
                }
                Ok(DevicePoll::Done(answer)) => return Ok(answer),
                // RFC 8628 §3.5: slower while the platform cannot be reached.
                Err(error) if passes(&error) => {
                    debug!(provider = %self.provider, %error, "a sign-in by code was not answered");
                    let asked = match error.class() {
                        FailureClass::HoldFor(time) => time,
                        _ => Duration::ZERO,
                    };
                    rest = (rest * 2).min(LONGEST).max(pause).max(asked);
                }
                Err(error) if error.refuses_client() && with + 1 < credentials.len() => with += 1,
                Err(error) => return Err(SignInError::Exchange(error)),
            }
        }
    }

    /// Until the next time to ask; broken off by the process' end and by a newer sign-in.
    async fn wait(&self, until: Instant) -> ControlFlow<()> {
        tokio::select! {
            biased;
            () = self.keeper.stopping.cancelled() => ControlFlow::Break(()),
            () = self.stop.cancelled() => ControlFlow::Break(()),
            () = sleep_until(until) => ControlFlow::Continue(()),
        }
    }
}

/// Trouble of the platform or the line that asking again may get over.
fn passes(error: &OauthError) -> bool {
    matches!(
        error.class(),
        FailureClass::RetryLater | FailureClass::HoldFor(_)
    )
}
