//! Values of a field as floats, for plots and statistics.

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, RecordBatch};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use arrow::error::ArrowError;

use crate::columns::{Column, is_list};

impl Column {
    /// Whether each row has at most one value, and it is a number, a truth value or a time.
    pub fn is_number(&self) -> bool {
        !self.repeated && !is_list(&self.data_type) && is_number(&self.data_type)
    }

    /// The values of a batch, which may be a projection that includes this column; times in their unit.
    ///
    /// # Errors
    /// The batch has no such column, or its values are no numbers.
    pub fn numbers(&self, batch: &RecordBatch) -> Result<Float64Array, ArrowError> {
        let missing =
            || ArrowError::SchemaError(format!("the batch has no column `{}`", self.path.join(".")));
        let (first, rest) = self.path.split_first().ok_or_else(missing)?;
        let mut array = batch.column_by_name(first).ok_or_else(missing)?;
        let mut nulls: Option<NullBuffer> = None;
        for name in rest {
            let parent = array.as_struct_opt().ok_or_else(missing)?;
            nulls = NullBuffer::union(nulls.as_ref(), parent.nulls());
            array = parent.column_by_name(name).ok_or_else(missing)?;
        }
        let (_, values, own) = numbers(array)?.into_parts();
        Float64Array::try_new(values, NullBuffer::union(nulls.as_ref(), own.as_ref()))
    }
}

fn is_number(data_type: &DataType) -> bool {
    use DataType::*;
    matches!(
        data_type,
        Boolean
            | Int8
            | Int16
            | Int32
            | Int64
            | UInt8
            | UInt16
            | UInt32
            | UInt64
            | Float16
            | Float32
            | Float64
            | Date32
            | Date64
            | Time32(_)
            | Time64(_)
            | Timestamp(..)
            | Duration(_)
    )
}

/// Numbers, truth values and times as the nearest floats.
///
/// # Errors
/// The values are something else.
pub fn numbers(array: &ArrayRef) -> Result<Float64Array, ArrowError> {
    use DataType::*;
    if !is_number(array.data_type()) {
        return Err(ArrowError::CastError(format!("{} are no numbers", array.data_type())));
    }
    let plain = match array.data_type() {
        Date32 | Time32(_) => cast(&cast(array, &Int32)?, &Float64)?,
        Date64 | Time64(_) | Timestamp(..) | Duration(_) => cast(&cast(array, &Int64)?, &Float64)?,
        _ => cast(array, &Float64)?,
    };
    Ok(plain.as_primitive::<Float64Type>().clone())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{BooleanArray, Int64Array, StringArray, StructArray, TimestampMillisecondArray};
    use arrow::datatypes::Field;

    use super::*;
    use crate::find;

    #[test]
    fn values_below_a_missing_struct_are_missing() {
        let field = |name: &str, data_type| Arc::new(Field::new(name, data_type, true));
        let inner: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(i64::MAX)]));
        let parts = vec![inner, Arc::new(BooleanArray::from(vec![true, false, true])) as ArrayRef];
        let fields = vec![field("x", DataType::Int64), field("ok", DataType::Boolean)];
        let outer = StructArray::new(fields.into(), parts, Some(NullBuffer::from(vec![false, true, true])));
        let time: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![5, 6, 7]));
        let text: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c"]));
        let batch =
            RecordBatch::try_from_iter([("p", Arc::new(outer) as ArrayRef), ("t", time), ("s", text)])
                .unwrap();
        let values = |path: &str| {
            let column = find(batch.schema_ref(), path).unwrap();
            assert!(column.is_number(), "{path}");
            column.numbers(&batch).unwrap().iter().collect::<Vec<_>>()
        };
        assert_eq!(values("p.x"), [None, None, Some(i64::MAX as f64)]);
        assert_eq!(values("p.ok"), [None, Some(0.0), Some(1.0)]);
        assert_eq!(values("t"), [Some(5.0), Some(6.0), Some(7.0)]);
        let text = find(batch.schema_ref(), "s").unwrap();
        assert!(!text.is_number() && text.numbers(&batch).is_err());
    }
}
