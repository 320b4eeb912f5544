//! The time by which a daemon decides what has expired: writers, and unreferenced files.

use std::fmt::Debug;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::time::Instant;

/// A source of time. Tests move theirs forward instead of waiting.
#[async_trait]
pub trait Clock: Debug + Send + Sync {
    /// The time since some moment before the engine was opened. It never goes back.
    fn now(&self) -> Duration;

    /// The wall clock. It may jump, so it only ever shortens what the monotonic clock permits: a lease of a machine that
    /// slept. No file is deleted and no writer expires by it.
    fn wall(&self) -> SystemTime;

    /// Waits until [`Self::now`] is at least `time`.
    async fn sleep_until(&self, time: Duration);
}

/// The clock of the machine.
#[derive(Debug)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    async fn sleep_until(&self, time: Duration) {
        match self.0.checked_add(time) {
            Some(at) => tokio::time::sleep_until(at).await,
            None => std::future::pending().await,
        }
    }
}

/// A clock that stands still until a test moves it forward.
#[derive(Debug)]
pub struct ManualClock {
    begin: SystemTime,
    now: watch::Sender<Duration>,
}

impl Default for ManualClock {
    fn default() -> Self {
        Self { begin: SystemTime::now(), now: watch::Sender::default() }
    }
}

impl ManualClock {
    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.now.send_modify(|now| *now += by);
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Duration {
        *self.now.borrow()
    }

    fn wall(&self) -> SystemTime {
        self.begin + self.now()
    }

    async fn sleep_until(&self, time: Duration) {
        // An error means that nobody can move the clock any more.
        if self.now.subscribe().wait_for(|now| *now >= time).await.is_err() {
            std::future::pending().await
        }
    }
}

/// Ticks of a fixed period by a clock. A missed tick is not made up for.
#[derive(Debug)]
pub struct Ticks {
    next: Duration,
    period: Duration,
}

impl Ticks {
    /// The first tick is `first` from now.
    pub fn new(clock: &dyn Clock, first: Duration, period: Duration) -> Self {
        Self { next: clock.now().saturating_add(first), period }
    }

    /// Waits for the next tick. Cancelling it loses none.
    pub async fn tick(&mut self, clock: &dyn Clock) {
        clock.sleep_until(self.next).await;
        self.next = clock.now().saturating_add(self.period);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_manual_clock_moves_by_hand() {
        let clock = ManualClock::default();
        let wall = clock.wall();
        let mut ticks = Ticks::new(&clock, Duration::from_secs(1), Duration::from_secs(10));
        assert!(ticks.tick(&clock).now_or_never().is_none());
        clock.advance(Duration::from_secs(35));
        assert!(ticks.tick(&clock).now_or_never().is_some());
        assert!(ticks.tick(&clock).now_or_never().is_none(), "missed ticks are skipped");
        clock.advance(Duration::from_secs(10));
        assert!(ticks.tick(&clock).now_or_never().is_some());
        assert_eq!(clock.wall(), wall + Duration::from_secs(45));
    }

    #[tokio::test]
    async fn the_system_clock_waits_for_its_time() {
        let clock = SystemClock::default();
        let at = clock.now() + Duration::from_millis(5);
        clock.sleep_until(at).await;
        assert!(clock.now() >= at);
        assert!(clock.sleep_until(Duration::MAX).now_or_never().is_none());
    }
}
