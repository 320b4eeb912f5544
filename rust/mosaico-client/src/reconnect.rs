//! Retries of connections to a daemon that is away: how often, and for how long.

use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// Jitter makes a pause up to twice as long, so that the clients of a restarting daemon do not all return at
/// once.
const BACKOFF: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(30))
    .with_max_delay(Duration::from_millis(500))
    .with_jitter()
    .without_max_times();

/// Attempts to reach a daemon again, from its loss until the reconnect timeout is over.
#[derive(Debug)]
pub(crate) struct Reconnect {
    lost: Instant,
    timeout: Duration,
    pauses: ExponentialBackoff,
}

impl Reconnect {
    /// A `timeout` of zero allows no further attempt.
    pub(crate) fn new(timeout: Duration) -> Self {
        Self { lost: Instant::now(), timeout, pauses: BACKOFF.build() }
    }

    /// Pauses before the next attempt, for as long as the daemon asked for if it did. Returns the time that remains
    /// for the attempt; `None` if the timeout is over, or would be.
    pub(crate) async fn pause(&mut self, asked: Option<Duration>) -> Option<Duration> {
        let asked = asked.unwrap_or_default();
        let left = self.left().filter(|left| asked <= *left)?;
        tokio::time::sleep(self.pauses.next().unwrap_or(left).min(left).max(asked)).await;
        Some(self.left().unwrap_or_default())
    }

    /// Time since the daemon was lost.
    pub(crate) fn elapsed(&self) -> Duration {
        self.lost.elapsed()
    }

    fn left(&self) -> Option<Duration> {
        self.timeout.checked_sub(self.lost.elapsed()).filter(|left| !left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn attempts_end_with_the_timeout() {
        let timeout = Duration::from_millis(200);
        let mut reconnect = Reconnect::new(timeout);
        let mut attempts = 0;
        while let Some(left) = reconnect.pause(None).await {
            assert!(left < timeout);
            attempts += 1;
        }
        assert!((2..=7).contains(&attempts), "{attempts} attempts");
        assert!(reconnect.elapsed() >= timeout);
        assert!(Reconnect::new(Duration::ZERO).pause(None).await.is_none());
    }

    #[tokio::test]
    async fn the_pause_that_the_daemon_asks_for_is_kept() {
        let mut reconnect = Reconnect::new(Duration::from_secs(5));
        let asked = Duration::from_millis(700);
        assert!(reconnect.pause(Some(asked)).await.is_some());
        assert!(reconnect.elapsed() >= asked);
        let begun = Instant::now();
        assert!(reconnect.pause(Some(Duration::from_secs(60))).await.is_none(), "longer than the timeout");
        assert!(begun.elapsed() < asked, "then it does not wait");
    }
}
