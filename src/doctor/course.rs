//! One examination under way: checks are noted one after the other, and told to whoever waits.

use std::{future::Future, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

use super::{Check, Item, Report, Rights, Verdict};
use crate::{
    diagnosis::{Context, Diagnosis, Failure, Finding, explain},
    model::{Account, AccountId},
};

/// A check that has just ended, for whoever waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Id and key of the account; `None`: the service itself.
    pub account: Option<(AccountId, String)>,
    /// The check.
    pub check: Check,
}

/// Where checks are told as they end. Who does not read any more is not waited for.
#[derive(Clone, Debug, Default)]
pub struct Progress(Option<mpsc::Sender<Told>>);

impl Progress {
    /// Nobody waits.
    pub fn none() -> Self {
        Self(None)
    }

    /// To a reader; an examination goes no faster than it reads.
    pub fn to(reader: mpsc::Sender<Told>) -> Self {
        Self(Some(reader))
    }

    async fn tell(&self, told: Told) {
        if let Some(reader) = &self.0 {
            let _ = reader.send(told).await;
        }
    }
}

/// How one check came out, without its name and time.
pub(super) struct Found {
    pub(super) verdict: Verdict,
    pub(super) detail: String,
    pub(super) diagnosis: Option<Diagnosis>,
}

impl Found {
    pub(super) fn ok(detail: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Ok,
            detail: detail.into(),
            diagnosis: None,
        }
    }

    pub(super) fn skipped(detail: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Skipped,
            ..Self::ok(detail)
        }
    }

    /// A finding; `detail` is what was seen, or nothing: then the diagnosis's first sentence.
    pub(super) fn of(verdict: Verdict, detail: impl Into<String>, diagnosis: Diagnosis) -> Self {
        let detail: String = detail.into();
        Self {
            verdict,
            detail: if detail.is_empty() {
                diagnosis.what.clone()
            } else {
                detail
            },
            diagnosis: Some(diagnosis),
        }
    }

    pub(super) fn failed(failure: &Failure, context: &Context) -> Self {
        Self::of(Verdict::Failed, "", explain(failure, context))
    }
}

/// What to log in with, or the check that failed so that there is nothing.
pub(super) enum Proof<S> {
    Is(S),
    Lacks(Item),
}

/// An examination.
pub(super) struct Course<'a> {
    account: Option<(AccountId, String)>,
    checks: Vec<Check>,
    progress: &'a Progress,
    began: Instant,
}

impl<'a> Course<'a> {
    pub(super) fn new(account: Option<&Account>, progress: &'a Progress) -> Self {
        Self {
            account: account.map(|account| (account.id, account.entered.key.to_string())),
            checks: Vec::new(),
            progress,
            began: Instant::now(),
        }
    }

    /// Begins to measure the next check's time.
    pub(super) fn begin(&mut self) {
        self.began = Instant::now();
    }

    /// Notes a check; its time is that since the one before, or since [`Self::begin`].
    pub(super) async fn note(&mut self, item: Item, found: Found) {
        let now = Instant::now();
        let check = Check {
            item,
            verdict: found.verdict,
            detail: found.detail,
            diagnosis: found.diagnosis,
            took: now.duration_since(self.began),
        };
        self.began = now;
        self.checks.push(check.clone());
        let account = self.account.clone();
        self.progress.tell(Told { account, check }).await;
    }

    /// Notes that these were not done because of another one.
    pub(super) async fn skip(&mut self, items: &[Item], because: Item) {
        for item in items {
            let why = format!("{} failed", because.title());
            self.note(*item, Found::skipped(why)).await;
        }
    }

    pub(super) fn end(self, rights: Option<Rights>) -> Report {
        Report {
            account: self.account,
            checks: self.checks,
            rights,
        }
    }
}

/// Bounds one check; a check that takes longer is a finding of its own.
pub(super) async fn limited<T>(
    limit: Duration,
    context: &Context,
    work: impl Future<Output = T>,
) -> Result<T, Found> {
    timeout(limit, work).await.map_err(|_elapsed| {
        let seconds = limit.as_secs();
        let diagnosis = Finding::TooSlow { seconds }.explain(context);
        Found::of(Verdict::Failed, "", diagnosis)
    })
}
