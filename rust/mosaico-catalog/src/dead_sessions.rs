//! Sessions of daemons whose machine disappeared. Their connections were not closed, so the database keeps them, and
//! their locks, until TCP notices. Other daemons do not wait for that: they end the sessions of daemons that are
//! dead by their heartbeats.
//!
//! That is safe: a daemon that lost its session records no intent, and acquires its locks again. A session of a
//! maintenance command sends no heartbeats, and is never ended; only daemons have the lock [`lock`].

use crate::sql::{Statement, query};

/// Time since the last heartbeat after which a daemon is considered dead and its leases expire.
pub(crate) const NODE_TIMEOUT: &str = "interval '10 seconds'";

/// What failed if the role of this session may not end another one.
pub(crate) const NOT_PERMITTED: &str = "ending the session of a dead daemon";

/// The lock by which the session of a daemon is found.
pub(crate) fn lock(daemon: &str) -> String {
    format!("serving/{daemon}")
}

/// Ends the sessions of all dead daemons.
pub(crate) fn end(schema: &str) -> Statement {
    query(format!(
        "SELECT pg_terminate_backend(l.pid)::text FROM daemon d JOIN pg_locks l \
         ON ((l.classid::bigint << 32) | l.objid::bigint) = hashtextextended(?1 || d.id, 0) \
         WHERE d.seen_at < now() - {NODE_TIMEOUT} AND l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted \
         AND l.pid <> pg_backend_pid() \
         AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    ))
    .bind(format!("mosaicod/{schema}/{}", lock("")))
}

/// The text of a start that is refused, with what the database says.
pub(crate) fn not_permitted(error: &sqlx::Error) -> String {
    format!(
        "a daemon that is dead still has a session with its locks in the database, and {NOT_PERMITTED} failed: {error}; \
         use one role for all daemons, or grant it pg_signal_backend, or end that session"
    )
}
