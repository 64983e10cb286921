//! A store of the test's own on either engine, and shorthand for what most tests need first.

use std::{path::PathBuf, time::Duration};

use bytes::Bytes;
use motion_email::{
    model::{
        Account, AccountKey, Authentication, Backfill, Cursor, EmailAddress, Generation, Lease,
        ListId, Mailbox, NewAccount, NewCloudProvider, NodeId, ParsedMail, RawMail, RecipientKind,
        Server, Service, Timestamp, TlsMode, Uid, UidValidity,
    },
    store::{
        FolderRow, IngestBatch, IngestItem, NewMessage, NewOutgoing, NodeRow, OpenError, Page,
        Settings, Store,
    },
};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Row};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::support::Lab;

/// Which engine a body runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Sqlite,
    MariaDb,
}

/// The whole list.
pub const ALL: Page = Page {
    limit: 10_000,
    offset: 0,
};

/// A fixed time, `seconds` after the tests' epoch.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_780_000_000_000 + seconds * 1000)
}

/// One store with its writer running.
pub struct Bench {
    pub kind: Kind,
    pub store: Store,
    pub settings: Settings,
    pub directory: tempfile::TempDir,
    pub stop: CancellationToken,
    pub writer: JoinSet<()>,
    /// MariaDB: our database, dropped at the end.
    database: Option<String>,
}

/// An empty database and settings for it.
pub struct Ground {
    pub kind: Kind,
    pub settings: Settings,
    pub directory: tempfile::TempDir,
    pub database: Option<String>,
}

impl Ground {
    pub async fn new(kind: Kind) -> Self {
        sqlx::any::install_default_drivers();
        let directory = tempfile::tempdir().unwrap();
        let (url, database) = match kind {
            Kind::Sqlite => (
                format!("sqlite://{}/store.db", directory.path().display()),
                None,
            ),
            Kind::MariaDb => {
                let name = format!("t_{}", uuid::Uuid::new_v4().simple());
                let server = server_url();
                run_on(
                    &format!("{server}lab"),
                    &format!("CREATE DATABASE {name} CHARACTER SET utf8mb4"),
                )
                .await;
                (format!("{server}{name}"), Some(name))
            }
        };
        let settings = Settings {
            url: SecretString::from(url),
            key_file: directory.path().join("key"),
            ca_file: PathBuf::new(),
            read_connections: 3,
            patience: Duration::from_secs(20),
        };
        Self {
            kind,
            settings,
            directory,
            database,
        }
    }

    /// Runs statements outside of the store.
    pub async fn sql(&self, text: &str) {
        let url = self.settings.url.expose_secret();
        let url = match self.kind {
            Kind::Sqlite => format!("{url}?mode=rwc"),
            Kind::MariaDb => url.to_owned(),
        };
        run_on(&url, text).await;
    }

    /// Why it does not open.
    pub async fn refusal(&self) -> String {
        match Store::open(&self.settings).await {
            Ok(_) => panic!("the store opened"),
            Err(OpenError::Refused(text)) => text,
            Err(other) => panic!("not refused, but: {other}"),
        }
    }

    pub async fn open(self) -> Bench {
        let (store, writer) = Store::open(&self.settings).await.unwrap();
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(writer.run(stop.clone()));
        Bench {
            kind: self.kind,
            store,
            settings: self.settings,
            directory: self.directory,
            stop,
            writer: tasks,
            database: self.database,
        }
    }
}

/// `mysql://user:password@host:port/` of the lab.
pub fn server_url() -> String {
    let lab = Lab::load();
    format!(
        "mysql://{}:{}@127.0.0.1:{}/",
        lab.get("MARIADB_USER"),
        lab.get("MARIADB_PASSWORD"),
        lab.get("MARIADB_PORT")
    )
}

async fn drop_database(name: Option<String>) {
    if let Some(name) = name {
        let server = server_url();
        run_on(
            &format!("{server}lab"),
            &format!("DROP DATABASE IF EXISTS {name}"),
        )
        .await;
    }
}

