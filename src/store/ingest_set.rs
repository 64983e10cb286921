//! The messages of a batch into the tables, all at once: the same as one after the other, with few statements.

use std::collections::HashMap;

use serde_json::json;

use super::{
    StoreError, dialect,
    ingest_batch::Ingested,
    ingest_people,
    ingest_ready::Ready,
    ingest_threads,
    many::Many,
    text::{Columns, cut, raw_columns, signed},
    tx::Tx,
};
use crate::model::{
    AccountId, Attachment, Cursor, EventKind, FolderId, ListId, MessageId, Timestamp, Uid,
};

const KNOWN: Many = Many {
    head: "SELECT id, sha256, internal_date FROM mail_messages WHERE account_id = ? AND sha256 IN (",
    row: "?",
    tail: ")",
};
const ADD: Many = Many {
    head: "INSERT INTO mail_messages (account_id, interaction_id, contact_id, sha256, internal_date, size, message_key, message_id, in_reply_to, reference_ids, subject, from_name, from_address, reply_to, to_list, cc_list, sent_at, attachments, truncated, parse_error, created_at, updated_at, raw_object, raw, body_text, body_html) VALUES ",
    row: "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    tail: " RETURNING id, sha256, internal_date",
};
const ATTACH: Many = Many {
    head: "INSERT INTO mail_attachments (message_id, part, file_name, content_type, content_id, inline_shown, size) VALUES ",
    row: "(?, ?, ?, ?, ?, ?, ?)",
    tail: "",
};

/// Where a batch belongs.
pub(super) struct Set<'a> {
    pub(super) account: AccountId,
    pub(super) folder: FolderId,
    pub(super) cursor: Cursor,
    pub(super) list: ListId,
    /// The same bytes are the same message, whatever their date, if it has no UID in the folder now.
    pub(super) renumbered: bool,
    /// Appearances that are known beforehand.
    pub(super) paired: &'a [(Uid, MessageId)],
    pub(super) now: Timestamp,
}

/// A new message with what it belongs to.
struct New<'a> {
    mail: &'a Ready,
    contact: Option<i64>,
    interaction: i64,
}

