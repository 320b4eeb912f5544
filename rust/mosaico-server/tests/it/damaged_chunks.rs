//! Damaged chunks: wrong rows are never returned. A read, a query and the scrub name the chunk; the other rows
//! stay readable.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow_flight::Ticket;
use futures::TryStreamExt;
use mosaico_admin::{CheckOptions, Maintenance};
use mosaico_server::Config;
use mosaico_wire::SKIP_DAMAGED_HEADER;
use mosaico_wire::damage::{DamagedRows, parse_skipped};
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::metadata::MetadataValue;
use tonic::{Code, Request};

use crate::common::*;

/// Rows per chunk of [`record`].
const ROWS: i64 = 40;

/// A finalized sequence `run` with the topics `t` and `u`, each with `chunks` chunks.
async fn record(folder: &Path, chunks: i64) {
    let mut config = config(folder);
    config.chunk_bytes = 16 * ROWS as usize;
    let server = TestServer::start(config).await;
    let key = create_sequence(&server.client, "run").await;
    for locator in ["run/t", "run/u"] {
        let topic = create_topic(&server.client, locator, &key).await;
        let mut put = Put::open(&server.client, locator, &topic, rows(&[0], 0).schema()).await;
        for chunk in 0..chunks {
            let times: Vec<i64> = (chunk * ROWS..(chunk + 1) * ROWS).collect();
            put.send(rows(&times, times[0] as usize)).await;
            put.durable(((chunk + 1) * ROWS) as u64).await;
        }
        put.finish().await.unwrap();
    }
    act(&server.client, "sequence_finalize", json!({"name": "run", "key": key})).await.unwrap();
    server.stop().await;
}

/// The chunks of the topic `t`, which was created first.
fn chunks(folder: &Path) -> Vec<PathBuf> {
    let all = files(folder).into_iter().filter(|name| name.ends_with(".parquet"));
    let all: Vec<PathBuf> = all.map(|name| folder.join(name)).collect();
    let first = all[0].parent().map(Path::to_owned);
    all.into_iter().filter(|file| file.parent().map(Path::to_owned) == first).collect()
}

fn flip(file: &Path, at: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[at] ^= 1 << (at % 8);
    fs::write(file, bytes).unwrap();
}

fn expected(times: impl Iterator<Item = i64>) -> Vec<(i64, i64)> {
    times.map(|time| (time, time)).collect()
}

/// A server that keeps no footer in memory.
fn forgetful(folder: &Path) -> Config {
    Config { footer_cache_bytes: 1, ..config(folder) }
}

async fn ticket(client: &Client, locator: &str) -> Ticket {
    let info = info(client, json!({"resource_locator": locator})).await.unwrap();
    info.endpoint[0].ticket.clone().unwrap()
}