async fn run_on(url: &str, text: &str) {
    sqlx::any::install_default_drivers();
    let mut connection = AnyConnection::connect(url).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(text.to_owned()))
        .execute(&mut connection)
        .await
        .unwrap_or_else(|error| panic!("{text}: {error}"));
    connection.close().await.unwrap();
}

impl Bench {
    pub async fn new(kind: Kind) -> Self {
        Ground::new(kind).await.open().await
    }

    /// Runs statements beside the store.
    pub async fn sql(&self, text: &str) {
        let url = self.settings.url.expose_secret();
        run_on(url, text).await;
    }

    /// One integer read beside the store.
    pub async fn number(&self, text: &str) -> i64 {
        let mut connection = AnyConnection::connect(self.settings.url.expose_secret())
            .await
            .unwrap();
        let row = sqlx::raw_sql(AssertSqlSafe(text.to_owned()))
            .fetch_one(&mut connection)
            .await
            .unwrap_or_else(|error| panic!("{text}: {error}"));
        let number = row.try_get::<i64, _>(0).unwrap();
        connection.close().await.unwrap();
        number
    }

    /// Texts read beside the store: the first column.
    pub async fn texts(&self, text: &str) -> Vec<String> {
        let mut connection = AnyConnection::connect(self.settings.url.expose_secret())
            .await
            .unwrap();
        let rows = sqlx::raw_sql(AssertSqlSafe(text.to_owned()))
            .fetch_all(&mut connection)
            .await
            .unwrap_or_else(|error| panic!("{text}: {error}"));
        connection.close().await.unwrap();
        rows.iter().map(|row| row.try_get(0).unwrap()).collect()
    }

    /// A second process on the same database: a store of its own with a writer of its own.
    pub async fn second(&self) -> (Store, JoinSet<()>) {
        let (store, writer) = Store::open(&self.settings).await.unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(writer.run(self.stop.clone()));
        (store, tasks)
    }

    /// Ends the writer as a crash would, and opens again.
    pub async fn crash(&mut self) {
        self.writer.shutdown().await;
        let (store, writer) = Store::open(&self.settings).await.unwrap();
        self.store = store;
        self.writer.spawn(writer.run(self.stop.clone()));
    }

    pub async fn end(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.writer.join_next().await {
            ended.unwrap();
        }
        drop(self.store);
        drop_database(self.database.take()).await;
    }

    pub async fn list(&self) -> ListId {
        let name = format!("List {}", uuid::Uuid::new_v4());
        self.store.list_add(&name, at(0)).await.unwrap().id
    }

    /// A registered node.
    pub async fn node(&self, home: &str) -> NodeId {
        let id = NodeId::random();
        let row = NodeRow {
            id: id.clone(),
            name: "n".to_owned(),
            home: home.to_owned(),
            beat: 0,
            started_at: at(0),
        };
        self.store.node_register(&row).await.unwrap();
        id
    }

    /// An account with a password, and the lease of a fresh node for it.
    pub async fn account(&self, key: &str) -> (Account, Lease) {
        let new = new_account(key, self.list().await);
        let account = self.store.account_add(&new, at(0)).await.unwrap();
        let node = self.node(&format!("/home/{}", uuid::Uuid::new_v4())).await;
        let lease = self.take(&account, &node).await;
        (account, lease)
    }

    /// Takes the account's lease from whoever holds it.
    pub async fn take(&self, account: &Account, node: &NodeId) -> Lease {
        let leases = self.store.lease_list().await.unwrap();
        let seen = leases.iter().find(|row| row.account == account.id).unwrap();
        let taken = self.store.lease_acquire(seen, node).await.unwrap();
        taken.expect("nobody else takes it")
    }

    /// An account with a folder at UID 1.
    pub async fn inbox(&self, key: &str) -> (Account, Lease, FolderRow) {
        let (account, lease) = self.account(key).await;
        let start = self
            .store
            .folder_start(&lease, "INBOX", cursor(1), 1, at(0));
        let folder = start.await.unwrap();
        (account, lease, folder)
    }

