//! A bucket that another daemon takes from its owner: the former owner is fenced, and its writes have no
//! effect any more.
//!
//! The bucket is a folder, see `Faults::bucket`. Each daemon has its own faults, so that a single daemon can
//! be slow or cut off.

use std::path::Path;
use std::time::Duration;

use mosaico_admin::Maintenance;
use mosaico_server::faults::{Effect, Fault, Faults, Operation, When};
use mosaico_server::{Config, Error, Server, StoreLocation, WalPlacement};
use mosaico_types::ErrorCode;
use mosaico_wire::status::ERROR_HEADER;
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tonic::{Code, Status};

use crate::common::*;
use crate::late_writes::Former;
use crate::monitor::{ask, started};
use crate::online::rebuild;
use crate::replicated_wal::{bucket, expected, fault, numbered, unavailable};

/// A daemon that uses the bucket below `folder`; its state folder is `name`.
pub(crate) fn owner(folder: &Path, name: &str, faults: &Faults) -> Config {
    let mut config = config(&folder.join(name));
    config.store = StoreLocation::parse("s3://bucket").unwrap();
    config.state = Some(folder.join(name));
    config.wal = WalPlacement::Replicated;
    config.ownership_heartbeat = Duration::from_millis(50);
    config.store_timeout = Duration::from_secs(10);
    config.lost_grace = Duration::from_secs(300);
    config.retry_pause = Duration::from_millis(10);
    config.faults = faults.clone();
    config
}

pub(crate) fn by_force(config: Config) -> Config {
    Config { force_ownership: true, ..config }
}

