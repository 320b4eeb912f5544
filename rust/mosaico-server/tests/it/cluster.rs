//! Servers that share a bucket and a Postgres database. One server is lost, and another resumes with its rows
//! in the replicated WAL. These tests always need a Postgres.

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::common::*;
use crate::database;
use crate::keyed::{Session, key};
use crate::replicated_wal::*;
use mosaico_server::faults::{Effect, Faults, Operation, When};
use mosaico_server::{AnonymousLevel, Config, Server, WalPlacement};
use mosaico_types::ErrorCode;
use mosaico_wire::command::PutAck;
use mosaico_wire::status::ERROR_HEADER;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::Status;

/// The server with the state folder `name`. It has no address: other servers do not forward reads to it.
pub(crate) fn member(folder: &Path, faults: &Faults, name: &str) -> Config {
    let mut config = bucket_config(folder, faults);
    config.database = database::postgres();
    config.database_schema = database::schema(folder);
    config.state = Some(folder.join(name));
    config.shared = Some("127.0.0.1:1".into());
    config.store_timeout = Duration::from_secs(60);
    config
}

pub(crate) fn started() -> Option<(TempDir, Faults)> {
    database::postgres()?;
    let folder = TempDir::new().unwrap();
    let faults = bucket(folder.path());
    // Recorded rows stay in the WAL.
    faults.add(fault(Operation::Put, "chunk-", When::Always, Effect::Stall));
    Some((folder, faults))
}

/// Puts as a writer that resumes; returns all acknowledgements.
pub(crate) async fn resume(
    client: &Client,
    topic: &str,
    acknowledged: u64,
    rows_of: impl Fn(u64) -> Range<usize>,
) -> Result<Vec<u64>, Status> {
    let body = json!({"resource_locator": "run/t", "key": topic, "resume": 1, "acknowledged": acknowledged});
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let command = arrow_flight::FlightDescriptor::new_cmd(body.to_string());
    let batches = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let messages = put_messages(Some(command), rows(&[0], 0).schema(), batches);
    let mut answers = client.clone().do_put(messages).await?.into_inner();
    let (mut sender, mut found) = (Some(sender), Vec::new());
    while let Some(answer) = answers.message().await? {
        let ack: PutAck = serde_json::from_slice(&answer.app_metadata).unwrap();
        found.push(ack.durable_rows);
        if let Some(sender) = sender.take() {
            sender.send(numbered(rows_of(ack.durable_rows))).await.unwrap();
        }
    }
    Ok(found)
}

pub(crate) fn from(end: usize) -> impl Fn(u64) -> Range<usize> {
    move |durable| durable as usize..end
}

pub(crate) async fn finalized(client: &Client, key: &str, count: usize) {
    act(client, "sequence_finalize", json!({"name": "run", "key": key})).await.unwrap();
    assert_eq!(get(client, "run/t").await, expected(count));
}

fn code(status: &Status) -> Option<&str> {
    status.metadata().get(ERROR_HEADER)?.to_str().ok()
}

#[test]
fn another_daemon_resumes_where_the_writer_knows() {
    // The writer may not know the last acknowledgements.
    for heard in [12, 9, 0] {
        let Some((folder, faults)) = started() else { return };
        let (key, topic) = crash_after(member(folder.path(), &faults, "a"), async |client| {
            begin_recording(client, 12).await
        });
        fs::remove_dir_all(folder.path().join("a")).unwrap();
        faults.lift();
        with_server(member(folder.path(), &faults, "b"), async |client| {
            let acknowledged = resume(client, &topic, heard, from(20)).await.unwrap();
            assert_eq!((acknowledged[0], acknowledged.last()), (heard, Some(&20)));
            finalized(client, &key, 20).await;
            eventually("nothing of the log is left", async || logged(folder.path()).is_empty()).await;
        });
    }
}

#[test]
fn a_read_leaves_out_what_the_writer_sent_again() {
    let Some((folder, stalled)) = started() else { return };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        // It stores no chunk, so its segments have the rows until it looks for the other one.
        let first = TestServer::start(member(folder.path(), &stalled, "a")).await;
        let (key, topic) = begin_recording(&first.client, 12).await;
        let second = TestServer::start(member(folder.path(), &bucket(folder.path()), "b")).await;
        resume(&second.client, &topic, 9, from(20)).await.unwrap();
        finalized(&second.client, &key, 20).await;
        assert_eq!(get(&first.client, "run/t").await, expected(20));
        stalled.lift();
        second.stop().await;
        first.stop().await;
    });
}

