//! Quarantine of damaged WAL segments: a copy below `damaged/`, and the record, event and notification of the
//! loss.
//!
//! [`super::salvage`] replaces a segment on the disk, [`super::replicated_wal`] objects in the bucket.
//!
//! No acknowledged rows are removed without a copy: first the damaged file is copied, then the topic's
//! record, the catalog, an event and a notification name the lost rows, and only then is the segment
//! replaced. A start that is interrupted in between repeats these steps and finds its earlier records.

use std::ops::Range;

use bytes::Bytes;
use mosaico_catalog::TopicRow;
use mosaico_storage::error::Result;
use mosaico_storage::format::chunk_id::ChunkId;
use mosaico_storage::format::damage::{DamageRecord, DamagedSegment, text};
use mosaico_storage::format::paths::SequencePaths;
use mosaico_storage::format::records::NotificationRecord;
use mosaico_types::id::NotificationId;
use mosaico_types::now_ns;
use object_store::path::Path as ObjectPath;

use crate::state::engine::Engine;

/// Folder of damaged files: below the state folder, or in the store.
pub const DAMAGED: &str = "damaged";

/// Copies a damaged object of the replicated WAL, whose rows `lost` were to become the segment `index`.
pub async fn object(
    core: &Engine,
    path: &ObjectPath,
    bytes: &Bytes,
    index: ChunkId,
    lost: Vec<Range<u64>>,
) -> Result<DamagedSegment> {
    let kept = format!("{DAMAGED}/{path}");
    core.store.put(&ObjectPath::from(kept.as_str()), bytes.to_vec()).await?;
    Ok(DamagedSegment { id: index, kept, lost, found_ns: now_ns() })
}

/// Records a damaged segment in the store and the catalog, with an event and a notification of its topic, and
/// in the daemon's log output; returns all damage of the topic. `place` is the path of the damaged file,
/// `what` the kind of damage. Damage that is already recorded is not recorded again. The caller holds the
/// lock of the sequence.
pub async fn note(
    core: &Engine,
    topic: &TopicRow,
    damage: &DamagedSegment,
    (place, what): (&str, &str),
) -> Result<Vec<DamagedSegment>> {
    let DamagedSegment { id, kept, lost, .. } = damage;
    let rows = match damage.rows() {
        0 => "no acknowledged row is known to be lost".to_owned(),
        1 => format!("1 acknowledged row is lost: row {} of the topic, counted from 0", text(lost)),
        rows => {
            format!("{rows} acknowledged rows are lost: rows {} of the topic, counted from 0", text(lost))
        }
    };
    let msg = format!(
        "segment {id} of the write-ahead log is damaged {what}; {rows}. All others were recovered. The damaged file is \
         kept as `{kept}` in the {place}: check the disk, and delete the file when nobody needs it any more"
    );
    tracing::error!(topic = %topic.locator, "{msg}");
    let known = core.catalog.topic_by_id(topic.id).await?.map(|row| row.damage).unwrap_or_default();
    if known.iter().any(|known| known.kept == *kept && (known.lost == *lost || lost.is_empty())) {
        return Ok(known);
    }
    let segments: Vec<DamagedSegment> = known.into_iter().chain([damage.clone()]).collect();
    let (sequence, paths) = (topic.sequence_id, SequencePaths(topic.sequence_id));
    let change = core.catalog.begin(sequence, None).await?;
    // An earlier start may already have created the notification.
    let notified = core.catalog.notifications(sequence, Some(topic.id)).await?;
    let notification = (!notified.iter().any(|known| known.msg == msg)).then(|| NotificationRecord {
        id: NotificationId::generate(),
        topic: Some(topic.id),
        notify_type: mosaico_wire::action::NOTIFY_ERROR.to_owned(),
        msg,
        created_ns: now_ns(),
    });
    if let Some(record) = &notification {
        core.store.create_json(&paths.notification(record.id), record).await?;
    }
    let record = DamageRecord { segments };
    core.store.put_json(&paths.topic(topic.id).damage(), &record).await?;
    core.catalog.topic_damaged(change, (sequence, topic.id), &record.segments, notification.as_ref()).await?;
    Ok(record.segments)
}
