//! Finds fields of a topic's schema by their dotted path, and runs tests on their values.

use std::ops::Range;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, OffsetSizeTrait, RecordBatch,
};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::kernels::cast_utils::Parser;
use arrow::datatypes::*;
use mosaico_wire::query::Test;

use crate::check::{Check, LeafCheck, bools, floats, ints, texts};
use crate::pattern::Pattern;

/// A field of a topic's schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Names from the top-level column down; the fields of a list's items follow the list.
    pub path: Vec<String>,
    /// Type of the field.
    pub data_type: DataType,
    /// The Parquet leaves of the field.
    pub leaves: Range<usize>,
    /// The path contains a list: a row has any number of values.
    pub repeated: bool,
}

/// Finds the field of a dotted path. Names may contain dots themselves; a complete name takes precedence over
/// a struct.
pub fn find(schema: &Schema, path: &str) -> Option<Column> {
    let mut names = Vec::new();
    let (data_type, leaf, repeated) = find_in(schema.fields(), path, 0, false, &mut names)?;
    let leaves = if repeated || is_list(&data_type) {
        // Lists and maps are read completely: the reader cannot project maps.
        let root = schema.fields().iter().position(|field| field.name() == &names[0])?;
        let first = schema.fields()[..root].iter().map(|field| leaves(field.data_type())).sum();
        first..first + leaves(schema.field(root).data_type())
    } else {
        leaf..leaf + 1
    };
    Some(Column { path: names, data_type, leaves, repeated })
}

fn find_in(
    fields: &Fields,
    path: &str,
    first_leaf: usize,
    repeated: bool,
    names: &mut Vec<String>,
) -> Option<(DataType, usize, bool)> {
    let mut leaf = first_leaf;
    let mut inner = None;
    for field in fields {
        if field.name() == path {
            names.push(field.name().clone());
            return Some((field.data_type().clone(), leaf, repeated));
        }
        let rest = path.strip_prefix(field.name().as_str()).and_then(|rest| rest.strip_prefix('.'));
        if let (Some(rest), Some((children, listed)), None) = (rest, children(field.data_type()), &inner) {
            let depth = names.len();
            names.push(field.name().clone());
            inner = find_in(children, rest, leaf, repeated || listed, names)
                .map(|found| (found, names.split_off(depth)));
            names.truncate(depth);
        }
        leaf += leaves(field.data_type());
    }
    let (found, below) = inner?;
    names.extend(below);
    Some(found)
}

/// The fields below a type, and whether a list is in between.
fn children(data_type: &DataType) -> Option<(&Fields, bool)> {
    match data_type {
        DataType::Struct(fields) => Some((fields, false)),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => Some((children(item.data_type())?.0, true)),
        _ => None,
    }
}

/// The type of the compared values: for a list, that of its items.
fn value_type(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            value_type(item.data_type())
        }
        other => other,
    }
}

/// Whether the type is a list.
pub fn is_list(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) | DataType::Map(..)
    )
}

pub(crate) fn leaves(data_type: &DataType) -> usize {
    match data_type {
        DataType::Struct(fields) => fields.iter().map(|field| leaves(field.data_type())).sum(),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => leaves(item.data_type()),
        _ => 1,
    }
}

impl Column {
    /// The type of the compared values.
    pub fn value_type(&self) -> &DataType {
        value_type(&self.data_type)
    }

    /// Compiles a test for this column.
    pub fn check(&self, test: &Test) -> LeafCheck {
        use DataType::*;
        if *test == Test::Exists {
            return LeafCheck::Exists;
        }
        match self.value_type() {
            Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | UInt64 | Duration(_) => {
                LeafCheck::Int(ints(test, &|_| None))
            }
            time @ (Date32 | Date64 | Time32(_) | Time64(_) | Timestamp(..)) => {
                LeafCheck::Int(ints(test, &|text| time_of(time, text)))
            }
            Float16 | Float32 | Float64 => LeafCheck::Float(floats(test)),
            Boolean => LeafCheck::Bool(bools(test)),
            Utf8 | LargeUtf8 | Utf8View => match test {
                Test::Contains(pattern) => LeafCheck::Pattern(Pattern::new(pattern)),
                test => LeafCheck::Text(texts(test)),
            },
            _ => LeafCheck::Never,
        }
    }

    /// The rows of a batch that pass. The batch may be a projection that includes this column.
    pub fn matching(&self, batch: &RecordBatch, check: &LeafCheck) -> BooleanBuffer {
        let nothing = || BooleanBuffer::new_unset(batch.num_rows());
        let Some((first, rest)) = self.path.split_first() else { return nothing() };
        batch.column_by_name(first).map_or_else(nothing, |array| matching(array, rest, check))
    }
}

