//! The times of the pages of a chunk's time column.

use std::ops::Range;

use mosaico_storage::format::schema::TIMESTAMP;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::statistics::Statistics;

/// A page: its rows in the row group, and its lowest and highest time, if they are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TimePage {
    pub rows: Range<usize>,
    pub span: Option<(i64, i64)>,
}

/// The leaf of the time column.
pub(super) fn time_leaf(footer: &ArrowReaderMetadata) -> Option<usize> {
    footer.parquet_schema().columns().iter().position(|column| column.path().string() == TIMESTAMP)
}

pub(super) fn group_rows(metadata: &ParquetMetaData, group: usize) -> usize {
    usize::try_from(metadata.row_group(group).num_rows()).unwrap_or(0)
}

/// The lowest and highest time of a row group, if they are known.
pub(super) fn group_span(metadata: &ParquetMetaData, group: usize, leaf: usize) -> Option<(i64, i64)> {
    match metadata.row_group(group).column(leaf).statistics() {
        Some(Statistics::Int64(found)) => Some((*found.min_opt()?, *found.max_opt()?)),
        _ => None,
    }
}

/// The pages of a row group; without a page index, its rows are one page.
pub(super) fn time_pages(metadata: &ParquetMetaData, group: usize, leaf: usize) -> Vec<TimePage> {
    let rows = group_rows(metadata, group);
    let index = metadata.column_index().and_then(|groups| groups.get(group)).and_then(|g| g.get(leaf));
    let places = metadata.offset_index().and_then(|groups| groups.get(group)).and_then(|g| g.get(leaf));
    let (Some(ColumnIndexMetaData::INT64(index)), Some(places)) = (index, places) else {
        return vec![TimePage { rows: 0..rows, span: group_span(metadata, group, leaf) }];
    };
    let start = |page: usize| {
        let place = places.page_locations().get(page)?;
        usize::try_from(place.first_row_index).ok()
    };
    let page = |page: usize| {
        let span = index.min_value(page).copied().zip(index.max_value(page).copied());
        Some(TimePage { rows: start(page)?..start(page + 1).unwrap_or(rows), span })
    };
    (0..places.page_locations().len()).filter_map(page).collect()
}
