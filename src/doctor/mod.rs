//! Examines an account, or the whole service, as an engineer would: step by step, each with a verdict and the
//! next step.
//!
//! # Promises
//! - Checks run in order and each within its own time; what depends on a failed one is skipped and says so, so
//!   that the first failed line is the cause.
//! - Nothing is changed: the mailbox is opened for reading only, no mail is sent, no recipient is named. A grant
//!   is refreshed only when its token is stale or when asked for.
//! - Running lanes are not disturbed: at most one IMAP and one SMTP connection at a time and account, none at all
//!   where the server asked for a rest; one examination per account and [`AT_ONCE`] at once (I10).
//! - A report holds no secret (I8).
//!
//! # When things fail
//! - Trouble is what a report is made of: an examination itself cannot fail, only be refused while another one
//!   of the same account is under way ([`Busy`]).
//! - An examination that is dropped hangs up and leaves nothing behind.
//!
//! # Does not know
//! - Tasks and leases (who calls hands in what the lanes say), HTTP, the command line.
//!
//! # Standards
//! RFC 6154 (the folder of sent mail).

mod account;
mod course;
mod grant;
mod incoming;
mod judge;
mod outgoing;
mod queue;
mod report;
mod rights;
mod server;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use tokio::sync::Semaphore;

pub use course::{Progress, Told};
pub use report::{Check, Item, Report, Verdict};
pub use rights::{Rights, Standing};

use crate::{
    diagnosis::LaneStatus,
    governor::Governor,
    imap,
    model::{Account, AccountId, Clock},
    net::Net,
    oauth::OauthClient,
    smtp,
    store::Store,
    token::TokenKeeper,
    transcript::Transcripts,
};

/// Accounts that are examined at the same time.
pub const AT_ONCE: usize = 3;

/// What an examination has to know of the service's settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Bounds of IMAP; shorter than a lane's, since a person waits.
    pub imap: imap::Settings,
    /// Bounds of SMTP, and our name.
    pub smtp: smtp::Settings,
    /// Bound of one check.
    pub check: Duration,
    /// The service as browsers see it, if that is set; no slash at the end.
    pub public_url: Option<String>,
    /// Directories that must have room, with the key that names each.
    pub directories: Vec<(&'static str, PathBuf)>,
}

/// What an examination works with. Clones share everything.
#[derive(Clone)]
pub struct Parts {
    /// The database.
    pub store: Store,
    /// The way out.
    pub net: Net,
    /// Access tokens.
    pub keeper: TokenKeeper,
    /// Identity platforms.
    pub oauth: OauthClient,
    /// What is said to an account's servers is kept there too.
    pub transcripts: Transcripts,
    /// Who may connect when.
    pub governor: Governor,
    /// Wall-clock time.
    pub clock: Arc<dyn Clock>,
    /// See there.
    pub settings: Arc<Settings>,
}

/// What an account's lanes say of themselves.
#[derive(Clone, Debug)]
pub struct Lanes {
    /// IMAP to store.
    pub inbound: LaneStatus,
    /// Queue to SMTP.
    pub outbound: LaneStatus,
}

/// An account to be examined.
#[derive(Clone, Debug)]
pub struct Patient {
    /// The account.
    pub account: Account,
    /// What its lanes say; `None` where no task works for it here.
    pub lanes: Option<Lanes>,
}

/// What is wished of an examination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Refresh grants although their access tokens are good.
    pub refresh: bool,
}

/// Another examination of the same account is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the account is being examined already")]
pub struct Busy;

/// Does examinations. Cheap to clone; one for the whole process, since it keeps the bounds.
#[derive(Clone)]
pub struct Doctor {
    parts: Parts,
    places: Arc<Semaphore>,
    examined: Arc<Mutex<BTreeSet<AccountId>>>,
}

impl Doctor {
    /// For these parts; does nothing yet.
    pub fn new(parts: Parts) -> Self {
        Self {
            parts,
            places: Arc::new(Semaphore::new(AT_ONCE)),
            examined: Arc::default(),
        }
    }

    /// Examines one account; waits for a place. Dropping it ends the examination.
    ///
    /// # Errors
    /// [`Busy`]: nothing was done.
    pub async fn examine(
        &self,
        patient: &Patient,
        wish: Wish,
        progress: &Progress,
    ) -> Result<Report, Busy> {
        let _alone = Alone::of(&self.examined, patient.account.id).ok_or(Busy)?;
        // Never closed.
        let _place = self.places.acquire().await;
        Ok(account::examine(patient, &self.parts, wish, progress).await)
    }

    /// Examines all of them, [`AT_ONCE`] at a time; in the given order. One that is being examined already is
    /// left out of the answer.
    pub async fn examine_all(
        &self,
        patients: Vec<Patient>,
        wish: Wish,
        progress: &Progress,
    ) -> Vec<Report> {
        stream::iter(patients)
            .map(|patient| {
                let (doctor, progress) = (self.clone(), progress.clone());
                async move { doctor.examine(&patient, wish, &progress).await }
            })
            .buffered(AT_ONCE)
            .filter_map(|report| std::future::ready(report.ok()))
            .collect()
            .await
    }

    /// What is not any account's: database, disks, clock, roots, redirect URIs.
    pub async fn examine_service(&self, progress: &Progress) -> Report {
        server::examine(&self.parts, progress).await
    }
}

/// The right to examine one account, until dropped.
struct Alone<'a> {
    examined: &'a Mutex<BTreeSet<AccountId>>,
    account: AccountId,
}

impl<'a> Alone<'a> {
    fn of(examined: &'a Mutex<BTreeSet<AccountId>>, account: AccountId) -> Option<Self> {
        let mut all = examined.lock().unwrap_or_else(PoisonError::into_inner);
        // Lazily: one that is made and dropped here would give the account free.
        all.insert(account).then(|| Self { examined, account })
    }
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        let mut all = self.examined.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&self.account);
    }
}
