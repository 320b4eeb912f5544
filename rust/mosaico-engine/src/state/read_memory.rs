//! The memory of all reads together: each message is counted from before it is decoded until its reader took it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mosaico_storage::error::{Error, Result};
use mosaico_types::ErrorCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::message_size::{BatchSizer, LEAST};

/// A message is in memory twice: decoded and encoded, or encoded and on its way.
const COPIES: usize = 2;

/// How long a read waits for memory.
const PATIENCE: Duration = Duration::from_secs(60);

/// The budget of the reads in progress.
#[derive(Debug)]
pub struct ReadMemory {
    permits: Arc<Semaphore>,
    size: usize,
    waiting: AtomicUsize,
}

/// Counts a read that waits.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl ReadMemory {
    /// A budget of `bytes`.
    pub fn new(bytes: usize) -> Self {
        let size = bytes.min(u32::MAX as usize).min(Semaphore::MAX_PERMITS);
        Self { permits: Arc::new(Semaphore::new(size)), size, waiting: AtomicUsize::new(0) }
    }

    /// Whether reads wait for memory.
    pub fn is_short(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Memory for the next message of a read. If there is none, the message becomes as small as a message may be,
    /// and is not counted; the number of calls bounds these. Only rows that are larger have to wait.
    pub async fn next_message(&self, size: &BatchSizer) -> Result<Option<OwnedSemaphorePermit>> {
        let row = size.row_bytes();
        size.cap(usize::MAX);
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_many_owned(self.cost(size.bytes().max(row)))
        {
            return Ok(Some(permit));
        }
        size.cap(LEAST.max(row));
        if row <= LEAST {
            return Ok(None);
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        let wait = Arc::clone(&self.permits).acquire_many_owned(self.cost(row));
        match tokio::time::timeout(PATIENCE, wait).await {
            Ok(permit) => Ok(permit.ok()),
            Err(_) => Err(Error::Refused(
                ErrorCode::TooMany,
                format!(
                    "other reads used the memory for reads ({} bytes) for {} s, and a row of this topic has {row} \
                     bytes; read fewer topics at the same time, or try again later",
                    self.size,
                    PATIENCE.as_secs()
                ),
            )),
        }
    }

    fn cost(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.saturating_mul(COPIES).min(self.size)).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[tokio::test]
    async fn messages_become_small_when_the_memory_is_used() {
        let memory = ReadMemory::new(16 * MIB);
        let size = BatchSizer::fixed(4 * MIB);
        let first = memory.next_message(&size).await.unwrap();
        let second = memory.next_message(&size).await.unwrap();
        assert!(first.is_some() && second.is_some());
        assert!(memory.next_message(&size).await.unwrap().is_none());
        assert_eq!(size.bytes(), LEAST);
        drop(first);
        let again = memory.next_message(&size).await.unwrap();
        assert!(again.is_some() && size.bytes() == 4 * MIB);
    }

    #[tokio::test(start_paused = true)]
    async fn large_rows_wait_and_are_refused() {
        let memory = ReadMemory::new(16 * MIB);
        let size = BatchSizer::fixed(MIB);
        size.has_rows_of(8 * MIB);
        let first = memory.next_message(&size).await.unwrap();
        let refused = memory.next_message(&size).await.unwrap_err();
        assert!(refused.to_string().contains("a row of this topic has 8388608 bytes"), "{refused}");
        assert!(!memory.is_short());
        let later = async {
            assert!(memory.is_short());
            drop(first);
        };
        let (waited, ()) = tokio::join!(memory.next_message(&size), later);
        assert!(waited.unwrap().is_some());
    }
}
