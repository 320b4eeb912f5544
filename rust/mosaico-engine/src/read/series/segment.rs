//! The rows of a segment of the WAL in pixel columns.

use std::io::Seek;
use std::sync::Arc;

use mosaico_storage::error::{Error, Result};
use mosaico_storage::trace;
use mosaico_storage::wal::frame::LogError;
use mosaico_storage::wal::reader::BatchReader;
use tokio_util::sync::CancellationToken;

use super::buckets::{Buckets, Source};
use super::job::Series;
use crate::state::active_topic::SegmentView;

pub(super) async fn read(series: &Arc<Series>, view: SegmentView) -> Result<Buckets> {
    let _permit = series.core.scans.acquire().await.map_err(|e| Error::internal("waiting for a read", e))?;
    let (series, left) = (Arc::clone(series), CancellationToken::new());
    let _leaves = left.clone().drop_guard();
    let work = move || {
        let failed = |e: LogError| e.into_error("reading the WAL");
        let mut file = view.file;
        file.rewind().map_err(|e| Error::internal("reading the WAL", e))?;
        let mut buckets = Buckets::default();
        let mut reader = BatchReader::new(file, view.segment.end, view.name.clone()).map_err(failed)?;
        while let Some(batch) = reader.next() {
            let (batch, start) = (batch.map_err(failed)?, reader.row_start());
            let rest = usize::try_from(view.row_end.saturating_sub(start)).unwrap_or(usize::MAX);
            if rest == 0 || left.is_cancelled() {
                break;
            }
            let batch = batch.slice(0, batch.num_rows().min(rest));
            series.count(batch.num_rows() as u64)?;
            let row = |row| start + row as u64;
            let source = Source { id: view.index, row: &row, is_counted: true };
            buckets.add_batch(&series.grid, &series.columns, &batch, &source)?;
        }
        Ok(buckets)
    };
    trace::spawn_blocking(work).await.map_err(|e| Error::internal("reading the WAL", e))?
}
