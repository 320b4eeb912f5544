//! What peers may take: each test is a peer that takes more, beside one that is served all the same.

mod callers;
mod compressed;
mod raw;

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, DictionaryArray, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::Int32Type;
use arrow_flight::{FlightData, Ticket};
use mosaico_server::{Config, Limits};
use mosaico_wire::ipc::{ZERO_RUNS, schema_message};
use prost::Message;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

use self::raw::{DATA, Raw, SETTINGS};
use crate::common::*;
use crate::vectors::machine_code;

async fn started(change: impl FnOnce(&mut Config)) -> (TempDir, TestServer, Client) {
    let folder = TempDir::new().unwrap();
    let mut config = config(folder.path());
    change(&mut config);
    let server = TestServer::start(config).await;
    let client = server.client.clone();
    (folder, server, client)
}

fn limits(config: &mut Config) -> &mut Limits {
    &mut config.limits
}

const SOON: Duration = Duration::from_millis(300);

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_messages_end_and_their_memory_is_free_for_others() {
    let (_folder, server, client) = started(|config| {
        config.ingest_bytes = 1 << 20;
        limits(config).message_timeout = SOON;
    })
    .await;
    let mut raw = Raw::connect(&server.address, &[]).await;
    for stream in [1, 3, 5] {
        raw.call(stream, "DoPut").await;
        raw.announce(stream, 1 << 20, &[0; 1000]).await;
    }
    // It needs permits of the budget, which the messages above have.
    let key = create_sequence(&client, "run").await;
    let topic = create_topic(&client, "run/t", &key).await;
    put(&client, "run/t", &topic, &[blobs(&[1], 100_000)]).await.unwrap();
    for _ in 0..3 {
        assert!(raw.until(raw::Frame::ends_stream).await.is_some());
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_say_nothing_end() {
    let (_folder, server, client) = started(|config| limits(config).message_timeout = SOON).await;
    // A put may pause between two messages, for longer than the others below.
    let key = create_sequence(&client, "run").await;
    let topic = create_topic(&client, "run/t", &key).await;
    let mut open = Put::open(&client, "run/t", &topic, blobs(&[], 0).schema()).await;
    open.send(blobs(&[1], 10)).await;
    open.durable(1).await;
    let mut raw = Raw::connect(&server.address, &[]).await;
    for (stream, method) in [(1, "DoPut"), (3, "DoGet"), (5, "DoAction"), (7, "ListFlights")] {
        raw.call(stream, method).await;
    }
    // The message is complete, the call is not.
    raw.call(9, "ListFlights").await;
    raw.message(9, &[], false).await;
    for _ in 0..5 {
        assert!(raw.until(raw::Frame::ends_stream).await.is_some());
    }
    open.send(blobs(&[2], 10)).await;
    open.durable(2).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn announced_sizes_are_refused_before_the_bytes_come() {
    let (_folder, server, _) = started(|_| ()).await;
    let mut raw = Raw::connect(&server.address, &[]).await;
    // 700 MB where a body of 4 MiB is allowed, and the largest number for rows.
    for (stream, method, len) in [(1, "DoAction", 700_000_000), (3, "DoPut", u32::MAX)] {
        raw.call(stream, method).await;
        raw.announce(stream, len, &[0; 3]).await;
        let ended = raw.until(|frame| frame.stream == stream && frame.ends_stream()).await;
        assert!(ended.is_some(), "{method}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_a_connection_and_of_an_address_are_limited() {
    let (_folder, server, client) = started(|config| {
        limits(config).connection_calls = 10;
        limits(config).address_calls = 15;
    })
    .await;
    let mut raw = Raw::connect(&server.address, &[]).await;
    let settings = raw.until(|frame| frame.kind == SETTINGS && !frame.payload.is_empty()).await.unwrap();
    assert!(settings.payload.windows(6).any(|entry| entry == [0, 3, 0, 0, 0, 10]), "{settings:?}");
    for call in 0..11 {
        raw.call(2 * call + 1, "DoPut").await;
    }
    let refused = raw.until(raw::Frame::ends_stream).await.unwrap();
    assert_eq!((refused.stream, refused.payload), (21, vec![0, 0, 0, 7]), "REFUSED_STREAM");

    let mut other = Raw::connect(&server.address, &[]).await;
    for call in 0..6 {
        other.call(2 * call + 1, "DoPut").await;
    }
    // The calls of both connections begin in any order, so any of the 16 is the one that is refused.
    let refused = tokio::select! {
        refused = other.until(raw::Frame::ends_stream) => refused,
        refused = raw.until(raw::Frame::ends_stream) => refused,
    };
    assert!(refused.is_some());
    let status = create_sequence_status(&client).await.unwrap_err();
    assert_eq!((status.code(), machine_code(&status).as_str()), (Code::ResourceExhausted, "too_many"));
    assert!(status.message().contains("15 calls in progress, the limit"), "{status}");
    assert_eq!(status.metadata().get("grpc-retry-pushback-ms").unwrap(), "1000");
    assert_eq!(status.metadata().get("mosaico-limit").unwrap(), "max-address-calls");
    assert_eq!(status.metadata().get("x-request-id").unwrap().len(), 26);
    drop(other);
    eventually("the calls are free again", async || create_sequence_status(&client).await.is_ok()).await;
    server.stop().await;
}

async fn create_sequence_status(client: &Client) -> Result<(), tonic::Status> {
    let name = ulid::Ulid::new().to_string();
    let body = serde_json::json!({"name": name, "user_metadata": {}});
    act(client, "sequence_create", body).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_begins_so_many_calls_per_second() {
    let (_folder, server, client) = started(|config| limits(config).address_call_rate = 4).await;
    let begun = Instant::now();
    let refused = loop {
        match create_sequence_status(&client).await {
            Ok(()) => assert!(begun.elapsed() < Duration::from_secs(10), "nothing was refused"),
            Err(status) => break status,
        }
    };
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(refused.message().contains("more than 4 calls per second; try again in 0."), "{refused}");
    eventually("a call after a pause", async || create_sequence_status(&client).await.is_ok()).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_end_and_the_oldest_idle_one_makes_room() {
    let (_folder, server, _) = started(|config| limits(config).connect_timeout = SOON).await;
    let mut silent = Raw::silent(&server.address).await;
    let mut slow = Raw::silent(&server.address).await;
    slow.write(b"PRI * HTTP/2.0").await;
    assert!(silent.is_closed().await && slow.is_closed().await);
    server.stop().await;

    let (_folder, server, client) = started(|config| limits(config).connections = 4).await;
    let mut first = Raw::silent(&server.address).await;
    let others = [Raw::silent(&server.address).await, Raw::silent(&server.address).await];
    // The client has been quiet for longer, and a call in progress keeps it.
    let key = create_sequence(&client, "run").await;
    let topic = create_topic(&client, "run/t", &key).await;
    let mut open = Put::open(&client, "run/t", &topic, blobs(&[], 0).schema()).await;
    open.send(blobs(&[1], 10)).await;
    open.durable(1).await;
    let _newest = Raw::connect(&server.address, &[]).await;
    assert!(first.is_closed().await);
    open.send(blobs(&[2], 10)).await;
    open.durable(2).await;
    drop(others);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_do_not_even_collect_the_end_lose_their_connection() {
    let (_folder, server, client) =
        started(|config| limits(config).read_timeout = Duration::from_millis(500)).await;
    let key = create_sequence(&client, "run").await;
    let topic = create_topic(&client, "run/t", &key).await;
    let batches: Vec<_> = (0..8).map(|time| blobs(&[time], 1_000_000)).collect();
    put(&client, "run/t", &topic, &batches).await.unwrap();
    let ticket = ticket(&client, "run/t").await;
    const WINDOW: u16 = 4;
    let mut raw = Raw::connect(&server.address, &[(WINDOW, 0)]).await;
    raw.call(1, "DoGet").await;
    raw.message(1, &ticket.encode_to_vec(), true).await;
    assert!(raw.is_closed().await);
    server.stop().await;
}

async fn ticket(client: &Client, locator: &str) -> Ticket {
    let command = serde_json::json!({"resource_locator": locator});
    let descriptor = arrow_flight::FlightDescriptor::new_cmd(command.to_string());
    let info = client.clone().get_flight_info(descriptor).await.unwrap().into_inner();
    info.endpoint[0].ticket.clone().unwrap()
}

/// A put that sends a schema and `messages`; returns the refusal.
async fn refused_put(client: &Client, key: &str, batch: &RecordBatch, message: FlightData) -> tonic::Status {
    let schema = FlightData {
        flight_descriptor: Some(put_command("run/t", key)),
        data_header: schema_message(&batch.schema()).into(),
        ..Default::default()
    };
    let (sender, stream) = mpsc::channel(2);
    sender.send(schema).await.unwrap();
    sender.send(message).await.unwrap();
    let mut answers = client.clone().do_put(ReceiverStream::new(stream)).await.unwrap().into_inner();
    loop {
        if let Err(status) = answers.message().await {
            return status;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn small_messages_that_stand_for_much_are_refused() {
    let (_folder, server, client) = started(|config| config.max_message_bytes = 8 << 20).await;
    let key = create_sequence(&client, "run").await;
    let topic = create_topic(&client, "run/t", &key).await;
    let small = blobs(&[1], 1000);
    let mut bomb = mosaico_wire::ipc::batch_message(&small, false).unwrap();
    // A body of 900 MB without a single byte that is not zero.
    bomb.body = (900_u64 << 20).to_le_bytes().into_iter().chain([0; 4]).collect();
    let message = FlightData {
        app_metadata: ZERO_RUNS.into(),
        data_header: bomb.header.into(),
        data_body: bomb.body.into(),
        ..Default::default()
    };
    let status = refused_put(&client, &topic, &small, message).await;
    assert_eq!((status.code(), machine_code(&status).as_str()), (Code::ResourceExhausted, "too_large"));
    assert!(status.message().contains("stands for 943718400 bytes"), "{status}");

    // A hundred thousand keys of one value of 100 kB.
    let key = create_topic(&client, "run/u", &key).await;
    let value = "x".repeat(100_000);
    let keys = Int32Array::from(vec![0; 100_000]);
    let column =
        DictionaryArray::<Int32Type>::try_new(keys, Arc::new(StringArray::from(vec![value.as_str()])));
    let times: ArrayRef = Arc::new(Int64Array::from_iter_values(0..100_000));
    let bomb =
        RecordBatch::try_from_iter([("timestamp_ns", times), ("v", Arc::new(column.unwrap()) as ArrayRef)]);
    let status = put(&client, "run/u", &key, &[bomb.unwrap()]).await.unwrap_err();
    assert_eq!((status.code(), machine_code(&status).as_str()), (Code::ResourceExhausted, "too_large"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_topics_share_few_open_files() {
    let (folder, server, client) = started(|config| limits(config).open_segments = 3).await;
    let key = create_sequence(&client, "run").await;
    let mut puts = Vec::new();
    for topic in 0..30 {
        let locator = format!("run/t{topic}");
        let key = create_topic(&client, &locator, &key).await;
        puts.push(Put::open(&client, &locator, &key, rows(&[], 0).schema()).await);
    }
    for round in 0..4_u64 {
        for put in &mut puts {
            put.send(rows(&[round as i64], 0)).await;
            put.durable(round + 1).await;
        }
        let root = folder.path().to_owned();
        let open = std::fs::read_dir("/proc/self/fd").unwrap().filter(|entry| {
            let target = std::fs::read_link(entry.as_ref().unwrap().path()).unwrap_or_default();
            target.starts_with(&root) && target.extension().is_some_and(|extension| extension == "wal")
        });
        assert!(open.count() <= 3);
    }
    for put in puts {
        put.finish().await.unwrap();
    }
    assert_eq!(get_window(&client, "run/t7", None, None).await.unwrap()[0].num_rows(), 4);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_do_not_read_leave_memory_for_others() {
    let (_folder, server, client) = started(|config| config.read_bytes = 4 << 20).await;
    let key = create_sequence(&client, "run").await;
    let topic = create_topic(&client, "run/t", &key).await;
    let batches: Vec<_> = (0..40).map(|time| blobs(&[2 * time, 2 * time + 1], 40_000)).collect();
    put(&client, "run/t", &topic, &batches).await.unwrap();
    let ticket = ticket(&client, "run/t").await;
    let mut raw = Raw::connect(&server.address, &[]).await;
    for stream in 0..30 {
        raw.call(2 * stream + 1, "DoGet").await;
        raw.message(2 * stream + 1, &ticket.encode_to_vec(), true).await;
    }
    assert!(raw.until(|frame| frame.kind == DATA).await.is_some());
    let found = get_window(&client, "run/t", None, None).await.unwrap();
    assert_eq!(found.iter().map(RecordBatch::num_rows).sum::<usize>(), 80);
    server.stop().await;
}