/// The rows of a read that skips damaged chunks, and the report at its end.
async fn skipping(client: &Client, locator: &str) -> (Vec<(i64, i64)>, Vec<DamagedRows>) {
    let mut request = Request::new(ticket(client, locator).await);
    request.metadata_mut().insert(SKIP_DAMAGED_HEADER, MetadataValue::from(1));
    let messages = client.clone().do_get(request).await.unwrap().into_inner();
    let mut messages: Vec<_> = messages.try_collect().await.unwrap();
    let report = messages.pop_if(|last| parse_skipped(&last.app_metadata).is_some());
    let report = report.map(|last| parse_skipped(&last.app_metadata).unwrap().unwrap());
    let messages = futures::stream::iter(messages.into_iter().map(Ok));
    let stream = arrow_flight::decode::FlightRecordBatchStream::new_from_flight_data(messages);
    let batches: Vec<RecordBatch> = stream.try_collect().await.unwrap();
    (pairs(&batches), report.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_flipped_byte_is_returned() {
    let folder = TempDir::new().unwrap();
    record(folder.path(), 1).await;
    let [file] = &chunks(folder.path())[..] else { panic!("one chunk") };
    let intact = fs::read(file).unwrap();
    let right = expected(0..ROWS);
    let server = TestServer::start(forgetful(folder.path())).await;
    let ticket = ticket(&server.client, "run/t").await;
    for at in 0..intact.len() {
        flip(file, at);
        let text = refused(get_ticket(&server.client, ticket.clone()).await.map(drop), Code::DataLoss);
        assert!(text.starts_with("chunk 00000-0000000 of topic `run/t` is damaged: "), "byte {at}: {text}");
        assert!(text.contains("rows 0..40 of the topic, from 0 to 39 ns"), "byte {at}: {text}");
        fs::write(file, &intact).unwrap();
    }
    for length in [0, 1, 8, 9, 40, intact.len() / 2, intact.len() - 1] {
        fs::write(file, &intact[..length]).unwrap();
        let text = refused(get_ticket(&server.client, ticket.clone()).await.map(drop), Code::DataLoss);
        assert!(text.contains(&format!("its file has {length} of {} bytes", intact.len())), "{text}");
    }
    fs::remove_file(file).unwrap();
    let text = refused(get_ticket(&server.client, ticket.clone()).await.map(drop), Code::DataLoss);
    assert!(text.contains("its file is missing"), "{text}");
    fs::write(file, &intact).unwrap();
    assert_eq!(get(&server.client, "run/t").await, right, "a restored file is readable at once");
    server.stop().await;
    // The footer is in memory: its bytes in the file are not read again.
    let server = TestServer::start(config(folder.path())).await;
    assert_eq!(get(&server.client, "run/t").await, right);
    let mut errors = 0;
    for at in 0..intact.len() {
        flip(file, at);
        match get_ticket(&server.client, ticket.clone()).await {
            Ok((_, batches)) => assert_eq!(pairs(&batches), right, "byte {at}"),
            Err(status) => {
                assert_eq!(status.code(), Code::DataLoss, "{status}");
                errors += 1;
            }
        }
        fs::write(file, &intact).unwrap();
    }
    assert!(errors > intact.len() / 2, "{errors} of {}", intact.len());
    server.stop().await;
}

/// Removes the checksums of the blocks, as in files that earlier versions wrote; corrects the record.
async fn without_sums(folder: &Path, file: &Path) {
    let bytes = fs::read(file).unwrap();
    let covered = bytes.len() - 9 - 20 + 4;
    let covered = u64::from_le_bytes(bytes[covered..covered + 8].try_into().unwrap()) as usize;
    let footer = u32::from_le_bytes(bytes[bytes.len() - 8..bytes.len() - 4].try_into().unwrap());
    let footer = footer - (bytes.len() - 9 - covered) as u32;
    let old = [&bytes[..covered], &[0], &footer.to_le_bytes(), b"PAR1"].concat();
    fs::write(file, &old).unwrap();
    let commit = file.with_file_name("commit.json");
    let mut record: Value = serde_json::from_slice(&fs::read(&commit).unwrap()).unwrap();
    record["chunks"][0]["bytes"] = json!(old.len());
    record["chunks"][0]["crc32"] = json!(crc32fast::hash(&old));
    record.as_object_mut().unwrap().remove("record_crc32");
    fs::write(&commit, record.to_string()).unwrap();
    Maintenance::open(config(folder)).await.unwrap().rebuild(&|_| ()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_checksums_of_blocks_is_verified_as_a_whole() {
    let folder = TempDir::new().unwrap();
    record(folder.path(), 1).await;
    let file = chunks(folder.path()).remove(0);
    without_sums(folder.path(), &file).await;
    let intact = fs::read(&file).unwrap();
    let server = TestServer::start(forgetful(folder.path())).await;
    assert_eq!(get(&server.client, "run/t").await, expected(0..ROWS));
    for at in (0..intact.len()).step_by(7) {
        flip(&file, at);
        let text = refused(get_window(&server.client, "run/t", None, None).await, Code::DataLoss);
        assert!(text.contains("the file does not have its checksum"), "byte {at}: {text}");
        fs::write(&file, &intact).unwrap();
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_rows_stay_readable() {
    let folder = TempDir::new().unwrap();
    record(folder.path(), 3).await;
    let all = chunks(folder.path());
    flip(&all[1], 100);
    let server = TestServer::start(config(folder.path())).await;
    let client = server.client.clone();
    let text = refused(get_window(&client, "run/t", None, None).await, Code::DataLoss);
    assert!(text.contains("rows 40..80 of the topic, from 40 to 79 ns"), "{text}");
    let window = get_window(&client, "run/t", Some(80), None).await.unwrap();
    assert_eq!(pairs(&window), expected(80..120), "a window outside of the chunk");
    assert_eq!(get(&client, "run/u").await, expected(0..120), "the other topic");

    let (found, report) = skipping(&client, "run/t").await;
    assert_eq!(found, expected((0..40).chain(80..120)));
    let [skipped] = &report[..] else { panic!("{report:?}") };
    assert_eq!((skipped.topic.as_str(), skipped.chunk.as_str()), ("run/t", "00000-0000001"));
    assert_eq!((skipped.rows, skipped.skipped_rows, skipped.timestamp_range), ((40, 80), 40, (40, 79)));
    assert_eq!(skipping(&client, "run/u").await.1, []);

    // Statistics exclude the other chunks; this one cannot be searched.
    let query = |value: i64| json!({"ontology": {"test.value": {"$eq": value as f64}}});
    let answer = act(&client, "query", query(50)).await.unwrap();
    assert_eq!(answer["items"][0]["topics"].as_array().map(Vec::len), Some(1), "{answer}");
    let [incomplete] = answer["incomplete"].as_array().unwrap().as_slice() else { panic!("{answer}") };
    assert_eq!((&incomplete["topic"], &incomplete["chunk"]), (&json!("run/t"), &json!("00000-0000001")));
    let answer = act(&client, "query", query(90)).await.unwrap();
    assert_eq!(answer["items"][0]["topics"].as_array().map(Vec::len), Some(2), "{answer}");
    assert_eq!(answer.get("incomplete"), None);

    // One event and one notification, however often it is read.
    let notified = async || {
        let listed = act(&client, "topic_notify_list", json!({"name": "run/t"})).await.unwrap();
        listed["notifies"].as_array().unwrap().clone()
    };
    let deadline = Instant::now() + Duration::from_secs(10);
    while notified().await.is_empty() {
        assert!(Instant::now() < deadline, "no notification");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let events = act(&client, "event_list", json!({"kinds": ["data_damaged"]})).await.unwrap();
    let [event] = events["events"].as_array().unwrap().as_slice() else { panic!("{events}") };
    assert_eq!((&event["sequence"], &event["topic"]), (&json!("run"), &json!("t")));
    assert_eq!(event["detail"]["rows"], json!([40, 80]));
    server.stop().await;
    let server = TestServer::start(config(folder.path())).await;
    let client = server.client.clone();
    refused(get_window(&client, "run/t", None, None).await, Code::DataLoss);
    assert_eq!(skipping(&client, "run/t").await.0.len(), 80);
    server.stop().await;
    let server = TestServer::start(config(folder.path())).await;
    let listed = act(&server.client, "topic_notify_list", json!({"name": "run/t"})).await.unwrap();
    assert_eq!(listed["notifies"].as_array().map(Vec::len), Some(1), "{listed}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn compaction_and_rebuild_leave_a_damaged_chunk_where_it_is() {
    let folder = TempDir::new().unwrap();
    record(folder.path(), 3).await;
    let all = chunks(folder.path());
    flip(&all[1], 100);
    let damaged = fs::read(&all[1]).unwrap();
    let done = Maintenance::open(config(folder.path())).await.unwrap().compact(&|_| ()).await.unwrap();
    assert_eq!((done.topics, done.problems.len()), (1, 1), "{done:?}");
    assert!(done.problems[0].text.contains("chunk 00000-0000001 of topic `run/t` is damaged"), "{done:?}");
    Maintenance::open(config(folder.path())).await.unwrap().rebuild(&|_| ()).await.unwrap();
    assert_eq!(fs::read(&all[1]).unwrap(), damaged);
    let options = CheckOptions { deep: true, repair: false };
    let checked = Maintenance::open(config(folder.path())).await.unwrap().check(options, &|_| ()).await;
    assert_eq!(checked.unwrap().problems.len(), 1);
    let server = TestServer::start(config(folder.path())).await;
    assert_eq!(skipping(&server.client, "run/t").await.0, expected((0..40).chain(80..120)));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scrub_finds_damage_that_nobody_reads() {
    let folder = TempDir::new().unwrap();
    record(folder.path(), 3).await;
    flip(&chunks(folder.path())[1], 100);
    let scrubbing = Config { scrub_period: Duration::from_millis(20), ..config(folder.path()) };
    let server = TestServer::start(scrubbing.clone()).await;
    let file = folder.path().join("scrub.json");
    let deadline = Instant::now() + Duration::from_secs(20);
    let pass = loop {
        assert!(Instant::now() < deadline, "the scrub does not end");
        let pass = fs::read(&file).ok().and_then(|text| serde_json::from_slice::<Value>(&text).ok());
        let listed = act(&server.client, "topic_notify_list", json!({"name": "run/t"})).await.unwrap();
        match pass {
            Some(pass) if pass["finished_ns"].is_i64() && listed["notifies"][0].is_object() => break pass,
            _ => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    assert_eq!((&pass["chunks"], &pass["damaged"]), (&json!(6), &json!(1)), "{pass}");
    let listed = act(&server.client, "topic_notify_list", json!({"name": "run/u"})).await.unwrap();
    assert_eq!(listed["notifies"].as_array().map(Vec::len), Some(0));
    server.stop().await;
    // The next pass is due in a day; without a pace, none ever is.
    fs::remove_file(&file).unwrap();
    let server = TestServer::start(Config { scrub_bytes_per_second: 0, ..scrubbing }).await;
    tokio::time::timeout(Duration::from_millis(300), async {
        while !file.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect_err("a scrub began");
    server.stop().await;
}
