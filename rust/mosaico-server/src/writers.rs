//! Who is writing: a sequence whose writer says nothing for too long is ended by its policy.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use mosaico_types::{SequenceName, now_ns};
use mosaico_wire::event::OnError;
use parking_lot::Mutex;
use serde_json::json;
use tokio::select;

use crate::catalog::SequenceRow;
use crate::core::Core;
use crate::error::{Error, Result};
use crate::id::{NotificationId, SequenceId};
use crate::ingest::commit::commit;
use crate::ingest::put::check_key;
use crate::lifecycle::check_open;
use crate::store::layout::SequencePaths;
use crate::store::records::{EndedRecord, FORMAT_VERSION, NotificationRecord};

/// When something was last heard of the writer of a sequence. A start counts as hearing of all of them.
#[derive(Debug, Default)]
pub(crate) struct Writers(Mutex<HashMap<SequenceId, Instant>>);

impl Writers {
    /// The writer is there.
    pub(crate) fn touch(&self, sequence: SequenceId) {
        self.0.lock().insert(sequence, Instant::now());
    }

    /// The sequence is not written any more.
    pub(crate) fn forget(&self, sequence: SequenceId) {
        self.0.lock().remove(&sequence);
    }

    fn silence(&self, sequence: SequenceId) -> Duration {
        self.0.lock().entry(sequence).or_insert_with(Instant::now).elapsed()
    }
}

/// Sequences whose writers are gone.
pub(crate) async fn silent(core: &Core) -> Result<Vec<SequenceId>> {
    let open: HashSet<SequenceId> = core.catalog.open_sequences().await?.into_iter().collect();
    core.writers.0.lock().retain(|id, _| open.contains(id));
    Ok(open.into_iter().filter(|&id| is_gone(core, id)).collect())
}

fn is_gone(core: &Core, sequence: SequenceId) -> bool {
    // An open put is a sign of life, however long it is silent.
    if core.live.of_sequence(sequence).iter().any(|topic| topic.is_written()) {
        core.writers.touch(sequence);
    }
    core.config.writer_timeout.is_some_and(|timeout| core.writers.silence(sequence) >= timeout)
}

/// Ends a sequence whose writer is gone by its policy.
pub(crate) async fn end(core: &Core, id: SequenceId) -> Result<()> {
    chunks_settled(core, id).await?;
    let _lock = core.lock(id).await?;
    let Some(sequence) = core.catalog.sequence_by_id(id).await? else { return Ok(()) };
    if sequence.deleting || check_open(&sequence).is_err() || !is_gone(core, id) {
        return Ok(());
    }
    let silence = core.writers.silence(id).as_secs();
    let text = format!("the writer was silent for {silence} s and is taken for gone");
    match sequence.on_error {
        OnError::Delete => core.remove_locked(id, json!({"message": text})).await,
        OnError::Report => report(core, &sequence, text).await,
    }
}

/// Waits until what was received is in chunks.
async fn chunks_settled(core: &Core, id: SequenceId) -> Result<()> {
    for topic in core.live.of_sequence(id).iter().filter(|topic| !topic.is_written()) {
        select! {
            settled = topic.wait_below(1) => settled?,
            () = topic.cancel.cancelled() => {}
            () = core.stopping.cancelled() => return Err(Error::ShuttingDown),
        }
    }
    Ok(())
}

/// Commits what is there, and says that the writer is gone.
async fn report(core: &Core, sequence: &SequenceRow, text: String) -> Result<()> {
    let id = sequence.id;
    for topic in core.catalog.topics(id).await?.iter().filter(|topic| topic.committed_ns.is_none()) {
        if core.live.get(topic.id).is_some_and(|live| !live.segments().is_empty()) {
            return Err(Error::Internal(format!("waiting for the chunks of topic `{}`", topic.locator)));
        }
        // A topic without a schema never had a row.
        if let Some(schema) = &topic.schema {
            commit(core, topic, schema.clone()).await?;
        }
    }
    let notification = NotificationRecord {
        format_version: FORMAT_VERSION,
        id: NotificationId::of_end(id),
        topic: None,
        notify_type: mosaico_wire::action::NOTIFY_ERROR.to_owned(),
        msg: text,
        created_ns: now_ns(),
    };
    let change = core.catalog.begin(id).await?;
    core.store.put_json(&SequencePaths(id).notification(notification.id), &notification).await?;
    let ended_ns = put_end(core, id).await?;
    core.catalog.sequence_ended(change, id, ended_ns, Some(&notification)).await
}

async fn put_end(core: &Core, id: SequenceId) -> Result<i64> {
    let record = EndedRecord { format_version: FORMAT_VERSION, ended_ns: now_ns() };
    core.store.put_json(&SequencePaths(id).ended(), &record).await?;
    Ok(record.ended_ns)
}

impl Core {
    /// Notes a sign of life of a writer; returns after which silence it is taken for gone.
    pub(crate) async fn keep_alive(&self, name: &SequenceName, key: &str) -> Result<Option<Duration>> {
        let sequence = self.catalog.sequence(name).await?;
        check_key(&sequence.key, key, name.as_str())?;
        check_open(&sequence)?;
        self.writers.touch(sequence.id);
        Ok(self.config.writer_timeout)
    }

    /// The writer leaves the sequence as it is.
    pub(crate) async fn end_sequence(&self, name: &SequenceName, key: &str) -> Result<()> {
        let (_lock, sequence) = self.locked(name).await?;
        check_key(&sequence.key, key, name.as_str())?;
        if sequence.ended_ns.is_some() {
            // Its answer was lost, and it asks again.
            return Ok(());
        }
        check_open(&sequence)?;
        let change = self.catalog.begin(sequence.id).await?;
        let ended_ns = put_end(self, sequence.id).await?;
        self.catalog.sequence_ended(change, sequence.id, ended_ns, None).await
    }
}
