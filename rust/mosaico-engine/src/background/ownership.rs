//! A daemon that has a bucket for itself looks every heartbeat whether it still does. If it does not, it is fenced: puts
//! and reads are cut short, background work ends, and every call is refused with `ownership_lost`, until the server ends
//! a while later. The protocol stands in `store/owner.rs`.
//!
//! Reads are refused too. The new owner moves what is not finalized, so files vanish below them; it deletes and compacts
//! what is; and a client that reads here would not see what it records there.

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
            // Writes look for themselves, and fail until one of these succeeds.
            tracing::debug!(%error, "the owner of the bucket is not known now");
        }
    }
}
