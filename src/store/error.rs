//! Why the store could not do a thing, and what the engines' own error numbers mean.

use sqlx::{mysql::MySqlDatabaseError, sqlite::SqliteError};

use crate::model::{AccountId, FailureClass};

/// Why the store did not do a thing.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database did not answer, is full, or is locked: nothing was written.
    #[error("the database is not available while {doing}")]
    Unavailable {
        /// The step, for people.
        doing: &'static str,
        /// What the driver said.
        #[source]
        source: sqlx::Error,
    },
    /// A commit's answer was lost: it may or may not have happened. Look before redoing.
    #[error("the database lost a commit's answer while {doing}")]
    OutcomeUnknown {
        /// The step, for people.
        doing: &'static str,
        /// What the driver said.
        #[source]
        source: sqlx::Error,
    },
    /// The account's lease is not ours any more (I11): nothing was written; stop working for it.
    #[error("the lease of account {account} is gone")]
    LeaseLost {
        /// Whose lease.
        account: AccountId,
    },
    /// A unique key is taken; `what` names it for people ("account key", "provider name").
    #[error("{what} is already taken")]
    Taken {
        /// The key.
        what: &'static str,
    },
    /// The row named by the caller does not exist.
    #[error("no such {what}")]
    Missing {
        /// The kind of row.
        what: &'static str,
    },
    /// The row is used by others and cannot be removed.
    #[error("{what} is in use by {by}")]
    InUse {
        /// The kind of row.
        what: &'static str,
        /// Who uses it.
        by: String,
    },
    /// The row is not in a state that allows it, or was changed meanwhile.
    #[error("{0}")]
    Conflict(String),
    /// A stored row makes no sense (bad state word, secret that does not decrypt): that row's owner is parked.
    #[error("a stored {what} is damaged: {detail}")]
    Damaged {
        /// The kind of row.
        what: &'static str,
        /// Which one, and what is wrong with it; never a secret.
        detail: String,
    },
    /// Any other answer of the database: a bug or a broken schema.
    #[error("the database refused {doing}")]
    Sql {
        /// The step, for people.
        doing: &'static str,
        /// What the driver said.
        #[source]
        source: sqlx::Error,
    },
    /// The writer task has ended (shutdown).
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// Who has to act next.
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Unavailable { .. } | Self::OutcomeUnknown { .. } | Self::Closed => {
                FailureClass::RetryLater
            }
            Self::LeaseLost { .. }
            | Self::Taken { .. }
            | Self::Missing { .. }
            | Self::InUse { .. }
            | Self::Conflict(_) => FailureClass::GiveUp,
            Self::Damaged { .. } | Self::Sql { .. } => FailureClass::OperatorMustAct,
        }
    }

    /// Names what a driver error means for a step that was not being committed.
    pub(super) fn sql(doing: &'static str, source: sqlx::Error) -> Self {
        match Trouble::of(&source) {
            Trouble::Redo | Trouble::Gone | Trouble::Busy => Self::Unavailable { doing, source },
            Trouble::Unique | Trouble::Other => Self::Sql { doing, source },
        }
    }

    /// A unique key was hit: `Taken`; anything else as [`StoreError::sql`].
    pub(super) fn taken(self, what: &'static str) -> Self {
        match &self {
            Self::Sql { source, .. } if Trouble::of(source) == Trouble::Unique => {
                Self::Taken { what }
            }
            _ => self,
        }
    }

    /// The driver's error, where there is one.
    pub(super) fn driver(&self) -> Option<&sqlx::Error> {
        match self {
            Self::Unavailable { source, .. }
            | Self::OutcomeUnknown { source, .. }
            | Self::Sql { source, .. } => Some(source),
            _ => None,
        }
    }

    /// The database's disk, or its own quota, has no room.
    pub fn is_full(&self) -> bool {
        self.driver().is_some_and(is_full)
    }

    /// The same words once more, where it is about the database as a whole and not about one step.
    pub(super) fn about_database(&self) -> Option<Self> {
        match self {
            Self::Unavailable { doing, source } => Some(Self::Unavailable {
                doing,
                source: copy_of(source),
            }),
            Self::OutcomeUnknown { doing, source } => Some(Self::OutcomeUnknown {
                doing,
                source: copy_of(source),
            }),
            _ => None,
        }
    }

    /// A no of ours, not of the database: other steps of the same transaction are not touched by it.
    pub(super) fn is_refusal(&self) -> bool {
        match self {
            Self::LeaseLost { .. }
            | Self::Taken { .. }
            | Self::Missing { .. }
            | Self::InUse { .. }
            | Self::Conflict(_)
            | Self::Damaged { .. } => true,
            Self::Unavailable { .. }
            | Self::OutcomeUnknown { .. }
            | Self::Sql { .. }
            | Self::Closed => false,
        }
    }
}

/// Why the store could not be opened, each with what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Something has to be changed first; the text says what and how.
    #[error("{0}")]
    Refused(String),
    /// The database did not answer; nothing is wrong with the configuration as far as is known.
    #[error("the database did not answer while {doing}")]
    Unreachable {
        /// The step, for people.
        doing: &'static str,
        /// What the driver said.
        #[source]
        source: sqlx::Error,
    },
}

impl OpenError {
    /// Who has to act next.
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Refused(_) => FailureClass::OperatorMustAct,
            Self::Unreachable { .. } => FailureClass::RetryLater,
        }
    }

    pub(super) fn sql(doing: &'static str, source: sqlx::Error) -> Self {
        match Trouble::of(&source) {
            Trouble::Redo | Trouble::Gone | Trouble::Busy => Self::Unreachable { doing, source },
            Trouble::Unique | Trouble::Other => {
                Self::Refused(format!("the database refused {doing}: {source}"))
            }
        }
    }
}

