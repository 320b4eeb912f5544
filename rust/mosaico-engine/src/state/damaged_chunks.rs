//! Chunks whose damage a read or the scrub found. Each one is reported once per process: the worker writes the
//! log line, the event and the notification.

use std::collections::BTreeMap;

use mosaico_storage::damaged_chunk::DamagedChunk;
use mosaico_storage::format::chunk_id::ChunkId;
use mosaico_types::id::TopicId;
use parking_lot::Mutex;

use super::queue::{Job, JobSender};

/// The damaged chunks that this process knows.
#[derive(Debug)]
pub struct DamagedChunks {
    known: Mutex<BTreeMap<(TopicId, ChunkId), DamagedChunk>>,
    jobs: JobSender,
}

impl DamagedChunks {
    pub fn new(jobs: JobSender) -> Self {
        Self { known: Mutex::default(), jobs }
    }

    /// Adds a chunk; enqueues its report if it is new.
    pub fn add(&self, chunk: ChunkId, found: &DamagedChunk) {
        let known = self.known.lock().insert((found.topic, chunk), found.clone());
        if known.is_none() {
            self.jobs.enqueue(Job::ReportDamage(found.sequence, found.topic, chunk));
        }
    }

    pub fn get(&self, topic: TopicId, chunk: ChunkId) -> Option<DamagedChunk> {
        self.known.lock().get(&(topic, chunk)).cloned()
    }

    /// Removes a chunk that is intact again, or does not exist any more; false if it was not known.
    pub fn remove(&self, topic: TopicId, chunk: ChunkId) -> bool {
        self.known.lock().remove(&(topic, chunk)).is_some()
    }

    /// The number of known chunks.
    pub fn count(&self) -> usize {
        self.known.lock().len()
    }
}
