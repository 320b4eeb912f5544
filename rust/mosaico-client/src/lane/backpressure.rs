//! Backpressure: `push` waits while the byte budget of its lane is used up.

use std::time::Duration;

use super::Lane;
use crate::error::Result;

/// Rows are spilled to disk, if allowed, after they waited this long for memory.
const SPILL_AFTER: Duration = Duration::from_millis(100);

impl Lane {
    /// Waits until the queue is below its limit.
    ///
    /// # Errors
    /// The error that ended the lane.
    pub async fn room(&self) -> Result<()> {
        let budget = &self.shared.config.budget;
        let room = || self.wait(|progress| progress.queued_bytes <= budget.share() / 2);
        if budget.spill.is_some() {
            loop {
                // Before the attempt: rows in a stream that breaks meanwhile can be spilled by the next one.
                let mut released = std::pin::pin!(self.shared.outbox.released());
                released.as_mut().enable();
                if let Ok(ended) = tokio::time::timeout(SPILL_AFTER, room()).await {
                    return ended;
                }
                let spilled = self.shared.outbox.spill().await;
                self.shared.count_queued();
                match spilled {
                    Ok(true) => {}
                    Ok(false) => tokio::select! {
                        ended = room() => return ended,
                        () = released => {}
                    },
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
