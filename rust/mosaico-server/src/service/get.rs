//! `DoGet`: one topic's rows in time order.

use std::future::ready;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::FlightData;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use mosaico_catalog::TopicRow;
use mosaico_engine::read::follow::follow_topic;
use mosaico_engine::read::options::Options;
use mosaico_engine::read::request::{ReadRequest, Skipped};
use mosaico_engine::read::topic::read_topic;
use mosaico_engine::state::engine::Engine;
use mosaico_engine::state::message_size::BatchSizer;
use mosaico_engine::state::read_memory::Untaken;
use mosaico_select::Select;
use mosaico_storage::error::{Error, Result};
use mosaico_types::ErrorCode;
use mosaico_wire::damage::skipped_message;
use mosaico_wire::ipc::{batch_message, schema_message};
use mosaico_wire::ticket::{Received, Ticket};
use tokio::select;
use tokio::sync::mpsc;
use tonic::Status;
use tracing::Instrument;

use super::call::{Items, check_body};
use super::info;
use crate::access::identity::{Caller, refused};
use crate::access::table::name::DO_GET;
use crate::peers::{self, PeerPool};
use crate::request_layer::status_of;

/// Messages that are prepared before the client requests them.
const READY_MESSAGES: usize = 1;

/// Arrow data of the messages of followers, which are not counted.
const FOLLOW_BYTES: usize = 128 << 10;

/// The interval for checking whether the first upload of a followed topic has begun.
const SCHEMA_PAUSE: Duration = Duration::from_millis(50);

/// Returns the messages for a ticket.
pub(crate) async fn messages(
    core: &Arc<Engine>,
    pool: &Arc<PeerPool>,
    caller: Arc<Caller>,
    ticket: &[u8],
    options: Options,
) -> Result<Items<FlightData>> {
    check_body("the ticket", ticket)?;
    let received = Received::decode(ticket).map_err(|e| {
        let text = format!("the ticket is malformed: {e}; take tickets from GetFlightInfo as they are");
        Error::Refused(ErrorCode::BadTicket, text)
    })?;
    let locator = caller.check_ticket(DO_GET, &received)?;
    let topic = core.catalog.topic(&locator).await?;
    open(core, pool, caller, topic, received.ticket, options).await
}

/// The messages of a topic, for a caller that may read it.
pub(crate) async fn open(
    core: &Arc<Engine>,
    pool: &Arc<PeerPool>,
    caller: Arc<Caller>,
    topic: TopicRow,
    ticket: Ticket,
    options: Options,
) -> Result<Items<FlightData>> {
    let reading = Arc::clone(&core.readers);
    let (sender, receiver) = mpsc::channel(READY_MESSAGES);
    let size = core.batch_sizer(options.together);
    let encoded = match options.follow {
        true => None,
        false => Some(encode(core, pool, &topic, &ticket, options, &size).await?),
    };
    let (core, pool) = (Arc::clone(core), Arc::clone(pool));
    // A separate task: decoding must not block the other streams of the connection.
    let work = async move {
        let _reading = reading;
        let mut topic = topic;
        let mut encoded = match encoded {
            Some(encoded) => encoded,
            None => select! {
                encoded = encode_later(&core, &pool, &mut topic, &ticket, options, &size) => encoded,
                () = caller.revoked() => failing(refused()),
                () = sender.closed() => return,
                () = core.stopping.cancelled() => failing(core.ended()),
            },
        };
        let ending = if options.follow { &core.stopping } else { &core.halting };
        let mut revoked = pin!(caller.revoked());
        let untaken = Untaken::default();
        // Prepares a message only when the channel has capacity for it.
        while let Ok(room) = sender.reserve().await {
            let next = async {
                // A follower waits for rows, and must not keep memory from others meanwhile.
                size.cap(FOLLOW_BYTES);
                let memory = match options.follow {
                    true => Ok(None),
                    false => core.read_memory.next_message(&size, &untaken).await.map(Some),
                };
                match memory {
                    Ok(memory) => (encoded.next().await, memory),
                    Err(error) => (Some(Err(error)), None),
                }
            };
            let (message, memory) = select! {
                next = next => next,
                () = sender.closed() => return,
                () = ending.cancelled() => (Some(Err(core.ended())), None),
                () = &mut revoked => (Some(Err(refused())), None),
            };
            let Some(message) = message else { return };
            let failed = message.is_err();
            let message = match message {
                Ok(message) => Ok(message),
                Err(error) => Err(status(&core, &topic, error).await),
            };
            room.send((message, memory));
            if failed {
                return;
            }
        }
    };
    tokio::spawn(work.in_current_span());
    // A message counts until the next one is asked for: until then the connection has it.
    let messages = stream::unfold((receiver, None), |(mut receiver, previous)| async move {
        drop(previous);
        let (message, memory) = receiver.recv().await?;
        Some((message, (receiver, memory)))
    });
    Ok(messages.boxed())
}

