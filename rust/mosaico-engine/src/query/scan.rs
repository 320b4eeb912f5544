//! Searches a topic for matching rows and their first and last time: statistics first, then pages, then rows.

use std::collections::BTreeMap;
use std::io::Seek;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use arrow::array::RecordBatch;
use futures::{FutureExt, StreamExt, stream};
use mosaico_catalog::ChunkStats;
use mosaico_select::{RowExpr, RowTest, Verdict, matching, verdict};
use mosaico_storage::damaged_chunk::DamagedChunk;
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::schema::{TIMESTAMP, times};
use mosaico_storage::trace;
use mosaico_storage::wal::frame::LogError;
use mosaico_storage::wal::reader::BatchReader;
use mosaico_wire::damage::DamagedRows;
use mosaico_wire::query::{Counts, Explain};
use parking_lot::Mutex;
use parquet::DecodeResult;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::arrow::push_decoder::{ParquetPushDecoder, ParquetPushDecoderBuilder};
use tokio_util::sync::CancellationToken;

use crate::read::column_bounds::judge_chunk;
use crate::read::prune::{Plan, plan};
use crate::state::active_topic::SegmentView;
use crate::state::chunk_reader::{ChunkTopic, ParquetFile};
use crate::state::engine::Engine;

/// Arrow data that a scan decodes at once.
const BATCH_BYTES: u64 = 1 << 20;
const BATCH_ROWS: u64 = 16 << 10;

/// First and last time.
pub(super) type Span = (i64, i64);

pub(super) fn joined(a: Option<Span>, b: Option<Span>) -> Option<Span> {
    match (a, b) {
        (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
        (a, b) => a.or(b),
    }
}

/// Searched and skipped data, counted by all scans of a query.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub sequences: AtomicU64,
    pub topics: AtomicU64,
    chunks: Counter,
    row_groups: Counter,
    pages: Counter,
    rows: AtomicU64,
    bytes: AtomicU64,
    /// Damaged chunks, which were not searched.
    damaged: Mutex<BTreeMap<(String, String), DamagedRows>>,
}

#[derive(Debug, Default)]
struct Counter {
    candidates: AtomicU64,
    pruned: AtomicU64,
    read: AtomicU64,
}

impl Counter {
    fn add(&self, counts: Counts) {
        self.candidates.fetch_add(counts.candidates, Relaxed);
        self.pruned.fetch_add(counts.pruned_by_statistics, Relaxed);
        self.read.fetch_add(counts.read, Relaxed);
    }

    fn counts(&self) -> Counts {
        Counts {
            candidates: self.candidates.load(Relaxed),
            pruned_by_statistics: self.pruned.load(Relaxed),
            read: self.read.load(Relaxed),
        }
    }
}

impl Counters {
    pub(super) fn explain(&self) -> Explain {
        Explain {
            sequences: self.sequences.load(Relaxed),
            topics: self.topics.load(Relaxed),
            chunks: self.chunks.counts(),
            row_groups: self.row_groups.counts(),
            pages: self.pages.counts(),
            rows_scanned: self.rows.load(Relaxed),
            bytes_read: self.bytes.load(Relaxed),
        }
    }

    fn skip(&self, damage: &DamagedChunk) {
        let rows = damage.rows.end - damage.rows.start;
        self.damaged.lock().insert((damage.locator.clone(), damage.chunk.clone()), damage.report(rows));
    }

    /// Chunks that were not searched because they are damaged.
    pub(super) fn incomplete(&self) -> Vec<DamagedRows> {
        self.damaged.lock().values().cloned().collect()
    }
}

/// The durable rows of a topic.
#[derive(Debug)]
pub(super) struct TopicRows {
    pub topic: Arc<ChunkTopic>,
    pub chunks: Vec<ChunkStats>,
    /// Rows that are not yet in chunks.
    pub segments: Vec<Arc<SegmentView>>,
}

/// Matching rows: `None` without any; the span is set if the query needs it.
pub(super) type Found = Option<Option<Span>>;

/// Searches topics.
#[derive(Debug, Clone)]
pub(super) struct Scanner {
    pub core: Arc<Engine>,
    pub counters: Arc<Counters>,
}

