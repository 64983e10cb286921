//! What has to be true of the database and the key file before anything is written.

use std::{fs, os::unix::fs::OpenOptionsExt, path::Path};

use sqlx::{AnyConnection, Row, any::AnyRow};
use tokio::time::timeout;

use super::{
    Engine, OpenError, Settings, dialect, migrate,
    pool::{Connector, Purpose, Statement, sqlite_file},
    seal::Keys,
};

/// The first SQLite without the WAL-reset race.
const SQLITE: [u32; 3] = [3, 51, 3];
/// Octets that one statement may need.
const PACKET: u64 = 16 << 20;

/// A writing connection to a checked and up-to-date database, and the keys of its secrets.
pub(super) async fn prepare(
    settings: &Settings,
    connector: &Connector,
) -> Result<(AnyConnection, Keys), OpenError> {
    if connector.engine() == Engine::Sqlite {
        private_file(settings)?;
    }
    let mut connection = connect(connector).await?;
    // DDL on a large table may take long, but not for ever.
    let bound = connector.patience().saturating_mul(20);
    let work = async {
        match connector.engine() {
            Engine::Sqlite => sqlite(&mut connection).await?,
            Engine::MariaDb => mariadb(&mut connection).await?,
        }
        migrate::run(&mut connection, connector.engine()).await?;
        keys(&mut connection, &settings.key_file).await
    };
    let keys = timeout(bound, work).await.unwrap_or_else(|_| {
        Err(OpenError::Unreachable {
            doing: "preparing the tables",
            source: sqlx::Error::PoolTimedOut,
        })
    })?;
    Ok((connection, keys))
}

async fn connect(connector: &Connector) -> Result<AnyConnection, OpenError> {
    connector.connect(Purpose::Write).await.map_err(|source| {
        let unknown = source
            .as_database_error()
            .is_some_and(|error| error.message().contains("innodb_snapshot_isolation"));
        if unknown {
            OpenError::Refused(
                "the database server knows no innodb_snapshot_isolation: use MariaDB 10.6.18, 10.11.8, 11.4.2 or later"
                    .to_owned(),
            )
        } else {
            OpenError::sql("connecting", source)
        }
    })
}

/// Makes the database file readable by the service's user only.
fn private_file(settings: &Settings) -> Result<(), OpenError> {
    let path = sqlite_file(&settings.url)
        .ok_or_else(|| OpenError::Refused("the database URL names no file".to_owned()))?;
    fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|error| {
            OpenError::Refused(format!(
                "the database file {} cannot be opened for writing: {error}",
                path.display()
            ))
        })?;
    Ok(())
}

async fn sqlite(connection: &mut AnyConnection) -> Result<(), OpenError> {
    let version = value(connection, sqlx::query("SELECT sqlite_version() AS v")).await?;
    let parts: Vec<u32> = version
        .split('.')
        .filter_map(|part| part.parse().ok())
        .collect();
    if parts.as_slice() < SQLITE.as_slice() {
        return Err(OpenError::Refused(format!(
            "SQLite {version} can corrupt a database (WAL reset): build with 3.51.3 or later"
        )));
    }
    let mode = value(connection, sqlx::query("PRAGMA journal_mode")).await?;
    if mode != "wal" {
        return Err(OpenError::Refused(format!(
            "the database file's journal mode is {mode}, not wal: put the file on a local file system"
        )));
    }
    Ok(())
}

