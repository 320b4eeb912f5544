//! The database session that owns a daemon's locks, if several daemons share a store.
//!
//! Locks are Postgres advisory locks. They end with the session, so a dead daemon blocks no other. One
//! session owns all locks, so a daemon that owns a lock never waits for a connection to acquire the next.
//! Intents are recorded over the same session, so a daemon that lost its locks without noticing cannot record
//! one.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use mosaico_storage::error::{Error, Result};
use parking_lot::Mutex;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection, Error as SqlError};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout};

use crate::database_error::failed;
use crate::dead_sessions::{self, NODE_TIMEOUT, NOT_PERMITTED, not_permitted};
use crate::postgres::{connect, postgres_options, unusable};
use crate::sql::{Row, Statement, query};

/// Timeout of a response of the database.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The longest pause between two attempts to acquire a lock.
const LONGEST_PAUSE: Duration = Duration::from_millis(60);

/// Pauses between two attempts to acquire a lock. Jitter of up to the same length desynchronizes daemons that
/// wait for the same lock.
const LOCK_BACKOFF: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(4))
    .with_max_delay(LONGEST_PAUSE)
    .with_jitter()
    .without_max_times();

/// Limit of the wait until the session of an earlier process ends and its daemon is considered dead.
const EARLIER: Duration = Duration::from_secs(12);

/// The lock of the store: daemons acquire it shared, commands that change the store acquire it exclusively.
const STORE: &str = "store";

/// Pause between two attempts to end the sessions of dead daemons while a lock is not free.
const DEAD_CHECK: Duration = Duration::from_secs(1);

/// Limit of the wait for a lock.
const LOCK_LIMIT: Duration = Duration::from_secs(30);

/// How a session shares the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// A daemon that serves it together with others, and sends heartbeats.
    Serving,
    /// A command that reads it beside the daemons.
    Reading,
    /// Exclusive.
    Alone,
}

/// The store is in use: by daemons at these addresses, or by a command.
#[derive(Debug)]
pub struct StoreBusy(pub Vec<String>);

/// Why the session was refused.
#[derive(Debug)]
enum Refusal {
    Database(SqlError),
    /// Another process has the daemon's id.
    SameDaemon,
    StoreBusy(StoreBusy),
    /// The leases of other daemons have not expired yet.
    LeaseExpiring(StoreBusy),
    /// A dead daemon has its locks still, and this session may not end it.
    DeadSession(SqlError),
}

impl From<SqlError> for Refusal {
    fn from(error: SqlError) -> Self {
        Self::Database(error)
    }
}

/// The session; it connects on first use.
#[derive(Debug)]
pub struct Session {
    /// The daemon's id.
    daemon: String,
    share: Share,
    options: PgConnectOptions,
    schema: String,
    connection: tokio::sync::Mutex<Option<PgConnection>>,
    held: Mutex<Held>,
    runtime: Handle,
}

/// Locks of the current connection.
#[derive(Debug, Default)]
struct Held {
    connection: u64,
    names: HashMap<String, usize>,
}

/// A lock; valid as long as the session lives.
#[derive(Debug)]
pub struct LockGuard {
    session: Arc<Session>,
    connection: u64,
    name: String,
}

impl Drop for LockGuard {
    fn drop(&mut self) {
        let mut held = self.session.held.lock();
        if held.connection != self.connection {
            return;
        }
        if let Some(count) = held.names.get_mut(&self.name) {
            *count -= 1;
            if *count == 0 {
                held.names.remove(&self.name);
            }
        }
        drop(held);
        let (session, connection, name) = (Arc::clone(&self.session), self.connection, self.name.clone());
        self.session.runtime.spawn(async move { session.unlock(connection, &name).await });
    }
}

impl Session {
    /// Opens the session of the daemon `daemon`, or of a command with its id.
    ///
    /// # Errors
    /// [`Error::Startup`] if the database cannot be used, or another process has this id.
    pub async fn open(
        url: &str,
        schema: &str,
        daemon: &str,
        share: Share,
    ) -> Result<Result<Arc<Self>, StoreBusy>> {
        let session = Arc::new(Self {
            daemon: daemon.to_owned(),
            share,
            options: postgres_options(url, schema)?,
            schema: schema.to_owned(),
            connection: tokio::sync::Mutex::default(),
            held: Mutex::default(),
            runtime: Handle::current(),
        });
        match session.connect().await {
            Ok(()) => Ok(Ok(session)),
            Err(Refusal::StoreBusy(taken) | Refusal::LeaseExpiring(taken)) => Ok(Err(taken)),
            Err(Refusal::SameDaemon) => Err(Error::Startup(
                "another daemon runs with the same id; give each daemon a state folder of its own, not a copy"
                    .into(),
            )),
            Err(Refusal::DeadSession(e)) => Err(Error::Startup(not_permitted(&e))),
            Err(Refusal::Database(e)) => Err(unusable(&session.options, &e)),
        }
    }

