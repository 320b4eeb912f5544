//! The replicated WAL. With `wal = replicated`, rows are in the store too before they are acknowledged, so
//! that a server can resume without the disk of its predecessor.
//!
//! Each synced group is one object in the segment format; its name contains the segment and the rows. Objects
//! are deleted when their rows are in chunks. Chunks of a topic are recorded in order, so the rows that are
//! not in chunks are its last rows.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use mosaico_catalog::{ChunkRow, EpochRow, TopicRow};
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::chunk_id::ChunkId;
use mosaico_storage::format::damage::{self, count, without};
use mosaico_storage::format::paths::{LoggedRows, SequencePaths, parse_logged};
use mosaico_storage::format::schema::parse_schema_message;
use mosaico_storage::objects::durable::sync_folder;
use mosaico_storage::wal::frame::{self, Frame, LogError, SegmentRows};
use mosaico_storage::wal::segment::{Inspected, inspect, rows_of, write_new};
use mosaico_storage::{crash_points, trace};
use mosaico_types::id::{SequenceId, TopicId};
use object_store::path::Path;

use crate::ingest::quarantine;
use crate::ingest::wal_plan::{
    Piece, end_of, is_done, last_chunks, last_of_epoch, plan, stored_rows, waiting,
};
use crate::reconcile::sequence_lock;
use crate::state::active_topic::{ActiveTopic, Segment};
use crate::state::engine::Engine;
use crate::state::queue::Job;

/// Objects that are read concurrently.
const READERS: usize = 8;

pub(super) async fn list(core: &Engine, topic: &TopicRow) -> Result<Vec<LoggedRows>> {
    let folder = SequencePaths(topic.sequence_id).topic(topic.id).wal();
    let objects = core.store.objects_below(&folder).await?;
    Ok(objects.iter().filter_map(|object| parse_logged(&object.location)).collect())
}

/// The end of the rows from `from` on that earlier epochs have in the store.
pub async fn end_of_epochs(
    core: &Engine,
    topic: &TopicRow,
    epochs: &[EpochRow],
    chunks: &[ChunkRow],
    from: u64,
) -> Result<u64> {
    let waiting = waiting(list(core, topic).await?, epochs, chunks);
    Ok(end_of(&plan(&waiting, from, u64::MAX), from))
}

/// Restores the rows of an epoch that earlier daemons received; resumes where an earlier attempt stopped. The
/// caller holds the lock of the sequence.
pub async fn catch_up(core: &Engine, topic: &ActiveTopic, epoch: &EpochRow) -> Result<()> {
    // Segments before chunks: a background job moves rows from segments to chunks.
    let segment = topic.last_of_epoch(epoch.number);
    let chunks = core.catalog.chunks(topic.id()).await?;
    // The caller's row may be older.
    let row = core.catalog.topic_by_id(topic.id()).await?.unwrap_or_else(|| topic.row.clone());
    let last = last_of_epoch(segment, &chunks, &row.damage, epoch.number);
    let (mut next, from) = match last {
        Some((id, end)) => (id.next()?, end),
        None => (ChunkId::first(epoch.number), epoch.row_start),
    };
    if from >= epoch.resumed_at {
        return Ok(());
    }
    let epochs = core.catalog.epochs(topic.id()).await?;
    let waiting = waiting(list(core, &topic.row).await?, &epochs, &chunks);
    let pieces = plan(&waiting, from, epoch.resumed_at);
    let found = end_of(&pieces, from);
    if found < epoch.resumed_at {
        let text =
            format!("looking for the rows from {found} on of topic `{}` in the store", topic.row.locator);
        return Err(Error::Internal(text.into()));
    }
    tracing::info!(topic = %topic.row.locator, rows = found - from, "resuming after rows of the replicated WAL");
    for segment in pieces.chunk_by(|a, b| a.object.segment == b.object.segment) {
        restore(core, topic, next, segment).await?;
        core.queue.enqueue(Job::Chunk(topic.id(), next));
        next = next.next()?;
    }
    Ok(())
}

/// Rows of the topic from objects in the store.
#[derive(Debug, Default)]
pub struct Restored {
    /// Each with the number of the topic's rows before it.
    pub frames: Vec<(u64, Frame)>,
    pub rows: Option<SegmentRows>,
    /// Damaged objects, and the kind of damage.
    damaged: Vec<(Path, Bytes, String)>,
}

/// Reads the rows of all valid objects from the store.
pub(super) async fn read(
    core: &Engine,
    topic: &TopicRow,
    schema: &SchemaRef,
    pieces: &[Piece],
) -> Result<Restored> {
    let doing = "reading the replicated WAL";
    let paths = SequencePaths(topic.sequence_id).topic(topic.id);
    let get = |piece: Piece| async move {
        let path = paths.wal_object(piece.object);
        let bytes = core.store.get(&path).await?;
        bytes.map(|bytes| (piece, path, bytes)).ok_or_else(|| Error::Internal("looking for rows".into()))
    };
    let objects: Vec<_> = stream::iter(pieces.to_vec()).map(get).buffered(READERS).try_collect().await?;
    let schema = Arc::clone(schema);
    let work = move || -> Result<Restored> {
        let mut restored = Restored::default();
        for (piece, path, bytes) in objects {
            restored.add(&piece, path, bytes, &schema)?;
        }
        Ok(restored)
    };
    trace::spawn_blocking(work).await.map_err(|e| Error::internal(doing, e))?
}

