//! The stream of one topic, read ahead in the background.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow_flight::Ticket;
use arrow_flight::decode::{DecodedFlightData, DecodedPayload};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt};
use mosaico_select::Select;
use mosaico_types::ErrorKind;
use mosaico_wire::damage::DamagedRows;
use mosaico_wire::{FOLLOW_HEADER, SKIP_DAMAGED_HEADER, TOGETHER_HEADER, ZERO_RUNS_HEADER};
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::Request;
use tonic::metadata::MetadataValue;

use crate::error::{Error, Result};
use crate::pool::{Lease, Pool, Use, late};
use crate::read_ahead::{Holding, ReadAhead, batch_bytes};
pub(crate) use crate::received::SkippedRows;
use crate::received::{LARGEST_MESSAGE, decoded};
use crate::repeat::{self, Effect};

/// Upper bound of queued batches per topic; bytes are bounded by [`ReadAhead`].
const QUEUED_BATCHES: usize = 64;

struct Queued {
    batch: RecordBatch,
    /// Released when the consumer asks for the batch after this one.
    holding: Holding,
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

/// The batches of one topic in time order, read ahead by a background task. Dropping it ends the call.
pub struct TopicStream {
    schema: SchemaRef,
    /// `None`: the end of the data.
    queue: mpsc::Receiver<Result<Option<Queued>>>,
    /// Of the batch that the consumer has.
    holding: Option<Holding>,
    starving: Arc<Notify>,
    task: JoinHandle<()>,
    /// The error that ended the stream early; later calls never treat it as the end of the data.
    failed: Option<Error>,
    ended: bool,
    skipped: SkippedRows,
}

impl TopicStream {
    /// `choose` builds the selection that the client evaluates, once the schema is known.
    pub(crate) async fn open(
        pool: &Pool,
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
            request.extensions_mut().insert(read_ahead.clone());
            request
        };
        // A follower may wait for the first upload of a topic.
        let limit = (!options.follow).then(|| pool.timeouts().answer);
        let attempt = |lease| begin(lease, request(), read_ahead.clone(), limit);
        let Begun { lease, schema, messages, skipped } =
            repeat::call(pool, Use::Data, Effect::None, attempt).await?;
        let select = choose(&schema)?;
        let schema = select.as_ref().map_or(schema, |select| Arc::clone(select.schema()));
        let batches = messages.map(move |message| {
            _ = &lease;
            match message?.payload {
                DecodedPayload::RecordBatch(batch) => match &select {
                    Some(select) => select.apply(&batch).map(Some).map_err(Error::from),
                    None => Ok(Some(batch)),
                },
                DecodedPayload::None => Ok(None),
                DecodedPayload::Schema(_) => Err(malformed("the stream holds a second schema")),
            }
        });
        let mut stream = Self::spawn(schema, batches, read_ahead, limit);
        stream.skipped = skipped;
        Ok(stream)
    }

    /// Reads `batches` ahead in a task of its own; each has to arrive within `limit`.
    pub(crate) fn spawn(
        schema: SchemaRef,
        batches: impl Stream<Item = Result<Option<RecordBatch>>> + Send + 'static,
        read_ahead: ReadAhead,
        limit: Option<Duration>,
    ) -> Self {
        let (sender, queue) = mpsc::channel(QUEUED_BATCHES);
        let starving = Arc::new(Notify::new());
        let wanted = Arc::clone(&starving);
        let task = tokio::spawn(async move {
            let mut batches = std::pin::pin!(batches);
            loop {
                let rows = next_rows(batches.as_mut());
                let rows = match limit {
                    Some(limit) => timeout(limit, rows).await.unwrap_or_else(|_| Err(late(limit))),
                    None => rows.await,
                };
                let queued = match rows {
                    Ok(Some(batch)) => admit(batch, &read_ahead, &wanted).await.map(Some),
                    Ok(None) => Ok(None),
                    Err(error) => Err(error),
                };
                let ended = !matches!(queued, Ok(Some(_)));
                if sender.send(queued).await.is_err() || ended {
                    return;
                }
            }
        });
        let skipped = SkippedRows::default();
        Self { schema, queue, holding: None, starving, task, failed: None, ended: false, skipped }
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
        if self.ended {
            return Poll::Ready(Ok(None));
        }
        self.holding = None;
        self.queue.poll_recv(context).map(|queued| match queued {
            Some(Ok(Some(Queued { batch, holding, .. }))) => {
                self.holding = Some(holding);
                Ok(Some(batch))
            }
            Some(Ok(None)) => {
                self.ended = true;
                Ok(None)
            }
            Some(Err(error)) => Err(self.failed.insert(error).clone()),
            None => {
                let lost = Error::new(
                    ErrorKind::Internal,
                    "the stream ended without its last rows: its reader panicked",
                );
                Err(self.failed.insert(lost).clone())
            }
        })
    }
}

impl Drop for TopicStream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A stream whose schema has arrived.
struct Begun {
    lease: Lease,
    schema: SchemaRef,
    messages: BoxStream<'static, Result<DecodedFlightData>>,
    skipped: SkippedRows,
}

/// Opens a stream and waits for its schema.
async fn begin(
    lease: Lease,
    request: Request<Ticket>,
    read_ahead: ReadAhead,
    limit: Option<Duration>,
) -> Result<Begun> {
    let skipped = SkippedRows::default();
    let mut flight = lease.flight.clone().max_decoding_message_size(LARGEST_MESSAGE);
    let opening = async {
        let response = flight.do_get(request).await?;
        let mut messages = decoded(response.into_inner(), read_ahead, Arc::clone(&skipped));
        match messages.try_next().await?.map(|message| message.payload) {
            Some(DecodedPayload::Schema(schema)) => Ok((schema, messages)),
            _ => Err(malformed("the stream does not begin with a schema")),
        }
    };
    let (schema, messages) = lease.answered(limit, opening).await?;
    Ok(Begun { lease, schema, messages, skipped })
}

/// The next batch with rows; `None` at the end.
async fn next_rows(
    mut batches: Pin<&mut impl Stream<Item = Result<Option<RecordBatch>>>>,
) -> Result<Option<RecordBatch>> {
    while let Some(batch) = batches.next().await {
        match batch? {
            Some(batch) if batch.num_rows() > 0 => return Ok(Some(batch)),
            _ => tokio::task::consume_budget().await,
        }
    }
    Ok(None)
}

fn malformed(what: &str) -> Error {
    Error::new(ErrorKind::Internal, format!("the server sent something else than a topic: {what}"))
}

/// Waits for the shared budget, unless the consumer waits for this topic.
///
/// # Errors
/// The batches of all topics together are too large.
async fn admit(batch: RecordBatch, read_ahead: &ReadAhead, starving: &Notify) -> Result<Queued> {
    let bytes = batch_bytes(&batch);
    let holding = read_ahead.hold(bytes)?;
    let room = tokio::select! {
        room = read_ahead.acquire(bytes) => Some(room),
        () = starving.notified() => None,
    };
    Ok(Queued { batch, holding, _room: room })
}
