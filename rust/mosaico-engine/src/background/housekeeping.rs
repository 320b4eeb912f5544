//! Dispatches jobs, and finds work that no caller requests.

use std::sync::Arc;
use std::time::Duration;

use tokio::select;
use tokio::sync::mpsc::UnboundedReceiver;

use super::worker::take;
use super::writer_expiry;
use crate::state::clock::{Clock, Ticks};
use crate::state::engine::Engine;
use crate::state::queue::Job;

/// Starts the queue's work, which runs until the server stops.
pub fn start(core: &Arc<Engine>) {
    let Some(inbox) = core.queue.inbox.lock().take() else { return };
    let [first, second] = [Arc::clone(core), Arc::clone(core)];
    core.while_serving(async move { dispatch(&first, inbox).await });
    core.while_serving(async move { keep_storing_events(&second).await });
}

/// Events of this period are written to the store together.
const GATHER: Duration = Duration::from_secs(1);

/// Enqueues the storing of events, a while after the first new one.
async fn keep_storing_events(core: &Engine) {
    let mut news = core.catalog.news();
    loop {
        core.queue.enqueue(Job::StoreEvents);
        tokio::time::sleep(GATHER).await;
        if news.changed().await.is_err() {
            return;
        }
    }
}

async fn dispatch(core: &Arc<Engine>, mut inbox: UnboundedReceiver<Job>) {
    let clock = core.config.clock.as_ref();
    let mut writers = every(clock, core.config.writer_timeout.unwrap_or(Duration::MAX) / 4);
    let mut orphans = every(clock, core.config.orphan_grace);
    let mut scrub = every(clock, core.config.scrub_period);
    loop {
        select! {
            job = inbox.recv() => match job {
                Some(job) => take(core, job),
                None => return,
            },
            () = core.catalog.pending_intents.added() => {
                core.catalog.pending_intents.all().into_iter().for_each(|id| take(core, Job::Reconcile(id)));
            }
            () = orphans.tick(clock) => take(core, Job::Orphans),
            () = scrub.tick(clock), if core.config.scrub_bytes_per_second > 0 => take(core, Job::Scrub),
            () = writers.tick(clock), if core.config.writer_timeout.is_some() => match writer_expiry::silent(core).await {
                Ok(gone) => gone.into_iter().for_each(|id| take(core, Job::ExpireWriter(id))),
                Err(error) => tracing::warn!(error = %error.detail(), "cannot look for silent writers now"),
            },
        }
    }
}

/// The first tick is not at startup, when other work is due.
fn every(clock: &dyn Clock, period: Duration) -> Ticks {
    const SHORTEST: Duration = Duration::from_millis(10);
    const LONGEST: Duration = Duration::from_secs(3600);
    const FIRST: Duration = Duration::from_secs(60);
    Ticks::new(clock, period.min(FIRST), period.clamp(SHORTEST, LONGEST))
}
