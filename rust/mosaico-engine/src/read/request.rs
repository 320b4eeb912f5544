//! Read requests, and how batches are trimmed to them.

use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::StreamExt;
use futures::stream::BoxStream;
use mosaico_select::Select;
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::schema::times;
use mosaico_types::TimeWindow;

use crate::state::message_size::BatchSizer;

/// Batches of rows.
pub type BatchStream = BoxStream<'static, Result<RecordBatch>>;

/// The requested rows and columns of a topic.
#[derive(Debug, Clone)]
pub struct ReadRequest {
    pub window: TimeWindow,
    pub select: Arc<Select>,
    /// Size of the pieces in which it is read.
    pub size: Arc<BatchSizer>,
}

/// Trims batches that are sorted by time to the window.
pub fn trimmed(batches: BatchStream, window: TimeWindow) -> BatchStream {
    if window == TimeWindow::ALL {
        return batches;
    }
    batches.map(move |batch| batch.and_then(|batch| trim(&batch, window))).boxed()
}

pub fn trim(batch: &RecordBatch, window: TimeWindow) -> Result<RecordBatch> {
    let times = times(batch)?.values();
    let from = window.start.map_or(0, |start| times.partition_point(|&t| t < start));
    let to = window.end.map_or(times.len(), |end| times.partition_point(|&t| t < end));
    Ok(batch.slice(from, to.saturating_sub(from)))
}

/// The selected columns and rows of a complete batch.
pub fn picked(batch: &RecordBatch, select: &Select) -> Result<RecordBatch> {
    select.apply(batch).map_err(|e| Error::internal("selecting rows", e))
}
