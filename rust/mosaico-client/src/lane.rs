use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arrow::datatypes::SchemaRef;
use arrow_flight::FlightDescriptor;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use futures::{Stream, StreamExt};
use mosaico_types::ErrorKind;
use mosaico_wire::command::{PutAck, PutCommand};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

use crate::columns::{Column, ColumnError};
use crate::connection::Lease;
use crate::rows::{RawRows, RowBuffer};
use crate::{Error, Result};

/// Batches are cut into messages of about this size; one row is the least.
const MESSAGE_BYTES: usize = 1 << 20;

/// When batches are cut, and how much may wait to be sent.
#[derive(Debug, Clone)]
pub struct LaneConfig {
    /// A batch is cut when it holds this many bytes; 0 sends every row alone.
    pub max_batch_bytes: usize,
    /// A batch is cut when it holds this many rows.
    pub max_batch_records: usize,
    /// A batch is cut when its first row is this old.
    pub max_batch_age: Duration,
    /// What may wait, together with the other lanes of the same recording.
    pub budget: LaneBudget,
}

/// Bytes that the lanes of one recording may hold: each lane has an equal share, so that memory is bounded
/// whatever their number, and a slow lane never takes the room of another.
#[derive(Debug, Clone)]
pub struct LaneBudget {
    bytes: usize,
    lanes: Arc<AtomicUsize>,
}

impl LaneBudget {
    /// A budget of `bytes` for all lanes that are opened with it.
    pub fn new(bytes: usize) -> Self {
        Self { bytes, lanes: Arc::new(AtomicUsize::new(0)) }
    }

    /// What one lane may hold now.
    fn share(&self) -> usize {
        self.bytes / self.lanes.load(Ordering::Relaxed).max(1)
    }
}

/// What became of the rows so far; `pushed >= sent >= durable`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LaneStats {
    /// Rows accepted.
    pub pushed: u64,
    /// Rows handed to the network.
    pub sent: u64,
    /// Rows that the server acknowledged as durable; never more than 0 on a server without acknowledgements.
    pub durable: u64,
    /// Bytes that wait to be sent.
    pub queued_bytes: usize,
}

#[derive(Debug, Clone, Default)]
struct Progress {
    sent: u64,
    durable: u64,
    queued_bytes: usize,
    /// The put ended: cleanly, or by this error.
    ended: Option<Result<()>>,
}

struct Open {
    rows: RowBuffer,
    pushed: u64,
    first_row: Option<Instant>,
    queue: Option<mpsc::UnboundedSender<RawRows>>,
}

struct Shared {
    topic: String,
    config: LaneConfig,
    acknowledged: bool,
    open: Mutex<Open>,
    progress: watch::Sender<Progress>,
}

/// One topic being written: rows are buffered, cut into batches and sent in the background.
///
/// `push` returns once a row is buffered, [`Lane::flush`] once all rows are durable, [`Lane::close`] once
/// the topic is complete. Dropping an unclosed lane breaks the stream: the server keeps what it has.
pub struct Lane {
    shared: Arc<Shared>,
    put: tokio::task::AbortHandle,
    clock: tokio::task::AbortHandle,
}

impl Lane {
    pub(crate) fn open(
        lease: Lease,
        command: PutCommand,
        schema: SchemaRef,
        config: LaneConfig,
        acknowledged: bool,
    ) -> Result<Self> {
        let topic = command.resource_locator.clone();
        let rows = RowBuffer::new(Arc::clone(&schema))
            .map_err(|cause| Error::new(ErrorKind::InvalidInput, cause.to_string()))?;
        let (queue, batches) = mpsc::unbounded_channel();
        let open = Open { rows, pushed: 0, first_row: None, queue: Some(queue) };
        config.budget.lanes.fetch_add(1, Ordering::Relaxed);
        let shared = Arc::new(Shared {
            topic,
            config,
            acknowledged,
            open: Mutex::new(open),
            progress: watch::Sender::new(Progress::default()),
        });
        let put = tokio::spawn(put(lease, command, schema, batches, Arc::clone(&shared))).abort_handle();
        let clock = tokio::spawn(cut_by_age(Arc::clone(&shared))).abort_handle();
        Ok(Self { shared, put, clock })
    }

