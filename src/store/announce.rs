//! Events that announce what the calendar finds: each once, whoever finds it and however often.

use std::time::Duration;

use super::{
    Store, StoreError, dialect,
    text::{Columns, cut},
    tx::{Step, Tx},
};
use crate::model::{AccountId, LaneName, NewEvent, Timestamp};

/// An announcement that lies further ahead than this was made by a wrong clock, and is made again.
const WRONG_CLOCK: Duration = Duration::from_secs(86_400);

/// What an announcement says about the silence of an account's server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// It lasts, since this last contact.
    Since(AccountId, LaneName, Timestamp),
    /// The one since this last contact is over.
    Over(AccountId, LaneName, Timestamp),
}

/// An event to be announced, with what it changes.
#[derive(Clone, Debug)]
pub struct Announcement {
    /// The event; its `once` makes it the only one.
    pub event: NewEvent,
    /// For an account's servers.
    pub silence: Option<Silence>,
}

struct Announce(Vec<Announcement>, Timestamp);

impl Announce {
    /// Whether there is no event of this key yet. One from the future keeps its place in the history under
    /// another key.
    async fn is_new(&self, tx: &mut Tx, once: &str) -> Result<bool, StoreError> {
        let query = sqlx::query("SELECT id, created_at FROM events WHERE once_key = ?");
        let Some(row) = tx.first(query.bind(cut(once, 200))).await? else {
            return Ok(true);
        };
        if row.time("created_at")? <= self.1.plus(WRONG_CLOCK) {
            return Ok(false);
        }
        let id: i64 = row.col("id")?;
        let query = sqlx::query("UPDATE events SET once_key = ? WHERE id = ?");
        let aside = format!("{}/early/{id}", cut(once, 170));
        tx.run(query.bind(aside).bind(id)).await?;
        Ok(true)
    }
}

impl Step for Announce {
    type Answer = Vec<bool>;
    const DOING: &'static str = "announcing what comes due";

    fn rows(&self) -> usize {
        self.0.len()
    }

    async fn apply(&self, tx: &mut Tx) -> Result<Vec<bool>, StoreError> {
        let mut answer = Vec::with_capacity(self.0.len());
        for one in &self.0 {
            let new = self.is_new(tx, &one.event.once).await?;
            if new {
                tx.event(&one.event, self.1).await?;
            }
            match one.silence {
                Some(Silence::Since(account, lane, last)) if new => {
                    let query = sqlx::query(dialect::stale_put(tx.engine, lane));
                    tx.run(query.bind(account.get()).bind(last.millis()))
                        .await?;
                }
                Some(Silence::Over(account, lane, last)) => {
                    let over = match lane {
                        LaneName::Inbound => {
                            "UPDATE lane_contacts SET stale_since = NULL WHERE account_id = ? AND stale_since = ?"
                        }
                        LaneName::Outbound => {
                            "UPDATE lane_contacts SET outbound_stale_since = NULL WHERE account_id = ? AND outbound_stale_since = ?"
                        }
                    };
                    tx.run(sqlx::query(over).bind(account.get()).bind(last.millis()))
                        .await?;
                }
                Some(Silence::Since(..)) | None => {}
            }
            answer.push(new);
        }
        Ok(answer)
    }
}

impl Store {
    /// Writes those events whose key was never used, and says of each whether it was written: of several
    /// nodes and runs exactly one is told so. An event whose time lies more than a day ahead of `now` was
    /// written under a wrong clock and does not count.
    pub async fn announce(
        &self,
        announcements: Vec<Announcement>,
        now: Timestamp,
    ) -> Result<Vec<bool>, StoreError> {
        if announcements.is_empty() {
            return Ok(Vec::new());
        }
        self.write(Announce(announcements, now)).await
    }
}
