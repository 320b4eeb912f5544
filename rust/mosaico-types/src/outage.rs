use std::time::{Duration, Instant};

/// Pause after the first failed attempt; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Whether a peer is out of service, and until when it is avoided, so that calls do not wait for it one after
/// the other.
///
/// After a failed attempt the peer is avoided for a pause. Then one caller probes it: [`Self::claim`] reserves
/// the attempt, and the peer stays avoided by all others until the probe ends. The time is an argument; nothing
/// here waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outage {
    /// Failed attempts since the peer was last reached.
    failures: u32,
    avoided_until: Option<Instant>,
    /// One caller has claimed the next attempt.
    probed: bool,
}

impl Outage {
    /// Whether the peer is to be avoided.
    pub fn is_avoided(&self, now: Instant) -> bool {
        self.avoided_until.is_some_and(|until| now < until)
    }

    /// When the peer may be tried again; `None`: no attempt has failed since it was last reached.
    pub fn avoided_until(&self) -> Option<Instant> {
        self.avoided_until
    }

    /// Reserves an attempt that takes `limit` at most. Returns whether the caller may make it.
    pub fn claim(&mut self, now: Instant, limit: Duration) -> bool {
        if self.is_avoided(now) {
            return false;
        }
        if self.failures > 0 {
            (self.avoided_until, self.probed) = (Some(now + limit), true);
        }
        true
    }

    /// An attempt failed. Attempts that began before the pause count as the one that began it.
    pub fn failed(&mut self, now: Instant) {
        let probed = std::mem::take(&mut self.probed);
        if self.is_avoided(now) && !probed {
            return;
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(16)).min(LONGEST_PAUSE);
        self.failures = self.failures.saturating_add(1);
        self.avoided_until = Some(now + pause);
    }

    /// The peer was reached.
    pub fn ended(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    #[test]
    fn pauses_double_and_one_caller_probes() {
        let mut now = Instant::now();
        let mut outage = Outage::default();
        assert!(outage.claim(now, LIMIT) && outage.claim(now, LIMIT), "nothing is known: all may try");
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            outage.failed(now);
            outage.failed(now);
            now += Duration::from_secs(seconds) - Duration::from_millis(1);
            assert!(outage.is_avoided(now) && !outage.claim(now, LIMIT), "{seconds} s");
            now += Duration::from_millis(1);
            assert!(outage.claim(now, LIMIT), "{seconds} s");
            assert!(!outage.claim(now, LIMIT), "another caller probes it");
        }
        outage.ended();
        assert!(!outage.is_avoided(now));
        outage.failed(now);
        assert!(!outage.is_avoided(now + FIRST_PAUSE), "the pauses begin again");
    }

    #[test]
    fn a_probe_that_was_dropped_blocks_nobody_for_long() {
        let mut outage = Outage::default();
        let now = Instant::now();
        outage.failed(now);
        assert!(outage.claim(now + FIRST_PAUSE, LIMIT));
        assert!(!outage.claim(now + FIRST_PAUSE + LIMIT / 2, LIMIT));
        assert!(outage.claim(now + FIRST_PAUSE + LIMIT, LIMIT));
    }
}