impl Set<'_> {
    /// Stores what is new, and every message's appearance.
    pub(super) async fn store(&self, tx: &mut Tx, mails: &[Ready]) -> Result<Ingested, StoreError> {
        let paired = self.paired.iter();
        let mut places: Vec<(i64, i64)> = paired
            .map(|(uid, message)| (i64::from(uid.get()), message.get()))
            .collect();
        self.appear(tx, &places).await?;
        places.clear();
        let mut ids = self.known(tx, mails).await?;
        let mut new: Vec<&Ready> = Vec::new();
        let mut seen: HashMap<(&str, i64), ()> = HashMap::new();
        for mail in mails {
            let mark = (mail.sha256.as_str(), mail.internal_date);
            if ids.contains_key(&(mail.sha256.clone(), mail.internal_date)) {
                continue;
            }
            if seen.insert(mark, ()).is_some() {
                continue;
            }
            if self.renumbered
                && let Some(id) = self.unplaced(tx, &mail.sha256).await?
            {
                // At once, so that a second one with these bytes is another message.
                self.appear(tx, &[(mail.uid, id)]).await?;
                ids.insert((mail.sha256.clone(), mail.internal_date), id);
                continue;
            }
            new.push(mail);
        }
        let count = new.len();
        ids.extend(self.insert(tx, new).await?);
        for mail in mails {
            let mark = (mail.sha256.clone(), mail.internal_date);
            let id = ids
                .get(&mark)
                .ok_or(StoreError::Missing { what: "message" })?;
            places.push((mail.uid, *id));
        }
        self.appear(tx, &places).await?;
        let counted = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Ok(Ingested {
            new_messages: counted(count),
            known_messages: counted(mails.len().saturating_sub(count)),
            put_aside: 0,
        })
    }

    /// Messages with the same bytes and date that are there already.
    async fn known(
        &self,
        tx: &mut Tx,
        mails: &[Ready],
    ) -> Result<HashMap<(String, i64), i64>, StoreError> {
        let rows = tx
            .all_many(
                KNOWN,
                false,
                mails,
                |query| query.bind(self.account.get()),
                |query, mail| query.bind(mail.sha256.as_str()),
            )
            .await?;
        rows.iter()
            .map(|row| {
                let mark = (row.col("sha256")?, row.col("internal_date")?);
                Ok((mark, row.col("id")?))
            })
            .collect()
    }

    /// The message with the same bytes that has no UID in the folder as it is numbered now: servers that
    /// renumber may date anew as well.
    async fn unplaced(&self, tx: &mut Tx, sha256: &str) -> Result<Option<i64>, StoreError> {
        let row = tx
            .first(
                sqlx::query(
                    "SELECT MIN(m.id) AS id FROM mail_messages m WHERE m.account_id = ? AND m.sha256 = ? AND NOT EXISTS (SELECT 1 FROM mail_instances i WHERE i.message_id = m.id AND i.folder_id = ? AND i.uidvalidity = ? AND i.generation = ?)",
                )
                .bind(self.account.get())
                .bind(sha256)
                .bind(self.folder.get())
                .bind(i64::from(self.cursor.validity.get()))
                .bind(self.cursor.generation.0),
            )
            .await?;
        Ok(row.map(|row| row.col("id")).transpose()?.flatten())
    }

    /// UID and message.
    async fn appear(&self, tx: &mut Tx, places: &[(i64, i64)]) -> Result<(), StoreError> {
        let many = dialect::instances_put(tx.engine);
        tx.run_many(
            many,
            places,
            |query| query,
            |query, (uid, message)| {
                query
                    .bind(self.folder.get())
                    .bind(i64::from(self.cursor.validity.get()))
                    .bind(self.cursor.generation.0)
                    .bind(*uid)
                    .bind(*message)
            },
        )
        .await?;
        Ok(())
    }

    async fn insert(
        &self,
        tx: &mut Tx,
        mails: Vec<&Ready>,
    ) -> Result<HashMap<(String, i64), i64>, StoreError> {
        let contacts = ingest_people::contacts(tx, self.list, &mails, self.now).await?;
        let interactions = ingest_threads::interactions(tx, self.account, &mails, self.now).await?;
        let new: Vec<New<'_>> = mails
            .into_iter()
            .zip(contacts)
            .zip(interactions)
            .map(|((mail, contact), interaction)| New {
                mail,
                contact,
                interaction,
            })
            .collect();
        let now = self.now.millis();
        let rows = tx
            .all_many(
                ADD,
                true,
                &new,
                |query| query,
                |query, one| {
                    let (ready, mail) = (one.mail, &one.mail.mail);
                    let (raw, raw_object) = raw_columns(Some(&ready.raw));
                    query
                        .bind(self.account.get())
                        .bind(one.interaction)
                        .bind(one.contact)
                        .bind(ready.sha256.as_str())
                        .bind(ready.internal_date)
                        .bind(ready.size)
                        .bind(ready.message_key.as_deref())
                        .bind(mail.message_id.as_deref().map(|text| cut(text, 1_000)))
                        .bind(mail.in_reply_to.as_deref().map(|text| cut(text, 1_000)))
                        .bind(ready.reference_ids.as_str())
                        .bind(cut(&mail.subject, 1_000))
                        .bind(cut(&mail.from.name, 255))
                        .bind(cut(&mail.from.address, 320))
                        .bind(ready.reply_to.as_str())
                        .bind(ready.to_list.as_str())
                        .bind(ready.cc_list.as_str())
                        .bind(mail.date.map(Timestamp::millis))
                        .bind(i64::try_from(mail.attachments.len()).unwrap_or(i64::MAX))
                        .bind(i64::from(ready.truncated))
                        .bind(ready.parse_error.as_deref())
                        .bind(now)
                        .bind(now)
                        .bind(raw_object)
                        .bind(raw)
                        .bind(mail.text.as_deref())
                        .bind(mail.html.as_deref())
                },
            )
            .await?;
        let mut ids: HashMap<(String, i64), i64> = HashMap::with_capacity(rows.len());
        for row in &rows {
            let mark = (row.col("sha256")?, row.col("internal_date")?);
            ids.insert(mark, row.col("id")?);
        }
        let mut made = Vec::with_capacity(new.len());
        for one in &new {
            let mark = (one.mail.sha256.clone(), one.mail.internal_date);
            let id = ids
                .get(&mark)
                .ok_or(StoreError::Missing { what: "message" })?;
            made.push((*id, one));
        }
        self.attach(tx, &made).await?;
        self.announce(tx, &made).await?;
        Ok(ids)
    }

    async fn attach(&self, tx: &mut Tx, made: &[(i64, &New<'_>)]) -> Result<(), StoreError> {
        let all: Vec<(i64, &Attachment)> = made
            .iter()
            .flat_map(|(id, one)| one.mail.mail.attachments.iter().map(|part| (*id, part)))
            .collect();
        tx.run_many(
            ATTACH,
            &all,
            |query| query,
            |query, (id, attachment)| {
                query
                    .bind(*id)
                    .bind(i64::from(attachment.part))
                    .bind(cut(&attachment.file_name, 255))
                    .bind(cut(&attachment.content_type, 255))
                    .bind(attachment.content_id.as_deref().map(|text| cut(text, 255)))
                    .bind(i64::from(attachment.inline))
                    .bind(signed(attachment.size))
            },
        )
        .await?;
        Ok(())
    }

    async fn announce(&self, tx: &mut Tx, made: &[(i64, &New<'_>)]) -> Result<(), StoreError> {
        let many = dialect::events_insert(tx.engine);
        let kind = EventKind::MessageReceived.as_str();
        tx.run_many(
            many,
            made,
            |query| query,
            |query, (id, one)| {
                let mail = &one.mail.mail;
                let payload = json!({
                    "messageId": id,
                    "interactionId": one.interaction,
                    "contactId": one.contact,
                    "folderId": self.folder,
                    "from": cut(&mail.from.address, 320),
                    "subject": cut(&mail.subject, 200),
                });
                query
                    .bind(kind)
                    .bind(self.account.get())
                    .bind(None::<i64>)
                    .bind(format!("message.received/{id}"))
                    .bind(payload.to_string())
                    .bind(self.now.millis())
            },
        )
        .await?;
        tx.events |= !made.is_empty();
        Ok(())
    }
}
