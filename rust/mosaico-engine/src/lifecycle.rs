//! Creation, finalization, removal and notifications: the store first, the catalog second.

use std::time::Duration;

use mosaico_catalog::{Change, NotificationRow, TopicRow};
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::paths::SequencePaths;
use mosaico_storage::format::records::{
    DeletedRecord, EndedRecord, FinalRecord, NotificationRecord, SequenceRecord, TopicRecord,
};
use mosaico_types::id::{NotificationId, SequenceId, TopicId};
use mosaico_types::{OntologyTag, SequenceName, SerializationFormat, TopicLocator, now_ns};
use mosaico_wire::event::OnError;
use serde_json::{Value, json};

use crate::reconcile::{self, sequence_lock};
use crate::state::engine::Engine;
use crate::state::guards::{check_key, check_open, check_unlocked};
use crate::state::metadata_limits::check_metadata;
use crate::state::queue::Job;

/// A client's description of a new topic.
#[derive(Debug)]
pub struct NewTopic {
    pub locator: TopicLocator,
    pub ontology_tag: OntologyTag,
    pub serialization_format: SerializationFormat,
    pub user_metadata: Value,
}

/// The subject of a notification.
#[derive(Debug, Clone)]
pub enum Subject {
    Sequence(SequenceName),
    Topic(TopicLocator),
}

fn new_key() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// Creates a sequence and returns its key.
pub async fn create_sequence(
    core: &Engine,
    name: SequenceName,
    user_metadata: Value,
    on_error: OnError,
) -> Result<String> {
    check_metadata(name.as_str(), &user_metadata)?;
    let _one = sequence_lock::lock_name(core, &name).await?;
    sequence_lock::reconcile_name(core, &name).await?;
    if core.catalog.find_sequence(&name).await?.is_some() {
        return Err(Error::SequenceExists(name.to_string()));
    }
    let record = SequenceRecord {
        id: SequenceId::generate(),
        name,
        key: new_key(),
        user_metadata,
        created_ns: now_ns(),
        on_error,
        owner_epoch: core.store.fence().epoch(),
        moved_from: None,
    };
    core.creations.begun.lock().insert(record.id, record.name.clone());
    let _lock = sequence_lock::lock(core, record.id).await?;
    let change = core.catalog.begin(record.id, None).await?;
    core.store.create_json(&SequencePaths(record.id).created(), &record).await?;
    core.catalog.sequence_created(change, &record).await?;
    core.creations.begun.lock().remove(&record.id);
    core.writers.record_activity(record.id);
    Ok(record.key)
}

/// Makes a sequence permanently read-only.
pub async fn finalize_sequence(core: &Engine, name: &SequenceName, key: &str) -> Result<()> {
    let (_lock, sequence) = sequence_lock::locked(core, name).await?;
    let id = sequence.id;
    check_key(&sequence.key, key, name.as_str())?;
    check_open(&sequence)?;
    core.writers.record_activity(id);
    let mut topics = core.catalog.topics(id).await?;
    core.coordinator.commit_uploaded(core, &mut topics).await?;
    if let Some(open) = topics.iter().find(|topic| topic.committed_ns.is_none()) {
        return Err(Error::TopicUnlocked(open.locator.to_string()));
    }
    let record =
        FinalRecord { finalized_ns: now_ns(), topics: topics.iter().map(|topic| topic.id).collect() };
    let path = SequencePaths(id).finalized();
    let change = core.catalog.begin(id, Some(path.as_ref())).await?;
    core.write_once(&change, &path, &record).await?;
    core.catalog.sequence_finalized(change, id, record.finalized_ns).await
}

/// Removes an unlocked sequence with all its content; interrupts open puts. Checks `key` if given.
pub async fn remove_sequence(core: &Engine, name: &SequenceName, key: Option<&str>) -> Result<()> {
    let (_lock, sequence) = sequence_lock::locked(core, name).await?;
    let id = sequence.id;
    if let Some(key) = key {
        check_key(&sequence.key, key, name.as_str())?;
    }
    check_unlocked(&sequence)?;
    remove_locked(core, id, json!({})).await
}

/// Removes a sequence; the caller holds its lock. Once the sequence is marked as deleted, no call sees it any
/// more, and the background deletes files that cannot be deleted now. `detail` contains the reason.
pub async fn remove_locked(core: &Engine, id: SequenceId, detail: Value) -> Result<()> {
    let path = SequencePaths(id).deleted();
    let change = core.catalog.begin(id, Some(path.as_ref())).await?;
    core.write_once(&change, &path, &deleted()).await?;
    core.catalog.sequence_deleting(change, id, detail).await?;
    if let Err(error) = reconcile::finish_sequence_removal(core, id).await {
        tracing::warn!(error = %error.detail(), "files of a removal are left to the background");
        core.queue.enqueue(Job::RemoveSequence(id));
    }
    Ok(())
}

