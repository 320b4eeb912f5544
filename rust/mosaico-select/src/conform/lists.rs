use std::sync::Arc;

use arrow::array::BooleanBufferBuilder;
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, FixedSizeListArray, GenericListArray, LargeListArray,
    OffsetSizeTrait, UInt64Array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{cast, filter, take};
use arrow::datatypes::{ArrowNativeType, DataType, Field, FieldRef};

use super::mismatch::{Mismatch, Result, What};

/// Converts the items of a list to those of a field, for any type.
pub(super) type Conform<'a> = &'a dyn Fn(&Field, &ArrayRef, Option<&NullBuffer>) -> Result<ArrayRef>;

/// Converts lists of any form to lists of `item`.
pub(super) fn list<O: OffsetSizeTrait>(
    item: &FieldRef,
    given: &ArrayRef,
    outer: Option<&NullBuffer>,
    column: Conform<'_>,
) -> Result<ArrayRef> {
    let expected = GenericListArray::<O>::DATA_TYPE_CONSTRUCTOR(Arc::clone(item));
    let lists = variable(given, &expected)?;
    let nulls = NullBuffer::union(lists.nulls(), outer);
    let (values, ends) = items(&lists, nulls.as_ref())?;
    let offsets = std::iter::once(&0).chain(&ends).map(|&end| O::from_usize(end));
    let offsets = offsets
        .collect::<Option<Vec<O>>>()
        .ok_or_else(|| Mismatch::new(What::Type { expected, given: given.data_type().clone() }))?;
    let values = column(item, &values, None)
        .map_err(|error| error.map_row(|index| ends.partition_point(|&end| end <= index)))?;
    let offsets = OffsetBuffer::new(offsets.into());
    Ok(Arc::new(GenericListArray::<O>::try_new(Arc::clone(item), offsets, values, nulls)?))
}

/// Converts lists of any form to lists of `size` items each.
pub(super) fn fixed(
    item: &FieldRef,
    size: i32,
    given: &ArrayRef,
    outer: Option<&NullBuffer>,
    column: Conform<'_>,
) -> Result<ArrayRef> {
    let expected = DataType::FixedSizeList(Arc::clone(item), size);
    let width = usize::try_from(size).unwrap_or(0);
    let lists = variable(given, &expected)?;
    let nulls = NullBuffer::union(lists.nulls(), outer);
    for (row, length) in lists.offsets().lengths().enumerate() {
        if length != width && nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)) {
            return Err(Mismatch::new(What::Length { expected: width, given: length }).at(row));
        }
    }
    let values = if lists.offsets().lengths().all(|length| length == width) {
        let start = lists.value_offsets().first().map_or(0, |&first| first as usize);
        lists.values().slice(start, width * lists.len())
    } else {
        // Null lists have slots too.
        let slot = |row: usize, index: usize| {
            let is_valid = nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
            is_valid.then(|| lists.value_offsets()[row] as u64 + index as u64)
        };
        let slots = (0..lists.len())
            .flat_map(|row| (0..width).map(move |index| (row, index)))
            .map(|(row, index)| slot(row, index));
        take(lists.values(), &slots.collect::<UInt64Array>(), None)?
    };
    let wide = nulls.as_ref().map(|nulls| nulls.expand(width));
    let values =
        column(item, &values, wide.as_ref()).map_err(|error| error.map_row(|index| index / width.max(1)))?;
    Ok(Arc::new(FixedSizeListArray::try_new_with_length(Arc::clone(item), size, values, nulls, given.len())?))
}

/// Converts all forms of lists to one.
fn variable(given: &ArrayRef, expected: &DataType) -> Result<LargeListArray> {
    let item = match given.data_type() {
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::ListView(item)
        | DataType::LargeListView(item) => item,
        other => {
            return Err(Mismatch::new(What::Type { expected: expected.clone(), given: other.clone() }));
        }
    };
    Ok(cast(given, &DataType::LargeList(Arc::clone(item)))?.as_list::<i64>().clone())
}

/// The items of `lists` without those of null lists, and the end of each list.
fn items(lists: &LargeListArray, nulls: Option<&NullBuffer>) -> Result<(ArrayRef, Vec<usize>)> {
    let is_valid = |row: usize| nulls.is_none_or(|nulls| nulls.is_valid(row));
    let offsets = lists.value_offsets();
    let at = |offset: Option<&i64>| offset.map_or(0, |offset| offset.as_usize());
    let (start, end) = (at(offsets.first()), at(offsets.last()));
    let mut count = 0;
    let ends = lists.offsets().lengths().enumerate().map(|(row, length)| {
        count += if is_valid(row) { length } else { 0 };
        count
    });
    let ends: Vec<usize> = ends.collect();
    let values = lists.values().slice(start, end - start);
    if count == values.len() {
        return Ok((values, ends));
    }
    let mut kept = BooleanBufferBuilder::new(values.len());
    for (row, length) in lists.offsets().lengths().enumerate() {
        kept.append_n(length, is_valid(row));
    }
    Ok((filter(&values, &BooleanArray::new(kept.finish(), None))?, ends))
}
