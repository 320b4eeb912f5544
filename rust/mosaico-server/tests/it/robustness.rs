//! Unusual data, many topics, and regressions for failures that other servers showed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{
    Array, ArrayRef, BinaryArray, BinaryViewArray, BooleanArray, Date32Array, Decimal128Array,
    DictionaryArray, DurationNanosecondArray, FixedSizeBinaryArray, FixedSizeListArray, Float16Array,
    Float32Array, Float64Array, Int32Array, Int64Array, LargeListArray, LargeStringArray, ListArray,
    MapArray, NullArray, RecordBatch, StringArray, StringViewArray, StructArray, TimestampMicrosecondArray,
    UInt8Array, UInt64Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Fields, Int8Type, IntervalUnit, Schema, UnionFields, UnionMode};
use futures::{StreamExt, stream};
use half::f16;
use serde_json::json;
use tempfile::TempDir;
use tonic::Code;

use crate::common::*;
use crate::database;
use crate::vectors::machine_code;

async fn started() -> (TempDir, TestServer, Client) {
    let folder = TempDir::new().unwrap();
    let server = TestServer::start(config(folder.path())).await;
    let client = server.client.clone();
    (folder, server, client)
}

fn field(name: &str, data_type: DataType) -> Arc<Field> {
    Arc::new(Field::new(name, data_type, true))
}

/// Three rows of every kind of column that can be stored; the second row is null where it may be.
fn every_type() -> RecordBatch {
    let floats =
        || Arc::new(Float32Array::from(vec![Some(1.5), None, Some(-0.0), Some(f32::NAN)])) as ArrayRef;
    let item = field("item", DataType::Float32);
    let pair =
        Fields::from(vec![Field::new("x", DataType::Float64, true), Field::new("Y.z", DataType::Utf8, true)]);
    let nested = StructArray::new(
        pair.clone(),
        vec![
            Arc::new(Float64Array::from(vec![Some(f64::MIN_POSITIVE), None, None])),
            Arc::new(StringArray::from(vec![None, None, Some("größe")])),
        ],
        Some(vec![true, false, true].into()),
    );
    let entries = StructArray::new(
        Fields::from(vec![
            Field::new("keys", DataType::Utf8, false),
            Field::new("values", DataType::Int32, true),
        ]),
        vec![
            Arc::new(StringArray::from(vec!["a", "b", "c", "d"])),
            Arc::new(Int32Array::from(vec![Some(1), None, Some(3), Some(4)])),
        ],
        None,
    );
    let entries_field = Arc::new(Field::new("entries", entries.data_type().clone(), false));
    let offsets = || OffsetBuffer::new(vec![0, 3, 3, 4].into());
    let structs = StructArray::new(
        pair.clone(),
        vec![
            Arc::new(Float64Array::from(vec![1., 2., 3., 4.])),
            Arc::new(StringArray::from(vec!["", "b", "c", "d"])),
        ],
        None,
    );
    let words: DictionaryArray<Int8Type> = vec![Some("on"), None, Some("on")].into_iter().collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("timestamp_ns", Arc::new(Int64Array::from(vec![i64::MIN, 0, i64::MAX]))),
        ("flag", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]))),
        ("small", Arc::new(UInt8Array::from(vec![Some(255), None, Some(0)]))),
        ("large", Arc::new(UInt64Array::from(vec![Some(u64::MAX), None, Some(0)]))),
        ("half", Arc::new(Float16Array::from(vec![Some(f16::from_f32(0.1)), None, Some(f16::NEG_INFINITY)]))),
        ("text", Arc::new(StringArray::from(vec![Some(""), None, Some("t")]))),
        ("long_text", Arc::new(LargeStringArray::from(vec![Some("l"), None, Some("")]))),
        (
            "text_view",
            Arc::new(StringViewArray::from(vec![Some("longer than twelve bytes"), None, Some("")])),
        ),
        ("bytes", Arc::new(BinaryArray::from(vec![Some(&b""[..]), None, Some(b"\0\xff")]))),
        (
            "bytes_view",
            Arc::new(BinaryViewArray::from(vec![Some(&b"longer than twelve bytes"[..]), None, Some(b"")])),
        ),
        ("word", Arc::new(words)),
        (
            "fixed",
            Arc::new(
                FixedSizeBinaryArray::try_from_sparse_iter_with_size(
                    [Some(b"abc"), None, Some(b"def")].into_iter(),
                    3,
                )
                .unwrap(),
            ),
        ),
        (
            "decimal",
            Arc::new(
                Decimal128Array::from(vec![Some(-12345), None, Some(0)])
                    .with_precision_and_scale(20, 3)
                    .unwrap(),
            ),
        ),
        ("day", Arc::new(Date32Array::from(vec![Some(-1), None, Some(20_000)]))),
        (
            "moment",
            Arc::new(TimestampMicrosecondArray::from(vec![Some(-1), None, Some(1)]).with_timezone("+02:00")),
        ),
        ("span", Arc::new(DurationNanosecondArray::from(vec![Some(-1), None, Some(1)]))),
        ("nothing", Arc::new(NullArray::new(3))),
        ("nested", Arc::new(nested)),
        (
            "list",
            Arc::new(ListArray::new(
                Arc::clone(&item),
                offsets(),
                floats(),
                Some(vec![true, false, true].into()),
            )),
        ),
        (
            "large_list",
            Arc::new(LargeListArray::new(
                Arc::clone(&item),
                OffsetBuffer::new(vec![0, 3, 3, 4].into()),
                floats(),
                None,
            )),
        ),
        ("fixed_list", Arc::new(FixedSizeListArray::new(item, 1, floats().slice(0, 3), None))),
        (
            "structs",
            Arc::new(ListArray::new(
                field("item", DataType::Struct(pair)),
                offsets(),
                Arc::new(structs),
                None,
            )),
        ),
        (
            "map",
            Arc::new(MapArray::new(
                entries_field,
                offsets(),
                entries,
                Some(vec![true, false, true].into()),
                false,
            )),
        ),
    ];
    let extension =
        [("ARROW:extension:name", "arrow.uuid"), ("ARROW:extension:metadata", ""), ("unit", "m/s")];
    let described = |(name, column): &(&str, ArrayRef)| {
        let field = Field::new(*name, column.data_type().clone(), *name != "timestamp_ns");
        let extension = extension.map(|(key, value)| (key.to_owned(), value.to_owned()));
        if *name == "fixed" { field.with_metadata(extension.into()) } else { field }
    };
    let schema = Schema::new(columns.iter().map(described).collect::<Vec<_>>());
    RecordBatch::try_new(Arc::new(schema), columns.into_iter().map(|(_, column)| column).collect()).unwrap()
}

