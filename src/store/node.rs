//! The processes that work on this database, and their heartbeats.

use super::{
    Store, StoreError,
    text::{Columns, cut},
    tx::{Step, Tx},
};
use crate::model::{NodeId, Timestamp};

/// One run of one daemon.
#[derive(Clone, Debug)]
pub struct NodeRow {
    /// Random per process start.
    pub id: NodeId,
    /// For people; not unique.
    pub name: String,
    /// Which data directory it holds the lock of: two live rows never have the same.
    pub home: String,
    /// Grows with each sign of life; judged by the observer's own clock.
    pub beat: i64,
    /// When it started, by its own clock.
    pub started_at: Timestamp,
}

struct Register(NodeRow);
impl Step for Register {
    type Answer = ();
    const DOING: &'static str = "registering this node";

    async fn apply(&self, tx: &mut Tx) -> Result<(), StoreError> {
        let (id, home) = (self.0.id.as_str(), cut(&self.0.home, 500));
        let dead = tx
            .all(
                sqlx::query("SELECT id FROM nodes WHERE home = ? AND id <> ?")
                    .bind(&home)
                    .bind(id),
            )
            .await?;
        for row in dead {
            remove(tx, &row.col::<String>("id")?).await?;
        }
        let known = "UPDATE nodes SET name = ?, home = ?, beat = ?, started_at = ? WHERE id = ?";
        let new = "INSERT INTO nodes (name, home, beat, started_at, id) VALUES (?, ?, ?, ?, ?)";
        for statement in [known, new] {
            let matched = tx
                .run(
                    sqlx::query(statement)
                        .bind(cut(&self.0.name, 200))
                        .bind(&home)
                        .bind(self.0.beat)
                        .bind(self.0.started_at.millis())
                        .bind(id),
                )
                .await?;
            if matched > 0 {
                break;
            }
        }
        Ok(())
    }
}

async fn remove(tx: &mut Tx, id: &str) -> Result<(), StoreError> {
    for statement in [
        "UPDATE account_leases SET holder = NULL WHERE holder = ?",
        "UPDATE grants SET holder = NULL WHERE holder = ?",
        "DELETE FROM nodes WHERE id = ?",
    ] {
        tx.run(sqlx::query(statement).bind(id)).await?;
    }
    Ok(())
}

struct Beat(NodeId);
impl Step for Beat {
    type Answer = bool;
    const DOING: &'static str = "writing this node's heartbeat";
    const FIRST: bool = true;

    async fn apply(&self, tx: &mut Tx) -> Result<bool, StoreError> {
        let beat = sqlx::query("UPDATE nodes SET beat = beat + 1 WHERE id = ?");
        Ok(tx.run(beat.bind(self.0.as_str())).await? == 1)
    }
}

struct Remove(NodeId);
impl Step for Remove {
    type Answer = ();
    const DOING: &'static str = "removing a node";

    async fn apply(&self, tx: &mut Tx) -> Result<(), StoreError> {
        remove(tx, self.0.as_str()).await
    }
}

struct RemoveDead(NodeId, i64);
impl Step for RemoveDead {
    type Answer = bool;
    const DOING: &'static str = "removing a dead node";

    async fn apply(&self, tx: &mut Tx) -> Result<bool, StoreError> {
        let Self(node, beat) = self;
        // The row first: a node that beat meanwhile keeps everything.
        let delete = sqlx::query("DELETE FROM nodes WHERE id = ? AND beat = ?");
        if tx.run(delete.bind(node.as_str()).bind(*beat)).await? == 0 {
            return Ok(false);
        }
        remove(tx, node.as_str()).await?;
        Ok(true)
    }
}

impl Store {
    /// Registers this process and removes rows of earlier runs from the same `home` (its lock is
    /// ours, so they are dead), freeing their leases. May be repeated.
    pub async fn node_register(&self, node: &NodeRow) -> Result<(), StoreError> {
        self.write(Register(node.clone())).await
    }

    /// Beat + 1; false when the row is gone (somebody declared us dead).
    pub async fn node_beat(&self, id: &NodeId) -> Result<bool, StoreError> {
        self.write(Beat(id.clone())).await
    }

    /// All registered processes, alive or not, by id.
    pub async fn node_list(&self) -> Result<Vec<NodeRow>, StoreError> {
        let mut reader = self.read("listing nodes").await?;
        let rows = reader
            .all(sqlx::query(
                "SELECT id, name, home, beat, started_at FROM nodes ORDER BY id",
            ))
            .await?;
        rows.iter()
            .map(|row| {
                Ok(NodeRow {
                    id: NodeId::from_stored(row.col("id")?),
                    name: row.col("name")?,
                    home: row.col("home")?,
                    beat: row.col("beat")?,
                    started_at: row.time("started_at")?,
                })
            })
            .collect()
    }

    /// Removes a node's row and frees its leases and grants, whatever its beat (orderly stop).
    pub async fn node_remove(&self, id: &NodeId) -> Result<(), StoreError> {
        self.write(Remove(id.clone())).await
    }

    /// Removes a node that was judged dead and frees its leases and grants, provided that its beat is
    /// still the one that was seen standing still. False: it has beaten since, or its row is gone; then
    /// nothing is changed. A node that was only slow is told by its next [`Store::node_beat`].
    pub async fn node_remove_dead(&self, id: &NodeId, beat: i64) -> Result<bool, StoreError> {
        self.write(RemoveDead(id.clone(), beat)).await
    }
}