    /// The id of this daemon.
    pub fn daemon(&self) -> &str {
        &self.daemon
    }

    /// Waits for a lock and acquires it.
    ///
    /// # Errors
    /// [`Error::StoreUnavailable`] if the lock is not free within [`LOCK_LIMIT`].
    pub async fn lock(self: &Arc<Self>, name: &str) -> Result<LockGuard> {
        self.lock_within(name, Some(LOCK_LIMIT)).await
    }

    /// Waits for a lock, however long a live daemon has it, and acquires it.
    pub async fn lock_at_last(self: &Arc<Self>, name: &str) -> Result<LockGuard> {
        self.lock_within(name, None).await
    }

    async fn lock_within(self: &Arc<Self>, name: &str, limit: Option<Duration>) -> Result<LockGuard> {
        let begin = Instant::now();
        let mut checked = begin;
        let mut pauses = LOCK_BACKOFF.build();
        loop {
            if let Some(turn) = self.try_lock(name).await? {
                return Ok(turn);
            }
            if checked.elapsed() >= DEAD_CHECK {
                checked = Instant::now();
                self.end_dead_sessions().await?;
            }
            if limit.is_some_and(|limit| begin.elapsed() > limit) {
                let text = format!("waiting for the lock of {name}, which another daemon has,");
                return Err(Error::StoreUnavailable(text.into()));
            }
            sleep(pauses.next().unwrap_or(LONGEST_PAUSE)).await;
        }
    }

    /// Ends the sessions of dead daemons, which have their locks as long as the database does not notice that
    /// their machines are gone.
    async fn end_dead_sessions(self: &Arc<Self>) -> Result<()> {
        match self.run(dead_sessions::end(&self.schema), None, |_| Ok(())).await {
            Err(Error::Internal(failure)) => Err(Error::StoreUnavailable(failure.during(NOT_PERMITTED))),
            done => done,
        }
    }

    async fn try_lock(self: &Arc<Self>, name: &str) -> Result<Option<LockGuard>> {
        let (session, name) = (Arc::clone(self), name.to_owned());
        let statement = self.locking("SELECT pg_try_advisory_lock(hashtextextended(?, 0))", &name);
        // The lock is noted before another task gets the connection, and released if the caller was
        // cancelled.
        self.run(statement, None, move |rows| {
            let granted: bool = rows.first().ok_or(SqlError::RowNotFound)?.try_get(0)?;
            Ok(granted.then(|| {
                let mut held = session.held.lock();
                *held.names.entry(name.clone()).or_default() += 1;
                let connection = held.connection;
                drop(held);
                LockGuard { session, connection, name }
            }))
        })
        .await
    }

    async fn unlock(&self, connection: u64, name: &str) {
        let mut open = self.connection.lock().await;
        if self.held.lock().connection != connection {
            return;
        }
        let Some(session) = open.as_mut() else { return };
        let statement = self.locking("SELECT pg_advisory_unlock(hashtextextended(?, 0))", name);
        if !matches!(timeout(TIMEOUT, statement.fetch_all(session)).await, Ok(Ok(_))) {
            self.lose(&mut open);
        }
    }

    fn locking(&self, text: &str, name: &str) -> Statement {
        query(text).bind(format!("mosaicod/{}/{name}", self.schema))
    }

    /// Runs a statement, provided that this session owns the lock `name`.
    pub(crate) async fn run_with_lock(
        self: &Arc<Self>,
        name: String,
        statement: Statement,
    ) -> Result<Vec<Row>> {
        self.run(statement, Some(name), Ok).await
    }

    /// Runs a statement.
    pub(crate) async fn execute(self: &Arc<Self>, statement: Statement) -> Result<Vec<Row>> {
        self.run(statement, None, Ok).await
    }