impl Scanner {
    /// Searches a topic, several chunks concurrently; without `ranges`, up to the first match.
    pub(super) async fn topic(&self, rows: &TopicRows, expr: &Arc<RowExpr>, ranges: bool) -> Result<Found> {
        let mut found: Found = None;
        let candidates = rows.chunks.len() + rows.segments.len();
        self.counters.chunks.add(Counts { candidates: candidates as u64, ..Counts::default() });
        let mut open = Vec::new();
        for chunk in &rows.chunks {
            let judged =
                verdict(expr, &|column, check| judge_chunk(&chunk.columns, chunk.row.rows, column, check));
            match judged {
                Verdict::None => {}
                Verdict::All => {
                    found = Some(joined(found.flatten(), Some((chunk.row.ts_min, chunk.row.ts_max))))
                }
                Verdict::Some if !ranges => found = Some(None),
                Verdict::Some | Verdict::Maybe => {
                    open.push(chunk);
                    continue;
                }
            }
            self.counters.chunks.add(Counts { pruned_by_statistics: 1, ..Counts::default() });
        }
        if found.is_some() && !ranges {
            return Ok(Some(None));
        }
        let width = self.core.scans.available_permits().max(1);
        let mut chunks = Vec::with_capacity(open.len());
        for chunk in open {
            chunks.push(self.chunk(rows, chunk, expr, ranges).boxed());
        }
        let mut scans = stream::iter(chunks).buffer_unordered(width);
        while let Some(scanned) = scans.next().await {
            let scanned = match scanned {
                Err(Error::DamagedChunk(damage)) => {
                    // Files of a topic that is being deleted are missing, not damaged.
                    let row = self.core.catalog.topic_by_id(rows.topic.topic).await?;
                    if row.is_none_or(|row| row.deleting) {
                        return Ok(None);
                    }
                    self.counters.skip(&damage);
                    None
                }
                scanned => scanned?,
            };
            if let Some(span) = scanned {
                found = Some(joined(found.flatten(), span));
                if !ranges {
                    return Ok(found);
                }
            }
        }
        drop(scans);
        for segment in &rows.segments {
            if let Some(span) = self.segment(segment, expr, ranges).await? {
                found = Some(joined(found.flatten(), span));
                if !ranges {
                    return Ok(found);
                }
            }
        }
        Ok(found)
    }

    /// Counts rows that were read; fails if the query may read no more.
    fn count(&self, rows: u64) -> Result<()> {
        let all = self.counters.rows.fetch_add(rows, Relaxed).saturating_add(rows);
        let limit = self.core.config.limits.query_rows;
        if all <= limit {
            return Ok(());
        }
        let text = format!(
            "the query has to read more than {limit} rows, the limit of this server (--max-query-rows); add \
             conditions that exclude sequences, or ask for pages with `limit`"
        );
        Err(Error::Limit("max-query-rows", text))
    }

