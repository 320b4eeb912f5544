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
use crate::ingest::handover::{is_superseded, yield_to_successor};
use crate::state::active_topic::{Segment, SegmentView};
use crate::state::engine::Engine;

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
    let wanted = ReadRequest { window: TimeWindow::ALL, select, size: core.batch_sizer(1) };
    let source = |chunk| chunk_source(core, topic, chunk, wanted.clone());
    merge(chunks.into_iter().map(source).collect(), Arc::clone(&wanted.size))
}

/// The content of a snapshot.
#[derive(Debug, Default)]
pub struct Seen {
    /// Its segments and chunks.
    pub indices: BTreeSet<ChunkId>,
    /// Segments among them, the last of which may grow.
    pub segments: Vec<(ChunkId, Segment)>,
}

/// The rows that are durable now.
pub async fn snapshot(
    core: &Arc<Engine>,
    topic: &TopicRow,
    wanted: &ReadRequest,
) -> Result<(BatchStream, Seen)> {
    let (views, chunks) = durable(core, topic).await?;
    let mut seen = Seen {
        indices: views.iter().map(|view| view.index).collect(),
        segments: views.iter().map(|view| (view.index, view.segment)).collect(),
    };
    let window = wanted.window;
    let mut sources = Vec::new();
    for chunk in chunks {
        if seen.indices.insert(chunk.id) && window.overlaps(chunk.ts_min, chunk.ts_max) {
            sources.push(chunk_source(core, topic, chunk, wanted.clone()));
        }
    }
    if wanted.select.is_nothing() {
        return Ok((stream::empty().boxed(), seen));
    }
    for view in views {
        let span = view.segment.rows.times;
        if window.overlaps(span.min, span.max) {
            sources.push(segment_source(view, wanted.clone()));
        }
    }
    Ok((merge(sources, Arc::clone(&wanted.size)), seen))
}

/// Segments and chunks; the caller takes rows that are in both from the segments.
async fn durable(core: &Arc<Engine>, topic: &TopicRow) -> Result<(Vec<SegmentView>, Vec<ChunkRow>)> {
    loop {
        // Segments first: a segment that becomes a chunk meanwhile is then in both lists, never in neither.
        let live = core.live.get(topic.id);
        let views = live.as_ref().map_or_else(|| Ok(Vec::new()), |live| live.views())?;
        let chunks = core.catalog.chunks(topic.id).await?;
        let (Some(cluster), Some(live)) = (&core.cluster, live) else { return Ok((views, chunks)) };
        // Rows that the writer sent again to another daemon may be in a chunk of that daemon.
        let parts = core.catalog.parts(topic.id).await?;
        if !views.iter().any(|view| is_superseded(&parts, view.index, view.segment.row_end())) {
            return Ok((views, chunks));
        }
        yield_to_successor(core, cluster, &live).await?;
    }
}

fn chunk_source(core: &Arc<Engine>, topic: &TopicRow, chunk: ChunkRow, wanted: ReadRequest) -> Source {
    let (core, sequence, topic) = (Arc::clone(core), topic.sequence_id, topic.id);
    let lower_bound = chunk.ts_min.max(wanted.window.start.unwrap_or(i64::MIN));
    let order = chunk.id;
    let open = async move { chunk::open(&core, sequence, topic, chunk, wanted).await };
    Source { order, lower_bound, open: open.boxed() }
}

fn segment_source(view: SegmentView, ReadRequest { window, select, size }: ReadRequest) -> Source {
    let SegmentView { index, name, file, segment } = view;
    let span = segment.rows.times;
    let open = async move {
        let work = move || read_sorted((file, name), segment.end, span.sorted, size.bytes());
        let batches =
            trace::spawn_blocking(work).await.map_err(|e| Error::internal("reading the ingest log", e))??;
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
                let error = Error::internal("reading the ingest log", e);
                Some((Err(error), Box::new(std::iter::empty()) as SortedBatches))
            }
        }
    };
    stream::unfold(batches, next).boxed()
}
