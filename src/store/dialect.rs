//! The few places where the engines need different words.

use super::{Engine, pool::Purpose};

/// What every new connection is told first.
pub(super) fn set_up(engine: Engine, purpose: Purpose) -> &'static [&'static str] {
    match (engine, purpose) {
        (Engine::Sqlite, Purpose::Write) => &[
            "PRAGMA busy_timeout = 5000",
            "PRAGMA journal_mode = WAL",
            // WAL with NORMAL may lose the last commits at power loss.
            "PRAGMA synchronous = FULL",
            "PRAGMA foreign_keys = ON",
            "PRAGMA cache_size = -16000",
        ],
        (Engine::Sqlite, Purpose::Read) => &[
            "PRAGMA busy_timeout = 5000",
            "PRAGMA foreign_keys = ON",
            "PRAGMA query_only = ON",
        ],
        (Engine::MariaDb, purpose) => {
            const COMMON: &[&str] = &[
                "SET SESSION sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,PIPES_AS_CONCAT', innodb_lock_wait_timeout = 5, max_statement_time = 30, time_zone = '+00:00', autocommit = 1",
                "SET SESSION innodb_snapshot_isolation = ON",
                "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
            ];
            const READ: &[&str] = &[
                "SET SESSION sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,PIPES_AS_CONCAT', innodb_lock_wait_timeout = 5, max_statement_time = 30, time_zone = '+00:00', autocommit = 1",
                "SET SESSION innodb_snapshot_isolation = ON",
                "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
            ];
            match purpose {
                Purpose::Write => COMMON,
                Purpose::Read => READ,
            }
        }
    }
}

/// Begins a writing transaction. A deferred one would fail at once with BUSY_SNAPSHOT on SQLite.
pub(super) fn begin(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => "BEGIN IMMEDIATE",
        Engine::MariaDb => "BEGIN",
    }
}

/// The id that the last INSERT of this connection made.
pub(super) fn last_id(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => "SELECT last_insert_rowid() AS id",
        Engine::MariaDb => "SELECT LAST_INSERT_ID() AS id",
    }
}

/// The names of all tables in the database.
pub(super) fn tables(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => {
            "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%'"
        }
        Engine::MariaDb => {
            "SELECT CAST(table_name AS CHAR) AS name FROM information_schema.tables WHERE table_schema = DATABASE()"
        }
    }
}

/// An event that is written at most once: one whose key is there already is left out silently.
pub(super) fn event_insert(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => {
            "INSERT INTO events (kind, account_id, provider_id, once_key, payload, created_at) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (once_key) DO NOTHING"
        }
        Engine::MariaDb => {
            "INSERT INTO events (kind, account_id, provider_id, once_key, payload, created_at) VALUES (?, ?, ?, ?, ?, ?) ON DUPLICATE KEY UPDATE once_key = once_key"
        }
    }
}

/// An appearance; one that is there already (a folder read again from an earlier UID) now shows the
/// message seen last.
pub(super) fn instance_put(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => {
            "INSERT INTO mail_instances (folder_id, uidvalidity, generation, uid, message_id) VALUES (?, ?, ?, ?, ?) ON CONFLICT (folder_id, uidvalidity, generation, uid) DO UPDATE SET message_id = excluded.message_id"
        }
        Engine::MariaDb => {
            "INSERT INTO mail_instances (folder_id, uidvalidity, generation, uid, message_id) VALUES (?, ?, ?, ?, ?) ON DUPLICATE KEY UPDATE message_id = VALUES(message_id)"
        }
    }
}
