//! The rows of a chunk in pixel columns: by statistics where they lie in one column, decoded elsewhere.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, Float64Array, RecordBatch};
use arrow::datatypes::Field;
use mosaico_catalog::ChunkRow;
use mosaico_select::{Column, numbers};
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::chunk_id::ChunkId;
use mosaico_storage::format::column_stats::{ColumnKind, ColumnStats};
use mosaico_storage::trace;
use parquet::DecodeResult;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, RowSelection};
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::arrow::push_decoder::{ParquetPushDecoder, ParquetPushDecoderBuilder};
use tokio_util::sync::CancellationToken;

use super::buckets::{Bounds, Bucket, Buckets, Edge, Grid, Place, Source, joined as joined_bounds};
use super::job::Series;
use crate::read::time_pages::{TimePage, group_rows, group_span, time_leaf, time_pages};
use crate::state::chunk_reader::ParquetFile;

/// Rows that are decoded at once.
const BATCH_ROWS: usize = 16 << 10;

/// Adjacent rows of a chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rows {
    pub group: usize,
    /// In the row group.
    pub rows: Range<usize>,
    /// The number of its first row in the chunk.
    pub start: u64,
}

/// Rows in one pixel column whose values are not read.
fn unread(source: ChunkId, (first, last): (i64, i64), rows: Range<u64>, bounds: Vec<Bounds>) -> Bucket {
    // Without fields there is nothing to read.
    let values = bounds.is_empty().then(Vec::new);
    let edge = |time, row| Edge { place: Place { time, source, row }, values: values.clone() };
    Bucket {
        first: edge(first, rows.start),
        last: edge(last, rows.end - 1),
        count: rows.end - rows.start,
        bounds,
    }
}

pub(super) async fn read(series: &Arc<Series>, chunk: ChunkRow, stats: &[ColumnStats]) -> Result<Buckets> {
    let mut buckets = Buckets::default();
    let span = (chunk.ts_min, chunk.ts_max);
    if let Some(pixel) = series.grid.pixel_of(span).filter(|_| chunk.rows > 0)
        && let Some(bounds) = series.columns.iter().map(|column| stored_bounds(stats, &column.path)).collect()
    {
        buckets.add(pixel, unread(chunk.id, span, 0..chunk.rows, bounds));
        return Ok(buckets);
    }
    let _permit = series.core.scans.acquire().await.map_err(|e| Error::internal("waiting for a read", e))?;
    let mut file = open(series, chunk);
    let footer = series.core.footers.load(&mut file).await?;
    let rest = by_statistics(series, &footer, chunk.id, &mut buckets);
    for (rows, is_counted) in [(rest.uncounted, true), (rest.unbounded, false)] {
        let adding = Arc::clone(series);
        let add = move |mut buckets: Buckets, batch: &RecordBatch, row: &dyn Fn(usize) -> u64| {
            adding.count(batch.num_rows() as u64)?;
            let source = Source { id: chunk.id, row, is_counted };
            buckets.add_batch(&adding.grid, &adding.columns, batch, &source)?;
            Ok(buckets)
        };
        buckets = decode(series, file.renewed(), footer.clone(), rows, buckets, add).await?;
    }
    Ok(buckets)
}

pub(super) fn open(series: &Series, chunk: ChunkRow) -> ParquetFile {
    let Series { core, topic, .. } = series;
    ParquetFile::new(core.store.chunks(), Arc::clone(&core.damaged), Arc::clone(topic), chunk)
}

/// The bounds of a column according to the catalog; `None` if they are not known.
fn stored_bounds(stats: &[ColumnStats], path: &[String]) -> Option<Bounds> {
    let found = stats.iter().find(|stats| stats.path == path)?;
    match (found.kind, &found.bounds) {
        (ColumnKind::Text, _) => None,
        (_, None) => Some(None),
        (_, Some(_)) => found.numbers().map(Some),
    }
}

