//! Grants: what a person's sign-in gave a cloud provider. Holder, epoch and version fence refreshes
//! (I3); the tokens are sealed.

use secrecy::SecretString;
use serde_json::json;
use sqlx::any::AnyRow;

use super::{
    Store, StoreError,
    seal::{Keys, Place},
    text::{Columns, cut, word},
    tx::{Step, Tx},
};
use crate::model::{
    CloudProviderId, EventKind, Grant, GrantState, NewEvent, NewTokens, NodeId, Timestamp,
};

fn place<'a>(row: &'a str, column: &'static str) -> Place<'a> {
    Place {
        table: "grants",
        row,
        column,
    }
}

pub(super) fn grant(row: &AnyRow, keys: &Keys) -> Result<Grant, StoreError> {
    let id: i64 = row.col("provider_id")?;
    let name = id.to_string();
    let open = |column: &'static str| -> Result<Option<SecretString>, StoreError> {
        let sealed = row.col::<Option<Vec<u8>>>(column)?;
        sealed
            .map(|sealed| keys.open(place(&name, column), &sealed))
            .transpose()
    };
    Ok(Grant {
        provider: CloudProviderId::new(id),
        state: word("grant", id, &row.col::<String>("state")?, GrantState::parse)?,
        version: row.col("version")?,
        access_token: open("access_token")?,
        access_expires_at: row.time_if("access_expires_at")?,
        refresh_token: open("refresh_token")?,
        attempt: row.col("attempt")?,
        attempt_started_at: row.time_if("attempt_started_at")?,
        signed_in_as: row.col("signed_in_as")?,
        tenant_id: row.col("tenant_id")?,
        object_id: row.col("object_id")?,
        confirmed_for: names(row, "grant", id, "confirmed_for")?,
        signed_in_at: row.time_if("signed_in_at")?,
        refreshed_at: row.time_if("refreshed_at")?,
        scopes: row.col("scopes")?,
        reason: row.col("reason")?,
        updated_at: row.time("updated_at")?,
    })
}

/// A column with a JSON list of names; nothing there is no name.
pub(super) fn names(
    row: &AnyRow,
    what: &'static str,
    id: i64,
    column: &'static str,
) -> Result<Vec<String>, StoreError> {
    let Some(text) = row.col::<Option<String>>(column)? else {
        return Ok(Vec::new());
    };
    serde_json::from_str(&text).map_err(|_| StoreError::Damaged {
        what,
        detail: format!("{column} of row {id} is no list of names"),
    })
}

/// Tokens, sealed for their row.
pub(super) struct Sealed {
    provider: i64,
    access: Vec<u8>,
    expires_at: i64,
    refresh: Option<Vec<u8>>,
    scopes: Option<String>,
    signed_in_as: Option<String>,
    tenant_id: Option<String>,
    object_id: Option<String>,
    now: i64,
}

impl Sealed {
    pub(super) fn new(
        keys: &Keys,
        provider: CloudProviderId,
        tokens: &NewTokens,
        now: Timestamp,
    ) -> Self {
        let name = provider.to_string();
        Self {
            provider: provider.get(),
            access: keys.seal(place(&name, "access_token"), &tokens.access_token),
            expires_at: tokens.access_expires_at.millis(),
            refresh: tokens
                .refresh_token
                .as_ref()
                .map(|token| keys.seal(place(&name, "refresh_token"), token)),
            scopes: tokens.scopes.as_deref().map(|text| cut(text, 10_000)),
            signed_in_as: tokens.signed_in_as.as_deref().map(|text| cut(text, 320)),
            tenant_id: tokens.tenant_id.as_deref().map(|text| cut(text, 255)),
            object_id: tokens.object_id.as_deref().map(|text| cut(text, 255)),
            now: now.millis(),
        }
    }
}

struct Adopt(Sealed, Keys);
impl Step for Adopt {
    type Answer = Grant;
    const DOING: &'static str = "storing a sign-in";

    async fn apply(&self, tx: &mut Tx) -> Result<Grant, StoreError> {
        adopt(tx, &self.1, &self.0, &[]).await
    }
}

/// Puts the tokens of a sign-in in the place of whatever was there, with its event.
pub(super) async fn adopt(
    tx: &mut Tx,
    keys: &Keys,
    new: &Sealed,
    confirmed_for: &[String],
) -> Result<Grant, StoreError> {
    let missing = || StoreError::Missing {
        what: "cloud provider",
    };
    let confirmed_for = (!confirmed_for.is_empty()).then(|| json!(confirmed_for).to_string());
    let matched = tx
        .run(
            sqlx::query(
                "UPDATE grants SET state = 'ok', version = version + 1, access_token = ?, access_expires_at = ?, refresh_token = COALESCE(?, refresh_token), attempt = NULL, attempt_started_at = NULL, signed_in_as = ?, tenant_id = ?, object_id = ?, confirmed_for = ?, signed_in_at = ?, refreshed_at = ?, scopes = ?, reason = NULL, updated_at = ? WHERE provider_id = ?",
            )
            .bind(new.access.clone())
            .bind(new.expires_at)
            .bind(new.refresh.clone())
            .bind(new.signed_in_as.clone())
            .bind(new.tenant_id.clone())
            .bind(new.object_id.clone())
            .bind(confirmed_for)
            .bind(new.now)
            .bind(new.now)
            .bind(new.scopes.clone())
            .bind(new.now)
            .bind(new.provider),
        )
        .await?;
    if matched != 1 {
        return Err(missing());
    }
    let row = tx
        .first(sqlx::query(BY_PROVIDER).bind(new.provider))
        .await?;
    let grant = grant(&row.ok_or_else(missing)?, keys)?;
    let event = NewEvent {
        kind: EventKind::GrantSignedIn,
        account: None,
        provider: Some(grant.provider),
        once: format!("grant.signedIn/{}/{}", grant.provider, grant.version),
        payload: json!({ "signedInAs": grant.signed_in_as }),
    };
    tx.event(&event, Timestamp::from_millis(new.now)).await?;
    Ok(grant)
}

