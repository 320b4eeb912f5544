//! The stream of one topic, read ahead in the background.

use std::sync::Arc;
use std::task::{Context, Poll};

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow_flight::decode::{DecodedPayload, FlightDataDecoder};
use arrow_flight::error::FlightError;
use arrow_flight::{FlightData, Ticket};
use futures::{Stream, StreamExt, TryStreamExt};
use mosaico_select::Select;
use mosaico_types::ErrorKind;
use mosaico_wire::damage::{DamagedRows, parse_skipped};
use mosaico_wire::{FOLLOW_HEADER, SKIP_DAMAGED_HEADER, TOGETHER_HEADER, ZERO_RUNS_HEADER, ipc, zero_runs};
use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc};
use tokio::task::JoinHandle;
use tonic::metadata::MetadataValue;
use tonic::{Request, Status};

use crate::connection::{LARGEST_MESSAGE, Lease};
use crate::error::{Error, Result, is_refused};
use crate::read_ahead::{ReadAhead, batch_bytes};

/// Upper bound of queued batches per topic; bytes are bounded by [`ReadAhead`].
const QUEUED_BATCHES: usize = 64;

struct Queued {
    batch: RecordBatch,
    /// Released when the consumer takes the batch.
    _room: Option<OwnedSemaphorePermit>,
}

/// Requested properties of a stream besides the ticket; 0.2 servers receive none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    /// Also new rows, until the topic is complete.
    pub(crate) follow: bool,
    /// The daemon is native and supports more headers.
    pub(crate) ours: bool,
    /// Leave out rows of damaged chunks.
    pub(crate) skip_damaged: bool,
}

/// The rows that the daemon left out of a stream.
pub(crate) type SkippedRows = Arc<Mutex<Vec<DamagedRows>>>;

/// The batches of one topic in time order, read ahead by a background task. Dropping it ends the call.
pub struct TopicStream {
    schema: SchemaRef,
    queue: mpsc::Receiver<Result<Queued>>,
    starving: Arc<Notify>,
    task: JoinHandle<()>,
    /// The error that ended the stream early; later calls never treat it as the end of the data.
    failed: Option<Error>,
    skipped: SkippedRows,
}

impl TopicStream {
    /// `choose` builds the selection that the client evaluates, once the schema is known.
    pub(crate) async fn open(
        mut lease: Lease,
        ticket: Vec<u8>,
        read_ahead: ReadAhead,
        options: Options,
        choose: impl FnOnce(&Schema) -> Result<Option<Select>>,
    ) -> Result<Self> {
        let together = read_ahead.topics();
        let asked = [
            (FOLLOW_HEADER, options.follow.then_some(1)),
            (ZERO_RUNS_HEADER, options.ours.then_some(1)),
            (TOGETHER_HEADER, options.ours.then_some(together)),
            (SKIP_DAMAGED_HEADER, (options.ours && options.skip_damaged).then_some(1)),
        ];
        let ticket = bytes::Bytes::from(ticket);
        let request = || {
            let mut request = Request::new(Ticket { ticket: ticket.clone() });
            for (header, asked) in asked {
                if let Some(number) = asked {
                    request.metadata_mut().insert(header, MetadataValue::from(number));
                }
            }
            request
        };
        let response = match lease.flight.do_get(request()).await {
            // A channel may report an earlier failed attempt to connect, though the daemon is back since then.
            Err(status) if is_refused(&status) => lease.flight.do_get(request()).await?,
            answer => answer?,
        };
        let skipped = SkippedRows::default();
        let noted = Arc::clone(&skipped);
        let messages = response.into_inner().try_filter_map(move |message| {
            let found = parse_skipped(&message.app_metadata);
            std::future::ready(match found {
                None => Ok(Some(message)),
                Some(Ok(rows)) => {
                    noted.lock().extend(rows);
                    Ok(None)
                }
                Some(Err(cause)) => Err(Status::internal(format!("the list of skipped rows: {cause}"))),
            })
        });
        let mut messages = FlightDataDecoder::new(messages.map(|message| whole(message?)));
        let schema = match messages.try_next().await?.map(|message| message.payload) {
            Some(DecodedPayload::Schema(schema)) => schema,
            _ => return Err(malformed("the stream does not begin with a schema")),
        };
        let select = choose(&schema)?;
        let schema = select.as_ref().map_or(schema, |select| Arc::clone(select.schema()));
        let batches = messages.map_err(Error::from).try_filter_map(move |message| {
            _ = &lease;
            std::future::ready(match message.payload {
                DecodedPayload::RecordBatch(batch) => match &select {
                    Some(select) => select.apply(&batch).map(Some).map_err(Error::from),
                    None => Ok(Some(batch)),
                },
                DecodedPayload::None => Ok(None),
                DecodedPayload::Schema(_) => Err(malformed("the stream holds a second schema")),
            })
        });
        let mut stream = Self::spawn(schema, batches, read_ahead);
        stream.skipped = skipped;
        Ok(stream)
    }

