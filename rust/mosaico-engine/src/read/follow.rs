//! Follows a topic: reads its rows as they become durable.
//!
//! The stream begins with the stored rows, in time order; then it returns each batch as it arrived, sorted in
//! itself. A row that arrives after rows with later times stays after them. The stream ends when the topic is
//! complete, or its sequence was ended without being finalized.
//!
//! In a cluster, other daemons store chunks in any order, and a writer may send rows of this daemon again to
//! another one after a client read them here. The stream recognizes them by the number of the row.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use async_stream::try_stream;
use futures::{StreamExt, TryStreamExt};
use mosaico_catalog::{ChunkRow, TopicRow};
use mosaico_select::{Select, data_bytes, split};
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::chunk_id::ChunkId;
use mosaico_storage::format::schema::{parse_schema_message, times};
use mosaico_storage::trace;
use mosaico_storage::wal::frame::LogError;
use mosaico_storage::wal::reader::BatchReader;
use mosaico_storage::wal::segment::sort_batches;
use mosaico_types::TimeWindow;

use super::chunk;
use super::request::{BatchStream, ReadRequest, picked, trim};
use super::topic::{Seen, SeenSegment, snapshot};
use crate::state::active_topic::SegmentView;
use crate::state::chunk_reader::ChunkTopic;
use crate::state::engine::Engine;

/// How often a topic without a writer is checked.
const IDLE: Duration = Duration::from_millis(50);

/// How often the stream checks whether a daemon that was unavailable has stored rows.
const LATE: Duration = Duration::from_secs(1);

/// All requested rows of a topic, present and future.
pub async fn follow_topic(core: &Arc<Engine>, topic: &TopicRow, wanted: ReadRequest) -> Result<BatchStream> {
    let window = wanted.window;
    let (stored, mut tail) = loop {
        let (stored, seen) = snapshot(core, topic, &wanted).await?;
        // Otherwise the last segment became a chunk meanwhile.
        if let Some(tail) = Tail::open(core, topic, seen, &wanted)? {
            break (stored, tail);
        }
    };
    let batches = try_stream! {
        let mut stored = stored;
        while let Some(batch) = stored.try_next().await? {
            yield batch;
        }
        drop(stored);
        while let Some(mut batches) = tail.next().await? {
            while let Some(batch) = batches.try_next().await? {
                let batch = trim(&batch, window)?;
                if batch.num_rows() > 0 {
                    yield batch;
                }
            }
        }
    };
    Ok(batches.boxed())
}

/// The rows after a snapshot, in arrival order.
struct Tail {
    core: Arc<Engine>,
    topic: TopicRow,
    /// For all times: rows are trimmed to the window when they are returned.
    wanted: ReadRequest,
    /// Segments and chunks of which some rows were read.
    read: BTreeSet<ChunkId>,
    /// The last of the segments, if it may grow.
    segment: Option<Growing>,
    /// For each writer epoch, the end of the rows that were read from segments, and their latest time.
    logged: BTreeMap<u32, (u64, i64)>,
    /// When the stream last looked for late rows.
    looked: Instant,
}

/// A segment that is read while it grows.
struct Growing {
    index: ChunkId,
    reader: BatchReader,
    /// The end of the rows that were read, as a row number of the topic.
    row: u64,
    /// Whether the file is the truncated copy.
    cut: bool,
}

impl Growing {
    /// The segment of `view`, of which the rows up to `row` were read.
    fn from_start(view: SegmentView, row: u64) -> Result<Self> {
        let SegmentView { index, name, file, segment, .. } = view;
        let mut reader = BatchReader::new(file, segment.end, name).map_err(failed)?;
        let begin = reader.offset();
        reader.resume_at(begin, begin).map_err(failed)?;
        Ok(Self { index, reader, row: row.max(segment.rows.row_start), cut: segment.cut })
    }
}

impl Tail {
    /// Opens the segment in which the snapshot ended; `None` if it no longer exists.
    fn open(core: &Arc<Engine>, topic: &TopicRow, seen: Seen, wanted: &ReadRequest) -> Result<Option<Self>> {
        let (core, topic) = (Arc::clone(core), topic.clone());
        let wanted = ReadRequest { window: TimeWindow::ALL, ..wanted.clone() };
        let (read, logged) = (seen.indices, BTreeMap::new());
        let mut tail = Self { core, topic, wanted, read, segment: None, logged, looked: Instant::now() };
        for SeenSegment { index, segment, row_end } in seen.segments.iter().chain(&seen.replicated) {
            tail.note(*index, *row_end, segment.rows.times.max);
        }
        if let Some(SeenSegment { index, segment, .. }) = seen.segments.last() {
            let live = tail.core.live.get(tail.topic.id);
            let Some(view) = live.map(|live| live.view(*index)).transpose()?.flatten() else {
                return Ok(None);
            };
            let mut reader = BatchReader::new(view.file, segment.end, view.name).map_err(failed)?;
            reader.resume_at(segment.end, segment.end).map_err(failed)?;
            let row = segment.row_end();
            tail.segment = Some(Growing { index: *index, reader, row, cut: segment.cut });
        }
        Ok(Some(tail))
    }