/// Rows that have to be decoded, in order.
#[derive(Debug, Default)]
struct Rest {
    /// Rows that are in no bucket.
    uncounted: Vec<Rows>,
    /// Rows in a bucket that does not have the bounds of all their values.
    unbounded: Vec<Rows>,
}

/// Adds row groups and pages that lie in one pixel column; returns the other rows of the window.
fn by_statistics(
    series: &Series,
    footer: &ArrowReaderMetadata,
    source: ChunkId,
    buckets: &mut Buckets,
) -> Rest {
    let (grid, metadata) = (&series.grid, footer.metadata());
    let leaf = time_leaf(footer);
    let (mut rest, mut start) = (Rest::default(), 0);
    for group in 0..metadata.num_row_groups() {
        let rows = group_rows(metadata, group);
        let first = start;
        start += rows as u64;
        let part = |rows: Range<usize>| Rows { group, start: first + rows.start as u64, rows };
        let Some(leaf) = leaf.filter(|_| rows > 0) else {
            rest.uncounted.push(part(0..rows));
            continue;
        };
        let span = group_span(metadata, group, leaf);
        if span.is_some_and(|span| !grid.overlaps(span)) {
            continue;
        }
        if let Some(span) = span
            && let Some(pixel) = grid.pixel_of(span)
            && let Some(bounds) = group_bounds(series, footer, group)
        {
            buckets.add(pixel, unread(source, span, first..start, bounds));
            continue;
        }
        let fields = PageBounds::of_fields(series, footer, group);
        for run in runs(grid, time_pages(metadata, group, leaf)) {
            let Some((pixel, span)) = run.pixel else {
                rest.uncounted.push(part(run.rows));
                continue;
            };
            let (mut bounds, mut missing) = (Vec::with_capacity(fields.len()), Vec::new());
            for field in &fields {
                bounds.push(field.within(&run.rows, &mut missing));
            }
            missing.sort_unstable_by_key(|rows: &Range<usize>| rows.start);
            rest.unbounded.extend(joined(missing).into_iter().map(part));
            let counted = part(run.rows.clone()).start;
            buckets.add(pixel, unread(source, span, counted..counted + run.rows.len() as u64, bounds));
        }
    }
    rest
}

/// Ascending ranges without overlaps.
fn joined(ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match found.last_mut().filter(|last| last.end >= range.start) {
            Some(last) => last.end = last.end.max(range.end),
            None => found.push(range),
        }
    }
    found
}

/// Adjacent pages in one pixel column with their times, or a page across several.
#[derive(Debug)]
struct Run {
    rows: Range<usize>,
    pixel: Option<(u32, (i64, i64))>,
}

fn runs(grid: &Grid, pages: Vec<TimePage>) -> Vec<Run> {
    let mut found: Vec<Run> = Vec::new();
    for TimePage { rows, span } in pages {
        if span.is_some_and(|span| !grid.overlaps(span)) {
            continue;
        }
        let pixel = span.and_then(|span| Some((grid.pixel_of(span)?, span)));
        if let (Some(Run { rows: before, pixel: Some((last, times)) }), Some((pixel, span))) =
            (found.last_mut(), pixel)
            && *last == pixel
            && before.end == rows.start
        {
            before.end = rows.end;
            times.1 = span.1;
            continue;
        }
        found.push(Run { rows, pixel });
    }
    found
}

/// The bounds of the pages of a field, which need not be those of the time.
#[derive(Debug)]
struct PageBounds(Vec<(Range<usize>, Option<Bounds>)>);

impl PageBounds {
    /// Of all fields in a row group.
    fn of_fields(series: &Series, footer: &ArrowReaderMetadata, group: usize) -> Vec<Self> {
        let fields = value_fields(series);
        let of = |(column, field)| Self::of_field(column, field, footer, group).unwrap_or(Self(Vec::new()));
        series.columns.iter().zip(&fields).map(of).collect()
    }

