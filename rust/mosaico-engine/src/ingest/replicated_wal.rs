//! The replicated WAL. With `wal = replicated`, rows are in the store too before they are acknowledged, so
//! that a server can resume without the disk of its predecessor.
//!
//! Each synced group is one object in the segment format; its name contains the segment and the rows. Objects
//! are deleted when their rows are in chunks. Chunks of a topic are recorded in order, so the rows that are
//! not in chunks are its last rows.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::{fs, iter};

use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use mosaico_catalog::{ChunkRow, EpochRow, TopicRow};
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::chunk_id::ChunkId;
use mosaico_storage::format::damage::{self, DamagedSegment, count, without};
use mosaico_storage::format::paths::{LoggedRows, SequencePaths, parse_logged};
use mosaico_storage::format::schema::parse_schema_message;
use mosaico_storage::objects::durable::sync_folder;
use mosaico_storage::wal::frame::{self, Frame, Framing, LogError, SegmentRows};
use mosaico_storage::wal::segment::{Inspected, inspect, rows_of, write_new};
use mosaico_storage::{crash_points, trace};
use mosaico_types::id::{SequenceId, TopicId};
use object_store::path::Path;

use crate::ingest::quarantine;
use crate::reconcile::sequence_lock;
use crate::state::active_topic::{ActiveTopic, Segment};
use crate::state::engine::Engine;
use crate::state::queue::Job;

/// Objects per segment at most: a server that resumes without the segment reads all of them.
pub const GROUPS: u32 = 1000;

/// Objects that are read concurrently.
const READERS: usize = 8;

/// Rows of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Piece {
    object: LoggedRows,
    /// Row numbers within the topic.
    rows: Range<u64>,
}

/// Writes a group of rows.
pub async fn write(
    core: &Engine,
    topic: &TopicRow,
    schema: &Frame,
    rows: LoggedRows,
    frames: &[Frame],
) -> Result<()> {
    let path = SequencePaths(topic.sequence_id).topic(topic.id).wal_object(rows);
    let mut framing = Framing::of_object(path.as_ref(), rows.row_start);
    let mut object = vec![Bytes::copy_from_slice(&framing.header())];
    for frame in iter::once(schema).chain(frames) {
        object.extend(
            frame.pieces(&mut framing).map_err(|e| Error::internal("writing the log to the store", e))?,
        );
    }
    let bytes = object.iter().map(|piece| piece.len() as u64).sum();
    match core.store.create(&path, object.into_iter().collect()).await {
        Ok(()) => {
            core.metrics.wal_replicated(bytes);
            Ok(())
        }
        // A late write of an earlier process occupies the path. The writer retries, in another segment.
        Err(Error::Internal(failure)) => {
            Err(Error::StoreUnavailable(failure.during(format!("writing {path}"))))
        }
        Err(error) => Err(error),
    }
}

async fn list(core: &Engine, topic: &TopicRow) -> Result<Vec<LoggedRows>> {
    let folder = SequencePaths(topic.sequence_id).topic(topic.id).wal();
    let objects = core.store.objects_below(&folder).await?;
    Ok(objects.iter().filter_map(|object| parse_logged(&object.location)).collect())
}

/// The last chunk of each epoch.
fn last_chunks(chunks: &[ChunkRow]) -> BTreeMap<u32, ChunkId> {
    let mut last: BTreeMap<u32, ChunkId> = BTreeMap::new();
    for chunk in chunks {
        let known = last.entry(chunk.id.epoch).or_insert(chunk.id);
        *known = chunk.id.max(*known);
    }
    last
}

/// Objects with rows that are not in chunks. The writer sent an epoch's rows again beyond the row at which it
/// resumed at another daemon.
fn waiting(objects: Vec<LoggedRows>, parts: &[EpochRow], chunks: &[ChunkRow]) -> Vec<Piece> {
    let last = last_chunks(chunks);
    let piece = |object: LoggedRows| {
        let part = object.segment.epoch;
        let later = parts.iter().filter(|later| later.number > part);
        let limit = later.map(|later| later.resumed_at).min().unwrap_or(u64::MAX);
        let rows = object.row_start..object.row_end.min(limit);
        let is_waiting = last.get(&part).is_none_or(|last| object.segment > *last);
        (is_waiting && !rows.is_empty()).then_some(Piece { object, rows })
    };
    objects.into_iter().filter_map(piece).collect()
}