    /// Records the rows that were read of a segment.
    fn note(&mut self, index: ChunkId, row: u64, latest: i64) {
        let known = self.logged.entry(index.epoch).or_insert((row, latest));
        *known = (known.0.max(row), known.1.max(latest));
    }

    /// Rows after the last ones; waits for them. `None` at the end.
    async fn next(&mut self) -> Result<Option<BatchStream>> {
        loop {
            let live = self.core.live.get(self.topic.id);
            let mut changed = live.as_ref().map(|live| Box::pin(live.changed()));
            if let Some(changed) = &mut changed {
                changed.as_mut().enable();
            }
            if let Some(batches) = self.ready().await? {
                return Ok(Some(batches));
            }
            let row = self.core.catalog.topic_by_id(self.topic.id).await?.filter(|row| !row.deleting);
            let row = row.ok_or_else(|| Error::Deleted(self.topic.locator.to_string()))?;
            let left = row.sequence_ended && !live.as_ref().is_some_and(|live| live.is_written());
            if row.committed_ns.is_some() || left {
                // No more rows arrive, but some may have arrived since the last check.
                return self.ready().await;
            }
            match changed {
                Some(changed) => _ = tokio::time::timeout(IDLE, changed).await,
                None => tokio::time::sleep(IDLE).await,
            }
        }
    }

    async fn ready(&mut self) -> Result<Option<BatchStream>> {
        match self.grown().await? {
            Some(batches) => Ok(Some(batches)),
            None => self.following().await,
        }
    }

    /// New rows of the current segment.
    async fn grown(&mut self) -> Result<Option<BatchStream>> {
        let Some(mut growing) = self.segment.take() else { return Ok(None) };
        let index = growing.index;
        let live = self.core.live.get(self.topic.id);
        let mut segment = live.as_ref().and_then(|live| live.segment(index));
        if let (Some(live), true) = (live, segment.is_some_and(|segment| segment.cut && !growing.cut)) {
            let view = live.view(index)?;
            segment = view.as_ref().map(|view| view.segment);
            if let Some(view) = view {
                growing = Growing::from_start(view, growing.row)?;
            }
        }
        let Growing { mut reader, mut row, cut, .. } = growing;
        let (end, last) = match segment {
            Some(segment) => (segment.end, segment.closed),
            // The segment is in a chunk now, so nothing was appended since; the open file still has all its
            // rows.
            None => (reader.file_bytes().map_err(|e| Error::internal("reading the WAL", e))?, true),
        };
        let from = reader.offset();
        if end <= from {
            self.segment = if last { None } else { Some(Growing { index, reader, row, cut }) };
            return Ok(None);
        }
        let piece_bytes = self.wanted.size.bytes();
        let work = move || -> Result<_, LogError> {
            reader.resume_at(from, end)?;
            let (mut batches, mut bytes) = (Vec::new(), 0);
            while bytes < piece_bytes
                && let Some(batch) = reader.next().transpose()?
            {
                bytes += data_bytes(&batch);
                batches.push((reader.row_start(), batch));
            }
            Ok((reader, batches))
        };
        let (reader, batches) = trace::spawn_blocking(work)
            .await
            .map_err(|e| Error::internal("reading the WAL", e))?
            .map_err(failed)?;
        let mut new = Vec::new();
        for (at, batch) in batches {
            let known = usize::try_from(row.saturating_sub(at)).unwrap_or(usize::MAX).min(batch.num_rows());
            row = row.max(at + batch.num_rows() as u64);
            let batch = batch.slice(known, batch.num_rows() - known);
            if self.core.coordinator.is_shared() {
                self.note(index, row, times(&batch)?.values().iter().copied().max().unwrap_or(i64::MIN));
            }
            new.extend(in_order(picked(&batch, &self.wanted.select)?, piece_bytes)?);
        }
        self.segment = Some(Growing { index, reader, row, cut });
        Ok(Some(futures::stream::iter(new.into_iter().map(Ok)).boxed()))
    }

    /// Fails if the chunks were compacted: it is unknown which rows of the new chunks were read.
    async fn check_joined(&self, next: ChunkId) -> Result<()> {
        let Some(&index) = self.read.last() else { return Ok(()) };
        let chunks = self.core.catalog.chunks(self.topic.id).await?;
        let row = self.core.catalog.topic_by_id(self.topic.id).await?;
        let is_complete = row.is_some_and(|row| row.committed_ns.is_some());
        if is_complete && chunks.iter().all(|chunk| chunk.id > index) {
            let topic = &self.topic.locator;
            return Err(Error::StoreUnavailable(
                format!("following `{topic}` from chunk {next} on, whose chunks were joined meanwhile,")
                    .into(),
            ));
        }
        Ok(())
    }

