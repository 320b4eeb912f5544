//! Rows of a topic in time order, ties in the order of arrival, in bounded memory.

pub(crate) mod chunk;
pub(crate) mod file;
pub(crate) mod follow;
pub(crate) mod footer;
pub(crate) mod merge;

use std::collections::HashSet;
use std::sync::Arc;

use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, stream};
use mosaico_select::Select;
use mosaico_types::TimeWindow;

use crate::batch::times;
use crate::catalog::{ChunkRow, TopicRow};
use crate::core::{Core, PieceSize};
use crate::error::{Error, Result};
use crate::ingest::live::SegmentView;
use crate::ingest::segment::{SortedBatches, read_sorted};
use crate::trace;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use merge::{Source, merge};

/// Batches of rows.
pub(crate) type BatchStream = BoxStream<'static, Result<RecordBatch>>;

/// What is read of a topic.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub window: TimeWindow,
    pub select: Arc<Select>,
    /// Of the pieces it is read in.
    pub size: Arc<PieceSize>,
}

/// What is wanted of the durable rows of a topic; batches are about one message large and never empty.
pub(crate) async fn read_topic(core: &Arc<Core>, topic: &TopicRow, wanted: &Wanted) -> Result<BatchStream> {
    Ok(snapshot(core, topic, wanted).await?.0)
}

/// All rows of stored chunks.
pub(crate) fn read_chunks(
    core: &Arc<Core>,
    topic: &TopicRow,
    schema: &SchemaRef,
    chunks: Vec<ChunkRow>,
) -> BatchStream {
    let select = Arc::new(Select::all(schema));
    let wanted = Wanted { window: TimeWindow::ALL, select, size: core.piece_size(1) };
    let source = |chunk| chunk_source(core, topic, chunk, wanted.clone());
    merge(chunks.into_iter().map(source).collect(), Arc::clone(&wanted.size))
}

/// Where a snapshot ends in the topic's arrival order: the last segment or chunk, and the bytes of it if it is a
/// segment.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SnapshotEnd {
    pub index: Option<u32>,
    pub bytes: Option<u64>,
}

/// What is durable now, and where that ends.
async fn snapshot(core: &Arc<Core>, topic: &TopicRow, wanted: &Wanted) -> Result<(BatchStream, SnapshotEnd)> {
    // Segments first: a segment that turns into a chunk meanwhile is then known from both sides, never from none.
    let views = match core.live.get(topic.id) {
        Some(live) => live.views()?,
        None => Vec::new(),
    };
    let seen: HashSet<u32> = views.iter().map(|view| view.index).collect();
    let chunks = core.catalog.chunks(topic.id).await?;
    let mut end = SnapshotEnd { index: chunks.last().map(|chunk| chunk.index), bytes: None };
    if let Some(last) = views.last().filter(|last| end.index.is_none_or(|chunk| last.index >= chunk)) {
        end = SnapshotEnd { index: Some(last.index), bytes: Some(last.segment.end) };
    }
    let mut sources = Vec::new();
    if wanted.select.is_nothing() {
        return Ok((stream::empty().boxed(), end));
    }
    let window = wanted.window;
    for chunk in chunks {
        if !seen.contains(&chunk.index) && window.overlaps(chunk.ts_min, chunk.ts_max) {
            sources.push(chunk_source(core, topic, chunk, wanted.clone()));
        }
    }
    for view in views {
        let span = view.segment.rows.times;
        if window.overlaps(span.min, span.max) {
            sources.push(segment_source(view, wanted.clone()));
        }
    }
    Ok((merge(sources, Arc::clone(&wanted.size)), end))
}

fn chunk_source(core: &Arc<Core>, topic: &TopicRow, chunk: ChunkRow, wanted: Wanted) -> Source {
    let (core, sequence, topic) = (Arc::clone(core), topic.sequence_id, topic.id);
    let lower_bound = chunk.ts_min.max(wanted.window.start.unwrap_or(i64::MIN));
    let order = chunk.index;
    let open = async move { chunk::open(&core, sequence, topic, chunk, wanted).await };
    Source { order, lower_bound, open: open.boxed() }
}

fn segment_source(view: SegmentView, Wanted { window, select, size }: Wanted) -> Source {
    let SegmentView { index, file, segment } = view;
    let span = segment.rows.times;
    let open = async move {
        let work = move || read_sorted(file, segment.end, span.sorted, size.bytes());
        let batches =
            trace::spawn_blocking(work).await.map_err(|e| Error::internal("reading the ingest log", e))??;
        let batches = blocking_stream(batches);
        let chosen = batches.map(move |batch| batch.and_then(|batch| picked(&batch, &select)));
        Ok(trimmed(chosen.boxed(), window))
    };
    let lower_bound = span.min.max(window.start.unwrap_or(i64::MIN));
    Source { order: index, lower_bound, open: open.boxed() }
}

/// Runs an iterator that blocks off the async threads.
fn blocking_stream(batches: SortedBatches) -> BatchStream {
    let next = |mut batches: SortedBatches| async move {
        let work = move || batches.next().map(|batch| (batch, batches));
        match trace::spawn_blocking(work).await {
            Ok(next) => next,
            Err(e) => {
                let error = Error::internal("reading the ingest log", e);
                Some((Err(error), Box::new(std::iter::empty()) as SortedBatches))
            }
        }
    };
    stream::unfold(batches, next).boxed()
}

/// Cuts batches that are sorted by time to the window.
fn trimmed(batches: BatchStream, window: TimeWindow) -> BatchStream {
    if window == TimeWindow::ALL {
        return batches;
    }
    batches.map(move |batch| batch.and_then(|batch| trim(&batch, window))).boxed()
}

fn trim(batch: &RecordBatch, window: TimeWindow) -> Result<RecordBatch> {
    let times = times(batch)?.values();
    let from = window.start.map_or(0, |start| times.partition_point(|&t| t < start));
    let to = window.end.map_or(times.len(), |end| times.partition_point(|&t| t < end));
    Ok(batch.slice(from, to.saturating_sub(from)))
}

/// What is selected of a whole batch.
fn picked(batch: &RecordBatch, select: &Select) -> Result<RecordBatch> {
    select.apply(batch).map_err(|e| Error::internal("selecting rows", e))
}
