//! The dot, announced before it is sent, and what came of a try.

use std::time::Duration;

use super::{
    super::{
        Store, StoreError,
        text::{Columns, cut},
        tx::{Step, Tx},
    },
    Copy,
};
use crate::model::{Lease, RecipientId, RecipientState, Timestamp};

/// How a try ended for one copy.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The server took responsibility.
    Sent,
    /// To be tried again.
    Deferred {
        /// Not tried before.
        next_at: Timestamp,
        /// For how long servers have put it off, up to now; `None`: this was no server's doing, and the time until the
        /// next try does not count.
        refused_for: Option<Duration>,
    },
    /// Refused for good.
    Failed,
    /// Refused for now, and its time is over.
    Expired,
    /// Nobody knows.
    InDoubt,
}

impl Outcome {
    fn state(&self) -> RecipientState {
        match self {
            Self::Sent => RecipientState::Sent,
            Self::Deferred { .. } => RecipientState::Deferred,
            Self::Failed => RecipientState::Failed,
            Self::Expired => RecipientState::Expired,
            Self::InDoubt => RecipientState::InDoubt,
        }
    }

    fn next_at(&self) -> Option<Timestamp> {
        match self {
            Self::Deferred { next_at, .. } => Some(*next_at),
            Self::Sent | Self::Failed | Self::Expired | Self::InDoubt => None,
        }
    }

    fn refused_for(&self) -> Option<Duration> {
        match self {
            Self::Deferred { refused_for, .. } => *refused_for,
            Self::Sent | Self::Failed | Self::Expired | Self::InDoubt => None,
        }
    }
}

/// The end of a try for one copy.
#[derive(Clone, Debug)]
pub struct Settled {
    /// Whose copy.
    pub recipient: RecipientId,
    /// How it ended.
    pub outcome: Outcome,
    /// The server's code, if it answered.
    pub reply_code: Option<u16>,
    /// The server's words, or ours where it did not answer; at most 2,000 characters are kept.
    pub reply_text: String,
}

struct Dot {
    lease: Lease,
    attempt: String,
    accepted: Vec<RecipientId>,
    now: Timestamp,
}
impl Step for Dot {
    type Answer = bool;
    const DOING: &'static str = "recording that a message is about to be sent";

    fn fence(&self) -> Option<&Lease> {
        Some(&self.lease)
    }

    async fn apply(&self, tx: &mut Tx) -> Result<bool, StoreError> {
        let claimed = tx
            .all(
                sqlx::query(
                    "SELECT id FROM mail_recipients WHERE attempt = ? AND state = 'claimed' AND holder = ? AND epoch = ?",
                )
                .bind(&self.attempt)
                .bind(self.lease.holder.as_str())
                .bind(self.lease.epoch),
            )
            .await?;
        let mut ids = Vec::with_capacity(claimed.len());
        for row in &claimed {
            ids.push(RecipientId::new(row.col("id")?));
        }
        // All or nothing: one DATA goes to all of them.
        if self.accepted.is_empty() || !self.accepted.iter().all(|id| ids.contains(id)) {
            return Ok(false);
        }
        for id in &self.accepted {
            let matched = tx
                .run(
                    sqlx::query(
                        "UPDATE mail_recipients SET state = 'dot_pending', updated_at = ? WHERE id = ? AND attempt = ? AND state = 'claimed' AND holder = ? AND epoch = ?",
                    )
                    .bind(self.now.millis())
                    .bind(id.get())
                    .bind(&self.attempt)
                    .bind(self.lease.holder.as_str())
                    .bind(self.lease.epoch),
                )
                .await?;
            if matched != 1 {
                return Err(StoreError::Conflict(format!(
                    "copy {id} was changed meanwhile"
                )));
            }
        }
        let note = "UPDATE mail_attempts SET dot_at = ? WHERE attempt = ?";
        tx.run(
            sqlx::query(note)
                .bind(self.now.millis())
                .bind(&self.attempt),
        )
        .await?;
        Ok(true)
    }
}

struct Settle {
    lease: Lease,
    attempt: String,
    settled: Vec<Settled>,
    now: Timestamp,
}
impl Step for Settle {
    type Answer = ();
    const DOING: &'static str = "recording how a try ended";

