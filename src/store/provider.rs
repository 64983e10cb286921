//! Cloud providers: app registrations with their sealed client secrets.

use secrecy::{ExposeSecret, SecretString};
use sqlx::any::AnyRow;

use super::{
    Page, Rows, Store, StoreError,
    seal::{Keys, Place},
    sign_in::forget,
    text::{Columns, cut, word},
    tx::{Step, Tx},
};
use crate::model::{
    Access, ClientCertificate, Cloud, CloudProvider, CloudProviderId, CloudService,
    NewCloudProvider, ProxyChoice, Timestamp,
};

/// `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct CloudProviderChange {
    /// Unique name.
    pub name: Option<String>,
    /// Which cloud of the service.
    pub cloud: Option<Cloud>,
    /// In whose name.
    pub access: Option<Access>,
    /// "Application (client) ID".
    pub application_id: Option<String>,
    /// Tenant.
    pub tenant_id: Option<String>,
    /// Client secret.
    pub client_secret: Option<SecretString>,
    /// `Some(None)`: not known.
    pub client_secret_expires_at: Option<Option<Timestamp>>,
    /// The secret beside the first; an empty one removes it.
    pub second_secret: Option<SecretString>,
    /// `Some(None)`: not known.
    pub second_secret_expires_at: Option<Option<Timestamp>>,
    /// `Some(None)`: none.
    pub certificate: Option<Option<ClientCertificate>>,
    /// Redirect URI.
    pub redirect_uri: Option<String>,
    /// `Some(None)`: the service's own.
    pub authority: Option<Option<String>>,
    /// `Some(None)`: the service's own.
    pub scope_host: Option<Option<String>>,
    /// How the identity platform is reached.
    pub proxy: Option<ProxyChoice>,
}

impl CloudProviderChange {
    /// A provider with this change.
    pub fn applied_to(&self, mut entered: NewCloudProvider) -> NewCloudProvider {
        fn put<T: Clone>(change: &Option<T>, field: &mut T) {
            if let Some(value) = change {
                field.clone_from(value);
            }
        }
        put(&self.name, &mut entered.name);
        put(&self.cloud, &mut entered.cloud);
        put(&self.access, &mut entered.access);
        put(&self.application_id, &mut entered.application_id);
        put(&self.tenant_id, &mut entered.tenant_id);
        put(&self.client_secret, &mut entered.client_secret);
        put(
            &self.client_secret_expires_at,
            &mut entered.client_secret_expires_at,
        );
        put(&self.second_secret, &mut entered.second_secret);
        put(
            &self.second_secret_expires_at,
            &mut entered.second_secret_expires_at,
        );
        put(&self.certificate, &mut entered.certificate);
        put(&self.redirect_uri, &mut entered.redirect_uri);
        put(&self.authority, &mut entered.authority);
        put(&self.scope_host, &mut entered.scope_host);
        put(&self.proxy, &mut entered.proxy);
        entered
    }

    /// Whether it enters one of the secrets anew.
    fn has_secret(&self) -> bool {
        self.client_secret.is_some()
            || self.second_secret.is_some()
            || self.certificate.is_some()
            || self.proxy.is_some()
    }
}

fn place<'a>(row: &'a str, column: &'static str) -> Place<'a> {
    Place {
        table: "cloud_providers",
        row,
        column,
    }
}

/// What becomes of a sealed secret that does not open.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Damage {
    /// The row cannot be used.
    Refused,
    /// The secret counts as not entered: the row can be seen and cured by entering it again.
    Empty,
}

