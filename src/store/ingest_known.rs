//! What the tables know about the mails of a batch: conversations by id, token and subject, who takes part
//! in them, our messages that reports speak of, and automatic mail of the last minutes. A statement for all.

use std::collections::{BTreeSet, HashMap};

use super::{
    StoreError,
    ingest_judge::{Said, Talk},
    many::Many,
    text::{Columns, json},
    tx::Tx,
};
use crate::model::{AccountId, MailKind, Mailbox, Timestamp, plain_subject};

const RECEIVED: Many = Many {
    head: "SELECT interaction_id, message_key FROM mail_messages WHERE id IN (SELECT MIN(id) FROM mail_messages WHERE account_id = ? AND message_key IN (",
    row: "?",
    tail: ") GROUP BY message_key)",
};
const SENT: Many = Many {
    head: "SELECT id, interaction_id, message_key FROM mail_outbox WHERE id IN (SELECT MAX(id) FROM mail_outbox WHERE account_id = ? AND message_key IN (",
    row: "?",
    tail: ") GROUP BY message_key)",
};
const RENAMED: Many = Many {
    head: "SELECT id, interaction_id, provider_key AS message_key FROM mail_outbox WHERE id IN (SELECT MAX(id) FROM mail_outbox WHERE account_id = ? AND provider_key IN (",
    row: "?",
    tail: ") GROUP BY provider_key)",
};
const LIVE: Many = Many {
    head: "SELECT id FROM mail_interactions WHERE account_id = ? AND id IN (",
    row: "?",
    tail: ")",
};
const OPENED: Many = Many {
    head: "SELECT id, opened_by FROM mail_interactions WHERE account_id = ? AND opened_by IN (",
    row: "?",
    tail: ")",
};
const BY_SUBJECT: Many = Many {
    head: "SELECT MAX(id) AS id, subject_key FROM mail_interactions WHERE account_id = ? AND updated_at >= ? AND subject_key IN (",
    row: "?",
    tail: ") GROUP BY subject_key",
};
const MAILS: Many = Many {
    head: "SELECT m.interaction_id, m.from_address, m.reply_to, m.to_list, m.cc_list, m.subject, m.internal_date, m.id, n.kind FROM mail_messages m LEFT JOIN mail_meanings n ON n.message_id = m.id WHERE m.interaction_id IN (",
    row: "?",
    tail: ") ORDER BY m.id DESC LIMIT 1000",
};
const RECIPIENTS: Many = Many {
    head: "SELECT o.interaction_id, r.address FROM mail_outbox o JOIN mail_recipients r ON r.outbox_id = o.id WHERE o.interaction_id IN (",
    row: "?",
    tail: ") ORDER BY r.id DESC LIMIT 2000",
};
const AUTOMATIC: Many = Many {
    head: "SELECT sender_key, arrived_at FROM mail_meanings WHERE account_id = ? AND arrived_at >= ? AND kind <> 'human' AND sender_key IN (",
    row: "?",
    tail: ") ORDER BY arrived_at DESC LIMIT 5000",
};

/// A message of ours.
#[derive(Clone, Copy)]
pub(super) struct Sent {
    pub(super) outbox: i64,
    pub(super) interaction: Option<i64>,
}

async fn texts(
    tx: &mut Tx,
    many: Many,
    account: AccountId,
    keys: &[&str],
) -> Result<Vec<sqlx::any::AnyRow>, StoreError> {
    tx.all_many(
        many,
        false,
        keys,
        |query| query.bind(account.get()),
        |query, key| query.bind(*key),
    )
    .await
}

/// Conversations by the ids of mail that came in. Of several with one id the first counts: who uses somebody
/// else's id afterwards draws no answers to himself.
pub(super) async fn received(
    tx: &mut Tx,
    account: AccountId,
    keys: &[&str],
) -> Result<HashMap<String, i64>, StoreError> {
    let rows = texts(tx, RECEIVED, account, keys).await?;
    let pair = |row: &sqlx::any::AnyRow| Ok((row.col("message_key")?, row.col("interaction_id")?));
    rows.iter().map(pair).collect()
}

/// Our messages by the ids that we gave them, or a provider.
pub(super) async fn sent(
    tx: &mut Tx,
    account: AccountId,
    keys: &[&str],
) -> Result<HashMap<String, Sent>, StoreError> {
    let mut found = HashMap::new();
    for many in [SENT, RENAMED] {
        let open: Vec<&str> = keys
            .iter()
            .copied()
            .filter(|key| !found.contains_key(*key))
            .collect();
        for row in texts(tx, many, account, &open).await? {
            let one = Sent {
                outbox: row.col("id")?,
                interaction: row.col("interaction_id")?,
            };
            found.insert(row.col("message_key")?, one);
        }
    }
    Ok(found)
}

