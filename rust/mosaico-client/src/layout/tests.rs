//! Tests of merged columns.

use arrow::array::{AsArray, Float64Array};
use arrow::compute::concat_batches;
use arrow::datatypes::Int64Type;
use proptest::prelude::*;

use super::*;

/// Rows `from..from + rows` of a topic of the class `a` (a float that is never null, a text) or `b` (a text).
fn rows(tag: &str, from: i64, rows: i64) -> RecordBatch {
    let numbers = || from..from + rows;
    let times: ArrayRef = Arc::new(Int64Array::from_iter_values(numbers()));
    let texts = numbers().map(|n| (n % 3 != 0).then(|| format!("{tag}{n}")));
    let texts: ArrayRef = Arc::new(texts.collect::<StringArray>());
    let floats: ArrayRef = Arc::new(Float64Array::from_iter_values(numbers().map(|n| n as f64)));
    let envelope = vec![Field::new(TIMESTAMP, DataType::Int64, false)];
    let text = Field::new("t", DataType::Utf8, true);
    let (fields, columns) = match tag {
        "a" => (vec![Field::new("f", DataType::Float64, false), text], vec![times, floats, texts]),
        _ => (vec![text], vec![times, texts]),
    };
    let schema = Schema::new([envelope, fields].concat());
    RecordBatch::try_new(Arc::new(schema), columns).unwrap()
}

fn member(name: &str, tag: &str) -> Member {
    Member { name: name.into(), tag: tag.into(), schema: rows(tag, 0, 1).schema() }
}

proptest! {
    /// For any runs, gathering all rows at once equals gathering them one by one.
    #[test]
    fn runs_are_gathered_like_rows(
        tags in proptest::collection::vec(prop_oneof![Just("a"), Just("b")], 1..4),
        runs in proptest::collection::vec((0_usize..4, 0_usize..40, 1_usize..20), 1..12),
    ) {
        let members: Vec<Member> = tags.iter().enumerate().map(|(n, tag)| member(&format!("/{n}"), tag)).collect();
        let layout = Layout::new(&members).unwrap();
        let pieces: Vec<Piece> = tags
            .iter()
            .enumerate()
            .map(|(topic, tag)| {
                let from = topic as i64 * 100;
                Piece { topic, batch: rows(tag, from, 60), times: (from..from + 60).collect() }
            })
            .collect();
        let runs: Vec<(usize, Range<usize>)> =
            runs.into_iter().map(|(piece, from, count)| (piece % tags.len(), from..from + count)).collect();
        let found = layout.batch(&pieces, &runs).unwrap();
        let singly: Vec<RecordBatch> = runs
            .iter()
            .flat_map(|(piece, rows)| rows.clone().map(move |row| (*piece, row..row + 1)))
            .map(|run| layout.batch(&pieces, &[run]).unwrap())
            .collect();
        prop_assert_eq!(&found, &concat_batches(layout.schema(), &singly).unwrap());
        // Single rows keep their values.
        let at = |piece: usize, row: usize| piece as i64 * 100 + row as i64;
        let expected: Vec<i64> =
            runs.iter().flat_map(|(piece, rows)| rows.clone().map(|row| at(*piece, row))).collect();
        prop_assert_eq!(found[TIMESTAMP].as_primitive::<Int64Type>().values().to_vec(), expected);
        for (index, tag) in tags.iter().enumerate() {
            let one = layout.batch(&pieces, &[(index, 7..8)]).unwrap();
            let class = one[*tag].as_struct();
            let text = class.column_by_name("t").unwrap().as_string::<i32>();
let found = text.is_valid(0).then(|| text.value(0).to_owned());
            let number = at(index, 7);
            prop_assert_eq!(found, (number % 3 != 0).then(|| format!("{tag}{number}")));
            for other in ["a", "b"].iter().filter(|other| *other != tag) {
                prop_assert!(one.column_by_name(other).is_none_or(|column| column.is_null(0)));
            }
        }
    }
}

#[test]
fn topics_of_one_class_share_columns_and_differences_are_named() {
    let wider = Schema::new(vec![
        Field::new(TIMESTAMP, DataType::Int64, false),
        Field::new("t", DataType::Utf8, true),
        Field::new("new", DataType::Int8, false),
    ]);
    let other = Schema::new(vec![Field::new("t", DataType::Int8, true)]);
    let with = |schema: Schema| Member { name: "/other".into(), tag: "b".into(), schema: Arc::new(schema) };
    let layout = Layout::new(&[member("/one", "b"), with(wider)]).unwrap();
    let DataType::Struct(fields) = layout.schema().field_with_name("b").unwrap().data_type() else {
        panic!()
    };
    assert_eq!(
        fields.iter().map(|f| (f.name().as_str(), f.is_nullable())).collect::<Vec<_>>(),
        [("t", true), ("new", true)]
    );
    let error = Layout::new(&[member("/one", "b"), with(other)]).unwrap_err();
    assert!(error.message.contains("`b.t` is Int8 in topic `/other`"), "{error}");
    let error = Layout::new(&[Member { tag: "topic".into(), ..member("/one", "b") }]).unwrap_err();
    assert!(error.message.contains("ontology tag `topic`"), "{error}");
}
