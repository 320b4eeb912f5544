//! Background work: one queue for all of it, with retries.
//!
//! A job only names what is to be done. Whether there is still something to do, the job reads from the log, the store
//! and the catalogue; a start finds open work there, so the queue itself need not be kept.

mod failure;
mod housekeeping;
mod orphans;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use parking_lot::Mutex;
use tokio::select;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::core::Core;
use crate::error::Result;
use crate::id::{NotificationId, SequenceId, TopicId};
use crate::ingest::{chunker, store_log};
use crate::store::chunk_id::ChunkId;
use crate::{events, writers};
pub(crate) use housekeeping::start;

/// The longest pause between two attempts, in first pauses.
const LONGEST_PAUSE: u32 = 64;

/// Something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Job {
    /// Make a chunk of a closed log segment.
    Chunk(TopicId, ChunkId),
    /// Redo changes that the catalogue missed.
    Settle(SequenceId),
    /// Remove the files of a deleted sequence.
    RemoveSequence(SequenceId),
    /// Remove the files of a deleted topic.
    RemoveTopic(SequenceId, TopicId),
    /// End a sequence whose writer is gone.
    End(SequenceId),
    /// Remove objects of a log in the store whose rows are in chunks.
    TrimLog(SequenceId, TopicId),
    /// Remove objects that no record names.
    Orphans,
    /// Write events to the store.
    StoreEvents,
}

impl Job {
    /// All that [`Self::name`] gives.
    pub(crate) const NAMES: [&str; 7] =
        ["chunk", "settle", "remove", "end_sequence", "trim_log", "orphans", "store_events"];

    /// What people read in events.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Chunk(..) => "chunk",
            Self::Settle(_) => "settle",
            Self::RemoveSequence(_) | Self::RemoveTopic(..) => "remove",
            Self::End(_) => "end_sequence",
            Self::TrimLog(..) => "trim_log",
            Self::Orphans => "orphans",
            Self::StoreEvents => "store_events",
        }
    }

    async fn run(self, core: &Arc<Core>) -> Result<()> {
        match self {
            Self::Chunk(topic, index) => chunker::run(core, topic, index).await,
            // Whoever has the lock finds a settled sequence.
            Self::Settle(sequence) => core.lock(sequence).await.map(drop),
            Self::RemoveSequence(sequence) => {
                let _lock = core.lock(sequence).await?;
                match core.catalog.sequence_by_id(sequence).await? {
                    Some(row) if row.deleting => core.finish_sequence_removal(sequence).await,
                    _ => Ok(()),
                }
            }
            Self::RemoveTopic(sequence, topic) => {
                let _lock = core.lock(sequence).await?;
                match core.catalog.topic_by_id(topic).await? {
                    Some(row) if row.deleting => core.finish_topic_removal(sequence, topic).await,
                    _ => Ok(()),
                }
            }
            Self::End(sequence) => writers::end(core, sequence).await,
            Self::TrimLog(sequence, topic) => store_log::trim(core, sequence, topic).await,
            Self::Orphans if !core.leads().await? => Ok(()),
            Self::Orphans => orphans::collect(core).await,
            Self::StoreEvents => events::store(core).await,
        }
    }
}

/// The jobs that were asked for.
#[derive(Debug)]
pub(crate) struct Queue {
    asked: mpsc::UnboundedSender<Job>,
    inbox: Mutex<Option<mpsc::UnboundedReceiver<Job>>>,
    /// Each job is in work once; who asks again lets it run again, or lets it try at once.
    running: Mutex<HashMap<Job, Arc<Notify>>>,
}

impl Queue {
    pub(crate) fn new() -> Self {
        let (asked, inbox) = mpsc::unbounded_channel();
        Self { asked, inbox: Mutex::new(Some(inbox)), running: Mutex::default() }
    }

    /// Asks for a job to be done soon.
    pub(crate) fn ask(&self, job: Job) {
        if self.asked.send(job).is_err() {
            tracing::debug!(?job, "the server ends; the next start finds this work");
        }
    }

    /// What is in work, or waits for its next attempt.
    pub(crate) fn open(&self) -> Vec<Job> {
        self.running.lock().keys().copied().collect()
    }

    /// Notes a job as done, unless it was asked for again.
    fn done(&self, job: Job, again: &Notify) -> bool {
        let mut running = self.running.lock();
        let done = again.notified().now_or_never().is_none();
        if done {
            running.remove(&job);
        }
        done
    }
}

/// Takes a job up.
fn take(core: &Arc<Core>, job: Job) {
    let mut tokens = vec![core.tasks.token()];
    let mut cancel = CancellationToken::new();
    if let Job::Chunk(topic, _) = job {
        // Without the topic its log is gone, or in chunks.
        let Some(topic) = core.live.get(topic) else { return };
        tokens.push(topic.tasks.token());
        cancel = topic.cancel.clone();
        // Whoever removes the topic cancels first and waits for the tokens then: one of both sees the other.
        if cancel.is_cancelled() {
            return;
        }
    }
    let mut running = core.queue.running.lock();
    if let Some(again) = running.get(&job) {
        again.notify_one();
        return;
    }
    let again = Arc::new(Notify::new());
    running.insert(job, Arc::clone(&again));
    drop(running);
    let core = Arc::clone(core);
    let span = tracing::error_span!("work", job = job.name());
    let work = async move {
        let _tokens = tokens;
        carry_out(&core, job, &again, &cancel).await;
    };
    tokio::spawn(work.instrument(span));
}

/// Runs a job until it is done. An attempt is never cut short, only the pauses between attempts are.
async fn carry_out(core: &Arc<Core>, job: Job, again: &Notify, cancel: &CancellationToken) {
    let (mut attempts, mut told, mut id) = (0, false, NotificationId::generate());
    loop {
        let Err(error) = job.run(core).await else {
            if core.queue.done(job, again) {
                return;
            }
            (attempts, told, id) = (0, false, NotificationId::generate());
            continue;
        };
        if core.check_owner().is_err() {
            break;
        }
        attempts += 1;
        core.metrics.job_failed(job);
        let pause = pause(core.config.retry_pause, attempts);
        tracing::warn!(?job, %error, attempts, ?pause, "background work failed and is tried again");
        let wait = async {
            told = told || failure::tell(core, job, id, &error).await;
            select! {
                () = tokio::time::sleep(pause) => {}
                () = again.notified() => {}
            }
        };
        select! {
            () = wait => {}
            () = cancel.cancelled() => break,
            () = core.stopping.cancelled() => break,
        }
    }
    core.queue.running.lock().remove(&job);
}

fn pause(first: Duration, attempts: u32) -> Duration {
    first * LONGEST_PAUSE.min(1 << (attempts - 1).min(16))
}
