//! Membership: the state that daemons on one store share through the database. Times are those of the
//! database.

use std::sync::Arc;
use std::time::Duration;

use mosaico_storage::error::Result;
use mosaico_types::id::SequenceId;

use crate::catalog::Catalog;
use crate::database_error::failed;
use crate::dead_sessions::NODE_TIMEOUT;
use crate::open::Database;
use crate::read::ids;
use crate::recognize::OwnStore;
use crate::session::{LockGuard, Session};
use crate::sql::{Row, query};

/// Time since the last heartbeat after which the row of a daemon without writer epochs is deleted.
const FORGOTTEN: &str = "interval '1 day'";

/// Another daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaemonRow {
    pub id: String,
    /// `host:port` at which other daemons reach it.
    pub address: String,
    pub alive: bool,
}

/// The lock of a sequence.
fn lock_name(sequence: SequenceId) -> String {
    format!("sequence/{sequence}")
}

impl Session {
    /// Addresses of daemons that share a catalog and seem to run, the most recent heartbeat first.
    pub async fn running(url: &str, schema: &str) -> Result<Vec<String>> {
        let database = Database::Postgres { url: url.to_owned(), schema: schema.to_owned(), connections: 1 };
        let Some(catalog) = database.open_filled(&OwnStore::Unknown).await? else { return Ok(Vec::new()) };
        let text = format!(
            "SELECT address FROM daemon WHERE seen_at > now() - {NODE_TIMEOUT} ORDER BY seen_at DESC"
        );
        let found = query(text).fetch_texts(&catalog.readers).await;
        catalog.close().await;
        found.map_err(failed)
    }

    /// Waits for the lock of a sequence and acquires it.
    pub async fn lock_sequence(self: &Arc<Self>, sequence: SequenceId) -> Result<LockGuard> {
        self.lock(&lock_name(sequence)).await
    }

    /// Records the intent of a change of a sequence; the caller owns the sequence's lock.
    pub(crate) async fn announce(
        self: &Arc<Self>,
        sequence: SequenceId,
        record: Option<&str>,
    ) -> Result<Vec<Row>> {
        let statement =
            query("INSERT INTO pending (sequence_id, daemon, record) VALUES (?, ?, ?) RETURNING id")
                .bind(sequence.to_string())
                .bind(self.daemon())
                .bind(record);
        self.run_with_lock(lock_name(sequence), statement).await
    }

    /// Whether an intent is not reconciled; the caller owns the sequence's lock, so nobody else reconciles it now.
    pub(crate) async fn has_intent(self: &Arc<Self>, sequence: SequenceId, row: i64) -> Result<bool> {
        let statement = query("SELECT 1 FROM pending WHERE id = ?").bind(row);
        Ok(!self.run_with_lock(lock_name(sequence), statement).await?.is_empty())
    }

    /// Records a heartbeat of this daemon and renews its leases. Returns the id of its lease.
    pub async fn heartbeat(self: &Arc<Self>, address: &str) -> Result<String> {
        let statement = query(format!(
            "WITH leases AS (UPDATE lease SET until = now() + {NODE_TIMEOUT} WHERE holder = ?1) \
             INSERT INTO daemon (id, address, seen_at, lease) VALUES (?1, ?2, now(), gen_random_uuid()::text) \
             ON CONFLICT (id) DO UPDATE SET address = excluded.address, seen_at = excluded.seen_at \
             RETURNING daemon.lease"
        ));
        let rows = self.execute(statement.bind(self.daemon()).bind(address)).await?;
        rows.first().ok_or(sqlx::Error::RowNotFound).and_then(|row| row.try_get(0)).map_err(failed)
    }

    /// Marks this daemon as dead and releases its leases.
    pub async fn leave(self: &Arc<Self>) -> Result<()> {
        let statement = query(
            "WITH lease AS (DELETE FROM lease WHERE holder = ?1) \
             UPDATE daemon SET seen_at = '-infinity' WHERE id = ?1",
        );
        self.execute(statement.bind(self.daemon())).await.map(drop)
    }

