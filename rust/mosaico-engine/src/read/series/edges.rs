//! Reads the first and last values of pixel columns that statistics described.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::{StreamExt, stream};
use mosaico_catalog::ChunkRow;
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::chunk_id::ChunkId;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;

use super::buckets::{Buckets, Edge, value};
use super::chunk::{Rows, decode, open};
use super::job::Series;
use crate::read::time_pages::group_rows;

/// Values per row of a chunk.
type Values = BTreeMap<u64, Vec<Option<f64>>>;

/// Reads the values that are missing, row by row.
pub(super) async fn complete(series: &Arc<Series>, chunks: &[ChunkRow], buckets: &mut Buckets) -> Result<()> {
    let mut wanted: BTreeMap<ChunkId, Vec<u64>> = BTreeMap::new();
    for Edge { place, values } in buckets.0.values().flat_map(|bucket| [&bucket.first, &bucket.last]) {
        if values.is_none() {
            wanted.entry(place.source).or_default().push(place.row);
        }
    }
    let mut reads = Vec::new();
    for chunk in chunks {
        let Some(mut rows) = wanted.remove(&chunk.id) else { continue };
        rows.sort_unstable();
        rows.dedup();
        let (series, chunk) = (Arc::clone(series), *chunk);
        reads.push(async move { Ok::<_, Error>((chunk.id, read(&series, chunk, rows).await?)) });
    }
    let width = series.core.scans.available_permits().max(1);
    let mut reads = stream::iter(reads).buffer_unordered(width);
    let mut found: BTreeMap<ChunkId, Values> = BTreeMap::new();
    while let Some(read) = reads.next().await {
        found.extend([read?]);
    }
    for Edge { place, values } in
        buckets.0.values_mut().flat_map(|bucket| [&mut bucket.first, &mut bucket.last])
    {
        if values.is_none() {
            *values = found.get(&place.source).and_then(|rows| rows.get(&place.row)).cloned();
        }
    }
    Ok(())
}

async fn read(series: &Arc<Series>, chunk: ChunkRow, rows: Vec<u64>) -> Result<Values> {
    let _permit = series.core.scans.acquire().await.map_err(|e| Error::internal("waiting for a read", e))?;
    let mut file = open(series, chunk);
    let footer = series.core.footers.load(&mut file).await?;
    let rows = placed(&footer, &rows);
    let columns = Arc::clone(&series.columns);
    let add = move |mut found: Values, batch: &RecordBatch, number: &dyn Fn(usize) -> u64| {
        let values = columns.iter().map(|column| column.numbers(batch)).collect::<Result<Vec<_>, _>>();
        let values = values.map_err(|e| Error::internal("reading numbers", e))?;
        for row in 0..batch.num_rows() {
            found.insert(number(row), values.iter().map(|values| value(values, row)).collect());
        }
        Ok(found)
    };
    decode(series, file, footer, rows, Values::new(), add).await
}

/// The row groups of ascending rows of a chunk.
fn placed(footer: &ArrowReaderMetadata, rows: &[u64]) -> Vec<Rows> {
    let (mut start, mut group, mut found) = (0, 0, Vec::with_capacity(rows.len()));
    for row in rows {
        while group < footer.metadata().num_row_groups() {
            let length = group_rows(footer.metadata(), group) as u64;
            if *row < start + length {
                let at = usize::try_from(row - start).unwrap_or(usize::MAX);
                found.push(Rows { group, rows: at..at + 1, start: *row });
                break;
            }
            start += length;
            group += 1;
        }
    }
    found
}
