//! Opens the catalog: connections and schema migrations.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fmt, fs, io};

use mosaico_storage::error::{Error, Result};
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, Connection};
use tokio::time::timeout;

use crate::catalog::Catalog;
use crate::database_error::failed;
use crate::postgres::{connect, make_durable, postgres_options, unusable};
use crate::recognize::{CatalogFile, FILLING, OwnStore, recognize, refusal, set_aside};

/// Migrations of SQLite in order; the number applied is its `user_version`.
const SQLITE: [&str; 2] = [
    include_str!("../migrations/sqlite/0001_init.sql"),
    include_str!("../migrations/sqlite/0002_pending_record.sql"),
];

/// Migrations of Postgres in order; the table `version` has the number applied.
const POSTGRES: [&str; 4] = [
    include_str!("../migrations/postgres/0001_init.sql"),
    include_str!("../migrations/postgres/0002_daemon_lease.sql"),
    include_str!("../migrations/postgres/0003_store_link.sql"),
    include_str!("../migrations/postgres/0004_pending_record.sql"),
];

/// The name of the SQLite file.
pub const FILE: &str = "catalog.db";

/// Rows that SQLite's thread reads ahead: a thread switch costs more than a row.
const READ_AHEAD_ROWS: usize = 1024;

/// Timeout of a response of the database.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

/// Location of a catalog.
#[derive(Debug, Clone)]
pub enum Database {
    /// A SQLite file.
    File(PathBuf),
    /// Mosaico's tables in a schema of a Postgres database.
    Postgres { url: String, schema: String, connections: u32 },
}

impl Database {
    /// What is at the place of the catalog of a store.
    pub async fn recognize(&self, own: &OwnStore) -> Result<CatalogFile> {
        match self {
            Self::File(file) => recognize(file, own, SQLITE.len() as i64).await,
            Self::Postgres { .. } => Ok(CatalogFile::Usable),
        }
    }

    /// Opens or creates the catalog. The flag is true for a new one: the caller loads it and then calls
    /// [`Catalog::filled`]. A catalog whose bulk load was interrupted is replaced by a new one, and so is one
    /// that is of another store, too old or damaged.
    ///
    /// # Errors
    /// [`Error::NewerFormat`] if a newer version created it; [`Error::Startup`] if the file is a database of
    /// another application, the schema's name is not plain, the URL is malformed or the server does not
    /// respond; the error does not contain the URL's password.
    pub async fn open(&self, own: &OwnStore) -> Result<(Catalog, bool)> {
        self.make_place(own).await?;
        let catalog = self.connect().await?;
        if !catalog.is_filling().await? {
            return Ok((catalog, false));
        }
        if catalog.is_empty().await? {
            return Ok((catalog, true));
        }
        Ok((self.recreate(catalog).await?, true))
    }

    /// Opens a catalog for a bulk load: keeps the contents of an interrupted bulk load, and clears any other
    /// catalog.
    ///
    /// # Errors
    /// As [`Self::open`]; a catalog that cannot be opened is deleted first. One of a newer version stays in a
    /// database, where daemons of that version may use it.
    pub async fn open_to_fill(&self, own: &OwnStore) -> Result<Catalog> {
        self.make_place(own).await?;
        match self.connect().await {
            Ok(catalog) if catalog.is_filling().await? => Ok(catalog),
            Ok(catalog) => self.recreate(catalog).await,
            Err(error @ Error::Startup(_)) => Err(error),
            Err(error @ Error::NewerFormat { .. }) if matches!(self, Self::Postgres { .. }) => Err(error),
            Err(_) => {
                self.forget().await?;
                self.connect().await
            }
        }
    }

    /// Opens an existing catalog for reading; `None` if there is none that is usable, or if its bulk load is
    /// incomplete.
    pub async fn open_filled(&self, own: &OwnStore) -> Result<Option<Catalog>> {
        if self.recognize(own).await? != CatalogFile::Usable {
            return Ok(None);
        }
        let catalog = self.connect().await?;
        if catalog.is_filling().await? {
            catalog.close().await;
            return Ok(None);
        }
        Ok(Some(catalog))
    }

    /// Deletes the contents; the next [`Self::open`] creates a new catalog.
    ///
    /// # Errors
    /// [`Error::Startup`] if the file is a database of another application.
    pub async fn forget(&self) -> Result<()> {
        match self {
            Self::File(file) => match self.recognize(&OwnStore::Unknown).await? {
                CatalogFile::Usable | CatalogFile::Stale(_) => {
                    remove(file).map_err(|e| Error::internal("removing a catalog", e))
                }
                CatalogFile::Missing | CatalogFile::Damaged(_) | CatalogFile::Foreign(_) => {
                    self.make_place(&OwnStore::Unknown).await
                }
            },
            Self::Postgres { url, schema, connections } => {
                let pool = connect_postgres(url, schema, *connections).await?;
                let drop = AssertSqlSafe(format!(
                    "SET statement_timeout = 0; DROP SCHEMA IF EXISTS {schema} CASCADE"
                ));
                let dropped = sqlx::raw_sql(drop).execute(&pool).await;
                pool.close().await;
                dropped.map(|_| ()).map_err(failed)
            }
        }
    }

