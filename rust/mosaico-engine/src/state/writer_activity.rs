//! Activity of the writers of open sequences.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use mosaico_types::id::SequenceId;
use parking_lot::Mutex;

use super::clock::Clock;

/// Time of the last activity of a sequence's writer. A start counts as activity of all writers.
#[derive(Debug)]
pub struct Writers {
    clock: Arc<dyn Clock>,
    last: Mutex<HashMap<SequenceId, Duration>>,
}

impl Writers {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, last: Mutex::default() }
    }

    /// Records activity of the writer.
    pub fn record_activity(&self, sequence: SequenceId) {
        self.last.lock().insert(sequence, self.clock.now());
    }

    /// Forgets a sequence that is not written any more.
    pub fn forget(&self, sequence: SequenceId) {
        self.last.lock().remove(&sequence);
    }

    /// How long the writer has been inactive.
    pub fn silence(&self, sequence: SequenceId) -> Duration {
        let now = self.clock.now();
        now.saturating_sub(*self.last.lock().entry(sequence).or_insert(now))
    }

    /// Keeps open sequences only.
    pub fn retain(&self, open: &HashSet<SequenceId>) {
        self.last.lock().retain(|id, _| open.contains(id));
    }

    /// All writers, and how long each has been inactive.
    pub fn inactivity(&self) -> Vec<(SequenceId, Duration)> {
        let now = self.clock.now();
        self.last.lock().iter().map(|(&id, &at)| (id, now.saturating_sub(at))).collect()
    }
}
