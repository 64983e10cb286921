//! The Contacts Manager's lists and contacts.

use sqlx::any::AnyRow;

use super::{
    Page, Rows, Store, StoreError,
    text::{Columns, cut},
    tx::{Step, Tx},
};
use crate::model::{ContactId, ListId, Timestamp};

/// A list of contacts.
#[derive(Clone, Debug)]
pub struct ListRow {
    /// Row id.
    pub id: ListId,
    /// Unique name.
    pub name: String,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A contact, as saved from the first mail of its address.
#[derive(Clone, Debug)]
pub struct ContactRow {
    /// Row id.
    pub id: ContactId,
    /// The list it is in.
    pub list: ListId,
    /// Display name; may be empty.
    pub name: String,
    /// Address as first written.
    pub email: String,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

fn list_row(row: &AnyRow) -> Result<ListRow, StoreError> {
    Ok(ListRow {
        id: ListId::new(row.col("id")?),
        name: row.col("name")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}

fn contact_row(row: &AnyRow) -> Result<ContactRow, StoreError> {
    Ok(ContactRow {
        id: ContactId::new(row.col("id")?),
        list: ListId::new(row.col("list_id")?),
        name: row.col("name")?,
        email: row.col("email")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}

struct AddList {
    name: String,
    now: Timestamp,
}
impl Step for AddList {
    type Answer = ListRow;
    const DOING: &'static str = "adding a list";

    async fn apply(&self, tx: &mut Tx) -> Result<ListRow, StoreError> {
        let id = tx
            .insert(
                sqlx::query("INSERT INTO cm_lists (name, created_at, updated_at) VALUES (?, ?, ?)")
                    .bind(&self.name)
                    .bind(self.now.millis())
                    .bind(self.now.millis()),
            )
            .await
            .map_err(|error| error.taken("list name"))?;
        Ok(ListRow {
            id: ListId::new(id),
            name: self.name.clone(),
            created_at: self.now,
            updated_at: self.now,
        })
    }
}

impl Store {
    /// Adds a list; `Taken` where the name exists.
    pub async fn list_add(&self, name: &str, now: Timestamp) -> Result<ListRow, StoreError> {
        let name = cut(name.trim(), 255);
        self.write(AddList { name, now }).await
    }

    /// One list.
    pub async fn list_get(&self, id: ListId) -> Result<Option<ListRow>, StoreError> {
        let mut reader = self.read("reading a list").await?;
        let query =
            sqlx::query("SELECT id, name, created_at, updated_at FROM cm_lists WHERE id = ?");
        let row = reader.first(query.bind(id.get())).await?;
        row.as_ref().map(list_row).transpose()
    }

    /// All lists, by name.
    pub async fn list_list(&self, page: Page) -> Result<Rows<ListRow>, StoreError> {
        let mut reader = self.read("listing lists").await?;
        let count = reader
            .count(sqlx::query("SELECT COUNT(*) AS n FROM cm_lists"))
            .await?;
        let rows = reader
            .all(
                sqlx::query(
                    "SELECT id, name, created_at, updated_at FROM cm_lists ORDER BY name, id LIMIT ? OFFSET ?",
                )
                .bind(page.limit())
                .bind(page.offset()),
            )
            .await?;
        Rows::of(count, &rows, list_row)
    }

    /// Contacts of one list, or of all, newest first.
    pub async fn contact_list(
        &self,
        list: Option<ListId>,
        page: Page,
    ) -> Result<Rows<ContactRow>, StoreError> {
        let mut reader = self.read("listing contacts").await?;
        let (any, list) = (i64::from(list.is_none()), list.map_or(0, ListId::get));
        let count = reader
            .count(
                sqlx::query("SELECT COUNT(*) AS n FROM cm_contacts WHERE (? = 1 OR list_id = ?)")
                    .bind(any)
                    .bind(list),
            )
            .await?;
        let rows = reader
            .all(
                sqlx::query(
                    "SELECT id, list_id, name, email, created_at, updated_at FROM cm_contacts WHERE (? = 1 OR list_id = ?) ORDER BY id DESC LIMIT ? OFFSET ?",
                )
                .bind(any)
                .bind(list)
                .bind(page.limit())
                .bind(page.offset()),
            )
            .await?;
        Rows::of(count, &rows, contact_row)
    }
}