/// Creates a topic and returns its key.
pub async fn create_topic(core: &Engine, topic: NewTopic, sequence_key: &str) -> Result<String> {
    check_metadata(&topic.locator.to_string(), &topic.user_metadata)?;
    let (_lock, sequence) = sequence_lock::locked(core, &topic.locator.sequence).await?;
    let id = sequence.id;
    check_key(&sequence.key, sequence_key, sequence.name.as_str())?;
    check_open(&sequence)?;
    core.writers.record_activity(id);
    match core.catalog.find_topic(&topic.locator).await? {
        None => {}
        Some(row) if row.deleting => reconcile::finish_topic_removal(core, id, row.id).await?,
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
    let path = SequencePaths(id).topic(record.id).created();
    let change = core.catalog.begin(id, Some(path.as_ref())).await?;
    core.write_once(&change, &path, &record).await?;
    core.catalog.topic_created(change, &record).await?;
    Ok(record.key)
}

/// Removes an unlocked topic; interrupts an open put.
pub async fn remove_topic(core: &Engine, locator: &TopicLocator) -> Result<()> {
    let (_lock, sequence) = sequence_lock::locked(core, &locator.sequence).await?;
    let id = sequence.id;
    check_unlocked(&sequence)?;
    let topic = core.catalog.topic(locator).await?;
    if topic.committed_ns.is_some() {
        return Err(Error::TopicLocked(locator.to_string()));
    }
    let path = SequencePaths(id).topic(topic.id).deleted();
    let change = core.catalog.begin(id, Some(path.as_ref())).await?;
    core.write_once(&change, &path, &deleted()).await?;
    core.catalog.topic_deleting(change, id, topic.id).await?;
    if let Err(error) = reconcile::finish_topic_removal(core, id, topic.id).await {
        tracing::warn!(error = %error.detail(), "files of a removal are left to the background");
        core.queue.enqueue(Job::RemoveTopic(id, topic.id));
    }
    Ok(())
}

/// Finds the subject of a notification.
async fn find_subject(core: &Engine, subject: &Subject) -> Result<(SequenceId, Option<TopicRow>)> {
    match subject {
        Subject::Sequence(name) => Ok((core.catalog.sequence(name).await?.id, None)),
        Subject::Topic(locator) => {
            let topic = core.catalog.topic(locator).await?;
            Ok((topic.sequence_id, Some(topic)))
        }
    }
}

/// Adds a notification exactly once: a caller that does not know whether an attempt succeeded retries with
/// the same id.
pub async fn notify(
    core: &Engine,
    subject: &Subject,
    id: NotificationId,
    notify_type: String,
    msg: String,
) -> Result<()> {
    let (sequence, _) = find_subject(core, subject).await?;
    let _lock = sequence_lock::lock(core, sequence).await?;
    let (sequence, topic) = find_subject(core, subject).await?;
    let topic = topic.map(|topic| topic.id);
    if core.catalog.notifications(sequence, topic).await?.iter().any(|row| row.id == id) {
        return Ok(());
    }
    let record = NotificationRecord { id, topic, notify_type, msg, created_ns: now_ns() };
    let change = core.catalog.begin(sequence, None).await?;
    core.store.create_json(&SequencePaths(sequence).notification(record.id), &record).await?;
    core.catalog.notified(change, sequence, &record).await
}

/// Lists notifications, oldest first.
pub async fn notifications(core: &Engine, subject: &Subject) -> Result<Vec<NotificationRow>> {
    let (sequence, topic) = find_subject(core, subject).await?;
    core.catalog.notifications(sequence, topic.map(|topic| topic.id)).await
}

/// Removes notifications.
pub async fn purge_notifications(core: &Engine, subject: &Subject) -> Result<()> {
    let (sequence, _) = find_subject(core, subject).await?;
    let _lock = sequence_lock::lock(core, sequence).await?;
    let (sequence, topic) = find_subject(core, subject).await?;
    let topic = topic.map(|topic| topic.id);
    let change = core.catalog.begin(sequence, None).await?;
    for row in core.catalog.notifications(sequence, topic).await? {
        core.store.remove(&SequencePaths(sequence).notification(row.id)).await?;
    }
    core.catalog.notifications_purged(change, sequence, topic).await
}

/// Records a writer's heartbeat; returns after how much inactivity the writer is considered dead.
pub async fn keep_alive(core: &Engine, name: &SequenceName, key: &str) -> Result<Option<Duration>> {
    let sequence = core.catalog.sequence(name).await?;
    check_key(&sequence.key, key, name.as_str())?;
    check_open(&sequence)?;
    core.writers.record_activity(sequence.id);
    Ok(core.config.writer_timeout)
}

/// Ends a sequence without finalizing it, at the writer's request.
pub async fn end_sequence(core: &Engine, name: &SequenceName, key: &str) -> Result<()> {
    let (_lock, sequence) = sequence_lock::locked(core, name).await?;
    check_key(&sequence.key, key, name.as_str())?;
    if sequence.ended_ns.is_some() {
        // The answer to an earlier call was lost, and the writer retries.
        return Ok(());
    }
    check_open(&sequence)?;
    let change = core.catalog.begin(sequence.id, Some(SequencePaths(sequence.id).ended().as_ref())).await?;
    let ended_ns = put_end(core, &change, sequence.id).await?;
    core.catalog.sequence_ended(change, sequence.id, ended_ns, None).await
}

/// Writes the record of a sequence that ended without being finalized; returns the time in it.
pub async fn put_end(core: &Engine, change: &Change, id: SequenceId) -> Result<i64> {
    let record = EndedRecord { ended_ns: now_ns() };
    core.write_once(change, &SequencePaths(id).ended(), &record).await?;
    Ok(record.ended_ns)
}

fn deleted() -> DeletedRecord {
    DeletedRecord { deleted_ns: now_ns() }
}
