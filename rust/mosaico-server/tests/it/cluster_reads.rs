//! Reads of a topic whose daemon does not answer: its replicated WAL in the bucket has the acknowledged rows. These tests
//! always need a Postgres.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::cluster::{finalized, from, member, resume, started};
use crate::common::*;
use crate::replicated_wal::*;
use mosaico_server::faults::{Effect, Operation, When};
use mosaico_server::{Config, WalPlacement};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// What an endpoint says about a topic.
async fn described(client: &Client) -> Value {
    let info = info(client, json!({"resource_locator": "run/t"})).await.unwrap();
    serde_json::from_slice(&info.endpoint[0].app_metadata).unwrap()
}

#[test]
fn the_rows_of_a_lost_daemon_are_read_from_the_bucket() {
    let Some((folder, faults)) = started() else { return };
    let (key, topic) =
        crash_after(member(folder.path(), &faults, "a"), async |client| begin_recording(client, 12).await);
    fs::remove_dir_all(folder.path().join("a")).unwrap();
    faults.lift();
    with_server(member(folder.path(), &faults, "b"), async |client| {
        assert_eq!(get(client, "run/t").await, expected(12));
        assert_eq!(pairs(&get_window(client, "run/t", Some(5), Some(8)).await.unwrap()), expected(12)[5..8]);
        let found = described(client).await;
        assert_eq!((&found["rows"], found.get("remote_rows")), (&json!(12), None), "{found}");
        assert_eq!((&found["timestamp"]["min"], &found["timestamp"]["max"]), (&json!(0), &json!(11)));
        // The writer did not receive the last acknowledgement.
        resume(client, &topic, 9, from(20)).await.unwrap();
        finalized(client, &key, 20).await;
    });
}

#[test]
fn rows_on_the_disk_of_a_lost_daemon_are_named() {
    let Some((folder, faults)) = started() else { return };
    let on_disk = |name| Config { wal: WalPlacement::Disk, ..member(folder.path(), &faults, name) };
    crash_after(on_disk("a"), async |client| begin_recording(client, 12).await);
    with_server(on_disk("b"), async |client| {
        assert_eq!(get(client, "run/t").await, []);
        let found = described(client).await;
        assert_eq!(found["rows"], 0, "{found}");
        assert_eq!(found["remote_rows"].as_array().map(Vec::len), Some(1), "{found}");
    });
}

#[test]
fn a_read_during_a_recording_has_no_gap_and_no_row_twice() {
    let Some((folder, stalled)) = started() else { return };
    stalled.lift();
    let config = |name, faults| Config { chunk_bytes: 1 << 10, ..member(folder.path(), faults, name) };
    // Chunks come in between the listings of a read.
    let slow = bucket(folder.path());
    slow.add(fault(Operation::List, "/wal", When::Always, Effect::Delay(Duration::from_millis(20))));
    Runtime::new().unwrap().block_on(async {
        // The members do not reach each other.
        let first = TestServer::start(config("a", &stalled)).await;
        let second = TestServer::start(config("b", &slow)).await;
        let key = create_sequence(&first.client, "run").await;
        let topic = create_topic(&first.client, "run/t", &key).await;
        let mut put = Put::open(&first.client, "run/t", &topic, rows(&[0], 0).schema()).await;
        let acknowledged = AtomicU64::new(0);
        let record = async {
            for end in (4..=800).step_by(4) {
                put.send(numbered(end - 4..end)).await;
                put.durable(end as u64).await;
                acknowledged.store(end as u64, Ordering::SeqCst);
            }
        };
        let read = async {
            let mut reads = 0;
            loop {
                let least = acknowledged.load(Ordering::SeqCst);
                let found = get(&second.client, "run/t").await;
                assert_eq!(found, expected(found.len()));
                assert!(found.len() as u64 >= least, "{} of {least} rows", found.len());
                reads += 1;
                if least == 800 {
                    return reads;
                }
            }
        };
        let ((), reads) = tokio::join!(record, read);
        assert!(reads > 3, "{reads} reads");
        let chunks = files(&folder.path().join("bucket"));
        assert!(chunks.iter().filter(|name| name.ends_with(".parquet")).count() > 3, "{chunks:?}");
        put.finish().await.unwrap();
        finalized(&first.client, &key, 800).await;
        second.stop().await;
        first.stop().await;
    });
}
