//! What a lane may try now, and giving it back unharmed.

use std::time::Duration;

use super::{
    super::{
        Store, StoreError,
        text::{Columns, cut, unsigned, word},
        tx::{Step, Tx},
    },
    doubt,
};
use crate::model::{
    AccountId, EmailAddress, Lease, OutboxId, RawMail, RecipientId, RecipientState, Timestamp,
};

/// Recipients of one try: servers take at least 100 (RFC 5321 §4.5.3.1.8). The rest are due at once.
const RECIPIENTS: i64 = 100;

/// One delivery that this lane may try now.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The message.
    pub outbox: OutboxId,
    /// This try.
    pub attempt: String,
    /// MAIL FROM.
    pub envelope_from: EmailAddress,
    /// Message-ID without angle brackets.
    pub message_id: String,
    /// The frozen bytes.
    pub raw: RawMail,
    /// Octets of them.
    pub size: u64,
    /// Due now.
    pub recipients: Vec<ClaimedCopy>,
    /// When it was queued.
    pub created_at: Timestamp,
    /// For how long servers may put it off before it is given up.
    pub lifetime: Duration,
}

/// One recipient's copy that is claimed.
#[derive(Clone, Debug)]
pub struct ClaimedCopy {
    /// Whose.
    pub id: RecipientId,
    /// RCPT TO.
    pub address: EmailAddress,
    /// Tries so far, including this one.
    pub attempts: u32,
    /// For how long servers had put it off, up to `refused_at`.
    pub refused_for: Duration,
    /// When a server last put it off; `None` where the time since then does not count.
    pub refused_at: Option<Timestamp>,
    /// When this try was due.
    pub next_at: Option<Timestamp>,
}

struct Claim {
    lease: Lease,
    attempt: String,
    now: Timestamp,
}
impl Step for Claim {
    type Answer = Option<Claimed>;
    const DOING: &'static str = "claiming outgoing mail";

    fn fence(&self) -> Option<&Lease> {
        Some(&self.lease)
    }

    async fn apply(&self, tx: &mut Tx) -> Result<Option<Claimed>, StoreError> {
        let (account, holder, epoch) = (
            self.lease.account.get(),
            self.lease.holder.as_str(),
            self.lease.epoch,
        );
        doubt(tx, self.lease.account, Some(&self.lease), self.now).await?;
        let next = tx
            .first(
                sqlx::query(
                    "SELECT outbox_id FROM mail_recipients WHERE account_id = ? AND ((state IN ('queued', 'deferred') AND next_at <= ?) OR (state = 'claimed' AND NOT (COALESCE(holder, '') = ? AND COALESCE(epoch, -1) = ?))) ORDER BY next_at, outbox_id LIMIT 1",
                )
                .bind(account)
                .bind(self.now.millis())
                .bind(holder)
                .bind(epoch),
            )
            .await?;
        let Some(row) = next else {
            return Ok(None);
        };
        let outbox: i64 = row.col("outbox_id")?;
        // Read before anything is claimed: a damaged row refuses the step without having written.
        let message = tx
            .first(
                sqlx::query(
                    "SELECT envelope_from, message_id, raw, raw_object, size, created_at, send_at, expires_at FROM mail_outbox WHERE id = ?",
                )
                .bind(outbox),
            )
            .await?;
        let damaged = |detail: &str| StoreError::Damaged {
            what: "outgoing message",
            detail: format!("row {outbox} {detail}"),
        };
        let message = message.ok_or_else(|| damaged("is gone while its copies wait"))?;
        let from: String = message.col("envelope_from")?;
        let from = word("outgoing message", outbox, &from, |text| {
            EmailAddress::parse(text).ok()
        })?;
        let raw = message.raw_mail()?.ok_or_else(|| damaged("has no bytes"))?;
        let due = tx
            .all(
                sqlx::query(
                    "SELECT id, address, attempts, refused_ms, refused_at, next_at FROM mail_recipients WHERE outbox_id = ? AND ((state IN ('queued', 'deferred') AND next_at <= ?) OR (state = 'claimed' AND NOT (COALESCE(holder, '') = ? AND COALESCE(epoch, -1) = ?))) ORDER BY id LIMIT ?",
                )
                .bind(outbox)
                .bind(self.now.millis())
                .bind(holder)
                .bind(epoch)
                .bind(RECIPIENTS),
            )
            .await?;
        let mut recipients = Vec::with_capacity(due.len());
        for row in &due {
            let id: i64 = row.col("id")?;
            let address: String = row.col("address")?;
            let address = word("recipient", id, &address, |text| {
                EmailAddress::parse(text).ok()
            })?;
            let attempts: i64 = row.col("attempts")?;
            let attempts = u32::try_from(attempts.saturating_add(1)).unwrap_or(u32::MAX);
            recipients.push(ClaimedCopy {
                id: RecipientId::new(id),
                address,
                attempts,
                refused_for: Duration::from_millis(unsigned(row.col("refused_ms")?)),
                refused_at: row.time_if("refused_at")?,
                next_at: row.time_if("next_at")?,
            });
        }
        for copy in &recipients {
            self.take(tx, copy.id.get()).await?;
        }
        tx.run(
            sqlx::query(
                "INSERT INTO mail_attempts (attempt, account_id, outbox_id, lane, holder, epoch, started_at) VALUES (?, ?, ?, 'outbound', ?, ?, ?)",
            )
            .bind(&self.attempt)
            .bind(account)
            .bind(outbox)
            .bind(holder)
            .bind(epoch)
            .bind(self.now.millis()),
        )
        .await?;
        let created_at = message.time("created_at")?;
        let begins = message
            .time_if("send_at")?
            .map_or(created_at, |at| at.max(created_at));
        Ok(Some(Claimed {
            outbox: OutboxId::new(outbox),
            attempt: self.attempt.clone(),
            envelope_from: from,
            message_id: message.col("message_id")?,
            raw,
            size: unsigned(message.col("size")?),
            recipients,
            created_at,
            lifetime: message.time("expires_at")?.since(begins),
        }))
    }
}

