//! Tests of the row buffer.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Float64Type, Int16Type, Schema};
use proptest::prelude::*;

use super::*;
use crate::columns::Values;

/// One row of the test schema; `None` lists and structs are null.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    value: Option<f64>,
    text: Option<String>,
    list: Option<Vec<i16>>,
    inner: Option<(bool, Vec<u8>)>,
    fixed: [f64; 2],
}

fn schema() -> SchemaRef {
    let item = |data_type| Arc::new(Field::new("item", data_type, true));
    let inner =
        vec![Field::new("flag", DataType::Boolean, false), Field::new("blob", DataType::Binary, false)];
    Arc::new(Schema::new(vec![
        Field::new("value", DataType::Float64, true),
        Field::new("text", DataType::Utf8, true),
        Field::new("list", DataType::List(item(DataType::Int16)), true),
        Field::new("inner", DataType::Struct(inner.into()), true),
        Field::new("fixed", DataType::FixedSizeList(item(DataType::Float64), 2), false),
    ]))
}

fn append(columns: &mut [Column], row: &Row) -> Result<(), ColumnError> {
    fn float(column: &mut Column, value: f64) {
        if let Values::Fixed(fixed) = column.values_mut() {
            fixed.push_float(value);
        }
        column.mark_valid();
    }
    match row.value {
        Some(value) => float(&mut columns[0], value),
        None => columns[0].push_null()?,
    }
    match &row.text {
        Some(text) => columns[1].push_bytes(text.as_bytes())?,
        None => columns[1].push_null()?,
    }
    match &row.list {
        Some(list) => {
            for &number in list {
                let Values::List { items, .. } = columns[2].values_mut() else { unreachable!() };
                if let Values::Fixed(fixed) = items.values_mut() {
                    fixed.push_int(i128::from(number))?;
                }
                items.mark_valid();
            }
            columns[2].close_list(list.len())?;
        }
        None => columns[2].push_null()?,
    }
    match &row.inner {
        Some((flag, blob)) => {
            let Values::Struct(children) = columns[3].values_mut() else { unreachable!() };
            if let Values::Bool(bits) = children[0].values_mut() {
                bits.append(*flag);
            }
            children[0].mark_valid();
            children[1].push_bytes(blob)?;
            columns[3].mark_valid();
        }
        None => columns[3].push_null()?,
    }
    for &value in &row.fixed {
        let Values::FixedList { items, .. } = columns[4].values_mut() else { unreachable!() };
        float(items, value);
    }
    columns[4].close_list(2)
}

fn read(batch: &RecordBatch) -> Vec<Row> {
    let (value, text) = (batch.column(0).as_primitive::<Float64Type>(), batch.column(1).as_string::<i32>());
    let (list, inner) = (batch.column(2).as_list::<i32>(), batch.column(3).as_struct());
    let (flag, blob) = (inner.column(0).as_boolean(), inner.column(1).as_binary::<i32>());
    let fixed = batch.column(4).as_fixed_size_list();
    (0..batch.num_rows())
        .map(|row| Row {
            value: value.is_valid(row).then(|| value.value(row)),
            text: text.is_valid(row).then(|| text.value(row).to_owned()),
            list: list.is_valid(row).then(|| list.value(row).as_primitive::<Int16Type>().values().to_vec()),
            inner: inner.is_valid(row).then(|| (flag.value(row), blob.value(row).to_vec())),
            fixed: {
                let pair = fixed.value(row);
                let pair = pair.as_primitive::<Float64Type>();
                [pair.value(0), pair.value(1)]
            },
        })
        .collect()
}

fn row() -> impl Strategy<Value = Row> {
    let float = -1e9..1e9;
    (
        proptest::option::of(float.clone()),
        proptest::option::of("\\PC{0,8}"),
        proptest::option::of(proptest::collection::vec(any::<i16>(), 0..5)),
        proptest::option::of((any::<bool>(), proptest::collection::vec(any::<u8>(), 0..9))),
        [float.clone(), float],
    )
        .prop_map(|(value, text, list, inner, fixed)| Row { value, text, list, inner, fixed })
}

proptest! {
    /// Rows that fail at any point are rolled back completely; the others keep their values.
    #[test]
    fn failed_rows_leave_no_trace(rows in proptest::collection::vec((row(), 0..9_usize), 0..40)) {
        let mut buffer = RowBuffer::new(schema()).unwrap();
        let mut kept = Vec::new();
        for (row, fail_at) in &rows {
            let outcome = buffer.push(|columns| match fail_at {
                // Fills the columns before `fail_at`, then `fail_at` half-way, and fails.
                0..=4 => {
                    append(columns, row)?;
                    columns[*fail_at..].iter_mut().for_each(|column| column.truncate(column.len() - 1));
                    if let Values::FixedList { items, .. } = columns[4].values_mut() {
                        items.push_null()?;
                    }
                    Err(ColumnError::Null)
                }
                _ => append(columns, row),
            });
            if outcome.is_ok() {
                kept.push(row.clone());
            }
        }
        prop_assert_eq!(buffer.rows(), kept.len());
        let batch = buffer.take().into_batch().unwrap();
        prop_assert_eq!(read(&batch), kept);
        prop_assert_eq!((buffer.rows(), buffer.bytes()), (0, 0));
    }
}

#[test]
fn values_that_do_not_fit_are_named() {
    let field = |data_type, nullable| Arc::new(Field::new("x", data_type, nullable));
    let mut byte = Column::new(&field(DataType::Int8, false)).unwrap();
    let Values::Fixed(fixed) = byte.values_mut() else { unreachable!() };
    assert_eq!(fixed.push_int(300).unwrap_err().to_string(), "300 is out of range for int8");
    assert_eq!(byte.push_null(), Err(ColumnError::Null));
    let mut pair = Column::new(&field(DataType::FixedSizeBinary(2), true)).unwrap();
    assert_eq!(pair.push_bytes(b"abc"), Err(ColumnError::Length { expected: 2, found: 3 }));
    let error = Column::new(&field(DataType::Date32, true)).unwrap_err().to_string();
    assert!(error.contains("`x`") && error.contains("Date32"), "{error}");
}
