//! Cloud providers: app registrations with their sealed client secrets.

use secrecy::SecretString;
use sqlx::any::AnyRow;

use super::{
    Page, Rows, Store, StoreError,
    seal::{Keys, Place},
    text::{Columns, cut, word},
    tx::{Step, Tx},
};
use crate::model::{CloudProvider, CloudProviderId, CloudService, NewCloudProvider, Timestamp};

/// `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct CloudProviderChange {
    /// Unique name.
    pub name: Option<String>,
    /// "Application (client) ID".
    pub application_id: Option<String>,
    /// Tenant.
    pub tenant_id: Option<String>,
    /// Client secret.
    pub client_secret: Option<SecretString>,
    /// Redirect URI.
    pub redirect_uri: Option<String>,
    /// `Some(None)`: the service's own.
    pub authority: Option<Option<String>>,
    /// `Some(None)`: the service's own.
    pub scope_host: Option<Option<String>>,
}

impl CloudProviderChange {
    fn applied_to(&self, mut entered: NewCloudProvider) -> NewCloudProvider {
        fn put<T: Clone>(change: &Option<T>, field: &mut T) {
            if let Some(value) = change {
                field.clone_from(value);
            }
        }
        put(&self.name, &mut entered.name);
        put(&self.application_id, &mut entered.application_id);
        put(&self.tenant_id, &mut entered.tenant_id);
        put(&self.client_secret, &mut entered.client_secret);
        put(&self.redirect_uri, &mut entered.redirect_uri);
        put(&self.authority, &mut entered.authority);
        put(&self.scope_host, &mut entered.scope_host);
        entered
    }
}

fn place(row: &str) -> Place<'_> {
    Place {
        table: "cloud_providers",
        row,
        column: "client_secret",
    }
}