/// Reads the topic of a column: dictionaries are decoded, everything else is as sent, including field
/// metadata.
async fn check_column(client: &Client, sent: &RecordBatch) {
    let (name, sent_field) = (sent.schema().field(1).name().clone(), sent.schema().field(1).clone());
    let batches = get_window(client, &format!("run/{name}"), None, None).await.unwrap();
    let found = concat_batches(&batches[0].schema(), &batches).unwrap();
    assert_eq!(found.column(0), sent.column(0));
    let expected = match sent.column(1).data_type() {
        DataType::Dictionary(_, values) => arrow::compute::cast(sent.column(1), values).unwrap(),
        _ => Arc::clone(sent.column(1)),
    };
    assert_eq!(expected.to_data(), found.column(1).to_data(), "{name}");
    assert_eq!(sent_field.metadata(), found.schema().field(1).metadata(), "{name}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_storable_type_comes_back_as_it_was() {
    let (folder, server, client) = started().await;
    let all = every_type();
    let columns: Vec<_> = (1..all.num_columns()).map(|at| all.project(&[0, at]).unwrap()).collect();
    let key = create_sequence(&client, "run").await;
    for sent in &columns {
        let locator = format!("run/{}", sent.schema().field(1).name());
        let topic = create_topic(&client, &locator, &key).await;
        let mut open = Put::open(&client, &locator, &topic, sent.schema()).await;
        open.send(sent.clone()).await;
        let ack = open.ack().await.unwrap_or_else(|status| panic!("{locator}: {status}"));
        if ack.is_none_or(|ack| ack.durable_rows < 3) {
            open.durable(3).await;
        }
        check_column(&client, sent).await;
        open.finish().await.unwrap();
        check_column(&client, sent).await;
    }
    drop(client);
    server.stop().await;
    database::remove(folder.path());
    let server = TestServer::start(config(folder.path())).await;
    for sent in &columns {
        check_column(&server.client, sent).await;
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn types_that_cannot_be_stored_are_refused_by_name() {
    let (_folder, server, client) = started().await;
    let key = create_sequence(&client, "run").await;
    let topic = create_topic(&client, "run/t", &key).await;
    let item = field("item", DataType::Int64);
    let union = UnionFields::try_new(vec![0], vec![Field::new("a", DataType::Int64, true)]).unwrap();
    let types = [
        DataType::Union(union, UnionMode::Sparse),
        DataType::Interval(IntervalUnit::MonthDayNano),
        DataType::ListView(Arc::clone(&item)),
        DataType::Struct(Fields::empty()),
        DataType::RunEndEncoded(
            Arc::new(Field::new("run_ends", DataType::Int32, false)),
            field("values", DataType::Utf8),
        ),
    ];
    for data_type in types {
        let schema = Schema::new(vec![
            Field::new("timestamp_ns", DataType::Int64, false),
            Field::new("odd", data_type.clone(), true),
        ]);
        let messages = put_messages(Some(put_command("run/t", &topic)), Arc::new(schema), stream::empty());
        let mut answers = client.clone().do_put(messages).await.unwrap().into_inner();
        let status = answers.message().await.unwrap_err();
        assert_eq!(machine_code(&status), "bad_schema", "{data_type}: {status}");
        assert!(status.message().contains("odd"), "{status}");
    }
    put(&client, "run/t", &topic, &[rows(&[1], 0)]).await.unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_no_bytes_and_batches_of_no_rows() {
    let (_folder, server, client) = started().await;
    let key = create_sequence(&client, "run").await;
    let times_only = |times: Vec<i64>| {
        RecordBatch::try_from_iter([("timestamp_ns", Arc::new(Int64Array::from(times)) as ArrayRef)]).unwrap()
    };
    let topic = create_topic(&client, "run/times", &key).await;
    let batches = [times_only(vec![]), times_only(vec![1, 1]), times_only(vec![]), times_only(vec![2])];
    assert_eq!(put(&client, "run/times", &topic, &batches).await.unwrap().durable_rows, 3);
    let found = get_window(&client, "run/times", None, None).await.unwrap();
    assert_eq!(found.iter().map(RecordBatch::num_rows).sum::<usize>(), 3);

    let topic = create_topic(&client, "run/blobs", &key).await;
    put(&client, "run/blobs", &topic, &[blobs(&[1, 2], 0)]).await.unwrap();
    let found = get_window(&client, "run/blobs", None, None).await.unwrap();
    assert_eq!(found[0].columns(), blobs(&[1, 2], 0).columns());

    // Only batches without rows: the topic is complete, and has its schema and no chunk.
    let topic = create_topic(&client, "run/none", &key).await;
    put(&client, "run/none", &topic, &[rows(&[], 0), rows(&[], 0)]).await.unwrap();
    let facts = act(&client, "topic_system_info", json!({"name": "run/none"})).await.unwrap();
    assert_eq!((&facts["chunks_number"], &facts["is_locked"]), (&json!(0), &json!(true)));
    act(&client, "sequence_finalize", json!({"name": "run", "key": key})).await.unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_topics_in_a_sequence() {
    let (folder, server, client) = started().await;
    let key = create_sequence(&client, "run").await;
    let locator = |at: usize| format!("run/group_{}/topic_{at}", at % 7);
    let keys: Vec<String> = stream::iter(0..1000)
        .map(|at| {
            let (client, key) = (client.clone(), key.clone());
            async move { create_topic(&client, &locator(at), &key).await }
        })
        .buffered(16)
        .collect()
        .await;
    for at in [0, 500, 999] {
        put(&client, &locator(at), &keys[at], &[rows(&[at as i64], at)]).await.unwrap();
    }
    let found = info(&client, json!({"resource_locator": "run"})).await.unwrap();
    let locations: std::collections::HashSet<_> = found.endpoint.iter().map(|e| &e.location[0].uri).collect();
    assert_eq!(locations.len(), 1000);
    assert_eq!(get(&client, &locator(500)).await, [(500, 500)]);
    let unlocked = act(&client, "sequence_finalize", json!({"name": "run", "key": key})).await;
    refused(unlocked, Code::FailedPrecondition);
    act(&client, "sequence_abort", json!({"name": "run", "key": key})).await.unwrap();
    assert_eq!(files(folder.path()), Vec::<String>::new());
    server.stop().await;
}

/// #7 and #10: a reused name has nothing of the earlier resource.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_used_again_starts_empty() {
    let (folder, server, client) = started().await;
    let mut key = create_sequence(&client, "run").await;
    for (round, rows_each) in [4000, 7, 500].into_iter().enumerate() {
        let topic = create_topic(&client, "run/t", &key).await;
        let times: Vec<i64> = (0..rows_each).collect();
        put(&client, "run/t", &topic, &[rows(&times, round)]).await.unwrap();
        assert_eq!(get(&client, "run/t").await.len(), times.len(), "round {round}");
        act(&client, "sequence_abort", json!({"name": "run", "key": key})).await.unwrap();
        key = create_sequence(&client, "run").await;
    }
    let topic = create_topic(&client, "run/t", &key).await;
    put(&client, "run/t", &topic, &[rows(&[1, 2, 3], 0)]).await.unwrap();
    drop(client);
    server.stop().await;
    // The server rebuilds a lost catalog from the store: nothing is lost or mixed up.
    database::remove(folder.path());
    let server = TestServer::start(config(folder.path())).await;
    let client = server.client.clone();
    let taken = act(&client, "sequence_create", json!({"name": "run", "user_metadata": null})).await;
    refused(taken, Code::AlreadyExists);
    act(&client, "sequence_delete", json!({"name": "run"})).await.unwrap();
    let key = create_sequence(&client, "run").await;
    let topic = create_topic(&client, "run/t", &key).await;
    put(&client, "run/t", &topic, &[rows(&[5, 6], 0)]).await.unwrap();
    assert_eq!(get(&client, "run/t").await, [(5, 0), (6, 1)]);
    server.stop().await;
}

/// #11: a read during an upload blocks nothing.
#[tokio::test(flavor = "multi_thread")]
async fn reading_during_an_upload_hides_nothing_later() {
    let folder = TempDir::new().unwrap();
    let mut config = config(folder.path());
    config.chunk_bytes = 10_000;
    let server = TestServer::start(config).await;
    let client = server.client.clone();
    let key = create_sequence(&client, "run").await;
    let topic = create_topic(&client, "run/t", &key).await;
    let mut open = Put::open(&client, "run/t", &topic, rows(&[], 0).schema()).await;
    for round in 0..6 {
        let times: Vec<i64> = (round * 1000..(round + 1) * 1000).collect();
        open.send(rows(&times, 0)).await;
        open.durable((round as u64 + 1) * 1000).await;
        assert_eq!(get(&client, "run/t").await.len() as i64, (round + 1) * 1000);
    }
    open.finish().await.unwrap();
    assert_eq!(get(&client, "run/t").await.len(), 6000);
    let found = info(&client, json!({"resource_locator": "run/t"})).await.unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&found.endpoint[0].app_metadata).unwrap();
    assert_eq!(metadata["timestamp"], json!({"min": 0, "max": 5999}));
    server.stop().await;
}

/// #17: many uploads of one ontology with many columns.
#[tokio::test(flavor = "multi_thread")]
async fn wide_uploads_side_by_side() {
    let (_folder, server, client) = started().await;
    let key = create_sequence(&client, "run").await;
    let times: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let column: ArrayRef = Arc::new(Float64Array::from(vec![1., 2.]));
    let names: Vec<String> = (0..60).map(|at| format!("c{at}")).collect();
    let columns = names.iter().map(|name| (name.as_str(), Arc::clone(&column)));
    let wide = RecordBatch::try_from_iter([("timestamp_ns", times)].into_iter().chain(columns)).unwrap();
    let uploads = (0..64).map(|at| {
        let (client, key, wide) = (client.clone(), key.clone(), wide.clone());
        async move {
            let locator = format!("run/t{at}");
            let topic = create_topic(&client, &locator, &key).await;
            put(&client, &locator, &topic, &[wide]).await.map(|ack| ack.durable_rows)
        }
    });
    let rows: Vec<_> = stream::iter(uploads).buffer_unordered(8).collect().await;
    assert!(rows.iter().all(|rows| matches!(rows, Ok(2))), "{rows:?}");
    act(&client, "sequence_finalize", json!({"name": "run", "key": key})).await.unwrap();
    server.stop().await;
}

/// #18, #19, #23: compressible rows are stored compressed, and are sent once, in messages of bounded size.
#[tokio::test(flavor = "multi_thread")]
async fn compressible_rows_stay_small_and_travel_once() {
    const ROWS: usize = 20;
    const ROW_BYTES: usize = 2 << 20;
    let (folder, server, client) = started().await;
    let key = create_sequence(&client, "run").await;
    let topic = create_topic(&client, "run/t", &key).await;
    let zeros = vec![0u8; ROW_BYTES];
    let batch = |time: i64| {
        let data: ArrayRef = Arc::new(BinaryArray::from_iter_values([&zeros]));
        let times: ArrayRef = Arc::new(Int64Array::from(vec![time]));
        RecordBatch::try_from_iter([("timestamp_ns", times), ("data", data)]).unwrap()
    };
    let batches: Vec<_> = (0..ROWS as i64).map(batch).collect();
    put(&client, "run/t", &topic, &batches).await.unwrap();
    let facts = act(&client, "topic_system_info", json!({"name": "run/t"})).await.unwrap();
    assert!(facts["total_size_bytes"].as_u64().unwrap() < 1 << 20, "{facts}");

    let found = info(&client, json!({"resource_locator": "run/t"})).await.unwrap();
    let ticket = found.endpoint[0].ticket.clone().unwrap();
    let mut messages = client.clone().do_get(ticket).await.unwrap().into_inner();
    let (mut sum, mut largest) = (0, 0);
    while let Some(message) = messages.message().await.unwrap() {
        sum += message.data_body.len();
        largest = largest.max(message.data_body.len());
    }
    let data = ROWS * ROW_BYTES;
    assert!((data..data + data / 10).contains(&sum), "{sum} bytes on the wire for {data}");
    let limit = config(folder.path()).message_bytes;
    assert!(largest < limit + ROW_BYTES, "a message of {largest} bytes");
    server.stop().await;
}

/// #21, #22: small uploads are stored quickly and in little space.
#[tokio::test(flavor = "multi_thread")]
async fn small_images_cost_little() {
    let (_folder, server, client) = started().await;
    let key = create_sequence(&client, "run").await;
    let body = json!({"name": "run/t", "sequence_key": key, "serialization_format": "image",
                      "ontology_tag": "image", "user_metadata": {}});
    let topic = act(&client, "topic_create", body).await.unwrap()["key"].as_str().unwrap().to_owned();
    let start = Instant::now();
    put(&client, "run/t", &topic, &[blobs(&[1, 2, 3], 48)]).await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    let facts = act(&client, "topic_system_info", json!({"name": "run/t"})).await.unwrap();
    assert!(facts["total_size_bytes"].as_u64().unwrap() < 10_000, "{facts}");
    server.stop().await;
}

/// #24, #25: an info needs only the catalog, not the store.
#[tokio::test(flavor = "multi_thread")]
async fn infos_read_no_chunk() {
    let (folder, server, client) = started().await;
    let key = create_sequence(&client, "run").await;
    for at in 0..3 {
        let locator = format!("run/t{at}");
        let topic = create_topic(&client, &locator, &key).await;
        put(&client, &locator, &topic, &[rows(&[1, 2, at], 0)]).await.unwrap();
    }
    let ask = |locator: &str| info(&client, json!({"resource_locator": locator}));
    let before = (ask("run").await.unwrap(), ask("run/t2").await.unwrap());
    std::fs::rename(folder.path().join("seq"), folder.path().join("away")).unwrap();
    let without = (ask("run").await.unwrap(), ask("run/t2").await.unwrap());
    std::fs::rename(folder.path().join("away"), folder.path().join("seq")).unwrap();
    assert_eq!(before, without);
    assert_eq!(get(&client, "run/t2").await.len(), 3);
    server.stop().await;
}

/// A row of 200 MB, with small rows around it.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_200_mb() {
    let (_folder, server, client) = started().await;
    let key = create_sequence(&client, "run").await;
    let topic = create_topic(&client, "run/t", &key).await;
    let large = blobs(&[2], 200_000_000);
    put(&client, "run/t", &topic, &[blobs(&[1], 3), large.clone(), blobs(&[3], 3)]).await.unwrap();
    let found = get_window(&client, "run/t", None, None).await.unwrap();
    let found = concat_batches(&found[0].schema(), &found).unwrap();
    assert_eq!(found.num_rows(), 3);
    assert_eq!(found.slice(1, 1).columns(), large.columns());
    server.stop().await;
}
