//! Acknowledgements of daemons that share a bucket need a lease, which other daemons revoke before they adopt
//! topics. These tests always need a Postgres.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cluster::{finalized, from, member, resume, started};
use crate::common::*;
use crate::database;
use crate::replicated_wal::*;
use mosaico_server::{ManualClock, Server};
use mosaico_storage::format::paths::heartbeat_file;
use mosaico_storage::format::record;
use mosaico_storage::format::records::HeartbeatRecord;
use serde_json::json;
use sqlx::Connection;
use tokio::runtime::Runtime;

async fn in_catalog(folder: &Path, text: &str) {
    database::postgres_sql(&database::postgres().unwrap(), folder, text).await;
}

#[test]
fn no_row_is_acknowledged_under_a_revoked_lease() {
    let Some((folder, faults)) = started() else { return };
    with_server(member(folder.path(), &faults, "a"), async |client| {
        let key = create_sequence(client, "run").await;
        let topic = create_topic(client, "run/t", &key).await;
        let mut put = Put::open(client, "run/t", &topic, rows(&[0], 0).schema()).await;
        put.send(numbered(0..4)).await;
        put.durable(4).await;
        in_catalog(folder.path(), "UPDATE daemon SET lease = 'another'").await;
        // Its next heartbeat tells it. Until then its lease is valid: nobody adopts the topic so early.
        let mut known = 4;
        let began = Instant::now();
        let status = loop {
            assert!(began.elapsed() < Duration::from_secs(20), "it still acknowledges");
            put.offer(numbered(known as usize..known as usize + 1)).await;
            match put.ack().await {
                Ok(ack) => known = ack.expect("the stream continues").durable_rows,
                Err(status) => break status,
            }
        };
        assert!(unavailable(&status), "{status:?}");
        faults.lift();
        let end = known as usize + 10;
        assert_eq!(resume(client, &topic, known, from(end)).await.unwrap().last(), Some(&(end as u64)));
        finalized(client, &key, end).await;
    });
}

#[test]
fn a_sequence_without_writer_and_server_keeps_its_rows() {
    let Some((folder, faults)) = started() else { return };
    crash_after(member(folder.path(), &faults, "a"), async |client| {
        begin_recording(client, 8).await;
    });
    fs::remove_dir_all(folder.path().join("a")).unwrap();
    // Makes its heartbeats old.
    database::block_on(in_catalog(
        folder.path(),
        "UPDATE daemon SET seen_at = now() - interval '1 minute'; UPDATE lease SET until = '-infinity'",
    ));
    faults.lift();
    let clock = Arc::new(ManualClock::default());
    let mut config = member(folder.path(), &faults, "b");
    config.clock = Arc::<ManualClock>::clone(&clock);
    config.writer_timeout = Some(Duration::from_millis(200));
    with_server(config, async |client| {
        let is_locked = async || {
            let info = act(client, "topic_system_info", json!({"name": "run/t"})).await.unwrap();
            info["is_locked"] == true
        };
        let revoked = "DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM daemon WHERE seen_at = '-infinity') THEN \
                       RAISE 'not yet'; END IF; END $$";
        eventually("it revokes the lease", async || {
            clock.advance(Duration::from_millis(60));
            database::try_postgres_sql(&database::postgres().unwrap(), folder.path(), revoked).await.is_ok()
        })
        .await;
        for _ in 0..80 {
            clock.advance(Duration::from_millis(100));
            tokio::time::sleep(Duration::from_millis(10)).await;
            assert!(!is_locked().await, "the lease may still be valid");
        }
        eventually("it is ended with its rows", async || {
            clock.advance(Duration::from_secs(1));
            is_locked().await
        })
        .await;
        assert_eq!(get(client, "run/t").await, expected(8));
    });
}

#[test]
fn a_writer_whose_daemon_reaches_only_the_bucket_is_not_ended() {
    let Some((folder, faults)) = started() else { return };
    crash_after(member(folder.path(), &faults, "a"), async |client| {
        begin_recording(client, 8).await;
    });
    database::block_on(in_catalog(
        folder.path(),
        "UPDATE daemon SET seen_at = now() - interval '1 minute'; UPDATE lease SET until = '-infinity'",
    ));
    faults.lift();
    let objects = files(&folder.path().join("bucket"));
    let sequence = objects.iter().find_map(|name| name.strip_suffix("/sequence.json")).unwrap();
    let writers = vec![sequence.strip_prefix("seq/").unwrap().parse().unwrap()];
    let daemon = id_of(folder.path(), "a");
    let file = folder.path().join("bucket").join(heartbeat_file(daemon.parse().unwrap()).as_ref());
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    let clock = Arc::new(ManualClock::default());
    let mut config = member(folder.path(), &faults, "b");
    config.clock = Arc::<ManualClock>::clone(&clock);
    config.writer_timeout = Some(Duration::from_secs(1));
    with_server(config, async |client| {
        let is_locked = async || {
            let info = act(client, "topic_system_info", json!({"name": "run/t"})).await.unwrap();
            info["is_locked"] == true
        };
        for sent_ns in 0..60 {
            let record = HeartbeatRecord { daemon: daemon.clone(), sent_ns, writers: writers.clone() };
            fs::write(&file, record::write(&record).unwrap()).unwrap();
            clock.advance(Duration::from_secs(1));
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert!(!is_locked().await, "its heartbeats change");
        }
        eventually("it is ended when they do not change any more", async || {
            clock.advance(Duration::from_secs(1));
            is_locked().await
        })
        .await;
        assert_eq!(get(client, "run/t").await, expected(8));
    });
}

