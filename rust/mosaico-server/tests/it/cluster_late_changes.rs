//! A request for a record reaches the bucket after its daemon was considered dead, and another daemon decided
//! without it: the record never counts. The machine of the daemon stands still meanwhile. These tests always need a
//! Postgres.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::cluster::{finalized, member};
use crate::common::*;
use crate::database;
use crate::online::rebuild;
use crate::replicated_wal::*;
use arrow_flight::FlightDescriptor;
use mosaico_admin::{CheckOptions, Maintenance};
use mosaico_server::faults::{Effect, Faults, Operation, When};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tonic::Status;

/// A daemon that sent a request for an object and then stands still, as its runtime is not driven.
struct Frozen {
    folder: TempDir,
    faults: Faults,
    runtime: Runtime,
    key: String,
    topic: String,
}

impl Frozen {
    /// Records 12 rows at a daemon, which stands still when it has sent the object `path` for `call`.
    fn before(
        path: &str,
        call: impl AsyncFnOnce(Client, String, Put) -> Option<Status> + 'static,
    ) -> Option<Self> {
        database::postgres()?;
        let folder = TempDir::new().unwrap();
        let faults = bucket(folder.path());
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let (key, topic) = runtime.block_on(async {
            let server = TestServer::start(member(folder.path(), &faults, "a")).await;
            let client = server.client.clone();
            std::mem::forget(server);
            let key = create_sequence(&client, "run").await;
            let topic = create_topic(&client, "run/t", &key).await;
            let mut put = Put::open(&client, "run/t", &topic, rows(&[0], 0).schema()).await;
            for first in (0..12).step_by(4) {
                put.send(numbered(first..first + 4)).await;
                put.durable(first as u64 + 4).await;
            }
            faults.add(fault(Operation::Put, path, When::Always, Effect::Stall));
            let under_way = eventually("it is on its way", async || faults.hits() > 0);
            let local = tokio::task::LocalSet::new();
            let body = key.clone();
            local.spawn_local(async move { call(client, body, put).await });
            local.run_until(under_way).await;
            // Its caller waits no more.
            std::mem::forget(local);
            (key, topic)
        });
        let frozen = Self { folder, faults, runtime, key, topic };
        Runtime::new().unwrap().block_on(frozen.is_dead());
        Some(frozen)
    }

    /// Makes its heartbeats old.
    async fn is_dead(&self) {
        let url = database::postgres().unwrap();
        let dead = "UPDATE daemon SET seen_at = '-infinity'";
        database::postgres_sql(&url, self.folder.path(), dead).await;
    }

    /// Another daemon takes the recording over up to row 20; then the request arrives, and nothing changes. At the
    /// end the sequence is finalized.
    fn changes_nothing(self, path: &str) {
        let folder = self.folder.path();
        let other = member(folder, &bucket(folder), "b");
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async {
            let server = TestServer::start(other.clone()).await;
            let client = &server.client;
            let mut put = resumed(client, &self.topic).await;
            put.send(numbered(12..20)).await;
            put.durable(20).await;
            let before = stored(folder, path);
            assert_eq!(get(client, "run/t").await, expected(20), "{path}");

            tokio::task::block_in_place(|| self.arrives());
            assert_eq!(stored(folder, path), before, "{path}: the bucket has it");
            assert_eq!(rebuild(client).await["problems"], json!([]), "{path}");
            assert_eq!(get(client, "run/t").await, expected(20), "{path}: the catalog, made again");
            put.finish().await.unwrap();
            finalized(client, &self.key, 20).await;
            assert_eq!(rebuild(client).await["problems"], json!([]), "{path}");
            assert_eq!(get(client, "run/t").await, expected(20), "{path}: finalized");
            server.stop().await;
        });
        runtime.block_on(async {
            self.is_dead().await;
            let store = Maintenance::open(other).await.unwrap();
            store.rebuild(&|_| ()).await.unwrap();
            let checked =
                store.check(CheckOptions { deep: true, ..CheckOptions::default() }, &|_| ()).await.unwrap();
            assert_eq!((checked.rows, checked.problems.as_slice()), (20, &[][..]), "{path}");
        });
    }

    /// The machine resumes, and so does the request. Then it is lost for good.
    fn arrives(&self) {
        self.runtime.block_on(async {
            assert!(self.faults.lift() > 0);
            eventually("it arrives", async || self.faults.under_way() == 0).await;
            // Its daemon may try again, over the barrier that it finds.
            tokio::time::sleep(Duration::from_millis(500)).await;
        });
    }
}

async fn resumed(client: &Client, topic: &str) -> Put {
    let body = json!({"resource_locator": "run/t", "key": topic, "resume": 1, "acknowledged": 12});
    let command = FlightDescriptor::new_cmd(body.to_string());
    let mut put = Put::describe(client, command, rows(&[0], 0).schema()).await;
    put.durable(12).await;
    put
}

/// The objects whose names contain `path`, with their contents.
fn stored(folder: &Path, path: &str) -> Vec<(String, Vec<u8>)> {
    let bucket = folder.join("bucket");
    let names = files(&bucket).into_iter().filter(|name| name.contains(path));
    names.map(|name| (name.clone(), fs::read(bucket.join(&name)).unwrap())).collect()
}

fn acts(
    action: &'static str,
    body: impl Fn(&str) -> Value + 'static,
) -> impl AsyncFnOnce(Client, String, Put) -> Option<Status> {
    async move |client, key, put| {
        std::mem::forget(put);
        act(&client, action, body(&key)).await.err()
    }
}

#[test]
fn a_late_removal_of_a_sequence() {
    let call = acts("sequence_delete", |_| json!({"name": "run"}));
    let Some(frozen) = Frozen::before("/deleted.json", call) else { return };
    frozen.changes_nothing("/deleted.json");
}

#[test]
fn a_late_removal_of_a_topic() {
    let call = acts("topic_delete", |_| json!({"name": "run/t"}));
    let Some(frozen) = Frozen::before("/deleted.json", call) else { return };
    frozen.changes_nothing("/deleted.json");
}

#[test]
fn a_late_end_of_a_sequence() {
    let call = acts("sequence_end", |key| json!({"name": "run", "key": key}));
    let Some(frozen) = Frozen::before("/ended.json", call) else { return };
    frozen.changes_nothing("/ended.json");
}

#[test]
fn a_late_creation_of_a_topic() {
    let call = acts("topic_create", |key| {
        json!({"name": "run/u", "sequence_key": key, "ontology_tag": "x", "serialization_format": "default",
               "user_metadata": {}})
    });
    let Some(frozen) = Frozen::before("/topic.json", call) else { return };
    frozen.changes_nothing("/topic.json");
}

#[test]
fn a_late_commit() {
    let Some(frozen) = Frozen::before("/commit.json", async |_, _, put| put.finish().await.err()) else {
        return;
    };
    frozen.changes_nothing("/commit.json");
}
