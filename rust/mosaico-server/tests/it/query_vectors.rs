//! The recorded queries of the reference implementation, on its data set.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, ListArray, RecordBatch, StringArray,
    StructArray,
};
use arrow::datatypes::{DataType, Field, Int32Type};
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::Code;

use crate::common::*;

fn recorded() -> Vec<Value> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = std::env::var_os("MOSAICO_SHARED").map_or(beside, PathBuf::from);
    let path = shared.join("contract/vectors/query.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let file: Value = serde_json::from_str(&text).unwrap();
    file["cases"].as_array().unwrap().clone()
}

fn times(rows: usize) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values((0..rows as i64).map(|row| 1_700_000_000_000_000_000 + row * 1000)))
}

fn qa(values: std::ops::Range<i64>) -> RecordBatch {
    let rows = (values.end - values.start) as usize;
    let v: ArrayRef = Arc::new(Int64Array::from_iter_values(values));
    let s: ArrayRef = Arc::new(StringArray::from_iter_values((0..rows).map(|row| format!("s{row}"))));
    let b: ArrayRef = Arc::new(BooleanArray::from((0..rows).map(|row| row % 2 == 0).collect::<Vec<_>>()));
    let x = Arc::new(Field::new("x", v.data_type().clone(), true));
    let p: ArrayRef = Arc::new(StructArray::from(vec![(x, Arc::clone(&v))]));
    let items = (0..rows).map(|_| Some([Some(1), Some(2)]));
    let l: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(items));
    let columns = [
        ("timestamp_ns", times(rows)),
        ("v", Arc::clone(&v)),
        ("s", s),
        ("b", b),
        ("p", p),
        ("Upper", v),
        ("l", l),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn qb() -> RecordBatch {
    let v: ArrayRef = Arc::new(Int32Array::from(vec![5, 5, 5]));
    let s: ArrayRef = Arc::new(StringArray::from(vec!["k", "k", "k"]));
    RecordBatch::try_from_iter([("timestamp_ns", times(3)), ("v", v), ("s", s)]).unwrap()
}

fn qn() -> RecordBatch {
    let v: ArrayRef = Arc::new(Float64Array::from(vec![1.0, f64::NAN, 50.0]));
    assert_eq!(v.data_type(), &DataType::Float64);
    RecordBatch::try_from_iter([("timestamp_ns", times(3)), ("v", v)]).unwrap()
}

/// Writes the recorded data set; topics without rows stay open.
async fn data_set(client: &Client) {
    let alice = json!({
        "driver": "alice", "speed": 42.5, "ok": true, "laps": 3, "nested": {"city": "Milan", "gps": {"lat": 45.5}},
    });
    let mut with_tags = alice.clone();
    with_tags["tags"] = json!(["x", "y"]);
    let bob = json!({"driver": "bob", "speed": 10, "ok": false});
    let empty = || json!({});
    type Topic = (&'static str, &'static str, Value, Option<RecordBatch>);
    let one: Vec<Topic> = vec![
        ("a/t", "qa", json!({"hz": 100}), Some(qa(0..10))),
        ("b", "qb", json!({"hz": "10"}), Some(qb())),
    ];
    let two: Vec<Topic> = vec![("a/t", "qa", json!({"hz": 50}), Some(qa(100..103)))];
    let nan: Vec<Topic> = vec![("n", "qn", empty(), Some(qn()))];
    let raw: Vec<Topic> = vec![("t/one", "raw", empty(), Some(qb())), ("empty", "raw", empty(), None)];
    let demo: Vec<Topic> = ["sensors/imu", "gps", "cam/front", "lidar", "empty"]
        .into_iter()
        .map(|path| (path, "demo", empty(), (path != "empty").then(qb)))
        .collect();
    let sequences =
        [("q-one", with_tags, one), ("q-two", bob, two), ("q-nan", empty(), nan), ("raw-seq", empty(), raw)];
    for (name, metadata, topics) in sequences.into_iter().chain([("wire-demo", alice, demo)]) {
        let created = act(client, "sequence_create", json!({"name": name, "user_metadata": metadata})).await;
        let key = created.unwrap()["key"].clone();
        for (path, tag, metadata, rows) in topics {
            let locator = format!("{name}/{path}");
            let body = json!({
                "name": locator, "sequence_key": key, "serialization_format": "default", "ontology_tag": tag,
                "user_metadata": metadata,
            });
            let topic = act(client, "topic_create", body).await.unwrap();
            if let Some(rows) = rows {
                put(client, &locator, topic["key"].as_str().unwrap(), &[rows]).await.unwrap();
            }
        }
    }
}

/// The response of this server where the recorded one is wrong, or where the reference returned an error:
/// topics, or words of the refusal.
fn corrected(query: &Value) -> Option<Result<Vec<&'static str>, &'static str>> {
    const QA: [&str; 2] = ["q-one/a/t", "q-two/a/t"];
    const ALICE: [&str; 7] = [
        "q-one/a/t",
        "q-one/b",
        "wire-demo/cam/front",
        "wire-demo/empty",
        "wire-demo/gps",
        "wire-demo/lidar",
        "wire-demo/sensors/imu",
    ];
    let nothing = || Some(Ok(Vec::new()));
    let found = |topics: &[&'static str]| Some(Ok(topics.to_vec()));
    let refused = |words| Some(Err(words));
    let text = query.to_string();
    match text.as_str() {
        r#"{"sequence":{"name":{"$in":[]}}}"# => refused("at least one value"),
        r#"{"sequence":{"name":{"$lt":"q"}}}"# => nothing(),
        r#"{"sequence":{"name":{"$eq":5}}}"# => refused("compare it with texts"),
        r#"{"sequence":{"name":{"$between":["a","b"]}}}"# => nothing(),
        r#"{"sequence":{"name":"q-one"}}"# => refused("is not a condition"),
        r#"{"sequence":{"name":{"$regex":"x"}}}"# => refused("no operator of this name"),
        r#"{"sequence":{"name":{"$eq":"a","$neq":"b"}}}"# => refused("exactly one operator"),
        r#"{"sequence":{"created_timestamp":{"$gt":1.5}}}"# => refused("compare it with integers"),
        r#"{"sequence":{"created_timestamp":{"$between":[5,1]}}}"# => refused("the range is empty"),
        r#"{"sequence":{"created_timestamp":{"$in":[1]}}}"# => nothing(),
        r#"{"sequence":{"user_metadata":{"nested":{"city":{"$eq":"Milan"}}}}}"# => refused("`nested.city`"),
        r#"{"sequence":{"user_metadata":{"driver":{"$match":"ali"}}}}"# => found(&ALICE),
        r#"{"sequence":{"user_metadata":{"driver":{"$in":["alice"]}}}}"# => found(&ALICE),
        r#"{"sequence":{"user_metadata":{"driver":{"$lt":"b"}}}}"# => found(&ALICE),
        r#"{"sequence":{"user_metadata":{"dri'ver":{"$eq":"alice"}}}}"# => nothing(),
        r#"{"topic":{"name":{"$eq":"a/t"}}}"# => found(&QA),
        r#"{"topic":{"foo":{"$eq":1}}}"# => refused("topics have"),
        r#"{"ontology":{"qa.v":{"$eq":5}}}"# => found(&QA[..1]),
        r#"{"ontology":{"qa.v":{"$neq":5}}}"# => found(&QA),
        r#"{"ontology":{"qa.v":{"$in":[5]}}}"# => found(&QA[..1]),
        r#"{"ontology":{"qa.v":{"$ex":null}}}"# => found(&QA),
        r#"{"ontology":{"qa.s":{"$eq":"s3"}}}"# => found(&QA[..1]),
        r#"{"ontology":{"qa.s":{"$match":"s3"}}}"# => found(&QA[..1]),
        r#"{"ontology":{"qa.b":{"$eq":true}}}"# => found(&QA),
        r#"{"ontology":{"qa.Upper":{"$gt":8}}}"# => found(&QA),
        r#"{"ontology":{"qa.l":{"$gt":0}}}"# => found(&QA),
        r#"{"ontology":{"qa":{"$gt":0}}}"# => refused("write `<tag>.<field>`"),
        r#"{"ontology":{"qa.v'":{"$gt":0}}}"# => nothing(),
        r#"{"ontology":{"include_timestamp_range":true,"qa.v":{"$between":[3.2,3.8]}}}"# => nothing(),
        r#"{"ontology":{"qn.v":{"$gt":10}}}"# => found(&["q-nan/n"]),
        r#"{"foo":1}"# => refused("`sequence`, `topic`, `ontology`"),
        _ if text.contains(r#""driver":{"$gt":5}"#) => nothing(),
        _ => None,
    }
}

fn locators(answer: &Value) -> Vec<&str> {
    let items = answer["items"].as_array().unwrap().iter();
    let topics = items.flat_map(|item| item["topics"].as_array().unwrap());
    topics.map(|topic| topic["locator"].as_str().unwrap()).collect()
}

/// The reference returns results in no particular order.
fn sorted(answer: &Value) -> Value {
    let mut items = answer["items"].as_array().unwrap().clone();
    items.sort_by_key(|item| item["sequence"].to_string());
    for item in &mut items {
        item["topics"].as_array_mut().unwrap().sort_by_key(|topic| topic["locator"].to_string());
    }
    json!({ "items": items })
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_queries() {
    let folder = TempDir::new().unwrap();
    let server = TestServer::start(config(folder.path())).await;
    let client = server.client.clone();
    data_set(&client).await;
    let cases = recorded();
    assert!(cases.len() > 90);
    let mut corrections = 0;
    for case in cases {
        let query = &case["query"];
        let answer = act(&client, "query", query.clone()).await;
        match corrected(query) {
            Some(Err(words)) => {
                let text = refused(answer, Code::InvalidArgument);
                assert!(text.contains(words), "{query}: {text}");
                corrections += 1;
            }
            Some(Ok(topics)) => {
                assert_eq!(locators(&answer.unwrap()), topics, "{query}");
                corrections += 1;
            }
            None => {
                assert_eq!(case["grpc_code"], "OK", "{query}");
                let answer = answer.unwrap_or_else(|status| panic!("{query}: {status}"));
                assert_eq!(answer, sorted(&case["response"]), "{query}");
            }
        }
    }
    assert_eq!(corrections, 32, "every correction is of a recorded case");
    server.stop().await;
}
