//! Late writes: an object that a former owner of a bucket sent arrives after another daemon took the bucket,
//! and the new owner ignores it.

use std::time::Duration;

use arrow_flight::FlightDescriptor;
use mosaico_admin::{CheckOptions, Maintenance};
use mosaico_server::faults::{Effect, Faults, Operation, When};
use serde_json::json;
use tempfile::TempDir;
use tonic::Status;

use crate::common::*;
use crate::fencing::{by_force, is_lost, owner};
use crate::online::rebuild;
use crate::replicated_wal::{bucket, expected, fault, numbered};

/// A daemon's responses about all sequences.
async fn answers(client: &Client) -> Vec<(String, Vec<(i64, i64)>)> {
    let mut found = Vec::new();
    let mut names = names(client).await;
    names.sort();
    for name in names {
        let rows = match name.as_str() {
            "run" => get(client, "run/t").await,
            _ => Vec::new(),
        };
        found.push((name, rows));
    }
    found
}

/// A daemon with the sequence `run`, whose topic has four acknowledged rows.
pub(crate) struct Former {
    pub(crate) folder: TempDir,
    pub(crate) faults: Faults,
    pub(crate) server: TestServer,
    pub(crate) key: String,
    pub(crate) topic: String,
    /// The folder of the sequence, below the bucket's folder.
    pub(crate) seq: String,
}

impl Former {
    pub(crate) async fn start(chunk_bytes: usize) -> Self {
        let folder = TempDir::new().unwrap();
        let faults = bucket(folder.path());
        let mut config = owner(folder.path(), "first", &faults);
        (config.chunk_bytes, config.store_timeout) = (chunk_bytes, Duration::from_secs(60));
        let server = TestServer::start(config).await;
        let key = create_sequence(&server.client, "run").await;
        let topic = create_topic(&server.client, "run/t", &key).await;
        let objects = files(&folder.path().join("bucket"));
        let seq = objects.iter().find_map(|name| name.strip_suffix("sequence.json")).unwrap().to_owned();
        let former = Self { folder, faults, server, key, topic, seq };
        let mut put = former.resume().await;
        put.send(numbered(0..4)).await;
        put.durable(4).await;
        std::mem::forget(put);
        former
    }

    /// Another put of the same writer.
    pub(crate) async fn resume(&self) -> Put {
        let command = json!({"resource_locator": "run/t", "key": self.topic, "resume": 1}).to_string();
        let command = FlightDescriptor::new_cmd(command);
        Put::describe(&self.server.client, command, rows(&[0], 0).schema()).await
    }

    /// Objects in the bucket.
    pub(crate) fn objects(&self) -> Vec<String> {
        files(&self.folder.path().join("bucket"))
    }

    /// The object that `call` sends to `path` arrives after another daemon took the bucket. The new owner
    /// runs `own` before the arrival, and `goes_on`, which must succeed, after it.
    async fn arrives_late(
        self,
        path: &str,
        call: impl AsyncFnOnce(&Self) -> Option<Status>,
        own: impl AsyncFnOnce(&Client),
        goes_on: impl AsyncFnOnce(&Client, &Self),
    ) {
        let folder = self.folder.path();
        self.faults.add(fault(Operation::Put, path, When::Nth(0), Effect::Stall));
        let opening = async {
            eventually("it is on its way", async || self.faults.hits() > 0).await;
            TestServer::start(by_force(owner(folder, "second", &bucket(folder)))).await
        };
        let (failed, second) = tokio::join!(call(&self), opening);
        assert!(failed.as_ref().is_none_or(is_lost), "{path}: {failed:?}");
        own(&second.client).await;
        let before = answers(&second.client).await;
        assert_eq!(before.iter().find(|(name, _)| name == "run").unwrap().1, expected(4), "{path}");
        let there = self.objects();
        assert_eq!(self.faults.lift(), 1, "{path}");
        eventually("what was on its way arrives", async || self.faults.under_way() == 0).await;
        let is_late = |object: &String| {
            // A new sequence has its own folder; other objects arrive in the folder that the new owner left.
            let place = object.starts_with(&self.seq) || path == "/sequence.json";
            place && object.contains(path) && !there.contains(object)
        };
        assert!(self.objects().iter().any(is_late), "{path} did not arrive");

        assert_eq!(answers(&second.client).await, before, "{path}: the new owner");
        assert_eq!(rebuild(&second.client).await["problems"], json!([]), "{path}");
        assert_eq!(answers(&second.client).await, before, "{path}: its catalog, made again");
        goes_on(&second.client, &self).await;
        let before = answers(&second.client).await;
        second.stop().await;
        let third = by_force(owner(folder, "third", &bucket(folder)));
        let server = TestServer::start(third.clone()).await;
        assert_eq!(answers(&server.client).await, before, "{path}: who has nothing but the bucket");
        server.stop().await;
        let store = Maintenance::open(third).await.unwrap();
        let checked = store.check(CheckOptions::default(), &|_| ()).await.unwrap();
        assert_eq!(checked.problems, vec![], "{path}");
        self.server.stop().await;
    }