/// The rows in `from..to` up to the first gap. Two segments have the same rows if those of the first one were
/// not acknowledged: then the later segment counts, and the first one is ignored from there on.
fn plan(waiting: &[Piece], from: u64, to: u64) -> Vec<Piece> {
    let (mut found, mut at, mut least) = (Vec::new(), from, ChunkId::first(0));
    while at < to {
        let here = waiting.iter().filter(|piece| piece.object.segment >= least && piece.rows.contains(&at));
        let Some(piece) = here.max_by_key(|piece| (piece.object.segment, piece.rows.start)) else { break };
        let later = waiting.iter().filter(|other| other.object.segment > piece.object.segment);
        let later = later.map(|other| other.rows.start).filter(|&start| start > at);
        let end = later.chain([piece.rows.end, to]).min().unwrap_or(to);
        found.push(Piece { object: piece.object, rows: at..end });
        (at, least) = (end, piece.object.segment);
    }
    found
}

fn end_of(pieces: &[Piece], from: u64) -> u64 {
    pieces.last().map_or(from, |last| last.rows.end)
}

/// The end of the rows from `from` on that earlier epochs have in the store.
pub async fn end_of_parts(
    core: &Engine,
    topic: &TopicRow,
    parts: &[EpochRow],
    chunks: &[ChunkRow],
    from: u64,
) -> Result<u64> {
    let waiting = waiting(list(core, topic).await?, parts, chunks);
    Ok(end_of(&plan(&waiting, from, u64::MAX), from))
}

/// Restores the rows of an epoch that earlier daemons received; resumes where an earlier attempt stopped. The
/// caller holds the lock of the sequence.
pub async fn catch_up(core: &Engine, topic: &ActiveTopic, part: &EpochRow) -> Result<()> {
    // Segments before chunks: a background job moves rows from segments to chunks.
    let segment = topic.last_of_part(part.number);
    let chunks = core.catalog.chunks(topic.id()).await?;
    // The caller's row may be older.
    let row = core.catalog.topic_by_id(topic.id()).await?.unwrap_or_else(|| topic.row.clone());
    let last = last_of_part(segment, &chunks, &row.damage, part.number);
    let (mut next, from) = match last {
        Some((id, end)) => (id.next()?, end),
        None => (ChunkId::first(part.number), part.row_start),
    };
    if from >= part.resumed_at {
        return Ok(());
    }
    let parts = core.catalog.parts(topic.id()).await?;
    let waiting = waiting(list(core, &topic.row).await?, &parts, &chunks);
    let pieces = plan(&waiting, from, part.resumed_at);
    let found = end_of(&pieces, from);
    if found < part.resumed_at {
        let text =
            format!("looking for the rows from {found} on of topic `{}` in the store", topic.row.locator);
        return Err(Error::Internal(text.into()));
    }
    tracing::info!(topic = %topic.row.locator, rows = found - from, "going on with rows from the store's log");
    for segment in pieces.chunk_by(|a, b| a.object.segment == b.object.segment) {
        restore(core, topic, next, segment).await?;
        core.queue.enqueue(Job::Chunk(topic.id(), next));
        next = next.next()?;
    }
    Ok(())
}

