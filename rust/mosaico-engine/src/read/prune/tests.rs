use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, ListArray, RecordBatch, StringArray, UInt8Array};
use arrow::datatypes::Int64Type;
use bytes::Bytes;
use mosaico_select::{FieldTest, compile, matching};
use mosaico_wire::query::{Query, Sections};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::file::metadata::PageIndexPolicy;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Writes tiny pages and row groups, and reads the footer back.
fn footer(batch: &RecordBatch, group_rows: usize, page_rows: usize) -> ArrowReaderMetadata {
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(group_rows))
        .set_data_page_row_count_limit(page_rows)
        .set_write_batch_size(1)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_statistics_truncate_length(Some(2))
        .set_column_index_truncate_length(Some(2))
        .build();
    let mut file = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut file, batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    ArrowReaderMetadata::load(&Bytes::from(file), options).unwrap()
}

fn condition(filter: &serde_json::Value, batch: &RecordBatch) -> RowExpr {
    let body = json!({"ontology": filter}).to_string();
    let Expr::Is(Sections { values: Some(values), .. }) = Query::parse(body.as_bytes()).unwrap().select
    else {
        panic!("{body}")
    };
    fn fields(values: &Expr<mosaico_wire::query::ValueCondition>) -> Expr<FieldTest> {
        match values {
            Expr::All(all) => Expr::All(all.iter().map(fields).collect()),
            Expr::Any(all) => Expr::Any(all.iter().map(fields).collect()),
            Expr::Not(one) => Expr::Not(Box::new(fields(one))),
            Expr::Is(value) => {
                Expr::Is(FieldTest { path: value.key[2..].to_owned(), test: value.test.clone() })
            }
        }
    }
    compile(&batch.schema(), &fields(&values))
}

/// The rows that a plan keeps, by their position in the file.
fn left(footer: &ArrowReaderMetadata, plan: &Plan) -> Vec<usize> {
    let starts: Vec<usize> = (0..footer.metadata().num_row_groups())
        .scan(0, |at, group| {
            let start = *at;
            *at += group_rows(footer, group);
            Some(start)
        })
        .collect();
    let places: Vec<usize> = plan
        .groups
        .iter()
        .flat_map(|&group| starts[group]..starts[group] + group_rows(footer, group))
        .collect();
    selected_ranges(&plan.rows).flatten().map(|row| places[row]).collect()
}

type Row = (Option<i64>, Option<f64>, u8, Option<&'static str>, Option<Vec<Option<i64>>>);

fn batch(rows: &[Row]) -> RecordBatch {
    let i: ArrayRef = Arc::new(rows.iter().map(|row| row.0).collect::<Int64Array>());
    let f: ArrayRef = Arc::new(rows.iter().map(|row| row.1).collect::<Float64Array>());
    let u: ArrayRef = Arc::new(rows.iter().map(|row| Some(row.2)).collect::<UInt8Array>());
    let s: ArrayRef = Arc::new(rows.iter().map(|row| row.3).collect::<StringArray>());
    let l: ArrayRef =
        Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(rows.iter().map(|row| row.4.clone())));
    RecordBatch::try_from_iter([("i", i), ("f", f), ("u", u), ("s", s), ("l", l)]).unwrap()
}

fn row() -> impl Strategy<Value = Row> {
    let int = || prop_oneof![-3i64..4, Just(i64::MAX), Just(i64::MIN)];
    let float = prop_oneof![(-3i32..4).prop_map(f64::from), Just(f64::NAN), Just(-0.0), Just(f64::INFINITY)];
    let text = proptest::sample::select(vec!["", "a", "aab", "aac", "aad", "é", "b"]);
    (
        proptest::option::of(int()),
        proptest::option::of(float),
        prop_oneof![0u8..3, 254u8..=255],
        proptest::option::of(text),
        proptest::option::of(proptest::collection::vec(proptest::option::of(int()), 0..3)),
    )
}

fn filter() -> impl Strategy<Value = serde_json::Value> {
    let value = prop_oneof![
        (-3i64..4).prop_map(|v| json!(v)),
        Just(json!(i64::MAX)),
        Just(json!(254)),
        Just(json!(0.5)),
        Just(json!("aab")),
        Just(json!("aac")),
    ];
    let operator = proptest::sample::select(vec!["$eq", "$neq", "$lt", "$leq", "$gt", "$geq", "$ex", "$nex"]);
    let field = proptest::sample::select(vec!["t.i", "t.f", "t.u", "t.s", "t.l", "t.none"]);
    let leaf = (field, operator, value).prop_map(|(field, operator, value)| {
        let value = if operator.ends_with("ex") { json!(null) } else { value };
        json!({field: {operator: value}})
    });
    leaf.prop_recursive(3, 6, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 1..3).prop_map(|all| json!({"$and": all})),
            proptest::collection::vec(inner.clone(), 1..3).prop_map(|all| json!({"$or": all})),
            inner.prop_map(|one| json!({"$not": one})),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn no_matching_row_is_pruned(
        rows in proptest::collection::vec(row(), 1..20),
        filter in filter(),
        group_rows in 1usize..12,
        page_rows in 1usize..5,
    ) {
        let batch = batch(&rows);
        let footer = footer(&batch, group_rows, page_rows);
        let expr = condition(&filter, &batch);
        let plan = plan(&footer, &expr).unwrap();
        let left = left(&footer, &plan);
        let wanted: Vec<usize> = matching(&expr, &batch).set_indices().collect();
        prop_assert!(wanted.iter().all(|row| left.contains(row)), "{:?} of {:?}", wanted, left);
        prop_assert!(!plan.proven || !wanted.is_empty());
    }
}

#[test]
fn what_cannot_match_is_pruned() {
    let rows: Vec<Row> = (0..40).map(|i| (Some(i), Some(i as f64), 0, Some("a"), None)).collect();
    let batch = batch(&rows);
    let footer = footer(&batch, 20, 5);
    for (filter, expected, groups, pages) in [
        (json!({"t.i": {"$eq": 27}}), 25..30, (1, 1), (4, 3, 1)),
        (json!({"t.i": {"$lt": 7}, "t.f": {"$gt": 3}}), 0..10, (1, 1), (8, 4, 4)),
        (json!({"$not": {"t.i": {"$lt": 33}}}), 30..40, (1, 1), (4, 2, 2)),
        (json!({"t.i": {"$gt": 39}}), 0..0, (2, 0), (0, 0, 0)),
    ] {
        let plan = plan(&footer, &condition(&filter, &batch)).unwrap();
        assert_eq!(left(&footer, &plan), expected.collect::<Vec<_>>(), "{filter}");
        let counts = plan.group_counts;
        assert_eq!((counts.pruned_by_statistics, counts.read), groups, "{filter}");
        let counts = plan.page_counts;
        assert_eq!((counts.candidates, counts.pruned_by_statistics, counts.read), pages, "{filter}");
    }
    assert!(plan(&footer, &condition(&json!({"t.s": {"$ex": null}}), &batch)).unwrap().proven);
}
