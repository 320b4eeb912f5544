//! Writes closed WAL segments as Parquet chunks, a few concurrently.

use std::sync::Arc;
use std::time::Instant;

use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::chunk_file::{ChunkLabel, WrittenChunk, write_chunk};
use mosaico_storage::format::chunk_id::ChunkId;
use mosaico_storage::format::paths::SequencePaths;
use mosaico_storage::format::records::ChunkRecord;
use mosaico_storage::trace;
use mosaico_storage::wal::segment::read_sorted;
use mosaico_types::id::TopicId;
use tokio::select;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::reconcile::sequence_lock;
use crate::state::active_topic::{ActiveTopic, Segment};
use crate::state::engine::{ChunkCommit, Engine};
use crate::state::queue::Job;

/// Writes a closed segment as a chunk.
pub async fn run(core: &Engine, topic: TopicId, index: ChunkId) -> Result<()> {
    let Some(topic) = core.live.get(topic) else { return Ok(()) };
    loop {
        match make(core, &topic, index).await {
            Ok(Made::Again) => {}
            Ok(Made::Done) => {
                core.live.release(topic.id());
                return Ok(());
            }
            Err(error) => {
                topic.fail(index, error.clone());
                return Err(error);
            }
        }
    }
}

enum Made {
    /// Nothing more to do.
    Done,
    /// The segment was cut meanwhile.
    Again,
}

/// `None`: this process does nothing more. Waiting rows are in the WAL: the next start resumes with them.
async fn permit<'a>(
    core: &Engine,
    topic: &ActiveTopic,
    permits: &'a Semaphore,
) -> Option<SemaphorePermit<'a>> {
    select! {
        biased;
        () = topic.cancel.cancelled() => None,
        () = core.stopping.cancelled() => None,
        permit = permits.acquire() => permit.ok(),
    }
}

async fn make(core: &Engine, topic: &Arc<ActiveTopic>, index: ChunkId) -> Result<Made> {
    // Two kinds of permits: a slow store, or one that is slow for some requests, does not keep the processors
    // idle.
    core.coordinator.before_chunk(core, topic).await?;
    let Some(encoding) = permit(core, topic, &core.chunk_jobs).await else { return Ok(Made::Done) };
    let Some(segment) = topic.segment(index) else { return Ok(Made::Done) };
    let begun = Instant::now();
    let scratch = core.store.staging_file()?;
    let written = {
        let (live, file) = (Arc::clone(topic), scratch.file.clone());
        let limits = (core.config.row_group_bytes, core.config.message_bytes);
        let work = move || encode(&live, index, segment, &file, limits);
        match trace::spawn_blocking(work).await {
            // The segment was cut while it was read.
            Ok(_) if topic.segment(index) != Some(segment) => {
                return Ok(Made::Again);
            }
            Ok(written) => written?,
            Err(e) => {
                return Err(Error::internal(format!("encoding a chunk of topic `{}`", topic.row.locator), e));
            }
        }
    };
    drop(encoding);
    let Some(storing) = permit(core, topic, &core.upload_jobs).await else { return Ok(Made::Done) };
    let record = ChunkRecord {
        epoch: index.epoch,
        index: index.index,
        row_start: segment.rows.row_start,
        rows: written.rows,
        bytes: written.bytes,
        data_bytes: segment.rows.data_bytes,
        ts_min: segment.rows.times.min,
        ts_max: segment.rows.times.max,
        crc32: written.crc32,
        columns: written.columns,
    };
    let paths = SequencePaths(topic.row.sequence_id).topic(topic.id());
    core.store.publish(&scratch, &paths.chunk(index)).await?;
    drop(storing);
    if core.coordinator.is_shared() || core.config.replicates_wal() {
        // Chunks are recorded in order, so the rows that are not in chunks are the topic's last rows, and a
        // daemon that takes the topic over can resume there.
        select! {
            () = topic.wait_for_earlier_segments(index) => {}
            () = topic.cancel.cancelled() => return Ok(Made::Done),
            () = core.stopping.cancelled() => return Ok(Made::Done),
        }
    }
    let sequence = topic.row.sequence_id;
    let mut sequence_lock = None;
    if core.coordinator.is_shared() {
        sequence_lock = select! {
            lock = sequence_lock::lock(core, sequence) => Some(lock?),
            // The task that deletes the topic holds the lock and waits for this job.
            () = topic.cancel.cancelled() => return Ok(Made::Done),
        };
    }
    let change = match core.coordinator.before_chunk_commit(core, topic, index, segment).await? {
        ChunkCommit::Allowed(change) => change,
        ChunkCommit::Deleted => return Ok(Made::Done),
        ChunkCommit::Superseded => return Ok(Made::Again),
    };
    let chunk_commit_lock = select! {
        chunk_commit_lock = topic.chunk_commit_lock.read() => chunk_commit_lock,
        () = topic.cancel.cancelled() => return Ok(Made::Done),
    };
    core.store.put_json_last(&paths.chunk_record(index), &record).await?;
    core.catalog.chunk_stored(change, sequence, topic.id(), &record).await?;
    // Catalog first: a reader lists the segments first and skips chunks whose rows it saw in a segment.
    topic.segment_flushed(index);
    drop(chunk_commit_lock);
    drop(sequence_lock);
    if core.config.replicates_wal() {
        core.queue.enqueue(Job::TrimWal(sequence, topic.id()));
    }
    core.metrics.chunk_stored(record.bytes, begun.elapsed());
    Ok(Made::Done)
}

fn encode(
    topic: &ActiveTopic,
    index: ChunkId,
    segment: Segment,
    scratch: &std::path::Path,
    (row_group_bytes, piece_bytes): (usize, usize),
) -> Result<WrittenChunk> {
    let label = ChunkLabel {
        sequence: topic.row.locator.sequence.to_string(),
        topic: topic.row.locator.topic.to_string(),
        ontology_tag: topic.row.ontology_tag.clone(),
        serialization_format: topic.row.serialization_format.as_str(),
        id: index,
        row_start: segment.rows.row_start,
        row_end: segment.row_end(),
        filled: segment.rows.filled,
    };
    let file = std::fs::File::open(topic.file(index)).map_err(|e| Error::internal("opening the WAL", e))?;
    let (name, sorted) = (topic.segment_name(index), segment.rows.times.sorted);
    let batches = read_sorted((file, name), segment.end, segment.row_end(), sorted, piece_bytes)?;
    let written = write_chunk(scratch, &topic.schema, &label, row_group_bytes, batches)?;
    if written.rows == segment.rows.rows {
        Ok(written)
    } else {
        let found = std::io::Error::other(format!("{} of {} rows", written.rows, segment.rows.rows));
        Err(Error::internal(format!("reading back the log of topic `{}`", topic.row.locator), found))
    }
}
