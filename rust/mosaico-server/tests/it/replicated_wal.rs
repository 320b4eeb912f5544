//! The replicated WAL: acknowledged rows survive the loss of the server that received them and of its disk.
//!
//! The bucket is a folder, see `Faults::bucket`. `MOSAICO_FAULT_SECONDS` is the time for the loop over all
//! operations, by default 12.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::common::*;
use crate::database;
use crate::model::{Model, work};
use mosaico_admin::{CheckOptions, Maintenance};
use mosaico_server::faults::{Effect, Fault, Faults, Operation, When};
use mosaico_server::{Config, Error, Server, StoreLocation, WalPlacement};
use mosaico_types::ErrorCode;
use mosaico_wire::status::ERROR_HEADER;
use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tonic::{Code, Status};

/// A server of a bucket below `folder`, with a replicated WAL.
pub(crate) fn bucket_config(folder: &Path, faults: &Faults) -> Config {
    let mut config = config(folder);
    config.store = StoreLocation::parse("s3://bucket").unwrap();
    config.state = Some(folder.join("state"));
    config.wal = WalPlacement::Replicated;
    config.store_timeout = Duration::from_millis(400);
    config.ownership_heartbeat = Duration::from_millis(50);
    config.retry_pause = Duration::from_millis(10);
    config.faults = faults.clone();
    config
}

pub(crate) fn bucket(folder: &Path) -> Faults {
    fs::create_dir_all(folder.join("bucket")).unwrap();
    Faults::bucket(&folder.join("bucket")).unwrap()
}

/// The WAL objects in the bucket.
pub(crate) fn logged(folder: &Path) -> Vec<String> {
    let found = files(&folder.join("bucket"));
    found.into_iter().filter(|name| name.starts_with("seq/") && name.ends_with(".wal")).collect()
}

pub(crate) fn lose_disk(folder: &Path) {
    fs::remove_dir_all(folder.join("state")).unwrap();
}

/// Runs `work` on a server and drops everything in the middle of it, as a crash would.
pub(crate) fn crash_after<T>(config: Config, work: impl AsyncFnOnce(&Client) -> T) -> T {
    let runtime = Runtime::new().unwrap();
    let result = runtime.block_on(async {
        let server = TestServer::start(config).await;
        let result = work(&server.client).await;
        std::mem::forget(server);
        result
    });
    runtime.shutdown_timeout(Duration::from_secs(5));
    result
}

pub(crate) fn with_server<T>(config: Config, work: impl AsyncFnOnce(&Client) -> T) -> T {
    Runtime::new().unwrap().block_on(async {
        let server = TestServer::start(config).await;
        let result = work(&server.client).await;
        server.stop().await;
        result
    })
}

pub(crate) fn unavailable(status: &Status) -> bool {
    let code = status.metadata().get(ERROR_HEADER).and_then(|code| code.to_str().ok());
    status.code() == Code::Unavailable && code == Some(ErrorCode::StoreUnavailable.as_str())
}

pub(crate) fn fault(operation: Operation, path: &str, when: When, effect: Effect) -> Fault {
    Fault { operation: Some(operation), path: path.to_owned(), when, effect }
}

/// Rows with these values, in order.
pub(crate) fn numbered(values: std::ops::Range<usize>) -> arrow::array::RecordBatch {
    rows(&values.clone().map(|value| value as i64).collect::<Vec<_>>(), values.start)
}

pub(crate) fn expected(count: usize) -> Vec<(i64, i64)> {
    (0..count as i64).map(|value| (value, value)).collect()
}

/// A topic with `count` acknowledged rows, four at a time, in a put that stays open.
pub(crate) async fn begin_recording(client: &Client, count: usize) -> (String, String) {
    let key = create_sequence(client, "run").await;
    let topic = create_topic(client, "run/t", &key).await;
    let mut put = Put::open(client, "run/t", &topic, rows(&[0], 0).schema()).await;
    for first in (0..count).step_by(4) {
        put.send(numbered(first..first + 4)).await;
        put.durable(first as u64 + 4).await;
    }
    std::mem::forget(put);
    (key, topic)
}