    /// Acquires or renews the lease of exclusive work; false: another daemon has it.
    pub async fn lease(self: &Arc<Self>, name: &str) -> Result<bool> {
        let statement = query(format!(
            "INSERT INTO lease (name, holder, until) VALUES (?1, ?2, now() + {NODE_TIMEOUT}) \
             ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until \
             WHERE lease.holder = excluded.holder OR lease.until < now() RETURNING name"
        ));
        Ok(!self.execute(statement.bind(name).bind(self.daemon())).await?.is_empty())
    }
}

impl Catalog {
    /// A daemon by id.
    pub async fn daemon(&self, id: &str) -> Result<Option<DaemonRow>> {
        let text =
            format!("SELECT id, address, seen_at > now() - {NODE_TIMEOUT} AS alive FROM daemon WHERE id = ?");
        let row = query(text).bind(id).fetch_optional(&self.readers).await.map_err(failed)?;
        let read = |row: Row| {
            Ok(DaemonRow {
                id: row.try_get("id")?,
                address: row.try_get("address")?,
                alive: row.try_get("alive")?,
            })
        };
        row.map(read).transpose().map_err(failed)
    }

    /// Revokes the lease of a dead daemon; see `mosaico-engine/src/state/lease.rs` for the protocol. Returns the id
    /// of the lease that the daemon gets with its next heartbeat; `None`: the daemon has sent a heartbeat lately.
    pub async fn revoke_lease(&self, daemon: &str) -> Result<Option<String>> {
        let text = format!(
            "UPDATE daemon SET seen_at = '-infinity', lease = gen_random_uuid()::text \
             WHERE id = ? AND seen_at > '-infinity' AND seen_at < now() - {NODE_TIMEOUT}"
        );
        query(text).bind(daemon).execute(&self.writer).await.map_err(failed)?;
        let text = "SELECT lease, seen_at > '-infinity' AS held FROM daemon WHERE id = ?";
        let row = query(text).bind(daemon).fetch_optional(&self.writer).await.map_err(failed)?;
        // A daemon without a row gets a new lease.
        let Some(row) = row else { return Ok(Some(String::new())) };
        let held: bool = row.try_get("held").map_err(failed)?;
        if held { Ok(None) } else { row.try_get("lease").map(Some).map_err(failed) }
    }

    /// Daemons whose last heartbeat is older than `silence`.
    pub async fn silent_daemons(&self, silence: Duration) -> Result<Vec<String>> {
        let text = "SELECT id FROM daemon WHERE seen_at < now() - ? * interval '1 second'";
        query(text).bind(silence.as_secs_f64()).fetch_texts(&self.readers).await.map_err(failed)
    }

    /// Whether daemons other than `id` run.
    pub async fn has_others(&self, id: &str) -> Result<bool> {
        let text =
            format!("SELECT id FROM daemon WHERE id <> ? AND seen_at > now() - {NODE_TIMEOUT} LIMIT 1");
        let found = query(text).bind(id).fetch_optional(&self.readers).await.map_err(failed)?;
        Ok(found.is_some())
    }

    /// Deletes daemons that stopped long ago and left no rows.
    pub async fn forget_daemons(&self) -> Result<()> {
        let text = format!(
            "DELETE FROM daemon WHERE seen_at < now() - {FORGOTTEN} \
             AND NOT EXISTS (SELECT 1 FROM writer_epoch p WHERE p.daemon = daemon.id AND p.busy > 0)"
        );
        query(text).execute(&self.writer).await.map(drop).map_err(failed)
    }

