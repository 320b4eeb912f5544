//! Reports damaged chunks that reads or the scrub found: a log line, an event, and a notification of the topic.

use mosaico_storage::error::Result;
use mosaico_storage::format::chunk_id::ChunkId;
use mosaico_storage::format::paths::SequencePaths;
use mosaico_storage::format::records::NotificationRecord;
use mosaico_types::id::{NotificationId, SequenceId, TopicId};
use mosaico_types::now_ns;
use mosaico_wire::action::NOTIFY_ERROR;
use serde_json::json;

use crate::reconcile::sequence_lock;
use crate::state::engine::Engine;

/// Reports a chunk, unless it does not exist any more: a file that is missing because its topic was deleted or
/// its chunks were compacted is no damage. A notification that an earlier process or another daemon created is
/// not repeated.
pub(super) async fn report(
    core: &Engine,
    sequence: SequenceId,
    topic: TopicId,
    chunk: ChunkId,
) -> Result<()> {
    let Some(damage) = core.damaged.get(topic, chunk) else { return Ok(()) };
    let _lock = sequence_lock::lock(core, sequence).await?;
    let row = core.catalog.topic_by_id(topic).await?;
    if row.is_none_or(|row| row.deleting) || !core.catalog.has_chunk(topic, chunk).await? {
        core.damaged.remove(topic, chunk);
        return Ok(());
    }
    let msg = damage.to_string();
    // The cause may differ: another read may find other bytes first.
    let subject = msg.split_once(':').map_or(msg.as_str(), |(subject, _)| subject);
    let notified = core.catalog.notifications(sequence, Some(topic)).await?;
    if !notified.iter().any(|known| known.msg.starts_with(subject)) {
        let record = NotificationRecord {
            id: NotificationId::generate(),
            topic: Some(topic),
            notify_type: NOTIFY_ERROR.to_owned(),
            msg: msg.clone(),
            created_ns: now_ns(),
        };
        let detail = json!({
            "chunk": chunk.to_string(),
            "file": damage.path.to_string(),
            "rows": [damage.rows.start, damage.rows.end],
            "timestamp_range": damage.times,
            "cause": damage.cause,
        });
        let change = core.catalog.begin(sequence, None).await?;
        core.store.create_json(&SequencePaths(sequence).notification(record.id), &record).await?;
        core.catalog.chunk_damaged(change, (sequence, topic), detail, &record).await?;
    }
    tracing::error!(topic = %damage.locator, "{msg}");
    Ok(())
}
