//! Changes of the catalog, each one transaction.

use std::fmt::Display;
use std::sync::atomic::Ordering;

use mosaico_storage::crash_points;
use mosaico_storage::error::Result;
use mosaico_storage::format::damage::DamagedSegment;
use mosaico_storage::format::records::{ChunkRecord, NotificationRecord, SequenceRecord, TopicRecord};
use mosaico_types::id::{SequenceId, TopicId};
use mosaico_wire::event::EventKind;
use serde_json::{Value, json};

use crate::catalog::Catalog;
use crate::database_error::failed;
use crate::intents::Change;
use crate::rows::{insert_columns, insert_sequence, insert_topic, schema_id};
use crate::sql::{Durability, Transaction, query};

impl Catalog {
    /// A transaction whose commit is durable.
    pub(crate) async fn transaction(&self) -> Result<Transaction> {
        self.begin_transaction(self.standing.as_ref().map(|_| Durability::Durable)).await
    }

    /// A transaction that an intent covers: a power cut may undo it, and the next start applies it again.
    pub(crate) async fn covered_transaction(&self) -> Result<Transaction> {
        self.begin_transaction(self.standing.as_ref().map(|_| Durability::Relaxed)).await
    }

    async fn begin_transaction(&self, durability: Option<Durability>) -> Result<Transaction> {
        let mut transaction = self.writer.begin(durability).await.map_err(failed)?;
        if durability == Some(Durability::Relaxed) {
            self.has_unsynced.store(true, Ordering::Relaxed);
        }
        if self.writer.is_postgres() {
            self.resume_events(&mut transaction).await?;
        }
        Ok(transaction)
    }

    /// Commits a transaction.
    pub(crate) async fn commit(&self, transaction: Transaction) -> Result<()> {
        crash_points::point();
        transaction.commit().await.map_err(failed)?;
        crash_points::point();
        self.news.send_replace(());
        Ok(())
    }

    /// Makes all commits durable.
    pub async fn sync(&self) -> Result<()> {
        if !self.has_unsynced.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut transaction = self.transaction().await?;
        // The transaction excludes all others.
        self.has_unsynced.store(false, Ordering::Relaxed);
        // A commit syncs only if it writes something.
        let written = async {
            query("UPDATE store_link SET store = store").execute(&mut transaction).await?;
            transaction.commit().await
        };
        written.await.map_err(|e| {
            self.has_unsynced.store(true, Ordering::Relaxed);
            failed(e)
        })
    }

    /// Applies the creation of a sequence.
    pub async fn sequence_created(&self, change: Change, record: &SequenceRecord) -> Result<()> {
        let mut transaction = self.transaction().await?;
        insert_sequence(&mut transaction, record).await?;
        self.tell(&mut transaction, EventKind::SequenceCreated, (record.id, None), json!({})).await?;
        if let Some(standing) = &self.standing {
            standing.set_open(record.id, true);
        }
        self.finish(transaction, change).await
    }

    /// Applies the finalization of a sequence.
    pub async fn sequence_finalized(&self, change: Change, id: SequenceId, at_ns: i64) -> Result<()> {
        let mut transaction = self.covered_transaction().await?;
        self.close_intent(id);
        self.finalize(&mut transaction, id, at_ns).await?;
        self.finish(transaction, change).await
    }

    /// Applies the end of a sequence that is not finalized, with its notification.
    pub async fn sequence_ended(
        &self,
        change: Change,
        id: SequenceId,
        at_ns: i64,
        notification: Option<&NotificationRecord>,
    ) -> Result<()> {
        let mut transaction = self.covered_transaction().await?;
        self.close_intent(id);
        if let Some(record) = notification {
            self.notify(&mut transaction, id, record).await?;
        }
        self.end(&mut transaction, id, at_ns).await?;
        self.finish(transaction, change).await
    }

    /// Applies the creation of a topic.
    pub async fn topic_created(&self, change: Change, record: &TopicRecord) -> Result<()> {
        let mut transaction = self.transaction().await?;
        insert_topic(&mut transaction, record).await?;
        let detail = json!({"ontology_tag": record.ontology_tag});
        let subject = (record.sequence, Some(record.id));
        self.tell(&mut transaction, EventKind::TopicCreated, subject, detail).await?;
        self.finish(transaction, change).await
    }

    /// Applies a schema snapshot.
    pub async fn topic_schema(&self, change: Change, id: TopicId, schema: &[u8]) -> Result<()> {
        let mut transaction = self.covered_transaction().await?;
        set_schema(&mut transaction, id, schema).await?;
        self.finish(transaction, change).await
    }

    /// Applies a completed upload.
    pub async fn topic_committed(
        &self,
        change: Change,
        sequence: SequenceId,
        id: TopicId,
        at_ns: i64,
    ) -> Result<()> {
        let mut transaction = self.covered_transaction().await?;
        self.commit_topic(&mut transaction, sequence, id, at_ns).await?;
        self.finish(transaction, change).await
    }