/// Puts the rows from `from` up to `to`, and finalizes.
async fn completed(client: &Client, (key, topic): &(String, String), rows: std::ops::Range<usize>) {
    let ack = put(client, "run/t", topic, &[numbered(rows.clone())]).await.unwrap();
    assert_eq!(ack.durable_rows, rows.end as u64);
    act(client, "sequence_finalize", json!({"name": "run", "key": key})).await.unwrap();
    assert_eq!(get(client, "run/t").await, expected(rows.end));
}

#[test]
fn rows_survive_the_loss_of_the_disk() {
    for chunk_bytes in [100, 1 << 20] {
        let folder = TempDir::new().unwrap();
        let faults = bucket(folder.path());
        let mut config = bucket_config(folder.path(), &faults);
        config.chunk_bytes = chunk_bytes;
        config.store_timeout = Duration::from_secs(60);
        // Chunk uploads stall: they neither succeed nor fail.
        faults.add(fault(Operation::Put, "chunk-", When::Always, Effect::Stall));
        let keys = crash_after(config.clone(), async |client| begin_recording(client, 16).await);
        lose_disk(folder.path());
        assert_eq!(logged(folder.path()).len(), 4);
        // The next server is lost as well, before it could repair anything.
        config.force_ownership = true;
        crash_after(config.clone(), async |client| assert_eq!(get(client, "run/t").await, expected(16)));
        lose_disk(folder.path());
        faults.lift();
        with_server(config.clone(), async |client| {
            assert_eq!(get(client, "run/t").await, expected(16));
            completed(client, &keys, 16..20).await;
            eventually("nothing of the log is left", async || logged(folder.path()).is_empty()).await;
        });
        config.force_ownership = false;
        with_server(config, async |client| assert_eq!(get(client, "run/t").await, expected(20)));
    }
}

#[test]
fn a_restart_doubles_nothing() {
    let folder = TempDir::new().unwrap();
    let faults = bucket(folder.path());
    let config = bucket_config(folder.path(), &faults);
    faults.add(fault(Operation::Put, "chunk-", When::Always, Effect::Refuse));
    let keys = crash_after(config.clone(), async |client| begin_recording(client, 8).await);
    for _ in 0..2 {
        crash_after(config.clone(), async |client| assert_eq!(get(client, "run/t").await, expected(8)));
    }
    faults.lift();
    with_server(config, async |client| completed(client, &keys, 8..9).await);
}

#[test]
fn what_the_disk_lost_of_a_segment_comes_from_the_store() {
    let folder = TempDir::new().unwrap();
    let faults = bucket(folder.path());
    let config = bucket_config(folder.path(), &faults);
    faults.add(fault(Operation::Put, "chunk-", When::Always, Effect::Refuse));
    let keys = crash_after(config.clone(), async |client| begin_recording(client, 12).await);
    let log = folder.path().join("state/wal");
    let topic = fs::read_dir(&log).unwrap().next().unwrap().unwrap().path();
    let segment = fs::OpenOptions::new().write(true).open(topic.join("00000-0000000.wal")).unwrap();
    segment.set_len(segment.metadata().unwrap().len() - 10).unwrap();
    drop(segment);
    crash_after(config.clone(), async |client| assert_eq!(get(client, "run/t").await, expected(12)));
    fs::remove_dir_all(topic).unwrap();
    faults.lift();
    with_server(config, async |client| completed(client, &keys, 12..13).await);
}

#[test]
fn rows_are_acknowledged_when_the_store_has_them() {
    for effect in [Effect::Refuse, Effect::LoseAnswer, Effect::Stall, Effect::HoldAnswer] {
        let folder = TempDir::new().unwrap();
        let faults = bucket(folder.path());
        let mut config = bucket_config(folder.path(), &faults);
        let keys = crash_after(config.clone(), async |client| {
            let key = create_sequence(client, "run").await;
            let topic = create_topic(client, "run/t", &key).await;
            let mut put = Put::open(client, "run/t", &topic, rows(&[0], 0).schema()).await;
            put.send(numbered(0..3)).await;
            put.durable(3).await;
            faults.add(fault(Operation::Put, "/wal/", When::Nth(0), effect));
            put.send(numbered(3..9)).await;
            while let Ok(ack) = put.ack().await {
                assert_eq!(ack.expect("the stream continues").durable_rows, 3, "{effect:?}");
            }
            // After the three rows, the writer resumes with different rows than it had sent.
            let mut put = Put::open(client, "run/t", &topic, rows(&[0], 0).schema()).await;
            put.send(rows(&[3, 4], 3)).await;
            put.durable(5).await;
            assert_eq!(faults.lift(), 1);
            assert_eq!(get(client, "run/t").await, expected(5), "{effect:?}");
            std::mem::forget(put);
            (key, topic)
        });
        lose_disk(folder.path());
        config.force_ownership = true;
        with_server(config, async |client| {
            assert_eq!(get(client, "run/t").await, expected(5), "{effect:?}");
            completed(client, &keys, 5..7).await;
        });
    }
}

