//! What all calls of one server share.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use mosaico_types::SequenceName;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::catalog::Catalog;
use crate::cluster::Cluster;
use crate::config::Config;
use crate::events::Archive;
use crate::id::{SequenceId, TopicId};
use crate::ingest::live::LiveTopics;
use crate::layers::Layers;
use crate::locks::Locks;
use crate::metrics::Metrics;
use crate::read::footer::FooterCache;
use crate::store::Store;
use crate::tasks::Queue;
use crate::writers::Writers;

/// The inside of a server.
#[derive(Debug)]
pub(crate) struct Core {
    pub config: Config,
    pub metrics: Arc<Metrics>,
    pub store: Store,
    pub catalog: Catalog,
    /// Other daemons on the same store, if there may be any.
    pub cluster: Option<Cluster>,
    pub layers: Layers,
    /// Folder of the ingest log.
    pub log: PathBuf,
    pub live: Arc<LiveTopics>,
    pub footers: FooterCache,
    pub creations: Creations,
    /// One per sequence: creation of topics, finalization, commit and removal exclude each other.
    pub locks: Locks<SequenceId>,
    /// Background work.
    pub queue: Queue,
    /// Signs of life of writers.
    pub writers: Writers,
    /// Events in the store.
    pub archive: Archive,
    /// Permits of the chunker.
    pub chunk_jobs: Semaphore,
    /// Chunks that are on their way to the store at the same time.
    pub upload_jobs: Semaphore,
    /// Permits of queries: chunks that are searched at the same time.
    pub scans: Semaphore,
    /// Bytes that may wait for the disk.
    pub ingest_budget: Arc<Semaphore>,
    /// Reads in progress.
    pub readers: Arc<()>,
    /// Shutdown was asked for: connections end.
    pub closing: CancellationToken,
    /// Nothing more is begun: shutdown was asked for, or another daemon owns the store.
    pub stopping: CancellationToken,
    /// Reads are cut short.
    pub halting: CancellationToken,
    /// Work that shutdown waits for.
    pub tasks: TaskTracker,
}

impl Core {
    /// How large the messages of a read may be, one of `together`.
    pub(crate) fn piece_size(&self, together: usize) -> Arc<PieceSize> {
        Arc::new(PieceSize {
            readers: Arc::downgrade(&self.readers),
            all: self.config.read_bytes,
            most: self.config.message_bytes,
            together,
            next: AtomicUsize::new(FIRST_PIECE_BYTES),
        })
    }

    /// Does `work` in the background until the server stops.
    pub(crate) fn while_serving(&self, work: impl Future<Output = ()> + Send + 'static) {
        let stopping = self.stopping.clone();
        self.tasks.spawn(async move { stopping.run_until_cancelled(work).await });
    }

    /// Where the segments of a topic lie.
    pub(crate) fn log_folder(&self, topic: TopicId) -> PathBuf {
        self.log.join(topic.to_string())
    }
}

/// The first message of a read is small, so that it comes soon; each other one may be twice as large as the one before.
const FIRST_PIECE_BYTES: usize = 512 << 10;

/// The size of a read's next message: shares what reads may hold among those that are open at the moment.
#[derive(Debug)]
pub(crate) struct PieceSize {
    readers: Weak<()>,
    all: usize,
    most: usize,
    /// At least so many will be open soon.
    together: usize,
    next: AtomicUsize,
}

impl PieceSize {
    /// Arrow data of a message that is made now.
    pub(crate) fn bytes(&self) -> usize {
        // A message is in the decoder, in the encoder and on its way at the same time, some of it twice.
        const COPIES: usize = 8;
        const LEAST: usize = 64 << 10;
        // One is the server's own.
        let open = self.readers.strong_count().saturating_sub(1).max(self.together).max(1);
        let share = (self.all / COPIES / open).clamp(LEAST.min(self.most), self.most);
        share.min(self.next.load(Ordering::Relaxed))
    }

    /// A message was made.
    pub(crate) fn grow(&self) {
        let next = self.next.load(Ordering::Relaxed);
        self.next.store(next.saturating_mul(2).min(self.most.max(next)), Ordering::Relaxed);
    }
}

#[cfg(test)]
impl PieceSize {
    /// Always the same.
    pub(crate) fn fixed(bytes: usize) -> Arc<Self> {
        let next = AtomicUsize::new(bytes);
        Arc::new(Self { readers: Weak::new(), all: usize::MAX, most: bytes, together: 1, next })
    }
}

/// Creations of sequences. Names are unique, so those of one name take turns.
#[derive(Debug, Default)]
pub(crate) struct Creations {
    pub names: Locks<SequenceName>,
    /// Those that were begun and not answered with success. A start settles what an earlier process left.
    pub begun: Mutex<HashMap<SequenceId, SequenceName>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn messages_grow_as_far_as_the_share_of_their_read() {
        let readers = Arc::new(());
        let next = AtomicUsize::new(FIRST_PIECE_BYTES);
        let readers_of = Arc::downgrade(&readers);
        let size = PieceSize { readers: readers_of, all: 64 * MIB, most: 4 * MIB, together: 1, next };
        let sizes = |count| (0..count).map(|_| (size.bytes(), size.grow()).0).collect::<Vec<_>>();
        assert_eq!(sizes(5), [MIB / 2, MIB, 2 * MIB, 4 * MIB, 4 * MIB]);
        let open = vec![Arc::clone(&readers); 64];
        assert_eq!(sizes(2), [MIB / 8; 2]);
        drop(open);
        assert_eq!(sizes(1), [4 * MIB]);
        assert_eq!(PieceSize { together: 32, ..size }.bytes(), MIB / 4);
    }
}
