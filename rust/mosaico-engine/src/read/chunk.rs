//! Reads the rows of one chunk inside a window, piece by piece: skips data that cannot contain any, and keeps
//! nothing in memory between two pieces. Evaluates conditions first, on the columns that they need.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use futures::{StreamExt, TryStreamExt, stream};
use mosaico_catalog::ChunkRow;
use mosaico_select::{RowTest, Select, matching};
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::schema::times;
use mosaico_types::TimeWindow;
use parquet::arrow::arrow_reader::{ArrowPredicateFn, ArrowReaderMetadata, RowFilter, RowSelection};
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use parquet::basic::Type;
use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::ParquetMetaData;

use super::prune::candidate_rows;
use super::request::{BatchStream, ReadRequest, Skipped, trimmed};
use super::time_pages::{TimePage, group_rows, group_span, time_leaf, time_pages};
use crate::state::chunk_reader::{ChunkTopic, ParquetFile};
use crate::state::engine::Engine;

/// Maximum rows of a piece, however narrow they are.
const MAX_PIECE_ROWS: usize = 64 << 10;

/// Rows from which on reading too many costs more than looking at their times first.
const WIDE_ROW_BYTES: usize = 1 << 10;

/// Opens a chunk.
pub async fn open(
    core: &Engine,
    topic: Arc<ChunkTopic>,
    chunk: ChunkRow,
    ReadRequest { window, select, size, skipped }: ReadRequest,
) -> Result<BatchStream> {
    let mut file = ParquetFile::new(core.store.chunks(), Arc::clone(&core.damaged), topic, chunk);
    let footer = match core.footers.load(&mut file).await {
        Ok(footer) => footer,
        Err(error) => {
            skip(skipped.as_deref(), error, chunk.rows)?;
            return Ok(stream::empty().boxed());
        }
    };
    let all_bytes = usize::try_from(chunk.data_bytes / chunk.rows.max(1)).unwrap_or(usize::MAX);
    let row_bytes = fixed_width(&footer, &select).unwrap_or(all_bytes).max(1);
    size.has_rows_of(row_bytes);
    let mut pages = pages(&footer, window, &select).map_err(|e| file.error("reading", e))?;
    if row_bytes >= WIDE_ROW_BYTES && window != TimeWindow::ALL {
        let narrowed = narrow(&file, &footer, window, &mut pages).await;
        // A read that skips damage finds it again below, and counts the rows.
        if skipped.is_none() {
            narrowed?;
        }
    }
    let pieces = std::iter::from_fn(move || {
        next_piece(&mut pages, (size.bytes() / row_bytes).clamp(1, MAX_PIECE_ROWS))
    });
    let read = move |piece: Piece| {
        let rows = piece.rows.len() as u64;
        let (read, skipped) =
            (read(file.renewed(), footer.clone(), piece, Arc::clone(&select)), skipped.clone());
        async move {
            match read.await {
                Err(error) => skip(skipped.as_deref(), error, rows).map(|()| Vec::new()),
                found => found,
            }
        }
    };
    let batches = stream::iter(pieces).then(read);
    Ok(trimmed(batches.map_ok(|batches| stream::iter(batches).map(Ok)).try_flatten().boxed(), window))
}

/// Cuts the first and the last page to the window: a page has many times, whose other columns may be pictures.
async fn narrow(
    file: &ParquetFile,
    footer: &ArrowReaderMetadata,
    window: TimeWindow,
    pages: &mut Pages,
) -> Result<()> {
    let Some(leaf) = time_leaf(footer) else { return Ok(()) };
    for last in [false, true] {
        let Some(piece) = (if last { pages.back() } else { pages.front() }).cloned() else { break };
        let file = file.renewed();
        let input = file.clone();
        let failed = move |e| input.error("reading", e);
        let in_group = group_rows(footer.metadata(), piece.group);
        let selected = RowSelection::from_consecutive_ranges(std::iter::once(piece.rows.clone()), in_group);
        let batches: Vec<RecordBatch> =
            ParquetRecordBatchStreamBuilder::new_with_metadata(file, footer.clone())
                .with_batch_size(piece.rows.len())
                .with_row_groups(vec![piece.group])
                .with_row_selection(selected)
                .with_projection(ProjectionMask::leaves(footer.parquet_schema(), [leaf]))
                .build()
                .map_err(failed.clone())?
                .try_collect()
                .await
                .map_err(failed)?;
        let mut all = Vec::with_capacity(piece.rows.len());
        for batch in &batches {
            all.extend_from_slice(times(batch)?.values());
        }
        let from = window.start.map_or(0, |start| all.partition_point(|&time| time < start));
        let to = window.end.map_or(all.len(), |end| all.partition_point(|&time| time < end)).max(from);
        let rows = piece.rows.start + from..piece.rows.start + to;
        // An empty piece stays out: it would be read as one row.
        _ = if last { pages.pop_back() } else { pages.pop_front() };
        match (rows.is_empty(), last) {
            (true, _) => {}
            (false, true) => pages.push_back(Piece { group: piece.group, rows }),
            (false, false) => pages.push_front(Piece { group: piece.group, rows }),
        }
    }
    Ok(())
}

