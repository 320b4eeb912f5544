//! Exact bounds of leaf columns, stored per chunk: queries prune chunks with them.

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray, RecordBatch};
use arrow::buffer::NullBuffer;
use arrow::datatypes::*;
use serde::{Deserialize, Serialize};

/// Longer texts have no bounds: a record must stay small.
const MAX_TEXT_BYTES: usize = 1024;

/// Statistics of one leaf column of a chunk. Columns inside lists and maps, and binary columns, have none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ColumnStats {
    /// Names from the top-level column down to the leaf.
    pub path: Vec<String>,
    pub kind: ColumnKind,
    pub nulls: u64,
    /// Floats only: whether a value is NaN. Bounds exclude NaN.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_nan: bool,
    /// Lowest and highest value, as text that parses back exactly; absent if there are no values or a value
    /// is too long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bounds: Option<(String, String)>,
}

impl ColumnStats {
    /// The bounds as the nearest numbers; `None` for texts.
    pub fn numbers(&self) -> Option<(f64, f64)> {
        let number = |text: &str| match self.kind {
            ColumnKind::Int | ColumnKind::Float => text.parse().ok(),
            ColumnKind::Bool => text.parse().ok().map(|value: bool| f64::from(u8::from(value))),
            ColumnKind::Text => None,
        };
        let (lo, hi) = self.bounds.as_ref()?;
        number(lo).zip(number(hi))
    }
}

/// How to compare bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnKind {
    Int,
    Float,
    Text,
    Bool,
}

impl ColumnKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Int => "int",
            Self::Float => "float",
            Self::Text => "text",
            Self::Bool => "bool",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Int, Self::Float, Self::Text, Self::Bool].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Whether a column of this type has bounds, unless it is inside a list.
pub fn is_bounded(data_type: &DataType) -> bool {
    Bounds::for_type(data_type).is_some()
}

/// The number of columns of a schema that have bounds.
pub fn bounded_columns(schema: &Schema) -> usize {
    StatsBuilder::new(schema).leaves.len()
}

#[derive(Debug)]
enum Bounds {
    Int(Option<(i128, i128)>),
    Float(Option<(f64, f64)>),
    Text { bounds: Option<(String, String)>, too_long: bool },
    Bool(Option<(bool, bool)>),
}

impl Bounds {
    fn for_type(data_type: &DataType) -> Option<Self> {
        use DataType::*;
        match data_type {
            Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | UInt64 | Date32 | Date64 | Time32(_)
            | Time64(_) | Timestamp(..) | Duration(_) => Some(Self::Int(None)),
            Float16 | Float32 | Float64 => Some(Self::Float(None)),
            Utf8 | LargeUtf8 | Utf8View => Some(Self::Text { bounds: None, too_long: false }),
            Boolean => Some(Self::Bool(None)),
            _ => None,
        }
    }
}

#[derive(Debug)]
struct Leaf {
    path: Vec<String>,
    nulls: u64,
    has_nan: bool,
    bounds: Bounds,
}

/// Collects the statistics of a chunk batch by batch.
#[derive(Debug)]
pub struct StatsBuilder {
    leaves: Vec<Leaf>,
}

impl StatsBuilder {
    pub fn new(schema: &Schema) -> Self {
        let mut leaves = Vec::new();
        add_leaves(schema.fields(), &mut Vec::new(), &mut leaves);
        Self { leaves }
    }

    pub fn update(&mut self, batch: &RecordBatch) {
        let mut leaves = self.leaves.iter_mut();
        for column in batch.columns() {
            update_leaves(column, None, &mut leaves);
        }
    }

    pub fn finish(self) -> Vec<ColumnStats> {
        self.leaves.into_iter().map(Leaf::finish).collect()
    }
}

fn add_leaves(fields: &Fields, path: &mut Vec<String>, out: &mut Vec<Leaf>) {
    for field in fields {
        path.push(field.name().clone());
        if let DataType::Struct(children) = field.data_type() {
            add_leaves(children, path, out);
        } else if let Some(bounds) = Bounds::for_type(field.data_type()) {
            out.push(Leaf { path: path.clone(), nulls: 0, has_nan: false, bounds });
        }
        path.pop();
    }
}

fn update_leaves<'a>(
    array: &ArrayRef,
    parent: Option<&NullBuffer>,
    leaves: &mut impl Iterator<Item = &'a mut Leaf>,
) {
    // A child array may have a value under a null struct; it is ignored.
    let nulls = NullBuffer::union(parent, array.logical_nulls().as_ref());
    if let Some(array) = array.as_struct_opt() {
        for child in array.columns() {
            update_leaves(child, nulls.as_ref(), leaves);
        }
    } else if is_bounded(array.data_type())
        && let Some(leaf) = leaves.next()
    {
        leaf.update(array, nulls.as_ref());
    }
}