    /// Applies the number of times that a writer resumed.
    pub async fn topic_resumed(&self, change: Change, id: TopicId, times: u32) -> Result<()> {
        let mut transaction = self.covered_transaction().await?;
        set_resumed(&mut transaction, id, times).await?;
        self.finish(transaction, change).await
    }

    /// Applies the list of damaged WAL segments of a topic, with its notification.
    pub async fn topic_damaged(
        &self,
        change: Change,
        (sequence, topic): (SequenceId, TopicId),
        damage: &[DamagedSegment],
        notification: Option<&NotificationRecord>,
    ) -> Result<()> {
        let mut transaction = self.covered_transaction().await?;
        self.store_damage(&mut transaction, (sequence, topic), damage).await?;
        if let Some(record) = notification {
            self.notify(&mut transaction, sequence, record).await?;
        }
        self.finish(transaction, change).await
    }

    /// Adds the event and the notification of a damaged chunk.
    pub async fn chunk_damaged(
        &self,
        change: Change,
        (sequence, topic): (SequenceId, TopicId),
        detail: Value,
        notification: &NotificationRecord,
    ) -> Result<()> {
        let mut transaction = self.covered_transaction().await?;
        self.tell(&mut transaction, EventKind::DataDamaged, (sequence, Some(topic)), detail).await?;
        self.notify(&mut transaction, sequence, notification).await?;
        self.finish(transaction, change).await
    }

    /// Applies a chunk. It needs no intent if only this daemon has to know of it: its WAL segment serves as
    /// one. Idempotent.
    pub async fn chunk_stored(
        &self,
        change: Option<Change>,
        sequence: SequenceId,
        topic: TopicId,
        chunk: &ChunkRecord,
    ) -> Result<()> {
        let mut transaction = match change {
            Some(_) => self.covered_transaction().await?,
            None => self.transaction().await?,
        };
        self.store_chunk(&mut transaction, sequence, topic, chunk).await?;
        match change {
            Some(change) => self.finish(transaction, change).await,
            None => self.commit(transaction).await,
        }
    }

    /// Applies a notification.
    pub async fn notified(
        &self,
        change: Change,
        sequence: SequenceId,
        record: &NotificationRecord,
    ) -> Result<()> {
        let mut transaction = self.covered_transaction().await?;
        self.notify(&mut transaction, sequence, record).await?;
        self.finish(transaction, change).await
    }

    /// Applies the removal of notifications.
    pub async fn notifications_purged(
        &self,
        change: Change,
        sequence: SequenceId,
        topic: Option<TopicId>,
    ) -> Result<()> {
        let mut transaction = self.covered_transaction().await?;
        query("DELETE FROM notification WHERE sequence_id = ? AND topic_id IS NOT DISTINCT FROM ?")
            .bind(sequence.to_string())
            .bind(topic.map(|id| id.to_string()))
            .execute(&mut transaction)
            .await
            .map_err(failed)?;
        self.finish(transaction, change).await
    }

    /// Hides a sequence that is being removed.
    pub async fn sequence_deleting(&self, change: Change, id: SequenceId, detail: Value) -> Result<()> {
        let mut transaction = self.covered_transaction().await?;
        self.close_intent(id);
        self.hide_sequence(&mut transaction, id, detail).await?;
        self.finish(transaction, change).await
    }

    /// Hides a topic that is being removed.
    pub async fn topic_deleting(&self, change: Change, sequence: SequenceId, id: TopicId) -> Result<()> {
        let mut transaction = self.covered_transaction().await?;
        self.hide_topic(&mut transaction, sequence, id).await?;
        self.finish(transaction, change).await
    }

    /// Deletes a sequence whose files are deleted, and its intents.
    pub async fn forget_sequence(&self, id: SequenceId) -> Result<()> {
        let mut transaction = self.covered_transaction().await?;
        self.close_intent(id);
        delete_sequence(&mut transaction, id).await?;
        self.clear_pending(&mut transaction, id).await?;
        self.commit(transaction).await?;
        self.pending_intents.remove(id);
        Ok(())
    }

    /// Deletes a topic whose files are deleted.
    pub async fn forget_topic(&self, id: TopicId) -> Result<()> {
        let mut transaction = self.covered_transaction().await?;
        query("DELETE FROM topic WHERE id = ?")
            .bind(id.to_string())
            .execute(&mut transaction)
            .await
            .map_err(failed)?;
        self.commit(transaction).await
    }
}

/// Returns whether the row changed.
pub(crate) async fn set_finalized(db: &mut Transaction, id: SequenceId, at_ns: i64) -> Result<bool> {
    set_once(db, "UPDATE sequence SET finalized_ns = ? WHERE id = ? AND finalized_ns IS NULL", id, at_ns)
        .await
}

