//! The engines themselves: schema, what is refused at open, a server that vanishes.

use std::{
    os::unix::fs::{MetadataExt, PermissionsExt},
    time::Duration,
};

use motion_email::store::{Enqueued, OpenError, Store, StoreError};
use secrecy::{ExposeSecret, SecretString};
use sqlx::{Connection, Row};
use tokio::time::{Instant, timeout};

use super::{
    bench::{ALL, Bench, Ground, Kind, at, new_provider, outgoing},
    commit_thief::CommitThief,
    private_server::PrivateServer,
};
use crate::support::{Lab, eventually, tcp_gate::TcpGate};

pub async fn tables_have_only_portable_columns_and_every_table_has_a_primary_key(
    bench: &mut Bench,
) {
    let columns = match bench.kind {
        Kind::Sqlite => {
            "SELECT m.name || '.' || p.name || ' ' || p.type FROM sqlite_master m JOIN pragma_table_info(m.name) p WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' ORDER BY 1"
        }
        Kind::MariaDb => {
            "SELECT CAST(CONCAT(table_name, '.', column_name, ' ', data_type) AS CHAR) FROM information_schema.columns WHERE table_schema = DATABASE() ORDER BY 1"
        }
    };
    let found = bench.texts(columns).await;
    assert!(found.len() > 150, "{found:?}");
    for column in &found {
        let (_, kind) = column.split_once(' ').unwrap();
        let kind = kind.to_ascii_uppercase();
        let bare = kind.split('(').next().unwrap();
        let good = match bench.kind {
            Kind::Sqlite => ["BIGINT", "INTEGER", "VARCHAR", "TEXT", "BLOB"].contains(&bare),
            Kind::MariaDb => ["BIGINT", "VARCHAR", "MEDIUMTEXT", "MEDIUMBLOB"].contains(&bare),
        };
        assert!(good, "{column}");
    }
    // Both engines have the same tables and columns.
    let mut names: Vec<&str> = found
        .iter()
        .map(|text| text.split(' ').next().unwrap())
        .collect();
    names.sort_unstable();
    let expected = include_str!("../../../src/store/migrations/sqlite/0001_first.sql");
    let mut listed = Vec::new();
    let mut table = "";
    for line in expected.lines() {
        if let Some(rest) = line.strip_prefix("CREATE TABLE IF NOT EXISTS ") {
            table = rest.trim_end_matches(" (");
        } else if let Some(column) = line.strip_prefix("    ")
            && column.starts_with(|first: char| first.is_ascii_lowercase())
        {
            listed.push(format!("{table}.{}", column.split(' ').next().unwrap()));
        }
    }
    listed.sort_unstable();
    assert_eq!(names, listed);

    let keyless = match bench.kind {
        Kind::Sqlite => {
            "SELECT m.name FROM sqlite_master m WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND NOT EXISTS (SELECT 1 FROM pragma_table_info(m.name) p WHERE p.pk > 0)"
        }
        Kind::MariaDb => {
            "SELECT CAST(t.table_name AS CHAR) FROM information_schema.tables t WHERE t.table_schema = DATABASE() AND NOT EXISTS (SELECT 1 FROM information_schema.table_constraints c WHERE c.table_schema = t.table_schema AND c.table_name = t.table_name AND c.constraint_type = 'PRIMARY KEY')"
        }
    };
    assert_eq!(bench.texts(keyless).await, Vec::<String>::new());
    if bench.kind == Kind::MariaDb {
        let loose = "SELECT CAST(CONCAT(table_name, '.', column_name, ' ', collation_name) AS CHAR) FROM information_schema.columns WHERE table_schema = DATABASE() AND collation_name NOT IN ('utf8mb4_bin', 'ascii_bin')";
        assert_eq!(bench.texts(loose).await, Vec::<String>::new());
        let engines = "SELECT CAST(table_name AS CHAR) FROM information_schema.tables WHERE table_schema = DATABASE() AND engine <> 'InnoDB'";
        assert_eq!(bench.texts(engines).await, Vec::<String>::new());
    }
}

