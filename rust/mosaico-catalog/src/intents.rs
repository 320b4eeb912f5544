//! Changes that are announced before they go to the store, and those that did not reach the catalog.

use std::collections::HashSet;
use std::sync::Arc;

use mosaico_types::id::SequenceId;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// A change that was announced and has to be taken over. Dropping it leaves the sequence unsettled: the store has to
/// be asked what became of it.
#[derive(Debug)]
#[must_use]
pub struct Change {
    pub row: i64,
    sequence: SequenceId,
    /// `None` once the catalog has it.
    open: Option<Arc<Unsettled>>,
}

impl Change {
    pub fn new(row: i64, sequence: SequenceId, unsettled: &Arc<Unsettled>) -> Self {
        Self { row, sequence, open: Some(Arc::clone(unsettled)) }
    }

    pub fn done(mut self) {
        self.open = None;
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        if let Some(unsettled) = self.open.take() {
            unsettled.add(self.sequence);
        }
    }
}

/// Sequences whose records may say more than the catalog. In the file they are the announcements that stayed.
#[derive(Debug, Default)]
pub struct Unsettled {
    sequences: Mutex<HashSet<SequenceId>>,
    added: Notify,
}

impl Unsettled {
    /// Something about the sequence was not taken over.
    pub fn add(&self, sequence: SequenceId) {
        self.sequences.lock().insert(sequence);
        self.added.notify_one();
    }

    pub fn remove(&self, sequence: SequenceId) {
        self.sequences.lock().remove(&sequence);
    }

    /// Whether the sequence has to be settled before it is used.
    pub fn contains(&self, sequence: SequenceId) -> bool {
        self.sequences.lock().contains(&sequence)
    }

    /// All of them.
    pub fn all(&self) -> Vec<SequenceId> {
        self.sequences.lock().iter().copied().collect()
    }

    /// Waits until one was added since the last call.
    pub async fn added(&self) {
        self.added.notified().await;
    }
}
