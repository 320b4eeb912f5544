use std::sync::Arc;

use arrow::array::{
    BinaryArray, Date32Array, Float16Array, Int64Array, Int64Builder, ListBuilder, MapBuilder, RecordBatch,
    StringBuilder, StringViewArray, StructArray, TimestampMicrosecondArray,
};
use mosaico_wire::query::{Expr, Query, Sections};
use serde_json::{Value, json};

use super::*;

fn test(condition: &Value) -> Test {
    let body = json!({"ontology": {"t.v": condition}}).to_string();
    match Query::parse(body.as_bytes()).unwrap().select {
        Expr::Is(Sections { values: Some(Expr::Is(value)), .. }) => value.test,
        other => panic!("{other:?}"),
    }
}

/// The rows of a batch whose field passes.
fn found(batch: &RecordBatch, path: &str, condition: Value) -> Vec<usize> {
    let Some(column) = find(&batch.schema(), path) else { return vec![usize::MAX] };
    column.matching(batch, &column.check(&test(&condition))).set_indices().collect()
}

fn one(array: impl Array + 'static) -> RecordBatch {
    let array: ArrayRef = Arc::new(array);
    RecordBatch::try_from_iter([("v", array)]).unwrap()
}

#[test]
fn fields_are_found_by_name_and_by_struct() {
    let int = |name: &str| Field::new(name, DataType::Int64, true);
    let item = Arc::new(Field::new("item", DataType::Struct(vec![int("x"), int("y")].into()), true));
    let schema = Schema::new(vec![
        Field::new("p", DataType::Struct(vec![int("a"), int("Upper.b"), int("c")].into()), true),
        int("p.c"),
        Field::new("l", DataType::List(item), true),
        Field::new("p.q", DataType::Struct(vec![int("r")].into()), true),
    ]);
    let path = |path: &str| find(&schema, path).map(|column| (column.path, column.leaves, column.repeated));
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(path("p.a"), Some((names(&["p", "a"]), 0..1, false)));
    assert_eq!(path("p.Upper.b"), Some((names(&["p", "Upper.b"]), 1..2, false)));
    assert_eq!(path("p.c"), Some((names(&["p.c"]), 3..4, false)), "a whole name comes first");
    assert_eq!(path("l.y"), Some((names(&["l", "y"]), 4..6, true)));
    assert_eq!(path("p.q.r"), Some((names(&["p.q", "r"]), 6..7, false)));
    assert_eq!((path("p.upper.b"), path("p."), path("P.a")), (None, None, None));
}

#[test]
fn times_are_compared_as_numbers_and_as_iso_texts() {
    let days = one(Date32Array::from(vec![Some(0), Some(19_000), None]));
    assert_eq!(found(&days, "v", json!({"$eq": "2022-01-08"})), [1]);
    assert_eq!(found(&days, "v", json!({"$lt": 19_000})), [0]);
    assert_eq!(found(&days, "v", json!({"$in": ["19000", "1970-01-01"]})), [0, 1]);
    let stamps = one(TimestampMicrosecondArray::from(vec![0, 1_641_600_000_000_000]));
    assert_eq!(found(&stamps, "v", json!({"$geq": "2022-01-08T00:00:00"})), [1]);
    assert_eq!(found(&stamps, "v", json!({"$neq": "no time"})), [0usize; 0]);
}

#[test]
fn other_types_only_exist() {
    let blobs = one(BinaryArray::from_opt_vec(vec![Some(b"a"), None]));
    assert_eq!(found(&blobs, "v", json!({"$eq": "a"})), [0usize; 0]);
    assert_eq!(found(&blobs, "v", json!({"$ex": null})), [0]);
    let halves = one(Float16Array::from(vec![half(0.5), half(f32::NAN)]));
    assert_eq!(found(&halves, "v", json!({"$eq": 0.5})), [0]);
    assert_eq!(found(&halves, "v", json!({"$neq": 0.5})), [1]);
    let views = one(StringViewArray::from(vec![Some("a long text that is not inlined"), None, Some("b")]));
    assert_eq!(found(&views, "v", json!({"$match": "not_inlined"})), [0]);
}

fn half(value: f32) -> <Float16Type as ArrowPrimitiveType>::Native {
    <<Float16Type as ArrowPrimitiveType>::Native>::from_f32(value)
}

#[test]
fn any_item_of_a_list_counts() {
    let mut lists = ListBuilder::new(ListBuilder::new(Int64Builder::new()));
    for row in [Some(vec![vec![1, 2], vec![3]]), None, Some(vec![]), Some(vec![vec![], vec![5]])] {
        if let Some(inner) = &row {
            for items in inner {
                items.iter().for_each(|item| lists.values().values().append_value(*item));
                lists.values().append(true);
            }
        }
        lists.append(row.is_some());
    }
    let whole = one(lists.finish());
    for (batch, first) in [(whole.clone(), 0), (whole.slice(1, 3), 1)] {
        let rows =
            |rows: &[usize]| rows.iter().filter(|r| **r >= first).map(|r| r - first).collect::<Vec<_>>();
        assert_eq!(found(&batch, "v", json!({"$gt": 2})), rows(&[0, 3]));
        assert_eq!(found(&batch, "v", json!({"$lt": 2})), rows(&[0]));
        assert_eq!(found(&batch, "v", json!({"$ex": null})), rows(&[0, 2, 3]));
    }
    let mut maps = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
    maps.keys().append_value("a");
    maps.values().append_value(1);
    maps.append(true).unwrap();
    maps.append(true).unwrap();
    let maps = one(maps.finish());
    assert_eq!(found(&maps, "v.keys", json!({"$eq": "a"})), [0]);
    assert_eq!(found(&maps, "v.values", json!({"$eq": 1})), [0]);
    assert_eq!(found(&maps, "v", json!({"$eq": 1})), [0usize; 0]);
}

#[test]
fn values_below_a_null_do_not_exist() {
    let child: ArrayRef = Arc::new(Int64Array::from(vec![1, 1]));
    let fields = Fields::from(vec![Field::new("x", DataType::Int64, true)]);
    let parent = one(StructArray::new(fields, vec![child], Some(NullBuffer::from(vec![true, false]))));
    assert_eq!(found(&parent, "v.x", json!({"$eq": 1})), [0]);
    assert_eq!(found(&parent, "v.x", json!({"$ex": null})), [0]);
    assert_eq!(found(&parent, "v", json!({"$ex": null})), [0]);
    assert_eq!(found(&parent, "v", json!({"$eq": 1})), [0usize; 0]);
}
