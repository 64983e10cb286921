//! Which node works for which account (reliability: every fenced transaction writes the lease row).

use super::{
    Store, StoreError,
    text::Columns,
    tx::{Step, Tx},
};
use crate::model::{AccountId, Lease, NodeId};

/// A lease as it was read.
#[derive(Clone, Debug)]
pub struct LeaseRow {
    /// The account worked for.
    pub account: AccountId,
    /// Who works, if anybody.
    pub holder: Option<NodeId>,
    /// Grows with each change of holder.
    pub epoch: i64,
}

/// Writes the lease row where it is still ours (I11). A read would not do: on Galera only written rows
/// are certified against other nodes.
pub(super) async fn fence(tx: &mut Tx, lease: &Lease) -> Result<(), StoreError> {
    let matched = tx
        .run(
            sqlx::query(
                "UPDATE account_leases SET beat = beat + 1 WHERE account_id = ? AND holder = ? AND epoch = ?",
            )
            .bind(lease.account.get())
            .bind(lease.holder.as_str())
            .bind(lease.epoch),
        )
        .await?;
    if matched == 1 {
        Ok(())
    } else {
        Err(StoreError::LeaseLost {
            account: lease.account,
        })
    }
}

struct Acquire(LeaseRow, NodeId);
impl Step for Acquire {
    type Answer = Option<Lease>;
    const DOING: &'static str = "taking an account's lease";

    async fn apply(&self, tx: &mut Tx) -> Result<Option<Lease>, StoreError> {
        let Self(seen, node) = self;
        // COALESCE: a holder is never empty, so '' stands for nobody on both sides.
        let matched = tx
            .run(
                sqlx::query(
                    "UPDATE account_leases SET holder = ?, epoch = epoch + 1, beat = beat + 1 WHERE account_id = ? AND epoch = ? AND COALESCE(holder, '') = ?",
                )
                .bind(node.as_str())
                .bind(seen.account.get())
                .bind(seen.epoch)
                .bind(seen.holder.as_ref().map_or("", NodeId::as_str)),
            )
            .await?;
        Ok((matched == 1).then(|| Lease {
            account: seen.account,
            holder: node.clone(),
            epoch: seen.epoch.saturating_add(1),
        }))
    }
}

struct Release(Lease);
impl Step for Release {
    type Answer = ();
    const DOING: &'static str = "giving an account's lease back";

    async fn apply(&self, tx: &mut Tx) -> Result<(), StoreError> {
        tx.run(
            sqlx::query(
                "UPDATE account_leases SET holder = NULL, beat = beat + 1 WHERE account_id = ? AND holder = ? AND epoch = ?",
            )
            .bind(self.0.account.get())
            .bind(self.0.holder.as_str())
            .bind(self.0.epoch),
        )
        .await?;
        Ok(())
    }
}

impl Store {
    /// All leases, by account. Rows are made with their accounts.
    pub async fn lease_list(&self) -> Result<Vec<LeaseRow>, StoreError> {
        let mut reader = self.read("listing leases").await?;
        let rows = reader
            .all(sqlx::query(
                "SELECT account_id, holder, epoch FROM account_leases ORDER BY account_id",
            ))
            .await?;
        rows.iter()
            .map(|row| {
                Ok(LeaseRow {
                    account: AccountId::new(row.col("account_id")?),
                    holder: row
                        .col::<Option<String>>("holder")?
                        .map(NodeId::from_stored),
                    epoch: row.col("epoch")?,
                })
            })
            .collect()
    }

    /// Compare-and-set on what was seen: holder must still be `seen.holder` at `seen.epoch`. `None`:
    /// somebody else was faster. After `OutcomeUnknown` read again: it is ours iff the holder is us.
    pub async fn lease_acquire(
        &self,
        seen: &LeaseRow,
        node: &NodeId,
    ) -> Result<Option<Lease>, StoreError> {
        self.write(Acquire(seen.clone(), node.clone())).await
    }

    /// Frees the lease if it is still ours; nothing happens otherwise.
    pub async fn lease_release(&self, lease: &Lease) -> Result<(), StoreError> {
        self.write(Release(lease.clone())).await
    }
}