/// Which of these conversations are there.
pub(super) async fn live(
    tx: &mut Tx,
    account: AccountId,
    ids: &[i64],
) -> Result<BTreeSet<i64>, StoreError> {
    let rows = tx
        .all_many(
            LIVE,
            false,
            ids,
            |query| query.bind(account.get()),
            |query, id| query.bind(*id),
        )
        .await?;
    rows.iter().map(|row| row.col("id")).collect()
}

/// Conversations by the token of the message that began them.
pub(super) async fn opened(
    tx: &mut Tx,
    account: AccountId,
    tokens: &[&str],
) -> Result<HashMap<String, i64>, StoreError> {
    let rows = texts(tx, OPENED, account, tokens).await?;
    rows.iter()
        .map(|row| Ok((row.col("opened_by")?, row.col("id")?)))
        .collect()
}

/// The newest conversation with each subject, if anything came in it since.
pub(super) async fn by_subject(
    tx: &mut Tx,
    account: AccountId,
    since: Timestamp,
    keys: &[&str],
) -> Result<HashMap<String, i64>, StoreError> {
    let rows = tx
        .all_many(
            BY_SUBJECT,
            false,
            keys,
            |query| query.bind(account.get()).bind(since.millis()),
            |query, key| query.bind(*key),
        )
        .await?;
    rows.iter()
        .map(|row| Ok((row.col("subject_key")?, row.col("id")?)))
        .collect()
}

/// Who takes part in conversations, and what was said in them last.
pub(super) async fn talks(
    tx: &mut Tx,
    interactions: &[i64],
) -> Result<HashMap<i64, Talk>, StoreError> {
    let mut talks: HashMap<i64, Talk> = HashMap::new();
    let rows = tx
        .all_many(
            MAILS,
            false,
            interactions,
            |query| query,
            |query, id| query.bind(*id),
        )
        .await?;
    for row in &rows {
        let talk = talks.entry(row.col("interaction_id")?).or_default();
        let id: i64 = row.col("id")?;
        let sender = row.col::<String>("from_address")?.trim().to_lowercase();
        for column in ["reply_to", "to_list", "cc_list"] {
            let people: Vec<Mailbox> = json("message", id, &row.col::<String>(column)?)?;
            let people = people.iter().map(|one| one.address.trim().to_lowercase());
            talk.named.extend(people);
        }
        let kind: Option<String> = row.col("kind")?;
        talk.said.push(Said {
            sender: sender.clone(),
            subject: plain_subject(&row.col::<String>("subject")?),
            kind: kind
                .as_deref()
                .and_then(MailKind::parse)
                .unwrap_or_default(),
            at: row.col("internal_date")?,
        });
        talk.spoke.insert(sender);
    }
    let rows = tx
        .all_many(
            RECIPIENTS,
            false,
            interactions,
            |query| query,
            |query, id| query.bind(*id),
        )
        .await?;
    for row in &rows {
        let talk = talks.entry(row.col("interaction_id")?).or_default();
        talk.spoke
            .insert(row.col::<String>("address")?.to_lowercase());
    }
    Ok(talks)
}

/// The account's own address, in lower case.
pub(super) async fn own_address(tx: &mut Tx, account: AccountId) -> Result<String, StoreError> {
    let query = sqlx::query("SELECT address FROM mail_accounts WHERE id = ?");
    let row = tx.first(query.bind(account.get())).await?;
    row.map_or(Ok(String::new()), |row| {
        Ok(row.col::<String>("address")?.to_lowercase())
    })
}

/// When automatic mail of each sender came.
pub(super) async fn automatic(
    tx: &mut Tx,
    account: AccountId,
    since: i64,
    senders: &[&str],
) -> Result<HashMap<String, Vec<i64>>, StoreError> {
    let rows = tx
        .all_many(
            AUTOMATIC,
            false,
            senders,
            |query| query.bind(account.get()).bind(since),
            |query, key| query.bind(*key),
        )
        .await?;
    let mut found: HashMap<String, Vec<i64>> = HashMap::new();
    for row in &rows {
        found
            .entry(row.col("sender_key")?)
            .or_default()
            .push(row.col("arrived_at")?);
    }
    Ok(found)
}
