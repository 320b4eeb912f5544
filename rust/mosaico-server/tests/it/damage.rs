//! Damaged WAL segments: acknowledged rows are recovered, quarantined or reported as lost; never lost
//! silently.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::*;
use crate::crash::Process;
use crate::database;
use crate::replicated_wal::{
    begin_recording, bucket, bucket_config, crash_after, expected, fault, logged, lose_disk,
};
use crate::replicated_wal::{numbered, with_server};
use futures::StreamExt;
use mosaico_admin::{CheckOptions, Checked, Maintenance};
use mosaico_server::faults::{Effect, Operation, When};
use mosaico_server::{Config, Server};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tonic::Code;

const HEADER: usize = 36;
const PREFIX: usize = 56;
const END: usize = 20;

/// The offsets of the frames of a segment, the schema first, and the end of the last one.
fn frames(segment: &[u8]) -> Vec<usize> {
    let mut at = vec![HEADER];
    loop {
        let begin = at[at.len() - 1];
        let Some(prefix) = segment.get(begin..begin + PREFIX) else { return at };
        let message = u32::from_le_bytes(prefix[12..16].try_into().unwrap()) as usize;
        let body = u64::from_le_bytes(prefix[16..24].try_into().unwrap()) as usize;
        at.push(begin + PREFIX + message + body + END);
    }
}

/// The folder of a killed daemon: one segment with rows in frames of four. No process has the catalog open.
fn killed(rows: usize) -> (TempDir, (String, String)) {
    let folder = TempDir::new().unwrap();
    let process = Process::start(folder.path(), None);
    let keys = Runtime::new()
        .unwrap()
        .block_on(async { begin_recording(&connect(&process.address).await, rows).await });
    assert!(!process.kill(), "the server died by itself");
    (folder, keys)
}

fn segment(folder: &Path) -> PathBuf {
    let found = files(&folder.join("wal"));
    let [segment] = &found[..] else { panic!("one segment: {found:?}") };
    folder.join("wal").join(segment)
}

fn flip(file: &Path, at: usize, mask: u8) -> Vec<u8> {
    let mut bytes = fs::read(file).unwrap();
    bytes[at] ^= mask;
    fs::write(file, &bytes).unwrap();
    bytes
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap().path();
        let target = to.join(entry.file_name().unwrap());
        if entry.is_dir() {
            copy(&entry, &target);
        } else {
            fs::copy(&entry, &target).unwrap();
        }
    }
}

/// The quarantined files.
fn kept(folder: &Path) -> Vec<Vec<u8>> {
    let Ok(entries) = fs::read_dir(folder.join("damaged")) else { return Vec::new() };
    entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| fs::read(path).unwrap())
        .collect()
}

fn checked(config: &Config) -> Checked {
    Runtime::new().unwrap().block_on(async {
        let store = Maintenance::open(config.clone()).await.unwrap();
        store.check(CheckOptions { deep: true, repair: false }, &|_| ()).await.unwrap()
    })
}

fn compact(config: &Config) {
    Runtime::new().unwrap().block_on(async {
        let server = Server::open(config.clone()).await.unwrap();
        assert_eq!(server.compact(&|_| ()).await.unwrap().topics, 1);
        server.shutdown().await;
    });
}

/// The topic's metadata as readers get it.
async fn metadata(client: &Client) -> Value {
    let found = info(client, json!({"resource_locator": "run/t"})).await.unwrap();
    serde_json::from_slice(&found.endpoint[0].app_metadata).unwrap()
}

async fn events(client: &Client) -> Vec<Value> {
    let page = act(client, "event_list", json!({"kinds": ["data_damaged"]})).await.unwrap();
    page["events"].as_array().unwrap().clone()
}

async fn notifications(client: &Client) -> Vec<String> {
    let found = act(client, "topic_notify_list", json!({"name": "run/t"})).await.unwrap();
    let found = found["notifies"].as_array().unwrap_or_else(|| panic!("{found}")).clone();
    assert!(found.iter().all(|one| one["notify_type"] == "error"), "{found:?}");
    found.iter().map(|one| one["msg"].as_str().unwrap().to_owned()).collect()
}

/// All rows except those in `lost`.
fn others(count: usize, lost: std::ops::Range<i64>) -> Vec<(i64, i64)> {
    expected(count).into_iter().filter(|(row, _)| !lost.contains(row)).collect()
}

