//! The put call of a lane: sends the entries of the outbox, processes acknowledgements, and resumes over a
//! new connection when one breaks.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::{FlightData, FlightDescriptor, PutResult};
use futures::future::Fuse;
use futures::{FutureExt, Stream, StreamExt};
use mosaico_types::ErrorKind;
use mosaico_wire::command::{PutAck, PutCommand};
use mosaico_wire::ipc::{batch_message, schema_message};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tonic::Streaming;

use super::outbox::Next;
use super::shared::Shared;
use crate::error::{Error, Result};
use crate::pool::{Lease, Pool, Use, late};

/// Approximate size of a message; it has at least one row.
const MESSAGE_BYTES: usize = 1 << 20;

/// Runs the upload to its end in the background and stores the outcome in the progress.
pub(super) fn spawn(
    pool: Arc<Pool>,
    lease: Lease,
    command: PutCommand,
    schema: SchemaRef,
    shared: Arc<Shared>,
) -> AbortHandle {
    let upload = Upload { pool, lease, command, schema, shared: Arc::clone(&shared) };
    let task = tokio::spawn(upload.run());
    let abort = task.abort_handle();
    tokio::spawn(async move {
        let outcome = match task.await {
            Ok(outcome) => outcome,
            // The lane was aborted, and reports it itself.
            Err(end) if end.is_cancelled() => return,
            Err(end) => Err(Error::new(ErrorKind::Internal, format!("the upload ended: {end}"))),
        };
        shared.end(outcome);
    });
    abort
}

impl Shared {
    fn end(&self, outcome: Result<()>) {
        let (accepting, pushed) = {
            let open = self.open.lock();
            (open.accepting, open.pushed)
        };
        let durable = self.progress.borrow().durable;
        let outcome = match outcome {
            // A clean end that the writer did not request is an error.
            Ok(()) if accepting => Err(Error::new(
                ErrorKind::Unavailable,
                "the server ended the upload before the writer closed it",
            )),
            Ok(()) if self.acknowledged && durable < pushed => Err(Error::new(
                ErrorKind::Internal,
                "the server ended the upload without acknowledging all rows",
            )),
            other => other,
        };
        self.progress.send_modify(|progress| progress.ended = Some(outcome));
    }
}

pub(super) struct Upload {
    pub(super) pool: Arc<Pool>,
    pub(super) lease: Lease,
    pub(super) command: PutCommand,
    schema: SchemaRef,
    pub(super) shared: Arc<Shared>,
}

/// An open put call.
pub(super) struct Call {
    answers: Streaming<PutResult>,
    /// The error that prevents further sending.
    failed: Fuse<oneshot::Receiver<Error>>,
}

impl Call {
    /// The next acknowledgement; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<PutAck>> {
        loop {
            let answer = tokio::select! {
                answer = self.answers.message() => answer?,
                Ok(error) = &mut self.failed => return Err(error),
            };
            let Some(answer) = answer else { return Ok(None) };
            // Answers without native JSON come from servers that do not acknowledge.
            if let Ok(ack) = serde_json::from_slice(&answer.app_metadata) {
                return Ok(Some(ack));
            }
        }
    }
}

impl Upload {
    async fn run(mut self) -> Result<()> {
        let mut opened = self.open(None).await;
        if opened.as_ref().is_err_and(|error| error.unsent) {
            // The connection was closed while it was idle.
            opened = match self.pool.lease(Use::Data).await {
                Ok(lease) => {
                    self.lease = lease;
                    self.open(None).await
                }
                Err(error) => Err(error),
            };
        }
        let mut outcome = match opened {
            Ok(call) => self.follow(call).await,
            Err(error) => Err(error),
        };
        while let Err(error) = &outcome {
            let reconnect_timeout = self.shared.config.reconnect_timeout;
            if !self.shared.acknowledged || reconnect_timeout.is_zero() || !error.is_temporary() {
                return outcome;
            }
            outcome = match self.resume(error.clone(), reconnect_timeout).await {
                Ok(Some(call)) => self.follow(call).await,
                Ok(None) => return Ok(()),
                Err(error) => return Err(error),
            };
        }
        outcome
    }

    /// Opens a put call. Rows follow the schema at once, since servers without acknowledgements answer
    /// nothing before they have all rows; with `started`, rows follow its signal.
    pub(super) async fn open(&mut self, started: Option<oneshot::Receiver<()>>) -> Result<Call> {
        let stream = self.shared.outbox.begin();
        let (fail, failed) = oneshot::channel();
        let mut failed = failed.fuse();
        let batches = batches(Arc::clone(&self.shared), stream, started);
        // Only native daemons acknowledge, and they support zero-run elision.
        let elide = self.shared.acknowledged;
        let command = serde_json::to_vec(&self.command).expect("plain fields are JSON");
        let first = FlightData {
            flight_descriptor: Some(FlightDescriptor::new_cmd(command)),
            data_header: schema_message(&self.schema).into(),
            ..Default::default()
        };
        let messages =
            futures::stream::iter([Ok(first)]).chain(batches.flat_map(move |batch| messages(batch, elide)));
        let flight = &mut self.lease.flight.clone();
        let answers = async { Ok(flight.do_put(until_failure(messages, fail)).await?.into_inner()) };
        // Servers without acknowledgements may answer at the end of the upload only.
        let limit = self.shared.acknowledged.then(|| self.pool.timeouts().answer);
        let answers = async {
            match limit {
                Some(limit) => self.lease.answered(Some(limit), answers).await,
                None => answers.await,
            }
        };
        let answers = tokio::select! {
            answers = answers => answers?,
            Ok(error) = &mut failed => return Err(error),
        };
        Ok(Call { answers, failed })
    }