    /// The rows of the chunk that were not read from segments of another epoch, or from the replicated WAL.
    async fn rest(&self, chunk: ChunkRow) -> Result<BatchStream> {
        let earlier = self.logged.range(..=chunk.id.epoch).map(|(_, known)| *known);
        let (row, latest) = earlier.max_by_key(|(row, _)| *row).unwrap_or((0, i64::MIN));
        let known = row.saturating_sub(chunk.row_start);
        let (core, topic) = (&self.core, Arc::new(ChunkTopic::from(&self.topic)));
        if known >= chunk.rows {
            return Ok(futures::stream::empty().boxed());
        }
        if known == 0 {
            return chunk::open(core, topic, chunk, self.wanted.clone()).await;
        }
        let schema = parse_schema_message(self.topic.schema.as_deref().unwrap_or_default())?;
        let select = Arc::new(Select::all(&Arc::new(schema)));
        // Without some of its rows, it is unknown which of the others were read.
        let all = ReadRequest { select, skipped: None, ..self.wanted.clone() };
        let batches = chunk::open(core, topic, chunk, all).await?;
        let rest = after(batches, known, latest, self.topic.locator.to_string());
        let select = Arc::clone(&self.wanted.select);
        Ok(rest.map(move |batch| picked(&batch?, &select)).boxed())
    }

    /// Rows before the current segment that a previously unavailable daemon has stored.
    async fn late(&mut self, current: ChunkId) -> Result<Option<BatchStream>> {
        if !self.core.coordinator.is_shared() || self.looked.elapsed() < LATE {
            return Ok(None);
        }
        self.looked = Instant::now();
        let chunks = self.core.catalog.chunks(self.topic.id).await?;
        let late = |chunk: &ChunkRow| chunk.id < current && !self.read.contains(&chunk.id);
        let Some(chunk) = chunks.into_iter().find(late) else { return Ok(None) };
        self.read.insert(chunk.id);
        self.rest(chunk).await.map(Some)
    }

    /// The next segment or chunk, if the current one is finished.
    async fn following(&mut self) -> Result<Option<BatchStream>> {
        if let Some(current) = &self.segment {
            return self.late(current.index).await;
        }
        loop {
            let live = self.core.live.get(self.topic.id);
            let segments = live.as_ref().map(|live| live.indices()).unwrap_or_default();
            let segment = segments.into_iter().find(|index| !self.read.contains(index));
            let chunks = self.core.catalog.chunks(self.topic.id).await?;
            let chunk = chunks.into_iter().find(|chunk| !self.read.contains(&chunk.id));
            match (segment, chunk) {
                (Some(index), chunk) if chunk.is_none_or(|chunk| index < chunk.id) => {
                    // Otherwise it became a chunk meanwhile.
                    if let Some(view) = live.map(|live| live.view(index)).transpose()?.flatten() {
                        self.read.insert(index);
                        self.segment = Some(Growing::from_start(view, 0)?);
                        return self.grown().await;
                    }
                }
                (_, Some(chunk)) => {
                    self.check_joined(chunk.id).await?;
                    self.read.insert(chunk.id);
                    return self.rest(chunk).await.map(Some);
                }
                _ => return Ok(None),
            }
        }
    }
}

/// Skips the first `known` rows of `batches`, which are sorted by time. These rows were read before, in
/// arrival order; `latest` is their latest time.
fn after(mut batches: BatchStream, mut known: u64, latest: i64, topic: String) -> BatchStream {
    let rest = try_stream! {
        let mut checked = false;
        while let Some(batch) = batches.try_next().await? {
            let skipped = usize::try_from(known).unwrap_or(usize::MAX).min(batch.num_rows());
            known -= skipped as u64;
            let batch = batch.slice(skipped, batch.num_rows() - skipped);
            if batch.num_rows() == 0 {
                continue;
            }
            // Otherwise the rows read before are not the first ones in time: it is unknown which they are.
            if !checked && times(&batch)?.value(0) < latest {
                let text = format!("following `{topic}`, which another daemon resumes out of order,");
                Err(Error::StoreUnavailable(text.into()))?;
            }
            checked = true;
            yield batch;
        }
    };
    rest.boxed()
}

fn in_order(batch: RecordBatch, piece_bytes: usize) -> Result<Vec<RecordBatch>> {
    if times(&batch)?.values().is_sorted() {
        return Ok(split(batch, piece_bytes));
    }
    sort_batches(vec![batch], piece_bytes)?.collect()
}

fn failed(e: LogError) -> Error {
    e.into_error("reading the WAL")
}
