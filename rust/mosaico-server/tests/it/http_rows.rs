//! Messages of a topic over HTTP.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::*;
use crate::links::Daemon;

const TOPIC: &str = "/api/v1/sequences/a/topics/deep%2Ft";

/// A topic with chunks, and rows that are in none yet.
async fn recorded(folder: &TempDir) -> (Daemon, Put) {
    let mut config = config(folder.path());
    config.chunk_bytes = 64;
    let daemon = Daemon::start(config).await;
    let client = &daemon.server.client;
    let key = create_sequence(client, "a").await;
    let topic = create_topic(client, "a/deep/t", &key).await;
    let mut put = Put::open(client, "a/deep/t", &topic, rows(&[], 0).schema()).await;
    for (times, first) in [(vec![10, 11, 12, 20], 0), (vec![20, 20, 30], 4), (vec![15, 40], 7)] {
        put.send(rows(&times, first)).await;
    }
    put.durable(9).await;
    (daemon, put)
}

fn pairs(answer: &Value) -> Vec<(i64, f64)> {
    let messages = answer["messages"].as_array().unwrap().iter();
    let pair = |one: &Value| (one["timestamp_ns"].as_i64().unwrap(), one["data"]["value"].as_f64().unwrap());
    messages.map(pair).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_messages_have_each_message_once() {
    let folder = TempDir::new().unwrap();
    let (daemon, put) = recorded(&folder).await;
    let all = [(10, 0.), (11, 1.), (12, 2.), (15, 7.), (20, 3.), (20, 4.), (20, 5.), (30, 6.), (40, 8.)];
    for limit in [1, 2, 3, 5, 8, 9, 1000] {
        let (mut found, mut from) = (Vec::new(), i64::MIN);
        loop {
            let page = daemon.get(&format!("{TOPIC}/messages?limit={limit}&from={from}")).await.json();
            found.extend(pairs(&page));
            match page["next_ns"].as_i64() {
                Some(next) => from = next,
                None => break,
            }
        }
        assert_eq!(found, all, "limit {limit}");
    }
    let page = daemon.get(&format!("{TOPIC}/messages?from=12&to=20")).await.json();
    assert_eq!((pairs(&page), &page["next_ns"]), (vec![(12, 2.), (15, 7.)], &Value::Null));
    let arrow = daemon
        .ask("GET", &format!("{TOPIC}/messages?limit=2"), "accept: application/vnd.apache.arrow.stream\r\n")
        .await;
    assert_eq!(crate::common::pairs(&arrow.batches()), [(10, 0), (11, 1)]);
    let bare = daemon.get(&format!("{TOPIC}/messages?limit=1&columns=timestamp_ns")).await.json();
    assert_eq!(bare["messages"], json!([{"timestamp_ns": 10, "data": {}}]));
    put.finish().await.unwrap();
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_message_before_a_time_is_found_everywhere() {
    let folder = TempDir::new().unwrap();
    let (daemon, put) = recorded(&folder).await;
    let at = |time: i64| {
        let daemon = &daemon;
        async move { pairs(&daemon.get(&format!("{TOPIC}/messages?at={time}")).await.json()) }
    };
    let expected = [(10, 0.), (14, 2.), (15, 7.), (19, 7.), (20, 5.), (29, 5.), (39, 6.), (i64::MAX, 8.)];
    for (time, value) in expected {
        assert_eq!(at(time).await.first().map(|(_, value)| *value), Some(value), "at {time}");
    }
    assert!(at(9).await.is_empty() && at(i64::MIN).await.is_empty());
    put.finish().await.unwrap();
    for (time, value) in expected {
        assert_eq!(at(time).await.first().map(|(_, value)| *value), Some(value), "at {time}, in chunks");
    }
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_of_many_messages_is_found_by_its_page() {
    let folder = TempDir::new().unwrap();
    let mut config = config(folder.path());
    // Less than the rows of the topic: a read of all of them would fail.
    config.limits.query_rows = 20_000;
    let daemon = Daemon::start(config).await;
    let client = &daemon.server.client;
    let key = create_sequence(client, "a").await;
    let topic = create_topic(client, "a/deep/t", &key).await;
    let times: Vec<i64> = (0..100_000).map(|row| row * 10).collect();
    put(client, "a/deep/t", &topic, &[rows(&times, 0)]).await.unwrap();
    for row in [0, 4095, 4096, 65_535, 99_999] {
        let answer = daemon.get(&format!("{TOPIC}/messages?at={}", row * 10 + 9)).await.json();
        assert_eq!(pairs(&answer), [(row * 10, row as f64)]);
    }
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_for_messages_are_refused() {
    let folder = TempDir::new().unwrap();
    let (daemon, put) = recorded(&folder).await;
    for query in ["at=1&from=1", "at=NaN", "limit=0", "limit=1001", "columns=none", "from=1&from=2", "px=1"] {
        let answer = daemon.get(&format!("{TOPIC}/messages?{query}")).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_input"), "{query}");
    }
    let missing = daemon.get("/api/v1/sequences/a/topics/none/messages").await;
    assert_eq!((missing.status, missing.code().as_str()), (404, "topic_not_found"));
    put.finish().await.unwrap();
    daemon.stop().await;
}
