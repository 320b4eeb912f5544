//! Background work has no caller: events report its failures, and notifications do if a sequence is
//! concerned.

use mosaico_storage::error::{Error, Result};
use mosaico_types::id::{NotificationId, SequenceId, TopicId};
use serde_json::json;

use crate::lifecycle::{self, Subject};
use crate::state::engine::Engine;
use crate::state::queue::Job;

/// Reports a failure under this id; false if reporting it failed.
pub(super) async fn tell(core: &Engine, job: Job, id: NotificationId, error: &Error) -> bool {
    match try_to_tell(core, job, id, error).await {
        Ok(()) => true,
        Err(cause) => {
            tracing::warn!(?job, cause = %cause.detail(), "a failure of background work cannot be reported yet");
            false
        }
    }
}

async fn try_to_tell(core: &Engine, job: Job, id: NotificationId, error: &Error) -> Result<()> {
    let (sequence, topic) = subject(core, job).await?;
    if let Job::Chunk(..) | Job::ExpireWriter(_) = job
        && let Some(subject) = notified(core, sequence, topic).await?
    {
        let text = format!("background work `{}` failed and is tried again: {error}", job.name());
        match lifecycle::notify(core, &subject, id, mosaico_wire::action::NOTIFY_ERROR.to_owned(), text).await
        {
            // It was deleted meanwhile.
            Err(Error::SequenceNotFound(_) | Error::TopicNotFound(_)) => {}
            outcome => outcome?,
        }
    }
    let detail = json!({"task": job.name(), "message": error.to_string()});
    core.catalog.tell_failure(sequence, topic, &detail).await
}

async fn subject(core: &Engine, job: Job) -> Result<(Option<SequenceId>, Option<TopicId>)> {
    let (sequence, topic) = match job {
        Job::Chunk(topic, _) => {
            let row = core.catalog.topic_by_id(topic).await?;
            (row.map(|row| row.sequence_id), Some(topic))
        }
        Job::RemoveTopic(sequence, topic)
        | Job::TrimWal(sequence, topic)
        | Job::ReportDamage(sequence, topic, _) => (Some(sequence), Some(topic)),
        Job::Reconcile(sequence) | Job::RemoveSequence(sequence) | Job::ExpireWriter(sequence) => {
            (Some(sequence), None)
        }
        Job::Scrub | Job::Orphans | Job::StoreEvents => (None, None),
    };
    // A sequence that the catalog does not know has no name to report.
    let known = match sequence {
        Some(id) => core.catalog.sequence_by_id(id).await?.is_some(),
        None => false,
    };
    Ok(if known { (sequence, topic) } else { (None, None) })
}

async fn notified(
    core: &Engine,
    sequence: Option<SequenceId>,
    topic: Option<TopicId>,
) -> Result<Option<Subject>> {
    if let Some(topic) = topic {
        return Ok(core.catalog.topic_by_id(topic).await?.map(|row| Subject::Topic(row.locator)));
    }
    let Some(sequence) = sequence else { return Ok(None) };
    Ok(core.catalog.sequence_by_id(sequence).await?.map(|row| Subject::Sequence(row.name)))
}
