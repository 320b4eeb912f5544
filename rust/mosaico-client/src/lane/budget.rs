//! Backpressure: the bytes that the lanes of a recording may hold, and the wait for room in them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::{Lane, SpillConfig};
use crate::Result;

/// Rows go to disk, where that is allowed, when they found no room in memory for so long.
const SPILL_AFTER: Duration = Duration::from_millis(100);

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

impl Lane {
    /// Waits until the queue is below its limit.
    ///
    /// # Errors
    /// What ended the lane.
    pub async fn room(&self) -> Result<()> {
        let budget = &self.shared.config.budget;
        let room = || self.wait(|progress| progress.queued_bytes <= budget.share() / 2);
        if budget.spill.is_some() {
            while tokio::time::timeout(SPILL_AFTER, room()).await.is_err() {
                let spilled = self.shared.outbox.spill().await;
                self.shared.count_queued();
                match spilled {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => {
                        self.shared.notice(error.message);
                        break;
                    }
                }
            }
        }
        room().await
    }
}
