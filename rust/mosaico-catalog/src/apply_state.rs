//! Applies facts from the store together with the event that reports them. Repeated application has no
//! further effect.

use mosaico_storage::error::Result;
use mosaico_storage::format::damage::DamagedSegment;
use mosaico_storage::format::records::{ChunkRecord, CommitRecord, NotificationRecord};
use mosaico_storage::format::state::SequenceState;
use mosaico_types::id::{SequenceId, TopicId};
use mosaico_wire::event::EventKind;
use serde_json::{Value, json};

use crate::catalog::Catalog;
use crate::database_error::failed;
use crate::intents::Change;
use crate::read::damage_of;
use crate::rows::damage_json;
use crate::sql::{Transaction, query};
use crate::write::{
    insert_chunk, insert_notification, set_committed, set_ended, set_finalized, set_resumed, set_schema,
};
use crate::writer_epochs::insert_parts;

impl Catalog {
    /// Applies the store's state of a known sequence and deletes its intents. A daemon may store chunks at
    /// the same time, so nothing that the catalog knows is removed, except notifications.
    pub async fn apply_sequence(&self, state: &SequenceState) -> Result<()> {
        let id = state.record.id;
        let mut transaction = self.transaction().await?;
        for topic in &state.topics {
            if let Some(schema) = &topic.schema {
                set_schema(&mut transaction, topic.record.id, schema).await?;
            }
            set_resumed(&mut transaction, topic.record.id, topic.resumed).await?;
            self.store_damage(&mut transaction, (id, topic.record.id), &topic.damage).await?;
            if let Some(at_ns) = topic.committed_ns {
                self.join_chunks(&mut transaction, (id, topic.record.id), at_ns, &topic.chunks).await?;
            }
            insert_parts(&mut transaction, topic).await?;
            for chunk in &topic.chunks {
                self.store_chunk(&mut transaction, id, topic.record.id, chunk).await?;
            }
            if let Some(at_ns) = topic.committed_ns {
                self.commit_topic(&mut transaction, id, topic.record.id, at_ns).await?;
            }
        }
        let kept = json!(state.notifications.iter().map(|n| n.id.to_string()).collect::<Vec<_>>());
        query(
            "DELETE FROM notification WHERE sequence_id = ? AND id NOT IN (SELECT value FROM json_each(?))",
        )
        .bind(id.to_string())
        .bind(kept.to_string())
        .execute(&mut transaction)
        .await
        .map_err(failed)?;
        for notification in &state.notifications {
            self.notify(&mut transaction, id, notification).await?;
        }
        if let Some(at_ns) = state.ended_ns {
            self.end(&mut transaction, id, at_ns).await?;
        }
        if let Some(at_ns) = state.finalized_ns {
            self.finalize(&mut transaction, id, at_ns).await?;
        }
        if state.finalized_ns.or(state.ended_ns).is_some() {
            self.close_intent(id);
        }
        self.clear_pending(&mut transaction, id).await?;
        self.commit(transaction).await?;
        self.pending_intents.remove(id);
        Ok(())
    }

    /// Records that compaction replaced the chunks of a complete topic.
    pub async fn chunks_compacted(&self, change: Change, record: &CommitRecord) -> Result<()> {
        let mut transaction = self.covered_transaction().await?;
        let ids = (record.topic.sequence, record.topic.id);
        self.join_chunks(&mut transaction, ids, record.committed_ns, &record.chunks).await?;
        self.finish(transaction, change).await
    }

    /// Replaces earlier chunks, if there are any, by `chunks`.
    async fn join_chunks(
        &self,
        db: &mut Transaction,
        (sequence, topic): (SequenceId, TopicId),
        committed_ns: i64,
        chunks: &[ChunkRecord],
    ) -> Result<()> {
        let Some(first) = chunks.iter().map(ChunkRecord::id).min() else { return Ok(()) };
        let replaced = query("DELETE FROM chunk WHERE topic_id = ? AND (epoch, idx) < (?, ?)")
            .bind(topic.to_string())
            .bind(first.epoch)
            .bind(first.index)
            .execute(&mut *db)
            .await
            .map_err(failed)?;
        if replaced == 0 {
            return Ok(());
        }
        query(
            "UPDATE topic SET chunks = 0, row_count = 0, stored_bytes = 0, data_bytes = 0, ts_min = NULL, \
             ts_max = NULL, committed_ns = NULL WHERE id = ?",
        )
        .bind(topic.to_string())
        .execute(&mut *db)
        .await
        .map_err(failed)?;
        for chunk in chunks {
            self.store_chunk(db, sequence, topic, chunk).await?;
        }
        set_committed(db, topic, committed_ns).await.map(drop)
    }