/// Returns whether the row changed.
pub(crate) async fn set_ended(db: &mut Transaction, id: SequenceId, at_ns: i64) -> Result<bool> {
    set_once(db, "UPDATE sequence SET ended_ns = ? WHERE id = ? AND ended_ns IS NULL", id, at_ns).await
}

async fn set_once(
    db: &mut Transaction,
    statement: &'static str,
    id: impl Display,
    at_ns: i64,
) -> Result<bool> {
    let done = query(statement).bind(at_ns).bind(id.to_string()).execute(db).await.map_err(failed)?;
    Ok(done > 0)
}

async fn delete_sequence(db: &mut Transaction, id: SequenceId) -> Result<()> {
    query("DELETE FROM sequence WHERE id = ?").bind(id.to_string()).execute(db).await.map_err(failed)?;
    Ok(())
}

pub(crate) async fn set_schema(db: &mut Transaction, id: TopicId, schema: &[u8]) -> Result<()> {
    let schema = schema_id(db, schema).await?;
    query("UPDATE topic SET schema_id = ? WHERE id = ?")
        .bind(schema)
        .bind(id.to_string())
        .execute(db)
        .await
        .map_err(failed)?;
    Ok(())
}

/// Returns whether the row changed.
pub(crate) async fn set_committed(db: &mut Transaction, id: TopicId, at_ns: i64) -> Result<bool> {
    let statement = "UPDATE topic SET committed_ns = ?, bounded = ( \
             SELECT coalesce(min(n), 0) FROM ( \
                 SELECT count(x.path) AS n FROM chunk c \
                 LEFT JOIN chunk_column x ON x.topic_id = c.topic_id AND x.epoch = c.epoch AND x.idx = c.idx \
                 WHERE c.topic_id = topic.id GROUP BY c.epoch, c.idx \
             ) counted \
         ) WHERE id = ? AND committed_ns IS NULL";
    set_once(db, statement, id, at_ns).await
}

pub(crate) async fn set_resumed(db: &mut Transaction, id: TopicId, times: u32) -> Result<()> {
    query("UPDATE topic SET resumed = ? WHERE id = ?")
        .bind(times)
        .bind(id.to_string())
        .execute(db)
        .await
        .map_err(failed)?;
    Ok(())
}

/// Returns whether the chunk is new.
pub(crate) async fn insert_chunk(db: &mut Transaction, topic: TopicId, chunk: &ChunkRecord) -> Result<bool> {
    let inserted = query(
        "INSERT INTO chunk (topic_id, epoch, idx, row_start, row_count, bytes, data_bytes, ts_min, ts_max, crc32) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    )
    .bind(topic.to_string())
    .bind(chunk.epoch)
    .bind(chunk.index)
    .bind(chunk.row_start.cast_signed())
    .bind(chunk.rows.cast_signed())
    .bind(chunk.bytes.cast_signed())
    .bind(chunk.data_bytes.cast_signed())
    .bind(chunk.ts_min)
    .bind(chunk.ts_max)
    .bind(chunk.crc32)
    .execute(&mut *db)
    .await
    .map_err(failed)?;
    if inserted == 0 {
        return Ok(false);
    }
    query(
        "UPDATE topic SET chunks = chunks + 1, row_count = row_count + ?1, stored_bytes = stored_bytes + ?2, \
         data_bytes = data_bytes + ?3, ts_min = CASE WHEN ts_min < ?4 THEN ts_min ELSE ?4 END, \
         ts_max = CASE WHEN ts_max > ?5 THEN ts_max ELSE ?5 END \
         WHERE id = ?6",
    )
    .bind(chunk.rows.cast_signed())
    .bind(chunk.bytes.cast_signed())
    .bind(chunk.data_bytes.cast_signed())
    .bind(chunk.ts_min)
    .bind(chunk.ts_max)
    .bind(topic.to_string())
    .execute(&mut *db)
    .await
    .map_err(failed)?;
    insert_columns(db, topic, chunk).await?;
    Ok(true)
}

/// Returns whether the notification is new.
pub(crate) async fn insert_notification(
    db: &mut Transaction,
    sequence: SequenceId,
    record: &NotificationRecord,
) -> Result<bool> {
    let done = query(
        "INSERT INTO notification (id, sequence_id, topic_id, notify_type, msg, created_ns) VALUES (?, ?, ?, ?, ?, ?) \
         ON CONFLICT DO NOTHING",
    )
    .bind(record.id.to_string())
    .bind(sequence.to_string())
    .bind(record.topic.map(|id| id.to_string()))
    .bind(&record.notify_type)
    .bind(&record.msg)
    .bind(record.created_ns)
    .execute(db)
    .await
    .map_err(failed)?;
    Ok(done > 0)
}
