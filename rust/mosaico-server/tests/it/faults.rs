//! A store that fails, is late or slow, or stalls: calls succeed or return an error, and after its recovery
//! nothing is lost, duplicated or left over.
//!
//! `MOSAICO_FAULT_SECONDS` is the time for the loop over all operations, by default 12.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::common::*;
use crate::database;
use crate::model::{Model, work};
use mosaico_server::faults::{Effect, Fault, Faults, Operation, When};
use mosaico_server::{Config, Server};
use mosaico_types::ErrorCode;
use mosaico_wire::status::ERROR_HEADER;
use serde_json::json;
use tempfile::TempDir;
use tonic::{Code, Status};

/// The time limit of an operation on the store.
const LIMIT: Duration = Duration::from_millis(400);

fn impatient(folder: &Path, faults: &Faults) -> Config {
    let mut config = config(folder);
    config.store_timeout = LIMIT;
    config.retry_pause = Duration::from_millis(10);
    // Segments of few rows, so that there is work besides the WAL.
    config.chunk_bytes = 600;
    config.faults = faults.clone();
    config
}

async fn started() -> (TempDir, Faults, TestServer) {
    let (folder, faults) = (TempDir::new().unwrap(), Faults::default());
    let server = TestServer::start(impatient(folder.path(), &faults)).await;
    (folder, faults, server)
}

fn fault(operation: impl Into<Option<Operation>>, path: &str, when: When, effect: Effect) -> Fault {
    Fault { operation: operation.into(), path: path.to_owned(), when, effect }
}

fn is_unavailable(status: &Status) -> bool {
    let code = status.metadata().get(ERROR_HEADER).and_then(|code| code.to_str().ok());
    status.code() == Code::Unavailable && code == Some(ErrorCode::StoreUnavailable.as_str())
}

#[track_caller]
fn unavailable<T: std::fmt::Debug>(result: Result<T, Status>) {
    let status = result.expect_err("the store is away");
    assert!(is_unavailable(&status), "{status:?}");
}

