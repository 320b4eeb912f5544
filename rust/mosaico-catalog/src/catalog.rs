//! The catalog as a value: its connections, and the state that its users share.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use mosaico_storage::error::Result;
use mosaico_storage::timer::Timer;
use parking_lot::Mutex;
use tokio::sync::watch;
use ulid::Ulid;

use crate::database_error::failed;
use crate::intents::PendingIntents;
use crate::session::Session;
use crate::sql::{Pool, query};
use crate::standing::StandingIntents;

/// The catalog in a SQLite file or a Postgres database.
#[derive(Debug, Clone)]
pub struct Catalog {
    pub(crate) readers: Pool,
    /// SQLite has one writer; the queue for its one connection is fair.
    pub(crate) writer: Pool,
    /// Sequences with a change that failed half-way: their intents wait for reconciliation.
    pub pending_intents: Arc<PendingIntents>,
    /// Sends a signal after each change.
    pub(crate) news: watch::Sender<()>,
    pub(crate) last_event: Arc<Mutex<Ulid>>,
    /// `Some` if other daemons share the catalog: then the daemon that owns the sequence's lock records
    /// intents.
    pub(crate) session: Option<Arc<Session>>,
    /// `Some` if this daemon has a local store for itself: see [`crate::standing`].
    pub(crate) standing: Option<Arc<StandingIntents>>,
    /// Whether commits wait for a sync.
    pub(crate) has_unsynced: Arc<AtomicBool>,
}

impl Catalog {
    pub(crate) fn new(readers: Pool, writer: Pool) -> Self {
        let (pending_intents, last_event, has_unsynced) = Default::default();
        Self {
            readers,
            writer,
            pending_intents,
            news: watch::Sender::new(()),
            last_event,
            session: None,
            standing: None,
            has_unsynced,
        }
    }

    /// The same catalog, shared with other daemons.
    pub fn shared(self, session: Arc<Session>) -> Self {
        Self { session: Some(session), ..self }
    }

    /// The same catalog, of a daemon that has a local store for itself: one intent covers all changes of a sequence
    /// while it is recorded, and these commit without a sync.
    pub fn with_standing_intents(self) -> Self {
        Self { standing: Some(Arc::default()), ..self }
    }

    /// The same catalog, with metrics of its statements.
    pub fn measured(mut self, timer: &Timer) -> Self {
        self.readers.measure(timer, "read");
        self.writer.measure(timer, "write");
        self
    }

    /// Fails if the database does not respond.
    pub async fn answers(&self) -> Result<()> {
        query("SELECT 1").execute(&self.readers).await.map(drop).map_err(failed)
    }

    /// Whether the catalog has no rows.
    pub(crate) async fn is_empty(&self) -> Result<bool> {
        let asked = query("SELECT id FROM sequence UNION ALL SELECT id FROM event LIMIT 1");
        asked.fetch_optional(&self.writer).await.map(|row| row.is_none()).map_err(failed)
    }

    /// Closes the connections.
    pub async fn close(&self) {
        if let Err(error) = self.retire_idle().await {
            tracing::warn!(error = %error.detail(), "intents are left to the next start, which reconciles them");
        }
        self.readers.close().await;
        self.writer.close().await;
    }
}