async fn foreign_and_newer_tables(kind: Kind) {
    let ground = Ground::new(kind).await;
    ground
        .sql("CREATE TABLE users (id BIGINT PRIMARY KEY)")
        .await;
    let text = ground.refusal().await;
    assert!(
        text.contains("users") && text.contains("database of its own"),
        "{text}"
    );
    ground.sql("DROP TABLE users").await;
    // One of our names without our history is not ours either.
    ground
        .sql("CREATE TABLE events (id BIGINT PRIMARY KEY)")
        .await;
    assert!(ground.refusal().await.contains("events"));
    ground.sql("DROP TABLE events").await;
    // A crash after any number of statements of the first migration: opening again completes it.
    ground
        .sql("CREATE TABLE schema_migrations (number BIGINT NOT NULL PRIMARY KEY)")
        .await;
    let mut bench = ground.open().await;
    bench.store.list_add("x", at(0)).await.unwrap();
    bench.sql("DELETE FROM schema_migrations").await;
    bench.crash().await;
    assert_eq!(bench.store.list_list(ALL).await.unwrap().count, 1);
    bench
        .sql("CREATE TABLE stranger (id BIGINT PRIMARY KEY)")
        .await;
    let Err(OpenError::Refused(text)) = Store::open(&bench.settings).await.map(drop) else {
        panic!("a stranger was taken in");
    };
    assert!(text.contains("stranger"), "{text}");
    bench
        .sql("INSERT INTO schema_migrations (number) VALUES (99)")
        .await;
    let Err(OpenError::Refused(text)) = Store::open(&bench.settings).await.map(drop) else {
        panic!("a newer schema was opened");
    };
    assert!(text.contains("version 99"), "{text}");
    bench.end().await;
}

#[tokio::test]
async fn foreign_and_newer_tables_are_refused_on_sqlite() {
    foreign_and_newer_tables(Kind::Sqlite).await;
}

#[tokio::test]
async fn foreign_and_newer_tables_are_refused_on_mariadb() {
    foreign_and_newer_tables(Kind::MariaDb).await;
}

#[tokio::test]
async fn a_database_with_secrets_opens_only_with_its_key() {
    let mut bench = Bench::new(Kind::Sqlite).await;
    let key = bench.settings.key_file.clone();
    assert_eq!(std::fs::metadata(&key).unwrap().mode() & 0o777, 0o600);
    let file = bench.directory.path().join("store.db");
    assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    // Without any secret another key is as good.
    std::fs::remove_file(&key).unwrap();
    bench.crash().await;
    bench
        .store
        .provider_add(&new_provider("Motion"), at(0))
        .await
        .unwrap();
    bench.crash().await;

    let refusal = async |settings: &motion_email::store::Settings| match Store::open(settings)
        .await
        .map(drop)
    {
        Err(OpenError::Refused(text)) => text,
        other => panic!("{other:?}"),
    };
    let right = std::fs::read(&key).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(refusal(&bench.settings).await.contains("chmod 600"));
    std::fs::remove_file(&key).unwrap();
    let text = refusal(&bench.settings).await;
    assert!(
        text.contains("missing") && text.contains("restore"),
        "{text}"
    );
    assert!(!key.exists(), "no new key is made over sealed secrets");
    // Another key.
    let other = Bench::new(Kind::Sqlite).await;
    std::fs::copy(&other.settings.key_file, &key).unwrap();
    let text = refusal(&bench.settings).await;
    assert!(text.contains("right key file"), "{text}");
    std::fs::write(&key, right).unwrap();
    bench.crash().await;
    assert_eq!(bench.store.provider_list(ALL).await.unwrap().count, 1);
    other.end().await;
    bench.end().await;
}

