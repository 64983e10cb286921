//! Which conversation the new mails of a batch belong to: that of the newest message that a mail refers to,
//! ours or theirs, else a new one. A hint that senders control: it never decides whether a mail is stored.

use std::collections::{BTreeSet, HashMap};

use super::{
    StoreError,
    ingest_ready::Ready,
    many::Many,
    text::{Columns, cut},
    tx::Tx,
};
use crate::model::{AccountId, Timestamp};

const RECEIVED: Many = Many {
    head: "SELECT interaction_id, message_key FROM mail_messages WHERE id IN (SELECT MAX(id) FROM mail_messages WHERE account_id = ? AND message_key IN (",
    row: "?",
    tail: ") GROUP BY message_key)",
};
const SENT: Many = Many {
    head: "SELECT interaction_id, message_key FROM mail_outbox WHERE id IN (SELECT MAX(id) FROM mail_outbox WHERE account_id = ? AND interaction_id IS NOT NULL AND message_key IN (",
    row: "?",
    tail: ") GROUP BY message_key)",
};
const TOUCH: Many = Many {
    head: "UPDATE mail_interactions SET updated_at = ? WHERE id IN (",
    row: "?",
    tail: ")",
};
const ADD: Many = Many {
    head: "INSERT INTO mail_interactions (account_id, subject, created_at, updated_at) VALUES ",
    row: "(?, ?, ?, ?)",
    tail: " RETURNING id, subject",
};

/// A conversation: one that is there, or the place of a new one among those that are to be made.
#[derive(Clone, Copy)]
enum Thread {
    Known(i64),
    New(usize),
}

/// The conversation of each of `mails`, in order.
pub(super) async fn interactions(
    tx: &mut Tx,
    account: AccountId,
    mails: &[&Ready],
    now: Timestamp,
) -> Result<Vec<i64>, StoreError> {
    let referred: BTreeSet<&str> = mails
        .iter()
        .flat_map(|mail| mail.reference_keys.iter().map(String::as_str))
        .collect();
    let referred: Vec<&str> = referred.into_iter().collect();
    let mut received = find(tx, RECEIVED, account, &referred).await?;
    let sent = find(tx, SENT, account, &referred).await?;
    let mut subjects: Vec<String> = Vec::new();
    let mut touched = BTreeSet::new();
    let mut threads = Vec::with_capacity(mails.len());
    for mail in mails {
        let by = |known: &HashMap<String, Thread>| {
            let keys = mail.reference_keys.iter();
            keys.filter_map(|key| known.get(key)).next().copied()
        };
        let thread = by(&received).or_else(|| by(&sent)).unwrap_or_else(|| {
            subjects.push(cut(&mail.mail.subject, 1_000));
            Thread::New(subjects.len() - 1)
        });
        if let Thread::Known(id) = thread {
            touched.insert(id);
        }
        // What comes behind it in the batch may answer it.
        if let Some(key) = &mail.message_key {
            received.insert(key.clone(), thread);
        }
        threads.push(thread);
    }
    let touched: Vec<i64> = touched.into_iter().collect();
    tx.run_many(
        TOUCH,
        &touched,
        |query| query.bind(now.millis()),
        |query, id| query.bind(*id),
    )
    .await?;
    let rows = tx
        .all_many(
            ADD,
            true,
            &subjects,
            |query| query,
            |query, subject| {
                query
                    .bind(account.get())
                    .bind(subject.as_str())
                    .bind(now.millis())
                    .bind(now.millis())
            },
        )
        .await?;
    // Rows with one subject are alike: whichever is taken first is right.
    let mut made: HashMap<String, Vec<i64>> = HashMap::new();
    for row in rows.iter().rev() {
        made.entry(row.col("subject")?)
            .or_default()
            .push(row.col("id")?);
    }
    let new: Vec<Option<i64>> = subjects
        .iter()
        .map(|subject| made.get_mut(subject).and_then(Vec::pop))
        .collect();
    threads
        .into_iter()
        .map(|thread| match thread {
            Thread::Known(id) => Ok(id),
            Thread::New(place) => new
                .get(place)
                .copied()
                .flatten()
                .ok_or(StoreError::Missing {
                    what: "conversation",
                }),
        })
        .collect()
}

async fn find(
    tx: &mut Tx,
    many: Many,
    account: AccountId,
    keys: &[&str],
) -> Result<HashMap<String, Thread>, StoreError> {
    let rows = tx
        .all_many(
            many,
            false,
            keys,
            |query| query.bind(account.get()),
            |query, key| query.bind(*key),
        )
        .await?;
    rows.iter()
        .map(|row| {
            let thread = Thread::Known(row.col("interaction_id")?);
            Ok((row.col("message_key")?, thread))
        })
        .collect()
}
