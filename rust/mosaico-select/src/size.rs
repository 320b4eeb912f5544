//! Sizes of slices, and splitting by size.

use arrow::array::{Array, AsArray, FixedSizeListArray, GenericListArray, OffsetSizeTrait, RecordBatch};
use arrow::datatypes::{ArrowNativeType, DataType};

/// Bytes of the rows of a batch; also correct for a slice of larger buffers.
pub fn data_bytes(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(|column| array_bytes(column)).sum()
}

/// Bytes of the values of an array.
pub fn array_bytes(array: &dyn Array) -> usize {
    let rows = array.len();
    let validity = if array.nulls().is_some() { rows.div_ceil(8) } else { 0 };
    validity
        + match array.data_type() {
            DataType::Null => 0,
            DataType::Boolean => rows.div_ceil(8),
            DataType::Utf8 => spanned(array.as_string::<i32>().value_offsets()) + 4 * rows,
            DataType::LargeUtf8 => spanned(array.as_string::<i64>().value_offsets()) + 8 * rows,
            DataType::Binary => spanned(array.as_binary::<i32>().value_offsets()) + 4 * rows,
            DataType::LargeBinary => spanned(array.as_binary::<i64>().value_offsets()) + 8 * rows,
            DataType::Utf8View => array.as_string_view().lengths().sum::<u32>() as usize + 16 * rows,
            DataType::BinaryView => array.as_binary_view().lengths().sum::<u32>() as usize + 16 * rows,
            DataType::Struct(_) => array.as_struct().columns().iter().map(|child| array_bytes(child)).sum(),
            DataType::List(_) => list_bytes(array.as_list::<i32>()),
            DataType::LargeList(_) => list_bytes(array.as_list::<i64>()),
            DataType::FixedSizeList(..) => fixed_list_bytes(array.as_fixed_size_list()),
            DataType::Map(..) => {
                let map = array.as_map();
                let (from, length) = range(map.value_offsets());
                4 * rows + array_bytes(&map.entries().slice(from, length))
            }
            DataType::FixedSizeBinary(width) => rows * usize::try_from(*width).unwrap_or(0),
            other => other.primitive_width().map_or_else(|| array.get_array_memory_size(), |w| w * rows),
        }
}

fn range<O: ArrowNativeType>(offsets: &[O]) -> (usize, usize) {
    let at = |offset: Option<&O>| offset.map_or(0, |offset| offset.as_usize());
    let (from, to) = (at(offsets.first()), at(offsets.last()));
    (from, to.saturating_sub(from))
}

fn spanned<O: ArrowNativeType>(offsets: &[O]) -> usize {
    range(offsets).1
}

fn list_bytes<O: OffsetSizeTrait>(list: &GenericListArray<O>) -> usize {
    let (from, length) = range(list.value_offsets());
    size_of::<O>() * list.len() + array_bytes(&list.values().slice(from, length))
}

fn fixed_list_bytes(list: &FixedSizeListArray) -> usize {
    let width = usize::try_from(list.value_length()).unwrap_or(0);
    array_bytes(&list.values().slice(list.value_offset(0).try_into().unwrap_or(0), width * list.len()))
}

/// Splits `batch` into slices of at most about `limit` bytes and at least one row.
pub fn split(batch: RecordBatch, limit: usize) -> Vec<RecordBatch> {
    let mut out = Vec::new();
    split_into(batch, limit, &mut out);
    out
}

fn split_into(batch: RecordBatch, limit: usize, out: &mut Vec<RecordBatch>) {
    let (rows, bytes) = (batch.num_rows(), data_bytes(&batch));
    if rows == 0 {
        return;
    }
    // A slice a little over the limit is better than a tiny rest.
    if rows == 1 || bytes <= limit + limit / 4 {
        out.push(batch);
        return;
    }
    let parts = bytes.div_ceil(limit).min(rows);
    let step = rows.div_ceil(parts);
    for from in (0..rows).step_by(step) {
        split_into(batch.slice(from, step.min(rows - from)), limit, out);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use arrow::array::{ArrayRef, BinaryArray, Int64Array};
    use arrow::datatypes::Int64Type;

    fn batch(rows: usize, payload: usize) -> RecordBatch {
        let times: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows as i64));
        let payload = vec![7u8; payload];
        let data: ArrayRef = Arc::new(BinaryArray::from_iter_values((0..rows).map(|_| &payload)));
        RecordBatch::try_from_iter([("timestamp_ns", times), ("data", data)]).unwrap()
    }

    #[test]
    fn slices_weigh_what_they_hold() {
        let whole = batch(1000, 100);
        assert_eq!(data_bytes(&whole), 1000 * (8 + 4 + 100));
        assert_eq!(data_bytes(&whole.slice(500, 10)), 10 * (8 + 4 + 100));
    }

    #[test]
    fn split_keeps_every_row_in_order() {
        let parts = split(batch(1000, 100), 10_000);
        assert!(parts.len() > 5);
        assert!(parts.iter().all(|part| data_bytes(part) <= 12_500));
        let rows: Vec<i64> =
            parts.iter().flat_map(|p| p.column(0).as_primitive::<Int64Type>().values().to_vec()).collect();
        assert_eq!(rows, (0..1000).collect::<Vec<_>>());
        assert_eq!(split(batch(3, 100_000), 1000).len(), 3);
        assert!(split(batch(0, 1), 10).is_empty());
    }
}
