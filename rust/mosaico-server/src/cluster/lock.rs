//! The locks of sequences and names: in this process, and among daemons.

use std::time::Duration;

use mosaico_types::SequenceName;
use tokio::sync::OwnedMutexGuard;
use tokio::time::{Instant, sleep};

use crate::catalog::Turn;
use crate::core::Core;
use crate::error::{Error, Result};
use crate::id::SequenceId;

/// How long a change that another daemon has begun is waited for. A daemon that is gone is known to be by then.
const PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks what became of it.
const PAUSE: Duration = Duration::from_millis(100);

/// The right to change a sequence, until this is dropped. A change is announced to the catalogue while it is held.
#[derive(Debug)]
#[must_use]
pub(crate) struct SequenceLock {
    // Given back in this order.
    _everywhere: Option<Turn>,
    _here: OwnedMutexGuard<()>,
}

/// The right to create a sequence of a name, until this is dropped.
#[derive(Debug)]
#[must_use]
pub(crate) struct NameLock {
    // Given back in this order.
    _everywhere: Option<Turn>,
    _here: OwnedMutexGuard<()>,
}

impl Core {
    /// Waits for the lock of a name. Who needs that of a sequence, too, takes it after this one.
    pub(crate) async fn lock_name(&self, name: &SequenceName) -> Result<NameLock> {
        let here = self.creations.names.lock(name).await;
        let everywhere = match &self.cluster {
            Some(cluster) => Some(cluster.lock(&format!("name/{name}")).await?),
            None => None,
        };
        Ok(NameLock { _everywhere: everywhere, _here: here })
    }

    /// Waits for the lock of a sequence; a change of it that failed earlier is settled first.
    pub(crate) async fn lock(&self, id: SequenceId) -> Result<SequenceLock> {
        let here = self.locks.lock(&id).await;
        let Some(cluster) = &self.cluster else {
            if self.catalog.unsettled.contains(id) {
                self.settle(id).await?;
            }
            return Ok(SequenceLock { _everywhere: None, _here: here });
        };
        let begin = Instant::now();
        loop {
            let turn = cluster.lock_sequence(id).await?;
            match self.catalog.announced(id, cluster.id()).await? {
                None => self.catalog.settled_elsewhere(id),
                Some(false) => self.settle(id).await?,
                // What it sent to the store may still arrive: it waits for that and settles, we would not.
                Some(true) if begin.elapsed() < PATIENCE => {
                    drop(turn);
                    sleep(PAUSE).await;
                    continue;
                }
                Some(true) => {
                    return Err(Error::StoreUnavailable("waiting for the change of another daemon".into()));
                }
            }
            return Ok(SequenceLock { _everywhere: Some(turn), _here: here });
        }
    }
}