/// Calls `each` with the values that are not null.
fn visit<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    nulls: Option<&NullBuffer>,
    mut each: impl FnMut(T::Native),
) {
    let array: &PrimitiveArray<T> = array.as_primitive();
    match nulls {
        None => array.values().iter().copied().for_each(each),
        Some(nulls) => nulls.valid_indices().for_each(|row| each(array.value(row))),
    }
}

fn int_bounds<T: ArrowPrimitiveType>(array: &ArrayRef, nulls: Option<&NullBuffer>) -> Option<(i128, i128)>
where
    T::Native: Ord + Into<i128>,
{
    let mut bounds: Option<(T::Native, T::Native)> = None;
    visit::<T>(array, nulls, |v| bounds = Some(bounds.map_or((v, v), |(lo, hi)| (lo.min(v), hi.max(v)))));
    bounds.map(|(lo, hi)| (lo.into(), hi.into()))
}

fn float_bounds<T: ArrowPrimitiveType>(array: &ArrayRef, nulls: Option<&NullBuffer>) -> (f64, f64, bool)
where
    T::Native: Into<f64>,
{
    let (mut lo, mut hi, mut nan) = (f64::INFINITY, f64::NEG_INFINITY, false);
    visit::<T>(array, nulls, |v| {
        let v: f64 = v.into();
        nan |= v.is_nan();
        lo = lo.min(v);
        hi = hi.max(v);
    });
    (lo, hi, nan)
}

fn widen<T: PartialOrd + Copy>(bounds: &mut Option<(T, T)>, found: Option<(T, T)>) {
    if let Some((lo, hi)) = found {
        *bounds = Some(
            bounds.map_or((lo, hi), |(l, h)| (if lo < l { lo } else { l }, if hi > h { hi } else { h })),
        );
    }
}

impl Leaf {
    fn update(&mut self, array: &ArrayRef, nulls: Option<&NullBuffer>) {
        let null_count = nulls.map_or(0, NullBuffer::null_count);
        self.nulls += null_count as u64;
        if null_count == array.len() {
            return;
        }
        match &mut self.bounds {
            Bounds::Int(bounds) => widen(bounds, integers(array, nulls)),
            Bounds::Float(bounds) => {
                let (lo, hi, nan) = match array.data_type() {
                    DataType::Float16 => float_bounds::<Float16Type>(array, nulls),
                    DataType::Float32 => float_bounds::<Float32Type>(array, nulls),
                    _ => float_bounds::<Float64Type>(array, nulls),
                };
                self.has_nan |= nan;
                // If all values are NaN, the bounds keep their initial values.
                widen(bounds, (lo <= hi).then_some((lo, hi)));
            }
            Bounds::Text { bounds, too_long } => {
                let valid = |row: usize| nulls.is_none_or(|nulls| nulls.is_valid(row));
                let rows = (0..array.len()).filter(|&row| valid(row));
                let found = match array.data_type() {
                    DataType::Utf8 => text_bounds(rows.map(|row| array.as_string::<i32>().value(row))),
                    DataType::LargeUtf8 => text_bounds(rows.map(|row| array.as_string::<i64>().value(row))),
                    _ => text_bounds(rows.map(|row| array.as_string_view().value(row))),
                };
                let Some((lo, hi)) = found else { return };
                *too_long |= lo.len().max(hi.len()) > MAX_TEXT_BYTES;
                if *too_long {
                    *bounds = None;
                } else {
                    let (l, h) = bounds.take().unwrap_or_else(|| (lo.to_owned(), hi.to_owned()));
                    let low = if lo < l.as_str() { lo.to_owned() } else { l };
                    let high = if hi > h.as_str() { hi.to_owned() } else { h };
                    *bounds = Some((low, high));
                }
            }
            Bounds::Bool(bounds) => {
                let array = array.as_boolean();
                let valid = |row: &usize| nulls.is_none_or(|nulls| nulls.is_valid(*row));
                for row in (0..array.len()).filter(valid) {
                    widen(bounds, Some((array.value(row), array.value(row))));
                }
            }
        }
    }

    fn finish(self) -> ColumnStats {
        let (kind, bounds) = match self.bounds {
            Bounds::Int(bounds) => (ColumnKind::Int, bounds.map(|(a, b)| (a.to_string(), b.to_string()))),
            // `{:?}` is the shortest text that parses back to the same number, infinities included.
            Bounds::Float(bounds) => {
                (ColumnKind::Float, bounds.map(|(a, b)| (format!("{a:?}"), format!("{b:?}"))))
            }
            Bounds::Text { bounds, .. } => (ColumnKind::Text, bounds),
            Bounds::Bool(bounds) => (ColumnKind::Bool, bounds.map(|(a, b)| (a.to_string(), b.to_string()))),
        };
        ColumnStats { path: self.path, kind, nulls: self.nulls, has_nan: self.has_nan, bounds }
    }
}

fn text_bounds<'a>(mut values: impl Iterator<Item = &'a str>) -> Option<(&'a str, &'a str)> {
    let first = values.next()?;
    Some(values.fold((first, first), |(lo, hi), v| (lo.min(v), hi.max(v))))
}

