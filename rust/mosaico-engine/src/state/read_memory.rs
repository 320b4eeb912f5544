//! The memory of all reads together: each message is counted from before it is decoded until its reader took it.

use std::sync::Arc;
use std::time::Duration;

use mosaico_storage::error::{Error, Result};
use mosaico_types::ErrorCode;
use tokio::select;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::sleep;

use super::message_size::{BatchSizer, LEAST};

/// A message is in memory twice: decoded and encoded, or encoded and on its way.
const COPIES: usize = 2;

/// How long a read waits for memory.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The budget of the reads in progress.
#[derive(Debug)]
pub struct ReadMemory {
    permits: Arc<Semaphore>,
    /// As much again, for reads whose reader has taken all earlier messages.
    progress: Arc<Semaphore>,
    size: usize,
    timeout: Duration,
}

/// The messages of one read that its reader has not taken yet.
#[derive(Debug, Default)]
pub struct Untaken(Arc<watch::Sender<usize>>);

/// The memory of a message, until it is taken.
#[derive(Debug)]
pub struct MessageMemory {
    _permit: Option<OwnedSemaphorePermit>,
    untaken: Arc<watch::Sender<usize>>,
}

impl Drop for MessageMemory {
    fn drop(&mut self) {
        self.untaken.send_modify(|count| *count -= 1);
    }
}

impl Untaken {
    fn add(&self, permit: Option<OwnedSemaphorePermit>) -> MessageMemory {
        self.0.send_modify(|count| *count += 1);
        MessageMemory { _permit: permit, untaken: Arc::clone(&self.0) }
    }

    /// Waits until the reader has taken all messages.
    async fn none(&self) {
        // The sender lives as long as this.
        drop(self.0.subscribe().wait_for(|count| *count == 0).await);
    }
}

impl ReadMemory {
    /// A budget of `bytes`.
    pub fn new(bytes: usize) -> Self {
        let size = bytes.min(u32::MAX as usize).min(Semaphore::MAX_PERMITS);
        let budget = || Arc::new(Semaphore::new(size));
        Self { permits: budget(), progress: budget(), size, timeout: TIMEOUT }
    }

    /// Memory for the next message of a read. If there is none, the message becomes as small as a message may be,
    /// and is not counted; the number of calls bounds these.
    ///
    /// Only rows that are larger have to wait. A read whose reader has taken all earlier messages has a budget of
    /// its own: it does not wait for others, which may themselves wait for it, as those of a merge do.
    pub async fn next_message(&self, size: &BatchSizer, untaken: &Untaken) -> Result<MessageMemory> {
        let row = size.row_bytes();
        size.cap(usize::MAX);
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_many_owned(self.cost(size.bytes().max(row)))
        {
            return Ok(untaken.add(Some(permit)));
        }
        size.cap(LEAST.max(row));
        if row <= LEAST {
            return Ok(untaken.add(None));
        }
        let progress = async {
            untaken.none().await;
            Arc::clone(&self.progress).acquire_many_owned(self.cost(row)).await
        };
        select! {
            permit = progress => Ok(untaken.add(permit.ok())),
            permit = Arc::clone(&self.permits).acquire_many_owned(self.cost(row)) => Ok(untaken.add(permit.ok())),
            () = sleep(self.timeout) => Err(Error::Refused(
                ErrorCode::TooMany,
                format!(
                    "other reads used the memory for reads ({} bytes) for {} s, and a row of this topic has {row} \
                     bytes; read fewer topics at the same time, or try again later",
                    self.size,
                    self.timeout.as_secs()
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
    use futures::FutureExt;

    use super::*;

    const MIB: usize = 1 << 20;

    #[tokio::test]
    async fn messages_become_small_when_the_memory_is_used() {
        let (memory, untaken) = (ReadMemory::new(16 * MIB), Untaken::default());
        let size = BatchSizer::fixed(4 * MIB);
        let first = memory.next_message(&size, &untaken).await.unwrap();
        let second = memory.next_message(&size, &untaken).await.unwrap();
        assert!(first._permit.is_some() && second._permit.is_some());
        assert!(memory.next_message(&size, &untaken).await.unwrap()._permit.is_none());
        assert_eq!(size.bytes(), LEAST);
        drop(first);
        let again = memory.next_message(&size, &untaken).await.unwrap();
        assert!(again._permit.is_some() && size.bytes() == 4 * MIB);
    }

    #[tokio::test]
    async fn large_rows_wait_for_their_own_reader() {
        let memory = ReadMemory { timeout: Duration::from_millis(20), ..ReadMemory::new(16 * MIB) };
        let size = BatchSizer::fixed(MIB);
        size.has_rows_of(8 * MIB);
        let (other, untaken) = (Untaken::default(), Untaken::default());
        let used = memory.next_message(&size, &other).await.unwrap();
        // Its reader waits for the first message.
        let first = memory.next_message(&size, &untaken).await.unwrap();
        assert!(memory.next_message(&size, &untaken).now_or_never().is_none(), "the reader has not taken it");
        let third = Untaken::default();
        let refused = memory.next_message(&size, &third).await.unwrap_err();
        assert!(refused.to_string().contains("a row of this topic has 8388608 bytes"), "{refused}");
        drop(first);
        drop(memory.next_message(&size, &untaken).await.unwrap());
        drop(memory.next_message(&size, &third).await.unwrap());
        drop(used);
    }
}
