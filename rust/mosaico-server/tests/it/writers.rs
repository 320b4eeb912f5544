//! Writers that vanish, and writers that are only idle.

use std::sync::Arc;
use std::time::Duration;

use crate::common::*;
use mosaico_server::ManualClock;
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::Code;

const TIMEOUT: Duration = Duration::from_secs(600);

/// A server whose clock stands still, until a test moves it.
async fn started() -> (TempDir, TestServer, Arc<ManualClock>) {
    let folder = TempDir::new().unwrap();
    let (server, clock) = restarted(&folder).await;
    (folder, server, clock)
}

async fn restarted(folder: &TempDir) -> (TestServer, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::default());
    let mut config = config(folder.path());
    config.writer_timeout = Some(TIMEOUT);
    config.retry_pause = Duration::from_millis(50);
    config.clock = Arc::<ManualClock>::clone(&clock);
    (TestServer::start(config).await, clock)
}

/// Lets the timeout pass twice, each time until a writer has expired that was the last one to open a sequence.
async fn expire(client: &Client, clock: &ManualClock) {
    for witness in ["first-witness", "second-witness"] {
        create(client, witness, "delete").await;
        eventually("the writer has expired", async || {
            // Again and again: a pass that has begun before the sequence does not know its writer.
            clock.advance(TIMEOUT);
            !names(client).await.contains(&witness.to_owned())
        })
        .await;
    }
}

async fn create(client: &Client, name: &str, on_error: &str) -> String {
    let body = json!({"name": name, "user_metadata": {}, "on_error": on_error});
    act(client, "sequence_create", body).await.unwrap()["key"].as_str().unwrap().to_owned()
}

async fn first_event(client: &Client, kind: &str) -> Value {
    let page = act(client, "event_list", json!({"kinds": [kind], "wait_ms": 10_000})).await.unwrap();
    let events = page["events"].as_array().unwrap();
    events.first().unwrap_or_else(|| panic!("no event `{kind}`")).clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vanished_writer_that_wanted_deletion_leaves_nothing() {
    let (folder, server, clock) = started().await;
    let client = server.client.clone();
    let key = create(&client, "run", "delete").await;
    let topic = create_topic(&client, "run/t", &key).await;
    put(&client, "run/t", &topic, &[rows(&[1], 1)]).await.unwrap();
    clock.advance(TIMEOUT);
    let event = first_event(&client, "sequence_deleted").await;
    assert!(event["detail"]["message"].as_str().unwrap().contains("for 600 s"), "{event}");
    eventually("all files are removed", async || files(folder.path()).is_empty()).await;
    assert!(names(&client).await.is_empty());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vanished_writer_that_wanted_a_report_leaves_its_rows() {
    let (folder, server, clock) = started().await;
    let client = server.client.clone();
    // Created as 0.2 clients do: without a policy.
    let key = create_sequence(&client, "run").await;
    let topic = create_topic(&client, "run/t", &key).await;
    create_topic(&client, "run/never-written", &key).await;
    let same = topic.clone();
    vanishing(&server.address, async move |client| {
        let mut put = Put::open(&client, "run/t", &same, rows(&[0], 0).schema()).await;
        put.send(rows(&[2, 1], 0)).await;
        put.durable(2).await;
        std::mem::forget(put);
    })
    .await;
    eventually("the sequence ended", async || {
        // Again and again: the put is open until the daemon notices the end of the connection.
        clock.advance(TIMEOUT);
        let ended = act(&client, "event_list", json!({"kinds": ["sequence_ended"]})).await.unwrap();
        ended["events"] != json!([])
    })
    .await;
    assert_eq!(get(&client, "run/t").await, [(1, 1), (2, 0)]);
    let found = act(&client, "topic_system_info", json!({"name": "run/t"})).await.unwrap();
    assert_eq!((&found["is_locked"], &found["chunks_number"]), (&json!(true), &json!(1)));
    let found = act(&client, "sequence_system_info", json!({"name": "run"})).await.unwrap();
    assert_eq!(found["is_locked"], false);
    let found = act(&client, "sequence_notify_list", json!({"name": "run"})).await.unwrap();
    let found = found["notifies"].as_array().unwrap().clone();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0]["msg"].as_str().unwrap().contains("no heartbeat"), "{found:?}");
    // It has no writer any more.
    let again = json!({"name": "run/u", "sequence_key": key, "serialization_format": "default",
                       "ontology_tag": "t", "user_metadata": {}});
    let text = refused(act(&client, "topic_create", again).await, Code::FailedPrecondition);
    assert!(text.contains("ended"), "{text}");
    refused(
        act(&client, "sequence_finalize", json!({"name": "run", "key": key})).await,
        Code::FailedPrecondition,
    );
    // The event is reported once, also across restarts, and the sequence can be removed.
    server.stop().await;
    let (server, clock) = restarted(&folder).await;
    expire(&server.client, &clock).await;
    let found = act(&server.client, "sequence_notify_list", json!({"name": "run"})).await.unwrap();
    assert_eq!(found["notifies"].as_array().unwrap().len(), 1);
    act(&server.client, "sequence_delete", json!({"name": "run"})).await.unwrap();
    assert_eq!(files(folder.path()), Vec::<String>::new());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_writer_is_not_cut() {
    let (_folder, server, clock) = started().await;
    let client = server.client.clone();
    let idle = create(&client, "idle", "delete").await;
    let open = create(&client, "open", "delete").await;
    create(&client, "gone", "delete").await;
    let topic = create_topic(&client, "open/t", &open).await;
    let mut put = Put::open(&client, "open/t", &topic, rows(&[0], 0).schema()).await;
    put.send(rows(&[1], 1)).await;
    put.durable(1).await;
    let alive = json!({"name": "idle", "key": idle});
    for _ in 0..12 {
        let answer = act(&client, "sequence_keep_alive", alive.clone()).await.unwrap();
        assert_eq!(answer, json!({"writer_timeout_ms": TIMEOUT.as_millis() as u64}));
        clock.advance(TIMEOUT / 4);
    }
    eventually("the third writer expired", async || names(&client).await == ["idle", "open"]).await;
    let stranger = json!({"name": "idle", "key": open});
    refused(act(&client, "sequence_keep_alive", stranger).await, Code::PermissionDenied);
    put.send(rows(&[2], 2)).await;
    put.finish().await.unwrap();
    act(&client, "sequence_finalize", json!({"name": "open", "key": open})).await.unwrap();
    act(&client, "sequence_finalize", alive.clone()).await.unwrap();
    refused(act(&client, "sequence_keep_alive", alive).await, Code::FailedPrecondition);
    expire(&client, &clock).await;
    assert_eq!(names(&client).await, ["idle", "open"], "finalized ones stay");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_may_leave_its_sequence_as_it_is() {
    let (_folder, server, clock) = started().await;
    let client = server.client.clone();
    let key = create(&client, "run", "delete").await;
    act(&client, "sequence_end", json!({"name": "run", "key": key})).await.unwrap();
    expire(&client, &clock).await;
    assert_eq!(names(&client).await, ["run"]);
    let found = act(&client, "sequence_notify_list", json!({"name": "run"})).await.unwrap();
    assert_eq!(found, json!({"notifies": []}));
    act(&client, "sequence_delete", json!({"name": "run"})).await.unwrap();
    server.stop().await;
}
