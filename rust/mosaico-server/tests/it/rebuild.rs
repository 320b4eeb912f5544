//! After any history of a store, without its catalog or with an earlier one, a server gives the same
//! responses.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::answers::{Answers, about, assert_same, overall};
use crate::common::*;
use crate::database;
use mosaico_admin::Maintenance;
use mosaico_server::Config;
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// One call of a client; numbers select among the existing resources.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    CreateSequence,
    CreateTopic(usize),
    Put { topic: usize, rows: usize, finish: bool },
    Finalize(usize),
    End(usize),
    Notify(usize),
    NotifyTopic(usize),
    Purge(usize),
    DeleteSequence(usize),
    DeleteTopic(usize),
    Layer,
}

fn step() -> impl Strategy<Value = Step> {
    let any = || any::<usize>();
    prop_oneof![
        3 => Just(Step::CreateSequence),
        5 => any().prop_map(Step::CreateTopic),
        8 => (any(), 1usize..60, prop::bool::weighted(0.8))
            .prop_map(|(topic, rows, finish)| Step::Put { topic, rows, finish }),
        3 => any().prop_map(Step::Finalize),
        1 => any().prop_map(Step::End),
        2 => any().prop_map(Step::Notify),
        2 => any().prop_map(Step::NotifyTopic),
        1 => any().prop_map(Step::Purge),
        1 => any().prop_map(Step::DeleteSequence),
        1 => any().prop_map(Step::DeleteTopic),
        1 => Just(Step::Layer),
    ]
}

/// The client's knowledge.
#[derive(Debug, Default)]
pub(crate) struct Known {
    made: usize,
    /// Name and key.
    pub(crate) sequences: Vec<(String, String)>,
    /// Locator and key.
    topics: Vec<(String, String)>,
}

fn pick(list: &[(String, String)], number: usize) -> Option<(String, String)> {
    (!list.is_empty()).then(|| list[number % list.len()].clone())
}

impl Known {
    /// Refused calls are part of the history.
    pub(crate) async fn make(&mut self, client: &Client, step: &Step) -> Option<()> {
        self.made += 1;
        let number = self.made;
        let key = |answer: Value| answer["key"].as_str().map(str::to_owned);
        match *step {
            Step::CreateSequence => {
                let name = format!("run-{number}");
                let metadata = json!({"number": number, "zero": "a\u{0}b", "list": [1, null]});
                let body = json!({"name": name, "user_metadata": metadata});
                self.sequences.push((name, key(act(client, "sequence_create", body).await.ok()?)?));
            }
            Step::CreateTopic(at) => {
                let (sequence, sequence_key) = pick(&self.sequences, at)?;
                let name = format!("{sequence}/deep/t{number}");
                let body = json!({"name": name, "sequence_key": sequence_key, "serialization_format": "ragged",
                                  "ontology_tag": format!("tag-{}", number % 3), "user_metadata": {"n": number}});
                self.topics.push((name, key(act(client, "topic_create", body).await.ok()?)?));
            }
            Step::Put { topic, rows: count, finish } => {
                let (locator, key) = pick(&self.topics, topic)?;
                let times: Vec<i64> = (0..count).map(|row| (row * 37 % 101) as i64).collect();
                let mut put = Put::open(client, &locator, &key, rows(&[0], 0).schema()).await;
                put.send(rows(&times, number)).await;
                if finish {
                    drop(put.finish().await);
                } else {
                    // A crash or the server's shutdown interrupts it.
                    std::mem::forget(put);
                }
            }
            Step::Finalize(at) => {
                let (name, key) = pick(&self.sequences, at)?;
                drop(act(client, "sequence_finalize", json!({"name": name, "key": key})).await);
            }
            Step::End(at) => {
                let (name, key) = pick(&self.sequences, at)?;
                drop(act(client, "sequence_end", json!({"name": name, "key": key})).await);
            }
            Step::Notify(at) => {
                let (name, _) = pick(&self.sequences, at)?;
                let body = json!({"name": name, "notify_type": "error", "msg": format!("m{number}")});
                drop(act(client, "sequence_notify_create", body).await);
            }
            Step::NotifyTopic(at) => {
                let (name, _) = pick(&self.topics, at)?;
                let body = json!({"name": name, "notify_type": "error", "msg": format!("m{number}")});
                drop(act(client, "topic_notify_create", body).await);
            }
            Step::Purge(at) => {
                let (name, _) = pick(&self.sequences, at)?;
                drop(act(client, "sequence_notify_purge", json!({"name": name})).await);
            }
            Step::DeleteSequence(at) => {
                let (name, _) = pick(&self.sequences, at)?;
                drop(act(client, "sequence_delete", json!({"name": name})).await);
            }
            Step::DeleteTopic(at) => {
                let (name, _) = pick(&self.topics, at)?;
                drop(act(client, "topic_delete", json!({"name": name})).await);
            }
            Step::Layer => {
                let body = json!({"name": format!("layer-{number}"), "description": "d"});
                drop(act(client, "layer_create", body).await);
            }
        }
        Some(())
    }
}

