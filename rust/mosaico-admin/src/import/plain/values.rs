//! Converts values of a file's column to those of a topic's column.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, Float64Array, Int64Array, ListArray,
    RecordBatch, StringArray, StructArray, UInt32Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{cast, nullif, take};
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, UInt32Type};
use mosaico_select::{Mismatch, exactly, nanoseconds};

use super::mapping::{Change, Constant, Unit};

type Result<T> = std::result::Result<T, Mismatch>;

const NS: i64 = 1_000_000_000;

/// The column of a batch, or the field of a struct: null where the struct is null.
pub(super) fn values(batch: &RecordBatch, path: &[String]) -> Result<ArrayRef> {
    let missing = || Mismatch::because(format!("the rows have no column `{}`", path.join(".")));
    let (first, rest) = path.split_first().ok_or_else(missing)?;
    let mut array = Arc::clone(batch.column_by_name(first).ok_or_else(missing)?);
    for name in rest {
        let outer = array.as_struct_opt().ok_or_else(missing)?;
        let field = outer.column_by_name(name).ok_or_else(missing)?;
        array = match outer.nulls() {
            Some(nulls) => nullif(field, &BooleanArray::new(!nulls.inner(), None))?,
            None => Arc::clone(field),
        };
    }
    match array.data_type() {
        DataType::Dictionary(_, plain) => Ok(cast(&array, plain)?),
        _ => Ok(array),
    }
}

/// Applies `change` to values for a column of the type `target`.
pub(super) fn changed(array: ArrayRef, change: Change, target: &DataType) -> Result<ArrayRef> {
    match change {
        Change::Linear { scale, offset } => linear(&array, scale, offset, target),
        Change::Time(unit) => as_time(from_unit(&array, unit)?, target),
        Change::None if is_stamp(target) && matches!(array.data_type(), DataType::Timestamp(..)) => {
            as_time(nanoseconds(&array)?.as_primitive::<Int64Type>().clone(), target)
        }
        Change::None => Ok(array),
    }
}

fn linear(array: &ArrayRef, scale: f64, offset: f64, target: &DataType) -> Result<ArrayRef> {
    let given = exactly(array, &DataType::Float64)?;
    let given = given.as_primitive::<Float64Type>();
    let made: Float64Array = given.unary(|value| value * scale + offset);
    let rounded = rounded(&(Arc::new(made) as ArrayRef), target)?;
    let back = cast(&rounded, &DataType::Float64)?;
    let back = back.as_primitive::<Float64Type>();
    let is_lost =
        |row: &usize| given.is_valid(*row) && given.value(*row).is_finite() && !back.value(*row).is_finite();
    match (0..given.len()).find(is_lost) {
        Some(row) => {
            let value = given.value(row);
            Err(Mismatch::because(format!("{target} cannot hold {value:?} * {scale:?} + {offset:?}")).at(row))
        }
        None => Ok(rounded),
    }
}

/// Rounds to the nearest values of a floating-point type; leaves other types to the comparison.
fn rounded(array: &ArrayRef, target: &DataType) -> Result<ArrayRef> {
    match target {
        DataType::Float16 | DataType::Float32 | DataType::Float64 => Ok(cast(array, target)?),
        _ => Ok(Arc::clone(array)),
    }
}

/// Converts numbers of a unit to nanoseconds; rounds fractions to the nearest.
fn from_unit(array: &ArrayRef, unit: Unit) -> Result<Int64Array> {
    let per_unit = NS / unit.per_second();
    if array.data_type().is_floating() {
        let array = exactly(array, &DataType::Float64)?;
        // The whole part and the remainder are exact, so only the last product is rounded.
        let time = |value: f64| {
            let (whole, rest) = (value.trunc(), value.fract());
            let is_near = whole.abs() < i64::MAX as f64;
            let whole = is_near.then(|| (whole as i64).checked_mul(per_unit)).flatten()?;
            whole.checked_add((rest * per_unit as f64).round() as i64)
        };
        return times(array.as_primitive::<Float64Type>(), unit, time);
    }
    if matches!(array.data_type(), DataType::Timestamp(..)) {
        return Err(Mismatch::because(format!("{} has its own unit; leave `unit` out", array.data_type())));
    }
    let array = exactly(array, &DataType::Int64)?;
    times(array.as_primitive::<Int64Type>(), unit, |value| value.checked_mul(per_unit))
}

fn times<T: ArrowPrimitiveType>(
    array: &arrow::array::PrimitiveArray<T>,
    unit: Unit,
    time: impl Fn(T::Native) -> Option<i64>,
) -> Result<Int64Array>
where
    T::Native: std::fmt::Display,
{
    let one = |(row, value): (usize, Option<T::Native>)| match value {
        None => Ok(None),
        Some(value) => time(value).map(Some).ok_or_else(|| {
            let text = format!("{value} {unit} is no time between the years 1678 and 2262");
            Mismatch::because(text).at(row)
        }),
    };
    array.iter().enumerate().map(one).collect()
}

/// Whether the type is the package's `Time`: whole seconds, rounded down, and the remaining nanoseconds.
fn is_stamp(target: &DataType) -> bool {
    let names = |name: &String| name == "sec" || name == "nanosec";
    matches!(target, DataType::Struct(fields) if fields.len() == 2 && fields.iter().all(|f| names(f.name())))
}