#[test]
fn objects_go_with_their_chunks() {
    let folder = TempDir::new().unwrap();
    let faults = bucket(folder.path());
    let mut config = bucket_config(folder.path(), &faults);
    config.chunk_bytes = 100;
    with_server(config.clone(), async |client| {
        faults.add(fault(Operation::Delete, "/wal/", When::Nth(0), Effect::Refuse));
        let (key, topic) = begin_recording(client, 40).await;
        eventually("only the open segment is left", async || logged(folder.path()).len() <= 1).await;
        assert_eq!(faults.lift(), 1);
        act(client, "sequence_delete", json!({"name": "run"})).await.unwrap();
        drop((key, topic));
        eventually("nothing is left", async || logged(folder.path()).is_empty()).await;
    });
    // Requests may still be on their way to the folder.
    let left = || {
        let files = files(&folder.path().join("bucket"));
        files.into_iter().filter(|name| name.starts_with("seq/")).collect::<Vec<_>>()
    };
    assert!(left().len() == 1 && left()[0].ends_with("/deleted.json"), "{:?}", left());
    config.orphan_grace = Duration::from_millis(100);
    with_server(config, async |_| eventually("nothing is left", async || left().is_empty()).await);
}

#[test]
fn chunks_are_recorded_in_order() {
    let folder = TempDir::new().unwrap();
    let faults = bucket(folder.path());
    let mut config = bucket_config(folder.path(), &faults);
    config.chunk_bytes = 60;
    config.store_timeout = Duration::from_secs(60);
    faults.add(fault(Operation::Put, "chunk-00000-0000000", When::Always, Effect::Stall));
    let keys = crash_after(config.clone(), async |client| {
        let keys = begin_recording(client, 12).await;
        let stored =
            |name: &str| files(&folder.path().join("bucket")).iter().any(|file| file.ends_with(name));
        eventually("later ones are in the store", async || stored("chunk-00000-0000002.parquet")).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!stored("chunk-00000-0000001.json") && !stored("chunk-00000-0000002.json"));
        keys
    });
    lose_disk(folder.path());
    faults.lift();
    config.force_ownership = true;
    with_server(config, async |client| completed(client, &keys, 12..13).await);
}

#[test]
fn check_reads_it() {
    let folder = TempDir::new().unwrap();
    let faults = bucket(folder.path());
    let config = bucket_config(folder.path(), &faults);
    faults.add(fault(Operation::Put, "chunk-", When::Always, Effect::Refuse));
    crash_after(config.clone(), async |client| begin_recording(client, 8).await);
    let check = || {
        Runtime::new().unwrap().block_on(async {
            let store = Maintenance::open(config.clone()).await.unwrap();
            let found = store.check(CheckOptions::default(), &|_| ()).await.unwrap();
            let kept = store.gc(Duration::ZERO, false, &|_| ()).await.unwrap();
            assert_eq!(kept.files, 0, "{kept:?}");
            found
        })
    };
    let found = check();
    assert_eq!((found.log_rows, found.stored_log_rows, found.problems.len()), (8, 8, 0), "{found:?}");
    let object = folder.path().join("bucket").join(&logged(folder.path())[1]);
    let mut bytes = fs::read(&object).unwrap();
    let inside = bytes.len() - 40;
    bytes[inside] ^= 1;
    fs::write(&object, bytes).unwrap();
    let found = check();
    assert_eq!((found.log_rows, found.stored_log_rows, found.problems.len()), (8, 4, 1), "{found:?}");
    assert!(found.problems[0].path.ends_with(".wal") && found.problems[0].text.contains("0 of the 4 rows"));
    // Without the disk, the rows before the damaged object are still available.
    lose_disk(folder.path());
    let lost = Config { force_ownership: true, ..config };
    with_server(lost, async |client| assert_eq!(get(client, "run/t").await, expected(4)));
}

