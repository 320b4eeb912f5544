//! The catalogue: what readers ask, derived from the store's records. All SQL is in this folder.
//!
//! A change begins with [`Catalog::begin`], goes to the store, and ends with one of the methods that take the
//! [`Change`]. Changes that were cut short, by a failure or a crash, are found by [`Catalog::unsettled`] and
//! [`Catalog::pending`], and [`Catalog::settle_sequence`] takes over what the store says then.

mod bounds;
mod candidates;
mod change;
mod events;
mod query;
mod read;
mod settle;
mod write;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use parking_lot::Mutex;
use sqlx::Connection;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use tokio::sync::watch;
use ulid::Ulid;

use crate::error::{Error, Result};
pub(crate) use bounds::{Kind, Overlap, Range};
pub(crate) use candidates::Wanted;
pub(crate) use change::Change;
use change::Unsettled;
pub(crate) use events::EventFilter;
pub(crate) use query::{ChunkStats, FoundSequence, FoundTopic};
pub(crate) use read::{ChunkRow, NotificationRow, SequenceRow, TopicRow};
pub(crate) use write::{SequenceState, TopicState};

/// Migrations in order; the number applied is SQLite's `user_version`.
const MIGRATIONS: [&str; 6] = [
    include_str!("../../migrations/0001_init.sql"),
    include_str!("../../migrations/0002_query.sql"),
    include_str!("../../migrations/0003_resumed.sql"),
    include_str!("../../migrations/0004_schemas.sql"),
    include_str!("../../migrations/0005_events.sql"),
    include_str!("../../migrations/0006_bounds.sql"),
];

/// SQLite's `application_id` of a catalogue that does not have all that the store has yet.
const FILLING: i32 = i32::from_be_bytes(*b"MoFi");

/// Rows that SQLite's thread has ready before they are taken: switching threads costs more than a row.
const READ_AHEAD_ROWS: usize = 1024;

/// The catalogue in a SQLite file.
#[derive(Debug, Clone)]
pub(crate) struct Catalog {
    readers: SqlitePool,
    /// One connection: SQLite has one writer, and waiting for it here is fair.
    writer: SqlitePool,
    /// Sequences with a change that failed half-way.
    pub(crate) unsettled: Arc<Unsettled>,
    /// Signals after each change.
    news: watch::Sender<()>,
    last_event: Arc<Mutex<Ulid>>,
}

impl Catalog {
    /// Opens or creates the file and brings its tables up to date. The flag tells that it is new: the caller fills it
    /// and says so by [`Self::filled`]. One that was not filled to the end is made anew.
    pub(crate) async fn open(file: &Path) -> Result<(Self, bool)> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(30));
        let failed = |e| Error::internal("opening the catalogue", e);
        let mut writer = connect_writer(&options).await?;
        let mark = sqlx::query_scalar("PRAGMA application_id").fetch_one(&writer).await;
        let mark: i32 = mark.map_err(failed)?;
        if mark == FILLING {
            writer.close().await;
            remove(file).map_err(|e| Error::internal("removing an incomplete catalogue", e))?;
            writer = connect_writer(&options).await?;
        }
        let new = migrate(&writer).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(4)
            // A file does not go away; asking costs as much as a small question.
            .test_before_acquire(false)
            .connect_with(options.read_only(true).row_buffer_size(READ_AHEAD_ROWS))
            .await
            .map_err(failed)?;
        let (unsettled, last_event) = Default::default();
        Ok((Self { readers, writer, unsettled, news: watch::Sender::new(()), last_event }, new))
    }

    /// Notes that the catalogue has all that the store has.
    pub(crate) async fn filled(&self) -> Result<()> {
        let done = sqlx::raw_sql("PRAGMA application_id = 0").execute(&self.writer).await;
        done.map(drop).map_err(failed)
    }

    /// Closes the file.
    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

async fn connect_writer(options: &SqliteConnectOptions) -> Result<SqlitePool> {
    SqlitePoolOptions::new()
        .max_connections(1)
        // SQLite ends a transaction itself when the disk is full; sqlx then believes that it is still open.
        .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
        .connect_with(options.clone())
        .await
        .map_err(|e| Error::internal("opening the catalogue", e))
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

/// Applies what is missing; tells whether nothing was there.
async fn migrate(pool: &SqlitePool) -> Result<bool> {
    let failed = |e| Error::internal("migrating the catalogue", e);
    let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(pool).await.map_err(failed)?;
    let applied = usize::try_from(version).unwrap_or(usize::MAX);
    if applied > MIGRATIONS.len() {
        return Err(Error::Startup(format!(
            "the catalogue has version {version}, this program knows up to {}; use a newer program",
            MIGRATIONS.len()
        )));
    }
    for (index, migration) in MIGRATIONS.iter().enumerate().skip(applied) {
        let mut transaction = pool.begin().await.map_err(failed)?;
        sqlx::raw_sql(*migration).execute(&mut *transaction).await.map_err(failed)?;
        let version = sqlx::AssertSqlSafe(format!("PRAGMA user_version = {}", index + 1));
        sqlx::raw_sql(version).execute(&mut *transaction).await.map_err(failed)?;
        if index == 0 {
            let filling = sqlx::AssertSqlSafe(format!("PRAGMA application_id = {FILLING}"));
            sqlx::raw_sql(filling).execute(&mut *transaction).await.map_err(failed)?;
        }
        transaction.commit().await.map_err(failed)?;
    }
    Ok(applied == 0)
}

/// SQLite's code for a full disk.
const SQLITE_FULL: &str = "13";

fn failed(e: sqlx::Error) -> Error {
    let full = e.as_database_error().and_then(|e| e.code()).is_some_and(|code| code == SQLITE_FULL);
    let error = Error::internal("using the catalogue", e);
    if full { Error::Full("using the catalogue".into()) } else { error }
}

#[cfg(test)]
mod tests {
    use mosaico_types::ErrorKind;

    use super::*;
    use crate::id::SequenceId;

    #[tokio::test]
    async fn a_full_disk_is_told_apart_and_passes() {
        let folder = tempfile::tempdir().expect("a folder");
        let (catalog, _) = Catalog::open(&folder.path().join("catalog.db")).await.expect("a catalogue");
        let pages = |count: u32| sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {count}"));
        sqlx::raw_sql(pages(1)).execute(&catalog.writer).await.expect("a limit");
        let error = loop {
            let mut transaction = catalog.transaction().await.expect("a transaction");
            let filler = sqlx::query("INSERT INTO pending (sequence_id) VALUES (hex(zeroblob(10000)))");
            if let Err(error) = filler.execute(&mut *transaction).await {
                break failed(error);
            }
            transaction.commit().await.expect("room");
        };
        assert_eq!(error.kind(), ErrorKind::ResourceExhausted, "{error}");
        sqlx::raw_sql(pages(1_000_000)).execute(&catalog.writer).await.expect("no limit");
        catalog.transaction().await.expect("a transaction after the failed one");
        assert!(catalog.begin(SequenceId::generate()).await.is_ok());
    }
}
