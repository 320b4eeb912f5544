//! State that all calls of one server share.

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
use super::damaged_chunks::DamagedChunks;
use super::event_archive::EventArchive;
use super::footer_cache::FooterCache;
use super::layers::Layers;
use super::membership::Cluster;
use super::message_size::BatchSizer;
use super::metrics::Metrics;
use super::queue::Queue;
use super::writer_activity::Writers;

/// The engine of a server.
#[derive(Debug)]
pub struct Engine {
    pub config: Config,
    pub metrics: Arc<Metrics>,
    pub store: Store,
    pub catalog: Catalog,
    /// Other daemons on the same store, if there may be any.
    pub cluster: Option<Cluster>,
    pub layers: Layers,
    /// Folder of the WAL.
    pub log: PathBuf,
    pub live: Arc<ActiveTopics>,
    pub footers: FooterCache,
    pub damaged: Arc<DamagedChunks>,
    pub creations: Creations,
    /// One per sequence: creation of topics, finalization, commit and removal exclude each other. See
    /// `reconcile::sequence_lock` for the lock order.
    pub locks: Locks<SequenceId>,
    /// Background work.
    pub queue: Queue,
    /// Activity of writers.
    pub writers: Writers,
    /// Events in the store.
    pub archive: EventArchive,
    /// Permits of the chunker.
    pub chunk_jobs: Semaphore,
    /// Permits of chunk uploads.
    pub upload_jobs: Semaphore,
    /// Permits of queries, one per chunk that is searched.
    pub scans: Semaphore,
    /// Permits of the ingest budget, one per byte that waits for the disk.
    pub ingest_budget: Arc<Semaphore>,
    /// Counts the reads in progress.
    pub readers: Arc<()>,
    /// Cancelled at a shutdown request: connections end.
    pub closing: CancellationToken,
    /// Cancelled at a shutdown request, or when another daemon owns the store: no new work begins.
    pub stopping: CancellationToken,
    /// Cancelled to interrupt reads.
    pub halting: CancellationToken,
    /// Work that shutdown waits for.
    pub tasks: TaskTracker,
}

impl Engine {
    /// The message sizes of a read, one of `together` concurrent ones.
    pub fn batch_sizer(&self, together: usize) -> Arc<BatchSizer> {
        BatchSizer::new(&self.readers, self.config.read_bytes, self.config.message_bytes, together)
    }

    /// Runs `work` in the background until the server stops.
    pub fn while_serving(&self, work: impl Future<Output = ()> + Send + 'static) {
        let stopping = self.stopping.clone();
        self.tasks.spawn(async move { stopping.run_until_cancelled(work).await });
    }

    /// The folder of a topic's segments.
    pub fn wal_folder(&self, topic: TopicId) -> PathBuf {
        self.log.join(topic.to_string())
    }

    /// Fails if another daemon owns the store.
    pub fn check_owner(&self) -> Result<()> {
        Ok(self.store.fence().check()?)
    }

    /// The reason for interrupting work: the server stops, or lost its store.
    pub fn ended(&self) -> Error {
        self.check_owner().err().unwrap_or(Error::ShuttingDown)
    }
}

/// Creations of sequences. Names are unique, so creations with the same name run one after the other.
#[derive(Debug, Default)]
pub struct Creations {
    pub names: Locks<SequenceName>,
    /// Creations that began and were not answered with success. A start reconciles those of an earlier
    /// process.
    pub begun: Mutex<HashMap<SequenceId, SequenceName>>,
}