    /// Appends one row through `append` (see [`RowBuffer::push`]) and cuts a batch if a limit is met.
    /// Returns whether the queue is over its limit: then [`Lane::room`] is to be awaited.
    ///
    /// # Errors
    /// What ended the lane before, or what `append` says; neither harms the rows around it.
    pub fn push<E: From<Error>>(
        &self,
        append: impl FnOnce(&mut [Column]) -> Result<(), E>,
    ) -> Result<bool, E> {
        let shared = &*self.shared;
        let mut open = shared.open.lock();
        if open.queue.is_none() || shared.progress.borrow().ended.is_some() {
            drop(open);
            return Err(self.failure().unwrap_or_else(|| shared.closed()).into());
        }
        open.rows.push(append)?;
        open.pushed += 1;
        let share = shared.config.budget.share();
        // Half of a share is being filled while the other half is on its way.
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

    /// Waits until the queue is below its limit.
    ///
    /// # Errors
    /// What ended the lane.
    pub async fn room(&self) -> Result<()> {
        let budget = &self.shared.config.budget;
        self.wait(|progress| progress.queued_bytes <= budget.share() / 2).await
    }

    /// Waits until every row pushed so far is durable; on a server without acknowledgements, sent.
    ///
    /// # Errors
    /// What ended the lane, with the rows that are not stored.
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

    /// Sends the rest and ends the upload, without waiting: several lanes can end side by side.
    pub fn end(&self) {
        let mut open = self.shared.open.lock();
        self.shared.cut(&mut open);
        open.queue = None;
        self.clock.abort();
    }

    /// Sends the rest and waits until the server has stored and locked the topic.
    ///
    /// # Errors
    /// What ended the lane, with the rows that are not stored.
    pub async fn close(&self) -> Result<()> {
        self.end();
        self.wait(|_| false).await
    }

    /// Breaks the stream at once; rows that are not durable yet may be lost.
    pub fn abort(&self) {
        self.shared.open.lock().queue = None;
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

    /// What became of the rows so far.
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

impl Shared {
    /// Queues the open rows; returns the bytes that wait now.
    fn cut(&self, open: &mut Open) -> usize {
        open.first_row = None;
        let mut queued = self.progress.borrow().queued_bytes;
        if open.rows.rows() > 0
            && let Some(queue) = &open.queue
        {
            let rows = open.rows.take();
            let bytes = rows.bytes;
            // The receiver is gone only if the put has ended; then its error says so.
            if queue.send(rows).is_ok() {
                self.progress.send_modify(|progress| {
                    progress.queued_bytes += bytes;
                    queued = progress.queued_bytes;
                });
            }
        }
        queued
    }

    fn closed(&self) -> Error {
        let message = format!("topic `{}` is closed; open a new writer to continue", self.topic);
        Error::new(ErrorKind::Closed, message)
    }

    fn describe(&self, error: Error, stats: LaneStats) -> Error {
        if error.kind == ErrorKind::Closed {
            return error;
        }
        let LaneStats { pushed, durable, .. } = stats;
        if self.acknowledged && durable >= pushed {
            return error.context(format_args!(
                "topic `{}`: all {pushed} pushed rows are stored, later ones are not accepted",
                self.topic
            ));
        }
        let lost = if self.acknowledged {
            format!("rows {durable}..{pushed} ({} of {pushed})", pushed - durable)
        } else {
            format!("some of the {pushed} pushed rows")
        };
        error.context(format_args!("topic `{}`: {lost} are not known to be stored", self.topic))
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

/// Runs the put call to its end and leaves the outcome in the progress.
async fn put(
    mut lease: Lease,
    command: PutCommand,
    schema: SchemaRef,
    batches: mpsc::UnboundedReceiver<RawRows>,
    shared: Arc<Shared>,
) {
    let broken = Arc::new(Mutex::new(None));
    let outcome = async {
        let command = serde_json::to_vec(&command).expect("plain fields are JSON");
        let messages = FlightDataEncoderBuilder::new()
            .with_schema(schema)
            .with_flight_descriptor(Some(FlightDescriptor::new_cmd(command)))
            .with_max_flight_data_size(MESSAGE_BYTES)
            .build(sending(batches, Arc::clone(&shared)));
        let messages = messages.scan(Arc::clone(&broken), |broken, message| {
            let message = message.map_err(|error| *broken.lock() = Some(Error::from(error))).ok();
            std::future::ready(message)
        });
        let mut answers = lease.flight.do_put(messages).await?.into_inner();
        while let Some(answer) = answers.message().await? {
            // Answers without our JSON come from servers that do not acknowledge.
            if let Ok(ack) = serde_json::from_slice::<PutAck>(&answer.app_metadata) {
                shared.progress.send_modify(|progress| progress.durable = ack.durable_rows);
            }
        }
        Ok(())
    };
    let outcome = outcome.await;
    let outcome = match broken.lock().take() {
        Some(error) => Err(error),
        None => outcome,
    };
    let outcome = match outcome {
        // A clean end that the writer did not ask for is no success.
        Ok(()) if shared.open.lock().queue.is_some() => {
            Err(Error::new(ErrorKind::Unavailable, "the server ended the upload before the writer closed it"))
        }
        other => other,
    };
    shared.progress.send_modify(|progress| progress.ended = Some(outcome));
}

/// The queued rows as batches; rows count as sent when the next batch is asked for.
fn sending(
    batches: mpsc::UnboundedReceiver<RawRows>,
    shared: Arc<Shared>,
) -> impl Stream<Item = Result<arrow::array::RecordBatch, FlightError>> {
    futures::stream::unfold((batches, shared, (0, 0)), |(mut batches, shared, taken)| async move {
        let (rows, bytes) = taken;
        if rows > 0 {
            shared.progress.send_modify(|progress| {
                progress.sent += rows;
                progress.queued_bytes -= bytes;
            });
        }
        let raw = batches.recv().await?;
        let taken = (raw.rows as u64, raw.bytes);
        let batch = raw.into_batch().map_err(|error| FlightError::ExternalError(Box::new(error)));
        Some((batch, (batches, shared, taken)))
    })
}

impl From<ColumnError> for Error {
    fn from(error: ColumnError) -> Self {
        Self::new(ErrorKind::InvalidInput, error.to_string())
    }
}
