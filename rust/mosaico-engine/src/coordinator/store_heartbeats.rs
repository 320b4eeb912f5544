//! Heartbeats in the store, of a daemon that does not reach the database: its writers are alive, and no other
//! daemon ends them. See [`crate::state::lease`].
//!
//! Only a change of such a heartbeat counts, so clocks of machines are not compared, and what a dead daemon left
//! says nothing.

use std::time::Duration;

use mosaico_storage::error::Result;
use mosaico_storage::format::paths::heartbeat_file;
use mosaico_storage::format::records::HeartbeatRecord;
use mosaico_types::now_ns;
use object_store::path::Path;
use uuid::Uuid;

use crate::state::engine::Engine;
use crate::state::membership::Cluster;

/// Silence in the database after which a daemon writes its heartbeats to the store, and the leader looks there.
const SILENCE: Duration = Duration::from_secs(4);

fn file(daemon: &str) -> Option<Path> {
    Uuid::parse_str(daemon).ok().map(heartbeat_file)
}

/// Writes a heartbeat to the store if the database has confirmed none lately, and removes the last one otherwise;
/// `wrote`: whether there is one.
pub async fn write(core: &Engine, cluster: &Cluster, wrote: &mut bool) -> Result<()> {
    let Some(file) = file(cluster.id()) else { return Ok(()) };
    if cluster.lease().age() < SILENCE {
        if *wrote {
            core.store.remove(&file).await?;
            *wrote = false;
        }
        return Ok(());
    }
    for topic in core.live.all().iter().filter(|topic| topic.is_written()) {
        core.writers.record_activity(topic.row.sequence_id);
    }
    let limit = core.config.writer_timeout.unwrap_or(Duration::MAX);
    let active = core.writers.inactivity().into_iter().filter(|(_, silence)| *silence < limit);
    let record = HeartbeatRecord {
        daemon: cluster.id().to_owned(),
        sent_ns: now_ns(),
        writers: active.map(|(sequence, _)| sequence).collect(),
    };
    *wrote = true;
    core.store.put_json(&file, &record).await
}

/// Records the activity of writers at silent daemons, as their heartbeats in the store say. For the leader.
pub async fn relay(core: &Engine, cluster: &Cluster) -> Result<()> {
    for daemon in core.catalog.silent_daemons(SILENCE).await? {
        let Some(file) = file(&daemon) else { continue };
        match core.store.get_json::<HeartbeatRecord>(&file).await {
            Ok(Some(record)) if cluster.note_store_heartbeat(&daemon, record.sent_ns) => {
                let writers: Vec<_> = record.writers.iter().map(|&id| (id, Duration::ZERO)).collect();
                core.catalog.record_heartbeats(&writers).await?;
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%daemon, error = %error.detail(), "cannot read a heartbeat"),
        }
    }
    Ok(())
}
