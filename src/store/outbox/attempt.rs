//! A lane's own tries: dial, TLS and login cost no message an attempt (I7).

use super::super::{
    Store, StoreError,
    text::cut,
    tx::{Step, Tx},
};
use crate::model::{LaneName, Lease, Timestamp};

/// A lane's tries are kept so long.
const KEPT_MILLIS: i64 = 7 * 24 * 3_600_000;

struct Begin {
    lease: Lease,
    lane: LaneName,
    attempt: String,
    now: i64,
}
impl Step for Begin {
    type Answer = ();
    const DOING: &'static str = "recording a connection attempt";

    fn fence(&self) -> Option<&Lease> {
        Some(&self.lease)
    }

    async fn apply(&self, tx: &mut Tx) -> Result<(), StoreError> {
        tx.run(
            sqlx::query(
                "DELETE FROM mail_attempts WHERE account_id = ? AND outbox_id IS NULL AND started_at < ?",
            )
            .bind(self.lease.account.get())
            .bind(self.now.saturating_sub(KEPT_MILLIS)),
        )
        .await?;
        tx.run(
            sqlx::query(
                "INSERT INTO mail_attempts (attempt, account_id, lane, holder, epoch, started_at) VALUES (?, ?, ?, ?, ?, ?)",
            )
            .bind(&self.attempt)
            .bind(self.lease.account.get())
            .bind(self.lane.as_str())
            .bind(self.lease.holder.as_str())
            .bind(self.lease.epoch)
            .bind(self.now),
        )
        .await?;
        Ok(())
    }
}

struct End {
    lease: Lease,
    attempt: String,
    outcome: String,
    detail: String,
    now: i64,
}
impl Step for End {
    type Answer = ();
    const DOING: &'static str = "recording how a connection attempt ended";

    fn fence(&self) -> Option<&Lease> {
        Some(&self.lease)
    }

    async fn apply(&self, tx: &mut Tx) -> Result<(), StoreError> {
        tx.run(
            sqlx::query(
                "UPDATE mail_attempts SET ended_at = ?, outcome = ?, reply = ? WHERE attempt = ? AND account_id = ? AND outbox_id IS NULL",
            )
            .bind(self.now)
            .bind(&self.outcome)
            .bind(&self.detail)
            .bind(&self.attempt)
            .bind(self.lease.account.get()),
        )
        .await?;
        Ok(())
    }
}

impl Store {
    /// Fenced; dial, TLS and login are recorded on the lane before they begin (I2). Those of the last
    /// seven days are kept.
    pub async fn line_begin(
        &self,
        lease: &Lease,
        lane: LaneName,
        attempt: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let step = Begin {
            lease: lease.clone(),
            lane,
            attempt: cut(attempt, 64),
            now: now.millis(),
        };
        self.write(step).await
    }

    /// Fenced; how dial, TLS and login ended.
    pub async fn line_end(
        &self,
        lease: &Lease,
        attempt: &str,
        outcome: &str,
        detail: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let step = End {
            lease: lease.clone(),
            attempt: cut(attempt, 64),
            outcome: cut(outcome, 100),
            detail: cut(detail, 2_000),
            now: now.millis(),
        };
        self.write(step).await
    }
}