    /// Processes acknowledgements until the upload ends.
    async fn follow(&self, mut call: Call) -> Result<()> {
        if !self.shared.acknowledged {
            while call.next().await?.is_some() {}
            return Ok(());
        }
        let limit = self.pool.timeouts().answer;
        let pause = self.lease.check_after().unwrap_or(limit).min(limit);
        // Whether the server owed an answer when the wait for it began, and for how long it does.
        let (mut due, mut late_for) = (self.due(), Duration::ZERO);
        loop {
            match timeout(pause, call.next()).await {
                Ok(Ok(Some(ack))) => {
                    self.acknowledged(ack)?;
                    late_for = Duration::ZERO;
                }
                Ok(end) => return end.map(drop),
                Err(_) if due => {
                    late_for += pause;
                    if late_for >= limit {
                        self.lease.failed();
                        return Err(late(limit));
                    }
                    self.lease.check().await?;
                }
                Err(_) => late_for = Duration::ZERO,
            }
            due = self.due();
        }
    }

    /// Whether the server owes an answer: rows are not acknowledged, or the upload is to end.
    fn due(&self) -> bool {
        let ending = !self.shared.open.lock().accepting;
        let progress = self.shared.progress.borrow();
        ending || progress.durable < progress.sent
    }

    /// Notes what the server has stored.
    ///
    /// # Errors
    /// The acknowledgement contradicts what was sent, or earlier ones. Then it counts as the truth as far as it
    /// names fewer rows.
    pub(super) fn acknowledged(&self, ack: PutAck) -> Result<()> {
        let outcome = self.shared.outbox.acknowledge(ack.durable_rows);
        self.shared.progress.send_modify(|progress| {
            progress.durable = match &outcome {
                Ok(()) => ack.durable_rows,
                Err(_) => progress.durable.min(ack.durable_rows),
            };
            progress.queued_bytes = self.shared.outbox.bytes();
        });
        outcome
    }
}

/// The outbox's batches for `stream`; a batch counts as sent when the next one is requested.
fn batches(
    shared: Arc<Shared>,
    stream: u64,
    started: Option<oneshot::Receiver<()>>,
) -> impl Stream<Item = Result<RecordBatch>> {
    futures::stream::unfold((shared, started, 0), move |(shared, mut started, sent)| async move {
        match started.take() {
            Some(started) => {
                if started.await.is_err() {
                    // The start signal was dropped: the call is about to be dropped, too.
                    std::future::pending::<()>().await;
                }
            }
            None => shared.progress.send_modify(|progress| progress.sent = progress.sent.max(sent)),
        }
        let next = shared.outbox.next(stream).await;
        shared.count_queued();
        match next {
            Ok(Next::Rows(batch, sent)) => Some((Ok(batch), (shared, None, sent))),
            Ok(Next::End) => None,
            // An end here would complete the topic.
            Ok(Next::Stale) => std::future::pending().await,
            Err(error) => Some((Err(error), (shared, None, sent))),
        }
    })
}

/// Encodes a batch as messages.
fn messages(batch: Result<RecordBatch>, elide: bool) -> impl Stream<Item = Result<FlightData>> {
    let (pieces, failed) = match batch {
        Ok(batch) => (pieces(&batch), None),
        Err(error) => (Vec::new(), Some(Err(error))),
    };
    let message = move |piece: RecordBatch| {
        let message = batch_message(&piece, elide)?;
        Ok(FlightData {
            app_metadata: message.mark().into(),
            data_header: message.header.into(),
            data_body: message.body.into(),
            ..Default::default()
        })
    };
    futures::stream::iter(pieces.into_iter().map(message).chain(failed))
}

/// Slices of about one message each, of at least one row.
fn pieces(batch: &RecordBatch) -> Vec<RecordBatch> {
    let count = batch.get_array_memory_size().div_ceil(MESSAGE_BYTES).clamp(1, batch.num_rows().max(1));
    let rows = batch.num_rows().div_ceil(count).max(1);
    let starts = (0..batch.num_rows()).step_by(rows);
    starts.map(|start| batch.slice(start, rows.min(batch.num_rows() - start))).collect()
}

/// Yields messages up to an error and passes the error through `fail`: a stream that ends would complete the
/// topic.
fn until_failure(
    messages: impl Stream<Item = Result<FlightData>>,
    fail: oneshot::Sender<Error>,
) -> impl Stream<Item = FlightData> {
    messages
        .scan(Some(fail), |fail, message| {
            let message = message.map_err(|error| (error, fail.take()));
            std::future::ready(Some(message))
        })
        .then(|message| async move {
            match message {
                Ok(message) => message,
                Err((error, fail)) => {
                    // The receiver is gone only if the call is over.
                    _ = fail.map(|fail| fail.send(error));
                    std::future::pending().await
                }
            }
        })
}