#[test]
fn each_step_of_going_on_may_fail() {
    let steps = [
        (Operation::List, "/wal", 0),
        (Operation::Put, "epoch-", 0),
        (Operation::Get, "/wal/", 0),
        (Operation::Get, "/wal/", 3),
        (Operation::Put, "/wal/", 0),
    ];
    for (operation, path, nth) in steps {
        for effect in [Effect::Refuse, Effect::LoseAnswer] {
            let Some((folder, faults)) = started() else { return };
            let (key, topic) = crash_after(member(folder.path(), &faults, "a"), async |client| {
                begin_recording(client, 16).await
            });
            let answer = crash_after(member(folder.path(), &faults, "b"), async |client| {
                faults.add(fault(operation, path, When::Nth(nth), effect));
                resume(client, &topic, 16, from(20)).await.map(drop)
            });
            assert!(answer.is_err_and(|status| unavailable(&status)), "{operation:?} {path} {effect:?}");
            faults.lift();
            // The same server after a crash, or a third one after the second is lost.
            let next = if nth == 0 { "b" } else { "c" };
            with_server(member(folder.path(), &faults, next), async |client| {
                assert_eq!(resume(client, &topic, 16, from(20)).await.unwrap()[0], 16);
                finalized(client, &key, 20).await;
            });
            // The writer has resent the rows that the first server still has on its disk.
            with_server(member(folder.path(), &faults, "a"), async |client| {
                eventually("it drops its rows", async || files(&folder.path().join("a/wal")).is_empty())
                    .await;
                assert_eq!(get(client, "run/t").await, expected(20));
            });
        }
    }
}

#[test]
fn who_lost_its_locks_announces_no_change() {
    let Some((folder, faults)) = started() else { return };
    let (key, topic) =
        crash_after(member(folder.path(), &faults, "a"), async |client| begin_recording(client, 12).await);
    with_server(member(folder.path(), &faults, "b"), async |client| {
        // The server has the lock of the sequence and lists the WAL to find where to resume.
        faults.add(fault(Operation::List, "/wal", When::Nth(0), Effect::Stall));
        let lose = async {
            eventually("it looks", async || faults.hits() > 0).await;
            lose_session(folder.path(), "b").await;
            faults.lift();
        };
        let (answer, ()) = tokio::join!(resume(client, &topic, 12, from(20)), lose);
        assert!(answer.is_err_and(|status| unavailable(&status)));
        let parts =
            files(&folder.path().join("bucket")).into_iter().filter(|name| name.contains("epoch-00001"));
        assert_eq!(parts.count(), 0);
        assert_eq!(resume(client, &topic, 12, from(20)).await.unwrap()[0], 12);
        finalized(client, &key, 20).await;
    });
}

/// Ends the database session in which the server with the state folder `name` has its locks, and waits until
/// the server has a new session.
async fn lose_session(folder: &Path, name: &str) {
    let owner = fs::read(folder.join(name).join("owner.json")).unwrap();
    let owner: serde_json::Value = serde_json::from_slice(&owner).unwrap();
    let lock = format!("mosaicod/{}/daemon/{}", database::schema(folder), owner["id"].as_str().unwrap());
    let its = format!(
        "FROM pg_locks WHERE locktype = 'advisory' AND granted \
         AND ((classid::bigint << 32) | objid::bigint) = hashtextextended('{lock}', 0)"
    );
    let wait = format!(
        "DO $$ DECLARE former integer; BEGIN SELECT pid INTO STRICT former {its}; \
         PERFORM pg_terminate_backend(former); \
         FOR turn IN 1..400 LOOP \
             IF EXISTS (SELECT pid {its} AND pid <> former) THEN RETURN; END IF; \
             PERFORM pg_sleep(0.025); \
         END LOOP; RAISE 'the session does not come back'; END $$"
    );
    database::postgres_sql(&database::postgres().unwrap(), folder, &wait).await;
}

#[test]
fn one_after_the_other_may_be_lost() {
    let Some((folder, faults)) = started() else { return };
    let (key, topic) =
        crash_after(member(folder.path(), &faults, "0"), async |client| begin_recording(client, 8).await);
    let mut heard = 8;
    for name in ["1", "2", "3"] {
        heard = crash_after(member(folder.path(), &faults, name), async |client| {
            let body = json!({"resource_locator": "run/t", "key": topic, "resume": 1, "acknowledged": heard});
            let command = arrow_flight::FlightDescriptor::new_cmd(body.to_string());
            let mut put = Put::describe(client, command, rows(&[0], 0).schema()).await;
            put.durable(heard).await;
            put.send(numbered(heard as usize..heard as usize + 5)).await;
            put.durable(heard + 5).await;
            assert_eq!(get(client, "run/t").await, expected(heard as usize + 5));
            std::mem::forget(put);
            heard + 5
        });
        fs::remove_dir_all(folder.path().join(name)).unwrap();
    }
    faults.lift();
    with_server(member(folder.path(), &faults, "last"), async |client| {
        resume(client, &topic, heard, from(30)).await.unwrap();
        finalized(client, &key, 30).await;
    });
}

#[test]
fn rows_on_a_disk_are_waited_for() {
    let Some((folder, faults)) = started() else { return };
    let on_disk = |name| Config { wal: WalPlacement::Disk, ..member(folder.path(), &faults, name) };
    let (key, topic) = crash_after(on_disk("a"), async |client| begin_recording(client, 8).await);
    faults.lift();
    with_server(member(folder.path(), &faults, "b"), async |client| {
        assert_eq!(resume(client, &topic, 8, from(12)).await.unwrap()[0], 8);
        let refused = act(client, "sequence_finalize", json!({"name": "run", "key": key})).await.unwrap_err();
        assert_eq!(code(&refused), Some(ErrorCode::RemoteRows.as_str()), "{refused}");
    });
    // It restarts with another setting and with the rows on its disk.
    with_server(member(folder.path(), &faults, "a"), async |client| {
        eventually("it stores its rows", async || get(client, "run/t").await.len() == 12).await;
        finalized(client, &key, 12).await;
    });
}

