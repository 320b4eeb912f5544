//! The messages of a stream of rows, on their way to the decoder: within limits, and with their whole bodies.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use arrow::ipc::{MessageHeader, root_as_message};
use arrow_flight::FlightData;
use arrow_flight::decode::{DecodedFlightData, FlightDataDecoder};
use arrow_flight::error::FlightError;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use mosaico_types::ErrorCode;
use mosaico_wire::damage::{DamagedRows, parse_skipped};
use mosaico_wire::{ipc, zero_runs};
use parking_lot::Mutex;
use tonic::Status;

use crate::error::{Error, Result};
use crate::read_ahead::ReadAhead;

/// The rows that the daemon left out of a stream.
pub(crate) type SkippedRows = Arc<Mutex<Vec<DamagedRows>>>;

/// The largest message that is accepted from a server, as sent and as unpacked: four times what daemons accept, by
/// default, from writers.
pub(crate) const LARGEST_MESSAGE: usize = 1 << 30;

/// Bytes of the dictionaries of one stream, which its decoder keeps. Native daemons send none.
const DICTIONARY_BYTES: usize = 64 << 20;

/// Damaged chunks, and messages about them, that a stream accepts.
const MOST_SKIPPED: usize = 20_000;

/// The decoded messages of a stream; its first error is its end. The list of skipped rows goes to `skipped`.
pub(crate) fn decoded(
    messages: impl Stream<Item = Result<FlightData, Status>> + Send + 'static,
    reader: ReadAhead,
    skipped: SkippedRows,
) -> BoxStream<'static, Result<DecodedFlightData>> {
    let mut received = Received { reader, skipped, skips: 0, dictionaries: HashMap::new() };
    let messages = messages.filter_map(move |message| {
        let message = message.map_err(Error::from).and_then(|message| received.accept(message));
        let message = message.map_err(|error| FlightError::ExternalError(Box::new(error))).transpose();
        async move {
            // A server can send messages without rows faster than they are read: lets timeouts and Ctrl-C through.
            tokio::task::consume_budget().await;
            message
        }
    });
    // The decoder panics on some malformed headers, such as a list type without an item field.
    let decoded = AssertUnwindSafe(FlightDataDecoder::new(messages)).catch_unwind().map(|message| {
        message
            .unwrap_or_else(|_| Err(FlightError::DecodeError("the decoder panicked".into())))
            .map_err(Error::from)
    });
    decoded.boxed()
}

struct Received {
    reader: ReadAhead,
    skipped: SkippedRows,
    skips: usize,
    /// Bytes of the dictionaries that the decoder keeps, by their ID.
    dictionaries: HashMap<i64, usize>,
}

impl Received {
    /// The message in the form of the decoder; `None`: it is not for the decoder.
    fn accept(&mut self, mut message: FlightData) -> Result<Option<FlightData>> {
        if let Some(found) = parse_skipped(&message.app_metadata) {
            let found = found.map_err(|cause| {
                Error::with_code(
                    ErrorCode::Internal,
                    format!("the list of skipped rows is malformed: {cause}"),
                )
            })?;
            self.skips += found.len().max(1);
            if self.skips > MOST_SKIPPED {
                return Err(too_large(&format!("a list of more than {MOST_SKIPPED} damaged chunks")));
            }
            self.skipped.lock().extend(found);
            return Ok(None);
        }
        if message.app_metadata == ipc::ZERO_RUNS {
            message.data_body = self.unpacked(&message.data_body)?.into();
            message.app_metadata.clear();
        }
        self.count_dictionary(&message)?;
        Ok(Some(message))
    }

    fn unpacked(&self, body: &[u8]) -> Result<Vec<u8>> {
        let malformed =
            |error: zero_runs::ZeroRunsError| Error::with_code(ErrorCode::Internal, error.to_string());
        let whole = usize::try_from(zero_runs::whole_bytes(body).map_err(malformed)?).unwrap_or(usize::MAX);
        if whole > LARGEST_MESSAGE {
            return Err(too_large(&format!("a message that stands for {whole} bytes")));
        }
        let _unpacking = self.reader.hold(whole)?;
        zero_runs::unpack(body, whole).map_err(malformed)
    }

    fn count_dictionary(&mut self, message: &FlightData) -> Result<()> {
        // The decoder refuses what cannot be parsed.
        let Ok(header) = root_as_message(&message.data_header) else { return Ok(()) };
        if header.header_type() != MessageHeader::DictionaryBatch {
            return Ok(());
        }
        let Some(dictionary) = header.header_as_dictionary_batch() else { return Ok(()) };
        let bytes = message.data_body.len() + message.data_header.len();
        let kept = self.dictionaries.entry(dictionary.id()).or_default();
        *kept = if dictionary.isDelta() { kept.saturating_add(bytes) } else { bytes };
        let all = self.dictionaries.values().copied().fold(0, usize::saturating_add);
        if all > DICTIONARY_BYTES {
            return Err(too_large(&format!("dictionaries of {all} bytes")));
        }
        Ok(())
    }
}

fn too_large(what: &str) -> Error {
    Error::with_code(ErrorCode::TooLarge, format!("the server sent {what}, more than this client accepts"))
}