/// A session that has the locks of a daemon, as the database keeps it for a machine that disappeared.
async fn left_session(folder: &Path, locks: &[String]) -> sqlx::PgConnection {
    let mut session = sqlx::PgConnection::connect(&database::postgres().unwrap()).await.unwrap();
    for lock in locks {
        let name = format!("mosaicod/{}/{lock}", database::schema(folder));
        let text = format!("SELECT pg_advisory_lock_shared(hashtextextended('{name}', 0))");
        sqlx::raw_sql(sqlx::AssertSqlSafe(text)).execute(&mut session).await.unwrap();
    }
    session
}

fn id_of(folder: &Path, name: &str) -> String {
    let owner = fs::read(folder.join(name).join("owner.json")).unwrap();
    let owner: serde_json::Value = serde_json::from_slice(&owner).unwrap();
    owner["id"].as_str().unwrap().to_owned()
}

#[test]
fn sessions_of_dead_daemons_are_ended() {
    let Some((folder, faults)) = started() else { return };
    let folder = folder.path();
    let (key, topic) =
        crash_after(member(folder, &faults, "a"), async |client| begin_recording(client, 8).await);
    let sequence =
        files(&folder.join("bucket")).into_iter().find(|name| name.ends_with("sequence.json")).unwrap();
    let sequence = sequence.split('/').nth(1).unwrap().to_owned();
    let daemon = id_of(folder, "a");
    let locks = ["store".to_owned(), format!("daemon/{daemon}"), format!("sequence/{sequence}")];
    let serving = format!("serving/{daemon}");
    let dead = "UPDATE daemon SET seen_at = now() - interval '1 minute'";
    faults.lift();
    Runtime::new().unwrap().block_on(async {
        // Another daemon needs the lock of its sequence.
        let left = left_session(folder, &[&locks[..], std::slice::from_ref(&serving)].concat()).await;
        in_catalog(folder, dead).await;
        let other = TestServer::start(member(folder, &faults, "b")).await;
        assert_eq!(resume(&other.client, &topic, 8, from(12)).await.unwrap(), [8, 12]);
        other.stop().await;
        drop(left);
        // The daemon starts again on its state folder.
        let left = left_session(folder, &[&locks[..], std::slice::from_ref(&serving)].concat()).await;
        in_catalog(folder, dead).await;
        let again = TestServer::start(member(folder, &faults, "a")).await;
        finalized(&again.client, &key, 12).await;
        again.stop().await;
        drop(left);
        // A command has no heartbeats, and keeps the store.
        let left = left_session(folder, &locks).await;
        in_catalog(folder, dead).await;
        let refused = Server::open(member(folder, &faults, "a")).await.unwrap_err();
        assert!(refused.to_string().contains("with the same id"), "{refused}");
        drop(left);
    });
}

#[test]
fn commits_are_durable_whatever_the_database_says() {
    let Some((folder, faults)) = started() else { return };
    let folder = folder.path();
    let mut config = member(folder, &faults, "a");
    let url = config.database.take().unwrap();
    let and = if url.contains('?') { '&' } else { '?' };
    config.database = Some(format!("{url}{and}options=-c%20synchronous_commit%3Doff"));
    faults.lift();
    with_server(config, async |client| {
        let noted = "CREATE TABLE noted (setting TEXT); \
             CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                 INSERT INTO noted VALUES (current_setting('synchronous_commit')); \
                 IF current_setting('lock_timeout') = '0' THEN RAISE 'no limit'; END IF; RETURN NEW; END $$; \
             CREATE TRIGGER note BEFORE INSERT ON sequence FOR EACH ROW EXECUTE FUNCTION note(); \
             CREATE TRIGGER note BEFORE INSERT ON pending FOR EACH ROW EXECUTE FUNCTION note()";
        in_catalog(folder, noted).await;
        create_sequence(client, "run").await;
        let check = "DO $$ BEGIN IF (SELECT count(*) FILTER (WHERE setting = 'on') < 2 OR \
                     count(*) FILTER (WHERE setting <> 'on') > 0 FROM noted) THEN RAISE 'asynchronous'; END IF; END $$";
        in_catalog(folder, check).await;
    });
}
