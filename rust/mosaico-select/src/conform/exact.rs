use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::compute::kernels::cmp::not_distinct;
use arrow::compute::{can_cast_types, cast};
use arrow::datatypes::DataType;
use arrow::util::display::array_value_to_string;

use super::mismatch::{Mismatch, Result, What};

/// Decodes dictionary and run-end encoded values.
pub(super) fn plain(array: &ArrayRef) -> Result<ArrayRef> {
    match array.data_type() {
        DataType::Dictionary(_, values) => Ok(cast(array, values)?),
        DataType::RunEndEncoded(_, values) => Ok(cast(array, values.data_type())?),
        _ => Ok(Arc::clone(array)),
    }
}

/// Casts values to another type of the same kind; refuses a value that would change.
///
/// # Errors
/// The types are of different kinds, or the first value that would change, and its row.
pub fn exactly(given: &ArrayRef, expected: &DataType) -> Result<ArrayRef> {
    let found = given.data_type();
    if found == expected {
        return Ok(Arc::clone(given));
    }
    if !related(found, expected) || !can_cast_types(found, expected) {
        return Err(Mismatch::new(What::Type { expected: expected.clone(), given: found.clone() }));
    }
    let array = cast(given, expected)?;
    if is_text(expected) {
        return Ok(array);
    }
    // Values that do not fit are null in the cast array.
    let back = cast(&array, found)?;
    let same = not_distinct(given, &back)?;
    match same.values().iter().position(|same| !same) {
        None => Ok(array),
        Some(row) => {
            let value = array_value_to_string(given, row)?;
            Err(Mismatch::new(What::Value { expected: expected.clone(), value }).at(row))
        }
    }
}

fn related(a: &DataType, b: &DataType) -> bool {
    let both = |is: fn(&DataType) -> bool| is(a) && is(b);
    both(is_number) || both(is_text) || both(is_bytes) || both(|t| matches!(t, DataType::Timestamp(..)))
}

fn is_number(data_type: &DataType) -> bool {
    data_type.is_integer() || data_type.is_floating()
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn is_bytes(data_type: &DataType) -> bool {
    use DataType::{Binary, BinaryView, FixedSizeBinary, LargeBinary};
    matches!(data_type, Binary | LargeBinary | BinaryView | FixedSizeBinary(_))
}