/// The last segment or chunk of an epoch, even if all its rows are lost, and the number of the topic's rows
/// up to its end; `segment` is the last one in the local WAL.
pub fn last_of_part(
    segment: Option<(ChunkId, u64)>,
    chunks: &[ChunkRow],
    damage: &[DamagedSegment],
    part: u32,
) -> Option<(ChunkId, u64)> {
    let known = chunks.iter().map(|chunk| (chunk.id, chunk.row_end())).chain(damage::ends(damage));
    known.filter(|(id, _)| id.epoch == part).chain(segment).max()
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
async fn read(core: &Engine, topic: &TopicRow, schema: &SchemaRef, pieces: &[Piece]) -> Result<Restored> {
    let doing = "reading the log in the store";
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
        let failed = |e: LogError| e.into_error("reading the log in the store");
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
            let failed = |e| Error::internal("reading the log in the store", e);
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
    let (parts, chunks) = (core.catalog.parts(topic.id).await?, core.catalog.chunks(topic.id).await?);
    let pieces = plan(&waiting(objects, &parts, &chunks), rows.start, rows.end);
    Ok(read(core, topic, schema, &pieces).await?.frames)
}

/// Writes a segment from rows in the store. Damaged objects are quarantined, and their rows are lost. The
/// caller holds the lock of the sequence.
async fn restore(core: &Engine, topic: &ActiveTopic, id: ChunkId, pieces: &[Piece]) -> Result<()> {
    let doing = "reading the log in the store";
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
            .map_err(|e| Error::internal("writing the ingest log", e))?;
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
    if core.cluster.is_some() || !core.store.is_remote() {
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
                tracing::error!(topic = %locator, error = %error.detail(), "a log in the store is left aside");
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
        tracing::error!(topic = %topic.row.locator, rows = lost - found, "rows before those in the store's log are lost");
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

/// Whether an object is obsolete; `stored` rows of the topic are in chunks, up to the segment `last` of each
/// epoch.
fn is_done(object: LoggedRows, stored: u64, last: &BTreeMap<u32, ChunkId>) -> bool {
    object.row_end <= stored || last.get(&object.segment.epoch).is_some_and(|last| object.segment <= *last)
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

/// Rows of the topic that are in chunks or lost, up to the first one that is neither.
fn stored_rows(chunks: &[ChunkRow], damage: &[DamagedSegment]) -> u64 {
    let lost = damage.iter().flat_map(|segment| &segment.lost).map(|rows| (rows.start, rows.end));
    let mut spans: Vec<(u64, u64)> =
        chunks.iter().map(|chunk| (chunk.row_start, chunk.row_end())).chain(lost).collect();
    spans.sort_unstable();
    spans.into_iter().fold(0, |end, (from, to)| if from <= end { end.max(to) } else { end })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A put: acknowledged groups, and one that was not acknowledged and may have arrived.
    #[derive(Debug, Clone)]
    struct Put {
        groups: Vec<u64>,
        failed: Option<u64>,
        /// `Some`: the put resumes at another daemon; its writer received the acknowledgements of all but
        /// this many rows.
        elsewhere: Option<u64>,
    }

    fn puts() -> impl Strategy<Value = Vec<Put>> {
        let groups = proptest::collection::vec(1u64..5, 0..4);
        let put = (groups, proptest::option::of(1u64..9), proptest::option::of(0u64..3));
        let put = put.prop_map(|(groups, failed, elsewhere)| Put { groups, failed, elsewhere });
        proptest::collection::vec(put, 1..8)
    }

    proptest! {
        #[test]
        fn rows_are_taken_from_the_put_that_acknowledged_them(puts in puts(), chunked in 0usize..8) {
            // Each acknowledged row with the segment that has it.
            let mut rows: Vec<ChunkId> = Vec::new();
            let (mut objects, mut parts, mut chunks) = (Vec::new(), Vec::new(), Vec::new());
            let (mut part, mut segment, mut stored) = (0, ChunkId::first(0), 0);
            for (at, put) in puts.iter().enumerate() {
                if let Some(unheard) = put.elsewhere {
                    part += 1;
                    segment = ChunkId::first(part);
                    let resumed_at = (rows.len() as u64).saturating_sub(unheard).max(stored);
                    rows.truncate(resumed_at as usize);
                    let daemon = part.to_string();
                    let (row_start, row_end, wal_in_store, busy) = (stored, None, true, 1);
                    parts.push(EpochRow { number: part, daemon, row_start, resumed_at, wal_in_store, row_end, busy });
                }
                let first = rows.len() as u64;
                for count in &put.groups {
                    let row_start = rows.len() as u64;
                    objects.push(LoggedRows { segment, row_start, row_end: row_start + count });
                    rows.extend((0..*count).map(|_| segment));
                }
                let row_start = rows.len() as u64;
                objects.extend(put.failed.map(|count| LoggedRows { segment, row_start, row_end: row_start + count }));
                // Rows of the first puts are in chunks before those of others; the daemon that resumed has
                // them.
                if at < chunked && puts[..=at].iter().all(|put| put.elsewhere.is_none()) {
                    let (rows, bytes) = (row_start - first, 1);
                    let row = ChunkRow { id: segment, row_start: first, rows, lost: 0, bytes, data_bytes: 1, ts_min: 0, ts_max: 0, crc32: 0 };
                    stored = row.row_end();
                    chunks.push(row);
                }
                segment = segment.next().unwrap();
            }
            let durable = rows.len() as u64;
            let waiting = waiting(objects, &parts, &chunks);
            // Without the durable count, unacknowledged rows may be restored too, but no abandoned ones.
            let all = plan(&waiting, stored, u64::MAX);
            prop_assert!(end_of(&all, stored) >= durable);
            let beyond = all.iter().filter(|piece| piece.rows.end > durable);
            let last_chunk = chunks.last().map(|chunk| chunk.id);
            let is_last = |id: ChunkId| id.epoch == part && last_chunk.is_none_or(|last| id > last);
            let left_behind = beyond.map(|piece| piece.object.segment).find(|id| !is_last(*id));
            prop_assert_eq!(left_behind, None);
            let pieces = plan(&waiting, stored, durable);
            let found: Vec<(u64, ChunkId)> = pieces
                .iter()
                .flat_map(|piece| piece.rows.clone().map(|row| (row, piece.object.segment)))
                .collect();
            let expected: Vec<(u64, ChunkId)> = (stored..durable).map(|row| (row, rows[row as usize])).collect();
            prop_assert_eq!(found, expected);
            prop_assert!(pieces.iter().all(|piece| piece.object.row_start <= piece.rows.start));
        }
    }

    #[test]
    fn the_version_of_the_log_is_that_of_the_docs() {
        let docs = include_str!("../../../../docs/formats.md");
        let version = frame::VERSION;
        let row = format!(
            "| WAL segment, WAL object | state folder; `wal/*.wal` of a topic in the store | {version} |"
        );
        assert!(docs.contains(&row), "{row}");
    }

    #[test]
    fn a_gap_ends_what_is_there() {
        let object = |index, row_start, row_end| {
            let segment = ChunkId { epoch: 0, index };
            LoggedRows { segment, row_start, row_end }
        };
        let objects = vec![object(0, 0, 5), object(1, 7, 9)];
        let waiting = waiting(objects, &[], &[]);
        assert_eq!(end_of(&plan(&waiting, 0, 9), 0), 5);
        assert_eq!(end_of(&plan(&waiting, 6, 9), 6), 6);
        assert_eq!(end_of(&plan(&waiting, 7, 8), 7), 8);
    }

    #[test]
    fn objects_stay_as_long_as_a_row_is_not_in_a_chunk() {
        let id = |epoch, index| ChunkId { epoch, index };
        let chunk = |id, row_start, rows| ChunkRow {
            id,
            row_start,
            rows,
            lost: 0,
            bytes: 1,
            data_bytes: 1,
            ts_min: 0,
            ts_max: 0,
            crc32: 0,
        };
        let chunks = [chunk(id(0, 0), 0, 10), chunk(id(1, 0), 10, 5), chunk(id(1, 1), 20, 5)];
        assert_eq!(stored_rows(&chunks, &[]), 15);
        let lost = DamagedSegment {
            id: id(1, 0),
            kept: String::new(),
            lost: iter::once(15..18).collect(),
            found_ns: 0,
        };
        assert_eq!(stored_rows(&chunks, &[lost]), 18);
        let last = last_chunks(&chunks);
        let done = |segment, row_end| is_done(LoggedRows { segment, row_start: 0, row_end }, 15, &last);
        assert!(done(id(0, 0), 99) && done(id(0, 1), 15) && done(id(1, 1), 99));
        assert!(!done(id(0, 1), 16) && !done(id(1, 2), 16));
    }
}