    /// Reads `batches` ahead in a task of its own.
    pub(crate) fn spawn(
        schema: SchemaRef,
        batches: impl Stream<Item = Result<RecordBatch>> + Send + 'static,
        read_ahead: ReadAhead,
    ) -> Self {
        let (sender, queue) = mpsc::channel(QUEUED_BATCHES);
        let starving = Arc::new(Notify::new());
        let wanted = Arc::clone(&starving);
        let task = tokio::spawn(async move {
            let mut batches = std::pin::pin!(batches);
            while let Some(batch) = batches.next().await {
                let queued = match batch {
                    Ok(batch) if batch.num_rows() == 0 => continue,
                    Ok(batch) => Ok(admit(batch, &read_ahead, &wanted).await),
                    Err(error) => Err(error),
                };
                let failed = queued.is_err();
                if sender.send(queued).await.is_err() || failed {
                    return;
                }
            }
        });
        Self { schema, queue, starving, task, failed: None, skipped: SkippedRows::default() }
    }

    /// The schema, with the topic's metadata.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The rows of damaged chunks that the daemon left out; complete at the end.
    pub fn skipped(&self) -> Vec<DamagedRows> {
        self.skipped.lock().clone()
    }

    pub(crate) fn shared_skipped(&self) -> SkippedRows {
        Arc::clone(&self.skipped)
    }

    /// The next batch (never empty), or `None` at the end.
    ///
    /// # Errors
    /// The error that ended the stream early; every later call returns it again.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    /// As [`Self::next`], for callers that wait for several streams.
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<RecordBatch>>> {
        if let Some(error) = &self.failed {
            return Poll::Ready(Err(error.clone()));
        }
        if self.queue.is_empty() {
            self.starving.notify_one();
        }
        self.queue.poll_recv(context).map(|queued| match queued {
            Some(Ok(queued)) => Ok(Some(queued.batch)),
            Some(Err(error)) => Err(self.failed.insert(error).clone()),
            None => Ok(None),
        })
    }
}

impl Drop for TopicStream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Restores the body of a message to the form that the decoder expects.
fn whole(mut message: FlightData) -> Result<FlightData, FlightError> {
    if message.app_metadata == ipc::ZERO_RUNS {
        let body = zero_runs::unpack(&message.data_body, LARGEST_MESSAGE);
        message.data_body = body.map_err(|error| FlightError::DecodeError(error.to_string()))?.into();
        message.app_metadata.clear();
    }
    Ok(message)
}

fn malformed(what: &str) -> Error {
    Error::new(ErrorKind::Internal, format!("the server sent something else than a topic: {what}"))
}

/// Waits for the shared budget, unless the consumer waits for this topic.
async fn admit(batch: RecordBatch, read_ahead: &ReadAhead, starving: &Notify) -> Queued {
    let room = tokio::select! {
        room = read_ahead.acquire(batch_bytes(&batch)) => Some(room),
        () = starving.notified() => None,
    };
    Queued { batch, _room: room }
}
