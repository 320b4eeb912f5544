//! The byte budget of batches that are read ahead.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{Array, ArrayRef, RecordBatch};
use mosaico_types::ErrorCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Error, Result};

/// Permits are counted in KiB, so that budgets fit the semaphore's 32-bit requests.
const UNIT: usize = 1024;

/// Bytes beyond the budget, for messages that are larger than a budget: what is being received, and the batch that
/// each topic may have. A row can be as large as a message.
const BEYOND: usize = 1 << 30;

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
    held: Arc<Held>,
}

/// All bytes of a reader that came from the server, also those that the budget does not count.
#[derive(Debug)]
struct Held {
    bytes: AtomicUsize,
    limit: usize,
}

/// Bytes that a reader holds; dropping it releases them.
#[derive(Debug)]
pub(crate) struct Holding {
    held: Arc<Held>,
    bytes: usize,
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.held.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl ReadAhead {
    /// A budget of `bytes` for `topics` that are read together.
    pub fn new(bytes: usize, topics: usize) -> Self {
        let total = u32::try_from((bytes / UNIT).max(1)).unwrap_or(u32::MAX);
        let held = Held { bytes: AtomicUsize::new(0), limit: bytes.saturating_add(BEYOND) };
        Self { units: Arc::new(Semaphore::new(total as usize)), total, topics, held: Arc::new(held) }
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

    /// Counts `bytes` that are received, or were unpacked.
    ///
    /// # Errors
    /// [`ErrorCode::TooLarge`] if the reader would hold more than its limit.
    pub(crate) fn hold(&self, bytes: usize) -> Result<Holding> {
        let before = self.held.bytes.fetch_add(bytes, Ordering::Relaxed);
        // Subtracts the bytes again in case of an error.
        let holding = Holding { held: Arc::clone(&self.held), bytes };
        let (all, limit) = (before.saturating_add(bytes), self.held.limit);
        if bytes > limit || all > limit {
            let message = format!(
                "the server sent messages of {all} bytes for topics that are read together, more than the read-ahead \
                 budget and {BEYOND} bytes; read fewer topics at once"
            );
            return Err(Error::with_code(ErrorCode::TooLarge, message));
        }
        Ok(holding)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_bounded_and_released() {
        let reader = ReadAhead::new(1 << 20, 2);
        let first = reader.hold(BEYOND).unwrap();
        let second = reader.clone().hold(1 << 20).unwrap();
        let refused = reader.hold(1).unwrap_err();
        assert_eq!(refused.code, ErrorCode::TooLarge);
        assert!(reader.hold(usize::MAX).is_err());
        drop(second);
        assert!(reader.hold(1).is_ok());
        drop(first);
        assert_eq!(reader.held.bytes.load(Ordering::Relaxed), 0);
    }
}
