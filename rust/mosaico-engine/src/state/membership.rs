//! Membership of a daemon in a cluster: several daemons serve the same store, a bucket and a Postgres
//! database.
//!
//! Daemons share all data except the WALs on their disks. They know each other from the database, to which
//! each sends heartbeats; locks are those of the database, and a lease selects the leader, which runs
//! singleton work.

use std::collections::HashMap;
use std::sync::Arc;

use mosaico_catalog::{Catalog, LockGuard, Session};
use mosaico_storage::error::Result;
use mosaico_types::id::SequenceId;
use parking_lot::Mutex;

use super::clock::Clock;
use super::lease::Lease;
use super::orphans::Orphans;

/// The lease of the leader.
const BACKGROUND: &str = "background";

/// This daemon as a member of the cluster.
#[derive(Debug)]
pub struct Cluster {
    /// `host:port` at which other daemons reach it.
    address: String,
    session: Arc<Session>,
    lease: Lease,
    orphans: Orphans,
    /// The heartbeats that silent daemons wrote to the store: when the last one of each was sent.
    store_heartbeats: Mutex<HashMap<String, i64>>,
}

impl Cluster {
    pub fn new(session: Arc<Session>, address: String, clock: Arc<dyn Clock>) -> Self {
        let (lease, orphans) = (Lease::new(Arc::clone(&clock)), Orphans::new(clock));
        Self { address, session, lease, orphans, store_heartbeats: Mutex::default() }
    }

    /// The lease under which it acknowledges rows of a replicated WAL.
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// Topics whose daemon is dead.
    pub fn orphans(&self) -> &Orphans {
        &self.orphans
    }

    /// Notes a heartbeat of a daemon in the store. Returns whether it shows that the daemon lives: whether it
    /// differs from the one that was there before.
    pub fn note_store_heartbeat(&self, daemon: &str, sent_ns: i64) -> bool {
        let known = self.store_heartbeats.lock().insert(daemon.to_owned(), sent_ns);
        known.is_some_and(|known| known != sent_ns)
    }

    /// Its permanent id.
    pub fn id(&self) -> &str {
        self.session.daemon()
    }

    /// Waits for a lock that excludes all daemons.
    pub async fn lock(&self, name: &str) -> Result<LockGuard> {
        self.session.lock(name).await
    }

    /// Waits for the lock of a sequence.
    pub async fn lock_row(&self, id: SequenceId) -> Result<LockGuard> {
        self.session.lock_sequence(id).await
    }

    /// Joins the cluster.
    pub async fn enter(&self, catalog: &Catalog) -> Result<()> {
        let alone = !catalog.has_others(self.id()).await?;
        // Without a running daemon, writers could not send heartbeats.
        catalog.record_all_heartbeats(!alone).await?;
        self.heartbeat().await
    }

    /// Sends a heartbeat.
    pub async fn heartbeat(&self) -> Result<()> {
        let sent = self.lease.now();
        let id = self.session.heartbeat(&self.address).await?;
        self.lease.grant(id, sent);
        Ok(())
    }

    /// Whether this daemon is the leader.
    pub async fn leads(&self) -> Result<bool> {
        self.session.lease(BACKGROUND).await
    }

    /// Leaves the cluster.
    pub async fn exit(&self) {
        if let Err(error) = self.session.leave().await {
            tracing::warn!(error = %error.detail(), "the other daemons notice later that this one is gone");
        }
        self.session.close().await;
    }
}
