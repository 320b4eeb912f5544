//! Opening the catalogue: connections, and tables brought up to date.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;
use std::{fs, io};

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, Connection};

use super::{Catalog, failed};
use crate::error::{Error, Result};

/// Migrations of SQLite in order; the number applied is its `user_version`.
const SQLITE: [&str; 7] = [
    include_str!("../../migrations/sqlite/0001_init.sql"),
    include_str!("../../migrations/sqlite/0002_query.sql"),
    include_str!("../../migrations/sqlite/0003_resumed.sql"),
    include_str!("../../migrations/sqlite/0004_schemas.sql"),
    include_str!("../../migrations/sqlite/0005_events.sql"),
    include_str!("../../migrations/sqlite/0006_bounds.sql"),
    include_str!("../../migrations/sqlite/0007_metadata.sql"),
];

/// Migrations of Postgres in order; the table `version` tells the number applied.
const POSTGRES: [&str; 1] = [include_str!("../../migrations/postgres/0001_init.sql")];

/// SQLite's `application_id` of a catalogue that does not have all that the store has yet.
pub(super) const FILLING: i32 = i32::from_be_bytes(*b"MoFi");

/// Rows that SQLite's thread has ready before they are taken: switching threads costs more than a row.
const READ_AHEAD_ROWS: usize = 1024;

/// How long an answer of the database is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

impl Catalog {
    /// Opens or creates the file. The flag tells that it is new: the caller fills it and says so by
    /// [`Self::filled`]. One that was not filled to the end is made anew.
    pub(crate) async fn open_file(file: &Path) -> Result<(Self, bool)> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(PATIENCE);
        let mut writer = connect_writer(&options).await?;
        let mark: i32 =
            sqlx::query_scalar("PRAGMA application_id").fetch_one(&writer).await.map_err(opening)?;
        if mark == FILLING {
            writer.close().await;
            remove(file).map_err(|e| Error::internal("removing an incomplete catalogue", e))?;
            writer = connect_writer(&options).await?;
        }
        let new = migrate_sqlite(&writer).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(4)
            // A file does not go away; asking costs as much as a small question.
            .test_before_acquire(false)
            .connect_with(options.read_only(true).row_buffer_size(READ_AHEAD_ROWS))
            .await
            .map_err(opening)?;
        Ok((Self::new(readers.into(), writer.into()), new))
    }

    /// Opens the database at a `postgres://` URL; only tables of `schema` are touched. The flag tells that our tables were not there yet.
    ///
    /// # Errors
    /// [`Error::Startup`] if the schema's name is not plain, the URL is malformed or nobody answers there; the URL's password is not repeated.
    pub(crate) async fn open_postgres(url: &str, schema: &str, connections: u32) -> Result<(Self, bool)> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if schema.is_empty() || schema.len() > 60 || !schema.chars().all(plain) {
            return Err(Error::Startup(format!(
                "the database schema `{schema}` is not made of a-z, 0-9 and _"
            )));
        }
        let options = PgConnectOptions::from_str(url)
            .map_err(|_| {
                Error::Startup("the database URL is malformed; write postgres://user@host/database".into())
            })?
            .application_name("mosaicod")
            .options([("search_path", schema)]);
        let place = format!("{}:{}", options.get_host(), options.get_port());
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(PATIENCE)
            .connect_with(options)
            .await
            .map_err(|e| Error::Startup(format!("the database at {place} cannot be used: {e}")))?;
        let new = migrate_postgres(&pool, schema).await?;
        Ok((Self::new(pool.clone().into(), pool.into()), new))
    }
}

async fn connect_writer(options: &SqliteConnectOptions) -> Result<SqlitePool> {
    SqlitePoolOptions::new()
        .max_connections(1)
        // SQLite ends a transaction itself when the disk is full; sqlx then believes that it is still open.
        .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
        .connect_with(options.clone())
        .await
        .map_err(opening)
}

/// Removes the file with those that SQLite keeps beside it; the main one last, so that no log outlives it.
fn remove(file: &Path) -> io::Result<()> {
    for ending in ["-wal", "-shm", ""] {
        let mut name = file.as_os_str().to_owned();
        name.push(ending);
        match fs::remove_file(name) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    Ok(())
}

fn opening(e: sqlx::Error) -> Error {
    Error::internal("opening the catalogue", e)
}

/// The migrations that are missing, with the number that each leads to.
fn missing(
    all: &'static [&'static str],
    applied: i64,
) -> Result<impl Iterator<Item = (usize, &'static str)>> {
    let applied = usize::try_from(applied).unwrap_or(usize::MAX);
    if applied > all.len() {
        return Err(Error::Startup(format!(
            "the catalogue has version {applied}, this program knows up to {}; use a newer program",
            all.len()
        )));
    }
    Ok(all.iter().enumerate().skip(applied).map(|(index, migration)| (index + 1, *migration)))
}