    /// Hides a sequence that has a tombstone in the store.
    pub async fn apply_removal(&self, id: SequenceId) -> Result<()> {
        let mut transaction = self.transaction().await?;
        self.hide_sequence(&mut transaction, id, json!({})).await?;
        self.commit(transaction).await
    }

    /// Hides a topic that has a tombstone in the store.
    pub async fn apply_topic_removal(&self, sequence: SequenceId, id: TopicId) -> Result<()> {
        let mut transaction = self.transaction().await?;
        self.hide_topic(&mut transaction, sequence, id).await?;
        self.commit(transaction).await
    }

    pub(crate) async fn finalize(&self, db: &mut Transaction, id: SequenceId, at_ns: i64) -> Result<()> {
        if set_finalized(db, id, at_ns).await? {
            self.tell(db, EventKind::SequenceFinalized, (id, None), json!({})).await?;
        }
        Ok(())
    }

    pub(crate) async fn end(&self, db: &mut Transaction, id: SequenceId, at_ns: i64) -> Result<()> {
        if set_ended(db, id, at_ns).await? {
            self.tell(db, EventKind::SequenceEnded, (id, None), json!({})).await?;
        }
        Ok(())
    }

    pub(crate) async fn commit_topic(
        &self,
        db: &mut Transaction,
        sequence: SequenceId,
        id: TopicId,
        at_ns: i64,
    ) -> Result<()> {
        if set_committed(db, id, at_ns).await? {
            self.tell(db, EventKind::TopicCommitted, (sequence, Some(id)), json!({})).await?;
        }
        Ok(())
    }

    pub(crate) async fn store_chunk(
        &self,
        db: &mut Transaction,
        sequence: SequenceId,
        topic: TopicId,
        chunk: &ChunkRecord,
    ) -> Result<()> {
        if insert_chunk(db, topic, chunk).await? {
            let ChunkRecord { rows, bytes, ts_min, ts_max, .. } = chunk;
            let detail = json!({"chunk": chunk.id().to_string(), "rows": rows, "bytes": bytes, "timestamp_ns_min": ts_min,
                                "timestamp_ns_max": ts_max});
            self.tell(db, EventKind::ChunkStored, (sequence, Some(topic)), detail).await?;
        }
        Ok(())
    }

    /// Stores the damaged segments of a topic and reports those that were not known.
    pub(crate) async fn store_damage(
        &self,
        db: &mut Transaction,
        (sequence, topic): (SequenceId, TopicId),
        damage: &[DamagedSegment],
    ) -> Result<()> {
        let known = query("SELECT damage FROM topic WHERE id = ?").bind(topic.to_string());
        let known = known.fetch_optional(&mut *db).await.map_err(failed)?;
        let known = known.as_ref().map(damage_of).transpose().map_err(failed)?.unwrap_or_default();
        if known == damage {
            return Ok(());
        }
        query("UPDATE topic SET damage = ? WHERE id = ?")
            .bind(damage_json(damage))
            .bind(topic.to_string())
            .execute(&mut *db)
            .await
            .map_err(failed)?;
        for segment in damage.iter().filter(|segment| !known.contains(segment)) {
            let DamagedSegment { id, kept, lost, .. } = segment;
            let detail =
                json!({"segment": id.to_string(), "file": kept, "lost_rows": segment.rows(), "lost": lost});
            self.tell(db, EventKind::DataDamaged, (sequence, Some(topic)), detail).await?;
        }
        Ok(())
    }

    pub(crate) async fn notify(
        &self,
        db: &mut Transaction,
        sequence: SequenceId,
        record: &NotificationRecord,
    ) -> Result<()> {
        if insert_notification(db, sequence, record).await? {
            let detail = json!({"message": record.msg});
            self.tell(db, EventKind::Error, (sequence, record.topic), detail).await?;
        }
        Ok(())
    }

    pub(crate) async fn hide_sequence(
        &self,
        db: &mut Transaction,
        id: SequenceId,
        detail: Value,
    ) -> Result<()> {
        if hide(db, "UPDATE sequence SET deleting = 1 WHERE id = ? AND deleting = 0", &id.to_string()).await?
        {
            self.tell(db, EventKind::SequenceDeleted, (id, None), detail).await?;
        }
        Ok(())
    }

    pub(crate) async fn hide_topic(
        &self,
        db: &mut Transaction,
        sequence: SequenceId,
        id: TopicId,
    ) -> Result<()> {
        if hide(db, "UPDATE topic SET deleting = 1 WHERE id = ? AND deleting = 0", &id.to_string()).await? {
            self.tell(db, EventKind::TopicDeleted, (sequence, Some(id)), json!({})).await?;
        }
        Ok(())
    }
}

async fn hide(db: &mut Transaction, statement: &'static str, id: &str) -> Result<bool> {
    let done = query(statement).bind(id).execute(db).await.map_err(failed)?;
    Ok(done > 0)
}
