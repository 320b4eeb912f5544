//! Creation, finalization, removal and notifications: the store first, the catalogue second.

use mosaico_types::{OntologyTag, SequenceName, SerializationFormat, TopicLocator, now_ns};
use mosaico_wire::event::OnError;
use serde_json::{Value, json};

use crate::catalog::{NotificationRow, SequenceRow, TopicRow};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::id::{NotificationId, SequenceId, TopicId};
use crate::ingest::commit::commit;
use crate::ingest::parts::check_complete;
use crate::ingest::put::check_key;
use crate::store::layout::SequencePaths;
use crate::store::records::{DeletedRecord, FinalRecord, NotificationRecord, SequenceRecord, TopicRecord};
use crate::tasks::Job;

/// What a client says about a new topic.
#[derive(Debug)]
pub(crate) struct NewTopic {
    pub locator: TopicLocator,
    pub ontology_tag: OntologyTag,
    pub serialization_format: SerializationFormat,
    pub user_metadata: Value,
}

/// What a notification is about.
#[derive(Debug, Clone)]
pub(crate) enum Subject {
    Sequence(SequenceName),
    Topic(TopicLocator),
}

fn new_key() -> String {
    uuid::Uuid::new_v4().to_string()
}

fn check_unlocked(sequence: &SequenceRow) -> Result<()> {
    match sequence.finalized_ns {
        None => Ok(()),
        Some(_) => Err(Error::SequenceLocked(sequence.name.to_string())),
    }
}

/// Whether its writer may still add to it.
pub(crate) fn check_open(sequence: &SequenceRow) -> Result<()> {
    check_unlocked(sequence)?;
    match sequence.ended_ns {
        None => Ok(()),
        Some(_) => Err(Error::SequenceEnded(sequence.name.to_string())),
    }
}

impl Core {
    /// Creates a sequence and returns its key.
    pub(crate) async fn create_sequence(
        &self,
        name: SequenceName,
        user_metadata: Value,
        on_error: OnError,
    ) -> Result<String> {
        let _one = self.lock_name(&name).await?;
        self.settle_name(&name).await?;
        if self.catalog.find_sequence(&name).await?.is_some() {
            return Err(Error::SequenceExists(name.to_string()));
        }
        let record = SequenceRecord {
            id: SequenceId::generate(),
            name,
            key: new_key(),
            user_metadata,
            created_ns: now_ns(),
            on_error,
            owner_epoch: self.store.fence().epoch(),
            moved_from: None,
        };
        self.creations.begun.lock().insert(record.id, record.name.clone());
        let _lock = self.lock(record.id).await?;
        let change = self.catalog.begin(record.id).await?;
        self.store.create_json(&SequencePaths(record.id).created(), &record).await?;
        self.catalog.sequence_created(change, &record).await?;
        self.creations.begun.lock().remove(&record.id);
        self.writers.touch(record.id);
        Ok(record.key)
    }

    /// Locks a sequence for good.
    pub(crate) async fn finalize_sequence(&self, name: &SequenceName, key: &str) -> Result<()> {
        let (_lock, sequence) = self.locked(name).await?;
        let id = sequence.id;
        check_key(&sequence.key, key, name.as_str())?;
        check_open(&sequence)?;
        self.writers.touch(id);
        let mut topics = self.catalog.topics(id).await?;
        if self.cluster.is_some() {
            for topic in topics.iter_mut().filter(|topic| topic.committed_ns.is_none()) {
                self.commit_uploaded(topic).await?;
            }
        }
        if let Some(open) = topics.iter().find(|topic| topic.committed_ns.is_none()) {
            return Err(Error::TopicUnlocked(open.locator.to_string()));
        }
        let record =
            FinalRecord { finalized_ns: now_ns(), topics: topics.iter().map(|topic| topic.id).collect() };
        let change = self.catalog.begin(id).await?;
        self.store.create_json(&SequencePaths(id).finalized(), &record).await?;
        self.catalog.sequence_finalized(change, id, record.finalized_ns).await
    }

    /// Commits a topic whose upload has ended while rows of it were in the logs of other daemons.
    async fn commit_uploaded(&self, topic: &mut TopicRow) -> Result<()> {
        let parts = self.catalog.parts(topic.id).await?;
        let ended = parts.last().is_some_and(|last| last.row_end.is_some());
        let Some(schema) = topic.schema.clone().filter(|_| ended) else { return Ok(()) };
        check_complete(self, topic).await?;
        topic.committed_ns = Some(commit(self, topic, schema).await?);
        Ok(())
    }

    /// Removes an unlocked sequence with everything in it; open puts are cut short. `key` is checked if given.
    pub(crate) async fn remove_sequence(&self, name: &SequenceName, key: Option<&str>) -> Result<()> {
        let (_lock, sequence) = self.locked(name).await?;
        let id = sequence.id;
        if let Some(key) = key {
            check_key(&sequence.key, key, name.as_str())?;
        }
        check_unlocked(&sequence)?;
        self.remove_locked(id, json!({})).await
    }

