//! Garbage collection in the background: [`unreferenced`] decides, this carries it out, a sequence at a time and under
//! its lock.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

use crate::core::Core;
use crate::error::Result;
use crate::id::SequenceId;
use crate::store::chunk_id::ChunkId;
use crate::store::unreferenced::{Decision, Live, Pending, unreferenced};

/// Removes the unreferenced files of all sequences.
pub(super) async fn collect(core: &Arc<Core>) -> Result<()> {
    let now = SystemTime::now();
    for sequence in core.store.sequences().await? {
        if core.stopping.is_cancelled() {
            return Ok(());
        }
        collect_sequence(core, sequence, now).await?;
    }
    core.store.drop_scratch(now.checked_sub(core.config.orphan_grace).unwrap_or(SystemTime::UNIX_EPOCH)).await
}

async fn collect_sequence(core: &Core, id: SequenceId, now: SystemTime) -> Result<()> {
    let _lock = core.lock(id).await?;
    // Before the listing: a job that is done meanwhile has left a record in it.
    let pending = core.live.of_sequence(id);
    let pending = pending.iter().map(|live| {
        let chunks: BTreeSet<ChunkId> = live.indices().into_iter().collect();
        (live.id(), Pending::Chunks(chunks))
    });
    let live = Live {
        pending: pending.collect(),
        sequence: core.catalog.sequence_by_id(id).await?.is_some(),
        topics: core.catalog.topic_ids(id).await?,
        is_shared: core.cluster.is_some(),
    };
    let (files, references) = core.store.sequence_files(id).await?;
    let mut is_outdated = false;
    for decision in unreferenced(id, &files, &references, &live, now, core.config.orphan_grace) {
        if let Some((topic, chunk)) = decision.chunk()
            && core.catalog.has_chunk(topic, chunk).await?
        {
            is_outdated = true;
            continue;
        }
        match decision {
            Decision::RemoveSequence => {
                tracing::info!(sequence = %id, "removing an unreferenced folder");
                core.finish_sequence_removal(id).await?;
            }
            Decision::RemoveTopic(topic) => {
                tracing::info!(%topic, "removing an unreferenced folder");
                core.finish_topic_removal(id, topic).await?;
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
        // Files of chunks that were joined go the next time: whoever reads them now goes on.
        if let Err(error) = core.settle(id).await {
            tracing::error!(sequence = %id, %error, "files of chunks are left as they are");
        }
    }
    Ok(())
}
