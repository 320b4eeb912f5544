//! What is read of a topic, and how batches are cut to it.

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

/// What is read of a topic.
#[derive(Debug, Clone)]
pub struct ReadRequest {
    pub window: TimeWindow,
    pub select: Arc<Select>,
    /// Of the pieces it is read in.
    pub size: Arc<BatchSizer>,
}

/// Cuts batches that are sorted by time to the window.
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

/// What is selected of a whole batch.
pub fn picked(batch: &RecordBatch, select: &Select) -> Result<RecordBatch> {
    select.apply(batch).map_err(|e| Error::internal("selecting rows", e))
}
