//! E-mail accounts. A removed one is hidden: its mail stays readable by id, its key is free again.

use super::{
    Page, Rows, Store, StoreError,
    account_row::{self, Secrets, account, place},
    outbox,
    seal::Keys,
    text::{Columns, cut, json_list},
    tx::{Step, Tx},
};
use crate::model::{
    Account, AccountId, AccountKey, Authentication, Backfill, NewAccount, Timestamp,
};

const WHAT: &str = account_row::WHAT;

macro_rules! columns {
    ($rest:literal) => {
        concat!(
            "SELECT id, name, account_key, address, list_id, service, provider_id, login_user, delegate, password, imap_host, imap_port, imap_tls, imap_verify, imap_trust, smtp_host, smtp_port, smtp_tls, smtp_verify, smtp_trust, proxy, backfill, backfill_since, folders, paused, version, created_at, updated_at FROM mail_accounts ",
            $rest
        )
    };
}
const LIVE: &str = columns!("WHERE id = ? AND removed_at IS NULL");
const LIVE_BY_KEY: &str = columns!("WHERE live_key = ?");
const LIVE_ALL: &str = columns!("WHERE removed_at IS NULL ORDER BY id");
const LIVE_PAGE: &str = columns!("WHERE removed_at IS NULL ORDER BY id LIMIT ? OFFSET ?");

/// List and provider that it names must exist.
async fn check(tx: &mut Tx, new: &NewAccount) -> Result<(), StoreError> {
    let list = sqlx::query("SELECT id FROM cm_lists WHERE id = ?").bind(new.list.get());
    if tx.first(list).await?.is_none() {
        return Err(StoreError::Missing { what: "list" });
    }
    if let Authentication::Modern { provider, .. } = new.authentication {
        let query = sqlx::query("SELECT id FROM cloud_providers WHERE id = ?");
        if tx.first(query.bind(provider.get())).await?.is_none() {
            return Err(StoreError::Missing {
                what: "cloud provider",
            });
        }
    }
    Ok(())
}

/// Writes all that was entered; version + 1. `None` for `expect`: whatever version it has.
async fn put(
    tx: &mut Tx,
    keys: &Keys,
    id: i64,
    new: &NewAccount,
    expect: Option<i64>,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let (provider, user, delegate, password) = match &new.authentication {
        Authentication::Modern {
            provider,
            user,
            delegate,
        } => (Some(provider.get()), user, delegate.as_deref(), None),
        Authentication::Password { user, password } => {
            let sealed = keys.seal(place(&id.to_string(), "password"), password);
            (None, user, None, Some(sealed))
        }
    };
    // The whole of it: a proxy's URL may hold a password.
    let proxy = new.proxy.secret_text();
    let proxy = proxy.map(|text| keys.seal(place(&id.to_string(), "proxy"), &text));
    let (backfill, since) = match new.backfill {
        Backfill::None => ("none", None),
        Backfill::All => ("all", None),
        Backfill::Since(since) => ("since", Some(since.millis())),
    };
    tx.run(
        sqlx::query(
            "UPDATE mail_accounts SET name = ?, account_key = ?, live_key = ?, address = ?, list_id = ?, service = ?, provider_id = ?, login_user = ?, delegate = ?, password = ?, imap_host = ?, imap_port = ?, imap_tls = ?, imap_verify = ?, imap_trust = ?, smtp_host = ?, smtp_port = ?, smtp_tls = ?, smtp_verify = ?, smtp_trust = ?, proxy = ?, backfill = ?, backfill_since = ?, folders = ?, version = version + 1, updated_at = ? WHERE id = ? AND removed_at IS NULL AND (? = 1 OR version = ?)",
        )
        .bind(cut(&new.name, 100))
        .bind(new.key.as_str())
        .bind(new.key.as_str())
        .bind(new.address.as_str())
        .bind(new.list.get())
        .bind(new.service.as_str())
        .bind(provider)
        .bind(cut(user, 320))
        .bind(delegate.map(|text| cut(text, 320)))
        .bind(password)
        .bind(cut(&new.imap.host, 255))
        .bind(i64::from(new.imap.port))
        .bind(new.imap.tls.as_str())
        .bind(new.imap.verify.as_str())
        .bind(new.imap.verify.detail())
        .bind(cut(&new.smtp.host, 255))
        .bind(i64::from(new.smtp.port))
        .bind(new.smtp.tls.as_str())
        .bind(new.smtp.verify.as_str())
        .bind(new.smtp.verify.detail())
        .bind(proxy)
        .bind(backfill)
        .bind(since)
        .bind(json_list(&new.folders.names(), 60_000).0)
        .bind(now.millis())
        .bind(id)
        .bind(i64::from(expect.is_none()))
        .bind(expect.unwrap_or(0)),
    )
    .await
    .map_err(|error| error.taken("account key"))
}