#[test]
fn rests_of_a_complete_topic_are_collected() {
    let folder = TempDir::new().unwrap();
    let faults = bucket(folder.path());
    let mut config = bucket_config(folder.path(), &faults);
    faults.add(fault(Operation::Delete, "/wal/", When::Always, Effect::Refuse));
    crash_after(config.clone(), async |client| {
        let keys = begin_recording(client, 4).await;
        eventually("the put ends", async || {
            act(client, "topic_system_info", json!({"name": "run/t"})).await.is_ok()
        })
        .await;
        let mut resumed = put_command("run/t", &keys.1);
        resumed.cmd = json!({"resource_locator": "run/t", "key": keys.1, "resume": 1}).to_string().into();
        let messages =
            put_messages(Some(resumed), rows(&[0], 0).schema(), futures::stream::iter([numbered(4..5)]));
        let mut answers = client.clone().do_put(messages).await.unwrap().into_inner();
        while answers.message().await.unwrap().is_some() {}
        assert_eq!(get(client, "run/t").await, expected(5));
    });
    assert!(!logged(folder.path()).is_empty());
    faults.lift();
    config.orphan_grace = Duration::ZERO;
    Runtime::new().unwrap().block_on(async {
        let store = Maintenance::open(config.clone()).await.unwrap();
        let left = logged(folder.path()).len() as u64;
        assert_eq!(store.check(CheckOptions::default(), &|_| ()).await.unwrap().orphans, left);
        assert_eq!(store.gc(Duration::ZERO, false, &|_| ()).await.unwrap().files, left);
        assert!(logged(folder.path()).is_empty());
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_has_its_log_anyway() {
    let folder = TempDir::new().unwrap();
    let mut config = config(folder.path());
    config.wal = WalPlacement::Replicated;
    let error = Server::open(config).await.unwrap_err();
    assert!(matches!(&error, Error::Startup(text) if text.contains("buckets")), "{error}");
}

/// Each operation on the store fails in each way, and then the disk is lost.
#[tokio::test(flavor = "multi_thread")]
async fn any_operation_may_fail() {
    let effects = [Effect::Refuse, Effect::LoseAnswer, Effect::Stall, Effect::HoldAnswer];
    let given = std::env::var("MOSAICO_FAULT_SECONDS").ok().map(|text| text.parse().unwrap());
    let (started, limit) = (Instant::now(), Duration::from_secs(given.unwrap_or(12)));
    let stride = if limit > Duration::from_secs(120) { 1 } else { 17 };
    let (mut nth, mut hits, mut ended) = (u64::from(std::process::id()) % stride, 0, [false; 4]);
    while ended != [true; 4] && started.elapsed() < limit {
        for (at, effect) in effects.into_iter().enumerate() {
            let folder = TempDir::new().unwrap();
            let faults = bucket(folder.path());
            let mut config = bucket_config(folder.path(), &faults);
            config.chunk_bytes = 600;
            let server = TestServer::start(config.clone()).await;
            let mut model = Model::new(&format!("{effect:?} of operation {nth}"));
            faults.add(Fault { operation: None, path: String::new(), when: When::Nth(nth), effect });
            if let Err(status) = work(&server.client, &mut model, "").await {
                assert!(unavailable(&status), "{}: {status:?}", model.about);
            }
            let hit = faults.lift();
            (hits, ended[at]) = (hits + hit, hit == 0);
            model.settle(&server.client).await;
            model.check(&server.client).await;
            server.stop().await;
            let server = TestServer::start(config.clone()).await;
            model.check(&server.client).await;
            server.stop().await;
            lose_disk(folder.path());
            if database::url().is_some() {
                database::remove(folder.path());
            }
            config.force_ownership = true;
            let server = TestServer::start(config).await;
            model.check(&server.client).await;
            model.remove_the_unlocked(&server.client).await;
            eventually("removed sequences leave nothing", async || logged(folder.path()).is_empty()).await;
            server.stop().await;
        }
        nth += stride;
    }
    assert!(hits > 0);
}
