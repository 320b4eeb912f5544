//! All topics with an open put, or with rows that are not yet in chunks, and the right to append to them.

use std::collections::HashMap;
use std::sync::Arc;

use mosaico_catalog::TopicRow;
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::damage::lost_rows;
use mosaico_types::ErrorCode;
use mosaico_types::id::{SequenceId, TopicId};
use mosaico_wire::command::PutAck;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::active_topic::ActiveTopic;

/// The exclusive right to append to a topic.
#[derive(Debug)]
pub struct WriterGuard {
    topics: Arc<ActiveTopics>,
    topic: Arc<ActiveTopic>,
    replaced: CancellationToken,
    created: bool,
}

impl WriterGuard {
    /// The topic.
    pub fn topic(&self) -> &Arc<ActiveTopic> {
        &self.topic
    }

    /// Cancelled when another put replaces this one.
    pub fn replaced(&self) -> CancellationToken {
        self.replaced.clone()
    }

    /// Sets the durable counts from the catalog if the topic was not active before. The caller read `row`
    /// while it held this guard, so no background job can have moved rows since.
    pub fn correct_durable(&self, row: &TopicRow) {
        if self.created {
            let durable_rows = row.rows + lost_rows(&row.damage);
            self.topic.set_durable(PutAck { durable_rows, durable_bytes: row.data_bytes });
        }
    }
}

impl Drop for WriterGuard {
    fn drop(&mut self) {
        *self.topic.writer.lock() = None;
        self.topic.changed.notify_waiters();
        self.topics.release(self.topic.id());
    }
}

/// All active topics.
#[derive(Debug, Default)]
pub struct ActiveTopics {
    topics: Mutex<HashMap<TopicId, Arc<ActiveTopic>>>,
    /// Topics whose segments this start could not recover, and why. Puts to them are refused.
    unrecovered: Mutex<HashMap<TopicId, String>>,
}

impl ActiveTopics {
    /// A topic, if it is active.
    pub fn get(&self, topic: TopicId) -> Option<Arc<ActiveTopic>> {
        self.topics.lock().get(&topic).cloned()
    }

    /// All active topics.
    pub fn all(&self) -> Vec<Arc<ActiveTopic>> {
        self.topics.lock().values().cloned().collect()
    }

    /// All active topics of a sequence.
    pub fn of_sequence(&self, sequence: SequenceId) -> Vec<Arc<ActiveTopic>> {
        self.topics.lock().values().filter(|topic| topic.row.sequence_id == sequence).cloned().collect()
    }

    /// First and last times of the rows that are not yet in chunks, per segment.
    pub fn spans(&self) -> Vec<(TopicId, (i64, i64))> {
        let topics: Vec<Arc<ActiveTopic>> = self.topics.lock().values().cloned().collect();
        let times = |topic: &Arc<ActiveTopic>| {
            let id = topic.id();
            topic.segments().into_iter().map(move |one| (id, (one.rows.times.min, one.rows.times.max)))
        };
        topics.iter().flat_map(times).collect()
    }

    /// Bytes of all segments.
    pub fn wal_bytes(&self) -> u64 {
        let topics: Vec<Arc<ActiveTopic>> = self.topics.lock().values().cloned().collect();
        topics.iter().flat_map(|topic| topic.segments()).map(|segment| segment.end).sum()
    }

    /// Adds a topic that recovery found.
    pub fn insert(&self, topic: Arc<ActiveTopic>) {
        self.topics.lock().insert(topic.id(), topic);
    }

    /// Records that the segments of a topic could not be recovered.
    pub(crate) fn set_unrecovered(&self, id: TopicId, error: &Error) {
        self.unrecovered.lock().insert(id, error.to_string());
    }

    /// Refuses to write to a topic that has acknowledged rows in unrecovered segments.
    pub(crate) fn check_recovered(&self, row: &TopicRow) -> Result<()> {
        match self.unrecovered.lock().get(&row.id) {
            None => Ok(()),
            Some(error) => {
                let text = format!(
                    "the write-ahead log of topic `{}` could not be recovered: {error}; remove the cause, restart the \
                     daemon and write again",
                    row.locator
                );
                Err(Error::Refused(ErrorCode::FailedPrecondition, text))
            }
        }
    }

    /// Activates the topic, with the caller as its only writer. `None` if another put is open.
    pub fn open(self: &Arc<Self>, id: TopicId, create: impl FnOnce() -> ActiveTopic) -> Option<WriterGuard> {
        let mut topics = self.topics.lock();
        let mut created = false;
        let topic = topics.entry(id).or_insert_with(|| {
            created = true;
            Arc::new(create())
        });
        let topic = Arc::clone(topic);
        let replaced = CancellationToken::new();
        let mut writer = topic.writer.lock();
        if writer.is_some() {
            return None;
        }
        *writer = Some(replaced.clone());
        drop(writer);
        Some(WriterGuard { topics: Arc::clone(self), topic, replaced, created })
    }

    /// Drops a topic that has neither a writer nor segments.
    pub fn release(&self, id: TopicId) {
        let mut topics = self.topics.lock();
        if topics.get(&id).is_some_and(|topic| topic.is_idle()) {
            topics.remove(&id);
        }
    }

    /// Drops a deleted topic.
    pub fn remove(&self, id: TopicId) {
        self.topics.lock().remove(&id);
    }
}
