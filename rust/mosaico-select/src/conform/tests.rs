use arrow::array::{
    DictionaryArray, FixedSizeListArray, Float32Array, Float64Array, Int32Array, Int64Array, LargeListArray,
    ListArray, StringArray, StringViewArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{Float64Type, Int32Type, Schema};
use proptest::prelude::*;

use super::*;

fn schema() -> SchemaRef {
    let point = ["x", "y"].map(|name| Field::new(name, DataType::Float64, false)).to_vec();
    let item = Arc::new(Field::new("item", DataType::Float64, false));
    Arc::new(Schema::new(vec![
        Field::new(TIMESTAMP, DataType::Int64, false),
        Field::new(RECORDING, DataType::Int64, true),
        Field::new("point", DataType::Struct(point.into()), true),
        Field::new("small", DataType::Int8, true),
        Field::new("name", DataType::LargeUtf8, true),
        Field::new("list", DataType::LargeList(Arc::clone(&item)), true),
        Field::new("pair", DataType::FixedSizeList(item, 2), true),
    ]))
}

fn conformed(columns: &[(&str, ArrayRef)]) -> std::result::Result<RecordBatch, String> {
    let times: ArrayRef = Arc::new(Int64Array::from_iter_values(0..columns[0].1.len() as i64));
    let all = columns.iter().map(|(name, array)| (*name, Arc::clone(array)));
    let time = (!columns.iter().any(|(name, _)| *name == TIMESTAMP)).then_some((TIMESTAMP, times));
    let batch = RecordBatch::try_from_iter(time.into_iter().chain(all)).unwrap();
    conform(&schema(), &batch).map_err(|error| error.to_string())
}

fn column_of(name: &str, array: impl Array + 'static) -> std::result::Result<ArrayRef, String> {
    let batch = conformed(&[(name, Arc::new(array))])?;
    Ok(Arc::clone(batch.column_by_name(name).unwrap()))
}

#[test]
fn types_of_a_kind_become_each_other() {
    let words = StringViewArray::from(vec![Some("a"), None]);
    let plain = column_of("name", words).unwrap();
    assert_eq!(plain.as_string::<i64>().iter().collect::<Vec<_>>(), [Some("a"), None]);
    let words: DictionaryArray<Int32Type> = vec![Some("b"), None, Some("b")].into_iter().collect();
    let plain = column_of("name", words).unwrap();
    assert_eq!(plain.as_string::<i64>().iter().collect::<Vec<_>>(), [Some("b"), None, Some("b")]);
    let times = TimestampMicrosecondArray::from(vec![1, -2]).with_timezone("UTC");
    let times = column_of(TIMESTAMP, times).unwrap();
    assert_eq!(times.as_ref(), &Int64Array::from(vec![1000, -2000]) as &dyn Array);
    let halves = Float64Array::from(vec![Some(-7.0), None]);
    assert!(column_of("small", halves).is_ok());
}

#[test]
fn what_would_change_is_refused() {
    let refused = |name, array: ArrayRef| conformed(&[(name, array)]).unwrap_err();
    let large = refused("small", Arc::new(Int32Array::from(vec![Some(1), None, Some(300)])));
    assert_eq!(large, "column `small`, row 2: Int8 cannot hold 300 without loss");
    let half = refused("small", Arc::new(Float32Array::from(vec![0.5])));
    assert_eq!(half, "column `small`, row 0: Int8 cannot hold 0.5 without loss");
    let exact = Int64Array::from(vec![(1 << 53) + 1]);
    let rounded = refused("point.x", Arc::new(exact));
    assert!(
        rounded.starts_with("column `point.x`, row 0: Float64 cannot hold 9007199254740993"),
        "{rounded}"
    );
    let far = refused(TIMESTAMP, Arc::new(TimestampMicrosecondArray::from(vec![0, i64::MAX])));
    assert!(far.starts_with("column `timestamp_ns`, row 1:"), "{far}");
    let number = refused("name", Arc::new(Int64Array::from(vec![1])));
    assert_eq!(number, "column `name`: Int64 was given, LargeUtf8 is required");
    let text = refused("small", Arc::new(StringArray::from(vec!["1"])));
    assert_eq!(text, "column `small`: Utf8 was given, Int8 is required");
}

#[test]
fn names_are_matched() {
    let numbers: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 2.0]));
    let unknown = conformed(&[("pint.x", Arc::clone(&numbers))]).unwrap_err();
    assert!(
        unknown.starts_with("column `pint.x`: there is no such column, only `timestamp_ns`"),
        "{unknown}"
    );
    let unknown = conformed(&[("point.z", Arc::clone(&numbers))]).unwrap_err();
    assert_eq!(unknown, "column `point.z`: there is no such column, only `x`, `y`");
    let below = conformed(&[("small.x", Arc::clone(&numbers))]).unwrap_err();
    assert_eq!(below, "column `small.x`: the column above is Int8, which has no fields");
    let missing = conformed(&[("point.x", Arc::clone(&numbers))]).unwrap_err();
    assert_eq!(missing, "column `point.y`: missing; Float64 is required");
    let batch = RecordBatch::try_from_iter([("point.x", numbers)]).unwrap();
    let missing = conform(&schema(), &batch).unwrap_err().to_string();
    assert_eq!(missing, "column `timestamp_ns`: missing; Int64 is required");
    let twice =
        RecordBatch::try_from_iter([(TIMESTAMP, 1), ("small", 1), ("small", 2)].map(|(name, value)| {
            let array: ArrayRef = Arc::new(Int64Array::from(vec![value]));
            (name, array)
        }));
    let twice = conform(&schema(), &twice.unwrap()).unwrap_err().to_string();
    assert_eq!(twice, "column `small`: given twice, or as a struct and by its fields");
}

