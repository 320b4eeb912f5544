//! Reconciliation: finishes interrupted changes and removals, both at startup and at run time.

pub mod sequence_lock;

use std::collections::HashSet;
use std::sync::Arc;

use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::paths::SequencePaths;
use mosaico_storage::format::state::SequenceState;
use mosaico_storage::objects::blocking;
use mosaico_types::id::{SequenceId, TopicId};

use crate::state::active_topic::ActiveTopic;
use crate::state::engine::Engine;

/// Reconciles the pending intents of a sequence with the store; the caller holds the sequence lock. Removes a
/// sequence or topic whose creation the client got no answer to: no client has its key.
pub async fn sequence(core: &Engine, id: SequenceId) -> Result<()> {
    let known = core.catalog.sequence_by_id(id).await?;
    decide(core, id).await?;
    let state = core.store.load_sequence(id).await?;
    match (known, state) {
        (Some(known), Some(state)) if !known.deleting => reconcile_known(core, state).await,
        (None, Some(state)) if is_in_use(&state) => core.catalog.adopt(&state).await,
        (known, _) => {
            core.catalog.apply_removal(id).await?;
            match known {
                None if core.store.is_remote() => core.store.write_tombstone(id).await?,
                _ => finish_sequence_removal(core, id).await?,
            }
            core.creations.begun.lock().remove(&id);
            Ok(())
        }
    }
}

/// Decides which of the records that pending changes wrote exist: a request may reach a bucket later, also that of a
/// daemon which is dead by now.
async fn decide(core: &Engine, id: SequenceId) -> Result<()> {
    if core.store.is_remote() {
        for record in core.catalog.pending_records(id).await? {
            core.store.bar(&record.into()).await?;
        }
    }
    Ok(())
}

async fn reconcile_known(core: &Engine, mut state: SequenceState) -> Result<()> {
    let id = state.record.id;
    let known: HashSet<TopicId> = core.catalog.topics(id).await?.iter().map(|topic| topic.id).collect();
    let (kept, unknown): (Vec<_>, Vec<_>) =
        state.topics.into_iter().partition(|topic| known.contains(&topic.record.id));
    state.topics = kept;
    for topic in unknown {
        if topic.schema.is_some() {
            // A client used the topic's key, so its creation was answered: this is not the remainder of a
            // failed creation.
            let text =
                format!("reconciling topic {}, which only `mosaicod rebuild` can import", topic.record.id);
            return Err(Error::Internal(text.into()));
        }
        finish_topic_removal(core, id, topic.record.id).await?;
    }
    for &topic in known.iter().filter(|id| !state.topics.iter().any(|topic| topic.record.id == **id)) {
        core.catalog.apply_topic_removal(id, topic).await?;
        finish_topic_removal(core, id, topic).await?;
    }
    core.catalog.apply_sequence(&state).await
}

/// Deletes the files of a sequence that is marked as deleted, then removes it from the catalog.
pub async fn finish_sequence_removal(core: &Engine, id: SequenceId) -> Result<()> {
    for topic in core.live.of_sequence(id) {
        stop(core, &topic).await;
    }
    let paths = SequencePaths(id);
    // WAL folders are named by topic, not by sequence; the store still lists the topics.
    for name in core.store.list_folders(&paths.topics()).await? {
        if let Ok(topic) = name.parse() {
            remove_log(core, topic).await?;
        }
    }
    core.store.empty_folder(&paths.folder(), &paths.deleted()).await?;
    core.writers.forget(id);
    core.catalog.forget_sequence(id).await
}

/// Deletes the files of a topic that is marked as deleted, then removes it from the catalog.
pub async fn finish_topic_removal(core: &Engine, sequence: SequenceId, topic: TopicId) -> Result<()> {
    if let Some(live) = core.live.get(topic) {
        stop(core, &live).await;
    }
    let paths = SequencePaths(sequence).topic(topic);
    remove_log(core, topic).await?;
    for row in core.catalog.notifications(sequence, Some(topic)).await? {
        core.store.remove(&SequencePaths(sequence).notification(row.id)).await?;
    }
    core.store.empty_folder(&paths.folder(), &paths.deleted()).await?;
    core.catalog.forget_topic(topic).await
}

/// Releases a topic that another daemon removed.
pub async fn drop_deleted(core: &Engine, topic: &Arc<ActiveTopic>) -> Result<()> {
    stop(core, topic).await;
    remove_log(core, topic.id()).await
}

/// Ends the put and the background jobs of a topic that is being removed.
async fn stop(core: &Engine, topic: &Arc<ActiveTopic>) {
    topic.cancel.cancel();
    topic.tasks.close();
    topic.tasks.wait().await;
    core.live.remove(topic.id());
}

async fn remove_log(core: &Engine, topic: TopicId) -> Result<()> {
    let folder = core.wal_folder(topic);
    blocking("removing the log of a deleted topic", move || match std::fs::remove_dir_all(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    })
    .await
}

/// Whether a client received the sequence's key. Without the key, a sequence has only its creation record.
fn is_in_use(state: &SequenceState) -> bool {
    !state.topics.is_empty() || state.finalized_ns.is_some() || state.ended_ns.is_some()
}
