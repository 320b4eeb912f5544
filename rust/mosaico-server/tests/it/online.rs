//! A running server rebuilds its catalog while clients read and write.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::answers::{about, assert_same};
use crate::common::*;
use crate::database;
use arrow_flight::Action;
use mosaico_admin::{CheckOptions, ClientFiles, Maintenance};
use mosaico_server::Config;
use serde_json::{Value, json};
use tempfile::TempDir;

const WRITERS: usize = 4;

fn settings(folder: &TempDir) -> Config {
    let mut config = config(folder.path());
    // Produces chunks continuously.
    config.chunk_bytes = 1000;
    config
}

/// Records a finalized sequence with one topic.
async fn record(client: &Client, name: &str) {
    let key = create_sequence(client, name).await;
    let topic = create_topic(client, &format!("{name}/t"), &key).await;
    let batches = [rows(&[3, 1, 2], 0), rows(&[5, 4], 3)];
    put(client, &format!("{name}/t"), &topic, &batches).await.unwrap();
    act(client, "sequence_finalize", json!({"name": name, "key": key})).await.unwrap();
    let notice = json!({"name": name, "notify_type": "error", "msg": "m"});
    act(client, "sequence_notify_create", notice).await.unwrap();
}

/// Makes the server rebuild its catalog; returns its report.
pub(crate) async fn rebuild(client: &Client) -> Value {
    let action = Action { r#type: "catalog_rebuild".into(), body: "{}".into() };
    let mut steps = client.clone().do_action(action).await.unwrap().into_inner();
    let mut last = Value::Null;
    while let Some(step) = steps.message().await.unwrap() {
        assert!(last["rebuilt"].is_null(), "the report is the last");
        last = serde_json::from_slice::<Value>(&step.body).unwrap()["response"].take();
    }
    last["rebuilt"].take()
}

/// Records rows and reads them back, in a loop.
async fn write(client: &Client, name: &str) {
    for round in 0..3 {
        let name = format!("{name}-{round}");
        let key = create_sequence(client, &name).await;
        for topic in ["a", "b"] {
            let locator = format!("{name}/{topic}");
            let topic_key = create_topic(client, &locator, &key).await;
            let mut put = Put::open(client, &locator, &topic_key, rows(&[0], 0).schema()).await;
            let mut sent = Vec::new();
            for _ in 0..12 {
                let first = sent.len();
                let times: Vec<i64> = (first as i64..first as i64 + 70).collect();
                sent.extend(times.iter().map(|&time| (time, time)));
                put.send(rows(&times, first)).await;
                put.durable(sent.len() as u64).await;
                assert_eq!(get(client, &locator).await, sent, "{locator}");
            }
            put.finish().await.unwrap();
            assert_eq!(get(client, &locator).await, sent, "{locator}");
        }
        act(client, "sequence_finalize", json!({"name": name, "key": key})).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_and_writers_do_not_notice() {
    let folder = TempDir::new().unwrap();
    let server = TestServer::start(settings(&folder)).await;
    let client = server.client.clone();
    let kept: Vec<String> = (0..3).map(|number| format!("kept-{number}")).collect();
    let damaged = ["lost", "bent", "renamed"].map(str::to_owned);
    let sequences: Vec<String> = kept.iter().chain(&damaged).cloned().collect();
    for name in &sequences {
        record(&client, name).await;
    }
    let locators = |of: &[String]| of.iter().map(|name| format!("{name}/t")).collect::<Vec<_>>();
    let key = create_sequence(&client, "open").await;
    let topic = create_topic(&client, "open/t", &key).await;
    let mut open = Put::open(&client, "open/t", &topic, rows(&[0], 0).schema()).await;
    open.send(rows(&[1, 2], 0)).await;
    open.durable(2).await;
    let expected = about(&client, &sequences, &locators(&sequences)).await;
    let undamaged = about(&client, &kept, &locators(&kept)).await;

    let bent = "(SELECT t.id FROM topic t JOIN sequence s ON s.id = t.sequence_id WHERE s.name = 'bent')";
    let damage = format!(
        "DELETE FROM chunk WHERE topic_id IN {bent}; \
         UPDATE topic SET user_metadata = 'no JSON', row_count = 77 WHERE id IN {bent}; \
         UPDATE sequence SET name = 'other', created_ns = 7 WHERE name = 'renamed'; \
         DELETE FROM sequence WHERE name = 'lost'; \
         INSERT INTO sequence (id, name, key, user_metadata, created_ns) \
         VALUES ('01ARZ3NDEKTSV4RRFFQ6000000', 'ghost', 'k', '{{}}', 1)"
    );
    database::sql(folder.path(), &damage).await;

    let done = Arc::new(AtomicBool::new(false));
    let reader = {
        let (client, done, topics) = (client.clone(), Arc::clone(&done), locators(&kept));
        tokio::spawn(async move {
            while !done.load(Ordering::Relaxed) {
                assert_same(&about(&client, &kept, &topics).await, &undamaged);
                assert_eq!(get(&client, "open/t").await, [(1, 0), (2, 1)]);
                let listed = names(&client).await;
                assert!(kept.iter().all(|name| listed.contains(name)), "{listed:?}");
            }
        })
    };
    let writers: Vec<_> = (0..WRITERS)
        .map(|number| {
            let client = client.clone();
            tokio::spawn(async move { write(&client, &format!("writer-{number}")).await })
        })
        .collect();
    let mut reports = Vec::new();
    while reports.len() < 2 || writers.iter().any(|writer| !writer.is_finished()) {
        reports.push(rebuild(&client).await);
    }
    done.store(true, Ordering::Relaxed);
    for work in writers.into_iter().chain([reader]) {
        work.await.unwrap();
    }
    let counts = |report: &Value| (report["taken_out"].as_u64(), report["problems"].clone());
    assert_eq!(counts(&reports[0]), (Some(1), json!([])));
    assert!(reports[1..].iter().all(|report| counts(report) == (Some(0), json!([]))), "{reports:?}");

    assert_same(&about(&client, &sequences, &locators(&sequences)).await, &expected);
    let listed = names(&client).await;
    assert_eq!(listed.len(), sequences.len() + 1 + 3 * WRITERS, "{listed:?}");
    open.send(rows(&[3], 2)).await;
    open.finish().await.unwrap();
    act(&client, "sequence_finalize", json!({"name": "open", "key": key})).await.unwrap();
    assert_eq!(get(&client, "open/t").await, [(1, 0), (2, 1), (3, 2)]);
    drop(client);
    server.stop().await;
    let store = Maintenance::open(settings(&folder)).await.unwrap();
    assert_eq!(store.check(CheckOptions::default(), &|_| ()).await.unwrap().problems, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_or_has_a_name_that_is_taken_stays_as_it_is() {
    let folder = TempDir::new().unwrap();
    let server = TestServer::start(settings(&folder)).await;
    let client = server.client.clone();
    for name in ["damaged", "lost"] {
        record(&client, name).await;
    }
    let names_of = ["damaged".to_owned()];
    let expected = about(&client, &names_of, &["damaged/t".to_owned()]).await;
    database::sql(folder.path(), "DELETE FROM sequence WHERE name = 'lost'").await;
    create_sequence(&client, "lost").await;
    let record = files(folder.path()).into_iter().find(|file| {
        let path = folder.path().join(file);
        file.ends_with("sequence.json") && std::fs::read_to_string(path).unwrap().contains("damaged")
    });
    let record = folder.path().join(record.unwrap());
    let whole = std::fs::read(&record).unwrap();
    std::fs::write(&record, b"{}").unwrap();

    let report = rebuild(&client).await;
    let problems = report["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 2, "{report}");
    assert_same(&about(&client, &names_of, &["damaged/t".to_owned()]).await, &expected);
    let info = act(&client, "sequence_system_info", json!({"name": "lost"})).await.unwrap();
    assert_eq!(info["is_locked"], false, "the one that has the name keeps it");

    std::fs::write(&record, whole).unwrap();
    act(&client, "sequence_delete", json!({"name": "lost"})).await.unwrap();
    assert_eq!(rebuild(&client).await["problems"], json!([]));
    let info = act(&client, "sequence_system_info", json!({"name": "lost"})).await.unwrap();
    assert_eq!(info["is_locked"], true);
    drop(client);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_that_has_the_store_rebuilds_it() {
    let folder = TempDir::new().unwrap();
    let server = TestServer::start(settings(&folder)).await;
    for name in ["a", "b"] {
        record(&server.client, name).await;
    }
    let steps = parking_lot::Mutex::new(Vec::new());
    let rebuilt =
        mosaico_admin::rebuild(settings(&folder), &ClientFiles::default(), &|step| steps.lock().push(step))
            .await
            .unwrap();
    assert_eq!((rebuilt.sequences, rebuilt.topics, rebuilt.problems), (2, 2, Vec::new()));
    assert!(!steps.lock().is_empty());
    assert_eq!(names(&server.client).await, ["a", "b"]);
    server.stop().await;
    let rebuilt = mosaico_admin::rebuild(settings(&folder), &ClientFiles::default(), &|_| ()).await.unwrap();
    assert_eq!((rebuilt.sequences, rebuilt.topics), (2, 2));

    // `mosaico_admin` cannot send a rebuild request to a server that does not listen.
    let server = mosaico_server::Server::open(settings(&folder)).await.unwrap();
    let refused =
        mosaico_admin::rebuild(settings(&folder), &ClientFiles::default(), &|_| ()).await.unwrap_err();
    assert!(refused.to_string().contains("in use by another server"), "{refused}");
    let rebuilt = tokio::time::timeout(Duration::from_secs(60), server.rebuild(&|_| ())).await.unwrap();
    assert_eq!(rebuilt.unwrap().topics, 2);
    server.shutdown().await;
}