    fn of_field(column: &Column, field: &Field, footer: &ArrowReaderMetadata, group: usize) -> Option<Self> {
        let metadata = footer.metadata();
        let (index, places) = (metadata.column_index()?, metadata.offset_index()?);
        let leaf = column.leaves.start;
        let converter = StatisticsConverter::from_column_index(leaf, field, footer.parquet_schema()).ok()?;
        let low = numbers(&converter.data_page_mins(index, places, [&group]).ok()?).ok()?;
        let high = numbers(&converter.data_page_maxes(index, places, [&group]).ok()?).ok()?;
        let nulls = converter.data_page_null_counts(index, places, [&group]).ok()?;
        let pages = places.get(group)?.get(leaf)?.page_locations();
        let start = |page: usize| usize::try_from(pages.get(page)?.first_row_index).ok();
        if low.len() != pages.len() || nulls.len() != pages.len() {
            return None;
        }
        let page = |page: usize| {
            let rows = start(page)?..start(page + 1).unwrap_or(group_rows(metadata, group));
            let known = nulls.is_valid(page).then(|| nulls.value(page));
            let bounds = bounds_at(&low, &high, known, page, rows.len() as u64);
            Some((rows, bounds))
        };
        (0..pages.len()).map(page).collect::<Option<_>>().map(Self)
    }

    /// The bounds of some rows, as far as pages tell them; adds the other rows to `missing`.
    fn within(&self, rows: &Range<usize>, missing: &mut Vec<Range<usize>>) -> Bounds {
        let (mut found, mut at) = (None, rows.start);
        let inside =
            |page: &&(Range<usize>, Option<Bounds>)| page.0.start >= rows.start && page.0.end <= rows.end;
        for (page, bounds) in self.0.iter().filter(inside) {
            let Some(bounds) = bounds else { continue };
            if at < page.start {
                missing.push(at..page.start);
            }
            at = page.end;
            found = joined_bounds(found, *bounds);
        }
        if at < rows.end {
            missing.push(at..rows.end);
        }
        found
    }
}

fn value_fields(series: &Series) -> Vec<Field> {
    series.columns.iter().map(|column| Field::new("value", column.data_type.clone(), true)).collect()
}

/// Bounds of a piece of `rows` rows; `None` if statistics do not tell them.
fn bounds_at(
    low: &Float64Array,
    high: &Float64Array,
    nulls: Option<u64>,
    piece: usize,
    rows: u64,
) -> Option<Bounds> {
    if nulls == Some(rows) {
        return Some(None);
    }
    // Without bounds, all values may be NaN.
    let bounds =
        (low.is_valid(piece) && high.is_valid(piece)).then(|| (low.value(piece), high.value(piece)))?;
    (!bounds.0.is_nan() && !bounds.1.is_nan()).then_some(Some(bounds))
}

/// The bounds of a row group per field.
fn group_bounds(series: &Series, footer: &ArrowReaderMetadata, group: usize) -> Option<Vec<Bounds>> {
    let fields = value_fields(series);
    let rows = group_rows(footer.metadata(), group) as u64;
    let group = || std::iter::once(footer.metadata().row_group(group));
    let bounds = |(column, field): (&Column, &Field)| {
        let leaf = column.leaves.start;
        let converter = StatisticsConverter::from_column_index(leaf, field, footer.parquet_schema()).ok()?;
        let low = numbers(&converter.row_group_mins(group()).ok()?).ok()?;
        let high = numbers(&converter.row_group_maxes(group()).ok()?).ok()?;
        let nulls = converter.row_group_null_counts(group()).ok()?;
        bounds_at(&low, &high, nulls.is_valid(0).then(|| nulls.value(0)), 0, rows)
    };
    series.columns.iter().zip(&fields).map(bounds).collect()
}