fn provider(row: &AnyRow, keys: &Keys, damage: Damage) -> Result<CloudProvider, StoreError> {
    let id: i64 = row.col("id")?;
    let name = id.to_string();
    let open = |column: &'static str| -> Result<Option<SecretString>, StoreError> {
        let Some(sealed) = row.col::<Option<Vec<u8>>>(column)? else {
            return Ok(None);
        };
        match keys.open(place(&name, column), &sealed) {
            Err(StoreError::Damaged { .. }) if damage == Damage::Empty => Ok(None),
            opened => opened.map(Some),
        }
    };
    // A certificate is of no use without its key.
    let certificate = match (
        row.col::<Option<String>>("certificate")?,
        open("private_key")?,
    ) {
        (Some(certificate), Some(private_key)) => Some(ClientCertificate {
            certificate,
            private_key,
        }),
        _ => None,
    };
    let entered = NewCloudProvider {
        name: row.col("name")?,
        service: told(row, id, "service", CloudService::parse)?,
        cloud: told(row, id, "cloud", Cloud::parse)?,
        access: told(row, id, "access", Access::parse)?,
        application_id: row.col("application_id")?,
        tenant_id: row.col("tenant_id")?,
        client_secret: open("client_secret")?.unwrap_or_default(),
        client_secret_expires_at: row.time_if("client_secret_expires_at")?,
        second_secret: open("second_secret")?.unwrap_or_default(),
        second_secret_expires_at: row.time_if("second_secret_expires_at")?,
        certificate,
        redirect_uri: row.col("redirect_uri")?,
        authority: row.col("authority")?,
        scope_host: row.col("scope_host")?,
        proxy: match open("proxy")? {
            None => ProxyChoice::Process,
            Some(text) => {
                ProxyChoice::parse(text.expose_secret()).map_err(|error| StoreError::Damaged {
                    what: "cloud provider",
                    detail: format!("row {id} holds a proxy that {error}"),
                })?
            }
        },
    };
    Ok(CloudProvider {
        id: CloudProviderId::new(id),
        entered,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}

/// One of the columns with a word of ours.
fn told<T>(
    row: &AnyRow,
    id: i64,
    column: &'static str,
    parse: fn(&str) -> Option<T>,
) -> Result<T, StoreError> {
    word("cloud provider", id, &row.col::<String>(column)?, parse)
}

/// Writes all that was entered, and the secrets sealed for their row.
async fn put(
    tx: &mut Tx,
    keys: &Keys,
    id: i64,
    entered: &NewCloudProvider,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let row = id.to_string();
    let seal = |column, secret: &SecretString| {
        let there = !secret.expose_secret().is_empty();
        there.then(|| keys.seal(place(&row, column), secret))
    };
    let certificate = entered.certificate.as_ref();
    tx.run(
        sqlx::query(
            "UPDATE cloud_providers SET name = ?, cloud = ?, access = ?, application_id = ?, tenant_id = ?, client_secret = ?, client_secret_expires_at = ?, second_secret = ?, second_secret_expires_at = ?, certificate = ?, private_key = ?, redirect_uri = ?, authority = ?, scope_host = ?, proxy = ?, updated_at = ? WHERE id = ?",
        )
        .bind(cut(&entered.name, 100))
        .bind(entered.cloud.as_str())
        .bind(entered.access.as_str())
        .bind(cut(&entered.application_id, 255))
        .bind(cut(&entered.tenant_id, 255))
        .bind(seal("client_secret", &entered.client_secret))
        .bind(entered.client_secret_expires_at.map(Timestamp::millis))
        .bind(seal("second_secret", &entered.second_secret))
        .bind(entered.second_secret_expires_at.map(Timestamp::millis))
        .bind(certificate.map(|one| cut(&one.certificate, 60_000)))
        .bind(certificate.and_then(|one| seal("private_key", &one.private_key)))
        .bind(cut(&entered.redirect_uri, 2_000))
        .bind(entered.authority.as_deref().map(|text| cut(text, 2_000)))
        .bind(entered.scope_host.as_deref().map(|text| cut(text, 2_000)))
        // The whole of it: a proxy's URL may hold a password.
        .bind(entered.proxy.secret_text().map(|text| keys.seal(place(&row, "proxy"), &text)))
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
                    "INSERT INTO cloud_providers (name, service, cloud, access, application_id, tenant_id, redirect_uri, created_at, updated_at) VALUES (?, ?, '', '', '', '', '', ?, ?)",
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
        // A secret that does not decrypt is cured by entering it again.
        let damage = match self.change.has_secret() {
            true => Damage::Empty,
            false => Damage::Refused,
        };
        let before = provider(&row, &self.keys, damage)?;
        let entered = self.change.applied_to(before.entered.clone());
        // Tokens of another application could not be refreshed by this one.
        if !entered.is_same_application(&before.entered) {
            forget(tx, self.id).await?;
        }
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

struct Swap {
    id: CloudProviderId,
    refused: SecretString,
    keys: Keys,
    now: Timestamp,
}
impl Step for Swap {
    type Answer = bool;
    const DOING: &'static str = "changing to the second client secret";

    async fn apply(&self, tx: &mut Tx) -> Result<bool, StoreError> {
        let Some(row) = tx.first(sqlx::query(BY_ID).bind(self.id.get())).await? else {
            return Ok(false);
        };
        let mut entered = provider(&row, &self.keys, Damage::Refused)?.entered;
        let same = entered.client_secret.expose_secret() == self.refused.expose_secret();
        if !same || entered.second_secret.expose_secret().is_empty() {
            return Ok(false);
        }
        std::mem::swap(&mut entered.client_secret, &mut entered.second_secret);
        std::mem::swap(
            &mut entered.client_secret_expires_at,
            &mut entered.second_secret_expires_at,
        );
        Ok(put(tx, &self.keys, self.id.get(), &entered, self.now).await? == 1)
    }
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
            "DELETE FROM held_sign_ins WHERE provider_id = ?",
        ] {
            tx.run(sqlx::query(statement).bind(id)).await?;
        }
        Ok(())
    }
}

const BY_ID: &str = "SELECT id, name, service, cloud, access, application_id, tenant_id, client_secret, client_secret_expires_at, second_secret, second_secret_expires_at, certificate, private_key, redirect_uri, authority, scope_host, proxy, created_at, updated_at FROM cloud_providers WHERE id = ?";

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
        row.map(|row| provider(&row, &self.inner.keys, Damage::Refused))
            .transpose()
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
                    "SELECT id, name, service, cloud, access, application_id, tenant_id, client_secret, client_secret_expires_at, second_secret, second_secret_expires_at, certificate, private_key, redirect_uri, authority, scope_host, proxy, created_at, updated_at FROM cloud_providers ORDER BY id LIMIT ? OFFSET ?",
                )
                .bind(page.limit())
                .bind(page.offset()),
            )
            .await?;
        Rows::of(count, &rows, |row| {
            provider(row, &self.inner.keys, Damage::Empty)
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

    /// The platform refused the first client secret and took the second: where the first still is
    /// `refused`, the two change places, with their dates. False: somebody changed them meanwhile.
    pub async fn provider_swap_secrets(
        &self,
        id: CloudProviderId,
        refused: &SecretString,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let (refused, keys) = (refused.clone(), self.inner.keys.clone());
        self.write(Swap {
            id,
            refused,
            keys,
            now,
        })
        .await
    }

    /// Removes a provider with its grant and begun sign-ins; `InUse` while an account logs in with it.
    pub async fn provider_remove(&self, id: CloudProviderId) -> Result<(), StoreError> {
        self.write(Remove(id)).await
    }
}