    /// Puts rows on the new owner and finalizes the sequence.
    pub(crate) async fn complete(&self, client: &Client) {
        let ack = put(client, "run/t", &self.topic, &[numbered(4..6)]).await.unwrap();
        assert_eq!(ack.durable_rows, 6);
        act(client, "sequence_finalize", json!({"name": "run", "key": self.key})).await.unwrap();
        assert_eq!(get(client, "run/t").await, expected(6));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_creation_is_not_applied() {
    let call = async |former: &Former| {
        let body = json!({"name": "same", "user_metadata": {}});
        act(&former.server.client, "sequence_create", body).await.err()
    };
    let own = async |client: &Client| drop(create_sequence(client, "same").await);
    let former = Former::start(1 << 20).await;
    former
        .arrives_late("/sequence.json", call, own, async |client, former| former.complete(client).await)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn late_rows_are_not_applied() {
    let call = async |former: &Former| {
        let mut put = former.resume().await;
        put.send(rows(&[100, 101], 100)).await;
        Some(put.failed().await)
    };
    let former = Former::start(1 << 20).await;
    former
        .arrives_late("/wal/", call, async |_| (), async |client, former| former.complete(client).await)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_chunk_is_not_applied() {
    for path in ["/chunk-00000-0000000.parquet", "/chunk-00000-0000000.json"] {
        // The previous put ends, so its rows become a chunk.
        let call = async |former: &Former| {
            std::mem::forget(former.resume().await);
            None
        };
        let former = Former::start(1 << 20).await;
        former
            .arrives_late(path, call, async |_| (), async |client, former| former.complete(client).await)
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_commit_is_not_applied() {
    let call = async |former: &Former| former.resume().await.finish().await.err();
    let former = Former::start(1 << 20).await;
    former
        .arrives_late(
            "/commit.json",
            call,
            async |_| (),
            async |client, former| former.complete(client).await,
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_finalization_is_not_applied() {
    let finalize = async |client: &Client, former: &Former| {
        act(client, "sequence_finalize", json!({"name": "run", "key": former.key})).await
    };
    let former = Former::start(1 << 20).await;
    former.resume().await.finish().await.unwrap();
    let call = async |former: &Former| finalize(&former.server.client, former).await.err();
    let goes_on = async |client: &Client, former: &Former| drop(finalize(client, former).await.unwrap());
    former.arrives_late("/final.json", call, async |_| (), goes_on).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_removal_is_not_applied() {
    let call = async |former: &Former| {
        act(&former.server.client, "sequence_delete", json!({"name": "run"})).await.err()
    };
    let former = Former::start(1 << 20).await;
    // The new owner wrote its own tombstone there.
    let tombstone = former.folder.path().join("bucket").join(&former.seq).join("deleted.json");
    former.faults.add(fault(Operation::Put, "/deleted.json", When::Nth(0), Effect::Stall));
    let opening = async {
        eventually("it is on its way", async || former.faults.hits() > 0).await;
        let folder = former.folder.path();
        TestServer::start(by_force(owner(folder, "second", &bucket(folder)))).await
    };
    let (failed, second) = tokio::join!(call(&former), opening);
    assert!(failed.as_ref().is_some_and(is_lost), "{failed:?}");
    let before = std::fs::read(&tombstone).unwrap();
    assert_eq!(former.faults.lift(), 1);
    eventually("it arrives", async || former.faults.under_way() == 0).await;
    assert_eq!(std::fs::read(&tombstone).unwrap(), before, "the bucket refuses it");
    assert_eq!(rebuild(&second.client).await["problems"], json!([]));
    assert_eq!(get(&second.client, "run/t").await, expected(4));
    former.complete(&second.client).await;
    second.stop().await;
    former.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_change_of_the_layers_does_not_undo_others() {
    let layers = async |client: &Client| {
        let found = act(client, "layer_list", json!({})).await.unwrap();
        let mut found: Vec<String> =
            found["layers"].as_array().unwrap().iter().map(|l| l["name"].to_string()).collect();
        found.sort();
        found
    };
    let former = Former::start(1 << 20).await;
    let folder = former.folder.path();
    let create = async |client: &Client, name: &str| {
        act(client, "layer_create", json!({"name": name, "description": ""})).await
    };
    create(&former.server.client, "old").await.unwrap();
    former.faults.add(fault(Operation::Put, "layers.json", When::Nth(0), Effect::Stall));
    let opening = async {
        eventually("it is on its way", async || former.faults.hits() > 0).await;
        TestServer::start(by_force(owner(folder, "second", &bucket(folder)))).await
    };
    let (failed, second) = tokio::join!(create(&former.server.client, "late"), opening);
    assert!(is_lost(&failed.unwrap_err()));
    create(&second.client, "new").await.unwrap();
    let expected = ["\"default\"", "\"new\"", "\"old\""];
    assert_eq!(layers(&second.client).await, expected);
    let record = || std::fs::read(folder.join("bucket/layers.json")).unwrap();
    let before = record();
    former.faults.lift();
    eventually("the bucket refused it", async || former.faults.under_way() == 0).await;
    assert_eq!(record(), before);
    second.stop().await;
    former.server.stop().await;
}
