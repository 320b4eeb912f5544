//! The byte budget of batches that are read ahead.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Permits are counted in KiB, so that budgets fit the semaphore's 32-bit requests.
const UNIT: usize = 1024;

/// Bytes of the rows of a batch. The columns of a received batch share one buffer, which
/// `get_array_memory_size` counts for each of them.
pub(crate) fn batch_bytes(batch: &RecordBatch) -> usize {
    let column = |column: &ArrayRef| {
        column.to_data().get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size())
    };
    batch.columns().iter().map(column).sum()
}

/// A byte budget for decoded batches that wait to be consumed, shared by the topics of a reader.
///
/// Each topic may always have one batch beyond it; otherwise a merge that waits for one topic while others
/// use up the budget would never continue.
#[derive(Debug, Clone)]
pub struct ReadAhead {
    units: Arc<Semaphore>,
    total: u32,
    topics: usize,
}

impl ReadAhead {
    /// A budget of `bytes` for `topics` that are read together.
    pub fn new(bytes: usize, topics: usize) -> Self {
        let total = u32::try_from((bytes / UNIT).max(1)).unwrap_or(u32::MAX);
        Self { units: Arc::new(Semaphore::new(total as usize)), total, topics }
    }

    /// Number of topics that share it.
    pub(crate) fn topics(&self) -> usize {
        self.topics
    }

    /// Waits for `bytes` of the budget; a batch above the whole budget waits for all of it.
    pub(crate) async fn acquire(&self, bytes: usize) -> OwnedSemaphorePermit {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).clamp(1, self.total);
        Arc::clone(&self.units).acquire_many_owned(units).await.expect("the semaphore is never closed")
    }
}