/// Leaves out rows of a damaged chunk, if the read skips them.
fn skip(skipped: Option<&Skipped>, error: Error, rows: u64) -> Result<()> {
    match (error, skipped) {
        (Error::DamagedChunk(damage), Some(skipped)) => {
            skipped.add(&damage, rows);
            Ok(())
        }
        (error, _) => Err(error),
    }
}

/// Rows of one row group.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Piece {
    group: usize,
    rows: Range<usize>,
}

/// Rows still to be read; the rows of a page are adjacent.
type Pages = VecDeque<Piece>;

/// Decodes a complete piece: a decoder that waits for its client would keep a zstd context for each column.
async fn read(
    file: ParquetFile,
    footer: ArrowReaderMetadata,
    piece: Piece,
    select: Arc<Select>,
) -> Result<Vec<RecordBatch>> {
    let input = file.clone();
    let failed = move |e| input.error("reading", e);
    let in_group = group_rows(footer.metadata(), piece.group);
    let selected = RowSelection::from_consecutive_ranges(std::iter::once(piece.rows.clone()), in_group);
    let leaves = |leaves: Vec<usize>| ProjectionMask::leaves(footer.parquet_schema(), leaves);
    let wanted = leaves(select.projection.leaves().to_vec());
    let filter = select.filter.clone().map(|filter| {
        let columns = leaves(filter_leaves(&select));
        let matching = move |batch: RecordBatch| Ok(BooleanArray::new(matching(&filter, &batch), None));
        RowFilter::new(vec![Box::new(ArrowPredicateFn::new(columns, matching))])
    });
    let mut reader = ParquetRecordBatchStreamBuilder::new_with_metadata(file, footer)
        .with_batch_size(piece.rows.len())
        .with_row_groups(vec![piece.group])
        .with_row_selection(selected)
        .with_projection(wanted);
    if let Some(filter) = filter {
        reader = reader.with_row_filter(filter);
    }
    let batches: Vec<RecordBatch> =
        reader.build().map_err(failed.clone())?.try_collect().await.map_err(failed)?;
    let chosen = |batch| select.projection.apply(&batch);
    let chosen = batches.into_iter().map(chosen).collect::<Result<_, _>>();
    chosen.map_err(|e| Error::internal("reading a chunk", e))
}

/// The leaf columns that a condition uses.
fn filter_leaves(select: &Select) -> Vec<usize> {
    let mut leaves = Vec::new();
    if let Some(filter) = &select.filter {
        filter.leaves(&mut |test: &RowTest| leaves.extend(test.column.iter().flat_map(|c| c.leaves.clone())));
    }
    leaves
}

/// Decoded bytes per row, if that is the same for each row.
fn fixed_width(footer: &ArrowReaderMetadata, select: &Select) -> Option<usize> {
    let leaf_width = |leaf: usize| {
        let column = footer.parquet_schema().column(leaf);
        let width = match column.physical_type() {
            Type::BOOLEAN => 1,
            Type::INT32 | Type::FLOAT => 4,
            Type::INT64 | Type::DOUBLE => 8,
            Type::INT96 => 12,
            Type::FIXED_LEN_BYTE_ARRAY => usize::try_from(column.type_length()).ok()?,
            Type::BYTE_ARRAY => return None,
        };
        (column.max_rep_level() == 0).then_some(width)
    };
    select.projection.leaves().iter().copied().chain(filter_leaves(select)).map(leaf_width).sum()
}

/// The rows to read, page by page.
fn pages(footer: &ArrowReaderMetadata, window: TimeWindow, select: &Select) -> ParquetResult<Pages> {
    let metadata = footer.metadata();
    let leaf = time_leaf(footer);
    let mut found = Pages::new();
    for group in 0..metadata.num_row_groups() {
        let pages = match leaf {
            Some(leaf) if !may_hold(metadata, group, leaf, window) => continue,
            Some(leaf) => pages_inside(metadata, group, leaf, window),
            None => std::iter::once(0..group_rows(metadata, group)).collect(),
        };
        let pages = match &select.filter {
            Some(filter) => common(&pages, &candidate_rows(footer, group, filter)?),
            None => pages,
        };
        found.extend(pages.into_iter().map(|rows| Piece { group, rows }));
    }
    Ok(found)
}

