//! The put call of a lane: sends the entries of the outbox, processes acknowledgements, and resumes over a
//! new connection when one breaks.

use std::sync::Arc;

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
use tonic::Streaming;

use super::outbox::Next;
use super::shared::Shared;
use crate::connection::Lease;
use crate::error::{Error, Result};

/// Approximate size of a message; it has at least one row.
const MESSAGE_BYTES: usize = 1 << 20;

/// Runs the upload to its end in the background and stores the outcome in the progress.
pub(super) fn spawn(
    lease: Lease,
    command: PutCommand,
    schema: SchemaRef,
    shared: Arc<Shared>,
) -> AbortHandle {
    let upload = Upload { lease, command, schema, shared: Arc::clone(&shared) };
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
        let outcome = match outcome {
            // A clean end that the writer did not request is an error.
            Ok(()) if self.open.lock().accepting => Err(Error::new(
                ErrorKind::Unavailable,
                "the server ended the upload before the writer closed it",
            )),
            other => other,
        };
        self.progress.send_modify(|progress| progress.ended = Some(outcome));
    }
}

pub(super) struct Upload {
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
        let mut outcome = match self.open(None).await {
            Ok(call) => self.follow(call).await,
            Err(error) => Err(error),
        };
        while let Err(error) = &outcome {
            let reconnect_timeout = self.shared.config.reconnect_timeout;
            if !self.shared.acknowledged || reconnect_timeout.is_zero() || !error.kind.is_retryable() {
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
        let answers = tokio::select! {
            answers = self.lease.flight.do_put(until_failure(messages, fail)) => answers?.into_inner(),
            Ok(error) = &mut failed => return Err(error),
        };
        Ok(Call { answers, failed })
    }

    /// Processes acknowledgements until the upload ends.
    async fn follow(&self, mut call: Call) -> Result<()> {
        while let Some(ack) = call.next().await? {
            self.acknowledged(ack);
        }
        Ok(())
    }

    pub(super) fn acknowledged(&self, ack: PutAck) {
        self.shared.outbox.acknowledge(ack.durable_rows);
        self.shared.progress.send_modify(|progress| {
            progress.durable = progress.durable.max(ack.durable_rows);
            progress.queued_bytes = self.shared.outbox.bytes();
        });
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