    /// Every event, numbered.
    pub async fn events(&self) -> Vec<motion_email::model::RecordedEvent> {
        while self.store.events_number(1000).await.unwrap() > 0 {}
        self.store.event_list(0, None, 100_000).await.unwrap()
    }

    /// The kinds of all events.
    pub async fn event_kinds(&self) -> Vec<&'static str> {
        let events = self.events().await;
        events.iter().map(|event| event.kind.as_str()).collect()
    }
}

pub fn new_account(key: &str, list: ListId) -> NewAccount {
    NewAccount {
        name: format!("Account {key}"),
        key: AccountKey::parse(key).unwrap(),
        address: EmailAddress::parse("box@corp.example").unwrap(),
        list,
        service: Service::Custom,
        authentication: Authentication::Password {
            user: "box".to_owned(),
            password: SecretString::from("pass-W0rd"),
        },
        imap: Server::new("imap.corp.example", 993, TlsMode::Tls),
        smtp: Server::new("smtp.corp.example", 587, TlsMode::StartTls),
        proxy: motion_email::model::ProxyChoice::Process,
        backfill: Backfill::Since(at(-5)),
        folders: motion_email::model::Folders::default(),
    }
}

pub fn new_provider(name: &str) -> NewCloudProvider {
    NewCloudProvider {
        tenant_id: "tenant".to_owned(),
        client_secret: SecretString::from("client-s3cret"),
        redirect_uri: "https://x.example/cb".to_owned(),
        scope_host: Some("https://outlook.office.com".to_owned()),
        ..NewCloudProvider::new(
            name,
            motion_email::model::CloudService::MicrosoftAzure,
            "app",
        )
    }
}

pub fn cursor(next: u64) -> Cursor {
    Cursor {
        validity: UidValidity::new(7).unwrap(),
        generation: Generation(0),
        next,
    }
}

/// A mail whose bytes differ by its text.
pub fn mail(uid: u32, text: &str) -> NewMessage {
    let bytes = Bytes::from(format!("Subject: {text}\r\n\r\n{text}\r\n"));
    NewMessage {
        uid: Uid::new(uid).unwrap(),
        internal_date: at(1),
        size: bytes.len() as u64,
        sha256: Sha256::digest(&bytes).into(),
        raw: RawMail::Row(bytes.to_vec()),
        parsed: Ok(ParsedMail {
            message_id: Some(format!("{text}@mail.example")),
            subject: text.to_owned(),
            from: Mailbox {
                name: String::new(),
                address: "Anna@Customer.example".to_owned(),
            },
            text: Some(text.to_owned()),
            ..ParsedMail::default()
        }),
    }
}

/// `mails` as one batch that starts at `next` and ends behind its last UID.
pub fn batch(folder: &FolderRow, list: ListId, next: u64, mails: Vec<NewMessage>) -> IngestBatch {
    let last = mails
        .last()
        .map_or(next, |mail| u64::from(mail.uid.get()) + 1);
    IngestBatch {
        folder: folder.id,
        expect: Cursor {
            next,
            ..folder.cursor
        },
        next: last,
        items: mails
            .into_iter()
            .map(|mail| IngestItem::Message(Box::new(mail)))
            .collect(),
        list,
        audit: None,
    }
}

/// A message to `recipients` addresses.
pub fn outgoing(account: &Account, key: Option<&str>, recipients: usize) -> NewOutgoing {
    NewOutgoing {
        account: account.id,
        idempotency_key: key.map(ToOwned::to_owned),
        request_hash: [7; 32],
        message_id: format!("{}@corp.example", uuid::Uuid::new_v4()),
        subject: "Offer".to_owned(),
        envelope_from: EmailAddress::parse("box@corp.example").unwrap(),
        recipients: (0..recipients)
            .map(|n| {
                let address = EmailAddress::parse(&format!("r{n}@there.example")).unwrap();
                (RecipientKind::To, address)
            })
            .collect(),
        raw: RawMail::Row(b"frozen".to_vec()),
        size: 6,
        interaction: None,
        send_at: None,
        expires_after: Duration::from_secs(3600),
    }
}