/// Parses a time constant: ISO text, or a plain number in the column's unit.
fn time_of(data_type: &DataType, text: &str) -> Option<i128> {
    use DataType::*;
    fn read<T: Parser>(text: &str) -> Option<i128>
    where
        T::Native: Into<i128>,
    {
        T::parse(text).map(Into::into)
    }
    if let Ok(number) = text.parse::<i64>() {
        return Some(number.into());
    }
    match data_type {
        Date32 => read::<Date32Type>(text),
        Date64 => read::<Date64Type>(text),
        Time32(TimeUnit::Second) => read::<Time32SecondType>(text),
        Time32(_) => read::<Time32MillisecondType>(text),
        Time64(TimeUnit::Microsecond) => read::<Time64MicrosecondType>(text),
        Time64(_) => read::<Time64NanosecondType>(text),
        Timestamp(TimeUnit::Second, _) => read::<TimestampSecondType>(text),
        Timestamp(TimeUnit::Millisecond, _) => read::<TimestampMillisecondType>(text),
        Timestamp(TimeUnit::Microsecond, _) => read::<TimestampMicrosecondType>(text),
        Timestamp(TimeUnit::Nanosecond, _) => read::<TimestampNanosecondType>(text),
        _ => None,
    }
}

fn with_nulls(found: BooleanBuffer, nulls: Option<&NullBuffer>) -> BooleanBuffer {
    match nulls {
        Some(nulls) => &found & nulls.inner(),
        None => found,
    }
}

fn matching(array: &ArrayRef, path: &[String], check: &LeafCheck) -> BooleanBuffer {
    let nulls = array.logical_nulls();
    let whole = path.is_empty();
    let found = match array.data_type() {
        _ if whole && *check == LeafCheck::Exists => BooleanBuffer::new_set(array.len()),
        DataType::Struct(_) if !whole => match array.as_struct().column_by_name(&path[0]) {
            Some(child) => matching(child, &path[1..], check),
            None => BooleanBuffer::new_unset(array.len()),
        },
        DataType::List(_) => {
            any_item(array.as_list::<i32>().values(), offsets(array.as_list::<i32>()), path, check)
        }
        DataType::LargeList(_) => {
            any_item(array.as_list::<i64>().values(), offsets(array.as_list::<i64>()), path, check)
        }
        DataType::FixedSizeList(..) => {
            let list = array.as_fixed_size_list();
            let width = usize::try_from(list.value_length()).unwrap_or(0);
            let from = usize::try_from(list.value_offset(0)).unwrap_or(0);
            let rows = (0..list.len()).map(|row| (from + row * width, from + (row + 1) * width));
            any_item(list.values(), rows.collect(), path, check)
        }
        DataType::Map(..) if !whole => {
            let map = array.as_map();
            let entries: ArrayRef = std::sync::Arc::new(map.entries().clone());
            let ends = map.value_offsets().windows(2).map(|w| (w[0] as usize, w[1] as usize));
            any_item(&entries, ends.collect(), path, check)
        }
        _ if whole => values(array, check),
        _ => BooleanBuffer::new_unset(array.len()),
    };
    with_nulls(found, nulls.as_ref())
}

fn offsets<O: OffsetSizeTrait>(list: &arrow::array::GenericListArray<O>) -> Vec<(usize, usize)> {
    list.value_offsets().windows(2).map(|w| (w[0].as_usize(), w[1].as_usize())).collect()
}

/// Rows with any item that passes.
fn any_item(
    items: &ArrayRef,
    rows: Vec<(usize, usize)>,
    path: &[String],
    check: &LeafCheck,
) -> BooleanBuffer {
    let (Some(&(first, _)), Some(&(_, end))) = (rows.first(), rows.last()) else {
        return BooleanBuffer::new_unset(0);
    };
    let found = matching(&items.slice(first, end - first), path, check);
    let any = |row: usize| {
        let (from, to) = rows[row];
        (from..to).any(|item| found.value(item - first))
    };
    BooleanBuffer::collect_bool(rows.len(), any)
}

fn primitive<T: ArrowPrimitiveType, V: PartialOrd + Copy>(array: &ArrayRef, check: &Check<V>) -> BooleanBuffer
where
    T::Native: Into<V>,
{
    let values = array.as_primitive::<T>().values();
    BooleanBuffer::collect_bool(values.len(), |row| check.accepts(&values[row].into()))
}

