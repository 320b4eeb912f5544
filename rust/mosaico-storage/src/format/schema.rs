//! Arrow helpers: requirements on a topic's schema, and the times of a batch.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Fields, Int64Type, Schema, SchemaRef};
use arrow::error::ArrowError;
use mosaico_types::ErrorCode;

use crate::error::{Error, Result};
pub use mosaico_select::TIMESTAMP;

fn bad_schema(text: String) -> Error {
    Error::Refused(ErrorCode::BadSchema, text)
}

/// Checks the requirements on a topic's schema and returns the stored schema: dictionaries decoded, and
/// without schema metadata, which belongs to the transport.
pub fn stored_schema(schema: &Schema) -> Result<SchemaRef> {
    match schema.fields().iter().filter(|field| field.name() == TIMESTAMP).collect::<Vec<_>>()[..] {
        [] => return Err(bad_schema(format!("the schema has no column `{TIMESTAMP}`; add it as int64"))),
        [field] if *field.data_type() == DataType::Int64 => {}
        [field] => {
            let found = field.data_type();
            return Err(bad_schema(format!("column `{TIMESTAMP}` is {found}; it must be int64")));
        }
        _ => return Err(bad_schema(format!("the schema has several columns `{TIMESTAMP}`"))),
    }
    for (index, field) in schema.fields().iter().enumerate() {
        check_storable(field.name(), field.data_type())?;
        if schema.fields()[..index].iter().any(|other| other.name() == field.name()) {
            return Err(bad_schema(format!("the schema has several columns `{}`", field.name())));
        }
    }
    Ok(Arc::new(Schema::new(map_fields(schema.fields(), &|field| field))))
}

/// Parquet cannot represent a few types; the server refuses them before the first row.
fn check_storable(column: &str, data_type: &DataType) -> Result<()> {
    match data_type {
        DataType::Union(..)
        | DataType::RunEndEncoded(..)
        | DataType::Interval(_)
        | DataType::ListView(_)
        | DataType::LargeListView(_) => {
            Err(bad_schema(format!("column `{column}` is {data_type}, which cannot be stored")))
        }
        DataType::Struct(fields) if fields.is_empty() => {
            Err(bad_schema(format!("column `{column}` is a struct without fields, which cannot be stored")))
        }
        DataType::Struct(fields) => fields
            .iter()
            .try_for_each(|field| check_storable(&format!("{column}.{}", field.name()), field.data_type())),
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::FixedSizeList(field, _)
        | DataType::Map(field, _) => check_storable(column, field.data_type()),
        DataType::Dictionary(_, values) => check_storable(column, values),
        _ => Ok(()),
    }
}

fn map_fields(fields: &Fields, change: &dyn Fn(Field) -> Field) -> Fields {
    fields.iter().map(|field| map_field(field, change)).collect()
}

fn map_field(field: &Field, change: &dyn Fn(Field) -> Field) -> Arc<Field> {
    let data_type = map_type(field.data_type(), change);
    let plain =
        Field::new(field.name(), data_type, field.is_nullable()).with_metadata(field.metadata().clone());
    Arc::new(change(plain))
}

fn map_type(data_type: &DataType, change: &dyn Fn(Field) -> Field) -> DataType {
    match data_type {
        DataType::Dictionary(_, values) => map_type(values, change),
        DataType::Struct(fields) => DataType::Struct(map_fields(fields, change)),
        DataType::List(field) => DataType::List(map_field(field, change)),
        DataType::LargeList(field) => DataType::LargeList(map_field(field, change)),
        DataType::FixedSizeList(field, size) => DataType::FixedSizeList(map_field(field, change), *size),
        DataType::Map(field, sorted) => DataType::Map(map_field(field, change), *sorted),
        other => other.clone(),
    }
}

/// Whether rows of `a` may follow rows of `b`: same names, types and nullability; field metadata may differ.
pub fn same_shape(a: &Schema, b: &Schema) -> bool {
    let bare =
        |schema: &Schema| map_fields(schema.fields(), &|field| field.with_metadata(Default::default()));
    bare(a) == bare(b)
}

/// Decodes dictionaries so that `batch` has exactly `schema`.
pub fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().zip(schema.fields()).map(|(column, field)| {
        if column.data_type() == field.data_type() {
            Ok(Arc::clone(column))
        } else {
            cast(column, field.data_type())
        }
    });
    let columns = columns.collect::<Result<Vec<ArrayRef>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
}

/// Parses the output of [`mosaico_wire::ipc::schema_message`].
pub fn parse_schema_message(bytes: &[u8]) -> Result<SchemaRef> {
    let doing = "reading a stored schema";
    // The reader panics on some damaged bytes.
    std::panic::catch_unwind(|| arrow::ipc::convert::try_schema_from_flatbuffer_bytes(bytes))
        .map_err(|_| Error::internal(doing, std::io::Error::from(std::io::ErrorKind::InvalidData)))?
        .map(Arc::new)
        .map_err(|e| Error::internal(doing, e))
}

/// The time column of a batch with a stored schema.
pub fn times(batch: &RecordBatch) -> Result<&Int64Array> {
    batch
        .column_by_name(TIMESTAMP)
        .and_then(|column| column.as_primitive_opt::<Int64Type>())
        .ok_or_else(|| Error::Internal("looking for the time column of stored rows".into()))
}

/// The time bounds of some rows, and whether the rows are in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeSpan {
    pub min: i64,
    pub max: i64,
    pub sorted: bool,
    pub last: i64,
}

