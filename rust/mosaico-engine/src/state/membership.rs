//! Membership of a daemon in a cluster: several daemons serve the same store, a bucket and a Postgres
//! database.
//!
//! Daemons share all data except the WALs on their disks. They know each other from the database, to which
//! each sends heartbeats; locks are those of the database, and a lease selects the leader, which runs
//! singleton work.

use std::sync::Arc;

use mosaico_catalog::{Catalog, LockGuard, Session};
use mosaico_storage::error::Result;
use mosaico_types::id::SequenceId;

/// The lease of the leader.
const BACKGROUND: &str = "background";

/// This daemon as a member of the cluster.
#[derive(Debug)]
pub struct Cluster {
    /// `host:port` at which other daemons reach it.
    address: String,
    session: Arc<Session>,
}

impl Cluster {
    pub fn new(session: Arc<Session>, address: String) -> Self {
        Self { address, session }
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
        self.session.heartbeat(&self.address).await
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
