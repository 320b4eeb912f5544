//! The end of an upload: one record that names all chunks of the topic.

use mosaico_catalog::TopicRow;
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::paths::SequencePaths;
use mosaico_storage::format::records::{CommitRecord, TopicRecord};
use mosaico_types::now_ns;

use crate::state::engine::Engine;
use crate::state::queue::Job;

/// Completes a topic whose rows are all in chunks. The caller holds the lock of its sequence. `schema` is an
/// IPC schema message. Returns the time of the commit.
pub async fn commit(core: &Engine, row: &TopicRow, schema: Vec<u8>) -> Result<i64> {
    let paths = SequencePaths(row.sequence_id).topic(row.id);
    let mut chunks = Vec::new();
    for chunk in core.catalog.chunks(row.id).await? {
        let path = paths.chunk_record(chunk.id);
        let record = core.store.get_json(&path).await?;
        chunks.push(record.ok_or_else(|| Error::Internal(format!("looking for {path}").into()))?);
    }
    let record = CommitRecord { topic: TopicRecord::from(row), schema, committed_ns: now_ns(), chunks };
    let change = core.catalog.begin(row.sequence_id, Some(paths.committed().as_ref())).await?;
    core.write_once(&change, &paths.committed(), &record).await?;
    core.catalog.topic_committed(change, row.sequence_id, row.id, record.committed_ns).await?;
    if core.coordinator.is_shared() || core.config.replicates_wal() {
        core.queue.enqueue(Job::TrimWal(row.sequence_id, row.id));
    }
    Ok(record.committed_ns)
}