fn as_time(times: Int64Array, target: &DataType) -> Result<ArrayRef> {
    if !is_stamp(target) {
        return Ok(Arc::new(times));
    }
    let sec: Int64Array = times.unary(|time| time.div_euclid(NS));
    let nanosec = times.unary::<_, UInt32Type>(|time| time.rem_euclid(NS) as u32);
    let nulls = times.nulls().cloned();
    let fields =
        vec![Field::new("sec", DataType::Int64, true), Field::new("nanosec", DataType::UInt32, true)];
    Ok(Arc::new(StructArray::try_new(fields.into(), vec![Arc::new(sec), Arc::new(nanosec)], nulls)?))
}

/// One row of a constant, rounded to the column's type if that is floating-point.
pub(super) fn constant(constant: &Constant, target: &DataType) -> Result<ArrayRef> {
    let one: ArrayRef = match constant {
        Constant::Boolean(value) => return Ok(Arc::new(BooleanArray::from(vec![*value]))),
        Constant::Text(text) => return Ok(Arc::new(StringArray::from(vec![text.as_str()]))),
        Constant::Integer(value) => Arc::new(Int64Array::from(vec![*value])),
        Constant::Number(value) => Arc::new(Float64Array::from(vec![*value])),
        Constant::Texts(texts) => return list(Arc::new(StringArray::from_iter_values(texts)), target),
        Constant::Integers(values) => return list(Arc::new(Int64Array::from(values.clone())), target),
        Constant::Numbers(values) => return list(Arc::new(Float64Array::from(values.clone())), target),
    };
    rounded(&one, target)
}

fn list(items: ArrayRef, target: &DataType) -> Result<ArrayRef> {
    let items = match target {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            rounded(&items, item.data_type())?
        }
        _ => items,
    };
    let field = Arc::new(Field::new("item", items.data_type().clone(), true));
    let offsets = OffsetBuffer::from_lengths([items.len()]);
    Ok(Arc::new(ListArray::try_new(field, offsets, items, None)?))
}

/// Repeats the one row of `one`.
pub(super) fn repeated(one: &ArrayRef, rows: usize) -> Result<ArrayRef> {
    Ok(take(one, &UInt32Array::from_value(0, rows), None)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Float32Array, TimestampMicrosecondArray, UInt64Array};

    fn ns(array: impl Array + 'static, unit: Unit) -> std::result::Result<Vec<Option<i64>>, String> {
        let array: ArrayRef = Arc::new(array);
        from_unit(&array, unit).map(|times| times.iter().collect()).map_err(|e| e.to_string())
    }

    #[test]
    fn numbers_become_times() {
        assert_eq!(
            ns(Int64Array::from(vec![Some(-7), None]), Unit::Microsecond).unwrap(),
            [Some(-7000), None]
        );
        assert_eq!(ns(UInt64Array::from(vec![7]), Unit::Second).unwrap(), [Some(7 * NS)]);
        let seconds = vec![1_700_000_000.25, -0.000_000_001_4, 1e-9];
        let expected = [Some(1_700_000_000_250_000_000), Some(-1), Some(1)];
        assert_eq!(ns(Float64Array::from(seconds), Unit::Second).unwrap(), expected);
        assert_eq!(ns(Float32Array::from(vec![0.5]), Unit::Millisecond).unwrap(), [Some(500_000)]);
        for far in [f64::NAN, f64::INFINITY, 1e10, -1e300] {
            let error = ns(Float64Array::from(vec![0.0, far]), Unit::Second).unwrap_err();
            assert!(error.contains("row 1") && error.contains("is no time"), "{error}");
        }
        assert!(ns(Int64Array::from(vec![i64::MAX]), Unit::Microsecond).is_err());
        assert!(ns(UInt64Array::from(vec![u64::MAX]), Unit::Nanosecond).is_err());
        assert!(ns(StringArray::from(vec!["1"]), Unit::Second).is_err());
        let timestamps = TimestampMicrosecondArray::from(vec![1]);
        assert!(ns(timestamps, Unit::Second).unwrap_err().contains("leave `unit` out"));
    }

    #[test]
    fn times_before_the_epoch_have_positive_nanoseconds() {
        let stamp = DataType::Struct(
            vec![Field::new("sec", DataType::Int64, true), Field::new("nanosec", DataType::UInt32, true)]
                .into(),
        );
        let times: ArrayRef =
            Arc::new(TimestampMicrosecondArray::from(vec![Some(-1), None]).with_timezone("Europe/Rome"));
        let made = changed(times, Change::None, &stamp).unwrap();
        let made = made.as_struct();
        assert_eq!(made.column(0).as_primitive::<Int64Type>().value(0), -1);
        assert_eq!(made.column(1).as_primitive::<UInt32Type>().value(0), 999_999_000);
        assert!(made.is_null(1));
    }

    #[test]
    fn scaled_numbers_are_rounded_and_stay_finite() {
        let change = Change::Linear { scale: 0.1, offset: 1.0 };
        let given: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
        let made = changed(Arc::clone(&given), change, &DataType::Float32).unwrap();
        assert_eq!(made.as_ref(), &Float32Array::from(vec![Some(1.1), None]) as &dyn Array);
        let large: ArrayRef = Arc::new(Float64Array::from(vec![f64::INFINITY, f64::NAN, 1e300]));
        let error = changed(large, change, &DataType::Float32).unwrap_err().to_string();
        assert!(error.contains("row 2") && error.contains("1e300"), "{error}");
        let inexact: ArrayRef = Arc::new(Int64Array::from(vec![(1 << 53) + 1]));
        assert!(changed(inexact, change, &DataType::Float64).is_err());
    }
}
