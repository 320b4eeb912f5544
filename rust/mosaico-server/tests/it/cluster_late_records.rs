//! The record of a chunk reaches the bucket after its writer resumed at another daemon: no path reads its rows, since
//! the writer sent them again. These tests always need a Postgres.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cluster::{finalized, from, member, resume, started};
use crate::common::*;
use crate::database;
use crate::replicated_wal::*;
use mosaico_admin::{CheckOptions, Maintenance};
use mosaico_server::{Config, WalPlacement};
use mosaico_storage::format::record;
use mosaico_storage::format::records::ChunkRecord;
use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// The record of the first chunk, with all rows that the first daemon received.
fn late_record(folder: &Path, rows: u64) -> PathBuf {
    let bucket = folder.join("bucket");
    let epoch = files(&bucket).into_iter().find(|name| name.ends_with("epoch-00001.json")).unwrap();
    let path = bucket.join(epoch).with_file_name("chunk-00000-0000000.json");
    let record = ChunkRecord {
        epoch: 0,
        index: 0,
        row_start: 0,
        rows,
        bytes: 100,
        data_bytes: 100,
        ts_min: 0,
        ts_max: rows.cast_signed(),
        crc32: 0,
        columns: Vec::new(),
    };
    fs::write(&path, record::write(&record).unwrap()).unwrap();
    fs::write(path.with_extension("parquet"), [0; 100]).unwrap();
    path
}

/// Resumes a put of which the writer knows 9 rows, and leaves it open after 15.
async fn record_on(client: &Client, topic: &str) {
    let body = json!({"resource_locator": "run/t", "key": topic, "resume": 1, "acknowledged": 9});
    let command = arrow_flight::FlightDescriptor::new_cmd(body.to_string());
    let mut put = Put::describe(client, command, rows(&[0], 0).schema()).await;
    put.durable(9).await;
    put.send(numbered(9..15)).await;
    put.durable(15).await;
    std::mem::forget(put);
}

/// A store that no daemon uses, after those of before are dead.
fn maintained<T>(config: Config, folder: &TempDir, work: impl AsyncFnOnce(&Maintenance) -> T) -> T {
    let url = database::postgres().unwrap();
    let dead = "UPDATE daemon SET seen_at = '-infinity'";
    Runtime::new().unwrap().block_on(async {
        database::postgres_sql(&url, folder.path(), dead).await;
        work(&Maintenance::open(config).await.unwrap()).await
    })
}

#[test]
fn a_late_record_of_a_lost_daemon_does_not_count() {
    let Some((folder, faults)) = started() else { return };
    let (key, topic) =
        crash_after(member(folder.path(), &faults, "a"), async |client| begin_recording(client, 12).await);
    fs::remove_dir_all(folder.path().join("a")).unwrap();
    crash_after(member(folder.path(), &faults, "b"), async |client| record_on(client, &topic).await);
    let late = late_record(folder.path(), 12);
    faults.lift();
    let config = Config { orphan_grace: Duration::ZERO, ..member(folder.path(), &faults, "b") };
    let found = maintained(config.clone(), &folder, async |store| {
        store.rebuild(&|_| ()).await.unwrap();
        store.check(CheckOptions::default(), &|_| ()).await.unwrap()
    });
    assert_eq!((found.rows, found.problems.as_slice()), (0, &[][..]), "{found:?}");
    with_server(config.clone(), async |client| {
        resume(client, &topic, 15, from(20)).await.unwrap();
        finalized(client, &key, 20).await;
    });
    maintained(config, &folder, async |store| {
        store.rebuild(&|_| ()).await.unwrap();
        store.gc(Duration::ZERO, false, &|_| ()).await.unwrap();
        let found =
            store.check(CheckOptions { deep: true, ..CheckOptions::default() }, &|_| ()).await.unwrap();
        assert_eq!((found.rows, found.problems.as_slice(), found.orphans), (20, &[][..], 0), "{found:?}");
    });
    assert!(!late.exists() && !late.with_extension("parquet").exists());
}

#[test]
fn a_lost_daemon_drops_its_wal_of_a_committed_topic() {
    let Some((folder, faults)) = started() else { return };
    let (key, topic) =
        crash_after(member(folder.path(), &faults, "a"), async |client| begin_recording(client, 12).await);
    faults.lift();
    with_server(member(folder.path(), &faults, "b"), async |client| {
        resume(client, &topic, 9, from(20)).await.unwrap();
        finalized(client, &key, 20).await;
    });
    // A rebuilt catalog does not know which daemon received which rows of a committed topic.
    maintained(member(folder.path(), &faults, "b"), &folder, async |store| {
        store.rebuild(&|_| ()).await.unwrap();
    });
    with_server(member(folder.path(), &faults, "a"), async |client| {
        assert_eq!(get(client, "run/t").await, expected(20));
        eventually("it drops its rows", async || {
            let left = files(&folder.path().join("a/wal"));
            !left.iter().any(|name| name.ends_with(".wal"))
        })
        .await;
        assert_eq!(get(client, "run/t").await, expected(20));
    });
}

#[test]
fn a_daemon_replaces_its_own_late_record() {
    let Some((folder, faults)) = started() else { return };
    let on_disk = |name| Config { wal: WalPlacement::Disk, ..member(folder.path(), &faults, name) };
    let (key, topic) = crash_after(on_disk("a"), async |client| begin_recording(client, 12).await);
    crash_after(on_disk("b"), async |client| record_on(client, &topic).await);
    late_record(folder.path(), 12);
    faults.lift();
    with_server(on_disk("a"), async |client| {
        let left = || files(&folder.path().join("a/wal")).iter().any(|name| name.ends_with(".wal"));
        eventually("it stores the rows that count", async || !left()).await;
        assert!(get(client, "run/t").await.len() >= 9);
    });
    with_server(on_disk("b"), async |client| {
        resume(client, &topic, 15, from(20)).await.unwrap();
        let body = json!({"name": "run", "key": key});
        eventually("it is complete", async || act(client, "sequence_finalize", body.clone()).await.is_ok())
            .await;
        assert_eq!(get(client, "run/t").await, expected(20));
    });
    maintained(on_disk("b"), &folder, async |store| {
        store.rebuild(&|_| ()).await.unwrap();
        let found =
            store.check(CheckOptions { deep: true, ..CheckOptions::default() }, &|_| ()).await.unwrap();
        assert_eq!((found.rows, found.problems.as_slice()), (20, &[][..]), "{found:?}");
    });
}
