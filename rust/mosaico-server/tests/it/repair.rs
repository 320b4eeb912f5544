//! Failures in the middle of a change while the server keeps running: no change stays incomplete.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::common::*;
use crate::database;
use mosaico_admin::Maintenance;
use mosaico_server::ManualClock;
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::Code;

async fn started() -> (TempDir, TestServer) {
    let folder = TempDir::new().unwrap();
    let mut config = config(folder.path());
    config.retry_pause = Duration::from_millis(20);
    let server = TestServer::start(config).await;
    (folder, server)
}

/// Makes the store fail all writes.
fn break_store(folder: &Path) {
    fs::rename(folder.join("tmp"), folder.join("tmp-away")).unwrap();
}

fn restore_store(folder: &Path) {
    fs::rename(folder.join("tmp-away"), folder.join("tmp")).unwrap();
}

fn new_topic(locator: &str, key: &str) -> Value {
    json!({"name": locator, "sequence_key": key, "serialization_format": "default", "ontology_tag": "t",
           "user_metadata": {}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_creation_leaves_nothing() {
    let (folder, server) = started().await;
    let client = server.client.clone();
    let create = json!({"name": "run", "user_metadata": {}});
    database::refuse(folder.path(), "INSERT ON sequence").await;
    refused(act(&client, "sequence_create", create.clone()).await, Code::Internal);
    assert!(names(&client).await.is_empty());
    // Background work cleans up without any request.
    eventually("the folder is gone", async || files(folder.path()).is_empty()).await;
    refused(act(&client, "sequence_create", create.clone()).await, Code::Internal);
    database::accept(folder.path()).await;
    act(&client, "sequence_create", create).await.unwrap();
    assert_eq!(names(&client).await, ["run"]);
    assert_eq!(files(folder.path()).len(), 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_creation_of_a_topic_leaves_nothing() {
    let (folder, server) = started().await;
    let client = server.client.clone();
    let key = create_sequence(&client, "run").await;
    database::refuse(folder.path(), "INSERT ON topic").await;
    refused(act(&client, "topic_create", new_topic("run/t", &key)).await, Code::Internal);
    database::accept(folder.path()).await;
    let topic = create_topic(&client, "run/t", &key).await;
    put(&client, "run/t", &topic, &[rows(&[1], 1)]).await.unwrap();
    act(&client, "sequence_finalize", json!({"name": "run", "key": key})).await.unwrap();
    assert_eq!(get(&client, "run/t").await, [(1, 1)]);
    let folders = files(folder.path());
    assert_eq!(folders.iter().filter(|file| file.ends_with("topic.json")).count(), 1, "{folders:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_store_says_holds() {
    let (folder, server) = started().await;
    let client = server.client.clone();
    let key = create_sequence(&client, "run").await;
    let finalize = json!({"name": "run", "key": key});
    database::refuse(folder.path(), "UPDATE OF finalized_ns ON sequence").await;
    refused(act(&client, "sequence_finalize", finalize).await, Code::Internal);
    database::accept(folder.path()).await;
    refused(act(&client, "sequence_delete", json!({"name": "run"})).await, Code::FailedPrecondition);
    let found = act(&client, "sequence_system_info", json!({"name": "run"})).await.unwrap();
    assert_eq!(found["is_locked"], true);

    create_sequence(&client, "gone").await;
    database::refuse(folder.path(), "UPDATE OF deleting ON sequence").await;
    refused(act(&client, "sequence_delete", json!({"name": "gone"})).await, Code::Internal);
    assert_eq!(names(&client).await, ["run", "gone"], "whole, as long as it is there");
    database::accept(folder.path()).await;
    eventually("the removal is finished", async || names(&client).await == ["run"]).await;
    eventually("its files are gone", async || files(folder.path()).len() == 2).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_that_cannot_finish_is_finished_later() {
    let (folder, server) = started().await;
    let client = server.client.clone();
    create_sequence(&client, "run").await;
    database::refuse(folder.path(), "DELETE ON sequence").await;
    act(&client, "sequence_delete", json!({"name": "run"})).await.unwrap();
    assert!(names(&client).await.is_empty());
    let create = json!({"name": "run", "user_metadata": {}});
    refused(act(&client, "sequence_create", create.clone()).await, Code::Internal);
    let failed = json!({"kinds": ["task_failed"], "wait_ms": 5000});
    let failed = act(&client, "event_list", failed).await.unwrap();
    assert_eq!(failed["events"][0]["detail"]["task"], "remove", "{failed}");
    database::accept(folder.path()).await;
    act(&client, "sequence_create", create).await.unwrap();
    assert_eq!(names(&client).await, ["run"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_for_a_while() {
    let (folder, server) = started().await;
    let client = server.client.clone();
    let key = create_sequence(&client, "run").await;
    break_store(folder.path());
    refused(act(&client, "topic_create", new_topic("run/t", &key)).await, Code::Internal);
    let create = json!({"name": "other", "user_metadata": {}});
    refused(act(&client, "sequence_create", create.clone()).await, Code::Internal);
    restore_store(folder.path());
    act(&client, "sequence_create", create).await.unwrap();
    create_topic(&client, "run/t", &key).await;
    assert_eq!(names(&client).await, ["run", "other"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_chunk_is_retried_and_the_failure_is_reported() {
    let (folder, server) = started().await;
    let client = server.client.clone();
    let key = create_sequence(&client, "run").await;
    let topic = create_topic(&client, "run/t", &key).await;
    let mut writer = Put::open(&client, "run/t", &topic, rows(&[0], 0).schema()).await;
    writer.send(rows(&[2, 1], 0)).await;
    writer.durable(2).await;
    break_store(folder.path());
    assert_eq!(writer.finish().await.unwrap_err().code(), Code::Internal);
    assert_eq!(get(&client, "run/t").await, [(1, 1), (2, 0)], "readable from the log");
    restore_store(folder.path());
    let chunks = async || {
        let found = act(&client, "topic_system_info", json!({"name": "run/t"})).await.unwrap();
        found["chunks_number"].as_u64().unwrap()
    };
    eventually("the chunk is there", async || chunks().await == 1).await;
    assert_eq!(get(&client, "run/t").await, [(1, 1), (2, 0)]);
    // The store was broken when the job failed first: the event is recorded as soon as that is possible, or
    // was not needed.
    let found = act(&client, "event_list", json!({"kinds": ["chunk_stored"]})).await.unwrap();
    assert_eq!(found["events"].as_array().unwrap().len(), 1, "{found}");
    put(&client, "run/t", &topic, &[rows(&[3], 3)]).await.unwrap();
    act(&client, "sequence_finalize", json!({"name": "run", "key": key})).await.unwrap();
    assert_eq!(get(&client, "run/t").await, [(1, 1), (2, 0), (3, 3)]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_task_is_notified_once() {
    let (folder, server) = started().await;
    let client = server.client.clone();
    let key = create_sequence(&client, "run").await;
    let topic = create_topic(&client, "run/t", &key).await;
    let mut writer = Put::open(&client, "run/t", &topic, rows(&[0], 0).schema()).await;
    writer.send(rows(&[1], 1)).await;
    writer.durable(1).await;
    database::refuse(folder.path(), "INSERT ON chunk").await;
    assert_eq!(writer.finish().await.unwrap_err().code(), Code::Internal);
    let failed = json!({"kinds": ["task_failed"], "wait_ms": 5000});
    let failed = act(&client, "event_list", failed).await.unwrap();
    let event = &failed["events"][0];
    assert_eq!((&event["sequence"], &event["topic"]), (&json!("run"), &json!("t")), "{failed}");
    assert_eq!(event["detail"]["task"], "chunk");
    tokio::time::sleep(Duration::from_millis(300)).await;
    database::accept(folder.path()).await;
    put(&client, "run/t", &topic, &[rows(&[2], 2)]).await.unwrap();
    let found = act(&client, "topic_notify_list", json!({"name": "run/t"})).await.unwrap();
    let found = found["notifies"].as_array().unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0]["msg"].as_str().unwrap().contains("tried again"), "{found:?}");
    assert_eq!(get(&client, "run/t").await, [(1, 1), (2, 2)]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orphans_are_removed_and_nothing_else_is() {
    let folder = TempDir::new().unwrap();
    let server = TestServer::start(config(folder.path())).await;
    let client = server.client.clone();
    for name in ["done", "open"] {
        let key = create_sequence(&client, name).await;
        let topic = create_topic(&client, &format!("{name}/t"), &key).await;
        put(&client, &format!("{name}/t"), &topic, &[rows(&[1], 1)]).await.unwrap();
        create_topic(&client, &format!("{name}/never-written"), &key).await;
    }
    server.stop().await;
    let before = files(folder.path());
    let topic_folder = before.iter().find(|file| file.ends_with("commit.json")).unwrap();
    let topic_folder = folder.path().join(topic_folder).parent().unwrap().to_owned();
    let id = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    let orphans = [
        topic_folder.join("chunk-00000-0000007.parquet"),
        topic_folder.join("chunk-00000-0000008.json"),
        topic_folder.parent().unwrap().join(id).join("chunk-00000-0000000.parquet"),
        folder.path().join("seq").join(id).join("topic").join(id).join("topic.json"),
    ];
    let foreign = [topic_folder.join("notes.txt"), folder.path().join("seq/readme/of-a-user.json")];
    for file in orphans.iter().chain(&foreign) {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "x").unwrap();
    }
    // Readable records; garbage collection keeps damaged ones for inspection.
    fs::copy(topic_folder.join("chunk-00000-0000000.json"), &orphans[1]).unwrap();
    fs::copy(topic_folder.join("topic.json"), &orphans[3]).unwrap();
    let mut config = config(folder.path());
    let clock = Arc::new(ManualClock::default());
    (config.clock, config.writer_timeout) = (Arc::<ManualClock>::clone(&clock), None);
    let grace = config.orphan_grace;
    let server = TestServer::start(config).await;
    eventually("orphans are gone", async || {
        clock.advance(grace);
        orphans.iter().all(|file| !file.exists())
    })
    .await;
    assert!(foreign.iter().all(|file| file.exists()), "what others put there stays");
    for name in ["done/t", "open/t"] {
        assert_eq!(get(&server.client, name).await, [(1, 1)]);
    }
    for file in foreign {
        fs::remove_file(file).unwrap();
    }
    assert_eq!(files(folder.path()), before);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_keeps_what_the_catalog_names_and_the_records_do_not() {
    let folder = TempDir::new().unwrap();
    let mut config = config(folder.path());
    config.chunk_bytes = 1;
    let server = TestServer::start(config.clone()).await;
    let key = create_sequence(&server.client, "run").await;
    let topic = create_topic(&server.client, "run/t", &key).await;
    let mut writer = Put::open(&server.client, "run/t", &topic, rows(&[0], 0).schema()).await;
    writer.send(rows(&[1], 1)).await;
    writer.durable(1).await;
    let record =
        async || files(folder.path()).into_iter().find(|file| file.ends_with("chunk-00000-0000000.json"));
    eventually("the chunk is recorded", async || record().await.is_some()).await;
    let record = folder.path().join(record().await.unwrap());
    server.stop().await;
    // No row waits in the WAL, which would keep the file too.
    fs::remove_dir_all(folder.path().join("wal")).unwrap();
    fs::remove_file(&record).unwrap();
    let chunk = record.with_extension("parquet");
    let collect = async || {
        let store = Maintenance::open(config.clone()).await.unwrap();
        store.gc(Duration::ZERO, false, &|_| ()).await.unwrap().files
    };
    assert_eq!(collect().await, 0);
    assert!(chunk.exists(), "the catalog names it: a start reconciles the two first");
    database::remove(folder.path());
    assert_eq!(collect().await, 1);
    assert!(!chunk.exists());
}

/// What a jump of the wall clock does to the files of a store.
fn write_long_ago(file: &Path) {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, "x").unwrap();
    fs::File::options().write(true).open(file).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_only_look_old_stay() {
    let folder = TempDir::new().unwrap();
    let mut config = config(folder.path());
    let clock = Arc::new(ManualClock::default());
    config.clock = Arc::<ManualClock>::clone(&clock);
    let grace = config.orphan_grace;
    let server = TestServer::start(config).await;
    let key = create_sequence(&server.client, "run").await;
    let topic = create_topic(&server.client, "run/t", &key).await;
    put(&server.client, "run/t", &topic, &[rows(&[1], 1)]).await.unwrap();
    let known = files(folder.path());
    let topic_folder = folder.path().join(known.iter().find(|file| file.ends_with("commit.json")).unwrap());
    let orphan = |index: u32| topic_folder.with_file_name(format!("chunk-00000-{index:07}.parquet"));
    let (late, early) = (orphan(8), orphan(7));
    write_long_ago(&early);
    // A pass ends with the staging files that belong to no process.
    let last = folder.path().join("tmp/of-nobody");
    let pass = async |by: Duration, file: &Path| {
        fs::write(&last, "x").unwrap();
        clock.advance(by);
        eventually("a pass has ended", async || !last.exists()).await;
        file.exists()
    };
    assert!(pass(Duration::from_secs(60), &early).await, "the first pass only notes it");
    write_long_ago(&late);
    assert!(!pass(grace, &early).await, "the second pass removes it");
    assert!(late.exists(), "the second pass only notes the one that appeared meanwhile");
    assert!(!pass(grace, &late).await);
    server.stop().await;
}
