//! Incoming mail into the tables: message, appearance, contact, conversation, event and cursor in one
//! commit (I1).

use serde_json::json;

use super::{
    Store, StoreError,
    audit::{self, AuditBatch},
    audit_held, folder,
    ingest_batch::{Aside, IngestBatch, IngestItem, Ingested},
    ingest_ready::{Ready, raw_weight},
    ingest_set::Set,
    text::{cut, raw_columns},
    tx::{Step, Tx},
};
use crate::model::{Cursor, EventKind, FolderId, Lease, ListId, NewEvent, Timestamp};

struct Ingest {
    lease: Lease,
    folder: FolderId,
    expect: Cursor,
    next: u64,
    messages: Vec<Ready>,
    asides: Vec<Aside>,
    list: ListId,
    audit: Option<AuditBatch>,
    weight: usize,
    now: Timestamp,
}

impl Step for Ingest {
    type Answer = Ingested;
    const DOING: &'static str = "storing mail";

    fn fence(&self) -> Option<&Lease> {
        Some(&self.lease)
    }

    fn weight(&self) -> usize {
        self.weight
    }

    fn rows(&self) -> usize {
        self.messages.len().saturating_add(self.asides.len())
    }

    async fn apply(&self, tx: &mut Tx) -> Result<Ingested, StoreError> {
        // The cursor first: a batch whose folder moved is refused before anything is written.
        let mut held = None;
        match &self.audit {
            None => {
                folder::advance(tx, self.lease.account, self.folder, self.expect, self.next)
                    .await?;
            }
            Some(audit) => {
                let none = audit::Counts::default();
                audit::count(tx, &self.lease, self.folder, self.expect, none).await?;
                if audit.renumbered {
                    held = Some(audit_held::newest_event(tx).await?);
                }
            }
        }
        let set = Set {
            account: self.lease.account,
            folder: self.folder,
            cursor: self.expect,
            list: self.list,
            renumbered: self.audit.as_ref().is_some_and(|audit| audit.renumbered),
            paired: self
                .audit
                .as_ref()
                .map_or(&[][..], |audit| audit.paired.as_slice()),
            now: self.now,
        };
        let mut done = set.store(tx, &self.messages).await?;
        for aside in &self.asides {
            self.aside(tx, aside).await?;
            done.put_aside = done.put_aside.saturating_add(1);
        }
        if let Some(audit) = &self.audit {
            let paired = u64::try_from(audit.paired.len()).unwrap_or(u64::MAX);
            let found = done.new_messages.into();
            let counts = audit::Counts {
                found: if audit.recent { 0 } else { found },
                paired: paired.saturating_add(done.known_messages.into()),
                repaired: if audit.recent { found } else { 0 },
            };
            audit::count(tx, &self.lease, self.folder, self.expect, counts).await?;
        }
        if let Some(after) = held {
            audit_held::hold(tx, self.lease.account, self.folder, after).await?;
        }
        Ok(done)
    }
}

impl Ingest {
    async fn aside(&self, tx: &mut Tx, aside: &Aside) -> Result<(), StoreError> {
        let (raw, raw_object) = raw_columns(aside.raw.as_ref());
        let uid = i64::from(aside.uid.get());
        let known = tx
            .first(
                sqlx::query(
                    "SELECT id FROM mail_problems WHERE folder_id = ? AND uidvalidity = ? AND generation = ? AND uid = ?",
                )
                .bind(self.folder.get())
                .bind(i64::from(self.expect.validity.get()))
                .bind(self.expect.generation.0)
                .bind(uid),
            )
            .await?;
        if known.is_some() {
            return Ok(());
        }
        let id = tx
            .insert(
                sqlx::query(
                    "INSERT INTO mail_problems (account_id, folder_id, uidvalidity, generation, uid, reason, detail, raw_object, raw, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                )
                .bind(self.lease.account.get())
                .bind(self.folder.get())
                .bind(i64::from(self.expect.validity.get()))
                .bind(self.expect.generation.0)
                .bind(uid)
                .bind(aside.reason.as_str())
                .bind(cut(&aside.detail, 2_000))
                .bind(raw_object)
                .bind(raw)
                .bind(self.now.millis()),
            )
            .await?;
        let event = NewEvent {
            kind: EventKind::MessagePutAside,
            account: Some(self.lease.account),
            provider: None,
            once: format!("message.putAside/{id}"),
            payload: json!({
                "problemId": id,
                "folderId": self.folder,
                "uid": uid,
                "reason": aside.reason.as_str(),
                "detail": cut(&aside.detail, 500),
            }),
        };
        tx.event(&event, self.now).await
    }
}

impl Store {
    /// Fenced; messages, instances, contacts, interactions, events and cursor in one commit (I1). A
    /// message known by (account, sha256, internal date) only gets a new instance: no second row, no
    /// second event. `Conflict` where the folder does not stand at `expect`: read it again, the batch
    /// was most likely stored by a commit whose answer was lost.
    pub async fn ingest(
        &self,
        lease: &Lease,
        batch: IngestBatch,
        now: Timestamp,
    ) -> Result<Ingested, StoreError> {
        let mut weight = 0_usize;
        let mut messages = Vec::with_capacity(batch.items.len());
        let mut asides = Vec::new();
        let (mut lowest, end) = match batch.audit {
            None => (batch.expect.next, batch.next),
            Some(_) => (1, batch.expect.next),
        };
        for item in batch.items {
            let uid = match &item {
                IngestItem::Message(message) => message.uid,
                IngestItem::Aside(aside) => aside.uid,
            };
            let uid = u64::from(uid.get());
            if uid < lowest || uid >= end {
                return Err(StoreError::Conflict(format!(
                    "UID {uid} is out of order in a batch of {lowest}..{end}"
                )));
            }
            lowest = uid.saturating_add(1);
            match item {
                IngestItem::Message(message) => {
                    let ready = Ready::new(*message);
                    weight = weight.saturating_add(ready.weight());
                    messages.push(ready);
                }
                IngestItem::Aside(aside) => {
                    let raw = raw_weight(aside.raw.as_ref());
                    weight = weight.saturating_add(1_000 + raw);
                    asides.push(aside);
                }
            }
        }
        let step = Ingest {
            lease: lease.clone(),
            folder: batch.folder,
            expect: batch.expect,
            next: batch.next,
            messages,
            asides,
            list: batch.list,
            audit: batch.audit,
            weight,
            now,
        };
        self.write(step).await
    }
}