/// Calls `$found` with the Arrow type of an integer-like array.
macro_rules! integer_type {
    ($data_type:expr, $found:ident, $other:expr) => {{
        use DataType::*;
        match $data_type {
            Int8 => $found!(Int8Type),
            Int16 => $found!(Int16Type),
            Int32 => $found!(Int32Type),
            Int64 => $found!(Int64Type),
            UInt8 => $found!(UInt8Type),
            UInt16 => $found!(UInt16Type),
            UInt32 => $found!(UInt32Type),
            UInt64 => $found!(UInt64Type),
            Date32 => $found!(Date32Type),
            Date64 => $found!(Date64Type),
            Time32(TimeUnit::Second) => $found!(Time32SecondType),
            Time32(_) => $found!(Time32MillisecondType),
            Time64(TimeUnit::Microsecond) => $found!(Time64MicrosecondType),
            Time64(_) => $found!(Time64NanosecondType),
            Timestamp(TimeUnit::Second, _) => $found!(TimestampSecondType),
            Timestamp(TimeUnit::Millisecond, _) => $found!(TimestampMillisecondType),
            Timestamp(TimeUnit::Microsecond, _) => $found!(TimestampMicrosecondType),
            Timestamp(TimeUnit::Nanosecond, _) => $found!(TimestampNanosecondType),
            Duration(TimeUnit::Second) => $found!(DurationSecondType),
            Duration(TimeUnit::Millisecond) => $found!(DurationMillisecondType),
            Duration(TimeUnit::Microsecond) => $found!(DurationMicrosecondType),
            Duration(TimeUnit::Nanosecond) => $found!(DurationNanosecondType),
            _ => $other,
        }
    }};
}

/// The integer at a row of an integer-like array.
pub fn integer(array: &ArrayRef, row: usize) -> Option<i128> {
    macro_rules! value {
        ($type:ty) => {
            Some(array.as_primitive::<$type>().value(row).into())
        };
    }
    if array.is_null(row) {
        return None;
    }
    integer_type!(array.data_type(), value, None)
}

/// The float at a row of a float array.
pub fn float(array: &ArrayRef, row: usize) -> Option<f64> {
    if array.is_null(row) {
        return None;
    }
    match array.data_type() {
        DataType::Float16 => Some(array.as_primitive::<Float16Type>().value(row).into()),
        DataType::Float32 => Some(array.as_primitive::<Float32Type>().value(row).into()),
        DataType::Float64 => Some(array.as_primitive::<Float64Type>().value(row)),
        _ => None,
    }
}

/// The text at a row of a text array.
pub fn text(array: &ArrayRef, row: usize) -> Option<&str> {
    if array.is_null(row) {
        return None;
    }
    match array.data_type() {
        DataType::Utf8 => Some(array.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => Some(array.as_string::<i64>().value(row)),
        DataType::Utf8View => Some(array.as_string_view().value(row)),
        _ => None,
    }
}

/// Leaf values that pass; the values of null slots are irrelevant.
fn values(array: &ArrayRef, check: &LeafCheck) -> BooleanBuffer {
    let nothing = || BooleanBuffer::new_unset(array.len());
    match check {
        LeafCheck::Int(check) => {
            macro_rules! tested {
                ($type:ty) => {
                    primitive::<$type, i128>(array, check)
                };
            }
            integer_type!(array.data_type(), tested, nothing())
        }
        LeafCheck::Float(check) => match array.data_type() {
            DataType::Float16 => primitive::<Float16Type, f64>(array, check),
            DataType::Float32 => primitive::<Float32Type, f64>(array, check),
            DataType::Float64 => primitive::<Float64Type, f64>(array, check),
            _ => nothing(),
        },
        LeafCheck::Bool(check) => match array.as_boolean_opt() {
            Some(array) => bits(array, check),
            None => nothing(),
        },
        LeafCheck::Text(check) => {
            BooleanBuffer::collect_bool(array.len(), |row| text(array, row).is_some_and(|v| check.accepts(v)))
        }
        LeafCheck::Pattern(pattern) => BooleanBuffer::collect_bool(array.len(), |row| {
            text(array, row).is_some_and(|v| pattern.accepts(v))
        }),
        LeafCheck::Exists => BooleanBuffer::new_set(array.len()),
        LeafCheck::Never => nothing(),
    }
}

fn bits(array: &BooleanArray, check: &Check<bool>) -> BooleanBuffer {
    BooleanBuffer::collect_bool(array.len(), |row| check.accepts(&array.value(row)))
}

#[cfg(test)]
mod tests;
