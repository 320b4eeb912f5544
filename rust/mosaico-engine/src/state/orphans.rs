//! Topics whose daemon is dead, and the wait before this daemon may adopt them: step 3 of the protocol in
//! [`super::lease`].

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use mosaico_storage::format::chunk_id::ChunkId;
use mosaico_types::id::TopicId;
use parking_lot::Mutex;

use super::clock::Clock;
use super::lease::WAIT;

/// The state of such a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// The lease that the daemon gets if it comes back.
    pub lease: String,
    /// The last segment of its replicated WAL, and the end of its rows.
    pub newest: Option<(ChunkId, u64)>,
}

/// What an observation says about a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Orphaned {
    /// Its daemon may still acknowledge rows.
    Wait,
    /// Its daemon wrote to the WAL during the wait.
    Alive,
    /// Its daemon acknowledges nothing more.
    Adopt,
}

/// The topics that wait.
#[derive(Debug)]
pub struct Orphans {
    clock: Arc<dyn Clock>,
    /// The last state of each, and since when it is the same.
    topics: Mutex<HashMap<TopicId, (Orphan, Duration)>>,
}

impl Orphans {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, topics: Mutex::default() }
    }

    /// Notes the state of a topic, whose daemon's lease was revoked before this call.
    pub fn observe(&self, topic: TopicId, orphan: Orphan) -> Orphaned {
        let now = self.clock.now();
        let mut topics = self.topics.lock();
        match topics.get(&topic) {
            Some((known, since)) if *known == orphan => {
                if now.saturating_sub(*since) >= WAIT {
                    Orphaned::Adopt
                } else {
                    Orphaned::Wait
                }
            }
            known => {
                let wrote = known.is_some_and(|(known, _)| known.lease == orphan.lease);
                topics.insert(topic, (orphan, now));
                if wrote { Orphaned::Alive } else { Orphaned::Wait }
            }
        }
    }

    /// Forgets a topic that has a daemon.
    pub fn forget(&self, topic: TopicId) {
        self.topics.lock().remove(&topic);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::clock::ManualClock;

    #[test]
    fn a_topic_is_adopted_after_a_wait_without_signs_of_life() {
        let clock = Arc::new(ManualClock::default());
        let orphans = Orphans::new(Arc::<ManualClock>::clone(&clock));
        let topic = TopicId::generate();
        let observe = |lease: &str, rows| {
            let newest = Some((ChunkId::first(0), rows));
            orphans.observe(topic, Orphan { lease: lease.to_owned(), newest })
        };
        let almost = WAIT - Duration::from_secs(1);
        assert_eq!(observe("a", 4), Orphaned::Wait);
        clock.advance(almost);
        assert_eq!(observe("a", 8), Orphaned::Alive, "an object arrived");
        clock.advance(almost);
        assert_eq!(observe("b", 8), Orphaned::Wait, "it came back and is dead again");
        clock.advance(almost);
        assert_eq!(observe("b", 8), Orphaned::Wait);
        clock.advance(Duration::from_secs(1));
        assert_eq!(observe("b", 8), Orphaned::Adopt);
        orphans.forget(topic);
        assert_eq!(observe("b", 8), Orphaned::Wait);
    }
}
