//! Recovery after a crash: a start finishes removals, reconciles changes that the catalog missed, and replays
//! the WAL.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use mosaico_catalog::TopicRow;
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::chunk_id::ChunkId;
use mosaico_storage::format::damage::{ends, lost_of};
use mosaico_storage::format::paths::SequencePaths;
use mosaico_storage::format::records::ChunkRecord;
use mosaico_storage::format::schema::parse_schema_message;
use mosaico_storage::objects::blocking;
use mosaico_storage::trace;
use mosaico_storage::wal::frame::{LogError, SegmentRows};
use mosaico_storage::wal::segment::{Inspected, inspect_file, list_segments, read_header, segment_file};
use mosaico_types::id::TopicId;

use crate::ingest::handover::is_superseded;
use crate::ingest::{replicated_wal, salvage};
use crate::reconcile::sequence_lock;
use crate::state::active_topic::{ActiveTopic, Segment};
use crate::state::engine::Engine;
use crate::state::queue::Job;

/// Makes catalog, store and WAL consistent.
pub async fn recover(core: &Arc<Engine>) -> Result<()> {
    // Before everything else: a start that is refused changes nothing.
    check_versions(core).await?;
    core.coordinator.reconcile(core).await?;
    recover_log(core).await?;
    replicated_wal::recover(core).await
}

/// Topics that have a WAL folder.
async fn logged_topics(core: &Engine) -> Result<Vec<TopicId>> {
    let folder = core.log.clone();
    let topics = blocking("listing the WAL", move || {
        let names = folder.read_dir()?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect::<io::Result<Vec<String>>>()
    });
    Ok(topics.await?.iter().filter_map(|name| name.parse().ok()).collect())
}

/// Refuses segments of an unknown format version.
async fn check_versions(core: &Engine) -> Result<()> {
    for id in logged_topics(core).await? {
        let folder = core.wal_folder(id);
        let find = move || {
            let unknown = |index| match read_header(&segment_file(&folder, index)) {
                Err(error @ LogError::Version { .. }) => Some(error),
                // Any other defect concerns its topic only.
                _ => None,
            };
            Ok(list_segments(&folder)?.into_iter().find_map(unknown))
        };
        if let Some(error) = blocking("reading the WAL", find).await? {
            return Err(error.into_error("reading the WAL"));
        }
    }
    Ok(())
}

async fn recover_log(core: &Arc<Engine>) -> Result<()> {
    for id in logged_topics(core).await? {
        // One damaged WAL must not prevent the start; its files stay for inspection.
        if let Err(error) = recover_topic(core, id).await {
            tracing::error!(topic = %id, error = %error.detail(), "the log of a topic is left aside");
            core.live.set_unrecovered(id, &error);
        }
    }
    Ok(())
}

async fn recover_topic(core: &Arc<Engine>, id: TopicId) -> Result<()> {
    let folder = core.wal_folder(id);
    let Some(row) = core.catalog.topic_by_id(id).await? else {
        // A removal deletes the WAL first, so this one belongs to a damaged topic and may be the only copy of
        // its rows.
        tracing::warn!(topic = %id, "a log of no topic is left as it is; `mosaicod check` looks for the topic");
        return Ok(());
    };
    let doing = format!("recovering the log of topic `{}`", row.locator);
    let schema = row.schema.as_deref().map(parse_schema_message).transpose()?;
    let Some(schema) = schema else {
        return Err(Error::internal(doing, io::Error::other("the topic has rows and no schema")));
    };
    let stored = stored_chunks(core, &row).await?;
    let waiting = {
        let folder = folder.clone();
        blocking("removing segments that are in chunks", move || remove_stored(&folder, &stored)).await?
    };
    // Includes chunks that the catalog had missed.
    let row = core.catalog.topic_by_id(id).await?.unwrap_or(row);
    let mut segments: BTreeMap<ChunkId, Segment> = BTreeMap::new();
    let (epochs, chunks) = (core.catalog.epochs(id).await?, core.catalog.chunks(id).await?);
    for index in waiting {
        // The segment starts after the previous rows of its epoch, which are in a chunk or a segment, or
        // lost.
        let epoch = epochs.iter().find(|epoch| epoch.number == index.epoch);
        let is_before =
            |other: ChunkId| other < index && epoch.is_none_or(|epoch| epoch.number == other.epoch);
        let stored = chunks.iter().map(|chunk| (chunk.id, chunk.row_end())).chain(ends(&row.damage));
        let logged = segments.iter().map(|(other, segment)| (*other, segment.row_end()));
        let ends = stored.chain(logged).filter(|(other, _)| is_before(*other)).map(|(_, end)| end);
        let before = ends.max().unwrap_or(epoch.map_or(0, |epoch| epoch.row_start));
        if let Some(segment) = recover_segment(core, &row, &schema, index, before).await? {
            segments.insert(index, segment);
        }
    }
    if segments.is_empty() {
        return blocking("removing an empty log", move || remove_empty(&folder)).await;
    }
    // Includes damage that was just found.
    let row = core.catalog.topic_by_id(id).await?.unwrap_or(row);
    let indices: Vec<ChunkId> = segments.keys().copied().collect();
    let topic = Arc::new(ActiveTopic::new(row, schema, folder, segments));
    core.live.insert(Arc::clone(&topic));
    for index in indices {
        core.queue.enqueue(Job::Chunk(id, index));
    }
    Ok(())
}

