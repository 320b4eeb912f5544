//! `DoPut`: checks what arrives and hands it to the log; answers with what is durable.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::SchemaRef;
use arrow::ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};
use arrow_flight::decode::{DecodedFlightData, DecodedPayload, FlightDataDecoder};
use arrow_flight::error::FlightError;
use arrow_flight::flight_descriptor::DescriptorType;
use arrow_flight::{FlightData, PutResult};
use async_stream::try_stream;
use futures::{StreamExt, TryStreamExt, stream};
use mosaico_types::TopicLocator;
use mosaico_wire::command::{PutAck, PutCommand};
use tokio::sync::watch;
use tonic::{Code, Status, Streaming};

use super::Items;
use crate::batch::{TimeSpan, conform, data_bytes, times};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::ingest::live::LiveTopic;
use crate::ingest::log::Frame;
use crate::ingest::put::{Incoming, begin};

/// The acknowledgements of a put. They are coalesced: a client that does not read them holds nothing up.
pub(super) fn stream(core: &Arc<Core>, input: Streaming<FlightData>) -> Items<PutResult> {
    let (acks, mut durable) = watch::channel(PutAck::default());
    let mut job = tokio::spawn(store(Arc::clone(core), input, acks));
    let answers = try_stream! {
        while durable.changed().await.is_ok() {
            let ack = *durable.borrow_and_update();
            yield PutResult { app_metadata: serde_json::json!(ack).to_string().into() };
        }
        match (&mut job).await {
            Ok(result) => result?,
            Err(e) => Err(Error::internal("storing a put stream", e))?,
        }
    };
    let answers: Items<PutResult> = Box::pin(answers);
    answers
}

/// How long the rest of a failed put is read and thrown away.
const DRAIN: Duration = Duration::from_secs(2);

async fn store(core: Arc<Core>, mut input: Streaming<FlightData>, acks: watch::Sender<PutAck>) -> Result<()> {
    let limit = core.config.max_message_bytes;
    let first = input.message().await.map_err(|status| refused(&status, limit))?.ok_or_else(|| {
        Error::Invalid("the put stream is empty; begin with a command descriptor and a schema".into())
    })?;
    let command = command(&first)?;
    let locator = TopicLocator::parse(&command.resource_locator)?;
    let mut messages = FlightDataDecoder::new(
        stream::iter([Ok(first)]).chain(input.map_err(|status| FlightError::Tonic(Box::new(status)))),
    );
    let schema = match messages.try_next().await {
        Ok(Some(DecodedFlightData { payload: DecodedPayload::Schema(schema), .. })) => schema,
        Ok(_) => return Err(Error::Invalid("the first message of a put stream holds no schema".into())),
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
                check(&topic, &schema, &batch, inner)
            }
            DecodedFlightData { payload: DecodedPayload::Schema(_), .. } => {
                Err(Error::Invalid("the put stream holds a second schema; open a new stream for it".into()))
            }
            DecodedFlightData { payload: DecodedPayload::None, .. } => {
                Err(Error::Invalid("the put stream holds a message without rows or schema".into()))
            }
        };
        std::future::ready(incoming)
    });
    let mut incoming = Box::pin(incoming);
    let outcome = session.run(&mut incoming).await;
    if outcome.is_err() {
        // Dropping a stream that the client still writes resets it, and the reset can overtake the error.
        let drain = async move { while incoming.next().await.is_some() {} };
        tokio::spawn(tokio::time::timeout(DRAIN, drain));
    }
    outcome
}

fn command(first: &FlightData) -> Result<PutCommand> {
    let descriptor = first.flight_descriptor.as_ref().ok_or_else(|| {
        Error::Invalid("the first message of a put stream has no descriptor; send a command with it".into())
    })?;
    if descriptor.r#type() != DescriptorType::Cmd {
        return Err(Error::Invalid("the put stream's descriptor is not a command".into()));
    }
    serde_json::from_slice(&descriptor.cmd)
        .map_err(|e| Error::Invalid(format!("the put stream's command is malformed: {e}")))
}

/// Checks a batch and makes it ready for the log; `None` without rows.
fn check(
    topic: &LiveTopic,
    sent: &SchemaRef,
    batch: &RecordBatch,
    message: FlightData,
) -> Result<Option<Incoming>> {
    if batch.num_rows() == 0 {
        return Ok(None);
    }
    let refuse = |what: String| Error::Invalid(format!("topic `{}`: {what}", topic.row.locator));
    let column = times(batch)?;
    if let Some(row) = column.nulls().and_then(|nulls| (0..nulls.len()).find(|&row| nulls.is_null(row))) {
        return Err(refuse(format!("row {row} of a batch has no timestamp_ns; every row needs one")));
    }
    let Some(times) = TimeSpan::of(column.values()) else { return Ok(None) };
    let plain = sent.fields().iter().zip(topic.schema.fields()).all(|(a, b)| a.data_type() == b.data_type());
    let (frame, data) = if plain {
        (Frame { header: message.data_header, body: message.data_body }, data_bytes(batch))
    } else {
        let batch = conform(batch, &topic.schema).map_err(|e| refuse(e.to_string()))?;
        (encode(&batch)?, data_bytes(&batch))
    };
    Ok(Some(Incoming { frame, rows: batch.num_rows() as u64, data_bytes: data as u64, times }))
}

fn encode(batch: &RecordBatch) -> Result<Frame> {
    let mut tracker = DictionaryTracker::new(false);
    let mut context = IpcWriteContext::default();
    let options = IpcWriteOptions::default();
    let (_, encoded) = IpcDataGenerator::default()
        .encode(batch, &mut tracker, &options, &mut context)
        .map_err(|e| Error::internal("encoding a batch for the log", e))?;
    Ok(Frame { header: encoded.ipc_message.into(), body: encoded.arrow_data.into() })
}

/// What a broken stream or an undecodable message means.
fn failure(locator: &TopicLocator, durable_rows: u64, limit: usize, error: FlightError) -> Error {
    match error {
        FlightError::Tonic(status) if status.code() == Code::OutOfRange => refused(&status, limit),
        FlightError::Tonic(status) => {
            Error::Broken { topic: locator.to_string(), durable_rows, cause: status.message().to_owned() }
        }
        error => {
            Error::Invalid(format!("topic `{locator}`: a message of the put stream is malformed: {error}"))
        }
    }
}

fn refused(status: &Status, limit: usize) -> Error {
    match status.code() {
        Code::OutOfRange => Error::Invalid(format!(
            "a message is larger than the limit of {limit} bytes; send smaller batches"
        )),
        _ => Error::Invalid(format!("the put stream could not be read: {}", status.message())),
    }
}