    /// Removes a file that is no catalog of this store; refuses one that is not ours.
    async fn make_place(&self, own: &OwnStore) -> Result<()> {
        let Self::File(file) = self else { return Ok(()) };
        match self.recognize(own).await? {
            CatalogFile::Missing | CatalogFile::Usable => Ok(()),
            CatalogFile::Stale(why) => {
                tracing::warn!(file = %file.display(), "the catalog {why} and is rebuilt from the store");
                remove(file).map_err(|e| Error::internal("removing a catalog", e))
            }
            CatalogFile::Damaged(why) => {
                let moved = set_aside(file).map_err(|e| Error::internal("moving a damaged catalog", e))?;
                tracing::warn!(
                    file = %file.display(),
                    moved = %moved.display(),
                    "the catalog {why}: it is moved, and rebuilt from the store"
                );
                Ok(())
            }
            CatalogFile::Foreign(what) => Err(refusal(file, &what)),
        }
    }

    async fn recreate(&self, catalog: Catalog) -> Result<Catalog> {
        catalog.close().await;
        self.forget().await?;
        self.connect().await
    }

    /// Connects, creates the catalog if it is missing, and applies migrations.
    async fn connect(&self) -> Result<Catalog> {
        match self {
            Self::File(file) => open_file(file).await,
            Self::Postgres { url, schema, connections } => {
                let pool = connect_postgres(url, schema, *connections).await?;
                migrate_postgres(&pool, schema).await?;
                Ok(Catalog::new(pool.clone().into(), pool.into()))
            }
        }
    }
}

/// The text for messages to people.
impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => write!(f, "{}", file.display()),
            Self::Postgres { schema, .. } => write!(f, "schema {schema} of the database"),
        }
    }
}

async fn open_file(file: &Path) -> Result<Catalog> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(TIMEOUT);
    let writer = connect_writer(&options).await?;
    migrate_sqlite(&writer).await?;
    let readers = SqlitePoolOptions::new()
        .max_connections(4)
        // A file stays available; the test costs as much as a small query.
        .test_before_acquire(false)
        .connect_with(options.read_only(true).row_buffer_size(READ_AHEAD_ROWS))
        .await
        .map_err(opening)?;
    Ok(Catalog::new(readers.into(), writer.into()))
}

async fn connect_postgres(url: &str, schema: &str, connections: u32) -> Result<PgPool> {
    let options = postgres_options(url, schema)?;
    // A pool retries until its acquire timeout, even if no server exists; one connection fails at once.
    let first = timeout(TIMEOUT, connect(&options)).await;
    let first = first.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map_err(|e| unusable(&options, &e))?;
    drop(timeout(TIMEOUT, first.close()).await);
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(TIMEOUT)
        .after_connect(|connection, _| Box::pin(make_durable(connection)))
        .connect_with(options.clone())
        .await
        .map_err(|e| unusable(&options, &e))
}

async fn connect_writer(options: &SqliteConnectOptions) -> Result<SqlitePool> {
    SqlitePoolOptions::new()
        .max_connections(1)
        // SQLite rolls back a transaction itself when the disk is full; sqlx then considers it open.
        .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
        .connect_with(options.clone())
        .await
        .map_err(opening)
}

/// Deletes the file and SQLite's files beside it; the main file last, so that no SQLite WAL survives it.
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
    Error::internal("opening the catalog", e)
}

/// The missing migrations, each with the version that it leads to.
fn missing(
    all: &'static [&'static str],
    applied: i64,
) -> Result<impl Iterator<Item = (usize, &'static str)>> {
    let applied = usize::try_from(applied).unwrap_or(usize::MAX);
    if applied > all.len() {
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        return Err(Error::newer("the catalog", number(applied), number(all.len())));
    }
    Ok(all.iter().enumerate().skip(applied).map(|(index, migration)| (index + 1, *migration)))
}

/// Applies the missing migrations.
async fn migrate_sqlite(pool: &SqlitePool) -> Result<()> {
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
    Ok(())
}

/// Applies the missing migrations in one transaction; a lock excludes other daemons.
async fn migrate_postgres(pool: &PgPool, schema: &str) -> Result<()> {
    let mut connection = pool.acquire().await.map_err(failed)?;
    let mut transaction = connection.begin().await.map_err(failed)?;
    sqlx::raw_sql("SET LOCAL statement_timeout = 0; SELECT pg_advisory_xact_lock(7293014)")
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
    let prepare = format!(
        "CREATE SCHEMA IF NOT EXISTS {schema}; CREATE TABLE IF NOT EXISTS version (applied BIGINT NOT NULL)"
    );
    sqlx::raw_sql(AssertSqlSafe(prepare)).execute(&mut *transaction).await.map_err(failed)?;
    let applied: Option<i64> = sqlx::query_scalar("SELECT max(applied) FROM version")
        .fetch_one(&mut *transaction)
        .await
        .map_err(failed)?;
    for (number, migration) in missing(&POSTGRES, applied.unwrap_or(0))? {
        sqlx::raw_sql(migration).execute(&mut *transaction).await.map_err(failed)?;
        let done = AssertSqlSafe(format!("INSERT INTO version (applied) VALUES ({number})"));
        sqlx::raw_sql(done).execute(&mut *transaction).await.map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)
}

#[cfg(test)]
mod tests;
