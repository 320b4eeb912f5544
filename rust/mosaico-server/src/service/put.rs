//! `DoPut`: validates batches, appends them to the WAL, and acknowledges durable rows.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::SchemaRef;
use arrow_flight::decode::{DecodedFlightData, DecodedPayload, FlightDataDecoder};
use arrow_flight::error::FlightError;
use arrow_flight::flight_descriptor::DescriptorType;
use arrow_flight::{FlightData, PutResult};
use async_stream::try_stream;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use mosaico_engine::ingest::open_put::begin;
use mosaico_engine::ingest::put::PendingBatch;
use mosaico_engine::state::active_topic::ActiveTopic;
use mosaico_engine::state::engine::Engine;
use mosaico_engine::state::limits::Receipt;
use mosaico_select::data_bytes;
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::schema::{ColumnPresence, TimeSpan, conform, times};
use mosaico_storage::wal::frame::{Frame, SegmentRows, encode};
use mosaico_types::{ErrorCode, TopicLocator};
use mosaico_wire::command::{PutAck, PutCommand};
use mosaico_wire::status::{self, ERROR_HEADER};
use tokio::select;
use tokio::sync::watch;
use tonic::{Code, Status, Streaming};
use tracing::Instrument;

use super::call::{Items, check_body};
use super::expansion::{self, Counted};
use crate::access::identity::{Caller, refused};
use crate::access::table::Missing;
use crate::access::table::name::DO_PUT;
use crate::request_layer::{Call, status_of};

/// The acknowledgements of a put. They are coalesced: a client that does not read them blocks nothing.
pub(crate) fn stream(
    core: &Arc<Engine>,
    caller: Arc<Caller>,
    call: Option<Arc<Call>>,
    input: Streaming<FlightData>,
    counted: Counted,
) -> Items<PutResult> {
    let (acks, mut durable) = watch::channel(PutAck::default());
    let mut job = tokio::spawn(store(Arc::clone(core), caller, call, input, counted, acks).in_current_span());
    let answers = try_stream! {
        while durable.changed().await.is_ok() {
            let ack = *durable.borrow_and_update();
            yield PutResult { app_metadata: serde_json::json!(ack).to_string().into() };
        }
        match (&mut job).await {
            Ok(result) => result.map_err(status_of)?,
            Err(e) => Err(status_of(Error::internal("storing a put stream", e)))?,
        }
    };
    let answers: Items<PutResult> = Box::pin(answers);
    answers
}

/// How long the server drains the rest of a failed put.
const DRAIN: Duration = Duration::from_secs(2);

async fn store(
    core: Arc<Engine>,
    caller: Arc<Caller>,
    call: Option<Arc<Call>>,
    mut input: Streaming<FlightData>,
    counted: Counted,
    acks: watch::Sender<PutAck>,
) -> Result<()> {
    let limit = core.config.max_message_bytes;
    let first = input.message().await.map_err(|status| unreadable(&status, limit))?.ok_or_else(|| {
        bad_message("the put stream is empty; begin with a command descriptor and a schema")
    })?;
    let command = command(&first)?;
    let locator = TopicLocator::parse(&command.resource_locator)?;
    if let Some(call) = call {
        call.trail.concerns(&command.resource_locator);
    }
    caller.check_topic(DO_PUT, &locator, Missing::Sequence)?;
    // After a message that it cannot decode, tonic's stream yields errors forever without waiting; this
    // wrapper ends the stream.
    let input = input.scan(false, |failed, message| {
        let message = (!*failed).then_some(message);
        *failed |= matches!(message, Some(Err(_)));
        std::future::ready(message)
    });
    let counting = counted.clone();
    let input = while_allowed(caller, input);
    let messages =
        stream::iter([Ok(first)]).chain(input).then(move |message| counting.clone().expand(message, limit));
    let messages = messages.map(|message| match message {
        Ok(message) if message.data_header.is_empty() => {
            Err(FlightError::ProtocolError("a message without header".into()))
        }
        message => message,
    });
    // The decoder panics on some malformed headers, such as a list type without an item field.
    let mut messages = AssertUnwindSafe(FlightDataDecoder::new(messages)).catch_unwind().map(|message| {
        message.unwrap_or_else(|_| Err(FlightError::DecodeError("the decoder panicked".into())))
    });
    let schema = match messages.try_next().await {
        Ok(Some(DecodedFlightData { payload: DecodedPayload::Schema(schema), .. })) => schema,
        Ok(_) => return Err(unexpected(&locator, "no schema in its first message")),
        Err(error) => return Err(failure(&locator, 0, limit, error)),
    };
    let session = begin(&core, &locator, &command, &schema, acks).await?;
    let topic = Arc::clone(session.topic());
    let batches = messages.map_err({
        let topic = Arc::clone(&topic);
        move |error| failure(&topic.row.locator, topic.durable().durable_rows, limit, error)
    });
    let incoming = batches.try_filter_map(move |message| {
        let incoming = match message {
            DecodedFlightData { payload: DecodedPayload::RecordBatch(batch), inner } => {
                check(&topic, &schema, &batch, inner, limit).map(|batch| counted.with_receipt(batch))
            }
            DecodedFlightData { payload: DecodedPayload::Schema(_), .. } => {
                Err(unexpected(&topic.row.locator, "a second schema"))
            }
            DecodedFlightData { payload: DecodedPayload::None, .. } => {
                Err(unexpected(&topic.row.locator, "a message without rows or schema"))
            }
        };
        std::future::ready(incoming)
    });
    let mut incoming = Box::pin(incoming);
    let outcome = session.run(&mut incoming).await;
    if outcome.is_err() {
        // Dropping a stream that the client is still writing resets the stream, and the reset can overtake
        // the error.
        let drain = async move { while incoming.next().await.is_some() {} };
        tokio::spawn(tokio::time::timeout(DRAIN, drain));
    }
    outcome
}

