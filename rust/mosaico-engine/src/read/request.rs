//! Read requests, and how batches are trimmed to them.

use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::StreamExt;
use futures::stream::BoxStream;
use mosaico_select::Select;
use mosaico_storage::damaged_chunk::DamagedChunk;
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::schema::times;
use mosaico_types::TimeWindow;
use mosaico_wire::damage::DamagedRows;
use parking_lot::Mutex;

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
    /// Collects the rows of damaged chunks, which are left out; `None`: they are an error.
    pub skipped: Option<Arc<Skipped>>,
}

/// Rows that a read left out, since their chunks are damaged.
#[derive(Debug, Default)]
pub struct Skipped(Mutex<Vec<DamagedRows>>);

impl Skipped {
    /// Adds `rows` rows of a chunk.
    pub fn add(&self, chunk: &DamagedChunk, rows: u64) {
        let mut all = self.0.lock();
        let found = chunk.report(rows);
        match all.iter_mut().find(|known| (&known.topic, &known.chunk) == (&found.topic, &found.chunk)) {
            Some(known) => known.skipped_rows += rows,
            None => all.push(found),
        }
    }

    /// The rows that were left out so far.
    pub fn take(&self) -> Vec<DamagedRows> {
        std::mem::take(&mut *self.0.lock())
    }
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
