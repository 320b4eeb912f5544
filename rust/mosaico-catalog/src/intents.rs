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
//! A daemon that has a local store for itself keeps the row of a sequence between its changes: see
//! [`crate::standing`].
//!
//! One exception: without a cluster, the chunker does not reconcile a chunk that the catalog missed. The WAL
//! segment stays until the catalog has the chunk, and the job is repeated; recovery finds its record.

use std::collections::HashSet;
use std::sync::Arc;

use mosaico_types::id::SequenceId;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::standing::User;

/// A change with a recorded intent that the catalog has still to apply. Dropping it leaves the sequence to be
/// reconciled with the store.
#[derive(Debug)]
#[must_use]
pub struct Change {
    pub(crate) intent: Option<ChangeIntent>,
    pub(crate) sequence: SequenceId,
    /// `None` once the catalog has applied it, or if the caller repeats it after a failure.
    open: Option<Arc<PendingIntents>>,
}

/// The intent of a change.
#[derive(Debug)]
pub(crate) enum ChangeIntent {
    /// Its own row.
    Row(i64),
    /// The row of all changes of the sequence.
    Standing(User),
}

impl Change {
    pub(crate) fn new(
        intent: ChangeIntent,
        sequence: SequenceId,
        pending_intents: &Arc<PendingIntents>,
    ) -> Self {
        Self { intent: Some(intent), sequence, open: Some(Arc::clone(pending_intents)) }
    }

    /// The same change, which the caller repeats if it fails.
    pub(crate) fn repeated(mut self) -> Self {
        self.open = None;
        self
    }

    /// Ends the change; returns its standing intent.
    pub(crate) fn done(mut self) -> Option<(SequenceId, User)> {
        self.open = None;
        match self.intent.take() {
            Some(ChangeIntent::Standing(user)) => Some((self.sequence, user)),
            Some(ChangeIntent::Row(_)) | None => None,
        }
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
