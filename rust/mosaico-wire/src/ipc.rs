//! Arrow IPC messages, as far as arrow-flight does not make them.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use arrow::ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};

/// The header of the message that carries `schema`, exactly: arrow-flight's encoder announces large lists as lists.
pub fn schema_message(schema: &Schema) -> Vec<u8> {
    let mut tracker = DictionaryTracker::new(false);
    IpcDataGenerator::default()
        .schema_to_bytes_with_dictionary_tracker(schema, &mut tracker, &IpcWriteOptions::default())
        .ipc_message
}

/// Header and body of the message that carries `batch`, which has no dictionaries.
///
/// # Errors
/// What Arrow cannot encode.
pub fn batch_message(batch: &RecordBatch) -> Result<(Vec<u8>, Vec<u8>), ArrowError> {
    let mut tracker = DictionaryTracker::new(false);
    let mut context = IpcWriteContext::default();
    let options = IpcWriteOptions::default();
    let (_, encoded) = IpcDataGenerator::default().encode(batch, &mut tracker, &options, &mut context)?;
    Ok((encoded.ipc_message, encoded.arrow_data))
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
