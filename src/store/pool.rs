//! Connections: how each is made and set up, and the few that reads share.
//!
//! sqlx's own pool is not used: it pings a returned connection without a bound, so a dead MariaDB
//! would swallow its slots for ever. Here a connection goes back only after a clean answer and is
//! dropped (which closes the socket) in every other case, also when its caller is dropped.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use secrecy::{ExposeSecret, SecretString};
use sqlx::{
    Any, AnyConnection, Connection,
    any::{AnyArguments, AnyConnectOptions, AnyRow},
    query::Query,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};

use super::{Engine, OpenError, StoreError, dialect};

/// A statement with its values bound.
pub(super) type Statement<'q> = Query<'q, Any, AnyArguments>;

/// A reading connection that was idle this long is asked for a sign of life before it is used.
const IDLE_TRUSTED: Duration = Duration::from_secs(1);

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Write,
    Read,
}

/// Makes connections that are set up the way the store relies on.
#[derive(Clone)]
pub(super) struct Connector {
    engine: Engine,
    url: SecretString,
    patience: Duration,
}

impl Connector {
    /// Checks the URL; connects to nothing yet.
    pub(super) fn new(
        url: &SecretString,
        ca_file: &Path,
        patience: Duration,
    ) -> Result<Self, OpenError> {
        sqlx::any::install_default_drivers();
        let (engine, url) = prepared(url.expose_secret(), ca_file)?;
        Ok(Self {
            engine,
            url: SecretString::from(url),
            patience,
        })
    }

    pub(super) fn engine(&self) -> Engine {
        self.engine
    }

    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    /// A new connection, set up; bounded by the patience.
    pub(super) async fn connect(&self, purpose: Purpose) -> Result<AnyConnection, sqlx::Error> {
        let make = async {
            let options = AnyConnectOptions::from_str(self.url.expose_secret())?;
            let mut connection = AnyConnection::connect_with(&options).await?;
            for statement in dialect::set_up(self.engine, purpose) {
                sqlx::raw_sql(*statement).execute(&mut connection).await?;
            }
            Ok(connection)
        };
        timeout(self.patience, make)
            .await
            .unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }
}

/// The few reading connections.
#[derive(Clone)]
pub(super) struct Reads {
    connector: Connector,
    slots: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<(AnyConnection, Instant)>>>,
}

impl Reads {
    pub(super) fn new(connector: Connector, connections: u32) -> Self {
        let slots = usize::try_from(connections.clamp(1, 64)).unwrap_or(1);
        Self {
            connector,
            slots: Arc::new(Semaphore::new(slots)),
            idle: Arc::default(),
        }
    }

    /// A connection to read on. Waits at most the patience for a free one, and as long again for the
    /// database to answer.
    pub(super) async fn get(&self, doing: &'static str) -> Result<Reader, StoreError> {
        let gone = |source| StoreError::Unavailable { doing, source };
        let patience = self.connector.patience;
        let permit = timeout(patience, Arc::clone(&self.slots).acquire_owned())
            .await
            .map_err(|_| gone(sqlx::Error::PoolTimedOut))?
            .map_err(|_| StoreError::Closed)?;
        let connection = match self.live().await {
            Some(connection) => connection,
            None => self.connector.connect(Purpose::Read).await.map_err(gone)?,
        };
        Ok(Reader {
            connection: Some(connection),
            clean: true,
            doing,
            patience,
            idle: Arc::clone(&self.idle),
            _permit: permit,
        })
    }

    /// An idle connection that still answers. Those that do not are closed, each after a short wait.
    async fn live(&self) -> Option<AnyConnection> {
        loop {
            let (mut connection, since) = self
                .idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop()?;
            if self.connector.engine == Engine::Sqlite || since.elapsed() < IDLE_TRUSTED {
                return Some(connection);
            }
            let bound = self.connector.patience.min(Duration::from_secs(2));
            if let Ok(Ok(())) = timeout(bound, connection.ping()).await {
                return Some(connection);
            }
            // If one is dead the others most likely are: do not wait for each.
            self.idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clear();
        }
    }
}

/// One reading connection, until dropped.
pub(super) struct Reader {
    connection: Option<AnyConnection>,
    clean: bool,
    doing: &'static str,
    patience: Duration,
    idle: Arc<Mutex<Vec<(AnyConnection, Instant)>>>,
    _permit: OwnedSemaphorePermit,
}

impl Reader {
    /// Every row of the answer. Cancelling drops the connection, never somebody else's answer.
    pub(super) async fn all(
        &mut self,
        statement: Statement<'_>,
    ) -> Result<Vec<AnyRow>, StoreError> {
        let doing = self.doing;
        let connection = self.connection.as_mut().ok_or(StoreError::Closed)?;
        self.clean = false;
        let rows = timeout(self.patience, statement.fetch_all(connection))
            .await
            .unwrap_or(Err(sqlx::Error::PoolTimedOut))
            .map_err(|source| StoreError::sql(doing, source))?;
        self.clean = true;
        Ok(rows)
    }

