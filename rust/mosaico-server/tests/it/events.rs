//! Events as listeners receive them.

use std::fs;
use std::time::{Duration, Instant};

use crate::common::*;
use crate::database;
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::Code;

fn summaries(page: &Value) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let event = |event: &Value| (text(&event["kind"]), text(&event["sequence"]), text(&event["topic"]));
    page["events"].as_array().unwrap().iter().map(event).collect()
}

async fn list(client: &Client, body: Value) -> Value {
    act(client, "event_list", body).await.unwrap()
}

async fn record(client: &Client, name: &str) {
    let key = create_sequence(client, name).await;
    let locator = format!("{name}/a/b");
    let topic = create_topic(client, &locator, &key).await;
    put(client, &locator, &topic, &[rows(&[5, 3], 0)]).await.unwrap();
    act(client, "topic_notify_create", json!({"name": locator, "notify_type": "error", "msg": "m"}))
        .await
        .unwrap();
    act(client, "sequence_finalize", json!({"name": name, "key": key})).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_is_listed_once_and_in_order() {
    let folder = TempDir::new().unwrap();
    let server = TestServer::start(config(folder.path())).await;
    let client = server.client.clone();
    assert_eq!(list(&client, json!({})).await, json!({"events": [], "cursor": null}));
    record(&client, "run").await;
    let key = create_sequence(&client, "gone").await;
    create_topic(&client, "gone/t", &key).await;
    act(&client, "topic_delete", json!({"name": "gone/t"})).await.unwrap();
    act(&client, "sequence_abort", json!({"name": "gone", "key": key})).await.unwrap();
    let all = list(&client, json!({})).await;
    let expected = [
        ("sequence_created", "run", "-"),
        ("topic_created", "run", "a/b"),
        ("chunk_stored", "run", "a/b"),
        ("topic_committed", "run", "a/b"),
        ("error", "run", "a/b"),
        ("sequence_finalized", "run", "-"),
        ("sequence_created", "gone", "-"),
        ("topic_created", "gone", "t"),
        ("topic_deleted", "gone", "t"),
        ("sequence_deleted", "gone", "-"),
    ];
    let expected: Vec<_> =
        expected.iter().map(|(a, b, c)| (a.to_string(), b.to_string(), c.to_string())).collect();
    assert_eq!(summaries(&all), expected);
    let chunk = &all["events"][2]["detail"];
    assert_eq!((&chunk["rows"], &chunk["timestamp_ns_min"]), (&json!(2), &json!(3)));
    assert_eq!(all["events"][4]["detail"], json!({"message": "m"}));

    // Page by page, and by kind and sequence.
    let (mut cursor, mut paged) = (Value::Null, Vec::new());
    loop {
        let page = list(&client, json!({"after": cursor, "limit": 3})).await;
        cursor = page["cursor"].clone();
        if page["events"].as_array().unwrap().is_empty() {
            break;
        }
        paged.extend(summaries(&page));
    }
    assert_eq!(paged, expected);
    let some = list(&client, json!({"kinds": ["topic_created", "error"], "sequence": "run"})).await;
    assert_eq!(summaries(&some), [expected[1].clone(), expected[4].clone()]);
    assert_eq!(some["cursor"], all["cursor"], "what did not match is behind the cursor too");
    let newest = list(&client, json!({"limit": 0})).await;
    assert_eq!(newest, json!({"events": [], "cursor": all["cursor"]}));
    refused(act(&client, "event_list", json!({"after": "yesterday"})).await, Code::InvalidArgument);
    refused(act(&client, "event_list", json!({"kinds": ["joke"]})).await, Code::InvalidArgument);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_waits_and_holds_nobody_up() {
    let folder = TempDir::new().unwrap();
    let server = TestServer::start(config(folder.path())).await;
    let client = server.client.clone();
    let started = Instant::now();
    let nothing = list(&client, json!({"wait_ms": 200})).await;
    assert_eq!(nothing["events"], json!([]));
    assert!(started.elapsed() >= Duration::from_millis(200));
    // Listeners that never read their responses.
    for _ in 0..50 {
        let client = client.clone();
        let wait = json!({"wait_ms": 60_000, "kinds": ["task_failed"]});
        tokio::spawn(async move { act(&client, "event_list", wait).await });
    }
    let waiting = {
        let client = client.clone();
        let wait = json!({"wait_ms": 30_000, "kinds": ["sequence_finalized"]});
        tokio::spawn(async move { (list(&client, wait).await, Instant::now()) })
    };
    tokio::time::sleep(Duration::from_millis(100)).await;
    record(&client, "run").await;
    let recorded = Instant::now();
    let (page, heard) = waiting.await.unwrap();
    assert_eq!(summaries(&page), [("sequence_finalized".into(), "run".into(), "-".into())]);
    assert!(heard < recorded + Duration::from_secs(2), "{:?}", heard - recorded);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn they_survive_the_loss_of_the_catalog() {
    let folder = TempDir::new().unwrap();
    let server = TestServer::start(config(folder.path())).await;
    record(&server.client, "run").await;
    let before = list(&server.client, json!({})).await;
    server.stop().await;
    database::remove(folder.path());
    let server = TestServer::start(config(folder.path())).await;
    assert_eq!(list(&server.client, json!({})).await, before);
    record(&server.client, "again").await;
    let after = list(&server.client, json!({"after": before["cursor"]})).await;
    assert_eq!(summaries(&after).len(), 6, "{after}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_are_dropped() {
    let folder = TempDir::new().unwrap();
    TestServer::start(config(folder.path())).await.stop().await;
    let many = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4500) \
                INSERT INTO event SELECT substr('00000000000000000000000000', length(i || '') + 1) || i, 'error', \
                'run', NULL, i, '{}' FROM n";
    database::sql(folder.path(), many).await;
    let config = |folder: &std::path::Path| {
        let mut config = config(folder);
        config.events_kept = 1500;
        config
    };
    let server = TestServer::start(config(folder.path())).await;
    let oldest =
        async |client: &Client| list(client, json!({"limit": 1})).await["events"][0]["at_ns"].clone();
    for _ in 0..200 {
        if oldest(&server.client).await == 2001 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert_eq!(oldest(&server.client).await, 2001);
    let cursor = |i: usize| format!("{i:026}");
    let first = async |client: &Client, request: Value| list(client, request).await["events"][0].clone();
    let rebuilt = |server: TestServer| async {
        server.stop().await;
        database::remove(folder.path());
        TestServer::start(config(folder.path())).await
    };
    let mut server = server;
    for round in ["dropped now", "after a loss of the catalog"] {
        let client = server.client.clone();
        // For every kind of request.
        for request in
            [json!({"limit": 1}), json!({"kinds": ["topic_created"], "sequence": "other", "wait_ms": 60_000})]
        {
            let mut request = request;
            request["after"] = json!(cursor(1999));
            let gap = first(&client, request).await;
            assert_eq!(gap["kind"], "gap", "{round}");
            assert_eq!((&gap["id"], &gap["detail"]["after"]), (&json!(cursor(2000)), &json!(cursor(1999))));
        }
        // A listener that received all dropped events misses nothing; nor does one without a cursor.
        for request in [json!({"after": cursor(2000)}), json!({"after": null})] {
            assert_eq!(first(&client, request).await["id"], json!(cursor(2001)), "{round}");
        }
        server = rebuilt(server).await;
    }
    server.stop().await;
    assert_eq!(fs::read_dir(folder.path().join("events")).unwrap().count(), 3);
}