/// Whether the status reports that the daemon with the state folder `second` took the bucket.
pub(crate) fn is_lost(status: &Status) -> bool {
    let code = status.metadata().get(ERROR_HEADER).and_then(|code| code.to_str().ok());
    status.code() == Code::Unavailable
        && code == Some(ErrorCode::OwnershipLost.as_str())
        && status.message().contains("second")
        && status.message().contains("connect to the other one")
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_rows_pass_to_the_new_owner_and_none_come_after() {
    let folder = TempDir::new().unwrap();
    let (theirs, ours) = (bucket(folder.path()), bucket(folder.path()));
    let first = TestServer::start(owner(folder.path(), "first", &theirs)).await;
    let key = create_sequence(&first.client, "run").await;
    let topic = create_topic(&first.client, "run/t", &key).await;
    let mut put = Put::open(&first.client, "run/t", &topic, rows(&[0], 0).schema()).await;
    put.send(numbered(0..4)).await;
    put.durable(4).await;
    let (mut sent, mut acknowledged) = (4, 4);
    let opening = by_force(owner(folder.path(), "second", &ours));
    let opening = tokio::spawn(TestServer::start(opening));
    // The writer continues as long as it can.
    let lost = loop {
        put.offer(numbered(sent..sent + 4)).await;
        sent += 4;
        match put.ack().await {
            Ok(ack) => acknowledged = ack.unwrap().durable_rows,
            Err(status) => break status,
        }
    };
    assert!(is_lost(&lost), "{lost}");
    let second = opening.await.unwrap();
    let found = get(&second.client, "run/t").await;
    assert!(found.len() as u64 >= acknowledged, "{} of {acknowledged} rows", found.len());
    assert_eq!(found, expected(found.len()));
    // The writer resumes on the new owner, with the rows that it does not know to be durable.
    let mut again = Put::open(&second.client, "run/t", &topic, rows(&[0], 0).schema()).await;
    again.durable(found.len() as u64).await;
    again.send(numbered(found.len()..found.len() + 3)).await;
    assert_eq!(again.finish().await.unwrap().durable_rows, found.len() as u64 + 3);
    act(&second.client, "sequence_finalize", json!({"name": "run", "key": key})).await.unwrap();
    assert_eq!(get(&second.client, "run/t").await, expected(found.len() + 3));
    second.stop().await;
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_former_owner_refuses_every_call_and_writes_nothing() {
    let folder = TempDir::new().unwrap();
    let theirs = bucket(folder.path());
    let server = Server::open(owner(folder.path(), "first", &theirs)).await.unwrap();
    let (monitor, monitored) = started().await;
    monitor.watch(&server);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { server.serve_tcp(listener, std::future::pending()).await });
    let client = connect(&address).await;
    let key = create_sequence(&client, "run").await;
    create_topic(&client, "run/t", &key).await;
    assert_eq!(ask(monitored, "/readyz").await.0, 200);
    // From here on it has nothing to write, so only the heartbeat can notice the loss.
    let stored = || std::fs::read_dir(folder.path().join("bucket/events")).into_iter().flatten();
    let has_topic = |file: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_to_string(file.unwrap().path()).unwrap_or_default().contains("topic_created")
    };
    eventually("the events are stored", async || stored().any(has_topic)).await;

    let second = by_force(owner(folder.path(), "second", &bucket(folder.path())));
    let second = TestServer::start(second).await;
    let answered = async || ask(monitored, "/readyz").await;
    eventually("it is not ready", async || answered().await.0 == 503).await;
    let (_, reasons) = answered().await;
    assert!(reasons.contains("ownership") && reasons.contains("second"), "{reasons}");
    assert_eq!(ask(monitored, "/healthz").await.0, 200);
    theirs.add(Fault {
        operation: Some(Operation::Put),
        path: String::new(),
        when: When::Always,
        effect: Effect::Refuse,
    });
    theirs.add(Fault {
        operation: Some(Operation::Delete),
        path: String::new(),
        when: When::Always,
        effect: Effect::Refuse,
    });
    for (action, body) in [
        ("sequence_create", json!({"name": "other", "user_metadata": {}})),
        ("sequence_delete", json!({"name": "run"})),
        ("sequence_finalize", json!({"name": "run", "key": key})),
        ("layer_create", json!({"name": "layer", "description": ""})),
        ("topic_system_info", json!({"name": "run/t"})),
    ] {
        let refused = act(&client, action, body).await.unwrap_err();
        assert!(is_lost(&refused), "{action}: {refused}");
    }
    let refused = client.clone().list_flights(arrow_flight::Criteria::default()).await.unwrap_err();
    assert!(is_lost(&refused), "{refused}");
    assert!(is_lost(&info(&client, json!({"resource_locator": "run/t"})).await.unwrap_err()));
    assert_eq!(theirs.hits(), 0, "nothing was sent to the bucket");
    assert_eq!(names(&second.client).await, ["run"]);
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_acknowledged_without_a_lease() {
    let former = Former::start(1 << 20).await;
    let folder = former.folder.path();
    let mut put = former.resume().await;
    // It cannot read the owner record, and its writes take longer than its lease.
    let late = Effect::Delay(Duration::from_millis(500));
    former.faults.add(fault(Operation::Put, "/wal/", When::Always, late));
    former.faults.add(fault(Operation::Get, "owner.json", When::Always, Effect::Refuse));
    let (sent, opened) = tokio::join!(
        async {
            put.send(numbered(4..8)).await;
            loop {
                match put.ack().await {
                    Ok(ack) => {
                        assert_eq!(ack.unwrap().durable_rows, 4, "rows are acknowledged without a lease")
                    }
                    Err(status) => break status,
                }
            }
        },
        TestServer::start(by_force(owner(folder, "second", &bucket(folder))))
    );
    // It does not know yet that it lost the bucket.
    assert_eq!(sent.code(), Code::Unavailable, "{sent}");
    assert!(!is_lost(&sent), "{sent}");
    former.faults.lift();
    let refused = async || {
        act(&former.server.client, "sequence_create", json!({"name": "x", "user_metadata": {}})).await
    };
    assert!(is_lost(&refused().await.unwrap_err()));
    assert_eq!(names(&opened.client).await, ["run"]);
    opened.stop().await;
    former.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_former_owner_ends_and_says_why() {
    let folder = TempDir::new().unwrap();
    let first = owner(folder.path(), "first", &bucket(folder.path()));
    let server = Server::open(Config { lost_grace: Duration::ZERO, ..first.clone() }).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let serving = tokio::spawn(async move {
        let served = server.serve_tcp(listener, std::future::pending()).await;
        server.shutdown().await;
        served
    });
    let second = by_force(owner(folder.path(), "second", &bucket(folder.path())));
    let second = TestServer::start(second).await;
    let ended = serving.await.unwrap().unwrap_err();
    assert!(matches!(&ended, Error::OwnershipLost(text) if text.contains("second")), "{ended}");
    // It cannot restart either.
    let refused = Server::open(first).await.unwrap_err();
    assert!(matches!(&refused, Error::Startup(text) if text.contains("second")), "{refused}");
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_without_a_lease() {
    let former = Former::start(1 << 20).await;
    let created = || former.objects().iter().filter(|name| name.ends_with("/sequence.json")).count();
    former.faults.add(fault(Operation::Get, "owner.json", When::Always, Effect::Refuse));
    let create = async |number: usize| {
        let body = json!({"name": format!("run-{number}"), "user_metadata": {}});
        act(&former.server.client, "sequence_create", body).await
    };
    // Until the lease of the last read ends, creations may succeed.
    let mut number = 0;
    while create(number).await.is_ok() {
        number += 1;
    }
    let before = created();
    let refused = create(number + 1).await.unwrap_err();
    assert!(unavailable(&refused), "{refused}");
    assert_eq!(created(), before);
    // It still owns the bucket.
    former.faults.lift();
    create_sequence(&former.server.client, "later").await;
    former.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_on_the_disk_takes_rows_until_the_bucket_is_known_to_be_lost() {
    let folder = TempDir::new().unwrap();
    let theirs = bucket(folder.path());
    let config = Config { wal: WalPlacement::Disk, ..owner(folder.path(), "first", &theirs) };
    let first = TestServer::start(config).await;
    let key = create_sequence(&first.client, "run").await;
    let topic = create_topic(&first.client, "run/t", &key).await;
    let mut put = Put::open(&first.client, "run/t", &topic, rows(&[0], 0).schema()).await;
    let mut sent = 0;
    let mut send = async |put: &mut Put| {
        put.offer(numbered(sent..sent + 4)).await;
        sent += 4;
        put.ack().await
    };
    send(&mut put).await.unwrap();
    // Cut off from the bucket: its rows stay on its disk as usual.
    theirs.add(fault(Operation::Get, "owner.json", When::Always, Effect::Refuse));
    let second = by_force(owner(folder.path(), "second", &bucket(folder.path())));
    let second = TestServer::start(second).await;
    send(&mut put).await.unwrap();
    theirs.lift();
    let lost = loop {
        if let Err(status) = send(&mut put).await {
            break status;
        }
    };
    assert!(is_lost(&lost), "{lost}");
    assert_eq!(get(&second.client, "run/t").await, []);
    second.stop().await;
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_take_a_bucket_at_the_same_time_one_is_refused() {
    let former = Former::start(1 << 20).await;
    let folder = former.folder.path();
    let slow = bucket(folder);
    slow.add(fault(Operation::Put, "owner.json", When::Nth(0), Effect::Stall));
    let third = Config { store_timeout: Duration::from_secs(60), ..owner(folder, "third", &slow) };
    let third = by_force(third);
    let opening = tokio::spawn(Server::open(third));
    eventually("it is about to take it", async || slow.hits() > 0).await;
    let second = TestServer::start(by_force(owner(folder, "second", &bucket(folder)))).await;
    slow.lift();
    let refused = opening.await.unwrap().unwrap_err();
    assert!(matches!(&refused, Error::Startup(text) if text.contains("at the same time")), "{refused}");
    assert_eq!(get(&second.client, "run/t").await, expected(4));
    former.complete(&second.client).await;
    second.stop().await;
    former.server.stop().await;
}

/// Each write of an ownership change fails once, and the daemon restarts: with its state folder, or without.
#[tokio::test(flavor = "multi_thread")]
async fn taking_a_bucket_may_be_interrupted_anywhere() {
    for keeps_its_folder in [true, false] {
        let (mut nth, mut cut_short) = (0, true);
        while cut_short {
            let former = Former::start(1 << 20).await;
            let folder = former.folder.path();
            act(&former.server.client, "sequence_create", json!({"name": "empty", "user_metadata": {}}))
                .await
                .unwrap();
            let faults = bucket(folder);
            faults.add(fault(Operation::Put, "", When::Nth(nth), Effect::Refuse));
            let second = owner(folder, "second", &faults);
            let opened = Server::open(by_force(second.clone())).await;
            cut_short = faults.lift() > 0;
            if let Ok(server) = opened {
                server.shutdown().await;
            }
            let again = match keeps_its_folder {
                true => by_force(second),
                false => by_force(owner(folder, "third", &bucket(folder))),
            };
            let server = TestServer::start(again).await;
            let mut found = names(&server.client).await;
            found.sort();
            assert_eq!(found, ["empty", "run"], "write {nth}");
            assert_eq!(get(&server.client, "run/t").await, expected(4), "write {nth}");
            former.complete(&server.client).await;
            assert_eq!(rebuild(&server.client).await["problems"], json!([]), "write {nth}");
            assert_eq!(names(&server.client).await.len(), 2, "write {nth}");
            server.stop().await;
            former.server.stop().await;
            nth += 1;
        }
        assert!(nth > 10, "{nth} writes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn owners_number_the_chunks_that_they_compact_apart() {
    let former = Former::start(60).await;
    let folder = former.folder.path();
    let mut put = former.resume().await;
    for first in (4..40).step_by(4) {
        put.send(numbered(first..first + 4)).await;
    }
    put.finish().await.unwrap();
    act(&former.server.client, "sequence_finalize", json!({"name": "run", "key": former.key})).await.unwrap();
    let second = owner(folder, "second", &bucket(folder));
    let server = Server::open(by_force(second.clone())).await.unwrap();
    server.shutdown().await;
    let store = Maintenance::open(Config { chunk_bytes: 1 << 20, ..second.clone() }).await.unwrap();
    assert_eq!(store.compact(&|_| ()).await.unwrap().topics, 1);
    let chunks: Vec<String> =
        former.objects().into_iter().filter(|name| name.ends_with(".parquet")).collect();
    assert!(chunks.iter().any(|name| name.ends_with("chunk-00001-0000000.parquet")), "{chunks:?}");
    let server = TestServer::start(second).await;
    assert_eq!(get(&server.client, "run/t").await, expected(40));
    server.stop().await;
    former.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_compaction_costs_no_rows() {
    let Former { folder, faults, server, key, .. } = {
        let former = Former::start(60).await;
        let mut put = former.resume().await;
        for first in (4..40).step_by(4) {
            put.send(numbered(first..first + 4)).await;
        }
        put.finish().await.unwrap();
        former
    };
    act(&server.client, "sequence_finalize", json!({"name": "run", "key": key})).await.unwrap();
    server.stop().await;
    let folder = folder.path();
    let chunks = || {
        let found = files(&folder.join("bucket")).into_iter();
        found.filter(|name| name.ends_with(".parquet")).count()
    };
    let first = Server::open(owner(folder, "first", &faults)).await.unwrap();
    faults.add(fault(Operation::Put, "/commit.json", When::Nth(0), Effect::Stall));
    let opening = async {
        eventually("it is on its way", async || faults.hits() > 0).await;
        let mut second = by_force(owner(folder, "second", &bucket(folder)));
        (second.orphan_grace, second.cache_bytes) = (Duration::from_millis(500), 0);
        TestServer::start(second).await
    };
    let (failed, second) = tokio::join!(first.compact(&|_| ()), opening);
    // Not an error of the run, which lists what stays as it is.
    assert!(failed.is_err() || failed.is_ok_and(|done| done.topics == 0));
    let before = chunks();
    assert_eq!(faults.lift(), 1);
    eventually("it arrives", async || faults.under_way() == 0).await;
    eventually("the former chunks are gone", async || {
        assert_eq!(get(&second.client, "run/t").await, expected(40));
        chunks() == 1
    })
    .await;
    assert!(before > 1);
    let info = act(&second.client, "topic_system_info", json!({"name": "run/t"})).await.unwrap();
    assert_eq!(info["chunks_number"], 1);
    assert_eq!(get(&second.client, "run/t").await, expected(40));
    assert_eq!(rebuild(&second.client).await["problems"], json!([]));
    assert_eq!(get(&second.client, "run/t").await, expected(40));
    second.stop().await;
    first.shutdown().await;
}