/// Bad input 65: wrong settings of the server, one clear line each.
#[tokio::test]
async fn a_mariadb_that_loses_commits_is_refused_with_the_lines_that_cure_it() {
    let server = PrivateServer::start(&[
        "--innodb-flush-log-at-trx-commit=2",
        "--max-allowed-packet=1M",
        "--character-set-server=latin1",
    ])
    .await;
    let ground = Ground::new(Kind::Sqlite).await;
    let mut settings = ground.settings.clone();
    settings.url = SecretString::from(server.url("test"));
    server.run("CREATE DATABASE IF NOT EXISTS test").await;
    let Err(OpenError::Refused(text)) = Store::open(&settings).await.map(drop) else {
        panic!("it opened");
    };
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(
        lines[0].contains("SET GLOBAL innodb_flush_log_at_trx_commit = 1"),
        "{text}"
    );
    assert!(lines[1].contains("SET GLOBAL max_allowed_packet"), "{text}");
    assert!(lines[2].contains("CHARACTER SET utf8mb4"), "{text}");

    // What the lines say is enough.
    server
        .run("SET GLOBAL innodb_flush_log_at_trx_commit = 1")
        .await;
    server.run("SET GLOBAL max_allowed_packet = 67108864").await;
    server
        .run("ALTER DATABASE test CHARACTER SET utf8mb4")
        .await;
    Store::open(&settings).await.map(drop).unwrap();

    // A server that is not there is no refusal: it may come.
    server.end().await;
    let answer = Store::open(&settings).await.map(drop);
    assert!(
        matches!(answer, Err(OpenError::Unreachable { .. })),
        "{answer:?}"
    );
}

/// A server that hangs without a word: every call ends in time, and work goes on when it is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mariadb_that_vanishes_is_waited_for_within_bounds_and_used_again() {
    let lab = Lab::load();
    let gate = TcpGate::open("127.0.0.1", lab.port("MARIADB_PORT")).await;
    let mut ground = Ground::new(Kind::MariaDb).await;
    let direct = ground.settings.url.expose_secret().to_owned();
    let through = direct.replace(
        &format!(":{}/", lab.port("MARIADB_PORT")),
        &format!(":{}/", gate.port),
    );
    assert_ne!(direct, through);
    ground.settings.url = SecretString::from(through);
    ground.settings.patience = Duration::from_millis(700);
    let bench = ground.open().await;
    let store = &bench.store;
    store.list_add("before", at(0)).await.unwrap();
    store.list_list(ALL).await.unwrap();

    gate.shut();
    let begun = Instant::now();
    let names: Vec<String> = (0..200).map(|n| format!("during {n}")).collect();
    let writes =
        futures_util::future::join_all(names.iter().map(|name| store.list_add(name, at(1))));
    let reads = futures_util::future::join_all((0..20).map(|_| store.list_list(ALL)));
    let (writes, reads) = timeout(Duration::from_secs(30), async {
        tokio::join!(writes, reads)
    })
    .await
    .expect("nobody waits for ever");
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    for answer in writes {
        let known = matches!(
            answer,
            Err(StoreError::Unavailable { .. } | StoreError::OutcomeUnknown { .. })
        );
        assert!(known, "{answer:?}");
    }
    assert!(
        reads
            .iter()
            .all(|answer| matches!(answer, Err(StoreError::Unavailable { .. })))
    );

    gate.reopen();
    let begun = Instant::now();
    let mut last = None;
    while begun.elapsed() < Duration::from_secs(20) {
        match store.list_add("after", at(2)).await {
            Ok(_) | Err(StoreError::Taken { .. }) => {
                last = None;
                break;
            }
            Err(error) => last = Some(error),
        }
    }
    assert!(last.is_none(), "{last:?}");
    assert!(
        store
            .list_list(ALL)
            .await
            .unwrap()
            .rows
            .iter()
            .any(|list| list.name == "after")
    );
    bench.end().await;
}

/// COMMIT arrives, its answer does not: the caller is told that nobody knows, and looking shows it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_to_a_commit_is_an_unknown_outcome_and_asking_again_finds_it() {
    let lab = Lab::load();
    let thief = CommitThief::open(lab.port("MARIADB_PORT")).await;
    let mut ground = Ground::new(Kind::MariaDb).await;
    let direct = ground.settings.url.expose_secret().to_owned();
    let through = direct.replace(
        &format!(":{}/", lab.port("MARIADB_PORT")),
        &format!(":{}/", thief.port),
    );
    ground.settings.url = SecretString::from(through);
    let bench = ground.open().await;
    let (account, _) = bench.account("AAA").await;
    let message = outgoing(&account, Some("key"), 1);
    thief.arm();
    let lost = bench.store.outbox_enqueue(&message, at(1)).await;
    assert!(
        matches!(lost, Err(StoreError::OutcomeUnknown { .. })),
        "{lost:?}"
    );
    let again = bench.store.outbox_enqueue(&message, at(2)).await.unwrap();
    assert!(matches!(again, Enqueued::Repeated(_)), "{again:?}");
    assert_eq!(bench.number("SELECT COUNT(*) FROM mail_outbox").await, 1);
    bench.end().await;
}

