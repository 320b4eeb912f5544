//! A daemon that owns a bucket checks every heartbeat whether it still does. If it does not, it is fenced:
//! puts and reads are interrupted, background work ends, and every call is refused with `ownership_lost`,
//! until the server exits a while later. See [`crate::access::owner`] for the protocol.
//!
//! Reads are refused too. The new owner moves sequences that are not finalized, so their files disappear
//! during a read; it deletes and compacts finalized ones; and a client that reads here would not see rows
//! that it records there.

use std::sync::Arc;

use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::state::engine::Engine;

/// Starts the heartbeat, if another daemon may take the store.
pub fn start(core: &Arc<Engine>) {
    if !core.store.fence().is_claimed() {
        return;
    }
    let [beating, fenced] = [Arc::clone(core), Arc::clone(core)];
    core.while_serving(async move { heartbeat(&beating).await });
    core.while_serving(async move {
        fenced.store.fence().lost().await;
        fenced.halting.cancel();
        fenced.stopping.cancel();
    });
}

async fn heartbeat(core: &Engine) {
    let period = core.config.ownership_heartbeat;
    let mut beats = interval_at(Instant::now() + period, period);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beats.tick().await;
        if let Err(error) = core.store.fence().verify().await {
            // Writes check ownership themselves, and fail until one of these reads succeeds.
            tracing::debug!(%error, "the owner of the bucket is not known now");
        }
    }
}
