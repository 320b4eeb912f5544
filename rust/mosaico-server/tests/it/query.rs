//! Pages, orders, costs and states of queries.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::Code;

use crate::common::*;
use crate::database;

async fn sequence(client: &Client, name: &str, metadata: Value) -> String {
    let created = act(client, "sequence_create", json!({"name": name, "user_metadata": metadata})).await;
    created.unwrap()["key"].as_str().unwrap().to_owned()
}

fn numbers(times: std::ops::Range<i64>) -> RecordBatch {
    let time: ArrayRef = Arc::new(Int64Array::from_iter_values(times.clone()));
    let value: ArrayRef = Arc::new(Int64Array::from_iter_values(times.clone().map(|t| t * 10)));
    let text: ArrayRef = Arc::new(StringArray::from_iter_values(times.map(|t| format!("{:>200}", t % 50))));
    RecordBatch::try_from_iter([("timestamp_ns", time), ("v", value), ("text", text)]).unwrap()
}

async fn query(client: &Client, body: Value) -> Value {
    act(client, "query", body.clone()).await.unwrap_or_else(|status| panic!("{body}: {status}"))
}

async fn found(client: &Client, body: Value) -> Vec<String> {
    let answer = query(client, body).await;
    let name = |item: &Value| item["sequence"].as_str().unwrap().to_owned();
    answer["items"].as_array().unwrap().iter().map(name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_and_pages_are_stable() {
    let folder = TempDir::new().unwrap();
    let server = TestServer::start(config(folder.path())).await;
    let client = server.client.clone();
    for (name, rank) in
        [("b", json!(2)), ("a", json!("x")), ("d", Value::Null), ("c", json!(10)), ("B", json!(2))]
    {
        sequence(&client, name, json!({"rank": rank})).await;
    }
    let everything = json!({"sequence": {"name": {"$ex": null}}});
    let with = |extra: Value| {
        let mut body = everything.clone();
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        body
    };
    assert_eq!(found(&client, everything.clone()).await, ["B", "a", "b", "c", "d"], "by code point");
    let order = json!([{"by": "sequence.user_metadata.rank", "desc": true}, {"by": "sequence.name"}]);
    assert_eq!(found(&client, with(json!({"order": order}))).await, ["a", "c", "B", "b", "d"]);
    let created = json!([{"by": "sequence.created_timestamp"}]);
    assert_eq!(found(&client, with(json!({"order": created}))).await, ["b", "a", "d", "c", "B"]);

    let answer = query(&client, with(json!({"limit": 2}))).await;
    assert_eq!(answer["items"][1], json!({"sequence": "a", "topics": []}), "also without topics");
    let cursor = answer["cursor"].as_str().unwrap().to_owned();
    // Sequences that appear or vanish before the cursor do not shift those after it.
    sequence(&client, "A", json!({})).await;
    sequence(&client, "bb", json!({})).await;
    act(&client, "sequence_delete", json!({"name": "a"})).await.unwrap();
    let answer = query(&client, with(json!({"limit": 3, "cursor": cursor}))).await;
    let names: Vec<_> = answer["items"].as_array().unwrap().iter().map(|item| &item["sequence"]).collect();
    assert_eq!(names, ["b", "bb", "c"]);
    let cursor = answer["cursor"].clone();
    let answer = query(&client, with(json!({"limit": 3, "cursor": cursor}))).await;
    assert_eq!(answer, json!({"items": [{"sequence": "d", "topics": []}], "cursor": null}));

    let foreign = with(json!({"limit": 3, "cursor": cursor, "order": created}));
    let text = refused(act(&client, "query", foreign).await, Code::InvalidArgument);
    assert!(text.contains("another `order`"), "{text}");
    let broken = with(json!({"limit": 3, "cursor": "%%"}));
    assert!(refused(act(&client, "query", broken).await, Code::InvalidArgument).contains("malformed"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn little_is_read_and_explain_reports_it() {
    let folder = TempDir::new().unwrap();
    let mut config = config(folder.path());
    (config.chunk_bytes, config.row_group_bytes) = (4 << 20, 2 << 20);
    let server = TestServer::start(config).await;
    let client = server.client.clone();
    let key = create_sequence(&client, "run").await;
    let topic = create_topic(&client, "run/t", &key).await;
    let batches: Vec<_> = (0..100).map(|i| numbers(i * 1000..i * 1000 + 1000)).collect();
    put(&client, "run/t", &topic, &batches).await.unwrap();
    let explained = async |ontology: Value| {
        let answer = query(&client, json!({"ontology": ontology, "explain": true})).await;
        (answer["items"].clone(), answer["explain"].clone())
    };
    let matched = json!([{"sequence": "run", "topics": [{"locator": "run/t"}]}]);

    let (items, cost) = explained(json!({"test.v": {"$gt": 5}})).await;
    assert_eq!(items, matched);
    let chunks = cost["chunks"]["candidates"].as_u64().unwrap();
    // A segment ends after the group of batches that fills it; groups are larger on a slow disk.
    assert!(chunks >= 3, "{cost}");
    assert_eq!(
        (&cost["chunks"]["read"], &cost["bytes_read"]),
        (&json!(0), &json!(0)),
        "bounds prove it: {cost}"
    );

    let (items, cost) = explained(json!({"test.v": {"$gt": 1_000_000}})).await;
    assert_eq!((items, &cost["topics"]), (json!([]), &json!(0)), "the catalog knows: {cost}");

    let (items, cost) = explained(json!({"test.v": {"$eq": 123_451}})).await;
    assert_eq!(items, json!([]));
    assert_eq!(cost["chunks"], json!({"candidates": chunks, "pruned_by_statistics": chunks - 1, "read": 1}));
    assert!(cost["row_groups"]["read"].as_u64().unwrap() <= 1, "{cost}");
    assert!(cost["pages"]["read"].as_u64().unwrap() <= 1, "{cost}");
    assert!(cost["rows_scanned"].as_u64().unwrap() <= 5000, "{cost}");

    let one = json!({"test.v": {"$eq": 123_450}, "include_timestamp_range": true});
    let (items, cost) = explained(one).await;
    assert_eq!(items[0]["topics"][0]["timestamp_range"], json!([12_345, 12_345]));
    assert_eq!((&cost["sequences"], &cost["topics"]), (&json!(1), &json!(1)));

    let texts = json!({"test.text": {"$eq": format!("{:>200}", 7)}, "include_timestamp_range": true});
    let (items, cost) = explained(texts).await;
    assert_eq!(items[0]["topics"][0]["timestamp_range"], json!([7, 99_957]));
    assert_eq!(cost["rows_scanned"], 100_000);
    let whole = json!({"topic": {"name": {"$eq": "t"}}, "ontology": {"include_timestamp_range": true}});
    assert_eq!(query(&client, whole).await["items"][0]["topics"][0]["timestamp_range"], json!([0, 99_999]));
    server.stop().await;
}

/// Ten sequences with one topic each; the values of the `n`th range from `1000 n` to `1000 n + 90`. The topic
/// of the fifth is open.
async fn decades(client: &Client) -> Put {
    let mut open = None;
    for n in 0..10 {
        let key = create_sequence(client, &format!("s{n}")).await;
        let locator = format!("s{n}/t");
        let topic = create_topic(client, &locator, &key).await;
        let batch = numbers(n * 100..n * 100 + 10);
        if n == 5 {
            let mut put = Put::open(client, &locator, &topic, batch.schema()).await;
            put.send(batch).await;
            put.durable(10).await;
            open = Some(put);
        } else {
            put(client, &locator, &topic, &[batch]).await.unwrap();
        }
    }
    open.unwrap()
}

fn near_3000() -> Value {
    json!({"ontology": {"test.v": {"$between": [2_990, 3_010]}}, "explain": true})
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalog_proposes_what_may_match() {
    let folder = TempDir::new().unwrap();
    let server = TestServer::start(config(folder.path())).await;
    let client = server.client.clone();
    let open = decades(&client).await;
    let proposed = async |condition: Value| {
        let answer = query(&client, json!({"ontology": condition, "explain": true})).await;
        (answer["items"].as_array().unwrap().len(), answer["explain"]["topics"].as_u64().unwrap())
    };
    // Besides the matching topics, the catalog always proposes the open one, which may get rows.
    assert_eq!(proposed(json!({"test.v": {"$between": [2_990, 3_010]}})).await, (1, 2));
    assert_eq!(proposed(json!({"test.v": {"$eq": 5_050}})).await, (1, 1));
    assert_eq!(proposed(json!({"test.v": {"$geq": 8_000.5}})).await, (2, 3));
    assert_eq!(proposed(json!({"test.v": {"$in": [10, 2_000, 2_001]}})).await, (2, 3));
    assert_eq!(proposed(json!({"$or": [{"test.v": {"$eq": 10}}, {"test.v": {"$eq": 9_010}}]})).await, (2, 3));
    let (text, none) = (format!("{:>200}", 3), json!({"test.v": {"$lt": -1}}));
    assert_eq!(proposed(json!({"test.text": {"$eq": text}, "test.v": {"$lt": 3_100}})).await, (4, 5));
    assert_eq!(proposed(json!({"test.text": {"$gt": "x"}})).await, (0, 1));
    assert_eq!(proposed(none.clone()).await, (0, 1));
    assert_eq!(proposed(json!({"test.nothing": {"$eq": 1}})).await, (0, 0));
    for everything in
        [json!({"$not": none}), json!({"test.v": {"$neq": 10}}), json!({"test.v": {"$ex": null}})]
    {
        assert_eq!(proposed(everything.clone()).await, (10, 10), "{everything}");
    }
    open.finish().await.unwrap();
    assert_eq!(proposed(json!({"test.v": {"$eq": 3_010}})).await, (1, 1));

    // More than SQLite accepts in one statement.
    let many: Vec<_> = (0..3_000).map(|i| json!({"test.v": {"$eq": 3_010 + 10_000 * i}})).collect();
    assert_eq!(proposed(json!({"$or": many})).await.0, 1);
    let many: Vec<_> = (0..3_000).map(|i| json!({"sequence": {"name": {"$eq": format!("s{i}")}}})).collect();
    assert_eq!(found(&client, json!({"$or": many})).await.len(), 10);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_without_statistics_are_found() {
    let folder = TempDir::new().unwrap();
    let server = TestServer::start(config(folder.path())).await;
    // Kept until the server has ended: a dropped put may look like a complete one.
    let open = decades(&server.client).await;
    let before = query(&server.client, near_3000()).await["items"].clone();
    server.stop().await;
    drop(open);
    database::remove(folder.path());
    let forget = |file: &std::path::Path, edit: &dyn Fn(&mut Value)| {
        let mut record: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        edit(&mut record);
        // A record without a checksum, as earlier versions wrote it.
        record.as_object_mut().unwrap().remove("record_crc32");
        std::fs::write(file, record.to_string()).unwrap();
    };
    let mut edited = 0;
    for name in files(folder.path()) {
        let file = folder.path().join(&name);
        if name.ends_with("commit.json") {
            forget(&file, &|record| record["chunks"][0]["columns"] = json!([]));
            edited += 1;
        } else if name.contains("chunk-") && name.ends_with(".json") {
            forget(&file, &|record| record["columns"] = json!([]));
        }
    }
    assert_eq!(edited, 9);
    let server = TestServer::start(config(folder.path())).await;
    let answer = query(&server.client, near_3000()).await;
    assert_eq!((&answer["items"], &answer["explain"]["topics"]), (&before, &json!(10)), "{answer}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuilt_catalog_is_searched_as_well() {
    let folder = TempDir::new().unwrap();
    let server = TestServer::start(config(folder.path())).await;
    let open = decades(&server.client).await;
    let key = create_sequence(&server.client, "odd").await;
    let topic = create_topic(&server.client, "odd/t", &key).await;
    let time: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let number: ArrayRef = Arc::new(Float64Array::from(vec![f64::NEG_INFINITY, f64::INFINITY]));
    let flag: ArrayRef = Arc::new(BooleanArray::from(vec![true, false]));
    let odd = RecordBatch::try_from_iter([("timestamp_ns", time), ("f", number), ("b", flag)]).unwrap();
    put(&server.client, "odd/t", &topic, &[odd]).await.unwrap();
    let who = json!({"sequence": {"user_metadata": {"who": {"$eq": "test"}}}, "explain": true});
    let mut queries = vec![near_3000(), who];
    for condition in
        [json!({"test.f": {"$gt": 1e300}}), json!({"test.b": {"$eq": true}}), json!({"test.f": {"$eq": 0}})]
    {
        queries.push(json!({"ontology": condition, "explain": true}));
    }
    let answer = async |client: &Client, body: &Value| {
        let answer = query(client, body.clone()).await;
        (answer["items"].clone(), answer["explain"]["topics"].clone())
    };
    let mut before = Vec::new();
    for body in &queries {
        before.push(answer(&server.client, body).await);
    }
    server.stop().await;
    drop(open);
    database::remove(folder.path());
    let server = TestServer::start(config(folder.path())).await;
    for (body, before) in queries.iter().zip(before) {
        assert_eq!(answer(&server.client, body).await, before, "{body}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_found_on_their_way_from_the_log_to_chunks() {
    let folder = TempDir::new().unwrap();
    let mut config = config(folder.path());
    config.chunk_bytes = 40_000;
    let server = TestServer::start(config).await;
    let client = server.client.clone();
    let key = create_sequence(&client, "run").await;
    let topic = create_topic(&client, "run/t", &key).await;
    let mut put = Put::open(&client, "run/t", &topic, numbers(0..1).schema()).await;
    for round in 0..60 {
        put.send(numbers(round * 50..round * 50 + 50)).await;
        put.durable((round as u64 + 1) * 50).await;
        let last = round * 50 + 49;
        let body = json!({"ontology": {"test.v": {"$leq": last * 10}, "include_timestamp_range": true}});
        let answer = query(&client, body).await;
        assert_eq!(answer["items"][0]["topics"][0]["timestamp_range"], json!([0, last]), "{answer}");
        let whole = json!({"topic": {"name": {"$ex": null}}, "ontology": {"include_timestamp_range": true}});
        assert_eq!(query(&client, whole).await["items"][0]["topics"][0]["timestamp_range"], json!([0, last]));
    }
    put.finish().await.unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn crafted_names_are_only_names() {
    let folder = TempDir::new().unwrap();
    let server = TestServer::start(config(folder.path())).await;
    let client = server.client.clone();
    let key = sequence(&client, "run", json!({"driver": "alice", "x' OR '1'='1": "odd"})).await;
    let topic = create_topic(&client, "run/t", &key).await;
    put(&client, "run/t", &topic, &[numbers(0..3)]).await.unwrap();
    for path in ["x' OR 1=1 --", "driver') OR (1=1", "x.$.driver", "\"driver\"", "driver[0]", "*", "%"] {
        let metadata = json!({"sequence": {"user_metadata": {path: {"$ex": null}}}});
        assert!(found(&client, metadata).await.is_empty(), "{path}");
        let values = json!({"ontology": {format!("test.{path}"): {"$ex": null}}});
        assert!(found(&client, values).await.is_empty(), "{path}");
        let text = json!({"sequence": {"name": {"$in": [path]}}, "topic": {"ontology_tag": {"$eq": path}}});
        assert!(found(&client, text).await.is_empty(), "{path}");
    }
    let odd = json!({"sequence": {"user_metadata": {"x' OR '1'='1": {"$eq": "odd"}}}});
    assert_eq!(found(&client, odd).await, ["run"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_ends_with_its_client_and_with_the_server() {
    let folder = TempDir::new().unwrap();
    let mut config = config(folder.path());
    config.query_jobs = 1;
    let server = TestServer::start(config).await;
    let client = server.client.clone();
    let key = create_sequence(&client, "run").await;
    let topic = create_topic(&client, "run/t", &key).await;
    let batches: Vec<_> = (0..200).map(|i| numbers(i * 1000..i * 1000 + 1000)).collect();
    put(&client, "run/t", &topic, &batches).await.unwrap();
    let slow = json!({"ontology": {"test.text": {"$match": "%1%1%1%1%1"}}});
    vanishing(&server.address, async move |client| {
        let call = act(&client, "query", slow);
        drop(tokio::time::timeout(Duration::from_millis(20), call).await);
    })
    .await;
    // The only permit is free again.
    let quick = json!({"ontology": {"test.v": {"$eq": 17}}});
    let answer = tokio::time::timeout(Duration::from_secs(20), act(&client, "query", quick)).await;
    assert_eq!(answer.unwrap().unwrap(), json!({"items": []}));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuilt_catalog_answers_the_same() {
    let folder = TempDir::new().unwrap();
    let server = TestServer::start(config(folder.path())).await;
    for name in ["a", "b"] {
        let key = sequence(&server.client, name, json!({"n": {"name": name}})).await;
        let locator = format!("{name}/t");
        let topic = create_topic(&server.client, &locator, &key).await;
        put(&server.client, &locator, &topic, &[numbers(0..3)]).await.unwrap();
    }
    let bodies = [
        json!({"sequence": {"user_metadata": {"n.name": {"$eq": "b"}}}}),
        json!({"topic": {"user_metadata": {"unit": {"$match": "m"}}}}),
        json!({"ontology": {"test.v": {"$geq": 20}, "include_timestamp_range": true}}),
    ];
    let mut before = Vec::new();
    for body in &bodies {
        before.push(query(&server.client, body.clone()).await);
    }
    assert_eq!(before[0]["items"][0]["sequence"], "b");
    server.stop().await;
    database::remove(folder.path());
    let server = TestServer::start(config(folder.path())).await;
    for (body, before) in bodies.into_iter().zip(before) {
        assert_eq!(query(&server.client, body.clone()).await, before, "{body}");
    }
    server.stop().await;
}
