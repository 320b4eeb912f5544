//! What all calls of one server share.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use mosaico_catalog::Catalog;
use mosaico_storage::error::{Error, Result};
use mosaico_storage::keyed_mutex::Locks;
use mosaico_storage::objects::Store;
use mosaico_types::SequenceName;
use mosaico_types::id::{SequenceId, TopicId};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::active_topic::ActiveTopics;
use super::config::Config;
use super::event_archive::EventArchive;
use super::footer_cache::FooterCache;
use super::layers::Layers;
use super::membership::Cluster;
use super::message_size::BatchSizer;
use super::metrics::Metrics;
use super::queue::Queue;
use super::writer_activity::Writers;

/// The inside of a server.
#[derive(Debug)]
pub struct Engine {
    pub config: Config,
    pub metrics: Arc<Metrics>,
    pub store: Store,
    pub catalog: Catalog,
    /// Other daemons on the same store, if there may be any.
    pub cluster: Option<Cluster>,
    pub layers: Layers,
    /// Folder of the ingest log.
    pub log: PathBuf,
    pub live: Arc<ActiveTopics>,
    pub footers: FooterCache,
    pub creations: Creations,
    /// One per sequence: creation of topics, finalization, commit and removal exclude each other.
    pub locks: Locks<SequenceId>,
    /// Background work.
    pub queue: Queue,
    /// Signs of life of writers.
    pub writers: Writers,
    /// Events in the store.
    pub archive: EventArchive,
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

impl Engine {
    /// How large the messages of a read may be, one of `together`.
    pub fn batch_sizer(&self, together: usize) -> Arc<BatchSizer> {
        BatchSizer::new(&self.readers, self.config.read_bytes, self.config.message_bytes, together)
    }

    /// Does `work` in the background until the server stops.
    pub fn while_serving(&self, work: impl Future<Output = ()> + Send + 'static) {
        let stopping = self.stopping.clone();
        self.tasks.spawn(async move { stopping.run_until_cancelled(work).await });
    }

    /// Where the segments of a topic lie.
    pub fn wal_folder(&self, topic: TopicId) -> PathBuf {
        self.log.join(topic.to_string())
    }

    /// Refuses if another daemon owns the store.
    pub fn check_owner(&self) -> Result<()> {
        Ok(self.store.fence().check()?)
    }

    /// Why work is cut short: the server ends, or lost its store.
    pub fn ended(&self) -> Error {
        self.check_owner().err().unwrap_or(Error::ShuttingDown)
    }
}

/// Creations of sequences. Names are unique, so those of one name take turns.
#[derive(Debug, Default)]
pub struct Creations {
    pub names: Locks<SequenceName>,
    /// Those that were begun and not answered with success. A start settles what an earlier process left.
    pub begun: Mutex<HashMap<SequenceId, SequenceName>>,
}
