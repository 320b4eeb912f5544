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

    /// Pauses before the next attempt. Returns the time that remains for it; `None` if the timeout is over.
    pub(crate) async fn pause(&mut self) -> Option<Duration> {
        let left = self.left()?;
        tokio::time::sleep(self.pauses.next().unwrap_or(left).min(left)).await;
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
        while let Some(left) = reconnect.pause().await {
            assert!(left < timeout);
            attempts += 1;
        }
        assert!((2..=7).contains(&attempts), "{attempts} attempts");
        assert!(reconnect.elapsed() >= timeout);
        assert!(Reconnect::new(Duration::ZERO).pause().await.is_none());
    }
}