/// Recovers a segment: truncates a torn tail, quarantines damage. `None`: the segment has no rows, and its
/// file is removed.
async fn recover_segment(
    core: &Engine,
    row: &TopicRow,
    schema: &SchemaRef,
    index: ChunkId,
    before: u64,
) -> Result<Option<Segment>> {
    let doing = format!("recovering segment {index} of topic `{}`", row.locator);
    let file = segment_file(&core.wal_folder(row.id), index);
    let inspected = {
        let (doing, file, schema) = (doing.clone(), file.clone(), SchemaRef::clone(schema));
        trace::spawn_blocking(move || inspect_file(&file, &schema).map_err(|e| e.into_error(&doing)))
    };
    let Inspected { scan, rows } = inspected.await.map_err(|e| Error::internal(doing.as_str(), e))??;
    if !scan.damage.is_empty() {
        let _lock = sequence_lock::lock(core, row.sequence_id).await?;
        let row = core.catalog.topic_by_id(row.id).await?.unwrap_or_else(|| row.clone());
        return salvage::recover(core, &row, schema, index, before).await;
    }
    if scan.length > scan.whole {
        let torn = scan.length - scan.whole;
        tracing::warn!(topic = %row.locator, segment = %index, bytes = torn, "cut unfinished bytes off the log");
    }
    let Some(rows) = rows else {
        blocking("removing an empty segment", move || fs::remove_file(file)).await?;
        return Ok(None);
    };
    if scan.length > scan.whole {
        let cut = move || {
            let file = OpenOptions::new().write(true).open(file)?;
            file.set_len(scan.whole)?;
            file.sync_all()
        };
        blocking("cutting a torn tail off a segment", cut).await?;
    }
    let row_start = scan.row_start.unwrap_or(before);
    let rows = SegmentRows { row_start, lost: lost_of(&row.damage, index), ..rows };
    Ok(Some(Segment { end: scan.whole, rows, closed: true, cut: false }))
}

/// Removes a WAL folder without segments.
fn remove_empty(folder: &Path) -> io::Result<()> {
    if list_segments(folder)?.is_empty() { fs::remove_dir_all(folder) } else { Ok(()) }
}

/// The chunks of a topic, including those in the store that the catalog missed.
async fn stored_chunks(core: &Engine, row: &TopicRow) -> Result<HashSet<ChunkId>> {
    let mut stored: HashSet<ChunkId> =
        core.catalog.chunks(row.id).await?.iter().map(|chunk| chunk.id).collect();
    let folder = core.wal_folder(row.id);
    let segments = blocking("listing the WAL", move || list_segments(&folder)).await?;
    for index in segments.into_iter().filter(|index| !stored.contains(index)).collect::<Vec<_>>() {
        let path = SequencePaths(row.sequence_id).topic(row.id).chunk_record(index);
        if let Some(record) = core.store.get_json::<ChunkRecord>(&path).await? {
            let _lock = match core.coordinator.is_shared() {
                true => Some(sequence_lock::lock(core, row.sequence_id).await?),
                false => None,
            };
            // It may have arrived after the writer resumed at another daemon: the segment is cut and stored again.
            let epochs = core.catalog.epochs(row.id).await?;
            if is_superseded(&epochs, index, record.row_start + record.rows) {
                continue;
            }
            core.catalog.chunk_stored(None, row.sequence_id, row.id, &record).await?;
            stored.insert(index);
        }
    }
    Ok(stored)
}

/// Removes segments whose rows are in chunks; returns the others.
fn remove_stored(folder: &Path, stored: &HashSet<ChunkId>) -> io::Result<Vec<ChunkId>> {
    let (done, waiting): (Vec<ChunkId>, Vec<ChunkId>) =
        list_segments(folder)?.into_iter().partition(|index| stored.contains(index));
    done.into_iter().try_for_each(|index| fs::remove_file(segment_file(folder, index)))?;
    Ok(waiting)
}