    fn fence(&self) -> Option<&Lease> {
        Some(&self.lease)
    }

    async fn apply(&self, tx: &mut Tx) -> Result<(), StoreError> {
        for one in &self.settled {
            self.one(tx, one).await?;
        }
        let states = self.settled.iter().map(|one| one.outcome.state());
        let outcome = states
            .map(RecipientState::as_str)
            .reduce(|all, next| if all == next { all } else { "mixed" });
        let last = self.settled.last();
        let reply = last.map(|one| match one.reply_code {
            Some(code) => format!("{code} {}", cut(&one.reply_text, 2_000)),
            None => cut(&one.reply_text, 2_000),
        });
        tx.run(
            sqlx::query(
                "UPDATE mail_attempts SET ended_at = ?, outcome = ?, reply = ? WHERE attempt = ? AND account_id = ?",
            )
            .bind(self.now.millis())
            .bind(outcome)
            .bind(reply)
            .bind(&self.attempt)
            .bind(self.lease.account.get()),
        )
        .await?;
        Ok(())
    }
}

impl Settle {
    async fn one(&self, tx: &mut Tx, one: &Settled) -> Result<(), StoreError> {
        let state = one.outcome.state();
        // The server's own answer to this very try also ends a doubt about it; nothing else does here.
        let answered = matches!(one.outcome, Outcome::Sent | Outcome::Failed);
        let refused_for = one.outcome.refused_for();
        let matched = tx
            .run(
                sqlx::query(
                    "UPDATE mail_recipients SET state = ?, next_at = ?, refused_ms = COALESCE(?, refused_ms), refused_at = ?, reply_code = ?, reply_text = ?, updated_at = ? WHERE id = ? AND attempt = ? AND account_id = ? AND (state IN ('claimed', 'dot_pending') OR (? = 1 AND state = 'in_doubt'))",
                )
                .bind(state.as_str())
                .bind(one.outcome.next_at().map(Timestamp::millis))
                .bind(refused_for.map(|time| i64::try_from(time.as_millis()).unwrap_or(i64::MAX)))
                .bind(refused_for.map(|_| self.now.millis()))
                .bind(one.reply_code.map(i64::from))
                .bind(cut(&one.reply_text, 2_000))
                .bind(self.now.millis())
                .bind(one.recipient.get())
                .bind(&self.attempt)
                .bind(self.lease.account.get())
                .bind(i64::from(answered)),
            )
            .await?;
        if matched == 0 {
            // Settled before (the answer to that commit was lost), or called off: final stays final.
            return Ok(());
        }
        let query = "SELECT outbox_id, address FROM mail_recipients WHERE id = ?";
        let row = tx
            .first(sqlx::query(query).bind(one.recipient.get()))
            .await?;
        let row = row.ok_or(StoreError::Missing { what: "recipient" })?;
        let copy = Copy {
            id: one.recipient.get(),
            outbox: row.col("outbox_id")?,
            address: row.col("address")?,
            attempt: self.attempt.clone(),
        };
        let event = copy.event(self.lease.account, state, one.reply_code, &one.reply_text);
        tx.event(&event, self.now).await
    }
}

impl Store {
    /// Fenced; the named recipients of the attempt: claimed → dot_pending, all or none. An error or
    /// false: the dot must not be sent (I2).
    pub async fn outbox_dot(
        &self,
        lease: &Lease,
        attempt: &str,
        accepted: &[RecipientId],
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let step = Dot {
            lease: lease.clone(),
            attempt: cut(attempt, 64),
            accepted: accepted.to_vec(),
            now,
        };
        self.write(step).await
    }

    /// Fenced; settles recipients of the attempt in one commit with their events (once key: recipient
    /// id + outcome + attempt) and closes the attempt row. Idempotent; copies that are final or have
    /// another attempt are left alone.
    pub async fn outbox_settle(
        &self,
        lease: &Lease,
        attempt: &str,
        settled: &[Settled],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let step = Settle {
            lease: lease.clone(),
            attempt: cut(attempt, 64),
            settled: settled.to_vec(),
            now,
        };
        self.write(step).await
    }
}
