//! Intents: a change is recorded as pending before it reaches the store, and reconciled if it does not reach
//! the catalog.
//!
//! Store and catalog have no common transaction, so every change of a sequence's records takes three steps,
//! under the sequence lock:
//!
//! 1. `catalog.begin(sequence)` inserts a durable row into table `pending`: the intent. It returns a
//!    [`Change`].
//! 2. The caller writes the change to the store, which is authoritative.
//! 3. A catalog call (`sequence_created`, `topic_schema` …) applies the change and deletes the intent's row
//!    in one transaction, and marks the [`Change`] as done.
//!
//! If step 2 or 3 fails, or the call is cancelled, the dropped [`Change`] adds the sequence to [`PendingIntents`],
//! and its row stays. It is then unknown whether the store has the change. The next task that locks the
//! sequence, or the background, reads the store's records and makes the catalog agree with them
//! (`reconcile::sequence`); only then is the sequence used. After a crash the row alone remains: the next start
//! reconciles it or, among several daemons, the others do once they consider the daemon dead. A live daemon
//! reconciles its own intents, because its writes may still reach the store.
//!
//! One exception: without a cluster, the chunker records a chunk without an intent. The WAL segment stays
//! until the catalog has the chunk, and recovery finds a chunk record that the catalog missed.

use std::collections::HashSet;
use std::sync::Arc;

use mosaico_types::id::SequenceId;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// A change with a recorded intent that the catalog has still to apply. Dropping it leaves the sequence to be
/// reconciled with the store.
#[derive(Debug)]
#[must_use]
pub struct Change {
    pub row: i64,
    pub sequence: SequenceId,
    /// `None` once the catalog has applied it.
    open: Option<Arc<PendingIntents>>,
}

impl Change {
    pub fn new(row: i64, sequence: SequenceId, pending_intents: &Arc<PendingIntents>) -> Self {
        Self { row, sequence, open: Some(Arc::clone(pending_intents)) }
    }

    pub fn done(mut self) {
        self.open = None;
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        if let Some(pending_intents) = self.open.take() {
            pending_intents.add(self.sequence);
        }
    }
}

/// Sequences whose records in the store may be ahead of the catalog. The database has their intents in table
/// `pending`.
#[derive(Debug, Default)]
pub struct PendingIntents {
    sequences: Mutex<HashSet<SequenceId>>,
    added: Notify,
}

impl PendingIntents {
    /// Marks a sequence as having a change that the catalog has not applied.
    pub fn add(&self, sequence: SequenceId) {
        self.sequences.lock().insert(sequence);
        self.added.notify_one();
    }

    pub fn remove(&self, sequence: SequenceId) {
        self.sequences.lock().remove(&sequence);
    }

    /// Whether the sequence must be reconciled before it is used.
    pub fn contains(&self, sequence: SequenceId) -> bool {
        self.sequences.lock().contains(&sequence)
    }

    /// All these sequences.
    pub fn all(&self) -> Vec<SequenceId> {
        self.sequences.lock().iter().copied().collect()
    }

    /// Waits until a sequence has been added since the last call.
    pub async fn added(&self) {
        self.added.notified().await;
    }
}