async fn live(tx: &mut Tx, id: AccountId, secrets: Secrets<'_>) -> Result<Account, StoreError> {
    let row = tx.first(sqlx::query(LIVE).bind(id.get())).await?;
    account(&row.ok_or(StoreError::Missing { what: WHAT })?, secrets)
}

struct Add {
    new: NewAccount,
    keys: Keys,
    now: Timestamp,
}
impl Step for Add {
    type Answer = Account;
    const DOING: &'static str = "adding an account";

    async fn apply(&self, tx: &mut Tx) -> Result<Account, StoreError> {
        check(tx, &self.new).await?;
        let id = tx
            .insert(
                sqlx::query(
                    "INSERT INTO mail_accounts (name, account_key, live_key, address, list_id, service, login_user, imap_host, imap_port, imap_tls, imap_verify, smtp_host, smtp_port, smtp_tls, smtp_verify, backfill, folders, paused, version, created_at, updated_at) VALUES ('', ?, ?, '', 0, '', '', '', 0, '', '', '', 0, '', '', '', '', 0, 0, ?, ?)",
                )
                .bind(self.new.key.as_str())
                .bind(self.new.key.as_str())
                .bind(self.now.millis())
                .bind(self.now.millis()),
            )
            .await
            .map_err(|error| error.taken("account key"))?;
        put(tx, &self.keys, id, &self.new, None, self.now).await?;
        tx.run(
            sqlx::query("INSERT INTO account_leases (account_id, epoch, beat) VALUES (?, 0, 0)")
                .bind(id),
        )
        .await?;
        live(tx, AccountId::new(id), Secrets::Open(&self.keys)).await
    }
}

struct Change {
    id: AccountId,
    new: NewAccount,
    expect: Option<i64>,
    keys: Keys,
    now: Timestamp,
}
impl Step for Change {
    type Answer = Account;
    const DOING: &'static str = "changing an account";

    async fn apply(&self, tx: &mut Tx) -> Result<Account, StoreError> {
        let id = self.id.get();
        check(tx, &self.new).await?;
        if put(tx, &self.keys, id, &self.new, self.expect, self.now).await? == 0 {
            let there =
                sqlx::query("SELECT id FROM mail_accounts WHERE id = ? AND removed_at IS NULL");
            return Err(match tx.first(there.bind(id)).await? {
                None => StoreError::Missing { what: WHAT },
                Some(_) => StoreError::Conflict(
                    "the account was changed by somebody else meanwhile".to_owned(),
                ),
            });
        }
        live(tx, self.id, Secrets::Open(&self.keys)).await
    }
}

struct Pause {
    id: AccountId,
    paused: bool,
    keys: Keys,
    now: Timestamp,
}
impl Step for Pause {
    type Answer = Account;
    const DOING: &'static str = "pausing or resuming an account";

    async fn apply(&self, tx: &mut Tx) -> Result<Account, StoreError> {
        let paused = i64::from(self.paused);
        // Pausing what is paused changes nothing: a running task is not replaced for it.
        tx.run(
            sqlx::query(
                "UPDATE mail_accounts SET paused = ?, version = version + 1, updated_at = ? WHERE id = ? AND removed_at IS NULL AND paused <> ?",
            )
            .bind(paused)
            .bind(self.now.millis())
            .bind(self.id.get())
            .bind(paused),
        )
        .await?;
        live(tx, self.id, Secrets::Open(&self.keys)).await
    }
}

struct Remove {
    id: AccountId,
    discard_queue: bool,
    now: Timestamp,
}
impl Step for Remove {
    type Answer = ();
    const DOING: &'static str = "removing an account";

    async fn apply(&self, tx: &mut Tx) -> Result<(), StoreError> {
        let id = self.id.get();
        let missing = StoreError::Missing { what: WHAT };
        if tx.first(sqlx::query(LIVE).bind(id)).await?.is_none() {
            return Err(missing);
        }
        let open = tx
            .first(
                sqlx::query(
                    "SELECT COUNT(*) AS n FROM mail_recipients WHERE account_id = ? AND state NOT IN ('sent', 'failed', 'expired', 'cancelled')",
                )
                .bind(id),
            )
            .await?;
        let open: i64 = open.map_or(Ok(0), |row| row.col("n"))?;
        if open > 0 && !self.discard_queue {
            return Err(StoreError::InUse {
                what: WHAT,
                by: format!("{open} outgoing copies that are not final"),
            });
        }
        let removed = tx
            .run(
                sqlx::query(
                    "UPDATE mail_accounts SET removed_at = ?, live_key = NULL, password = NULL, proxy = NULL, version = version + 1, updated_at = ? WHERE id = ? AND removed_at IS NULL",
                )
                .bind(self.now.millis())
                .bind(self.now.millis())
                .bind(id),
            )
            .await?;
        if removed == 0 {
            return Err(missing);
        }
        let cancel = "UPDATE mail_recipients SET state = 'cancelled', next_at = NULL, updated_at = ? WHERE account_id = ? AND state IN ('queued', 'claimed', 'deferred', 'held', 'in_doubt')";
        tx.run(sqlx::query(cancel).bind(self.now.millis()).bind(id))
            .await?;
        // A copy whose dot may be on its way cannot be called off, only doubted (I2).
        outbox::doubt(tx, self.id, None, self.now).await?;
        // From here on nothing of its task is written any more (I11).
        tx.run(sqlx::query("DELETE FROM account_leases WHERE account_id = ?").bind(id))
            .await?;
        Ok(())
    }
}

