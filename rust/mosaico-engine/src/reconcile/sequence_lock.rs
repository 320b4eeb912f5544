//! The locks of sequences and names, within this process and among daemons.
//!
//! Lock order. A task that needs several of these locks acquires them in this order and never the other way
//! round:
//!
//! 1. The name lock ([`lock_name`]), for a task that creates a sequence of that name.
//! 2. The sequence lock ([`lock`]), for a task that changes records of the sequence.
//! 3. The topic's `chunk_commit_lock`: shared for a task that records a chunk, exclusive for the online
//!    rebuild.
//! 4. The catalog writer: SQLite's one write connection, or the advisory lock of change transactions in
//!    Postgres. A catalog call acquires it for one statement or transaction and releases it before it
//!    returns.
//!
//! Locks 1 and 2 have two halves: a mutex of this process, then an advisory lock of the database session that
//! excludes the other daemons. Without a cluster the chunker skips lock 2 and acquires lock 3 alone. A task
//! that deletes a topic holds lock 2 while it waits for the topic's put and jobs; these therefore stop
//! waiting for lock 2 when the topic's `cancel` token fires.

use std::time::Duration;

use mosaico_catalog::{LockGuard, SequenceRow};
use mosaico_storage::error::{Error, Result};
use mosaico_types::SequenceName;
use mosaico_types::id::SequenceId;
use tokio::sync::OwnedMutexGuard;
use tokio::time::{Instant, sleep};

use crate::reconcile;
use crate::state::engine::{Engine, Intent};

/// How long [`lock`] waits for a change that another live daemon has begun. Longer than the membership takes
/// to declare a daemon dead.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Pause between two checks of that change.
const PAUSE: Duration = Duration::from_millis(100);

/// The right to change a sequence, until this is dropped. The owner records intents in the catalog only while
/// it has this lock.
#[derive(Debug)]
#[must_use]
pub struct SequenceLock {
    // The fields are dropped, and so released, in this order.
    _everywhere: Option<LockGuard>,
    _here: OwnedMutexGuard<()>,
}

/// The right to create a sequence with a given name, until this is dropped.
#[derive(Debug)]
#[must_use]
pub struct NameLock {
    // The fields are dropped, and so released, in this order.
    _everywhere: Option<LockGuard>,
    _here: OwnedMutexGuard<()>,
}

/// Waits for the lock of a name. A caller that also needs a sequence lock acquires it after this one.
pub async fn lock_name(core: &Engine, name: &SequenceName) -> Result<NameLock> {
    let here = core.creations.names.lock(name).await;
    let everywhere = core.coordinator.lock_name(name).await?;
    Ok(NameLock { _everywhere: everywhere, _here: here })
}

/// Waits for the lock of a sequence, and reconciles a change of it that failed earlier.
pub async fn lock(core: &Engine, id: SequenceId) -> Result<SequenceLock> {
    let here = core.locks.lock(&id).await;
    let begin = Instant::now();
    loop {
        let everywhere = core.coordinator.lock_sequence(id).await?;
        match core.coordinator.intent(core, id).await? {
            Intent::None => {}
            Intent::Abandoned => reconcile::sequence(core, id).await?,
            // Writes of that daemon may still reach the store. It waits for them before it reconciles; this
            // daemon cannot.
            Intent::Theirs if begin.elapsed() < TIMEOUT => {
                drop(everywhere);
                sleep(PAUSE).await;
                continue;
            }
            Intent::Theirs => {
                return Err(Error::StoreUnavailable("waiting for the change of another daemon".into()));
            }
        }
        return Ok(SequenceLock { _everywhere: everywhere, _here: here });
    }
}

/// A sequence, locked, with its row as it is under the lock.
pub async fn locked(core: &Engine, name: &SequenceName) -> Result<(SequenceLock, SequenceRow)> {
    loop {
        let id = core.catalog.sequence(name).await?.id;
        let lock = lock(core, id).await?;
        let row = core.catalog.sequence(name).await?;
        // Another sequence may have acquired the name in the meantime.
        if row.id == id {
            return Ok((lock, row));
        }
    }
}

/// Finishes removals and unanswered creations that still occupy the name. The caller holds the name lock.
pub async fn reconcile_name(core: &Engine, wanted: &SequenceName) -> Result<()> {
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
