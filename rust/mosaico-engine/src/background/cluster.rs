//! Periodic work of a daemon in a cluster.

use std::sync::Arc;
use std::time::Duration;

use mosaico_storage::error::Result;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::coordinator::store_heartbeats;
use crate::ingest::handover;
use crate::state::engine::Engine;
use crate::state::queue::Job;

/// How often a daemon sends a heartbeat.
const BEAT: Duration = Duration::from_secs(2);

/// How often a daemon polls for changes of the others.
const NEWS: Duration = Duration::from_millis(250);

/// How often the leader looks for intents of dead daemons.
const LEFT_BEHIND: Duration = Duration::from_secs(5);

/// How often a daemon checks whether others took over or deleted topics.
const LOOK: Duration = Duration::from_secs(1);

/// Starts the periodic work of a daemon in a cluster.
pub fn start(core: &Arc<Engine>) {
    if core.coordinator.membership().is_none() {
        return;
    }
    let [first, second, third, fourth, fifth] = std::array::from_fn(|_| Arc::clone(core));
    core.while_serving(async move { send_heartbeats(&first).await });
    core.while_serving(async move { poll_peers(&second).await });
    core.while_serving(async move { clean_up(&third).await });
    core.while_serving(async move { watch_topics(&fourth).await });
    core.while_serving(async move { heartbeat_in_store(&fifth).await });
}

async fn send_heartbeats(core: &Engine) {
    let Some(cluster) = core.coordinator.membership() else { return };
    let mut ticks = interval(BEAT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = cluster.heartbeat().await {
            tracing::warn!(error = %error.detail(), "the heartbeat to the other daemons failed");
        }
    }
}

/// Separate from the heartbeats to the database, which may wait for an answer for a long time.
async fn heartbeat_in_store(core: &Engine) {
    let Some(cluster) = core.coordinator.membership() else { return };
    // One may be left from an earlier process.
    let mut wrote = true;
    loop {
        if let Err(error) = store_heartbeats::write(core, cluster, &mut wrote).await {
            tracing::warn!(error = %error.detail(), "the heartbeat to the store failed");
        }
        sleep(BEAT).await;
    }
}

/// Wakes the listeners that wait for events.
async fn poll_peers(core: &Engine) {
    let mut newest = None;
    loop {
        sleep(NEWS).await;
        match core.catalog.poll_changes(newest.clone()).await {
            Ok(found) => newest = found,
            Err(error) => tracing::debug!(error = %error.detail(), "cannot look for news now"),
        }
    }
}

/// Finishes changes that dead daemons have begun.
async fn clean_up(core: &Arc<Engine>) {
    loop {
        sleep(LEFT_BEHIND).await;
        if let Err(error) = find_left_behind(core).await {
            tracing::warn!(error = %error.detail(), "cannot look for what other daemons left");
        }
    }
}

async fn watch_topics(core: &Arc<Engine>) {
    if let Some(cluster) = core.coordinator.membership() {
        loop {
            sleep(LOOK).await;
            if let Err(error) = handover::follow_others(core, cluster).await {
                tracing::warn!(%error, "cannot look for what other daemons did");
            }
        }
    }
}

async fn find_left_behind(core: &Arc<Engine>) -> Result<()> {
    if !core.coordinator.is_leader().await? {
        return Ok(());
    }
    for id in core.catalog.left_behind().await? {
        core.queue.enqueue(Job::Reconcile(id));
    }
    for id in core.catalog.deleting_sequences().await? {
        core.queue.enqueue(Job::RemoveSequence(id));
    }
    for topic in core.catalog.deleting_topics().await? {
        core.queue.enqueue(Job::RemoveTopic(topic.sequence_id, topic.id));
    }
    core.queue.enqueue(Job::StoreEvents);
    core.catalog.forget_daemons().await
}