impl TimeSpan {
    /// Computes them for `times`; `None` without rows.
    pub fn of(times: &[i64]) -> Option<Self> {
        let (&first, &last) = (times.first()?, times.last()?);
        if times.is_sorted() {
            return Some(Self { min: first, max: last, sorted: true, last });
        }
        let (min, max) = times.iter().fold((first, first), |(min, max), &t| (min.min(t), max.max(t)));
        Some(Self { min, max, sorted: false, last })
    }

    /// Combines these rows with the ones that arrived after them.
    pub fn then(self, next: Self) -> Self {
        Self {
            min: self.min.min(next.min),
            max: self.max.max(next.max),
            sorted: self.sorted && next.sorted && self.last <= next.min,
            last: next.last,
        }
    }
}

/// Which of the first 64 leaf columns have a value, in the order of Parquet's leaves; for other leaves this
/// is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColumnPresence(u64);

impl ColumnPresence {
    /// Unknown for all leaves.
    pub const UNKNOWN: Self = Self(u64::MAX);

    /// The leaves of `batch` that have a value.
    pub fn of(batch: &RecordBatch) -> Self {
        let (mut filled, mut leaf) = (0, 0);
        for column in batch.columns() {
            fill(column, false, &mut leaf, &mut filled);
        }
        Self(filled)
    }

    /// The union of both.
    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the leaf with this number may have a value.
    pub fn may_be(self, leaf: usize) -> bool {
        leaf >= 64 || self.0 >> leaf & 1 == 1
    }
}

fn fill(array: &ArrayRef, empty: bool, leaf: &mut u32, filled: &mut u64) {
    let empty = empty || array.null_count() == array.len();
    match array.data_type() {
        DataType::Struct(_) => {
            array.as_struct().columns().iter().for_each(|child| fill(child, empty, leaf, filled));
        }
        DataType::List(_) => fill(array.as_list::<i32>().values(), empty, leaf, filled),
        DataType::LargeList(_) => fill(array.as_list::<i64>().values(), empty, leaf, filled),
        DataType::FixedSizeList(..) => fill(array.as_fixed_size_list().values(), empty, leaf, filled),
        DataType::Map(..) => {
            array.as_map().entries().columns().iter().for_each(|child| fill(child, empty, leaf, filled));
        }
        _ => {
            if !empty && *leaf < 64 {
                *filled |= 1 << *leaf;
            }
            *leaf += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{DictionaryArray, Float64Array, ListArray, StringArray, StructArray, new_null_array};
    use arrow::datatypes::Int32Type;

    #[test]
    fn schemas_are_checked_and_made_plain() {
        let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        let schema = Schema::new(vec![
            Field::new(TIMESTAMP, DataType::Int64, false),
            Field::new("s", DataType::Struct(vec![Field::new("d", dictionary.clone(), true)].into()), true),
        ]);
        let plain = stored_schema(&schema).unwrap();
        let expected = DataType::Struct(vec![Field::new("d", DataType::Utf8, true)].into());
        assert_eq!(plain.field(1).data_type(), &expected);

        let missing = Schema::new(vec![Field::new("d", dictionary, true)]);
        assert!(stored_schema(&missing).unwrap_err().to_string().contains(TIMESTAMP));
        let wrong = Schema::new(vec![Field::new(TIMESTAMP, DataType::Float64, true)]);
        assert!(stored_schema(&wrong).unwrap_err().to_string().contains("Float64"));
    }

    #[test]
    fn dictionaries_are_decoded() {
        let times: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
        let words: DictionaryArray<Int32Type> = vec!["a", "b"].into_iter().collect();
        let words: ArrayRef = Arc::new(words);
        let batch = RecordBatch::try_from_iter([(TIMESTAMP, times), ("w", words)]).unwrap();
        let schema = stored_schema(&batch.schema()).unwrap();
        let plain = conform(&batch, &schema).unwrap();
        assert_eq!(plain.column(1).as_ref(), &StringArray::from(vec!["a", "b"]) as &dyn Array);
    }

    #[test]
    fn columns_without_a_value_are_reported() {
        let times: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
        let some: ArrayRef = Arc::new(Float64Array::from(vec![None, Some(1.0)]));
        let none: ArrayRef = Arc::new(Float64Array::from(vec![None, None]));
        let parts = [("none", &none), ("some", &some)]
            .map(|(name, array)| (Arc::new(Field::new(name, DataType::Float64, true)), Arc::clone(array)));
        let both: ArrayRef = Arc::new(StructArray::from(parts.to_vec()));
        let absent = new_null_array(both.data_type(), 2);
        let item = || ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1)]), None]);
        let lists: ArrayRef = Arc::new(item());
        let no_lists: ArrayRef =
            Arc::new(ListArray::from_iter_primitive::<Int64Type, Vec<Option<i64>>, _>(vec![
                Some(vec![]),
                None,
            ]));
        let columns =
            [("t", times), ("both", both), ("absent", absent), ("lists", lists), ("empty", no_lists)];
        let filled = ColumnPresence::of(&RecordBatch::try_from_iter(columns).unwrap());
        let found: Vec<bool> = (0..7).map(|leaf| filled.may_be(leaf)).collect();
        assert_eq!(found, [true, false, true, false, false, true, false]);
        assert!(filled.may_be(64));
    }

    #[test]
    fn spans() {
        let a = TimeSpan::of(&[1, 2, 2]).unwrap();
        let b = TimeSpan::of(&[2, 9]).unwrap();
        assert!(a.then(b).sorted);
        assert!(!b.then(a).sorted);
        assert_eq!((b.then(a).min, b.then(a).max), (1, 9));
        assert!(!TimeSpan::of(&[3, 1]).unwrap().sorted);
        assert_eq!(TimeSpan::of(&[]), None);
    }
}
