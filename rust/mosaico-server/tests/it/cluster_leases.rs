//! Acknowledgements of daemons that share a bucket need a lease, which other daemons revoke before they adopt
//! topics. These tests always need a Postgres.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::cluster::{finalized, from, member, resume, started};
use crate::common::*;
use crate::database;
use crate::replicated_wal::*;
use mosaico_server::ManualClock;
use serde_json::json;

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
        let status = loop {
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
            tokio::task::yield_now().await;
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