#[test]
fn damage_is_quarantined_and_reported_and_the_recording_resumes() {
    for place in ["magic", "version", "schema", "first", "lengths", "last", "end"] {
        let (folder, (key, topic)) = killed(12);
        let config = config(folder.path());
        let file = segment(folder.path());
        let at = frames(&fs::read(&file).unwrap());
        assert_eq!(at.len(), 5, "a schema and three frames");
        let (at, lost) = match place {
            "magic" => (3, 0..0),
            "version" => (8, 0..0),
            "schema" => (at[0] + PREFIX + 9, 0..0),
            "first" => ((at[1] + at[2]) / 2, 0..4),
            "lengths" => (at[2] + 13, 4..8),
            "last" => (at[4] - END - 3, 8..12),
            _ => (at[4] - 1, 0..0),
        };
        let damaged = flip(&file, at, 0x40);
        let before = checked(&config);
        assert!(
            before.problems.iter().any(|problem| problem.text.contains("damaged at byte")),
            "{place}: {before:?}"
        );
        assert_eq!(before.lost_rows, lost.clone().count() as u64, "{place}");
        let readable = others(12, lost.clone());
        for start in 0..2 {
            with_server(config.clone(), async |client| {
                assert_eq!(get(client, "run/t").await, readable, "{place}, start {start}");
                assert_eq!(metadata(client).await["rows"], readable.len(), "{place}, start {start}");
                let events = events(client).await;
                assert_eq!(events.len(), 1, "{place}, start {start}: {events:?}");
                let detail = &events[0]["detail"];
                assert_eq!((&events[0]["sequence"], &events[0]["topic"]), (&json!("run"), &json!("t")));
                assert_eq!(
                    (&detail["segment"], &detail["lost_rows"]),
                    (&json!("00000-0000000"), &json!(lost.clone().count()))
                );
                let messages = notifications(client).await;
                assert_eq!(messages.len(), 1, "{place}, start {start}: {messages:?}");
                let file = detail["file"].as_str().unwrap();
                assert!(folder.path().join(file).exists() && messages[0].contains(file), "{messages:?}");
                if !lost.is_empty() {
                    assert!(
                        messages[0].contains(&format!("rows {}..{} ", lost.start, lost.end)),
                        "{messages:?}"
                    );
                }
            });
            assert_eq!(kept(folder.path()), std::slice::from_ref(&damaged), "{place}, start {start}");
        }
        // The lost rows are recorded outside the catalog too.
        if start_without_catalog(place) {
            database::remove(folder.path());
        }
        with_server(config.clone(), async |client| {
            let mut put = Put::open(client, "run/t", &topic, rows(&[0], 0).schema()).await;
            assert_eq!(put.ack().await.unwrap().unwrap().durable_rows, 12, "{place}: as was acknowledged");
            put.send(numbered(12..16)).await;
            assert_eq!(put.finish().await.unwrap().durable_rows, 16, "{place}");
            act(client, "sequence_finalize", json!({"name": "run", "key": key})).await.unwrap();
            assert_eq!(get(client, "run/t").await, others(16, lost.clone()), "{place}");
            assert_eq!(metadata(client).await["rows"], 16 - lost.clone().count(), "{place}");
        });
        let after = checked(&config);
        assert_eq!(after.problems.len(), 1, "{place}: {after:?}");
        assert!(after.problems[0].path.starts_with("damaged/"), "{place}: {after:?}");
        assert_eq!(after.lost_rows, lost.clone().count() as u64, "{place}");
        compact(&config);
        assert_eq!(checked(&config), Checked { chunks: 1, orphans: 2, ..after }, "{place}: after compaction");
        // Without lost rows, nothing remains to be reported after an operator has removed the file.
        fs::remove_dir_all(folder.path().join("damaged")).unwrap();
        assert_eq!(checked(&config).problems.len(), usize::from(!lost.is_empty()), "{place}");
    }
}

/// True for half of the places.
fn start_without_catalog(place: &str) -> bool {
    ["schema", "first", "last"].contains(&place)
}

/// One start for each byte of a segment with two frames, several starts in parallel.
#[test]
fn each_flipped_byte_of_a_segment_loses_at_most_its_frame() {
    let (whole, _) = killed(8);
    let bytes = fs::read(segment(whole.path())).unwrap();
    let frames = frames(&bytes);
    assert!(bytes.len() < 1500, "{} starts take too long", bytes.len());
    // Each start on Postgres creates its own schema.
    let step = if database::url().is_some() { 61 } else { 1 };
    let start = async |at: usize| {
        // In memory, where syncs are free: this test cuts no power.
        let folder = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap();
        copy(whole.path(), folder.path());
        let damaged = flip(&segment(folder.path()), at, 1 << (at % 8));
        let hit = frames.windows(2).position(|frame| (frame[0]..frame[1]).contains(&at));
        let hit = hit.filter(|&hit| hit > 0 && at < frames[hit + 1] - END);
        let lost = hit.map_or(0..0, |hit| (hit as i64 - 1) * 4..hit as i64 * 4);
        let server = TestServer::start(config(folder.path())).await;
        assert_eq!(get(&server.client, "run/t").await, others(8, lost), "byte {at}");
        assert_eq!(events(&server.client).await.len(), 1, "byte {at}");
        server.stop().await;
        assert_eq!(kept(folder.path()), [damaged], "byte {at}");
        if database::url().is_some() {
            database::remove(folder.path());
        }
    };
    let starts = futures::stream::iter((0..bytes.len()).step_by(step)).for_each_concurrent(16, start);
    Runtime::new().unwrap().block_on(starts);
}

