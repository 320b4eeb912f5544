//! The calls of a client, over TCP.

use std::time::Duration;

use crate::common::*;
use arrow::array::{ArrayRef, DictionaryArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Int32Type, Schema};
use arrow_flight::{Action, Criteria, FlightData, FlightDescriptor};
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use std::sync::Arc;
use tempfile::TempDir;
use tonic::Code;

async fn started() -> (TempDir, TestServer) {
    let folder = TempDir::new().unwrap();
    let server = TestServer::start(config(folder.path())).await;
    (folder, server)
}

#[tokio::test(flavor = "multi_thread")]
async fn record_finalize_and_read() {
    let (folder, server) = started().await;
    let client = server.client.clone();
    assert!(names(&client).await.is_empty());
    let key = create_sequence(&client, "/run-1").await;
    let topic = create_topic(&client, "run-1/sensors/imu", &key).await;
    let batches: Vec<_> =
        (0..10).map(|i| rows(&(i * 10..i * 10 + 10).collect::<Vec<_>>(), i as usize * 10)).collect();
    let ack = put(&client, "run-1/sensors/imu", &topic, &batches).await.unwrap();
    assert_eq!((ack.durable_rows, ack.durable_bytes), (100, 1600));
    act(&client, "sequence_finalize", json!({"name": "run-1", "key": key})).await.unwrap();

    assert_eq!(names(&client).await, ["run-1"]);
    assert_eq!(get(&client, "run-1/sensors/imu").await, (0..100).map(|i| (i, i)).collect::<Vec<_>>());
    let found = act(&client, "sequence_system_info", json!({"name": "run-1"})).await.unwrap();
    assert_eq!(found["is_locked"], true);
    assert!(found["created_datetime"].as_str().unwrap().ends_with(" UTC"));
    let found = act(&client, "topic_system_info", json!({"name": "run-1/sensors/imu"})).await.unwrap();
    assert_eq!((&found["is_locked"], &found["chunks_number"]), (&json!(true), &json!(1)));
    assert!(found["total_size_bytes"].as_u64().unwrap() > 0);
    assert!(files(folder.path()).iter().all(|name| name.starts_with("seq/")), "the log is empty");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn infos_tell_the_state_when_asked() {
    let folder = TempDir::new().unwrap();
    let server = TestServer::start(config(folder.path())).await;
    let client = server.client.clone();
    let key = create_sequence(&client, "run").await;
    let topic = create_topic(&client, "run/t", &key).await;
    put(&client, "run/t", &topic, &[rows(&[1, 2], 0)]).await.unwrap();
    create_topic(&client, "run/open", &key).await;
    let check_info = async |locator: &str, ended: bool| {
        let action = if locator.contains('/') { "topic_system_info" } else { "sequence_system_info" };
        let mut expected = act(&client, action, json!({"name": locator})).await.unwrap();
        expected["is_ended"] = json!(ended);
        let asked = info(&client, json!({"resource_locator": locator, "system_info": true})).await.unwrap();
        let found: Value = serde_json::from_slice(&asked.app_metadata).unwrap();
        assert_eq!(found, expected, "{locator}");
        let plain = info(&client, json!({"resource_locator": locator})).await.unwrap();
        assert_eq!(plain.app_metadata.len(), 0, "{locator}");
        assert_eq!(plain.endpoint, asked.endpoint, "{locator}");
    };
    check_info("run", false).await;
    check_info("run/t", true).await;
    check_info("run/open", false).await;
    act(&client, "sequence_end", json!({"name": "run", "key": key})).await.unwrap();
    check_info("run", true).await;
    check_info("run/open", true).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn infos_have_the_recorded_shape() {
    let (_folder, server) = started().await;
    let client = server.client.clone();
    let key = create_sequence(&client, "run").await;
    let b = create_topic(&client, "run/b", &key).await;
    create_topic(&client, "run/a", &key).await;
    let mut schema = rows(&[5, 9], 0).schema().as_ref().clone();
    let described = schema.field(1).clone().with_metadata([("description".into(), "m".into())].into());
    schema = Schema::new(vec![schema.field(0).clone(), described]);
    let batch = RecordBatch::try_new(Arc::new(schema), rows(&[5, 9], 0).columns().to_vec()).unwrap();
    put(&client, "run/b", &b, &[batch]).await.unwrap();

    let sequence = info(&client, json!({"resource_locator": "run"})).await.unwrap();
    assert_eq!((sequence.total_records, sequence.total_bytes, sequence.ordered), (-1, -1, false));
    let schema = sequence.clone().try_decode_schema().unwrap();
    assert!(schema.fields().is_empty());
    assert_eq!(schema.metadata()["mosaico:context"], "sequence");
    assert_eq!(schema.metadata()["mosaico:user_metadata"], r#"{"who":"test"}"#);
    let locations: Vec<_> = sequence.endpoint.iter().map(|e| e.location[0].uri.as_str()).collect();
    assert_eq!(locations, ["mosaico:/run/b", "mosaico:/run/a"]);
    let metadata: Vec<_> =
        sequence.endpoint.iter().map(|e| std::str::from_utf8(&e.app_metadata).unwrap()).collect();
    assert_eq!(metadata, [r#"{"timestamp":{"min":5,"max":9},"rows":2}"#, r#"{"timestamp":null,"rows":0}"#]);

    let topic = info(&client, json!({"resource_locator": "/run/b"})).await.unwrap();
    assert_eq!(topic.endpoint.len(), 1);
    let described = topic.clone().try_decode_schema().unwrap();
    assert_eq!(
        described.metadata()["mosaico:properties"],
        r#"{"ontology_tag":"test","serialization_format":"default"}"#
    );
    assert_eq!(described.field(1).metadata()["description"], "m");
    let ticket = topic.endpoint[0].ticket.clone().unwrap();
    assert_eq!(&ticket.ticket[..], b"\x05run/b\x00\x00");
    let (streamed, batches) = get_ticket(&client, ticket).await.unwrap();
    assert_eq!(streamed.as_ref(), &described, "DoGet and GetFlightInfo show the same schema");
    assert_eq!(pairs(&batches), [(5, 0), (9, 1)]);

    let empty = info(&client, json!({"resource_locator": "run/a"})).await.unwrap();
    let (schema, batches) = get_ticket(&client, empty.endpoint[0].ticket.clone().unwrap()).await.unwrap();
    assert!(schema.fields().is_empty() && batches.is_empty());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_names_the_server() {
    let (_folder, server) = started().await;
    let mut client = server.client.clone();
    let answer = client.list_flights(Criteria::default()).await.unwrap();
    let expected = concat!("mosaicolabs/", env!("CARGO_PKG_VERSION"));
    assert_eq!(answer.metadata().get("mosaico-server").unwrap(), expected);
    create_sequence(&client, "a").await;
    let action = Action { r#type: "sequence_system_info".into(), body: r#"{"name":"a"}"#.into() };
    assert_eq!(client.do_action(action).await.unwrap().metadata().get("mosaico-server").unwrap(), expected);
    let answer = client.do_put(stream::empty::<FlightData>()).await.unwrap();
    assert_eq!(answer.metadata().get("mosaico-acks").unwrap(), "1");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_are_half_open() {
    let (folder, server) = started().await;
    server.stop().await;
    // Small chunks and row groups, so that there is something to prune.
    let mut config = config(folder.path());
    (config.chunk_bytes, config.row_group_bytes, config.message_bytes) = (4_000, 1_000, 300);
    let server = TestServer::start(config).await;
    let client = server.client.clone();
    let key = create_sequence(&client, "run").await;
    let topic = create_topic(&client, "run/t", &key).await;
    let batches: Vec<_> =
        (0..20).map(|i| rows(&(i * 50..i * 50 + 50).collect::<Vec<_>>(), i as usize * 50)).collect();
    put(&client, "run/t", &topic, &batches).await.unwrap();
    for (start, end) in [
        (None, None),
        (Some(0), Some(1000)),
        (Some(10), Some(11)),
        (Some(333), Some(777)),
        (None, Some(1)),
        (Some(999), None),
        (Some(5), Some(5)),
        (Some(9), Some(3)),
        (Some(1000), None),
        (Some(-5), Some(3)),
        (Some(i64::MIN), Some(i64::MAX)),
    ] {
        let inside = |t: &i64| start.is_none_or(|s| *t >= s) && end.is_none_or(|e| *t < e);
        let expected: Vec<_> = (0..1000).filter(inside).map(|t| (t, t)).collect();
        let found = pairs(&get_window(&client, "run/t", start, end).await.unwrap());
        assert_eq!(found, expected, "{start:?}..{end:?}");
    }
    let found = act(&client, "topic_system_info", json!({"name": "run/t"})).await.unwrap();
    assert!(found["chunks_number"].as_u64().unwrap() >= 3, "{found}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_arrive_out_of_order_are_read_in_order() {
    let (folder, server) = started().await;
    server.stop().await;
    let mut config = config(folder.path());
    config.chunk_bytes = 1_000;
    let server = TestServer::start(config).await;
    let client = server.client.clone();
    let key = create_sequence(&client, "run").await;
    let topic = create_topic(&client, "run/t", &key).await;
    // Times are out of order within batches, between batches and between chunks, and repeat.
    let times: Vec<i64> = (0..2000i64).map(|i| (i * 7919 % 500) - 100).collect();
    let batches: Vec<_> =
        (0..).step_by(40).zip(times.chunks(40)).map(|(first, times)| rows(times, first)).collect();
    let mut put = Put::open(&client, "run/t", &topic, batches[0].schema()).await;
    for batch in batches {
        put.send(batch).await;
    }
    put.durable(2000).await;
    let mut expected: Vec<(i64, i64)> = times.into_iter().zip(0..).collect();
    expected.sort_unstable();
    assert_eq!(get(&client, "run/t").await, expected, "while recording");
    put.finish().await.unwrap();
    assert_eq!(get(&client, "run/t").await, expected);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_in_progress_is_readable() {
    let (_folder, server) = started().await;
    let client = server.client.clone();
    let key = create_sequence(&client, "run").await;
    let topic = create_topic(&client, "run/t", &key).await;
    let mut put = Put::open(&client, "run/t", &topic, rows(&[0], 0).schema()).await;
    assert_eq!(put.ack().await.unwrap().unwrap().durable_rows, 0, "a stream begins with what is durable");
    put.send(rows(&[1, 2, 3], 1)).await;
    put.durable(3).await;
    assert_eq!(get(&client, "run/t").await, [(1, 1), (2, 2), (3, 3)]);
    let found = info(&client, json!({"resource_locator": "run/t"})).await.unwrap();
    assert_eq!(&found.endpoint[0].app_metadata[..], br#"{"timestamp":{"min":1,"max":3},"rows":3}"#);
    put.finish().await.unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_no_answers_is_served() {
    let (_folder, server) = started().await;
    let client = server.client.clone();
    let key = create_sequence(&client, "run").await;
    let topic = create_topic(&client, "run/t", &key).await;
    let batches = (0..3000).map(|i| rows(&[i], i as usize));
    let messages =
        put_messages(Some(put_command("run/t", &topic)), rows(&[0], 0).schema(), stream::iter(batches));
    let mut answers = client.clone().do_put(messages).await.unwrap().into_inner();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(get(&client, "run/t").await.len(), 3000);
    while answers.message().await.unwrap().is_some() {}
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_uploads_keep_their_schema() {
    let (_folder, server) = started().await;
    let client = server.client.clone();
    let key = create_sequence(&client, "run").await;
    let topic = create_topic(&client, "run/none", &key).await;
    Put::open(&client, "run/none", &topic, rows(&[0], 0).schema()).await.finish().await.unwrap();
    let topic = create_topic(&client, "run/empty", &key).await;
    put(&client, "run/empty", &topic, &[rows(&[], 0)]).await.unwrap();
    act(&client, "sequence_finalize", json!({"name": "run", "key": key})).await.unwrap();
    for locator in ["run/none", "run/empty"] {
        let found = info(&client, json!({"resource_locator": locator})).await.unwrap();
        assert_eq!(found.clone().try_decode_schema().unwrap().fields(), rows(&[], 0).schema().fields());
        assert_eq!(&found.endpoint[0].app_metadata[..], br#"{"timestamp":null,"rows":0}"#);
        assert!(get(&client, locator).await.is_empty());
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dictionaries_are_stored_decoded() {
    let (_folder, server) = started().await;
    let client = server.client.clone();
    let key = create_sequence(&client, "run").await;
    let topic = create_topic(&client, "run/t", &key).await;
    let words: DictionaryArray<Int32Type> = vec!["a", "b", "a"].into_iter().collect();
    let columns: [(&str, ArrayRef); 2] =
        [("timestamp_ns", Arc::new(Int64Array::from(vec![1, 2, 3]))), ("word", Arc::new(words))];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    put(&client, "run/t", &topic, &[batch]).await.unwrap();
    let found = get_window(&client, "run/t", None, None).await.unwrap();
    let words = arrow::array::StringArray::from(vec!["a", "b", "a"]);
    assert_eq!(found[0].column(1).as_ref(), &words as &dyn arrow::array::Array);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_puts_are_refused() {
    let (folder, server) = started().await;
    let client = server.client.clone();
    let key = create_sequence(&client, "run").await;
    let topic = create_topic(&client, "run/t", &key).await;
    let before = files(folder.path());
    let schema = || rows(&[0], 0).schema();
    let nothing = || stream::empty::<RecordBatch>();
    let descriptor = |locator: &str, key: &str| Some(put_command(locator, key));
    let nullable = {
        let times: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
        let values = Arc::clone(rows(&[1, 2], 0).column(1));
        RecordBatch::try_from_iter_with_nullable([("timestamp_ns", times, true), ("value", values, true)])
            .unwrap()
    };
    let of = |name: &str, t: DataType| Arc::new(Schema::new(vec![Field::new(name, t, true)]));
    let cases = [
        (put_messages(None, schema(), nothing()), Code::InvalidArgument, "descriptor"),
        (
            put_messages(Some(FlightDescriptor::new_path(vec![])), schema(), nothing()),
            Code::InvalidArgument,
            "command",
        ),
        (
            put_messages(Some(FlightDescriptor::new_cmd("{")), schema(), nothing()),
            Code::InvalidArgument,
            "malformed",
        ),
        (put_messages(descriptor("run/no", &topic), schema(), nothing()), Code::NotFound, "run/no"),
        (put_messages(descriptor("no/t", &topic), schema(), nothing()), Code::NotFound, "`no`"),
        (put_messages(descriptor("run/a b", &topic), schema(), nothing()), Code::InvalidArgument, "a b"),
        (put_messages(descriptor("run/t", "x"), schema(), nothing()), Code::InvalidArgument, "UUID"),
        (put_messages(descriptor("run/t", &key), schema(), nothing()), Code::PermissionDenied, "run/t"),
        (
            put_messages(descriptor("run/t", &topic), of("x", DataType::Int64), nothing()),
            Code::InvalidArgument,
            "timestamp_ns",
        ),
        (
            put_messages(descriptor("run/t", &topic), of("timestamp_ns", DataType::Float64), nothing()),
            Code::InvalidArgument,
            "Float64",
        ),
    ];
    for (messages, code, text) in cases {
        let mut answers = client.clone().do_put(messages).await.unwrap().into_inner();
        let message = refused(answers.message().await, code);
        assert!(message.contains(text), "{message}");
        assert!(!message.contains(&*folder.path().to_string_lossy()), "{message}");
    }
    assert_eq!(files(folder.path()), before, "nothing was changed");

    // Checks that need rows: earlier rows stay, the topic stays open.
    let mut put = Put::open(&client, "run/t", &topic, nullable.schema()).await;
    put.send(nullable.slice(0, 1)).await;
    put.send(nullable.clone()).await;
    let status = put.failed().await;
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("row 1"), "{status}");
    assert_eq!(get(&client, "run/t").await, [(1, 0)]);
    let other = Put::open(&client, "run/t", &topic, rows(&[0], 0).schema()).await.failed().await;
    assert_eq!(other.code(), Code::InvalidArgument);
    assert!(other.message().contains("fixed by its first upload"), "{other}");

    // Invalid messages after the first.
    let again = put_messages(descriptor("run/t", &topic), nullable.schema(), nothing());
    let twice = again.chain(put_messages(None, nullable.schema(), nothing()));
    let mut answers = client.clone().do_put(twice).await.unwrap().into_inner();
    let status = loop {
        if let Err(status) = answers.message().await {
            break status;
        }
    };
    assert_eq!(status.code(), Code::Aborted);
    let again = put_messages(descriptor("run/t", &topic), nullable.schema(), nothing());
    let garbage = FlightData { data_header: vec![1, 2, 3].into(), ..Default::default() };
    let mut answers = client.clone().do_put(again.chain(stream::iter([garbage]))).await.unwrap().into_inner();
    let status = loop {
        if let Err(status) = answers.message().await {
            break status;
        }
    };
    assert_eq!(status.code(), Code::InvalidArgument);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_are_refused() {
    let (_folder, server) = started().await;
    let client = server.client.clone();
    for name in ["", "/", "//a", "a b", "a/b", "!!", "ä", "a.b", "_a"] {
        let body = json!({"name": name, "user_metadata": null});
        refused(act(&client, "sequence_create", body).await, Code::InvalidArgument);
    }
    refused(act(&client, "no_such_action", json!({})).await, Code::Unimplemented);
    refused(act(&client, "sequence_create", json!({"name": "a"})).await, Code::InvalidArgument);
    refused(act(&client, "sequence_system_info", json!({"name": "a"})).await, Code::NotFound);
    refused(act(&client, "topic_system_info", json!({"name": "a"})).await, Code::InvalidArgument);
    refused(info(&client, json!({"resource_locator": "a"})).await, Code::NotFound);
    refused(info(&client, json!({"resource_locator": "a/b"})).await, Code::NotFound);
    refused(
        info(&client, json!({"resource_locator": "a/b", "timestamp_ns_start": 1.5})).await,
        Code::InvalidArgument,
    );
    let path = client.clone().get_flight_info(FlightDescriptor::new_path(vec!["a".into()])).await;
    refused(path, Code::InvalidArgument);
    refused(get_ticket(&client, arrow_flight::Ticket::new("run-1")).await, Code::InvalidArgument);
    let unused = client.clone().list_actions(arrow_flight::Empty {}).await;
    refused(unused, Code::Unimplemented);
    // 0.2 clients request notifications of deleted resources.
    assert_eq!(
        act(&client, "sequence_notify_list", json!({"name": "a"})).await.unwrap(),
        json!({"notifies": []})
    );
    server.stop().await;
}

#[tokio::test]
async fn it_serves_pipes() {
    let folder = TempDir::new().unwrap();
    let server = mosaico_server::Server::open(config(folder.path())).await.unwrap();
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let mut theirs = Some(hyper_util::rt::TokioIo::new(theirs));
    let connector = tower::service_fn(move |_| {
        std::future::ready(theirs.take().ok_or(std::io::Error::other("one pipe")))
    });
    let channel = async {
        let endpoint = tonic::transport::Endpoint::from_static("http://embedded");
        let client = arrow_flight::flight_service_client::FlightServiceClient::new(
            endpoint.connect_with_connector(connector).await.unwrap(),
        );
        create_sequence(&client, "run").await;
        names(&client).await
    };
    let incoming = stream::iter([Ok(ours)]).chain(stream::pending());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let (served, names) = tokio::join!(server.serve(incoming, async { drop(stopped.await) }), async {
        let names = channel.await;
        stop.send(()).unwrap();
        names
    });
    served.unwrap();
    assert_eq!(names, ["run"]);
    server.shutdown().await;
}
