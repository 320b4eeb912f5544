//! Rows as JSON text.

use std::fmt::Write as _;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryViewArray, BooleanArray, FixedSizeBinaryArray, Float32Array,
    Float64Array, Int64Array, LargeBinaryArray, LargeStringArray, RecordBatch, UInt64Array,
};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::*;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::schema::TIMESTAMP;

/// How values without a form in JSON are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// For eyes: binary values by their size, numbers that are not finite as text.
    Shown,
    /// For programs: binary values as base64, numbers that are not finite as null.
    Whole,
}

/// Writes rows of a batch as objects, without their time.
#[derive(Debug)]
pub(super) struct RowWriter(Node);

impl RowWriter {
    pub(super) fn new(batch: &RecordBatch, style: Style) -> Result<Self> {
        let fields = batch.schema_ref().fields().iter().zip(batch.columns());
        let fields = fields.filter(|(field, _)| field.name() != TIMESTAMP);
        Ok(Self(Node { nulls: None, values: Values::Struct(members(fields, style)?) }))
    }

    /// Writes one top-level column of a row.
    pub(super) fn of_column(column: &ArrayRef, style: Style) -> Result<Self> {
        Ok(Self(Node::new(column, style)?))
    }

    pub(super) fn write(&self, row: usize, out: &mut String) {
        self.0.write(row, out);
    }
}

/// The values of an array.
#[derive(Debug)]
struct Node {
    nulls: Option<NullBuffer>,
    values: Values,
}

#[derive(Debug)]
enum Values {
    Bool(BooleanArray),
    Int(Int64Array),
    UInt(UInt64Array),
    Float32(Float32Array, Style),
    Float(Float64Array, Style),
    Text(LargeStringArray),
    Binary(LargeBinaryArray, Style),
    BinaryView(BinaryViewArray, Style),
    FixedBinary(FixedSizeBinaryArray, Style),
    /// Names with quotes and colon.
    Struct(Vec<(String, Node)>),
    /// The first item of each row, and of the row behind the last one.
    List(Vec<usize>, Box<Node>),
    /// Texts of values that JSON does not know.
    Shown(Vec<String>),
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn members<'a>(
    fields: impl Iterator<Item = (&'a FieldRef, &'a ArrayRef)>,
    style: Style,
) -> Result<Vec<(String, Node)>> {
    fields.map(|(field, column)| Ok((quoted(field.name()) + ":", Node::new(column, style)?))).collect()
}

impl Node {
    fn new(array: &ArrayRef, style: Style) -> Result<Self> {
        use DataType::*;
        let failed = |e| Error::internal("writing rows as JSON", e);
        let to = |target: DataType| cast(array, &target).map_err(failed);
        let list = |starts: Vec<usize>, items: &ArrayRef| {
            // The items of a slice are those of the whole array.
            let (from, to) = (starts.first().copied().unwrap_or(0), starts.last().copied().unwrap_or(0));
            let items = Self::new(&items.slice(from, to - from), style)?;
            let starts = starts.into_iter().map(|start| start - from).collect();
            Ok::<_, Error>(Values::List(starts, Box::new(items)))
        };
        let start = |offset: i64| usize::try_from(offset).unwrap_or(0);
        let values = match array.data_type() {
            Boolean => Values::Bool(array.as_boolean().clone()),
            Int8 | Int16 | Int32 | Int64 => Values::Int(to(Int64)?.as_primitive::<Int64Type>().clone()),
            UInt8 | UInt16 | UInt32 | UInt64 => {
                Values::UInt(to(UInt64)?.as_primitive::<UInt64Type>().clone())
            }
            // The shortest text of a float differs from that of the same number as a double.
            Float32 => Values::Float32(array.as_primitive::<Float32Type>().clone(), style),
            Float16 | Float64 => Values::Float(to(Float64)?.as_primitive::<Float64Type>().clone(), style),
            Utf8 | LargeUtf8 | Utf8View => Values::Text(to(LargeUtf8)?.as_string::<i64>().clone()),
            Binary | LargeBinary => Values::Binary(to(LargeBinary)?.as_binary::<i64>().clone(), style),
            BinaryView => Values::BinaryView(array.as_binary_view().clone(), style),
            FixedSizeBinary(_) => Values::FixedBinary(array.as_fixed_size_binary().clone(), style),
            Struct(fields) => Values::Struct(members(fields.iter().zip(array.as_struct().columns()), style)?),
            List(_) => {
                let all = array.as_list::<i32>();
                list(
                    all.value_offsets().iter().map(|offset| start((*offset).into())).collect(),
                    all.values(),
                )?
            }
            LargeList(_) => {
                let all = array.as_list::<i64>();
                list(all.value_offsets().iter().map(|offset| start(*offset)).collect(), all.values())?
            }
            FixedSizeList(_, size) => {
                let all = array.as_fixed_size_list();
                let (from, size) = (start(all.value_offset(0).into()), start((*size).into()));
                list((0..=all.len()).map(|row| from + row * size).collect(), all.values())?
            }
            _ => {
                let formatter =
                    ArrayFormatter::try_new(array.as_ref(), &FormatOptions::default()).map_err(failed)?;
                Values::Shown((0..array.len()).map(|row| quoted(&formatter.value(row).to_string())).collect())
            }
        };
        Ok(Self { nulls: array.logical_nulls(), values })
    }