/// A start that crashes at each of its durable steps, and another start without a crash.
#[test]
fn an_interrupted_start_quarantines_and_reports_the_same() {
    let (whole, _) = killed(12);
    let at = frames(&fs::read(segment(whole.path())).unwrap());
    for step in 1.. {
        let folder = TempDir::new().unwrap();
        copy(whole.path(), folder.path());
        let damaged = flip(&segment(folder.path()), at[2] + PREFIX + 3, 1);
        let process = Process::start(folder.path(), Some(step));
        let is_started = !process.address.is_empty();
        process.kill();
        with_server(config(folder.path()), async |client| {
            assert_eq!(get(client, "run/t").await, others(12, 4..8), "step {step}");
            assert_eq!(events(client).await.len(), 1, "step {step}");
            assert_eq!(notifications(client).await.len(), 1, "step {step}");
        });
        assert_eq!(kept(folder.path()), [damaged], "step {step}");
        if is_started {
            assert!(step > 8, "a start has more steps than {step}");
            return;
        }
    }
}

#[test]
fn a_segment_of_which_no_row_is_left_is_named() {
    let folder = TempDir::new().unwrap();
    let config = config(folder.path());
    let keys = crash_after(config.clone(), async |client| begin_recording(client, 4).await);
    let file = segment(folder.path());
    let at = frames(&fs::read(&file).unwrap());
    let damaged = flip(&file, at[1] + PREFIX + 5, 1);
    for _ in 0..2 {
        with_server(config.clone(), async |client| {
            assert!(get(client, "run/t").await.is_empty());
            assert_eq!(events(client).await[0]["detail"]["lost"], json!([{"start": 0, "end": 4}]));
        });
    }
    assert_eq!(kept(folder.path()), [damaged]);
    with_server(config.clone(), async |client| {
        let metadata = metadata(client).await;
        assert_eq!(metadata["rows"], 0);
        let mut first = Put::open(client, "run/t", &keys.1, rows(&[0], 0).schema()).await;
        first.send(numbered(4..7)).await;
        first.durable(7).await;
        assert_eq!(self::metadata(client).await["rows"], 3);
        std::mem::forget(first);
    });
    with_server(config.clone(), async |client| {
        let ack = put(client, "run/t", &keys.1, &[numbered(7..9)]).await.unwrap();
        assert_eq!(ack.durable_rows, 9);
        act(client, "sequence_finalize", json!({"name": "run", "key": keys.0})).await.unwrap();
        assert_eq!(get(client, "run/t").await, others(9, 0..4));
    });
    let found = checked(&config);
    assert_eq!((found.lost_rows, found.problems.len()), (4, 1), "{found:?}");
}

#[test]
fn joined_chunks_are_not_those_of_a_segment_that_is_lost() {
    let folder = TempDir::new().unwrap();
    let config = config(folder.path());
    let (key, topic) = crash_after(config.clone(), async |client| begin_recording(client, 4).await);
    for first in [4, 8, 12, 16] {
        crash_after(config.clone(), async |client| {
            let is_chunk = async || files(&folder.path().join("wal")).is_empty();
            eventually("the last segment is a chunk", is_chunk).await;
            let mut put = Put::open(client, "run/t", &topic, rows(&[0], 0).schema()).await;
            put.send(numbered(first..first + 4)).await;
            put.durable(first as u64 + 4).await;
            std::mem::forget(put);
        });
    }
    let file = segment(folder.path());
    let at = frames(&fs::read(&file).unwrap());
    flip(&file, at[1] + PREFIX + 5, 1);
    with_server(config.clone(), async |client| {
        let put = Put::open(client, "run/t", &topic, rows(&[0], 0).schema()).await;
        assert_eq!(put.finish().await.unwrap().durable_rows, 20);
        act(client, "sequence_finalize", json!({"name": "run", "key": key})).await.unwrap();
    });
    let before = checked(&config);
    assert_eq!((before.chunks, before.lost_rows, before.problems.len()), (4, 4, 1), "{before:?}");
    compact(&Config { chunk_bytes: 200, ..config.clone() });
    let after = checked(&config);
    assert_eq!((after.chunks, &after.problems), (2, &before.problems));
    with_server(config, async |client| assert_eq!(get(client, "run/t").await, expected(16)));
}

