//! Adoption: a daemon takes over a topic whose writer is considered gone and whose daemon is dead, with the rows
//! of the replicated WAL. See [`crate::state::lease`] for the protocol that protects acknowledged rows and living
//! writers.

use std::collections::BTreeMap;
use std::time::Duration;

use mosaico_catalog::TopicRow;
use mosaico_storage::error::Result;
use mosaico_storage::format::schema::parse_schema_message;

use super::handover::{begin_next_epoch, missing_rows};
use super::replicated_wal::{catch_up, list};
use crate::state::active_topic::ActiveTopic;
use crate::state::engine::Engine;
use crate::state::membership::Cluster;
use crate::state::orphans::{Orphan, Orphaned};

/// Takes over a topic without its writer, if the writer has expired and the topic's last daemon is dead,
/// acknowledges nothing more, and has no rows that are not in the store. The caller holds the lock of the
/// sequence, and tries again later while rows are missing.
pub async fn adopt(core: &Engine, cluster: &Cluster, row: &TopicRow) -> Result<()> {
    if missing_rows(core, row).await?.is_empty() {
        return Ok(());
    }
    let epochs = core.catalog.epochs(row.id).await?;
    let (Some(last), Some(schema)) = (epochs.last(), &row.schema) else { return Ok(()) };
    let epoch = if last.daemon == cluster.id() {
        last.clone()
    } else if last.wal_in_store && is_orphaned(core, cluster, row, &last.daemon).await? {
        begin_next_epoch(core, cluster, row, &epochs, 0, None).await?
    } else {
        return Ok(());
    };
    cluster.orphans().forget(row.id);
    let (schema, folder) = (parse_schema_message(schema)?, core.wal_folder(row.id));
    let create = || ActiveTopic::new(row.clone(), schema, folder, BTreeMap::new());
    let Some(writer) = core.live.open(row.id, create) else { return Ok(()) };
    catch_up(core, writer.topic(), &epoch).await
}

/// Whether `daemon`, which recorded the topic, is dead and acknowledges nothing more.
async fn is_orphaned(core: &Engine, cluster: &Cluster, row: &TopicRow, daemon: &str) -> Result<bool> {
    let Some(lease) = core.catalog.revoke_lease(daemon).await? else {
        cluster.orphans().forget(row.id);
        return Ok(false);
    };
    let objects = list(core, row).await?;
    let newest = objects.iter().map(|object| (object.segment, object.row_end)).max();
    let found = cluster.orphans().observe(row.id, Orphan { lease, newest });
    if found == Orphaned::Alive {
        core.catalog.record_heartbeats(&[(row.sequence_id, Duration::ZERO)]).await?;
    }
    Ok(found == Orphaned::Adopt)
}
