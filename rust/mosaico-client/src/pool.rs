//! The connections of a client: one for control calls, a few for data.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use arrow_flight::flight_service_client::FlightServiceClient;
use mosaico_types::ErrorKind;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

use crate::call_layer::Named;
use crate::connection::{Connection, Target};
use crate::error::{Error, Result};

/// A Flight client over a channel of this crate.
pub(crate) type Flight = FlightServiceClient<Named>;

/// The largest answer of a call without rows.
const LARGEST_ANSWER: usize = 128 << 20;

/// Maximum of long-lived calls on one connection; servers refuse more than 100 to 200.
const STREAMS_PER_CONNECTION: usize = 64;

/// A client with several addresses checks whether a daemon is alive when an answer takes this long, and again
/// after each such time.
const CHECK_AFTER: Duration = Duration::from_secs(5);

/// Time for the answer to that check. A slow network may be busy with rows.
const CHECK_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client waits.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For a connection and its first answer.
    pub connect: Duration,
    /// For the answer of a call, and for the next rows of a read that does not follow a recording.
    pub answer: Duration,
}

/// What a connection is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// Short calls, all over one connection.
    Control,
    /// A stream of rows. Each gets a connection of its own up to a limit; further ones share the least busy one.
    Data,
}

/// The open connections of a client.
pub(crate) struct Pool {
    target: Target,
    timeouts: Timeouts,
    size: usize,
    /// The daemon returns request IDs.
    names: Arc<AtomicBool>,
    control: Mutex<Option<Pooled>>,
    data: Mutex<Vec<Pooled>>,
}

struct Pooled {
    connection: Connection,
    /// One clone per call in progress.
    calls: Arc<()>,
}

/// A connection in use; dropping it releases its place.
pub(crate) struct Lease {
    pub(crate) flight: Flight,
    connection: Connection,
    /// The time between two checks that the daemon is alive; `None`: there is no other address.
    check_after: Option<Duration>,
    _call: Arc<()>,
}

impl Pool {
    pub(crate) fn new(target: Target, timeouts: Timeouts) -> Self {
        let size = std::thread::available_parallelism().map_or(2, |cores| cores.get().clamp(2, 8));
        Self {
            target,
            timeouts,
            size,
            names: Arc::default(),
            control: Mutex::default(),
            data: Mutex::default(),
        }
    }

    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    pub(crate) fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    /// A connection that is usable as far as is known; opens one if there is none.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] if no address serves.
    pub(crate) async fn lease(&self, purpose: Use) -> Result<Lease> {
        self.lease_within(purpose, self.timeouts.connect).await
    }

    pub(crate) async fn lease_within(&self, purpose: Use, limit: Duration) -> Result<Lease> {
        if let Some(lease) = self.idle(purpose) {
            return Ok(lease);
        }
        let connection = self.target.connect(limit, &self.names).await?;
        let pooled = Pooled { connection, calls: Arc::new(()) };
        let lease = self.of(&pooled);
        match purpose {
            Use::Control => *self.control.lock() = Some(pooled),
            Use::Data => self.data.lock().push(pooled),
        }
        Ok(lease)
    }

    fn of(&self, pooled: &Pooled) -> Lease {
        let connection = pooled.connection.clone();
        let flight = Flight::new(connection.channel.clone())
            .max_decoding_message_size(LARGEST_ANSWER)
            .max_encoding_message_size(usize::MAX);
        let check_after = (self.target.addresses() > 1).then_some(CHECK_AFTER);
        Lease { flight, connection, check_after, _call: Arc::clone(&pooled.calls) }
    }

    /// A connection that is open already, unless a new one is due.
    fn idle(&self, purpose: Use) -> Option<Lease> {
        if purpose == Use::Control {
            let control = self.control.lock();
            return control.as_ref().filter(|pooled| pooled.is_usable()).map(|pooled| self.of(pooled));
        }
        let mut open = self.data.lock();
        // Their calls in progress keep them open.
        open.retain(Pooled::is_usable);
        let least = open.iter().min_by_key(|pooled| pooled.load())?;
        let due = least.load() > 0 && open.len() < self.size;
        (!due && least.load() < STREAMS_PER_CONNECTION).then(|| self.of(least))
    }
}

impl Pooled {
    fn is_usable(&self) -> bool {
        self.connection.health.is_usable()
    }

    fn load(&self) -> usize {
        Arc::strong_count(&self.calls) - 1
    }
}

impl Lease {
    /// The daemon does not serve: the next lease is one of another address, if there is one.
    pub(crate) fn failed(&self) {
        self.connection.health.broke();
        self.connection.health.failed();
    }

    /// Waits for an answer, for `limit` at most. If it takes long and there are other addresses, checks meanwhile
    /// that the daemon is alive.
    ///
    /// # Errors
    /// That of the answer; [`ErrorKind::Deadline`]; [`ErrorKind::Unavailable`] if the daemon does not respond.
    pub(crate) async fn answered<T>(
        &self,
        limit: Option<Duration>,
        answer: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let mut answer = pin!(answer);
        let end = limit.map(|limit| (limit, Instant::now() + limit));
        loop {
            let left = end.map(|(_, end)| end.saturating_duration_since(Instant::now()));
            let pause = [left, self.check_after].into_iter().flatten().min();
            let Some(pause) = pause else { return answer.await };
            if let Ok(answer) = timeout(pause, &mut answer).await {
                return answer;
            }
            if let Some((limit, end)) = end
                && Instant::now() >= end
            {
                self.failed();
                return Err(late(limit));
            }
            if self.check_after.is_some() {
                tokio::select! {
                    biased;
                    answer = &mut answer => return answer,
                    alive = self.check() => alive?,
                }
            }
        }
    }

    /// The time after which to check that the daemon is alive; `None`: there is no other address.
    pub(crate) fn check_after(&self) -> Option<Duration> {
        self.check_after
    }

    /// Checks that the daemon is alive.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`]; the next lease is one of another address.
    pub(crate) async fn check(&self) -> Result<()> {
        self.connection.check(CHECK_TIMEOUT).await
    }
}

/// The error of a call without an answer.
pub(crate) fn late(limit: Duration) -> Error {
    let seconds = limit.as_secs_f64();
    let message =
        format!("the daemon did not answer within {seconds} s; try again, or wait longer (answer_timeout_s)");
    Error::new(ErrorKind::Deadline, message)
}
