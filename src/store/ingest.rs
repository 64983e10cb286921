//! Incoming mail into the tables: message, appearance, contact, conversation, event and cursor in one
//! commit (I1).

use serde_json::json;

use super::{
    Store, StoreError,
    audit::{self, AuditBatch},
    audit_held, contact, dialect, folder,
    ingest_batch::{Aside, IngestBatch, IngestItem, Ingested, NewMessage},
    text::{Columns, cut, cut_octets, hex, json_list, key_of, raw_columns, signed},
    tx::{Step, Tx},
};
use crate::model::{
    Attachment, Cursor, EventKind, FolderId, Lease, ListId, NewEvent, ParsedMail, RawMail,
    Timestamp,
};

/// Octets of each body kept in the row; the raw mail is complete.
const BODY: usize = 1 << 20;
/// Octets of each list of addresses or ids.
const LIST: usize = 64 << 10;
/// Attachments listed per message.
const ATTACHMENTS: usize = 200;
/// How many of a mail's references are looked for, the newest first.
const REFERENCES: usize = 8;

/// A message ready for its columns: everything that takes thought happens before the writer.
struct Ready {
    uid: i64,
    internal_date: i64,
    size: i64,
    sha256: String,
    raw: RawMail,
    mail: ParsedMail,
    parse_error: Option<String>,
    message_key: Option<String>,
    reference_keys: Vec<String>,
    truncated: bool,
    reference_ids: String,
    reply_to: String,
    to_list: String,
    cc_list: String,
}

impl Ready {
    fn new(message: NewMessage) -> Self {
        let (mut mail, parse_error) = match message.parsed {
            Ok(mail) => (mail, None),
            Err(why) => (ParsedMail::default(), Some(cut(&why, 2_000))),
        };
        let mut truncated = mail.truncated;
        for body in [&mut mail.text, &mut mail.html].into_iter().flatten() {
            let (kept, was_cut) = cut_octets(body, BODY);
            *body = kept;
            truncated |= was_cut;
        }
        truncated |= mail.attachments.len() > ATTACHMENTS;
        mail.attachments.truncate(ATTACHMENTS);
        let (reference_ids, a) = json_list(&mail.references, LIST);
        let (reply_to, b) = json_list(&mail.reply_to, LIST);
        let (to_list, c) = json_list(&mail.to, LIST);
        let (cc_list, d) = json_list(&mail.cc, LIST);
        let newest_first = mail.references.iter().rev();
        let mut reference_keys: Vec<String> = Vec::new();
        for id in mail.in_reply_to.iter().chain(newest_first) {
            let key = key_of(id);
            if reference_keys.len() < REFERENCES && !reference_keys.contains(&key) {
                reference_keys.push(key);
            }
        }
        Self {
            uid: i64::from(message.uid.get()),
            internal_date: message.internal_date.millis(),
            size: signed(message.size),
            sha256: hex(&message.sha256),
            raw: message.raw,
            message_key: mail.message_id.as_deref().map(key_of),
            reference_keys,
            truncated: truncated | a | b | c | d,
            reference_ids,
            reply_to,
            to_list,
            cc_list,
            parse_error,
            mail,
        }
    }

    fn weight(&self) -> usize {
        let body = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let raw = raw_weight(Some(&self.raw));
        let lists = self.to_list.len() + self.cc_list.len() + self.reference_ids.len();
        1_000 + raw + body(&self.mail.text) + body(&self.mail.html) + lists
    }
}

fn raw_weight(raw: Option<&RawMail>) -> usize {
    match raw {
        Some(RawMail::Row(bytes)) => bytes.len(),
        _ => 0,
    }
}

enum Item {
    Message(Box<Ready>),
    Aside(Aside),
}