    /// The first row, if there is one.
    pub(super) async fn first(
        &mut self,
        statement: Statement<'_>,
    ) -> Result<Option<AnyRow>, StoreError> {
        Ok(self.all(statement).await?.into_iter().next())
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let (true, Some(connection)) = (self.clean, self.connection.take()) {
            self.idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push((connection, Instant::now()));
        }
    }
}

/// Which engine a URL means, and the URL with what we add to it.
fn prepared(text: &str, ca_file: &Path) -> Result<(Engine, String), OpenError> {
    let refuse = |why: String| Err(OpenError::Refused(why));
    let Ok(mut url) = url::Url::parse(text) else {
        return refuse(
            "the database URL is not a URL: write sqlite:///path/file.db or mysql://user:password@host:3306/database"
                .to_owned(),
        );
    };
    match url.scheme() {
        "sqlite" => {
            if url.path().len() < 2 || url.path().contains(":memory:") {
                return refuse(
                    "the database URL names no file: write sqlite:///path/file.db".to_owned(),
                );
            }
            url.set_query(Some("mode=rwc"));
            Ok((Engine::Sqlite, url.into()))
        }
        "mysql" | "mariadb" => {
            let database = url.path().trim_matches('/');
            if database.is_empty() || database.contains('/') {
                return refuse(
                    "the database URL names no database: write mysql://user:password@host:3306/database"
                        .to_owned(),
                );
            }
            verified(&mut url, ca_file)?;
            url.query_pairs_mut()
                .append_pair("statement-cache-capacity", "256");
            Ok((Engine::MariaDb, url.into()))
        }
        other => refuse(format!(
            "the database URL begins with {other:?}: only sqlite:// and mysql:// are known"
        )),
    }
}

/// A remote server must prove who it is: sqlx's default is opportunistic and unverified.
fn verified(url: &mut url::Url, ca_file: &Path) -> Result<(), OpenError> {
    let local = match url.host() {
        None => true,
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        // The scheme is not "special", so addresses arrive as domains.
        Some(url::Host::Domain(name)) => {
            name == "localhost"
                || name
                    .parse::<std::net::IpAddr>()
                    .is_ok_and(|ip| ip.is_loopback())
        }
    };
    if local || url.query_pairs().any(|(name, _)| name == "socket") {
        return Ok(());
    }
    let mode = url
        .query_pairs()
        .find(|(name, _)| name == "ssl-mode" || name == "sslmode")
        .map(|(_, mode)| mode.into_owned());
    match mode.as_deref() {
        None => {
            url.query_pairs_mut()
                .append_pair("ssl-mode", "VERIFY_IDENTITY");
        }
        Some(mode) if mode.eq_ignore_ascii_case("VERIFY_IDENTITY") => {}
        Some(mode) => {
            return Err(OpenError::Refused(format!(
                "the database URL asks for ssl-mode={mode} on another machine: only ssl-mode=VERIFY_IDENTITY is safe there"
            )));
        }
    }
    let has_ca = url
        .query_pairs()
        .any(|(name, _)| name == "ssl-ca" || name == "sslca");
    if !has_ca && !ca_file.as_os_str().is_empty() {
        url.query_pairs_mut()
            .append_pair("ssl-ca", &ca_file.to_string_lossy());
    }
    Ok(())
}

/// The file behind a SQLite URL.
pub(super) fn sqlite_file(url: &SecretString) -> Option<PathBuf> {
    let options = sqlx::sqlite::SqliteConnectOptions::from_str(url.expose_secret()).ok()?;
    Some(options.get_filename().to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remote_database_is_reached_over_verified_tls_or_not_at_all() {
        let ca = Path::new("/etc/ca.pem");
        let check = |url: &str| prepared(url, ca).map(|(_, url)| url);
        for local in [
            "mysql://u:p@127.0.0.1:3306/db",
            "mysql://u:p@localhost/db",
            "mysql://u:p@[::1]:3306/db",
            "mysql://u:p@far.example/db?socket=/run/mysqld/mysqld.sock",
        ] {
            assert!(!check(local).unwrap().contains("VERIFY"), "{local}");
        }
        let remote = check("mysql://u:p@db.example:3306/db").unwrap();
        assert!(
            remote.contains("ssl-mode=VERIFY_IDENTITY") && remote.contains("ssl-ca="),
            "{remote}"
        );
        for bad in [
            "mysql://u:p@db.example/db?ssl-mode=PREFERRED",
            "mysql://u:p@db.example/db?ssl-mode=DISABLED",
            "mysql://u:p@127.0.0.1/",
            "postgres://u:p@127.0.0.1/db",
            "sqlite://",
            "sqlite::memory:",
            "nonsense",
        ] {
            let Err(OpenError::Refused(text)) = check(bad) else {
                panic!("{bad} was taken");
            };
            assert!(!text.contains("u:p"), "{text}");
        }
    }
}
