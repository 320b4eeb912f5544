//! The locks of sequences and names: in this process, and among daemons.

use std::time::Duration;

use mosaico_catalog::{LockGuard, SequenceRow};
use mosaico_storage::error::{Error, Result};
use mosaico_types::SequenceName;
use mosaico_types::id::SequenceId;
use tokio::sync::OwnedMutexGuard;
use tokio::time::{Instant, sleep};

use crate::reconcile;
use crate::state::engine::Engine;

/// How long a change that another daemon has begun is waited for. A daemon that is gone is known to be by then.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Between two looks what became of it.
const PAUSE: Duration = Duration::from_millis(100);

/// The right to change a sequence, until this is dropped. A change is announced to the catalog while it is held.
#[derive(Debug)]
#[must_use]
pub struct SequenceLock {
    // Given back in this order.
    _everywhere: Option<LockGuard>,
    _here: OwnedMutexGuard<()>,
}

/// The right to create a sequence of a name, until this is dropped.
#[derive(Debug)]
#[must_use]
pub struct NameLock {
    // Given back in this order.
    _everywhere: Option<LockGuard>,
    _here: OwnedMutexGuard<()>,
}

/// Waits for the lock of a name. Who needs that of a sequence, too, takes it after this one.
pub async fn lock_name(core: &Engine, name: &SequenceName) -> Result<NameLock> {
    let here = core.creations.names.lock(name).await;
    let everywhere = match &core.cluster {
        Some(cluster) => Some(cluster.lock(&format!("name/{name}")).await?),
        None => None,
    };
    Ok(NameLock { _everywhere: everywhere, _here: here })
}

/// Waits for the lock of a sequence; a change of it that failed earlier is settled first.
pub async fn lock(core: &Engine, id: SequenceId) -> Result<SequenceLock> {
    let here = core.locks.lock(&id).await;
    let Some(cluster) = &core.cluster else {
        if core.catalog.unsettled.contains(id) {
            reconcile::settle(core, id).await?;
        }
        return Ok(SequenceLock { _everywhere: None, _here: here });
    };
    let begin = Instant::now();
    loop {
        let turn = cluster.lock_sequence(id).await?;
        match core.catalog.announced(id, cluster.id()).await? {
            None => core.catalog.settled_elsewhere(id),
            Some(false) => reconcile::settle(core, id).await?,
            // What it sent to the store may still arrive: it waits for that and settles, we would not.
            Some(true) if begin.elapsed() < TIMEOUT => {
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

/// A sequence as it is under its lock.
pub async fn locked(core: &Engine, name: &SequenceName) -> Result<(SequenceLock, SequenceRow)> {
    loop {
        let id = core.catalog.sequence(name).await?.id;
        let lock = lock(core, id).await?;
        let row = core.catalog.sequence(name).await?;
        // Another one may have taken the name meanwhile.
        if row.id == id {
            return Ok((lock, row));
        }
    }
}

/// Brings to an end what keeps the name from being used: removals, and creations that were not answered.
/// The caller holds the right to create it.
pub async fn settle_name(core: &Engine, wanted: &SequenceName) -> Result<()> {
    let begun: Vec<SequenceId> = {
        let begun = core.creations.begun.lock();
        begun.iter().filter(|(_, name)| *name == wanted).map(|(&id, _)| id).collect()
    };
    for id in begun {
        drop(lock(core, id).await?);
        core.creations.begun.lock().remove(&id);
    }
    match core.catalog.find_sequence(wanted).await? {
        Some(row) if row.deleting => {
            let _lock = lock(core, row.id).await?;
            reconcile::finish_sequence_removal(core, row.id).await
        }
        _ => Ok(()),
    }
}

/// Whether it is this daemon that does what one does for all.
pub async fn is_leader(core: &Engine) -> Result<bool> {
    match &core.cluster {
        None => Ok(true),
        Some(cluster) => cluster.is_leader().await,
    }
}