struct Ingest {
    lease: Lease,
    folder: FolderId,
    expect: Cursor,
    next: u64,
    items: Vec<Item>,
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
        self.items.len()
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
                for (uid, message) in &audit.paired {
                    self.appears(tx, i64::from(uid.get()), message.get())
                        .await?;
                }
            }
        }
        let mut done = Ingested::default();
        for item in &self.items {
            match item {
                Item::Aside(aside) => {
                    self.aside(tx, aside).await?;
                    done.put_aside = done.put_aside.saturating_add(1);
                }
                Item::Message(message) => {
                    if self.message(tx, message).await? {
                        done.new_messages = done.new_messages.saturating_add(1);
                    } else {
                        done.known_messages = done.known_messages.saturating_add(1);
                    }
                }
            }
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
    async fn appears(&self, tx: &mut Tx, uid: i64, message: i64) -> Result<(), StoreError> {
        tx.run(
            sqlx::query(dialect::instance_put(tx.engine))
                .bind(self.folder.get())
                .bind(i64::from(self.expect.validity.get()))
                .bind(self.expect.generation.0)
                .bind(uid)
                .bind(message),
        )
        .await?;
        Ok(())
    }

    /// The message with the same bytes that has no UID in the folder as it is numbered now: servers that
    /// renumber may date anew as well.
    async fn unplaced(&self, tx: &mut Tx, sha256: &str) -> Result<Option<i64>, StoreError> {
        let row = tx
            .first(
                sqlx::query(
                    "SELECT MIN(m.id) AS id FROM mail_messages m WHERE m.account_id = ? AND m.sha256 = ? AND NOT EXISTS (SELECT 1 FROM mail_instances i WHERE i.message_id = m.id AND i.folder_id = ? AND i.uidvalidity = ? AND i.generation = ?)",
                )
                .bind(self.lease.account.get())
                .bind(sha256)
                .bind(self.folder.get())
                .bind(i64::from(self.expect.validity.get()))
                .bind(self.expect.generation.0),
            )
            .await?;
        Ok(row.map(|row| row.col("id")).transpose()?.flatten())
    }

    /// True: it was not known.
    async fn message(&self, tx: &mut Tx, new: &Ready) -> Result<bool, StoreError> {
        let known = tx
            .first(
                sqlx::query(
                    "SELECT id FROM mail_messages WHERE account_id = ? AND sha256 = ? AND internal_date = ?",
                )
                .bind(self.lease.account.get())
                .bind(&new.sha256)
                .bind(new.internal_date),
            )
            .await?;
        let mut known = known.map(|row| row.col("id")).transpose()?;
        if known.is_none() && self.audit.as_ref().is_some_and(|audit| audit.renumbered) {
            known = self.unplaced(tx, &new.sha256).await?;
        }
        let (id, is_new) = match known {
            Some(id) => (id, false),
            None => (self.insert(tx, new).await?, true),
        };
        self.appears(tx, new.uid, id).await?;
        Ok(is_new)
    }

    async fn insert(&self, tx: &mut Tx, new: &Ready) -> Result<i64, StoreError> {
        let (account, mail) = (self.lease.account.get(), &new.mail);
        let contact = contact::remember(tx, self.list, &mail.from, self.now).await?;
        let interaction = self.interaction(tx, new).await?;
        let (raw, raw_object) = raw_columns(Some(&new.raw));
        let id = tx
            .insert(
                sqlx::query(
                    "INSERT INTO mail_messages (account_id, interaction_id, contact_id, sha256, internal_date, size, message_key, message_id, in_reply_to, reference_ids, subject, from_name, from_address, reply_to, to_list, cc_list, sent_at, attachments, truncated, parse_error, created_at, updated_at, raw_object, raw, body_text, body_html) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                )
                .bind(account)
                .bind(interaction)
                .bind(contact.map(|id| id.get()))
                .bind(&new.sha256)
                .bind(new.internal_date)
                .bind(new.size)
                .bind(new.message_key.as_deref())
                .bind(mail.message_id.as_deref().map(|text| cut(text, 1_000)))
                .bind(mail.in_reply_to.as_deref().map(|text| cut(text, 1_000)))
                .bind(&new.reference_ids)
                .bind(cut(&mail.subject, 1_000))
                .bind(cut(&mail.from.name, 255))
                .bind(cut(&mail.from.address, 320))
                .bind(&new.reply_to)
                .bind(&new.to_list)
                .bind(&new.cc_list)
                .bind(mail.date.map(Timestamp::millis))
                .bind(i64::try_from(mail.attachments.len()).unwrap_or(i64::MAX))
                .bind(i64::from(new.truncated))
                .bind(new.parse_error.as_deref())
                .bind(self.now.millis())
                .bind(self.now.millis())
                .bind(raw_object)
                .bind(raw)
                .bind(mail.text.as_deref())
                .bind(mail.html.as_deref()),
            )
            .await?;
        for attachment in &mail.attachments {
            attach(tx, id, attachment).await?;
        }
        let event = NewEvent {
            kind: EventKind::MessageReceived,
            account: Some(self.lease.account),
            provider: None,
            once: format!("message.received/{id}"),
            payload: json!({
                "messageId": id,
                "interactionId": interaction,
                "contactId": contact,
                "from": cut(&mail.from.address, 320),
                "subject": cut(&mail.subject, 200),
            }),
        };
        tx.event(&event, self.now).await?;
        Ok(id)
    }

    /// The conversation it belongs to: that of the newest message it refers to, ours or theirs, else
    /// a new one. A hint that senders control: it never decides whether a mail is stored.
    async fn interaction(&self, tx: &mut Tx, new: &Ready) -> Result<i64, StoreError> {
        for statement in [
            "SELECT interaction_id, message_key FROM mail_messages WHERE account_id = ? AND message_key IN (?, ?, ?, ?, ?, ?, ?, ?) ORDER BY id DESC LIMIT 50",
            "SELECT interaction_id, message_key FROM mail_outbox WHERE account_id = ? AND interaction_id IS NOT NULL AND message_key IN (?, ?, ?, ?, ?, ?, ?, ?) ORDER BY id DESC LIMIT 50",
        ] {
            if new.reference_keys.is_empty() {
                break;
            }
            let mut query = sqlx::query(statement).bind(self.lease.account.get());
            for place in 0..REFERENCES {
                query = query.bind(new.reference_keys.get(place).map_or("", String::as_str));
            }
            let rows = tx.all(query).await?;
            let mut best: Option<(usize, i64)> = None;
            for row in &rows {
                let key: String = row.col("message_key")?;
                let rank = new.reference_keys.iter().position(|one| *one == key);
                let rank = rank.unwrap_or(REFERENCES);
                if best.is_none_or(|(held, _)| rank < held) {
                    best = Some((rank, row.col("interaction_id")?));
                }
            }
            if let Some((_, interaction)) = best {
                tx.run(
                    sqlx::query("UPDATE mail_interactions SET updated_at = ? WHERE id = ?")
                        .bind(self.now.millis())
                        .bind(interaction),
                )
                .await?;
                return Ok(interaction);
            }
        }
        tx.insert(
            sqlx::query(
                "INSERT INTO mail_interactions (account_id, subject, created_at, updated_at) VALUES (?, ?, ?, ?)",
            )
            .bind(self.lease.account.get())
            .bind(cut(&new.mail.subject, 1_000))
            .bind(self.now.millis())
            .bind(self.now.millis()),
        )
        .await
    }

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

async fn attach(tx: &mut Tx, message: i64, attachment: &Attachment) -> Result<(), StoreError> {
    tx.run(
        sqlx::query(
            "INSERT INTO mail_attachments (message_id, part, file_name, content_type, content_id, inline_shown, size) VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(message)
        .bind(i64::from(attachment.part))
        .bind(cut(&attachment.file_name, 255))
        .bind(cut(&attachment.content_type, 255))
        .bind(attachment.content_id.as_deref().map(|text| cut(text, 255)))
        .bind(i64::from(attachment.inline))
        .bind(signed(attachment.size)),
    )
    .await?;
    Ok(())
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
        let mut items = Vec::with_capacity(batch.items.len());
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
            items.push(match item {
                IngestItem::Message(message) => {
                    let ready = Box::new(Ready::new(*message));
                    weight = weight.saturating_add(ready.weight());
                    Item::Message(ready)
                }
                IngestItem::Aside(aside) => {
                    let raw = raw_weight(aside.raw.as_ref());
                    weight = weight.saturating_add(1_000 + raw);
                    Item::Aside(aside)
                }
            });
        }
        let step = Ingest {
            lease: lease.clone(),
            folder: batch.folder,
            expect: batch.expect,
            next: batch.next,
            items,
            list: batch.list,
            audit: batch.audit,
            weight,
            now,
        };
        self.write(step).await
    }
}
