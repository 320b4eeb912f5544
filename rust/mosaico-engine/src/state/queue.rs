//! The queue of background work: data only. The worker in `background` runs the jobs.
//!
//! A job only names the work. The worker determines from the WAL, the store and the catalog whether there is
//! still something to do; a start finds open work there, so the queue itself is not persisted.

use std::collections::HashMap;
use std::sync::Arc;

use futures::FutureExt;
use mosaico_storage::format::chunk_id::ChunkId;
use mosaico_types::id::{SequenceId, TopicId};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

/// A background job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Job {
    /// Write a closed WAL segment as a chunk.
    Chunk(TopicId, ChunkId),
    /// Reconcile changes that the catalog missed.
    Reconcile(SequenceId),
    /// Delete the files of a deleted sequence.
    RemoveSequence(SequenceId),
    /// Delete the files of a deleted topic.
    RemoveTopic(SequenceId, TopicId),
    /// End a sequence whose writer has expired.
    ExpireWriter(SequenceId),
    /// Delete objects of a replicated WAL whose rows are in chunks.
    TrimWal(SequenceId, TopicId),
    /// Report a damaged chunk.
    ReportDamage(SequenceId, TopicId, ChunkId),
    /// Verify stored chunks for a while.
    Scrub,
    /// Delete unreferenced objects.
    Orphans,
    /// Write events to the store.
    StoreEvents,
}

impl Job {
    /// All names that [`Self::name`] returns.
    pub const NAMES: [&str; 9] = [
        "chunk",
        "reconcile",
        "remove",
        "expire_writer",
        "trim_wal",
        "report_damage",
        "scrub",
        "orphans",
        "store_events",
    ];

    /// The name of the job in events.
    pub fn name(self) -> &'static str {
        match self {
            Self::Chunk(..) => "chunk",
            Self::Reconcile(_) => "reconcile",
            Self::RemoveSequence(_) | Self::RemoveTopic(..) => "remove",
            Self::ExpireWriter(_) => "expire_writer",
            Self::TrimWal(..) => "trim_wal",
            Self::ReportDamage(..) => "report_damage",
            Self::Scrub => "scrub",
            Self::Orphans => "orphans",
            Self::StoreEvents => "store_events",
        }
    }
}

/// Enqueues jobs.
#[derive(Debug, Clone)]
pub struct JobSender(mpsc::UnboundedSender<Job>);

impl JobSender {
    /// Enqueues a job to run soon.
    pub fn enqueue(&self, job: Job) {
        if self.0.send(job).is_err() {
            tracing::debug!(?job, "the server ends; the next start finds this work");
        }
    }
}

/// The enqueued jobs.
#[derive(Debug)]
pub struct Queue {
    asked: JobSender,
    /// The worker takes it, once.
    pub inbox: Mutex<Option<mpsc::UnboundedReceiver<Job>>>,
    /// At most one run of each job is active; enqueuing it again makes it run again, or retry immediately.
    pub running: Mutex<HashMap<Job, Arc<Notify>>>,
}

impl Default for Queue {
    fn default() -> Self {
        let (asked, inbox) = mpsc::unbounded_channel();
        Self { asked: JobSender(asked), inbox: Mutex::new(Some(inbox)), running: Mutex::default() }
    }
}

impl Queue {
    /// Enqueues a job to run soon.
    pub fn enqueue(&self, job: Job) {
        self.asked.enqueue(job);
    }

    /// Enqueues jobs without access to the whole queue.
    pub fn sender(&self) -> JobSender {
        self.asked.clone()
    }

    /// Jobs that run or wait for their next attempt.
    pub fn open(&self) -> Vec<Job> {
        self.running.lock().keys().copied().collect()
    }

    /// Marks a job as done, unless it was enqueued again.
    pub fn done(&self, job: Job, again: &Notify) -> bool {
        let mut running = self.running.lock();
        let done = again.notified().now_or_never().is_none();
        if done {
            running.remove(&job);
        }
        done
    }
}