    /// Runs the statement in a task of its own, so that a cancelled caller does not leave a half-read
    /// response on the connection.
    async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        statement: Statement,
        holding: Option<String>,
        then: impl FnOnce(Vec<Row>) -> Result<T, SqlError> + Send + 'static,
    ) -> Result<T> {
        let session = Arc::clone(self);
        let work = self.runtime.spawn(async move {
            let mut open = session.connection.lock().await;
            if open.is_none() {
                *open = Some(session.connected().await.map_err(|refusal| match refusal {
                    Refusal::Database(e) | Refusal::DeadSession(e) => failed(e),
                    _ => lost(),
                })?);
            }
            if holding.is_some_and(|name| !session.held.lock().names.contains_key(&name)) {
                return Err(lost());
            }
            let Some(connection) = open.as_mut() else { return Err(lost()) };
            match timeout(TIMEOUT, statement.fetch_all(connection)).await {
                Ok(Ok(rows)) => then(rows).map_err(failed),
                Ok(Err(e)) => {
                    if e.as_database_error().is_none() {
                        session.lose(&mut open);
                    }
                    Err(failed(e))
                }
                Err(_) => {
                    session.lose(&mut open);
                    Err(lost())
                }
            }
        });
        work.await.map_err(|e| Error::internal("using the session of the locks", e))?
    }

    async fn connect(&self) -> Result<(), Refusal> {
        let mut open = self.connection.lock().await;
        *open = Some(self.connected().await?);
        Ok(())
    }

    /// Connects, and checks that no other process has this daemon's id and that it may use the store.
    async fn connected(&self) -> Result<PgConnection, Refusal> {
        let begin = Instant::now();
        let mut connection = within(connect(&self.options)).await?;
        while let Some(refusal) = self.refused(&mut connection).await? {
            let runs = matches!(&refusal, Refusal::StoreBusy(StoreBusy(daemons)) if !daemons.is_empty());
            if begin.elapsed() > EARLIER || (runs && self.share == Share::Alone) {
                return Err(refusal);
            }
            if self.has_daemons(&mut connection).await? {
                let ended = within(dead_sessions::end(&self.schema).fetch_all(&mut connection)).await;
                ended.map_err(|e| match e.as_database_error() {
                    Some(_) => Refusal::DeadSession(e),
                    None => Refusal::Database(e),
                })?;
            }
            sleep(LONGEST_PAUSE).await;
        }
        let mut held = self.held.lock();
        held.connection += 1;
        held.names.clear();
        Ok(connection)
    }

    async fn refused(&self, connection: &mut PgConnection) -> Result<Option<Refusal>, SqlError> {
        let alone = "SELECT pg_try_advisory_lock(hashtextextended(?, 0))";
        let shared = "SELECT pg_try_advisory_lock_shared(hashtextextended(?, 0))";
        if !self.granted(connection, alone, &format!("daemon/{}", self.daemon)).await? {
            return Ok(Some(Refusal::SameDaemon));
        }
        let share = if self.share == Share::Alone { alone } else { shared };
        if !self.granted(connection, share, STORE).await? {
            return Ok(Some(Refusal::StoreBusy(self.others(connection).await?)));
        }
        if self.share == Share::Serving {
            self.granted(connection, shared, &dead_sessions::lock(&self.daemon)).await?;
        }
        if self.share != Share::Alone {
            return Ok(None);
        }
        // Their sessions have ended; their last writes to the store may still be in flight.
        let others = self.others(connection).await?;
        Ok((!others.0.is_empty()).then_some(Refusal::LeaseExpiring(others)))
    }

    async fn granted(&self, connection: &mut PgConnection, text: &str, name: &str) -> Result<bool, SqlError> {
        let rows = within(self.locking(text, name).fetch_all(connection)).await?;
        rows.first().ok_or(SqlError::RowNotFound)?.try_get(0)
    }

    /// The live daemons except this one.
    async fn others(&self, connection: &mut PgConnection) -> Result<StoreBusy, SqlError> {
        if !self.has_daemons(connection).await? {
            return Ok(StoreBusy(Vec::new()));
        }
        let text = format!(
            "SELECT address FROM daemon WHERE id <> ? AND seen_at > now() - {NODE_TIMEOUT} ORDER BY address"
        );
        within(query(text).bind(self.daemon()).fetch_texts(connection)).await.map(StoreBusy)
    }

    /// Whether the schema has the table of daemons.
    async fn has_daemons(&self, connection: &mut PgConnection) -> Result<bool, SqlError> {
        let known = query("SELECT to_regclass('daemon')::text").fetch_all(connection);
        let known = within(known).await?;
        Ok(known.first().ok_or(SqlError::RowNotFound)?.try_get::<Option<&str>>(0)?.is_some())
    }

    fn lose(&self, open: &mut Option<PgConnection>) {
        tracing::warn!("the session of the locks is lost; changes in progress are tried again");
        *open = None;
        let mut held = self.held.lock();
        held.connection += 1;
        held.names.clear();
    }

    /// Closes the session.
    pub async fn close(&self) {
        let mut open = self.connection.lock().await;
        if let Some(connection) = open.take() {
            drop(timeout(TIMEOUT, connection.close()).await);
        }
    }
}

async fn within<T>(work: impl Future<Output = Result<T, SqlError>>) -> Result<T, SqlError> {
    timeout(TIMEOUT, work).await.map_err(|_| SqlError::PoolTimedOut)?
}

fn lost() -> Error {
    Error::StoreUnavailable("holding a lock of the database".into())
}