/// Error 1205: the engine rolls us back to let somebody else pass; we do it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_has_to_let_another_pass_is_done_again() {
    let server = PrivateServer::start(&["--character-set-server=utf8mb4"]).await;
    server.run("CREATE DATABASE ours").await;
    let ground = Ground::new(Kind::Sqlite).await;
    let mut settings = ground.settings.clone();
    settings.url = SecretString::from(server.url("ours"));
    let (store, writer) = Store::open(&settings).await.unwrap();
    let stop = tokio_util::sync::CancellationToken::new();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(writer.run(stop.clone()));

    let mut other = sqlx::AnyConnection::connect(&server.url("ours"))
        .await
        .unwrap();
    for statement in [
        "BEGIN",
        "UPDATE store_facts SET value = 'x' WHERE name = 'ping'",
    ] {
        sqlx::raw_sql(statement).execute(&mut other).await.unwrap();
    }
    // Not innodb_trx: it shows old rows to whoever asks more often than every 100 ms.
    let lock_waits = async || {
        let mut root = sqlx::AnyConnection::connect(&server.url("mysql"))
            .await
            .unwrap();
        let query = "SELECT CAST(variable_value AS CHAR) AS n FROM information_schema.global_status WHERE variable_name = 'INNODB_ROW_LOCK_WAITS'";
        let row = sqlx::raw_sql(query).fetch_one(&mut root).await.unwrap();
        root.close().await.unwrap();
        row.try_get::<String, _>("n")
            .unwrap()
            .parse::<u32>()
            .unwrap()
    };
    let before = lock_waits().await;
    let ping = store.ping(at(1));
    let meanwhile = async {
        eventually("a second try", Duration::from_secs(30), || async {
            match lock_waits().await - before {
                2.. => Ok(()),
                tries => Err(format!("{tries} tries")),
            }
        })
        .await;
        sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    };
    let (ping, ()) = tokio::join!(ping, meanwhile);
    ping.unwrap();
    stop.cancel();
    tasks.join_next().await.unwrap().unwrap();
    server.end().await;
}

/// Another process holds the file: nothing is written, and work goes on when it lets go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_file_is_waited_for_and_then_said_to_be_unavailable() {
    let bench = Bench::new(Kind::Sqlite).await;
    let url = bench.settings.url.expose_secret();
    let mut other = sqlx::AnyConnection::connect(url).await.unwrap();
    sqlx::raw_sql("BEGIN IMMEDIATE")
        .execute(&mut other)
        .await
        .unwrap();
    let locked = bench.store.list_add("x", at(0)).await;
    assert!(
        matches!(locked, Err(StoreError::Unavailable { .. })),
        "{locked:?}"
    );
    assert_eq!(
        bench.store.list_list(ALL).await.unwrap().count,
        0,
        "reading goes on"
    );
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    bench.store.list_add("x", at(0)).await.unwrap();
    bench.end().await;
}

/// How many mails a second go in on this machine; printed, and held to a floor that any machine has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_goes_in_by_the_hundreds_a_second() {
    for kind in [Kind::Sqlite, Kind::MariaDb] {
        let bench = Bench::new(kind).await;
        let mut boxes = Vec::new();
        for n in 0..8 {
            boxes.push(bench.inbox(&format!("A{n}")).await);
        }
        let begun = Instant::now();
        let feeds = boxes.iter().map(|(account, lease, folder)| async {
            for round in 0..10_u32 {
                let first = round * 25 + 1;
                let mails = (first..first + 25)
                    .map(|uid| super::bench::mail(uid, &format!("{uid} of {}", account.id)))
                    .collect();
                let wanted =
                    super::bench::batch(folder, account.entered.list, u64::from(first), mails);
                bench.store.ingest(lease, wanted, at(2)).await.unwrap();
            }
        });
        futures_util::future::join_all(feeds).await;
        let speed = 2_000.0 / begun.elapsed().as_secs_f64();
        println!("{kind:?}: {speed:.0} mails a second");
        assert!(speed > 100.0, "{kind:?}: {speed:.0} mails a second");
        bench.end().await;
    }
}