fn integers(array: &ArrayRef, nulls: Option<&NullBuffer>) -> Option<(i128, i128)> {
    use DataType::*;
    match array.data_type() {
        Int8 => int_bounds::<Int8Type>(array, nulls),
        Int16 => int_bounds::<Int16Type>(array, nulls),
        Int32 => int_bounds::<Int32Type>(array, nulls),
        Int64 => int_bounds::<Int64Type>(array, nulls),
        UInt8 => int_bounds::<UInt8Type>(array, nulls),
        UInt16 => int_bounds::<UInt16Type>(array, nulls),
        UInt32 => int_bounds::<UInt32Type>(array, nulls),
        UInt64 => int_bounds::<UInt64Type>(array, nulls),
        Date32 => int_bounds::<Date32Type>(array, nulls),
        Date64 => int_bounds::<Date64Type>(array, nulls),
        Time32(TimeUnit::Second) => int_bounds::<Time32SecondType>(array, nulls),
        Time32(_) => int_bounds::<Time32MillisecondType>(array, nulls),
        Time64(TimeUnit::Microsecond) => int_bounds::<Time64MicrosecondType>(array, nulls),
        Time64(_) => int_bounds::<Time64NanosecondType>(array, nulls),
        Timestamp(TimeUnit::Second, _) => int_bounds::<TimestampSecondType>(array, nulls),
        Timestamp(TimeUnit::Millisecond, _) => int_bounds::<TimestampMillisecondType>(array, nulls),
        Timestamp(TimeUnit::Microsecond, _) => int_bounds::<TimestampMicrosecondType>(array, nulls),
        Timestamp(TimeUnit::Nanosecond, _) => int_bounds::<TimestampNanosecondType>(array, nulls),
        Duration(TimeUnit::Second) => int_bounds::<DurationSecondType>(array, nulls),
        Duration(TimeUnit::Millisecond) => int_bounds::<DurationMillisecondType>(array, nulls),
        Duration(TimeUnit::Microsecond) => int_bounds::<DurationMicrosecondType>(array, nulls),
        Duration(TimeUnit::Nanosecond) => int_bounds::<DurationNanosecondType>(array, nulls),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{BooleanArray, Float64Array, StringArray, StructArray, UInt64Array};

    use super::*;

    fn stats(name: &str, arrays: Vec<ArrayRef>) -> Vec<ColumnStats> {
        let batches: Vec<_> =
            arrays.into_iter().map(|a| RecordBatch::try_from_iter([(name, a)]).unwrap()).collect();
        let mut builder = StatsBuilder::new(&batches[0].schema());
        batches.iter().for_each(|batch| builder.update(batch));
        builder.finish()
    }

    fn bounds(found: &ColumnStats) -> (&str, &str) {
        let (lo, hi) = found.bounds.as_ref().unwrap();
        (lo, hi)
    }

    #[test]
    fn nan_and_nulls_stay_out_of_the_bounds() {
        let a: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.5), None, Some(f64::NAN)]));
        let b: ArrayRef = Arc::new(Float64Array::from(vec![Some(f64::NEG_INFINITY), Some(0.1), None]));
        let found = stats("v", vec![a, b]);
        assert_eq!((found[0].nulls, found[0].has_nan), (2, true));
        assert_eq!(bounds(&found[0]), ("-inf", "1.5"));
        let only_nan = stats("v", vec![Arc::new(Float64Array::from(vec![f64::NAN]))]);
        assert_eq!((only_nan[0].bounds.clone(), only_nan[0].has_nan), (None, true));
    }

    #[test]
    fn integers_are_exact() {
        let found = stats("v", vec![Arc::new(UInt64Array::from(vec![u64::MAX, 1 << 63]))]);
        assert_eq!(bounds(&found[0]), ("9223372036854775808", "18446744073709551615"));
    }

    #[test]
    fn values_below_a_null_struct_do_not_exist() {
        let child: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 100.0]));
        let fields = Fields::from(vec![Field::new("x", DataType::Float64, true)]);
        let parent = StructArray::new(fields, vec![child], Some(NullBuffer::from(vec![true, false])));
        let found = stats("s", vec![Arc::new(parent)]);
        assert_eq!(found[0].path, ["s", "x"]);
        assert_eq!((found[0].nulls, bounds(&found[0])), (1, ("1.0", "1.0")));
    }

    #[test]
    fn texts_and_flags() {
        let found = stats("v", vec![Arc::new(StringArray::from(vec!["b", "a", "c"]))]);
        assert_eq!(bounds(&found[0]), ("a", "c"));
        let long = "x".repeat(MAX_TEXT_BYTES + 1);
        let a: ArrayRef = Arc::new(StringArray::from(vec![long.as_str()]));
        let b: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
        assert_eq!(stats("v", vec![a, b])[0].bounds, None);
        let found = stats("v", vec![Arc::new(BooleanArray::from(vec![true, false]))]);
        assert_eq!(bounds(&found[0]), ("false", "true"));
    }
}
