//! Makes and updates the tables. Every statement may run twice: MariaDB commits each one by itself, so
//! a crash half-way just starts again at the same number.

use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::{Engine, OpenError, check};

/// One step of the schema's history.
struct Migration {
    number: i64,
    sqlite: &'static str,
    mariadb: &'static str,
}

const MIGRATIONS: &[Migration] = &[Migration {
    number: 1,
    sqlite: include_str!("migrations/sqlite/0001_first.sql"),
    mariadb: include_str!("migrations/mariadb/0001_first.sql"),
}];

const HISTORY: &str = "schema_migrations";

impl Migration {
    fn statements(&self, engine: Engine) -> impl Iterator<Item = &'static str> {
        let text = match engine {
            Engine::Sqlite => self.sqlite,
            Engine::MariaDb => self.mariadb,
        };
        text.split(";\n").map(str::trim).filter(|part| {
            part.lines()
                .any(|line| !line.trim().is_empty() && !line.trim_start().starts_with("--"))
        })
    }

    /// The tables it makes.
    fn tables(&self, engine: Engine) -> impl Iterator<Item = &'static str> {
        self.statements(engine).filter_map(|statement| {
            let (_, rest) = statement.split_once("CREATE TABLE IF NOT EXISTS ")?;
            rest.split([' ', '(']).next()
        })
    }
}

/// Brings the tables up to date, alone: SQLite in one exclusive transaction, MariaDB under a lock of
/// its own (sqlx's waits for NULL and ignores it). Refuses a database that is not ours.
pub(super) async fn run(connection: &mut AnyConnection, engine: Engine) -> Result<(), OpenError> {
    match engine {
        Engine::Sqlite => {
            execute(connection, "BEGIN IMMEDIATE").await?;
            let done = alone(connection, engine).await;
            let end = if done.is_ok() { "COMMIT" } else { "ROLLBACK" };
            execute(connection, end).await?;
            done
        }
        Engine::MariaDb => {
            let lock = "SELECT GET_LOCK(CONCAT('motion-email.', LEFT(DATABASE(), 40)), 60) AS got";
            let got = sqlx::query(lock).fetch_one(&mut *connection).await;
            let got = got.and_then(|row| row.try_get::<Option<i64>, _>("got"));
            let got = got.map_err(|source| OpenError::sql("locking the schema", source))?;
            if got != Some(1) {
                return Err(OpenError::Refused(
                    "another process has been changing the tables for a minute: wait for it, or end it"
                        .to_owned(),
                ));
            }
            let done = alone(connection, engine).await;
            execute(
                connection,
                "DO RELEASE_LOCK(CONCAT('motion-email.', LEFT(DATABASE(), 40)))",
            )
            .await?;
            done
        }
    }
}

async fn alone(connection: &mut AnyConnection, engine: Engine) -> Result<(), OpenError> {
    let done = applied(connection, engine).await?;
    let newest = MIGRATIONS.last().map_or(0, |migration| migration.number);
    if done > newest {
        return Err(OpenError::Refused(format!(
            "the database's tables have version {done}, this program knows up to {newest}: install the newer program again"
        )));
    }
    for migration in MIGRATIONS.iter().filter(|one| one.number > done) {
        for statement in migration.statements(engine) {
            sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))
                .execute(&mut *connection)
                .await
                .map_err(|source| OpenError::sql("making tables", source))?;
        }
        sqlx::query("INSERT INTO schema_migrations (number) VALUES (?)")
            .bind(migration.number)
            .execute(&mut *connection)
            .await
            .map_err(|source| OpenError::sql("noting the schema's version", source))?;
        tracing::info!(number = migration.number, "database tables updated");
    }
    Ok(())
}

/// The newest number that is done; 0 in an empty database.
async fn applied(connection: &mut AnyConnection, engine: Engine) -> Result<i64, OpenError> {
    let there = check::tables(connection, engine).await?;
    let ours = there.iter().any(|name| name == HISTORY);
    let newest = if ours {
        let row = sqlx::query("SELECT COALESCE(MAX(number), 0) AS newest FROM schema_migrations")
            .fetch_one(connection)
            .await;
        row.and_then(|row| row.try_get::<i64, _>("newest"))
            .map_err(|source| OpenError::sql("reading the schema's version", source))?
    } else {
        0
    };
    if newest > MIGRATIONS.last().map_or(0, |migration| migration.number) {
        // Tables that are not known here are most likely ours to come: the caller refuses by number.
        return Ok(newest);
    }
    // A table of one of our names in a database without our history is somebody else's, too: a crash
    // in the very first migration leaves the history first.
    let mut foreign: Vec<&str> = there
        .iter()
        .map(String::as_str)
        .filter(|name| !ours || !is_ours(engine, name))
        .collect();
    if foreign.is_empty() {
        return Ok(newest);
    }
    foreign.truncate(5);
    Err(OpenError::Refused(format!(
        "the database holds tables that are not ours ({}): give motion-email a database of its own",
        foreign.join(", ")
    )))
}

fn is_ours(engine: Engine, name: &str) -> bool {
    MIGRATIONS
        .iter()
        .flat_map(|migration| migration.tables(engine))
        .any(|ours| ours == name)
}

async fn execute(connection: &mut AnyConnection, text: &'static str) -> Result<(), OpenError> {
    let done = sqlx::raw_sql(text).execute(connection).await;
    done.map(|_| ())
        .map_err(|source| OpenError::sql("making tables", source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_engines_have_the_same_tables_in_every_migration() {
        for (index, migration) in MIGRATIONS.iter().enumerate() {
            assert_eq!(migration.number, i64::try_from(index).unwrap() + 1);
            let sqlite: Vec<_> = migration.tables(Engine::Sqlite).collect();
            let mariadb: Vec<_> = migration.tables(Engine::MariaDb).collect();
            assert_eq!(sqlite, mariadb);
        }
        assert_eq!(
            MIGRATIONS[0].tables(Engine::Sqlite).next(),
            Some(HISTORY),
            "the history comes first, so that a crash half-way is recognised as ours"
        );
    }

    #[test]
    fn every_migration_file_is_in_the_list() {
        for engine in ["sqlite", "mariadb"] {
            let folder = format!(
                "{}/src/store/migrations/{engine}",
                env!("CARGO_MANIFEST_DIR")
            );
            let mut files: Vec<String> = std::fs::read_dir(folder)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            files.sort();
            let numbers: Vec<i64> = files
                .iter()
                .map(|name| name.split_once('_').unwrap().0.parse().unwrap())
                .collect();
            let listed: Vec<i64> = MIGRATIONS.iter().map(|one| one.number).collect();
            assert_eq!(numbers, listed, "{engine}");
        }
    }

    #[test]
    fn every_statement_may_run_twice() {
        for migration in MIGRATIONS {
            for engine in [Engine::Sqlite, Engine::MariaDb] {
                for statement in migration.statements(engine) {
                    let repeatable = ["IF NOT EXISTS", "WHERE NOT EXISTS", "INSERT IGNORE"];
                    assert!(
                        repeatable.iter().any(|words| statement.contains(words)),
                        "{statement}"
                    );
                }
            }
        }
    }
}