struct Hold(CloudProviderId, NodeId);
impl Step for Hold {
    type Answer = Option<i64>;
    const DOING: &'static str = "taking a grant";

    async fn apply(&self, tx: &mut Tx) -> Result<Option<i64>, StoreError> {
        let Self(provider, node) = self;
        let read = "SELECT epoch FROM grants WHERE provider_id = ? AND holder = ?";
        let ours = tx
            .first(sqlx::query(read).bind(provider.get()).bind(node.as_str()))
            .await?;
        if let Some(row) = ours {
            return Ok(Some(row.col("epoch")?));
        }
        let taken = tx
            .run(
                sqlx::query(
                    "UPDATE grants SET holder = ?, epoch = epoch + 1 WHERE provider_id = ? AND (holder IS NULL OR NOT EXISTS (SELECT 1 FROM nodes WHERE nodes.id = grants.holder))",
                )
                .bind(node.as_str())
                .bind(provider.get()),
            )
            .await?;
        if taken == 0 {
            return Ok(None);
        }
        let row = tx
            .first(sqlx::query(read).bind(provider.get()).bind(node.as_str()))
            .await?;
        row.map(|row| row.col("epoch")).transpose()
    }
}

struct Begin {
    provider: i64,
    node: NodeId,
    epoch: i64,
    version: i64,
    under_way: Option<String>,
    attempt: String,
    now: i64,
}
impl Step for Begin {
    type Answer = bool;
    const DOING: &'static str = "beginning a token refresh";

    async fn apply(&self, tx: &mut Tx) -> Result<bool, StoreError> {
        let matched = tx
            .run(
                sqlx::query(
                    "UPDATE grants SET state = 'refreshing', attempt = ?, attempt_started_at = ?, updated_at = ? WHERE provider_id = ? AND holder = ? AND epoch = ? AND version = ? AND COALESCE(attempt, '') = ? AND (refresh_token IS NOT NULL OR provider_id IN (SELECT id FROM cloud_providers WHERE access = 'application'))",
                )
                .bind(&self.attempt)
                .bind(self.now)
                .bind(self.now)
                .bind(self.provider)
                .bind(self.node.as_str())
                .bind(self.epoch)
                .bind(self.version)
                .bind(self.under_way.as_deref().unwrap_or_default()),
            )
            .await?;
        Ok(matched == 1)
    }
}

struct Finish {
    new: Sealed,
    attempt: String,
    version: i64,
}
impl Step for Finish {
    type Answer = bool;
    const DOING: &'static str = "storing refreshed tokens";

    async fn apply(&self, tx: &mut Tx) -> Result<bool, StoreError> {
        let new = &self.new;
        let matched = tx
            .run(
                sqlx::query(
                    "UPDATE grants SET state = 'ok', version = version + 1, access_token = ?, access_expires_at = ?, refresh_token = COALESCE(?, refresh_token), attempt = NULL, attempt_started_at = NULL, signed_in_as = COALESCE(?, signed_in_as), scopes = COALESCE(?, scopes), reason = NULL, refreshed_at = ?, updated_at = ? WHERE provider_id = ? AND attempt = ? AND version = ?",
                )
                .bind(new.access.clone())
                .bind(new.expires_at)
                .bind(new.refresh.clone())
                .bind(new.signed_in_as.clone())
                .bind(new.scopes.clone())
                .bind(new.now)
                .bind(new.now)
                .bind(new.provider)
                .bind(&self.attempt)
                .bind(self.version),
            )
            .await?;
        Ok(matched == 1)
    }
}

struct Failed {
    provider: CloudProviderId,
    attempt: String,
    state: GrantState,
    reason: String,
    now: Timestamp,
}
impl Step for Failed {
    type Answer = bool;
    const DOING: &'static str = "recording a failed token refresh";

