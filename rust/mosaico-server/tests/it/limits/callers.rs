//! Limits of API keys and of queries.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_flight::PutResult;
use mosaico_server::faults::{Effect, Fault, Faults, When};
use mosaico_server::{Config, Limits};
use mosaico_types::access::{KeyLimits, Token};
use mosaico_wire::API_KEY_HEADER;
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::{Code, Status, Streaming};

use super::raw::Raw;
use crate::common::*;
use crate::keyed::*;
use crate::vectors::machine_code;

fn detail<'a>(status: &'a Status, header: &str) -> &'a str {
    status.metadata().get(header).unwrap_or_else(|| panic!("{header}: {status}")).to_str().unwrap()
}

fn check_refusal(status: &Status, setting: &str, token: &Token, text: &str) {
    assert_eq!((status.code(), machine_code(status).as_str()), (Code::ResourceExhausted, "too_many"));
    let who = format!("key {}", token.fingerprint());
    assert!(status.message().contains(&who) && status.message().contains(text), "{status}");
    assert_eq!(detail(status, "mosaico-limit"), setting);
    assert!(detail(status, "grpc-retry-pushback-ms").parse::<u64>().unwrap() > 0);
    assert_eq!(detail(status, "x-request-id").len(), 26);
}

/// Waits for events that never happen, once the limit allows it.
async fn waiting(session: Session) -> Result<Value, Status> {
    loop {
        let request = json!({"wait_ms": 60_000, "after": "7ZZZZZZZZZZZZZZZZZZZZZZZZZ"});
        match session.act("event_list", request).await {
            Err(status) if status.code() == Code::ResourceExhausted => {}
            ended => return ended,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_a_key_are_limited_and_those_of_others_are_not() {
    let folder = TempDir::new().unwrap();
    let own = key_with(folder.path(), &["*:read"], KeyLimits { calls: Some(2), ..Default::default() }).await;
    let usual = key(folder.path(), &["*:read"]).await;
    let limits = Limits { key_calls: 3, ..Limits::default() };
    let server = TestServer::start(Config { limits, ..closed(folder.path()) }).await;
    for (token, calls) in [(&own, 2), (&usual, 3)] {
        let session = Session::new(&server, token);
        session.until_refused(false).await;
        let open: Vec<_> = (0..calls).map(|_| tokio::spawn(waiting(session.clone()))).collect();
        let mut refused = None;
        eventually("a refusal", async || {
            refused = session.names().await.err();
            refused.is_some()
        })
        .await;
        let text = format!("has {calls} calls in progress");
        check_refusal(&refused.unwrap(), "max-key-calls", token, &text);
        open.into_iter().for_each(|call| call.abort());
        eventually("the calls are free again", async || session.names().await.is_ok()).await;
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_begins_so_many_calls_per_second() {
    let folder = TempDir::new().unwrap();
    let slow = KeyLimits { call_rate: Some(2), ..Default::default() };
    let (own, usual) =
        (key_with(folder.path(), &["*:read"], slow).await, key(folder.path(), &["*:read"]).await);
    let server = TestServer::start(closed(folder.path())).await;
    let [own_session, other] = [&own, &usual].map(|token| Session::new(&server, token));
    let mut refused = None;
    for _ in 0..200 {
        refused = refused.or(own_session.names().await.err());
        other.names().await.unwrap();
    }
    check_refusal(
        &refused.unwrap(),
        "max-key-call-rate",
        &own,
        "more than 2 calls per second; try again in 0.",
    );
    eventually("a call after a pause", async || own_session.names().await.is_ok()).await;
    server.stop().await;
}

async fn open_put(session: &Session, sequence: &str) -> Result<Streaming<PutResult>, Status> {
    let created = session.act("sequence_create", json!({"name": sequence, "user_metadata": {}})).await?;
    let locator = format!("{sequence}/t");
    let topic = json!({
        "name": locator, "sequence_key": created["key"], "serialization_format": "default",
        "ontology_tag": "test", "user_metadata": {},
    });
    let topic = session.act("topic_create", topic).await?;
    let batch = blobs(&[1], 50_000);
    let command = put_command(&locator, topic["key"].as_str().unwrap());
    let messages = put_messages(Some(command), batch.schema(), futures::stream::iter([batch]));
    Ok(session.client.clone().do_put(session.request(messages)).await?.into_inner())
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_of_a_key_are_limited_and_those_of_others_are_not() {
    let folder = TempDir::new().unwrap();
    let few = KeyLimits { bytes: Some(40_000), ..Default::default() };
    let rights = ["*:read,write"];
    let (own, usual) = (key_with(folder.path(), &rights, few).await, key(folder.path(), &rights).await);
    let server = TestServer::start(closed(folder.path())).await;
    let [own_session, other] = [&own, &usual].map(|token| Session::new(&server, token));
    own_session.until_refused(false).await;
    // An unfinished message takes all bytes of the key.
    let mut raw = Raw::connect(&server.address, &[]).await;
    raw.call_with(1, "DoPut", &[(API_KEY_HEADER, &own.text())]).await;
    raw.announce(1, 1 << 20, &[0; 1000]).await;
    assert!(ending(open_put(&other, "b").await.unwrap()).await.is_none(), "another key has its own bytes");
    let mut waits = open_put(&own_session, "a").await.unwrap();
    assert!(waits.message().await.unwrap().is_some(), "no row is durable yet");
    let early = tokio::time::timeout(Duration::from_millis(300), waits.message()).await;
    assert!(early.is_err(), "the upload waits: {early:?}");
    drop(raw);
    assert!(ending(waits).await.is_none(), "the upload continues once bytes are free");
    server.stop().await;
}

fn texts(count: i64) -> RecordBatch {
    let time: ArrayRef = Arc::new(Int64Array::from_iter_values(0..count));
    let text: ArrayRef = Arc::new(StringArray::from_iter_values((0..count).map(|t| format!("text {t}"))));
    RecordBatch::try_from_iter([("timestamp_ns", time), ("text", text)]).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_takes_so_much_time_and_reads_so_many_rows() {
    let folder = TempDir::new().unwrap();
    let server = TestServer::start(config(folder.path())).await;
    let key = create_sequence(&server.client, "run").await;
    let topic = create_topic(&server.client, "run/t", &key).await;
    put(&server.client, "run/t", &topic, &[texts(5000)]).await.unwrap();
    let matches = |text: &str| json!({"ontology": {"test.text": {"$match": text}}, "explain": true});
    let answer = act(&server.client, "query", matches("%none%")).await.unwrap();
    assert_eq!(answer["explain"]["rows_scanned"], 5000);
    server.stop().await;

    let limits = Limits { query_rows: 4999, ..Limits::default() };
    let server = TestServer::start(Config { limits, ..config(folder.path()) }).await;
    let status = act(&server.client, "query", matches("%none%")).await.unwrap_err();
    assert_eq!(
        (status.code(), detail(&status, "mosaico-limit")),
        (Code::ResourceExhausted, "max-query-rows")
    );
    assert!(status.message().contains("4999 rows"), "{status}");
    server.stop().await;

    // A store that does not answer makes the query as long as its limit.
    let faults = Faults::default();
    let fault = Fault { operation: None, path: ".parquet".into(), when: When::Always, effect: Effect::Stall };
    faults.add(fault);
    let limits = Limits { query_time: Duration::from_millis(500), ..Limits::default() };
    let server = TestServer::start(Config { limits, faults: faults.clone(), ..config(folder.path()) }).await;
    let status = act(&server.client, "query", matches("%none%")).await.unwrap_err();
    faults.lift();
    assert_eq!(
        (status.code(), detail(&status, "mosaico-limit")),
        (Code::ResourceExhausted, "max-query-time")
    );
    assert!(status.message().contains("0.5 s"), "{status}");
    server.stop().await;
}
