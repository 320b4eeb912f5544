//! Converts given columns to those of a topic: matches them by name, and casts without loss.

mod exact;
mod lists;
mod mismatch;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, StructArray, new_null_array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, Fields, SchemaRef, TimeUnit};

use crate::names::{RECORDING, TIMESTAMP};
pub use exact::exactly;
use exact::plain;
pub use mismatch::Mismatch;
use mismatch::{Result, What};

/// A given column: its name below the current struct, and its values.
type Given<'a> = (&'a str, &'a ArrayRef);

/// Converts the rows of `batch` to exactly `schema`. Missing columns are null if they are nullable; `a.b`
/// names the field `b` of the struct `a`, which is null where all of its given fields are null.
///
/// # Errors
/// The first column that does not fit, and its row.
pub fn conform(schema: &SchemaRef, batch: &RecordBatch) -> Result<RecordBatch> {
    let source = batch.schema();
    let columns = batch.columns().iter().zip(source.fields());
    let columns = columns.map(|(column, field)| match field.name().as_str() {
        TIMESTAMP | RECORDING => nanoseconds(column).map_err(|error| error.below(field.name())),
        _ => Ok(Arc::clone(column)),
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let given: Vec<Given<'_>> =
        source.fields().iter().zip(&columns).map(|(field, column)| (field.name().as_str(), column)).collect();
    let columns = members(schema.fields(), &given, batch.num_rows(), None)?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

/// Converts times of any unit to the numbers of topics; keeps other types.
///
/// # Errors
/// The first time that is too far from the epoch, and its row.
pub fn nanoseconds(column: &ArrayRef) -> Result<ArrayRef> {
    let DataType::Timestamp(_, zone) = column.data_type() else { return Ok(Arc::clone(column)) };
    let times = exactly(column, &DataType::Timestamp(TimeUnit::Nanosecond, zone.clone()))?;
    Ok(arrow::compute::cast(&times, &DataType::Int64)?)
}

/// The columns of a batch or struct. Rows that are null in `outer` need no values.
fn members(
    fields: &Fields,
    given: &[Given<'_>],
    rows: usize,
    outer: Option<&NullBuffer>,
) -> Result<Vec<ArrayRef>> {
    for (index, (name, _)) in given.iter().enumerate() {
        if !fields.iter().any(|field| field.name() == name || below(field, name).is_some()) {
            let known = fields.iter().map(|field| field.name().clone()).collect();
            return Err(Mismatch::new(What::Unknown { known }).below(name));
        }
        if given[..index].iter().any(|(other, _)| other == name) {
            return Err(Mismatch::new(What::Twice).below(name));
        }
    }
    fields
        .iter()
        .map(|field| member(field, given, rows, outer).map_err(|error| error.below(field.name())))
        .collect()
}

fn member(field: &Field, given: &[Given<'_>], rows: usize, outer: Option<&NullBuffer>) -> Result<ArrayRef> {
    let whole = given.iter().find(|(name, _)| name == field.name());
    let parts: Vec<Given<'_>> =
        given.iter().filter_map(|(name, array)| Some((below(field, name)?, *array))).collect();
    match whole {
        Some(_) if !parts.is_empty() => Err(Mismatch::new(What::Twice)),
        Some((_, array)) => column(field, array, outer),
        None if !parts.is_empty() => match field.data_type() {
            DataType::Struct(fields) => {
                let nulls = if field.is_nullable() { all_null(&parts) } else { None };
                structure(fields, &parts, rows, NullBuffer::union(nulls.as_ref(), outer))
            }
            other => Err(Mismatch::new(What::NoStruct { expected: other.clone() }).below(parts[0].0)),
        },
        None if field.is_nullable() => Ok(new_null_array(field.data_type(), rows)),
        None => Err(Mismatch::new(What::Missing { expected: field.data_type().clone() })),
    }
}

/// The rest of a dotted name below `field`.
fn below<'a>(field: &Field, name: &'a str) -> Option<&'a str> {
    name.strip_prefix(field.name().as_str())?.strip_prefix('.')
}

/// Null where all of the columns are null.
fn all_null(parts: &[Given<'_>]) -> Option<NullBuffer> {
    let valid = parts.iter().map(|(_, array)| array.logical_nulls().map(NullBuffer::into_inner));
    let valid = valid.reduce(|a, b| Some(&a? | &b?)).flatten();
    valid.map(NullBuffer::new)
}

fn structure(
    fields: &Fields,
    given: &[Given<'_>],
    rows: usize,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    let columns = members(fields, given, rows, nulls.as_ref())?;
    Ok(Arc::new(StructArray::try_new_with_length(fields.clone(), columns, nulls, rows)?))
}

/// Converts one column that was given as a whole.
fn column(field: &Field, given: &ArrayRef, outer: Option<&NullBuffer>) -> Result<ArrayRef> {
    let given = plain(given)?;
    let array = match (field.data_type(), given.data_type()) {
        (expected, DataType::Null) => new_null_array(expected, given.len()),
        (DataType::Struct(fields), DataType::Struct(_)) => {
            let source = given.as_struct();
            let columns: Vec<Given<'_>> = source.column_names().into_iter().zip(source.columns()).collect();
            structure(fields, &columns, source.len(), NullBuffer::union(source.nulls(), outer))?
        }
        (DataType::List(item), _) => lists::list::<i32>(item, &given, outer, &column)?,
        (DataType::LargeList(item), _) => lists::list::<i64>(item, &given, outer, &column)?,
        (DataType::FixedSizeList(item, size), _) => lists::fixed(item, *size, &given, outer, &column)?,
        (expected, _) => exactly(&given, expected)?,
    };
    match array.nulls().filter(|nulls| !field.is_nullable() && nulls.null_count() > 0) {
        Some(nulls) => {
            let needed = |row: &usize| outer.is_none_or(|outer| outer.is_valid(*row));
            match (0..array.len()).filter(|&row| nulls.is_null(row)).find(needed) {
                Some(row) => Err(Mismatch::new(What::Null { expected: field.data_type().clone() }).at(row)),
                None => Ok(array),
            }
        }
        None => Ok(array),
    }
}

#[cfg(test)]
mod tests;
