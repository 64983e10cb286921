//! When each account's servers last answered something good, kept for the time when nobody runs its lanes.

use std::time::Duration;

use serde_json::json;
use sqlx::any::AnyRow;

use super::{
    Store, StoreError, dialect,
    text::Columns,
    tx::{Step, Tx},
};
use crate::model::{AccountId, Timestamp};

/// A stored time further ahead than this was written by a wrong clock.
const WRONG_CLOCK: Duration = Duration::from_secs(300);
/// Accounts in one statement.
const AT_ONCE: usize = 1_000;

/// The last contacts of one account's lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contacts {
    /// Whose.
    pub account: AccountId,
    /// When the incoming server last answered something good; `None`: not known.
    pub inbound: Option<Timestamp>,
    /// When the outgoing server last did.
    pub outbound: Option<Timestamp>,
}

/// What is stored about an account's freshness.
#[derive(Clone, Debug)]
pub struct FreshnessRow {
    /// Its last contacts.
    pub contacts: Contacts,
    /// The account's key.
    pub key: String,
    /// An administrator has paused it.
    pub paused: bool,
    /// When an administrator last changed it (added, edited, paused, resumed).
    pub changed_at: Timestamp,
    /// The incoming server's last contact before a silence that was announced and has not been called off.
    pub stale_since: Option<Timestamp>,
    /// The same of the outgoing server.
    pub outbound_stale_since: Option<Timestamp>,
}

struct Record {
    lists: Vec<String>,
    rows: usize,
    latest: i64,
}
impl Step for Record {
    type Answer = ();
    const DOING: &'static str = "recording last contacts";

    fn rows(&self) -> usize {
        // One statement for many rows.
        self.rows / 50 + 1
    }

    async fn apply(&self, tx: &mut Tx) -> Result<(), StoreError> {
        let put = dialect::contacts_put(tx.engine);
        for list in &self.lists {
            let query = sqlx::query(put).bind(list).bind(self.latest);
            tx.run(query.bind(self.latest)).await?;
        }
        Ok(())
    }
}

fn row(row: &AnyRow) -> Result<FreshnessRow, StoreError> {
    Ok(FreshnessRow {
        contacts: Contacts {
            account: AccountId::new(row.col("id")?),
            inbound: row.time_if("inbound_at")?,
            outbound: row.time_if("outbound_at")?,
        },
        key: row.col("account_key")?,
        paused: row.flag("paused")?,
        changed_at: row.time("updated_at")?,
        stale_since: row.time_if("stale_since")?,
        outbound_stale_since: row.time_if("outbound_stale_since")?,
    })
}

impl Store {
    /// Records last contacts of many accounts in one commit. A time never goes back, so that a late writer
    /// does no harm: this needs no fence (I11 is about what an account's task does, and a contact is true
    /// whoever writes it down). Only a time that lies ahead of `now` by more than five minutes is replaced
    /// by an earlier one.
    pub async fn contacts_record(
        &self,
        contacts: &[Contacts],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if contacts.is_empty() {
            return Ok(());
        }
        let millis = |at: Option<Timestamp>| at.map(Timestamp::millis);
        let list = |some: &[Contacts]| {
            let rows: Vec<_> = some
                .iter()
                .map(|one| json!([one.account.get(), millis(one.inbound), millis(one.outbound)]))
                .collect();
            serde_json::Value::from(rows).to_string()
        };
        self.write(Record {
            lists: contacts.chunks(AT_ONCE).map(list).collect(),
            rows: contacts.len(),
            latest: now.plus(WRONG_CLOCK).millis(),
        })
        .await
    }

    /// The freshness of one account, or of all that are not removed, by id.
    pub async fn freshness(
        &self,
        only: Option<AccountId>,
    ) -> Result<Vec<FreshnessRow>, StoreError> {
        let mut reader = self.read("reading last contacts").await?;
        let rows = reader
            .all(
                sqlx::query(
                    "SELECT a.id, a.account_key, a.paused, a.updated_at, c.inbound_at, c.outbound_at, c.stale_since, c.outbound_stale_since FROM mail_accounts a LEFT JOIN lane_contacts c ON c.account_id = a.id WHERE a.removed_at IS NULL AND (? = 1 OR a.id = ?) ORDER BY a.id",
                )
                .bind(i64::from(only.is_none()))
                .bind(only.map_or(0, AccountId::get)),
            )
            .await?;
        rows.iter().map(row).collect()
    }
}
