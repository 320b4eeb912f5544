//! The bytes that the lanes of a recording may hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::spill::SpillConfig;

/// Bytes that the lanes of one recording may hold: each lane has an equal share, so that memory is bounded
/// whatever their number, and a slow lane never takes the room of another.
#[derive(Debug, Clone)]
pub struct LaneBudget {
    bytes: usize,
    pub(super) lanes: Arc<AtomicUsize>,
    pub(super) spill: Option<SpillConfig>,
}

impl LaneBudget {
    /// A budget of `bytes` in memory, and of what `spill` says on disk, for all lanes that are opened with it.
    pub fn new(bytes: usize, spill: Option<SpillConfig>) -> Self {
        Self { bytes, lanes: Arc::new(AtomicUsize::new(0)), spill }
    }

    /// What one lane may hold now.
    pub(super) fn share(&self) -> usize {
        self.bytes / self.lanes.load(Ordering::Relaxed).max(1)
    }
}
