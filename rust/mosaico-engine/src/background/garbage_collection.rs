//! Objects that no record names: what a crash left between a file and the record that names it.
//!
//! Records of the store decide, never the catalogue. Only files of the store's own layout are looked at, only when
//! they are older than the grace period, and only below the id of their sequence, under its lock.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::SystemTime;

use mosaico_storage::error::Result;
use mosaico_storage::format::paths::{SequencePaths, parse_chunk, parse_logged};
use mosaico_storage::format::records::CommitRecord;
use mosaico_types::id::{SequenceId, TopicId};
use object_store::ObjectMeta;
use object_store::path::Path;

use crate::reconcile::{self, sequence_lock};
use crate::state::engine::Core;

/// Removes all of them.
pub async fn collect(core: &Arc<Core>) -> Result<()> {
    let before = SystemTime::now() - core.config.orphan_grace;
    for sequence in core.store.sequences().await? {
        if core.stopping.is_cancelled() {
            return Ok(());
        }
        collect_sequence(core, sequence, before).await?;
    }
    core.store.drop_scratch(before).await
}

async fn collect_sequence(core: &Core, id: SequenceId, before: SystemTime) -> Result<()> {
    let paths = SequencePaths(id);
    let _lock = sequence_lock::lock(core, id).await?;
    let named = core.store.has(&paths.created()).await? && !core.store.has(&paths.deleted()).await?;
    if !named {
        // The catalogue knows what is being created or removed now.
        if core.catalog.sequence_by_id(id).await?.is_none()
            && all_older(&core.store.objects_below(&paths.folder()).await?, before)
            && is_rest(core, &paths.deleted(), &paths.folder()).await?
        {
            tracing::info!(sequence = %id, "removing a folder that no record names");
            reconcile::finish_sequence_removal(core, id).await?;
        }
        return Ok(());
    }
    for name in core.store.list_folders(&paths.topics()).await? {
        if let Ok(topic) = name.parse::<TopicId>() {
            collect_topic(core, id, topic, before).await?;
        }
    }
    Ok(())
}

async fn collect_topic(core: &Core, sequence: SequenceId, id: TopicId, before: SystemTime) -> Result<()> {
    let paths = SequencePaths(sequence).topic(id);
    // Before the listing: a job that is done meanwhile has left a record in it.
    let waiting = core.live.get(id).map(|live| live.indices()).unwrap_or_default();
    let objects = core.store.objects_below(&paths.folder()).await?;
    let commit: Option<CommitRecord> = core.store.get_json(&paths.committed()).await?;
    let created = commit.is_some() || core.store.has(&paths.created()).await?;
    if !created || core.store.has(&paths.deleted()).await? {
        if core.catalog.topic_by_id(id).await?.is_none()
            && all_older(&objects, before)
            && is_rest(core, &paths.deleted(), &paths.folder()).await?
        {
            tracing::info!(topic = %id, "removing a folder that no record names");
            reconcile::finish_topic_removal(core, sequence, id).await?;
        }
        return Ok(());
    }
    if core.cluster.is_some() && commit.is_none() {
        // Another daemon may be about to name what it has sent.
        return Ok(());
    }
    let is_committed = commit.is_some();
    let named: HashSet<u32> = match commit {
        Some(commit) => commit.chunks.iter().map(|chunk| chunk.index).collect(),
        None => objects.iter().filter_map(|object| index(object, ".json")).chain(waiting).collect(),
    };
    // Chunks that were joined are read by whoever began before.
    let is_recent = |object: &ObjectMeta| object.location == paths.committed() && !older(object, before);
    if objects.iter().any(is_recent) {
        return Ok(());
    }
    for object in objects.iter().filter(|object| older(object, before)) {
        let chunk = index(object, ".parquet").or_else(|| index(object, ".json"));
        let logged = is_committed && parse_logged(&object.location).is_some();
        if logged || chunk.is_some_and(|chunk| !named.contains(&chunk)) {
            tracing::info!(path = %object.location, "removing a file that no record names");
            core.store.remove(&object.location).await?;
        }
    }
    Ok(())
}

/// Whether a folder may go: its removal was begun, or it holds no rows. One that lost its record stays.
async fn is_rest(core: &Core, tombstone: &Path, folder: &Path) -> Result<bool> {
    if core.store.has(tombstone).await? {
        return Ok(true);
    }
    let rest = core.store.check_rest(folder).await;
    if let Err(error) = &rest {
        tracing::error!(error = %error.detail(), "a folder is left as it is; `mosaicod check` tells more");
    }
    Ok(rest.is_ok())
}

/// The index of a chunk's file.
fn index(object: &ObjectMeta, ending: &str) -> Option<u32> {
    parse_chunk(object.location.filename()?, ending)
}

fn older(object: &ObjectMeta, before: SystemTime) -> bool {
    SystemTime::from(object.last_modified) < before
}

fn all_older(objects: &[ObjectMeta], before: SystemTime) -> bool {
    objects.iter().all(|object| older(object, before))
}