/// Applies what is missing; tells whether nothing was there.
async fn migrate_sqlite(pool: &SqlitePool) -> Result<bool> {
    let applied: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(pool).await.map_err(failed)?;
    for (number, migration) in missing(&SQLITE, applied)? {
        let mut transaction = pool.begin().await.map_err(failed)?;
        sqlx::raw_sql(migration).execute(&mut *transaction).await.map_err(failed)?;
        let version = AssertSqlSafe(format!("PRAGMA user_version = {number}"));
        sqlx::raw_sql(version).execute(&mut *transaction).await.map_err(failed)?;
        if number == 1 {
            let filling = AssertSqlSafe(format!("PRAGMA application_id = {FILLING}"));
            sqlx::raw_sql(filling).execute(&mut *transaction).await.map_err(failed)?;
        }
        transaction.commit().await.map_err(failed)?;
    }
    Ok(applied == 0)
}

/// Applies what is missing, in one transaction that only one daemon is in; tells whether nothing was there. Tables that
/// were not filled to the end are made anew.
async fn migrate_postgres(pool: &PgPool, schema: &str) -> Result<bool> {
    let mut connection = pool.acquire().await.map_err(failed)?;
    let mut transaction = connection.begin().await.map_err(failed)?;
    sqlx::raw_sql("SELECT pg_advisory_xact_lock(7293014)")
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
    let filling: Option<i64> =
        match sqlx::query_scalar("SELECT 1::bigint WHERE to_regclass('filling') IS NOT NULL")
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed)?
        {
            Some(1_i64) => sqlx::query_scalar("SELECT 1::bigint FROM filling LIMIT 1")
                .fetch_optional(&mut *transaction)
                .await
                .map_err(failed)?,
            _ => None,
        };
    let forget = if filling.is_some() { format!("DROP SCHEMA {schema} CASCADE; ") } else { String::new() };
    let prepare = format!(
        "{forget}CREATE SCHEMA IF NOT EXISTS {schema}; CREATE TABLE IF NOT EXISTS version (applied BIGINT NOT NULL)"
    );
    sqlx::raw_sql(AssertSqlSafe(prepare)).execute(&mut *transaction).await.map_err(failed)?;
    let applied: Option<i64> = sqlx::query_scalar("SELECT max(applied) FROM version")
        .fetch_one(&mut *transaction)
        .await
        .map_err(failed)?;
    let applied = applied.unwrap_or(0);
    for (number, migration) in missing(&POSTGRES, applied)? {
        sqlx::raw_sql(migration).execute(&mut *transaction).await.map_err(failed)?;
        let done = AssertSqlSafe(format!("INSERT INTO version (applied) VALUES ({number})"));
        sqlx::raw_sql(done).execute(&mut *transaction).await.map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)?;
    Ok(applied == 0)
}

#[cfg(test)]
mod tests {
    use mosaico_types::ErrorKind;

    use super::super::sql::{Connections, query};
    use super::*;
    use crate::id::SequenceId;

    #[tokio::test]
    async fn one_that_is_outdated_is_made_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("catalog.db");
        for (outdated, new) in [(false, true), (true, false), (false, true), (false, false)] {
            let (catalog, is_new) = Catalog::open_file(&file).await.expect("a catalogue");
            assert_eq!(is_new, new);
            catalog.filled().await.expect("a mark");
            if outdated {
                catalog.outdated().await.expect("a mark");
            }
            catalog.close().await;
        }
    }

    #[tokio::test]
    async fn a_full_disk_is_told_apart_and_passes() {
        let folder = tempfile::tempdir().expect("a folder");
        let (catalog, _) = Catalog::open_file(&folder.path().join("catalog.db")).await.expect("a catalogue");
        let pages = |count: u32| sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {count}"));
        let Connections::Sqlite(writer) = &catalog.writer.connections else {
            unreachable!("a file is SQLite")
        };
        sqlx::raw_sql(pages(1)).execute(writer).await.expect("a limit");
        let error = loop {
            let mut transaction = catalog.transaction().await.expect("a transaction");
            let filler = query("INSERT INTO pending (sequence_id) VALUES (hex(zeroblob(10000)))");
            if let Err(error) = filler.execute(&mut transaction).await {
                break failed(error);
            }
            transaction.commit().await.expect("room");
        };
        assert_eq!(error.kind(), ErrorKind::ResourceExhausted, "{error}");
        sqlx::raw_sql(pages(1_000_000)).execute(writer).await.expect("no limit");
        catalog.transaction().await.expect("a transaction after the failed one");
        assert!(catalog.begin(SequenceId::generate()).await.is_ok());
    }
}
