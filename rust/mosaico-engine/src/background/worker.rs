//! Runs jobs, with retries. At most one run of each job is active.

use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use mosaico_storage::error::Result;
use mosaico_types::id::NotificationId;
use tokio::select;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{damage, failure, garbage_collection, scrub, writer_expiry};
use crate::ingest::{chunker, replicated_wal};
use crate::reconcile::{self, sequence_lock};
use crate::state::engine::Engine;
use crate::state::queue::Job;

/// The longest pause between two attempts, as a multiple of the first pause, without jitter.
const LONGEST_PAUSE: u32 = 32;

/// Runs a job once.
async fn run(job: Job, core: &Arc<Engine>) -> Result<()> {
    match job {
        Job::Chunk(topic, index) => chunker::run(core, topic, index).await,
        // Acquiring the lock reconciles the sequence.
        Job::Reconcile(sequence) => sequence_lock::lock(core, sequence).await.map(drop),
        Job::RemoveSequence(sequence) => {
            let _lock = sequence_lock::lock(core, sequence).await?;
            match core.catalog.sequence_by_id(sequence).await? {
                Some(row) if row.deleting => reconcile::finish_sequence_removal(core, sequence).await,
                _ => Ok(()),
            }
        }
        Job::RemoveTopic(sequence, topic) => {
            let _lock = sequence_lock::lock(core, sequence).await?;
            match core.catalog.topic_by_id(topic).await? {
                Some(row) if row.deleting => reconcile::finish_topic_removal(core, sequence, topic).await,
                _ => Ok(()),
            }
        }
        Job::ExpireWriter(sequence) => writer_expiry::end(core, sequence).await,
        Job::TrimWal(sequence, topic) => replicated_wal::trim(core, sequence, topic).await,
        Job::ReportDamage(sequence, topic, chunk) => damage::report(core, sequence, topic, chunk).await,
        Job::Scrub => scrub::run(core).await,
        Job::Orphans if !core.coordinator.is_leader().await? => Ok(()),
        Job::Orphans => garbage_collection::collect(core).await,
        Job::StoreEvents => core.archive.store_pending(core.coordinator.is_leader()).await,
    }
}

/// Starts a job.
pub(super) fn take(core: &Arc<Engine>, job: Job) {
    let mut tokens = vec![core.tasks.token()];
    let mut cancel = CancellationToken::new();
    if let Job::Chunk(topic, _) = job {
        // Without the topic, its WAL is deleted or in chunks.
        let Some(topic) = core.live.get(topic) else { return };
        tokens.push(topic.tasks.token());
        cancel = topic.cancel.clone();
        // A task that removes the topic first cancels and then waits for the tokens: one of the two sees the
        // other.
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
        run_with_retries(&core, job, &again, &cancel).await;
    };
    tokio::spawn(work.instrument(span));
}

/// Runs a job until it is done. Cancellation interrupts the pauses between attempts, never an attempt.
async fn run_with_retries(core: &Arc<Engine>, job: Job, again: &Notify, cancel: &CancellationToken) {
    let mut pauses = retry_backoff(core.config.retry_pause);
    let (mut attempts, mut reported, mut id) = (0, false, NotificationId::generate());
    loop {
        let Err(error) = run(job, core).await else {
            if core.queue.done(job, again) {
                return;
            }
            pauses = retry_backoff(core.config.retry_pause);
            (attempts, reported, id) = (0, false, NotificationId::generate());
            continue;
        };
        if core.check_owner().is_err() {
            break;
        }
        attempts += 1;
        core.metrics.job_failed(job);
        let pause = pauses.next().unwrap_or(core.config.retry_pause * LONGEST_PAUSE);
        tracing::warn!(?job, error = %error.detail(), attempts, ?pause, "background work failed and is tried again");
        let wait = async {
            reported = reported || failure::tell(core, job, id, &error).await;
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

/// Pauses between attempts: they double from the first one on. Jitter, up to the same length again, spreads
/// the retries of jobs that failed together when the store was unavailable.
fn retry_backoff(first: Duration) -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(first)
        .with_max_delay(first * LONGEST_PAUSE)
        .with_jitter()
        .without_max_times()
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit() {
        let first = Duration::from_millis(10);
        let pauses: Vec<Duration> = retry_backoff(first).take(40).collect();
        assert!((first..first * 2).contains(&pauses[0]), "{pauses:?}");
        assert!((first * 2..first * 4).contains(&pauses[1]), "{pauses:?}");
        assert!((first * LONGEST_PAUSE..first * LONGEST_PAUSE * 2).contains(&pauses[39]), "{pauses:?}");
    }
}
