//! Lanes: one topic being written.

mod backpressure;
mod batch;
mod budget;
mod outbox;
mod put;
mod resume;
mod shared;
mod spill;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use arrow::datatypes::SchemaRef;
use mosaico_types::ErrorKind;
use mosaico_wire::command::PutCommand;
use outbox::Outbox;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

use crate::columns::{Column, ColumnError};
use crate::error::{Error, Result};
use crate::pool::{Lease, Pool};
use crate::rows::RowBuffer;
pub use budget::LaneBudget;
pub use shared::{LaneConfig, LaneStats};
use shared::{Open, Progress, Shared};
pub use spill::SpillConfig;

/// One topic being written: the lane buffers rows, cuts them into batches and sends these in the background.
///
/// `push` returns once a row is buffered, [`Lane::flush`] once all rows are durable, [`Lane::close`] once the
/// topic is complete. Dropping an unclosed lane breaks the stream; the server keeps the rows that it has.
pub struct Lane {
    shared: Arc<Shared>,
    put: tokio::task::AbortHandle,
    clock: tokio::task::AbortHandle,
}

impl Lane {
    pub(crate) fn open(
        pool: Arc<Pool>,
        lease: Lease,
        command: PutCommand,
        schema: SchemaRef,
        config: LaneConfig,
        acknowledged: bool,
    ) -> Result<Self> {
        let topic = command.resource_locator.clone();
        let rows = RowBuffer::new(Arc::clone(&schema))
            .map_err(|cause| Error::new(ErrorKind::InvalidInput, cause.to_string()))?;
        let open = Open { rows, pushed: 0, first_row: None, accepting: true };
        let outbox = Arc::new(Outbox::new(acknowledged, config.budget.spill.clone()));
        config.budget.lanes.fetch_add(1, Ordering::Relaxed);
        let shared = Arc::new(Shared {
            topic,
            config,
            acknowledged,
            open: Mutex::new(open),
            outbox,
            notices: Mutex::default(),
            noticed: AtomicBool::new(false),
            progress: watch::Sender::new(Progress::default()),
        });
        let put = put::spawn(pool, lease, command, schema, Arc::clone(&shared));
        let clock = tokio::spawn(cut_by_age(Arc::clone(&shared))).abort_handle();
        Ok(Self { shared, put, clock })
    }

    /// Appends one row through `append` (see [`RowBuffer::push`]) and cuts a batch if a limit is reached.
    /// Returns whether the queue is over its limit; then the caller has to await [`Lane::room`].
    ///
    /// # Errors
    /// The error that ended the lane before, or the error of `append`; neither affects other rows.
    pub fn push<E: From<Error>>(
        &self,
        append: impl FnOnce(&mut [Column]) -> Result<(), E>,
    ) -> Result<bool, E> {
        let shared = &*self.shared;
        let mut open = self.accepting()?;
        open.rows.push(append)?;
        open.pushed += 1;
        let share = shared.config.budget.share();
        // One half of the share fills while the other half is being sent.
        let full = open.rows.rows() >= shared.config.max_batch_records
            || open.rows.bytes() >= shared.config.max_batch_bytes.min(share / 2);
        if full {
            return Ok(shared.cut(&mut open) > share / 2);
        }
        if open.first_row.is_none() {
            open.first_row = Some(Instant::now());
        }
        Ok(false)
    }

    /// The schema of the rows.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(self.shared.open.lock().rows.schema())
    }

    /// The open batch.
    ///
    /// # Errors
    /// The error that ended the lane before.
    fn accepting(&self) -> Result<MutexGuard<'_, Open>> {
        let open = self.shared.open.lock();
        if open.accepting && self.shared.progress.borrow().ended.is_none() {
            return Ok(open);
        }
        drop(open);
        Err(self.failure().unwrap_or_else(|| self.shared.closed()))
    }

    /// Waits until every row pushed so far is durable; on a server without acknowledgements, sent.
    ///
    /// # Errors
    /// The error that ended the lane, with the rows that are not stored.
    pub async fn flush(&self) -> Result<()> {
        let shared = &*self.shared;
        let pushed = {
            let mut open = shared.open.lock();
            shared.cut(&mut open);
            open.pushed
        };
        let done = |progress: &Progress| {
            pushed <= if shared.acknowledged { progress.durable } else { progress.sent }
        };
        self.wait(done).await
    }

    /// Sends the remaining rows and ends the upload, without waiting, so that several lanes can end
    /// concurrently.
    pub fn end(&self) {
        let mut open = self.shared.open.lock();
        self.shared.cut(&mut open);
        open.accepting = false;
        self.shared.outbox.close();
        self.clock.abort();
    }

    /// Sends the remaining rows and waits until the server has stored and locked the topic.
    ///
    /// # Errors
    /// The error that ended the lane, with the rows that are not stored.
    pub async fn close(&self) -> Result<()> {
        self.end();
        self.wait(|_| false).await
    }

    /// Breaks the stream at once; rows that are not durable yet may be lost.
    pub fn abort(&self) {
        self.shared.open.lock().accepting = false;
        self.clock.abort();
        self.put.abort();
        self.shared.progress.send_if_modified(|progress| {
            let running = progress.ended.is_none();
            if running {
                progress.ended = Some(Err(self.shared.closed()));
            }
            running
        });
    }

    /// Progress of the rows.
    pub fn stats(&self) -> LaneStats {
        let pushed = self.shared.open.lock().pushed;
        let progress = self.shared.progress.borrow();
        LaneStats {
            pushed,
            sent: progress.sent,
            durable: progress.durable,
            queued_bytes: progress.queued_bytes,
        }
    }

    /// Connection events since the last call, for a log.
    pub fn take_notices(&self) -> Vec<String> {
        self.shared.noticed.store(false, Ordering::Release);
        std::mem::take(&mut self.shared.notices.lock())
    }

    /// Whether [`Self::take_notices`] would return any; free of cost.
    pub fn has_notices(&self) -> bool {
        self.shared.noticed.load(Ordering::Acquire)
    }

    /// The error that ended the lane, with the rows that are not stored.
    pub fn failure(&self) -> Option<Error> {
        let error = match &self.shared.progress.borrow().ended {
            Some(Err(error)) => error.clone(),
            _ => return None,
        };
        Some(self.shared.describe(error, self.stats()))
    }

    async fn wait(&self, done: impl Fn(&Progress) -> bool) -> Result<()> {
        let mut progress = self.shared.progress.subscribe();
        let reached = progress
            .wait_for(|progress| progress.ended.is_some() || done(progress))
            .await
            .expect("the lane holds the sender");
        match &reached.ended {
            Some(Err(error)) => {
                let error = error.clone();
                drop(reached);
                Err(self.shared.describe(error, self.stats()))
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.shared.config.budget.lanes.fetch_sub(1, Ordering::Relaxed);
        self.abort();
    }
}

/// Cuts the open batch when its first row reaches the age limit.
async fn cut_by_age(shared: Arc<Shared>) {
    let age = shared.config.max_batch_age;
    let mut pause = age;
    loop {
        tokio::time::sleep(pause).await;
        let mut open = shared.open.lock();
        pause = match open.first_row.map(|first| first.elapsed()) {
            Some(elapsed) if elapsed >= age => {
                if shared.progress.borrow().queued_bytes <= shared.config.budget.share() / 2 {
                    shared.cut(&mut open);
                }
                age
            }
            Some(elapsed) => age - elapsed,
            None => age,
        };
    }
}

impl From<ColumnError> for Error {
    fn from(error: ColumnError) -> Self {
        Self::new(ErrorKind::InvalidInput, error.to_string())
    }
}
