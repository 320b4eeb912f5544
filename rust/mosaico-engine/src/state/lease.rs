//! The lease under which a daemon of a cluster acknowledges rows of a replicated WAL.
//!
//! A daemon that does not reach the database is considered dead by the others, although it may still receive
//! rows and write them to the bucket. When their writer is considered gone too, another daemon adopts the topic:
//! it reads the WAL in the bucket, begins the next writer epoch and ends the sequence. No row may be
//! acknowledged by the former daemon after that reading. No message between the two is needed:
//!
//! 1. Each heartbeat that the database confirms grants the daemon a lease of [`TERM`], counted from the moment
//!    before the heartbeat was sent. The database names the lease by an id, which stays the same from heartbeat
//!    to heartbeat until another daemon revokes the lease.
//! 2. A put remembers the id of the lease when it begins, under the lock of the sequence. An acknowledgement
//!    needs a valid lease with this id, checked *after* the WAL object is in the bucket ([`Lease::confirm`]).
//!    Without a valid lease the acknowledgement waits for the next heartbeat, at most [`LIMIT`]. If the lease
//!    has another id then, or still none, the put fails with `store_unavailable`, and its writer resumes, here
//!    or at another daemon.
//! 3. A daemon that wants to adopt a topic revokes the lease of the topic's daemon in the database, which is
//!    possible once that daemon has sent no heartbeat for ten seconds. Then it waits [`WAIT`] from the database's
//!    answer on. Only then, and only if the daemon has sent no heartbeat in between, it takes the topic over,
//!    under the lock of the sequence.
//!
//! So each acknowledged row is in the bucket before the adopting daemon reads it: a heartbeat that preceded the
//! revocation grants a lease that ends within the wait; one that follows it has another id, by which no earlier
//! put may acknowledge; and a put that begins later needs the lock of the sequence, and finds the new epoch. An
//! acknowledgement that was decided in time and sent late is harmless, since its object is in the bucket.
//!
//! A writer that resumes at another daemon does not need this protocol: it sends again what was not
//! acknowledged to *it*, so acknowledgements of the former daemon do not reach it any more. Nor does a WAL on
//! disk: another daemon cannot adopt rows that only that disk has.
//!
//! Nobody ends a writer that is alive. A daemon without the database writes a heartbeat with its active writers
//! to the bucket; the leader looks at the heartbeats of silent daemons, and each change of one counts as
//! activity of these writers (`coordinator/store_heartbeats.rs`). The newest WAL object of a topic counts too: if
//! it changes during the wait, the wait begins again.
//!
//! Clocks: the lease and the wait are measured on the monotonic clocks of two machines, whose speeds may differ
//! by a fifth. The lease also ends by the wall clock, since a monotonic clock may stop while a machine is
//! suspended. Clocks are never compared between machines: if the clock of the database jumps, daemons are
//! considered dead too early, and lose their leases by step 3 all the same.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use mosaico_storage::error::{Error, Result};
use tokio::select;
use tokio::sync::watch;

use super::clock::Clock;

/// How long a heartbeat grants the lease.
const TERM: Duration = Duration::from_secs(8);

/// How long a daemon waits between the revocation of a lease and the adoption of topics.
pub const WAIT: Duration = Duration::from_secs(10);

/// How long an acknowledgement waits for a valid lease.
const LIMIT: Duration = Duration::from_secs(5);

/// Names a lease, until another daemon revokes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseId(String);

/// A moment on two clocks, see the head comment.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    steady: Duration,
    wall: SystemTime,
}

#[derive(Debug, Clone)]
struct Grant {
    id: LeaseId,
    since: Moment,
}

/// The lease of this daemon.
#[derive(Debug)]
pub struct Lease {
    clock: Arc<dyn Clock>,
    granted: watch::Sender<Option<Grant>>,
}