impl Restored {
    /// Adds the rows of an object.
    fn add(&mut self, piece: &Piece, path: Path, bytes: Bytes, schema: &SchemaRef) -> Result<()> {
        let failed = |e: LogError| e.into_error("reading the replicated WAL");
        let Inspected { mut scan, .. } =
            inspect(&bytes, &format!("object {path}"), schema).map_err(failed)?;
        // An object is written as a whole, with exactly the rows in its name.
        if scan.whole < scan.length || scan.row_end != Some(piece.object.row_end) {
            scan.truncated();
        }
        if let Some(first) = scan.damage.first() {
            self.damaged.push((path, bytes.clone(), format!("at byte {}: {}", first.at, first.what)));
        }
        for frame in &scan.frames {
            let (from, to) = (frame.rows.start.max(piece.rows.start), frame.rows.end.min(piece.rows.end));
            if from >= to {
                continue;
            }
            let failed = |e| Error::internal("reading the replicated WAL", e);
            let batch = frame.decode(&bytes, schema).map_err(failed)?;
            let offset = |row: u64| {
                usize::try_from(row - frame.rows.start).map_err(|e| Error::internal("cutting the log", e))
            };
            let batch = batch.slice(offset(from)?, offset(to)? - offset(from)?);
            let Some(rows) = rows_of(&batch, from)? else { continue };
            self.rows = Some(self.rows.map_or(rows, |known| known.then(rows)));
            let is_whole = (from..to) == frame.rows;
            self.frames.push((from, if is_whole { frame.frame(&bytes) } else { frame::encode(&batch)? }));
        }
        Ok(())
    }

    /// Fails if rows of `range` were not found, because an object is damaged.
    pub fn check(&self, range: Range<u64>) -> Result<()> {
        let Some(missing) = self.missing(range).first().cloned() else { return Ok(()) };
        let what = match self.damaged.first() {
            Some((path, _, what)) => format!("object {path} is damaged {what}"),
            None => "they are not there".to_owned(),
        };
        let text = format!("rows {} to {} of the replicated WAL: {what}", missing.start, missing.end);
        Err(Error::internal("reading the replicated WAL", std::io::Error::other(text)))
    }

    /// The rows of `range` that were not found.
    fn missing(&self, range: Range<u64>) -> Vec<Range<u64>> {
        without(&[range], self.frames.iter().map(|(row, frame)| *row..row + frame.rows))
    }
}

/// Rows that a damaged segment on the disk lacks and the store has.
pub async fn replicas(
    core: &Engine,
    topic: &TopicRow,
    schema: &SchemaRef,
    rows: Range<u64>,
) -> Result<Vec<(u64, Frame)>> {
    let objects = list(core, topic).await?;
    let (epochs, chunks) = (core.catalog.epochs(topic.id).await?, core.catalog.chunks(topic.id).await?);
    let pieces = plan(&waiting(objects, &epochs, &chunks), rows.start, rows.end);
    Ok(read(core, topic, schema, &pieces).await?.frames)
}

/// Writes a segment from rows in the store. Damaged objects are quarantined, and their rows are lost. The
/// caller holds the lock of the sequence.
async fn restore(core: &Engine, topic: &ActiveTopic, id: ChunkId, pieces: &[Piece]) -> Result<()> {
    let doing = "reading the replicated WAL";
    let (Some(first), Some(last)) = (pieces.first(), pieces.last()) else { return Ok(()) };
    let range = first.rows.start..last.rows.end;
    // Chunks in progress and segments being read share this memory budget.
    let memory = core.chunk_jobs.acquire().await.map_err(|e| Error::internal(doing, e))?;
    let restored = read(core, &topic.row, &topic.schema, pieces).await?;
    let missing = restored.missing(range.clone());
    for (path, bytes, what) in &restored.damaged {
        let lost = if path == &restored.damaged[0].0 { missing.clone() } else { Vec::new() };
        let damage = quarantine::object(core, path, bytes, id, lost).await?;
        quarantine::note(core, &topic.row, &damage, ("store", what)).await?;
    }
    let Restored { frames, rows, .. } = restored;
    let Some(rows) = rows else { return Ok(()) };
    let (file, schema) = (topic.file(id), Arc::clone(&topic.schema));
    let work = move || -> Result<_> {
        let new = file.with_extension("new");
        let end = write_new(&new, &schema, range.start, &frames)?;
        crash_points::point();
        fs::rename(&new, &file)
            .and_then(|()| file.parent().map_or(Ok(()), sync_folder))
            .map_err(|e| Error::internal("writing the WAL", e))?;
        crash_points::point();
        Ok(end)
    };
    let end = trace::spawn_blocking(work).await.map_err(|e| Error::internal(doing, e))??;
    drop(memory);
    let rows = SegmentRows { row_start: first.rows.start, lost: count(&missing), ..rows };
    topic.segment_restored(id, Segment { end, rows, closed: true, cut: false });
    Ok(())
}

