//! An account's row, read.

use secrecy::{ExposeSecret, SecretString};
use sqlx::any::AnyRow;

use super::{
    StoreError,
    seal::{Keys, Place},
    text::{Columns, json, word},
};
use crate::model::{
    Account, AccountId, AccountKey, Authentication, Backfill, CloudProviderId, EmailAddress,
    Folders, ListId, NewAccount, ProxyChoice, Server, Service, TlsMode, TlsVerify,
};

/// What a row is called in errors.
pub(super) const WHAT: &str = "account";

/// What a secret column of a row is bound to.
pub(super) fn place<'a>(row: &'a str, column: &'static str) -> Place<'a> {
    Place {
        table: "mail_accounts",
        row,
        column,
    }
}

/// How a row's secrets are read.
#[derive(Clone, Copy)]
pub(super) enum Secrets<'a> {
    Open(&'a Keys),
    /// For lists, where they do not decrypt.
    Blank,
}

fn server(row: &AnyRow, id: i64, columns: [&'static str; 5]) -> Result<Server, StoreError> {
    let [host, port, tls, verify, trust] = columns;
    let number: i64 = row.col(port)?;
    let trust: Option<String> = row.col(trust)?;
    Ok(Server {
        host: row.col(host)?,
        port: u16::try_from(number).map_err(|_| StoreError::Damaged {
            what: WHAT,
            detail: format!("row {id} holds the impossible port {number}"),
        })?,
        tls: word(WHAT, id, &row.col::<String>(tls)?, TlsMode::parse)?,
        verify: word(WHAT, id, &row.col::<String>(verify)?, |word| {
            TlsVerify::parse(word, trust.as_deref())
        })?,
    })
}

fn authentication(
    row: &AnyRow,
    id: i64,
    secrets: Secrets<'_>,
) -> Result<Authentication, StoreError> {
    let user: String = row.col("login_user")?;
    if let Some(provider) = row.col::<Option<i64>>("provider_id")? {
        return Ok(Authentication::Modern {
            provider: CloudProviderId::new(provider),
            user,
            delegate: row.col("delegate")?,
        });
    }
    let password = match secrets {
        Secrets::Blank => SecretString::from(String::new()),
        Secrets::Open(keys) => {
            let sealed = row.col::<Option<Vec<u8>>>("password")?;
            keys.open(
                place(&id.to_string(), "password"),
                &sealed.unwrap_or_default(),
            )?
        }
    };
    Ok(Authentication::Password { user, password })
}

fn proxy(row: &AnyRow, id: i64, secrets: Secrets<'_>) -> Result<ProxyChoice, StoreError> {
    let (Some(sealed), Secrets::Open(keys)) = (row.col::<Option<Vec<u8>>>("proxy")?, secrets)
    else {
        return Ok(ProxyChoice::Process);
    };
    let text = keys.open(place(&id.to_string(), "proxy"), &sealed)?;
    ProxyChoice::parse(text.expose_secret()).map_err(|error| StoreError::Damaged {
        what: WHAT,
        detail: format!("row {id} holds a proxy that {error}"),
    })
}

fn backfill(row: &AnyRow, id: i64) -> Result<Backfill, StoreError> {
    let text: String = row.col("backfill")?;
    let since = row.time_if("backfill_since")?;
    word(WHAT, id, &text, |text| match (text, since) {
        ("none", _) => Some(Backfill::None),
        ("all", _) => Some(Backfill::All),
        ("since", Some(since)) => Some(Backfill::Since(since)),
        _ => None,
    })
}

fn folders(row: &AnyRow, id: i64) -> Result<Folders, StoreError> {
    let names: Vec<String> = json(WHAT, id, &row.col::<String>("folders")?)?;
    Folders::parse(names.iter().map(String::as_str)).ok_or_else(|| StoreError::Damaged {
        what: WHAT,
        detail: format!("row {id} holds folders that cannot be"),
    })
}

/// The whole row.
pub(super) fn account(row: &AnyRow, secrets: Secrets<'_>) -> Result<Account, StoreError> {
    let id: i64 = row.col("id")?;
    let address: String = row.col("address")?;
    Ok(Account {
        id: AccountId::new(id),
        entered: NewAccount {
            name: row.col("name")?,
            key: word(
                WHAT,
                id,
                &row.col::<String>("account_key")?,
                AccountKey::parse,
            )?,
            address: word(WHAT, id, &address, |text| EmailAddress::parse(text).ok())?,
            list: ListId::new(row.col("list_id")?),
            service: word(WHAT, id, &row.col::<String>("service")?, Service::parse)?,
            authentication: authentication(row, id, secrets)?,
            imap: server(
                row,
                id,
                [
                    "imap_host",
                    "imap_port",
                    "imap_tls",
                    "imap_verify",
                    "imap_trust",
                ],
            )?,
            smtp: server(
                row,
                id,
                [
                    "smtp_host",
                    "smtp_port",
                    "smtp_tls",
                    "smtp_verify",
                    "smtp_trust",
                ],
            )?,
            proxy: proxy(row, id, secrets)?,
            backfill: backfill(row, id)?,
            folders: folders(row, id)?,
        },
        paused: row.flag("paused")?,
        version: row.col("version")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}