/// Decodes rows of a chunk, in order, and folds their batches with `add`, which also gets the number of each row in the
/// chunk.
pub(super) async fn decode<T: Send + 'static>(
    series: &Series,
    mut file: ParquetFile,
    footer: ArrowReaderMetadata,
    rows: Vec<Rows>,
    start: T,
    add: impl Fn(T, &RecordBatch, &dyn Fn(usize) -> u64) -> Result<T> + Send + 'static,
) -> Result<T> {
    if rows.is_empty() {
        return Ok(start);
    }
    let failed = {
        let file = file.clone();
        move |e| file.error("reading", e)
    };
    let schema = footer.parquet_schema();
    let leaves = series.columns.iter().flat_map(|column| column.leaves.clone()).chain(time_leaf(&footer));
    let mask = ProjectionMask::leaves(schema, leaves);
    let (mut groups, mut total, mut ranges): (Vec<usize>, _, _) = (Vec::new(), 0, Vec::new());
    for Rows { group, rows, .. } in &rows {
        if groups.last() != Some(group) {
            total += groups.last().map_or(0, |last| group_rows(footer.metadata(), *last));
            groups.push(*group);
        }
        ranges.push(total + rows.start..total + rows.end);
    }
    total += groups.last().map_or(0, |last| group_rows(footer.metadata(), *last));
    let selection = RowSelection::from_consecutive_ranges(ranges.into_iter(), total);
    let decoder = ParquetPushDecoderBuilder::new_with_metadata(footer.clone())
        .with_projection(mask)
        .with_batch_size(BATCH_ROWS)
        .with_row_groups(groups)
        .with_row_selection(selection)
        .build()
        .map_err(&failed)?;
    let left = CancellationToken::new();
    let _leaves = left.clone().drop_guard();
    let mut fold = Fold { decoder, rows, done: 0, found: start, add, left };
    loop {
        let (next, step) = trace::spawn_blocking(move || fold.run())
            .await
            .map_err(|e| Error::internal("decoding a chunk", e))??;
        fold = next;
        match step {
            None => return Ok(fold.found),
            Some(wanted) => {
                let data = file.get_byte_ranges(wanted.clone()).await.map_err(&failed)?;
                fold.decoder.push_ranges(wanted, data).map_err(&failed)?;
            }
        }
    }
}

/// A chunk that is being decoded.
struct Fold<T, F> {
    decoder: ParquetPushDecoder,
    rows: Vec<Rows>,
    /// Decoded rows.
    done: usize,
    found: T,
    add: F,
    /// Cancelled when nobody waits for the result any more.
    left: CancellationToken,
}

impl<T, F> Fold<T, F>
where
    F: Fn(T, &RecordBatch, &dyn Fn(usize) -> u64) -> Result<T>,
{
    /// Continues until it needs bytes, whose ranges it returns, or until the end.
    fn run(mut self) -> Result<(Self, Option<Vec<Range<u64>>>)> {
        let failed = |e| Error::internal("decoding a chunk", e);
        // Where each part of the rows begins among all decoded rows.
        let mut starts = Vec::with_capacity(self.rows.len());
        let mut at = 0;
        for part in &self.rows {
            starts.push(at);
            at += part.rows.len();
        }
        loop {
            match self.decoder.try_decode().map_err(failed)? {
                DecodeResult::NeedsData(wanted) => return Ok((self, Some(wanted))),
                DecodeResult::Finished => return Ok((self, None)),
                DecodeResult::Data(batch) => {
                    let done = self.done;
                    let number = |row: usize| {
                        let part = starts.partition_point(|start| *start <= done + row).saturating_sub(1);
                        self.rows[part].start + (done + row - starts[part]) as u64
                    };
                    self.found = (self.add)(self.found, &batch, &number)?;
                    self.done += batch.num_rows();
                    if self.left.is_cancelled() {
                        return Ok((self, None));
                    }
                }
            }
        }
    }
}