impl Store {
    fn keys(&self) -> Keys {
        self.inner.keys.clone()
    }

    /// Adds an account with its lease row; `Taken` for its key, `Missing` for list or provider.
    pub async fn account_add(
        &self,
        new: &NewAccount,
        now: Timestamp,
    ) -> Result<Account, StoreError> {
        let (new, keys) = (new.clone(), self.keys());
        self.write(Add { new, keys, now }).await
    }

    /// One account; `None` also once it is removed, `Damaged` where its row makes no sense.
    pub async fn account_get(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        let mut reader = self.read("reading an account").await?;
        let row = reader.first(sqlx::query(LIVE).bind(id.get())).await?;
        row.map(|row| account(&row, Secrets::Open(&self.inner.keys)))
            .transpose()
    }

    /// One account by its key.
    pub async fn account_by_key(&self, key: &AccountKey) -> Result<Option<Account>, StoreError> {
        let mut reader = self.read("reading an account").await?;
        let query = sqlx::query(LIVE_BY_KEY).bind(key.as_str());
        let row = reader.first(query).await?;
        row.map(|row| account(&row, Secrets::Open(&self.inner.keys)))
            .transpose()
    }

    /// Accounts that are not removed, oldest first. One whose secrets do not decrypt has a blank
    /// password and no proxy of its own here: it can then be seen and entered again.
    pub async fn account_list(&self, page: Page) -> Result<Rows<Account>, StoreError> {
        let mut reader = self.read("listing accounts").await?;
        let count = reader
            .count(sqlx::query(
                "SELECT COUNT(*) AS n FROM mail_accounts WHERE removed_at IS NULL",
            ))
            .await?;
        let rows = reader
            .all(
                sqlx::query(LIVE_PAGE)
                    .bind(page.limit())
                    .bind(page.offset()),
            )
            .await?;
        Rows::of(count, &rows, |row| {
            match account(row, Secrets::Open(&self.inner.keys)) {
                Err(StoreError::Damaged { what: "secret", .. }) => account(row, Secrets::Blank),
                other => other,
            }
        })
    }

    /// Every account that is not removed; a damaged row is an `Err` entry of its own so that the
    /// others run.
    pub async fn account_wanted(
        &self,
    ) -> Result<Vec<Result<Account, (AccountId, StoreError)>>, StoreError> {
        let mut reader = self.read("reading accounts").await?;
        let rows = reader.all(sqlx::query(LIVE_ALL)).await?;
        rows.iter()
            .map(|row| {
                let id = AccountId::new(row.col("id")?);
                Ok(account(row, Secrets::Open(&self.inner.keys)).map_err(|error| (id, error)))
            })
            .collect()
    }

    /// Replaces all that was entered; version + 1. A password left out of an edit is kept by the
    /// caller passing the stored one. `Conflict` where the row has another version than `expect_version`.
    pub async fn account_change(
        &self,
        id: AccountId,
        new: &NewAccount,
        expect_version: Option<i64>,
        now: Timestamp,
    ) -> Result<Account, StoreError> {
        let step = Change {
            id,
            new: new.clone(),
            expect: expect_version,
            keys: self.keys(),
            now,
        };
        self.write(step).await
    }

    /// Pauses or resumes; version + 1 if that is a change.
    pub async fn account_pause(
        &self,
        id: AccountId,
        paused: bool,
        now: Timestamp,
    ) -> Result<Account, StoreError> {
        let keys = self.keys();
        let step = Pause {
            id,
            paused,
            keys,
            now,
        };
        self.write(step).await
    }

    /// Hides it (its mail stays readable by id) and forgets its secrets; refused as `InUse` while
    /// copies are not final, unless `discard_queue`, which cancels them (one whose final dot may be
    /// under way becomes in doubt instead).
    pub async fn account_remove(
        &self,
        id: AccountId,
        discard_queue: bool,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let step = Remove {
            id,
            discard_queue,
            now,
        };
        self.write(step).await
    }
}