    async fn apply(&self, tx: &mut Tx) -> Result<bool, StoreError> {
        let needs_sign_in = self.state == GrantState::NeedsSignIn;
        let matched = tx
            .run(
                sqlx::query(
                    "UPDATE grants SET state = ?, attempt = NULL, attempt_started_at = NULL, reason = ?, updated_at = ? WHERE provider_id = ? AND attempt = ?",
                )
                .bind(self.state.as_str())
                .bind(needs_sign_in.then(|| cut(&self.reason, 10_000)))
                .bind(self.now.millis())
                .bind(self.provider.get())
                .bind(&self.attempt),
            )
            .await?;
        if matched == 1 && needs_sign_in {
            let event = NewEvent {
                kind: EventKind::GrantNeedsSignIn,
                account: None,
                provider: Some(self.provider),
                once: format!("grant.needsSignIn/{}/{}", self.provider, self.attempt),
                payload: json!({ "reason": cut(&self.reason, 2_000) }),
            };
            tx.event(&event, self.now).await?;
        }
        Ok(matched == 1)
    }
}

pub(super) const BY_PROVIDER: &str = "SELECT provider_id, state, version, access_token, access_expires_at, refresh_token, attempt, attempt_started_at, signed_in_as, tenant_id, object_id, confirmed_for, signed_in_at, refreshed_at, scopes, reason, updated_at FROM grants WHERE provider_id = ?";

impl Store {
    /// The grant of a provider; `Damaged` where a token does not decrypt.
    pub async fn grant_get(&self, provider: CloudProviderId) -> Result<Option<Grant>, StoreError> {
        let mut reader = self.read("reading a grant").await?;
        let query = sqlx::query(BY_PROVIDER).bind(provider.get());
        let row = reader.first(query).await?;
        row.map(|row| grant(&row, &self.inner.keys)).transpose()
    }

    /// All grants that can be read, by provider. A damaged one is left out with a line in the log:
    /// [`Store::grant_get`] tells its owner.
    pub async fn grant_list(&self) -> Result<Vec<Grant>, StoreError> {
        let mut reader = self.read("listing grants").await?;
        let rows = reader
            .all(sqlx::query(
                "SELECT provider_id, state, version, access_token, access_expires_at, refresh_token, attempt, attempt_started_at, signed_in_as, tenant_id, object_id, confirmed_for, signed_in_at, refreshed_at, scopes, reason, updated_at FROM grants ORDER BY provider_id",
            ))
            .await?;
        let mut grants = Vec::with_capacity(rows.len());
        for row in &rows {
            match grant(row, &self.inner.keys) {
                Ok(grant) => grants.push(grant),
                Err(StoreError::Damaged { what, detail }) => {
                    tracing::error!(what, detail, "a stored grant is damaged");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(grants)
    }

    /// A person signed in: replaces everything (an answer without a refresh token keeps the old one),
    /// state ok, version + 1, event in the same commit. A refresh in flight is superseded.
    pub async fn grant_adopt(
        &self,
        provider: CloudProviderId,
        tokens: &NewTokens,
        now: Timestamp,
    ) -> Result<Grant, StoreError> {
        let keys = self.inner.keys.clone();
        let sealed = Sealed::new(&keys, provider, tokens, now);
        self.write(Adopt(sealed, keys)).await
    }

    /// Makes `node` the grant's holder if it has none, holds it already, or the holder is not a
    /// registered node; returns the epoch. `None`: another live node holds it, or there is no such grant.
    pub async fn grant_hold(
        &self,
        provider: CloudProviderId,
        node: &NodeId,
    ) -> Result<Option<i64>, StoreError> {
        self.write(Hold(provider, node.clone())).await
    }

    /// Compare-and-set: holder and epoch ours, version and the refresh under way as they were `seen` → state
    /// refreshing, attempt, started (committed BEFORE the request, I3). False: lost, or there is nothing to
    /// refresh with (a refresh token, or the application's own access). A refresh that an earlier run left behind
    /// is taken over by who has seen it; one that was begun since is not.
    pub async fn grant_refresh_begin(
        &self,
        provider: CloudProviderId,
        node: &NodeId,
        epoch: i64,
        seen: (i64, Option<&str>),
        attempt: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let step = Begin {
            provider: provider.get(),
            node: node.clone(),
            epoch,
            version: seen.0,
            under_way: seen.1.map(|attempt| cut(attempt, 64)),
            attempt: cut(attempt, 64),
            now: now.millis(),
        };
        self.write(step).await
    }

    /// Compare-and-set on attempt and version: stores tokens, version + 1, state ok. False:
    /// superseded (e.g. a person signed in meanwhile); the tokens are then not stored.
    pub async fn grant_refresh_finish(
        &self,
        provider: CloudProviderId,
        attempt: &str,
        version: i64,
        tokens: &NewTokens,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let step = Finish {
            new: Sealed::new(&self.inner.keys, provider, tokens, now),
            attempt: cut(attempt, 64),
            version,
        };
        self.write(step).await
    }

    /// Compare-and-set on attempt: back to ok (passing trouble) or needs_sign_in with the platform's
    /// words (then with its event in the same commit). False: superseded.
    pub async fn grant_refresh_failed(
        &self,
        provider: CloudProviderId,
        attempt: &str,
        state: GrantState,
        reason: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let step = Failed {
            provider,
            attempt: cut(attempt, 64),
            state,
            reason: reason.to_owned(),
            now,
        };
        self.write(step).await
    }
}
