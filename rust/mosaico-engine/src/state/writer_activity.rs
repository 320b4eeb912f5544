//! Signs of life of the writers of open sequences.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use mosaico_types::id::SequenceId;
use parking_lot::Mutex;

/// When something was last heard of the writer of a sequence. A start counts as hearing of all of them.
#[derive(Debug, Default)]
pub struct Writers(Mutex<HashMap<SequenceId, Instant>>);

impl Writers {
    /// The writer is there.
    pub fn record_activity(&self, sequence: SequenceId) {
        self.0.lock().insert(sequence, Instant::now());
    }

    /// The sequence is not written any more.
    pub fn forget(&self, sequence: SequenceId) {
        self.0.lock().remove(&sequence);
    }

    /// How long nothing was heard of the writer.
    pub fn silence(&self, sequence: SequenceId) -> Duration {
        self.0.lock().entry(sequence).or_insert_with(Instant::now).elapsed()
    }

    /// Keeps those of open sequences only.
    pub fn retain(&self, open: &HashSet<SequenceId>) {
        self.0.lock().retain(|id, _| open.contains(id));
    }

    /// All of them, and how long ago each was heard of.
    pub fn heard(&self) -> Vec<(SequenceId, Duration)> {
        self.0.lock().iter().map(|(&id, at)| (id, at.elapsed())).collect()
    }
}
