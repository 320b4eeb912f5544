//! Rows of one chunk inside a window: row groups and pages that cannot hold any are not read.

use std::ops::Range;

use futures::{StreamExt, TryStreamExt};
use mosaico_types::TimeWindow;
use parquet::arrow::ParquetRecordBatchStreamBuilder;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, RowSelection};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::statistics::Statistics;

use super::file::ParquetFile;
use super::{BatchStream, trimmed};
use crate::batch::TIMESTAMP;
use crate::catalog::ChunkRow;
use crate::core::Core;
use crate::error::{Error, Result};
use crate::id::{SequenceId, TopicId};
use crate::store::layout::SequencePaths;

/// Opens a chunk.
pub(crate) async fn open(
    core: &Core,
    sequence: SequenceId,
    topic: TopicId,
    chunk: ChunkRow,
    window: TimeWindow,
) -> Result<BatchStream> {
    let path = SequencePaths(sequence).topic(topic).chunk(chunk.index);
    let mut file = ParquetFile { objects: core.store.objects(), path: path.clone(), bytes: chunk.bytes };
    let footer = core.footers.load(&mut file).await?;
    let failed = move |e| Error::internal(format!("reading {path}"), e);
    let selected = select(&footer, window);
    let row_bytes = (chunk.data_bytes / chunk.rows.max(1)).max(1);
    let rows_per_batch = (core.config.message_bytes as u64 / row_bytes).max(1);
    let mut builder = ParquetRecordBatchStreamBuilder::new_with_metadata(file, footer)
        .with_batch_size(usize::try_from(rows_per_batch).unwrap_or(usize::MAX))
        .with_row_groups(selected.row_groups);
    if let Some(rows) = selected.rows {
        builder = builder.with_row_selection(rows);
    }
    let batches = builder.build().map_err(failed.clone())?;
    Ok(trimmed(batches.map_err(failed).boxed(), window))
}

/// What has to be read.
#[derive(Debug, PartialEq)]
struct Selected {
    row_groups: Vec<usize>,
    /// Within the row groups; `None`: all rows.
    rows: Option<RowSelection>,
}

fn select(footer: &ArrowReaderMetadata, window: TimeWindow) -> Selected {
    let metadata = footer.metadata();
    let groups = 0..metadata.num_row_groups();
    let leaf =
        footer.parquet_schema().columns().iter().position(|column| column.path().string() == TIMESTAMP);
    let (Some(leaf), true) = (leaf, window != TimeWindow::ALL) else {
        return Selected { row_groups: groups.collect(), rows: None };
    };
    let (mut row_groups, mut ranges, mut offset) = (Vec::new(), Vec::new(), 0);
    for group in groups {
        if !may_hold(metadata, group, leaf, window) {
            continue;
        }
        let rows = usize::try_from(metadata.row_group(group).num_rows()).unwrap_or(0);
        let pages = page_range(metadata, group, leaf, window, rows);
        row_groups.push(group);
        ranges.push(offset + pages.start..offset + pages.end);
        offset += rows;
    }
    let rows = RowSelection::from_consecutive_ranges(ranges.into_iter(), offset);
    Selected { row_groups, rows: Some(rows) }
}

fn may_hold(metadata: &ParquetMetaData, group: usize, leaf: usize, window: TimeWindow) -> bool {
    match metadata.row_group(group).column(leaf).statistics() {
        Some(Statistics::Int64(found)) => match (found.min_opt(), found.max_opt()) {
            (Some(&min), Some(&max)) => window.overlaps(min, max),
            _ => true,
        },
        _ => true,
    }
}

/// The rows of a row group from the first to the last page that may hold rows of the window.
fn page_range(
    metadata: &ParquetMetaData,
    group: usize,
    leaf: usize,
    window: TimeWindow,
    rows: usize,
) -> Range<usize> {
    let index = metadata.column_index().and_then(|groups| groups.get(group)).and_then(|g| g.get(leaf));
    let pages = metadata.offset_index().and_then(|groups| groups.get(group)).and_then(|g| g.get(leaf));
    let (Some(ColumnIndexMetaData::INT64(index)), Some(pages)) = (index, pages) else { return 0..rows };
    let starts: Vec<usize> = pages
        .page_locations()
        .iter()
        .map(|page| usize::try_from(page.first_row_index).unwrap_or(0))
        .collect();
    let mut found: Option<Range<usize>> = None;
    for (page, &start) in starts.iter().enumerate() {
        let end = starts.get(page + 1).copied().unwrap_or(rows);
        let inside = match (index.min_value(page), index.max_value(page)) {
            (Some(&min), Some(&max)) => window.overlaps(min, max),
            _ => true,
        };
        if inside {
            found = Some(found.map_or(start, |range| range.start)..end);
        }
    }
    found.unwrap_or(0..0)
}
