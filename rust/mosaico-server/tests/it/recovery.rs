//! Recovery after a server that ends without a shutdown.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::*;
use crate::database;
use mosaico_server::Server;
use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Runs `work` on a server and drops everything in the middle of it, as a crash would.
fn crash_after<T>(folder: &Path, work: impl AsyncFnOnce(&Client) -> T) -> T {
    let runtime = Runtime::new().unwrap();
    let result = runtime.block_on(async {
        let server = TestServer::start(config(folder)).await;
        let result = work(&server.client).await;
        std::mem::forget(server);
        result
    });
    runtime.shutdown_timeout(std::time::Duration::from_secs(5));
    result
}

fn with_server<T>(folder: &Path, work: impl AsyncFnOnce(&Client) -> T) -> T {
    Runtime::new().unwrap().block_on(async {
        let server = TestServer::start(config(folder)).await;
        let result = work(&server.client).await;
        server.stop().await;
        result
    })
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let topics = fs::read_dir(folder.join("wal")).unwrap();
    topics
        .flat_map(|topic| fs::read_dir(topic.unwrap().path()).unwrap())
        .map(|file| file.unwrap().path())
        .collect()
}

/// A topic with acknowledged rows in the WAL; returns the keys of sequence and topic.
fn interrupted(folder: &Path) -> (String, String) {
    crash_after(folder, async |client| {
        let key = create_sequence(client, "run").await;
        let topic = create_topic(client, "run/t", &key).await;
        let mut put = Put::open(client, "run/t", &topic, rows(&[0], 0).schema()).await;
        for i in 0..5 {
            put.send(rows(&[i * 10, i * 10 + 5], i as usize * 2)).await;
        }
        put.durable(10).await;
        std::mem::forget(put);
        (key, topic)
    })
}

fn expected() -> Vec<(i64, i64)> {
    (0..10).map(|i| (i * 5, i)).collect()
}

#[test]
fn acknowledged_rows_survive_and_the_recording_resumes() {
    let folder = TempDir::new().unwrap();
    let (key, topic) = interrupted(folder.path());
    with_server(folder.path(), async |client| {
        assert_eq!(get(client, "run/t").await, expected());
        let found = act(client, "topic_system_info", json!({"name": "run/t"})).await.unwrap();
        assert_eq!(found["is_locked"], false);
        let mut put = Put::open(client, "run/t", &topic, rows(&[0], 0).schema()).await;
        assert_eq!(put.ack().await.unwrap().unwrap().durable_rows, 10);
        put.send(rows(&[100], 10)).await;
        assert_eq!(put.finish().await.unwrap().durable_rows, 11);
        act(client, "sequence_finalize", json!({"name": "run", "key": key})).await.unwrap();
        let mut expected = expected();
        expected.push((100, 10));
        assert_eq!(get(client, "run/t").await, expected);
    });
    assert!(segments(folder.path()).is_empty());
}

#[test]
fn a_torn_tail_is_truncated() {
    let folder = TempDir::new().unwrap();
    interrupted(folder.path());
    let [segment] = &segments(folder.path())[..] else { panic!("one segment") };
    let whole = fs::read(segment).unwrap();
    let mut torn = whole.clone();
    // The part of a frame that a write stored on the disk.
    let last = whole.windows(4).rposition(|mark| mark == b"\xf7WAL").unwrap();
    torn.extend_from_slice(&whole[last..whole.len() - 10]);
    fs::write(segment, torn).unwrap();
    with_server(folder.path(), async |client| assert_eq!(get(client, "run/t").await, expected()));
    assert!(!folder.path().join("damaged").exists(), "nothing of it was acknowledged");
}