    async fn permit(&self) -> Result<tokio::sync::SemaphorePermit<'_>> {
        self.core.scans.acquire().await.map_err(|e| Error::internal("waiting for a scan", e))
    }

    async fn chunk(
        &self,
        rows: &TopicRows,
        chunk: &ChunkStats,
        expr: &Arc<RowExpr>,
        ranges: bool,
    ) -> Result<Found> {
        let _permit = self.permit().await?;
        let (damaged, topic) = (Arc::clone(&self.core.damaged), Arc::clone(&rows.topic));
        let mut file = ParquetFile::new(self.core.store.chunks(), damaged, topic, chunk.row);
        let footer = self.core.footers.load(&mut file).await?;
        let failed = {
            let file = file.clone();
            move |e| file.error("searching", e)
        };
        let Plan { proven, groups, rows: selection, group_counts, page_counts } =
            plan(&footer, expr).map_err(&failed)?;
        self.counters.row_groups.add(group_counts);
        self.counters.pages.add(page_counts);
        self.counters.chunks.add(Counts { read: 1, ..Counts::default() });
        if proven && !ranges {
            return Ok(Some(None));
        }
        let row_bytes = (chunk.row.data_bytes / chunk.row.rows.max(1)).max(1);
        let batch_rows = usize::try_from((BATCH_BYTES / row_bytes).clamp(1, BATCH_ROWS)).unwrap_or(1);
        let decoder = ParquetPushDecoderBuilder::new_with_metadata(footer.clone())
            .with_projection(projection(&footer, expr, ranges))
            .with_batch_size(batch_rows)
            .with_row_groups(groups)
            .with_row_selection(selection)
            .build()
            .map_err(&failed)?;
        let left = CancellationToken::new();
        let _leaves = left.clone().drop_guard();
        let mut search = Search { expr: Arc::clone(expr), ranges, found: None, rows: 0, decoder, left };
        loop {
            let (searched, step) = blocking(move || {
                let step = search.step();
                (search, step)
            })
            .await?;
            search = searched;
            self.count(std::mem::take(&mut search.rows))?;
            match step? {
                None => return Ok(search.found),
                Some(wanted) => {
                    let data = file.get_byte_ranges(wanted.clone()).await.map_err(&failed)?;
                    let bytes: usize = data.iter().map(bytes::Bytes::len).sum();
                    self.counters.bytes.fetch_add(bytes as u64, Relaxed);
                    search.decoder.push_ranges(wanted, data).map_err(&failed)?;
                }
            }
        }
    }

    async fn segment(&self, view: &Arc<SegmentView>, expr: &Arc<RowExpr>, ranges: bool) -> Result<Found> {
        let _permit = self.permit().await?;
        let (view, expr) = (Arc::clone(view), Arc::clone(expr));
        let end = view.segment.end;
        let left = CancellationToken::new();
        let _leaves = left.clone().drop_guard();
        let work = move || {
            let failed = |e: LogError| e.into_error("searching the WAL");
            let file = view.file.try_clone().and_then(|mut file| file.rewind().map(|()| file));
            let file = file.map_err(|e| Error::internal("searching the WAL", e))?;
            let (mut found, mut rows) = (None, 0);
            for batch in BatchReader::new(file, view.segment.end, view.name.clone()).map_err(failed)? {
                let batch = batch.map_err(failed)?;
                rows += batch.num_rows() as u64;
                look(&expr, &batch, ranges, &mut found)?;
                if found.is_some() && !ranges || left.is_cancelled() {
                    break;
                }
            }
            Ok::<_, Error>((found, rows))
        };
        let (found, rows) = blocking(work).await??;
        self.counters.chunks.add(Counts { read: 1, ..Counts::default() });
        self.counters.bytes.fetch_add(end, Relaxed);
        self.count(rows)?;
        Ok(found)
    }
}

/// Runs CPU-bound work outside the async threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    trace::spawn_blocking(work).await.map_err(|e| Error::internal("searching rows", e))
}

/// The columns of a condition, and the time column if its range is needed.
fn projection(footer: &ArrowReaderMetadata, expr: &RowExpr, ranges: bool) -> ProjectionMask {
    let schema = footer.parquet_schema();
    let mut leaves = Vec::new();
    expr.leaves(&mut |test: &RowTest| leaves.extend(test.column.iter().flat_map(|c| c.leaves.clone())));
    if ranges {
        leaves.extend(schema.columns().iter().position(|column| column.path().string() == TIMESTAMP));
    }
    ProjectionMask::leaves(schema, leaves)
}

/// The search of one chunk.
#[derive(Debug)]
struct Search {
    expr: Arc<RowExpr>,
    ranges: bool,
    found: Found,
    rows: u64,
    decoder: ParquetPushDecoder,
    /// Cancelled when nobody waits for the result any more. Blocking work does not end with the call that began it,
    /// and may be long: a condition may have thousands of parts.
    left: CancellationToken,
}

impl Search {
    /// Continues until it needs bytes, whose ranges it returns, or until the end.
    fn step(&mut self) -> Result<Option<Vec<std::ops::Range<u64>>>> {
        loop {
            let failed = |e| Error::internal("decoding a chunk", e);
            match self.decoder.try_decode().map_err(failed)? {
                DecodeResult::NeedsData(wanted) => return Ok(Some(wanted)),
                DecodeResult::Finished => return Ok(None),
                DecodeResult::Data(batch) => {
                    self.rows += batch.num_rows() as u64;
                    look(&self.expr, &batch, self.ranges, &mut self.found)?;
                    if self.found.is_some() && !self.ranges || self.left.is_cancelled() {
                        return Ok(None);
                    }
                }
            }
        }
    }
}

/// Adds the matching rows of a batch.
fn look(expr: &RowExpr, batch: &RecordBatch, ranges: bool, found: &mut Found) -> Result<()> {
    let rows = matching(expr, batch);
    let mut chosen = rows.set_indices();
    let Some(first) = chosen.next() else { return Ok(()) };
    let span = if ranges {
        let times = times(batch)?.values();
        let start = (times[first], times[first]);
        Some(chosen.fold(start, |(low, high), row| (low.min(times[row]), high.max(times[row]))))
    } else {
        None
    };
    *found = Some(joined(found.flatten(), span));
    Ok(())
}
