//! The catalogue: what readers ask, derived from the store's records. All SQL is in this folder.
//!
//! A change begins with [`Catalog::begin`], goes to the store, and ends with one of the methods that take the
//! [`Change`]. Changes that were cut short, by a failure or a crash, are found by [`Catalog::unsettled`] and
//! [`Catalog::pending`], and [`Catalog::settle_sequence`] takes over what the store says then.

mod bounds;
mod candidates;
mod change;
mod daemons;
mod events;
mod filling;
mod metadata;
mod open;
mod parts;
mod query;
mod read;
mod rebuild;
mod replace;
mod rows;
mod session;
mod settle;
mod sql;
mod state;
mod write;

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;
use ulid::Ulid;

use crate::error::{Error, Failure, Result};
use crate::metrics::Timer;
pub(crate) use bounds::{Kind, Overlap, Range};
pub(crate) use candidates::Wanted;
pub(crate) use change::Change;
use change::Unsettled;
pub(crate) use events::EventFilter;
pub(crate) use open::{Database, FILE};
pub(crate) use parts::PartRow;
pub(crate) use query::{ChunkStats, FoundSequence, FoundTopic};
pub(crate) use read::{ChunkRow, NotificationRow, SequenceRow, TopicRow};
pub(crate) use rows::storable_bounds;
pub(crate) use session::{Session, Share, Taken, Turn};
use sql::{Pool, query};
pub(crate) use write::{SequenceState, TopicState};

/// The catalogue in a SQLite file or a Postgres database.
#[derive(Debug, Clone)]
pub(crate) struct Catalog {
    readers: Pool,
    /// SQLite has one writer; waiting for the one connection is fair.
    writer: Pool,
    /// Sequences with a change that failed half-way.
    pub(crate) unsettled: Arc<Unsettled>,
    /// Signals after each change.
    news: watch::Sender<()>,
    last_event: Arc<Mutex<Ulid>>,
    /// `Some` if other daemons have the same catalogue: changes are announced by whoever holds the lock.
    session: Option<Arc<Session>>,
}

impl Catalog {
    fn new(readers: Pool, writer: Pool) -> Self {
        let (unsettled, last_event) = Default::default();
        Self { readers, writer, unsettled, news: watch::Sender::new(()), last_event, session: None }
    }

    /// The same catalogue, of which other daemons are users too.
    pub(crate) fn shared(self, session: Arc<Session>) -> Self {
        Self { session: Some(session), ..self }
    }

    /// The same, with its statements measured.
    pub(crate) fn measured(mut self, timer: &Timer) -> Self {
        self.readers.measure(timer, "read");
        self.writer.measure(timer, "write");
        self
    }

    /// Fails if the catalogue does not answer.
    pub(crate) async fn answers(&self) -> Result<()> {
        query("SELECT 1").execute(&self.readers).await.map(drop).map_err(failed)
    }

    /// Whether it knows nothing.
    async fn is_empty(&self) -> Result<bool> {
        let asked = query("SELECT id FROM sequence UNION ALL SELECT id FROM event LIMIT 1");
        asked.fetch_optional(&self.writer).await.map(|row| row.is_none()).map_err(failed)
    }

    /// Ends the connections.
    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// The codes of SQLite and Postgres for a full disk.
const DISK_FULL: [&str; 2] = ["13", "53100"];

/// What Postgres says when it ends, starts or has no connection left; those that begin with 08 say that one broke.
const AWAY: [&str; 5] = ["53300", "57P01", "57P02", "57P03", "57P05"];

fn failed(e: sqlx::Error) -> Error {
    let doing = "using the catalogue";
    let code = e.as_database_error().and_then(|e| e.code());
    if code.as_ref().is_some_and(|code| DISK_FULL.contains(&&**code)) {
        return Error::Full(Failure::new(doing, e));
    }
    let lost = match &e {
        sqlx::Error::PoolTimedOut => true,
        sqlx::Error::Io(e) => e.kind() != io::ErrorKind::StorageFull,
        _ => code.is_some_and(|code| AWAY.contains(&&*code) || code.starts_with("08")),
    };
    if lost {
        return Error::StoreUnavailable(Failure::new(doing, e));
    }
    Error::internal(doing, e)
}