/// Server settings without which acknowledged mail can be lost or doubled.
async fn mariadb(connection: &mut AnyConnection) -> Result<(), OpenError> {
    let mut wrong = Vec::new();
    let flush = value(
        connection,
        sqlx::query("SELECT CAST(@@GLOBAL.innodb_flush_log_at_trx_commit AS CHAR) AS v"),
    )
    .await?;
    if flush != "1" {
        wrong.push(format!(
            "innodb_flush_log_at_trx_commit is {flush}: a crash loses acknowledged mail; run SET GLOBAL innodb_flush_log_at_trx_commit = 1; and put innodb_flush_log_at_trx_commit = 1 under [mysqld]"
        ));
    }
    let packet = value(
        connection,
        sqlx::query("SELECT CAST(@@SESSION.max_allowed_packet AS CHAR) AS v"),
    )
    .await?;
    if packet.parse::<u64>().unwrap_or(0) < PACKET {
        wrong.push(format!(
            "max_allowed_packet is {packet}: run SET GLOBAL max_allowed_packet = 67108864; and put max_allowed_packet = 64M under [mysqld]"
        ));
    }
    let charset = value(
        connection,
        sqlx::query("SELECT CAST(@@character_set_database AS CHAR) AS v"),
    )
    .await?;
    if charset != "utf8mb4" {
        wrong.push(format!(
            "the database's character set is {charset}: run ALTER DATABASE … CHARACTER SET utf8mb4;"
        ));
    }
    let isolation = value(
        connection,
        sqlx::query("SELECT CAST(@@SESSION.innodb_snapshot_isolation AS CHAR) AS v"),
    )
    .await?;
    if isolation != "1" && !isolation.eq_ignore_ascii_case("ON") {
        wrong.push(
            "innodb_snapshot_isolation cannot be switched on: put innodb_snapshot_isolation = ON under [mysqld]"
                .to_owned(),
        );
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(OpenError::Refused(wrong.join("\n")))
    }
}

/// The key that this database's secrets are sealed with; makes one where no secret exists yet.
async fn keys(connection: &mut AnyConnection, path: &Path) -> Result<Keys, OpenError> {
    let stored = rows(
        connection,
        sqlx::query("SELECT value AS v FROM store_facts WHERE name = 'key_id'"),
    )
    .await?
    .first()
    .and_then(|row| row.try_get::<String, _>("v").ok())
    .filter(|id| !id.is_empty());
    let sealed = !rows(connection, sqlx::query(SEALED)).await?.is_empty();
    let keys = match (Keys::read(path)?, &stored) {
        (Some(keys), _) => keys,
        (None, Some(id)) if sealed => {
            return Err(OpenError::Refused(format!(
                "the key file {} is missing, but the database holds secrets sealed with key {id}: restore it from the backup",
                path.display()
            )));
        }
        (None, _) => Keys::make(path)?,
    };
    match &stored {
        Some(id) if id == keys.id() => return Ok(keys),
        Some(id) if sealed => {
            return Err(OpenError::Refused(format!(
                "the key file {} holds key {}, but the database's secrets are sealed with key {id}: put the right key file in place",
                path.display(),
                keys.id()
            )));
        }
        _ => {}
    }
    sqlx::query("UPDATE store_facts SET value = ? WHERE name = 'key_id'")
        .bind(keys.id())
        .execute(connection)
        .await
        .map_err(|source| OpenError::sql("noting the key", source))?;
    Ok(keys)
}

/// Any row with a sealed value.
const SEALED: &str = "SELECT 1 AS v FROM cloud_providers WHERE client_secret IS NOT NULL OR second_secret IS NOT NULL OR private_key IS NOT NULL OR proxy IS NOT NULL UNION ALL SELECT 1 FROM mail_accounts WHERE password IS NOT NULL OR proxy IS NOT NULL UNION ALL SELECT 1 FROM grants WHERE access_token IS NOT NULL OR refresh_token IS NOT NULL UNION ALL SELECT 1 FROM oauth_states WHERE verifier IS NOT NULL UNION ALL SELECT 1 FROM held_sign_ins LIMIT 1";

async fn rows(
    connection: &mut AnyConnection,
    statement: Statement<'_>,
) -> Result<Vec<AnyRow>, OpenError> {
    let rows = statement.fetch_all(connection).await;
    rows.map_err(|source| OpenError::sql("checking the database", source))
}

/// The text in the first column of the first row.
async fn value(
    connection: &mut AnyConnection,
    statement: Statement<'_>,
) -> Result<String, OpenError> {
    let rows = rows(connection, statement).await?;
    let text = rows.first().map(|row| row.try_get::<String, _>(0));
    text.unwrap_or(Err(sqlx::Error::RowNotFound))
        .map_err(|source| OpenError::sql("checking the database", source))
}

/// The names of the tables that are there.
pub(super) async fn tables(
    connection: &mut AnyConnection,
    engine: Engine,
) -> Result<Vec<String>, OpenError> {
    let rows = rows(connection, sqlx::query(dialect::tables(engine))).await?;
    rows.iter()
        .map(|row| {
            row.try_get::<String, _>("name")
                .map_err(|source| OpenError::sql("listing tables", source))
        })
        .collect()
}