impl Lease {
    /// No lease yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, granted: watch::Sender::default() }
    }

    /// Now; taken before a heartbeat is sent.
    pub fn now(&self) -> Moment {
        Moment { steady: self.clock.now(), wall: self.clock.wall() }
    }

    /// The database confirmed a heartbeat that was sent after `sent`, and named the lease.
    pub fn grant(&self, id: String, sent: Moment) {
        let id = LeaseId(id);
        let former = self.granted.send_replace(Some(Grant { id: id.clone(), since: sent }));
        if former.is_some_and(|former| former.id != id) {
            tracing::warn!(
                "other daemons considered this one dead; its writers resume, in case their topics were taken over"
            );
        }
    }

    /// The id of the lease, even if it has expired.
    pub fn id(&self) -> Option<LeaseId> {
        self.granted.borrow().as_ref().map(|grant| grant.id.clone())
    }

    /// The time since the last confirmed heartbeat was sent.
    pub fn age(&self) -> Duration {
        self.granted.borrow().as_ref().map_or(Duration::MAX, |grant| self.since(grant.since))
    }

    fn since(&self, moment: Moment) -> Duration {
        let steady = self.clock.now().saturating_sub(moment.steady);
        // A wall clock that was set back counts as zero.
        steady.max(self.clock.wall().duration_since(moment.wall).unwrap_or_default())
    }

    /// Fails if the daemon has no valid lease now.
    pub fn check(&self) -> Result<()> {
        if self.age() < TERM { Ok(()) } else { Err(expired()) }
    }

    /// Returns once the lease `id` is valid, see the head comment.
    pub async fn confirm(&self, id: &LeaseId) -> Result<()> {
        let mut granted = self.granted.subscribe();
        let limit = self.clock.now().saturating_add(LIMIT);
        loop {
            if granted.borrow_and_update().as_ref().is_some_and(|grant| grant.id != *id) {
                return Err(Error::StoreUnavailable(
                    "acknowledging rows under a lease that another daemon revoked".into(),
                ));
            }
            if self.check().is_ok() {
                return Ok(());
            }
            select! {
                changed = granted.changed() => changed.map_err(|_| expired())?,
                () = self.clock.sleep_until(limit) => return Err(expired()),
            }
        }
    }
}

fn expired() -> Error {
    Error::StoreUnavailable("sending heartbeats to the database".into())
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::state::clock::ManualClock;

    fn lease() -> (Arc<ManualClock>, Lease) {
        let clock = Arc::new(ManualClock::default());
        let lease = Lease::new(Arc::<ManualClock>::clone(&clock));
        (clock, lease)
    }

    #[tokio::test]
    async fn a_lease_counts_from_before_its_heartbeat() {
        let (clock, lease) = lease();
        assert!(lease.check().is_err() && lease.id().is_none());
        let sent = lease.now();
        clock.advance(TERM - Duration::from_secs(1));
        lease.grant("a".into(), sent);
        let id = lease.id().expect("a lease");
        assert!(lease.confirm(&id).now_or_never().expect("no wait").is_ok());
        clock.advance(Duration::from_secs(1));
        assert!(lease.check().is_err());
    }

    #[tokio::test]
    async fn an_acknowledgement_waits_for_the_next_heartbeat() {
        let (clock, lease) = lease();
        lease.grant("a".into(), lease.now());
        let id = lease.id().expect("a lease");
        clock.advance(TERM);
        let mut confirmed = Box::pin(lease.confirm(&id));
        assert!((&mut confirmed).now_or_never().is_none());
        lease.grant("a".into(), lease.now());
        assert!(confirmed.await.is_ok(), "the same lease");
        clock.advance(TERM);
        let mut confirmed = Box::pin(lease.confirm(&id));
        assert!((&mut confirmed).now_or_never().is_none());
        clock.advance(LIMIT);
        assert!(confirmed.await.is_err(), "its writer moves on");
    }

    #[tokio::test]
    async fn no_put_acknowledges_under_a_lease_that_was_revoked() {
        let (clock, lease) = lease();
        lease.grant("a".into(), lease.now());
        let id = lease.id().expect("a lease");
        clock.advance(TERM);
        let mut confirmed = Box::pin(lease.confirm(&id));
        assert!((&mut confirmed).now_or_never().is_none());
        lease.grant("b".into(), lease.now());
        assert!(confirmed.await.is_err() && lease.confirm(&id).await.is_err());
        assert!(lease.confirm(&lease.id().expect("a lease")).await.is_ok(), "one that begins now does");
    }

    #[test]
    fn the_wait_covers_clocks_of_different_speeds() {
        assert!(TERM + TERM / 5 <= WAIT);
    }
}
