//! The byte budget of a recording's lanes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::spill::SpillConfig;

/// The byte budget of one recording's lanes. Each lane has an equal share, so memory is bounded for any
/// number of lanes, and a slow lane never uses the share of another.
#[derive(Debug, Clone)]
pub struct LaneBudget {
    bytes: usize,
    pub(super) lanes: Arc<AtomicUsize>,
    pub(super) spill: Option<SpillConfig>,
}

impl LaneBudget {
    /// A budget of `bytes` in memory, and of `spill` on disk, for all lanes that are opened with it.
    pub fn new(bytes: usize, spill: Option<SpillConfig>) -> Self {
        Self { bytes, lanes: Arc::new(AtomicUsize::new(0)), spill }
    }

    /// The current share of one lane.
    pub(super) fn share(&self) -> usize {
        self.bytes / self.lanes.load(Ordering::Relaxed).max(1)
    }
}
