//! What all calls of one server share.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::{OwnedMutexGuard, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::catalog::Catalog;
use crate::config::Config;
use crate::events::Archive;
use crate::id::{SequenceId, TopicId};
use crate::ingest::live::LiveTopics;
use crate::layers::Layers;
use crate::read::footer::FooterCache;
use crate::store::Store;
use crate::tasks::Queue;
use crate::writers::Writers;

/// The inside of a server.
#[derive(Debug)]
pub(crate) struct Core {
    pub config: Config,
    pub store: Store,
    pub catalog: Catalog,
    pub layers: Layers,
    /// Folder of the ingest log.
    pub log: PathBuf,
    pub live: Arc<LiveTopics>,
    pub footers: FooterCache,
    /// One creation at a time: names are unique.
    pub creating: tokio::sync::Mutex<()>,
    pub locks: SequenceLocks,
    /// Background work.
    pub queue: Queue,
    /// Signs of life of writers.
    pub writers: Writers,
    /// Events in the store.
    pub archive: Archive,
    /// Permits of the chunker.
    pub chunk_jobs: Semaphore,
    /// Permits of queries: chunks that are searched at the same time.
    pub scans: Semaphore,
    /// Bytes that may wait for the disk.
    pub ingest_budget: Arc<Semaphore>,
    /// Reads in progress.
    pub readers: Arc<()>,
    /// Shutdown was asked for.
    pub stopping: CancellationToken,
    /// Reads are cut short.
    pub halting: CancellationToken,
    /// Work that shutdown waits for.
    pub tasks: TaskTracker,
}

impl Core {
    /// Arrow data per message of a read that is opened now.
    pub(crate) fn piece_bytes(&self) -> usize {
        // A message is in the decoder, in the encoder and on its way at the same time, some of it twice.
        const COPIES: usize = 8;
        const LEAST: usize = 64 << 10;
        let open = (Arc::strong_count(&self.readers) - 1).max(1);
        let most = self.config.message_bytes;
        (self.config.read_bytes / COPIES / open).clamp(LEAST.min(most), most)
    }

    /// Where the segments of a topic lie.
    pub(crate) fn log_folder(&self, topic: TopicId) -> PathBuf {
        self.log.join(topic.to_string())
    }
}

/// One lock per sequence: creation of topics, finalization, commit and removal exclude each other.
#[derive(Debug, Default)]
pub(crate) struct SequenceLocks(Mutex<HashMap<SequenceId, Weak<tokio::sync::Mutex<()>>>>);

impl SequenceLocks {
    /// Waits for the lock of a sequence.
    pub(crate) async fn lock(&self, sequence: SequenceId) -> OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.0.lock();
            locks.retain(|_, lock| lock.strong_count() > 0);
            match locks.get(&sequence).and_then(Weak::upgrade) {
                Some(lock) => lock,
                None => {
                    let lock = Arc::new(tokio::sync::Mutex::new(()));
                    locks.insert(sequence, Arc::downgrade(&lock));
                    lock
                }
            }
        };
        lock.lock_owned().await
    }
}
