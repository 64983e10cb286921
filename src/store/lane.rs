//! What an account's lanes last said of themselves, kept for the time when nobody runs them.

use serde_json::json;

use super::{
    Store, StoreError,
    text::{Columns, cut},
    tx::{Step, Tx},
};
use crate::model::{AccountId, EventKind, LaneName, Lease, NewEvent, Timestamp};

/// A lane's last recorded state.
#[derive(Clone, Debug)]
pub struct LaneRow {
    /// Which half.
    pub lane: LaneName,
    /// The lane's own word; `None` before the first run.
    pub state: Option<String>,
    /// Code of the diagnosis, if something is wrong.
    pub code: Option<String>,
    /// The diagnosis in words.
    pub detail: Option<String>,
    /// Since when word and code are these.
    pub since: Option<Timestamp>,
}

struct Note {
    lease: Lease,
    lane: LaneName,
    state: String,
    code: Option<String>,
    detail: Option<String>,
    now: Timestamp,
}
impl Step for Note {
    type Answer = ();
    const DOING: &'static str = "recording an account's state";

    fn fence(&self) -> Option<&Lease> {
        Some(&self.lease)
    }

    async fn apply(&self, tx: &mut Tx) -> Result<(), StoreError> {
        let statement = match self.lane {
            LaneName::Inbound => {
                "UPDATE mail_accounts SET inbound_state = ?, inbound_code = ?, inbound_detail = ?, inbound_since = ? WHERE id = ? AND (COALESCE(inbound_state, '') <> ? OR COALESCE(inbound_code, '') <> ?)"
            }
            LaneName::Outbound => {
                "UPDATE mail_accounts SET outbound_state = ?, outbound_code = ?, outbound_detail = ?, outbound_since = ? WHERE id = ? AND (COALESCE(outbound_state, '') <> ? OR COALESCE(outbound_code, '') <> ?)"
            }
        };
        let changed = tx
            .run(
                sqlx::query(statement)
                    .bind(&self.state)
                    .bind(self.code.clone())
                    .bind(self.detail.clone())
                    .bind(self.now.millis())
                    .bind(self.lease.account.get())
                    .bind(&self.state)
                    .bind(self.code.clone().unwrap_or_default()),
            )
            .await?;
        if changed == 0 {
            return Ok(());
        }
        // The lease row's beat is written by every fenced step, so it is new for each change.
        let query = "SELECT beat FROM account_leases WHERE account_id = ?";
        let beat = tx
            .first(sqlx::query(query).bind(self.lease.account.get()))
            .await?
            .map_or(Ok(0), |row| row.col::<i64>("beat"))?;
        let event = NewEvent {
            kind: EventKind::AccountState,
            account: Some(self.lease.account),
            provider: None,
            once: format!(
                "account.state/{}/{}/{beat}",
                self.lease.account,
                self.lane.as_str()
            ),
            payload: json!({
                "lane": self.lane.as_str(),
                "state": self.state,
                "code": self.code,
                "detail": self.detail.as_deref().map(|text| cut(text, 2_000)),
            }),
        };
        tx.event(&event, self.now).await
    }
}

impl Store {
    /// Fenced; writes the lane's state word, diagnosis code and detail into the account row with an
    /// event in the same commit, only when the word or code changed.
    pub async fn account_state(
        &self,
        lease: &Lease,
        lane: LaneName,
        state: &str,
        code: Option<&str>,
        detail: Option<&str>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let step = Note {
            lease: lease.clone(),
            lane,
            state: cut(state, 40),
            code: code.map(|text| cut(text, 100)),
            detail: detail.map(|text| cut(text, 10_000)),
            now,
        };
        self.write(step).await
    }

    /// What both lanes of an account last recorded; empty where there is no such account.
    pub async fn account_lanes(&self, id: AccountId) -> Result<Vec<LaneRow>, StoreError> {
        let mut reader = self.read("reading an account's state").await?;
        let row = reader
            .first(
                sqlx::query(
                    "SELECT inbound_state, inbound_code, inbound_detail, inbound_since, outbound_state, outbound_code, outbound_detail, outbound_since FROM mail_accounts WHERE id = ?",
                )
                .bind(id.get()),
            )
            .await?;
        let Some(row) = row else {
            return Ok(Vec::new());
        };
        Ok(vec![
            LaneRow {
                lane: LaneName::Inbound,
                state: row.col("inbound_state")?,
                code: row.col("inbound_code")?,
                detail: row.col("inbound_detail")?,
                since: row.time_if("inbound_since")?,
            },
            LaneRow {
                lane: LaneName::Outbound,
                state: row.col("outbound_state")?,
                code: row.col("outbound_code")?,
                detail: row.col("outbound_detail")?,
                since: row.time_if("outbound_since")?,
            },
        ])
    }
}