/// The intersection of two lists of ascending ranges.
fn common(a: &[Range<usize>], b: &[Range<usize>]) -> Vec<Range<usize>> {
    let (mut i, mut j) = (0, 0);
    let mut found = Vec::new();
    while let (Some(left), Some(right)) = (a.get(i), b.get(j)) {
        let both = left.start.max(right.start)..left.end.min(right.end);
        if !both.is_empty() {
            found.push(both);
        }
        if left.end <= right.end {
            i += 1;
        } else {
            j += 1;
        }
    }
    found
}

fn may_hold(metadata: &ParquetMetaData, group: usize, leaf: usize, window: TimeWindow) -> bool {
    group_span(metadata, group, leaf).is_none_or(|(min, max)| window.overlaps(min, max))
}

/// The rows of the time column's pages that may lie in the window.
fn pages_inside(
    metadata: &ParquetMetaData,
    group: usize,
    leaf: usize,
    window: TimeWindow,
) -> Vec<Range<usize>> {
    let pages = time_pages(metadata, group, leaf).into_iter();
    let inside = |page: &TimePage| page.span.is_none_or(|(min, max)| window.overlaps(min, max));
    pages.filter(inside).map(|page| page.rows).collect()
}

/// Takes about `rows` rows from the front: merges adjacent pages, splits long ones.
fn next_piece(pages: &mut Pages, rows: usize) -> Option<Piece> {
    let mut piece = pages.pop_front()?;
    if piece.rows.len() > rows {
        let parts = piece.rows.len().div_ceil(rows);
        let middle = piece.rows.start + piece.rows.len().div_ceil(parts);
        pages.push_front(Piece { group: piece.group, rows: middle..piece.rows.end });
        piece.rows.end = middle;
        return Some(piece);
    }
    let follows = |piece: &Piece, next: &Piece| {
        next.group == piece.group
            && next.rows.start == piece.rows.end
            && next.rows.end - piece.rows.start <= rows
    };
    while let Some(next) = pages.pop_front_if(|next| follows(&piece, next)) {
        piece.rows.end = next.rows.end;
    }
    Some(piece)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(pages: &[Range<usize>], rows: impl IntoIterator<Item = usize>) -> Vec<Range<usize>> {
        let mut pages = pages.iter().map(|rows| Piece { group: 0, rows: rows.clone() }).collect();
        rows.into_iter().map_while(|rows| next_piece(&mut pages, rows)).map(|piece| piece.rows).collect()
    }

    #[test]
    fn small_pages_are_joined_and_long_ones_cut() {
        let always = std::iter::repeat::<usize>;
        assert_eq!(cut(&[0..10, 10..20, 20..30], always(20)), [0..20, 20..30]);
        assert_eq!(cut(&[0..100, 200..210], always(40)), [0..34, 34..67, 67..100, 200..210]);
        assert_eq!(cut(&[0..10, 20..30], always(100)), [0..10, 20..30]);
        assert_eq!(cut(&[0..10, 10..20, 20..30, 30..40], [10, 20, 40]), [0..10, 10..30, 30..40]);
        let mut groups = Pages::from([(0, 0..10), (1, 10..20)].map(|(group, rows)| Piece { group, rows }));
        assert_eq!(
            next_piece(&mut groups, 100).map(|piece| piece.rows),
            Some(0..10),
            "row groups stay apart"
        );
    }

    proptest! {
        #[test]
        fn common_rows_are_in_both(
            a in proptest::collection::vec((0usize..9, 1usize..9), 0..9),
            b in proptest::collection::vec((0usize..9, 1usize..9), 0..9),
        ) {
            let ranges = |steps: Vec<(usize, usize)>| {
                let mut at = 0;
                let range = |(gap, length)| { at += gap + length; at - length..at };
                steps.into_iter().map(range).collect::<Vec<_>>()
            };
            let (a, b) = (ranges(a), ranges(b));
            let rows = |ranges: &[Range<usize>]| ranges.iter().cloned().flatten().collect::<Vec<_>>();
            let expected: Vec<usize> = rows(&a).into_iter().filter(|row| rows(&b).contains(row)).collect();
            prop_assert_eq!(rows(&common(&a, &b)), expected);
        }

        #[test]
        fn pieces_hold_every_row_once(
            pages in proptest::collection::vec((1usize..50, any::<bool>()), 0..20),
            sizes in proptest::collection::vec(1usize..100, 1..9),
        ) {
            let mut start = 0;
            let mut chosen = Vec::new();
            for (length, wanted) in pages {
                if wanted {
                    chosen.push(start..start + length);
                }
                start += length;
            }
            let pieces = cut(&chosen, sizes.iter().copied().cycle());
            let fit = pieces.iter().zip(sizes.iter().cycle()).all(|(piece, &size)| (1..=size).contains(&piece.len()));
            prop_assert!(fit, "{pieces:?}");
            let rows = |ranges: Vec<Range<usize>>| ranges.into_iter().flatten().collect::<Vec<_>>();
            prop_assert_eq!(rows(pieces), rows(chosen));
        }
    }
}