#[test]
fn a_struct_of_columns_is_null_where_all_of_them_are() {
    let x: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.0), None, Some(3.0)]));
    let y: ArrayRef = Arc::new(Float64Array::from(vec![Some(4.0), None, Some(6.0)]));
    let batch = conformed(&[("point.x", Arc::clone(&x)), ("point.y", y)]).unwrap();
    let points = batch.column(2);
    assert_eq!((0..3).map(|row| points.is_null(row)).collect::<Vec<_>>(), [false, true, false]);
    let y: ArrayRef = Arc::new(Float64Array::from(vec![Some(4.0), Some(5.0), Some(6.0)]));
    let null = conformed(&[("point.x", x), ("point.y", y)]).unwrap_err();
    assert_eq!(null, "column `point.x`, row 1: null was given, Float64 is required");
}

type Lists = Vec<Option<Vec<Option<f64>>>>;

fn lists_of(array: &dyn Array) -> Lists {
    let lists = arrow::compute::cast(array, &DataType::new_large_list(DataType::Float64, true)).unwrap();
    let lists = lists.as_list::<i64>();
    lists.iter().map(|list| Some(list?.as_primitive::<Float64Type>().iter().collect())).collect()
}

#[test]
fn errors_in_lists_name_the_row() {
    let lists = [Some(vec![Some(1.0)]), None, Some(vec![]), Some(vec![Some(2.0), None])];
    let lists = ListArray::from_iter_primitive::<Float64Type, _, _>(lists);
    let null = column_of("list", lists.clone()).unwrap_err();
    assert_eq!(null, "column `list`, row 3: null was given, Float64 is required");
    let null = column_of("list", lists.slice(2, 2)).unwrap_err();
    assert_eq!(null, "column `list`, row 1: null was given, Float64 is required");
    let length = column_of("pair", lists).unwrap_err();
    assert_eq!(length, "column `pair`, row 0: 1 items were given, 2 are required");
    let pairs = [Some(vec![Some(1.0), Some(2.0)]), None, Some(vec![Some(2.0), None])];
    let pairs = FixedSizeListArray::from_iter_primitive::<Float64Type, _, _>(pairs, 2);
    let null = column_of("pair", pairs).unwrap_err();
    assert_eq!(null, "column `pair`, row 2: null was given, Float64 is required");
}

proptest! {
    #[test]
    fn lists_of_any_form_and_any_slice_are_the_same_lists(
        lists in prop::collection::vec(prop::option::of(prop::collection::vec(any::<f64>(), 0..4)), 1..20),
        start in 0_usize..20,
        length in 0_usize..20,
    ) {
        let lists: Lists =
            lists.into_iter().map(|list| Some(list?.into_iter().map(Some).collect())).collect();
        let start = start.min(lists.len() - 1);
        let length = length.min(lists.len() - start);
        let expected = &lists[start..start + length];
        let small = ListArray::from_iter_primitive::<Float64Type, _, _>(lists.clone()).slice(start, length);
        let large = LargeListArray::from_iter_primitive::<Float64Type, _, _>(lists.clone()).slice(start, length);
        let as_text = |lists: &[Option<Vec<Option<f64>>>]| format!("{lists:?}");
        for array in [Arc::new(small) as ArrayRef, Arc::new(large)] {
            let list = conformed(&[("list", Arc::clone(&array))]).unwrap();
            prop_assert_eq!(as_text(&lists_of(list.column(5))), as_text(expected));
            let fit = expected.iter().flatten().all(|list| list.len() == 2);
            match conformed(&[("pair", array)]) {
                Ok(pair) => {
                    prop_assert!(fit);
                    prop_assert_eq!(as_text(&lists_of(pair.column(6))), as_text(expected));
                }
                Err(_) => prop_assert!(!fit),
            }
        }
    }

    #[test]
    fn pairs_of_any_form_and_any_slice_are_the_same_pairs(
        pairs in prop::collection::vec(prop::option::of(any::<[f64; 2]>()), 1..20),
        start in 0_usize..20,
    ) {
        let pairs: Lists = pairs.into_iter().map(|pair| Some(pair?.map(Some).to_vec())).collect();
        let start = start.min(pairs.len() - 1);
        let fixed = FixedSizeListArray::from_iter_primitive::<Float64Type, _, _>(pairs.clone(), 2);
        let lists = ListArray::from_iter_primitive::<Float64Type, _, _>(pairs.clone());
        for array in [Arc::new(fixed) as ArrayRef, Arc::new(lists)] {
            let array = array.slice(start, pairs.len() - start);
            for (name, index) in [("list", 5), ("pair", 6)] {
                let batch = conformed(&[(name, Arc::clone(&array))]).unwrap();
                let found = format!("{:?}", lists_of(batch.column(index)));
                prop_assert_eq!(found, format!("{:?}", &pairs[start..]));
            }
        }
    }
}
