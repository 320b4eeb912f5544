//! `DoGet`: one topic's rows in time order.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow_flight::FlightData;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use futures::{StreamExt, TryStreamExt, stream};
use mosaico_types::TopicLocator;
use mosaico_wire::ticket::Ticket;
use tokio::select;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::{Items, info};
use crate::catalog::TopicRow;
use crate::core::Core;
use crate::error::{Error, Result};
use crate::read::read_topic;

/// Messages that are ready before the client asks for them.
const READY_MESSAGES: usize = 1;

/// The messages for a ticket.
pub(super) async fn messages(core: &Arc<Core>, ticket: &[u8]) -> Result<Items<FlightData>> {
    let ticket = Ticket::decode(ticket).map_err(|e| {
        Error::Invalid(format!("the ticket is malformed: {e}; take tickets from GetFlightInfo as they are"))
    })?;
    let topic = core.catalog.topic(&TopicLocator::parse(&ticket.locator)?).await?;
    let reading = Arc::clone(&core.readers);
    let schema = SchemaRef::new(info::topic_schema(&topic)?);
    // Rows may only follow a schema that was announced.
    let batches = match topic.schema {
        Some(_) => read_topic(core, &topic, ticket.window).await?,
        None => stream::empty().boxed(),
    };
    // Batches are cut to size already, and the encoder would measure whole buffers instead of slices.
    let mut encoded = FlightDataEncoderBuilder::new()
        .with_schema(schema)
        .with_max_flight_data_size(usize::MAX)
        .build(batches.map_err(|e| FlightError::ExternalError(Box::new(e))));
    let (sender, receiver) = mpsc::channel(READY_MESSAGES);
    let core = Arc::clone(core);
    // A task of its own: decoding must not hold up the other streams of the connection.
    tokio::spawn(async move {
        let _reading = reading;
        // A message is made when there is room for it, not before.
        while let Ok(room) = sender.reserve().await {
            let message = select! {
                message = encoded.next() => message,
                () = sender.closed() => return,
                () = core.halting.cancelled() => Some(Err(FlightError::from(Status::from(Error::ShuttingDown)))),
            };
            let Some(message) = message else { return };
            let failed = message.is_err();
            let message = match message {
                Ok(message) => Ok(message),
                Err(error) => Err(status(&core, &topic, error).await),
            };
            room.send(message);
            if failed {
                return;
            }
        }
    });
    Ok(ReceiverStream::new(receiver).boxed())
}

async fn status(core: &Core, topic: &TopicRow, error: FlightError) -> Status {
    let error = match error {
        FlightError::Tonic(status) => return *status,
        FlightError::ExternalError(error) => match error.downcast::<Error>() {
            Ok(error) => *error,
            Err(error) => Error::internal("encoding rows", std::io::Error::other(error)),
        },
        error => Error::internal("encoding rows", error),
    };
    // Files vanish below a reader only when their topic is deleted.
    let exists = matches!(core.catalog.topic_by_id(topic.id).await, Ok(Some(row)) if !row.deleting);
    if exists { error.into() } else { Error::Deleted(topic.locator.to_string()).into() }
}
