//! A daemon among others that serve the same store: a bucket and a Postgres database.
//!
//! Daemons keep nothing to themselves but the log of what they receive. They know of each other by the database, where
//! each gives a sign of life from time to time; locks are the database's, and work that one does for all is leased.

use std::sync::Arc;

use mosaico_catalog::{Catalog, LockGuard, Session};
use mosaico_storage::error::Result;
use mosaico_types::id::SequenceId;

/// The lease of what one daemon does for all.
const BACKGROUND: &str = "background";

/// This daemon, as the others know it.
#[derive(Debug)]
pub struct Cluster {
    /// `host:port` as other daemons reach it.
    address: String,
    session: Arc<Session>,
}

impl Cluster {
    pub fn new(session: Arc<Session>, address: String) -> Self {
        Self { address, session }
    }

    /// Its id, for good.
    pub fn id(&self) -> &str {
        self.session.daemon()
    }

    /// Waits for a lock that all daemons know.
    pub async fn lock(&self, name: &str) -> Result<LockGuard> {
        self.session.lock(name).await
    }

    /// Waits for the lock of a sequence.
    pub async fn lock_sequence(&self, id: SequenceId) -> Result<LockGuard> {
        self.session.lock_sequence(id).await
    }

    /// Joins the others.
    pub async fn join(&self, catalog: &Catalog) -> Result<()> {
        let alone = !catalog.has_others(self.id()).await?;
        // Writers cannot have told anybody that they are there while nobody was.
        catalog.record_all_heartbeats(!alone).await?;
        self.heartbeat().await
    }

    /// Gives a sign of life.
    pub async fn heartbeat(&self) -> Result<()> {
        self.session.heartbeat(&self.address).await
    }

    /// Whether it is this daemon that does what one does for all.
    pub async fn is_leader(&self) -> Result<bool> {
        self.session.lease(BACKGROUND).await
    }

    /// Leaves the others to themselves.
    pub async fn leave(&self) {
        if let Err(error) = self.session.leave().await {
            tracing::warn!(error = %error.detail(), "the other daemons notice later that this one is gone");
        }
        self.session.close().await;
    }
}