impl Claim {
    /// One copy, compare-and-set.
    async fn take(&self, tx: &mut Tx, id: i64) -> Result<(), StoreError> {
        let (holder, epoch) = (self.lease.holder.as_str(), self.lease.epoch);
        // MariaDB assigns from left to right: `before_claim` has to come before `state`.
        let matched = tx
            .run(
                sqlx::query(
                    "UPDATE mail_recipients SET before_claim = CASE WHEN state = 'claimed' THEN before_claim ELSE state END, state = 'claimed', attempts = attempts + 1, attempt = ?, holder = ?, epoch = ?, updated_at = ? WHERE id = ? AND (state IN ('queued', 'deferred') OR (state = 'claimed' AND NOT (COALESCE(holder, '') = ? AND COALESCE(epoch, -1) = ?)))",
                )
                .bind(&self.attempt)
                .bind(holder)
                .bind(epoch)
                .bind(self.now.millis())
                .bind(id)
                .bind(holder)
                .bind(epoch),
            )
            .await?;
        if matched == 1 {
            Ok(())
        } else {
            Err(StoreError::Conflict(format!(
                "copy {id} was claimed or changed by somebody else"
            )))
        }
    }
}

struct Unclaim {
    lease: Lease,
    attempt: String,
    now: Timestamp,
}
impl Step for Unclaim {
    type Answer = ();
    const DOING: &'static str = "giving a claim back";

    fn fence(&self) -> Option<&Lease> {
        Some(&self.lease)
    }

    async fn apply(&self, tx: &mut Tx) -> Result<(), StoreError> {
        tx.run(
            sqlx::query(
                "UPDATE mail_recipients SET state = COALESCE(before_claim, 'queued'), attempts = attempts - 1, attempt = NULL, holder = NULL, epoch = NULL, updated_at = ? WHERE attempt = ? AND account_id = ? AND state = 'claimed' AND attempts > 0",
            )
            .bind(self.now.millis())
            .bind(&self.attempt)
            .bind(self.lease.account.get()),
        )
        .await?;
        tx.run(
            sqlx::query(
                "UPDATE mail_attempts SET ended_at = ?, outcome = 'given back' WHERE attempt = ? AND account_id = ? AND ended_at IS NULL",
            )
            .bind(self.now.millis())
            .bind(&self.attempt)
            .bind(self.lease.account.get()),
        )
        .await?;
        Ok(())
    }
}

struct Strays {
    lease: Lease,
    now: Timestamp,
}
impl Step for Strays {
    type Answer = ();
    const DOING: &'static str = "looking for tries that nobody ended";

    fn fence(&self) -> Option<&Lease> {
        Some(&self.lease)
    }

