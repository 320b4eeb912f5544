//! The durable rows of a topic: its chunks and the segments of its WAL, merged by time.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use futures::{FutureExt, StreamExt, stream};
use mosaico_catalog::{ChunkRow, TopicRow};
use mosaico_select::Select;
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::chunk_id::ChunkId;
use mosaico_storage::trace;
use mosaico_storage::wal::segment::{SortedBatches, read_sorted};
use mosaico_types::TimeWindow;

use super::chunk;
use super::merge::{Source, merge};
use super::request::{BatchStream, ReadRequest, picked, trimmed};
use crate::state::active_topic::{Segment, SegmentView};
use crate::state::chunk_reader::ChunkTopic;
use crate::state::engine::{Engine, Replicated};

/// The requested durable rows of a topic; batches are about one message large and never empty.
pub async fn read_topic(core: &Arc<Engine>, topic: &TopicRow, wanted: &ReadRequest) -> Result<BatchStream> {
    Ok(snapshot(core, topic, wanted).await?.0)
}

/// All rows of stored chunks.
pub fn read_chunks(
    core: &Arc<Engine>,
    topic: &TopicRow,
    schema: &SchemaRef,
    chunks: Vec<ChunkRow>,
) -> BatchStream {
    let select = Arc::new(Select::all(schema));
    let wanted = ReadRequest { window: TimeWindow::ALL, select, size: core.batch_sizer(1), skipped: None };
    let topic = Arc::new(ChunkTopic::from(topic));
    let source = |chunk| chunk_source(core, &topic, chunk, wanted.clone());
    merge(chunks.into_iter().map(source).collect(), Arc::clone(&wanted.size))
}

/// The content of a snapshot.
#[derive(Debug, Default)]
pub struct Seen {
    /// Its segments and chunks.
    pub indices: BTreeSet<ChunkId>,
    /// Segments among them, the last of which may grow.
    pub segments: Vec<SeenSegment>,
    /// Rows of the replicated WAL of another daemon, which stores them later as chunks of any size.
    pub replicated: Vec<SeenSegment>,
}

/// A segment of a snapshot.
#[derive(Debug, Clone, Copy)]
pub struct SeenSegment {
    pub index: ChunkId,
    pub segment: Segment,
    /// The end of the rows that the snapshot has of it.
    pub row_end: u64,
}

impl From<&SegmentView> for SeenSegment {
    fn from(view: &SegmentView) -> Self {
        Self { index: view.index, segment: view.segment, row_end: view.row_end }
    }
}

/// The rows that are durable now.
pub async fn snapshot(
    core: &Arc<Engine>,
    topic: &TopicRow,
    wanted: &ReadRequest,
) -> Result<(BatchStream, Seen)> {
    let Durable { mut views, replicated, chunks } = durable(core, topic).await?;
    let mut seen = Seen {
        indices: views.iter().map(|view| view.index).collect(),
        segments: views.iter().map(SeenSegment::from).collect(),
        replicated: replicated.iter().map(SeenSegment::from).collect(),
    };
    let window = wanted.window;
    let chunk_topic = Arc::new(ChunkTopic::from(topic));
    let mut sources = Vec::new();
    for chunk in chunks {
        if seen.indices.insert(chunk.id) && window.overlaps(chunk.ts_min, chunk.ts_max) {
            sources.push(chunk_source(core, &chunk_topic, chunk, wanted.clone()));
        }
    }
    if wanted.select.is_nothing() {
        return Ok((stream::empty().boxed(), seen));
    }
    views.extend(replicated);
    for view in views {
        let rows = view.segment.rows;
        if rows.row_start < view.row_end && window.overlaps(rows.times.min, rows.times.max) {
            sources.push(segment_source(view, wanted.clone()));
        }
    }
    Ok((merge(sources, Arc::clone(&wanted.size)), seen))
}

/// Segments and chunks; the caller takes rows that are in both from the segments.
struct Durable {
    views: Vec<SegmentView>,
    /// Rows that are neither in a segment of this daemon nor in a chunk.
    replicated: Vec<SegmentView>,
    chunks: Vec<ChunkRow>,
}

/// All segments, and the chunks whose rows are in none of them.
pub(super) async fn segments_and_chunks(
    core: &Arc<Engine>,
    topic: &TopicRow,
) -> Result<(Vec<SegmentView>, Vec<ChunkRow>)> {
    let Durable { mut views, replicated, mut chunks } = durable(core, topic).await?;
    chunks.retain(|chunk| views.iter().all(|view| view.index != chunk.id));
    views.extend(replicated);
    Ok((views, chunks))
}

async fn durable(core: &Arc<Engine>, topic: &TopicRow) -> Result<Durable> {
    // Segments first: a segment that becomes a chunk meanwhile is then in both lists, never in neither.
    let live = core.live.get(topic.id);
    let mut views = live.map_or_else(|| Ok(Vec::new()), |live| live.views())?;
    let (replicated, chunks) = match core.coordinator.replicated(core, topic).await? {
        Some(Replicated { segments, chunks }) => (segments, chunks),
        None => (Vec::new(), core.catalog.chunks(topic.id).await?),
    };
    // Rows that the writer sent again to another daemon may be in a chunk of that daemon. Epochs last: a chunk of a
    // daemon in the list above has its epoch then. The chunker truncates the segments; a read only leaves
    // their rows out.
    core.coordinator.limit_segments(core, topic, &mut views).await?;
    Ok(Durable { views, replicated, chunks })
}

fn chunk_source(core: &Arc<Engine>, topic: &Arc<ChunkTopic>, chunk: ChunkRow, wanted: ReadRequest) -> Source {
    let (core, topic) = (Arc::clone(core), Arc::clone(topic));
    let lower_bound = chunk.ts_min.max(wanted.window.start.unwrap_or(i64::MIN));
    let order = chunk.id;
    let open = async move { chunk::open(&core, topic, chunk, wanted).await };
    Source { order, lower_bound, open: open.boxed() }
}

fn segment_source(view: SegmentView, ReadRequest { window, select, size, .. }: ReadRequest) -> Source {
    let SegmentView { index, name, file, segment, row_end } = view;
    let span = segment.rows.times;
    let open = async move {
        let work = move || read_sorted((file, name), segment.end, row_end, span.sorted, size.bytes());
        let batches =
            trace::spawn_blocking(work).await.map_err(|e| Error::internal("reading the WAL", e))??;
        let batches = blocking_stream(batches);
        let chosen = batches.map(move |batch| batch.and_then(|batch| picked(&batch, &select)));
        Ok(trimmed(chosen.boxed(), window))
    };
    let lower_bound = span.min.max(window.start.unwrap_or(i64::MIN));
    Source { order: index, lower_bound, open: open.boxed() }
}

/// Runs a blocking iterator outside the async threads.
fn blocking_stream(batches: SortedBatches) -> BatchStream {
    let next = |mut batches: SortedBatches| async move {
        let work = move || batches.next().map(|batch| (batch, batches));
        match trace::spawn_blocking(work).await {
            Ok(next) => next,
            Err(e) => {
                let error = Error::internal("reading the WAL", e);
                Some((Err(error), Box::new(std::iter::empty()) as SortedBatches))
            }
        }
    };
    stream::unfold(batches, next).boxed()
}