#[test]
fn a_chunk_that_was_stored_is_not_doubled() {
    let folder = TempDir::new().unwrap();
    interrupted(folder.path());
    let [segment] = &segments(folder.path())[..] else { panic!("one segment") };
    let kept = fs::read(segment).unwrap();
    with_server(folder.path(), async |client| {
        while act(client, "topic_system_info", json!({"name": "run/t"})).await.unwrap()["chunks_number"] == 0
        {
        }
    });
    // The crash happened after the record was written and before the segment was removed.
    fs::create_dir_all(segment.parent().unwrap()).unwrap();
    fs::write(segment, kept).unwrap();
    with_server(folder.path(), async |client| assert_eq!(get(client, "run/t").await, expected()));
    assert!(segments(folder.path()).is_empty());
}

#[test]
fn the_catalog_is_rebuilt_from_the_store() {
    let folder = TempDir::new().unwrap();
    let state = async |client: &Client| {
        let (mut infos, mut answers, mut rows) = (Vec::new(), Vec::new(), Vec::new());
        for name in ["run", "open"] {
            let mut found = info(client, json!({"resource_locator": name})).await.unwrap();
            for endpoint in &found.endpoint {
                rows.push(get_ticket(client, endpoint.ticket.clone().unwrap()).await.unwrap());
            }
            // The order of metadata in the bytes of a schema has no meaning; the test compares the schemas of
            // the streams.
            found.schema = Default::default();
            infos.push(found);
            answers.push(act(client, "sequence_system_info", json!({"name": name})).await.unwrap());
            answers.push(act(client, "sequence_notify_list", json!({"name": name})).await.unwrap());
        }
        answers.push(act(client, "topic_system_info", json!({"name": "run/a"})).await.unwrap());
        (names(client).await, infos, answers, rows)
    };
    let (before, key, topic) = with_server(folder.path(), async |client| {
        let key = create_sequence(client, "run").await;
        for name in ["run/a", "run/b/c"] {
            let topic = create_topic(client, name, &key).await;
            put(client, name, &topic, &[rows(&[3, 1, 2], 0)]).await.unwrap();
        }
        let empty = create_topic(client, "run/empty", &key).await;
        Put::open(client, "run/empty", &empty, rows(&[0], 0).schema()).await.finish().await.unwrap();
        act(client, "sequence_finalize", json!({"name": "run", "key": key})).await.unwrap();
        act(client, "sequence_notify_create", json!({"name": "run", "notify_type": "error", "msg": "m"}))
            .await
            .unwrap();
        let key = create_sequence(client, "open").await;
        let topic = create_topic(client, "open/t", &key).await;
        (state(client).await, key, topic)
    });
    database::remove(folder.path());
    with_server(folder.path(), async |client| {
        assert_eq!(state(client).await, before);
        put(client, "open/t", &topic, &[rows(&[1], 1)]).await.unwrap();
        act(client, "sequence_finalize", json!({"name": "open", "key": key})).await.unwrap();
    });
}

#[test]
fn an_interrupted_removal_is_finished() {
    let folder = TempDir::new().unwrap();
    with_server(folder.path(), async |client| {
        let key = create_sequence(client, "run").await;
        let topic = create_topic(client, "run/t", &key).await;
        put(client, "run/t", &topic, &[rows(&[1], 1)]).await.unwrap();
    });
    let sequences = fs::read_dir(folder.path().join("seq")).unwrap();
    for sequence in sequences {
        fs::write(sequence.unwrap().path().join("deleted.json"), r#"{"format_version":1,"deleted_ns":0}"#)
            .unwrap();
    }
    database::remove(folder.path());
    with_server(folder.path(), async |client| assert!(names(client).await.is_empty()));
    assert_eq!(files(folder.path()), Vec::<String>::new());
}

#[tokio::test]
async fn a_store_has_one_server() {
    let folder = TempDir::new().unwrap();
    let first = Server::open(config(folder.path())).await.unwrap();
    let second = Server::open(config(folder.path())).await.unwrap_err().to_string();
    assert!(second.contains("in use"), "{second}");
    first.shutdown().await;
    Server::open(config(folder.path())).await.unwrap().shutdown().await;
}

#[tokio::test]
async fn a_store_that_cannot_be_used_is_refused() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    let error = Server::open(config(&file)).await.unwrap_err().to_string();
    assert!(error.contains("cannot use the store folder"), "{error}");
}