    /// Removes a sequence whose lock is held. Once it is marked it is gone for everyone, and files that cannot be
    /// removed now are left to the background. `detail` says why.
    pub(crate) async fn remove_locked(&self, id: SequenceId, detail: Value) -> Result<()> {
        let change = self.catalog.begin(id).await?;
        self.store.put_json(&SequencePaths(id).deleted(), &deleted()).await?;
        self.catalog.sequence_deleting(change, id, detail).await?;
        if self.finish_sequence_removal(id).await.is_err() {
            self.queue.ask(Job::RemoveSequence(id));
        }
        Ok(())
    }

    /// Creates a topic and returns its key.
    pub(crate) async fn create_topic(&self, topic: NewTopic, sequence_key: &str) -> Result<String> {
        let (_lock, sequence) = self.locked(&topic.locator.sequence).await?;
        let id = sequence.id;
        check_key(&sequence.key, sequence_key, sequence.name.as_str())?;
        check_open(&sequence)?;
        self.writers.touch(id);
        match self.catalog.find_topic(&topic.locator).await? {
            None => {}
            Some(row) if row.deleting => self.finish_topic_removal(id, row.id).await?,
            Some(_) => return Err(Error::TopicExists(topic.locator.to_string())),
        }
        let record = TopicRecord {
            id: TopicId::generate(),
            sequence: id,
            path: topic.locator.topic,
            ontology_tag: topic.ontology_tag.to_string(),
            serialization_format: topic.serialization_format,
            user_metadata: topic.user_metadata,
            key: new_key(),
            created_ns: now_ns(),
        };
        let change = self.catalog.begin(id).await?;
        self.store.create_json(&SequencePaths(id).topic(record.id).created(), &record).await?;
        self.catalog.topic_created(change, &record).await?;
        Ok(record.key)
    }

    /// Removes an unlocked topic; an open put is cut short.
    pub(crate) async fn remove_topic(&self, locator: &TopicLocator) -> Result<()> {
        let (_lock, sequence) = self.locked(&locator.sequence).await?;
        let id = sequence.id;
        check_unlocked(&sequence)?;
        let topic = self.catalog.topic(locator).await?;
        if topic.committed_ns.is_some() {
            return Err(Error::TopicLocked(locator.to_string()));
        }
        let change = self.catalog.begin(id).await?;
        self.store.put_json(&SequencePaths(id).topic(topic.id).deleted(), &deleted()).await?;
        self.catalog.topic_deleting(change, id, topic.id).await?;
        if self.finish_topic_removal(id, topic.id).await.is_err() {
            self.queue.ask(Job::RemoveTopic(id, topic.id));
        }
        Ok(())
    }

    /// Finds what a notification is about.
    async fn subject(&self, subject: &Subject) -> Result<(SequenceId, Option<TopicRow>)> {
        match subject {
            Subject::Sequence(name) => Ok((self.catalog.sequence(name).await?.id, None)),
            Subject::Topic(locator) => {
                let topic = self.catalog.topic(locator).await?;
                Ok((topic.sequence_id, Some(topic)))
            }
        }
    }

    /// Adds a notification, once: who is not sure whether an attempt succeeded tries again with the same id.
    pub(crate) async fn notify(
        &self,
        subject: &Subject,
        id: NotificationId,
        notify_type: String,
        msg: String,
    ) -> Result<()> {
        let (sequence, _) = self.subject(subject).await?;
        let _lock = self.lock(sequence).await?;
        let (sequence, topic) = self.subject(subject).await?;
        let topic = topic.map(|topic| topic.id);
        if self.catalog.notifications(sequence, topic).await?.iter().any(|row| row.id == id) {
            return Ok(());
        }
        let record = NotificationRecord { id, topic, notify_type, msg, created_ns: now_ns() };
        let change = self.catalog.begin(sequence).await?;
        self.store.create_json(&SequencePaths(sequence).notification(record.id), &record).await?;
        self.catalog.notified(change, sequence, &record).await
    }

    /// Lists notifications, oldest first.
    pub(crate) async fn notifications(&self, subject: &Subject) -> Result<Vec<NotificationRow>> {
        let (sequence, topic) = self.subject(subject).await?;
        self.catalog.notifications(sequence, topic.map(|topic| topic.id)).await
    }

    /// Removes notifications.
    pub(crate) async fn purge_notifications(&self, subject: &Subject) -> Result<()> {
        let (sequence, _) = self.subject(subject).await?;
        let _lock = self.lock(sequence).await?;
        let (sequence, topic) = self.subject(subject).await?;
        let topic = topic.map(|topic| topic.id);
        let change = self.catalog.begin(sequence).await?;
        for row in self.catalog.notifications(sequence, topic).await? {
            self.store.remove(&SequencePaths(sequence).notification(row.id)).await?;
        }
        self.catalog.notifications_purged(change, sequence, topic).await
    }
}

fn deleted() -> DeletedRecord {
    DeletedRecord { deleted_ns: now_ns() }
}
