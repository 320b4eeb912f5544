//! A topic in pixel columns: per column the number of rows, their first and last, and the bounds of their values.
//!
//! What lies in one pixel column as a whole is not read: the catalog has the bounds of a chunk ([`chunk`]), its footer
//! those of row groups and pages. Only rows around the borders of columns are decoded, so the cost depends on the number
//! of columns more than on the number of rows. The result equals the one of all rows.

mod buckets;
mod chunk;
mod edges;
mod job;
mod segment;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use arrow::array::RecordBatch;
use futures::{StreamExt, stream};
use mosaico_catalog::TopicRow;
use mosaico_select::Column;
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::chunk_id::ChunkId;

pub use self::buckets::Grid;
use self::buckets::{Bucket, Buckets, Source};
use self::job::Series;
use super::topic::segments_and_chunks;
use crate::state::chunk_reader::ChunkTopic;
use crate::state::engine::Engine;

/// The rows of a pixel column.
#[derive(Debug, Clone, PartialEq)]
pub struct Pixel {
    /// Number of the pixel column.
    pub pixel: u32,
    pub first_ns: i64,
    pub last_ns: i64,
    pub count: u64,
    /// Per field.
    pub values: Vec<PixelValues>,
}

/// The values of a field in a pixel column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PixelValues {
    /// Lowest and highest value, without nulls and NaN.
    pub bounds: Option<(f64, f64)>,
    /// The value of the first and of the last row; `None`: null.
    pub first: Option<f64>,
    pub last: Option<f64>,
}

/// The pixel columns of a topic that have rows, in order. Each column has at most one value per row.
///
/// # Errors
/// [`Error::DamagedChunk`]; [`Error::Limit`] if it takes too long or reads too many rows.
pub async fn series(
    core: &Arc<Engine>,
    topic: &TopicRow,
    grid: Grid,
    columns: Vec<Column>,
) -> Result<Vec<Pixel>> {
    let limit = core.config.limits.query_time;
    tokio::select! {
        found = compute(core, topic, grid, columns) => found,
        () = tokio::time::sleep(limit) => Err(Error::Limit("max-query-time", format!(
            "the series was ended after {} s, the limit of this server (--max-query-time); ask for a shorter window",
            limit.as_secs_f64()
        ))),
        () = core.halting.cancelled() => Err(core.ended()),
    }
}

async fn compute(
    core: &Arc<Engine>,
    topic: &TopicRow,
    grid: Grid,
    columns: Vec<Column>,
) -> Result<Vec<Pixel>> {
    let (views, mut chunks) = segments_and_chunks(core, topic).await?;
    chunks.retain(|chunk| grid.overlaps((chunk.ts_min, chunk.ts_max)));
    let paths: Vec<Vec<String>> = columns.iter().map(|column| column.path.clone()).collect();
    let mut stats = match columns.is_empty() {
        true => Vec::new(),
        false => core.catalog.chunk_stats(&[topic.id], &paths).await?.remove(&topic.id).unwrap_or_default(),
    };
    // In the order of arrival, as the chunks.
    stats.retain(|stats| chunks.binary_search_by_key(&stats.row.id, |chunk| chunk.id).is_ok());
    let mut stats: BTreeMap<ChunkId, _> =
        stats.into_iter().map(|stats| (stats.row.id, stats.columns)).collect();
    let (columns, chunk_topic) = (Arc::new(columns), Arc::new(ChunkTopic::from(topic)));
    let series =
        Series { core: Arc::clone(core), topic: chunk_topic, grid, columns, rows: AtomicU64::new(0) };
    let series = Arc::new(series);
    let mut buckets = Buckets::default();
    for view in views {
        let times = view.segment.rows.times;
        if grid.overlaps((times.min, times.max)) {
            buckets.join(segment::read(&series, view).await?);
        }
    }
    let width = core.scans.available_permits().max(1);
    let mut reads = Vec::with_capacity(chunks.len());
    for chunk in &chunks {
        let (series, chunk, stats) =
            (Arc::clone(&series), *chunk, stats.remove(&chunk.id).unwrap_or_default());
        reads.push(async move { chunk::read(&series, chunk, &stats).await });
    }
    let mut reads = stream::iter(reads).buffer_unordered(width);
    while let Some(found) = reads.next().await {
        buckets.join(found?);
    }
    edges::complete(&series, &chunks, &mut buckets).await?;
    Ok(pixels(buckets))
}

fn pixels(buckets: Buckets) -> Vec<Pixel> {
    let pixel = |(pixel, Bucket { first, last, count, bounds }): (u32, Bucket)| {
        let value = |values: &Option<Vec<Option<f64>>>, field: usize| values.as_ref()?.get(field).copied()?;
        let values = bounds.iter().enumerate().map(|(field, bounds)| PixelValues {
            bounds: *bounds,
            first: value(&first.values, field),
            last: value(&last.values, field),
        });
        let values = values.collect();
        Pixel { pixel, first_ns: first.place.time, last_ns: last.place.time, count, values }
    };
    buckets.0.into_iter().map(pixel).collect()
}

/// Rows that are read elsewhere, in pixel columns.
#[derive(Debug)]
pub struct Gathered {
    grid: Grid,
    columns: Vec<Column>,
    buckets: Buckets,
    rows: u64,
}

impl Gathered {
    pub fn new(grid: Grid, columns: Vec<Column>) -> Self {
        Self { grid, columns, buckets: Buckets::default(), rows: 0 }
    }

    /// Adds the next rows.
    ///
    /// # Errors
    /// The batch lacks a column.
    pub fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let start = self.rows;
        self.rows += batch.num_rows() as u64;
        let row = |row| start + row as u64;
        let source = Source { id: ChunkId { epoch: 0, index: 0 }, row: &row, is_counted: true };
        self.buckets.add_batch(&self.grid, &self.columns, batch, &source)
    }

    /// Each row as a pixel column of its own; several may have the same number.
    ///
    /// # Errors
    /// As of [`Self::add`].
    pub fn single(grid: Grid, columns: &[Column], batches: &[RecordBatch]) -> Result<Vec<Pixel>> {
        let mut found = Vec::new();
        for batch in batches {
            for row in 0..batch.num_rows() {
                let mut one = Self::new(grid, columns.to_vec());
                one.add(&batch.slice(row, 1))?;
                found.extend(one.finish());
            }
        }
        Ok(found)
    }

    pub fn finish(self) -> Vec<Pixel> {
        pixels(self.buckets)
    }
}

/// A number of rows that the window has at least, without reading any.
pub async fn rows_at_least(core: &Arc<Engine>, topic: &TopicRow, grid: Grid) -> Result<u64> {
    let (views, chunks) = segments_and_chunks(core, topic).await?;
    let is_inside = |(first, last): (i64, i64)| grid.pixel(first).is_some() && grid.pixel(last).is_some();
    let stored: u64 =
        chunks.iter().filter(|chunk| is_inside((chunk.ts_min, chunk.ts_max))).map(|chunk| chunk.rows).sum();
    let live =
        views.iter().filter(|view| is_inside((view.segment.rows.times.min, view.segment.rows.times.max)));
    let live =
        live.map(|view| view.row_end.min(view.segment.row_end()).saturating_sub(view.segment.rows.row_start));
    Ok(stored + live.sum::<u64>())
}