/// The messages until the caller's key is revoked or expires, then an error.
fn while_allowed(
    caller: Arc<Caller>,
    input: impl Stream<Item = Result<FlightData, Status>> + Send,
) -> impl Stream<Item = Result<FlightData, Status>> + Send {
    async_stream::stream! {
        let (mut input, mut revoked) = (pin!(input), pin!(caller.revoked()));
        loop {
            let message = select! {
                biased;
                () = &mut revoked => Some(Err(status_of(refused()))),
                message = input.next() => message,
            };
            let Some(message) = message else { return };
            let failed = message.is_err();
            yield message;
            if failed {
                return;
            }
        }
    }
}

fn bad_message(text: &str) -> Error {
    Error::Refused(ErrorCode::BadMessage, text.to_owned())
}

fn unexpected(locator: &TopicLocator, what: &str) -> Error {
    let text = format!(
        "the put stream of topic `{locator}` holds {what}; send one schema with the descriptor, then record batches"
    );
    Error::Refused(ErrorCode::UnexpectedMessage, text)
}

fn command(first: &FlightData) -> Result<PutCommand> {
    let bad = |text: String| Error::Refused(ErrorCode::BadDescriptor, text);
    let descriptor = first.flight_descriptor.as_ref().ok_or_else(|| {
        bad("the first message of a put stream has no descriptor; send a command with it".into())
    })?;
    if descriptor.r#type() != DescriptorType::Cmd {
        return Err(bad("the put stream's descriptor is not a command; send one of type CMD".into()));
    }
    check_body("the put stream's command", &descriptor.cmd)?;
    serde_json::from_slice(&descriptor.cmd)
        .map_err(|e| bad(format!("the put stream's command is malformed: {e}")))
}

/// Validates a batch and encodes it for the WAL; `None` without rows.
fn check(
    topic: &ActiveTopic,
    sent: &SchemaRef,
    batch: &RecordBatch,
    message: FlightData,
    limit: usize,
) -> Result<Option<PendingBatch>> {
    if batch.num_rows() == 0 {
        return Ok(None);
    }
    expansion::check(batch, limit)?;
    let refuse =
        |what: String| Error::Refused(ErrorCode::BadRow, format!("topic `{}`: {what}", topic.row.locator));
    let column = times(batch)?;
    if let Some(row) = column.nulls().and_then(|nulls| (0..nulls.len()).find(|&row| nulls.is_null(row))) {
        return Err(refuse(format!("row {row} of a batch has no timestamp_ns; every row needs one")));
    }
    let Some(times) = TimeSpan::of(column.values()) else { return Ok(None) };
    let plain = sent.fields().iter().zip(topic.schema.fields()).all(|(a, b)| a.data_type() == b.data_type());
    let (frame, data) = if plain {
        let sparse = !message.app_metadata.is_empty();
        let body = if sparse { message.app_metadata } else { message.data_body };
        (
            Frame { header: message.data_header, body, sparse, rows: batch.num_rows() as u64 },
            data_bytes(batch),
        )
    } else {
        let batch = conform(batch, &topic.schema).map_err(|error| {
            tracing::debug!(topic = %topic.row.locator, %error, "a dictionary that cannot be decoded");
            refuse("a dictionary-encoded column cannot be decoded; check its indices".into())
        })?;
        (encode(&batch)?, data_bytes(&batch))
    };
    let rows = SegmentRows {
        row_start: 0,
        rows: batch.num_rows() as u64,
        lost: 0,
        data_bytes: data as u64,
        times,
        filled: ColumnPresence::of(batch),
    };
    Ok(Some(PendingBatch { frame, rows, receipt: Receipt::new() }))
}

/// The error for a broken stream or an undecodable message.
fn failure(locator: &TopicLocator, durable_rows: u64, limit: usize, error: FlightError) -> Error {
    match error {
        FlightError::Tonic(status) if status.metadata().contains_key(ERROR_HEADER) => limited(&status),
        FlightError::Tonic(status) if status.code() == Code::OutOfRange => unreadable(&status, limit),
        FlightError::Tonic(status) if status.code() == Code::PermissionDenied => refused(),
        FlightError::Tonic(status) => {
            tracing::debug!(topic = %locator, %status, "a put stream broke");
            let cause = match status.code() {
                Code::Cancelled => "the client cancelled it",
                _ => "the connection was lost, or what came is not FlightData",
            };
            Error::Broken { topic: locator.to_string(), durable_rows, cause }
        }
        FlightError::ProtocolError(_) => unexpected(locator, "a message that is not due here"),
        error => {
            tracing::debug!(topic = %locator, %error, "a malformed message");
            let text = format!(
                "topic `{locator}`: a message of the put stream is no valid Arrow IPC; {durable_rows} rows before \
                 it are kept"
            );
            Error::Refused(ErrorCode::BadMessage, text)
        }
    }
}

/// A refusal of the gate in front of the services.
fn limited(refusal: &Status) -> Error {
    Error::Refused(status::code(refusal), refusal.message().to_owned())
}

fn unreadable(status: &Status, limit: usize) -> Error {
    match status.code() {
        _ if status.metadata().contains_key(ERROR_HEADER) => limited(status),
        Code::OutOfRange => Error::Refused(
            ErrorCode::TooLarge,
            format!("a message is larger than the limit of {limit} bytes; send smaller batches"),
        ),
        _ => {
            bad_message("a message of the put stream is not FlightData; check the client's protocol version")
        }
    }
}
