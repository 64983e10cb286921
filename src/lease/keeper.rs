//! The task that beats, takes leases and publishes what is held.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::plan::{DEAD_AFTER, Observed, SELF_FENCE_AFTER, free};
use crate::{
    diagnosis::{Context, explain},
    model::{AccountId, Lease},
    store::{NodeRow, Store, StoreError},
};

/// Nodes of the same name are looked at this often at start.
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// One beat, and one look at the others, this often.
const BEAT_EVERY: Duration = Duration::from_secs(5);
/// An orderly stop gives the leases back within this time or leaves them to the others' judgement.
const RELEASE_WITHIN: Duration = Duration::from_secs(2);

/// Why a node could not be registered.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// Two nodes of one name could not be told apart by their operators (bad input 65).
    #[error(
        "another living node of this database is called {0}: give each its own XC_EMAIL_NODE_NAME"
    )]
    NameTaken(String),
    /// The database.
    #[error("the node cannot be registered")]
    Store(#[from] StoreError),
}

/// Watches nodes of the same name and another home until one beats (refused) or all are dead (removed).
async fn refuse_namesake(store: &Store, node: &NodeRow) -> Result<(), RegisterError> {
    let namesakes = |nodes: Vec<NodeRow>| -> Vec<NodeRow> {
        nodes
            .into_iter()
            .filter(|other| other.name == node.name && other.home != node.home)
            .collect()
    };
    let first = namesakes(store.node_list().await?);
    let end = Instant::now() + DEAD_AFTER;
    while !first.is_empty() && Instant::now() < end {
        sleep(WATCH_EVERY).await;
        let now = namesakes(store.node_list().await?);
        let lives = |old: &NodeRow| {
            now.iter()
                .any(|new| new.id == old.id && new.beat != old.beat)
        };
        if first.iter().any(lives) {
            return Err(RegisterError::NameTaken(node.name.clone()));
        }
        if now.is_empty() {
            return Ok(());
        }
    }
    for dead in first {
        store.node_remove_dead(&dead.id, dead.beat).await?;
    }
    Ok(())
}

/// The leases this process holds, by account.
pub type Held = BTreeMap<AccountId, Lease>;

/// Keeps this process registered and its leases taken.
pub struct Keeper {
    store: Store,
    node: NodeRow,
    look: Arc<Notify>,
    held: watch::Sender<Held>,
    observed: Observed,
    last_beat: Instant,
}

impl Keeper {
    /// Registers the node; rows of earlier runs from the same data directory go, and their leases with
    /// them. `look` is notified by whoever adds accounts. Where another data directory's node has the same
    /// name, it is watched for at most [`DEAD_AFTER`] to see whether it lives.
    ///
    /// # Errors
    /// What the store says, or that a living node has this name; nothing is held then.
    pub async fn register(
        store: Store,
        node: NodeRow,
        look: Arc<Notify>,
    ) -> Result<Self, RegisterError> {
        refuse_namesake(&store, &node).await?;
        store.node_register(&node).await?;
        info!(node = %node.id, name = %node.name, "node registered");
        Ok(Self {
            store,
            node,
            look,
            held: watch::Sender::new(Held::new()),
            observed: Observed::default(),
            last_beat: Instant::now(),
        })
    }

    /// What is held, always the latest.
    pub fn held(&self) -> watch::Receiver<Held> {
        self.held.subscribe()
    }

    /// Beats and takes leases until `stop`, then gives everything back.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut next_beat = Instant::now();
        loop {
            if Instant::now() >= next_beat {
                self.beat().await;
                next_beat = Instant::now() + BEAT_EVERY;
            }
            // Bounded, so that slow reads never make this node miss its own beat.
            match timeout(BEAT_EVERY, self.take_free()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => warn!(%error, "leases could not be looked at"),
                Err(_) => warn!("leases could not be looked at in time"),
            }
            if self.wait(&stop, next_beat).await.is_break() {
                break;
            }
        }
        self.held.send_replace(Held::new());
        // The accounts' tasks have been drained before this one is stopped.
        match timeout(RELEASE_WITHIN, self.store.node_remove(&self.node.id)).await {
            Ok(Ok(())) => debug!("leases given back"),
            Ok(Err(error)) => warn!(%error, "leases could not be given back"),
            Err(_) => warn!("leases could not be given back in time"),
        }
    }

    async fn wait(
        &self,
        stop: &CancellationToken,
        next_beat: Instant,
    ) -> std::ops::ControlFlow<()> {
        tokio::select! {
            biased;
            () = stop.cancelled() => std::ops::ControlFlow::Break(()),
            () = self.look.notified() => std::ops::ControlFlow::Continue(()),
            () = tokio::time::sleep_until(next_beat) => std::ops::ControlFlow::Continue(()),
        }
    }

    async fn beat(&mut self) {
        // Bounded on its own: the store may wait longer than this node may keep silent.
        let beaten = match timeout(BEAT_EVERY, self.store.node_beat(&self.node.id)).await {
            Ok(beaten) => beaten.map_err(Some),
            Err(_) => Err(None),
        };
        match beaten {
            Ok(true) => self.last_beat = Instant::now(),
            Ok(false) => {
                error!(node = %self.node.id, "another node declared this one dead; registering again");
                self.held.send_replace(Held::new());
                match self.store.node_register(&self.node).await {
                    Ok(()) => self.last_beat = Instant::now(),
                    Err(error) => warn!(%error, "registering again failed"),
                }
            }
            Err(error) => {
                let silent = self.last_beat.elapsed();
                let words = error.map(|error| explain(&error.into(), &Context::default()));
                let why = words.as_ref().map_or("no answer", |words| &words.why);
                warn!(%why, silent_seconds = silent.as_secs(), "the node's beat was not recorded");
                if silent >= SELF_FENCE_AFTER && !self.held.borrow().is_empty() {
                    error!(
                        code = words.as_ref().map_or("store_unavailable", |words| words.code), %why,
                        next = words.as_ref().map_or("Check that the database runs.", |words| &words.next),
                        "no beat recorded for too long: letting go of all accounts until the database takes commits"
                    );
                    self.held.send_replace(Held::new());
                }
            }
        }
    }

    async fn take_free(&mut self) -> Result<(), StoreError> {
        if self.last_beat.elapsed() >= SELF_FENCE_AFTER {
            return Ok(());
        }
        let nodes = self.store.node_list().await?;
        self.observed.note(&nodes, Instant::now());
        for node in nodes.iter().filter(|node| node.id != self.node.id) {
            // With its row go its leases and its hold on grants; not if it has beaten since.
            if self.observed.is_dead(&node.id, Instant::now())
                && self.store.node_remove_dead(&node.id, node.beat).await?
            {
                warn!(node = %node.id, name = %node.name, "another node is dead; its accounts and grants are free");
            }
        }
        let leases = self.store.lease_list().await?;
        let mut held = Held::new();
        for row in leases
            .iter()
            .filter(|row| row.holder.as_ref() == Some(&self.node.id))
        {
            held.insert(
                row.account,
                Lease {
                    account: row.account,
                    holder: self.node.id.clone(),
                    epoch: row.epoch,
                },
            );
        }
        for row in free(&leases, &self.observed, &self.node.id, Instant::now()) {
            // I11: taken by compare-and-set on exactly what was read.
            if let Some(lease) = self.store.lease_acquire(row, &self.node.id).await? {
                info!(account = %lease.account, epoch = lease.epoch, "lease taken");
                held.insert(lease.account, lease);
            }
        }
        self.held.send_if_modified(|current| {
            let changed = *current != held;
            *current = held;
            changed
        });
        Ok(())
    }
}
