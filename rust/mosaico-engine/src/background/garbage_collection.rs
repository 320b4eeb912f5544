//! Garbage collection in the background: [`unreferenced`] decides, this module deletes, one sequence at a
//! time and under its lock. It deletes only what an earlier pass of this daemon found too, at least the grace
//! period ago.

use std::collections::BTreeSet;
use std::sync::Arc;

use mosaico_storage::error::Result;
use mosaico_storage::format::chunk_id::ChunkId;
use mosaico_storage::format::paths::SequencePaths;
use mosaico_storage::format::unreferenced::{Decision, Live, Pending, unreferenced};
use mosaico_types::id::SequenceId;

use crate::reconcile::{self, sequence_lock};
use crate::state::engine::Engine;

/// Deletes the unreferenced files of all sequences.
pub async fn collect(core: &Arc<Engine>) -> Result<()> {
    let sequences = core.store.sequences().await?;
    for &sequence in &sequences {
        if core.stopping.is_cancelled() {
            return Ok(());
        }
        collect_sequence(core, sequence).await?;
    }
    let sequences: BTreeSet<SequenceId> = sequences.into_iter().collect();
    core.unreferenced.lock().retain(|id| sequences.contains(id));
    core.store.clean_up_staging().await
}

async fn collect_sequence(core: &Engine, id: SequenceId) -> Result<()> {
    let _lock = sequence_lock::lock(core, id).await?;
    // Before the listing: a job that finishes meanwhile has left a record in it.
    let pending = core.live.of_sequence(id);
    let pending = pending.iter().map(|live| {
        let chunks: BTreeSet<ChunkId> = live.indices().into_iter().collect();
        (live.id(), Pending::Chunks(chunks))
    });
    let live = Live {
        pending: pending.collect(),
        sequence: core.catalog.sequence_by_id(id).await?.is_some(),
        topics: core.catalog.topic_ids(id).await?,
        is_shared: core.coordinator.is_shared(),
    };
    let (files, references) = core.store.sequence_files(id).await?;
    let found = unreferenced(id, &files, &references, &live);
    let (now, grace) = (core.config.clock.now(), core.config.orphan_grace);
    let confirmed = core.unreferenced.lock().confirm(id, found, &files, now, grace);
    let (paths, mut is_outdated) = (SequencePaths(id), false);
    for decision in confirmed {
        if let Some((topic, chunk)) = decision.chunk()
            && core.catalog.has_chunk(topic, chunk).await?
        {
            is_outdated = true;
            continue;
        }
        match decision {
            Decision::RemoveSequence => {
                tracing::info!(sequence = %id, "removing an unreferenced folder");
                reconcile::finish_sequence_removal(core, id).await?;
                core.store.remove_folder(&paths.folder(), &paths.deleted()).await?;
            }
            Decision::RemoveTopic(topic) => {
                tracing::info!(%topic, "removing an unreferenced folder");
                reconcile::finish_topic_removal(core, id, topic).await?;
                let paths = paths.topic(topic);
                core.store.remove_folder(&paths.folder(), &paths.deleted()).await?;
            }
            Decision::RemoveFile(path) => {
                tracing::info!(%path, "removing an unreferenced file");
                core.store.remove(&path).await?;
            }
            Decision::Keep(path, reason) => {
                tracing::error!(%path, reason, "files are left as they are; `mosaicod check` tells more");
            }
        }
    }
    if is_outdated {
        tracing::warn!(sequence = %id, "the catalog takes over what another daemon changed in the store");
        // Files of compacted chunks are deleted in the next run: their readers of now continue.
        if let Err(error) = reconcile::sequence(core, id).await {
            tracing::error!(sequence = %id, error = %error.detail(), "files of chunks are left as they are");
        }
    }
    Ok(())
}