fn provider(row: &AnyRow, keys: &Keys) -> Result<CloudProvider, StoreError> {
    let id: i64 = row.col("id")?;
    let secret = row.col::<Option<Vec<u8>>>("client_secret")?;
    let entered = NewCloudProvider {
        name: row.col("name")?,
        service: word(
            "cloud provider",
            id,
            &row.col::<String>("service")?,
            CloudService::parse,
        )?,
        application_id: row.col("application_id")?,
        tenant_id: row.col("tenant_id")?,
        client_secret: keys.open(place(&id.to_string()), &secret.unwrap_or_default())?,
        redirect_uri: row.col("redirect_uri")?,
        authority: row.col("authority")?,
        scope_host: row.col("scope_host")?,
    };
    Ok(CloudProvider {
        id: CloudProviderId::new(id),
        entered,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}

/// Writes all that was entered, and the secret sealed for its row.
async fn put(
    tx: &mut Tx,
    keys: &Keys,
    id: i64,
    entered: &NewCloudProvider,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let sealed = keys.seal(place(&id.to_string()), &entered.client_secret);
    tx.run(
        sqlx::query(
            "UPDATE cloud_providers SET name = ?, application_id = ?, tenant_id = ?, client_secret = ?, redirect_uri = ?, authority = ?, scope_host = ?, updated_at = ? WHERE id = ?",
        )
        .bind(cut(&entered.name, 100))
        .bind(cut(&entered.application_id, 255))
        .bind(cut(&entered.tenant_id, 255))
        .bind(sealed)
        .bind(cut(&entered.redirect_uri, 2_000))
        .bind(entered.authority.as_deref().map(|text| cut(text, 2_000)))
        .bind(entered.scope_host.as_deref().map(|text| cut(text, 2_000)))
        .bind(now.millis())
        .bind(id),
    )
    .await
    .map_err(|error| error.taken("provider name"))
}

struct Add {
    new: NewCloudProvider,
    keys: Keys,
    now: Timestamp,
}
impl Step for Add {
    type Answer = CloudProvider;
    const DOING: &'static str = "adding a cloud provider";

    async fn apply(&self, tx: &mut Tx) -> Result<CloudProvider, StoreError> {
        let id = tx
            .insert(
                sqlx::query(
                    "INSERT INTO cloud_providers (name, service, application_id, tenant_id, redirect_uri, created_at, updated_at) VALUES (?, ?, '', '', '', ?, ?)",
                )
                .bind(cut(&self.new.name, 100))
                .bind(self.new.service.as_str())
                .bind(self.now.millis())
                .bind(self.now.millis()),
            )
            .await
            .map_err(|error| error.taken("provider name"))?;
        put(tx, &self.keys, id, &self.new, self.now).await?;
        tx.run(
            sqlx::query(
                "INSERT INTO grants (provider_id, state, version, epoch, updated_at) VALUES (?, 'missing', 0, 0, ?)",
            )
            .bind(id)
            .bind(self.now.millis()),
        )
        .await?;
        Ok(CloudProvider {
            id: CloudProviderId::new(id),
            entered: self.new.clone(),
            created_at: self.now,
            updated_at: self.now,
        })
    }
}

struct Change {
    id: CloudProviderId,
    change: CloudProviderChange,
    keys: Keys,
    now: Timestamp,
}
impl Step for Change {
    type Answer = CloudProvider;
    const DOING: &'static str = "changing a cloud provider";

    async fn apply(&self, tx: &mut Tx) -> Result<CloudProvider, StoreError> {
        let missing = StoreError::Missing {
            what: "cloud provider",
        };
        let Some(row) = tx.first(sqlx::query(BY_ID).bind(self.id.get())).await? else {
            return Err(missing);
        };
        let before = match (provider(&row, &self.keys), &self.change.client_secret) {
            (Ok(before), _) => before,
            // A secret that does not decrypt is cured by entering it again.
            (Err(StoreError::Damaged { .. }), Some(secret)) => unsealed(&row, secret.clone())?,
            (Err(error), _) => return Err(error),
        };
        let entered = self.change.applied_to(before.entered);
        match put(tx, &self.keys, self.id.get(), &entered, self.now).await? {
            1 => Ok(CloudProvider {
                entered,
                updated_at: self.now,
                ..before
            }),
            _ => Err(missing),
        }
    }
}

/// A row with a secret from elsewhere.
fn unsealed(row: &AnyRow, client_secret: SecretString) -> Result<CloudProvider, StoreError> {
    let id: i64 = row.col("id")?;
    Ok(CloudProvider {
        id: CloudProviderId::new(id),
        entered: NewCloudProvider {
            name: row.col("name")?,
            service: word(
                "cloud provider",
                id,
                &row.col::<String>("service")?,
                CloudService::parse,
            )?,
            application_id: row.col("application_id")?,
            tenant_id: row.col("tenant_id")?,
            client_secret,
            redirect_uri: row.col("redirect_uri")?,
            authority: row.col("authority")?,
            scope_host: row.col("scope_host")?,
        },
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}

struct Remove(CloudProviderId);
impl Step for Remove {
    type Answer = ();
    const DOING: &'static str = "removing a cloud provider";

    async fn apply(&self, tx: &mut Tx) -> Result<(), StoreError> {
        let id = self.0.get();
        let user = "SELECT account_key FROM mail_accounts WHERE provider_id = ? AND removed_at IS NULL ORDER BY id LIMIT 1";
        if let Some(row) = tx.first(sqlx::query(user).bind(id)).await? {
            return Err(StoreError::InUse {
                what: "cloud provider",
                by: format!("account {}", row.col::<String>("account_key")?),
            });
        }
        let gone = "DELETE FROM cloud_providers WHERE id = ?";
        if tx.run(sqlx::query(gone).bind(id)).await? == 0 {
            return Err(StoreError::Missing {
                what: "cloud provider",
            });
        }
        for statement in [
            "DELETE FROM grants WHERE provider_id = ?",
            "DELETE FROM oauth_states WHERE provider_id = ?",
        ] {
            tx.run(sqlx::query(statement).bind(id)).await?;
        }
        Ok(())
    }
}

const BY_ID: &str = "SELECT id, name, service, application_id, tenant_id, client_secret, redirect_uri, authority, scope_host, created_at, updated_at FROM cloud_providers WHERE id = ?";

impl Store {
    /// Adds a provider and its (missing) grant; `Taken` where the name exists.
    pub async fn provider_add(
        &self,
        new: &NewCloudProvider,
        now: Timestamp,
    ) -> Result<CloudProvider, StoreError> {
        let (new, keys) = (new.clone(), self.inner.keys.clone());
        self.write(Add { new, keys, now }).await
    }

    /// One provider; `Damaged` where its secret does not decrypt.
    pub async fn provider_get(
        &self,
        id: CloudProviderId,
    ) -> Result<Option<CloudProvider>, StoreError> {
        let mut reader = self.read("reading a cloud provider").await?;
        let row = reader.first(sqlx::query(BY_ID).bind(id.get())).await?;
        row.map(|row| provider(&row, &self.inner.keys)).transpose()
    }

    /// All providers, oldest first. One whose secret does not decrypt is shown with an empty one: it
    /// can then be seen and entered again.
    pub async fn provider_list(&self, page: Page) -> Result<Rows<CloudProvider>, StoreError> {
        let mut reader = self.read("listing cloud providers").await?;
        let count = reader
            .count(sqlx::query("SELECT COUNT(*) AS n FROM cloud_providers"))
            .await?;
        let rows = reader
            .all(
                sqlx::query(
                    "SELECT id, name, service, application_id, tenant_id, client_secret, redirect_uri, authority, scope_host, created_at, updated_at FROM cloud_providers ORDER BY id LIMIT ? OFFSET ?",
                )
                .bind(page.limit())
                .bind(page.offset()),
            )
            .await?;
        Rows::of(count, &rows, |row| match provider(row, &self.inner.keys) {
            Err(StoreError::Damaged { what: "secret", .. }) => {
                unsealed(row, SecretString::from(String::new()))
            }
            other => other,
        })
    }

    /// Changes the named fields; `Missing`, `Taken`.
    pub async fn provider_change(
        &self,
        id: CloudProviderId,
        change: &CloudProviderChange,
        now: Timestamp,
    ) -> Result<CloudProvider, StoreError> {
        let (change, keys) = (change.clone(), self.inner.keys.clone());
        let step = Change {
            id,
            change,
            keys,
            now,
        };
        self.write(step).await
    }

    /// Removes a provider with its grant and begun sign-ins; `InUse` while an account logs in with it.
    pub async fn provider_remove(&self, id: CloudProviderId) -> Result<(), StoreError> {
        self.write(Remove(id)).await
    }
}