#[test]
fn the_setting_may_change_while_a_topic_is_recorded() {
    let Some((folder, faults)) = started() else { return };
    let on_disk = Config { wal: WalPlacement::Disk, ..member(folder.path(), &faults, "a") };
    let (key, topic) = crash_after(on_disk, async |client| begin_recording(client, 8).await);
    crash_after(member(folder.path(), &faults, "a"), async |client| {
        faults.lift();
        // Its rows are uploaded to the store, so that all rows that are not in chunks are in the replicated
        // WAL.
        faults.add(fault(Operation::Put, "chunk-00001-0000000", When::Always, Effect::Stall));
        let body = json!({"resource_locator": "run/t", "key": topic, "resume": 1, "acknowledged": 8});
        let command = arrow_flight::FlightDescriptor::new_cmd(body.to_string());
        let mut put = Put::describe(client, command, rows(&[0], 0).schema()).await;
        put.send(numbered(8..12)).await;
        put.durable(12).await;
        eventually("the first part is stored", async || {
            files(&folder.path().join("bucket")).iter().any(|name| name.ends_with("chunk-00000-0000000.json"))
        })
        .await;
        std::mem::forget(put);
    });
    fs::remove_dir_all(folder.path().join("a")).unwrap();
    faults.lift();
    with_server(member(folder.path(), &faults, "b"), async |client| {
        resume(client, &topic, 12, from(13)).await.unwrap();
        finalized(client, &key, 13).await;
    });
}

#[test]
fn daemons_that_want_keys_forward_reads_to_each_other() {
    let Some((folder, stalled)) = started() else { return };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        // Everybody may record over this machine's own address; over the other one, callers need a key.
        let own = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let other = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let client = format!("http://{}", own.local_addr().unwrap());
        let mut config = member(folder.path(), &stalled, "a");
        config.wal = WalPlacement::Disk;
        config.shared = Some(format!("127.0.0.1:{}", other.local_addr().unwrap().port()));
        let first = Server::open(config).await.unwrap();
        let (stop, stopped) = watch::channel(false);
        let serving = tokio::spawn(async move {
            let until = |mut stopped: watch::Receiver<bool>| async move {
                drop(stopped.wait_for(|stop| *stop).await);
            };
            let (own, other) = tokio::join!(
                first.serve_tcp(own, until(stopped.clone())),
                first.serve_tcp(other, until(stopped)),
            );
            own.and(other).unwrap();
            first.shutdown().await;
        });
        let client = connect(&client).await;
        let token = key(&folder.path().join("bucket"), &["run*:read"]).await;
        let config = member(folder.path(), &bucket(folder.path()), "b");
        let second = TestServer::start(Config { anonymous: Some(AnonymousLevel::None), ..config }).await;
        let session = Session::new(&second, &token);
        let (sequence, topic) = (create_sequence(&client, "run").await, "run/t");
        let topic_key = create_topic(&client, topic, &sequence).await;
        let mut put = Put::open(&client, topic, &topic_key, rows(&[1], 1).schema()).await;
        put.send(rows(&[1, 2, 3], 1)).await;
        put.durable(3).await;
        // The rows are on the disk of the first daemon alone.
        let ticket = session.ticket(topic).await.unwrap();
        assert_eq!(session.read(ticket).await.unwrap(), 2, "a schema, and the rows of the other daemon");
        drop((put, client));
        stalled.lift();
        second.stop().await;
        stop.send(true).unwrap();
        serving.await.unwrap();
    });
}

#[test]
fn a_daemon_that_does_not_answer_is_waited_for_once() {
    let Some((folder, stalled)) = started() else { return };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        // Connections to this address are accepted by the system only.
        let hole = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut config = member(folder.path(), &stalled, "a");
        config.shared = Some(hole.local_addr().unwrap().to_string());
        let first = TestServer::start(config).await;
        begin_recording(&first.client, 12).await;
        let second = TestServer::start(member(folder.path(), &bucket(folder.path()), "b")).await;
        let begun = Instant::now();
        let info = info(&second.client, json!({"resource_locator": "run/t"})).await.unwrap();
        assert!(begun.elapsed() >= Duration::from_secs(4), "the first call waits for it");
        // The store has its rows.
        let metadata: Value = serde_json::from_slice(&info.endpoint[0].app_metadata).unwrap();
        assert_eq!((&metadata["rows"], metadata.get("remote_rows")), (&json!(12), None), "{metadata}");
        let begun = Instant::now();
        for _ in 0..20 {
            assert_eq!(get(&second.client, "run/t").await, expected(12));
        }
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "later ones read the store: {:?}",
            begun.elapsed()
        );
        drop(hole);
        stalled.lift();
        second.stop().await;
        first.stop().await;
    });
}
