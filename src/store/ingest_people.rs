//! Who wrote the new mails of a batch, saved in the account's list.

use std::collections::{BTreeMap, HashMap};

use super::{
    StoreError,
    ingest_ready::Ready,
    many::Many,
    text::{Columns, cut},
    tx::Tx,
};
use crate::model::{EmailAddress, ListId, Timestamp};

const FIND: Many = Many {
    head: "SELECT id, email_key, name FROM cm_contacts WHERE list_id = ? AND email_key IN (",
    row: "?",
    tail: ")",
};
const ADD: Many = Many {
    head: "INSERT INTO cm_contacts (list_id, name, email, email_key, created_at, updated_at) VALUES ",
    row: "(?, ?, ?, ?, ?, ?)",
    tail: " RETURNING id, email_key",
};

/// A sender as the first mail of the batch shows it, with the first name that any of them gives.
struct Person {
    key: String,
    address: String,
    name: String,
}

/// The contact of each mail's sender, in the order of `mails`; `None` where the address is none. A name is
/// learned, never forgotten.
pub(super) async fn contacts(
    tx: &mut Tx,
    list: ListId,
    mails: &[&Ready],
    now: Timestamp,
) -> Result<Vec<Option<i64>>, StoreError> {
    let mut people: BTreeMap<String, Person> = BTreeMap::new();
    let mut keys = Vec::with_capacity(mails.len());
    for mail in mails {
        let sender = &mail.mail.from;
        let Ok(address) = EmailAddress::parse(&sender.address) else {
            keys.push(None);
            continue;
        };
        // Lower case can be longer than what was written.
        let key = cut(&address.key(), 254);
        let name = cut(sender.name.trim(), 255);
        let person = people.entry(key.clone()).or_insert_with(|| Person {
            key: key.clone(),
            address: address.as_str().to_owned(),
            name: String::new(),
        });
        if person.name.is_empty() {
            person.name = name;
        }
        keys.push(Some(key));
    }
    let mut ids: HashMap<String, i64> = HashMap::new();
    let wanted: Vec<&String> = people.keys().collect();
    let rows = tx
        .all_many(
            FIND,
            false,
            &wanted,
            |query| query.bind(list.get()),
            |query, key| query.bind(key.as_str()),
        )
        .await?;
    for row in &rows {
        let (id, key): (i64, String) = (row.col("id")?, row.col("email_key")?);
        if let Some(person) = people.remove(&key)
            && !person.name.is_empty()
            && row.col::<String>("name")?.is_empty()
        {
            tx.run(
                sqlx::query(
                    "UPDATE cm_contacts SET name = ?, updated_at = ? WHERE id = ? AND name = ''",
                )
                .bind(person.name)
                .bind(now.millis())
                .bind(id),
            )
            .await?;
        }
        ids.insert(key, id);
    }
    let new: Vec<Person> = people.into_values().collect();
    let rows = tx
        .all_many(
            ADD,
            true,
            &new,
            |query| query,
            |query, person| {
                query
                    .bind(list.get())
                    .bind(person.name.as_str())
                    .bind(person.address.as_str())
                    .bind(person.key.as_str())
                    .bind(now.millis())
                    .bind(now.millis())
            },
        )
        .await?;
    for row in &rows {
        ids.insert(row.col("email_key")?, row.col("id")?);
    }
    Ok(keys
        .into_iter()
        .map(|key| ids.get(&key?).copied())
        .collect())
}