/// Compares the server's state with the responses: now, after a restart, and after a restart without a
/// catalog. Then removes everything that can be removed, and checks that no other files remain.
async fn check(folder: &Path, server: TestServer, faults: &Faults, model: &Model) {
    model.settle(&server.client).await;
    model.check(&server.client).await;
    server.stop().await;
    let server = TestServer::start(impatient(folder, faults)).await;
    model.check(&server.client).await;
    server.stop().await;
    database::remove(folder);
    let server = TestServer::start(impatient(folder, faults)).await;
    model.check(&server.client).await;
    model.remove_the_unlocked(&server.client).await;
    let locked = names(&server.client).await.len();
    let sequences = || files(folder).into_iter().filter(|file| file.ends_with("sequence.json")).count();
    eventually("removed sequences leave nothing", async || {
        sequences() == locked && files(folder).iter().all(|file| file.starts_with("seq/"))
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_operation_may_fail() {
    let effects = [Effect::Refuse, Effect::LoseAnswer, Effect::Stall, Effect::HoldAnswer];
    let given = std::env::var("MOSAICO_FAULT_SECONDS").ok().map(|text| text.parse().unwrap());
    let (started_at, limit) = (Instant::now(), Duration::from_secs(given.unwrap_or(12)));
    // A random start and stride: runs without the time for all operations take different ones.
    let stride = if limit > Duration::from_secs(120) { 1 } else { 11 };
    let (mut nth, mut hit) = (u64::from(std::process::id()) % stride, [0; 4]);
    let mut ended = [false; 4];
    while ended != [true; 4] && started_at.elapsed() < limit {
        for (at, effect) in effects.into_iter().enumerate().filter(|(at, _)| !ended[*at]).collect::<Vec<_>>()
        {
            let (folder, faults, server) = started().await;
            let mut model = Model::new(&format!("{effect:?} of operation {nth}"));
            faults.add(fault(None, "", When::Nth(nth), effect));
            if let Err(status) = work(&server.client, &mut model, "").await {
                assert!(is_unavailable(&status), "{}: {status:?}", model.about);
            }
            let hits = faults.lift();
            (hit[at], ended[at]) = (hit[at] + hits, hits == 0);
            check(folder.path(), server, &faults, &model).await;
        }
        nth += stride;
    }
    assert!(hit.iter().all(|&hits| hits > 0), "faults hit {hit:?} operations");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_operations_may_fail() {
    let (folder, faults, server) = started().await;
    let mut model = Model::new("random");
    for part in 0..6 {
        for effect in [Effect::Refuse, Effect::LoseAnswer, Effect::Delay(Duration::from_millis(20))] {
            faults.add(fault(None, "", When::Percent(7 + part), effect));
        }
        if let Err(status) = work(&server.client, &mut model, &format!("{part}-")).await {
            assert!(is_unavailable(&status), "{status:?}");
        }
        assert!(faults.lift() > 0);
    }
    check(folder.path(), server, &faults, &model).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_slow_is_waited_for() {
    let (folder, faults, server) = started().await;
    faults.add(fault(None, "", When::Always, Effect::Delay(Duration::from_millis(5))));
    faults.add(fault(None, "", When::Always, Effect::Bandwidth(1 << 20)));
    let mut model = Model::new("slow");
    work(&server.client, &mut model, "").await.unwrap();
    assert!(faults.lift() > 50);
    check(folder.path(), server, &faults, &model).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_right_or_errors() {
    let (_folder, faults, server) = started().await;
    let client = server.client.clone();
    let key = create_sequence(&client, "run").await;
    let topic = create_topic(&client, "run/t", &key).await;
    let times: Vec<i64> = (0..200).collect();
    put(&client, "run/t", &topic, &[rows(&times, 0)]).await.unwrap();
    act(&client, "sequence_finalize", json!({"name": "run", "key": key})).await.unwrap();
    let query = json!({"sequence": {}, "ontology": {"test.value": {"$eq": 100.0}}});
    for effect in [Effect::Refuse, Effect::Stall, Effect::LoseAnswer, Effect::HoldAnswer] {
        faults.add(fault(None, "", When::Always, effect));
        // The catalog still responds.
        assert_eq!(names(&client).await, ["run"]);
        info(&client, json!({"resource_locator": "run"})).await.unwrap();
        // The data is in the store.
        unavailable(get_window(&client, "run/t", None, None).await);
        unavailable(act(&client, "query", query.clone()).await);
        unavailable(act(&client, "layer_create", json!({"name": "l", "description": ""})).await);
        unavailable(act(&client, "sequence_create", json!({"name": "new", "user_metadata": {}})).await);
        let note = json!({"name": "run", "notify_type": "error", "msg": "m"});
        unavailable(act(&client, "sequence_notify_create", note).await);
        faults.lift();
        assert_eq!(get(&client, "run/t").await.len(), 200);
        let found = act(&client, "query", query.clone()).await.unwrap();
        assert_eq!(found["items"].as_array().unwrap().len(), 1, "{found}");
        // A read reconciles a change whose outcome is unknown.
        let layers = act(&client, "layer_list", json!({})).await.unwrap();
        match layers["layers"].as_array().unwrap().len() {
            1 => assert!(effect != Effect::LoseAnswer, "{layers}"),
            _ => drop(act(&client, "layer_delete", json!({"name": "l"})).await.unwrap()),
        }
        create_sequence(&client, "new").await;
        act(&client, "sequence_delete", json!({"name": "new"})).await.unwrap();
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_sequence_that_stalls_does_not_keep_the_others() {
    let (folder, faults, server) = started().await;
    let client = server.client.clone();
    let key = create_sequence(&client, "stalled").await;
    let id = files(folder.path())[0].split('/').nth(1).unwrap().to_owned();
    let topic = create_topic(&client, "stalled/t", &key).await;
    let mut stalled = Put::open(&client, "stalled/t", &topic, rows(&[0], 0).schema()).await;
    stalled.send(rows(&[2, 1], 0)).await;
    stalled.durable(2).await;
    faults.add(fault(Operation::Put, &id, When::Always, Effect::Stall));
    unavailable(stalled.finish().await);
    // Creations, chunks, commits and removals of other sequences continue meanwhile.
    let mut model = Model::new("beside a sequence that stalls");
    work(&client, &mut model, "").await.unwrap();
    assert_eq!(get(&client, "stalled/t").await, [(1, 1), (2, 0)], "readable from the log");
    let answer =
        act(&client, "event_list", json!({"kinds": ["task_failed"], "wait_ms": 5000})).await.unwrap();
    assert_eq!(answer["events"][0]["sequence"], "stalled", "{answer}");
    assert!(faults.lift() > 0);
    put(&client, "stalled/t", &topic, &[rows(&[3], 2)]).await.unwrap();
    act(&client, "sequence_finalize", json!({"name": "stalled", "key": key})).await.unwrap();
    assert_eq!(get(&client, "stalled/t").await, [(1, 1), (2, 0), (3, 2)]);
    let found = act(&client, "topic_notify_list", json!({"name": "stalled/t"})).await.unwrap();
    assert!(found["notifies"].as_array().unwrap().len() <= 1, "{found}");
    check(folder.path(), server, &faults, &model).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_comes_late_changes_nothing_behind_the_back() {
    let (folder, faults, server) = started().await;
    let client = server.client.clone();
    faults.add(fault(Operation::Put, "sequence.json", When::Nth(0), Effect::Stall));
    let create = json!({"name": "run", "user_metadata": {}});
    unavailable(act(&client, "sequence_create", create.clone()).await);
    // While it is unknown whether the sequence exists, its name cannot be reused; other names can.
    unavailable(act(&client, "sequence_create", create.clone()).await);
    create_sequence(&client, "other").await;
    assert_eq!(faults.lift(), 1);
    act(&client, "sequence_create", create).await.unwrap();
    server.stop().await;
    let records = files(folder.path());
    assert_eq!(records.iter().filter(|file| file.ends_with("sequence.json")).count(), 2, "{records:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_on_a_store_that_is_away_says_so() {
    let (folder, faults, server) = started().await;
    let mut model = Model::new("start");
    work(&server.client, &mut model, "").await.unwrap();
    server.stop().await;
    for effect in [Effect::Refuse, Effect::Stall] {
        faults.add(fault(None, "", When::Always, effect));
        let error = Server::open(impatient(folder.path(), &faults)).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::StoreUnavailable, "{error}");
        faults.lift();
    }
    // The next start restarts an interrupted rebuild from the beginning.
    let mut nth = 0;
    loop {
        database::remove(folder.path());
        faults.add(fault(None, "", When::Nth(nth), Effect::Refuse));
        let opened = Server::open(impatient(folder.path(), &faults)).await;
        if faults.hits() == 0 {
            opened.unwrap().shutdown().await;
            break;
        }
        match opened {
            Ok(server) => server.shutdown().await,
            Err(error) => assert_eq!(error.code(), ErrorCode::StoreUnavailable, "{error}"),
        }
        faults.lift();
        let server = TestServer::start(impatient(folder.path(), &faults)).await;
        model.check(&server.client).await;
        server.stop().await;
        nth += 5;
    }
    faults.lift();
    let server = TestServer::start(impatient(folder.path(), &faults)).await;
    check(folder.path(), server, &faults, &model).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_chunks_are_searched_at_once() {
    let (folder, faults, server) = started().await;
    let client = server.client.clone();
    for number in 0..6 {
        let (name, topic) = (format!("run{number}"), format!("run{number}/t"));
        let key = create_sequence(&client, &name).await;
        let topic_key = create_topic(&client, &topic, &key).await;
        put(&client, &topic, &topic_key, &[rows(&[1, 2], 0)]).await.unwrap();
        act(&client, "sequence_finalize", json!({"name": name, "key": key})).await.unwrap();
    }
    server.stop().await;
    // A new server has no cached chunk.
    let mut config = impatient(folder.path(), &faults);
    config.store_timeout = Duration::from_secs(30);
    config.query_jobs = 4;
    let server = TestServer::start(config).await;
    faults.add(fault(Operation::Get, ".parquet", When::Always, Effect::Stall));
    let client = server.client.clone();
    let ask = async move {
        act(&client, "query", json!({"ontology": {"test.value": {"$between": [0.25, 0.75]}}})).await
    };
    let asked = tokio::spawn(ask);
    eventually("four chunks are read at once", async || faults.hits() == 4).await;
    assert_eq!(faults.lift(), 4);
    assert_eq!(asked.await.unwrap().unwrap()["items"], json!([]));
    server.stop().await;
}