    async fn apply(&self, tx: &mut Tx) -> Result<(), StoreError> {
        let account = self.lease.account.get();
        let words = tx
            .all(
                sqlx::query("SELECT DISTINCT state FROM mail_recipients WHERE account_id = ?")
                    .bind(account),
            )
            .await?;
        for row in &words {
            let text: String = row.col("state")?;
            word(
                "recipient of account",
                account,
                &text,
                RecipientState::parse,
            )?;
        }
        doubt(tx, self.lease.account, None, self.now).await?;
        due_again(tx, self.lease.account, self.now).await?;
        tx.run(
            sqlx::query(
                "UPDATE mail_recipients SET state = COALESCE(before_claim, 'queued'), attempt = NULL, holder = NULL, epoch = NULL, updated_at = ? WHERE account_id = ? AND state = 'claimed'",
            )
            .bind(self.now.millis())
            .bind(account),
        )
        .await?;
        tx.run(
            sqlx::query(
                "UPDATE mail_attempts SET ended_at = ?, outcome = 'broken off' WHERE account_id = ? AND outbox_id IS NOT NULL AND ended_at IS NULL",
            )
            .bind(self.now.millis())
            .bind(account),
        )
        .await?;
        Ok(())
    }
}

/// A row that was written further ahead than this was written by a clock that has been set back since.
const AHEAD: Duration = Duration::from_secs(3600);

/// What was due, or was put off, by a clock that has been set back is due now: nobody meant it to wait for the time
/// by that clock. What a caller wants sent later keeps its time.
async fn due_again(tx: &mut Tx, account: AccountId, now: Timestamp) -> Result<(), StoreError> {
    tx.run(
        sqlx::query(
            "UPDATE mail_recipients SET next_at = ?, refused_at = NULL, updated_at = ? WHERE account_id = ? AND state IN ('queued', 'deferred') AND next_at > ? AND updated_at > ? AND (state = 'deferred' OR next_at <= updated_at)",
        )
        .bind(now.millis())
        .bind(now.millis())
        .bind(account.get())
        .bind(now.millis())
        .bind(now.plus(AHEAD).millis()),
    )
    .await?;
    Ok(())
}

struct SetBack {
    lease: Lease,
    now: Timestamp,
}
impl Step for SetBack {
    type Answer = ();
    const DOING: &'static str = "putting outgoing mail right after the clock was set back";

    fn fence(&self) -> Option<&Lease> {
        Some(&self.lease)
    }

    async fn apply(&self, tx: &mut Tx) -> Result<(), StoreError> {
        due_again(tx, self.lease.account, self.now).await
    }
}

impl Store {
    /// Fenced; for a lane that saw the wall clock being set back: mail that was put off, or due, by a time more than
    /// an hour ahead of `now` is due now (fault 50). Mail to be sent later by its caller's wish keeps its time.
    pub async fn outbox_set_back(&self, lease: &Lease, now: Timestamp) -> Result<(), StoreError> {
        let lease = lease.clone();
        self.write(SetBack { lease, now }).await
    }

    /// Fenced; first turns dot_pending copies of other lease epochs into in_doubt (with event), then
    /// claims the next due message: at most 100 recipients that are queued or deferred and due, or
    /// claimed under another (holder, epoch) → claimed with `attempt`, attempts + 1; the attempt row is
    /// inserted in the same commit (I2). When to try again is the caller's later business. `None`:
    /// nothing is due.
    pub async fn outbox_claim(
        &self,
        lease: &Lease,
        attempt: &str,
        now: Timestamp,
    ) -> Result<Option<Claimed>, StoreError> {
        let step = Claim {
            lease: lease.clone(),
            attempt: cut(attempt, 64),
            now,
        };
        self.write(step).await
    }

    /// Fenced; gives a claimed message back unharmed (line lost before MAIL was answered): state
    /// queued or deferred as before, attempts − 1. Does nothing to copies that are further.
    pub async fn outbox_unclaim(
        &self,
        lease: &Lease,
        attempt: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let step = Unclaim {
            lease: lease.clone(),
            attempt: cut(attempt, 64),
            now,
        };
        self.write(step).await
    }

    /// Fenced; for a lane that begins and so knows that no try of its account is under way, not even
    /// under this very lease (a lane that ended by a bug): dot_pending copies become in_doubt with
    /// their events, claimed ones are as before the claim with the attempt counted, and what
    /// [`Self::outbox_set_back`] speaks of is due. `Damaged` where a copy holds an unknown state word.
    pub async fn outbox_begin(&self, lease: &Lease, now: Timestamp) -> Result<(), StoreError> {
        let lease = lease.clone();
        self.write(Strays { lease, now }).await
    }
}