/// Finds rows that are in the store and not on this disk: the previous disk is lost, or the process ended
/// before it wrote them here. For a server that owns its store exclusively; in a cluster, the daemon that
/// takes a topic over does this.
pub async fn recover(core: &Engine) -> Result<()> {
    if core.coordinator.is_shared() || !core.store.is_remote() {
        return Ok(());
    }
    let mut topics = Vec::new();
    for sequence in core.catalog.open_sequences().await? {
        topics.extend(
            core.catalog.topics(sequence).await?.into_iter().filter(|topic| topic.committed_ns.is_none()),
        );
    }
    let recover = |topic: TopicRow| async move {
        let (id, locator) = (topic.id, topic.locator.clone());
        match recover_topic(core, topic).await {
            // An unknown version is refused: ignoring it would lose rows that another version wrote.
            Err(
                error @ (Error::Full(_)
                | Error::StoreUnavailable(_)
                | Error::Refused(..)
                | Error::NewerFormat { .. }),
            ) => Err(error),
            // A damaged WAL must not prevent the start.
            Err(error) => {
                tracing::error!(topic = %locator, error = %error.detail(), "a replicated WAL is skipped");
                core.live.set_unrecovered(id, &error);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    };
    stream::iter(topics).map(recover).buffer_unordered(READERS).try_collect().await
}

async fn recover_topic(core: &Engine, row: TopicRow) -> Result<()> {
    let objects = list(core, &row).await?;
    let (id, sequence) = (row.id, row.sequence_id);
    let Some(schema) = row.schema.as_deref().filter(|_| !objects.is_empty()) else { return Ok(()) };
    let schema = parse_schema_message(schema)?;
    let damage = row.damage.clone();
    let topic = core
        .live
        .get(id)
        .unwrap_or_else(|| Arc::new(ActiveTopic::new(row, schema, core.wal_folder(id), BTreeMap::new())));
    let _lock = sequence_lock::lock(core, sequence).await?;
    let chunks = core.catalog.chunks(id).await?;
    let mut segments = topic.indexed();
    // The last segment may lack rows that were in the store when the server was lost.
    let lacks = |(id, segment): &mut (ChunkId, Segment)| {
        objects.iter().any(|object| object.segment == *id && object.row_end > segment.row_end())
    };
    segments.pop_if(lacks);
    let here = segments.iter().map(|(index, segment)| (*index, segment.row_end()));
    let here = here.chain(chunks.iter().map(|chunk| (chunk.id, chunk.row_end())));
    let here = here.chain(damage::ends(&damage)).max();
    let later = |piece: &Piece| here.is_none_or(|(index, _)| piece.object.segment > index);
    let waiting: Vec<Piece> = waiting(objects, &[], &[]).into_iter().filter(later).collect();
    let from = here.map_or(0, |(_, end)| end);
    let pieces = plan(&waiting, from, u64::MAX);
    let found = end_of(&pieces, from);
    if let Some(lost) = waiting.iter().map(|piece| piece.rows.start).filter(|&start| start > found).min() {
        tracing::error!(topic = %topic.row.locator, rows = lost - found, "rows before those of the replicated WAL are lost");
    }
    for segment in pieces.chunk_by(|a, b| a.object.segment == b.object.segment) {
        let Some(id) = segment.first().map(|piece| piece.object.segment) else { continue };
        restore(core, &topic, id, segment).await?;
        core.live.insert(Arc::clone(&topic));
        core.queue.enqueue(Job::Chunk(topic.id(), id));
    }
    core.queue.enqueue(Job::TrimWal(sequence, id));
    Ok(())
}

/// Deletes objects whose rows are in chunks.
pub async fn trim(core: &Engine, sequence: SequenceId, id: TopicId) -> Result<()> {
    let Some(topic) = core.catalog.topic_by_id(id).await?.filter(|topic| !topic.deleting) else {
        return Ok(());
    };
    // Objects before chunks: an object that arrives meanwhile has rows that are not in these chunks.
    let objects = list(core, &topic).await?;
    let chunks = core.catalog.chunks(id).await?;
    let (stored, last) = (stored_rows(&chunks, &topic.damage), last_chunks(&chunks));
    let paths = SequencePaths(sequence).topic(id);
    for object in objects {
        if topic.committed_ns.is_some() || is_done(object, stored, &last) {
            core.store.remove(&paths.wal_object(object)).await?;
        }
    }
    Ok(())
}