#[test]
fn an_unknown_version_is_refused_and_nothing_is_changed() {
    let (folder, _) = killed(12);
    let file = segment(folder.path());
    let mut bytes = fs::read(&file).unwrap();
    bytes[8..10].copy_from_slice(&9_u16.to_le_bytes());
    let crc = crc32fast::hash(&bytes[..12]);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    fs::write(&file, &bytes).unwrap();
    let before = files(folder.path());
    let runtime = Runtime::new().unwrap();
    for _ in 0..2 {
        let error = runtime.block_on(Server::open(config(folder.path()))).unwrap_err();
        assert_eq!(error.code().as_str(), "newer_format");
        let text = error.to_string();
        for part in ["version 9", "reads up to 1", &file.display().to_string()] {
            assert!(text.contains(part), "{text}");
        }
    }
    assert_eq!((files(folder.path()), fs::read(&file).unwrap()), (before, bytes));
    let found = checked(&config(folder.path()));
    assert_eq!((found.problems.len(), found.newer.len()), (0, 1), "{found:?}");
    assert!(found.newer[0].text.contains("version 9"), "{found:?}");
}

#[test]
fn readers_learn_where_a_segment_is_damaged() {
    let folder = TempDir::new().unwrap();
    with_server(config(folder.path()), async |client| {
        begin_recording(client, 12).await;
        let file = segment(folder.path());
        let at = frames(&fs::read(&file).unwrap());
        flip(&file, at[3] - END - 3, 1);
        let read = get_window(client, "run/t", None, None).await;
        let text = refused(read, Code::Internal);
        for part in ["segment 00000-0000000", "run/t", &format!("byte {}", at[2])] {
            assert!(text.contains(part), "{text}");
        }
        flip(&file, at[3] - END - 3, 1);
        assert_eq!(get(client, "run/t").await, expected(12));
    });
}

/// A bucket with 12 rows in three objects, and no chunk.
fn killed_with_replicas() -> (TempDir, Config) {
    let folder = TempDir::new().unwrap();
    let faults = bucket(folder.path());
    let config = bucket_config(folder.path(), &faults);
    faults.add(fault(Operation::Put, "chunk-", When::Always, Effect::Refuse));
    crash_after(config.clone(), async |client| begin_recording(client, 12).await);
    faults.lift();
    (folder, config)
}

#[test]
fn rows_of_a_damaged_segment_come_from_the_store() {
    let (folder, config) = killed_with_replicas();
    let state = folder.path().join("state");
    let file = segment(&state);
    let at = frames(&fs::read(&file).unwrap());
    let damaged = flip(&file, at[2] + PREFIX + 3, 1);
    with_server(config, async |client| {
        assert_eq!(get(client, "run/t").await, expected(12));
        assert_eq!(events(client).await[0]["detail"]["lost_rows"], 0);
    });
    assert_eq!(kept(&state), [damaged]);
}

#[test]
fn damaged_objects_of_the_store_cost_their_rows_alone() {
    for (nth, lost) in [(0, 0..4), (1, 4..8), (2, 8..12)] {
        let (folder, mut config) = killed_with_replicas();
        lose_disk(folder.path());
        let object = logged(folder.path())[nth].clone();
        let file = folder.path().join("bucket").join(&object);
        let at = frames(&fs::read(&file).unwrap());
        let damaged = flip(&file, at[1] + PREFIX + 3, 1);
        config.force_ownership = true;
        with_server(config.clone(), async |client| {
            assert_eq!(get(client, "run/t").await, others(12, lost.clone()), "{nth}");
            let messages = events(client).await;
            assert_eq!((messages.len(), &messages[0]["detail"]["lost_rows"]), (1, &json!(4)), "{nth}");
            assert_eq!(notifications(client).await.len(), 1);
            eventually("the rows are in chunks", async || logged(folder.path()).is_empty()).await;
        });
        // The new owner moved the sequence to another folder.
        let below = &object[object.find("topic/").unwrap()..];
        let kept = files(&folder.path().join("bucket/damaged"));
        assert!(kept.len() == 1 && kept[0].ends_with(below), "{nth}: {kept:?}");
        let copy = folder.path().join("bucket/damaged").join(&kept[0]);
        assert_eq!(fs::read(copy).unwrap(), damaged, "{nth}");
        config.force_ownership = false;
        let found = checked(&config);
        assert_eq!((found.lost_rows, found.problems.len()), (4, 1), "{nth}: {found:?}");
    }
}
