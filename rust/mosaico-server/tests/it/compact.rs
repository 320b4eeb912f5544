//! Compaction: every row stays, in order, for readers before, during and after it.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use futures::TryStreamExt;
use mosaico_admin::{CheckOptions, Checked, Maintenance};
use mosaico_server::{Config, Server};
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::common::*;
use crate::database;

const STORE: &str = "MOSAICO_COMPACT_STORE";
const STEP: &str = "MOSAICO_CRASH_AT";
const ROWS: usize = 500;

fn small(folder: &Path) -> Config {
    let mut config = config(folder);
    config.chunk_bytes = 400;
    config
}

/// Times that are out of order and contain duplicates.
fn out_of_order() -> Vec<i64> {
    (0..ROWS).map(|row| (row * 37 % 101) as i64).collect()
}

/// Records a topic with many chunks that overlap in time. Returns its rows in read order.
async fn record(folder: &Path) -> Vec<(i64, i64)> {
    let server = TestServer::start(small(folder)).await;
    let key = create_sequence(&server.client, "run").await;
    let topic = create_topic(&server.client, "run/t", &key).await;
    let batches: Vec<_> =
        out_of_order().chunks(10).enumerate().map(|(number, times)| rows(times, number * 10)).collect();
    put(&server.client, "run/t", &topic, &batches).await.unwrap();
    act(&server.client, "sequence_finalize", json!({"name": "run", "key": key})).await.unwrap();
    let found = get(&server.client, "run/t").await;
    server.stop().await;
    assert_eq!(found.len(), ROWS);
    found
}

fn chunks(folder: &Path) -> usize {
    files(folder).iter().filter(|name| name.ends_with(".parquet")).count()
}

async fn check(folder: &Path) -> Checked {
    let options = CheckOptions { deep: true, repair: false };
    Maintenance::open(config(folder)).await.unwrap().check(options, &|_| ()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rows_and_the_answers_stay() {
    let folder = TempDir::new().unwrap();
    let expected = record(folder.path()).await;
    let before = chunks(folder.path());
    let ask = async || {
        let server = TestServer::start(config(folder.path())).await;
        let info = act(&server.client, "topic_system_info", json!({"name": "run/t"})).await.unwrap();
        let found = get(&server.client, "run/t").await;
        let window = get_window(&server.client, "run/t", Some(20), Some(30)).await.unwrap();
        server.stop().await;
        (info, found, pairs(&window))
    };
    let (mut info, _, window) = ask().await;
    let done = Maintenance::open(config(folder.path())).await.unwrap().compact(&|_| ()).await.unwrap();
    assert_eq!((done.topics, done.chunks_before, done.chunks_after), (1, before as u64, 1));
    assert_eq!((done.rows, done.problems), (ROWS as u64, vec![]));
    let (mut joined, found, same_window) = ask().await;
    assert_eq!(found, expected);
    assert_eq!(same_window, window);
    // There are fewer and smaller files.
    for name in ["chunks_number", "total_size_bytes"] {
        info[name].take();
        joined[name].take();
    }
    assert_eq!(joined, info);
    let checked = check(folder.path()).await;
    assert_eq!((checked.problems, checked.rows, checked.chunks), (vec![], ROWS as u64, 1));
    assert_eq!(checked.orphans, before as u64, "their readers continue");
    let again = Maintenance::open(config(folder.path())).await.unwrap().compact(&|_| ()).await.unwrap();
    assert_eq!(again.topics, 0, "there is no more to do");
    let gone = Maintenance::open(config(folder.path())).await.unwrap();
    gone.gc(Duration::ZERO, false, &|_| ()).await.unwrap();
    drop(gone);
    assert_eq!(chunks(folder.path()), 1);
    database::remove(folder.path());
    assert_eq!(ask().await.1, expected, "the store alone is enough");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_began_before_continues() {
    let folder = TempDir::new().unwrap();
    let expected = record(folder.path()).await;
    let mut config = config(folder.path());
    config.message_bytes = 200;
    let server = loop {
        match Server::open(config.clone()).await {
            Ok(server) => break Arc::new(server),
            // A child process that another test spawns inherits all open files for a moment, including the
            // lock.
            Err(error) => assert!(error.to_string().contains("in use"), "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let serving = Arc::clone(&server);
    let task = tokio::spawn(async move { serving.serve_tcp(listener, std::future::pending()).await });
    let client = connect(&address).await;
    let ticket =
        info(&client, json!({"resource_locator": "run/t"})).await.unwrap().endpoint[0].ticket.clone();
    let messages = client.clone().do_get(ticket.unwrap()).await.unwrap().into_inner();
    let messages = messages.map_err(|status| FlightError::Tonic(Box::new(status)));
    let mut stream = FlightRecordBatchStream::new_from_flight_data(messages);
    let mut found = pairs(&[stream.try_next().await.unwrap().unwrap()]);
    assert_eq!(server.compact(&|_| ()).await.unwrap().topics, 1);
    assert_eq!(get(&client, "run/t").await, expected, "a reader that begins now");
    found.extend(pairs(&stream.try_collect::<Vec<_>>().await.unwrap()));
    assert_eq!(found, expected);
    task.abort();
}

#[test]
#[ignore = "it is the process that the other test kills"]
fn compact() {
    let Some(folder) = std::env::var_os(STORE) else { return };
    let config = config(Path::new(&folder));
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        Maintenance::open(config).await.unwrap().compact(&|_| ()).await.unwrap();
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_any_step_does_no_harm() {
    let template = TempDir::new().unwrap();
    let expected = record(template.path()).await;
    if database::url().is_some() {
        return; // The database is not copied with the folder.
    }
    let mut crashes = 0;
    for step in 1.. {
        let folder = TempDir::new().unwrap();
        copy(template.path(), folder.path());
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "compact::compact", "--ignored"]).env(STORE, folder.path());
        let ended = command.env(STEP, step.to_string()).output().unwrap().status;
        assert_eq!(check(folder.path()).await.problems, [], "step {step}");
        let server = TestServer::start(config(folder.path())).await;
        assert_eq!(get(&server.client, "run/t").await, expected, "step {step}");
        server.stop().await;
        Maintenance::open(config(folder.path())).await.unwrap().compact(&|_| ()).await.unwrap();
        let server = TestServer::start(config(folder.path())).await;
        assert_eq!(get(&server.client, "run/t").await, expected, "step {step}, done again");
        server.stop().await;
        if ended.success() {
            break;
        }
        crashes += 1;
    }
    assert!(crashes >= 5, "only {crashes} steps");
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
