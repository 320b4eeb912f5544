//! Rows of one chunk inside a window, piece by piece: what cannot hold any is not read, and between two pieces a
//! reader holds nothing.

use std::ops::Range;

use arrow::array::RecordBatch;
use futures::{StreamExt, TryStreamExt, stream};
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
    let mut file = ParquetFile { objects: core.store.objects(), path, bytes: chunk.bytes };
    let footer = core.footers.load(&mut file).await?;
    let row_bytes = (chunk.data_bytes / chunk.rows.max(1)).max(1);
    let piece_rows = usize::try_from(core.piece_bytes() as u64 / row_bytes).unwrap_or(usize::MAX).max(1);
    let pieces = stream::iter(pieces(&footer, window, piece_rows));
    let batches = pieces.then(move |piece| read(file.clone(), footer.clone(), piece));
    Ok(trimmed(batches.map_ok(|batches| stream::iter(batches).map(Ok)).try_flatten().boxed(), window))
}

/// Rows of one row group.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Piece {
    group: usize,
    rows: Range<usize>,
}

/// Decodes a piece as a whole: a decoder that waits for its client would hold a zstd context for each column.
async fn read(file: ParquetFile, footer: ArrowReaderMetadata, piece: Piece) -> Result<Vec<RecordBatch>> {
    let path = file.path.clone();
    let failed = move |e| Error::internal(format!("reading {path}"), e);
    let in_group = group_rows(footer.metadata(), piece.group);
    let selected = RowSelection::from_consecutive_ranges(std::iter::once(piece.rows.clone()), in_group);
    let batches = ParquetRecordBatchStreamBuilder::new_with_metadata(file, footer)
        .with_batch_size(piece.rows.len())
        .with_row_groups(vec![piece.group])
        .with_row_selection(selected)
        .build()
        .map_err(failed.clone())?;
    batches.try_collect().await.map_err(failed)
}

fn group_rows(metadata: &ParquetMetaData, group: usize) -> usize {
    usize::try_from(metadata.row_group(group).num_rows()).unwrap_or(0)
}

/// What has to be read, in pieces of about `piece_rows` that end where pages end.
fn pieces(footer: &ArrowReaderMetadata, window: TimeWindow, piece_rows: usize) -> Vec<Piece> {
    let metadata = footer.metadata();
    let leaf =
        footer.parquet_schema().columns().iter().position(|column| column.path().string() == TIMESTAMP);
    let mut pieces = Vec::new();
    for group in 0..metadata.num_row_groups() {
        let pages = match leaf {
            Some(leaf) if !may_hold(metadata, group, leaf, window) => continue,
            Some(leaf) => pages(metadata, group, leaf, window),
            None => std::iter::once(0..group_rows(metadata, group)).collect(),
        };
        for rows in cut(pages, piece_rows) {
            pieces.push(Piece { group, rows });
        }
    }
    pieces
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

/// The rows of the time column's pages that may lie in the window.
fn pages(metadata: &ParquetMetaData, group: usize, leaf: usize, window: TimeWindow) -> Vec<Range<usize>> {
    let rows = group_rows(metadata, group);
    let index = metadata.column_index().and_then(|groups| groups.get(group)).and_then(|g| g.get(leaf));
    let places = metadata.offset_index().and_then(|groups| groups.get(group)).and_then(|g| g.get(leaf));
    let (Some(ColumnIndexMetaData::INT64(index)), Some(places)) = (index, places) else {
        return std::iter::once(0..rows).collect();
    };
    let start = |page: usize| {
        let place = places.page_locations().get(page)?;
        usize::try_from(place.first_row_index).ok()
    };
    let inside = |page: &usize| match (index.min_value(*page), index.max_value(*page)) {
        (Some(&min), Some(&max)) => window.overlaps(min, max),
        _ => true,
    };
    let range = |page: usize| Some(start(page)?..start(page + 1).unwrap_or(rows));
    (0..places.page_locations().len()).filter(inside).filter_map(range).collect()
}

/// Joins adjacent pages and cuts long ones so that each piece has about `piece_rows`.
fn cut(pages: Vec<Range<usize>>, piece_rows: usize) -> Vec<Range<usize>> {
    let mut pieces: Vec<Range<usize>> = Vec::new();
    for page in pages {
        match pieces.last_mut() {
            Some(last) if last.end == page.start && page.end - last.start <= piece_rows => {
                last.end = page.end
            }
            _ => {
                let parts = page.len().div_ceil(piece_rows).max(1);
                let step = page.len().div_ceil(parts).max(1);
                pieces.extend(page.clone().step_by(step).map(|from| from..page.end.min(from + step)));
            }
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn small_pages_are_joined_and_long_ones_cut() {
        assert_eq!(cut(vec![0..10, 10..20, 20..30], 20), [0..20, 20..30]);
        assert_eq!(cut(vec![0..100, 200..210], 40), [0..34, 34..68, 68..100, 200..210]);
        assert_eq!(cut(vec![0..10, 20..30], 100), [0..10, 20..30]);
    }

    proptest! {
        #[test]
        fn pieces_hold_every_row_once(
            pages in proptest::collection::vec((1usize..50, any::<bool>()), 0..20),
            piece_rows in 1usize..100,
        ) {
            let mut start = 0;
            let mut chosen = Vec::new();
            for (length, wanted) in pages {
                if wanted {
                    chosen.push(start..start + length);
                }
                start += length;
            }
            let pieces = cut(chosen.clone(), piece_rows);
            prop_assert!(pieces.iter().all(|piece| !piece.is_empty() && piece.len() <= piece_rows));
            let rows = |ranges: Vec<Range<usize>>| ranges.into_iter().flatten().collect::<Vec<_>>();
            prop_assert_eq!(rows(pieces), rows(chosen));
        }
    }
}
