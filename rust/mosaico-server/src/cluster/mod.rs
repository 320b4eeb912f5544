//! A daemon among others that serve the same store: a bucket and a Postgres database.
//!
//! Daemons keep nothing to themselves but the log of what they receive. They know of each other by the database, where
//! each gives a sign of life from time to time; locks are the database's, and work that one does for all is leased.

pub(crate) mod forward;
mod lock;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::catalog::{Session, Turn};
use crate::core::Core;
use crate::error::Result;
use crate::id::SequenceId;
use crate::ingest::parts;
use crate::tasks::Job;
pub(crate) use lock::SequenceLock;

/// How often a daemon gives a sign of life.
const BEAT: Duration = Duration::from_secs(2);

/// How often daemons look for what the others did.
const NEWS: Duration = Duration::from_millis(250);

/// How often somebody looks for what a daemon that is gone has left.
const LEFT_BEHIND: Duration = Duration::from_secs(5);

/// The lease of what one daemon does for all.
const BACKGROUND: &str = "background";

/// This daemon, as the others know it.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// `host:port` as other daemons reach it.
    address: String,
    session: Arc<Session>,
    others: forward::Others,
}

impl Cluster {
    pub(crate) fn new(session: Arc<Session>, address: String) -> Self {
        Self { address, session, others: forward::Others::default() }
    }

    /// Its id, for good.
    pub(crate) fn id(&self) -> &str {
        self.session.daemon()
    }

    /// Waits for a lock that all daemons know.
    pub(crate) async fn lock(&self, name: &str) -> Result<Turn> {
        self.session.lock(name).await
    }

    async fn lock_sequence(&self, id: SequenceId) -> Result<Turn> {
        self.session.lock_sequence(id).await
    }

    /// Joins the others.
    pub(crate) async fn join(&self, core: &Core) -> Result<()> {
        let alone = !core.catalog.has_others(self.id()).await?;
        // Writers cannot have told anybody that they are there while nobody was.
        core.catalog.heard_all(!alone).await?;
        self.session.beat(&self.address).await
    }

    /// Leaves the others to themselves.
    pub(crate) async fn leave(&self) {
        if let Err(error) = self.session.leave().await {
            tracing::warn!(error = %error.detail(), "the other daemons notice later that this one is gone");
        }
        self.session.close().await;
    }
}

impl Core {
    /// Whether it is this daemon that does what one does for all.
    pub(crate) async fn leads(&self) -> Result<bool> {
        match &self.cluster {
            None => Ok(true),
            Some(cluster) => cluster.session.lease(BACKGROUND).await,
        }
    }
}

/// Starts what a daemon among others does all the time.
pub(crate) fn start(core: &Arc<Core>) {
    if core.cluster.is_none() {
        return;
    }
    let [first, second, third, fourth] = std::array::from_fn(|_| Arc::clone(core));
    core.while_serving(async move { beat(&first).await });
    core.while_serving(async move { look_around(&second).await });
    core.while_serving(async move { clean_up(&third).await });
    core.while_serving(async move { watch_topics(&fourth).await });
}

async fn beat(core: &Core) {
    let Some(cluster) = &core.cluster else { return };
    let mut ticks = interval(BEAT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = cluster.session.beat(&cluster.address).await {
            tracing::warn!(error = %error.detail(), "the other daemons get no sign of life");
        }
    }
}

/// Wakes those who wait for events.
async fn look_around(core: &Core) {
    let mut newest = None;
    loop {
        sleep(NEWS).await;
        match core.catalog.notice(newest.clone()).await {
            Ok(found) => newest = found,
            Err(error) => tracing::debug!(error = %error.detail(), "cannot look for news now"),
        }
    }
}

/// Brings to an end what daemons that are gone have begun.
async fn clean_up(core: &Arc<Core>) {
    loop {
        sleep(LEFT_BEHIND).await;
        if let Err(error) = find_left_behind(core).await {
            tracing::warn!(error = %error.detail(), "cannot look for what other daemons left");
        }
    }
}

async fn watch_topics(core: &Arc<Core>) {
    if let Some(cluster) = &core.cluster {
        parts::watch(core, cluster).await;
    }
}

async fn find_left_behind(core: &Arc<Core>) -> Result<()> {
    if !core.leads().await? {
        return Ok(());
    }
    for id in core.catalog.left_behind().await? {
        core.queue.ask(Job::Settle(id));
    }
    for id in core.catalog.deleting_sequences().await? {
        core.queue.ask(Job::RemoveSequence(id));
    }
    for topic in core.catalog.deleting_topics().await? {
        core.queue.ask(Job::RemoveTopic(topic.sequence_id, topic.id));
    }
    core.queue.ask(Job::StoreEvents);
    core.catalog.forget_daemons().await
}
