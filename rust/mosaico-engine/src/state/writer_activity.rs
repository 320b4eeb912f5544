//! Activity of the writers of open sequences.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use mosaico_types::id::SequenceId;
use parking_lot::Mutex;

/// Time of the last activity of a sequence's writer. A start counts as activity of all writers.
#[derive(Debug, Default)]
pub struct Writers(Mutex<HashMap<SequenceId, Instant>>);

impl Writers {
    /// Records activity of the writer.
    pub fn record_activity(&self, sequence: SequenceId) {
        self.0.lock().insert(sequence, Instant::now());
    }

    /// Forgets a sequence that is not written any more.
    pub fn forget(&self, sequence: SequenceId) {
        self.0.lock().remove(&sequence);
    }

    /// How long the writer has been inactive.
    pub fn silence(&self, sequence: SequenceId) -> Duration {
        self.0.lock().entry(sequence).or_insert_with(Instant::now).elapsed()
    }

    /// Keeps open sequences only.
    pub fn retain(&self, open: &HashSet<SequenceId>) {
        self.0.lock().retain(|id, _| open.contains(id));
    }

    /// All writers, and how long each has been inactive.
    pub fn inactivity(&self) -> Vec<(SequenceId, Duration)> {
        self.0.lock().iter().map(|(&id, at)| (id, at.elapsed())).collect()
    }
}
