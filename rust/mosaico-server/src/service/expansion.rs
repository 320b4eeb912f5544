//! What the messages of a put become when they are unpacked: refused if it is too much, and counted before memory
//! for it is allocated.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::DataType;
use arrow::ipc::{MessageHeader, root_as_message};
use arrow_flight::FlightData;
use arrow_flight::error::FlightError;
use bytes::Bytes;
use mosaico_engine::ingest::put::PendingBatch;
use mosaico_engine::state::limits::Receipt;
use mosaico_select::data_bytes;
use mosaico_storage::error::{Error, Result};
use mosaico_types::ErrorCode;
use mosaico_wire::status::status;
use mosaico_wire::{ipc, zero_runs};
use parking_lot::Mutex;
use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;
use tonic::codegen::http::Extensions;

use crate::limits::{Gate, Receipts};

/// Bytes of the schema and all dictionaries of one put: the decoder keeps them as long as the put is open.
const KEPT_BYTES: usize = 4 << 20;

/// Bytes of the schema of a wide topic.
const USUAL_SCHEMA_BYTES: usize = 64 << 10;

/// Memory per value of a type without bytes: storing a value takes its levels.
const VALUE_BYTES: usize = 8;

/// Counts the messages of one put.
#[derive(Debug, Clone)]
pub(super) struct Counted {
    gate: Arc<Gate>,
    receipts: Receipts,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Of the messages since the last batch.
    receipt: Receipt,
    /// Bytes of what the decoder keeps: dictionaries by their id, and the schema.
    kept: HashMap<Option<i64>, (usize, Option<OwnedSemaphorePermit>)>,
}

impl Counted {
    pub(super) fn new(gate: &Arc<Gate>, request: &Extensions) -> Self {
        // Calls without a gate, inside the process of a test, have no receipts.
        let receipts = request.get::<Receipts>().cloned().unwrap_or_default();
        Self { gate: Arc::clone(gate), receipts, state: Arc::default() }
    }

    /// The message in the form of the decoder: with its whole body. `app_metadata` keeps the body without its runs
    /// of zeros for the WAL.
    pub(super) async fn expand(
        self,
        message: Result<FlightData, Status>,
        limit: usize,
    ) -> Result<FlightData, FlightError> {
        let message = message.map_err(|status| FlightError::Tonic(Box::new(status)))?;
        let receipt = self.receipts.next();
        if message.app_metadata != ipc::ZERO_RUNS {
            if self.is_batch(&message, message.data_body.len())? {
                self.state.lock().receipt.extend(receipt);
            }
            return Ok(FlightData { app_metadata: Bytes::new(), ..message });
        }
        let malformed = |error: zero_runs::ZeroRunsError| FlightError::DecodeError(error.to_string());
        let whole = zero_runs::whole_bytes(&message.data_body).map_err(malformed)?;
        let size = usize::try_from(whole).unwrap_or(usize::MAX);
        if size > limit {
            return Err(refused(too_large(whole, limit)));
        }
        let batch = self.is_batch(&message, size)?;
        let unpacking = self.gate.unpacking(size).await;
        if batch {
            self.state.lock().receipt.extend(receipt.into_iter().chain(unpacking));
        }
        let body = zero_runs::unpack(&message.data_body, size).map_err(malformed)?;
        Ok(FlightData { app_metadata: message.data_body, data_body: body.into(), ..message })
    }

    /// Whether a message with a body of `bytes` has rows, which the WAL releases soon. The decoder keeps other
    /// messages as long as the put is open, so they have their own limits.
    fn is_batch(&self, message: &FlightData, bytes: usize) -> Result<bool, FlightError> {
        // The decoder refuses what cannot be parsed.
        let Ok(header) = root_as_message(&message.data_header) else { return Ok(false) };
        if header.header_type() == MessageHeader::RecordBatch {
            return Ok(true);
        }
        let bytes = message.data_header.len() + bytes;
        let id = header.header_as_dictionary_batch().map(|dictionary| dictionary.id());
        let kept = &mut self.state.lock().kept;
        kept.remove(&id);
        let all = kept.values().map(|(bytes, _)| bytes).sum::<usize>() + bytes;
        if all > KEPT_BYTES {
            return Err(refused(Error::Refused(
                ErrorCode::TooLarge,
                format!(
                    "the schema and the dictionaries of a put have {all} bytes; at most {KEPT_BYTES} are allowed; \
                     send the columns without dictionaries"
                ),
            )));
        }
        let Some(memory) = self.gate.keeping(bytes) else {
            let text = "the puts in progress have as many dictionaries as the server has memory for; end some of \
                        them, or send the columns without dictionaries";
            return Err(refused(Error::Refused(ErrorCode::TooMany, text.to_owned())));
        };
        // A usual schema counts for its put only: thousands of topics may be open.
        let counts = id.is_some() || bytes > USUAL_SCHEMA_BYTES;
        kept.insert(id, (bytes, counts.then_some(memory)));
        Ok(false)
    }

