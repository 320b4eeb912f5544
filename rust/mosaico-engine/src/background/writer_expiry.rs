//! Expiry of writers: a sequence whose writer is inactive for too long is ended by its policy.

use std::collections::HashSet;
use std::time::Duration;

use mosaico_catalog::SequenceRow;
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::paths::SequencePaths;
use mosaico_storage::format::records::NotificationRecord;
use mosaico_types::id::{NotificationId, SequenceId};
use mosaico_types::now_ns;
use mosaico_wire::event::OnError;
use serde_json::json;
use tokio::select;

use crate::ingest::commit::commit;
use crate::lifecycle;
use crate::reconcile::sequence_lock;
use crate::state::engine::{Adopted, Engine};
use crate::state::guards::check_open;

/// Sequences whose writers have expired.
pub async fn silent(core: &Engine) -> Result<Vec<SequenceId>> {
    let open: HashSet<SequenceId> = core.catalog.open_sequences().await?.into_iter().collect();
    core.writers.retain(&open);
    for &id in &open {
        // An open put counts as activity, even if it sends nothing.
        if core.live.of_sequence(id).iter().any(|topic| topic.is_written()) {
            core.writers.record_activity(id);
        }
    }
    if !core.coordinator.share_activity(core).await? {
        return Ok(Vec::new());
    }
    let mut gone = Vec::new();
    for id in open {
        if silence(core, id).await?.is_some_and(|silence| silence.too_long) {
            gone.push(id);
        }
    }
    Ok(gone)
}

/// How long a writer has been inactive.
struct Silence {
    lasting: Duration,
    too_long: bool,
}

/// `None` if the writer is active.
async fn silence(core: &Engine, sequence: SequenceId) -> Result<Option<Silence>> {
    if core.live.of_sequence(sequence).iter().any(|topic| topic.is_written()) {
        return Ok(None);
    }
    let lasting = core.coordinator.writer_silence(core, sequence).await?;
    let too_long = core.config.writer_timeout.is_some_and(|timeout| lasting >= timeout);
    Ok(Some(Silence { lasting, too_long }))
}

/// Ends a sequence whose writer has expired, by its policy.
pub async fn end(core: &Engine, id: SequenceId) -> Result<()> {
    chunks_settled(core, id).await?;
    let _lock = sequence_lock::lock(core, id).await?;
    let Some(sequence) = core.catalog.sequence_by_id(id).await? else { return Ok(()) };
    let silence = silence(core, id).await?.filter(|silence| silence.too_long);
    let Some(Silence { lasting, .. }) = silence else { return Ok(()) };
    if sequence.deleting || check_open(&sequence).is_err() {
        return Ok(());
    }
    // Until a daemon that does not run has stored its rows, the sequence stays as it is.
    let Adopted::All { uploaded } = core.coordinator.adopt_topics(core, &sequence).await? else {
        return Ok(());
    };
    let silence = lasting.as_secs();
    let text = format!("the writer sent no heartbeat for {silence} s and is considered dead");
    match sequence.on_error {
        // Its writer could not finalize it, because another daemon had rows of it.
        OnError::Delete if uploaded => report(core, &sequence, text).await,
        OnError::Delete => lifecycle::remove_locked(core, id, json!({"message": text})).await,
        OnError::Report => report(core, &sequence, text).await,
    }
}

/// Waits until all received rows are in chunks.
async fn chunks_settled(core: &Engine, id: SequenceId) -> Result<()> {
    for topic in core.live.of_sequence(id).iter().filter(|topic| !topic.is_written()) {
        select! {
            settled = topic.wait_below(1) => settled?,
            () = topic.cancel.cancelled() => {}
            () = core.stopping.cancelled() => return Err(core.ended()),
        }
    }
    Ok(())
}

/// Commits the rows that are there, and reports that the writer has expired.
async fn report(core: &Engine, sequence: &SequenceRow, text: String) -> Result<()> {
    let id = sequence.id;
    for topic in core.catalog.topics(id).await?.iter().filter(|topic| topic.committed_ns.is_none()) {
        if core.live.get(topic.id).is_some_and(|live| !live.segments().is_empty()) {
            return Err(Error::Internal(
                format!("waiting for the chunks of topic `{}`", topic.locator).into(),
            ));
        }
        // A topic without a schema never had a row.
        if let Some(schema) = &topic.schema {
            commit(core, topic, schema.clone()).await?;
        }
    }
    let notification = NotificationRecord {
        id: NotificationId::of_end(id),
        topic: None,
        notify_type: mosaico_wire::action::NOTIFY_ERROR.to_owned(),
        msg: text,
        created_ns: now_ns(),
    };
    let change = core.catalog.begin(id, Some(SequencePaths(id).ended().as_ref())).await?;
    core.store.put_json(&SequencePaths(id).notification(notification.id), &notification).await?;
    let ended_ns = lifecycle::put_end(core, &change, id).await?;
    core.catalog.sequence_ended(change, id, ended_ns, Some(&notification)).await
}
