//! The few places where the engines need different words.

use super::{Engine, many::Many, pool::Purpose};
use crate::model::LaneName;

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

/// [`event_insert`] for many.
pub(super) fn events_insert(engine: Engine) -> Many {
    Many {
        head: "INSERT INTO events (kind, account_id, provider_id, once_key, payload, created_at) VALUES ",
        row: "(?, ?, ?, ?, ?, ?)",
        tail: match engine {
            Engine::Sqlite => " ON CONFLICT (once_key) DO NOTHING",
            Engine::MariaDb => " ON DUPLICATE KEY UPDATE once_key = once_key",
        },
    }
}

/// Appearances; one that is there already (a folder read again from an earlier UID) now shows the message
/// seen last.
pub(super) fn instances_put(engine: Engine) -> Many {
    Many {
        head: "INSERT INTO mail_instances (folder_id, uidvalidity, generation, uid, message_id) VALUES ",
        row: "(?, ?, ?, ?, ?)",
        tail: match engine {
            Engine::Sqlite => {
                " ON CONFLICT (folder_id, uidvalidity, generation, uid) DO UPDATE SET message_id = excluded.message_id"
            }
            Engine::MariaDb => " ON DUPLICATE KEY UPDATE message_id = VALUES(message_id)",
        },
    }
}

/// Last contacts from a JSON list of `[account, inbound, outbound]`. A time only grows, but one that lies
/// behind the bound (twice the second value) was written by a wrong clock and gives way.
pub(super) fn contacts_put(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => {
            "INSERT INTO lane_contacts (account_id, inbound_at, outbound_at) SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]') FROM json_each(?) WHERE 1 = 1 ON CONFLICT (account_id) DO UPDATE SET inbound_at = CASE WHEN lane_contacts.inbound_at <= ? AND lane_contacts.inbound_at >= excluded.inbound_at THEN lane_contacts.inbound_at ELSE COALESCE(excluded.inbound_at, lane_contacts.inbound_at) END, outbound_at = CASE WHEN lane_contacts.outbound_at <= ? AND lane_contacts.outbound_at >= excluded.outbound_at THEN lane_contacts.outbound_at ELSE COALESCE(excluded.outbound_at, lane_contacts.outbound_at) END"
        }
        Engine::MariaDb => {
            "INSERT INTO lane_contacts (account_id, inbound_at, outbound_at) SELECT fresh.account, fresh.inbound, fresh.outbound FROM JSON_TABLE(?, '$[*]' COLUMNS (account BIGINT PATH '$[0]', inbound BIGINT PATH '$[1]', outbound BIGINT PATH '$[2]')) AS fresh ON DUPLICATE KEY UPDATE inbound_at = CASE WHEN lane_contacts.inbound_at <= ? AND lane_contacts.inbound_at >= VALUES(inbound_at) THEN lane_contacts.inbound_at ELSE COALESCE(VALUES(inbound_at), lane_contacts.inbound_at) END, outbound_at = CASE WHEN lane_contacts.outbound_at <= ? AND lane_contacts.outbound_at >= VALUES(outbound_at) THEN lane_contacts.outbound_at ELSE COALESCE(VALUES(outbound_at), lane_contacts.outbound_at) END"
        }
    }
}

/// Marks the silence of an account's server as announced.
pub(super) fn stale_put(engine: Engine, lane: LaneName) -> &'static str {
    match (engine, lane) {
        (Engine::Sqlite, LaneName::Outbound) => {
            "INSERT INTO lane_contacts (account_id, outbound_stale_since) VALUES (?, ?) ON CONFLICT (account_id) DO UPDATE SET outbound_stale_since = excluded.outbound_stale_since"
        }
        (Engine::MariaDb, LaneName::Outbound) => {
            "INSERT INTO lane_contacts (account_id, outbound_stale_since) VALUES (?, ?) ON DUPLICATE KEY UPDATE outbound_stale_since = VALUES(outbound_stale_since)"
        }
        (Engine::Sqlite, LaneName::Inbound) => {
            "INSERT INTO lane_contacts (account_id, stale_since) VALUES (?, ?) ON CONFLICT (account_id) DO UPDATE SET stale_since = excluded.stale_since"
        }
        (Engine::MariaDb, LaneName::Inbound) => {
            "INSERT INTO lane_contacts (account_id, stale_since) VALUES (?, ?) ON DUPLICATE KEY UPDATE stale_since = VALUES(stale_since)"
        }
    }
}
