//! State that all calls of one server share.

use std::collections::HashMap;
use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mosaico_catalog::{Catalog, Change, ChunkRow, EpochRow, LockGuard, SequenceRow, TopicRow};
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::chunk_id::ChunkId;
use mosaico_storage::format::unreferenced::observations::Observations;
use mosaico_storage::keyed_mutex::Locks;
use mosaico_storage::objects::Store;
use mosaico_storage::wal::open_files::OpenFiles;
use mosaico_types::SequenceName;
use mosaico_types::id::{SequenceId, TopicId};
use mosaico_wire::command::PutCommand;
use mosaico_wire::metadata::RemoteRows;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::active_topic::{ActiveTopic, Segment, SegmentView};
use super::active_topics::ActiveTopics;
use super::config::Config;
use super::damaged_chunks::DamagedChunks;
use super::event_archive::EventArchive;
use super::footer_cache::FooterCache;
use super::layers::Layers;
use super::lease::LeaseId;
use super::membership::Cluster;
use super::message_size::BatchSizer;
use super::metrics::Metrics;
use super::queue::Queue;
use super::read_memory::ReadMemory;
use super::writer_activity::Writers;

/// The engine of a server.
#[derive(Debug)]
pub struct Engine {
    pub config: Config,
    pub metrics: Arc<Metrics>,
    pub store: Store,
    pub catalog: Catalog,
    /// What depends on whether other daemons serve the same store.
    pub coordinator: Box<dyn Coordinator>,
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
    /// What earlier passes of garbage collection found.
    pub unreferenced: Mutex<Observations>,
    /// Permits of the chunker.
    pub chunk_jobs: Semaphore,
    /// Permits of chunk uploads.
    pub upload_jobs: Semaphore,
    /// Permits of queries, one per chunk that is searched.
    pub scans: Semaphore,
    /// Permits of the ingest budget, one per byte that waits for the disk.
    pub ingest_budget: Arc<Semaphore>,
    /// Memory for the messages of reads.
    pub read_memory: ReadMemory,
    /// Segments that are held open between two writes.
    pub open_segments: Arc<OpenFiles>,
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

/// All that differs between a daemon that has its store alone and one in a cluster. The two implementations are
/// in `coordinator`; the trait is here because the engine has one, and its methods take the engine.
#[async_trait]
pub trait Coordinator: Debug + Send + Sync {
    /// Whether other daemons may serve the same store.
    fn is_shared(&self) -> bool;

    /// This daemon as a member of its cluster.
    fn membership(&self) -> Option<&Cluster>;

    /// Joins the cluster, once the engine has recovered.
    async fn join(&self, core: &Engine) -> Result<()>;

    /// Leaves the cluster, as the last step of a shutdown.
    async fn leave(&self);

    /// Whether this daemon is the leader, which runs singleton work.
    async fn is_leader(&self) -> Result<bool>;

    /// Waits until no other daemon creates a sequence of that name. See `reconcile::sequence_lock` for the lock
    /// order.
    async fn lock_name(&self, name: &SequenceName) -> Result<Option<LockGuard>>;

    /// Waits until no other daemon changes the sequence.
    async fn lock_sequence(&self, id: SequenceId) -> Result<Option<LockGuard>>;

    /// The intent of a sequence; the caller holds its lock.
    async fn intent(&self, core: &Engine, id: SequenceId) -> Result<Intent>;

    /// Finishes what an earlier process began, before the engine reads the WAL and serves.
    async fn reconcile(&self, core: &Engine) -> Result<()>;

    /// Passes on the activity of this daemon's writers. Returns whether this daemon decides which writers have
    /// expired.
    async fn share_activity(&self, core: &Engine) -> Result<bool>;

    /// How long the writer of a sequence has been inactive.
    async fn writer_silence(&self, core: &Engine, id: SequenceId) -> Result<Duration>;

    /// Collects the rows of a sequence whose writer has expired; the caller holds its lock.
    async fn adopt_topics(&self, core: &Engine, sequence: &SequenceRow) -> Result<Adopted>;

    /// Acquires the right to append to a topic; the caller holds the lock of its sequence.
    async fn enter_topic(
        &self,
        core: &Engine,
        topic: &TopicRow,
        command: &PutCommand,
    ) -> Result<Option<EpochRow>>;

    /// The lease under which a put begins that replicates its WAL; the caller holds the lock of the sequence. See
    /// `state::lease`.
    fn lease(&self) -> Option<LeaseId>;

    /// Fails if this daemon does not reach the other ones, so that a writer resumes at one of them.
    fn check_lease(&self) -> Result<()>;

    /// Returns once rows may be acknowledged that a put under this lease wrote to the store.
    async fn confirm_lease(&self, lease: &LeaseId) -> Result<()>;

    /// Called before a segment is encoded: truncates rows that the writer sent again to another daemon.
    async fn before_chunk(&self, core: &Engine, topic: &Arc<ActiveTopic>) -> Result<()>;

    /// Called before a chunk is recorded, under the lock of its sequence if the store is shared.
    async fn before_chunk_commit(
        &self,
        core: &Engine,
        topic: &ActiveTopic,
        id: ChunkId,
        segment: Segment,
    ) -> Result<ChunkCommit>;

    /// Commits the topics whose upload ended while other daemons still had rows of them; the caller holds the
    /// lock of the sequence.
    async fn commit_uploaded(&self, core: &Engine, topics: &mut [TopicRow]) -> Result<()>;

    /// Limits segments to the rows that count: the writer sent later ones again to another daemon.
    async fn limit_segments(
        &self,
        core: &Engine,
        topic: &TopicRow,
        views: &mut Vec<SegmentView>,
    ) -> Result<()>;

    /// The rows of a topic that only another daemon has, if the store has them too, and the topic's chunks.
    async fn replicated(&self, core: &Engine, topic: &TopicRow) -> Result<Option<Replicated>>;

    /// Rows of a topic that cannot be read here, and the daemons that have them.
    async fn remote_rows(&self, core: &Engine, topic: &TopicRow) -> Result<Vec<RemoteRows>>;
}

/// Rows of another daemon's replicated WAL.
#[derive(Debug)]
pub struct Replicated {
    /// Copies on this disk.
    pub segments: Vec<SegmentView>,
    /// The chunks of the topic, which have none of these rows.
    pub chunks: Vec<ChunkRow>,
}

/// A recorded change of a sequence that may be unfinished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    None,
    /// This daemon reconciles it.
    Abandoned,
    /// Another live daemon reconciles it.
    Theirs,
}

/// The rows of a sequence without a writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adopted {
    /// All of them are here; `uploaded`: a writer ended the upload of a topic before it disappeared.
    All { uploaded: bool },
    /// Another daemon has rows, and stores them once it runs.
    Waiting,
}

/// Whether a chunk may be recorded.
#[derive(Debug)]
#[must_use]
pub enum ChunkCommit {
    /// Yes; the intent ends when the chunk is in the catalog.
    Allowed(Option<Change>),
    /// The topic is deleted.
    Deleted,
    /// The segment has rows that belong to another daemon: truncate it and encode it again.
    Superseded,
}