impl From<StoreError> for OpenError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable { doing, source }
            | StoreError::OutcomeUnknown { doing, source } => Self::Unreachable { doing, source },
            StoreError::Sql { doing, source } => {
                Self::Refused(format!("the database refused {doing}: {source}"))
            }
            other => Self::Refused(other.to_string()),
        }
    }
}

/// What a driver error asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Rolled back by the engine to let others pass: the whole transaction may be redone.
    Redo,
    /// The connection is of no more use.
    Gone,
    /// The database cannot work now: full, locked, read-only, shutting down, out of time.
    Busy,
    /// A unique key was hit.
    Unique,
    /// Anything else.
    Other,
}

impl Trouble {
    pub(super) fn of(error: &sqlx::Error) -> Self {
        let sqlx::Error::Database(database) = error else {
            return match error {
                sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::Protocol(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed => Self::Gone,
                _ => Self::Other,
            };
        };
        if database.is_unique_violation() {
            return Self::Unique;
        }
        if let Some(mysql) = database.try_downcast_ref::<MySqlDatabaseError>() {
            return Self::of_mariadb(mysql.number());
        }
        if database.try_downcast_ref::<SqliteError>().is_some() {
            let code = database.code().and_then(|code| code.parse().ok());
            return Self::of_sqlite(code.unwrap_or(1));
        }
        Self::Other
    }

    /// <https://mariadb.com/kb/en/mariadb-error-code-reference/>
    fn of_mariadb(number: u16) -> Self {
        match number {
            // deadlock or certification failure, lock wait timeout, row changed under the snapshot
            1213 | 1205 | 1020 => Self::Redo,
            // shutdown, gone away, lost, killed
            1053 | 1077 | 1079 | 1927 | 2006 | 2013 => Self::Gone,
            // disk full, table full, too many connections, not primary, read-only, out of time
            1021 | 1026 | 1040 | 1041 | 1047 | 1114 | 1180 | 1203 | 1290 | 1317 | 1836 | 1969
            | 3024 => Self::Busy,
            _ => Self::Other,
        }
    }

    /// <https://www.sqlite.org/rescode.html>: the primary code is in the low byte.
    fn of_sqlite(code: i32) -> Self {
        match code & 0xff {
            // IOERR and CORRUPT may pass or not; a new connection looks at the file afresh.
            10 => Self::Gone,
            // BUSY, LOCKED, NOMEM, READONLY, INTERRUPT, FULL, CANTOPEN, PROTOCOL
            5 | 6 | 7 | 8 | 9 | 13 | 14 | 15 => Self::Busy,
            _ => Self::Other,
        }
    }
}

/// Whether the engine says that it has no room. Only its words are left of an error that several steps share.
fn is_full(error: &sqlx::Error) -> bool {
    let text = match error {
        sqlx::Error::Database(database) => database.message().to_owned(),
        sqlx::Error::Protocol(text) => text.clone(),
        _ => return false,
    };
    // SQLITE_FULL; ER_DISK_FULL; ER_RECORD_FILE_FULL ("The table 'x' is full"); ENOSPC in either's words.
    text.contains("database or disk is full")
        || text.contains("Disk full")
        || text.contains("No space left on device")
        || (text.contains("The table '") && text.contains("' is full"))
}

/// The same words once more, for the next of several that have to be told.
pub(super) fn copy_of(error: &sqlx::Error) -> sqlx::Error {
    match error {
        sqlx::Error::Io(io) => sqlx::Error::Io(std::io::Error::new(io.kind(), io.to_string())),
        sqlx::Error::PoolTimedOut => sqlx::Error::PoolTimedOut,
        sqlx::Error::WorkerCrashed => sqlx::Error::WorkerCrashed,
        other => sqlx::Error::Protocol(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_known_by_the_engines_own_words_also_where_several_share_the_error() {
        for (said, full) in [
            (
                "error returned from database: (code: 13) database or disk is full",
                true,
            ),
            (
                "error returned from database: 1114 (HY000): The table 'mail_messages' is full",
                true,
            ),
            (
                "error returned from database: 1021 (HY000): Disk full (/tmp/x); waiting for someone to free some space...",
                true,
            ),
            (
                "error returned from database: (code: 5) database is locked",
                false,
            ),
            (
                "error returned from database: 1062 (23000): Duplicate entry 'Disk is full' for key 'name'",
                false,
            ),
        ] {
            let error = StoreError::Unavailable {
                doing: "storing",
                source: sqlx::Error::Protocol(said.to_owned()),
            };
            assert_eq!(error.is_full(), full, "{said}");
            let copy = error.about_database().unwrap();
            assert_eq!(copy.is_full(), full, "{said}");
        }
        let taken = StoreError::Taken { what: "x" };
        assert!(!taken.is_full() && taken.about_database().is_none());
    }

    #[test]
    fn engine_numbers_are_sorted_by_what_they_ask_for() {
        for (number, expected) in [
            (1213, Trouble::Redo),
            (1205, Trouble::Redo),
            (1020, Trouble::Redo),
            (2013, Trouble::Gone),
            (1047, Trouble::Busy),
            (1114, Trouble::Busy),
            (1064, Trouble::Other),
        ] {
            assert_eq!(Trouble::of_mariadb(number), expected, "{number}");
        }
        for (code, expected) in [
            (5, Trouble::Busy),
            (517, Trouble::Busy),
            (13, Trouble::Busy),
            (10, Trouble::Gone),
            (1, Trouble::Other),
        ] {
            assert_eq!(Trouble::of_sqlite(code), expected, "{code}");
        }
    }
}
