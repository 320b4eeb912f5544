//! Replaces the rows of one sequence by its records in one transaction: readers see either the old rows or
//! the new ones.

use mosaico_storage::error::Result;
use mosaico_storage::format::state::SequenceState;
use mosaico_types::id::SequenceId;
use serde_json::json;

use crate::catalog::Catalog;
use crate::database_error::failed;
use crate::rows::insert_states;
use crate::sql::{Row, Transaction, query};

/// Facts about a sequence that are in the catalog and not in the store. They exist only where daemons share a
/// catalog.
struct Kept {
    /// The last heartbeat of the writer.
    heard_at: Option<String>,
    epochs: Vec<KeptEpoch>,
}

struct KeptEpoch {
    topic: String,
    number: i64,
    daemon: String,
    row_start: i64,
    resumed_at: Option<i64>,
    wal_in_store: i64,
    row_end: Option<i64>,
    busy: i64,
}

impl Catalog {
    /// Whether a sequence has a row, even a damaged one.
    pub async fn has_sequence(&self, id: SequenceId) -> Result<bool> {
        let found = query("SELECT id FROM sequence WHERE id = ?").bind(id.to_string());
        found.fetch_optional(&self.readers).await.map(|row| row.is_some()).map_err(failed)
    }

    /// Replaces all rows of a sequence by the store's state. The caller owns its lock, and no daemon adds
    /// chunks of it at the same time. If daemons share the catalog and the rows change, an intent is
    /// recorded, which proves that the lock is still owned. False: another sequence has its name, and nothing
    /// changes.
    pub async fn replace_sequence(&self, state: &SequenceState) -> Result<bool> {
        let change = match self.session {
            Some(_) if self.has_sequence(state.record.id).await? => {
                Some(self.begin(state.record.id, None).await?)
            }
            _ => None,
        };
        let mut transaction = self.transaction().await?;
        let other = query("SELECT id FROM sequence WHERE name = ? AND id <> ?")
            .bind(state.record.name.as_str())
            .bind(state.record.id.to_string())
            .fetch_optional(&mut transaction)
            .await
            .map_err(failed)?;
        if other.is_none() {
            self.replace(&mut transaction, state).await?;
        }
        match change {
            Some(change) => self.finish(transaction, change).await?,
            None => self.commit(transaction).await?,
        }
        Ok(other.is_none())
    }

    async fn replace(&self, db: &mut Transaction, state: &SequenceState) -> Result<()> {
        let kept = match self.session {
            Some(_) => Some(keep(db, state.record.id).await.map_err(failed)?),
            None => None,
        };
        take_out(db, state).await.map_err(failed)?;
        insert_states(db, &[state]).await?;
        match kept {
            Some(kept) => kept.restore(db, state).await.map_err(failed),
            None => Ok(()),
        }
    }
}

/// Deletes the rows of a sequence, including rows that damage attached to another sequence: topics and
/// notifications are also found by their ids.
async fn take_out(db: &mut Transaction, state: &SequenceState) -> Result<(), sqlx::Error> {
    let topics = json!(state.topics.iter().map(|topic| topic.record.id.to_string()).collect::<Vec<_>>());
    let notifications = json!(state.notifications.iter().map(|n| n.id.to_string()).collect::<Vec<_>>());
    query("DELETE FROM sequence WHERE id = ?").bind(state.record.id.to_string()).execute(&mut *db).await?;
    for (statement, ids) in [
        ("DELETE FROM topic WHERE id IN (SELECT value FROM json_each(?))", topics),
        ("DELETE FROM notification WHERE id IN (SELECT value FROM json_each(?))", notifications),
    ] {
        query(statement).bind(ids.to_string()).execute(&mut *db).await?;
    }
    Ok(())
}

async fn keep(db: &mut Transaction, id: SequenceId) -> Result<Kept, sqlx::Error> {
    let record_heartbeats =
        query("SELECT CAST(heard_at AS TEXT) FROM sequence WHERE id = ?").bind(id.to_string());
    let heard_at =
        record_heartbeats.fetch_optional(&mut *db).await?.map(|row| row.try_get(0)).transpose()?.flatten();
    let epochs = query(
        "SELECT p.topic_id, p.epoch, p.daemon, p.row_start, p.resumed_at, p.wal_in_store, p.row_end, p.busy FROM writer_epoch p \
         JOIN topic t ON t.id = p.topic_id WHERE t.sequence_id = ?",
    );
    let epoch = |row: &Row| {
        Ok(KeptEpoch {
            topic: row.try_get("topic_id")?,
            number: row.try_get("epoch")?,
            daemon: row.try_get("daemon")?,
            row_start: row.try_get("row_start")?,
            resumed_at: row.try_get("resumed_at")?,
            wal_in_store: row.try_get("wal_in_store")?,
            row_end: row.try_get("row_end")?,
            busy: row.try_get("busy")?,
        })
    };
    let rows = epochs.bind(id.to_string()).fetch_all(db).await?;
    let epochs = rows.iter().map(epoch).collect::<Result<_, sqlx::Error>>()?;
    Ok(Kept { heard_at, epochs })
}

impl Kept {
    async fn restore(self, db: &mut Transaction, state: &SequenceState) -> Result<(), sqlx::Error> {
        query("UPDATE sequence SET heard_at = coalesce(CAST(? AS TIMESTAMPTZ), now()) WHERE id = ?")
            .bind(self.heard_at)
            .bind(state.record.id.to_string())
            .execute(&mut *db)
            .await?;
        for epoch in self.epochs {
            let topic = state.topics.iter().find(|topic| topic.record.id.to_string() == epoch.topic);
            // The records of an open topic list its writer epochs; those of a complete topic are not read any
            // more.
            let is_one = topic.is_some_and(|topic| {
                topic.committed_ns.is_some()
                    || topic.epochs.iter().any(|known| i64::from(known.epoch) == epoch.number)
            });
            if !is_one {
                continue;
            }
            query(
                "INSERT INTO writer_epoch (topic_id, epoch, daemon, row_start, resumed_at, wal_in_store, row_end, busy) \
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (topic_id, epoch) DO UPDATE SET busy = excluded.busy",
            )
            .bind(epoch.topic)
            .bind(epoch.number)
            .bind(epoch.daemon)
            .bind(epoch.row_start)
            .bind(epoch.resumed_at)
            .bind(epoch.wal_in_store)
            .bind(epoch.row_end)
            .bind(epoch.busy)
            .execute(&mut *db)
            .await?;
        }
        Ok(())
    }
}