pub(crate) fn settings(folder: &Path) -> Config {
    let mut config = config(folder);
    // Chunks of few rows, so that there are several.
    config.chunk_bytes = 300;
    config.shutdown_grace = Duration::from_millis(10);
    config
}

/// Runs a server from its start to its shutdown, or to a crash.
pub(crate) fn live<T>(folder: &Path, crash: bool, work: impl AsyncFnOnce(&Client) -> T) -> T {
    let runtime = Runtime::new().unwrap();
    let result = runtime.block_on(async {
        let server = TestServer::start(settings(folder)).await;
        let result = work(&server.client).await;
        if crash {
            std::mem::forget(server)
        } else {
            server.stop().await
        }
        result
    });
    runtime.shutdown_timeout(Duration::from_secs(5));
    result
}

pub(crate) async fn answers(client: &Client, known: &Known) -> Answers {
    let named = |list: &[(String, String)]| list.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let mut found = about(client, &named(&known.sequences), &named(&known.topics)).await;
    found.append(&mut overall(client).await);
    found
}

/// Waits until all rows of the WAL are in chunks.
pub(crate) async fn settle(folder: &Path) {
    let is_empty = || files(folder).iter().all(|file| !file.starts_with("wal/"));
    for _ in 0..1000 {
        if is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("rows stay in the log: {:?}", files(folder));
}

async fn rebuild(folder: &Path) -> mosaico_admin::Rebuilt {
    let store = Maintenance::open(settings(folder)).await.unwrap();
    store.rebuild(&|_| ()).await.unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_answer_is_the_same(
        lives in prop::collection::vec((prop::collection::vec(step(), 1..25), any::<bool>()), 2..4),
        backup_after in 0usize..4,
    ) {
        let folder = TempDir::new().unwrap();
        let folder = folder.path();
        let backup = TempDir::new().unwrap();
        let mut known = Known::default();
        for (number, (steps, crash)) in lives.iter().enumerate() {
            live(folder, *crash, async |client| {
                for step in steps {
                    known.make(client, step).await;
                }
            });
            if number == backup_after % (lives.len() - 1) {
                database::back_up(folder, backup.path());
            }
        }
        let before = live(folder, false, async |client| {
            settle(folder).await;
            answers(client, &known).await
        });

        database::remove(folder);
        let rebuilt = Runtime::new().unwrap().block_on(rebuild(folder));
        prop_assert_eq!(rebuilt.problems, []);
        assert_same(&live(folder, false, async |client| answers(client, &known).await), &before);

        database::remove(folder);
        database::restore(folder, backup.path());
        assert_same(&live(folder, false, async |client| answers(client, &known).await), &before);
    }
}

/// Sequences that were created and not used.
fn write_sequences(folder: &Path, count: usize) {
    for number in 0..count {
        let id = format!("01ARZ3NDEKTSV4RRFFQ6{number:06}");
        let record = json!({"format_version": 1, "id": id, "name": format!("run-{number}"), "key": "k",
                            "user_metadata": {}, "created_ns": number});
        let folder = folder.join("seq").join(&id);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("sequence.json"), record.to_string()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_rebuild_resumes() {
    let folder = TempDir::new().unwrap();
    write_sequences(folder.path(), 300);
    fs::write(folder.path().join("mosaicod.lock"), "").unwrap();
    let path = folder.path().to_owned();
    let cut_short = tokio::spawn(async move {
        let store = Maintenance::open(settings(&path)).await.unwrap();
        store.rebuild(&|progress| assert!(progress.done == 0, "interrupted")).await
    });
    assert!(cut_short.await.unwrap_err().is_panic());
    let rebuilt = rebuild(folder.path()).await;
    assert_eq!((rebuilt.sequences, rebuilt.resumed), (300, 256));
    assert_eq!(rebuild(folder.path()).await.resumed, 0, "a complete one is rebuilt");
    let path = folder.path().to_owned();
    let cut_short = tokio::spawn(async move {
        let store = Maintenance::open(settings(&path)).await.unwrap();
        store.rebuild(&|progress| assert!(progress.done == 0, "interrupted")).await
    });
    assert!(cut_short.await.unwrap_err().is_panic());
    // A server does not resume a rebuild whose state may belong to an earlier store.
    fs::remove_dir_all(folder.path().join("seq/01ARZ3NDEKTSV4RRFFQ6000000")).unwrap();
    let server = TestServer::start(settings(folder.path())).await;
    assert_eq!(names(&server.client).await.len(), 299);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_sequences_with_one_name_the_older_has_it() {
    let folder = TempDir::new().unwrap();
    write_sequences(folder.path(), 2);
    let second = folder.path().join("seq/01ARZ3NDEKTSV4RRFFQ6000001/sequence.json");
    fs::write(&second, fs::read_to_string(&second).unwrap().replace("run-1", "run-0")).unwrap();
    let rebuilt = rebuild(folder.path()).await;
    assert_eq!(rebuilt.sequences, 1);
    assert_eq!(rebuilt.problems[0].path, "seq/01ARZ3NDEKTSV4RRFFQ6000001");
    assert!(second.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lost_its_record_is_left_alone_until_that_is_back() {
    for lost in ["sequence.json", "topic.json"] {
        let folder = TempDir::new().unwrap();
        let mut config = config(folder.path());
        config.shutdown_grace = Duration::from_millis(10);
        let server = TestServer::start(config.clone()).await;
        let key = create_sequence(&server.client, "run").await;
        let topic = create_topic(&server.client, "run/t", &key).await;
        let mut put = Put::open(&server.client, "run/t", &topic, rows(&[0], 0).schema()).await;
        put.send(rows(&[1, 2, 3], 0)).await;
        put.durable(3).await;
        server.stop().await;

        let before = files(folder.path());
        assert!(before.iter().any(|name| name.starts_with("wal/")), "rows that are nowhere else");
        let name = before.iter().find(|name| name.ends_with(lost)).unwrap();
        let record = fs::read(folder.path().join(name)).unwrap();
        fs::remove_file(folder.path().join(name)).unwrap();
        database::remove(folder.path());
        let kept = files(folder.path());
        config.orphan_grace = Duration::ZERO;
        let server = TestServer::start(config.clone()).await;
        assert_eq!(names(&server.client).await, [""; 0]);
        // Garbage collection runs meanwhile, repeatedly.
        tokio::time::sleep(Duration::from_millis(100)).await;
        server.stop().await;
        assert_eq!(files(folder.path()), kept, "{lost}");

        fs::write(folder.path().join(name), record).unwrap();
        assert_eq!(rebuild(folder.path()).await.problems, []);
        let server = TestServer::start(config).await;
        assert_eq!(get(&server.client, "run/t").await, [(1, 0), (2, 1), (3, 2)]);
        server.stop().await;
    }
}
