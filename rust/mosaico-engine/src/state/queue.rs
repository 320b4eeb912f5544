//! Background work that was asked for: data only. The worker in `background` carries it out.
//!
//! A job only names what is to be done. Whether there is still something to do, the worker reads from the log, the store
//! and the catalog; a start finds open work there, so the queue itself need not be kept.

use std::collections::HashMap;
use std::sync::Arc;

use futures::FutureExt;
use mosaico_storage::format::chunk_id::ChunkId;
use mosaico_types::id::{SequenceId, TopicId};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

/// Something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Job {
    /// Make a chunk of a closed log segment.
    Chunk(TopicId, ChunkId),
    /// Redo changes that the catalog missed.
    Reconcile(SequenceId),
    /// Remove the files of a deleted sequence.
    RemoveSequence(SequenceId),
    /// Remove the files of a deleted topic.
    RemoveTopic(SequenceId, TopicId),
    /// End a sequence whose writer is gone.
    ExpireWriter(SequenceId),
    /// Remove objects of a log in the store whose rows are in chunks.
    TrimWal(SequenceId, TopicId),
    /// Remove objects that no record names.
    Orphans,
    /// Write events to the store.
    StoreEvents,
}

impl Job {
    /// All that [`Self::name`] gives.
    pub const NAMES: [&str; 7] =
        ["chunk", "reconcile", "remove", "expire_writer", "trim_wal", "orphans", "store_events"];

    /// What people read in events.
    pub fn name(self) -> &'static str {
        match self {
            Self::Chunk(..) => "chunk",
            Self::Reconcile(_) => "reconcile",
            Self::RemoveSequence(_) | Self::RemoveTopic(..) => "remove",
            Self::ExpireWriter(_) => "expire_writer",
            Self::TrimWal(..) => "trim_wal",
            Self::Orphans => "orphans",
            Self::StoreEvents => "store_events",
        }
    }
}

/// The jobs that were asked for.
#[derive(Debug)]
pub struct Queue {
    asked: mpsc::UnboundedSender<Job>,
    /// Taken by the worker, once.
    pub inbox: Mutex<Option<mpsc::UnboundedReceiver<Job>>>,
    /// Each job is in work once; who asks again lets it run again, or lets it try at once.
    pub running: Mutex<HashMap<Job, Arc<Notify>>>,
}

impl Default for Queue {
    fn default() -> Self {
        let (asked, inbox) = mpsc::unbounded_channel();
        Self { asked, inbox: Mutex::new(Some(inbox)), running: Mutex::default() }
    }
}

impl Queue {
    /// Asks for a job to be done soon.
    pub fn enqueue(&self, job: Job) {
        if self.asked.send(job).is_err() {
            tracing::debug!(?job, "the server ends; the next start finds this work");
        }
    }

    /// What is in work, or waits for its next attempt.
    pub fn open(&self) -> Vec<Job> {
        self.running.lock().keys().copied().collect()
    }

    /// Notes a job as done, unless it was asked for again.
    pub fn done(&self, job: Job, again: &Notify) -> bool {
        let mut running = self.running.lock();
        let done = again.notified().now_or_never().is_none();
        if done {
            running.remove(&job);
        }
        done
    }
}
