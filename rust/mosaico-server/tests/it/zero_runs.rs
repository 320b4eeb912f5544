//! Zero-run elision: the server accepts it on the wire and in the WAL, sends it to clients that request it,
//! and refuses malformed bodies.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use arrow_flight::{FlightData, Ticket};
use futures::TryStreamExt;
use mosaico_wire::ZERO_RUNS_HEADER;
use mosaico_wire::ipc::{ZERO_RUNS, batch_message, schema_message};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request};

use crate::common::*;

const ROWS: i64 = 4000;

/// Times from `start`, and a value that is 0 except in the last row.
fn mostly_zeros(start: i64) -> RecordBatch {
    let times: ArrayRef = Arc::new(Int64Array::from_iter_values(start..start + ROWS));
    let values = (0..ROWS).map(|row| if row == ROWS - 1 { start as f64 } else { 0.0 });
    let values: ArrayRef = Arc::new(Float64Array::from_iter_values(values));
    RecordBatch::try_from_iter([("timestamp_ns", times), ("value", values)]).unwrap()
}

fn elided(batch: &RecordBatch) -> FlightData {
    let message = batch_message(batch, true).unwrap();
    assert!(message.zero_runs && message.body.len() < batch.get_array_memory_size() * 2 / 3);
    FlightData {
        app_metadata: ZERO_RUNS.into(),
        data_header: message.header.into(),
        data_body: message.body.into(),
        ..Default::default()
    }
}

async fn started(folder: &TempDir) -> (TestServer, String) {
    let server = TestServer::start(config(folder.path())).await;
    let key = create_sequence(&server.client, "run").await;
    let topic = create_topic(&server.client, "run/t", &key).await;
    (server, topic)
}

/// Puts `messages` after a schema; the stream stays open. Returns when `rows` are durable, or with the error.
async fn put_open(
    client: &Client,
    key: &str,
    messages: Vec<FlightData>,
    rows: u64,
) -> Result<mpsc::Sender<FlightData>, tonic::Status> {
    let (sender, stream) = mpsc::channel(8);
    let schema = FlightData {
        flight_descriptor: Some(put_command("run/t", key)),
        data_header: schema_message(&mostly_zeros(0).schema()).into(),
        ..Default::default()
    };
    for message in [schema].into_iter().chain(messages) {
        sender.send(message).await.unwrap();
    }
    let mut answers = client.clone().do_put(ReceiverStream::new(stream)).await?.into_inner();
    while let Some(answer) = answers.message().await? {
        let ack: serde_json::Value = serde_json::from_slice(&answer.app_metadata).unwrap();
        if ack["durable_rows"] == rows {
            return Ok(sender);
        }
    }
    panic!("the put ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn zeros_are_left_out_on_the_wire_and_in_the_log() {
    let folder = TempDir::new().unwrap();
    let (server, key) = started(&folder).await;
    let sent = [mostly_zeros(0), mostly_zeros(ROWS)];
    let open =
        put_open(&server.client, &key, sent.iter().map(elided).collect(), 2 * ROWS as u64).await.unwrap();
    let log: u64 = files(folder.path())
        .iter()
        .filter(|file| file.starts_with("wal/"))
        .map(|file| folder.path().join(file).metadata().unwrap().len())
        .sum();
    let times = 2 * ROWS as u64 * 8;
    assert!((times..times * 3 / 2).contains(&log), "{log}");
    assert_eq!(get(&server.client, "run/t").await, pairs(&sent), "from the log");
    server.stop().await;
    drop(open);
    let server = TestServer::start(config(folder.path())).await;
    assert_eq!(get(&server.client, "run/t").await, pairs(&sent), "after a restart");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn elided_bodies_go_to_those_who_ask() {
    let folder = TempDir::new().unwrap();
    let (server, key) = started(&folder).await;
    put(&server.client, "run/t", &key, &[mostly_zeros(0)]).await.unwrap();
    let info = info(&server.client, json!({"resource_locator": "run/t"})).await.unwrap();
    let ticket = info.endpoint[0].ticket.clone().unwrap();
    let bodies = async |asks: bool| {
        let mut request = Request::new(Ticket::clone(&ticket));
        if asks {
            request.metadata_mut().insert(ZERO_RUNS_HEADER, "1".parse().unwrap());
        }
        let answers = server.client.clone().do_get(request).await.unwrap().into_inner();
        let answers: Vec<FlightData> = answers.try_collect().await.unwrap();
        assert!(answers[1..].iter().all(|answer| (answer.app_metadata == ZERO_RUNS) == asks));
        answers.iter().map(|answer| answer.data_body.len()).sum::<usize>()
    };
    assert!(bodies(true).await < bodies(false).await * 2 / 3);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_ones_are_refused_and_the_rows_before_are_kept() {
    let folder = TempDir::new().unwrap();
    let (server, key) = started(&folder).await;
    let good = elided(&mostly_zeros(0));
    let mut huge = 0_u64.wrapping_sub(1).to_le_bytes().to_vec();
    huge.extend_from_slice(&good.data_body[8..]);
    let bad = [
        (good.data_body.slice(..good.data_body.len() - 1), Code::InvalidArgument),
        (good.data_body.slice(..7), Code::InvalidArgument),
        (huge.into(), Code::ResourceExhausted),
        (Vec::new().into(), Code::InvalidArgument),
    ];
    for (body, code) in bad {
        let body = FlightData { data_body: body, ..good.clone() };
        let refusal = put_open(&server.client, &key, vec![body], 1).await;
        refused(refusal, code);
    }
    let kept = put_open(&server.client, &key, vec![good], ROWS as u64).await.unwrap();
    drop(kept);
    assert_eq!(get(&server.client, "run/t").await, pairs(&[mostly_zeros(0)]));
    server.stop().await;
}