    /// Whether a sequence has intents that are not reconciled; `Some(true)`: intents of another live daemon,
    /// which reconciles them itself.
    pub async fn other_intents(&self, sequence: SequenceId, us: &str) -> Result<Option<bool>> {
        let text = format!(
            "SELECT count(*) AS all_of_them, \
             count(*) FILTER (WHERE p.daemon <> ? AND d.seen_at > now() - {NODE_TIMEOUT}) AS theirs \
             FROM pending p LEFT JOIN daemon d ON d.id = p.daemon WHERE p.sequence_id = ?"
        );
        let rows = query(text).bind(us).bind(sequence.to_string()).fetch_all(&self.writer).await;
        let counts = rows.map_err(failed)?;
        let Some(row) = counts.first() else { return Ok(None) };
        let (all, theirs): (i64, i64) =
            (row.try_get("all_of_them").map_err(failed)?, row.try_get("theirs").map_err(failed)?);
        Ok((all > 0).then_some(theirs > 0))
    }

    /// Sequences with intents of dead daemons.
    pub async fn left_behind(&self) -> Result<Vec<SequenceId>> {
        let text = format!(
            "SELECT DISTINCT p.sequence_id FROM pending p LEFT JOIN daemon d ON d.id = p.daemon \
             WHERE d.id IS NULL OR d.seen_at < now() - {NODE_TIMEOUT}"
        );
        ids(query(text).fetch_texts(&self.readers).await)
    }

    /// Records the heartbeats of writers: sequences and the seconds since their last activity.
    pub async fn record_heartbeats(&self, signs: &[(SequenceId, Duration)]) -> Result<()> {
        if signs.is_empty() {
            return Ok(());
        }
        let (ids, ages): (Vec<String>, Vec<String>) =
            signs.iter().map(|(id, age)| (id.to_string(), age.as_secs_f64().to_string())).unzip();
        query(
            "UPDATE sequence SET heard_at = greatest(heard_at, now() - sign.age * interval '1 second') \
             FROM (SELECT i.value AS id, CAST(a.value AS DOUBLE PRECISION) AS age \
                   FROM json_array_elements_text(CAST(?1 AS json)) WITH ORDINALITY AS i (value, at) \
                   JOIN json_array_elements_text(CAST(?2 AS json)) WITH ORDINALITY AS a (value, at) ON a.at = i.at \
             ) sign WHERE sequence.id = sign.id",
        )
        .bind(serde_json::json!(ids).to_string())
        .bind(serde_json::json!(ages).to_string())
        .execute(&self.writer)
        .await
        .map(drop)
        .map_err(failed)
    }

    /// Records a heartbeat now for all open sequences; with `only_new`, for those without any.
    pub async fn record_all_heartbeats(&self, only_new: bool) -> Result<()> {
        let new = if only_new { " AND heard_at IS NULL" } else { "" };
        let open = "finalized_ns IS NULL AND ended_ns IS NULL AND deleting = 0";
        let text = format!("UPDATE sequence SET heard_at = now() WHERE {open}{new}");
        query(text).execute(&self.writer).await.map(drop).map_err(failed)
    }

    /// Time since the last heartbeat of a sequence's writer.
    pub async fn time_since_heartbeat(&self, sequence: SequenceId) -> Result<Duration> {
        let text = "SELECT CAST(extract(epoch FROM now() - coalesce(heard_at, now())) AS DOUBLE PRECISION) \
                    FROM sequence WHERE id = ?";
        let row =
            query(text).bind(sequence.to_string()).fetch_optional(&self.readers).await.map_err(failed)?;
        let seconds: f64 = row.map_or(Ok(0.0), |row| row.try_get(0)).map_err(failed)?;
        Ok(Duration::try_from_secs_f64(seconds).unwrap_or_default())
    }

    /// Signals changes by other daemons since `last`; returns the newest event.
    pub async fn poll_changes(&self, last: Option<String>) -> Result<Option<String>> {
        let newest = self.newest_event().await?;
        if newest != last {
            self.news.send_replace(());
        }
        Ok(newest)
    }

    /// Records that another daemon reconciled an intent of this daemon.
    pub fn forget_intent(&self, sequence: SequenceId) {
        self.pending_intents.remove(sequence);
    }
}
