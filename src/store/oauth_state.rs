//! Sign-ins that were begun: looked up by the hash of their state, each usable once.

use secrecy::{ExposeSecret, SecretString};

use super::{
    Store, StoreError,
    seal::Place,
    text::{Columns, cut, key_of},
    tx::{Step, Tx},
};
use crate::model::{CloudProviderId, Timestamp};

/// A sign-in that was begun. `state` is stored hashed, the verifier sealed.
#[derive(Clone, Debug)]
pub struct NewOauthState {
    /// What the platform sends back.
    pub state: SecretString,
    /// Which provider is being signed in.
    pub provider: CloudProviderId,
    /// The PKCE verifier.
    pub verifier: SecretString,
    /// Sent again with the code.
    pub redirect_uri: String,
    /// Who began it.
    pub caller: String,
    /// Whether the grant may come into other hands by it.
    pub new_identity: bool,
    /// Not taken from then on.
    pub expires_at: Timestamp,
}

/// What was remembered of a begun sign-in.
#[derive(Clone, Debug)]
pub struct OauthState {
    /// Which provider is being signed in.
    pub provider: CloudProviderId,
    /// The PKCE verifier.
    pub verifier: SecretString,
    /// Sent again with the code.
    pub redirect_uri: String,
    /// Who began it.
    pub caller: String,
    /// Whether the grant may come into other hands by it.
    pub new_identity: bool,
}

/// Outcome of taking a state.
#[derive(Clone, Debug)]
pub enum TakenState {
    /// Ours, in time, first use.
    Good(OauthState),
    /// Never given out, or long forgotten.
    Unknown,
    /// Taken before.
    Used,
    /// Too late.
    Expired,
}

/// Used and expired states are kept so long, to tell "used" from "unknown".
const KEPT_MILLIS: i64 = 24 * 3_600_000;

fn place(key: &str) -> Place<'_> {
    Place {
        table: "oauth_states",
        row: key,
        column: "verifier",
    }
}

struct Add {
    key: String,
    provider: i64,
    verifier: Vec<u8>,
    redirect_uri: String,
    caller: String,
    new_identity: i64,
    expires_at: i64,
    now: i64,
}
impl Step for Add {
    type Answer = ();
    const DOING: &'static str = "beginning a sign-in";

    async fn apply(&self, tx: &mut Tx) -> Result<(), StoreError> {
        let there = sqlx::query("SELECT id FROM cloud_providers WHERE id = ?");
        if tx.first(there.bind(self.provider)).await?.is_none() {
            return Err(StoreError::Missing {
                what: "cloud provider",
            });
        }
        tx.run(
            sqlx::query("DELETE FROM oauth_states WHERE expires_at < ?")
                .bind(self.now.saturating_sub(KEPT_MILLIS)),
        )
        .await?;
        tx.run(
            sqlx::query(
                "INSERT INTO oauth_states (state_key, provider_id, verifier, redirect_uri, caller, new_identity, expires_at, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            )
            .bind(&self.key)
            .bind(self.provider)
            .bind(self.verifier.clone())
            .bind(&self.redirect_uri)
            .bind(&self.caller)
            .bind(self.new_identity)
            .bind(self.expires_at)
            .bind(self.now),
        )
        .await
        .map_err(|error| error.taken("sign-in state"))?;
        Ok(())
    }
}

struct Take {
    key: String,
    taking: String,
    now: i64,
}
impl Step for Take {
    type Answer = Found;
    const DOING: &'static str = "finishing a sign-in";

    async fn apply(&self, tx: &mut Tx) -> Result<Found, StoreError> {
        let taken = tx
            .run(
                sqlx::query(
                    "UPDATE oauth_states SET used_by = ? WHERE state_key = ? AND used_by IS NULL AND expires_at > ?",
                )
                .bind(&self.taking)
                .bind(&self.key)
                .bind(self.now),
            )
            .await?;
        let row = tx
            .first(
                sqlx::query(
                    "SELECT provider_id, verifier, redirect_uri, caller, new_identity, used_by FROM oauth_states WHERE state_key = ?",
                )
                .bind(&self.key),
            )
            .await?;
        let Some(row) = row else {
            return Ok(Found::Unknown);
        };
        if taken == 1 {
            return Ok(Found::Good {
                provider: row.col("provider_id")?,
                verifier: row.col("verifier")?,
                redirect_uri: row.col("redirect_uri")?,
                caller: row.col("caller")?,
                new_identity: row.flag("new_identity")?,
            });
        }
        Ok(match row.col::<Option<String>>("used_by")? {
            Some(_) => Found::Used,
            None => Found::Expired,
        })
    }
}

enum Found {
    Good {
        provider: i64,
        verifier: Vec<u8>,
        redirect_uri: String,
        caller: String,
        new_identity: bool,
    },
    Unknown,
    Used,
    Expired,
}

impl Store {
    /// Remembers a begun sign-in; `Missing` where the provider is gone.
    pub async fn oauth_state_add(
        &self,
        new: &NewOauthState,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let key = key_of(new.state.expose_secret());
        let step = Add {
            provider: new.provider.get(),
            verifier: self.inner.keys.seal(place(&key), &new.verifier),
            redirect_uri: cut(&new.redirect_uri, 2_000),
            caller: cut(&new.caller, 255),
            new_identity: i64::from(new.new_identity),
            expires_at: new.expires_at.millis(),
            now: now.millis(),
            key,
        };
        self.write(step).await
    }

    /// Single use: marks it used in the same statement that finds it unused and in time.
    pub async fn oauth_state_take(
        &self,
        state: &SecretString,
        now: Timestamp,
    ) -> Result<TakenState, StoreError> {
        let key = key_of(state.expose_secret());
        let step = Take {
            key: key.clone(),
            taking: uuid::Uuid::new_v4().simple().to_string(),
            now: now.millis(),
        };
        Ok(match self.write(step).await? {
            Found::Unknown => TakenState::Unknown,
            Found::Used => TakenState::Used,
            Found::Expired => TakenState::Expired,
            Found::Good {
                provider,
                verifier,
                redirect_uri,
                caller,
                new_identity,
            } => TakenState::Good(OauthState {
                provider: CloudProviderId::new(provider),
                verifier: self.inner.keys.open(place(&key), &verifier)?,
                redirect_uri,
                caller,
                new_identity,
            }),
        })
    }
}
