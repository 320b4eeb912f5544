//! What a start does after a crash: finish removals, redo changes that the catalogue missed, pick up the log.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::Arc;

use mosaico_catalog::{ChunkRow, TopicRow};
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::chunk_id::ChunkId;
use mosaico_storage::format::paths::SequencePaths;
use mosaico_storage::format::records::ChunkRecord;
use mosaico_storage::format::schema::parse_schema_message;
use mosaico_storage::objects::blocking;
use mosaico_storage::trace;
use mosaico_storage::wal::segment::{Scan, list_segments, scan, segment_file};
use mosaico_types::id::TopicId;

use super::replicated_wal;
use crate::reconcile::{self, sequence_lock};
use crate::state::active_topic::{LiveTopic, Segment};
use crate::state::engine::Core;
use crate::state::queue::Job;

/// Brings catalogue, store and log together again.
pub async fn recover(core: &Arc<Core>) -> Result<()> {
    if let Some(cluster) = &core.cluster {
        for id in core.catalog.pending().await? {
            // Daemons that run settle theirs; of those that are gone somebody takes care in the background.
            if core.catalog.announced(id, cluster.id()).await? == Some(false) {
                drop(sequence_lock::lock(core, id).await?);
            }
        }
        return recover_log(core).await;
    }
    for id in core.catalog.pending().await? {
        // One damaged sequence must not keep everything else from starting; the background tries again.
        if let Err(error) = reconcile::settle(core, id).await {
            tracing::error!(sequence = %id, error = %error.detail(), "a change of a sequence is not taken over");
            core.catalog.unsettled.add(id);
        }
    }
    for id in core.catalog.deleting_sequences().await? {
        reconcile::finish_sequence_removal(core, id).await?;
    }
    for topic in core.catalog.deleting_topics().await? {
        reconcile::finish_topic_removal(core, topic.sequence_id, topic.id).await?;
    }
    recover_log(core).await?;
    replicated_wal::recover(core).await
}

async fn recover_log(core: &Arc<Core>) -> Result<()> {
    let folder = core.log.clone();
    let topics = blocking("listing the ingest log", move || {
        let names = folder.read_dir()?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect::<io::Result<Vec<String>>>()
    });
    for id in topics.await?.iter().filter_map(|name| name.parse::<TopicId>().ok()) {
        // One damaged log must not keep everything else from starting; its files stay for a closer look.
        if let Err(error) = recover_topic(core, id).await {
            tracing::error!(topic = %id, error = %error.detail(), "the log of a topic is left aside");
        }
    }
    Ok(())
}

async fn recover_topic(core: &Arc<Core>, id: TopicId) -> Result<()> {
    let folder = core.log_folder(id);
    let Some(row) = core.catalog.topic_by_id(id).await? else {
        // A removal takes the log first: this one is the rest of a damaged topic, and may be its only copy.
        tracing::warn!(topic = %id, "a log of no topic is left as it is; `mosaicod check` looks for the topic");
        return Ok(());
    };
    let doing = format!("recovering the log of topic `{}`", row.locator);
    let schema = row.schema.as_deref().map(parse_schema_message).transpose()?;
    let Some(schema) = schema else {
        return Err(Error::internal(doing, io::Error::other("the topic has rows and no schema")));
    };
    let stored = stored_chunks(core, &row).await?;
    let scanned = {
        let folder = folder.clone();
        trace::spawn_blocking(move || scan_folder(&folder, &stored))
    };
    let scanned = scanned.await.map_err(|e| Error::internal(doing.as_str(), e))?;
    let found = scanned.map_err(|e| Error::internal(doing.as_str(), e))?;
    // Chunks that the catalogue missed are counted now.
    let row = core.catalog.topic_by_id(id).await?.unwrap_or(row);
    let mut segments: BTreeMap<ChunkId, Segment> = BTreeMap::new();
    let (parts, chunks) = (core.catalog.parts(id).await?, core.catalog.chunks(id).await?);
    for (index, scan) in found {
        let Some(mut rows) = scan.rows else { continue };
        if scan.length > scan.whole {
            let lost = scan.length - scan.whole;
            tracing::warn!(topic = %row.locator, segment = %index, bytes = lost, "cut unfinished bytes off the log");
        }
        // After what came before it in its part, which lies in a chunk or in a segment.
        let part = parts.iter().find(|part| part.number == index.epoch);
        let before = |other: ChunkId| other < index && part.is_none_or(|part| part.number == other.epoch);
        let stored = chunks.iter().filter(|chunk| before(chunk.id)).map(ChunkRow::row_end);
        let logged = segments.iter().filter(|(other, _)| before(**other));
        let ends = stored.chain(logged.map(|(_, segment)| segment.row_end()));
        rows.row_start = ends.max().unwrap_or(part.map_or(0, |part| part.row_start));
        segments.insert(index, Segment { end: scan.whole, rows, closed: true, cut: false });
    }
    if segments.is_empty() {
        return blocking("removing an empty log", move || fs::remove_dir_all(folder)).await;
    }
    let indices: Vec<ChunkId> = segments.keys().copied().collect();
    let topic = Arc::new(LiveTopic::new(row, schema, folder, segments));
    core.live.insert(Arc::clone(&topic));
    for index in indices {
        core.queue.ask(Job::Chunk(id, index));
    }
    Ok(())
}

/// The chunks of a topic, with those that the store has and the catalogue missed.
async fn stored_chunks(core: &Core, row: &TopicRow) -> Result<HashSet<ChunkId>> {
    let mut stored: HashSet<ChunkId> =
        core.catalog.chunks(row.id).await?.iter().map(|chunk| chunk.id).collect();
    let folder = core.log_folder(row.id);
    let segments = blocking("listing the ingest log", move || list_segments(&folder)).await?;
    for index in segments.into_iter().filter(|index| !stored.contains(index)).collect::<Vec<_>>() {
        let path = SequencePaths(row.sequence_id).topic(row.id).chunk_record(index);
        if let Some(record) = core.store.get_json::<ChunkRecord>(&path).await? {
            core.catalog.chunk_stored(None, row.sequence_id, row.id, &record).await?;
            stored.insert(index);
        }
    }
    Ok(stored)
}

/// Scans the segments that are not stored; removes the others and cuts torn tails.
fn scan_folder(
    folder: &Path,
    stored: &HashSet<ChunkId>,
) -> Result<Vec<(ChunkId, Scan)>, mosaico_storage::wal::frame::LogError> {
    let mut found = Vec::new();
    for index in list_segments(folder)? {
        let file = segment_file(folder, index);
        if stored.contains(&index) {
            fs::remove_file(file)?;
            continue;
        }
        let scan = scan(&file)?;
        if scan.rows.is_none() {
            fs::remove_file(file)?;
            continue;
        }
        if scan.length > scan.whole {
            let file = OpenOptions::new().write(true).open(file)?;
            file.set_len(scan.whole)?;
            file.sync_all()?;
        }
        found.push((index, scan));
    }
    Ok(found)
}