    /// Adds the receipts of its messages to a batch.
    pub(super) fn with_receipt(&self, batch: Option<PendingBatch>) -> Option<PendingBatch> {
        let receipt = std::mem::take(&mut self.state.lock().receipt);
        batch.map(|batch| PendingBatch { receipt, ..batch })
    }
}

fn refused(error: Error) -> FlightError {
    FlightError::Tonic(Box::new(status(error.code(), error.to_string())))
}

fn too_large(bytes: u64, limit: usize) -> Error {
    let text = format!(
        "a message stands for {bytes} bytes of rows; at most {limit} are allowed; send fewer rows at once, or raise \
         --max-message-bytes"
    );
    Error::Refused(ErrorCode::TooLarge, text)
}

/// Refuses a batch whose rows are much larger than the message that carried them: views and dictionary keys may refer
/// to the same bytes again and again, and some types have values without bytes.
pub(super) fn check(batch: &RecordBatch, limit: usize) -> Result<()> {
    let hidden: usize = batch.columns().iter().map(hidden_bytes).fold(0, usize::saturating_add);
    let bytes = data_bytes(batch).saturating_add(hidden);
    if bytes <= limit { Ok(()) } else { Err(too_large(bytes as u64, limit)) }
}

/// What a column needs when it is stored, beyond its buffers.
fn hidden_bytes(array: &ArrayRef) -> usize {
    match array.data_type() {
        DataType::Null => array.len().saturating_mul(VALUE_BYTES),
        DataType::FixedSizeBinary(0) => array.len().saturating_mul(VALUE_BYTES),
        DataType::Boolean => array.len(),
        DataType::Struct(fields) if fields.is_empty() => array.len().saturating_mul(VALUE_BYTES),
        DataType::Struct(_) => {
            array.as_struct().columns().iter().map(hidden_bytes).fold(0, usize::saturating_add)
        }
        DataType::List(_) => hidden_bytes(array.as_list::<i32>().values()),
        DataType::LargeList(_) => hidden_bytes(array.as_list::<i64>().values()),
        DataType::FixedSizeList(..) => hidden_bytes(array.as_fixed_size_list().values()),
        DataType::Map(..) => {
            array.as_map().entries().columns().iter().map(hidden_bytes).fold(0, usize::saturating_add)
        }
        DataType::Dictionary(..) => dictionary_bytes(array),
        _ => 0,
    }
}

/// The bytes of a dictionary column when each key is replaced by its value.
fn dictionary_bytes(array: &ArrayRef) -> usize {
    let Some(dictionary) = array.as_any_dictionary_opt() else { return 0 };
    let values = dictionary.values();
    if values.is_empty() {
        return 0;
    }
    let sizes: Vec<usize> = (0..values.len()).map(|at| value_bytes(&values.slice(at, 1))).collect();
    let keys = dictionary.normalized_keys();
    keys.into_iter().filter_map(|key| sizes.get(key)).fold(0, |sum, size| sum.saturating_add(*size))
}

fn value_bytes(value: &ArrayRef) -> usize {
    mosaico_select::array_bytes(value).saturating_add(hidden_bytes(value))
}

#[cfg(test)]
mod tests {
    use arrow::array::{BinaryViewBuilder, DictionaryArray, Int32Array, ListArray, NullArray, StringArray};
    use arrow::buffer::OffsetBuffer;
    use arrow::datatypes::{Field, Int32Type};

    use super::*;

    fn refusal(array: ArrayRef) -> Option<String> {
        let batch = RecordBatch::try_from_iter([("a", array)]).unwrap();
        check(&batch, 1 << 20).err().map(|error| error.to_string())
    }

    #[test]
    fn rows_that_share_bytes_count_each_of_them() {
        let large = "x".repeat(1 << 10);
        let keys = |count| Int32Array::from(vec![0; count]);
        let dictionary = |count| {
            let values = Arc::new(StringArray::from(vec![large.as_str()]));
            Arc::new(DictionaryArray::<Int32Type>::try_new(keys(count), values).unwrap()) as ArrayRef
        };
        assert_eq!(refusal(dictionary(900)), None);
        let refused = refusal(dictionary(2000)).unwrap();
        assert!(refused.contains("stands for 20") && refused.contains("at most 1048576"), "{refused}");

        let views = |count| {
            let mut builder = BinaryViewBuilder::new();
            let block = builder.append_block(large.as_bytes().to_vec().into());
            (0..count).for_each(|_| builder.try_append_view(block, 0, 1 << 10).unwrap());
            Arc::new(builder.finish()) as ArrayRef
        };
        assert_eq!(refusal(views(900)), None);
        assert!(refusal(views(2000)).is_some());
    }

    #[test]
    fn values_without_bytes_count() {
        let item = Arc::new(Field::new("item", DataType::Null, true));
        let list = |count: usize| {
            let offsets = OffsetBuffer::from_lengths([count]);
            let values = Arc::new(NullArray::new(count));
            Arc::new(ListArray::new(Arc::clone(&item), offsets, values, None)) as ArrayRef
        };
        assert_eq!(refusal(list(100_000)), None);
        assert!(refusal(list(1 << 30)).is_some());
    }
}
