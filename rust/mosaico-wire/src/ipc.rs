//! Arrow IPC messages that arrow-flight does not encode as needed.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use arrow::ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};

use crate::zero_runs;

/// The header of the message for exactly `schema`: arrow-flight's encoder declares large lists as lists.
pub fn schema_message(schema: &Schema) -> Vec<u8> {
    let mut tracker = DictionaryTracker::new(false);
    IpcDataGenerator::default()
        .schema_to_bytes_with_dictionary_tracker(schema, &mut tracker, &IpcWriteOptions::default())
        .ipc_message
}

/// `app_metadata` of a message whose body is without its [runs of zeros](zero_runs). Sent only to peers that
/// request it or are known to be native.
pub const ZERO_RUNS: &[u8] = b"zero-runs";

/// A message that carries rows.
#[derive(Debug)]
pub struct BatchMessage {
    /// The flatbuffer that describes the body.
    pub header: Vec<u8>,
    /// Buffers of the columns, possibly without their [runs of zeros](zero_runs).
    pub body: Vec<u8>,
    /// Whether runs of zeros are elided from the body.
    pub zero_runs: bool,
}

/// The message for `batch`, which has no dictionaries; with `elide`, runs of zeros are elided if that saves
/// enough.
///
/// # Errors
/// Batches that Arrow cannot encode.
pub fn batch_message(batch: &RecordBatch, elide: bool) -> Result<BatchMessage, ArrowError> {
    let mut tracker = DictionaryTracker::new(false);
    let mut context = IpcWriteContext::default();
    let options = IpcWriteOptions::default();
    let (_, encoded) = IpcDataGenerator::default().encode(batch, &mut tracker, &options, &mut context)?;
    let packed = if elide { zero_runs::pack(&encoded.arrow_data) } else { None };
    Ok(BatchMessage {
        header: encoded.ipc_message,
        zero_runs: packed.is_some(),
        body: packed.unwrap_or(encoded.arrow_data),
    })
}

impl BatchMessage {
    /// Its `app_metadata`.
    pub fn mark(&self) -> &'static [u8] {
        if self.zero_runs { ZERO_RUNS } else { &[] }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field};

    use super::*;

    #[test]
    fn schemas_travel_exactly() {
        let item = Arc::new(Field::new("item", DataType::Utf8View, true));
        let field = Field::new("l", DataType::LargeList(item), false);
        let schema = Schema::new(vec![field.with_metadata([("unit".into(), "m".into())].into())]);
        let message = schema_message(&schema);
        let found = arrow::ipc::convert::try_schema_from_flatbuffer_bytes(&message);
        assert_eq!(found.expect("a schema"), schema);
    }
}