type Encoded = BoxStream<'static, Result<FlightData>>;

async fn encode(
    core: &Arc<Engine>,
    pool: &Arc<PeerPool>,
    topic: &TopicRow,
    ticket: &Ticket,
    options: Options,
    size: &Arc<BatchSizer>,
) -> Result<Encoded> {
    if !options.forwarded
        && let Some(messages) = peers::read(core, pool, topic, ticket.encode(), options).await?
    {
        return Ok(messages);
    }
    let schema = info::topic_schema(topic)?;
    let select = Arc::new(match topic.schema {
        Some(_) => Select::new(&ticket.selection, &topic.ontology_tag, &schema)?,
        None => Select::all(&schema),
    });
    let skipped = options.skip_damaged.then(Arc::<Skipped>::default);
    // The first message is counted before a chunk is open. A projection may have much smaller rows.
    if select.schema().fields().len() == schema.fields().len() && topic.rows > 0 {
        size.has_rows_of(usize::try_from(topic.data_bytes / topic.rows).unwrap_or(usize::MAX));
    }
    let wanted = ReadRequest {
        window: ticket.window,
        select: Arc::clone(&select),
        size: Arc::clone(size),
        skipped: skipped.clone(),
    };
    // The schema must precede all rows.
    let batches = match topic.schema {
        Some(_) if options.follow => follow_topic(core, topic, wanted).await?,
        Some(_) => read_topic(core, topic, &wanted).await?,
        None => stream::empty().boxed(),
    };
    // arrow-flight's own encoder declares large lists as lists, and measures whole buffers instead of slices.
    let first = FlightData { data_header: schema_message(select.schema()).into(), ..Default::default() };
    let metrics = Arc::clone(&core.metrics);
    let rows = batches.map(move |batch| {
        let batch = batch?;
        let message =
            batch_message(&batch, options.zero_runs).map_err(|e| Error::internal("encoding a batch", e))?;
        let bytes = message.header.len() + message.body.len();
        metrics.egress.add(1, batch.num_rows() as u64, bytes as u64);
        Ok(FlightData {
            app_metadata: message.mark().into(),
            data_header: message.header.into(),
            data_body: message.body.into(),
            ..Default::default()
        })
    });
    let report = stream::once(async move { skipped.map(|skipped| skipped.take()).unwrap_or_default() });
    let report = report.filter_map(|rows| {
        let message = FlightData { app_metadata: skipped_message(&rows).into(), ..Default::default() };
        ready((!rows.is_empty()).then_some(Ok(message)))
    });
    Ok(stream::iter([Ok(first)]).chain(rows).chain(report).boxed())
}

/// Waits for the topic's schema, which its first upload sets.
async fn encode_later(
    core: &Arc<Engine>,
    pool: &Arc<PeerPool>,
    topic: &mut TopicRow,
    ticket: &Ticket,
    options: Options,
    size: &Arc<BatchSizer>,
) -> Encoded {
    let encoded = async {
        while topic.schema.is_none() && topic.committed_ns.is_none() && !topic.sequence_ended {
            tokio::time::sleep(SCHEMA_PAUSE).await;
            let row = core.catalog.topic_by_id(topic.id).await?.filter(|row| !row.deleting);
            *topic = row.ok_or_else(|| Error::Deleted(topic.locator.to_string()))?;
        }
        encode(core, pool, topic, ticket, options, size).await
    };
    encoded.await.unwrap_or_else(failing)
}

fn failing(error: Error) -> Encoded {
    stream::iter([Err(error)]).boxed()
}

async fn status(core: &Engine, topic: &TopicRow, error: Error) -> Status {
    // A reader's files vanish only when the topic is deleted.
    let found = core.catalog.topic_by_id(topic.id).await;
    let gone = found.is_ok_and(|row| row.is_none_or(|row| row.deleting));
    status_of(if gone { Error::Deleted(topic.locator.to_string()) } else { error })
}