    fn write(&self, row: usize, out: &mut String) {
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            return out.push_str("null");
        }
        match &self.values {
            Values::Bool(values) => out.push_str(if values.value(row) { "true" } else { "false" }),
            Values::Int(values) => _ = write!(out, "{}", values.value(row)),
            Values::UInt(values) => _ = write!(out, "{}", values.value(row)),
            Values::Float32(values, style) => match values.value(row) {
                // Its shortest text is JSON.
                value if value.is_finite() => _ = write!(out, "{value:?}"),
                value => no_number(value.into(), *style, out),
            },
            Values::Float(values, style) => match values.value(row) {
                value if value.is_finite() => _ = write!(out, "{value:?}"),
                value => no_number(value, *style, out),
            },
            Values::Text(values) => out.push_str(&quoted(values.value(row))),
            Values::Binary(values, style) => binary(values.value(row), *style, out),
            Values::BinaryView(values, style) => binary(values.value(row), *style, out),
            Values::FixedBinary(values, style) => binary(values.value(row), *style, out),
            Values::Struct(members) => {
                let mut before = '{';
                for (name, values) in members {
                    out.push(before);
                    out.push_str(name);
                    values.write(row, out);
                    before = ',';
                }
                if before == '{' {
                    out.push('{');
                }
                out.push('}');
            }
            Values::List(starts, items) => {
                out.push('[');
                for item in starts[row]..starts[row + 1] {
                    if item > starts[row] {
                        out.push(',');
                    }
                    items.write(item, out);
                }
                out.push(']');
            }
            Values::Shown(texts) => out.push_str(&texts[row]),
        }
    }
}

fn no_number(value: f64, style: Style, out: &mut String) {
    out.push_str(match style {
        Style::Whole => "null",
        Style::Shown if value.is_nan() => "\"NaN\"",
        Style::Shown if value > 0.0 => "\"Infinity\"",
        Style::Shown => "\"-Infinity\"",
    });
}

fn binary(value: &[u8], style: Style, out: &mut String) {
    match style {
        Style::Shown => _ = write!(out, "{{\"bytes\":{}}}", value.len()),
        Style::Whole => {
            out.push('"');
            STANDARD.encode_string(value, out);
            out.push('"');
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{BinaryArray, FixedSizeListArray, ListArray, StructArray};
    use serde_json::{Value, json};

    use super::*;

    fn rows(batch: &RecordBatch, style: Style) -> Vec<Value> {
        let writer = RowWriter::new(batch, style).unwrap();
        let row = |row| {
            let mut text = String::new();
            writer.write(row, &mut text);
            serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"))
        };
        (0..batch.num_rows()).map(row).collect()
    }

    #[test]
    fn rows_are_written_for_eyes_and_for_programs() {
        let numbers: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.5), Some(f64::NAN), None]));
        let narrow: ArrayRef = Arc::new(Float32Array::from(vec![0.1, f32::INFINITY, f32::NEG_INFINITY]));
        let point: ArrayRef = Arc::new(StructArray::from(vec![
            (Arc::new(Field::new("x\"", DataType::Float64, true)), numbers),
            (Arc::new(Field::new("y", DataType::Float32, true)), narrow),
        ]));
        let list = vec![Some(vec![Some(1), Some(2)]), None, Some(vec![Some(3)])];
        let list: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(list));
        let pairs = [[1, 2], [3, 4], [5, 6]].map(|pair| Some(pair.map(Some)));
        let pairs: ArrayRef = Arc::new(FixedSizeListArray::from_iter_primitive::<Int64Type, _, _>(pairs, 2));
        let batch = RecordBatch::try_from_iter([
            (TIMESTAMP, Arc::new(Int64Array::from(vec![1, 2, 3])) as ArrayRef),
            ("point", point),
            ("list", list),
            ("pairs", pairs),
            ("raw", Arc::new(BinaryArray::from_vec(vec![b"", b"ab", b"abc"])) as ArrayRef),
        ])
        .unwrap();
        let shown = [
            json!({"point": {"x\"": 1.5, "y": 0.1}, "list": [1, 2], "pairs": [1, 2], "raw": {"bytes": 0}}),
            json!({"point": {"x\"": "NaN", "y": "Infinity"}, "list": null, "pairs": [3, 4], "raw": {"bytes": 2}}),
            json!({"point": {"x\"": null, "y": "-Infinity"}, "list": [3], "pairs": [5, 6], "raw": {"bytes": 3}}),
        ];
        assert_eq!(rows(&batch, Style::Shown), shown);
        assert_eq!(rows(&batch.slice(1, 2), Style::Shown), shown[1..], "a slice has its own items");
        let whole = json!({"point": {"x\"": null, "y": null}, "list": null, "pairs": [3, 4], "raw": "YWI="});
        assert_eq!(rows(&batch, Style::Whole)[1], whole);
    }
}
